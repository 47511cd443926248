"""Rendered tracks with exactly known beats: every attack starts on its sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

RATE = 22050
Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Style:
    """How a track is played."""

    name: str
    bpm: tuple[tuple[float, float], ...]
    """(seconds, tempo) points; linear between them, a jump where two have the same time."""
    seconds: float = 60.0
    beats_per_bar: int = 4
    swing: float = 0.5
    """Place of the off-beat inside the beat: 0.5 straight, 0.66 swung."""
    kick: str = "four"
    """four (on all beats), rock (1 and 3, snare on 2 and 4), waltz, none."""
    hats: str = "eighths"
    """eighths, offbeat, quarters, none."""
    jitter_ms: float = 0.0
    """Standard deviation of the player's timing."""
    breakdown: tuple[float, float] | None = None
    """Seconds from and to which the drums are silent."""
    pad: float = 0.15
    """Loudness of the chords."""
    noise: float = 0.003


STYLES = (
    Style("house 124, breakdown", ((0, 124),), breakdown=(25, 40), hats="offbeat"),
    Style("rock 92", ((0, 92),), kick="rock", jitter_ms=6),
    Style("drum and bass 174", ((0, 174),), kick="rock", hats="eighths"),
    Style("ballad 66", ((0, 66),), kick="rock", hats="quarters", pad=0.3),
    Style("waltz 150", ((0, 150),), beats_per_bar=3, kick="waltz", hats="none"),
    Style("waltz 90", ((0, 90),), beats_per_bar=3, kick="waltz", hats="quarters", jitter_ms=8),
    Style("swing 140", ((0, 140),), swing=0.66, kick="rock", jitter_ms=5),
    Style("ramp 80 to 140", ((0, 80), (60, 140)), kick="rock"),
    Style("jump 100 to 135", ((0, 100), (30, 100), (30, 135)), kick="four"),
    Style("no drums 110", ((0, 110),), kick="none", hats="none", pad=0.4),
    Style("techno 138, loud off-beat", ((0, 138),), hats="loud-offbeat"),
    Style("slow 60", ((0, 60),), kick="four", hats="quarters"),
    Style("punk 180", ((0, 180),), kick="rock", hats="quarters", jitter_ms=4),
)


def beat_times(style: Style) -> Doubles:
    """Exact beats in seconds, from 0.25 s."""
    at, bpm = np.array(style.bpm, float).T
    times = [0.25]
    while True:
        after = np.searchsorted(at, times[-1], side="right")
        if after == 0 or after == len(at):
            tempo = bpm[min(after, len(at) - 1)]
        else:
            part = (times[-1] - at[after - 1]) / (at[after] - at[after - 1])
            tempo = bpm[after - 1] + part * (bpm[after] - bpm[after - 1])
        following = times[-1] + 60.0 / tempo
        if following > style.seconds - 0.3:
            return np.array(times)
        times.append(float(following))


def render(
    style: Style, seed: int = 0
) -> tuple[npt.NDArray[np.float32], Doubles, npt.NDArray[np.int64]]:
    """A track.

    Returns:
        Mono samples at RATE, its beats in seconds (as played) and the place of each in the bar from 1.
    """
    random = np.random.default_rng(seed)
    beats = beat_times(style)
    places = np.arange(len(beats)) % style.beats_per_bar + 1
    played = beats + random.normal(0, style.jitter_ms / 1000, len(beats)).clip(-0.02, 0.02)
    out = np.zeros(round(style.seconds * RATE), np.float64)
    steps = np.append(np.diff(beats), beats[-1] - beats[-2])
    chords = (110.0, 146.8, 98.0, 130.8)
    for number, (time, place, step) in enumerate(zip(played, places, steps, strict=True)):
        silent = style.breakdown is not None and style.breakdown[0] <= time < style.breakdown[1]
        root = chords[number // style.beats_per_bar % 4]
        if place == 1:
            length = min(step * style.beats_per_bar, 3.0)
            _add(out, time, _chord(root, length) * style.pad * random.uniform(0.9, 1.1))
        if style.kick == "none":
            _add(out, time, _pluck(root * (2, 3, 4, 3)[(place - 1) % 4], step) * 0.25)
        if silent:
            continue
        _drums(out, style, time, int(place), step, root, random)
    out += random.normal(0, style.noise, len(out))
    return (0.7 * out / np.abs(out).max()).astype(np.float32), played, places


def _drums(
    out: Doubles,
    style: Style,
    time: float,
    place: int,
    step: float,
    root: float,
    random: np.random.Generator,
) -> None:
    loud = random.uniform(0.8, 1.0)
    kicks = {"four": True, "rock": place in (1, 3), "waltz": place == 1, "none": False}[style.kick]
    if kicks:
        _add(out, time, _kick() * loud)
    if style.kick in ("four", "rock") and place in (2, 4):
        _add(out, time, _snare(random) * 0.5 * loud)
    if style.kick == "waltz" and place != 1:
        _add(out, time, _pluck(root * 4, 0.3) * 0.4 * loud)
    if style.kick != "none" and (place == 1 or place == 3 < style.beats_per_bar):
        _add(out, time, _pluck(root / 2, step) * 0.5)
    if style.hats in ("eighths", "quarters"):
        _add(out, time, _hat(random) * 0.2 * loud)
    if style.hats in ("eighths", "offbeat", "loud-offbeat"):
        level = {"eighths": 0.16, "offbeat": 0.25, "loud-offbeat": 0.5}[style.hats]
        _add(out, time + style.swing * step, _hat(random) * level)


def _add(out: Doubles, time: float, sound: Doubles) -> None:
    start = round(time * RATE)
    part = sound[: max(0, len(out) - start)]
    out[start : start + len(part)] += part


def _kick() -> Doubles:
    t = np.arange(round(0.25 * RATE)) / RATE
    pitch = 50 * t + 110 * 0.03 * (1 - np.exp(-t / 0.03))
    return np.sin(2 * np.pi * pitch + 0.5) * np.exp(-t / 0.08)


def _snare(random: np.random.Generator) -> Doubles:
    t = np.arange(round(0.2 * RATE)) / RATE
    return (random.normal(0, 0.6, len(t)) + np.sin(2 * np.pi * 190 * t)) * np.exp(-t / 0.06)


def _hat(random: np.random.Generator) -> Doubles:
    t = np.arange(round(0.06 * RATE)) / RATE
    return np.diff(random.normal(0, 1, len(t) + 1)) * np.exp(-t / 0.015)


def _pluck(hertz: float, seconds: float) -> Doubles:
    t = np.arange(round(seconds * RATE)) / RATE
    tone = sum(np.sin(2 * np.pi * hertz * k * t) / k for k in (1, 2, 3, 4))
    return np.asarray(tone * np.exp(-t / 0.25) * np.minimum(1, t / 0.002))


def _chord(hertz: float, seconds: float) -> Doubles:
    t = np.arange(round(seconds * RATE)) / RATE
    tone = sum(np.sin(2 * np.pi * hertz * k * t) for k in (2, 2.5198, 2.9966))
    return np.asarray(tone * np.minimum(1, t / 0.04) * np.minimum(1, (seconds - t) / 0.1))
