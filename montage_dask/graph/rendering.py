"""From a timeline to the finished file: effects, segments and sound as requests, then the assembly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from typing import Any

from montage_dask.errors import MontageError, PictureMismatch, TargetFailed, printable
from montage_dask.graph import costs
from montage_dask.graph.costs import Work, range_bytes
from montage_dask.graph.drive import Driver
from montage_dask.graph.effects import improve
from montage_dask.graph.encoding import choices, encoder_parameter
from montage_dask.graph.guarding import Guards, missing_strips
from montage_dask.graph.operation import Request, finished
from montage_dask.graph.outcome import Feed
from montage_dask.graph.placement import Placement
from montage_dask.graph.survey import Clip, Settings, Survey
from montage_dask.graph.targets import place_on
from montage_dask.job import JobSpec
from montage_dask.records import Source, Timeline, to_json
from montage_dask.render.grade import identity_of
from montage_dask.render.segments import Segment, plan_segments
from montage_dask.store import Place

ENCODE_PRIORITY = 10


def encode_requests(
    job: JobSpec,
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
    if job["fit"] != "cover":
        events = tuple(replace(e, focus=()) for e in timeline.events)
        timeline = replace(timeline, events=events)
    for segment in plan_segments(timeline, maximum_frames=job["segment-frames"]):
        used = {e.source: clips[e.source] for e in segment.events if e.source in clips}
        made = {e.source: stand_ins[e.source] for e in segment.events if e.source in stand_ins}
        parameters = {
            "segment": _described(segment),
            # Without a subject, cover crops in the middle: the same pictures.
            "fit": "cover" if job["fit"] == "centre" else job["fit"],
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
        }
        shown = [*(c.name for c in used.values()), *(m["name"] for m in made.values())]
        names = ", ".join(dict.fromkeys(shown))
        requests.append((segment, Request("encode", parameters, paths, names)))
    return requests


def _described(segment: Segment) -> Any:
    """A segment as JSON; of windows, ramps and accents only those that there are."""
    data = to_json(segment)
    for event in data["events"]:
        for key in ("focus", "ramp", "accents"):
            if not event[key]:
                del event[key]
    return data


def audio_request(
    job: JobSpec, timeline: Timeline, sources: Mapping[str, Source], music: Mapping[str, Any]
) -> Request:
    """The request for the sound of the whole montage.

    Args:
        job: settings.
        timeline: the edit.
        sources: by identity.
        music: the file of the music as it was analysed (`Survey.music_state`).
    """
    keep = job["keep-audio"]
    parameters: dict[str, Any] = {
        "music": dict(music),
        "start_seconds": str(timeline.music_start_seconds),
        "frames": timeline.frames,
        "fps": str(timeline.fps),
        "fade_out_frames": timeline.fade_out_frames,
        # With a fitted track the sound fades another way.
        **({"fitted_samples": timeline.music_fit.samples} if timeline.music_fit else {}),
        "keep_audio": keep,
        "loudness_lufs": job["loudness-lufs"],
        "true_peak_db": job["true-peak-db"],
    }
    if keep:  # only then do the events matter
        parameters["events"] = [
            # What runs unevenly is silent.
            [
                e.start_frame,
                e.stop_frame,
                e.source,
                str(e.in_seconds),
                str(e.speed),
                *["ramp"][: len(e.ramp)],
            ]
            for e in timeline.events
        ]
    used = {e.source for e in timeline.events} if keep else set()
    paths = {
        "timeline": to_json(timeline),
        "music": timeline.music_path,
        "sources": {k: to_json(s) for k, s in sources.items() if k in used},
    }
    return Request("audio", parameters, paths, Path(timeline.music_path).name)


@dataclass(frozen=True, slots=True)
class Rendered:
    """What is told of a rendered montage."""

    placements: tuple[Placement, ...]
    """Where the operations ran."""
    effects: tuple[Mapping[str, Any], ...]
    """What the effects did."""
    guard: Mapping[str, Any]
    """What the guards saw."""
    sound: Mapping[str, Any]
    """Loudness and peak of the sound, as it was measured."""


def render(
    job: JobSpec, driver: Driver, survey: Survey, timeline: Timeline, output: Place
) -> Rendered:
    """Run the effects, encode and guard the segments, render the sound, and assemble all into the output.

    Raises:
        PictureMismatch: a segment does not show what it claims, even when it is made again.
        MediaError: a clip cannot be shown.
        MontageError: an effect, a segment, the sound or the output cannot be made.
    """
    settings = Settings.of(job.settings)
    store = driver.store
    improved = improve(job, driver, survey, timeline)
    audio = audio_request(job, timeline, survey.sources, survey.music_state)
    names = ("audio", "guard", "assemble")
    places = {n: place_on(driver, n, settings.targets) for n in names}
    _make_strips(driver, settings, survey, timeline)
    driver.progress.stage("audio", 1, "track")
    for choice in choices(
        driver, "encode", settings, job["codec"], encode_work(job, survey, timeline)
    ):
        pairs = encode_requests(
            job, improved.timeline, survey.clips, improved.stand_ins, choice.encoder
        )
        places["encode"] = choice.placement
        clips = {k: c.name for k, c in survey.clips.items()}
        stops = list(accumulate(segment.frames for segment, _ in pairs))
        spans = list(zip([0, *stops], stops, strict=False))
        driver.progress.composed(timeline, clips, spans)
        sources = {k: s.path for k, s in survey.sources.items()}
        guards = Guards(driver, settings, improved, pairs, job.run_dir, sources)
        failed = _encode_all(driver, timeline.fps, audio, pairs, places, guards)
        if not isinstance(failed, TargetFailed):
            break
        # Segments of two encoders make no good file: all are encoded again.
        driver.progress.note(f"encode goes on with the next encoder: {failed}")
    if failed is not None:
        raise failed
    guards.settle()
    parts = [str(store.file("encode", r.key, ".mp4")) for _, r in pairs]
    assemble = Request(
        "assemble",
        {
            "segments": [r.key for _, r in pairs],
            "audio": audio.key,
            "frames": timeline.frames,
            "fps": str(timeline.fps),
            "output": str(output),
            "metadata": {"title": printable(output.stem)},
        },
        {
            "segments": parts,
            "audio": str(store.file("audio", audio.key, ".m4a")),
            "output": str(output),
        },
        output.name,
    )
    driver.progress.stage("assemble", 1, "file")
    driver.only(assemble, places["assemble"])
    placements = (*survey.placements, *improved.placements, *places.values())
    sound = finished(audio, store) or {}
    return Rendered(placements, tuple(improved.told), guards.summary(), sound)


def _make_strips(driver: Driver, settings: Settings, survey: Survey, timeline: Timeline) -> None:
    """What the guards need and the analysis has not made: the strips of footage that a timeline names.

    Raises:
        MontageError: they cannot be made.
    """
    requests = missing_strips(driver, settings, survey.clips, timeline)
    if not requests:
        return
    driver.progress.stage("strip", len(requests), "windows")
    for outcome in driver.run(requests, {"strip": place_on(driver, "strip", settings.targets)}):
        if outcome.error is not None:
            raise outcome.error


def encode_work(job: JobSpec, survey: Survey, timeline: Timeline) -> Work:
    """What it takes to encode a timeline in software, or elsewhere."""
    used = sum(
        range_bytes(survey.clips[e.source].source, (e.stop_frame - e.start_frame) / timeline.fps)
        for e in timeline.events
        if e.source in survey.clips
    )
    pixels = timeline.width * timeline.height
    return costs.encode_work(
        timeline.frames, pixels, timeline.fps, job["codec"], job["quality"], used
    )


def _encode_all(
    driver: Driver,
    fps: Fraction,
    audio: Request,
    pairs: list[tuple[Segment, Request]],
    places: Mapping[str, Placement],
    guards: Guards,
) -> MontageError | None:
    """Encode all segments, each with its guard, and the sound beside them.

    Returns:
        The first error; the other segments are done all the same: they are not lost when the job is run again.
    """
    unique = {r.key: r for _, r in pairs}
    frames = {r.key: s.frames for s, r in pairs}
    numbers: dict[str, list[int]] = {}
    for number, (_, request) in enumerate(pairs):
        numbers.setdefault(request.key, []).append(number)
    driver.progress.stage("encode", len(unique), "segments")
    driver.progress.stage("guard", len(unique), "segments")
    # Longest first, so that the last worker does not end long after the others.
    ordered = sorted(unique.values(), key=lambda r: (-frames[r.key], r.key))
    failed: MontageError | None = None
    feed = Feed([audio, *ordered])
    for outcome in driver.run(
        feed,
        places,
        media_seconds=lambda r: float(frames.get(r.key, 0) / fps),
        priority=ENCODE_PRIORITY,
    ):
        if not isinstance(outcome.error, PictureMismatch):  # of which the guards decide
            failed = failed or outcome.error
        for request in guards.after(outcome):
            feed.push(request)
        for number in numbers.get(outcome.request.key, ()) if outcome.record else ():
            file = driver.store.file("encode", outcome.request.key, ".mp4")
            if isinstance(file, Path):  # the page shows a frame of it
                driver.progress.rendered(number, file)
    return failed
