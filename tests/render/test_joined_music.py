"""A track fitted to a length: joins lie on bar lines and are not heard, the ending is the track's own, bit for bit."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from made_song import BAR, FIRST, RATE, song

from montage_dask.graph.music_operations import _music_fit
from montage_dask.graph.operation import Context, Request
from montage_dask.media.audio import raw_sound
from montage_dask.media.ffmpeg import run_ffmpeg
from montage_dask.records import MusicFit, from_json, to_json
from montage_dask.render.music_fit import FADE_SAMPLES, cross_fade
from montage_dask.store import Store

PARTS = [("I", 4), ("A", 8), ("B", 8), ("A", 8), ("C", 8), ("E", 4)]


def heard(path):
    raw = b"".join(raw_sound(str(path), RATE))
    return np.frombuffer(raw, np.float32).reshape(-1, 2)


def written(path, samples):
    raw = path.with_suffix(".f32")
    samples.astype("<f4").tofile(raw)
    run_ffmpeg(
        ["-f", "f32le", "-ar", str(RATE), "-ac", "2", "-i", str(raw), "-c:a", "pcm_f32le", str(path)],
        about=path,
    )  # fmt: skip
    raw.unlink()
    return heard(path)


@pytest.fixture(scope="module")
def tracks(tmp_path_factory):
    """Songs as files, each once: (path, samples as they are heard, analysis)."""
    folder = tmp_path_factory.mktemp("songs")
    made = {}

    def track(**options):
        name = str(sorted(options.items()))
        if name not in made:
            samples, music = song(PARTS, **options)
            path = folder / f"{len(made)}.wav"
            made[name] = path, written(path, samples), replace(music, path=str(path))
        return made[name]

    return track


def fit(track, seconds, folder, *, exact=False, start=0):
    """The result's samples, its record, and the pieces."""
    path, _, music = track
    store = Store(folder)
    request = Request(
        "music_fit",
        {"start": str(start), "duration": str(seconds), "exact": exact},
        {"path": str(path), "music": to_json(music)},
    )
    context = Context(store, request.key)
    place = context.file(request, ".wav")
    place.parent.mkdir(parents=True, exist_ok=True)
    record = _music_fit(request, context)
    return heard(place), record, from_json(MusicFit, record["fit"])


AROUND = 2 * FADE_SAMPLES


def flux(samples, line):
    """The most that any 5 ms around a bar line bring in new sound, summed over the spectrum."""
    mono = samples[line - AROUND - 1024 : line + FADE_SAMPLES].mean(1)
    frames = np.lib.stride_tricks.sliding_window_view(mono, 1024)[::240] * np.hanning(1024)
    level = np.log1p(1000 * np.abs(np.fft.rfft(frames)))
    return np.maximum(0, np.diff(level, axis=0)).sum(1).max()


def click(samples, line):
    """The sharpest bend of the wave from before a bar line to just behind it: a gap or a jump has one."""
    part = samples[line - AROUND : line + RATE // 1000].astype(float)
    return np.abs(np.diff(part, 2, axis=0)).max()


def test_whole_phrases_go_whose_edges_match(tracks, tmp_path):
    """I A B A C E: 16 bars less can be had where A goes on as A, and nobody can hear that."""
    track = tracks()
    samples, record, found = fit(track, 26, tmp_path)
    first, second = found.pieces
    assert (second.start_sample - first.stop_sample) == 16 * BAR
    line = (first.stop_sample - FIRST) / BAR
    assert abs(line - round(line)) * BAR < 24  # beats are told in 1/22050 s
    assert round(line) % 4 == 0
    assert 4 < line < 12
    assert "left out" in record["told"]
    assert "bars 9–24 left out, join at 0:08.2" in record["told"]
    # Even within the cross-fade, it is the sound that would have been heard.
    expected = np.concatenate(
        [track[1][: first.stop_sample], track[1][second.start_sample : second.stop_sample]]
    )
    assert np.abs(samples - expected).max() < 1e-5


@pytest.mark.parametrize("seed", [0, 1])
def test_joins_are_exact_to_the_sample_where_beats_are_not(tracks, tmp_path, seed):
    track = tracks(jitter_seconds=0.008, seed=seed)
    _, _, found = fit(track, 26, tmp_path)
    first, second = found.pieces
    assert (second.start_sample - first.stop_sample) == 16 * BAR


@pytest.mark.parametrize("seconds", [14, 31, 70])
def test_length_ending_and_no_click(tracks, tmp_path, seconds):
    """Also where the joins are bad ones: no click, and the last bars are the track's, bit for bit."""
    track = tracks(silence_seconds=3.0)
    _, original, _ = track
    samples, record, found = fit(track, seconds, tmp_path)
    assert record["fits"]
    assert len(samples) == found.samples
    assert abs(len(samples) / RATE - seconds) <= BAR / RATE * 0.52
    for a, b in zip(found.pieces, found.pieces[1:], strict=False):
        lines = [(s - FIRST) / BAR for s in (a.stop_sample, b.start_sample)]
        assert all(abs(x - round(x)) * BAR <= RATE * 0.026 for x in lines)
    last = found.pieces[-1]
    assert last.stop_sample - last.start_sample >= 2 * BAR
    tail = last.stop_sample - last.start_sample
    assert np.array_equal(samples[-tail:], original[last.start_sample : last.stop_sample])
    head = found.pieces[0].stop_sample - FADE_SAMPLES
    assert np.array_equal(samples[:head], original[:head])
    assert len(original) - last.stop_sample > 2 * RATE  # silence behind the ending is none of it
    lines = [FIRST + k * BAR for k in range(1, 40)]
    assert found.joins_seconds
    for at in found.joins_seconds:
        join = round(at * RATE)
        assert flux(samples, join) <= max(flux(original, line) for line in lines)
        assert click(samples, join) <= max(click(original, line) for line in lines)


def test_exact_length_has_silence_behind_the_ending(tracks, tmp_path):
    track = tracks()
    samples, _, found = fit(track, Fraction(265, 10), tmp_path, exact=True)
    assert len(samples) == found.samples >= round(26.5 * RATE)
    played = sum(p.stop_sample - p.start_sample for p in found.pieces)
    assert not samples[played:].any()


def test_a_start_in_the_middle_fades_in(tracks, tmp_path):
    track = tracks()
    samples, _, found = fit(track, 20, tmp_path, start=Fraction(5))
    assert found.pieces[0].start_sample == 5 * RATE
    assert np.abs(samples[:4]).max() < 1e-3
    assert abs(len(samples) / RATE - 20) <= 0.52


@pytest.mark.parametrize("alike", [0.0, 0.5, 1.0])
def test_a_cross_fade_keeps_its_power(alike):
    random = np.random.default_rng(0)
    one, more = random.normal(0, 0.1, (2, 96_000, 2)).astype(np.float32)
    two = alike * one + np.sqrt(1 - alike**2) * more
    mixed = cross_fade(one, two.astype(np.float32))
    power = (mixed.reshape(10, -1) ** 2).mean(1)
    assert np.abs(10 * np.log10(power / 0.01)).max() < 0.3
