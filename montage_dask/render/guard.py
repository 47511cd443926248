"""The guard: every event of a segment is compared with the strip's thumbnails of the source frames that it claims to show.

Small pictures of every frame of an event lie beside the segment (`render.tap`), taken before effects and transitions. A few of
them are brought to the strip's grid (`render.expected`) and judged twice:

* absolutely: what is left between them, relative to what texture and grade leave uncertain, must stay small. This tells green
  and torn frames, another file, another crop, another hue.
* against alternatives: the residual must not look like the step to another picture: the same source some frames earlier or
  later, shifted or zoomed, mirrored or upside down. A projection on that step is 0 where the claim is true and 1 where the
  alternative is, whatever else differs; so small steps are told, too. (A missing grade is no such alternative: on vivid footage
  the grade of a cell's mean is too far from the mean of its graded pixels, and a healthy clip was left out for it.)

The frames are those whose thumbnails differ most from their neighbours three frames away, one in each part of the event.

Then the first frame of the encoded segment that shows the event alone, or most of it, is decoded and judged in the same ways
against the small pictures: so the encoder, and the file itself, are looked at, too.

What it cannot tell: frames whose thumbnails are alike (a still picture, motion finer than a 48th of the picture); a shift of
less than half a cell, 1 % of the width; small changes of hue, saturation and grade, and any on grey pictures; colours of HDR,
wide-gamut and upscaled footage, which are not worked out here (only what no smooth change of colours explains counts there);
what lies outside the picture of the source (bars, the blurred background); frames between the ones that are looked at; an
error that the strip shares, as its decoder made it too; an accent that is laid on wrongly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from montage_dask.analysis.features import HEIGHT
from montage_dask.analysis.small_pictures import decode_thumbnails
from montage_dask.analysis.strip import Strip
from montage_dask.errors import Misshown, PictureMismatch, VerificationError
from montage_dask.media.index import FrameIndex
from montage_dask.records import CUT, Source
from montage_dask.render.accents import left_of
from montage_dask.render.alternatives import (
    adjusted,
    cut_off,
    deviation,
    steps,
    told_apart,
    with_moved,
)
from montage_dask.render.expected import (
    Cells,
    Colouring,
    Matrix,
    Steadied,
    cells_of,
    crossed_frames,
    parts_at,
    planes_of,
    shown_area,
    steadied_area,
    to_rgb,
    to_ycc,
)
from montage_dask.render.mapping import shown_frames
from montage_dask.render.segments import Segment
from montage_dask.render.tap import Pictures, read_tap
from montage_dask.render.verdict import GAIN, LIMIT, Look, Verdict, judge

VERSION = 4
"""Raised when the same pictures are judged otherwise."""

FAINT = 0.02
"""Part of an accent that changes nothing here."""

LOOKS = 4
"""Frames of an event that are looked at."""

STEPS = (1, 2, 3, 4, 6, 9, 14, 25)
"""Source frames earlier and later that a picture is told from."""

NOISE = 1.5
"""Code values (of 255) by which the mean of a cell is uncertain."""

ENCODED_NOISE = 3.0
"""Likewise, where an encoder has changed it."""

DEAD = 2.0
"""Code values by which a cell must differ to count in the step to an alternative."""

ENCODED_DEAD = 4.0
"""Likewise, where an encoder may leave less than that out for long."""

SAME = 1.5
"""Code values (root mean square) by which a thumbnail may differ when it is made again: on a GPU, by another FFmpeg."""

GAIN_UNKNOWN = 0.6
"""Likewise, where colours or detail are not known."""


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
    tap: Path,
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
        tap: its small pictures.
        claims: by the identity that the events name.
        fit: contain, cover or blur.
        grade: name of a preset or a .cube file.
        closely: where something seems wrong, decode that part of the source again, and judge by that. The strip is decoded
            without the loop filter and drifts from the true pictures in long groups.

    Returns:
        A small record: events, frames (looked at), worst (residual, as a part of the limit).

    Raises:
        PictureMismatch: events show something else; carries which, and pictures of them.
        VerificationError: the file does not decode, or the tap is none of it.
        StoreError: the strip is not there.
    """
    guard = _Guard(segment, read_tap(tap, segment), claims, fit, grade)
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

    def __init__(
        self,
        segment: Segment,
        pictures: Sequence[Pictures],
        claims: Mapping[str, Claim],
        fit: str,
        grade: str,
    ) -> None:
        self._segment, self._fit, self._pictures = segment, fit, pictures
        self._size = (segment.width, segment.height)
        self._claims = [claims[e.source] for e in segment.events]
        colours = {
            (e.source, e.match): Colouring(claims[e.source].source, grade, e.match)
            for e in segment.events
        }
        self._colours = [colours[e.source, e.match] for e in segment.events]
        self._shown = [self._frames_of(n) for n in range(len(segment.events))]

    def _lead(self, number: int) -> int:
        """Small pictures of an event before its first frame: its part of a crossfade."""
        return crossed_frames(self._segment.events[number].transition) if number else 0

    def _frames_of(self, number: int) -> list[int]:
        """Source frames of an event and its parts of crossfades, one for each output frame."""
        events, fps, claim = self._segment.events, self._segment.fps, self._claims[number]
        event = events[number]
        after = events[number + 1].transition if number + 1 < len(events) else CUT
        if claim.start_frame is not None:
            begins = claim.index.time_seconds(claim.start_frame)
            event = replace(event, in_seconds=event.in_seconds + begins)
        return shown_frames(
            claim.index, event, fps, lead=self._lead(number), tail=crossed_frames(after)
        )

    def _area(self, number: int, frame: int, output_frame: int) -> Matrix:
        """Where a source frame lies in an output frame of the segment."""
        claim, event, shown = (
            self._claims[number],
            self._segment.events[number],
            self._shown[number],
        )
        centre = None
        if event.focus:
            at = output_frame - event.start_frame
            if shown[-1] - shown[0] + 1 <= len(shown):
                # The window was laid on before the picture was repeated.
                at = shown.index(frame) - self._lead(number)
            centre = event.centre_at(at)
        own = shown_area(claim.source, self._size, self._fit, centre)
        return own @ steadied_area(claim.source, frame, claim.moves)

    def judged(
        self, container: Any, stream: Any, number: int, *, closely: bool = False
    ) -> tuple[list[Look], Verdict | None]:
        """The frames of an event that were looked at; the one that shows best that something is wrong, and what."""
        looks = self._looks(number, None)
        verdict = judge(looks)
        if verdict is not None and closely:
            looks, verdict = self._closely(number, verdict)
        if verdict is None:
            encoded = self._encoded(container, stream, number)
            looks.append(encoded)
            if (told := judge([encoded])) is not None:
                verdict = encoded, f"as encoded, {told[1]}"
        return looks, verdict

    def _closely(self, number: int, verdict: Verdict) -> tuple[list[Look], Verdict | None]:
        """Likewise, against the source decoded again."""
        claim, frames = self._claims[number], self._shown[number]
        low = max(0, min(frames) - STEPS[-1])
        high = min(claim.strip.frames, max(frames) + STEPS[-1] + 1)
        known = claim.strip.thumbnails(low, high)
        plain, true = (
            decode_thumbnails(claim.source, claim.index, low, high, skip_loop_filter=skip)
            for skip in (True, False)
        )
        if min(_worst_difference(known, plain), _worst_difference(known, true)) > SAME:
            return [verdict[0]], (
                verdict[0],
                f"{verdict[1]}; and the file decodes otherwise than when it was analysed",
            )
        looks = self._looks(number, (low, true))
        return looks, judge(looks)

    def _looks(self, number: int, decoded: tuple[int, NDArray[np.uint8]] | None) -> list[Look]:
        """The small pictures of an event that are looked at, with what they must show."""
        event, lead = self._segment.events[number], self._lead(number)
        source_frames = self._shown[number][lead : lead + event.frames]
        strip = self._claims[number].strip
        low = max(0, min(source_frames) - STEPS[-1])
        high = min(strip.frames, max(source_frames) + STEPS[-1] + 1)
        if decoded is None:
            thumbnails = strip.thumbnails(low, high)
        else:
            low, thumbnails = decoded
        told = told_apart(thumbnails, np.array(source_frames) - low)
        parts = np.array_split(np.arange(event.frames), min(LOOKS, event.frames))
        chosen = [int(part[np.argmax(told[part])]) for part in parts]
        return [self._look(number, at, source_frames[at], thumbnails, low) for at in chosen]

    def _look(
        self, number: int, at: int, source_frame: int, thumbnails: NDArray[np.uint8], low: int
    ) -> Look:
        """The small picture of frame `at` of an event beside its thumbnail."""
        colouring = self._colours[number]
        frame = self._segment.events[number].start_frame + at
        area = self._area(number, source_frame, frame)
        shown, seen = self._tapped(number, at + self._lead(number), area)
        offsets = [
            s for d in STEPS for s in (-d, d) if low <= source_frame + s < low + len(thumbnails)
        ]
        own = thumbnails[source_frame - low]
        colours = colouring(
            thumbnails[[source_frame - low, *(source_frame - low + s for s in offsets)]]
        )
        known = colouring.known and not self._claims[number].redrawn
        # The strip knows no colours beyond R'G'B'.
        planes = to_ycc(np.clip(with_moved(colours), 0, 1))
        observed = to_ycc(np.clip(shown, 0, 1))
        if not known:
            planes = adjusted(planes, observed, seen)
        uncertain = deviation(planes[0], NOISE, cut_off(own), to_ycc(colouring.bend(own)))
        return Look(
            frame, source_frame, observed, planes[0], seen, uncertain,
            *steps(planes, offsets), DEAD, GAIN if known else GAIN_UNKNOWN,
        )  # fmt: skip

    def _encoded(self, container: Any, stream: Any, number: int) -> Look:
        """The first frame that shows an event alone, or most of it, as it was encoded, beside the small pictures."""
        event, lead = self._segment.events[number], self._lead(number)
        frame = self._first_alone(number)
        picture = _decoded(container, stream, self._segment.fps, event.start_frame, frame)
        at = frame - event.start_frame
        source_frame = self._shown[number][at + lead]
        area = self._area(number, source_frame, frame)
        shown, seen = cells_of(planes_of(picture), self._size, area)
        parts, white = parts_at(self._segment, frame)
        weight = next(p.weight for p in parts if p.number == number)
        rest = np.full_like(shown, white)
        for part in parts:
            if part.number != number:
                rest += part.weight * np.clip(self._tapped(part.number, part.k, area)[0], 0, 1)
        own = len(self._pictures[number].y)
        offsets = [s for s in (-3, -2, -1, 1, 2, 3) if 0 <= at + lead + s < own]
        cells = np.stack([self._tapped(number, at + lead + s, area)[0] for s in (0, *offsets)])
        # A filter behind the tap may work in R'G'B', where colours beyond it end.
        planes = to_ycc(np.clip(weight * with_moved(np.clip(cells, 0, 1)) + rest, 0, 1))
        cut = ((cells[0] < 0) | (cells[0] > 1)).any(axis=-1)
        return Look(
            frame, source_frame, to_ycc(np.clip(shown, 0, 1)), planes[0], seen,
            deviation(planes[0], ENCODED_NOISE, cut), *steps(planes, offsets), ENCODED_DEAD,
        )  # fmt: skip

    def _tapped(self, number: int, k: int, area: Matrix) -> tuple[Cells, NDArray[np.bool_]]:
        """The cells of a small picture of an event, where a source lies in the output."""
        own = self._pictures[number]
        planes = own.y[k], own.u[k], own.v[k]
        high, wide = planes[0].shape
        smaller = np.diag([wide / self._size[0], high / self._size[1], 1])
        return cells_of(planes, (wide, high), smaller @ area)

    def _first_alone(self, number: int) -> int:
        """The first output frame that shows an event alone; where there is none, the first that shows most of it."""
        event = self._segment.events[number]
        weights = {
            n: next(p.weight for p in parts_at(self._segment, n)[0] if p.number == number)
            for n in range(event.start_frame, event.stop_frame)
        }
        enough = min(1.0, 0.8 * max(weights.values())) if max(weights.values()) < 1 else 1.0
        # Where an accent is over, or nearly so: small pictures know of none.
        left = {
            n: max((left_of(a, n - event.start_frame) for a in event.accents), default=0.0)
            for n, weight in weights.items() if weight >= enough
        }  # fmt: skip
        least = max(FAINT, min(left.values()))
        return next(n for n, rest in left.items() if rest <= least)

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


def _decoded(container: Any, stream: Any, fps: Fraction, start: int, frame: int) -> Any:
    """A frame of a segment, decoded from the keyframe where its event begins."""
    container.seek(int(start / fps / stream.time_base), stream=stream, backward=True)
    for picture in container.decode(stream):
        if round(picture.pts * stream.time_base * fps) >= frame:
            return picture
    raise VerificationError(f"a segment has no frame {frame}")


def _drawn(look: Look) -> bytes:
    """What was to be seen, beside what is: a PNG."""
    pictures = []
    for cells in (look.expected, look.shown):
        rgb = (np.clip(to_rgb(cells), 0, 1) * 255).round().astype(np.uint8)
        pictures.append(cv2.resize(rgb, None, fx=8, fy=8, interpolation=cv2.INTER_NEAREST))
    gap = np.full((HEIGHT * 8, 8, 3), 128, np.uint8)
    both = np.hstack([pictures[0], gap, pictures[1]])
    return cv2.imencode(".png", both[..., ::-1])[1].tobytes()
