"""Punches, flashes and shakes: what the pictures of a segment do on beats, laid on when they are all joined.

Which frame is changed and how much is worked out here, in whole numbers; ffmpeg is only told, frame by frame. Frames without an
accent pass untouched, and a segment without any gets no filter at all. A picture is only ever enlarged, so that nothing beyond
its edges comes into view.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from montage_dask.records import Accent, Event
from montage_dask.render.filters import SCALER

if TYPE_CHECKING:
    from montage_dask.render.segments import Segment

EVEN = 4
"""Pixels by which an enlarged picture grows: both its sides, and those of its chroma, are whole."""

SHAKEN = (
    (1.0, 0.35), (-0.85, -0.6), (0.55, 0.95), (-0.95, 0.2), (0.35, -1.0), (-0.6, 0.75), (0.95, -0.5), (-0.4, -0.85),
)  # fmt: skip
"""Ways to the right and down, in parts of the strength: one each `SHAKE_SECONDS`, straight between them."""

SHAKE_SECONDS = Fraction(1, 25)


@dataclass(frozen=True, slots=True)
class View:
    """How an output frame is enlarged and which part of it is shown, in pixels."""

    width: int
    height: int
    x: int
    y: int


def left_of(accent: Accent, frame: int) -> float:
    """How much of an accent is left on an output frame of its event: 1 on its first, 0 when it is over."""
    gone = frame - accent.frame
    return (1 - gone / accent.frames) ** 2 if 0 <= gone < accent.frames else 0.0


def flashes(segment: Segment) -> dict[int, int]:
    """The share of white in each frame of a segment that has any, in ten-thousandths."""
    shares: dict[int, int] = {}
    for event, accent, frame in _accented(segment):
        if accent.kind == "flash":
            at = event.start_frame + frame
            share = round(accent.strength * left_of(accent, frame))
            shares[at] = max(share, shares.get(at, 0))
    return {frame: share for frame, share in shares.items() if share}


def views(segment: Segment) -> dict[int, View]:
    """How each frame of a segment is enlarged that is not shown as it is."""
    size = segment.width, segment.height
    grown: dict[int, float] = {}
    moved: dict[int, tuple[float, float]] = {}
    for event, accent, frame in _accented(segment):
        at = event.start_frame + frame
        strength = accent.strength / Accent.UNIT * left_of(accent, frame)
        if accent.kind == "punch":
            grown[at] = grown.get(at, 0.0) + strength
        elif accent.kind == "shake":
            grown[at] = grown.get(at, 0.0) + 2 * strength
            right, down = _way((frame - accent.frame) / segment.fps)
            before = moved.get(at, (0.0, 0.0))
            moved[at] = (before[0] + right * strength, before[1] + down * strength)
    found = {}
    for at, growth in grown.items():
        wide, high = (n + EVEN * round(n * growth / EVEN) for n in size)
        x, y = (
            min(max(0, 2 * round((large - n) / 4 + way * n / 2)), large - n)
            for large, n, way in zip((wide, high), size, moved.get(at, (0.0, 0.0)), strict=True)
        )
        if (wide, high) != size:
            found[at] = View(wide, high, x, y)
    return found


def laid_on(pictures: Any, segment: Segment, pixel_format: str) -> Any:
    """The joined pictures of a segment with its accents.

    Args:
        pictures: numbered by their times, of the segment's size.
        segment: whose.
        pixel_format: of the output.
    """
    seen, bright = views(segment), flashes(segment)
    if seen or bright:
        pictures = pictures.filter("format", pixel_format)
    if seen:
        pictures = _enlarged(pictures, segment, seen)
    white, grey = (n << (2 if pixel_format.endswith("10le") else 0) for n in (235, 128))
    for share in sorted(set(bright.values())):
        part = f"{share}/{Accent.UNIT}"
        chroma = f"val+({grey}-val)*{part}"
        frames = [n for n, own in bright.items() if own == share]
        pictures = pictures.filter(
            "lutyuv", y=f"val+({white}-val)*{part}", u=chroma, v=chroma,
            enable="+".join(_is(n, segment.fps) for n in frames),
        )  # fmt: skip
    return pictures


def _enlarged(pictures: Any, segment: Segment, seen: Mapping[int, View]) -> Any:
    def told(rest: int, values: Mapping[int, int]) -> str:
        terms = (f"{v - rest}*{_is(n, segment.fps)}" for n, v in values.items() if v != rest)
        return "+".join([str(rest), *terms])

    pictures = pictures.filter(
        "scale",
        w=told(segment.width, {n: v.width for n, v in seen.items()}),
        h=told(segment.height, {n: v.height for n, v in seen.items()}),
        eval="frame",
        flags=SCALER,
    )
    pictures = pictures.filter(
        "crop",
        segment.width,
        segment.height,
        told(0, {n: v.x for n, v in seen.items()}),
        told(0, {n: v.y for n, v in seen.items()}),
    )
    # Growing by whole pixels bends the shape of pixels a little, and the scaler says so.
    return pictures.filter("setsar", 1)


def _is(frame: int, fps: Fraction) -> str:
    """1 on a frame, 0 on others; by the time, since how frames are counted differs among versions of ffmpeg."""
    return f"eq(round(t*{fps.numerator}/{fps.denominator}),{frame})"


def _accented(segment: Segment) -> Iterator[tuple[Event, Accent, int]]:
    """The events with their accents, and every frame of the event on which one is seen."""
    for event in segment.events:
        for accent in event.accents:
            end = min(event.frames, accent.frame + accent.frames)
            for frame in range(max(0, accent.frame), end):
                yield event, accent, frame


def _way(seconds: Fraction) -> tuple[float, float]:
    """Where a shake is, some time after it began."""
    step, share = divmod(seconds, SHAKE_SECONDS)
    a, b = SHAKEN[int(step) % len(SHAKEN)], SHAKEN[(int(step) + 1) % len(SHAKEN)]
    part = float(share / SHAKE_SECONDS)
    return a[0] + (b[0] - a[0]) * part, a[1] + (b[1] - a[1]) * part
