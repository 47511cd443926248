"""Beats given by hand or by another program: one beat per line."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from montage_dask.analysis.tempo import Doubles
from montage_dask.errors import UsageError
from montage_dask.received import read_bytes

MOST_BEATS = 1_000_000
MOST_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class GivenBeats:
    """The beats of a file."""

    seconds: Doubles
    """Strictly increasing, ≥ 0, shape (beats,)."""
    positions: tuple[int, ...]
    """Place in the bar from 1, one per beat; empty when the file has no second column."""


def read_beats(path: str | Path) -> GivenBeats:
    """Read beats: seconds, and optionally the place in the bar, on each line; # begins a comment.

    Raises:
        UsageError: the file cannot be read, or a line is wrong; names the line.
    """
    seconds: list[float] = []
    positions: list[int] = []
    for number, line in enumerate(_text(path).splitlines(), 1):
        words = line.split("#", 1)[0].replace(",", " ").split()
        if not words:
            continue
        where = f"beats file {path}, line {number}"
        try:
            time = float(words[0])
            position = int(float(words[1])) if len(words) > 1 else 0
        except (ValueError, OverflowError) as error:
            raise UsageError(f"{where}: {line.strip()[:60]!r} is not a time in seconds") from error
        if not math.isfinite(time) or time < 0:
            raise UsageError(f"{where}: a beat at {words[0]} s is not possible")
        if seconds and time <= seconds[-1]:
            raise UsageError(f"{where}: beats must increase, {time:g} s follows {seconds[-1]:g} s")
        if len(words) > 1 and not 1 <= position <= 16:
            raise UsageError(f"{where}: the place in the bar must be 1 to 16, not {words[1]}")
        seconds.append(time)
        positions.append(position)
        if len(seconds) > MOST_BEATS:
            raise UsageError(f"beats file {path}: has more than {MOST_BEATS:,} beats")
    if len(seconds) < 2:
        raise UsageError(f"beats file {path}: holds fewer than two beats")
    return GivenBeats(np.array(seconds), tuple(positions) if all(positions) else ())


def _text(path: str | Path) -> str:
    try:
        return read_bytes(path, MOST_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"beats file {path}: cannot be read: is no text") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"beats file {path}: cannot be read: {reason}") from error
