"""The analysis half of every job: which clips there are, what is in them, and the beats of the music."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from montage_dask.analysis.embedding import chosen
from montage_dask.edit.director import Direction
from montage_dask.errors import (
    MediaError,
    MontageError,
    NothingToDoError,
    UsageError,
    printable,
)
from montage_dask.graph.costs import (
    BEATS_SECONDS,
    CPU_SECONDS_PER_FRAME,
    PACKED_SOUND_BYTES,
    PIXELS_1080P,
    STRIP_BYTES_PER_FRAME,
)
from montage_dask.graph.drive import Driver, Feed, Outcome
from montage_dask.graph.operation import Request, finished
from montage_dask.graph.placement import Placement
from montage_dask.graph.targets import Targets, Work, place_on
from montage_dask.media.discover import Candidate, Skipped, discover
from montage_dask.media.probe import fingerprint, stat_key
from montage_dask.media.windows import round_window_frames, split_windows
from montage_dask.records import Music, Shot, Source, Window, from_json, to_json
from montage_dask.store import Place, Store, Url, objects, place_of


@dataclass(slots=True)
class Clip:
    """One usable video and where its frame index stands."""

    source: Source
    index: Place
    explicit: bool = True
    """Named by the user, not only found in a folder."""

    @property
    def name(self) -> str:
        """File name."""
        return Path(self.source.path).name


@dataclass(slots=True)
class Survey:
    """What a job has to work with."""

    clips: dict[str, Clip] = field(default_factory=dict)
    """By identity, in the order of discovery."""
    skipped: list[Skipped] = field(default_factory=list)
    shots: tuple[Shot, ...] = ()
    music: Music | None = None
    placements: tuple[Placement, ...] = ()
    """Where the analysis ran."""
    direction: Direction | None = None
    """What a brief has decided."""
    tell: Callable[[str, str], None] = lambda path, reason: None
    """Told of each file that is left out, and why."""

    @property
    def sources(self) -> dict[str, Source]:
        """Sources by identity."""
        return {k: c.source for k, c in self.clips.items()}

    def skip(self, path: str, reason: str) -> None:
        """Leave a file out, once."""
        if all(s.path != path for s in self.skipped):
            self.skipped.append(Skipped(path, reason))
            self.tell(path, reason)


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings that the analysis depends on."""

    window_frames: int
    detector: str
    threshold: float | None
    tracker: str
    bpm: float | None
    beats_file: str | None
    beats_per_bar: int | None
    targets: Targets = field(default_factory=Targets)
    embedding: str = "strip"
    """strip, clip or dino."""
    embedding_model: str | None = None
    scenes_weights: str | None = None
    """Of the network of the detector "auto"; None: the package's."""
    beats_weights: str | None = None
    """Of the network of the tracker; None: the package's."""
    beat_this_checkpoint: str | None = None
    """Of the tracker "beat-this"."""

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Settings:
        """From resolved settings (name → `config.Setting`)."""
        return cls(
            window_frames=round_window_frames(settings["window-frames"].value),
            detector=settings["detector"].value,
            threshold=settings["threshold"].value,
            tracker=settings["tracker"].value,
            bpm=settings["bpm"].value,
            beats_file=settings["beats-file"].value,
            beats_per_bar=settings["beats-per-bar"].value,
            targets=Targets.of(settings),
            embedding=chosen(settings["embedding"].value),
            embedding_model=settings["embedding-model"].value,
            scenes_weights=settings["scenes-weights"].value,
            beats_weights=settings["beats-weights"].value,
            beat_this_checkpoint=settings["beat-this-checkpoint"].value,
        )


def probe_request(path: str | Place, state: Mapping[str, Any] | None = None) -> Request:
    """The request that probes a file; keyed by path, size and time of change, since the content is not known yet.

    Args:
        path: of the file.
        state: what is known of an object already.
    """
    key = stat_key(path) if state is None else {"path": str(path), **state}
    return Request("probe", key, {"path": str(path)}, Path(str(path)).name)


