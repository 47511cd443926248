"""Jobs over many files that make no montage: transcoding, stabilising, upscaling and stills."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from montage_dask.errors import (
    MontageError,
    NothingToDoError,
    TargetFailed,
    UsageError,
    printable,
)
from montage_dask.graph.analysing import Analysis
from montage_dask.graph.converting import (
    Transcoding,
    Written,
    by_table,
    convert,
    ranges,
    window_requests,
)
from montage_dask.graph.costs import Work, encode_seconds_per_pixel, output_bytes
from montage_dask.graph.drive import Driver
from montage_dask.graph.encoding import Choice, choices
from montage_dask.graph.montage import nothing_usable
from montage_dask.graph.naming import names_in
from montage_dask.graph.operation import Request
from montage_dask.graph.staging import at_hand
from montage_dask.graph.steadying import find_paths, stabilise_request
from montage_dask.graph.survey import Settings, Survey, find_footage, probe_all, reason_of
from montage_dask.graph.targets import place_on
from montage_dask.graph.upscaling import (
    PIECE_FRAMES,
    Upscaling,
    expect,
    too_large,
    upscale_place,
    upscale_request,
)
from montage_dask.records import Shot, to_json
from montage_dask.store import Place


def gather(driver: Driver, settings: Settings, patterns: Sequence[str]) -> Survey:
    """Probe the footage of a batch job.

    Raises:
        NothingToDoError: nothing can be used.
    """
    survey = Survey(tell=driver.progress.left_out)
    candidates, skipped = find_footage(patterns, None, links=True)
    for one in skipped:
        survey.skip(one.path, one.reason)
    probe_all(driver, settings, candidates, survey)
    if not survey.clips:
        raise NothingToDoError(nothing_usable(survey))
    return survey


def transcode(
    driver: Driver, settings: Settings, patterns: Sequence[str], folder: Place, how: Transcoding
) -> Written:
    """Transcode every clip in windows spread over the workers; a bad clip is skipped.

    Raises:
        NothingToDoError: nothing could be transcoded.
    """
    survey = gather(driver, settings, patterns)
    pixels = sum(c.source.frames * c.source.width * c.source.height for c in survey.clips.values())
    sources = [c.source for c in survey.clips.values()]
    work = Work(
        pixels * encode_seconds_per_pixel(how.codec, how.quality),
        sum(s.size_bytes for s in sources) + output_bytes(pixels, how.quality),
        float(sum(s.duration_seconds for s in sources)),
    )
    if by_table(how):
        # A GPU's part of it is the table: the encoder is the same everywhere.
        place = place_on(driver, "grade", settings.targets, work)
        return _transcode(driver, settings, survey, folder, how, Choice(None, place))
    *others, last = choices(driver, "transcode", settings, how.codec, work)
    for choice in others:
        try:
            return _transcode(driver, settings, survey, folder, how, choice)
        except TargetFailed as error:
            # The parts of two encoders make no good file: all of them are encoded again.
            driver.progress.note(f"transcode goes on with the next encoder: {error}")
    return _transcode(driver, settings, survey, folder, how, last)


def _transcode(
    driver: Driver, settings: Settings, survey: Survey, folder: Place, how: Transcoding, by: Choice
) -> Written:
    windows = {k: list(window_requests(c, how, by)) for k, c in survey.clips.items()}
    placements = {by.placement.operation: by.placement}
    return convert(driver, settings, survey, folder, windows, how, placements)


def stabilise(
    driver: Driver, settings: Settings, patterns: Sequence[str], folder: Place, how: Transcoding
) -> Written:
    """Steady the shots of every clip; what has nothing to hold on to stays as it is, and a bad clip is skipped.

    Raises:
        NothingToDoError: nothing could be stabilised.
    """
    survey = gather(driver, settings, patterns)
    Analysis(driver, settings, survey).run([])
    shots = [s for s in survey.shots if s.source in survey.clips]
    failed: dict[str, MontageError] = {}
    found = find_paths(driver, settings, survey.clips, shots, "on", failed)
    for identity, error in failed.items():
        survey.drop(identity, reason_of(error))
    windows = {}
    for identity, clip in survey.clips.items():
        paths = [p for shot, p in found.items() if shot.source == identity and p.steadied]
        paths.sort(key=lambda p: p.shot.start_frame)
        windows[identity] = [
            stabilise_request(clip, start, stop, paths, how.encoding)
            for start, stop in ranges(clip, how)
        ]
    written = convert(driver, settings, survey, folder, windows, how)
    content = {f.source.path: f.source.identity for f in survey.usable()}
    for output in written.outputs:
        own = [found[s] for s in shots if s.source == content[output["path"]]]
        output["shots"] = [
            {
                "start_seconds": float(p.shot.start_seconds),
                "stop_seconds": float(p.shot.stop_seconds),
                "applied": p.steadied,
                "shake_percent": p.shake_percent,
                "reason": p.reason,
            }
            for p in own
        ]
    return written


def upscale(
    driver: Driver,
    settings: Settings,
    patterns: Sequence[str],
    folder: Place,
    how: Transcoding,
    enlarge: Upscaling,
    limit_minutes: float | None,
) -> Written:
    """Enlarge every clip, after saying how long that takes; what would be too large, and bad clips, are skipped.

    Args:
        driver: runs the requests.
        settings: placement.
        patterns: files, folders, globs.
        folder: where the files go.
        how: encoding, sound and container.
        enlarge: model and scale.
        limit_minutes: the longest that it may take; None: however long.

    Raises:
        UsageError: it would take longer than the limit.
        NothingToDoError: nothing could be upscaled.
    """
    survey = gather(driver, settings, patterns)
    for identity, clip in list(survey.clips.items()):
        unfit = too_large(clip.source, enlarge.scale)
        if unfit is not None:
            survey.drop(identity, unfit)
    if not survey.clips:
        raise NothingToDoError(nothing_usable(survey))
    pieces = replace(how, window_frames=PIECE_FRAMES)
    windows = {
        k: [
            upscale_request(c, start, stop, enlarge, encoding=how.encoding)
            for start, stop in ranges(c, pieces)
        ]
        for k, c in survey.clips.items()
    }
    requests = [r for own in windows.values() for r in own]
    place = upscale_place(driver, settings, requests)
    expected = expect(driver, requests, place, limit_minutes=limit_minutes, advice="say --yes")
    written = convert(driver, settings, survey, folder, windows, how, {"upscale": place})
    written.expected_seconds = expected
    return written


@dataclass(frozen=True, slots=True)
class StillsWanted:
    """Which frames to write."""

    every_seconds: Fraction | None
    """A frame every so many seconds, or None for one (or more) per shot."""
    per_shot: int
    suffix: str
    max_width: int | None


def stills(
    driver: Driver, settings: Settings, patterns: Sequence[str], folder: Place, wanted: StillsWanted
) -> Written:
    """Write stills of every clip into one folder per clip.

    Raises:
        NothingToDoError: nothing could be written.
    """
    from montage_dask.media.index import FrameIndex
    from montage_dask.render.stills import frames_every, frames_per_shot

    written = Written(survey=gather(driver, settings, patterns))
    survey = written.survey
    if wanted.every_seconds is None:
        Analysis(driver, settings, survey).run([])
    folders = names_in(driver.store, [f.source.path for f in survey.usable()], folder, "")
    by_clip: dict[str, list[Shot]] = {}
    for shot in survey.shots:
        by_clip.setdefault(shot.source, []).append(shot)
    requests = []
    for clip in survey.usable():
        identity = clip.source.identity
        if wanted.every_seconds is None:
            numbers = frames_per_shot(by_clip[identity], wanted.per_shot)
        else:
            with at_hand(clip.index) as (index,):
                numbers = frames_every(FrameIndex.load(index), wanted.every_seconds)
        digits = len(str(clip.source.frames))
        targets = {
            str(n): str(folders[clip.source.path] / f"{n:0{digits}d}{wanted.suffix}")
            for n in numbers
        }
        requests.append(
            Request(
                "stills",
                {"identity": identity, "outputs": targets, "max_width": wanted.max_width},
                {"source": to_json(clip.source), "index": str(clip.index), "outputs": targets},
                clip.name,
            )
        )
    for own in folders.values():
        if isinstance(own, Path) and own.is_symlink():
            raise UsageError(
                f"{printable(str(own))} is a link, and would be written through: remove it"
            )
    driver.progress.stage("stills", len(requests), "clips")
    done: dict[str, list[str]] = {}
    for outcome in driver.run(requests, {"stills": place_on(driver, "stills", settings.targets)}):
        path = outcome.request.paths["source"]["path"]
        if outcome.record is None:
            survey.skip(path, str(outcome.error))
        else:
            done[path] = outcome.record["written"]
    for clip in survey.usable():
        if clip.source.path in done:
            written.outputs.append({"path": clip.source.path, "stills": done[clip.source.path]})
    if not written.outputs:
        raise NothingToDoError(nothing_usable(survey))
    return written
