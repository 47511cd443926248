"""`report.html`: all that is known of a run in one file that opens anywhere, without a network and without scripts.

What went wrong stands first. Nothing of it is fetched; the video is linked, pictures are embedded.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any, cast
from urllib.parse import quote

from montage_dask import plugins
from montage_dask.errors import UsageError, printable
from montage_dask.evaluation.words import figure_lines
from montage_dask.job import OUTPUT_FORMATS
from montage_dask.progress_file import read_progress
from montage_dask.received import parse_json, read_bytes
from montage_dask.report import seen
from montage_dask.report.chart import chart
from montage_dask.report.exports import EXPORTS
from montage_dask.report.layout import embedded, rendered, there, write_page
from montage_dask.schema_versions import read_version
from montage_dask.store import Url, place_of

PICTURE_BYTES = {"timeline": 700_000, "contact_sheet": 900_000, "frames": 300_000}
"""What a picture may take of the file; larger ones are made smaller."""
SUMMARY = "summary.json"
SUMMARY_BYTES = 256 << 20
"""The largest summary that is read: that of 100,000 cuts has half of it."""
MAY_LACK = (
    "skipped", "fallbacks", "troubles", "notes", "director", "effects", "guard", "operations", "stages", "workers", "placement",
    "settings", "left_out", "not_shown", "seen", "judge",
)  # fmt: skip
"""Keys that a run that failed, or an older version, has not written."""
LINKED = (
    *EXPORTS, "timeline.otioz", "summary.json", "montage.log", "dask.html", "contact_sheet.jpg", "timeline.png",
)  # fmt: skip
"""Other files of a run."""
GOLDEN_DEGREES = 137.508
"""Steps of the hue: neighbours in the list of sources differ most."""


def run_folders(what: Path) -> list[Path]:
    """The run folders that a folder, a summary.json (training.json) or an output means: one, or one per variant.

    Raises:
        UsageError: no run is there; says what was looked for.
    """
    name = printable(str(what))
    if what.name in summaries() and what.is_file():
        return [what.parent]
    folder = what
    if what.suffix.lower() in OUTPUT_FORMATS and not what.is_dir():
        folder = what.with_suffix(".montage")
        variant = re.fullmatch(r"(.+)-(\d+)", what.stem)
        if not folder.is_dir() and variant:
            folder = what.with_name(variant[1] + ".montage") / f"variant-{variant[2]}"
    if not folder.is_dir():
        raise UsageError(
            f"{name}: no run there; name a run folder (NAME.montage), its summary.json, or the output beside it"
        )
    variants = [p.parent for p in folder.glob("variant-*/summary.json")]
    found = [folder] if there(folder, summaries()) else []
    found += sorted(variants, key=lambda p: (len(p.name), p.name))
    if found or read_progress(folder) is not None:
        return found or [folder]
    raise UsageError(f"{name}: holds no summary.json: no run has finished there")


def rebuild(folder: Path) -> Path:
    """Write the report of a run or a training again, from its summary, or of one that has none because it failed.

    Raises:
        UsageError: the summary is damaged, or the run still goes on.
        StoreError: the report cannot be written.
    """
    from jinja2 import TemplateError

    name = next(iter(there(folder, summaries())), SUMMARY)
    path = folder / name
    progress = read_progress(folder) or {}
    try:
        summary = parse_json(read_bytes(path, SUMMARY_BYTES).decode("utf-8"))
        read_version("summary", summary, str(path))
        written = path.stat().st_mtime
        # A run that began after this summary was written, and did not get as far.
        later = progress if progress.get("started_at", 0) > written else None
        write = write_report if name == SUMMARY else plugins.load(plugins.REPORTS, name)
        return cast(Path, write(summary, folder, later))
    except FileNotFoundError as error:
        if progress.get("state") in (None, "running", "finished"):
            raise UsageError(
                f"{printable(str(folder))}: the run has no summary yet; `status` follows it"
            ) from error
        bare = {"output": progress.get("output", str(folder)), "run_dir": str(folder)}
        return write_report(bare, folder, progress)
    except (AttributeError, KeyError, TypeError, ValueError, TemplateError) as error:
        raise UsageError(
            f"{printable(str(path))}: is not the summary of a run ({error!r})"
        ) from error


def write_report(
    summary: Mapping[str, Any], folder: Path, later: Mapping[str, Any] | None = None
) -> Path:
    """Write `report.html` into a run folder.

    Args:
        summary: the object of `run --json`.
        folder: where the pictures stand.
        later: progress of a run that ended without a summary of its own.

    Returns:
        The path of the report.

    Raises:
        StoreError: it cannot be written.
    """
    return write_page(page(summary, folder, later), folder)


def page(summary: Mapping[str, Any], folder: Path, later: Mapping[str, Any] | None = None) -> str:
    """The page as text; takes of the folder only the pictures (see `write_report`)."""
    events = _events(summary) if "cuts" in summary else []
    errors = [abs(e["error_ms"]) for e in events if e["error_ms"] is not None]
    output, drawn = place_of(summary["output"]), summary.get("pictures", {})
    pictures = {
        kind: embedded(folder / Path(drawn[kind]).name, most) if kind in drawn else None
        for kind, most in PICTURE_BYTES.items()
    }
    return rendered(
        "report.html.j2",
        styles=["chart.css"],
        s={**dict.fromkeys(MAY_LACK, ()), **summary},
        later=later,
        finished=bool(events),
        skipped=summary.get("skipped", ()),
        title=output.name,
        # A page that was copied to a bucket lies beside its video there.
        video=quote(
            f"../{output.name}" if isinstance(output, Url) else os.path.relpath(output, folder),
            errors="surrogateescape",
        ),
        video_there=isinstance(output, Url) or output.is_file(),
        events=events,
        score_names=list(dict.fromkeys(n for e in events for n in e["scores"])),
        worked=list(dict.fromkeys(n for w in summary.get("workers", ()) for n in w["operations"])),
        chart=chart(summary, events) if events else "",
        worst=max(errors, default=None),
        middle=median(errors) if errors else None,
        pictures=pictures,
        figures=figure_lines((summary.get("judge") or {}).get("figures", {})),
        seen=seen.drawn(summary.get("seen", ()), whole=bool(pictures["frames"])),
        links=there(folder, LINKED),
    )


def _events(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of the table: the opening, and what each cut begins."""
    begins = [e for e in (summary.get("opening"), *summary["cuts"]) if e]
    order = {path: n for n, path in enumerate(dict.fromkeys(e["source"] for e in begins))}
    ends = [*(e["time_seconds"] for e in begins[1:]), summary["duration_seconds"]]
    # A summary of an older version does not tell the first event.
    first = 1 if summary.get("opening") else 2
    return [
        {
            "number": number,
            "anchor": f"e{number}",
            "begin": event["time_seconds"],
            "end": end,
            "name": Path(event["source"]).name,
            "path": event["source"],
            "in": event["source_seconds"],
            "transition": event.get("transition", "cut"),
            "error_ms": event["error_ms"],
            "beat": event["beat_seconds"],
            "reason": event["reason"],
            "scores": event.get("scores", {}),
            "colour": f"hsl({order[event['source']] * GOLDEN_DEGREES % 360:.0f} 45% 46%)",
        }
        for number, (event, end) in enumerate(zip(begins, ends, strict=True), first)
    ]


def summaries() -> tuple[str, ...]:
    """Names of the files that tell of a job that is done: of a run, or of what others plug in."""
    others = {*plugins.names(plugins.REPORTS), *plugins.LEFT[plugins.REPORTS]}
    return (SUMMARY, *sorted(others - {SUMMARY}))
