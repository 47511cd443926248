"""The commands that look at a run: `report` writes its page again, `status` follows it from another terminal."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from montage_dask.commands.shared import print_json
from montage_dask.errors import UsageError, printable
from montage_dask.job import worked_on
from montage_dask.progress_file import ALIVE_SECONDS, NAME, read_progress
from montage_dask.store import Url, place_of

LOOK_SECONDS = 1.0
"""Between two looks at the progress file, which changes no more often."""
PLAIN_SECONDS = 5.0
"""A plain line at most this often while nothing but numbers change."""

CODES: Mapping[str, int] = {"finished": 0, "failed": 1, "stopped": 1, "interrupted": 130}
"""Exit code of `status` by how the job ended."""


@click.command()
@click.argument("run", metavar="RUN_DIR|summary.json|OUTPUT")
@click.option("--open", "show", is_flag=True, help="Open it in the browser.")
@click.option(
    "--otioz", is_flag=True, help="Also bundle the timeline with all its media: timeline.otioz."
)
def report(run: str, show: bool, otioz: bool) -> int:
    """Write report.html of a run or a training again, and print its path; of a run with variants, one each."""
    from montage_dask.report.html import rebuild, run_folders
    from montage_dask.report.otioz import write_otioz

    place = place_of(run)
    if otioz and isinstance(place, Url):
        raise UsageError("--otioz: the run must be a folder of this machine: copy it here first")
    what = worked_on(_run_of(place)) if isinstance(place, Url) else Path(run).absolute()
    for folder in run_folders(what):
        path = rebuild(folder)
        click.echo(str(path))
        if otioz:
            click.echo(str(write_otioz(folder / "timeline.otio")))
        if show:
            click.launch(str(path))
    return 0


@click.command()
@click.argument("run_dir", metavar="RUN_DIR|OUTPUT")
@click.option("--once", is_flag=True, help="Say how it stands now, and do not follow it.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object, and do not follow it."
)
def status(run_dir: str, once: bool, as_json: bool) -> int:
    """Follow a running job from another terminal until it ends. Exit code: 0 finished (or still running, with --once),
    1 failed or stopped without an end, 130 interrupted."""
    place = place_of(run_dir)
    folder = worked_on(_run_of(place)) if isinstance(place, Url) else _folder(place)
    found = read_progress(folder)
    if found is None:
        raise UsageError(
            f"{printable(str(folder))}: no job has begun there: there is no {NAME}; name its run folder (NAME.montage)"
        )
    if as_json:
        print_json(found)
        return CODES.get(found["state"], 0)
    told: tuple[Any, ...] = ()
    noted, last = 0, 0.0
    followed = found["state"] == "running"
    while found["state"] == "running":
        noted = _notes(found, noted)
        stage = (found["stage"], found["done"] == found["total"])
        if stage != told or time.monotonic() - last >= PLAIN_SECONDS:
            click.echo(line(found))
            told, last = stage, time.monotonic()
        if once:
            return 0
        time.sleep(LOOK_SECONDS)
        found = read_progress(folder) or {
            **found,
            "state": "stopped",
            "error": "its folder is gone",
        }
    if followed:
        _notes(found, noted)
    click.echo(ending(found))
    return CODES[found["state"]]


def _notes(found: Mapping[str, Any], noted: int) -> int:
    """Print the notes behind the first so many; how many there are now."""
    # Only the last ones are kept.
    for note in found["notes"][max(0, len(found["notes"]) - found["noted"] + noted) :]:
        click.echo(f"note: {note}")
    return int(found["noted"])


def _run_of(url: Url) -> Url:
    """As `_folder`, of a URL."""
    from montage_dask.job import OUTPUT_FORMATS

    if url.suffix.lower() in OUTPUT_FORMATS:
        return url.with_suffix(".montage")
    return url.parent if url.name in ("summary.json", "progress.json") else url


def _folder(path: Path) -> Path:
    """The run folder of a path: itself, or the one beside an output."""
    from montage_dask.job import OUTPUT_FORMATS

    if path.suffix.lower() in OUTPUT_FORMATS and not path.is_dir():
        return path.with_suffix(".montage")
    return path.parent if path.name in ("summary.json", "progress.json") else path


def line(found: Mapping[str, Any]) -> str:
    """Where a running job is, on one line."""
    if not found["stage"]:
        return "starting: connecting to the workers"
    parts = [f"{found['stage']}: {found['done']}/{found['total']} {found['unit']}".rstrip()]
    if found["speed"]:
        parts.append(f"{found['speed']:.1f}×")
    if found["eta_seconds"] is not None:
        parts.append(f"about {found['eta_seconds']:.0f} s left")
    quiet = time.time() - found["updated_at"]
    if quiet > 2 * ALIVE_SECONDS:
        parts.append(f"no sign of it for {quiet:.0f} s")
    return "  ".join([*parts, found["label"][:60]]).rstrip()


def ending(found: Mapping[str, Any]) -> str:
    """How a job ended, on one line, and what to do."""
    took = f"after {found['updated_at'] - found['started_at']:.0f} s"
    if found["state"] == "finished":
        return f"finished {took}: {printable(found['output'])}"
    where = f" in {found['stage']} ({found['done']}/{found['total']})" if found["stage"] else ""
    if found["state"] == "failed":
        return f"failed {took}{where}: {found['error']}"
    if found["state"] == "interrupted":
        return f"interrupted {took}{where}: {found['error']}"
    when = time.strftime("%H:%M:%S", time.localtime(found["updated_at"]))
    why = f" ({found['error']})" if found["error"] else ""
    return (
        f"stopped without an end{where}{why}: process {found['pid']} on {found['host']} is gone, its last sign was at {when}; "
        "what is done is kept: run the same command to go on"
    )
