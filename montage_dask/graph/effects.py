"""Effects: between the edit and the encoding, parts of the footage that events show are replaced by better pictures.

A part is made in pieces on a fixed grid of source frames, cut at the edges of shots, so that another edit of the same footage
finds them done. Effects follow one another: each makes a piece from the source, or from the piece that the one before made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from montage_dask.errors import MediaError, MontageError, UsageError
from montage_dask.graph.analysing import Analysis
from montage_dask.graph.drive import Driver
from montage_dask.graph.operation import Request
from montage_dask.graph.placement import Placement
from montage_dask.graph.staging import at_hand
from montage_dask.graph.steadying import (
    MOTION_FRAMES,
    ShotPath,
    find_paths,
    find_steady,
    grid,
    stabilise_request,
)
from montage_dask.graph.survey import Clip, Settings, Survey
from montage_dask.graph.targets import place_on
from montage_dask.graph.upscaling import (
    Upscaling,
    enlargements,
    expect,
    upscale_place,
    upscale_request,
)
from montage_dask.job import JobSpec
from montage_dask.media.index import FrameIndex
from montage_dask.records import CUT, Shot, Timeline, to_json
from montage_dask.render.mapping import shown_frames
from montage_dask.store import Store, key_of

PIECE_FRAMES = 100
"""Frames of a piece, at most."""

DEAR_PIECE_FRAMES = 25
"""Likewise where it is upscaled: what is made beyond the edges of an event costs seconds a frame."""

AROUND_FRAMES = 25
"""Frames around a piece that are looked at too: of a few frames nobody could tell slow shake from a pan."""

PRIORITY = 5


@dataclass(frozen=True, slots=True)
class Piece:
    """A range of a source, and the request that makes its pictures; None while they are the source's own."""

    clip: Clip
    start_frame: int
    stop_frame: int
    request: Request | None = None


@dataclass(frozen=True, slots=True)
class Effect:
    """One effect of a job.

    Where it is wanted for one piece of an event, all pieces of that event get it: they are joined into one file.
    """

    operation: str
    """Gives a mezzanine (`render.mezzanine`), suffix .mp4."""
    wants: Callable[[Piece], bool]
    """Whether the pictures of a piece gain by it."""
    request: Callable[[Piece], Request]
    """What makes the new pictures of a piece: from the file of `piece.request` where there is one, else from the source."""
    place: Callable[[Sequence[Request]], Placement | None]
    """Where these requests run; None when the effect is better left out after all."""


