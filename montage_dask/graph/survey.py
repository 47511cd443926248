"""The analysis half of every job: which clips there are, what is in them, and the beats of the music."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from montage_dask.errors import MediaError, MontageError, NothingToDoError
from montage_dask.graph.drive import Driver
from montage_dask.graph.operation import Request, finished
from montage_dask.graph.placement import Cost, Placement, place
from montage_dask.media.discover import Candidate, Skipped, discover
from montage_dask.media.probe import stat_key
from montage_dask.media.windows import round_window_frames, split_windows
from montage_dask.records import Music, Shot, Source, from_json, to_json

CPU_SECONDS_PER_FRAME: Mapping[str, float] = {
    "strip": 0.0068, "scores": 0.021, "shots": 0.0002, "encode": 0.06,
}  # fmt: skip
"""Measured on 1080p with one thread of a 2.5-GHz server core; `docs/benchmarks.md`. Scaled by the number of pixels."""

PIXELS_1080P = 1920 * 1080


@dataclass(slots=True)
class Clip:
    """One usable video and where its frame index stands."""

    source: Source
    index: Path
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

    @property
    def sources(self) -> dict[str, Source]:
        """Sources by identity."""
        return {k: c.source for k, c in self.clips.items()}

    def skip(self, path: str, reason: str) -> None:
        """Leave a file out, once."""
        if all(s.path != path for s in self.skipped):
            self.skipped.append(Skipped(path, reason))


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
    placement: Mapping[str, str]

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
            placement=settings["placement"].value,
        )


def place_on(driver: Driver, operation: str, settings: Settings, work_seconds: float = 0.0) -> Placement:
    """Where an operation of this job runs."""
    return place(
        operation,
        {"cpu": Cost(work_seconds)},
        driver.capacity(),
        wanted=settings.placement.get(operation, "auto"),
    )


def probe_request(path: str | Path) -> Request:
    """The request that probes a file; keyed by path, size and time of change, since the content is not known yet."""
    return Request("probe", stat_key(path), {"path": str(path)}, Path(path).name)


def probe_all(
    driver: Driver, settings: Settings, candidates: Iterable[Candidate], survey: Survey
) -> None:
    """Probe candidates into `survey.clips`; bad ones into `survey.skipped`; the same content once."""
    requests: list[Request] = []
    explicit: dict[str, bool] = {}
    for candidate in candidates:
        try:
            request = probe_request(candidate.path)
        except OSError as error:
            survey.skip(str(candidate.path), error.strerror or str(error))
            continue
        explicit[str(candidate.path)] = candidate.explicit
        requests.append(request)
    driver.progress.stage("probe", len(requests), "clips")
    found: dict[str, Clip] = {}
    for outcome in driver.run("probe", requests, place_on(driver, "probe", settings)):
        path = outcome.request.paths["path"]
        if outcome.record is None:
            survey.skip(path, _reason(outcome.error))
            continue
        source = from_json(Source, outcome.record["source"])
        index = driver.store.file("probe", outcome.request.key, ".npz")
        found[path] = Clip(source, index, explicit[path])
    for request in requests:  # outcomes come in any order; the job must not depend on it
        clip = found.get(request.paths["path"])
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
        yield Request("strip", {**shared, **to_json_window(window)}, paths, clip.name)


def to_json_window(window: Any) -> dict[str, int]:
    """The parameters that say which window."""
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
    from montage_dask.analysis import scenes, strip

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
        },
        {
            "source": to_json(source),
            "index": str(clip.index),
            "window_frames": settings.window_frames,
        },
        clip.name,
    )


def find_shots(driver: Driver, settings: Settings, survey: Survey) -> None:
    """Strip, scenes and features of all clips, into `survey.shots`. Damaged clips are skipped."""
    precision = _precision(settings)
    last = {k: shots_request(c, settings, precision) for k, c in survey.clips.items()}
    todo = {k: c for k, c in survey.clips.items() if finished(last[k], driver.store) is None}
    by_name = {c.source.identity: c for c in todo.values()}

    def seconds(request: Request) -> float:
        clip = by_name[request.parameters["identity"]]
        window = request.parameters["stop_frame"] - request.parameters["start_frame"]
        return float(window / clip.source.frame_rate)

    stages = [("strip", lambda c: strip_requests(c, settings))]
    if precision is not None:
        stages.append(("scores", lambda c: scores_requests(c, settings, precision)))
    for stage, requests_of in stages:
        total = sum(-(-c.source.frames // settings.window_frames) for c in todo.values())
        driver.progress.stage(stage, total, "windows")
        requests = (r for c in list(todo.values()) if c.source.identity in todo for r in requests_of(c))
        placement = place_on(driver, stage, settings)
        for outcome in driver.run(stage, requests, placement, media_seconds=seconds):
            if outcome.record is None:
                identity = outcome.request.parameters["identity"]
                _drop(survey, todo, identity, _reason(outcome.error))
    found: dict[str, tuple[Shot, ...]] = {}
    requests_left = [last[k] for k in survey.clips]
    driver.progress.stage("shots", len(requests_left), "clips")
    for outcome in driver.run("shots", requests_left, place_on(driver, "shots", settings)):
        identity = outcome.request.parameters["identity"]
        if outcome.record is None:
            _drop(survey, todo, identity, _reason(outcome.error))
            continue
        found[identity] = tuple(from_json(Shot, s) for s in outcome.record["shots"])
    survey.shots = tuple(s for k in survey.clips for s in found.get(k, ()))


def _drop(survey: Survey, todo: dict[str, Clip], identity: str, reason: str) -> None:
    clip = survey.clips.pop(identity, None)
    todo.pop(identity, None)
    if clip is not None:
        survey.skip(clip.source.path, reason)


def _precision(settings: Settings) -> str | None:
    """The precision of the network's scores, if the detector reads any: one for the whole job, as precisions differ."""
    if settings.detector != "accurate":
        return None
    from montage_dask.analysis.transnet import default_precision

    return default_precision("cpu")


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
        },
        {"path": path, "beats_file": settings.beats_file},
        Path(path).name,
    )


def hear(driver: Driver, settings: Settings, paths: Iterable[str]) -> dict[str, Music | MontageError]:
    """Analyse tracks; an error stands for a track that cannot be used."""
    heard: dict[str, Music | MontageError] = {}
    requests = []
    for path in paths:
        try:
            requests.append(music_request(path, settings))
        except OSError as error:
            heard[path] = MediaError(path, error.strerror or str(error))
    driver.progress.stage("beats", len(requests), "tracks")
    for outcome in driver.run("beats", requests, place_on(driver, "beats", settings)):
        path = outcome.request.paths["path"]
        if outcome.record is None:
            heard[path] = outcome.error or MediaError(path, "no beats")
        else:
            heard[path] = from_json(Music, outcome.record["music"])
    return heard


def find_footage(patterns: Iterable[str], music: str | None) -> tuple[list[Candidate], list[Skipped]]:
    """Candidates for footage; the music file itself is not one.

    Raises:
        NothingToDoError: nothing was found at all; says what was looked at.
    """
    exclude = {Path(os.path.realpath(music))} if music else set()
    candidates, skipped = discover(list(patterns), exclude=exclude)
    if not candidates:
        reasons = "; ".join(f"{s.path}: {s.reason}" for s in skipped[:3])
        raise NothingToDoError(f"no footage found: {reasons or 'name files, folders or globs'}")
    return candidates, skipped
