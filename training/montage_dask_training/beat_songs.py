"""Songs with exactly known beats: scores played by the own synthesiser or a soundfont, then mixed."""

from __future__ import annotations

import tempfile
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from montage_dask.analysis.onset import onset_envelopes
from montage_dask.analysis.tempo import pulse
from montage_dask.media.audio import ANALYSIS_RATE, mono_blocks
from montage_dask.media.ffmpeg import input_arguments, output_argument, run_ffmpeg
from montage_dask_training.beat_data import Track
from montage_dask_training.beat_mix import mix
from montage_dask_training.beat_score import Score, compose
from montage_dask_training.beat_soundfont import DRUM_CHANNEL, Change, Event, render
from montage_dask_training.beat_styles import DRIVEN, HELD_OUT_STYLES, TRAINING_STYLES
from montage_dask_training.beat_synth import Doubles, Kit, Random, Sound, add, player
from montage_dask_training.beat_timing import beat_times, swung

OWN = "own"
"""Style of the user's tracks."""

TAIL_SECONDS = 1.0
"""Behind the last beat."""
FONT_LATE_SECONDS = 0.004
"""Drums and plucked notes of both soundfonts sound so long after their event (median; measured at 10 % of the peak)."""
CODECS = (
    ("libmp3lame", "mp3", ("-b:a", "48k")),
    ("libmp3lame", "mp3", ("-b:a", "96k")),
    ("libvorbis", "ogg", ("-q:a", "0")),
)
CHANNELS = {"bass": 0, "comp": 1, "second": 2, "pad": 3, "lead": 4, "drums": DRUM_CHANNEL}

STYLES = {style.name: style for style in (*TRAINING_STYLES, *HELD_OUT_STYLES)}


@dataclass(frozen=True, slots=True)
class Song:
    """A finished song and its truth."""

    style: str
    samples: Sound
    beats: Doubles
    """Seconds."""
    downbeats: npt.NDArray[np.bool_]
    """Which beats begin a bar."""


@dataclass(slots=True)
class _Played:
    """A score with times: what each part plays."""

    score: Score
    beats: Doubles
    duration: float
    notes: dict[str, list[tuple[float, float, int, float]]]
    """Per role: seconds, length in seconds, key, loudness."""
    by_font: frozenset[str]
    """Parts that the soundfont plays."""


def make_songs(styles: Sequence[str], seed: int, seconds: float, font: str | None) -> list[Song]:
    """One song of each style named.

    Args:
        styles: names of styles.
        seed: draws everything.
        seconds: about the length of each.
        font: a soundfont that plays a part of the music, as `beat_soundfont.soundfont` said; None does without.
    """
    randoms = [np.random.default_rng([seed, number]) for number in range(len(styles))]
    played = [
        _perform(name, random, seconds, font is not None)
        for name, random in zip(styles, randoms, strict=True)
    ]
    from_font = _by_font(played, font, randoms) if font is not None else [{} for _ in played]
    made = []
    for name, song, random, stems in zip(styles, played, randoms, from_font, strict=True):
        samples = _mixed(song, stems, random)
        if random.random() < 0.3:
            samples = _coded(samples, random)
        downbeats = np.zeros(song.score.beats, bool)
        downbeats[song.score.downbeats] = True
        made.append(Song(name, samples, song.beats, downbeats))
    return made


def heard(song: Song) -> Track:
    """A song as it is kept for training."""
    mel, strength = features(song.samples)
    return Track(song.style, mel, strength, song.beats, song.downbeats)


def features(samples: Sound) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float16]]:
    """Mel spectrum and onset strength of samples, as in `beat_data.Track`."""
    envelopes = onset_envelopes([samples])
    return envelopes.mel, pulse(envelopes).astype(np.float16)


