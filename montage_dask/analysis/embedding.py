"""Embeddings of key frames: vectors whose dot product says how much two pictures look alike.

"strip" describes the thumbnails that are there anyway and needs neither a download nor torch; on a GPU the same arithmetic
runs in torch. "clip" and "dino" are networks whose weights the user brings; they see the key frames in full, which must be
decoded for them. "auto" is "strip" on every machine: one job must not mix embeddings.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from montage_dask.analysis import descriptor
from montage_dask.analysis.features import Bytes, Floats
from montage_dask.errors import UsageError, printable

VERSION = 1
"""Raised when the same pictures get other vectors from a network; `descriptor.VERSION` counts for "strip"."""

KINDS = ("auto", "strip", "clip", "dino")

PRECISIONS = ("float32", "bfloat16")

MODELS = {"clip": "openai/clip-vit-base-patch32", "dino": "facebook/dinov2-small"}
"""Names of the weights on the Hugging Face hub when the user names none."""

# What the networks were trained with: CLIP's own, and ImageNet's.
_MEANS = {"clip": (0.4815, 0.4578, 0.4082), "dino": (0.485, 0.456, 0.406)}
_DEVIATIONS = {"clip": (0.2686, 0.2613, 0.2758), "dino": (0.229, 0.224, 0.225)}


def chosen(kind: str) -> str:
    """The embedding behind a setting.

    Raises:
        UsageError: no such embedding.
    """
    if kind not in KINDS:
        raise UsageError(f"embedding {printable(kind)!r} is not one of {', '.join(KINDS)}")
    return "strip" if kind == "auto" else kind


def embed(thumbnails: Bytes, *, device: str = "cpu", precision: str = "float32") -> Floats:
    """The "strip" embedding of pictures.

    Args:
        thumbnails: uint8 [n, 27, 48, 3].
        device: "cpu" (NumPy) or a torch device; vectors of the two agree within 1e-4.
        precision: of torch's arithmetic; dot products in bfloat16 agree within 0.02.

    Returns:
        Unit vectors, float32 [n, 265].
    """
    if device == "cpu" and precision == "float32":
        result: Floats = descriptor.describe(thumbnails.astype(np.float32), np)
        return result
    return embed_torch(thumbnails, device=device, precision=precision)


def embed_torch(thumbnails: Bytes, *, device: str, precision: str = "float32") -> Floats:
    """As `embed`, in torch on any device."""
    import torch

    if precision not in PRECISIONS:
        raise UsageError(
            f"precision {printable(precision)!r} is not one of {', '.join(PRECISIONS)}"
        )
    pixels = torch.from_numpy(np.ascontiguousarray(thumbnails)).to(device)
    with torch.inference_mode():
        vectors = descriptor.describe(pixels.to(getattr(torch, precision)), torch).float()
        return descriptor.unit(vectors, torch).cpu().numpy()


def joined(vectors: Floats) -> tuple[float, ...]:
    """The embedding of a shot from those of its key frames: their mean, of length 1, in four digits."""
    total = vectors.astype(np.float64).sum(axis=0)
    return tuple(round(float(v), 4) for v in total / (np.linalg.norm(total) + 1e-9))


def embed_pictures(
    pictures: Sequence[Bytes], *, kind: str, model: str | None = None, device: str = "cpu"
) -> Floats:
    """Embeddings of full pictures by a network.

    Args:
        pictures: uint8 [height, width, 3] RGB, of any sizes.
        kind: "clip" or "dino".
        model: a folder with the weights (`config.json`, `model.safetensors`), or their name on the hub; see MODELS.
        device: "cpu", "cuda" or "cuda:0".

    Returns:
        Unit vectors, float32 [n, as many as the network gives].

    Raises:
        UsageError: the package or the weights are missing; says what to do.
    """
    import torch
    from torch.nn import functional

    network = _network(kind, model or MODELS[kind], device)
    side = _side(network)
    mean = torch.tensor(_MEANS[kind], device=device)[:, None, None]
    deviation = torch.tensor(_DEVIATIONS[kind], device=device)[:, None, None]
    vectors = []
    with torch.inference_mode():
        # One at a time: a vector must not depend on its batch.
        for picture in pictures:
            x = torch.from_numpy(np.ascontiguousarray(picture)).to(device).permute(2, 0, 1)[None]
            x = functional.interpolate(
                x.float() / 255, (side, side), mode="bilinear", antialias=True
            )
            seen = network.vision_model if kind == "clip" else network
            vector = seen(pixel_values=(x - mean) / deviation).pooler_output
            if kind == "clip":
                vector = network.visual_projection(vector)
            vectors.append(functional.normalize(vector[0].float(), dim=0).cpu().numpy())
    return np.stack(vectors)


def _side(network: Any) -> int:
    """Pixels across and down that a network wants."""
    config = getattr(network.config, "vision_config", network.config)
    return int(config.image_size)


@cache
def _network(kind: str, model: str, device: str) -> Any:
    """A network, loaded once per process."""
    if importlib.util.find_spec("transformers") is None:
        raise UsageError(
            f"embedding {kind} needs the package transformers: pip install 'montage-dask[embeddings]'"
        )
    from transformers import AutoModel

    try:
        network = AutoModel.from_pretrained(model, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"embedding {kind}: no weights at {printable(model)!r}: set embedding-model to a folder "
            f"with config.json and model.safetensors, such as a copy of huggingface.co/{MODELS[kind]}"
        ) from error
    right = hasattr(network, "visual_projection") if kind == "clip" else _gives_one_vector(network)
    if not right:
        raise UsageError(f"embedding {kind}: {printable(model)!r} holds another kind of network")
    return network.eval().to(device)


def _gives_one_vector(network: Any) -> bool:
    return hasattr(network.config, "image_size") and not hasattr(network, "visual_projection")
