"""The API behind the commands: `run`, `plan`, `analyse`, `frames`, `transcode`, `grade`, `stabilise`, `upscale`.

Options are those of the commands, as keywords with underscores; what is left out comes from the settings. All return
JSON-ready dictionaries; `progress` is told how far a job is.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from montage_dask.cluster.connect import connect
from montage_dask.config import resolve
from montage_dask.config import seconds as parse_seconds
from montage_dask.errors import MontageError, NothingToDoError, UsageError
from montage_dask.graph import batch, finish, montage, planning
from montage_dask.graph.drive import Driver, Progress, Silent
from montage_dask.graph.survey import Analysis, Settings, Survey, find_footage, probe_all
from montage_dask.graph.upscaling import upscaling
from montage_dask.job import Job, make_job, read_job
from montage_dask.progress_file import ProgressFile
from montage_dask.render.grade import check_grade
from montage_dask.report.summary import analysis_summary
from montage_dask.store import Place, Store, Url, objects, place_of

log = logging.getLogger(__name__)

JOB_SUFFIXES = (".yaml", ".yml")


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Keywords as settings: by their names, without those left out."""
    return {k.replace("_", "-"): v for k, v in options.items() if v is not None}


def job_of(footage: str | Path | Sequence[str | Path], options: Mapping[str, Any]) -> Job:
    """A checked job from footage (or one job file) and options.

    Raises:
        UsageError: an option is wrong.
    """
    patterns = [footage] if isinstance(footage, str | Path) else list(footage)
    given = _given(options)
    if len(patterns) == 1 and str(patterns[0]).lower().endswith(JOB_SUFFIXES):
        return read_job(Path(patterns[0]), given)
    return make_job({**given, "footage": [str(p) for p in patterns]})


