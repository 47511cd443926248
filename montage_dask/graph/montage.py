"""The main job: footage and music to a finished montage, as stages of requests on one cluster."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from montage_dask.edit.choose import FIRST, LAST, Pin, filter_shots, parse_selector, resolve_pins
from montage_dask.edit.edit import edit
from montage_dask.edit.reframe import parse_focus, reframed
from montage_dask.edit.styles import load_style
from montage_dask.edit.unshown import notes_on_unshown, unshown
from montage_dask.edit.usable import choose_usable
from montage_dask.errors import (
    MediaError,
    MontageError,
    NothingToDoError,
    SourceChanged,
    StoreError,
    UsageError,
    printable,
)
from montage_dask.graph.analysing import Analysis
from montage_dask.graph.checking import check_received, timeline_media
from montage_dask.graph.directing import Directed, direct, directed, edited
from montage_dask.graph.drive import Driver
from montage_dask.graph.music_fitting import of_timeline, settle, state_of_music, track_of
from montage_dask.graph.placement import Placement
from montage_dask.graph.rendering import render
from montage_dask.graph.survey import Settings, Survey, find_footage, probe_all
from montage_dask.job import JobSpec
from montage_dask.media.discover import Candidate
from montage_dask.records import Timeline
from montage_dask.store import Place, Url, objects, place_of
from montage_dask.store.artefacts import free_bytes, storage_error

log = logging.getLogger(__name__)

VARIANT_TRIES = 5
"""Seeds that are tried until a variant differs from those before it: of little footage there is not always another edit."""


@dataclass(frozen=True, slots=True)
class Made:
    """One finished montage."""

    output: Place
    run_dir: Path
    """Of this machine."""
    published: Url | None
    """Where the run folder is copied to at the end."""
    timeline: Timeline
    placements: tuple[Placement, ...]
    effects: tuple[Mapping[str, Any], ...] = ()
    """What was done to which shot, and why; for the summary."""
    guard: Mapping[str, Any] = field(default_factory=dict)
    """What the guards saw: events and frames they looked at, the worst residual, segments made again."""
    sound: Mapping[str, Any] = field(default_factory=dict)
    """loudness_lufs and true_peak_db of the sound."""


def prepare(job: JobSpec, driver: Driver) -> Survey:
    """Everything that the edit needs: clips, shots, music.

    Raises:
        NothingToDoError: no clip or no music can be used.
        UsageError: a selector names nothing.
    """
    from montage_dask.analysis.similarity import group_duplicates

    settings = Settings.of(job.settings)
    survey = Survey(tell=driver.progress.left_out)
    if job.from_timeline is None:
        candidates, skipped = find_footage(job.footage, job.music, job.link_roots)
        for one in skipped:
            survey.skip(one.path, one.reason)
    else:
        candidates = []
    probe_all(driver, settings, candidates, survey)
    if not survey.clips and job.from_timeline is None:
        raise NothingToDoError(nothing_usable(survey))
    restrict_clips(job, survey)
    analysis = Analysis(driver, settings, survey)
    analysis.run([job.music] if job.music else [], shots=job.from_timeline is None)
    survey.placements = analysis.placements
    if analysis.changed is not None:
        raise analysis.changed
    for path in analysis.heard:
        _use(path, analysis, survey, driver)
    if not survey.shots and job.from_timeline is None:
        raise NothingToDoError(nothing_usable(survey))
    survey.shots = group_duplicates(survey.shots, settings.embedding)
    return survey


def _use(path: str, analysis: Analysis, survey: Survey, driver: Driver) -> None:
    """Make a track the music of the job."""
    heard = analysis.heard[path]
    if isinstance(heard, SourceChanged):
        raise heard
    if isinstance(heard, MontageError):
        raise NothingToDoError(f"the music cannot be used: {heard}")
    survey.music, survey.music_state = heard, analysis.states[path]
    for warning in heard.warnings:
        driver.progress.note(warning)


def nothing_usable(survey: Survey) -> str:
    """One line for a job without a usable clip."""
    reasons = "; ".join(str(MediaError(s.path, s.reason)) for s in survey.skipped[:5])
    more = f" and {len(survey.skipped) - 5} more" if len(survey.skipped) > 5 else ""
    return f"no usable footage: {reasons}{more}"


def restrict_clips(job: JobSpec, survey: Survey) -> None:
    """Clips that --include and --exclude rule out whole are not analysed at all."""
    from montage_dask.edit.choose import clips_ruled_out

    ruled_out = clips_ruled_out(
        survey.sources,
        [parse_selector(s) for s in job.include],
        [parse_selector(s) for s in job.exclude],
        [parse_selector(s) for s in (*job.pins, *job.first, *job.last)],
    )
    for identity in ruled_out:
        del survey.clips[identity]


def compose(job: JobSpec, survey: Survey, seed: int) -> Timeline:
    """The edit of one variant.

    Raises:
        UsageError: a selector, the style or the grade is wrong.
        NothingToDoError: the selectors leave nothing.
    """
    assert survey.music is not None
    offered = _offered(job, survey)
    pins = _pins(job, survey)
    # What is pinned, by the director too, is shown whatever it is.
    usable = choose_usable(offered.shots, job["allow"])
    wanted = replace(offered, shots=usable.shots, notes=(*usable.notes, *offered.notes))
    timeline = edited(
        wanted,
        pins,
        partial(
            edit,
            wanted.shots,
            survey.sources,
            survey.music,
            wanted.style,
            fps=job.fps,
            width=job.width,
            height=job.height,
            start_seconds=job["start"],
            duration_seconds=job["duration"],
            exact=job["exact"],
            seed=seed,
            transition=job["transition"],
            grade=job["grade"],
            match=job["match"],
            full_speed=job["keep-audio"],
            beat_effects=job["beat-effects"],
        ),
    )
    gone = unshown(timeline, survey.shots, offered.shots, survey.sources, job["allow"])
    more = notes_on_unshown(gone, survey.sources)
    timeline = replace(timeline, notes=(*survey.music_notes, *timeline.notes, *more))
    by_hand = [parse_focus(f) for f in job.focus]
    return reframed(timeline, survey.shots, survey.sources, fit=job["fit"], by_hand=by_hand)


def _offered(job: JobSpec, survey: Survey) -> Directed:
    """What selectors and a brief leave of the footage."""
    shots = filter_shots(
        survey.shots,
        survey.sources,
        [parse_selector(s) for s in job.include],
        [parse_selector(s) for s in job.exclude],
    )
    if not shots:
        raise NothingToDoError("--include and --exclude leave no shot")
    return directed(survey.direction, shots, load_style(job["style"]))


def unshown_of(job: JobSpec, survey: Survey, timeline: Timeline) -> dict[str, str]:
    """Why nothing of a clip is shown, by its identity; nothing is known of a timeline that was read from a file."""
    if job.from_timeline is not None:
        return {}
    offered = _offered(job, survey).shots
    return unshown(timeline, survey.shots, offered, survey.sources, job["allow"])


def _pins(job: JobSpec, survey: Survey) -> tuple[Pin, ...]:
    """What the user pinned, with its places."""
    shots, sources = survey.shots, survey.sources
    pins = list(resolve_pins(shots, sources, [parse_selector(p) for p in job.pins]))
    for place, named in ((FIRST, job.first), (LAST, job.last)):
        found = resolve_pins(shots, sources, [parse_selector(p) for p in named])
        if len(found) > 1:
            raise UsageError(f"--{place} {printable(named[0])} names {len(found)} clips: name one")
        pins += [replace(p, place=place) for p in found]
    return tuple(pins)


def _from_timeline(job: JobSpec, driver: Driver, survey: Survey) -> Timeline:
    """The timeline of a file, with its clips probed into the survey, and its music analysed."""
    timeline = timeline_of(job, driver, survey)
    if survey.music is None and timeline.music_path:
        analysis = Analysis(driver, Settings.of(job.settings), survey)
        track = track_of(timeline)
        analysis.run([track], shots=False)
        _use(track, analysis, survey, driver)
        if track != timeline.music_path and survey.music is not None:
            survey.music = of_timeline(survey.music, timeline)
            survey.music_state = state_of_music(timeline)
    return timeline


def timeline_of(job: JobSpec, driver: Driver, survey: Survey) -> Timeline:
    """The timeline of a job's file, with its clips probed into the survey.

    Raises:
        UsageError: it holds what cannot be rendered.
        MediaError: a clip of it cannot be used.
    """
    from montage_dask.report.otio import read_otio

    assert job.from_timeline is not None
    candidates = [Candidate(place_of(p), explicit=True) for p in timeline_media(job)]
    probe_all(driver, Settings.of(job.settings), candidates, survey)
    if survey.skipped:
        lost = survey.skipped[0]
        raise MediaError(lost.path, lost.reason)
    timeline = read_otio(
        job.from_timeline, survey.sources, fps=job.fps, width=job.width, height=job.height
    )
    if job.music:
        timeline = replace(timeline, music_path=job.music, music_fit=None)
    elif timeline.music_path:
        check_received(job, timeline.music_path)
        if timeline.music_fit is not None:
            check_received(job, timeline.music_fit.track)
    if timeline.grade.lower().endswith(".cube"):
        check_received(job, timeline.grade)
    return timeline


def make(job: JobSpec, driver: Driver) -> tuple[Survey, list[Made]]:
    """Run a whole job.

    Returns:
        What was found, and one `Made` per variant.

    Raises:
        MontageError: nothing can be made; nothing stands at the output path that did not before.
    """

    survey = prepare(job, driver)
    job = settle(direct(job, driver, survey), driver, survey)
    made: list[Made] = []
    for number in range(job["variants"]):
        made.append(make_one(job, driver, survey, number, [m.timeline for m in made]))
    return survey, made


def edits(job: JobSpec, driver: Driver) -> tuple[Survey, list[Timeline]]:
    """The timelines of a job, one per variant, without rendering any.

    Raises:
        MontageError: there is nothing to edit; an option is wrong.
    """
    survey = prepare(job, driver)
    job = settle(direct(job, driver, survey), driver, survey)
    if job.from_timeline is not None:
        timelines = [_from_timeline(job, driver, survey)]
    else:
        timelines = []
        for number in range(job["variants"]):
            timelines.append(_variant(job, survey, number, timelines))
    for note in dict.fromkeys(n for t in timelines for n in t.notes):
        driver.progress.note(note)
    return survey, timelines


def output_of(job: JobSpec, number: int) -> Place:
    """Where the variant of that number will stand."""
    several = job["variants"] > 1
    return job.output.with_stem(f"{job.output.stem}-{number + 1}") if several else job.output


def _variant(job: JobSpec, survey: Survey, number: int, others: Sequence[Timeline]) -> Timeline:
    """The edit of the variant of that number, with a seed by which it differs from the others if there is one."""
    seen = [[(e.source, e.in_seconds, e.frames) for e in t.events] for t in others]
    for more in range(VARIANT_TRIES):
        timeline = compose(job, survey, job["seed"] + number + more * job["variants"])
        if [(e.source, e.in_seconds, e.frames) for e in timeline.events] not in seen:
            break
    return timeline


def make_one(
    job: JobSpec, driver: Driver, survey: Survey, number: int, others: Sequence[Timeline] = ()
) -> Made:
    """Edit and render the variant of that number of a job whose footage and music are surveyed.

    Args:
        job: what is asked for.
        driver: runs it.
        survey: the footage and the music.
        number: of the variant, from 0.
        others: what it should differ from.

    Raises:
        MontageError: it cannot be made; nothing stands at its output path that did not before.
    """
    output, run_dir, published = output_of(job, number), job.run_dir, job.published
    if job["variants"] > 1:
        run_dir = run_dir / f"variant-{number + 1}"
        published = published and published / f"variant-{number + 1}"
    while True:
        timeline = (
            _from_timeline(job, driver, survey)
            if job.from_timeline is not None
            else _variant(job, survey, number, others)
        )
        for note in timeline.notes:
            driver.progress.note(note)
        try:
            rendered = render(job, driver, survey, timeline, output)
            return Made(
                output,
                run_dir,
                published,
                timeline,
                rendered.placements,
                rendered.effects,
                rendered.guard,
                rendered.sound,
            )
        except SourceChanged:
            raise  # whatever it is now, what was found out about it is not true any more
        except MediaError as error:
            # A clip that broke only now: leave it out and edit again; segments without it are reused.
            broken = [k for k, c in survey.clips.items() if c.source.path == error.path]
            if not broken or job.from_timeline is not None or len(survey.clips) == 1:
                raise
            driver.progress.note(f"left out: {error}")
            log.warning("%s", error, exc_info=True)
            survey.skip(error.path, error.reason)
            for identity in broken:
                del survey.clips[identity]
            survey.shots = tuple(s for s in survey.shots if s.source in survey.clips)
            if not survey.shots:
                raise NothingToDoError(nothing_usable(survey)) from error


def check_output(job: JobSpec) -> None:
    """Find out before the work, not after it, that the result has no place."""
    for folder in (job.output.parent, job.published, job.run_dir, job.store):
        if folder is None:
            continue
        if isinstance(folder, Url):
            objects.check_writable(folder)
            continue
        # A name of its own: jobs that begin at once may share a folder.
        probe = folder / f".montage-write-test-{uuid.uuid4().hex[:12]}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise storage_error(folder, error) from error
    if isinstance(job.output, Url):
        return
    free = free_bytes(job.output.parent)
    if free < 1 << 20:
        raise StoreError(f"cannot write {job.output}: the disk is full ({free} bytes free)")
