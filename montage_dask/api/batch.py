"""Verbs over many files, as functions: `analyse`, `frames`, `transcode`, `grade`, `stabilise`, `upscale`.

Options are those of the commands, as keywords with underscores; what is left out comes from the settings. All return
JSON-ready dictionaries; `progress` is told how far the work is (None: a bar in notebooks and interactive sessions). `cluster=`
takes a `Cluster` or a Dask client, too.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from montage_dask.api.working import alone, driving, separate, shown, watched
from montage_dask.config import resolve
from montage_dask.config import seconds as parse_seconds
from montage_dask.errors import UsageError
from montage_dask.graph import batch, converting, finish
from montage_dask.graph.drive import Driver
from montage_dask.graph.survey import Settings
from montage_dask.graph.telling import Progress
from montage_dask.graph.upscaling import upscaling
from montage_dask.named_files import anchored, for_footage, for_music
from montage_dask.render.grade import check_grade
from montage_dask.store import Place, Url, objects, place_of
from montage_dask.store.places import local_only

STORE = ".montage"
"""Folder of the artefacts, beside what is made."""


@contextmanager
def batched(
    kind: str,
    files: Iterable[str | Path],
    options: Mapping[str, Any],
    folder: Place,
    progress: Progress | None,
    title: str,
) -> Iterator[tuple[Driver, Settings]]:
    given, cluster = separate(options)
    settings = anchored(resolve(given))
    store = place_of(settings["store"].value or folder / STORE)
    files = list(files)
    places = [place_of(f) for f in files]
    if kind in ("analyse", "stabilise", "frames"):
        places += for_footage(settings)
    if kind == "analyse":
        places += for_music(settings)
    else:  # all that an analysis makes is artefacts
        places.append(folder)
    with (
        # An analysis makes nothing but artefacts, which many may make at once; training has its folder already.
        alone([] if kind in ("analyse", "train") else [folder]),
        shown(progress, title) as told,
        driving(settings, store, told, cluster, places) as driver,
        watched(driver, kind, folder.name, map(str, files), settings, [folder]),
    ):
        yield driver, Settings.of(settings)


def transcode(
    files: Sequence[str | Path],
    output: str | Place,
    *,
    size: str | None = None,
    audio: str = "copy",
    container: str = ".mp4",
    grade: str = "none",
    progress: Progress | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Transcode many files into a folder, in windows spread over the workers.

    Args:
        files: files, folders, globs.
        output: folder.
        size: WIDTHxHEIGHT that the picture must fit into; None keeps the size of each file.
        audio: copy, aac or none.
        container: .mp4, .mov or .mkv.
        grade: name of a preset or a .cube file; what is graded is Rec.709 afterwards.
        progress: told how far the job is.
        **options: codec, quality, crf, … (settings).

    Raises:
        UsageError: an option is wrong.
        NothingToDoError: nothing could be transcoded.
    """
    check_grade(grade)
    folder = output_folder(output)
    box = None
    if size is not None:
        width, _, height = resolve({"size": size})["size"].value.partition("x")
        box = (int(width), int(height))
    how = _encoding(options, size=box, audio=audio, container=container)
    absolute = os.path.abspath(grade) if grade.lower().endswith(".cube") else grade
    how = replace(how, grade=absolute)
    title = "transcoding" if grade == "none" else "grading"
    with batched("transcode", files, options, folder, progress, title) as (driver, settings):
        written = batch.transcode(driver, settings, [str(f) for f in files], folder, how)
        return _written(written, driver, "outputs")


