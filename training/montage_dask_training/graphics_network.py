"""The graphics network in torch, and how it learns; `analysis/graphics_network.py` computes the same without torch."""

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

from montage_dask.analysis.graphics_network import (
    CHANNELS,
    DEEP_CHANNELS,
    HEADS,
    HIDDEN,
    PATCH,
    TOPS,
)
from montage_dask_training.graphics_pictures import UNKNOWN

BATCH = 32

STEPS_A_LEG = {"default": 250, "tiny": 3}

LEARNING_RATE = 3e-3

EMA = 0.995
"""Of the weights that are kept at the end."""


class GraphicsNetwork(nn.Module):
    """Stills to logits: of words in each cell, of text, of a card."""

    def __init__(self) -> None:
        super().__init__()
        one, two, three, four, five = CHANNELS
        self.conv0 = nn.Conv2d(3, one, PATCH, stride=PATCH)
        self.conv1 = nn.Conv2d(one, two, 3, padding=1)
        self.conv2 = nn.Conv2d(two, three, 3, stride=2, padding=1)
        self.conv3 = nn.Conv2d(three, four, 3, padding=1)
        self.conv4 = nn.Conv2d(four, five, 3, padding=2, dilation=2)
        self.conv5 = nn.Conv2d(five, DEEP_CHANNELS, 3, stride=2, padding=1)
        self.conv6 = nn.Conv2d(DEEP_CHANNELS, DEEP_CHANNELS, 3, padding=1)
        self.conv7 = nn.Conv2d(DEEP_CHANNELS, DEEP_CHANNELS, 3, padding=2, dilation=2)
        self.cell = nn.Linear(five, 1)
        self.coarse = nn.Linear(DEEP_CHANNELS, 1)
        self.join = nn.Linear(3 * (five + DEEP_CHANNELS) + len(TOPS), HIDDEN)
        self.heads = nn.Linear(HIDDEN, HEADS)

    def forward(self, stills: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits of cells float32 [n, rows, columns] and of text and card float32 [n, 2].

        Args:
            stills: uint8 [n, height, width, 3].
        """
        return self.read(stills.permute(0, 3, 1, 2).float().div(255).sub(0.5))

    def read(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Likewise.

        Args:
            x: float32 [n, 3, height, width], −0.5 … 0.5.
        """
        x = torch.relu(self.conv0(x))
        x = torch.relu(self.conv1(x))
        x = torch.relu(self.conv2(x))
        x = x + torch.relu(self.conv3(x))
        x = x + torch.relu(self.conv4(x))
        deep = torch.relu(self.conv5(x))
        deep = deep + torch.relu(self.conv6(deep))
        deep = deep + torch.relu(self.conv7(deep))
        x, deep = x.float(), deep.float()
        coarse = self.coarse(deep.permute(0, 2, 3, 1)).squeeze(3).float()
        cells = self.cell(x.permute(0, 2, 3, 1)).squeeze(3).float()
        cells = cells + coarse.repeat_interleave(2, 1).repeat_interleave(2, 2)
        ranked = cells.flatten(1).topk(TOPS[-1] + 1, dim=1).values[:, list(TOPS)]
        pooled = []
        for flat in (x.flatten(2), deep.flatten(2)):
            mean = flat.mean(dim=2)
            deviation = ((flat - mean[..., None]).square().mean(dim=2) + 1e-8).sqrt()
            pooled += [mean, flat.amax(dim=2), deviation]
        heads = self.heads(torch.relu(self.join(torch.cat([*pooled, ranked], 1))))
        return cells, torch.as_tensor(heads).float()


@dataclass(frozen=True, slots=True)
class Data:
    """What is learnt from, in memory."""

    stills: NDArray[np.uint8]
    """[n, height, width, 3]."""
    cells: NDArray[np.uint8]
    """[n, rows, columns]."""
    labels: NDArray[np.uint8]
    """[n, 2]: text, card."""


def load(parts: Sequence[Path]) -> Data:
    """Read parts, one after the other."""
    names = ("stills", "cells", "labels")
    held: dict[str, list[NDArray[np.uint8]]] = {n: [] for n in names}
    for path in parts:
        with np.load(path, allow_pickle=False) as file:
            for name in names:
                held[name].append(file[name])
    return Data(*(np.concatenate(held[n]) for n in names))


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
    network = GraphicsNetwork()
    if start is not None:
        network.load_state_dict(dict(start))
    averaged = {k: v.clone() for k, v in network.state_dict().items()}
    if state is not None:
        network.load_state_dict(state["network"])
        averaged = dict(state["averaged"])
    network.to(device, memory_format=torch.channels_last)
    averaged = {k: v.to(device) for k, v in averaged.items()}
    optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=0.01)
    if state is not None:
        optimiser.load_state_dict(state["optimiser"])
    losses: list[float] = []
    for step in range(steps):
        number = leg * steps + step
        done = number / (legs * steps)
        rate = min(1.0, (done + 1e-3) / 0.05) * (0.5 + 0.5 * math.cos(math.pi * done)) + 0.01
        for group in optimiser.param_groups:
            group["lr"] = LEARNING_RATE * rate * (0.1 if parameters["fine"] else 1.0)
        rng = np.random.default_rng([seed, 79, number])
        chosen = rng.integers(0, len(data.stills), BATCH)
        stills, cells = data.stills[chosen], data.cells[chosen]
        shown = lit_anew(rng, torch.from_numpy(stills).to(device))
        with torch.autocast(device, torch.bfloat16):
            logits = network.read(shown)
        loss = loss_of(
            logits,
            torch.from_numpy(cells).to(device),
            torch.from_numpy(data.labels[chosen]).to(device),
        )
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


def lit_anew(rng: np.random.Generator, stills: torch.Tensor) -> torch.Tensor:
    """Stills uint8 [n, height, width, 3] in other light and colours, as the network reads them.

    Neither mirrored nor upside down: words are not.
    """
    count = len(stills)
    gain = rng.uniform(0.75, 1.15, (count, 1, 1, 1)) * rng.uniform(0.85, 1.15, (count, 3, 1, 1))
    lift = rng.uniform(-0.06, 0.06, (count, 3, 1, 1))
    order = np.stack(
        [rng.permutation(3) if rng.random() < 0.3 else np.arange(3) for _ in range(count)]
    )
    x = stills.permute(0, 3, 1, 2).float().div(255)
    x = x[torch.arange(count)[:, None], torch.from_numpy(order)]
    x = x * torch.from_numpy(gain).float().to(x.device) + torch.from_numpy(lift).float().to(
        x.device
    )
    return x.clamp(0, 1).sub(0.5).contiguous(memory_format=torch.channels_last)


def loss_of(
    logits: tuple[torch.Tensor, torch.Tensor], cells: torch.Tensor, labels: torch.Tensor
) -> torch.Tensor:
    """Of cells and of the whole, without what is unknown."""
    return _known(logits[0], cells) + _known(logits[1], labels)


def _known(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    known = (labels != UNKNOWN).float()
    each = functional.binary_cross_entropy_with_logits(
        logits, (labels == 1).float(), reduction="none"
    )
    return (each * known).sum() / known.sum().clamp(min=1)