@contextmanager
def _logged(run_dir: Path) -> Iterator[None]:
    """Details go to a log file in the run folder."""
    run_dir.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(run_dir / "montage.log", encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    logger = logging.getLogger("montage_dask")
    logger.addHandler(handler)
    try:
        yield
    except MontageError as error:
        details = getattr(error, "details", None)
        logger.exception("%s%s", error, "\n" + details() if details else "")
        raise
    finally:
        logger.removeHandler(handler)
        handler.close()


@contextmanager
def _published(job: Job) -> Iterator[None]:
    """The run folder of a job whose output is in a bucket goes there, too, however the job ends."""
    try:
        yield
    except BaseException:
        if job.published is not None:
            try:
                finish.publish(job.run_dir, job.published)
            except MontageError:
                log.warning("the run folder %s was not copied", job.run_dir, exc_info=True)
        raise
    if job.published is not None:
        finish.publish(job.run_dir, job.published)


def run(
    footage: str | Path | Sequence[str | Path] = (),
    *,
    progress: Progress | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Make a montage.

    Args:
        footage: files, folders, globs, or one job file.
        progress: told how far the job is.
        **options: music, output, style, duration, start, size, fps, fit, quality, codec, seed, variants, include, exclude, pin,
            grade, transition, keep_audio, from_timeline, run_dir, cluster, n_workers, … (see `config show`).

    Returns:
        The object that `run --json` prints.

    Raises:
        UsageError: an option is wrong.
        MontageError: nothing could be made; nothing new stands at the output path then.
    """
    job = job_of(footage, options)
    montage.check_output(job)
    with (
        _published(job),
        _logged(job.run_dir),
        ProgressFile(job.run_dir, progress or Silent(), job.output) as told,
        connect(job.settings) as client,
    ):
        driver = montage.start(job, client, told)
        survey, made = montage.make(job, driver)
        return finish.finish(job, driver, survey, made)


def plan(
    footage: str | Path | Sequence[str | Path] = (),
    *,
    progress: Progress | None = None,
    **options: Any,
) -> dict[str, Any]:
    """What `run` with the same arguments would do; renders nothing and analyses nothing.

    Returns:
        Clips, windows, operations with target and reason, estimated time and disk, and what the cluster has.

    Raises:
        UsageError, NothingToDoError: as `run`.
    """
    job = job_of(footage, options)
    with connect(job.settings) as client:
        return planning.plan(job, montage.start(job, client, progress or Silent()))


@contextmanager
def _batch(
    options: dict[str, Any], folder: Place, progress: Progress | None
) -> Iterator[tuple[Driver, Settings]]:
    given = _given(options)
    settings = resolve(given)
    store = place_of(settings["store"].value or folder / ".montage")
    with connect(settings) as client:
        driver = Driver(
            client,
            Store(store),
            progress or Silent(),
            in_flight_per_slot=settings["in-flight-per-slot"].value,
            retries=settings["retries"].value,
            gpu_memory_limit_mb=settings["gpu-memory-limit"].value,
        )
        yield driver, Settings.of(settings)


def analyse(
    files: Sequence[str | Path],
    *,
    music: Sequence[str | Path] = (),
    output: str | Place | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Shots and features of footage, beats of music.

    Args:
        files: files, folders, globs; audio files count as music, the rest as footage.
        music: these count as music whatever they are.
        output: folder for the artefacts (`.montage` in it), the current one by default.
        progress: told how far the job is.
        **options: settings.

    Returns:
        The object that `analyse --json` prints.

    Raises:
        NothingToDoError: nothing could be analysed.
    """
    from montage_dask.analysis.similarity import group_duplicates

    folder = Path.cwd() if output is None else place_of(output)
    with _batch(options, folder, progress) as (driver, settings):
        survey = Survey()
        tracks = [str(place_of(m)) for m in music]
        candidates, skipped = find_footage([str(f) for f in files], None) if files else ([], [])
        survey.skipped.extend(skipped)
        candidates = [c for c in candidates if str(c.path) not in tracks]
        probe_all(driver, settings, candidates, survey)
        tracks += _audio_only(survey)
        analysis = Analysis(driver, settings, survey)
        analysis.run(tracks)
        heard = {}
        for path, result in analysis.heard.items():
            if isinstance(result, MontageError):
                survey.skip(path, getattr(result, "reason", str(result)))
            else:
                heard[path] = result
        survey.shots = group_duplicates(survey.shots, settings.embedding)
        if not survey.clips and not heard:
            raise NothingToDoError(montage.nothing_usable(survey))
        ran = driver.told()
    return analysis_summary(
        survey.sources,
        survey.shots,
        [heard[t] for t in tracks if t in heard],
        survey.skipped,
        ran,
    )


def _audio_only(survey: Survey) -> list[str]:
    """Files that the probe refused because they have sound but no picture: music."""
    from montage_dask.media.audio import has_audio
    from montage_dask.media.discover import AUDIO

    found = []
    for path in (s.path for s in survey.skipped):
        place = place_of(path)
        # Of an object only the name is at hand here.
        named_so = isinstance(place, Url) and place.suffix.lower().lstrip(".") in AUDIO
        if named_so or (isinstance(place, Path) and place.is_file() and has_audio(path)):
            found.append(path)
    survey.skipped = [s for s in survey.skipped if s.path not in found]
    return found


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
    folder = _output_folder(output)
    box = None
    if size is not None:
        width, _, height = resolve({"size": size})["size"].value.partition("x")
        box = (int(width), int(height))
    how = _encoding(options, size=box, audio=audio, container=container)
    absolute = os.path.abspath(grade) if grade.lower().endswith(".cube") else grade
    how = replace(how, grade=absolute)
    with _batch(options, folder, progress) as (driver, settings):
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
    folder = _output_folder(output)
    how = _encoding(options, size=None, audio=audio, container=container)
    with _batch(options, folder, progress) as (driver, settings):
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
    folder = _output_folder(output)
    if scale not in (2, 4):
        raise UsageError(f"--scale {scale}: must be 2 or 4")
    options = {**options, "upscale_model": model}
    values = resolve(_given(options))
    how = _encoding(options, size=None, audio=audio, container=container)
    enlarge = upscaling(
        values["upscale-model"].value, scale, memory_limit_mb=values["gpu-memory-limit"].value
    )
    limit = None if yes else values["upscale-limit-minutes"].value
    with _batch(options, folder, progress) as (driver, settings):
        patterns = [str(f) for f in files]
        written = batch.upscale(driver, settings, patterns, folder, how, enlarge, limit)
        expected = round(written.expected_seconds or 0.0, 3)
        return {**_written(written, driver, "outputs"), "expected_seconds": expected}


def _encoding(
    options: Mapping[str, Any], *, size: tuple[int, int] | None, audio: str, container: str
) -> batch.Transcoding:
    """How a batch job encodes its files, from its options."""
    if audio not in ("copy", "aac", "none"):
        raise UsageError(f"--audio {audio}: must be copy, aac or none")
    settings = resolve(_given(options))
    return batch.Transcoding(
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
    folder = _output_folder(output)
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
    with _batch(options, folder, progress) as (driver, settings):
        written = batch.stills(driver, settings, [str(f) for f in files], folder, wanted)
        result = _written(written, driver, "frames")
    if contact_sheet:
        result["contact_sheet"] = str(finish.sheet_of_files(written, folder / "contact_sheet.jpg"))
    return result


def _written(written: batch.Written, driver: Driver, name: str) -> dict[str, Any]:
    skipped = [{"path": s.path, "reason": s.reason} for s in written.survey.skipped]
    return {name: written.outputs, "skipped": skipped, **driver.told()}


def _output_folder(output: str | Place) -> Place:
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


def exit_code(result: Mapping[str, Any]) -> int:
    """0 done, 3 finished with clips skipped."""
    return 3 if result.get("skipped") else 0
