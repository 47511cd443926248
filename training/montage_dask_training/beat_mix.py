"""From stems to a record: levels, distortion, ducking, equaliser, room, compression, noise and narrow bands, drawn at random."""

from __future__ import annotations

import numpy as np

from montage_dask.media.audio import ANALYSIS_RATE as RATE
from montage_dask_training.beat_synth import Doubles, Random, Sound

LEVELS = {
    "drums": 1.0,
    "bass": 0.65,
    "comp": 0.55,
    "second": 0.4,
    "pad": 0.35,
    "lead": 0.5,
    "voice": 0.75,
}
"""Usual loudness of the parts of a mix."""


def mix(
    stems: dict[str, Sound], driven: frozenset[str], kicks: Doubles, ducked: bool, random: Random
) -> Sound:
    """One mono track of the stems.

    Args:
        stems: samples of each part, all of one length.
        driven: parts that go through a distorting amplifier.
        kicks: seconds of the bass drum.
        ducked: the other parts give way under the kick, as in dance music.
        random: draws what an engineer would decide.
    """
    length = len(next(iter(stems.values())))
    out = np.zeros(length, np.float32)
    duck = _ducking(length, kicks, random.uniform(0.3, 0.9)) if ducked and len(kicks) else None
    for role, stem in stems.items():
        level = _loudness(stem)
        if level < 1e-7:
            continue
        sound = stem / level
        if role in driven:
            sound = _amplifier(sound, random)
        if duck is not None and role not in ("drums", "voice"):
            sound = sound * duck
        usual = LEVELS[role] * (1.3 if role in driven else 1.0)
        out += np.float32(usual * 10 ** (np.clip(random.normal(0, 4.5), -12, 9) / 20)) * sound
    out = _room(out, random)
    if random.random() < 0.6:
        out = _compressed(out, random)
    return _worn(out, random)


def _loudness(sound: Sound) -> float:
    """Root mean square of the louder half-seconds."""
    step = RATE // 2
    count = len(sound) // step
    if not count:
        return float(np.sqrt((sound**2).mean()))
    powers = (sound[: count * step].reshape(count, step) ** 2).mean(1)
    return float(np.sqrt(np.percentile(powers, 75)))


def _ducking(length: int, kicks: Doubles, depth: float) -> Sound:
    gain = np.ones(length, np.float32)
    t = np.arange(round(0.3 * RATE)) / RATE
    dip = (1 - depth * np.exp(-t / 0.09)).astype(np.float32)
    for kick in kicks:
        start = max(0, round(kick * RATE))
        part = dip[: max(0, length - start)]
        gain[start : start + len(part)] = np.minimum(gain[start : start + len(part)], part)
    return gain


def _shaped(sound: Sound, gains: Doubles, hertz: tuple[float, ...]) -> Sound:
    """An equaliser: gains in dB at frequencies, with straight lines (over octaves) between."""
    size = 1 << int(np.ceil(np.log2(len(sound))))
    frequencies = np.maximum(np.fft.rfftfreq(size, 1 / RATE), 20.0)
    curve = 10 ** (np.interp(np.log(frequencies), np.log(hertz), gains) / 20)
    spectrum = np.fft.rfft(sound, size) * curve.astype(np.float32)
    return np.fft.irfft(spectrum, size)[: len(sound)].astype(np.float32)


def _amplifier(sound: Sound, random: Random) -> Sound:
    driven = np.tanh(sound * random.uniform(2, 15))
    top = random.uniform(3000, 6000)
    cabinet = _shaped(
        driven, np.array([-18.0, 0, 2, -2, 4, -25]), (50, 110, 300, 800, top, 2 * top)
    )
    return cabinet / (_loudness(cabinet) + 1e-9)


def _room(sound: Sound, random: Random) -> Sound:
    """Equaliser and reverb of the whole mix in one pass."""
    dry = sound
    gains = np.cumsum(random.normal(0, 2.0, 7))
    dry = _shaped(dry, np.clip(gains - gains.mean(), -9, 9), (40, 100, 250, 700, 1800, 4500, 10000))
    if random.random() < 0.25:
        return dry
    decay = float(random.choice([0.15, 0.4, 0.9, 2.0]))
    t = np.arange(round(min(1.5, 2 * decay) * RATE)) / RATE
    echo = (
        random.normal(0, 1, len(t)) * np.exp(-t / (decay / 3)) * (t > random.uniform(0.002, 0.03))
    )
    size = 1 << int(np.ceil(np.log2(len(sound) + len(t))))
    wet = np.fft.irfft(np.fft.rfft(dry, size) * np.fft.rfft(echo.astype(np.float32), size), size)[
        : len(sound)
    ]
    share = random.uniform(0.03, 0.35)
    return (
        dry + share * wet * (_loudness(dry) / (_loudness(wet.astype(np.float32)) + 1e-9))
    ).astype(np.float32)


def _compressed(sound: Sound, random: Random) -> Sound:
    """Loud passages are turned down, block by block of 5 ms, quickly down and slowly up; then soft clipping."""
    step = RATE // 200
    count = -(-len(sound) // step)
    padded = np.pad(sound, (0, count * step - len(sound)))
    level = np.sqrt((padded.reshape(count, step) ** 2).mean(1)) / (_loudness(sound) + 1e-9)
    fall = np.exp(-1 / (random.uniform(0.03, 0.3) * 200))
    held, envelope = 0.0, np.empty(count)
    for index, value in enumerate(level):
        held = max(float(value), held * fall)
        envelope[index] = held
    ratio = random.uniform(0.3, 0.85)
    gain = np.maximum(envelope, 0.3) ** -ratio
    out = padded * np.interp(np.arange(len(padded)), np.arange(count) * step, gain)
    out = out[: len(sound)] / (_loudness(out.astype(np.float32)) + 1e-9)
    drive = random.uniform(0.3, 2.0)
    return (np.tanh(out * drive) / drive).astype(np.float32)


def _worn(sound: Sound, random: Random) -> Sound:
    """Noise, hum, crackle, narrow bands, few bits; then the loudness of a record, from quiet to clipped."""
    sound = sound / (_loudness(sound) + 1e-9)
    if random.random() < 0.5:
        noise = random.normal(0, 1, len(sound)).astype(np.float32)
        if random.random() < 0.5:
            noise = _shaped(noise, np.array([12.0, 0, -12]), (60, 1000, 8000))
        sound = sound + 10 ** (random.uniform(-60, -22) / 20) * noise
    if random.random() < 0.05:
        crackle = (random.random(len(sound)) < 3e-4) * random.normal(0, 0.5, len(sound))
        sound = sound + crackle.astype(np.float32)
    if random.random() < 0.15:
        low, high = random.uniform(50, 400), random.uniform(2500, 8000)
        sound = _shaped(sound, np.array([-40.0, 0, 0, -40]), (low / 3, low, high, high * 1.6))
    sound = sound * np.float32(10 ** (random.uniform(-30, -9) / 20))
    if random.random() < 0.06:
        sound = (np.round(sound * 128) / 128).astype(np.float32)
    return np.clip(sound, -1.0, 1.0).astype(np.float32)