def probe_all(
    driver: Driver, settings: Settings, candidates: Iterable[Candidate], survey: Survey
) -> None:
    """Probe candidates into `survey.clips`; bad ones into `survey.skipped`; the same content once."""
    requests: list[Request] = []
    explicit: dict[str, bool] = {}
    for candidate in candidates:
        try:
            request = probe_request(candidate.path, candidate.state)
        except OSError as error:
            survey.skip(str(candidate.path), error.strerror or str(error))
            continue
        except objects.Vanished as error:
            survey.skip(str(candidate.path), str(error))
            continue
        explicit[str(candidate.path)] = candidate.explicit
        requests.append(request)
    driver.progress.stage("probe", len(requests), "clips")
    found: dict[str, Clip] = {}
    refused: dict[str, str] = {}
    for outcome in driver.run(requests, {"probe": place_on(driver, "probe", settings.targets)}):
        path = outcome.request.paths["path"]
        if outcome.record is None:
            refused[path] = _reason(outcome.error)
            continue
        source = from_json(Source, outcome.record["source"])
        index = driver.store.file("probe", outcome.request.key, ".npz")
        found[path] = Clip(source, index, explicit[path])
    for request in requests:  # outcomes come in any order; the job must not depend on it
        path = request.paths["path"]
        if path in refused:
            survey.skip(path, refused[path])
        clip = found.get(path)
        if clip is not None and clip.source.identity not in survey.clips:
            survey.clips[clip.source.identity] = clip


def _reason(error: MontageError | None) -> str:
    return error.reason if isinstance(error, MediaError) else str(error)


def strip_requests(clip: Clip, settings: Settings) -> Iterator[Request]:
    """One request per window of a clip."""
    from montage_dask.analysis.strip import strip_parameters

    source = clip.source
    shared = strip_parameters(source, settings.window_frames)
    paths = {"source": to_json(source), "index": str(clip.index)}
    for window in split_windows(source.frames, settings.window_frames):
        yield Request("strip", {**shared, **_window_parameters(window)}, paths, clip.name)


def _window_parameters(window: Window) -> dict[str, int]:
    return {
        "window": window.index,
        "start_frame": window.start_frame,
        "stop_frame": window.stop_frame,
    }


def scores_requests(clip: Clip, settings: Settings, precision: str) -> Iterator[Request]:
    """One request per window: the scores of the shot-boundary network."""
    for request in strip_requests(clip, settings):
        yield Request(
            "scores", {**request.parameters, "precision": precision}, request.paths, clip.name
        )


def shots_request(clip: Clip, settings: Settings, precision: str | None) -> Request:
    """The request that finds and describes the shots of a clip. Its key does not depend on the windows."""
    from montage_dask.analysis import descriptor, embedding, scenes, strip

    plain = settings.embedding == "strip"
    source = clip.source
    return Request(
        "shots",
        {
            "identity": source.identity,
            "stream_index": source.stream_index,
            "detector": settings.detector,
            "threshold": settings.threshold,
            "precision": precision,
            "strip_version": strip.VERSION,
            "scenes_version": scenes.VERSION,
            "network": _network(settings),
            "embedding": settings.embedding,
            "embedding_model": None if plain else settings.embedding_model,
            "embedding_version": descriptor.VERSION if plain else embedding.VERSION,
        },
        {
            "source": to_json(source),
            "index": str(clip.index),
            "window_frames": settings.window_frames,
            "embedding_model": settings.embedding_model,
            "scenes_weights": settings.scenes_weights,
        },
        clip.name,
    )


