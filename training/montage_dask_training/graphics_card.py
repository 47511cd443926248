"""The model card of the graphics network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def card(training: Mapping[str, Any]) -> str:
    """The card in Markdown.

    Args:
        training: the object of `training.json`.
    """
    from montage_dask_training.graphics import HELD_OUT_DEMOS, HELD_OUT_DRAWN, NAMES, PICTURES
    from montage_dask_training.graphics_captions import CAPTIONS, HELD_OUT_CAPTIONS
    from montage_dask_training.graphics_cards import CARDS, HELD_OUT_CARDS
    from montage_dask_training.graphics_signs import (
        HELD_OUT_SIGNS,
        HELD_OUT_SURFACES,
        SIGNS,
        SURFACES,
    )

    thresholds = training["chosen"]["thresholds"]
    parts, each = training["parts"], PICTURES[training["size"]]
    minutes = sum(leg["cpu_seconds"] for leg in training["legs"]) / 60
    command = (
        f"python -m montage_dask train graphics --size {training['size']} --seed {training['seed']}"
    )
    if training["data"]:
        command += " --data …"
    if training["start_weights"]:
        command += f" --weights {training['start_weights']}"
    rows = "".join(
        f"| {name} | {v['pictures']} | {v['without']} | {v['ignored']} | {v['precision']:.3f} | {v['recall']:.3f} |\n"
        for name, v in training["figures"].items()
    )
    own = f"{len(training['data'])} photographs"
    chosen = ", ".join(f"{t:g} ({n})" for n, t in zip(NAMES, thresholds, strict=True))
    data = "".join(f"- {d['name']} ({d['identity'][:12]})\n" for d in training["data"])
    nothing = "No files: all of it is drawn.\n"
    return f"""# Graphics network

Says of a still of 256×144 pixels whether text is laid over it or fills it, whether it is a card (test bars, grids, diagrams,
slides, screens) and no picture of anything, and which of its 18×32 cells hold words.
{training["size_bytes"] / 1e3:.0f} kB; version {training["recipe_version"]} of its recipe.

![loss](loss.png)

## How it was made

    {command}

{training["steps"]} steps in {len(training["legs"])} legs: {minutes:.1f} CPU minutes of learning.

**Data.** {parts["training"]} parts for training, {parts["validation"]} for validation, {parts["test"]} for the test, of {each}
pictures each. All text and all cards are drawn, so where they are is known: {", ".join((*CAPTIONS, *CARDS))}.
Backgrounds are {own} given with `--data`, the scenes of `--demo`, and drawn ones. Words are random letters in the fonts of the
machine and of matplotlib. What belongs to the scene ({", ".join(SIGNS)}) and surfaces that look like text
({", ".join(dict.fromkeys(SURFACES))}) are drawn, too, and count as none.

**Held out** for the test: scenes photographed and families of fonts by name (every sixth; another sixth for
validation), the layouts {", ".join((*HELD_OUT_CAPTIONS, *HELD_OUT_CARDS, *HELD_OUT_SIGNS, *HELD_OUT_SURFACES))},
the scenes {", ".join((*HELD_OUT_DRAWN, *HELD_OUT_DEMOS))}.
Thresholds were chosen on the validation split: {chosen}.

## Figures on the test split

Looks at made shots of eight looks, half a second apart: a camera moves, text comes and goes. Each look counts once, as the
analysis decides on it by all of its shot. Ignored: words that nobody could read in the still, or too few.

| | looks with it | without | ignored | precision | recall |
| --- | ---: | ---: | ---: | ---: | ---: |
{rows}
## Limits

What it learnt is drawn. Text under a hundredth of the picture counts as neither: a clock in a corner, tiny credits. Text that is
just fading in is missed. A sign that fills the picture, straight and sharp, may be taken for a title; a drawn film of few flat
colours for a card.

## Data

{data or nothing}"""
