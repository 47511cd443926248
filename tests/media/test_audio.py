"""Audio decoding: exact clock, odd files, clear refusals."""

from __future__ import annotations

import av
import numpy as np
import pytest
import soundfile

from montage_dask.errors import MediaError
from montage_dask.media.audio import decode_mono, has_audio, mono_blocks, probe_audio
from montage_dask.media.ffmpeg import run_ffmpeg
from montage_dask.media.loudness import measure_loudness

CLICK_SECONDS = 0.5


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("audio")


def make(folder, name, *arguments, source="aevalsrc=0.5*gt(t\\,0.5)*sin(3000*t):s=44100:d=2"):
    path = folder / name
    if not path.exists():
        run_ffmpeg(["-f", "lavfi", "-i", source, *arguments, str(path)], about=path)
    return path


def onset_seconds(samples, rate=22050):
    return float(np.flatnonzero(np.abs(samples) > 0.1)[0]) / rate


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.m4a", "a.ogg", "a.mp3", "a.opus"])
def test_a_click_is_where_it_was_recorded(folder, name):
    codec = {"a.ogg": ("-c:a", "vorbis", "-strict", "-2", "-ac", "2")}.get(name, ())
    path = make(folder, name, *codec)
    samples = decode_mono(path)
    assert samples.dtype == np.float32
    assert samples.ndim == 1
    assert abs(onset_seconds(samples) - CLICK_SECONDS) < 0.005
    assert abs(len(samples) / 22050 - 2) < 0.06


def test_blocks_join_to_the_whole_and_are_deterministic(folder):
    path = make(folder, "a.m4a")
    whole = decode_mono(path)
    np.testing.assert_array_equal(np.concatenate(list(mono_blocks(path))), whole)
    assert len(decode_mono(path, 11025)) == pytest.approx(len(whole) / 2, abs=40)


def test_information(folder):
    info = probe_audio(make(folder, "a.m4a"))
    assert (info.codec, info.sample_rate, info.channels) == ("aac", 44100, 1)
    assert info.format_name == "mov"
    assert float(info.duration_seconds) == pytest.approx(2, abs=0.1)
    assert len(info.identity) == 32


def test_audio_of_a_video(folder):
    path = folder / "v.mp4"
    run_ffmpeg(
        [
            "-f",
            "lavfi",
            "-i",
            "testsrc=s=64x64:d=1",
            "-f",
            "lavfi",
            "-i",
            "sine=440:d=1",
            str(path),
        ],
        about=path,
    )
    assert has_audio(path)
    assert len(decode_mono(path)) == pytest.approx(22050, abs=1100)


def test_a_video_without_sound_is_refused(folder):
    path = make(folder, "mute.mp4", source="testsrc=s=64x64:d=1")
    assert not has_audio(path)
    with pytest.raises(MediaError, match="no audio"):
        decode_mono(path)


def test_a_gap_in_the_time_stamps_is_none_in_the_music(folder):
    gap = ("-af", "asetpts='if(gte(T,1),PTS+2/TB,PTS)'", "-c:a", "pcm_s16le")
    path = make(folder, "gap.mkv", *gap, source="sine=440:r=44100:d=2")
    samples = decode_mono(path)
    assert len(samples) / 22050 == pytest.approx(2, abs=0.05)
    assert np.abs(samples).reshape(-1, 2205).max(1).min() > 0.05


def test_a_packet_that_cannot_be_decoded_is_silent_as_long_as_it_says(folder):
    """What comes behind it keeps its place."""
    whole = make(folder, "whole.m4a", source="sine=440:r=44100:d=4")
    with av.open(str(whole)) as container:
        places = [(p.pos, p.size) for p in container.demux(audio=0) if p.size]
    data = bytearray(whole.read_bytes())
    for at, size in places[60:63]:
        data[at : at + size] = b"\xff" * size
    path = folder / "broken.m4a"
    path.write_bytes(bytes(data))
    good, bad = decode_mono(whole), decode_mono(path)
    assert len(bad) == len(good)
    np.testing.assert_allclose(bad[-22050:], good[-22050:], atol=0.001)
    found = measure_loudness(path)
    assert "3 parts of it cannot be decoded, and are silent" in found.troubles[0]
    assert not measure_loudness(whole).troubles


def test_strange_clocks_and_early_ends_are_told(folder):
    gap = ("-af", "asetpts='if(gte(T,1),PTS+2/TB,PTS)'", "-c:a", "pcm_s16le")
    path = make(folder, "gap.mkv", *gap, source="sine=440:r=44100:d=2")
    (said,) = measure_loudness(path).troubles
    assert "up to 2.0 s off" in said
    for name in ("a.wav", "a.flac", "a.m4a", "a.mp3", "a.opus"):
        assert not measure_loudness(make(folder, name)).troubles


