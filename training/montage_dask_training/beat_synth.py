"""The own synthesiser of training music: drums, plucked strings, FM, wave tables, voices, in NumPy; every attack on its sample.

It is no beauty. What counts is that no two songs sound alike and that nothing else need be installed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from montage_dask.media.audio import ANALYSIS_RATE as RATE

Sound = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Random = np.random.Generator

TABLE = 2048


def seconds(length: float) -> Doubles:
    """The times of the samples of a sound."""
    return np.arange(max(1, round(length * RATE))) / RATE


def add(out: Sound, time: float, sound: Sound, gain: float = 1.0) -> None:
    """Lay a sound into a track from a time on."""
    start = round(time * RATE)
    if start < 0:
        sound, start = sound[-start:], 0
    part = sound[: max(0, len(out) - start)]
    out[start : start + len(part)] += gain * part


def _noise(random: Random, count: int, low: float, high: float) -> Doubles:
    """Noise between two frequencies."""
    spectrum = np.fft.rfft(random.normal(0, 1, count))
    hertz = np.fft.rfftfreq(count, 1 / RATE)
    shape = 1 / (1 + (low / np.maximum(hertz, 1)) ** 4) / (1 + (hertz / high) ** 4)
    found = np.fft.irfft(spectrum * shape, count)
    return np.asarray(found / (np.abs(found).max() + 1e-9))


class Kit:
    """A set of drums of one song; each key has a few variants."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._made: dict[int, list[Sound]] = {}
        self._kick = (
            random.uniform(40, 62),
            random.uniform(40, 200),
            random.uniform(0.008, 0.05),
            random.uniform(0.05, 0.22),
        )
        self._click = random.choice([0.0, 0.15, 0.5])
        self._snare = (
            random.uniform(150, 260),
            random.uniform(0.03, 0.14),
            random.uniform(0.2, 1.5),
            random.uniform(300, 1800),
        )
        self._bright = random.uniform(3500, 9000)
        self._short = random.uniform(0.5, 1.6)

    def hit(self, key: int) -> Sound:
        if key not in self._made:
            self._made[key] = [self._make(key).astype(np.float32) for _ in range(3)]
        return self._made[key][int(self._random.integers(3))]

    def _make(self, key: int) -> Doubles:
        random = self._random
        if key in (35, 36):
            base, depth, fall, decay = self._kick
            t = seconds(min(0.5, 5 * decay))
            body = np.sin(2 * np.pi * (base * t + depth * fall * (1 - np.exp(-t / fall)))) * np.exp(
                -t / decay
            )
            return np.asarray(
                body + self._click * _noise(random, len(t), 1500, 8000) * np.exp(-t / 0.004)
            )
        if key in (38, 40, 39, 37):
            hertz, decay, tone, low = self._snare
            if key == 37:
                hertz, decay, tone, low = 900 + hertz, 0.02, 1.0, 1500
            t = seconds(6 * decay)
            noise = _noise(random, len(t), low, self._bright)
            if key == 39:
                bursts = sum(
                    np.where(t >= d, np.exp(-(t - d) / 0.008), 0) for d in (0.0, 0.011, 0.022)
                )
                return np.asarray(noise * (bursts + np.exp(-t / decay)) * 0.6)
            return np.asarray(
                (noise + tone * np.sin(2 * np.pi * hertz * t) * np.exp(-t / 0.05))
                * np.exp(-t / decay)
                * 0.7
            )
        if key in (42, 44, 70, 54, 46, 49, 57, 52, 51, 53, 59):
            decay = {
                42: 0.025,
                44: 0.04,
                70: 0.03,
                54: 0.06,
                46: 0.2,
                51: 0.25,
                53: 0.3,
                59: 0.3,
            }.get(key, 0.8) * self._short
            t = seconds(min(2.5, 5 * decay))
            sound = _noise(random, len(t), self._bright * (0.5 if decay > 0.3 else 0.9), 11000)
            if key in (51, 53, 54, 59):
                hertz = random.uniform(2500, 5500)
                sound = (
                    sound * 0.4
                    + sum(np.sin(2 * np.pi * hertz * r * t) for r in (1, 1.48, 2.13)) * 0.25
                )
            rise = 0.008 if key == 70 else 0.0005
            return np.asarray(
                sound
                * np.exp(-t / decay)
                * np.minimum(1, t / rise)
                * (0.35 if decay < 0.1 else 0.3)
            )
        hertz = {
            41: 85,
            43: 95,
            45: 120,
            47: 135,
            48: 160,
            50: 180,
            63: 330,
            62: 350,
            64: 220,
            56: 560,
            75: 2400,
            76: 900,
        }.get(key, 300)
        decay = {56: 0.08, 75: 0.02, 63: 0.07, 62: 0.04, 64: 0.1}.get(key, 0.15)
        t = seconds(5 * decay)
        bend = 0.3 * hertz * 0.03 * (1 - np.exp(-t / 0.03))
        skin = np.sin(2 * np.pi * (hertz * t + bend)) + 0.4 * np.sin(2 * np.pi * 1.5 * hertz * t)
        return np.asarray(skin * np.exp(-t / decay) * 0.6)


