"""Windows of one file, encoded alone and joined: every frame once, at its time, with its sound."""

from fractions import Fraction
from itertools import accumulate
from pathlib import Path

import av
import numpy as np
import pytest
from made_footage import VFR_STEPS, coloured, luma_frames, number_of, numbered, planes_of
from test_audio_render import RATE, clicks, read_sound, write_sound

from montage_dask.errors import MediaError, VerificationError
from montage_dask.media.encoders import encoding
from montage_dask.media.ffmpeg import run_ffmpeg
from montage_dask.media.probe import probe
from montage_dask.render.grade import graded, write_preset
from montage_dask.render.transcode import join_transcode, transcode_window
from montage_dask.render.verify import facts

ENCODING = encoding("h264", "preview", crf=16)
FRAMES = 120


def transcoded(path, folder, *, window=50, size=None, audio="none", suffix=".mp4", how=ENCODING):
    source, index = probe(path)
    parts = []
    for n, start in enumerate(range(0, source.frames, window)):
        parts.append(folder / f"w{n}.mp4")
        stop = min(start + window, source.frames)
        record = transcode_window(source, index, start, stop, parts[-1], encoding=how, size=size)
        assert record["frames"] == stop - start
    output = folder / f"done{suffix}"
    record = join_transcode(source, index, parts, output, audio=audio)
    assert record["frames"] == source.frames
    return source, index, output, record


