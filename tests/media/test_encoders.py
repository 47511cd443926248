"""Every encoding of the table works, gives equal bytes, and joins with its like by copying."""

import av
import pytest

from montage_dask.errors import TargetFailed, UsageError
from montage_dask.media import encoders
from montage_dask.media.encoders import (
    CODECS,
    QUALITIES,
    available_encoders,
    encoding,
    try_encoder,
)
from montage_dask.media.ffmpeg import run_ffmpeg


def _encode(path, chosen, source="testsrc2=size=192x108:rate=25:duration=0.4"):
    arguments = ["-f", "lavfi", "-i", source, *chosen.arguments(), "-f", "mp4", str(path)]
    run_ffmpeg(arguments, about=path)
    return path


@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize("codec", CODECS)
def test_every_encoding_works_and_is_tagged(tmp_path, codec, quality):
    chosen = encoding(codec, quality)
    path = _encode(tmp_path / "a.mp4", chosen)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        assert stream.codec_context.codec.canonical_name == codec
        assert len(frames) == 10
        assert frames[0].format.name == chosen.pixel_format
        assert int(frames[0].colorspace) == 1
        assert int(frames[0].color_range) == 1
    again = _encode(tmp_path / "b.mp4", encoding(codec, quality))
    assert path.read_bytes() == again.read_bytes()


@pytest.mark.parametrize("codec", CODECS)
def test_different_pictures_have_the_same_stream_header(tmp_path, codec):
    """Only then do segments join by copying."""
    headers = set()
    for n, source in enumerate(("testsrc2", "color=c=red", "mandelbrot")):
        name, _, rest = source.partition("=")
        text = f"{name}={rest + ':' if rest else ''}size=192x108:rate=25"
        path = _encode(
            tmp_path / f"{n}.mp4", encoding(codec, "preview"), f"{text},trim=duration=0.4"
        )
        with av.open(str(path)) as container:
            headers.add(container.streams.video[0].codec_context.extradata)
    assert len(headers) == 1


def test_rate_factor_and_threads_are_part_of_the_encoding():
    one, two = encoding("h264", "standard"), encoding("h264", "standard", crf=30)
    assert one != two
    assert dict(two.options)["crf"] == "30"
    for codec in CODECS:
        assert encoding(codec, "high", threads=1) != encoding(codec, "high", threads=4)


def test_lossless_h264(tmp_path):
    _encode(tmp_path / "a.mp4", encoding("h264", "standard", crf=0))


@pytest.mark.parametrize(
    ("codec", "quality", "crf"),
    [
        ("vp9", "high", None),
        ("h264", "best", None),
        ("h264", "high", 52),
        ("hevc", "high", -1),
        ("av1", "high", 64),
    ],
)
def test_wrong_wishes_are_refused(codec, quality, crf):
    with pytest.raises(UsageError):
        encoding(codec, quality, crf=crf)


def test_an_encoder_is_tried_and_says_why_not():
    assert try_encoder("libx264") == (True, "")
    assert try_encoder("no_such_encoder") == (False, "this ffmpeg was built without it")


def test_all_encoders_are_listed_with_a_reason():
    found = {name: (works, why) for name, works, why in available_encoders()}
    assert found["libx264"] == (True, "")
    assert {"libx265", "libsvtav1", "h264_nvenc"} <= set(found)
    assert all(works or why for works, why in found.values())


@pytest.mark.parametrize(
    "name", ["h264_nvenc", "hevc_nvenc", "av1_nvenc", "h264_vaapi", "hevc_vaapi"]
)
@pytest.mark.parametrize("quality", ["preview", "master"])
def test_a_gpus_encoder_gets_arguments_of_its_own(monkeypatch, tmp_path, name, quality):
    """What is passed; whether it works only a GPU can tell (tests/gpu)."""
    executable = tmp_path / "ffmpeg"
    monkeypatch.setattr(encoders, "find_encoder", lambda _: (executable, ""))
    codec = name.partition("_")[0]
    found = encoding(codec, quality, encoder=name)
    options = dict(found.options)
    assert (found.encoder, found.executable, options["c:v"]) == (name, executable, name)
    assert "crf" not in options
    assert "preset" not in options or options["preset"] in ("p1", "p7")
    assert options["colorspace"] == "bt709"
    deep = quality == "master" and codec != "h264"
    assert found.pixel_format == ("yuv420p10le" if deep else "yuv420p")
    if name.endswith("_vaapi"):
        assert found.upload == ("p010le" if deep else "nv12")
        assert found.device_arguments[0] == "-vaapi_device"
        assert "qp" in options
    else:
        assert found.upload is None
        assert options["forced-idr"] == "1"  # every cut can be started from
    chosen = dict(encoding(codec, quality, crf=31, encoder=name).options)
    assert "31" in (chosen.get("cq"), chosen.get("qp"))


def test_an_encoder_of_another_codec_is_refused():
    with pytest.raises(UsageError, match="hevc_nvenc"):
        encoding("hevc", "standard", encoder="h264_nvenc")


def test_without_a_gpu_no_encoder_of_one_is_found():
    if encoders.working_encoder("h264")[0] is not None:
        pytest.skip("a GPU's encoder works here")
    encoder, why = encoders.working_encoder("h264")
    assert encoder is None
    assert "h264_nvenc: " in why
    assert "h264_vaapi: " in why
    with pytest.raises(TargetFailed, match="h264_nvenc does not work here: "):
        encoding("h264", "standard", encoder="h264_nvenc")
