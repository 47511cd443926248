"""A short dance track for `--demo`, synthesised in NumPy: intro, build, drop and outro, exactly on the grid of its tempo."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

Sound = npt.NDArray[np.float64]
"""Samples, mono of shape (n,) or stereo of shape (2, n)."""

SAMPLE_RATE = 44100
TEMPO_BPM = 124
BARS = 12
"""Two bars of intro, four of build, four of drop, two of outro."""
BEATS = 4 * BARS
TAIL_SECONDS = 0.8
"""Silence and reverb behind the last bar."""

_BUILD, _DROP, _OUTRO = 2, 6, 10
_PROGRESSIONS = (
    ((57, 60, 64, 69), (53, 57, 60, 65), (48, 55, 60, 64), (55, 59, 62, 67)),  # Am F C G
    ((57, 60, 64, 69), (52, 59, 64, 67), (53, 57, 60, 65), (55, 59, 62, 67)),  # Am Em F G
    ((50, 57, 62, 65), (58, 62, 65, 70), (53, 57, 60, 65), (48, 55, 60, 64)),  # Dm Bb F C
)


def beat_seconds(beat: float) -> float:
    """Time of a beat, from the first sample; beat 0 is the first."""
    return beat * 60 / TEMPO_BPM


def _at(beat: float) -> int:
    return round(beat_seconds(beat) * SAMPLE_RATE)


def _seconds(count: int) -> Sound:
    return np.arange(count) / SAMPLE_RATE


def _saw_cycle(brightness: float) -> Sound:
    """One cycle of a band-limited saw, 2,048 values; brightness: how many harmonics pass."""
    phase = np.arange(2048) / 2048
    partials = np.arange(1, 41)
    weights = np.exp(-((partials / brightness) ** 2)) / partials
    cycle: Sound = (weights[:, None] * np.sin(2 * np.pi * partials[:, None] * phase)).sum(axis=0)
    return cycle


def _tone(cycle: Sound, note: float, count: int, phase: float = 0.0) -> Sound:
    """A held note (MIDI number) of `count` samples."""
    steps = (phase + np.arange(count) * (440 * 2 ** ((note - 69) / 12) / SAMPLE_RATE)) % 1.0
    return cycle[(steps * 2048).astype(np.int64)]


def _kick() -> Sound:
    t = _seconds(int(0.32 * SAMPLE_RATE))
    pitch = 48 * t + 160 * 0.030 * (1 - np.exp(-t / 0.030))
    click = np.exp(-t / 0.002) * 0.35
    return np.sin(2 * np.pi * pitch) * np.exp(-t / 0.13) + click * np.sin(2 * np.pi * 1900 * t)


def _clap(rng: np.random.Generator) -> Sound:
    t = _seconds(int(0.25 * SAMPLE_RATE))
    noise = np.diff(rng.normal(size=len(t) + 1))
    bursts = sum(np.where(t >= d, np.exp(-(t - d) / 0.008), 0) for d in (0.0, 0.010, 0.021))
    return noise * (0.30 * bursts + 0.55 * np.exp(-t / 0.07)) * 0.6 + 0.4 * np.sin(
        2 * np.pi * 185 * t
    ) * np.exp(-t / 0.05)


def _hat(rng: np.random.Generator, decay_seconds: float) -> Sound:
    t = _seconds(int(6 * decay_seconds * SAMPLE_RATE))
    bright = np.diff(rng.normal(size=len(t) + 2), n=2)
    return bright * np.exp(-t / decay_seconds) * 0.35


class _Mix:
    """A stereo bus to place sounds on."""

    def __init__(self, count: int) -> None:
        self.sound: Sound = np.zeros((2, count))

    def add(self, beat: float, sound: Sound, gain: float, pan: float = 0.0) -> None:
        """Put a mono sound on a beat; pan -1 (left) … 1 (right), equal power."""
        start = _at(beat)
        sound = sound[: self.sound.shape[1] - start]
        angle = (pan + 1) * np.pi / 4
        sides = np.array([[np.cos(angle)], [np.sin(angle)]]) * np.sqrt(2) * gain
        self.sound[:, start : start + len(sound)] += sides * sound


def _reverb(rng: np.random.Generator, sound: Sound, seconds: float) -> Sound:
    """The sound of a room: convolution with decaying noise, another one on each side."""
    count = int(seconds * SAMPLE_RATE)
    t = _seconds(count)
    # A running mean takes the harshness off the noise, as air does.
    noise = np.stack(
        [np.convolve(rng.normal(size=count), np.ones(6) / 6, "same") for _ in range(2)]
    )
    room = noise * np.exp(-t / (seconds / 5)) * np.minimum(1, t / 0.012)
    room /= np.sqrt((room**2).sum(axis=1, keepdims=True))
    size = 1 << (sound.shape[1] + count).bit_length()
    wet = np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(room, size), size)
    return wet[:, : sound.shape[1]]


def _drums(rng: np.random.Generator, mix: _Mix) -> None:
    kick, clap = _kick(), _clap(rng)
    closed, opened = _hat(rng, 0.018), _hat(rng, 0.07)
    for beat in range(BEATS):
        bar = beat // 4
        full = _DROP <= bar < _OUTRO
        # The bar before the drop holds its breath.
        if (_BUILD <= bar < _OUTRO and bar != _DROP - 1) or beat == 0:
            mix.add(beat, kick, 0.95 if full else 0.8)
        if bar == _OUTRO and beat % 4 in (0, 2):
            mix.add(beat, kick, 0.7)
        if beat % 2 and (full or _BUILD + 2 <= bar < _DROP - 1):
            mix.add(beat, clap, 0.42 if full else 0.26)
        if bar < _OUTRO:
            mix.add(beat + 0.5, opened, 0.22 if full else 0.10, 0.15)
        if bar >= 1 and bar < _OUTRO + 1:
            for sixteenth in range(4):
                accent = (0.10, 0.05, 0.08, 0.06)[sixteenth] * (1.25 if full else 0.8)
                mix.add(beat + sixteenth / 4, closed, accent, -0.25)
    # The roll into the drop: eighths, then sixteenths, ever louder.
    last = 4 * (_DROP - 1)
    for k, step in enumerate([0, 0.5, 1, 1.5, *np.arange(2, 4, 0.25).tolist()]):
        mix.add(last + step, clap, 0.12 + 0.022 * k)


def _tune(mix: _Mix, melody: _Mix, progression: tuple[tuple[int, ...], ...]) -> None:
    """Bass, chords and arpeggio; `melody` is what the room answers to."""
    dark, warm, bright = _saw_cycle(3), _saw_cycle(6), _saw_cycle(16)
    bar_samples = _at(4)
    for bar in range(BARS):
        chord = progression[bar % 4]
        full = _DROP <= bar < _OUTRO
        t = _seconds(bar_samples)
        swell = np.minimum(1, t / 0.08) * np.minimum(1, (t[-1] - t) / 0.06)
        cycle = bright if full else warm
        for k, note in enumerate(chord):
            for detune, pan in ((-0.07, -0.7), (0.0, 0.0), (0.08, 0.7)):
                pad = _tone(cycle, note + detune, bar_samples, phase=0.37 * k + detune) * swell
                melody.add(4 * bar, pad, 0.042 if full else 0.034, pan)
        if _BUILD <= bar < _OUTRO:
            for eighth in range(8):
                short = _at(0.5)
                fall = np.exp(-_seconds(short) / (0.16 if eighth % 2 else 0.11))
                root = chord[0] - 24 + (12 if full and eighth % 4 == 3 else 0)
                mix.add(
                    4 * bar + eighth / 2,
                    _tone(dark if not full else warm, root, short) * fall,
                    0.30 if full else 0.2,
                )
        pattern = (0, 2, 1, 3, 2, 3, 1, 2, 0, 3, 2, 3, 1, 3, 2, 3)
        for sixteenth, degree in enumerate(pattern):
            if bar < 1 and sixteenth % 2:
                continue
            length = _at(0.7)
            pluck = _tone(warm if bar < _DROP else bright, chord[degree] + 12, length)
            pluck = pluck * np.exp(-_seconds(length) / 0.12)
            melody.add(
                4 * bar + sixteenth / 4, pluck, 0.085 if full else 0.06, 0.5 * (-1) ** sixteenth
            )
    if len(progression) == 4:
        lead = (
            (0, 3, 12),
            (1.5, 2, 12),
            (3, 1, 12),
            (4, 3, 12),
            (5.5, 2, 12),
            (6.5, 3, 12),
            (7, 2, 12),
        )
        for start in (4 * _DROP, 4 * (_DROP + 2)):
            for beat, degree, octave in lead:
                chord = progression[(int(start + beat) // 4) % 4]
                length = _at(0.9)
                voice = _tone(bright, chord[degree] + octave, length) + _tone(
                    bright, chord[degree] + octave + 0.09, length
                )
                melody.add(start + beat, voice * np.exp(-_seconds(length) / 0.28), 0.07)


def _riser(rng: np.random.Generator, mix: _Mix) -> None:
    """Noise that grows through the second half of the build, and a crash on the drop."""
    count = _at(8)
    rise = (np.arange(count) / count) ** 2.2
    noise = rng.normal(size=count + 1)
    mix.add(
        4 * (_DROP - 2),
        (np.convolve(noise, np.ones(8) / 8, "same")[1:] * (1 - rise) + np.diff(noise) * rise)
        * rise,
        0.13,
    )
    t = _seconds(int(2.0 * SAMPLE_RATE))
    for bar, gain in ((_BUILD, 0.05), (_DROP, 0.16), (_DROP + 2, 0.08), (_OUTRO, 0.12)):
        mix.add(4 * bar, np.diff(rng.normal(size=len(t) + 1)) * np.exp(-t / 0.5), gain)


def make_track(*, seed: int = 0) -> Sound:
    """The track: stereo of shape (2, n) at `SAMPLE_RATE`, peak 0.89.

    Beat k lies exactly (to the sample) at `beat_seconds(k)`; beats 0, 4, 8, … begin bars.
    """
    rng = np.random.default_rng([seed, 7])
    count = _at(BEATS) + round(TAIL_SECONDS * SAMPLE_RATE)
    drums, melody, bass = _Mix(count), _Mix(count), _Mix(count)
    _drums(rng, drums)
    _tune(bass, melody, _PROGRESSIONS[seed % len(_PROGRESSIONS)])
    _riser(rng, drums)
    # Side chain: bass and chords make room for the kick.
    duck = np.ones(count)
    for beat in range(4 * _BUILD, 4 * _OUTRO):
        start, stop = _at(beat), min(_at(beat + 1), count)
        depth = 0.65 if beat >= 4 * _DROP else 0.45
        duck[start:stop] = 1 - depth * np.exp(-_seconds(stop - start) / 0.11)
    wet = _reverb(rng, melody.sound + 0.12 * drums.sound, 1.6)
    master = drums.sound + duck * (bass.sound + melody.sound) + 0.30 * duck * wet
    master *= np.minimum(1, (count - np.arange(count)) / (0.5 * SAMPLE_RATE))
    master = np.tanh(1.15 * master)
    return master * (0.89 / np.abs(master).max())


def write_track(path: Path, *, seed: int = 0) -> None:
    """Write the track as 16-bit FLAC."""
    import av

    sound = make_track(seed=seed)
    samples = np.round(sound * 32767).astype(np.int16)
    with av.open(str(path), "w", format="flac") as container:
        stream = container.add_stream("flac", rate=SAMPLE_RATE, layout="stereo")
        block = 4608
        for start in range(0, samples.shape[1], block):
            part = np.ascontiguousarray(samples[:, start : start + block].T).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(part, format="s16", layout="stereo")
            frame.sample_rate = SAMPLE_RATE
            frame.pts = start
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
