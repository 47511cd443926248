"""The verdict of the guard on one event, from the frames of it that were looked at: see `render.guard`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from montage_dask.render.expected import Cells, Floats

LIMIT = 2.2
"""Residual, in deviations of what is uncertain, from which on a picture is another one. Measured: below 1.3."""

LEAST_STEP = 0.7
"""What must be left of that step to be told, in code values (root mean square over all cells); twice that in a single frame."""

SURE = 0.6
"""Projection of the residual on the step to an alternative from which on that one is shown. Measured noise: below 0.3."""


Verdict = tuple["Look", str]


@dataclass(frozen=True, slots=True)
class Look:
    """One frame that is looked at. Pictures are Y'CbCr × 255, [27, 48, 3]."""

    frame: int
    source_frame: int
    shown: Cells
    expected: Cells
    residual: float
    """Root mean square of what differs, in deviations of what is uncertain."""
    values: int
    """How many are compared."""
    names: tuple[str, ...]
    """Of the alternatives."""
    steps: Floats
    """Length² of the step to each, in code values."""
    lengths: Floats
    """Likewise, in deviations."""
    along: Floats
    """Scalar product of that step and the residual, in deviations."""
    gain: float
    """Part of the residual (squared) that an alternative must explain."""


def judge(looks: Sequence[Look]) -> Verdict | None:
    """The frame that shows best that something is wrong, and what; None where all is as claimed."""
    worst = max(looks, key=lambda k: k.residual)
    alone = ((look, _likelier([look], 2 * LEAST_STEP)) for look in looks)
    for look, told in ((worst, _likelier(looks, LEAST_STEP)), *alone):
        if told is not None:
            return look, f"it looks like the picture {told}"
    if worst.residual > LIMIT:
        return worst, f"another picture: {worst.residual:.1f} deviations off, {LIMIT} are allowed"
    return None


def _likelier(looks: Sequence[Look], least: float) -> str | None:
    """The alternative that frames show rather than what they claim, if there is one."""
    names = [n for n in looks[0].names if all(n in k.names for k in looks)]
    rows = [[k.names.index(n) for n in names] for k in looks]
    values = sum(k.values for k in looks)
    steps, lengths, along = (
        sum(getattr(k, what)[r] for k, r in zip(looks, rows, strict=True))
        for what in ("steps", "lengths", "along")
    )
    gain = 2 * along - lengths
    told = (steps >= least**2 * values) & (along > SURE * lengths)
    told &= gain > sum(k.gain * k.residual**2 * k.values for k in looks)
    if not told.any():
        return None
    return names[int(np.argmax(np.where(told, gain, -np.inf)))]
