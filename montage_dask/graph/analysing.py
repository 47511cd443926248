"""The analysis of all clips and tracks as one pipeline, and what the store knows of it already."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from montage_dask.errors import (
    MediaError,
    MontageError,
    SourceChanged,
)
from montage_dask.graph.costs import (
    BEATS_SECONDS,
    CPU_SECONDS_PER_FRAME,
    PACKED_SOUND_BYTES,
    STRIP_BYTES_PER_FRAME,
    Work,
    strip_seconds,
)
from montage_dask.graph.drive import Driver
from montage_dask.graph.operation import Request, finished
from montage_dask.graph.outcome import Feed, Outcome
from montage_dask.graph.placement import Placement
from montage_dask.graph.requests import (
    music_request,
    precision_of,
    scores_requests,
    shots_request,
    strip_requests,
)
from montage_dask.graph.survey import Clip, Settings, Survey, reason_of
from montage_dask.graph.targets import place_on
from montage_dask.records import Music, Shot, from_json
from montage_dask.store import Store, objects

OPERATIONS = ("beats", "strip", "scores", "shots")


@dataclass(frozen=True, slots=True)
class Todo:
    """What is left to do of an analysis."""

    known: frozenset[str]
    """Identities of the clips whose shots are there."""
    windows: int
    """Of the other clips, done or not."""
    counts: Mapping[str, int]
    """Requests to do, by operation."""
    work: Mapping[str, Work]
    """What they take, by operation."""
    concerned: Mapping[str, bool]
    """Whether there is any request of an operation, done or not."""


def analysis_todo(
    clips: Sequence[Clip], tracks: Sequence[Request], settings: Settings, store: Store
) -> Todo:
    """What is left to do of an analysis; what `plan` tells, and what places the operations of a run.

    Args:
        clips: to find the shots of.
        tracks: requests of music.
        settings: of the analysis.
        store: knows what is done.
    """
    precision = precision_of(settings)

    def done(request: Request) -> bool:
        known = store.had(request.operation, request.key)
        return known and finished(request, store) is not None

    waiting = [c for c in clips if not done(shots_request(c, settings, precision))]
    seconds, counts, frames = dict.fromkeys(OPERATIONS, 0.0), dict.fromkeys(OPERATIONS, 0), 0
    each, windows = CPU_SECONDS_PER_FRAME, 0
    for clip in waiting:
        requests = list(strip_requests(clip, settings))
        windows += len(requests)
        for request in requests:
            if not done(request):
                p = request.parameters
                counts["strip"] += 1
                seconds["strip"] += strip_seconds(clip.source, p["stop_frame"] - p["start_frame"])
        for request in scores_requests(clip, settings, precision) if precision is not None else ():
            if not done(request):
                p = request.parameters
                counts["scores"] += 1
                seconds["scores"] += each["scores"] * (p["stop_frame"] - p["start_frame"])
                frames += p["stop_frame"] - p["start_frame"]
        counts["shots"] += 1
        seconds["shots"] += each["shots"] * clip.source.frames
    counts["beats"] = sum(not done(t) for t in tracks)
    seconds["beats"] = counts["beats"] * BEATS_SECONDS
    moved = {
        "beats": counts["beats"] * PACKED_SOUND_BYTES,
        "scores": round(frames * STRIP_BYTES_PER_FRAME),
    }
    return Todo(
        frozenset({c.source.identity for c in clips} - {c.source.identity for c in waiting}),
        windows,
        counts,
        {n: Work(seconds[n], moved.get(n, 0)) for n in OPERATIONS},
        {
            "beats": bool(tracks), "strip": bool(clips), "shots": bool(clips),
            "scores": bool(clips) and precision is not None,
        },
    )  # fmt: skip


class Analysis:
    """Strip, scenes and features of all clips, and beats of all tracks, in one go: no worker waits for another stage.

    A clip's shots are found as soon as its last window is done. Damaged clips are skipped, damaged tracks give errors.
    """

    def __init__(self, driver: Driver, settings: Settings, survey: Survey) -> None:
        self.driver, self.settings, self.survey = driver, settings, survey
        self.heard: dict[str, Music | MontageError] = {}
        self.states: dict[str, Mapping[str, Any]] = {}
        """The files of the tracks as they were analysed."""
        self.changed: MontageError | None = None
        """The first clip that was written to meanwhile."""
        self.placements: tuple[Placement, ...] = ()
        """Where its operations ran."""
        self._precision = precision_of(settings)
        self._shots: dict[str, tuple[Shot, ...]] = {}
        self._left: dict[str, int] = {}
        self._scored: set[str] = set()

    def run(self, tracks: Iterable[str], *, shots: bool = True) -> None:
        """Analyse; results are in `survey.shots` and `heard`."""
        music = self._music(tracks)
        clips = list(self.survey.clips.values()) if shots else []
        # Clips whose shots are known have strips all the same, which others read.
        self.driver.can_make(lambda: (r for c in clips for r in strip_requests(c, self.settings)))
        todo = analysis_todo(clips, music, self.settings, self.driver.store)
        feed = Feed((*music, *self._windows(clips, todo)))
        work = todo.work
        places = {n: place_on(self.driver, n, self.settings.targets, work[n]) for n in OPERATIONS}
        self.placements = tuple(places[n] for n in OPERATIONS if todo.concerned[n])
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

    def _music(self, tracks: Iterable[str]) -> list[Request]:
        requests = []
        for path in tracks:
            try:
                request = music_request(path, self.settings)
                known = ("path", "size_bytes", "mtime_ns", "etag")
                self.states[path] = {k: v for k, v in request.parameters.items() if k in known}
                requests.append(request)
            except OSError as error:
                self.heard[path] = MediaError(path, error.strerror or str(error))
            except objects.Vanished:
                self.heard[path] = MediaError(path, "does not exist")
        if requests:
            self.driver.progress.stage("beats", len(requests), "tracks")
        return requests

    def _windows(self, clips: list[Clip], todo: Todo) -> Iterator[Request]:
        """Windows of the clips whose shots are not known yet; for the others the request that finds the record."""
        if clips:
            self.driver.progress.stage("strip", todo.windows, "windows")
            if self._precision is not None:
                self.driver.progress.stage("scores", todo.windows, "windows")
            self.driver.progress.stage("shots", len(clips), "clips")
        for clip in clips:
            if clip.source.identity in todo.known:
                yield shots_request(clip, self.settings, self._precision)
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
            if isinstance(outcome.error, SourceChanged):
                self.changed = self.changed or outcome.error
            self.survey.drop(identity, reason_of(outcome.error))
            self._pass_over(clip, request.operation)
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

    def _pass_over(self, clip: Clip, failed_in: str) -> None:
        """What is not done of a clip that failed does not hold up the end of the stages."""
        progress = self.driver.progress
        if failed_in == "strip" and self._precision is not None:
            for request in strip_requests(clip, self.settings):
                progress.step("scores", request.label)
        if failed_in != "shots":
            progress.step("shots", clip.name)

    def _hear(self, outcome: Outcome) -> None:
        path = outcome.request.paths["path"]
        if outcome.record is None:
            self.heard[path] = outcome.error or MediaError(path, "no beats")
        else:
            self.heard[path] = from_json(Music, outcome.record["music"])


def recall(
    survey: Survey, settings: Settings, music: str, store: Store, *, partly: bool = False
) -> None:
    """Fill in what the store knows already: all shots or none, and the music.

    Args:
        survey: with the clips.
        settings: of the analysis.
        music: the track.
        store: of the artefacts.
        partly: leave out the clips whose shots are not known.
    """
    precision = precision_of(settings)
    records = {
        k: finished(shots_request(c, settings, precision), store) for k, c in survey.clips.items()
    }
    heard = finished(music_request(music, settings), store)
    if heard is not None:
        survey.music = from_json(Music, heard["music"])
    if partly:
        records = {k: r for k, r in records.items() if r is not None}
        survey.clips = {k: c for k, c in survey.clips.items() if k in records}
    survey.shots = ()
    if None not in records.values():
        survey.shots = tuple(from_json(Shot, s) for r in records.values() if r for s in r["shots"])
