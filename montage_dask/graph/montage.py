"""The main job: footage and music to a finished montage, as stages of requests on one cluster."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

from montage_dask.edit.choose import FIRST, LAST, Pin, filter_shots, parse_selector, resolve_pins
from montage_dask.edit.edit import edit
from montage_dask.edit.styles import load_style
from montage_dask.errors import (
    MediaError,
    MontageError,
    NothingToDoError,
    StoreError,
    TargetFailed,
    UsageError,
    printable,
)
from montage_dask.graph.costs import encode_seconds_per_pixel, output_bytes, range_bytes
from montage_dask.graph.directing import direct, directed, edited
from montage_dask.graph.drive import Driver, Progress
from montage_dask.graph.effects import improve
from montage_dask.graph.encoding import choices, encoder_parameter
from montage_dask.graph.operation import Request
from montage_dask.graph.placement import Placement
from montage_dask.graph.survey import (
    Analysis,
    Clip,
    Settings,
    Survey,
    find_footage,
    probe_all,
)
from montage_dask.graph.targets import Work, place_on
from montage_dask.job import Job
from montage_dask.media.discover import Candidate
from montage_dask.records import Music, Source, Timeline, to_json
from montage_dask.render.grade import identity_of
from montage_dask.render.segments import Segment, plan_segments
from montage_dask.store import Store
from montage_dask.store.artefacts import free_bytes, storage_error

log = logging.getLogger(__name__)

STALE_PART_SECONDS = 6 * 3600
ENCODE_PRIORITY = 10


@dataclass(frozen=True, slots=True)
class Made:
    """One finished montage."""

    output: Path
    run_dir: Path
    timeline: Timeline
    placements: tuple[Placement, ...]
    effects: tuple[Mapping[str, Any], ...] = ()
    """What was done to which shot, and why; for the summary."""


def prepare(job: Job, driver: Driver) -> Survey:
    """Everything that the edit needs: clips, shots, music.

    Raises:
        NothingToDoError: no clip or no music can be used.
        UsageError: a selector names nothing.
    """
    from montage_dask.analysis.similarity import group_duplicates

    settings = Settings.of(job.settings)
    survey = Survey()
    _sweep(job.store)
    if job.from_timeline is None:
        candidates, skipped = find_footage(job.footage, job.music)
        survey.skipped.extend(skipped)
    else:
        candidates = []
    probe_all(driver, settings, candidates, survey)
    if not survey.clips and job.from_timeline is None:
        raise NothingToDoError(nothing_usable(survey))
    restrict_clips(job, survey)
    analysis = Analysis(driver, settings, survey)
    analysis.run([job.music] if job.music else [], shots=job.from_timeline is None)
    survey.placements = analysis.placements
    for heard in analysis.heard.values():
        _use(heard, survey, driver)
    if not survey.shots and job.from_timeline is None:
        raise NothingToDoError(nothing_usable(survey))
    survey.shots = group_duplicates(survey.shots, settings.embedding)
    return survey


def _use(heard: Music | MontageError, survey: Survey, driver: Driver) -> None:
    """Make a track the music of the job."""
    if isinstance(heard, MontageError):
        raise NothingToDoError(f"the music cannot be used: {heard}")
    survey.music = heard
    for warning in heard.warnings:
        driver.progress.note(warning)


def nothing_usable(survey: Survey) -> str:
    """One line for a job without a usable clip."""
    reasons = "; ".join(str(MediaError(s.path, s.reason)) for s in survey.skipped[:5])
    more = f" and {len(survey.skipped) - 5} more" if len(survey.skipped) > 5 else ""
    return f"no usable footage: {reasons}{more}"


def restrict_clips(job: Job, survey: Survey) -> None:
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


def compose(job: Job, survey: Survey, seed: int) -> Timeline:
    """The edit of one variant.

    Raises:
        UsageError: a selector, the style or the grade is wrong.
        NothingToDoError: the selectors leave nothing.
    """
    assert survey.music is not None
    shots = filter_shots(
        survey.shots,
        survey.sources,
        [parse_selector(s) for s in job.include],
        [parse_selector(s) for s in job.exclude],
    )
    if not shots:
        raise NothingToDoError("--include and --exclude leave no shot")
    pins = _pins(job, survey)
    wanted = directed(survey.direction, shots, load_style(job["style"]))
    return edited(
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
            seed=seed,
            transition=job["transition"],
            grade=job["grade"],
            match=job["match"],
        ),
    )


def _pins(job: Job, survey: Survey) -> tuple[Pin, ...]:
    """What the user pinned, with its places."""
    shots, sources = survey.shots, survey.sources
    pins = list(resolve_pins(shots, sources, [parse_selector(p) for p in job.pins]))
    for place, named in ((FIRST, job.first), (LAST, job.last)):
        found = resolve_pins(shots, sources, [parse_selector(p) for p in named])
        if len(found) > 1:
            raise UsageError(f"--{place} {printable(named[0])} names {len(found)} clips: name one")
        pins += [replace(p, place=place) for p in found]
    return tuple(pins)


def _from_timeline(job: Job, driver: Driver, survey: Survey) -> Timeline:
    """The timeline of a file, with its clips probed into the survey."""
    from montage_dask.report.otio import read_otio

    assert job.from_timeline is not None
    settings = Settings.of(job.settings)
    paths = _paths_of(job)
    probe_all(driver, settings, [Candidate(Path(p), explicit=True) for p in paths], survey)
    if survey.skipped:
        lost = survey.skipped[0]
        raise MediaError(lost.path, lost.reason)
    timeline = read_otio(
        job.from_timeline, survey.sources, fps=job.fps, width=job.width, height=job.height
    )
    if job.music:
        timeline = replace(timeline, music_path=job.music)
    if survey.music is None and timeline.music_path:
        analysis = Analysis(driver, settings, survey)
        analysis.run([timeline.music_path], shots=False)
        _use(analysis.heard[timeline.music_path], survey, driver)
    return timeline


def _paths_of(job: Job) -> tuple[str, ...]:
    from montage_dask.report.otio import media_of

    assert job.from_timeline is not None
    return media_of(job.from_timeline)


def make(job: Job, driver: Driver) -> tuple[Survey, list[Made]]:
    """Run a whole job.

    Returns:
        What was found, and one `Made` per variant.

    Raises:
        MontageError: nothing can be made; nothing stands at the output path that did not before.
    """

    survey = prepare(job, driver)
    job = direct(job, driver, survey)
    return survey, [_one(job, driver, survey, n) for n in range(job["variants"])]


def _one(job: Job, driver: Driver, survey: Survey, number: int) -> Made:
    output, run_dir = job.output, job.run_dir
    if job["variants"] > 1:
        output = output.with_stem(f"{output.stem}-{number + 1}")
        run_dir = run_dir / f"variant-{number + 1}"
    while True:
        if job.from_timeline is not None:
            timeline = _from_timeline(job, driver, survey)
        else:
            timeline = compose(job, survey, job["seed"] + number)
        for note in timeline.notes:
            driver.progress.note(note)
        try:
            placements, effects = render(job, driver, survey, timeline, output)
            return Made(output, run_dir, timeline, placements, effects)
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


def encode_requests(
    job: Job,
    timeline: Timeline,
    clips: Mapping[str, Clip],
    stand_ins: Mapping[str, Mapping[str, Any]],
    encoder: str | None = None,
) -> list[tuple[Segment, Request]]:
    """The segments of a timeline in order, each with its request.

    Args:
        job: settings.
        timeline: its events name clips or stand-ins.
        clips: by identity.
        stand_ins: from `effects.improve`.
        encoder: a GPU's; None: software.
    """
    grade = timeline.grade
    identity = identity_of(grade)
    requests = []
    for segment in plan_segments(timeline, maximum_frames=job["segment-frames"]):
        used = {e.source: clips[e.source] for e in segment.events if e.source in clips}
        made = {e.source: stand_ins[e.source] for e in segment.events if e.source in stand_ins}
        parameters = {
            "segment": to_json(segment),
            "fit": job["fit"],
            "grade": identity,
            "codec": job["codec"],
            "quality": job["quality"],
            "crf": job["crf"],
            "threads": job["encoder-threads"],
            **encoder_parameter(encoder),
        }
        paths = {
            "sources": {k: to_json(c.source) for k, c in used.items()},
            "indexes": {k: str(c.index) for k, c in used.items()},
            "stand_ins": made,
            "grade": grade,
            "stall_seconds": job["stall-seconds"],
        }
        shown = [*(c.name for c in used.values()), *(m["name"] for m in made.values())]
        names = ", ".join(dict.fromkeys(shown))
        requests.append((segment, Request("encode", parameters, paths, names)))
    return requests


def audio_request(job: Job, timeline: Timeline, sources: Mapping[str, Source]) -> Request:
    """The request for the sound of the whole montage."""
    from montage_dask.media.probe import stat_key

    keep = job["keep-audio"]
    parameters: dict[str, Any] = {
        "music": stat_key(timeline.music_path),
        "start_seconds": str(timeline.music_start_seconds),
        "frames": timeline.frames,
        "fps": str(timeline.fps),
        "fade_out_frames": timeline.fade_out_frames,
        "keep_audio": keep,
        "loudness_lufs": job["loudness-lufs"],
        "true_peak_db": job["true-peak-db"],
    }
    if keep:  # only then do the events matter
        parameters["events"] = [
            [e.start_frame, e.stop_frame, e.source, str(e.in_seconds), str(e.speed)]
            for e in timeline.events
        ]
    used = {e.source for e in timeline.events} if keep else set()
    paths = {
        "timeline": to_json(timeline),
        "music": timeline.music_path,
        "sources": {k: to_json(s) for k, s in sources.items() if k in used},
    }
    return Request("audio", parameters, paths, Path(timeline.music_path).name)


def render(
    job: Job, driver: Driver, survey: Survey, timeline: Timeline, output: Path
) -> tuple[tuple[Placement, ...], tuple[Mapping[str, Any], ...]]:
    """Run the effects, encode the segments, render the sound, and assemble all into the output.

    Returns:
        Where the operations ran, and what the effects did.

    Raises:
        MontageError: an effect, a segment, the sound or the output cannot be made.
    """
    settings = Settings.of(job.settings)
    store = driver.store
    improved = improve(job, driver, survey, timeline)
    audio = audio_request(job, timeline, survey.sources)
    places = {n: place_on(driver, n, settings.targets) for n in ("audio", "assemble")}
    driver.progress.stage("audio", 1, "track")
    for choice in choices(
        driver, "encode", settings, job["codec"], encode_work(job, survey, timeline)
    ):
        pairs = encode_requests(
            job, improved.timeline, survey.clips, improved.stand_ins, choice.encoder
        )
        places["encode"] = choice.placement
        failed = _encode_all(driver, timeline.fps, audio, pairs, places)
        if not isinstance(failed, TargetFailed):
            break
        # Segments of two encoders make no good file: all are encoded again.
        driver.progress.note(f"encode goes on with the next encoder: {failed}")
    if failed is not None:
        raise failed
    parts = [str(store.file("encode", r.key, ".mp4")) for _, r in pairs]
    assemble = Request(
        "assemble",
        {
            "segments": [r.key for _, r in pairs],
            "audio": audio.key,
            "frames": timeline.frames,
            "fps": str(timeline.fps),
            "output": str(output),
            "metadata": {"title": output.stem},
        },
        {
            "segments": parts,
            "audio": str(store.file("audio", audio.key, ".m4a")),
            "output": str(output),
        },
        output.name,
    )
    forget_unless_there(store, assemble, output)
    driver.progress.stage("assemble", 1, "file")
    driver.only(assemble, places["assemble"])
    return (*survey.placements, *improved.placements, *places.values()), tuple(improved.told)


def encode_work(job: Job, survey: Survey, timeline: Timeline) -> Work:
    """What it takes to encode a timeline in software, or elsewhere."""
    pixels = timeline.frames * timeline.width * timeline.height
    used = sum(
        range_bytes(survey.clips[e.source].source, (e.stop_frame - e.start_frame) / timeline.fps)
        for e in timeline.events
        if e.source in survey.clips
    )
    return Work(
        pixels * encode_seconds_per_pixel(job["codec"], job["quality"]),
        used + output_bytes(pixels, job["quality"]),
        float(timeline.frames / timeline.fps),
    )


def _encode_all(
    driver: Driver,
    fps: Fraction,
    audio: Request,
    pairs: list[tuple[Segment, Request]],
    places: Mapping[str, Placement],
) -> MontageError | None:
    """Encode all segments, and the sound beside them.

    Returns:
        The first error; the other segments are done all the same: they are not lost when the job is run again.
    """
    unique = {r.key: r for _, r in pairs}
    frames = {r.key: s.frames for s, r in pairs}
    driver.progress.stage("encode", len(unique), "segments")
    # Longest first, so that the last worker does not end long after the others.
    ordered = sorted(unique.values(), key=lambda r: (-frames[r.key], r.key))
    failed: MontageError | None = None
    for outcome in driver.run(
        [audio, *ordered],
        places,
        media_seconds=lambda r: float(frames.get(r.key, 0) / fps),
        priority=ENCODE_PRIORITY,
    ):
        failed = failed or outcome.error
    return failed


def forget_unless_there(store: Store, request: Request, output: Path) -> None:
    """An output stands outside the store, where people move it: its record counts only while the file is the same."""
    record = store.load(request.operation, request.key)
    if record is None:
        return
    try:
        stat = output.stat()
        same = (stat.st_size, stat.st_mtime_ns) == (record["size_bytes"], record["mtime_ns"])
    except OSError:
        same = False
    if not same:
        store.record_path(request.operation, request.key).unlink(missing_ok=True)


def check_output(job: Job) -> None:
    """Find out before the work, not after it, that the result has no place."""
    for folder in (job.output.parent, job.run_dir, job.store):
        probe = folder / ".montage-write-test"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise storage_error(folder, error) from error
    free = free_bytes(job.output.parent)
    if free < 1 << 20:
        raise StoreError(f"cannot write {job.output}: the disk is full ({free} bytes free)")


def _sweep(store: Path) -> None:
    """Remove what killed writers left behind long ago."""
    limit = time.time() - STALE_PART_SECONDS
    for part in store.glob("*/*/*/.*.part*"):
        try:
            if part.stat().st_mtime < limit:
                part.unlink()
        except OSError:
            log.debug("cannot remove %s", part)


def start(job: Job, client: Any, progress: Progress) -> Driver:
    """A driver for a job on a connected cluster."""
    return Driver(
        client,
        Store(job.store),
        progress,
        in_flight_per_slot=job["in-flight-per-slot"],
        retries=job["retries"],
        gpu_memory_limit_mb=job["gpu-memory-limit"],
    )
