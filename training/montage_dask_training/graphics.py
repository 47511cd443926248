"""The recipe of the graphics network: which pictures are made, how they are split, and what is measured."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from montage_dask.analysis.graphics_network import HEADS, Network
from montage_dask.analysis.looks import seen_in
from montage_dask.analysis.usability import overlaid
from montage_dask.errors import UsageError
from montage_dask_training.recipe import Input, Part

if TYPE_CHECKING:
    from montage_dask_training.graphics_pictures import Sample
    from montage_dask_training.graphics_sequences import Background

DRAWN = ("cloudy", "furnished", "crowded")
DEMOS = (
    "aurora", "sunset", "city_lights", "starfield", "wireframe", "tunnel", "waves", "dancing_shapes", "lava",
)  # fmt: skip
HELD_OUT_DRAWN = ("woven",)
HELD_OUT_DEMOS = ("lanterns", "kaleidoscope", "tiles")

PARTS = {
    "default": {"training": 80, "validation": 8, "test": 12},
    "tiny": {"training": 1, "validation": 1, "test": 1},
}
PICTURES = {"default": 400, "tiny": 24}
"""In a part."""

PARTS_A_LEG = 8

MOST_FONTS = {True: 420, False: 80}
"""With Latin letters, and for other scripts."""

MOST_CUTS = 2
"""Of a family."""

SURFACES_SHARE = 0.14
"""Of the backgrounds: patterns that look like text and are none."""

TEXT, CARD = 0, 1
NAMES = ("text", "card")

THRESHOLDS = (
    0.3, 0.4, 0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.84, 0.88, 0.9, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98,
)  # fmt: skip

LEAST_PRECISION = 0.99
"""Thresholds are the lowest that reach it on the validation split: a good shot left out is lost, a title left in is seen."""


class Graphics:
    """See `recipe.Recipe`."""

    name = "graphics"
    version = 4
    reads = ("picture",)
    legs: Mapping[str, int] = {"default": 40, "tiny": 2}

    def parts(self, seed: int, size: str, inputs: Sequence[Input]) -> tuple[Part, ...]:
        """Every sixth scene and family of fonts is kept for the test, another for validation.

        Pictures whose names differ in a number at the end alone are of one scene.
        """
        groups: dict[str, list[Input]] = {"training": [], "validation": [], "test": []}
        for one in inputs:
            groups[_split(_scene(one.name))].append(one)
        fonts: dict[str, list[str]] = {"training": [], "validation": [], "test": []}
        for name in usable_fonts():
            fonts[_split(_family(name))].append(name)
        return tuple(
            Part(
                split,
                {
                    "split": split,
                    "seed": [seed, place, number],
                    "pictures": PICTURES[size],
                    "fonts": fonts[split] or fonts["training"],
                    "sources": [i.identity for i in mine],
                    "drawn": list(HELD_OUT_DRAWN if split == "test" else DRAWN),
                    "demos": list(HELD_OUT_DEMOS if split == "test" else DEMOS),
                    "held_out": split == "test",
                },
                tuple(i.identity for i in mine),
            )
            for place, (split, mine) in enumerate(groups.items())
            for number in range(PARTS[size][split])
        )

    def synthesise(
        self, parameters: Mapping[str, Any], inputs: Mapping[str, str], output: Path
    ) -> dict[str, Any]:
        """Stills uint8 [n, 144, 256, 3], cells uint8 [n, 18, 32], labels uint8 [n, 2]: text, card; looks in a shot."""
        import cv2

        from montage_dask_training.graphics_sequences import LOOKS, sequence

        cv2.setNumThreads(1)
        fonts = [str(_font_path(name)) for name in parameters["fonts"]]
        background = _backgrounds(parameters, inputs)
        looks = 1 if parameters["split"] == "training" else LOOKS
        made: list[Sample] = []
        for number in range(parameters["pictures"] // looks):
            rng = np.random.default_rng([*parameters["seed"], 1000 + number])
            made += sequence(rng, fonts, background, looks, held_out=parameters["held_out"])
        with output.open("wb") as file:
            np.savez_compressed(
                file,
                stills=np.stack([s.picture for s in made]),
                cells=np.stack([s.cells for s in made]),
                labels=np.array([(s.text, s.card) for s in made], np.uint8),
                looks=np.array(looks),
            )
        return {"pictures": len(made)}

    def check(self, weights: Path) -> None:
        """See `analysis.graphics_network.Network`."""
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
        """See `graphics_network.train_leg`."""
        import torch

        from montage_dask_training import graphics_network as learning
        from montage_dask_training.exact import exactly, save_state

        rng = np.random.default_rng([parameters["seed"], 78, parameters["leg"]])
        chosen = sorted(rng.permutation(len(parts))[:PARTS_A_LEG].tolist())
        before = None if state is None else torch.load(state, map_location="cpu", weights_only=True)
        first = None
        if start is not None and state is None:
            first = {k: torch.from_numpy(v) for k, v in Network(start).arrays.items()}
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
        _save(output, arrays, (0.5,) * HEADS)
        shots = list(_seen(Network(output), validation))
        chosen = _thresholds(shots)
        _save(output, arrays, chosen)
        return {"thresholds": list(chosen), "validation": _figures(shots, chosen)}

    def evaluate(self, weights: Path, parts: Sequence[Path]) -> dict[str, Any]:
        """Precision and recall of text, of cards, and of either, by looks, as `analysis.usability` decides on them in a shot."""
        network = Network(weights)
        return _figures(list(_seen(network, parts)), network.thresholds)

    def card(self, training: Mapping[str, Any]) -> str:
        """See `graphics_card.card`."""
        from montage_dask_training.graphics_card import card

        return card(training)


def usable_fonts() -> tuple[str, ...]:
    """File names of fonts: those that come with matplotlib, and the machine's own; sorted, each name once."""
    return tuple(sorted(_fonts()))


