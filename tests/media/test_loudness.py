"""Loudness against values that follow from the standard."""

from __future__ import annotations

import numpy as np
import pytest
from makers import write_wav

from montage_dask.errors import MediaError
from montage_dask.media.loudness import Loudness, measure_loudness, parse_summary


@pytest.mark.parametrize("level_db", [-20.0, -33.0])
def test_a_tone_has_its_loudness(tmp_path, level_db):
    rate = 48000
    time = np.arange(5 * rate) / rate
    tone = 10 ** (level_db / 20) * np.sin(2 * np.pi * 997 * time)
    found = measure_loudness(write_wav(tmp_path / "tone.wav", tone, rate))
    # EBU R128: a 997 Hz sine on one channel reads 3.01 LU below its peak level.
    assert found.integrated_lufs == pytest.approx(level_db - 3.01, abs=0.15)
    assert found.true_peak_db == pytest.approx(level_db, abs=0.15)


def test_silence(tmp_path):
    found = measure_loudness(write_wav(tmp_path / "silence.wav", np.zeros(48000)))
    assert found.integrated_lufs == -70.0
    assert found.true_peak_db <= -70.0


def test_what_is_no_audio_is_refused(tmp_path):
    (tmp_path / "x.wav").write_text("nothing")
    with pytest.raises(MediaError, match=r"x\.wav"):
        measure_loudness(tmp_path / "x.wav")


@pytest.mark.parametrize(
    "lines", [[], ["  Integrated loudness:", "    I:         nan LUFS", "    Peak:      -inf dBFS"]]
)
def test_a_summary_without_values_is_silence(lines):
    assert parse_summary(lines).integrated_lufs == -70.0
    assert parse_summary(lines).true_peak_db == -120.0


def test_the_last_summary_counts():
    """ffmpeg prints one per filter; and lines of the log may lie before it."""
    text = ["Summary:", "  Integrated loudness:", "    I: -70.0 LUFS", "Summary:"]
    text += [
        "  Integrated loudness:",
        "    I:   -14.2 LUFS",
        "  True peak:",
        "    Peak:   -1.3 dBFS",
    ]
    assert parse_summary(text) == Loudness(-14.2, -1.3)
