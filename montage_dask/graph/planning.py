"""What a job would do: clips, windows, operations with target and reason, time and disk; nothing is analysed or rendered."""

from __future__ import annotations

import math
from typing import Any

from montage_dask.edit.director import Direction
from montage_dask.errors import MontageError, NothingToDoError
from montage_dask.graph.analysing import OPERATIONS, analysis_todo, recall
from montage_dask.graph.costs import (
    CPU_SECONDS_PER_FRAME,
    FIT_SECONDS,
    GUARD_SECONDS_PER_SECOND,
    PIXELS_1080P,
    STRIP_BYTES_PER_FRAME,
    Work,
    assemble_seconds,
    audio_seconds,
    encode_work,
    output_bytes,
    range_bytes,
)
from montage_dask.graph.directing import direct
from montage_dask.graph.drive import Driver
from montage_dask.graph.effects import DEAR_PIECE_FRAMES, PIECE_FRAMES
from montage_dask.graph.montage import nothing_usable, restrict_clips, timeline_of
from montage_dask.graph.music_fitting import expected
from montage_dask.graph.operation import finished
from montage_dask.graph.placement import describe
from montage_dask.graph.requests import music_request, strip_requests
from montage_dask.graph.steadying import MOTION_FRAMES
from montage_dask.graph.survey import Settings, Survey, find_footage, probe_all
from montage_dask.graph.targets import place_on
from montage_dask.graph.upscaling import CPU_SECONDS_PER_PIXEL, accelerated, upscale_place
from montage_dask.job import JobSpec
from montage_dask.media.audio import probe_audio
from montage_dask.records import Music
from montage_dask.report.left_out import left_out, never_shown
from montage_dask.store import Url
from montage_dask.store.artefacts import free_bytes


