"""The verdict of the guard on one event, from the frames of it that were looked at: see `render.guard`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from montage_dask.render.expected import Cells

LIMIT = 2.2
"""Residual, in deviations of what is uncertain, from which on a picture is another one. Measured: below 1.5."""

LEAST_STEP = 0.7
"""What must be left of that step to be told, in code values (root mean square over all cells); twice that in a single frame."""

SURE = 0.6
"""Projection of the residual on the step to an alternative from which on that one is shown. Measured noise: below 0.3."""

GAIN = 0.25
"""Part of the residual (squared) that an alternative must explain."""

Verdict = tuple["Look", str]


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """One frame that is looked at. Pictures are Y'CbCr × 255, [27, 48, 3]."""

    frame: int
    source_frame: int
    shown: Cells
    expected: Cells
    seen: NDArray[np.bool_]
    """Cells that are compared."""
    uncertain: Cells
    """The deviation that is allowed for, of each value."""
    later: Mapping[int, Cells]
    """The picture so many source frames later (earlier, where negative) less the expected one."""
    moved: Mapping[str, Cells]
    """Likewise, of pictures that a wrong crop or turn would show."""
    dead: float
    """Code values by which a cell must differ to count in a step."""
    gain: float = GAIN

    @property
    def apart(self) -> Cells:
        """What differs, in deviations; 0 where nothing is compared."""
        return (self.shown - self.expected) / self.uncertain * self.seen[..., None]

    @property
    def residual(self) -> float:
        """Root mean square of what differs, in deviations."""
        return float(np.sqrt(np.square(self.apart).sum() / max(1, 3 * self.seen.sum())))


def judge(looks: Sequence[Look]) -> Verdict | None:
    """The frame that shows best that something is wrong, and what; None where all is as claimed.

    Colours that are a little off are so in all frames of an event: where there are several, steps in time are judged by what is
    left behind the mean of all. It cannot look like another moment then, and does not hide one.
    """
    worst = max(looks, key=lambda k: k.residual)
    apart = np.stack([k.apart for k in looks])
    changing = apart - apart.mean(axis=0) if len(looks) > 1 else apart
    groups = [(looks, LEAST_STEP, worst), *(([k], 2 * LEAST_STEP, k) for k in looks)]
    for chosen, least, look in groups:
        rows = [looks.index(k) for k in chosen]
        told = _moved(looks, apart, rows, least) or _late(looks, changing, rows, least)
        if told is not None:
            return look, f"it looks like the picture {told}"
    if worst.residual > LIMIT:
        return worst, f"another picture: {worst.residual:.1f} deviations off, {LIMIT} are allowed"
    return None


def _moved(looks: Sequence[Look], apart: Cells, rows: Sequence[int], least: float) -> str | None:
    """The wrong crop or turn that frames show rather than what they claim, if there is one."""
    gains = {
        name: _gain(looks, np.stack([k.moved[name] for k in looks]), apart, rows, least)
        for name in looks[0].moved
    }
    return _best(gains)


def _late(looks: Sequence[Look], apart: Cells, rows: Sequence[int], least: float) -> str | None:
    """Likewise, the other moment."""
    gains = {}
    for step in looks[0].later:
        if all(step in k.later for k in looks):
            steps = np.stack([k.later[step] for k in looks])
            if len(looks) > 1:
                steps -= steps.mean(axis=0)
            name = f"{abs(step)} frames {'earlier' if step < 0 else 'later'}"
            gains[name] = _gain(looks, steps, apart, rows, least)
    return _best(gains)


def _best(gains: Mapping[str, float]) -> str | None:
    name = max(gains, key=lambda n: gains[n], default=None)
    return name if name is not None and gains[name] > 0 else None


def _gain(
    looks: Sequence[Look], steps: Cells, apart: Cells, rows: Sequence[int], least: float
) -> float:
    """How much better an alternative explains what is shown, in deviations²; 0 where it is not told from what is claimed."""
    values = square = length = along = needed = 0.0
    for n in rows:
        look = looks[n]
        counts = (np.abs(steps[n]) >= look.dead) & look.seen[..., None]
        step = np.where(counts, steps[n], 0)
        relative = step / look.uncertain
        values += 3 * float(look.seen.sum())
        square += float(np.square(step).sum())
        length += float(np.square(relative).sum())
        along += float((relative * apart[n]).sum())
        needed += look.gain * float(np.square(apart[n]).sum())
    gain = 2 * along - length
    told = square >= least**2 * values and along > SURE * length and gain > needed
    return gain if told else 0.0
