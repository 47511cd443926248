"""The graphics network: pictures with known text and cards, the same numbers with and without torch, a whole tiny training."""

from __future__ import annotations

import numpy as np
import pytest

from montage_dask.analysis import looks
from montage_dask.analysis.graphics_network import CELLS, HEIGHT, WIDTH, Network, network
from montage_dask.named_files import recipe_of_weights
from montage_dask_training.graphics import RECIPE, usable_fonts
from montage_dask_training.graphics_captions import CAPTIONS, HELD_OUT_CAPTIONS, overlay
from montage_dask_training.graphics_cards import CARDS, HELD_OUT_CARDS, card
from montage_dask_training.graphics_drawing import HIGH, WIDE, Drawer
from montage_dask_training.graphics_pictures import (
    STAGE_HIGH,
    STAGE_WIDE,
    UNKNOWN,
    Damage,
    labelled,
)
from montage_dask_training.graphics_sequences import sequence, shown
from montage_dask_training.graphics_signs import (
    HELD_OUT_SIGNS,
    HELD_OUT_SURFACES,
    SIGNS,
    SURFACES,
    add_sign,
    surface,
)


@pytest.fixture(scope="module")
def fonts():
    """Fonts that come with matplotlib: every machine has them."""
    from pathlib import Path

    from matplotlib import get_data_path

    folder = Path(get_data_path(), "fonts", "ttf")
    return [
        str(folder / n) for n in ("DejaVuSans.ttf", "DejaVuSerif-Bold.ttf", "DejaVuSansMono.ttf")
    ]


def scenery(rng, wide=WIDE, high=HIGH):
    """Something with light and noise, as a camera sees it."""
    import cv2

    coarse = rng.uniform(30, 220, (9, 16, 3)).astype(np.float32)
    picture = cv2.resize(coarse, (wide, high), interpolation=cv2.INTER_CUBIC)
    return np.clip(picture + rng.normal(0, 6, picture.shape), 0, 255).astype(np.uint8)


def damaged(rng, picture):
    return Damage(rng)(rng, picture)


def stage(rng, looks):
    return [scenery(rng, STAGE_WIDE, STAGE_HIGH)], 0


@pytest.mark.parametrize("kind", [*CAPTIONS, *HELD_OUT_CAPTIONS])
def test_captions_are_where_their_labels_say(fonts, kind):
    rng = np.random.default_rng(1)
    below = scenery(rng)
    text = overlay(Drawer(rng, fonts), kind)
    picture = text.over(below)
    changed = np.abs(picture.astype(int) - below).max(axis=2) > 40
    assert picture.shape == (HIGH, WIDE, 3)
    assert text.mask.shape == (HIGH, WIDE)
    assert text.largest > 0
    if kind not in (
        "title",
        "credits",
        "poster",
        "lower_third",
        "ticker",
        "drawn",
        "arched",
    ):  # fmt: skip  (these darken, glow or lay bands)
        assert changed[text.mask > 0].mean() > 3 * changed[text.mask == 0].mean()
    one = labelled(damaged(rng, picture), text.mask, 0)
    assert one.picture.shape == (HEIGHT, WIDTH, 3)
    assert one.cells.shape == CELLS
    assert (one.cells == 1).any() or one.text == UNKNOWN


def test_drawn_letters_are_as_large_as_a_third_of_the_picture(fonts):
    tall = []
    for seed in range(20):
        mask = overlay(Drawer(np.random.default_rng(seed), fonts), "drawn").mask
        tall.append(np.flatnonzero(mask.any(axis=1)).size / HIGH)
    assert max(tall) > 0.33
    assert min(tall) < 0.3


def test_what_nobody_can_read_teaches_nothing(fonts):
    rng = np.random.default_rng(4)
    below = scenery(rng)
    text = overlay(Drawer(rng, fonts), "title")
    damage = Damage(np.random.default_rng(1))
    without = damage(np.random.default_rng(2), below)
    for strength, label in ((1.0, 1), (0.02, UNKNOWN)):
        picture = damage(np.random.default_rng(2), text.over(below, strength))
        one = labelled(picture, text.mask, 0, without=without)
        assert one.text == label
        assert (one.cells == 1).any() == (label == 1)
    assert labelled(picture, text.mask, 0, font=3.0).text == UNKNOWN


@pytest.mark.parametrize("kind", [*SIGNS, *HELD_OUT_SIGNS])
def test_signs_stand_in_the_scene(fonts, kind):
    before = scenery(np.random.default_rng(0))
    after = add_sign(Drawer(np.random.default_rng(3), fonts), before, kind)
    changed = (np.abs(after.astype(int) - before).max(axis=2) > 8).mean()
    assert after.shape == before.shape
    assert 0.001 < changed < 0.6


@pytest.mark.parametrize("kind", [*dict.fromkeys(SURFACES), *HELD_OUT_SURFACES])
def test_surfaces_are_drawn(kind):
    one, same = (surface(np.random.default_rng(5), 120, 200, kind) for _ in range(2))
    assert one.shape == (120, 200, 3)
    assert np.array_equal(one, same)
    assert one.std() > 1


def test_text_is_there_for_two_looks_at_least():
    for seed in range(50):
        there = shown(np.random.default_rng(seed), 8) > 0
        edges = np.abs(np.diff(there.astype(int))).sum()
        assert there.sum() >= 2
        assert edges <= 2


def test_looks_at_a_shot_have_one_truth_each(fonts):
    looks = [
        one
        for seed in range(12)
        for one in sequence(np.random.default_rng(seed), fonts, stage, 4, held_out=seed % 2 == 0)
    ]
    assert len(looks) == 48
    assert {one.text for one in looks} >= {0, 1}
    assert {one.card for one in looks} == {0, 1}


@pytest.mark.parametrize("kind", [*CARDS, *HELD_OUT_CARDS])
def test_cards_are_drawn(fonts, kind):
    picture, mask = card(Drawer(np.random.default_rng(2), fonts), kind)
    assert picture.shape == (HIGH, WIDE, 3)
    assert mask.shape == (HIGH, WIDE)


def test_a_seed_makes_one_picture(fonts):
    def one(seed):
        return sequence(np.random.default_rng(seed), fonts, stage)[0]

    assert np.array_equal(one(3).picture, one(3).picture)
    assert not np.array_equal(one(3).picture, one(4).picture)


def test_numpy_computes_what_torch_learnt(tmp_path):
    import torch

    from montage_dask_training.graphics_network import GraphicsNetwork

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
    from montage_dask_training import graphics

    monkeypatch.setitem(graphics.PICTURES, "tiny", 8)
    made = {}
    for number, part in enumerate(RECIPE.parts(0, "tiny", ())):
        path = tmp_path / f"{number}.npz"
        assert RECIPE.synthesise(part.parameters, {}, path) == {"pictures": 8}
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
    assert any(name.startswith("DejaVu") for name in usable_fonts())
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
        text = overlay(Drawer(rng, fonts), kind)
        if labelled(plain, text.mask, 0).text == 1:
            still = damaged(np.random.default_rng(seed), text.over(below))
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
