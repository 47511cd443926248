"""SMPTE timecode, drop-frame where the rate asks for it."""

from __future__ import annotations

from fractions import Fraction


def drops(fps: Fraction) -> bool:
    """Whether a rate counts in drop-frame: 29.97 and 59.94 only."""
    return fps in (Fraction(30000, 1001), Fraction(60000, 1001))


def timecode(frame: int, fps: Fraction) -> str:
    """HH:MM:SS:FF of a frame; with a semicolon before the frames when numbers are dropped (SMPTE ST 12-1).

    Raises:
        ValueError: frame is negative.
    """
    if frame < 0:
        raise ValueError(f"frame {frame}")
    nominal = round(fps)
    mark = ":"
    if drops(fps):
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
