"""From the patterns of a style to what is played in a bar: grooves with variations, riffs, fills and made-up grooves."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from montage_dask_training.beat_styles import DRUMS, Style

Random = np.random.Generator
Pattern = npt.NDArray[np.float64]
"""Loudness per step, 0 … 1; 0 is silence."""

LOUDNESS = {"X": 1.0, "x": 0.78, "o": 0.72, "g": 0.35}
OFTEN = {"X": 1.0, "x": 1.0, "o": 0.5, "g": 0.7}


def grooves_of(style: Style, random: Random, count: int) -> list[dict[int, Pattern]]:
    """Some grooves of a style, varied for one song: loudness per step for each key of the drums."""
    chosen = [str(random.choice(style.grooves)) for _ in range(count)] if style.grooves else []
    made = [_made_up(style, random) if text == "*" else _read(text) for text in chosen]
    return [_varied(groove, style, random) for groove in made]


def _read(text: str) -> dict[int, Pattern]:
    groove = {}
    for part in text.split():
        letter, _, steps = part.partition(":")
        groove[DRUMS[letter]] = np.array([_code(step) for step in steps])
    return groove


def _code(step: str) -> float:
    """Loudness, negative when the step is played now and then."""
    if step == ".":
        return 0.0
    return LOUDNESS[step] if OFTEN[step] == 1.0 else -LOUDNESS[step]


def _varied(groove: dict[int, Pattern], style: Style, random: Random) -> dict[int, Pattern]:
    """Other loudness, some steps more or fewer: no two songs have the same groove."""
    found = {}
    wild = random.choice([0.0, 0.03, 0.1])
    for key, pattern in groove.items():
        level = random.uniform(0.7, 1.0)
        varied = pattern * level
        flips = random.random(len(pattern)) < wild
        flips[0] = False
        varied[flips] = np.where(varied[flips] == 0, random.choice([0.4, 0.7]) * level, 0.0)
        found[key] = varied
    if random.random() < 0.25:  # another cymbal keeps the time
        for old in (42, 51, 46):
            if old in found:
                found[int(random.choice([42, 46, 51, 53, 54, 70, 49]))] = found.pop(old)
                break
    if random.random() < 0.1:
        found.pop(int(random.choice(list(found))))
    return found


def weights(metre: int, steps: int, bars: int = 1) -> Pattern:
    """How much each step of the bar attracts notes: bar, half bar, beat, half beat, the rest."""
    found = np.full(metre * steps, 0.15)
    if steps % 2 == 0:
        found[:: steps // 2] = 0.4
    found[::steps] = 0.7
    if metre == 4:
        found[2 * steps] = 0.8
    found[0] = 1.0
    return np.tile(found, bars)


def _made_up(style: Style, random: Random) -> dict[int, Pattern]:
    """A groove that nobody wrote: any drums, drawn towards the strong steps."""
    metre, steps = style.metre, style.steps
    bars = int(random.choice([1, 1, 2]))
    near = weights(metre, steps, bars)
    count = len(near)
    groove: dict[int, Pattern] = {}
    kicks = random.random(count) < near ** random.uniform(1.0, 3.0) * random.uniform(0.4, 0.9)
    kick = np.where(kicks, 0.95, 0.0)
    kick[0] = 1.0
    groove[36] = kick
    back = np.zeros(count)
    if metre == 3:
        places = [[2], [1, 2], [1]][int(random.integers(3))]
    else:
        places = (
            [[1, 3], [1, 3], [1, 3], [2]][int(random.integers(4))] if metre == 4 else [metre - 1]
        )
    for bar in range(bars):
        for place in places:
            back[(bar * metre + place) * steps] = 1.0
    back[(random.random(count) < 0.06) & (back == 0)] = -0.4
    groove[int(random.choice([38, 38, 40, 39, 37]))] = back
    every = int(random.choice([1, 1, steps, max(1, steps // 2)]))
    time = np.zeros(count)
    time[int(random.choice([0, 0, 0, every // 2])) :: every] = 0.7
    time[::steps] *= random.uniform(0.7, 1.4)
    groove[int(random.choice([42, 42, 46, 51, 70, 54]))] = time
    for _ in range(int(random.integers(0, 3))):
        played = random.random(count) < random.uniform(0.1, 0.4)
        extra = np.where(played, random.uniform(0.3, 0.8), 0.0)
        groove[int(random.choice([63, 64, 62, 56, 75, 37, 45, 41, 48, 70]))] = extra
    return groove


def riff(metre: int, steps: int, random: Random) -> tuple[Pattern, npt.NDArray[np.int64]]:
    """A motif of a bar or two: loudness per step, and steps of the scale above the root."""
    bars = int(random.choice([1, 1, 2]))
    near = weights(metre, steps, bars)
    flat = random.uniform(0.0, 0.8)
    chance = (near * (1 - flat) + 0.45 * flat) * random.uniform(0.5, 1.3)
    played = (random.random(len(near)) < chance) * random.uniform(0.6, 1.0, len(near))
    if random.random() < 0.8:
        played[0] = 1.0
    steps_up = random.choice([0, 0, 0, 0, 2, 4, -1, 1, 3, 7], len(near))
    return played, steps_up


def fill(metre: int, steps: int, random: Random) -> list[tuple[int, int, float]]:
    """The last beats of a section: (step, key, loudness); the groove rests meanwhile from the first of these steps."""
    length = int(random.choice([1, 1, 2, metre])) * steps
    first = metre * steps - min(length, metre * steps)
    kind = random.integers(3)
    found = []
    for step in range(first, metre * steps):
        done = (step - first) / max(1, metre * steps - first)
        if random.random() < (0.85 if kind < 2 else 0.5):
            key = [48, 45, 41][min(2, int(done * 3))] if kind == 0 else 38
            found.append((step, key, float(0.55 + 0.4 * done)))
    return found
