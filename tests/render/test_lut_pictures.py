"""Grades by torch: as ffmpeg's but for saturated edges; what they cannot do goes to ffmpeg."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from makers import film

from montage_dask.errors import TargetFailed
from montage_dask.media.decode import decode_frames
from montage_dask.media.encoders import Encoding
from montage_dask.media.probe import probe
from montage_dask.render.lut_pictures import graded_pictures, in_rec709
from montage_dask.render.pictures import even_size, write_pictures
from montage_dask.render.transcode import transcode_window

LOSSLESS = Encoding(
    "libx264", (("preset", "ultrafast"), ("qp", "0"), ("crf", "0"), ("threads", "1")), "yuv420p"
)


@pytest.fixture(params=["bt709", "smpte170m", "full", "turned"])
def clip(request, tmp_path):
    options = {
        "bt709": ("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709"),
        "smpte170m": ("-colorspace", "smpte170m"),
        "full": ("-color_range", "pc", "-colorspace", "bt709"),
        "turned": (),
    }[request.param]
    path = film(
        tmp_path / "a.mp4", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", *options,
        frames=6, size="160x96", filters="gblur=sigma=3",
    )  # fmt: skip
    source, index = probe(path)
    if request.param == "turned":
        source = replace(source, rotation_degrees=90)
    return source, index


def planes(path):
    source, index = probe(path)
    frames = [
        f.to_ndarray(format="yuv420p") for _, f in decode_frames(source, index, 0, len(index))
    ]
    return source, np.stack(frames).astype(int)


@pytest.mark.parametrize("grade", ["teal-orange", "vintage"])
def test_the_pictures_are_those_of_ffmpeg(clip, grade, tmp_path):
    source, index = clip
    by_torch, by_ffmpeg = tmp_path / "torch.mp4", tmp_path / "ffmpeg.mp4"
    transcode_window(source, index, 0, 6, by_ffmpeg, encoding=LOSSLESS, size=None, grade=grade)
    write_pictures(
        in_rec709(source), index, 0, 6, by_torch,
        transform=graded_pictures(source, grade, device="cpu"), size=even_size(source),
        encoding=LOSSLESS, rate=source.frame_rate, upright=True,
    )  # fmt: skip
    (ours, made), (theirs, expected) = planes(by_torch), planes(by_ffmpeg)
    for tag in ("color_space", "color_range", "width", "height", "frame_rate", "frames"):
        assert getattr(ours, tag) == getattr(theirs, tag), tag
    difference = np.abs(made - expected)
    # Saturated edges differ more: chroma is brought to the size of luma by other filters.
    assert np.percentile(difference, 95) <= 2
    assert np.percentile(difference, 99.9) <= 10
    assert difference.mean() < 0.6


def test_a_cube_file_is_applied(clip, tmp_path):
    source, index = clip
    cube = tmp_path / "swap.cube"
    rows = [f"{b / 1} {g / 1} {r / 1}" for b in range(2) for g in range(2) for r in range(2)]
    cube.write_text("LUT_3D_SIZE 2\n" + "\n".join(rows) + "\n")
    picture = next(iter(_read(source, index)))
    (swapped,) = graded_pictures(source, str(cube), device="cpu")(iter([picture]))
    # Red and blue change places: so do the chromas, nearly.
    assert np.corrcoef(swapped.u.ravel(), picture.v.ravel())[0, 1] > 0.9


def _read(source, index):
    from montage_dask.render.pictures import read_pictures

    return read_pictures(source, index, 0, 1)


def test_what_ffmpeg_must_convert_is_left_to_it(clip):
    source, _ = clip
    for other in (
        replace(source, color_transfer="smpte2084", color_primaries="bt2020"),
        replace(source, pixel_format="gbrp"),
    ):
        with pytest.raises(TargetFailed, match="by ffmpeg"):
            graded_pictures(other, "warm", device="cpu")


def test_no_device_is_a_failure_of_the_target(clip):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(TargetFailed, match="no CUDA device"):
        graded_pictures(clip[0], "warm", device="cuda")
