"""One montage, from its specification to what came of it: what `Job` and the functions `run` and `plan` stand on."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from montage_dask.api.working import alone, driving, logged, shown, watched
from montage_dask.dashboard.performance import performance
from montage_dask.errors import MontageError
from montage_dask.graph import finish, montage, planning
from montage_dask.graph.checking import check_names
from montage_dask.graph.montage import Made
from montage_dask.graph.survey import Survey
from montage_dask.graph.telling import Progress
from montage_dask.job import JobSpec, make_job, read_job
from montage_dask.progress_file import ProgressFile
from montage_dask.records import Timeline
from montage_dask.report.html import rebuild
from montage_dask.report.rerun import command

log = logging.getLogger(__name__)

JOB_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Finished:
    """A montage that is there."""

    summary: Mapping[str, Any]
    survey: Survey
    made: tuple[Made, ...]


def specify(footage: Sequence[str], given: Mapping[str, Any]) -> JobSpec:
    """A checked job from footage (or one job file) and settings by name.

    Raises:
        UsageError: an option is wrong.
    """
    if len(footage) == 1 and footage[0].lower().endswith(JOB_SUFFIXES):
        return read_job(Path(footage[0]), given)
    return make_job({**given, "footage": list(footage)})


@contextmanager
def _run_folder_published(job: JobSpec) -> Iterator[None]:
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


@contextmanager
def _failure_reported(run_dir: Path) -> Iterator[None]:
    """A run that fails has a report, too, instead of that of an earlier success."""
    try:
        yield
    except Exception:
        try:
            rebuild(run_dir)
        except Exception:  # the run's own error matters
            log.warning("no report of this failure", exc_info=True)
        raise


def perform(job: JobSpec, progress: Progress | None, cluster: Any) -> Finished:
    """Make the montages of a job.

    Raises:
        MontageError: nothing could be made; nothing new stands at the output path then.
    """
    check_names(job)
    montage.check_output(job)
    with (
        alone([*(montage.output_of(job, n) for n in range(job["variants"])), job.run_dir]),
        shown(progress, job.output.name) as heard,
        _run_folder_published(job),
        logged(job.run_dir),
        _failure_reported(job.run_dir),
        ProgressFile(job.run_dir, heard, job.output) as told,
        driving(job.settings, job.store, told, cluster, job.places) as driver,
        watched(driver, "run", job.output.name, job.footage, job.settings, job.others),
    ):
        wanted = job["performance-report"]
        with performance(driver.client, job.run_dir, command(job), wanted=wanted):
            survey, made = montage.make(job, driver)
        return Finished(finish.finish(job, driver, survey, made), survey, tuple(made))


def look_ahead(job: JobSpec, progress: Progress | None, cluster: Any) -> dict[str, Any]:
    """The plan of a job (see `graph.planning.plan`)."""
    check_names(job)
    with (
        shown(progress, f"planning {job.output.name}") as told,
        driving(job.settings, job.store, told, cluster, job.inputs) as driver,
    ):
        return planning.plan(job, driver)


def compose(
    job: JobSpec, progress: Progress | None, cluster: Any
) -> tuple[Survey, tuple[Timeline, ...]]:
    """The edits of a job, one per variant, and what they were chosen from."""
    check_names(job)
    given = job.from_timeline
    title = f"editing {job.output.name}" if given is None else f"reading {given.name}"
    with (
        shown(progress, title) as told,
        driving(job.settings, job.store, told, cluster, job.inputs) as driver,
        watched(driver, "edit", job.output.name, job.footage, job.settings, job.others),
    ):
        survey, timelines = montage.edits(job, driver)
        return survey, tuple(timelines)
