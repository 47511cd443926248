"""All GPU paths against the CPU's, on a machine with an NVIDIA GPU."""

from __future__ import annotations

import numpy as np
import pytest

from montage_dask import devices

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    from makers import film

    from montage_dask.media.probe import probe

    path = tmp_path_factory.mktemp("gpu") / "clip.mp4"
    film(
        path,
        "-c:v",
        "libx264",
        "-preset",
        "veryfast",
        "-pix_fmt",
        "yuv420p",
        frames=200,
        size="640x360",
    )
    return probe(path)


def test_decoding_by_the_gpu_gives_the_same_pictures(clip):
    from montage_dask.media.decode import decode_frames, frame_rgb

    source, index = clip
    for (number, cpu), (other, gpu) in zip(
        decode_frames(source, index, 20, 60),
        decode_frames(source, index, 20, 60, device="cuda"),
        strict=True,
    ):
        assert number == other
        apart = frame_rgb(cpu, 320, 180).astype(int) - frame_rgb(gpu, 320, 180)
        assert np.abs(apart).mean() < 1.0  # NV12 and 4:2:0 are scaled in other orders


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_scores_of_scenes(clip, tmp_path, precision):
    from montage_dask.analysis.strip import Strip, create_strip, write_window
    from montage_dask.analysis.transnet import score_window
    from montage_dask.records import Window

    source, index = clip
    create_strip(tmp_path, source.frames, 200)
    write_window(source, index, Window(0, 0, 200), 200, tmp_path)
    cpu = score_window(Strip(tmp_path), 0, 200, precision="float32")
    gpu = score_window(Strip(tmp_path), 0, 200, device="cuda", precision=precision)
    np.testing.assert_allclose(gpu, cpu, atol=1e-3 if precision == "float32" else 0.03)


def test_onsets():
    from montage_dask.analysis.onset import onset_envelopes
    from montage_dask.analysis.onset_torch import extractor

    noise = np.random.default_rng(0).standard_normal(22_050 * 20).astype(np.float32)
    cpu, gpu = onset_envelopes([noise]), onset_envelopes([noise], extractor("cuda"))
    np.testing.assert_allclose(gpu.flux, cpu.flux, rtol=1e-3, atol=1e-4)


def test_warping():
    from montage_dask.render.stabilise import warp_opencv, warp_torch

    picture = np.random.default_rng(0).integers(0, 256, (90, 160), np.uint8)
    matrix = np.array([[0.98, 0.02, 1.5], [-0.02, 0.98, 0.7]])
    cpu, gpu = warp_opencv(picture, matrix), warp_torch(picture, matrix, device="cuda")
    assert np.abs(cpu.astype(int) - gpu).max() <= 1


@pytest.mark.parametrize("model", ["fidelity", "detail"])
def test_upscaling(model):
    from montage_dask.render.upscale import Upscaler

    pictures = np.random.default_rng(0).integers(0, 256, (1, 48, 64, 3), np.uint8)
    cpu = Upscaler(model, 2, precision="float32").rgb(pictures)
    gpu = Upscaler(model, 2, device="cuda").rgb(pictures)
    assert np.abs(cpu.astype(int) - gpu).mean() < 1.0


def test_memory_that_does_not_suffice_makes_tiles_smaller(monkeypatch):
    import torch

    from montage_dask.render.upscale import Upscaler

    pictures = np.random.default_rng(0).integers(0, 256, (1, 512, 512, 3), np.uint8)
    torch.cuda.empty_cache()
    scarce = Upscaler("fidelity", 2, device="cuda", memory_limit_mb=600, tile=512)
    assert scarce.rgb(pictures).shape == (1, 1024, 1024, 3)


def test_a_limit_that_nothing_fits_into_is_a_failure_of_the_target(monkeypatch):
    import torch

    from montage_dask.errors import TargetFailed

    monkeypatch.setattr(devices._Memory, "limit_mb", 300)
    monkeypatch.setattr(devices._Memory, "capped_mb", None)
    devices.hold_to_limit("cuda")
    try:
        with pytest.raises(TargetFailed):
            devices.shrinking(8, 4, lambda n: torch.empty(n * 200_000_000, device="cuda"))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def test_the_encoder_that_works_encodes_a_segment_exactly(clip, tmp_path):
    from fractions import Fraction

    from montage_dask.media.encoders import encoding, working_encoder
    from montage_dask.records import Event
    from montage_dask.render.segments import Segment, count_frames, render_segment

    encoder, why = working_encoder("h264")
    if encoder is None:
        pytest.skip(f"no GPU encoder works here: {why}")
    source, index = clip
    segment = Segment((Event(0, 50, source.identity, 0, Fraction(0)),), Fraction(25), 320, 180)
    output = tmp_path / "out.mp4"
    render_segment(
        segment,
        {source.identity: source},
        {source.identity: index},
        output,
        fit="contain",
        grade="none",
        encoding=encoding("h264", "standard", encoder=encoder),
        work=tmp_path,
    )
    assert count_frames(output) == 50


def test_a_grade(clip):
    from montage_dask.render.lut_pictures import graded_pictures
    from montage_dask.render.pictures import read_pictures

    source, index = clip
    cpu, gpu = (
        list(graded_pictures(source, "teal-orange", device=d)(read_pictures(source, index, 0, 3)))
        for d in ("cpu", "cuda")
    )
    for one, other in zip(cpu, gpu, strict=True):
        for a, b in ((one.y, other.y), (one.u, other.u), (one.v, other.v)):
            assert np.abs(a.astype(int) - b).max() <= 1
