"""What a small file may make of itself: pixels, hours of sound, and the demuxer that a record names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import dask.config
import numpy as np
import pytest
import soundfile
from makers import film

from montage_dask.errors import MediaError
from montage_dask.media.audio import decode_mono, mono_blocks
from montage_dask.media.container import demuxers, open_media
from montage_dask.media.decode import decode_frames
from montage_dask.media.ffmpeg import input_arguments
from montage_dask.media.limits import picture_limit_pixels
from montage_dask.media.packed_sound import pack_sound
from montage_dask.media.probe import probe


@pytest.fixture
def silence(tmp_path: Path) -> Path:
    """A minute of silence in 1 kB or so: 25 hours would have 170 kB."""
    path = tmp_path / "silence.flac"
    soundfile.write(path, np.zeros(8000 * 60), 8000)
    assert path.stat().st_size < 20_000
    return path


@pytest.mark.parametrize("ending", ["flac", "mp3"])
def test_music_is_decoded_so_far_and_no_further(silence, tmp_path, ending):
    if ending == "mp3":  # its head does not say how long it is
        silence = tmp_path / "silence.mp3"
        soundfile.write(silence, np.zeros(8000 * 60), 8000)
    with dask.config.set({"montage.music-limit-hours": 0.01}):  # 36 s
        for decode in (decode_mono, lambda p: pack_sound(p, tmp_path / "packed.flac")):
            with pytest.raises(MediaError, match=r"more than 0\.01 hours of sound"):
                decode(silence)
        blocks = mono_blocks(silence, 8000)
        heard = 0
        try:
            for block in blocks:
                heard += len(block)
        except MediaError:
            pass
        assert heard <= 36 * 8000
    assert len(decode_mono(silence, 8000)) == 8000 * 60


def test_six_hours_are_the_default(tmp_path):
    path = tmp_path / "long.flac"
    with soundfile.SoundFile(path, "w", 8000, 1, format="FLAC") as file:
        for _ in range(7 * 6):
            file.write(np.zeros(8000 * 600))
    assert path.stat().st_size < 3_000_000
    with pytest.raises(MediaError, match="more than 6 hours"):
        for _ in mono_blocks(path, 8000):
            pass


def test_pictures_that_are_too_large_are_not_decoded(tmp_path):
    path = film(tmp_path / "a.mp4", frames=5, size="320x180")
    assert picture_limit_pixels() == 100_000_000
    with (
        dask.config.set({"montage.picture-limit-megapixels": 0.05}),
        pytest.raises(MediaError, match=r"320×180, more than 0\.05 megapixels"),
    ):
        probe(path)
    assert probe(path)[0].frames == 5


def test_a_stream_does_not_grow_behind_its_header(tmp_path):
    """The header says 160×90; what comes then is refused by the decoder itself."""
    small = film(tmp_path / "small.h264", frames=25, size="160x90")
    large = film(tmp_path / "large.h264", frames=25, size="640x360")
    whole = tmp_path / "whole.h264"
    whole.write_bytes(small.read_bytes() + large.read_bytes())
    with dask.config.set({"montage.picture-limit-megapixels": 0.05}):
        try:
            source, index = probe(whole)
            shown = [f for _, f in decode_frames(source, index, 0, len(index))]
        except MediaError:
            return
        assert shown
        assert {(f.width, f.height) for f in shown} == {(160, 90)}


@pytest.mark.parametrize("name", ["concat", "hls", "lavfi", "image2", "sdp", "mov\nhls", "mov,hls", "", "x"])  # fmt: skip
def test_a_record_names_no_other_demuxer_than_probing_would(tmp_path, name):
    """A store in a received folder may hold records of somebody else's making."""
    path = film(tmp_path / "a.mp4", frames=5)
    source, index = probe(path)
    planted = replace(source, format_name=name)
    for use in (
        lambda: open_media(path, name),
        lambda: input_arguments(path, name),
        lambda: list(decode_frames(planted, index, 0, 5)),
    ):
        with pytest.raises(MediaError, match="which is not done"):
            use()
    assert source.format_name in demuxers().split(",")
