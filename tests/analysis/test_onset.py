"""Onset envelopes: same bits however the stream arrives, onsets where they are."""

from __future__ import annotations

import numpy as np
import pytest
from made_music import RATE, click_track, regular

from montage_dask.analysis.onset import BLOCK, FRAME_RATE, HOP, onset_envelopes


@pytest.fixture(scope="module")
def track():
    return click_track(regular(120, 30), 30)


@pytest.mark.parametrize("pieces", [1, 7, 1000])
def test_any_pieces_give_the_same_bits(track, pieces):
    whole = onset_envelopes([track])
    parts = onset_envelopes(np.array_split(track, pieces))
    for name in ("flux", "low_flux", "power", "low_power", "timbre", "mel"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(parts, name))
    assert parts.samples == len(track)


def test_a_block_does_not_depend_on_what_follows(track):
    whole = onset_envelopes([track])
    start = onset_envelopes([track[: (BLOCK + 10) * HOP]])
    np.testing.assert_array_equal(whole.flux[:BLOCK], start.flux[:BLOCK])


@pytest.mark.parametrize("samples", [0, 1, HOP, BLOCK * HOP - 1, BLOCK * HOP, BLOCK * HOP + 1])
def test_one_frame_per_hop(samples):
    found = onset_envelopes([np.zeros(samples, np.float32)])
    assert len(found) == samples // HOP + 1
    assert not found.flux.any()


@pytest.mark.parametrize("at", [0.5, 1.003, 11.88, 11.9, 12.5])
def test_an_attack_peaks_at_its_time(at):
    samples = np.zeros(RATE * 14, np.float32)
    start = round(at * RATE)
    samples[start : start + 2000] = np.random.default_rng(0).normal(0, 0.2, 2000)
    flux = onset_envelopes([samples]).flux
    assert abs(flux.argmax() / FRAME_RATE - at) < 1.01 / FRAME_RATE


def test_low_and_high_sounds_are_told_apart():
    time = np.arange(RATE) / RATE
    for hertz, low in ((60, True), (2000, False)):
        samples = np.zeros(RATE * 2, np.float32)
        samples[RATE:] = 0.3 * np.sin(2 * np.pi * hertz * time) * np.minimum(1, time / 0.01)
        found = onset_envelopes([samples])
        steady = slice(round(1.4 * FRAME_RATE), round(1.8 * FRAME_RATE))
        share = found.low_power[steady].mean() / found.power[steady].mean()
        assert (share > 0.9) == low
        assert (share < 0.1) != low


def test_what_a_gpu_hears_is_the_same():
    """Torch and torchaudio, which work on GPUs, agree with NumPy within rounding; the steps of the mel spectrum are equal."""
    from montage_dask.analysis.onset import NEEDED, extract_block
    from montage_dask.analysis.onset_torch import Extractor

    rng = np.random.default_rng(3)
    block = (rng.normal(size=NEEDED) * np.linspace(0, 0.5, NEEDED)).astype(np.float32)
    (here, mel), (there, same) = extract_block(block), Extractor("cpu")(block)
    np.testing.assert_allclose(here, there, rtol=1e-3, atol=1e-5)
    assert np.abs(mel.astype(int) - same).max() <= 1
    assert (mel != same).mean() < 1e-3
