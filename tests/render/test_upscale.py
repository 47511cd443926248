"""Upscaling: better than interpolation where it should be, the same in tiles, and never a lost worker."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from made_footage import coloured, planes_of
from made_pictures import bicubic, dead_leaves, halved, psnr, spoilt, ssim

from montage_dask.errors import TargetFailed, UsageError
from montage_dask.media.probe import probe
from montage_dask.render.pictures import write_pictures
from montage_dask.render.upscale import Upscaler, needs_upscale, told_colour, upscaled


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(1).integers(0, 256, (1, 40, 56, 3), np.uint8)


def gains(model, spoil):
    """How much a model is nearer to the original than bicubic interpolation: PSNR and SSIM, mean of three pictures."""
    upscaler = Upscaler(model, 2, threads=2)
    found = []
    for seed in range(3):
        original = dead_leaves(seed)
        small = spoil(original, seed)
        ours, simple = upscaler.rgb(small[None])[0], bicubic(small, 2)
        found.append([m(ours, original) - m(simple, original) for m in (psnr, ssim)])
    return np.mean(found, 0)


def test_fidelity_beats_bicubic_on_clean_pictures():
    db, similarity = gains("fidelity", lambda p, _: halved(p))
    assert db > 0.5
    assert similarity > 0.005


def test_detail_beats_bicubic_on_spoilt_pictures():
    db, similarity = gains("detail", spoilt)
    assert db > 0.5
    assert similarity > 0.01


def alike(one, other):
    """The same but for what rounding makes of it: CPUs with bfloat16 add in another order for another size."""
    return one.shape == other.shape and np.abs(one.astype(int) - other).max() <= 1


@pytest.mark.parametrize(("model", "scale"), [("fidelity", 2), ("detail", 2), ("detail", 4)])
def test_the_tile_changes_nothing(noise, model, scale):
    whole = Upscaler(model, scale, threads=2).rgb(noise)
    assert whole.shape == (1, 40 * scale, 56 * scale, 3)
    assert alike(whole, Upscaler(model, scale, tile=24).rgb(noise))
    exact = Upscaler(model, scale, threads=2, precision="float32").rgb(noise)
    assert np.array_equal(exact, Upscaler(model, scale, tile=24, precision="float32").rgb(noise))


def test_a_picture_does_not_depend_on_the_others(noise):
    upscaler = Upscaler("fidelity", 2)
    both = upscaler.rgb(np.concatenate([noise[:, :24, :24], 255 - noise[:, :24, :24]]))
    assert np.array_equal(both[1:], upscaler.rgb(255 - noise[:, :24, :24]))


def test_four_times_by_a_network_for_two(noise):
    twice = Upscaler("fidelity", 2)
    large = Upscaler("fidelity", 4).rgb(noise[:, :20, :20])
    stepwise = twice.rgb(twice.rgb(noise[:, :20, :20]))
    # Not rounded in between.
    assert np.abs(large.astype(int) - stepwise).mean() < 0.5


@pytest.mark.parametrize("model", ["fidelity", "detail"])
def test_reduced_precision_is_close(model):
    small = halved(dead_leaves(5, 64))[None]
    exact = Upscaler(model, 2, precision="float32", threads=2).rgb(small).astype(int)
    for precision in ("bfloat16", "float16"):
        reduced = Upscaler(model, 2, precision=precision, threads=2).rgb(small)
        error = np.abs(exact - reduced)
        assert error.max() <= {"bfloat16": 4, "float16": 1}[precision]
        assert error.mean() < {"bfloat16": 0.5, "float16": 0.1}[precision]
        assert psnr(exact, reduced) > 50


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("model", ["fidelity", "detail"])
def test_a_gpu_agrees_with_the_cpu(model):
    small = halved(dead_leaves(5, 256))[None]
    exact = Upscaler(model, 2, precision="float32", threads=2).rgb(small).astype(int)
    there = Upscaler(model, 2, device="cuda", memory_limit_mb=1024)
    first = there.rgb(small)
    assert np.abs(exact - first).max() <= 2
    assert np.array_equal(first, there.rgb(small))
    tiled = Upscaler(model, 2, device="cuda", memory_limit_mb=1024, tile=48).rgb(small)
    assert np.abs(first.astype(int) - tiled).max() <= 1


def failing(upscaler, times):
    """Its network runs out of memory so many times."""
    network, left = upscaler._network, [times]

    class Full:
        scale, context = network.scale, network.context

        def part(self, *arguments):
            if left[0]:
                left[0] -= 1
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            return network.part(*arguments)

    upscaler._network = Full()
    return upscaler


def test_memory_that_does_not_suffice_means_smaller_tiles(noise):
    upscaler = failing(Upscaler("fidelity", 2, tile=128), 2)
    assert alike(upscaler.rgb(noise), Upscaler("fidelity", 2).rgb(noise))
    assert upscaler.tile == 32


def test_a_device_without_memory_gives_up_for_another(noise):
    with pytest.raises(TargetFailed, match=r"memory of cpu .*2\.00 GiB"):
        failing(Upscaler("fidelity", 2), 99).rgb(noise)


def test_other_failures_of_a_device_are_its_own():
    def broken(*_):
        raise RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED\nmore")

    upscaler = Upscaler("fidelity", 2)
    with pytest.raises(RuntimeError, match="cuDNN"):
        upscaler._with_less_memory(broken)
    upscaler._device = "cuda"
    with pytest.raises(
        TargetFailed, match=r"cuda fails: cuDNN error: CUDNN_STATUS_EXECUTION_FAILED$"
    ):
        upscaler._with_less_memory(broken)


def test_the_tile_follows_from_the_memory(noise):
    upscaler = Upscaler("fidelity", 2)
    upscaler._device = "cuda"
    tiles = [upscaler._tile(mb) for mb in (256, 4096, 65536)]
    assert tiles == sorted(tiles)
    assert tiles[0] ** 2 * upscaler._network.bytes_per_pixel < 256e6


def test_only_two_and_four():
    with pytest.raises(UsageError, match="must be 2 or 4"):
        Upscaler("fidelity", 3)


def test_speed_is_measured():
    assert 1e-9 < Upscaler("fidelity", 2, threads=2).seconds_per_pixel() < 1e-2


@pytest.mark.parametrize(
    ("pixel_format", "space", "range_"),
    [
        ("yuv420p", 1, 1),
        ("yuv420p", 5, 1),
        ("yuv420p", 2, 0),
        ("yuv420p", 1, 2),
        ("yuv420p10le", 9, 1),
    ],
)
def test_video_keeps_its_colours(tmp_path, pixel_format, space, range_):
    """Patches of colour come out as they went in, whatever the matrix, the range and the depth."""
    unit, kind = (4, np.uint16) if pixel_format.endswith("10le") else (1, np.uint8)
    y = np.full((32, 48), 60 * unit, kind)
    y[:, 24:] = 180 * unit
    u, v = np.full((16, 24), 100 * unit, kind), np.full((16, 24), 150 * unit, kind)
    v[:, 12:] = 110 * unit
    film = coloured(
        tmp_path / "patches.mp4", (y, u, v), pixel_format, frames=2, space=space, range_=range_
    )
    source, index = probe(film)
    upscaler, large = Upscaler("fidelity", 2, threads=2), tmp_path / "large.mp4"
    record = write_pictures(
        told_colour(source), index, 0, 2, large,
        transform=lambda p: upscaled(p, upscaler, source), size=(96, 64),
    )  # fmt: skip
    assert record["frames"] == 2
    made, _ = probe(large)
    assert (made.coded_width, made.coded_height) == (96, 64)
    assert made.color_space == ("smpte170m" if space == 2 else source.color_space)
    assert (made.color_range == "pc") == (range_ == 2)
    planes = planes_of(large) if unit == 1 else deep_planes(large)
    for got, given in zip(planes, (y, u, v), strict=True):
        wanted = given.repeat(2, 0).repeat(2, 1)
        middle = wanted.shape[1] // 2
        inner = np.r_[4 : middle - 8, middle + 8 : wanted.shape[1] - 4]
        assert np.abs(got.astype(int) - wanted)[4:-4, inner].max() <= 2 * unit


def deep_planes(path):
    import av

    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        return [
            np.frombuffer(p, np.uint16).reshape(p.height, -1)[:, : p.width] for p in frame.planes
        ]


def test_which_sources_are_too_small(tmp_path):
    grey = [np.full(s, 128, np.uint8) for s in ((32, 48), (16, 24), (16, 24))]
    film = coloured(tmp_path / "a.mp4", grey, "yuv420p")
    source = replace(probe(film)[0], width=640, height=360, sample_aspect=Fraction(1))
    assert needs_upscale(source, 1280, 720)
    assert needs_upscale(source, 960, 540)
    assert not needs_upscale(source, 854, 480)
    # The whole picture must fit: an upright output of a wide source shows it small.
    assert not needs_upscale(source, 720, 1280)
