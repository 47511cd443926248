"""Pictures made two or four times as large by a network, in tiles that fit into memory.

One picture is worked on at a time, and tiles see as much of their neighbours as a pixel depends on. So a picture comes out the
same whatever the tile and whichever pictures come before it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from montage_dask import models
from montage_dask.devices import MEGABYTE, hold_to_limit, shrinking
from montage_dask.errors import TargetFailed, UsageError
from montage_dask.render.colour import Colour, from_rgb, to_rgb
from montage_dask.render.filters import matrix_of
from montage_dask.render.networks import default_precision, load_network
from montage_dask.render.pictures import UNSPECIFIED, Picture

if TYPE_CHECKING:
    import torch

    from montage_dask.records import Source

T = TypeVar("T")

VERSION = 2
"""Raised when the same pictures come out differently."""

log = logging.getLogger(__name__)

SCALES = (2, 4)

CPU_TILE = 256
"""Side of a tile on a CPU: what is between two convolutions stays near the caches, and below 150 MB."""

SMALLEST_TILE = 32
"""With less, the neighbours that a tile sees cost many times the tile."""

TRIAL = 128
"""Side of the tile that speed is measured with."""

NEEDED = 1.5
"""A shot is upscaled when the output is at least so many times its size."""

Codes = NDArray[np.uint8] | NDArray[np.uint16]


class Upscaler:
    """Enlarges pictures.

    Args:
        model: "fidelity", "detail", or the path of a .pth file with a compact network.
        scale: 2 or 4. A network of another scale is used twice, or its result is averaged down.
        device: "cpu" or "cuda".
        precision: of the network; what is fastest on the device when None.
        memory_limit_mb: memory that tiles on a GPU may take (`gpu-memory-limit`).
        tile: side of a tile in pixels; from the device and the memory when None.
        threads: of the CPU.

    Raises:
        UsageError: the model or the scale is none that can be used.
        TargetFailed: there is no such device.
    """

    def __init__(
        self,
        model: str,
        scale: int,
        *,
        device: str = "cpu",
        precision: str | None = None,
        memory_limit_mb: int = 4096,
        tile: int | None = None,
        threads: int = 1,
    ) -> None:
        if scale not in SCALES:
            raise UsageError(f"scale {scale}: must be 2 or 4")
        self.scale = scale
        self._device, self._threads = device, threads
        hold_to_limit(device, memory_limit_mb)
        self.precision = precision or default_precision(device)
        self._network = load_network(model, device, self.precision)
        self.tile = tile or self._tile(memory_limit_mb)

    def rgb(self, pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Enlarge RGB pictures.

        Args:
            pictures: uint8 [n, height, width, 3].

        Returns:
            uint8 [n, scale × height, scale × width, 3].

        Raises:
            TargetFailed: the device has not enough memory for the smallest tile.
        """
        import torch

        n, height, width, _ = pictures.shape
        result = np.empty((n, height * self.scale, width * self.scale, 3), np.uint8)
        for number, picture in enumerate(pictures):

            def work(picture: NDArray[np.uint8] = picture) -> torch.Tensor:
                given = torch.from_numpy(np.ascontiguousarray(picture)).to(self._device)
                large = self._enlarge(given.permute(2, 0, 1)[None].float() / 255)
                codes = (large[0] * 255).round_().clamp_(0, 255).to(torch.uint8)
                return codes.permute(1, 2, 0).cpu()

            result[number] = self._with_less_memory(work).numpy()
        return result

    def planes(
        self, planes: tuple[Codes, Codes, Codes], colour: Colour
    ) -> tuple[Codes, Codes, Codes]:
        """Enlarge one picture in 4:2:0.

        Args:
            planes: luma [height, width] and both chromas, half of that; uint8, or uint16 for more than 8 bits.
            colour: what they mean, before and after.

        Returns:
            The planes of the enlarged picture, of the same type. Its chroma is as fine as the luma was.

        Raises:
            TargetFailed: the device has not enough memory for the smallest tile.
        """
        import torch

        kind = planes[0].dtype

        def work() -> list[torch.Tensor]:
            # torch computes little with uint16; 10 and 12 bits fit into int16.
            y, u, v = (
                torch.from_numpy(
                    np.ascontiguousarray(p if kind == np.uint8 else p.astype(np.int16))
                )
                for p in planes
            )
            given = to_rgb((y.to(self._device), u.to(self._device), v.to(self._device)), colour)
            return [p.cpu() for p in from_rgb(self._enlarge(given), colour)]

        y, u, v = (p.numpy().astype(kind, copy=False) for p in self._with_less_memory(work))
        return y, u, v

    def seconds_per_pixel(self) -> float:
        """How long a pixel of the source takes here, measured with one small tile."""
        noise = np.random.default_rng(0).integers(0, 256, (1, TRIAL, TRIAL, 3), np.uint8)
        self.rgb(noise)  # the first time is longer: code is generated for the shape
        started = time.perf_counter()
        self.rgb(noise)
        return (time.perf_counter() - started) / TRIAL**2

    def _enlarge(self, picture: torch.Tensor) -> torch.Tensor:
        """float32 [1, 3, height, width] → [1, 3, scale × height, scale × width]."""
        import torch
        from torch.nn import functional

        reached = 1
        with models.torch_threads(self._threads), torch.inference_mode(), _repeatable():
            # Networks know colours of the display only; what video has beyond (highlights above white) is interpolated.
            known = picture.clamp(0, 1)
            beyond = functional.interpolate(
                picture - known, scale_factor=self.scale, mode="bilinear", align_corners=False
            )
            while reached < self.scale:
                times = min(self._network.scale, self.scale // reached)
                known = self._once(known, times).clamp_(0, 1)
                reached *= times
            return known + beyond

    def _once(self, picture: torch.Tensor, times: int) -> torch.Tensor:
        """The network over all tiles; its result is averaged down where it enlarges by more than `times`."""
        import torch
        from torch.nn import functional

        down = self._network.scale // times
        height, width = picture.shape[2:]
        result = torch.empty(1, 3, height * times, width * times, device=picture.device)
        for rows in _cut(height, self.tile):
            for columns in _cut(width, self.tile):
                part = self._network.part(picture, rows, columns)
                if down > 1:
                    part = functional.avg_pool2d(part, down)
                top, left = rows.start * times, columns.start * times
                result[:, :, top : top + part.shape[2], left : left + part.shape[3]] = part
        return result

    def _tile(self, memory_limit_mb: int) -> int:
        if not self._device.startswith("cuda"):
            return CPU_TILE
        # Half of the memory is for whole pictures and other networks.
        pixels = memory_limit_mb * MEGABYTE // 2 // self._network.bytes_per_pixel
        return max(SMALLEST_TILE, int(pixels**0.5) - 2 * self._network.context)

    def _with_less_memory(self, work: Callable[[], T]) -> T:
        """Do it; when memory does not suffice, again with smaller tiles, which stay."""

        def with_tile(tile: int) -> T:
            self.tile = tile
            return work()

        try:
            return shrinking(
                self.tile, SMALLEST_TILE, with_tile, device=self._device, keep="upscale"
            )
        except RuntimeError as error:
            # Of a driver, a library or the device: not what another target would fail of.
            if self._device == "cpu":
                raise
            raise TargetFailed(f"{self._device} fails: {_line(error)}") from error


def upscaled(pictures: Iterator[Picture], upscaler: Upscaler, source: Source) -> Iterator[Picture]:
    """Pictures of a source, enlarged; what `mezzanine.write_pictures` takes as a transform."""
    for picture in pictures:
        colour = Colour.of(source, picture.bits)
        y, u, v = upscaler.planes((picture.y, picture.u, picture.v), colour)
        yield replace(picture, y=y, u=u, v=v)


def told_colour(source: Source) -> Source:
    """A source that says its matrix: for an untold one players go by the size, which changes here."""
    if source.color_space != UNSPECIFIED:
        return source
    return replace(source, color_space=matrix_of(source))


def needs_upscale(source: Source, width: int, height: int) -> bool:
    """Whether a source is so much smaller than an output that upscaling shows.

    Args:
        source: the source.
        width: of the output that the whole picture must fit into.
        height: as width.
    """
    return min(width / source.width, height / source.height) >= NEEDED


def _cut(length: int, tile: int) -> Iterator[slice]:
    """Even parts of at most a tile."""
    parts = -(-length // tile)
    for begin, end in pairwise(length * k // parts for k in range(parts + 1)):
        yield slice(begin, end)


def _line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:200]


def _repeatable() -> AbstractContextManager[Any]:
    """cuDNN is to choose its ways by the shapes alone, not by a race that comes out differently each time."""
    import torch

    cudnn: Any = torch.backends.cudnn
    return cast(
        AbstractContextManager[Any], cudnn.flags(enabled=True, benchmark=False, deterministic=True)
    )
