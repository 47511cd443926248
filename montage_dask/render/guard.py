"""The guard: every event of a segment is compared with the strip's thumbnails of the source frames that it claims to show.

A few frames of each event are decoded from our own file, brought to the strip's grid (`render.expected`) and judged twice:

* absolutely: what is left between them, relative to what texture and grade leave uncertain, must stay small. This tells green
  and torn frames, another file, another crop, another hue.
* against alternatives: the residual must not look like the step to another picture: the same source some frames earlier or
  later, shifted or zoomed, mirrored or upside down. A projection on that step is 0 where the claim is true and 1 where the
  alternative is, whatever else differs; so small steps are told, too. (A missing grade is no such alternative: on vivid footage
  the grade of a cell's mean is too far from the mean of its graded pixels, and a healthy clip was left out for it.)

The frames are those whose thumbnails differ most from their neighbours three frames away, one in each quarter of the event.

What it cannot tell: frames whose thumbnails are alike (a still picture, motion finer than a 48th of the picture); a shift of
less than half a cell, 1 % of the width; small changes of hue, saturation and grade, and any on grey pictures; colours of HDR,
wide-gamut and upscaled footage, which are not worked out here (only what no smooth change of colours explains counts there);
what lies outside the picture of the source (bars, the blurred background); frames between the ones that are looked at; an
error that the strip shares, as its decoder made it too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from montage_dask.analysis.features import HEIGHT, WIDTH
from montage_dask.analysis.strip import Strip, decode_thumbnails
from montage_dask.errors import Misshown, PictureMismatch, VerificationError
from montage_dask.media.index import FrameIndex
from montage_dask.records import CUT, Source
from montage_dask.render.accents import left_of
from montage_dask.render.expected import (
    Cells,
    Colouring,
    Matrix,
    Steadied,
    cells_of,
    crossed_frames,
    parts_at,
    seen_through,
    shown_area,
    steadied_area,
    to_rgb,
    to_ycc,
)
from montage_dask.render.mapping import shown_frames
from montage_dask.render.segments import Segment
from montage_dask.render.verdict import LEAST_STEP, LIMIT, Look, Verdict, judge

VERSION = 2
"""Raised when the same pictures are judged otherwise."""

FAINT = 0.02
"""Part of an accent that changes nothing here."""

LOOKS = 4
"""Frames of an event that are looked at."""

STEPS = (1, 2, 3, 4, 6, 9, 14, 25)
"""Source frames earlier and later that a picture is told from."""

NOISE = 3.0
"""Code values (of 255) by which encoders change the mean of a cell."""

SLIP = 0.3
"""Cells by which positions are uncertain."""

BENT = 0.5
"""How much of what a grade bends is uncertain: the grade of a mean is not the mean of what is graded."""

DEAD = 4.0
"""Code values by which a cell must differ to count in the step to an alternative: encoders leave less than that out for long."""

BEYOND = 15.0
"""Code values by which a cell is uncertain whose colour may lie beyond R'G'B', where the strip ends and Y'CbCr does not."""

VIVID = 60
"""Least difference of the largest and the smallest of R, G and B of such a colour."""

GAIN = 0.25
"""Part of the residual (squared) that an alternative must explain."""

SAME = 1.5
"""Code values (root mean square) by which a thumbnail may differ when it is made again: on a GPU, by another FFmpeg."""

GAIN_UNKNOWN = 0.6
"""Likewise, where colours or detail are not known."""

MOVES = (
    ("moved to the left", -1, 0, 1.0), ("moved to the right", 1, 0, 1.0), ("moved up", 0, -1, 1.0),
    ("moved down", 0, 1, 1.0), ("larger", 0, 0, 1.05), ("smaller", 0, 0, 0.95),
)  # fmt: skip
"""Pictures that a wrong crop would show: cells to the right and down, and growth."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What the guard needs to know of a source of a segment."""

    source: Source
    index: FrameIndex
    strip: Strip
    start_frame: int | None = None
    """Of the source, where time 0 of the event's times is; None: where the source begins."""
    moves: tuple[Steadied, ...] = ()
    """How it was steadied."""
    redrawn: bool = False
    """By a network, which may change colours and detail."""