class Analysis:
    """Strip, scenes and features of all clips, and beats of all tracks, in one go: no worker waits for another stage.

    A clip's shots are found as soon as its last window is done. Damaged clips are skipped, damaged tracks give errors.
    """

    def __init__(self, driver: Driver, settings: Settings, survey: Survey) -> None:
        self.driver, self.settings, self.survey = driver, settings, survey
        self.heard: dict[str, Music | MontageError] = {}
        self.placements: tuple[Placement, ...] = ()
        """Where its operations ran."""
        self._precision = _precision(settings)
        self._shots: dict[str, tuple[Shot, ...]] = {}
        self._left: dict[str, int] = {}
        self._scored: set[str] = set()

    def run(self, tracks: Iterable[str], *, shots: bool = True) -> None:
        """Analyse; results are in `survey.shots` and `heard`."""
        music = self._music(tracks)
        clips = list(self.survey.clips.values()) if shots else []
        feed = Feed((*music, *self._windows(clips)))
        names = ("beats", "strip", "scores", "shots")
        work = self._work(clips, len(music))
        places = {n: place_on(self.driver, n, self.settings.targets, work[n]) for n in names}
        self.placements = tuple(places[n] for n in names if work[n].cpu_seconds)
        rates = {c.source.identity: c.source.frame_rate for c in clips}

        def seconds(request: Request) -> float:
            p = request.parameters
            if request.operation not in ("strip", "scores"):
                return 0.0
            return float((p["stop_frame"] - p["start_frame"]) / rates[p["identity"]])

        for outcome in self.driver.run(feed, places, media_seconds=seconds):
            if outcome.request.operation == "beats":
                self._hear(outcome)
            else:
                self._advance(outcome, feed)
        order = self.survey.clips
        self.survey.shots = tuple(s for k in order for s in self._shots.get(k, ()))

    def _work(self, clips: list[Clip], tracks: int) -> dict[str, Work]:
        """What is to be done by each operation."""
        pixels = sum(c.source.frames * c.source.coded_width * c.source.coded_height for c in clips)
        frames = sum(c.source.frames for c in clips)
        each = CPU_SECONDS_PER_FRAME
        scored = frames if self._precision is not None else 0
        return {
            "beats": Work(tracks * BEATS_SECONDS, tracks * PACKED_SOUND_BYTES),
            "strip": Work(pixels / PIXELS_1080P * each["strip"]),
            "scores": Work(scored * each["scores"], round(scored * STRIP_BYTES_PER_FRAME)),
            "shots": Work(frames * each["shots"]),
        }

    def _music(self, tracks: Iterable[str]) -> list[Request]:
        requests = []
        for path in tracks:
            try:
                requests.append(music_request(path, self.settings))
            except OSError as error:
                self.heard[path] = MediaError(path, error.strerror or str(error))
            except objects.Vanished:
                self.heard[path] = MediaError(path, "does not exist")
        if requests:
            self.driver.progress.stage("beats", len(requests), "tracks")
        return requests

    def _windows(self, clips: list[Clip]) -> Iterator[Request]:
        """Windows of the clips whose shots are not known yet; for the others the request that finds the record."""
        total = sum(-(-c.source.frames // self.settings.window_frames) for c in clips)
        if clips:
            self.driver.progress.stage("strip", total, "windows")
            if self._precision is not None:
                self.driver.progress.stage("scores", total, "windows")
            self.driver.progress.stage("shots", len(clips), "clips")
        for clip in clips:
            last = shots_request(clip, self.settings, self._precision)
            if finished(last, self.driver.store) is not None:
                yield last
                continue
            windows = list(strip_requests(clip, self.settings))
            self._left[clip.source.identity] = len(windows)
            yield from windows

    def _advance(self, outcome: Outcome, feed: Feed) -> None:
        request = outcome.request
        identity = request.parameters["identity"]
        clip = self.survey.clips.get(identity)
        if clip is None:
            return  # another window of it failed before
        if outcome.record is None:
            self.survey.skip(clip.source.path, _reason(outcome.error))
            del self.survey.clips[identity]
            return
        if request.operation == "shots":
            self._shots[identity] = tuple(from_json(Shot, s) for s in outcome.record["shots"])
            return
        self._left[identity] -= 1
        if self._left[identity]:
            return
        if self._precision is not None and identity not in self._scored:
            # The network looks over the edges of a window: its neighbours must be there.
            self._scored.add(identity)
            scores = list(scores_requests(clip, self.settings, self._precision))
            self._left[identity] = len(scores)
            for one in scores:
                feed.push(one)
        else:
            feed.push(shots_request(clip, self.settings, self._precision))

    def _hear(self, outcome: Outcome) -> None:
        path = outcome.request.paths["path"]
        if outcome.record is None:
            self.heard[path] = outcome.error or MediaError(path, "no beats")
        else:
            self.heard[path] = from_json(Music, outcome.record["music"])


def _precision(settings: Settings) -> str | None:
    """The precision of the network's scores, if the detector reads any: one for the whole job, as precisions differ."""
    if settings.detector != "accurate":
        return None
    from montage_dask.analysis.transnet import default_precision

    return default_precision("cpu")


def _network(settings: Settings) -> list[Any] | None:
    """What the boundaries of the network depend on besides the strip."""
    if settings.detector != "auto":
        return None
    from montage_dask.analysis import boundaries, scene_network

    path = Path(settings.scenes_weights or scene_network.WEIGHTS)
    return [scene_network.VERSION, boundaries.VERSION, weights_identity(path)]


def weights_identity(path: Path) -> str:
    """Fingerprint of a weights file.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        status = path.stat()
        return _fingerprint(str(path), status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise UsageError(
            f"{printable(str(path))}: cannot read the weights: {error.strerror}"
        ) from error


@lru_cache(maxsize=16)
def _fingerprint(path: str, size_bytes: int, mtime_ns: int) -> str:
    """One for each clip of a large job is asked for; the file changes hardly ever."""
    return fingerprint(path)


def music_request(path: str, settings: Settings) -> Request:
    """The request that analyses a track."""
    return Request(
        "beats",
        {
            **stat_key(path),
            "tracker": settings.tracker,
            "bpm": settings.bpm,
            "beats_file": stat_key(settings.beats_file) if settings.beats_file else None,
            "beats_per_bar": settings.beats_per_bar,
            "network": _beat_network(settings),
        },
        {
            "path": path,
            "beats_file": settings.beats_file,
            "weights": settings.beats_weights,
            "checkpoint": settings.beat_this_checkpoint,
        },
        Path(path).name,
    )


def _beat_network(settings: Settings) -> list[Any] | None:
    """What the beats of a network depend on besides the music."""
    from montage_dask.analysis import beat_network, music

    tracker = music.AUTO if settings.tracker == "auto" else settings.tracker
    if settings.bpm is not None or settings.beats_file is not None:
        return None
    if tracker == "network":
        path = Path(settings.beats_weights or beat_network.WEIGHTS)
        return [beat_network.VERSION, weights_identity(path)]
    if tracker == "beat-this" and settings.beat_this_checkpoint is not None:
        return [weights_identity(Path(settings.beat_this_checkpoint))]
    return None


def recall(survey: Survey, settings: Settings, music: str, store: Store) -> None:
    """Fill in what the store knows already: all shots or none, and the music."""
    precision = _precision(settings)
    records = [
        finished(shots_request(c, settings, precision), store) for c in survey.clips.values()
    ]
    heard = finished(music_request(music, settings), store)
    if heard is not None:
        survey.music = from_json(Music, heard["music"])
    survey.shots = ()
    if all(r is not None for r in records):
        survey.shots = tuple(from_json(Shot, s) for r in records if r for s in r["shots"])


def find_footage(
    patterns: Iterable[str], music: str | None
) -> tuple[list[Candidate], list[Skipped]]:
    """Candidates for footage; the music file itself is not one.

    Raises:
        NothingToDoError: nothing was found at all; says what was looked at.
    """
    track = place_of(music) if music else None
    exclude = {track if isinstance(track, Url) else track.resolve()} if track else set()
    candidates, skipped = discover(list(patterns), exclude=exclude)
    if not candidates:
        reasons = "; ".join(f"{s.path}: {s.reason}" for s in skipped[:3])
        raise NothingToDoError(f"no footage found: {reasons or 'name files, folders or globs'}")
    return candidates, skipped
