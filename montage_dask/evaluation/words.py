"""Figures in words, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

WORDS: Mapping[str, tuple[str, str]] = {
    "junk_percent": ("titles, cards, black and the like", "% of the time"),
    "junk_places": ("opening, drops or ending on such", ""),
    "mismatched_percent": ("pictures that are not what they claim", "% of the cuts"),
    "subject_kept_percent": ("of the subjects kept in the frame", "%"),
    "subject_kept_centre_percent": ("the same by a crop in the middle", "%"),
    "subject_lost_percent": ("subject gone before the cut", "% of the shots that have one"),
    "empty_percent": ("nobody in view and nothing moves", "% of the time"),
    "weak_places": ("opening, drops or ending with nothing, or a subject that leaves", ""),
    "repeated_percent": ("shown a second time", "% of the time"),
    "takes_share": ("takes for each shot", ""),
    "direction_flips_percent": ("movement that turns around at a cut", "% of those with one"),
    "drop_ranks": ("rank of each drop's shot by action", ""),
    "end_seconds": ("from the end to a bar line", "s"),
    "phrase_seconds": ("from the end to the end of a phrase", "s"),
    "fade_share": ("of the last shot fades out", ""),
    "cut_error_ms": ("from a cut to its beat", "ms"),
    "synchrony": ("cuts on beats", ""),
    "clips_shown": ("clips shown", ""),
    "clips_given": ("clips given", ""),
    "loudness_lufs": ("loudness", "LUFS"),
    "true_peak_db": ("true peak", "dB"),
}


def figure_lines(figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Words and value of each figure that is known.

    Args:
        figures: as `figures.told` writes them; those of older runs lack some.
    """
    found = []
    for name, (words, unit) in WORDS.items():
        value = figures.get(name)
        if value is None:
            continue
        if isinstance(value, list):
            value = ", ".join(str(v) for v in value) or "none"
        found.append((words, f"{value} {unit}".rstrip()))
    return found
