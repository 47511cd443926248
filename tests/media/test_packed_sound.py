"""Packed tracks: the same samples, bit for bit, in a smaller file."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from montage_dask.errors import MediaError
from montage_dask.media.audio import LOUDEST, decode_mono
from montage_dask.media.packed_sound import pack_sound, packed_blocks


@given(
    sound=arrays.arrays(np.float32, st.integers(1, 3000), elements=st.floats(-20, 20, width=32)),
    rate=st.sampled_from([22050, 44100]),
)
def test_any_sound_comes_back_bit_for_bit(tmp_path_factory, sound, rate):
    folder = tmp_path_factory.mktemp("sound")
    soundfile.write(folder / "a.wav", sound, rate, subtype="FLOAT")
    try:
        expected = decode_mono(folder / "a.wav")
    except MediaError:
        return  # shorter than the resampler's delay
    assert pack_sound(folder / "a.wav", folder / "a.flac") == len(expected)
    np.testing.assert_array_equal(np.concatenate(list(packed_blocks(folder / "a.flac"))), expected)
    assert np.abs(expected).max(initial=0) < LOUDEST


def test_long_music_is_small(tmp_path):
    rng = np.random.default_rng(1)
    sound = np.cumsum(rng.normal(size=22050 * 20)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", sound / np.abs(sound).max(), 22050, subtype="FLOAT")
    pack_sound(tmp_path / "a.wav", tmp_path / "a.flac")
    np.testing.assert_array_equal(
        np.concatenate(list(packed_blocks(tmp_path / "a.flac"))), decode_mono(tmp_path / "a.wav")
    )
    assert (tmp_path / "a.flac").stat().st_size < 0.7 * (tmp_path / "a.wav").stat().st_size


def test_other_files_are_refused(tmp_path):
    (tmp_path / "a.flac").write_bytes(b"no sound")
    with pytest.raises(MediaError, match="not a packed track"):
        list(packed_blocks(tmp_path / "a.flac"))
    soundfile.write(tmp_path / "b.flac", np.zeros(100), 44100)
    with pytest.raises(MediaError, match="not a packed track"):
        list(packed_blocks(tmp_path / "b.flac"))