@dataclass(slots=True)
class Improved:
    """What is encoded instead of the footage."""

    timeline: Timeline
    """Events with stand-ins as their sources."""
    stand_ins: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By identity, what `encode` needs of each: name, source, index, start_frame, pieces."""
    told: list[dict[str, Any]] = field(default_factory=list)
    """What was done to which shot and why, for the summary."""
    placements: list[Placement] = field(default_factory=list)
    moves: dict[str, list[tuple[int, int, str, str]]] = field(default_factory=dict)
    """How stand-ins were steadied, by the identity of their footage: first frame, end, key and file of each path."""


def improve(job: JobSpec, driver: Driver, survey: Survey, timeline: Timeline) -> Improved:
    """Run the effects that the settings ask for.

    Raises:
        MediaError: a source cannot be read.
        MontageError: a piece cannot be made.
    """
    improved = Improved(timeline)
    settings = Settings.of(job.settings)
    enlarged = enlargements(job, driver, survey.clips, timeline, improved.told)
    if job["stabilise"] == "off" and not enlarged:
        return improved
    shots = _shots(driver, settings, survey, timeline)
    with at_hand(*(survey.clips[k].index for k in shots)) as files:
        indexes = {k: FrameIndex.load(f) for k, f in zip(shots, files, strict=True)}
    pieces = [
        _pieces(
            survey.clips[e.source],
            shots[e.source],
            span_of(timeline, n, indexes[e.source]),
            DEAR_PIECE_FRAMES if e.source in enlarged else PIECE_FRAMES,
        )
        for n, e in enumerate(timeline.events)
    ]
    shown = [p for run in pieces for p in run]
    used = [s for own in shots.values() for s in own if any(_overlap(p, s) for p in shown)]
    effects: list[Effect] = []
    if job["stabilise"] != "off":
        effects.append(
            _steadying(job["stabilise"], driver, settings, survey.clips, used, shown, improved)
        )
    if enlarged:
        # Last: moving few pixels is cheaper than moving many.
        effects.append(_enlarging(job, enlarged, driver, settings, improved))
    for effect in effects:
        pieces = _apply(effect, pieces, driver, settings, improved)
    events = list(timeline.events)
    for n, run in enumerate(pieces):
        if run[0].request is None:
            continue
        event, index = events[n], indexes[events[n].source]
        identity, stand_in = _stand_in(run, driver.store)
        improved.stand_ins[identity] = stand_in
        begin = index.time_seconds(run[0].start_frame)
        events[n] = replace(event, source=identity, in_seconds=event.in_seconds - begin)
    improved.timeline = replace(timeline, events=tuple(events))
    return improved


def _shots(
    driver: Driver, settings: Settings, survey: Survey, timeline: Timeline
) -> dict[str, list[Shot]]:
    """The shots of the sources that are used; a timeline that was read from a file comes without any."""
    used = list(dict.fromkeys(e.source for e in timeline.events))
    found: dict[str, list[Shot]] = {k: [] for k in used}
    for shot in survey.shots:
        if shot.source in found:
            found[shot.source].append(shot)
    missing = Survey(clips={k: survey.clips[k] for k in used if not found[k]})
    if missing.clips:
        analysis = Analysis(driver, settings, missing)
        analysis.run([])
        if analysis.changed is not None:
            raise analysis.changed
        for skipped in missing.skipped:
            raise MediaError(skipped.path, skipped.reason)
        for shot in missing.shots:
            found[shot.source].append(shot)
    return found


def span_of(timeline: Timeline, number: int, index: FrameIndex) -> tuple[int, int]:
    """Source frames [start, stop) that an event shows, its part of the transitions included, as `segments` renders them."""
    events, fps = timeline.events, timeline.fps
    event = events[number]
    after = events[number + 1].transition if number + 1 < len(events) else CUT
    lead = event.transition.frames // 2 if event.transition.kind == "crossfade" and number else 0
    tail = after.frames // 2 if after.kind == "crossfade" else 0
    shown = shown_frames(index, event, fps, lead=lead, tail=tail)
    return shown[0], shown[-1] + 1


def _pieces(clip: Clip, shots: Sequence[Shot], span: tuple[int, int], step: int) -> list[Piece]:
    """The pieces on a grid of `step` frames that cover a span."""
    edges = {0, clip.source.frames}
    edges |= {s.start_frame for s in shots} | {s.stop_frame for s in shots}
    return [
        Piece(clip, start, stop)
        for begin, end in pairwise(sorted(edges))
        for start, stop in grid(begin, end, step)
        if start < span[1] and stop > span[0]
    ]


def _overlap(piece: Piece, shot: Shot) -> bool:
    return (
        shot.source == piece.clip.source.identity
        and shot.start_frame < piece.stop_frame
        and shot.stop_frame > piece.start_frame
    )


def _steadying(
    mode: str,
    driver: Driver,
    settings: Settings,
    clips: Mapping[str, Clip],
    shots: Sequence[Shot],
    shown: Sequence[Piece],
    improved: Improved,
) -> Effect:
    # The path needs the whole shot. Whether it shakes is told by what is shown: long takes from a tripod are not decoded twice.
    parts = {s: [s] if mode == "on" else _shown_parts(s, shown) for s in shots}
    every = [p for ps in parts.values() for p in ps]
    found = {} if mode == "on" else find_steady(driver, settings, clips, every)
    found |= find_paths(driver, settings, clips, [p for p in every if p not in found], mode)
    judged = {s: max((found[p] for p in ps), key=_worst) for s, ps in parts.items()}
    whole = find_paths(driver, settings, clips, [s for s in shots if judged[s].steadied], "on")
    judged |= whole
    steadied: dict[str, list[ShotPath]] = {}
    for shot, path in judged.items():
        if path.steadied:
            steadied.setdefault(shot.source, []).append(path)
            moved = (shot.start_frame, shot.stop_frame, path.key, path.file)
            improved.moves.setdefault(shot.source, []).append(moved)
        improved.told.append(
            {
                "effect": "stabilise",
                "path": clips[shot.source].source.path,
                "start_seconds": float(shot.start_seconds),
                "stop_seconds": float(shot.stop_seconds),
                "applied": path.steadied,
                "shake_percent": path.shake_percent,
                "reason": path.reason,
            }
        )

    def paths(piece: Piece) -> list[ShotPath]:
        return [p for p in steadied.get(piece.clip.source.identity, ()) if _overlap(piece, p.shot)]

    return Effect(
        "stabilise",
        lambda piece: bool(paths(piece)),
        lambda piece: stabilise_request(
            piece.clip, piece.start_frame, piece.stop_frame, paths(piece)
        ),
        lambda _: place_on(driver, "stabilise", settings.targets),
    )


def _enlarging(
    job: JobSpec,
    how: Mapping[str, Upscaling],
    driver: Driver,
    settings: Settings,
    improved: Improved,
) -> Effect:
    def request(piece: Piece) -> Request:
        before = None
        if piece.request is not None:
            made = piece.request
            before = made.key, driver.store.file(made.operation, made.key, ".mp4")
        own = how[piece.clip.source.identity]
        return upscale_request(piece.clip, piece.start_frame, piece.stop_frame, own, before=before)

    def where(requests: Sequence[Request]) -> Placement | None:
        place = upscale_place(driver, settings, requests)
        try:
            expect(
                driver, requests, place,
                limit_minutes=job["upscale-limit-minutes"],
                advice="raise DASK_MONTAGE__UPSCALE_LIMIT_MINUTES",
            )  # fmt: skip
        except UsageError as error:
            if job["upscale"] == "on":
                raise
            driver.progress.note(f"not done: {error}")
            for one in improved.told:
                if one["effect"] == "upscale" and one["applied"]:
                    one |= {"applied": False, "reason": str(error)}
            return None
        return place

    return Effect("upscale", lambda piece: piece.clip.source.identity in how, request, where)


def _shown_parts(shot: Shot, shown: Sequence[Piece]) -> list[Shot]:
    """The runs of motion windows of a shot that pieces touch, as if each were a shot."""
    windows = [
        (start, stop)
        for start, stop in grid(shot.start_frame, shot.stop_frame, MOTION_FRAMES)
        if any(
            p.clip.source.identity == shot.source
            and p.start_frame - AROUND_FRAMES < stop
            and p.stop_frame + AROUND_FRAMES > start
            for p in shown
        )
    ]
    runs: list[tuple[int, int]] = []
    for start, stop in windows:
        if runs and runs[-1][1] == start:
            runs[-1] = (runs[-1][0], stop)
        else:
            runs.append((start, stop))
    return [replace(shot, start_frame=a, stop_frame=b) for a, b in runs]


def _worst(path: ShotPath) -> tuple[bool, float]:
    return path.steadied, path.shake_percent


def _apply(
    effect: Effect,
    pieces: list[list[Piece]],
    driver: Driver,
    settings: Settings,
    improved: Improved,
) -> list[list[Piece]]:
    """The pieces behind an effect, which has been run."""
    after = [
        [replace(p, request=effect.request(p)) for p in run]
        if any(effect.wants(p) for p in run)
        else run
        for run in pieces
    ]
    requests = {
        p.request.key: (p.request, p)
        for run in after
        for p in run
        if p.request is not None and p.request.operation == effect.operation
    }
    if not requests:
        return after
    place = effect.place([r for r, _ in requests.values()])
    if place is None:
        return pieces
    improved.placements.append(place)
    driver.progress.stage(effect.operation, len(requests), "pieces")

    def seconds(request: Request) -> float:
        piece = requests[request.key][1]
        return float((piece.stop_frame - piece.start_frame) / piece.clip.source.frame_rate)

    failed: MontageError | None = None
    for outcome in driver.run(
        [r for r, _ in requests.values()],
        {effect.operation: place},
        media_seconds=seconds,
        priority=PRIORITY,
    ):
        # Go on with the others: they are not lost when the job is run again.
        failed = failed or outcome.error
    if failed is not None:
        raise failed
    return after


def _stand_in(run: Sequence[Piece], store: Store) -> tuple[str, dict[str, Any]]:
    """Identity and whereabouts of what stands in for the source of an event."""
    requests = [p.request for p in run if p.request is not None]
    first = run[0]
    identity = key_of("stand-in", 1, {"pieces": [r.key for r in requests]})
    return identity, {
        "name": first.clip.name,
        "source": to_json(first.clip.source),
        "index": str(first.clip.index),
        "operation": requests[0].operation,
        "start_frame": first.start_frame,
        "pieces": [str(store.file(r.operation, r.key, ".mp4")) for r in requests],
    }