def check_segment(
    segment: Segment,
    path: Path,
    claims: Mapping[str, Claim],
    *,
    fit: str,
    grade: str,
    closely: bool = False,
) -> dict[str, Any]:
    """Compare a rendered segment with what it claims to show.

    Args:
        segment: what it claims.
        path: the rendered file.
        claims: by the identity that the events name.
        fit: contain, cover or blur.
        grade: name of a preset or a .cube file.
        closely: where something seems wrong, decode that part of the source again, and judge by that. The strip is decoded
            without the loop filter and drifts from the true pictures in long groups.

    Returns:
        A small record: events, frames (looked at), worst (residual, as a part of the limit).

    Raises:
        PictureMismatch: events show something else; carries which, and pictures of them.
        VerificationError: the file does not decode.
        StoreError: the strip is not there.
    """
    guard = _Guard(segment, claims, fit, grade)
    found: list[Misshown] = []
    frames, worst = 0, 0.0
    try:
        with av.open(f"file:{path}", options={"protocol_whitelist": "file"}) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            for number in range(len(segment.events)):
                looks, verdict = guard.judged(container, stream, number, closely=closely)
                frames += len(looks)
                if verdict is None:
                    worst = max([worst, *(k.residual / LIMIT for k in looks)])
                else:
                    look, what = verdict
                    found.append(guard.misshown(number, look, what))
    except (av.FFmpegError, IndexError) as error:
        raise VerificationError(f"a segment does not decode: {error}") from error
    if found:
        raise PictureMismatch(tuple(found))
    return {"events": len(segment.events), "frames": frames, "worst": round(worst, 3)}


