"""All that a montage needs to know of one track: beats, bars, sections, energy and loudness."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from montage_dask.analysis.bars import Bars, between, find_bars, strength_at
from montage_dask.analysis.beat_network import network
from montage_dask.analysis.beat_this import beat_this_logits
from montage_dask.analysis.beatfile import read_beats
from montage_dask.analysis.beats import extended, regular_grid, to_samples
from montage_dask.analysis.decoding import (
    METRES,
    decode_bars,
    decode_beats,
    rivalry,
    sureness,
    tempo_of,
)
from montage_dask.analysis.octave import settle_octave
from montage_dask.analysis.onset import Envelopes, Floats, onset_envelopes
from montage_dask.analysis.onset_torch import extractor
from montage_dask.analysis.structure import energy_curve, find_sections, frame_energy
from montage_dask.analysis.tempo import Doubles, pulse, tempo_along, tempo_path
from montage_dask.errors import UsageError
from montage_dask.media.audio import ANALYSIS_RATE, Samples, mono_blocks
from montage_dask.media.loudness import measure_loudness
from montage_dask.media.packed_sound import packed_blocks
from montage_dask.media.probe import fingerprint
from montage_dask.records import Music, TempoAlternative

VERSION = 10

TRACKERS = ("auto", "network", "flux", "librosa", "beat-this")
AUTO = "network"
"""What "auto" is; docs/benchmarks.md has both on music that neither was made for."""
FALLBACK_BPM = 120.0
SLOWEST_BPM, FASTEST_BPM = 20.0, 400.0
SLOWEST_BEAT_BPM, FASTEST_BEAT_BPM = 45.0, 230.0
"""What people tap lies between."""
SHORTEST_SECONDS = 3.0
"""Shorter music cannot repeat itself often enough to show a tempo."""
UNCLEAR = 0.12
"""Below this confidence the beat may be an accident: said in a warning."""
NO_BEAT = 0.05
"""Below this confidence there is no beat."""
SURE_ALONE = 0.55
"""What the flux tracker must reach where the network hears no beat: swelling pads and rain reach 0.45."""
RIVAL = 0.6
"""Where the places between the beats are heard so much as the beats, or more, twice the tempo may be meant, or they."""
LEFT_OUT = 0.4
"""Where every second beat is heard so much less than the others, half the tempo may be meant."""
QUIET_PEAK = 1e-3
"""Square root of the power (-60 dBFS) that no music stays under."""


@dataclass(frozen=True, slots=True)
class _Tracked:
    """Beats in seconds and what is known of them."""

    beats: Doubles
    tracker: str
    confidence: float
    alternatives: tuple[TempoAlternative, ...] = ()
    bars: Bars | None = None
    """When a file or a network says so; else they are found in the sound."""
    warnings: tuple[str, ...] = ()


def analyse_music(
    path: str | Path,
    *,
    tracker: str = "auto",
    bpm: float | None = None,
    beats_file: str | Path | None = None,
    beats_per_bar: int | None = None,
    weights: Path | None = None,
    checkpoint: Path | None = None,
    packed: bool = False,
    device: str = "cpu",
) -> Music:
    """Analyse the audio of a file.

    Args:
        path: an audio file, or a video with audio.
        tracker: "network" (the project's own), "flux" (no network: onsets and rules), "librosa", "beat-this", or "auto" (AUTO).
        bpm: a known constant tempo; the beats are then a regular grid that fits the onsets best.
        beats_file: a text file of beats: seconds, and optionally the place in the bar, per line.
        beats_per_bar: when known: 2 to 7; the trackers without a network know 3 and 4.
        weights: of the network, made by `train beats`; None: the package's.
        checkpoint: of Beat This, the user's own.
        packed: the file is one of `media.packed_sound`, which stands in for a track: see `at_home`.
        device: where torch works.

    Raises:
        MediaError: the file has no audio that can be decoded.
        UsageError: an option or a line of the beats file is wrong.
    """
    _check(tracker, bpm, beats_per_bar)
    full = os.path.abspath(path)
    given = read_beats(beats_file) if beats_file is not None else None
    hear = packed_blocks if packed else mono_blocks
    envelopes = onset_envelopes(hear(full), extractor(device))
    duration = Fraction(envelopes.samples, ANALYSIS_RATE)
    strength = pulse(envelopes)
    if given is not None:
        inside = given.seconds < float(duration)
        positions = [p for p, i in zip(given.positions, inside, strict=False) if i]
        bars = _given_bars(positions, beats_per_bar) if positions else None
        outside = int((~inside).sum())
        warnings = (f"{outside} beats of the file lie behind the end of the music",) * (outside > 0)
        tracked = _Tracked(given.seconds[inside], "file", 1.0, (), bars, warnings)
    elif bpm is not None:
        tracked = _Tracked(regular_grid(strength, bpm, float(duration)), "bpm", 1.0)
    else:
        name = AUTO if tracker == "auto" else tracker
        if name in ("network", "beat-this"):
            lift = 0.0
            if name == "network":
                net = network(weights)
                logits, lift = net(envelopes.mel), net.lift
            else:
                logits = beat_this_logits(np.concatenate(list(hear(full))), checkpoint, device)
            tracked = _decoded(logits, lift, name, envelopes, strength, beats_per_bar)
        else:
            tracked = _track(lambda: hear(full), name, envelopes, strength)
    if len(tracked.beats) < 2 and tracked.confidence > 0:
        tracked = _fallback(float(duration), tracked.tracker, "there are fewer than two beats")
    return _music(full, envelopes, strength, tracked, beats_per_bar)


def at_home(music: Music, path: str | Path) -> Music:
    """What was found in a packed track, as the analysis of the track itself.

    Raises:
        MediaError: the track is gone.
    """
    full = os.path.abspath(path)
    loudness = measure_loudness(full)
    return replace(
        music,
        path=full,
        identity=fingerprint(full),
        loudness_lufs=loudness.integrated_lufs,
        true_peak_db=loudness.true_peak_db,
        warnings=(*music.warnings, *loudness.troubles),
    )


def _check(tracker: str, bpm: float | None, beats_per_bar: int | None) -> None:
    if tracker not in TRACKERS:
        raise UsageError(f"tracker {tracker!r}: choose one of {', '.join(TRACKERS)}")
    if bpm is not None and not SLOWEST_BPM <= bpm <= FASTEST_BPM:
        raise UsageError(f"bpm {bpm!r}: must be {SLOWEST_BPM:g} to {FASTEST_BPM:g}")
    if beats_per_bar is not None and beats_per_bar not in METRES:
        raise UsageError(f"beats per bar {beats_per_bar!r}: must be {min(METRES)} to {max(METRES)}")


def _unfit(envelopes: Envelopes, tracker: str) -> _Tracked | None:
    """The fallback for what can hold no beat."""
    duration = envelopes.samples / ANALYSIS_RATE
    if math.sqrt(float(envelopes.power.max(initial=0.0))) < QUIET_PEAK:
        return _fallback(duration, tracker, "the music is silent")
    if duration < SHORTEST_SECONDS:
        return _fallback(duration, tracker, "the music is too short to show a beat")
    return None


def _decoded(
    logits: Floats,
    lift: float,
    name: str,
    envelopes: Envelopes,
    strength: Doubles,
    beats_per_bar: int | None,
) -> _Tracked:
    """Beats and bars from the activations of a network; where it hears none, those that the onsets alone show clearly."""
    unfit = _unfit(envelopes, name)
    if unfit is not None:
        return unfit
    beats = decode_beats(logits[:, 0] + np.float32(lift), strength, envelopes.samples, envelopes)
    confidence = sureness(logits, beats) * _distinct(envelopes)
    if len(beats) < 3 or confidence < NO_BEAT:
        return _second_opinion(name, envelopes, strength)
    bars = decode_bars(logits, beats, beats_per_bar)
    tempo = tempo_along(strength, tempo_of(beats, len(strength)))
    doubts = _doubts(confidence, beats, tempo.alternatives, rivalry(logits, beats))
    return _Tracked(beats, name, confidence, tempo.alternatives, bars, doubts)


def _second_opinion(name: str, envelopes: Envelopes, strength: Doubles) -> _Tracked:
    """Beats of the flux tracker where a network has given up, or the fallback when they are not clear either."""
    found = _track(lambda: (), "flux", envelopes, strength)
    if found.confidence < SURE_ALONE:
        return _fallback(envelopes.samples / ANALYSIS_RATE, name, "no beat was found")
    said = f"the network hears no beat: those of the onsets alone are taken{_asked(found)}"
    return replace(found, warnings=(said,))


def _asked(tracked: _Tracked) -> str:
    """Which tempi are to be chosen from, where there is a choice."""
    tempi = _tempi(_tempo(tracked.beats), tracked.alternatives)
    return f"; {tempi}? Say it with --bpm" if tempi else ""


def _tempo(beats: Doubles) -> float:
    return 60.0 / float(np.median(np.diff(beats)))


def _tempi(tempo: float, others: Iterable[TempoAlternative | float]) -> str:
    """ "62 or 124 BPM": a tempo and the half or double of it that is likeliest; empty without one."""
    for other in others:
        bpm = other if isinstance(other, float) else other.tempo_bpm
        octave = abs(math.log2(bpm / tempo))
        if abs(octave - 1) < 0.05 and SLOWEST_BEAT_BPM <= bpm <= FASTEST_BEAT_BPM:
            low, high = sorted((tempo, bpm))
            return f"{low:.0f} or {high:.0f} BPM"
    return ""


def _doubts(
    confidence: float,
    beats: Doubles,
    alternatives: tuple[TempoAlternative, ...],
    rivals: tuple[float, float] = (0.0, 1.0),
) -> tuple[str, ...]:
    """What speaks against the beats, and how to say what is right.

    Args:
        confidence: of the beats.
        beats: seconds.
        alternatives: other readings of the tempo, the likeliest first.
        rivals: as of `rivalry`.
    """
    tempo = _tempo(beats)
    if confidence < UNCLEAR:
        tempi = _tempi(tempo, alternatives)
        return (f"the beat is unclear{tempi and f' ({tempi}?)'}: say it with --bpm or --beats",)
    between, turns = rivals
    octaves = [tempo * 2] * (between > RIVAL) + [tempo / 2] * (turns < LEFT_OUT)
    tempi = _tempi(tempo, octaves)
    if tempi:
        return (f"{tempi}? {tempo:.0f} is taken: if the cuts feel wrong, say it with --bpm",)
    if between > 1:
        return ("the off-beats are as strong as the beats: if the cuts come between, give --beats",)
    return ()


def _track(
    hear: Callable[[], Iterable[Samples]], name: str, envelopes: Envelopes, strength: Doubles
) -> _Tracked:
    """Beats by a tracker without a network, or the fallback when the music shows none."""
    unfit = _unfit(envelopes, name)
    if unfit is not None:
        return unfit
    duration = envelopes.samples / ANALYSIS_RATE
    tempo = tempo_path(strength)
    if name == "librosa":
        from montage_dask.analysis.librosa_beats import librosa_beats

        beats = extended(librosa_beats(np.concatenate(list(hear()))), duration)
    else:
        tempo, beats = settle_octave(envelopes, strength, tempo)
    confidence = _confidence(strength, beats, tempo.clarity) * _distinct(envelopes)
    if len(beats) < 2 or confidence < NO_BEAT:
        return _fallback(duration, name, "no beat was found")
    doubts = _doubts(confidence, beats, tempo.alternatives)
    return _Tracked(beats, name, confidence, tempo.alternatives, None, doubts)


def _confidence(strength: Doubles, beats: Doubles, clarity: float) -> float:
    """0 … 1: how regular the onsets are, and how much stronger on the beats than between them."""
    if len(beats) < 4:
        return 0.0
    on = strength_at(strength, beats)
    off = strength_at(strength, (beats[1:] + beats[:-1]) / 2)
    contrast = (on.mean() - 0.5 * off.mean()) / (on.mean() + 0.5 * off.mean() + 1e-6)
    return float(np.clip(math.sqrt(max(0.0, clarity) * max(0.0, contrast)), 0.0, 1.0))


def _distinct(envelopes: Envelopes) -> float:
    """0 … 1: whether onsets stand out at all. Noise has few (1.9), music with a beat many (6 up)."""
    peaks = float(np.percentile(envelopes.flux, 98)) / (float(envelopes.flux.mean()) + 1e-9)
    return float(np.clip((peaks - 2.2) / 2.5, 0.0, 1.0))


def _fallback(duration: float, tracker: str, reason: str) -> _Tracked:
    beats = np.arange(0.0, max(duration, 1e-3), 60.0 / FALLBACK_BPM)
    said = f"{reason}: a grid of {FALLBACK_BPM:g} BPM is used instead"
    return _Tracked(beats, tracker, 0.0, (), None, (said,))


def _music(
    path: str,
    envelopes: Envelopes,
    strength: Doubles,
    tracked: _Tracked,
    beats_per_bar: int | None,
) -> Music:
    duration = Fraction(envelopes.samples, ANALYSIS_RATE)
    beats = tracked.beats
    bars = _bars(envelopes, tracked, beats_per_bar)
    exact = tuple(Fraction(int(s), ANALYSIS_RATE) for s in to_samples(beats))
    energy = frame_energy(envelopes)
    on_beats = strength_at(strength, beats)
    loudest = float(np.percentile(on_beats, 95)) + 1e-9
    loudness = measure_loudness(path)
    confident = tracked.confidence > 0
    return Music(
        path=path,
        identity=fingerprint(path),
        duration_seconds=duration,
        tempo_bpm=round(60.0 / float(np.median(np.diff(beats))), 3) if confident else 0.0,
        confidence=round(tracked.confidence, 4),
        alternatives=tracked.alternatives,
        beats_seconds=exact,
        beats_per_bar=bars.beats_per_bar if confident else 0,
        downbeats=tuple(int(i) for i in bars.downbeats),
        beat_energy=tuple(round(float(v), 4) for v in between(energy[:, None], beats)[:, 0]),
        beat_strength=tuple(round(float(v), 4) for v in np.clip(on_beats / loudest, 0, 1)),
        sections=find_sections(envelopes, energy, exact, bars.downbeats, duration),
        energy_curve=energy_curve(envelopes, energy),
        loudness_lufs=loudness.integrated_lufs,
        true_peak_db=loudness.true_peak_db,
        tracker=tracked.tracker,
        warnings=(*tracked.warnings, *loudness.troubles),
    )


def _bars(envelopes: Envelopes, tracked: _Tracked, beats_per_bar: int | None) -> Bars:
    """Bars as a file or a network says, on a fallback every four beats, else from the sound."""
    if tracked.bars is not None:
        return tracked.bars
    if tracked.confidence == 0:
        return Bars(0, np.arange(0, len(tracked.beats), beats_per_bar or 4, dtype=np.int64))
    return find_bars(envelopes, tracked.beats, beats_per_bar)


def _given_bars(positions: list[int], beats_per_bar: int | None) -> Bars:
    metre = beats_per_bar or max(positions)
    downbeats = np.flatnonzero(np.array(positions) == 1).astype(np.int64)
    return Bars(metre if metre in METRES else 0, downbeats)