def test_not_a_number_becomes_silence(folder):
    path = folder / "nan.wav"
    source = make(folder, "f32.wav", "-c:a", "pcm_f32le", source="sine=440:r=22050:d=0.5")
    data = bytearray(source.read_bytes())
    start = data.rindex(b"data") + 8
    bad = np.frombuffer(data, "<f4", 400, start + 4000)
    bad[:] = np.nan
    path.write_bytes(bytes(data))
    samples = decode_mono(path)
    assert np.isfinite(samples).all()
    assert not samples[1010:1390].any()


def test_a_truncated_file_gives_what_it_has(folder):
    whole = make(folder, "long.mp3", source="sine=440:d=20")
    path = folder / "cut.mp3"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert len(decode_mono(path)) / 22050 == pytest.approx(10, abs=0.5)


@pytest.mark.parametrize("content", [b"", b"hello, this is a text\n" * 20, bytes(range(256)) * 8])
def test_what_is_no_media_is_refused(folder, content):
    path = folder / "bad.mp3"
    path.write_bytes(content)
    assert not has_audio(path)
    with pytest.raises(MediaError, match=r"bad\.mp3"):
        probe_audio(path)


def test_a_missing_file_and_a_folder(folder):
    assert not has_audio(folder / "none.wav")
    assert not has_audio(folder)
    with pytest.raises(MediaError, match="does not exist"):
        decode_mono(folder / "none.wav")


def test_channels_that_nobody_can_mix_are_refused(folder):
    path = folder / "nine.wav"
    soundfile.write(path, np.full((22050, 9), 0.1), 22050)
    with pytest.raises(MediaError, match=r"nine\.wav.*channels"):
        decode_mono(path)


@pytest.mark.parametrize("codec", ["pcm_s16le", "flac", "aac", "pcm_f32le"])
def test_opposite_channels_are_heard(tmp_path, codec):
    """A cable with two wires swapped: left is the negative of right, and their sum is silence."""
    from montage_dask.media.ffmpeg import run_ffmpeg

    suffix = {"aac": "m4a", "flac": "flac"}.get(codec, "wav")
    heard = {}
    for name, right in (("same", ""), ("opposite", "-"), ("quieter", "-0.9*")):
        path = tmp_path / f"{name}.{suffix}"
        tone = "0.5*sin(2000*t)*lt(mod(t\\,0.5)\\,0.1)"
        source = f"aevalsrc={tone}|{right}{tone}:s=44100:d=3"
        run_ffmpeg(["-f", "lavfi", "-i", source, "-c:a", codec, f"file:{path}"], about=path)
        heard[name] = np.abs(decode_mono(path)).reshape(-1)[:60_000]
    assert heard["same"].max() > 0.45
    assert np.abs(heard["opposite"] - heard["same"]).max() < 0.1
    assert heard["quieter"].max() > 0.4


@pytest.mark.parametrize(
    ("layout", "opposite"),
    [
        ("quad", "c0=c0|c1=-1*c0|c2=0*c0|c3=0*c0"),
        ("5.1", "c0=c0|c1=-1*c0|c2=0*c0|c3=0*c0|c4=0*c0|c5=0*c0"),
        ("5.1", "c0=0*c0|c1=0*c0|c2=0*c0|c3=0*c0|c4=c0|c5=-1*c0"),
        ("7.1", "c0=0*c0|c1=0*c0|c2=0*c0|c3=0*c0|c4=0*c0|c5=0*c0|c6=c0|c7=-1*c0"),
    ],
)
@pytest.mark.parametrize("codec", ["pcm_s16le", "flac"])
def test_opposite_channels_of_surround_are_heard(tmp_path, layout, opposite, codec):
    from montage_dask.media.ffmpeg import run_ffmpeg

    path = tmp_path / f"a.{'wav' if codec == 'pcm_s16le' else codec}"
    tone = "aevalsrc=0.5*sin(2000*t):s=44100:d=1"
    pan = f"pan={layout}|{opposite}"
    run_ffmpeg(["-f", "lavfi", "-i", tone, "-af", pan, "-c:a", codec, f"file:{path}"], about=path)
    assert np.abs(decode_mono(path)[2000:]).max() > 0.1


def test_ordinary_stereo_is_mixed_as_ever(tmp_path):
    from montage_dask.media.ffmpeg import run_ffmpeg
    from montage_dask.media.polarity import Polarity

    path = tmp_path / "wide.wav"
    source = (
        "anoisesrc=seed=1:d=2[a];anoisesrc=seed=2:d=2[b];[a][b]join=inputs=2:channel_layout=stereo"
    )
    run_ffmpeg(["-filter_complex", source, f"file:{path}"], about=path)
    import av

    polarity = Polarity()
    with av.open(str(path)) as container:
        assert all(polarity.righted(frame) is frame for frame in container.decode(audio=0))