def _perform(name: str, random: Random, seconds: float, font: bool) -> _Played:
    """A score of a style, and when everything sounds."""
    style = STYLES[name]
    score = compose(style, random, seconds)
    times = beat_times(score, random) + random.uniform(0.05, 1.5)
    place = random.uniform(*style.swing)
    grid = np.arange(len(times), dtype=float)
    human = 0.0 if style.electronic else random.uniform(0.001, 0.009)
    offsets = {role: random.normal(0, 0.6 * human) for role in CHANNELS}
    notes: dict[str, list[tuple[float, float, int, float]]] = {}
    for role in sorted({note.role for note in score.notes}):
        part = [note for note in score.notes if note.role == role]
        starts = np.array([note.beat for note in part])
        ends = starts + np.array([note.length for note in part])
        begin, end = (
            np.interp(swung(b, place, style.swing_unit), grid, times) for b in (starts, ends)
        )
        late, spread = (
            (random.uniform(0, 0.05), 0.03) if role == "voice" else (offsets[role], human)
        )
        begin = begin + late + random.normal(0, 1, len(part)) * spread
        notes[role] = [
            (max(0.0, float(b)), max(0.05, float(e - b)), note.pitch, note.loudness)
            for b, e, note in zip(begin, end, part, strict=True)
        ]
    by_font: frozenset[str] = frozenset()
    if font and random.random() < 0.7:
        by_font = frozenset(role for role in CHANNELS if random.random() < 0.85)
    return _Played(score, times[:-1], float(times[-1]) + TAIL_SECONDS, notes, by_font)


def _by_font(
    played: Sequence[_Played], font: str, randoms: Sequence[Random]
) -> list[dict[str, Sound]]:
    """Stems by FluidSynth. Each role of all songs is one run: the soundfont is read once, the stems stay apart."""
    starts = np.concatenate([[0.0], np.cumsum([song.duration + 2.0 for song in played])])
    found: list[dict[str, Sound]] = [{} for _ in played]
    # Drums and tonal parts apart: an amplifier distorts only the guitars.
    for role, channel in CHANNELS.items():
        events, changes = [], []
        for song, start in zip(played, starts, strict=False):
            if role not in song.by_font or role not in song.notes:
                continue
            if role != "drums":
                changes.append(Change(float(start), channel, song.score.programs[role], 100))
            for time, length, pitch, loudness in song.notes[role]:
                velocity = int(np.clip(20 + 105 * loudness, 1, 127))
                events.append(
                    Event(
                        float(start) + time, length, channel, int(np.clip(pitch, 0, 127)), velocity
                    )
                )
        if not events:
            continue
        sound = render(font, events, changes, float(starts[-1]))
        for number, song in enumerate(played):
            if role in song.by_font and role in song.notes:
                first = round((starts[number] + FONT_LATE_SECONDS) * ANALYSIS_RATE)
                found[number][role] = sound[first : first + round(song.duration * ANALYSIS_RATE)]
    return found


def _mixed(song: _Played, stems: dict[str, Sound], random: Random) -> Sound:
    length = round(song.duration * ANALYSIS_RATE)
    driven = frozenset(
        role
        for role, program in song.score.programs.items()
        if program in DRIVEN and role not in stems
    )
    parts = {role: np.pad(stem, (0, length - len(stem))) for role, stem in stems.items()}
    for role in sorted(song.notes):
        if role in parts:
            continue
        parts[role] = np.zeros(length, np.float32)
        if role == "drums":
            kit = Kit(random)
            for time, _, key, loudness in song.notes[role]:
                add(parts[role], time, kit.hit(key), loudness**1.5)
        else:
            play = player(role, role in driven, random)
            for time, long, key, loudness in song.notes[role]:
                add(parts[role], time, play(key, long, loudness), loudness)
    kicks = np.array([time for time, _, key, _ in song.notes.get("drums", []) if key in (35, 36)])
    ducked = song.score.style.electronic and random.random() < 0.7
    return mix(parts, driven, kicks, ducked, random)


def _coded(samples: Sound, random: Random) -> Sound:
    """Through a lossy codec and back, as most music has gone."""
    codec, kind, options = CODECS[int(random.integers(len(CODECS)))]
    with tempfile.TemporaryDirectory() as folder:
        plain, coded = Path(folder, "plain.wav"), Path(folder, f"coded.{kind}")
        with wave.open(str(plain), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(ANALYSIS_RATE)
            file.writeframes((samples * 32767).astype("<i2").tobytes())
        run_ffmpeg(
            [*input_arguments(plain, "wav"), "-c:a", codec, *options, output_argument(coded)],
            about=plain,
        )
        found = np.concatenate(list(mono_blocks(coded)))
    out = np.zeros(len(samples), np.float32)
    out[: len(found)] = found[: len(out)]
    return out
