"""docs/styles.md: the styles with a strip each, made from their files."""

from __future__ import annotations

from montage_dask.edit.styles import Style, load_style, style_names

HEAD = """\
# Styles

Made by `python -m montage_dask config reference --styles` from `montage_dask/styles/*.yaml`; do not edit it here.

Each strip is the same footage and music (the demo, 24 seconds) in another style: every picture is as wide as its shot lasts, with
its transitions and colours as they are in the montage. See them all on footage of yours, a draft and a strip for each:

    python -m montage_dask styles footage/ --music track.mp3 -o styles/

`--style NAME` chooses one. `--transition`, `--grade`, `--match`, `--beat-effects` and `--seed` change it from case to case. For a
style of your own copy a file, change it and name it: `--style mine.yaml`. What its keys mean is [below](#a-style-of-your-own).

The pace stands for a song of medium energy: where it is lively or the story tense, shots last half as long, where it is calm
twice as long. With too little footage for the pace, cuts come more slowly, and the run says so. Slow motion takes footage with
enough frames: 40 a second for half speed.
"""

TAIL = """\
## A style of your own

| key | what it says |
| --- | --- |
| `description` | one line for people |
| `beats_per_cut` | beats that a shot lasts at medium energy, by section of the song: `intro low build high drop outro` |
| `energy_response` | what pace and motion follow: 0 the arc alone … 1 the energy of the music alone |
| `arc` | tension over the montage: {arcs} |
| `weights` | what pictures are chosen for, 0 … 10: `quality motion variety arc action`; only the ratios count |
| `minimum_shot_seconds`, `maximum_shot_seconds` | limits of a shot |
| `prefer_downbeats` | cut on the first beat of a bar where there is a choice |
| `transition` | {transitions} |
| `transition_at` | where it comes: {places} |
| `transition_chance` | chance of one at every other cut, 0 … 1 |
| `transition_beats` | its length in beats |
| `grade` | {grades} |
| `match` | shots of one scene brought to one look: `auto` `on` `off` |
| `fade_out_seconds` | fade to black and silence at the end |
| `slow_motion` | speed of calm shots, 0.25 … 1 |
| `speed_change` | how much a shot may speed up or slow down to meet a beat, 1 (never) … 2; only where frames come evenly |
| `jump_cuts` | whether two parts of one take may follow each other |
| `order` | `free`, or `chronological`: as it was filmed |
| `taste` | looks that it likes to show, 0 … 10 each: {looks}; only the ratios count; may be missing |
| `punch` `flash` `shake` `ramp` | on beats: `none`, or `{{at: WHERE, strength: 0 … 1}}`, where: {beats}; may be missing |

**Beats in the picture.** On a beat, `punch` brings the picture nearer at once (12 % at strength 1) and lets it go in 0.4 s;
`flash` makes it brighter (half of the way to white at strength 1) for 0.24 s; `shake` shakes it for 0.4 s (2 % of its size
at strength 1); `ramp` shows the shot slowly from the beat on and ever faster to the next one that counts (60 % slower and
faster at strength 1, and never below 20 frames of footage a second): on these beats it is where it would be without, and
the part of the footage is the same. `drops` are where the song breaks loose, `downbeats` also the first beats of the bars
of its loud sections (`high`, `drop`) at 60 % of the strength, `beats` also the others at 40 %. The last shot and the fade-
out are left alone, and nothing beyond the edge of a picture comes into view. There are never more than three flashes in a
second, dips to white counted, and none is brighter than half of the way to white (WCAG 2.3.1). `--beat-effects off` takes
all of it out, `--beat-effects punch=beats:0.8,flash=none` changes it; `timeline.otio` holds it, the other exports name it
where they have no word for it.

A key that is missing, unknown or wrong is named. `python -m montage_dask plan … --style mine.yaml` checks it without rendering.
"""


def gallery_page() -> str:
    """The page, in Markdown; its pictures are styles/NAME.jpg beside it."""
    from montage_dask.edit.beat_effects import BEATS
    from montage_dask.edit.looks import LOOKS
    from montage_dask.edit.story import ARCS
    from montage_dask.edit.styles import GRADES, PLACES, TRANSITIONS

    parts = [HEAD]
    for name in style_names():
        style = load_style(name)
        parts.append(f"## {name}\n\n{style.description}.\n\n![{name}](styles/{name}.jpg)\n")
        parts.append("".join(f"- {line}\n" for line in _facts(style)))
    named = {
        "arcs": ARCS,
        "transitions": TRANSITIONS,
        "places": PLACES,
        "grades": GRADES,
        "beats": BEATS,
        "looks": LOOKS,
    }
    listed = {k: " ".join(f"`{v}`" for v in values) for k, values in named.items()}
    return "\n".join([*parts, TAIL.format(**listed)])


def _facts(style: Style) -> list[str]:
    pace = ", ".join(f"{label} {beats}" for label, beats in style.beats_per_cut.items())
    limits = f"{style.minimum_shot_seconds:g} to {style.maximum_shot_seconds:g} s"
    most = max(style.weights.values())
    wants = [n for n, w in style.weights.items() if w >= 0.75 * most]
    lines = [
        f"**pace** in beats: {pace}; shots of {limits}; arc `{style.arc}`",
        f"**transitions**: {_transitions(style)}; fades out in {style.fade_out_seconds:g} s",
        f"**colours**: grade `{style.grade}`"
        + ("" if style.match == "off" else "; scenes brought to one look"),
        f"**looks for** {', '.join(wants)}; likes {', '.join(_liked(style))}",
    ]
    if style.order == "chronological":
        lines[-1] += "; in the order it was filmed"
    if style.speed_change > 1:
        lines[-1] += f"; shots up to {style.speed_change:g} times faster or slower, to meet a beat"
    if style.slow_motion < 1:
        lines[-1] += f"; calm shots at {float(style.slow_motion):g} × speed"
    effects = [f"{n} on {e.at}" for n, e in style.beat_effects.items() if e.at != "none"]
    if effects:
        lines.append(f"**on beats**: {', '.join(effects)}")
    return lines


def _liked(style: Style) -> list[str]:
    """The looks of its taste, the most liked first."""
    return sorted(style.taste, key=lambda look: -style.taste[look])


def _transitions(style: Style) -> str:
    if style.transition == "cut" or (style.transition_at == "none" and not style.transition_chance):
        return "hard cuts"
    length = f"{style.transition_beats:g} beat" + ("" if style.transition_beats == 1 else "s")
    if style.transition_at == "all":
        return f"`{style.transition}` of {length} at every cut between pictures that are alike"
    where = "where the song changes" if style.transition_at == "sections" else "now and then"
    chance = (
        f", and at {style.transition_chance:.0%} of the other cuts"
        if style.transition_chance
        else ""
    )
    return f"`{style.transition}` of {length} {where}{chance}; else hard cuts"
