"""The scene network in torch, and how it learns; `analysis/scene_network.py` computes the same without torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from montage_dask.analysis import scene_features
from montage_dask.analysis.scene_features import DISTANCES, FEATURES, LAGS, PAIRS, REACH
from montage_dask.analysis.scene_network import (
    CHANNELS,
    DILATIONS,
    EMBEDDING,
    HEADS,
    HIDDEN,
    KIND_HEADS,
)

BATCH, CROP = 6, 256
"""Sequences in a step, and frames of each."""

STEPS_A_LEG = {"default": 150, "tiny": 3}

LEARNING_RATE = 2.5e-3

EMA = 0.995
"""Of the weights that are kept at the end."""


class SceneNetwork(nn.Module):
    """Thumbnails and their features to logits per frame: one for a transition, one for its middle, four for its kind."""

    def __init__(self) -> None:
        super().__init__()
        one, two, three = CHANNELS
        self.conv1 = nn.Conv2d(6, one, 3, stride=3)
        self.conv2 = nn.Conv2d(one, two, 3, stride=2, padding=1)
        self.conv3 = nn.Conv2d(two, three, 3, stride=2, padding=1)
        self.embed = nn.Linear(three * 12, EMBEDDING)
        self.join = nn.Linear(EMBEDDING + FEATURES + PAIRS, HIDDEN)
        self.time = nn.ModuleList(
            nn.Conv1d(HIDDEN, HIDDEN, 3, padding=d, dilation=d) for d in DILATIONS
        )
        self.heads = nn.Linear(HIDDEN, HEADS)

    def forward(self, frames: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
        """Logits.

        Args:
            frames: uint8 [batch, time, 27, 48, 3].
            given: float32 [batch, time, FEATURES], from `scene_features.features`.

        Returns:
            float32 [batch, time, HEADS].
        """
        batch, time = frames.shape[:2]
        # Pictures beside their changes, in one array: it is the largest that there is.
        joined = torch.zeros((*frames.shape[:4], 6), device=frames.device)
        pictures, change = joined[..., :3], joined[..., 3:]
        pictures.copy_(frames).div_(255)
        torch.sub(pictures[:, 1:], pictures[:, :-1], out=change[:, 1:]).mul_(4)
        pictures.sub_(0.5)
        x = joined.flatten(0, 1).permute(0, 3, 1, 2)
        for layer in (self.conv1, self.conv2, self.conv3):
            x = torch.relu(layer(x))
        # Rows, columns, channels: the order in which NumPy has them.
        look = self.embed(x.permute(0, 2, 3, 1).flatten(1)).view(batch, time, -1)
        x = torch.cat([torch.relu(look), given, _pairs(functional.normalize(look, dim=2))], 2)
        x = torch.relu(self.join(x)).transpose(1, 2)
        for layer in self.time:
            x = x + torch.relu(layer(x))
        return torch.as_tensor(self.heads(x.transpose(1, 2)))


def _pairs(looks: torch.Tensor) -> torch.Tensor:
    """Likeness of frames t−k, t and t+k: [batch, time, PAIRS]; the ends stand in for what lies outside."""
    time = looks.shape[1]
    ends = torch.arange(-REACH, time + REACH, device=looks.device).clamp(0, time - 1)
    longer = looks[:, ends]
    here = slice(REACH, REACH + time)
    kinds: list[list[torch.Tensor]] = [[], [], []]
    for k in DISTANCES:
        before = longer[:, REACH - k : REACH - k + time]
        after = longer[:, REACH + k : REACH + k + time]
        kinds[0].append((longer[:, here] * before).sum(2))
        kinds[1].append((longer[:, here] * after).sum(2))
        kinds[2].append((before * after).sum(2))
    return torch.stack([x for kind in kinds for x in kind], 2)


@dataclass(frozen=True, slots=True)
class Data:
    """What is learnt from, in memory."""

    frames: NDArray[np.uint8]
    """[sequences, time, 27, 48, 3]."""
    features: NDArray[np.float32]
    """[sequences, time, FEATURES]."""
    labels: NDArray[np.float32]
    """[sequences, time, 4]: in a transition, in its middle, kind (0 … 3), weight of the frame."""


def load(parts: Sequence[Path]) -> Data:
    """Read parts, and work out features and labels."""
    count, length = 0, 0
    for path in parts:
        with np.load(path, allow_pickle=False) as file:
            sequences, length = file["size"].tolist()
        count += sequences
    frames = np.empty((count, length, 27, 48, 3), np.uint8)
    values = np.empty((count, length, FEATURES), np.float32)
    labels = np.empty((count, length, 4), np.float32)
    at = 0
    for path in parts:
        with np.load(path, allow_pickle=False) as file:
            pictures, truth = file["frames"], file["truth"]
        for number, one in enumerate(pictures):
            frames[at] = one
            values[at] = scene_features.features(scene_features.padded(one, REACH, REACH))
            labels[at] = labelled(truth[truth[:, 0] == number, 1:], length)
            at += 1
    return Data(frames, values, labels)


def labelled(truth: NDArray[np.int32], frames: int) -> NDArray[np.float32]:
    """What the network should say of each frame of a sequence; see `Data.labels`.

    Args:
        truth: rows of kind, start, stop.
        frames: of the sequence.
    """
    out = np.zeros((frames, 4), np.float32)
    out[:, 3] = 1
    for kind, start, stop in truth:
        # A cut has no mixed frames: the last old and the first new one stand for it.
        low, high = (start - 1, start + 1) if start == stop else (start, stop)
        out[low:high, 0] = 1
        out[low:high, 2] = kind - 1
        middle = (low + high) // 2
        out[middle - 1 : middle + 1, 1] = 1
        # Each transition counts alike, however long it is, and its ends, where next to nothing is mixed, count less.
        out[low:high, 3] = np.clip(16 / (high - low), 0.8, 5)
        if high - low > 6:
            soft = max(1, (high - low) // 10)
            for end in (slice(low, low + soft), slice(high - soft, high)):
                out[end, 3] *= 0.4
    return out


def train_leg(
    parameters: Mapping[str, Any],
    data: Data,
    state: Mapping[str, Any] | None,
    *,
    start: Mapping[str, torch.Tensor] | None,
    device: str,
) -> tuple[dict[str, Any], list[float]]:
    """Go so many steps on from a state.

    Args:
        parameters: seed, size, leg, legs, and whether weights that know something are made finer.
        data: in memory.
        state: of the leg before, or None.
        start: weights to begin with.
        device: to compute on.

    Returns:
        The new state, and the mean loss of each ten steps.
    """
    seed, leg, legs = parameters["seed"], parameters["leg"], parameters["legs"]
    steps = STEPS_A_LEG[parameters["size"]]
    torch.manual_seed(seed)
    network = SceneNetwork()
    if start is not None:
        network.load_state_dict(dict(start))
    averaged = {k: v.clone() for k, v in network.state_dict().items()}
    if state is not None:
        network.load_state_dict(state["network"])
        averaged = dict(state["averaged"])
    network.to(device)
    averaged = {k: v.to(device) for k, v in averaged.items()}
    optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=0.01)
    if state is not None:
        optimiser.load_state_dict(state["optimiser"])
    losses: list[float] = []
    for step in range(steps):
        number = leg * steps + step
        _set_rate(optimiser, number, legs * steps, fine=parameters["fine"])
        frames, given, labels = _batch(data, np.random.default_rng([seed, 77, number]))
        logits = network(torch.from_numpy(frames).to(device), torch.from_numpy(given).to(device))
        loss = loss_of(logits, torch.from_numpy(labels).to(device))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        losses.append(float(loss.detach()))
        keep = min(EMA, (number + 1) / (number + 10))
        with torch.no_grad():
            for name, value in network.state_dict().items():
                averaged[name].mul_(keep).add_(value, alpha=1 - keep)
    new = {
        "network": {k: v.cpu() for k, v in network.state_dict().items()},
        "averaged": {k: v.cpu() for k, v in averaged.items()},
        "optimiser": optimiser.state_dict(),
    }
    return new, [round(float(np.mean(losses[i : i + 10])), 5) for i in range(0, len(losses), 10)]


def _set_rate(optimiser: torch.optim.Optimizer, step: int, steps: int, *, fine: bool) -> None:
    """Up within the first twentieth, then down along a cosine; a tenth of it for weights that know something."""
    done = step / steps
    rate = min(1.0, (done + 1e-3) / 0.05) * (0.5 + 0.5 * math.cos(math.pi * done)) + 0.01
    for group in optimiser.param_groups:
        group["lr"] = LEARNING_RATE * rate * (0.1 if fine else 1.0)


def loss_of(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Weighted mean over the frames."""
    within, middle, kind, weight = labels.unbind(2)
    total = functional.binary_cross_entropy_with_logits(logits[..., 0], within, weight)
    centre_weight = 1 + 6 * middle
    total = total + 0.4 * functional.binary_cross_entropy_with_logits(
        logits[..., 1], middle, centre_weight
    )
    named = functional.cross_entropy(
        logits[..., 2 : 2 + KIND_HEADS].flatten(0, 1), kind.long().flatten(), reduction="none"
    )
    share = (within * weight).flatten()
    return (
        total + 0.5 * (named * share).sum() / (share.sum() + 1) * within.mean().clamp(min=0.05) * 4
    )


def _batch(
    data: Data, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]:
    """Some crops, mirrored, upside down, backwards, in other colours now and then."""
    frames, given, labels = [], [], []
    for number in rng.integers(0, len(data.frames), BATCH):
        crop = min(CROP, data.frames.shape[1])
        first = int(rng.integers(0, data.frames.shape[1] - crop + 1))
        part = slice(first, first + crop)
        f, g, t = data.frames[number, part], data.features[number, part], data.labels[number, part]
        if rng.random() < 0.5:
            f = f[:, :, ::-1]
        if rng.random() < 0.3:
            f = f[:, ::-1]
        if rng.random() < 0.3:
            f, g, t = f[::-1], scene_features.backwards(g), t[::-1]
        frames.append(np.ascontiguousarray(f))
        given.append(g)
        labels.append(t)
    return np.stack(frames), np.stack(given), np.stack(labels).copy()


assert len(LAGS) == len(set(LAGS))
