"""The graphics network: pictures with known text and cards, the same numbers with and without torch, a whole tiny training."""

from __future__ import annotations

import numpy as np
import pytest

from montage_dask.analysis import looks
from montage_dask.analysis.graphics_network import CELLS, HEIGHT, WIDTH, Network, network
from montage_dask.training import recipe_of_weights
from montage_dask.training.graphics import RECIPE, usable_fonts
from montage_dask.training.graphics_captions import CAPTIONS, HELD_OUT_CAPTIONS, caption
from montage_dask.training.graphics_cards import CARDS, HELD_OUT_CARDS, card
from montage_dask.training.graphics_drawing import HIGH, WIDE, Drawer
from montage_dask.training.graphics_pictures import UNKNOWN, damaged, labelled, sample


@pytest.fixture(scope="module")
def fonts():
    """Fonts that come with matplotlib: every machine has them."""
    from pathlib import Path

    from matplotlib import get_data_path

    folder = Path(get_data_path(), "fonts", "ttf")
    return [
        str(folder / n) for n in ("DejaVuSans.ttf", "DejaVuSerif-Bold.ttf", "DejaVuSansMono.ttf")
    ]


def scenery(rng):
    """Something with light and noise, as a camera sees it."""
    import cv2

    coarse = rng.uniform(30, 220, (9, 16, 3)).astype(np.float32)
    picture = cv2.resize(coarse, (WIDE, HIGH), interpolation=cv2.INTER_CUBIC)
    return np.clip(picture + rng.normal(0, 6, picture.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("kind", [*CAPTIONS, *HELD_OUT_CAPTIONS])
def test_captions_are_where_their_labels_say(fonts, kind):
    rng = np.random.default_rng(1)
    below = scenery(rng)
    picture, mask = caption(Drawer(rng, fonts), below, kind)
    changed = np.abs(picture.astype(int) - below).max(axis=2) > 40
    assert picture.shape == (HIGH, WIDE, 3)
    assert mask.shape == (HIGH, WIDE)
    if kind not in (
        "title",
        "credits",
        "poster",
        "lower_third",
        "ticker",
    ):  # these darken or lay bands
        assert changed[mask > 0].mean() > 3 * changed[mask == 0].mean()
    one = labelled(damaged(rng, picture), mask, 0)
    assert one.picture.shape == (HEIGHT, WIDTH, 3)
    assert one.cells.shape == CELLS
    assert (one.cells == 1).any() or one.text == UNKNOWN


@pytest.mark.parametrize("kind", [*CARDS, *HELD_OUT_CARDS])
def test_cards_are_drawn(fonts, kind):
    picture, mask = card(Drawer(np.random.default_rng(2), fonts), kind)
    assert picture.shape == (HIGH, WIDE, 3)
    assert mask.shape == (HIGH, WIDE)


def test_a_seed_makes_one_picture(fonts):
    def one(seed):
        return sample(np.random.default_rng(seed), fonts, lambda rng: (scenery(rng), 0))

    assert np.array_equal(one(3).picture, one(3).picture)
    assert not np.array_equal(one(3).picture, one(4).picture)


def test_numpy_computes_what_torch_learnt(tmp_path):
    import torch

    from montage_dask.training.graphics_network import GraphicsNetwork

    torch.manual_seed(0)
    learnt = GraphicsNetwork()
    arrays = {k: v.detach().numpy() for k, v in learnt.state_dict().items()}
    path = tmp_path / "weights.npz"
    own = {"recipe": np.array("graphics"), "thresholds": np.array([0.5, 0.5], np.float32)}
    np.savez(path, **own, **arrays)
    assert recipe_of_weights(path) == "graphics"
    stills = np.random.default_rng(0).integers(0, 256, (3, HEIGHT, WIDTH, 3)).astype(np.uint8)
    with torch.no_grad():
        cells, heads = learnt(torch.from_numpy(stills))
    found = Network(path)(stills)
    assert np.allclose(found.words, torch.sigmoid(cells).numpy(), atol=1e-4)
    assert np.allclose(found.text, torch.sigmoid(heads[:, 0]).numpy(), atol=1e-4)
    assert np.allclose(found.card, torch.sigmoid(heads[:, 1]).numpy(), atol=1e-4)
    again = Network(path)(stills[1:2])
    assert np.array_equal(again.words[0], found.words[1])


def test_a_tiny_training(tmp_path, monkeypatch):
    from montage_dask.training import graphics

    monkeypatch.setitem(graphics.PICTURES, "tiny", 6)
    made = {}
    for number, part in enumerate(RECIPE.parts(0, "tiny", ())):
        path = tmp_path / f"{number}.npz"
        assert RECIPE.synthesise(part.parameters, {}, path) == {"pictures": 6}
        made.setdefault(part.split, []).append(path)
    state = None
    for leg in range(2):
        new = tmp_path / f"{leg}.pt"
        how = {"seed": 0, "size": "tiny", "leg": leg, "legs": 2}
        told = RECIPE.train(how, made["training"], state, new, start=None, device="cpu", threads=1)
        assert told["steps"] == 3
        state = new
    weights = tmp_path / "weights.npz"
    chosen = RECIPE.export(state, made["validation"], weights)
    RECIPE.check(weights)
    figures = RECIPE.evaluate(weights, made["test"])
    assert figures.keys() == {"text", "card", "either"}
    text = RECIPE.card(
        {
            "size": "tiny", "seed": 0, "data": [], "start_weights": None, "steps": 6, "size_bytes": 1,
            "recipe_version": RECIPE.version, "parts": {"training": 1, "validation": 1, "test": 1},
            "legs": [{"cpu_seconds": 1.0}], "chosen": chosen, "figures": figures,
        }
    )  # fmt: skip
    assert "No files: all of it is drawn." in text
    assert weights.stat().st_size < 2_000_000


def test_there_are_fonts():
    assert "DejaVuSans.ttf" in usable_fonts()
    assert not any("cmex" in name for name in usable_fonts())


def test_the_shipped_network_reads_titles(fonts):
    """Over scenery that no training drew: most of the large, clear ones, and none where there is none."""
    right = wrong = 0
    for seed in range(24):
        rng = np.random.default_rng([9, seed])
        below = scenery(rng)
        plain = damaged(np.random.default_rng(seed), below)
        wrong += network()(plain[None]).text[0] >= network().thresholds[0]
        kind = ("title", "subtitle", "list")[seed % 3]
        picture, mask = caption(Drawer(rng, fonts), below, kind)
        if labelled(plain, mask, 0).text == 1:
            still = damaged(np.random.default_rng(seed), picture)
            right += network()(still[None]).text[0] >= network().thresholds[0]
    assert right >= 17
    assert wrong <= 1


def test_flat_colour_is_told_from_light_and_noise():
    rng = np.random.default_rng(0)
    bars = np.repeat(
        np.array([(191, 191, 0), (0, 191, 191), (0, 191, 0), (191, 0, 0)], np.uint8), 64, axis=0
    )[None].repeat(HEIGHT, 0)
    wall = np.clip(
        np.linspace(90, 200, WIDTH)[None, :, None] + rng.normal(0, 2, (HEIGHT, WIDTH, 3)), 0, 255
    )
    night = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    assert looks.flat_share(bars) > 0.9
    assert looks.flat_share(wall.astype(np.uint8)) < 0.1
    assert looks.flat_share(night) == 0
