"""The model card of the beat network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from montage_dask_training.beat_soundfont import TEST_SOUNDFONT
from montage_dask_training.beat_styles import HELD_OUT_STYLES, TRAINING_STYLES


def card(training: Mapping[str, Any]) -> str:
    """The card in Markdown.

    Args:
        training: the object of `training.json`.
    """
    from montage_dask_training.beats import SONG_SECONDS

    fonts = training["chosen"]["soundfonts"]
    minutes = sum(leg["cpu_seconds"] for leg in training["legs"]) / 60
    start = training["start_weights"]
    own = f"{len(training['data'])} tracks" if training["data"] else "none"
    engines = (
        "about 70 % of the songs are played for the most part by FluidSynth with"
        f" {', '.join(fonts)}, the rest by the own synthesiser"
        if fonts
        else "**own synthesiser only**: FluidSynth or its soundfont was not installed,"
        " so a part of the variety is missing"
    )
    command = f"train beats --size {training['size']} --seed {training['seed']}"
    command += " --data …" * bool(training["data"]) + (f" --weights {start}" if start else "")
    parts = training["parts"]
    styles = ", ".join(s.name for s in TRAINING_STYLES)
    held_out = ", ".join(s.name for s in HELD_OUT_STYLES)
    return f"""# Beat network

Says of every 23 ms of music whether a beat falls there, and whether it begins a bar. It reads the log mel spectra that the
analysis makes anyway (64 bands, 86 frames a second), sees 12 s to both sides, and stands in for the onset strength in front
of the decoder; the exact place of a beat is still that of its attack. {training["size_bytes"] / 1e3:.0f} kB,
{training["recipe_version"]}. version of its recipe.

![loss](loss.png)

## How it was made

    python -m montage_dask {command}

{training["steps"]} steps in {len(training["legs"])} legs, {minutes:.1f} CPU minutes of learning. The same seed and data
give the same weights on the same kind of machine.

**Data.** All music is composed and synthesised by the recipe, with beats and bars known exactly: {parts["training"]} parts
for training, of songs of about {SONG_SECONDS[training["size"]]:.0f} s in {len(TRAINING_STYLES)} styles ({styles}),
with 2 to 5 beats in a bar, 44 to 212 BPM, swing, rubato, ramps and jumps of the tempo, cut bars, fills, breaks, parts
without drums, voices off the grid, distortion, rooms, compression, noise, narrow bands and lossy codecs.
Engines: {engines}. Music of the user: {own}. No recording, and no annotation of anybody's music, is in it.

**Licences.** FluidR3 GM is MIT (Frank Wen; Debian package fluid-soundfont-gm 3.1-5.3). The recipe and these weights are
part of montage-dask.

**Held out.** The styles {held_out} are heard in the test only; half of the test is played by {TEST_SOUNDFONT} (Debian
package timgm6mb-soundfont 1.3-5), where it is installed, which is heard nowhere else.

## Figures on the test split

F-measures within ±70 ms. Octaves: how the median tempo found relates to the true one.

{_table(training["figures"])}
## Limits

What it learnt is synthetic. Music with a slow beat between soft notes, free time, and metres of more than five beats are
guesses. Where a beat has no attack, its place is that of its neighbours. Real music is judged in docs/benchmarks.md.
"""


def _table(figures: Mapping[str, Any]) -> str:
    lines = [
        "| | tracks | beats F | downbeats F | offset ms | correct | double | half | other |",
        "|---|" + "---:|" * 8,
    ]
    for name, row in (*figures["styles"].items(), ("**all**", figures["all"])):
        down = "–" if row["downbeats"] is None else f"{row['downbeats']:.3f}"
        off = "–" if row["offset_ms"] is None else f"{row['offset_ms']:+.1f}"
        counts = " | ".join(str(row["octaves"][k]) for k in ("correct", "double", "half", "other"))
        lines.append(
            f"| {name} | {row['tracks']} | {row['beats']:.3f} | {down} | {off} | {counts} |"
        )
    return "\n".join(lines) + "\n"