@dataclass(frozen=True, slots=True)
class Patch:
    """A sound with pitch: two wave tables that fade into each other, and an envelope."""

    bright: Doubles
    dark: Doubles
    attack: float
    """Seconds."""
    fade: float
    """Seconds after which the bright table has gone to 37 %."""
    decay: float
    """Seconds; 0 holds the note."""
    release: float
    detune: float
    """Ratio of a second voice; 0 is none."""
    vibrato: float
    """Semitones."""
    click: float
    """Loudness of a burst of noise at the attack."""


def _table(weights: Doubles) -> Doubles:
    phase = np.arange(TABLE) / TABLE
    orders = np.arange(1, len(weights) + 1)
    cycle = (weights[:, None] * np.sin(2 * np.pi * orders[:, None] * phase + orders[:, None])).sum(
        0
    )
    return np.asarray(cycle / (np.abs(cycle).max() + 1e-9))


def patch(kind: str, random: Random) -> Patch:
    """A patch of a kind: pluck, keys, pad, bass, lead, organ, drive."""
    orders = np.arange(1, 25)
    tilt = random.uniform(0.6, 2.2)
    weights = orders**-tilt * random.uniform(0.3, 1.0, len(orders))
    if random.random() < 0.3:
        weights[1::2] *= 0.1  # hollow, as a clarinet or a square wave
    dark = weights * orders ** -random.uniform(1.0, 2.5)
    attack, fade, decay, release = {
        "pluck": (0.002, 0.15, 0.5, 0.08), "keys": (0.003, 0.25, 1.0, 0.1), "pad": (0.12, 1.0, 0.0, 0.3),
        "bass": (0.004, 0.1, 1.0, 0.04),
        "lead": (0.01, 1.0, 0.0, 0.06), "organ": (0.006, 9.0, 0.0, 0.03), "drive": (0.002, 0.6, 1.5, 0.03),
    }[kind]  # fmt: skip
    vary = random.uniform(0.5, 2.0, 4)
    return Patch(
        _table(weights), _table(dark), attack * vary[0], fade * vary[1], decay * vary[2], release * vary[3],
        1 + random.uniform(0.002, 0.01) if kind in ("pad", "lead", "drive") and random.random() < 0.6 else 0.0,
        random.uniform(0.1, 0.5) if kind == "lead" and random.random() < 0.6 else 0.0,
        random.uniform(0.05, 0.4) if kind in ("pluck", "keys", "drive", "bass") else 0.0,
    )  # fmt: skip


