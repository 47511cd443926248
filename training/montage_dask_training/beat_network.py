"""The beat network in torch, and one leg of its training.

Convolutions over time and frequency make 48 features of every 23 ms; eight layers of dilated convolutions see 12 s to both sides
(the form of Davies and Böck 2019, "Temporal convolutional networks for musical audio beat tracking"); two heads say beat and
downbeat. Inference is `analysis.beat_network`, in NumPy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from montage_dask.analysis.beat_network import ACTIVATION_RATE, DILATIONS, STRIDE, TAPS, WIDTH
from montage_dask.analysis.onset import BANDS, MEL_STEPS
from montage_dask_training.beat_data import Track, fonts, load_tracks
from montage_dask_training.exact import exactly, save_state

CROP_FRAMES = 1024
"""Frames of the network in one example: 23.8 s."""
BATCH = 4
PEAK_RATE = 3e-3
WARM_UP = 0.1
"""Share of the steps in which the learning rate rises."""
WEIGHT_DECAY = 1e-4
AVERAGED = 0.98
"""The exported weights are a running mean of the last fifty steps."""
CLIP = 1.0
DROPOUT = 0.1
BESIDE = 0.5
"""Target of the frames next to a beat."""
REPORT_STEPS = 10

Floats = npt.NDArray[np.float32]


class BeatNetwork(nn.Module):
    """Mel spectra to the logits of beat and downbeat."""

    def __init__(self) -> None:
        super().__init__()
        self.time = nn.Conv2d(1, 12, (5, 3), stride=(STRIDE, 1), padding=(2, 1), bias=False)
        self.time_norm = nn.BatchNorm2d(12)
        self.pitch = nn.Conv2d(12, 24, (3, 3), padding=(1, 1), bias=False)
        self.pitch_norm = nn.BatchNorm2d(24)
        self.gather = nn.Conv1d(24 * 4, WIDTH, 1, bias=False)
        self.gather_norm = nn.BatchNorm1d(WIDTH)
        self.layers = nn.ModuleList(_Layer(dilation) for dilation in DILATIONS)
        self.heads = nn.Conv1d(WIDTH, 2, 1)
        with torch.no_grad():  # a frame in twenty-five holds a beat, one in a hundred a downbeat
            self.heads.bias.copy_(torch.tensor([-3.0, -4.5]))

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        """(batch, frames, BANDS) to (batch, 2, frames / STRIDE)."""
        x = mel.unsqueeze(1)
        x = torch.relu(nn.functional.max_pool2d(self.time_norm(self.time(x)), (1, 4)))
        x = torch.relu(nn.functional.max_pool2d(self.pitch_norm(self.pitch(x)), (1, 4)))
        x = x.transpose(2, 3).flatten(1, 2)  # (batch, 24 × 4, frames)
        x = torch.relu(self.gather_norm(self.gather(x)))
        for layer in self.layers:
            x = layer(x)
        return self.heads(x)


class _Layer(nn.Module):
    def __init__(self, dilation: int) -> None:
        super().__init__()
        around = dilation * (TAPS // 2)
        self.wide = nn.Conv1d(WIDTH, WIDTH, TAPS, dilation=dilation, padding=around, bias=False)
        self.norm = nn.BatchNorm1d(WIDTH)
        self.drop = nn.Dropout1d(DROPOUT)
        self.mix = nn.Conv1d(WIDTH, WIDTH, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.mix(self.drop(torch.relu(self.norm(self.wide(x)))))


@dataclass(frozen=True, slots=True)
class _Batch:
    mel: torch.Tensor
    target: torch.Tensor
    known: torch.Tensor
    """1 where the target says something, shape (batch, 2, 1): not every beats file knows the bars."""


def train_leg(
    parameters: Mapping[str, Any],
    parts: Sequence[Path],
    state: Path | None,
    output: Path,
    *,
    steps: int,
    start: Path | None,
    device: str,
    threads: int,
) -> dict[str, Any]:
    """`Recipe.train` with so many steps."""
    del threads  # one: the number of threads would change sums, and so the weights
    tracks = load_tracks(parts)
    with exactly(1):
        return _leg(parameters, tracks, fonts(parts), state, output, steps, start, device)


def _leg(
    parameters: Mapping[str, Any],
    tracks: Sequence[Track],
    played: list[str],
    state: Path | None,
    output: Path,
    steps: int,
    start: Path | None,
    device: str,
) -> dict[str, Any]:
    leg, total = int(parameters["leg"]), steps * int(parameters["legs"])
    seed = _seed(int(parameters["seed"]), leg)
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    network, mean = BeatNetwork().to(device), BeatNetwork().to(device)
    optimiser = torch.optim.AdamW(network.parameters(), lr=PEAK_RATE, weight_decay=WEIGHT_DECAY)
    done = leg * steps
    if state is not None:
        held = torch.load(state, map_location=device, weights_only=True)
        network.load_state_dict(held["network"])
        mean.load_state_dict(held["mean"])
        optimiser.load_state_dict(held["optimiser"])
    else:
        if start is not None:
            _take(network, start)
        mean.load_state_dict(network.state_dict())
    # Weights that are only adjusted to new music must not be thrown far away.
    peak = PEAK_RATE * (0.25 if parameters.get("start") else 1.0)
    chance = np.array([len(track.mel) * track.weight for track in tracks], float)
    chance /= chance.sum()
    network.train()
    losses, held_losses = [], []
    for step in range(done, done + steps):
        for group in optimiser.param_groups:
            group["lr"] = peak * _schedule(step / total)
        chosen = random.choice(len(tracks), BATCH, p=chance)
        batch = _batch([tracks[index] for index in chosen], random, device)
        loss = nn.functional.binary_cross_entropy_with_logits(
            network(batch.mel), batch.target, reduction="none"
        )
        loss = (loss * batch.known).mean((0, 2)).sum()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        optimiser.step()
        _average(mean, network, min(AVERAGED, (1 + step) / (10 + step)))
        held_losses.append(float(loss.detach()))
        if len(held_losses) == REPORT_STEPS:
            losses.append(round(float(np.mean(held_losses)), 5))
            held_losses = []
    held = {
        "network": network.state_dict(),
        "mean": mean.state_dict(),
        "optimiser": optimiser.state_dict(),
        "fonts": played,
    }
    save_state(held, output)
    return {"losses": losses, "steps": steps}


def _seed(seed: int, leg: int) -> int:
    return int.from_bytes(hashlib.sha256(f"beats {seed} {leg}".encode()).digest()[:4], "big")


def _schedule(done: float) -> float:
    """Share of the peak learning rate: a rise, then half a cosine."""
    if done < WARM_UP:
        return 0.05 + 0.95 * done / WARM_UP
    return float(0.005 + 0.995 * 0.5 * (1 + np.cos(np.pi * (done - WARM_UP) / (1 - WARM_UP))))


def _average(mean: nn.Module, network: nn.Module, keep: float) -> None:
    with torch.no_grad():
        for held, new in zip(
            mean.state_dict().values(), network.state_dict().values(), strict=True
        ):
            if held.dtype.is_floating_point:
                held.lerp_(new, 1 - keep)


def _batch(tracks: Sequence[Track], random: np.random.Generator, device: str) -> _Batch:
    mels = np.empty((len(tracks), CROP_FRAMES * STRIDE, BANDS), np.float32)
    targets = np.zeros((len(tracks), 2, CROP_FRAMES), np.float32)
    known = np.ones((len(tracks), 2, 1), np.float32)
    for row, track in enumerate(tracks):
        mels[row] = _example(track, random, targets[row])
        known[row, 1] = len(track.downbeats) > 0
    return _Batch(*(torch.from_numpy(a).to(device) for a in (mels, targets, known)))


def _example(track: Track, random: np.random.Generator, target: Floats) -> Floats:
    """A piece of a track, at another tempo and pitch, louder or softer, with other gains and lost bands; fills the target."""
    frames = CROP_FRAMES * STRIDE
    stretch = float(np.exp(random.uniform(-0.2, 0.2))) if random.random() < 0.5 else 1.0
    seen = round(frames / stretch)
    first = int(random.integers(min(0, len(track.mel) - seen), max(1, len(track.mel) - seen + 1)))
    places = first + np.arange(frames) / stretch
    mel = _read(track.mel, places) / np.float32(MEL_STEPS)
    roll = int(random.integers(-5, 6)) if random.random() < 0.6 else 0
    if roll:
        mel = mel[:, np.clip(np.arange(BANDS) - roll, 0, BANDS - 1)]
    gain = random.normal(0, 0.7)
    curve = np.interp(np.arange(BANDS), np.linspace(0, BANDS - 1, 5), random.normal(0, 0.35, 5))
    mel = np.log1p(np.expm1(mel) * np.exp(gain + curve).astype(np.float32))
    if random.random() < 0.25:
        low = int(random.integers(BANDS))
        mel[:, low : low + int(random.integers(4, 24))] = 0.0
    first_beats = track.beats[track.downbeats] if len(track.downbeats) else track.beats[:0]
    for head, seconds in enumerate((track.beats, first_beats)):
        at = np.round((seconds * ACTIVATION_RATE * STRIDE - first) * stretch / STRIDE).astype(int)
        for shift in (-1, 1):
            inside = (at + shift >= 0) & (at + shift < CROP_FRAMES)
            target[head, at[inside] + shift] = BESIDE
        target[head, at[(at >= 0) & (at < CROP_FRAMES)]] = 1.0
    return mel


def _read(mel: npt.NDArray[np.uint8], places: npt.NDArray[np.float64]) -> Floats:
    """Rows of a spectrum at places between its frames; silence outside."""
    whole = np.floor(places).astype(int)
    part = (places - whole).astype(np.float32)[:, None]
    inside = (whole >= 0) & (whole < len(mel) - 1)
    held = np.clip(whole, 0, len(mel) - 2)
    found = mel[held] * (1 - part) + mel[held + 1] * part
    found[~inside] = 0.0
    return np.asarray(found, np.float32)


def _take(network: BeatNetwork, weights: Path) -> None:
    """Begin with exported weights: norms were folded into them, so each becomes the identity plus a bias."""
    from montage_dask.analysis.beat_network import load_weights

    held = load_weights(weights)
    with torch.no_grad():
        for name, module in _normed(network):
            conv, norm = module
            conv.weight.copy_(torch.from_numpy(held[f"{name}.weight"].reshape(conv.weight.shape)))
            norm.running_mean.zero_()
            norm.running_var.fill_(1.0 - norm.eps)
            norm.weight.fill_(1.0)
            norm.bias.copy_(torch.from_numpy(held[f"{name}.bias"]))
        for name, conv in _plain(network):
            conv.weight.copy_(torch.from_numpy(held[f"{name}.weight"].reshape(conv.weight.shape)))
            conv.bias.copy_(torch.from_numpy(held[f"{name}.bias"]))


def _normed(network: BeatNetwork) -> list[tuple[str, tuple[Any, Any]]]:
    found: list[tuple[str, tuple[Any, Any]]] = [
        ("time", (network.time, network.time_norm)),
        ("pitch", (network.pitch, network.pitch_norm)),
        ("gather", (network.gather, network.gather_norm)),
    ]
    for number, layer in enumerate(network.layers):
        found.append((f"wide{number}", (layer.wide, layer.norm)))
    return found


def _plain(network: BeatNetwork) -> list[tuple[str, Any]]:
    return [(f"mix{n}", layer.mix) for n, layer in enumerate(network.layers)] + [
        ("heads", network.heads)
    ]


def folded(state: Path) -> dict[str, Floats]:
    """The averaged weights of a state, norms folded into the convolutions before them."""
    network = BeatNetwork()
    network.load_state_dict(torch.load(state, map_location="cpu", weights_only=True)["mean"])
    found = {}
    with torch.no_grad():
        for name, (conv, norm) in _normed(network):
            scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            found[f"{name}.weight"] = (
                conv.weight * scale.reshape(-1, *[1] * (conv.weight.dim() - 1))
            ).numpy()
            found[f"{name}.bias"] = (norm.bias - norm.running_mean * scale).numpy()
        for name, conv in _plain(network):
            found[f"{name}.weight"], found[f"{name}.bias"] = conv.weight.numpy(), conv.bias.numpy()
    return found


def fonts_of(state: Path) -> list[str]:
    """The soundfonts in the music that a state has learnt from."""
    return list(torch.load(state, map_location="cpu", weights_only=True)["fonts"])