def times_of(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        times = sorted(p.pts * stream.time_base for p in container.demux(stream) if p.size)
    return [t - times[0] for t in times]


PLANES = [
    np.full(size, value, np.uint8)
    for size, value in (((96, 160), 90), ((48, 80), 100), ((48, 80), 170))
]


@pytest.mark.parametrize("grade", ["vibrant", "warm", "my look.cube"])
@pytest.mark.parametrize(
    ("space", "range_"), [(1, 1), (6, 1), (1, 2)], ids=["bt709", "bt601", "full"]
)
def test_a_graded_file_shows_the_grade_in_rec709(tmp_path, grade, space, range_):
    path = coloured(tmp_path / "in.mp4", PLANES, "yuv420p", space=space, range_=range_)
    name = str(tmp_path / grade) if grade.endswith(".cube") else grade
    if name != grade:
        write_preset("teal-orange", Path(name))
    source, index = probe(path)
    part = tmp_path / "out.mp4"
    transcode_window(source, index, 0, 5, part, encoding=ENCODING, size=None, grade=name)
    weights = {1: (0.2126, 0.0722), 6: (0.299, 0.114)}
    before = to_rgb([p[0, 0] for p in PLANES], *weights[space], full=range_ == 2)
    after = to_rgb([p[20, 20] for p in planes_of(part)], *weights[1])
    np.testing.assert_allclose(after, graded(name, before), atol=3.5 / 255)
    made, _ = probe(part)
    assert (made.color_space, made.color_primaries, made.color_range) == ("bt709", "bt709", "tv")


def to_rgb(values, red, blue, *, full=False):
    """R'G'B' (0 … 1) of Y'CbCr code values, by the weights of red and blue in luma."""
    luma = values[0] / 255 if full else (values[0] - 16.0) / 219
    cb, cr = ((v - 128.0) / (255 if full else 224) for v in values[1:])
    r, b = luma + 2 * (1 - red) * cr, luma + 2 * (1 - blue) * cb
    return np.array([r, (luma - red * r - blue * b) / (1 - red - blue), b])


@pytest.mark.parametrize(
    ("name", "rate", "options"),
    [
        ("a.mp4", Fraction(25), dict(b_frames=3, gop=30)),
        ("a.mkv", Fraction(24000, 1001), dict(b_frames=2)),
        ("a.webm", Fraction(30), dict(codec="libvpx")),
        ("a.ts", Fraction(50), dict(b_frames=2)),
        ("a.avi", Fraction(25), dict(codec="mpeg4")),
    ],
)
@pytest.mark.parametrize("window", [50, 37])
def test_constant_rate_stays_constant(tmp_path, name, rate, options, window):
    path = numbered(tmp_path / name, FRAMES, rate=rate, **options)
    _, _, output, _ = transcoded(path, tmp_path, window=window)
    assert [number_of(f) for f in luma_frames(output)] == list(range(FRAMES))
    assert times_of(output) == [n / rate for n in range(FRAMES)]
    assert facts(output).fps == rate


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_variable_rate_keeps_every_time(tmp_path, suffix):
    steps = [VFR_STEPS[n % len(VFR_STEPS)] for n in range(FRAMES - 1)]
    path = numbered(
        tmp_path / f"vfr{suffix}",
        FRAMES,
        pts=list(accumulate(steps, initial=0)),
        time_base=Fraction(1, 1000),
        rate=Fraction(30),
        b_frames=2,
    )
    source, index, output, _ = transcoded(path, tmp_path, suffix=suffix)
    assert not source.constant_frame_rate
    assert [number_of(f) for f in luma_frames(output)] == list(range(FRAMES))
    wanted = [index.time_seconds(n) for n in range(FRAMES)]
    assert max(abs(a - b) for a, b in zip(times_of(output), wanted, strict=True)) <= Fraction(
        1, 1000
    )


@pytest.mark.parametrize(("audio", "done"), [("copy", "copy"), ("aac", "aac"), ("none", "none")])
@pytest.mark.parametrize("late", [0.0, 0.48])
def test_sound_stays_with_the_picture(tmp_path, audio, done, late):
    """A burst of sound comes as long after the first picture as before."""
    wav = write_sound(tmp_path / "m.wav", clicks(4, 1.0, 0.5))
    silent = numbered(tmp_path / "silent.mp4", FRAMES, b_frames=2)
    path = tmp_path / "in.mp4"
    inputs = [
        "-i",
        str(silent),
        "-itsoffset",
        str(late),
        "-i",
        str(wav),
        "-map",
        "0:v",
        "-map",
        "1:a",
    ]
    codecs = ["-c:v", "copy", "-c:a", "aac", "-metadata", "title=Holiday"]
    run_ffmpeg([*inputs, *codecs, str(path)], about=path)
    source, _, output, record = transcoded(path, tmp_path, audio=audio)
    assert record["audio"] == done
    with av.open(str(output)) as container:
        assert container.metadata.get("title") == "Holiday" or audio == "none"
        assert bool(container.streams.audio) == (audio != "none")
    if audio == "none":
        return

    def burst(file):
        with av.open(str(file)) as container:
            at = []
            for frame in container.decode(audio=0):
                loud = np.flatnonzero(np.abs(frame.to_ndarray()).max(axis=0) > 0.2)
                if len(loud):
                    at.append(frame.pts * frame.time_base + Fraction(int(loud[0]), RATE))
                    break
        with av.open(str(file)) as container:
            first = next(container.decode(video=0))
        return float(at[0] - first.pts * first.time_base)

    assert abs(burst(output) - burst(path)) < 0.003
    assert source.audio is not None
    assert len(read_sound(output)) > 0


def test_sound_that_the_container_cannot_hold_is_encoded(tmp_path):
    wav = write_sound(tmp_path / "m.wav", clicks(4, 1.0))
    silent = numbered(tmp_path / "silent.mkv", 50)
    path = tmp_path / "in.mkv"
    run_ffmpeg(
        ["-i", str(silent), "-i", str(wav), "-c:v", "copy", "-c:a", "pcm_s24be", str(path)],
        about=path,
    )
    record = transcoded(path, tmp_path, audio="copy", suffix=".mp4")[3]
    assert record["audio"] in ("copy", "aac")
    with av.open(str(tmp_path / "done.mp4")) as container:
        assert container.streams.audio


def test_box_aspect_and_rotation(tmp_path):
    planes = [np.full((96, 160), 120, np.uint8), *[np.full((48, 80), 128, np.uint8)] * 2]
    still = coloured(tmp_path / "still.mp4", planes, "yuv420p", aspect=Fraction(2), frames=10)
    path = tmp_path / "turned.mp4"
    run_ffmpeg(["-display_rotation", "90", "-i", str(still), "-c", "copy", str(path)], about=path)
    source = probe(path)[0]
    assert (source.width, source.height) == (96, 320)
    _, _, output, _ = transcoded(path, tmp_path)
    made = probe(output)[0]
    assert (made.width, made.height, made.rotation_degrees) == (96, 320, 0)
    _, _, output, _ = transcoded(path, tmp_path, size=(100, 100))
    made = probe(output)[0]
    assert (made.width, made.height, made.rotation_degrees) == (30, 100, 0)


def test_colour_tags_and_depth_stay(tmp_path):
    planes = [np.full((96, 160), 500, np.uint16), *[np.full((96, 160), 512, np.uint16)] * 2]
    path = coloured(
        tmp_path / "hdr.mkv", planes, "yuv444p10le", space=9, primaries=9, transfer=16, range_=1
    )
    made = probe(transcoded(path, tmp_path, how=encoding("hevc", "preview"))[2])[0]
    assert (made.color_space, made.color_primaries, made.color_transfer) == (
        "bt2020nc",
        "bt2020",
        "smpte2084",
    )
    assert made.bit_depth == 10


def test_odd_sizes_and_alpha(tmp_path):
    planes = [np.full((95, 161), 120, np.uint8), *[np.full((95, 161), 128, np.uint8)] * 2]
    path = coloured(tmp_path / "odd.mkv", planes, "yuv444p")
    made = probe(transcoded(path, tmp_path)[2])[0]
    assert (made.width, made.height) == (162, 96)


def test_windows_and_whole_are_alike(tmp_path):
    """The same number of frames and nearly the same size, whatever the window."""
    path = tmp_path / "in.mp4"
    run_ffmpeg(
        ["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=12", str(path)], about=path
    )
    how = encoding("h264", "standard")
    whole = transcoded(path, tmp_path, window=10_000, how=how)[2].stat().st_size
    split = transcoded(path, tmp_path, window=150, how=how)[2].stat().st_size
    assert abs(split / whole - 1) < 0.05


def test_missing_parts_and_a_lost_source(tmp_path):
    path = numbered(tmp_path / "in.mp4", 60)
    source, index = probe(path)
    part = tmp_path / "w.mp4"
    transcode_window(source, index, 0, 30, part, encoding=ENCODING, size=None)
    with pytest.raises(VerificationError, match="30 frames instead of 60"):
        join_transcode(source, index, [part], tmp_path / "out.mp4", audio="none")
    assert not (tmp_path / "out.mp4").exists()
    path.unlink()
    with pytest.raises(MediaError, match=r"in\.mp4"):
        transcode_window(source, index, 30, 60, part, encoding=ENCODING, size=None)
