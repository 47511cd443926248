"""The recipe of the scene network: which sequences are made, how they are split, and what is measured."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from montage_dask.analysis import features, scene_features
from montage_dask.analysis.boundaries import find_boundaries
from montage_dask.analysis.scene_network import CONTEXT, KINDS, Network, Scores, scores_of
from montage_dask.records import Boundary
from montage_dask_training.matching import Counts, matched
from montage_dask_training.recipe import Input, Part

One = TypeVar("One")

DRAWN = ("cloudy", "furnished", "crowded")
DEMOS = (
    "aurora", "sunset", "city_lights", "starfield", "wireframe", "tunnel", "waves", "dancing_shapes", "lava",
)  # fmt: skip
HELD_OUT_DRAWN = ("woven",)
HELD_OUT_DEMOS = ("lanterns", "kaleidoscope", "tiles")
"""Only the test knows these, and `scene_transitions.HELD_OUT_SHAPES`."""

PARTS = {
    "default": {"training": 80, "validation": 4, "test": 30},
    "tiny": {"training": 1, "validation": 1, "test": 2},
}
SEQUENCES = {"default": 16, "tiny": 3}
"""In a part."""

PARTS_A_LEG = 10
"""So many parts of the training, others each time, does a leg read: there may be more of them than memory holds."""

TEST_KINDS = ("cut", "dissolve", "fade", "wipe", "none")
"""Each part of the test holds one kind of transition, so that each has a precision of its own."""

BEST = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
ALL = (0.25, 0.35, 0.5)
"""Thresholds that are tried on the validation split, for each kind and for all frames; see `boundaries.find_boundaries`."""

NEAR = 0.005
"""Thresholds whose F1 is this near to the best are as good: so few transitions cannot tell them apart."""

ROUNDS = 4
"""In which thresholds are chosen, at most: they hardly depend on each other."""


class Scenes:
    """See `recipe.Recipe`."""

    name = "scenes"
    version = 2
    reads = ("video", "picture")
    legs: Mapping[str, int] = {"default": 40, "tiny": 3}

    def parts(self, seed: int, size: str, inputs: Sequence[Input]) -> tuple[Part, ...]:
        """Of the inputs, every eighth is kept for the test and another for validation: whole files, by their content."""
        groups: dict[str, list[Input]] = {"training": [], "validation": [], "test": []}
        for number, one in enumerate(inputs):
            groups[{0: "test", 4: "validation"}.get(number % 8, "training")].append(one)
        return tuple(
            self._part(seed, size, split, number, mine)
            for split, mine in groups.items()
            for number in range(PARTS[size][split])
        )

    def _part(self, seed: int, size: str, split: str, number: int, inputs: list[Input]) -> Part:
        place = ("training", "validation", "test").index(split)
        rng = np.random.default_rng([seed, place, number])
        test = split == "test"
        drawn = HELD_OUT_DRAWN * 2 if test else DRAWN * 2
        demos = HELD_OUT_DEMOS if test else tuple(rng.choice(DEMOS, 2, replace=False))
        sources: list[dict[str, Any]] = [{"drawn": d} for d in drawn]
        sources += [{"demo": str(d)} for d in demos]
        chosen = _some(rng, [i for i in inputs if i.kind == "picture"], 10)
        sources += [{"picture": i.identity} for i in chosen]
        for one in _some(rng, [i for i in inputs if i.kind == "video"], 6):
            clean = [[a + 4, b - 4] for a, b in one.segments if b - a > 32]
            if clean:
                chosen.append(one)
                sources.append({"video": one.identity, "segments": clean})
        return Part(
            split,
            {
                "seed": [seed, place, number],
                "sequences": SEQUENCES[size],
                "sources": sources,
                "held_out_shapes": test,
                "only": TEST_KINDS[number % len(TEST_KINDS)] if test else None,
            },
            tuple(i.identity for i in chosen),
        )

    def synthesise(
        self, parameters: Mapping[str, Any], inputs: Mapping[str, str], output: Path
    ) -> dict[str, Any]:
        """Frames uint8 [sequences, time, 27, 48, 3], and truth int32 rows of sequence, kind, start, stop."""
        import cv2

        from montage_dask_training.scene_sequences import sequence, shooters

        cv2.setNumThreads(1)
        shoot = shooters(parameters["sources"], inputs)
        frames, truth = [], []
        for number in range(parameters["sequences"]):
            pictures, made = sequence(
                np.random.default_rng([*parameters["seed"], 1000 + number]),
                shoot,
                held_out_shapes=parameters["held_out_shapes"],
                only=parameters["only"],
            )
            frames.append(pictures)
            truth += [(number, t.kind, t.start, t.stop) for t in made]
        with output.open("wb") as file:
            np.savez_compressed(
                file,
                frames=np.stack(frames),
                truth=np.array(truth, np.int32).reshape(-1, 4),
                size=np.array([len(frames), len(frames[0])]),
            )
        return {"sequences": len(frames), "transitions": len(truth)}

    def check(self, weights: Path) -> None:
        """See `analysis.scene_network.Network`."""
        Network(weights)

    def train(
        self,
        parameters: Mapping[str, Any],
        parts: Sequence[Path],
        state: Path | None,
        output: Path,
        *,
        start: Path | None,
        device: str,
        threads: int,
    ) -> dict[str, Any]:
        """See `scene_network.train_leg`."""
        import torch

        from montage_dask_training import scene_network as learning
        from montage_dask_training.exact import exactly, save_state

        chosen = parts_of_leg(parameters["seed"], parameters["leg"], len(parts))
        before = None if state is None else torch.load(state, map_location="cpu", weights_only=True)
        first = None
        if start is not None and state is None:
            first = {k: torch.from_numpy(v) for k, v in Network(start).arrays().items()}
        with exactly(threads):
            new, losses = learning.train_leg(
                {**parameters, "fine": start is not None},
                learning.load([parts[i] for i in chosen]),
                before,
                start=first,
                device=device,
            )
        save_state(new, output)
        return {"losses": losses, "steps": learning.STEPS_A_LEG[parameters["size"]]}

    def export(self, state: Path, validation: Sequence[Path], output: Path) -> dict[str, Any]:
        """The averaged weights in half precision, with thresholds of the validation split."""
        import torch

        kept = torch.load(state, map_location="cpu", weights_only=True)["averaged"]
        arrays = {k: v.numpy().astype(np.float16) for k, v in kept.items()}
        _save(output, arrays, (0.5,) * (len(KINDS) + 1))
        chosen, counts = _best_thresholds(list(_scored(Network(output), validation)))
        _save(output, arrays, chosen)
        return {"thresholds": list(chosen), "validation": counts.told()}

    def evaluate(self, weights: Path, parts: Sequence[Path]) -> dict[str, Any]:
        """Precision, recall and F1 of each kind and of all; false alarms where there is nothing, too."""
        network = Network(weights)
        totals: dict[str, Counts] = {}
        for number, path in enumerate(parts):
            kind = TEST_KINDS[number % len(TEST_KINDS)]
            for one in _scored(network, [path]):
                totals[kind] = totals.get(kind, Counts()) + _counts(*one, network.thresholds)
        totals["all"] = sum(totals.values(), Counts())
        return {kind: total.told() for kind, total in totals.items()}

    def card(self, training: Mapping[str, Any]) -> str:
        """See `scene_card.card`."""
        from montage_dask_training.scene_card import card

        return card(training)


def parts_of_leg(seed: int, leg: int, parts: int) -> list[int]:
    """Numbers of the parts that a leg reads: each is read once before any is read again, and each time beside others."""
    legs_a_pass = max(1, parts // PARTS_A_LEG)
    order = np.random.default_rng([seed, 78, leg // legs_a_pass]).permutation(parts)
    return sorted(order[leg % legs_a_pass :: legs_a_pass].tolist())


def _some(rng: np.random.Generator, ones: Sequence[One], most: int) -> list[One]:
    """At most so many of them, in order."""
    if len(ones) <= most:
        return list(ones)
    return [ones[i] for i in sorted(rng.choice(len(ones), most, replace=False))]


def _save(path: Path, arrays: Mapping[str, Any], thresholds: tuple[float, ...]) -> None:
    packed = io.BytesIO()
    own: Any = {"recipe": np.array("scenes"), "thresholds": np.array(thresholds, np.float32)}
    np.savez_compressed(packed, **own, **arrays)
    path.write_bytes(packed.getvalue())


Scored = tuple[Scores, NDArray[np.uint8], NDArray[np.float32], list[tuple[int, int, int]]]
"""Scores, frames, their changes, and the truth of a sequence."""


def _scored(network: Network, parts: Sequence[Path]) -> Iterator[Scored]:
    for path in parts:
        with np.load(path, allow_pickle=False) as file:
            frames, truth = file["frames"], file["truth"]
        for number, one in enumerate(frames):
            scores = scores_of(network(scene_features.padded(one, CONTEXT, CONTEXT)))
            rows = truth[truth[:, 0] == number, 1:].tolist()
            yield scores, one, features.motion(one[0], one), [(k, a, b) for k, a, b in rows]


def _best_thresholds(scored: Sequence[Scored]) -> tuple[tuple[float, ...], Counts]:
    """For each kind the middle of those with nearly the best F1: what is far from both too low and too high."""
    tried: dict[tuple[float, ...], Counts] = {}

    def f1(way: tuple[float, ...]) -> float:
        if way not in tried:
            tried[way] = sum((_counts(*one, way) for one in scored), Counts())
        return tried[way].f1

    ended = []
    for all_ in ALL:
        way: tuple[float, ...] = (*(BEST[len(BEST) // 2],) * len(KINDS), all_)
        for _ in range(ROUNDS):
            before = way
            for place in range(len(KINDS)):
                ways = [(*way[:place], value, *way[place + 1 :]) for value in BEST]
                limit = max(map(f1, ways)) - NEAR
                near = [one for one in ways if f1(one) >= limit]
                way = near[len(near) // 2]
            if way == before:
                break
        ended.append(way)
    chosen = max(ended, key=lambda one: (f1(one), one))
    return chosen, tried[chosen]


def _counts(
    scores: Scores,
    frames: NDArray[np.uint8],
    change: NDArray[np.float32],
    truth: list[tuple[int, int, int]],
    thresholds: tuple[float, ...],
) -> Counts:
    found: tuple[Boundary, ...] = find_boundaries(
        scores, change, thresholds, lambda at: frames[min(max(at, 0), len(frames) - 1)]
    )
    return matched(found, truth, len(change))


RECIPE = Scenes()
