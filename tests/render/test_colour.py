"""Planes to colours and back."""

from __future__ import annotations

import av
import numpy as np
import pytest
import torch

from montage_dask.render.colour import WEIGHTS, Colour, from_rgb, to_rgb


@pytest.mark.parametrize("matrix", sorted(WEIGHTS))
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("bit_depth", [8, 10])
@pytest.mark.parametrize("size", [(38, 46), (37, 45)])
def test_there_and_back(matrix, full_range, bit_depth, size):
    """Luma exactly, whatever the chroma; chroma exactly where it is even."""
    colour, unit = Colour(matrix, full_range, bit_depth), 1 << (bit_depth - 8)
    generator = torch.Generator().manual_seed(0)
    half = [(s + 1) // 2 for s in size]

    def code(low, high, shape):
        return torch.randint(low * unit, high * unit, shape, generator=generator, dtype=torch.int16)

    y = code(16, 236, size)
    u, v = code(16, 240, half), code(16, 240, half)
    back = from_rgb(to_rgb((y, u, v), colour), colour)
    assert torch.equal(back[0].to(torch.int16), y)
    assert [p.shape for p in back] == [y.shape, u.shape, v.shape]
    flat = torch.full_like(u, 90 * unit), torch.full_like(v, 170 * unit)
    back = from_rgb(to_rgb((y, *flat), colour), colour)
    assert torch.equal(back[1].to(torch.int16), flat[0])
    assert torch.equal(back[2].to(torch.int16), flat[1])


@pytest.mark.parametrize(("matrix", "number"), [("bt709", 1), ("smpte170m", 5)])
@pytest.mark.parametrize("full_range", [False, True])
def test_colours_are_those_of_ffmpeg(matrix, number, full_range):
    planes = [
        np.full(s, n, np.uint8) for s, n in (((32, 64), 120), ((16, 32), 90), ((16, 32), 150))
    ]
    frame = av.VideoFrame.from_ndarray(
        np.concatenate([p.reshape(-1, 64) for p in planes]), "yuv420p"
    )
    theirs = frame.reformat(
        format="rgb24", src_colorspace=number, src_color_range=2 if full_range else 1
    ).to_ndarray()[8, 8]
    y, u, v = (torch.from_numpy(p) for p in planes)
    ours = to_rgb((y, u, v), Colour(matrix, full_range))[0, :, 8, 8] * 255
    assert np.abs(ours.numpy() - theirs).max() <= 2  # swscale works in whole numbers