@cache
def _fonts() -> dict[str, Path]:
    from matplotlib import get_data_path
    from matplotlib.font_manager import findSystemFonts

    own = sorted(Path(get_data_path(), "fonts", "ttf").glob("*.ttf"))
    others = sorted(Path(p) for p in findSystemFonts())
    scripts: dict[bool, dict[str, Path]] = {True: {}, False: {}}
    for path in (*others, *own):
        latin = _latin(path)
        if latin is not None:
            scripts[latin][path.name] = path
    # Families with many cuts, and scripts with many fonts, must not drown the others.
    rng = np.random.default_rng(5)
    found: dict[str, Path] = {}
    for latin, most in MOST_FONTS.items():
        families: dict[str, list[str]] = {}
        for name in rng.permutation(sorted(scripts[latin])).tolist():
            families.setdefault(_family(name), []).append(name)
        names = sorted(n for cuts in families.values() for n in cuts[:MOST_CUTS])
        if len(names) > most:
            kept = [n for n in names if scripts[latin][n] in own]
            rest = [n for n in names if scripts[latin][n] not in own]
            chosen = rng.choice(len(rest), max(0, most - len(kept)), replace=False)
            names = sorted([*kept, *(rest[i] for i in chosen)])
        found |= {name: scripts[latin][name] for name in names}
    return found


def _latin(path: Path) -> bool | None:
    """Whether a font holds Latin letters, or others; None where it holds symbols, mathematics or colour pictures."""
    odd = (
        "math",
        "symbol",
        "emoji",
        "stixsiz",
        "stixnonuni",
        "lastresort",
        "cmex",
        "cmsy",
        "cmmi",
        "display8",
        "braille",
        "music",
    )
    if any(word in path.name.lower() for word in odd) or path.suffix.lower() not in (
        ".ttf",
        ".otf",
        ".ttc",
    ):
        return None
    from PIL import ImageFont

    from montage_dask_training.graphics_drawing import letters

    try:
        own = letters(str(path))
        font = ImageFont.truetype(str(path), 20)
        drawn = len(own) != 1 and font.getbbox((own or "Example")[:8])[2] > 8
    except Exception:  # fonts are damaged in many ways
        return None
    return not own if drawn else None


def _font_path(name: str) -> Path:
    path = _fonts().get(name)
    if path is None:
        raise UsageError(
            f"the font {name} is not on this machine: train where all workers have the same fonts"
        )
    return path


def _family(name: str) -> str:
    return name.split("-")[0].split(".")[0].rstrip("0123456789").lower()


def _scene(name: str) -> str:
    return name.rsplit(".", 1)[0].rstrip("0123456789").rstrip("_-") or name


def _split(name: str) -> str:
    number = zlib.crc32(name.encode()) % 6
    return {0: "test", 3: "validation"}.get(number, "training")


