"""The analysis of all clips and tracks as one pipeline, and what the store knows of it already."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from montage_dask.errors import (
    MediaError,
    MontageError,
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
from montage_dask.graph.requests import (
    music_request,
    precision_of,
    scores_requests,
    shots_request,
    strip_requests,
)
from montage_dask.graph.survey import Clip, Settings, Survey, reason_of
from montage_dask.graph.targets import Work, place_on
from montage_dask.records import Music, Shot, from_json
from montage_dask.store import Store, objects


class Analysis:
    """Strip, scenes and features of all clips, and beats of all tracks, in one go: no worker waits for another stage.

    A clip's shots are found as soon as its last window is done. Damaged clips are skipped, damaged tracks give errors.
    """

    def __init__(self, driver: Driver, settings: Settings, survey: Survey) -> None:
        self.driver, self.settings, self.survey = driver, settings, survey
        self.heard: dict[str, Music | MontageError] = {}
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
            self.survey.drop(identity, reason_of(outcome.error))
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


def recall(survey: Survey, settings: Settings, music: str, store: Store) -> None:
    """Fill in what the store knows already: all shots or none, and the music."""
    precision = precision_of(settings)
    records = [
        finished(shots_request(c, settings, precision), store) for c in survey.clips.values()
    ]
    heard = finished(music_request(music, settings), store)
    if heard is not None:
        survey.music = from_json(Music, heard["music"])
    survey.shots = ()
    if all(r is not None for r in records):
        survey.shots = tuple(from_json(Shot, s) for r in records if r for s in r["shots"])
