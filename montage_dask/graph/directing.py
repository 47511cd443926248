"""From a brief to a directed job: the catalogue of what there is, the model or the rules, the cache, and what it changes."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from montage_dask.config import Setting, checked
from montage_dask.director_client import Server, ask
from montage_dask.edit.beat_effects import EFFECTS
from montage_dask.edit.brief import read_brief
from montage_dask.edit.choose import FIRST, LABELS, LAST, Pin, filter_shots, parse_selector
from montage_dask.edit.closed import RefusedError
from montage_dask.edit.director import (
    VERSION,
    Catalogue,
    ClipEntry,
    Decision,
    Direction,
    decision_of,
    directed_pins,
    directed_style,
    form_of,
    parse_answer,
    without_left_out,
)
from montage_dask.edit.looks import looks_of
from montage_dask.edit.prompt import INSTRUCTIONS, again, cache_parameters, question
from montage_dask.edit.styles import Style, load_style, style_names
from montage_dask.errors import DirectorUnavailable, UsageError
from montage_dask.graph.drive import Driver
from montage_dask.graph.survey import Survey
from montage_dask.job import JobSpec
from montage_dask.records import Shot, Timeline, to_json
from montage_dask.store import Store, key_of

log = logging.getLogger(__name__)

OPERATION = "director"
SETTINGS = ("style", "duration", "grade", "transition")
"""Settings that a decision gives, unless the user did."""


def direct(
    job: JobSpec, driver: Driver, survey: Survey, music_seconds: float | None = None
) -> JobSpec:
    """The job as its brief wants it; what was decided is in `survey.direction`.

    Args:
        job: with a brief or without.
        driver: knows the store, and who is told.
        survey: clips, and what is known of their shots and of the music.
        music_seconds: length of the music where the survey does not know it.

    Returns:
        The job with the settings that were decided; what the user set stays.

    Raises:
        UsageError: the client for the server is not installed.
    """
    brief = job["director"]
    if brief is None:
        return job
    if job.from_timeline is not None:
        driver.progress.note("--director changes nothing: the timeline is given")
        return job
    catalogue = catalogue_of(job, survey, music_seconds)
    direction = _asked_or_read(job, driver, brief, catalogue)
    directed, overruled = _with_settings(job, direction.decision)
    decision = direction.decision
    if job.include and decision.leave_out:
        overruled = (*overruled, "clips to use")
        decision = replace(decision, leave_out=())
    for place, own in ((FIRST, job.first), (LAST, job.last)):
        kept = tuple(p for p in decision.pins if p.place != place)
        if own and kept != decision.pins:
            overruled = (*overruled, f"{place} shot")
            decision = replace(decision, pins=kept)
    survey.direction = replace(direction, decision=decision, overruled=overruled)
    for note in direction.notes:
        driver.progress.note(f"director: {note}")
    return directed


def catalogue_of(job: JobSpec, survey: Survey, music_seconds: float | None = None) -> Catalogue:
    """All that the director of a job may choose from."""
    include, exclude = ([parse_selector(s) for s in given] for given in (job.include, job.exclude))
    by_clip: dict[str, list[Shot]] = defaultdict(list)
    for shot in filter_shots(survey.shots, survey.sources, include, exclude):
        by_clip[shot.source].append(shot)
    clips = tuple(
        ClipEntry(
            identity=identity,
            name=clip.name,
            seconds=float(clip.source.duration_seconds),
            shots=len(by_clip[identity]),
            looks=looks_of(by_clip[identity]),
        )
        for identity, clip in survey.clips.items()
    )
    music = survey.music
    whole = float(music.duration_seconds) if music is not None else music_seconds or 0.0
    labels = {s.label for s in music.sections} if music is not None else set()
    return Catalogue(
        clips=clips,
        styles={name: load_style(name).description for name in style_names()},
        sections=tuple(label for label in LABELS if label in labels),
        music_seconds=max(0.0, whole - (0.0 if job["start"] == "auto" else float(job["start"]))),
        tempo_bpm=music.tempo_bpm if music is not None else 0.0,
        fixed={n: _shown(job[n]) for n in SETTINGS if _by_user(job, n)},
    )


def _by_user(job: JobSpec, name: str) -> bool:
    return job.settings[name].origin != "default"


def _shown(value: Any) -> str:
    """A setting of the user for the model: the name of a file, never its folder."""
    return Path(value).stem if isinstance(value, str) else f"{float(value):g}"


def _with_settings(job: JobSpec, decision: Decision) -> tuple[JobSpec, tuple[str, ...]]:
    """The job with what was decided, and what does not count because the user set it."""
    decided = {
        "style": decision.style,
        "duration": decision.duration_seconds,
        "grade": decision.grade,
        "transition": decision.transition,
        "beat-effects": ",".join(f"{n}={at}" for n in EFFECTS if (at := getattr(decision, n)))
        or None,
    }
    settings = dict(job.settings)
    overruled = []
    for name, value in decided.items():
        if value is None:
            continue
        if _by_user(job, name):
            overruled.append(name)
        else:
            settings[name] = Setting(name, checked(name, value, OPERATION), OPERATION)
    return replace(job, settings=settings), tuple(overruled)


def _asked_or_read(job: JobSpec, driver: Driver, brief: str, catalogue: Catalogue) -> Direction:
    """The direction by a model, where there is one and it answers; else by rules."""
    notes: tuple[str, ...] = ()
    if job["director-url"] is not None:
        server = Server(
            url=job["director-url"],
            model=job["director-model"],
            api=job["director-api"],
            seconds=job["director-seconds"],
        )
        driver.progress.stage(OPERATION, 1, "question")
        try:
            return _answered(server, brief, catalogue, driver.store)
        except DirectorUnavailable as error:
            log.warning("%s", error)
            notes = (f"{error}; the brief was read by rules",)
        finally:
            driver.progress.step(OPERATION, server.name)
    decision, missed = read_brief(brief, catalogue)
    return Direction(brief, decision, catalogue, "rules", notes=(*notes, *missed))


def _answered(server: Server, brief: str, catalogue: Catalogue, store: Store) -> Direction:
    """The direction by a model: from the store, or asked now and kept there."""
    key = key_of(OPERATION, VERSION, cache_parameters(brief, catalogue, server.identity))
    by = f"{server.name}, {server.model or 'its own model'}"
    record = store.load(OPERATION, key)
    if record is not None:
        try:
            decision = decision_of(record.get("decision"), catalogue)
            return Direction(brief, decision, catalogue, by, reused=True)
        except RefusedError:  # not what was saved: as if it were not there
            log.warning("a kept answer of the director is damaged")
    decision = _ask(server, question(brief, catalogue), catalogue)
    store.save(OPERATION, key, {"decision": to_json(decision), "answered_by": by})
    return Direction(brief, decision, catalogue, by)


def _ask(server: Server, asked: str, catalogue: Catalogue) -> Decision:
    """The answer to a question; one that is refused may be corrected once."""
    schema = form_of(catalogue).schema()
    answer = ask(server, INSTRUCTIONS, asked, schema)
    try:
        return parse_answer(answer, catalogue)
    except RefusedError as refused:
        log.info("the director's answer was refused: %s", refused)
        answer = ask(server, INSTRUCTIONS, asked + again(str(refused), answer), schema)
    try:
        return parse_answer(answer, catalogue)
    except RefusedError as refused:
        raise DirectorUnavailable(
            f"{server.name} answered twice what cannot be used ({refused})"
        ) from refused


@dataclass(frozen=True, slots=True)
class Directed:
    """What an edit is to work with."""

    shots: tuple[Shot, ...]
    style: Style
    pins: tuple[Pin, ...] = ()
    notes: tuple[str, ...] = ()


def directed(direction: Direction | None, shots: Sequence[Shot], style: Style) -> Directed:
    """Shots and style as a direction wants them, and its pins."""
    if direction is None:
        return Directed(tuple(shots), style)
    decision, catalogue = direction.decision, direction.catalogue
    notes: tuple[str, ...] = ()
    kept = without_left_out(shots, decision, catalogue)
    if not kept:
        kept = tuple(shots)
        notes = ("what the director leaves out is all there is: it is used all the same",)
    pins, missed = directed_pins(kept, decision, catalogue)
    return Directed(kept, directed_style(style, decision), pins, (*notes, *missed))


def edited(wanted: Directed, pins: Sequence[Pin], edit: Callable[..., Timeline]) -> Timeline:
    """The edit with the user's pins and the director's; without the latter where they do not fit."""
    notes = wanted.notes
    try:
        timeline = edit(pins=(*pins, *wanted.pins))
    except UsageError as error:
        if not wanted.pins:
            raise
        timeline = edit(pins=tuple(pins))
        notes = (*notes, f"the director's pins are left out: {error}")
    return replace(timeline, notes=(*timeline.notes, *notes))