def plan(job: JobSpec, driver: Driver) -> dict[str, Any]:
    """The plan of a job, ready for JSON.

    Raises:
        NothingToDoError: no clip, or no music, can be used.
    """
    settings = Settings.of(job.settings)
    survey = Survey()
    timeline = None
    if job.from_timeline is None:
        candidates, skipped = find_footage(job.footage, job.music, job.link_roots)
        survey.skipped.extend(skipped)
        probe_all(driver, settings, candidates, survey)
        if not survey.clips:
            raise NothingToDoError(nothing_usable(survey))
        restrict_clips(job, survey)
        if not survey.clips:
            raise NothingToDoError("--include and --exclude leave no clip")
    else:
        timeline = timeline_of(job, driver, survey)
    music = job.music or (timeline and timeline.music_path)
    if not music:
        raise NothingToDoError("no music: the timeline names none, so add --music FILE")
    try:
        track = probe_audio(music)
    except MontageError as error:
        raise NothingToDoError(f"the music cannot be used: {error}") from error
    known = _heard(music, settings, driver)
    if timeline is None:
        job, direction = _directed(job, driver, survey, settings, float(track.duration_seconds))
        planned, notes, fits = expected(job, known, track.duration_seconds, settings, driver.store)
        fps, width, height = job.fps, job.width, job.height
    else:
        direction, planned = None, timeline.frames / timeline.fps
        notes, fits = timeline.notes, False
        fps, width, height = timeline.fps, timeline.width, timeline.height
    seen = Survey(dict(survey.clips) if timeline is None else {})
    recall(seen, settings, music, driver.store)
    found = list(survey.clips.values())
    todo = analysis_todo(
        found if timeline is None else (), [music_request(music, settings)], settings, driver.store
    )
    clips, windows = [], 0
    for clip in found:
        source = clip.source
        requests = list(strip_requests(clip, settings))
        waiting = [r for r in requests if finished(r, driver.store) is None]
        windows += len(requests)
        clips.append(
            {
                "path": source.path,
                "codec": source.codec,
                "size": f"{source.width}x{source.height}",
                "fps": float(source.frame_rate),
                "frames": source.frames,
                "duration_seconds": float(source.duration_seconds),
                "windows": len(requests),
                "windows_to_do": len(waiting) if timeline is None else 0,
                "warnings": list(source.warnings),
            }
        )
    frames = math.ceil(planned * fps) if timeline is None else timeline.frames
    length = float(planned)
    segments = max(1, -(-frames // job["segment-frames"]))
    sources = [c.source for c in found]
    footage_seconds = float(sum(s.duration_seconds for s in sources))
    used = sum(
        range_bytes(s, length * float(s.duration_seconds) / footage_seconds) for s in sources
    )
    encode = encode_work(frames, width * height, fps, job["codec"], job["quality"], used)
    rows: list[tuple[str, int, Work]] = [
        *((n, todo.counts[n], todo.work[n]) for n in OPERATIONS if todo.concerned[n]),
        *_effects(job, survey, length),
        *_upscales(job, driver, survey, length),
        ("encode", segments, encode),
        ("guard", segments, Work(length * GUARD_SECONDS_PER_SECOND)),
        *([("music_fit", 1, Work(FIT_SECONDS))] if fits else ()),
        ("audio", 1, Work(audio_seconds(length))),
        ("assemble", 1, Work(assemble_seconds(length))),
    ]
    capacity = driver.workers.capacity()
    output = output_bytes(frames * width * height, job["quality"])
    operations = [
        {
            **describe(
                upscale_place(driver, settings)
                if name == "upscale"
                else place_on(driver, name, settings.targets, work)
            ),
            "count": count,
            "cpu_seconds": round(work.cpu_seconds, 1),
        }
        for name, count, work in rows
    ]
    # What is one task cannot be shared out.
    seconds = {name: work.cpu_seconds for name, _, work in rows}
    shared = sum(s for name, s in seconds.items() if name not in ("beats", "audio", "assemble"))
    alone = seconds["audio"] + seconds["assemble"]
    strips = sum(c.source.frames for c in survey.clips.values()) * STRIP_BYTES_PER_FRAME
    return {
        "output": str(job.output),
        "run_dir": str(job.run_dir),
        "store": str(job.store),
        "clips": clips,
        "skipped": [{"path": s.path, "reason": s.reason} for s in survey.skipped],
        # None: it is not known before the footage is analysed.
        "left_out": left_out(seen.shots, seen.sources, job["allow"])
        if seen.shots or timeline is not None
        else None,
        "not_shown": never_shown(seen.shots, seen.sources, job["allow"]),
        "music": {
            "path": music,
            "duration_seconds": float(track.duration_seconds),
            "warnings": list(known.warnings) if known is not None else [],
        },
        "notes": list(notes),
        "montage": {
            "duration_seconds": length,
            "frames": frames,
            "size": f"{width}x{height}",
            "fps": float(fps),
            "segments": segments,
        },
        "director": direction and direction.summary(),
        "windows": windows,
        "window_frames": settings.window_frames,
        "operations": operations,
        "estimate": {
            "cpu_seconds": round(sum(seconds.values()) * job["variants"], 1),
            "wall_seconds": round((shared / capacity.slots_of("cpu") + alone) * job["variants"], 1),
            # Segments and the joined file stand side by side at the end.
            "disk_bytes": round(2 * output * job["variants"] + strips),
            "disk_free_bytes": free_bytes(
                job.run_dir if isinstance(job.output, Url) else job.output.parent
            ),
        },
        "cluster": {
            "where": driver.where,
            "address": str(driver.client.scheduler.address),
            "workers": capacity.workers,
            "resources": dict(capacity.resources),
            "dashboard": driver.client.dashboard_link,
        },
    }


def _heard(music: str, settings: Settings, driver: Driver) -> Music | None:
    """The analysis of the music, if there was one."""
    seen = Survey()
    recall(seen, settings, music, driver.store)
    return seen.music


def _directed(
    job: JobSpec, driver: Driver, survey: Survey, settings: Settings, music_seconds: float
) -> tuple[JobSpec, Direction | None]:
    """The job as its brief wants it, by what is known of the footage so far."""
    assert job.music is not None
    seen = Survey(dict(survey.clips))
    if job["director"] is not None:
        restrict_clips(job, seen)
        recall(seen, settings, job.music, driver.store)
        job = direct(job, driver, seen, music_seconds)
    return job, seen.direction


def _upscales(
    job: JobSpec, driver: Driver, survey: Survey, length_seconds: float
) -> list[tuple[str, int, Work]]:
    """What upscaling takes on the CPU: a guess, as the edit is not known; it is measured before it begins."""
    from montage_dask.render.upscale import needs_upscale

    quick = accelerated(driver)
    sources = [c.source for c in survey.clips.values()]
    small = [s for s in sources if needs_upscale(s, job.width, job.height)]
    if not small or job["upscale"] == "off" or (job["upscale"] == "auto" and not quick):
        return []
    # Every clip gets its share of the montage, and pieces reach beyond what is shown.
    shown = 1.5 * length_seconds * sum(s.frames for s in small) / sum(s.frames for s in sources)
    made = sum(min(s.frames, shown / len(small) * float(s.frame_rate)) for s in small)
    pixels = sum(s.frames * s.coded_width * s.coded_height for s in small)
    each = pixels / sum(s.frames for s in small)
    seconds = 0.0 if quick else made * each * CPU_SECONDS_PER_PIXEL
    return [("upscale", math.ceil(made / DEAR_PIECE_FRAMES), Work(seconds))]


def _effects(job: JobSpec, survey: Survey, length_seconds: float) -> list[tuple[str, int, Work]]:
    """What the effects take: a guess, as the edit is not known. Windows and pieces reach beyond what is shown."""
    if job["stabilise"] == "off":
        return []
    sources = [c.source for c in survey.clips.values()]
    total = sum(s.frames for s in sources)
    rate = total / float(sum(s.duration_seconds for s in sources))
    scale = sum(s.frames * s.coded_width * s.coded_height for s in sources) / total / PIXELS_1080P
    looked_at = min(total, 3 * length_seconds * rate)
    rows = [
        (
            "motion",
            math.ceil(looked_at / MOTION_FRAMES),
            Work(looked_at * scale * CPU_SECONDS_PER_FRAME["motion"]),
        )
    ]
    if job["stabilise"] == "on":  # auto: only what shakes, which nobody knows yet
        made = min(total, 2 * length_seconds * rate)
        rows.append(
            (
                "stabilise",
                math.ceil(made / PIECE_FRAMES),
                Work(made * scale * CPU_SECONDS_PER_FRAME["stabilise"]),
            )
        )
    return rows