class _Guard:
    """What must be seen in one segment."""

    def __init__(self, segment: Segment, claims: Mapping[str, Claim], fit: str, grade: str) -> None:
        self._segment, self._fit = segment, fit
        self._size = (segment.width, segment.height)
        self._claims = [claims[e.source] for e in segment.events]
        colours = {
            (e.source, e.match): Colouring(claims[e.source].source, grade, e.match)
            for e in segment.events
        }
        self._colours = [colours[e.source, e.match] for e in segment.events]
        self._shown = [self._frames_of(n) for n in range(len(segment.events))]

    def _frames_of(self, number: int) -> list[int]:
        """Source frames of an event and its parts of crossfades, one for each output frame."""
        events, fps, claim = self._segment.events, self._segment.fps, self._claims[number]
        event = events[number]
        after = events[number + 1].transition if number + 1 < len(events) else CUT
        lead = crossed_frames(event.transition) if number else 0
        if claim.start_frame is not None:
            begins = claim.index.time_seconds(claim.start_frame)
            event = replace(event, in_seconds=event.in_seconds + begins)
        return shown_frames(claim.index, event, fps, lead=lead, tail=crossed_frames(after))

    def _area(self, number: int, frame: int, output_frame: int) -> Matrix:
        """Where a source frame lies in an output frame of the segment."""
        claim, event, shown = (
            self._claims[number],
            self._segment.events[number],
            self._shown[number],
        )
        centre = None
        if event.focus:
            lead = crossed_frames(event.transition) if number else 0
            at = output_frame - event.start_frame
            if shown[-1] - shown[0] + 1 <= len(shown):
                # The window was laid on before the picture was repeated.
                at = shown.index(frame) - lead
            centre = event.centre_at(at)
        own = shown_area(claim.source, self._size, self._fit, centre)
        return own @ steadied_area(claim.source, frame, claim.moves)

    def judged(
        self, container: Any, stream: Any, number: int, *, closely: bool = False
    ) -> tuple[list[Look], Verdict | None]:
        """The frames of an event that were looked at; the one that shows best that something is wrong, and what."""
        looks = list(self._looks(container, stream, number, None))
        verdict = judge(looks)
        if verdict is None or not closely:
            return looks, verdict
        claim = self._claims[number]
        frames = self._shown[number]
        low, high = (
            max(0, min(frames) - STEPS[-1]),
            min(claim.strip.frames, max(frames) + STEPS[-1] + 1),
        )
        known = claim.strip.thumbnails(low, high)
        plain, true = (
            decode_thumbnails(claim.source, claim.index, low, high, skip_loop_filter=skip)
            for skip in (True, False)
        )
        if min(_worst_difference(known, plain), _worst_difference(known, true)) > SAME:
            return looks, (
                verdict[0],
                f"{verdict[1]}; and the file decodes otherwise than when it was analysed",
            )
        looks = list(self._looks(container, stream, number, (low, true)))
        return looks, judge(looks)

    def _looks(
        self,
        container: Any,
        stream: Any,
        number: int,
        decoded: tuple[int, NDArray[np.uint8]] | None,
    ) -> Iterator[Look]:
        """The frames of an event that are looked at, with what they must show."""
        event = self._segment.events[number]
        lead = crossed_frames(event.transition) if number else 0
        candidates = self._candidates(number)
        source_frames = {n: self._shown[number][n - event.start_frame + lead] for n in candidates}
        first, last = min(source_frames.values()), max(source_frames.values())
        strip = self._claims[number].strip
        low, high = max(0, first - STEPS[-1]), min(strip.frames, last + STEPS[-1] + 1)
        if decoded is None:
            thumbnails = strip.thumbnails(low, high)
        else:
            low, thumbnails = decoded
        told = _told_apart(thumbnails, np.array([source_frames[n] - low for n in candidates]))
        worth = dict(zip(candidates, told, strict=True))
        best = _best(container, stream, self._segment.fps, event.start_frame, worth, every=False)
        if max(told) >= LEAST_STEP > max((worth[n] for n in best), default=0.0):
            # The encoder spent too little on the frames that tell.
            best = _best(container, stream, self._segment.fps, event.start_frame, worth, every=True)
        if not best:
            raise VerificationError(f"event {number} of a segment has no pictures")
        for n, picture in best.items():
            yield self._look(number, n, picture, source_frames[n], thumbnails, low)

    def _candidates(self, number: int) -> list[int]:
        """Output frames that show an event alone; where there are none, those that show most of it."""
        event = self._segment.events[number]
        weights = {
            n: next(p.weight for p in parts_at(self._segment, n)[0] if p.number == number)
            for n in range(event.start_frame, event.stop_frame)
        }
        enough = min(1.0, 0.8 * max(weights.values())) if max(weights.values()) < 1 else 1.0
        alone = [n for n, weight in weights.items() if weight >= enough]
        # Where an accent is over, or nearly so: it is laid on what is compared here.
        left = {
            n: max((left_of(a, n - event.start_frame) for a in event.accents), default=0.0)
            for n in alone
        }
        least = max(FAINT, min(left.values()))
        return [n for n in alone if left[n] <= least]

    def _look(
        self,
        number: int,
        frame: int,
        picture: Any,
        source_frame: int,
        thumbnails: NDArray[np.uint8],
        low: int,
    ) -> Look:
        area = self._area(number, source_frame, frame)
        colouring = self._colours[number]
        shown, seen = cells_of(picture, area)
        parts, white = parts_at(self._segment, frame)
        weight, rest = 0.0, np.full_like(shown, white)
        for part in parts:
            if part.number == number:
                weight = part.weight
                continue
            there = self._shown[part.number][part.k]
            thumbnail = self._claims[part.number].strip.thumbnails(there, there + 1)[0]
            mixed = seen_through(
                self._colours[part.number](thumbnail), self._area(part.number, there, frame), area
            )
            rest += part.weight * mixed
        offsets = [
            s for d in STEPS for s in (-d, d) if low <= source_frame + s < low + len(thumbnails)
        ]
        own = thumbnails[source_frame - low]
        colours = colouring(
            thumbnails[[source_frame - low, *(source_frame - low + s for s in offsets)]]
        )
        names = [f"{abs(s)} frames {'earlier' if s < 0 else 'later'}" for s in offsets]
        pictures = [
            *colours,
            colours[0, :, ::-1],
            colours[0, ::-1, ::-1],
            colours[0, ::-1],
            *_moved(colours[0]),
        ]
        names += ["mirrored", "upside down", "flipped", *(m[0] for m in MOVES)]
        known = colouring.known and not self._claims[number].redrawn
        # The strip knows no colours beyond R'G'B'.
        planes = to_ycc(np.clip(weight * np.stack(pictures) + rest, 0, 1))
        observed = to_ycc(np.clip(shown, 0, 1))
        if not known:
            planes = _adjusted(planes, observed, seen)
        bend = to_ycc(weight * colouring.bend(own))
        expected, uncertain = planes[0], _uncertain(planes[0], bend, own)
        steps = (planes[1:] - expected)[:, seen]
        steps[np.abs(steps) < DEAD] = 0
        apart = ((observed - expected) / uncertain)[seen]
        relative = steps / uncertain[seen]
        return Look(
            frame, source_frame, observed, expected, float(np.sqrt(np.mean(apart**2))), apart.size,
            tuple(names), np.square(steps).sum(axis=(1, 2)), np.square(relative).sum(axis=(1, 2)),
            np.einsum("npc,pc->n", relative, apart), GAIN if known else GAIN_UNKNOWN,
        )  # fmt: skip

    def misshown(self, number: int, look: Look, what: str) -> Misshown:
        """What is said of an event that shows something else."""
        event, claim = self._segment.events[number], self._claims[number]
        return Misshown(
            number, event.source, look.frame,
            float(claim.index.time_seconds(look.source_frame)), what, _drawn(look),
        )  # fmt: skip


