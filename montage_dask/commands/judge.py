"""The command `judge`."""

from __future__ import annotations

from typing import Any

import click

from montage_dask.commands.shared import call, print_json, shared

WORDS = {
    "junk_percent": ("titles, cards, black and the like", "% of the time"),
    "junk_places": ("opening, drops or ending on such", ""),
    "mismatched_percent": ("pictures that are not what they claim", "% of the cuts"),
    "subject_kept_percent": ("of the subjects kept in the frame", "%"),
    "repeated_percent": ("shown a second time", "% of the time"),
    "drop_ranks": ("rank of each drop's shot by action", ""),
    "end_seconds": ("from the end to a bar line", "s"),
    "fade_share": ("of the last shot fades out", ""),
    "cut_error_ms": ("from a cut to its beat", "ms"),
    "synchrony": ("cuts on beats", ""),
    "clips_shown": ("clips shown", ""),
    "clips_given": ("clips given", ""),
    "loudness_lufs": ("loudness", "LUFS"),
    "true_peak_db": ("true peak", "dB"),
}


@click.command()
@click.argument("montage", metavar="RUN_DIR|OUTPUT|VIDEO")
@shared
def judge(montage: str, as_json: bool, **given: Any) -> int:
    """What a montage is worth, without people: figures, and a score from 0 to 10. Of a video without its run less is known."""
    from montage_dask import api

    result = call(api.judge, given, montage)
    if as_json:
        print_json(result)
        return 0
    score = result["score"]
    click.echo("score: " + ("none" if score is None else f"{score:.1f} of 10"))
    for name, (words, unit) in WORDS.items():
        value = result["figures"][name]
        if value is None:
            continue
        if isinstance(value, list):
            value = ", ".join(str(v) for v in value) or "none"
        click.echo(f"  {words}: {value} {unit}".rstrip())
    return 0
