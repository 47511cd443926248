"""What a job has to work with: the clips there are, their probes, and the settings of the analysis."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from montage_dask.analysis.embedding import chosen
from montage_dask.config import resolve
from montage_dask.edit.director import Direction
from montage_dask.errors import (
    MediaError,
    MontageError,
    NothingToDoError,
    StoreError,
    printable,
)
from montage_dask.graph.drive import Driver
from montage_dask.graph.operation import Request
from montage_dask.graph.placement import Placement
from montage_dask.graph.targets import Targets, place_on
from montage_dask.media.discover import Candidate, Skipped, discover
from montage_dask.media.probe import stat_key
from montage_dask.media.windows import round_window_frames
from montage_dask.records import Music, Shot, Source, from_json
from montage_dask.store import Place, Url, objects, place_of

MOST_NAMED = 3
"""Clips that a warning names; the rest is counted."""


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
    """By identity, in the order of discovery; of files of equal content the first."""
    skipped: list[Skipped] = field(default_factory=list)
    shots: tuple[Shot, ...] = ()
    music: Music | None = None
    music_state: Mapping[str, Any] = field(default_factory=dict)
    """The file of the music as it was analysed (see `media.probe.stat_key`): its sound must be of the same."""
    music_notes: tuple[str, ...] = ()
    """Which part of it is played, and why."""
    placements: tuple[Placement, ...] = ()
    """Where the analysis ran."""
    direction: Direction | None = None
    """What a brief has decided."""
    tell: Callable[[str, str], None] = lambda path, reason: None
    """Told of each file that is left out, and why."""
    files: list[Clip] = field(default_factory=list)
    """Every file that was probed well, in the order of discovery, those of equal content too."""

    @property
    def sources(self) -> dict[str, Source]:
        """Sources by identity."""
        return {k: c.source for k, c in self.clips.items()}

    def skip(self, path: str, reason: str) -> None:
        """Leave a file out, once."""
        if all(s.path != path for s in self.skipped):
            self.skipped.append(Skipped(path, reason))
            self.tell(path, reason)

    def usable(self) -> list[Clip]:
        """Every file whose content is still among the clips."""
        return [f for f in self.files if f.source.identity in self.clips]

    def drop(self, identity: str, reason: str) -> None:
        """Leave a clip out, and every file of its content."""
        clip = self.clips.pop(identity)
        paths = [f.source.path for f in self.files if f.source.identity == identity]
        for path in paths or [clip.source.path]:
            self.skip(path, reason)


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
    faces: bool = True
    """Whether faces are looked for."""
    deinterlace: str = "auto"
    """auto, on or off."""

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
            faces=settings["faces"].value,
            deinterlace=settings["deinterlace"].value,
        )


def probe_request(
    path: str | Place, state: Mapping[str, Any] | None = None, deinterlace: str = "auto"
) -> Request:
    """The request that probes a file; keyed by path, size and time of change, since the content is not known yet.

    Args:
        path: of the file.
        state: what is known of an object already.
        deinterlace: the setting.
    """
    key = stat_key(path) if state is None else {"path": str(path), **state}
    if deinterlace != "auto":
        key = {**key, "deinterlace": deinterlace}
    return Request("probe", key, {"path": str(path)}, Path(str(path)).name)


def probe_all(
    driver: Driver, settings: Settings, candidates: Iterable[Candidate], survey: Survey
) -> None:
    """Probe candidates into `survey.files`, and once per content into `survey.clips`; bad ones into `survey.skipped`."""
    requests: list[Request] = []
    explicit: dict[str, bool] = {}
    for candidate in candidates:
        try:
            request = probe_request(candidate.path, candidate.state, settings.deinterlace)
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
            refused[path] = reason_of(outcome.error)
            continue
        source = from_json(Source, outcome.record["source"])
        source = replace(source, mtime_ns=outcome.request.parameters.get("mtime_ns"))
        index = driver.store.file("probe", outcome.request.key, ".npz")
        found[path] = Clip(source, index, explicit[path])
    for request in requests:  # outcomes come in any order; the job must not depend on it
        path = request.paths["path"]
        if path in refused:
            survey.skip(path, refused[path])
        clip = found.get(path)
        if clip is not None:
            survey.files.append(clip)
            survey.clips.setdefault(clip.source.identity, clip)
    _warn(driver, survey.files)


def _warn(driver: Driver, files: Sequence[Clip]) -> None:
    """Tell what is odd about clips that are used all the same: one line for all of which the same is said."""
    named: dict[str, list[str]] = {}
    for clip in files:
        for warning in clip.source.warnings:
            named.setdefault(warning, []).append(printable(clip.name))
    for warning, names in named.items():
        more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        driver.progress.note(f"{', '.join(names[:MOST_NAMED])}{more}: {warning}")


def reason_of(error: MontageError | None) -> str:
    """Why a file cannot be used, without its name.

    Raises:
        StoreError: that is the reason. A full disk or a store that nobody may write into says nothing of the file.
    """
    if isinstance(error, StoreError):
        raise error
    return error.reason if isinstance(error, MediaError) else str(error)


def find_footage(
    patterns: Iterable[str],
    music: str | None,
    link_roots: Sequence[Place] | None = None,
    *,
    links: bool = False,
) -> tuple[list[Candidate], list[Skipped]]:
    """Candidates for footage; the music file itself is not one.

    Args:
        patterns: of `discover`.
        music: a file, or a URL.
        link_roots: where links inside folders may lead beside those folders; None: as the setting `roots` says.
        links: of `discover`.

    Raises:
        NothingToDoError: nothing was found at all; says what was looked at.
    """
    track = place_of(music) if music else None
    exclude = {track if isinstance(track, Url) else track.resolve()} if track else set()
    if link_roots is None:
        named = [place_of(r) for r in resolve()["roots"].value]
        link_roots = [p if isinstance(p, Url) else p.resolve() for p in named]
    candidates, skipped = discover(
        list(patterns), exclude=exclude, link_roots=link_roots, links=links
    )
    if not candidates:
        reasons = "; ".join(f"{s.path}: {s.reason}" for s in skipped[:3])
        raise NothingToDoError(f"no footage found: {reasons or 'name files, folders or globs'}")
    return candidates, skipped
