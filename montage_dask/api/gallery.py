"""Styles to choose from, as a function: `styles`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from montage_dask.api.batch import STORE, local_folder
from montage_dask.api.montages import specify
from montage_dask.api.working import alone, driving, logged, separate, shown, watched
from montage_dask.config import resolve
from montage_dask.edit.styles import style_names
from montage_dask.graph.checking import check_names
from montage_dask.graph.gallery import check_styles, gallery
from montage_dask.graph.telling import Progress
from montage_dask.progress_file import ProgressFile

DRAFT = {"duration": 20, "size": "640x360", "quality": "preview"}
"""What a draft is like where neither an option nor a setting of the user's says otherwise."""


def styles(
    footage: str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    style: Sequence[str] = (),
    progress: Progress | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Try styles on the same footage and music: a short draft of each, and its pictures in one strip.

    Args:
        footage: files, folders, globs.
        output: folder for NAME.mp4 and NAME.jpg of each style.
        style: names or .yaml files; all styles of the package when empty.
        progress: told how far it is.
        **options: as `run`; 20 seconds at 640x360 in `preview` quality where they say nothing else.

    Returns:
        The object that `styles --json` prints.

    Raises:
        UsageError: an option or a style is wrong.
        MontageError: nothing could be made.
    """
    check_styles(style)
    folder = local_folder(output)
    chosen = {name for name, setting in resolve().items() if setting.origin != "default"}
    draft = {k: v for k, v in DRAFT.items() if k not in chosen}
    given, cluster = separate(options)
    patterns = [footage] if isinstance(footage, str | Path) else list(footage)
    job = specify(
        [str(p) for p in patterns],
        {
            **draft,
            "store": str(folder / STORE),
            "run-dir": str(folder),
            **given,
            "output": str(folder / "x.mp4"),
        },
    )
    check_names(job)
    with (
        alone([folder]),
        shown(progress, "trying styles") as heard,
        logged(folder),
        ProgressFile(folder, heard, folder) as told,
        driving(job.settings, job.store, told, cluster, job.places) as driver,
        watched(driver, "styles", folder.name, job.footage, job.settings, job.others),
    ):
        return gallery(job, driver, style or style_names(), folder)
