"""One montage of the same footage and music in each of several styles, to choose from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from montage_dask.config import Setting
from montage_dask.edit.styles import load_style
from montage_dask.errors import UsageError
from montage_dask.graph.drive import Driver
from montage_dask.graph.montage import make_one, prepare
from montage_dask.graph.music_fitting import settle
from montage_dask.job import JobSpec
from montage_dask.report.strip import draw_strip
from montage_dask.report.summary import cuts_of


def check_styles(styles: Sequence[str]) -> None:
    """Find out before the work that a style is wrong.

    Raises:
        UsageError: one is wrong, or two have one name.
    """
    names = [load_style(s).name for s in styles]
    twice = next((n for n in names if names.count(n) > 1), None)
    if twice is not None:
        raise UsageError(f"--style {twice}: named twice")


def gallery(job: JobSpec, driver: Driver, styles: Sequence[str], folder: Path) -> dict[str, Any]:
    """Make them; the footage is analysed once.

    Args:
        job: what all have in common.
        driver: of the cluster.
        styles: names, or paths of .yaml files; see `check_styles`.
        folder: where NAME.mp4 and NAME.jpg appear.

    Returns:
        "styles": for each its name, description, files and cuts; "skipped" and what ran.

    Raises:
        MontageError: nothing can be made.
    """
    survey = prepare(job, driver)
    job = settle(job, driver, survey)
    made = []
    for given in styles:
        style = load_style(given)
        settings = {**job.settings, "style": Setting("style", given, "command line")}
        output = folder / f"{style.name}.mp4"
        one = make_one(replace(job, settings=settings, output=output), driver, survey, 0)
        picture = output.with_suffix(".jpg")
        draw_strip(one.timeline, output, picture)
        made.append(
            {
                "name": style.name,
                "description": style.description,
                "output": str(output),
                "strip": str(picture),
                "grade": one.timeline.grade,
                "cuts": cuts_of(one.timeline, survey.sources),
            }
        )
    skipped = [{"path": s.path, "reason": s.reason} for s in survey.skipped]
    return {"styles": made, "skipped": skipped, **driver.told()}
