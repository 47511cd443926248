"""Which part of the music a job plays: the window of `--start auto`, and the track that `--music-fit` makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from montage_dask.edit.edit import length_of
from montage_dask.edit.music_fit import bars_for, fitted
from montage_dask.edit.window import best_window
from montage_dask.errors import MediaError
from montage_dask.graph.drive import Driver
from montage_dask.graph.operation import Request, finished
from montage_dask.graph.requests import music_request
from montage_dask.graph.survey import Settings, Survey
from montage_dask.graph.targets import place_on
from montage_dask.job import JobSpec
from montage_dask.media.probe import fingerprint, stat_key
from montage_dask.records import Music, MusicFit, Timeline, from_json, to_json
from montage_dask.store import Store, is_url

OPERATION = "music_fit"
AUTO = "auto"
NO_BARS = "--music-fit changes nothing: no bars are known in this music"
TOO_SHORT = "--music-fit changes nothing: intro and ending alone are longer than --duration"
NO_WAY = "--music-fit changes nothing: no joins of this music give that length"
UNNEEDED = "--music-fit changes nothing without --duration: the track has its own ending"
NO_WINDOW = "--start auto without --duration: the track is played from its beginning"


def start_of(job: JobSpec) -> Fraction:
    """Music time at which a job begins; 0 where that is chosen later."""
    start = job["start"]
    return Fraction(0) if start == AUTO else Fraction(start)


@dataclass(frozen=True, slots=True)
class Choice:
    """What a job plays."""

    job: JobSpec
    """With a start, and with the length as the edit is to take it."""
    notes: tuple[str, ...] = ()
    request: Request | None = None
    """What makes the fitted track; None: the track is played as it is."""


def choose(job: JobSpec, music: Music, settings: Settings) -> Choice:
    """Settle where a job begins, and whether its track is fitted; nothing is made.

    Args:
        job: with its director's settings.
        music: the analysis of its track.
        settings: of that analysis.
    """
    duration = job["duration"]
    notes: tuple[str, ...] = ()
    if job["start"] == AUTO:
        start = Fraction(0)
        notes = (NO_WINDOW,)
        if duration is not None:
            window = best_window(music, Fraction(duration), exact=job["exact"])
            start, notes = window.start_seconds, (f"--start auto: {window.reason}",)
        job = _with(job, start=start)
    if not job["music-fit"]:
        return Choice(job, notes)
    if duration is None:
        return Choice(job, (*notes, UNNEEDED))
    start, wish = start_of(job), Fraction(duration)
    if start < music.duration_seconds and bars_for(music, start, music.duration_seconds, wish):
        return Choice(job, notes, _request(job, music, settings))
    barless = music.confidence <= 0 or len(music.downbeats) < 4
    return Choice(job, (*notes, NO_BARS if barless else TOO_SHORT))


def _with(job: JobSpec, **values: Any) -> JobSpec:
    settings = dict(job.settings)
    for name, value in values.items():
        settings[name] = replace(settings[name], value=value)
    return replace(job, settings=settings)


def _request(job: JobSpec, music: Music, settings: Settings) -> Request:
    beats = music_request(music.path, settings)
    state = {k: v for k, v in beats.parameters.items() if k in ("path", "size_bytes", "mtime_ns", "etag")}  # fmt: skip
    return Request(
        OPERATION,
        {
            **state,
            "beats": beats.key,
            "start": str(job["start"]),
            "duration": str(job["duration"]),
            "exact": job["exact"],
        },
        {"path": music.path, "music": to_json(music)},
        Path(music.path).name,
    )


def settle(job: JobSpec, driver: Driver, survey: Survey) -> JobSpec:
    """Choose and make what a job plays: `survey` gets the fitted track as its music, and what there is to say about it.

    Returns:
        The job with the start and length that the edit is to take.

    Raises:
        MontageError: the track cannot be fitted.
    """
    if survey.music is None or job.from_timeline is not None:
        return job
    settings = Settings.of(job.settings)
    choice = choose(job, survey.music, settings)
    survey.music_notes = choice.notes
    if choice.request is None:
        return choice.job
    driver.progress.stage(OPERATION, 1, "track")
    place = place_on(driver, OPERATION, settings.targets)
    record = driver.only(choice.request, place)
    survey.placements = (*survey.placements, place)
    return _fitted(choice, record, survey, driver.store)


def _fitted(choice: Choice, record: Mapping[str, Any], survey: Survey, store: Store) -> JobSpec:
    assert survey.music is not None
    assert choice.request is not None
    job = choice.job
    if not record["fits"]:
        survey.music_notes = (*survey.music_notes, NO_WAY)
        return job
    survey.music = replace(
        fitted(
            survey.music,
            from_json(MusicFit, record["fit"]),
            str(store.file(OPERATION, choice.request.key, ".wav")),
        ),
        loudness_lufs=record["loudness_lufs"],
        true_peak_db=record["true_peak_db"],
    )
    survey.music_state = {OPERATION: choice.request.key}
    survey.music_notes = (*survey.music_notes, record["told"])
    # It begins and ends as the track does; an exact length was padded to it, or cuts the last decay.
    return _with(job, start=Fraction(0), duration=job["duration"] if job["exact"] else None)


def expected(
    job: JobSpec, music: Music | None, track_seconds: Fraction, settings: Settings, store: Store
) -> tuple[Fraction, tuple[str, ...], bool]:
    """What `plan` can tell of the length: seconds, what there is to say, and whether the track is fitted.

    Args:
        job: with its director's settings.
        music: the analysis of the track, where it was analysed before.
        track_seconds: length of the track.
        settings: of the analysis.
        store: knows whether the track was fitted before.

    Raises:
        UsageError: the part lies outside the music.
    """
    wish = job["duration"]
    if music is None:
        rest = max(Fraction(0), track_seconds - start_of(job))
        fits = job["music-fit"] and wish is not None
        return (Fraction(wish) if wish is not None else rest), _unheard(job), fits
    choice = choose(job, music, settings)
    job, notes = choice.job, choice.notes
    if choice.request is not None:
        record = finished(choice.request, store)
        if record is None:
            about = "the music is joined at bar lines, to half a bar of the length (--music-fit)"
            return Fraction(wish), (*notes, about), True
        survey = Survey(music=music)
        job = _fitted(choice, record, survey, store)
        assert survey.music is not None
        music, notes = survey.music, (*notes, *survey.music_notes)
    frames, more = length_of(music, job.fps, start_of(job), job["duration"], exact=job["exact"])
    return frames / job.fps, (*notes, *more), choice.request is not None


def _unheard(job: JobSpec) -> tuple[str, ...]:
    """What is not known before the music is analysed."""
    if job["duration"] is None:
        return (NO_WINDOW,) if job["start"] == AUTO else ()
    notes = []
    if job["start"] == AUTO:
        notes.append("--start auto: the best part is chosen when the music is analysed")
    if job["music-fit"]:
        notes.append("the music is joined at bar lines, to half a bar of the length (--music-fit)")
    elif not job["exact"]:
        notes.append(
            "the music is not analysed yet: the montage will end with a phrase of it, "
            "two bars from --duration at most (--exact keeps the length)"
        )
    return tuple(notes)


def track_of(timeline: Timeline) -> str:
    """The file whose analysis tells of the music of a timeline: that of the track, where pieces of it are what is played.

    Both must be what they were when the timeline was written; else what is played is all there is to hear.
    """
    fit, path = timeline.music_fit, timeline.music_path
    if fit is None or is_url(path) or is_url(fit.track):
        return path
    try:
        same = (fingerprint(path), fingerprint(fit.track)) == (fit.identity, fit.track_identity)
    except (OSError, MediaError):
        return path
    return fit.track if same else path


def of_timeline(music: Music, timeline: Timeline) -> Music:
    """The analysis of `track_of`, as the timeline plays it."""
    fit = timeline.music_fit
    if fit is None or music.path != fit.track or music.path == timeline.music_path:
        return music
    return fitted(music, fit, timeline.music_path)


def state_of_music(timeline: Timeline) -> Mapping[str, Any]:
    """What tells the file that a timeline plays from another (see `Survey.music_state`)."""
    return stat_key(timeline.music_path)
