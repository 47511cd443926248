"""SMPTE timecode (ST 12-1): numbers of frames, drop-frame where the rate or a label asks for it."""

from __future__ import annotations

import re
from fractions import Fraction

from montage_dask.records import Source

LABEL = re.compile(r"(\d\d):([0-5]\d):([0-5]\d)([:;.])(\d\d)")
"""HH:MM:SS:FF; a semicolon (or point) before the frames means drop-frame."""


def drops(fps: Fraction) -> bool:
    """Whether a timeline of this rate counts in drop-frame: 29.97 and 59.94 only."""
    return fps in (Fraction(30000, 1001), Fraction(60000, 1001))


def timecode(frame: int, fps: Fraction, drop: bool | None = None) -> str:
    """HH:MM:SS:FF of a frame; with a semicolon before the frames when numbers are dropped.

    Args:
        frame: from 00:00:00:00 on.
        fps: frames per second.
        drop: whether numbers are dropped; None: where the rate is 29.97 or 59.94.

    Raises:
        ValueError: frame is negative.
    """
    if frame < 0:
        raise ValueError(f"frame {frame}")
    nominal = round(fps)
    mark = ":"
    if drops(fps) if drop is None else drop:
        mark = ";"
        dropped = nominal // 15  # numbers left out each minute, but not each tenth one
        per_minute = nominal * 60 - dropped
        per_ten = nominal * 600 - dropped * 9
        tens, rest = divmod(frame, per_ten)
        minutes = 0 if rest < nominal * 60 else 1 + (rest - nominal * 60) // per_minute
        frame += dropped * (9 * tens + minutes)
    seconds, frames = divmod(frame, nominal)
    return (
        f"{seconds // 3600 % 24:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{mark}{frames:02d}"
    )


def number_of(label: str, fps: Fraction) -> int:
    """The frame that a timecode names, from 00:00:00:00 on: the inverse of `timecode`.

    Raises:
        ValueError: it is none at this rate.
    """
    found = LABEL.fullmatch(label)
    nominal = round(fps)
    if not found or int(found[1]) > 23 or int(found[5]) >= nominal:
        raise ValueError(f"timecode {label!r} at {fps}")
    hours, minutes, seconds, frames = (int(found[k]) for k in (1, 2, 3, 5))
    number = ((hours * 60 + minutes) * 60 + seconds) * nominal + frames
    if found[4] != ":":
        whole = hours * 60 + minutes
        number -= nominal // 15 * (whole - whole // 10)
    return number


def clock_of(source: Source) -> tuple[int, Fraction, bool | None]:
    """A source's timecode: the number of its frame 0, the rate that it counts in, and whether it drops numbers.

    A source without one counts from 0, as the timeline does (None).
    """
    rate = source.timecode_rate or source.frame_rate
    if source.timecode is None:
        return 0, rate, None
    return number_of(source.timecode, rate), rate, ";" in source.timecode


def starts_at(source: Source) -> Fraction:
    """The time of frame 0 by the source's own timecode, in seconds from 00:00:00:00."""
    number, rate, _ = clock_of(source)
    return number / rate


def on_screen(source: Source, seconds: Fraction) -> int:
    """The frame of a source, at its average rate, that is on screen at a time; before the first there is none."""
    return max(0, int(seconds * source.frame_rate))
