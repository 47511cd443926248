"""Looks at made shots, half a second apart: a camera moves over pictures, text comes and goes over them, cards stand."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from montage_dask_training.graphics_captions import CAPTIONS, HELD_OUT_CAPTIONS, Overlay, overlay
from montage_dask_training.graphics_cards import CARDS, HELD_OUT_CARDS, card
from montage_dask_training.graphics_drawing import HIGH, WIDE, Drawer
from montage_dask_training.graphics_pictures import (
    Damage,
    Letterbox,
    Sample,
    camera,
    filmed,
    labelled,
)
from montage_dask_training.graphics_signs import HELD_OUT_SIGNS, SIGNS, add_sign

Picture = NDArray[np.uint8]

LOOKS = 8
"""Of a shot in the validation and test splits; those of training are one look long."""

CARD_SHARE, TEXT_SHARE = 0.22, 0.36
"""Of the shots."""

SIGNED = 0.33
"""Share of the shots with signs."""

Background = Callable[[np.random.Generator, int], tuple[list[Picture], int]]
"""Gives stages (one, or one for each of so many looks) uint8 [STAGE_HIGH, STAGE_WIDE, 3] and whether that is a card."""


def sequence(
    rng: np.random.Generator,
    fonts: Sequence[str],
    background: Background,
    looks: int = 1,
    *,
    held_out: bool = False,
) -> list[Sample]:
    """Looks at one shot: text over something, a card, or neither.

    Args:
        rng: decides everything.
        fonts: paths.
        background: what is filmed.
        looks: how many, half a second apart.
        held_out: with the layouts that only the test knows.
    """
    drawer = Drawer(rng, fonts)
    chance, letterbox, damage = rng.random(), Letterbox(rng), Damage(rng)
    if chance < CARD_SHARE:
        kinds: tuple[str, ...] = HELD_OUT_CARDS + CARDS if held_out else CARDS
        drawer.largest = 0.0
        picture, mask = card(drawer, kinds[int(rng.integers(len(kinds)))])
        font = drawer.largest * damage.sharp
        return [labelled(damage(rng, letterbox(picture)), mask, 1, font=font) for _ in range(looks)]
    stages, is_card = background(rng, looks)
    if rng.random() < SIGNED:
        signs: tuple[str, ...] = HELD_OUT_SIGNS + SIGNS if held_out else SIGNS
        for _ in range(int(rng.integers(1, 4))):
            sign, seed = signs[int(rng.integers(len(signs)))], int(rng.integers(2**31))
            stages = [add_sign(Drawer(np.random.default_rng(seed), fonts), s, sign) for s in stages]
    path = camera(rng, looks)
    text: Overlay | None = None
    strengths = np.zeros(looks)
    if chance < CARD_SHARE + TEXT_SHARE:
        kinds = HELD_OUT_CAPTIONS + CAPTIONS if held_out else CAPTIONS
        text = overlay(drawer, kinds[int(rng.integers(len(kinds)))])
        strengths = shown(rng, looks)
    return [
        _look(
            rng,
            letterbox(filmed(stages[k % len(stages)], path[k])),
            text,
            k,
            float(strengths[k]),
            damage,
            is_card,
        )
        for k in range(looks)
    ]


def shown(rng: np.random.Generator, looks: int) -> NDArray[np.float64]:
    """How strongly text is there at each look: all the time, or from some on, and fading for one of them at its ends."""
    strengths = np.ones(looks)
    if looks < 3 or rng.random() < 0.4:
        return strengths
    start = int(rng.integers(0, looks - 1))
    stop = min(looks, start + int(rng.integers(2, looks + 1)))
    strengths[:start] = strengths[stop:] = 0
    for look in (start, stop - 1):
        if stop - start > 3 and rng.random() < 0.4:
            strengths[look] = rng.uniform(0.1, 0.9)
    return strengths


def _look(
    rng: np.random.Generator,
    below: Picture,
    text: Overlay | None,
    number: int,
    strength: float,
    damage: Damage,
    is_card: int,
) -> Sample:
    if text is None or strength <= 0:
        return labelled(damage(rng, below), np.zeros((HIGH, WIDE), np.uint8), is_card)
    now, seed = text.moved(number), int(rng.integers(2**31))
    picture, without = (
        damage(np.random.default_rng(seed), v) for v in (now.over(below, strength), below)
    )
    return labelled(picture, now.mask, is_card, without=without, font=text.largest * damage.sharp)