def _backgrounds(parameters: Mapping[str, Any], inputs: Mapping[str, str]) -> Background:
    """What gives backgrounds: photographs mostly where there are some, else what is drawn."""
    from montage_dask.media import demo_scenes, demo_shapes
    from montage_dask_training import scene_cameras
    from montage_dask_training.graphics_drawing import HIGH, WIDE
    from montage_dask_training.graphics_pictures import (
        STAGE_HIGH,
        STAGE_WIDE,
        UNKNOWN,
        photographed,
        soft,
    )
    from montage_dask_training.graphics_signs import (
        HELD_OUT_SURFACES,
        PICTURED,
        SURFACES,
        surface,
    )

    sources = parameters["sources"]
    surfaces = HELD_OUT_SURFACES + SURFACES if parameters["held_out"] else SURFACES
    held: dict[str, NDArray[np.uint8]] = {}

    def photo(identity: str) -> NDArray[np.uint8]:
        if identity not in held:
            from PIL import Image

            with Image.open(inputs[identity]) as picture:
                picture.draft("RGB", (1280, 1280))
                picture.thumbnail((1024, 1024))
                held[identity] = np.asarray(picture.convert("RGB"))
        return held[identity]

    def background(rng: np.random.Generator, looks: int) -> tuple[list[NDArray[np.uint8]], int]:
        chance = rng.random()
        if chance < SURFACES_SHARE:
            kind = surfaces[int(rng.integers(len(surfaces)))]
            label = 0 if kind in PICTURED else UNKNOWN
            return [surface(rng, STAGE_HIGH, STAGE_WIDE, kind)], label
        if sources and chance < 0.85:
            return [photographed(rng, photo(sources[int(rng.integers(len(sources)))]))], 0
        if chance < 0.88:
            return [soft(rng)], 0
        if chance < 0.95:
            name = parameters["demos"][int(rng.integers(len(parameters["demos"])))]
            scene = getattr(demo_scenes, name, None) or getattr(demo_shapes, name)
            first, seed = int(rng.integers(2, 12)), int(rng.integers(2**31))
            step = 6  # at 12.5 a second, half a second
            frames = scene(rng, WIDE // 2, HIGH // 2, first + step * (looks - 1), 12.5)
            kept = [
                f.copy() for n, f in enumerate(frames, 1) if n >= first and (n - first) % step == 0
            ]
            return [photographed(np.random.default_rng(seed), f) for f in kept], 0
        style = parameters["drawn"][int(rng.integers(len(parameters["drawn"])))]
        return [photographed(rng, scene_cameras.DRAWN[style](rng))], UNKNOWN

    return background


def _save(path: Path, arrays: Mapping[str, Any], thresholds: tuple[float, ...]) -> None:
    packed = io.BytesIO()
    own: Any = {"recipe": np.array("graphics"), "thresholds": np.array(thresholds, np.float32)}
    np.savez_compressed(packed, **own, **arrays)
    path.write_bytes(packed.getvalue())


@dataclass(frozen=True, slots=True)
class _Shot:
    """The looks at one made shot."""

    seen: NDArray[np.uint8]
    """What the network says, as a strip keeps it: [n, looks.SEEN_BYTES]."""
    labels: NDArray[np.uint8]
    """[n, 2]: text, card."""


def _seen(network: Network, parts: Sequence[Path]) -> Iterator[_Shot]:
    for path in parts:
        with np.load(path, allow_pickle=False) as file:
            stills, labels, looks = file["stills"], file["labels"], int(file["looks"])
        for first in range(0, len(stills), looks):
            shot = slice(first, first + looks)
            yield _Shot(seen_in(network, stills[shot]), labels[shot])


def _found(shot: _Shot, thresholds: Sequence[float]) -> NDArray[np.bool_]:
    """[n, 2]: where text, and a card, is said to be."""
    return np.stack(list(overlaid(shot.seen, thresholds).values()), 1)


def _thresholds(shots: Sequence[_Shot]) -> tuple[float, ...]:
    """Of each the lowest of some with LEAST_PRECISION, or the most precise."""
    labels = np.concatenate([s.labels for s in shots])
    best = [(0.0, 0.5)] * HEADS
    for threshold in THRESHOLDS:
        found = np.concatenate([_found(s, (threshold,) * HEADS) for s in shots])
        for k in range(HEADS):
            right, wrong, _ = _counted(found[:, k], labels[:, k])
            precision = right / max(1, right + wrong)
            if best[k][0] < LEAST_PRECISION:
                best[k] = max(best[k], (precision, threshold))
    return tuple(threshold for _, threshold in best)


def _counted(found: NDArray[np.bool_], labels: NDArray[np.uint8]) -> tuple[int, int, int]:
    """Right ones, wrong ones, missed ones."""
    return (
        int((found & (labels == 1)).sum()),
        int((found & (labels == 0)).sum()),
        int((~found & (labels == 1)).sum()),
    )


def _figures(shots: Sequence[_Shot], thresholds: Sequence[float]) -> dict[str, Any]:
    labels = np.concatenate([s.labels for s in shots])
    found = np.concatenate([_found(s, thresholds) for s in shots])
    figures = {n: _told(found[:, k], labels[:, k]) for k, n in enumerate(NAMES)}
    either = np.where((labels == 1).any(axis=1), 1, np.where((labels == 0).all(axis=1), 0, 255))
    figures["either"] = _told(np.asarray(found.any(axis=1)), either.astype(np.uint8))
    return figures


def _told(found: NDArray[np.bool_], labels: NDArray[np.uint8]) -> dict[str, Any]:
    right, wrong, missed = _counted(found, labels)
    return {
        "pictures": right + missed,
        "without": int((labels == 0).sum()),
        "ignored": int((labels == 255).sum()),
        "precision": round(right / max(1, right + wrong), 4),
        "recall": round(right / max(1, right + missed), 4),
    }


RECIPE = Graphics()
