"""The model card of the scene network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from montage_dask.analysis.scene_network import KINDS
from montage_dask_training.matching import cells
from montage_dask_training.scene_transitions import HELD_OUT_SHAPES, SHAPES

HEADER = (
    "",
    "transitions",
    "precision",
    "recall",
    "F1",
    "right kind",
    "overlap",
    "false / 1000 frames",
)


def card(training: Mapping[str, Any]) -> str:
    """The card in Markdown.

    Args:
        training: the object of `training.json`.
    """
    from montage_dask_training.scenes import HELD_OUT_DEMOS, HELD_OUT_DRAWN

    kinds = [d["kind"] for d in training["data"]]
    own = f"{kinds.count('picture')} pictures and {kinds.count('video')} videos"
    *bests, all_ = training["chosen"]["thresholds"]
    thresholds = ", ".join(f"{best:g} ({kind})" for kind, best in zip(KINDS, bests, strict=True))
    parts = training["parts"]
    minutes = sum(leg["cpu_seconds"] for leg in training["legs"]) / 60
    command = (
        f"python -m montage_dask train scenes --size {training['size']} --seed {training['seed']}"
    )
    if training["data"]:
        command += " --data …"
    if training["start_weights"]:
        command += f" --weights {training['start_weights']}"
    return f"""# Scene network

Says of each frame of a video whether it lies within a transition between two shots, and of which kind that is:
cut, dissolve, fade or wipe. It reads the strip: 48×27 RGB thumbnails of every frame.
{training["size_bytes"] / 1e3:.0f} kB; version {training["recipe_version"]} of its recipe.

![loss](loss.png)

## How it was made

    {command}

{training["steps"]} steps in {len(training["legs"])} legs: {minutes:.1f} CPU minutes of learning.
The same seed and data give the same weights on the same kind of machine.

**Data.** {parts["training"]} parts for training, {parts["validation"]} for validation, {parts["test"]} for the test.
All transitions are synthesised, so their extent is known exactly: hard cuts, dissolves of 4–60 frames,
fades through black, white and colours, and wipes
({", ".join(dict.fromkeys(SHAPES))}),
with flashes, exposure jumps, flicker, titles, letterboxes, noise, repeated and lost frames.
The shots are drawn (fields of noise, shapes, crowds, moving things, and the scenes of `--demo`),
and taken by moving cameras from the data given with `--data`: {own}.
Of videos, only ranges in which TransNetV2 sees no transition are used.

**Held out.** Files of the data by content: every eighth for the test, another eighth for validation.
The drawn styles {", ".join((*HELD_OUT_DRAWN, *HELD_OUT_DEMOS))}. Wipes of the shapes {", ".join(HELD_OUT_SHAPES)}.
Thresholds were chosen on the validation split: for the best frame of a transition
{thresholds}; for all of its frames {all_:g}.

## Figures on the test split

Transitions count once, within ±2 frames; "overlap" is what the extents found and true have in common, of what either has.

{_table(training["figures"])}
## Limits

What it learnt is synthetic. Transitions between pictures that look alike, jump cuts within one shot, wipes of much less
than 5 or more than 60 frames, and transitions that move in three dimensions may be missed. Very dark footage gives it
little to see; where a picture is nothing but noise or water, false alarms are possible.

## Data

{_data(training["data"])}"""


def _table(figures: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [HEADER, ("---", *["---:"] * (len(HEADER) - 1))]
    for kind, values in figures.items():
        rows.append(("nothing" if kind == "none" else kind, *cells(values)))
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)


def _data(data: Sequence[Mapping[str, str]]) -> str:
    if not data:
        return "No files: all of it is drawn.\n"
    return "".join(f"- {d['name']} ({d['kind']}, {d['identity'][:12]})\n" for d in data)
