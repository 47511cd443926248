"""`report.html`: all that is known of a run in one file that opens anywhere, without a network and without scripts.

What went wrong stands first. Nothing of it is fetched; the video is linked, pictures are embedded. Names and a model's words
are data: Jinja escapes them, and the page allows no script but its own, by its hash.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from markupsafe import Markup

from montage_dask.errors import UsageError, printable
from montage_dask.job import OUTPUT_FORMATS
from montage_dask.progress_file import read_progress
from montage_dask.report.chart import chart, clock
from montage_dask.store import Url, place_of, writing

if TYPE_CHECKING:
    from jinja2 import Template

NAME = "report.html"
PAGE = Path(__file__).with_name("page")
PICTURE_BYTES = {"timeline": 700_000, "contact_sheet": 900_000}
"""What a picture may take of the file; larger ones are made smaller."""
MAY_LACK = (
    "skipped", "fallbacks", "troubles", "notes", "director", "effects", "operations", "stages", "workers", "placement",
    "settings",
)  # fmt: skip
"""Keys that a run that failed, or an older version, has not written."""
GOLDEN_DEGREES = 137.508
"""Steps of the hue: neighbours in the list of sources differ most."""


def run_folders(what: Path) -> list[Path]:
    """The run folders that a folder, a summary.json or an output means: one, or one per variant.

    Raises:
        UsageError: no run is there; says what was looked for.
    """
    name = printable(str(what))
    if what.name == "summary.json" and what.is_file():
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
    found = [folder] if (folder / "summary.json").is_file() else []
    found += sorted(variants, key=lambda p: (len(p.name), p.name))
    if found or read_progress(folder) is not None:
        return found or [folder]
    raise UsageError(f"{name}: holds no summary.json: no run has finished there")


def rebuild(folder: Path) -> Path:
    """Write the report of a run folder again, from its summary, or of a run that has none because it failed.

    Raises:
        UsageError: the summary is damaged, or the run still goes on.
        StoreError: the report cannot be written.
    """
    from jinja2 import TemplateError

    path = folder / "summary.json"
    progress = read_progress(folder) or {}
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
        written = path.stat().st_mtime
        # A run that began after this summary was written, and did not get as far.
        later = progress if progress.get("started_at", 0) > written else None
        return write_report(summary, folder, later)
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
    path = folder / NAME
    text = page(summary, folder, later)
    with writing(path) as part:
        part.write_text(text, encoding="utf-8")
    return path


def page(summary: Mapping[str, Any], folder: Path, later: Mapping[str, Any] | None = None) -> str:
    """The page as text; takes of the folder only the pictures (see `write_report`)."""
    script, style, chart_style = (
        (PAGE / n).read_text(encoding="utf-8") for n in ("report.js", "report.css", "chart.css")
    )
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    events = _events(summary) if "cuts" in summary else []
    errors = [abs(e["error_ms"]) for e in events if e["error_ms"] is not None]
    output, drawn = place_of(summary["output"]), summary.get("pictures", {})
    return _template().render(
        s={**dict.fromkeys(MAY_LACK, ()), **summary},
        later=later,
        script=Markup(script),
        style=Markup(style + chart_style),
        script_hash=digest,
        title=output.name,
        # A page that was copied to a bucket lies beside its video there.
        video=quote(
            f"../{output.name}" if isinstance(output, Url) else os.path.relpath(output, folder),
            errors="surrogateescape",
        ),
        there=isinstance(output, Url) or output.is_file(),
        events=events,
        score_names=list(dict.fromkeys(n for e in events for n in e["scores"])),
        worked=list(dict.fromkeys(n for w in summary.get("workers", ()) for n in w["operations"])),
        chart=chart(summary, events) if events else "",
        worst=max(errors, default=None),
        middle=median(errors) if errors else None,
        pictures={
            kind: _embedded(folder / Path(drawn[kind]).name, most) if kind in drawn else None
            for kind, most in PICTURE_BYTES.items()
        },
        links=_links(folder),
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


def _links(folder: Path) -> list[str]:
    """Names of the other files of the run that are there."""
    names = (
        "timeline.otio", "timeline.edl", "timeline.fcpxml", "summary.json", "montage.log", "dask.html",
        "contact_sheet.jpg", "timeline.png",
    )  # fmt: skip
    return [n for n in names if (folder / n).is_file()]


def _embedded(path: Path, most_bytes: int) -> str | None:
    """A picture as a data URL, made smaller until it is small enough; None when there is none."""
    from io import BytesIO

    from PIL import Image

    try:
        data = path.read_bytes()
        kind = "png" if data.startswith(b"\x89PNG") else "jpeg"
        if len(data) > most_bytes:
            with Image.open(BytesIO(data)) as opened:
                image = opened.convert("RGB")
            image.thumbnail((2000, 4000))
            quality = 85
            while len(data) > most_bytes:
                buffer = BytesIO()
                image.save(buffer, "JPEG", quality=quality)
                data, kind = buffer.getvalue(), "jpeg"
                if quality > 60:
                    quality -= 10
                else:
                    image = image.resize(
                        (max(1, image.width * 4 // 5), max(1, image.height * 4 // 5))
                    )
    except (OSError, ValueError):
        return None
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


@cache
def _template() -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(PAGE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.filters.update(clock=clock, name=lambda path: Path(str(path)).name)
    return environment.get_template("report.html.j2")


def _shown(value: Any) -> Any:
    """Every value on its way into the page: control characters and broken encodings are escaped, before HTML is."""
    if value is None:
        return ""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value
