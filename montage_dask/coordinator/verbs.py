"""The verbs that a job may be of, beside `run`: what each takes, checked, and its command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from montage_dask.config import KINDS
from montage_dask.config.values import Kind, number, one_of, switch, whole

CONVERTED = ("deinterlace", "codec", "quality", "crf", "audio", "container")
ANALYSIS = (
    "deinterlace", "faces", "detector", "threshold", "tracker", "bpm", "beats-file", "beats-per-bar",
)  # fmt: skip

VERBS: Mapping[str, Sequence[str]] = {
    "analyse": ANALYSIS,
    "frames": ("every", "per-shot", "contact-sheet", "format", "width", "detector", "deinterlace"),
    "transcode": (*CONVERTED, "size"),
    "stabilise": (*CONVERTED, "detector"),
    "upscale": (*CONVERTED, "scale", "upscale-model"),
    "grade": (*CONVERTED, "grade", "size"),
    "styles": (*ANALYSIS, "duration", "start", "size", "fit", "seed"),
}
"""Options of each: settings, or else those of `OWN`."""

OWN: Mapping[str, Kind[Any]] = {
    "audio": one_of("copy", "aac", "none"),
    "container": one_of(".mp4", ".mov", ".mkv"),
    "scale": one_of("2", "4"),
    "every": number(0.01, 86_400),
    "per-shot": whole(1, 1000),
    "contact-sheet": switch,
    "format": one_of("jpg", "png"),
    "width": whole(16, 16_384),
}
"""What is no setting."""

FLAGS = {"beats-file": "beats", "upscale-model": "model"}
"""Where an option is called otherwise than its setting."""
MADE = "made"
"""The folder, within that of the job, of what such a verb makes."""


def kinds(verb: str) -> Mapping[str, Kind[Any]]:
    """The options that a job of a verb may set."""
    if verb == "run":
        return {name: kind for name, kind in KINDS.items() if kind.in_job_files}
    return {name: KINDS.get(name) or OWN[name] for name in VERBS[verb]}


def words(content: Mapping[str, Any]) -> list[str]:
    """The command line of a job that is no `run`: every value within its option, and all that is no option behind `--`."""
    verb = content["verb"]
    found = [verb, "--output", MADE, *(["--yes"] if verb == "upscale" else [])]
    for name in VERBS[verb]:
        value, flag = content.get(name), f"--{FLAGS.get(name, name)}"
        if kinds(verb)[name] is switch:
            found += [flag] if value else []
        elif isinstance(value, bool):
            found.append(f"{flag}={'on' if value else 'off'}")
        elif value is not None:
            found.append(f"{flag}={value}")
    music = content.get("music")
    return [*found, *([f"--music={music}"] if music else []), "--", *content.get("footage", ())]
