"""The recipe of the graphics network: which pictures are made, how they are split, and what is measured."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from montage_dask.analysis.graphics_network import HEADS, Network
from montage_dask.errors import UsageError
from montage_dask.training.recipe import Input, Part

if TYPE_CHECKING:
    from montage_dask.training.graphics_pictures import Sample

DRAWN = ("cloudy", "furnished", "crowded")
DEMOS = (
    "aurora", "sunset", "city_lights", "starfield", "wireframe", "tunnel", "waves", "dancing_shapes", "lava",
)  # fmt: skip
HELD_OUT_DRAWN = ("woven",)
HELD_OUT_DEMOS = ("lanterns", "kaleidoscope", "tiles")

PARTS = {
    "default": {"training": 72, "validation": 5, "test": 12},
    "tiny": {"training": 1, "validation": 1, "test": 1},
}
PICTURES = {"default": 400, "tiny": 24}
"""In a part."""

PARTS_A_LEG = 8

MOST_FONTS = {True: 200, False: 80}
"""With Latin letters, and for other scripts."""

TEXT, CARD = 0, 1
NAMES = ("text", "card")

LEAST_PRECISION = 0.99
"""Thresholds are the lowest that reach it on the validation split: a good shot left out is lost, a title left in is seen."""


class Graphics:
    """See `recipe.Recipe`."""

    name = "graphics"
    version = 2
    reads = ("picture",)
    legs: Mapping[str, int] = {"default": 30, "tiny": 2}

    def parts(self, seed: int, size: str, inputs: Sequence[Input]) -> tuple[Part, ...]:
        """Of the pictures and of the fonts, every sixth is kept for the test and another for validation: whole files."""
        groups: dict[str, list[Input]] = {"training": [], "validation": [], "test": []}
        for one in inputs:
            groups[_split(one.identity)].append(one)
        fonts: dict[str, list[str]] = {"training": [], "validation": [], "test": []}
        for name in usable_fonts():
            fonts[_split(_family(name))].append(name)
        return tuple(
            Part(
                split,
                {
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
        """Stills uint8 [n, 144, 256, 3], cells uint8 [n, 18, 32], labels uint8 [n, 2]: text, card."""
        import cv2

        from montage_dask.training.graphics_pictures import sample

        cv2.setNumThreads(1)
        fonts = [str(_font_path(name)) for name in parameters["fonts"]]
        background = _backgrounds(parameters, inputs)
        made: list[Sample] = [
            sample(
                np.random.default_rng([*parameters["seed"], 1000 + number]),
                fonts,
                background,
                held_out=parameters["held_out"],
            )
            for number in range(parameters["pictures"])
        ]
        with output.open("wb") as file:
            np.savez_compressed(
                file,
                stills=np.stack([s.picture for s in made]),
                cells=np.stack([s.cells for s in made]),
                labels=np.array([(s.text, s.card) for s in made], np.uint8),
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

        from montage_dask.training import graphics_network as learning
        from montage_dask.training.exact import exactly, save_state

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
        said, labels = _said(Network(output), validation)
        chosen = tuple(_threshold(said[:, k], labels[:, k]) for k in range(HEADS))
        _save(output, arrays, chosen)
        return {"thresholds": list(chosen), "validation": _figures(said, labels, chosen)}

    def evaluate(self, weights: Path, parts: Sequence[Path]) -> dict[str, Any]:
        """Precision and recall of text, of cards, and of either."""
        network = Network(weights)
        return _figures(*_said(network, parts), network.thresholds)

    def card(self, training: Mapping[str, Any]) -> str:
        """See `graphics_card.card`."""
        from montage_dask.training.graphics_card import card

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
        names = sorted(scripts[latin])
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

    from montage_dask.training.graphics_drawing import letters

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


def _split(name: str) -> str:
    number = zlib.crc32(name.encode()) % 6
    return {0: "test", 3: "validation"}.get(number, "training")


def _backgrounds(
    parameters: Mapping[str, Any], inputs: Mapping[str, str]
) -> Callable[[np.random.Generator], tuple[NDArray[np.uint8], int]]:
    """What gives backgrounds: photographs mostly where there are some, else what is drawn."""
    from montage_dask.media import demo_scenes, demo_shapes
    from montage_dask.training import scene_cameras
    from montage_dask.training.graphics_drawing import HIGH, WIDE
    from montage_dask.training.graphics_pictures import UNKNOWN, photographed, soft

    sources = parameters["sources"]
    held: dict[str, NDArray[np.uint8]] = {}

    def photo(identity: str) -> NDArray[np.uint8]:
        if identity not in held:
            from PIL import Image

            with Image.open(inputs[identity]) as picture:
                picture.draft("RGB", (1280, 1280))
                picture.thumbnail((1024, 1024))
                held[identity] = np.asarray(picture.convert("RGB"))
        return held[identity]

    def background(rng: np.random.Generator) -> tuple[NDArray[np.uint8], int]:
        chance = rng.random()
        if sources and chance < 0.8:
            return photographed(rng, photo(sources[int(rng.integers(len(sources)))])), 0
        if chance < 0.86:
            return soft(rng), 0
        if chance < 0.94:
            name = parameters["demos"][int(rng.integers(len(parameters["demos"])))]
            scene = getattr(demo_scenes, name, None) or getattr(demo_shapes, name)
            *_, frame = scene(rng, WIDE // 2, HIGH // 2, int(rng.integers(2, 12)), 12.5)
            return photographed(rng, frame), 0
        style = parameters["drawn"][int(rng.integers(len(parameters["drawn"])))]
        return photographed(rng, scene_cameras.DRAWN[style](rng)), UNKNOWN

    return background


def _save(path: Path, arrays: Mapping[str, Any], thresholds: tuple[float, ...]) -> None:
    packed = io.BytesIO()
    own: Any = {"recipe": np.array("graphics"), "thresholds": np.array(thresholds, np.float32)}
    np.savez_compressed(packed, **own, **arrays)
    path.write_bytes(packed.getvalue())


def _said(network: Network, parts: Sequence[Path]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """What the network says of parts, and the truth: [n, 2] each."""
    said, labels = [], []
    for stills, truth in _read(parts):
        found = network(stills)
        said.append(np.stack([found.text, found.card], 1))
        labels.append(truth)
    return np.concatenate(said), np.concatenate(labels)


def _read(parts: Sequence[Path]) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    for path in parts:
        with np.load(path, allow_pickle=False) as file:
            yield file["stills"], file["labels"]


def _threshold(said: NDArray[np.float32], labels: NDArray[np.uint8]) -> float:
    """The lowest of some with LEAST_PRECISION, or the most precise."""
    best = (0.0, 0.5)
    for threshold in np.arange(0.3, 0.96, 0.05):
        right, wrong, _ = _counted(said, labels, float(threshold))
        precision = right / max(1, right + wrong)
        if precision >= LEAST_PRECISION:
            return round(float(threshold), 2)
        best = max(best, (precision, float(threshold)))
    return round(best[1], 2)


def _counted(
    said: NDArray[np.float32], labels: NDArray[np.uint8], threshold: float
) -> tuple[int, int, int]:
    """Right ones, wrong ones, missed ones."""
    found = said >= threshold
    return (
        int((found & (labels == 1)).sum()),
        int((found & (labels == 0)).sum()),
        int((~found & (labels == 1)).sum()),
    )


def _figures(
    said: NDArray[np.float32], labels: NDArray[np.uint8], thresholds: Sequence[float]
) -> dict[str, Any]:
    figures = {}
    for k, name in enumerate(NAMES):
        figures[name] = _told(
            *_counted(np.asarray(said[:, k]), np.asarray(labels[:, k]), thresholds[k])
        )
    found = np.any(said >= np.array(thresholds), axis=1)
    either = np.where((labels == 1).any(axis=1), 1, np.where((labels == 0).all(axis=1), 0, 255))
    figures["either"] = _told(*_counted(found.astype(np.float32), either.astype(np.uint8), 0.5))
    return figures


def _told(right: int, wrong: int, missed: int) -> dict[str, Any]:
    return {
        "pictures": right + missed,
        "precision": round(right / max(1, right + wrong), 4),
        "recall": round(right / max(1, right + missed), 4),
    }


RECIPE = Graphics()
