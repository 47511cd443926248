"""When beats sound: tempi that are constant, in players' hands, rising, falling or jumping; and swing."""

from __future__ import annotations

import numpy as np

from montage_dask_training.beat_patterns import Random
from montage_dask_training.beat_score import Score
from montage_dask_training.beat_synth import Doubles


def beat_times(score: Score, random: Random) -> Doubles:
    """Seconds of all beats and of the end, from 0: constant, in players' hands, ramps or jumps; shape (beats + 1,)."""
    count = score.beats
    tempo = np.full(count, np.log(score.bpm))
    style = score.style
    kind = random.random()
    if kind < 0.08:
        tempo += np.linspace(0, random.uniform(-0.35, 0.35), count)
    elif kind < 0.14 and count > 16:
        at = int(random.choice(score.downbeats[len(score.downbeats) // 3 :]))
        tempo[at:] += random.choice([-1, 1]) * random.uniform(0.08, 0.35)
    if style.rubato > 0 or (not style.electronic and random.random() < 0.5):
        deviation = style.rubato * random.uniform(0.2, 1.2) + 0.006 * (not style.electronic)
        walk = np.cumsum(random.normal(0, 1, count + 8))
        slow = np.convolve(random.normal(0, 1, count + 16), np.hanning(9) / 2, "same")[:count]
        tempo += deviation * (slow / (slow.std() + 1e-9)) + 0.3 * deviation * (
            walk[:count] - walk[:count].mean()
        ) / (walk.std() + 1e-9)
    tempo = np.clip(tempo, np.log(46.0), np.log(212.0))
    return np.concatenate([[0.0], np.cumsum(60.0 / np.exp(tempo))])


def swung(beats: Doubles, place: float, unit: float) -> Doubles:
    """Places in beats with the second half of every unit at `place`."""
    whole = np.floor(beats / unit + 1e-9)
    part = np.clip(beats / unit - whole, 0.0, 1.0)
    moved = np.where(part < 0.5, part * 2 * place, place + (part - 0.5) * 2 * (1 - place))
    return np.asarray((whole + moved) * unit)