def _worst_difference(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> float:
    """Of two runs of thumbnails: root mean square of the two that differ most, in code values."""
    square = np.square(left.astype(np.int16) - right, dtype=np.int32).mean(axis=(1, 2, 3))
    return float(np.sqrt(square.max()))


def _told_apart(thumbnails: NDArray[np.uint8], rows: NDArray[np.intp]) -> list[float]:
    """How well thumbnails are told from those three frames away, in code values."""
    unique, place = np.unique(rows, return_inverse=True)
    own = thumbnails[unique].astype(np.int16)
    apart = np.full(len(unique), np.inf)
    for step in (-3, 3):
        there = unique + step
        known = (there >= 0) & (there < len(thumbnails))
        other = thumbnails[there[known]].astype(np.int16)
        square = np.square(own[known] - other, dtype=np.int32).mean(axis=(1, 2, 3))
        apart[known] = np.minimum(apart[known], np.sqrt(square))
    apart[~np.isfinite(apart)] = 0.0
    return [float(a) for a in apart[place]]


def _best(
    container: Any,
    stream: Any,
    fps: Fraction,
    start: int,
    worth: Mapping[int, float],
    *,
    every: bool,
) -> dict[int, Any]:
    """The decoded frame of most worth of each part of an event: by its number.

    Args:
        container: the segment.
        stream: its video stream.
        fps: of it.
        start: where the event begins, on a keyframe.
        worth: of the frames that may be looked at, in order.
        every: decode all frames; else those that no other one needs are left out, which is half the time.
    """
    numbers = list(worth)
    part_of = {n: at * LOOKS // len(numbers) for at, n in enumerate(numbers)}
    best: dict[int, tuple[int, Any]] = {}
    stream.codec_context.skip_frame = "DEFAULT" if every else "NONREF"
    container.seek(int(start / fps / stream.time_base), stream=stream, backward=True)
    for picture in container.decode(stream):
        number = round(picture.pts * stream.time_base * fps)
        if number > numbers[-1]:
            break
        part = part_of.get(number)
        if part is not None and (part not in best or worth[number] > worth[best[part][0]]):
            best[part] = (number, picture)
    return dict(sorted(best.values(), key=lambda one: one[0]))


def _moved(cells: Cells) -> Iterator[Cells]:
    """A picture as each of `MOVES` would show it."""
    across, down = (WIDTH - 1) / 2, (HEIGHT - 1) / 2
    for _, dx, dy, zoom in MOVES:
        matrix = np.array(
            [[zoom, 0, across * (1 - zoom) + dx], [0, zoom, down * (1 - zoom) + dy]], np.float32
        )
        yield cv2.warpAffine(cells, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE)


def _uncertain(expected: Cells, bend: Cells, own: NDArray[np.uint8]) -> Cells:
    """The deviation that must be allowed for, of each value."""
    down, across = np.gradient(expected, axis=(0, 1))
    edges = SLIP**2 * (down**2 + across**2)
    vivid = own.max(axis=-1).astype(np.int16) - own.min(axis=-1) > VIVID
    cut = vivid & ((own == 0) | (own == 255)).any(axis=-1)
    beyond = np.square(BEYOND * cut[..., None])
    return np.sqrt(NOISE**2 + edges + np.square(BENT * bend) + beyond, dtype=np.float32)


def _adjusted(pictures: Cells, shown: Cells, seen: NDArray[np.bool_]) -> Cells:
    """Pictures after the smooth change of colours that explains most of what is shown: for colours that are not worked out."""
    light = pictures[..., :1] / 255
    basis = np.concatenate(
        [pictures, np.ones_like(light), light**2, light**3, pictures[..., 1:] * light], axis=-1
    )
    change = np.linalg.lstsq(basis[0][seen], shown[seen], rcond=None)[0]
    return np.asarray(basis @ change, np.float32)


def _drawn(look: Look) -> bytes:
    """What was to be seen, beside what is: a PNG."""
    pictures = []
    for cells in (look.expected, look.shown):
        rgb = (np.clip(to_rgb(cells), 0, 1) * 255).round().astype(np.uint8)
        pictures.append(cv2.resize(rgb, None, fx=8, fy=8, interpolation=cv2.INTER_NEAREST))
    gap = np.full((HEIGHT * 8, 8, 3), 128, np.uint8)
    both = np.hstack([pictures[0], gap, pictures[1]])
    return cv2.imencode(".png", both[..., ::-1])[1].tobytes()