def stabilise(
    files: Sequence[str | Path],
    output: str | Place,
    *,
    audio: str = "copy",
    container: str = ".mp4",
    progress: Progress | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Steady the shots of many files into a folder, in windows spread over the workers; each is encoded once.

    Args:
        files: files, folders, globs.
        output: folder.
        audio: copy, aac or none.
        container: .mp4, .mov or .mkv.
        progress: told how far the job is.
        **options: codec, quality, crf, detector, … (settings).

    Returns:
        As `transcode`, with the shots of each file: how much each shook and what was done.

    Raises:
        UsageError: an option is wrong.
        NothingToDoError: nothing could be stabilised.
    """
    folder = output_folder(output)
    how = _encoding(options, size=None, audio=audio, container=container)
    with batched("stabilise", files, options, folder, progress, "steadying") as (driver, settings):
        written = batch.stabilise(driver, settings, [str(f) for f in files], folder, how)
        return _written(written, driver, "outputs")


def upscale(
    files: Sequence[str | Path],
    output: str | Place,
    *,
    scale: int = 2,
    model: str | None = None,
    yes: bool = False,
    audio: str = "copy",
    container: str = ".mp4",
    progress: Progress | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Make the pictures of many files two or four times as large, in pieces spread over the workers.

    Args:
        files: files, folders, globs.
        output: folder.
        scale: 2 or 4.
        model: fidelity (true to what is there), detail (cleans and draws detail), or a .pth file with a compact network.
        yes: begin however long it takes.
        audio: copy, aac or none.
        container: .mp4, .mov or .mkv.
        progress: told how long it will take, before it begins, and how far the job is.
        **options: codec, quality, crf, … (settings).

    Returns:
        As `transcode`, with `expected_seconds`.

    Raises:
        UsageError: an option is wrong, or it would take longer than `upscale-limit-minutes`.
        NothingToDoError: nothing could be upscaled.
    """
    folder = output_folder(output)
    if scale not in (2, 4):
        raise UsageError(f"--scale {scale}: must be 2 or 4")
    options = {**options, "upscale_model": model}
    values = resolve(separate(options)[0])
    how = _encoding(options, size=None, audio=audio, container=container)
    enlarge = upscaling(
        values["upscale-model"].value, scale, memory_limit_mb=values["gpu-memory-limit"].value
    )
    limit = None if yes else values["upscale-limit-minutes"].value
    with batched("upscale", files, options, folder, progress, "upscaling") as (driver, settings):
        patterns = [str(f) for f in files]
        written = batch.upscale(driver, settings, patterns, folder, how, enlarge, limit)
        expected = round(written.expected_seconds or 0.0, 3)
        return {**_written(written, driver, "outputs"), "expected_seconds": expected}


def _encoding(
    options: Mapping[str, Any], *, size: tuple[int, int] | None, audio: str, container: str
) -> converting.Transcoding:
    """How a batch job encodes its files, from its options."""
    if audio not in ("copy", "aac", "none"):
        raise UsageError(f"--audio {audio}: must be copy, aac or none")
    settings = resolve(separate(options)[0])
    return converting.Transcoding(
        codec=settings["codec"].value,
        quality=settings["quality"].value,
        crf=settings["crf"].value,
        size=size,
        audio=audio,
        window_frames=settings["transcode-frames"].value,
        encoder_threads=settings["encoder-threads"].value,
        suffix=container,
    )


def grade(
    files: Sequence[str | Path],
    output: str | Place,
    *,
    grade: str,
    progress: Progress | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Grade many files into a folder: `transcode` through a lookup table; each is encoded once.

    Args:
        files: files, folders, globs.
        output: folder.
        grade: name of a preset, or a .cube file.
        progress: told how far the job is.
        **options: those of `transcode`.

    Raises:
        UsageError: an option is wrong; the grade is checked before anything starts.
        NothingToDoError: nothing could be graded.
    """
    return transcode(files, output, grade=grade, progress=progress, **options)


def frames(
    files: Sequence[str | Path],
    output: str | Place,
    *,
    every: str | float | None = None,
    per_shot: int = 1,
    contact_sheet: bool = False,
    image_format: str = "jpg",
    max_width: int | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Write stills of many files: every so many seconds, or per shot.

    Args:
        files: files, folders, globs.
        output: folder; each clip gets one in it.
        every: seconds between stills; None: per shot.
        per_shot: stills per shot.
        contact_sheet: also draw `contact_sheet.jpg`.
        image_format: jpg or png.
        max_width: scale down to this many pixels.
        progress: told how far the job is.
        **options: settings.

    Raises:
        UsageError: an option is wrong.
        NothingToDoError: no still could be written.
    """
    folder = output_folder(output)
    if image_format not in ("jpg", "png"):
        raise UsageError(f"--format {image_format}: must be jpg or png")
    step: Fraction | None = None
    if every is not None:
        try:
            step = parse_seconds(every)
        except (ValueError, ZeroDivisionError) as error:
            raise UsageError(f"--every {every}: must be seconds, such as 2.5") from error
        if step < Fraction(1, 1000):
            raise UsageError(f"--every {every}: must be at least a millisecond")
    if not 1 <= per_shot <= 1000:
        raise UsageError("--per-shot must lie between 1 and 1000")
    if max_width is not None and not 16 <= max_width <= 16384:
        raise UsageError("--width must lie between 16 and 16384")
    wanted = batch.StillsWanted(step, per_shot, "." + image_format, max_width)
    with batched("frames", files, options, folder, progress, "writing stills") as (
        driver,
        settings,
    ):
        written = batch.stills(driver, settings, [str(f) for f in files], folder, wanted)
        result = _written(written, driver, "frames")
    if contact_sheet:
        result["contact_sheet"] = str(finish.sheet_of_files(written, folder / "contact_sheet.jpg"))
    return result


def local_folder(output: str | Path) -> Path:
    """As `output_folder`, of this machine.

    Raises:
        UsageError: it is a URL.
    """
    folder = output_folder(local_only(str(output), "--output"))
    assert isinstance(folder, Path)
    return folder


def _written(written: converting.Written, driver: Driver, name: str) -> dict[str, Any]:
    skipped = [{"path": s.path, "reason": s.reason} for s in written.survey.skipped]
    warnings = [
        {"path": f.source.path, "warnings": list(f.source.warnings)}
        for f in written.survey.files
        if f.source.warnings
    ]
    return {name: written.outputs, "warnings": warnings, "skipped": skipped, **driver.told()}


def output_folder(output: str | Place) -> Place:
    """Where many files go, checked and made.

    Raises:
        UsageError, StoreError: nothing can be written there.
    """
    from montage_dask.store.artefacts import storage_error

    folder = place_of(output)
    if isinstance(folder, Url):
        objects.check_writable(folder)
        return folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise UsageError(f"--output {folder} is a file; name a folder") from error
    except OSError as error:
        raise storage_error(folder, error) from error
    return folder