class Voice:
    """Plays the notes of one part; equal notes are made once."""

    def __init__(self, made: Patch, random: Random) -> None:
        self._patch, self._random = made, random
        self._known: dict[tuple[int, int, int], Sound] = {}

    def note(self, pitch: int, length: float, loudness: float) -> Sound:
        key = (pitch, int(length * 24), int(loudness * 4))
        if key not in self._known:
            self._known[key] = self._make(pitch, (key[1] + 0.5) / 24, (key[2] + 0.5) / 4)
        return self._known[key]

    def _make(self, pitch: int, length: float, loudness: float) -> Sound:
        p = self._patch
        t = seconds(min(length, 6.0) + 3 * p.release)
        hertz = 440 * 2 ** ((pitch - 69) / 12)
        phase = hertz * t
        if p.vibrato:
            phase = phase + hertz * 0.0578 * p.vibrato * (1 - np.cos(2 * np.pi * 5.5 * t)) / (
                2 * np.pi * 5.5
            )
        index = (phase * TABLE).astype(np.int64) % TABLE
        fade = np.exp(-t / (p.fade * (0.4 + loudness)))
        sound = p.bright[index] * fade + p.dark[index] * (1 - fade)
        if p.detune:
            sound = 0.6 * (sound + p.dark[(phase * p.detune * TABLE).astype(np.int64) % TABLE])
        envelope = np.minimum(1, t / p.attack)
        if p.decay:
            envelope = envelope * np.exp(-t / p.decay)
        late = t > length
        envelope[late] *= np.exp(-(t[late] - length) / p.release)
        if p.click:
            count = min(len(t), 200)
            sound[:count] += (
                p.click * self._random.normal(0, 1, count) * np.exp(-np.arange(count) / 60)
            )
        return np.asarray(sound * envelope, np.float32)


VOWELS = (
    (730, 1090, 2440),
    (270, 2290, 3010),
    (300, 870, 2240),
    (530, 1840, 2480),
    (570, 840, 2410),
    (440, 1020, 2240),
)
"""Formants in hertz (Peterson and Barney 1952)."""


class Singer:
    """A voice-like part: vowels, glides between notes, consonants, never quite on time."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._size = random.uniform(0.9, 1.25)
        self._octave = int(random.choice([-12, 0, 0]))
        self._before = 60.0

    def note(self, pitch: int, length: float, loudness: float) -> Sound:
        random = self._random
        goal = float(pitch + self._octave)
        t = seconds(min(max(length, 0.12), 3.0))
        glide = np.exp(-t / 0.04) * (self._before - goal) * random.uniform(0.1, 0.7)
        shake = 0.3 * np.sin(2 * np.pi * 5.6 * t + random.uniform(0, 6)) * np.minimum(1, t / 0.4)
        self._before = goal
        hertz = 440 * 2 ** ((goal + glide + shake - 69) / 12)
        orders = np.arange(1, max(3, int(4500 / hertz.mean())))
        formants = np.array(VOWELS[int(random.integers(len(VOWELS)))]) * self._size
        places = orders * float(hertz.mean())
        gains = sum(
            g / (1 + ((places - f) / (60 + 0.08 * f)) ** 2)
            for f, g in zip(formants, (1, 0.5, 0.25), strict=True)
        )
        table = _table((np.asarray(gains) + 0.02) / orders**0.5)
        sound = table[(np.cumsum(hertz) / RATE * TABLE).astype(np.int64) % TABLE]
        envelope = np.minimum(1, t / random.uniform(0.02, 0.09)) * np.minimum(
            1, (t[-1] - t) / 0.06 + 1e-3
        )
        sound = sound * envelope + 0.03 * random.normal(0, 1, len(t)) * envelope
        if random.random() < 0.5:  # a consonant
            count = min(len(t), int(random.uniform(0.02, 0.09) * RATE))
            sound[:count] += (
                _noise(random, count, 1500, 9000) * np.hanning(count) * random.uniform(0.1, 0.5)
            )
        return np.asarray(sound, np.float32)


KINDS: dict[str, tuple[str, ...]] = {
    "bass": ("bass",), "comp": ("pluck", "keys", "organ", "pluck", "keys"), "second": ("pluck", "keys", "lead", "pad"),
    "pad": ("pad",), "lead": ("lead", "lead", "pluck", "organ"),
}  # fmt: skip


def player(role: str, driven: bool, random: Random) -> Callable[[int, float, float], Sound]:
    """What plays a part: a function of key, seconds and loudness."""
    if role == "voice":
        return Singer(random).note
    kind = "drive" if driven else str(random.choice(KINDS[role]))
    return Voice(patch(kind, random), random).note
