"""An OpenTimelineIO file as a timeline, whoever wrote it (see `report.otio`). It is not trusted: only local media, only what
can be rendered."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import opentimelineio as otio

from montage_dask.config import rate as parse_rate
from montage_dask.config import size as parse_size
from montage_dask.errors import UsageError, printable
from montage_dask.records import (
    CUT,
    Event,
    Focus,
    MusicFit,
    Source,
    Timeline,
    Transition,
    from_json,
)
from montage_dask.report._otio_effects import check_flashes, effects_kept
from montage_dask.report._otio_load import load_document, media_path, plain, video_items
from montage_dask.report._otio_write import NAMESPACE

AGREEMENT_SECONDS = Fraction(1, 2000)
"""Doubles and exact fractions that differ by less mean the same time."""

MOST_SAMPLES = 10**11
"""Of music: weeks of it."""

MOST_POINTS = 2000
"""Of the way of one window, and pieces of one track."""

TRANSITIONS = ("crossfade", "dip-to-black", "dip-to-white")


def read_otio(
    path: Path, sources: Mapping[str, Source], *, fps: Fraction, width: int, height: int
) -> Timeline:
    """The timeline of a file: one of ours, edited or not, or one from another program.

    Args:
        path: the file.
        sources: the probed media (`media_of`), by identity.
        fps: output rate, for a file that is not ours.
        width: likewise.
        height: likewise.

    Raises:
        UsageError: it holds what cannot be rendered; says what and where.
    """
    name, document = printable(str(path)), load_document(path)
    own = plain(document.metadata.get(NAMESPACE, {}))
    try:
        fps = parse_rate(own.get("fps", fps))
        frame = parse_size(f"{own.get('width', width)}x{own.get('height', height)}")
        width, height = (int(side) for side in frame.split("x"))
        music_path, start, fit = _music_of(document, path.parent, name)
        if "music_start_seconds" in own:
            exact = Fraction(own["music_start_seconds"])
            start = exact if abs(exact - start) < AGREEMENT_SECONDS else start
        beats = tuple(
            Fraction(plain(m.metadata[NAMESPACE])["beat_seconds"])
            for m in document.tracks.markers
            if NAMESPACE in m.metadata
        )
        on_beat = {round((beat - start) * fps): beat for beat in beats}
        lost: list[str] = []
        events = tuple(_events(document, name, path.parent, sources, fps, on_beat, lost))
        _check(events, sources, fps, name)
        timeline = Timeline(
            fps=fps,
            width=width,
            height=height,
            events=events,
            music_path=music_path,
            music_start_seconds=start,
            style=str(own.get("style", "timeline")),
            seed=int(own.get("seed", 0)),
            beats_seconds=beats,
            grade=str(own.get("grade", "none")),
            fade_out_frames=int(own.get("fade_out_frames", 0)),
            notes=(*(str(n) for n in own.get("notes", ())), *lost),
            music_fit=fit,
        )
        check_flashes(timeline, name)
        return timeline
    except UsageError:
        raise
    except (ValueError, TypeError, KeyError, ArithmeticError, otio.exceptions.OTIOError) as error:
        raise UsageError(f"{name}: damaged timeline: {printable(str(error))[:200]}") from error


def _seconds(time: Any) -> Fraction:
    """A RationalTime in exact seconds; rates such as 29.97 mean 30000/1001, those of sound are samples a second."""
    value = Fraction(time.value).limit_denominator(1_000_000)
    fps = time.rate <= 240
    return value / (parse_rate(time.rate) if fps else Fraction(time.rate).limit_denominator(1000))


def _in_media(clip: Any) -> Fraction:
    """Where a clip begins, in seconds from the first frame of its media, which may carry another timecode."""
    begins = _seconds(clip.trimmed_range().start_time)
    available = clip.media_reference.available_range
    return begins - _seconds(available.start_time) if available is not None else begins


def _events(
    document: Any,
    name: str,
    folder: Path,
    sources: Mapping[str, Source],
    fps: Fraction,
    on_beat: Mapping[int, Fraction],
    lost: list[str],
) -> Iterator[Event]:
    by_path = {s.path: s for s in sources.values()}
    transition, elapsed, start = CUT, Fraction(0), 0
    for item in video_items(document, name):
        if isinstance(item, otio.schema.Transition):
            transition = _transition(item, fps)
            continue
        shown = item.trimmed_range()
        elapsed += _seconds(shown.duration)
        stop = round(elapsed * fps)  # from the running total: roundings do not add up
        if stop <= start:
            continue
        path = media_path(item, folder, name)
        stored = plain(item.metadata.get(NAMESPACE, {}))
        # A copy of a file has the identity of the file, and only one of them was kept.
        source = by_path.get(path) or sources.get(str(stored.get("source")))
        if source is None:
            raise UsageError(f"{name}: media {printable(path)} cannot be used")
        yield _event(item, source, start, stop, transition, on_beat.get(start), fps, lost)
        transition, start = CUT, stop


def _check(
    events: Sequence[Event], sources: Mapping[str, Source], fps: Fraction, name: str
) -> None:
    """Every event must find its pictures in its media, those under a crossfade included, and transitions must not meet.

    Raises:
        UsageError: one does not; says which.
    """
    if not events:
        raise UsageError(f"{name}: holds no clip")
    for number, event in enumerate(events):
        following = events[number + 1].transition if number + 1 < len(events) else CUT
        source = sources[event.source]
        where = f"{name}: clip {printable(Path(source.path).name)!r} at frame {event.start_frame}"
        if (event.transition.frames + following.frames) // 2 > event.frames:
            raise UsageError(f"{where} is shorter than its transitions; shorten them")
        before, after = (
            t.frames // 2 if t.kind == "crossfade" else 0 for t in (event.transition, following)
        )
        first = event.in_seconds - before / fps * event.speed
        end = event.in_seconds + (event.frames + after) / fps * event.speed
        if first < -AGREEMENT_SECONDS or end > source.duration_seconds + 1 / source.frame_rate:
            raise UsageError(
                f"{where} reaches beyond its media: it needs {float(first):.2f} … {float(end):.2f} s "
                f"of {float(source.duration_seconds):.2f} s"
            )


def _transition(item: Any, fps: Fraction) -> Transition:
    own = plain(item.metadata.get(NAMESPACE, {}))
    half = min(_seconds(item.in_offset), _seconds(item.out_offset))
    frames = 2 * round(half * fps)
    kind = str(own.get("kind", "crossfade"))
    if kind not in TRANSITIONS:
        raise UsageError(f"unknown transition {printable(kind)!r}; known: {', '.join(TRANSITIONS)}")
    return Transition(kind, frames) if frames else CUT


def _event(
    item: Any,
    source: Source,
    start: int,
    stop: int,
    transition: Transition,
    beat_seconds: Fraction | None,
    fps: Fraction,
    lost: list[str],
) -> Event:
    """A clip as an event; where it disagrees with our metadata, it was edited and counts."""
    begins = _in_media(item)
    speed = Fraction(1)
    for effect in item.effects:
        if isinstance(effect, otio.schema.LinearTimeWarp):
            speed = Fraction(effect.time_scalar).limit_denominator(1000)
    if speed <= 0:
        raise UsageError(
            f"clip {printable(item.name)!r}: a speed of {float(speed):g} cannot be rendered"
        )
    own = plain(item.metadata.get(NAMESPACE, {}))
    stored = from_json(Event, own) if own else None
    if stored is None:
        return Event(
            start,
            stop,
            source.identity,
            0,
            begins,
            speed,
            transition,
            beat_seconds,
            "from the timeline",
        )
    exact = stored.in_seconds if abs(stored.in_seconds - begins) < AGREEMENT_SECONDS else begins
    event = Event(
        start_frame=start,
        stop_frame=stop,
        source=source.identity,
        shot=stored.shot,
        in_seconds=exact,
        speed=stored.speed if abs(stored.speed - speed) < Fraction(1, 500) else speed,
        transition=transition,
        beat_seconds=stored.beat_seconds if stored.start_frame == start else beat_seconds,
        reason=stored.reason,
        scores=stored.scores,
        match=stored.match if stored.source == source.identity else None,
        focus=_focus(stored, exact, fps) if stored.source == source.identity else (),
    )
    event, gone = effects_kept(stored, event)
    if gone:
        lost.append(
            f"{printable(item.name)} at {float(start / fps):.2f} s: {gone} of its effects on beats are left out, since it was "
            "moved or trimmed"
        )
    return event


def _focus(stored: Event, in_seconds: Fraction, fps: Fraction) -> tuple[Focus, ...]:
    """The way of the window, with the in-point where that was moved. Whoever wrote it, it must be one.

    Raises:
        ValueError: it is none.
    """
    frames = [f.frame for f in stored.focus]
    apart = all(a < b for a, b in pairwise(frames))
    inside = all(0 <= v <= Focus.UNIT for f in stored.focus for v in (f.x, f.y))
    if not apart or not inside or len(frames) > MOST_POINTS or any(abs(f) > 10**7 for f in frames):
        raise ValueError("the way of a window (focus) is damaged")
    if in_seconds == stored.in_seconds or len(stored.focus) < 2:
        return stored.focus
    moved = round((in_seconds - stored.in_seconds) / stored.speed * fps)
    return tuple(replace(f, frame=f.frame - moved) for f in stored.focus)


def _music_of(document: Any, folder: Path, name: str) -> tuple[str, Fraction, MusicFit | None]:
    for track in document.audio_tracks():
        for item in track:
            if isinstance(item, otio.schema.Clip):
                start = max(Fraction(0), _in_media(item))
                return media_path(item, folder, name), start, _fit(item, folder)
    return "", Fraction(0), None


def _fit(clip: Any, folder: Path) -> MusicFit | None:
    """Of which pieces of a track the music is made. Whoever wrote it, they must be some.

    Raises:
        ValueError: they are none.
    """
    own = plain(clip.media_reference.metadata.get(NAMESPACE, {}))
    if not own.get("fit"):
        return None
    fit = from_json(MusicFit, own["fit"])
    spans = [(p.start_sample, p.stop_sample) for p in fit.pieces]
    whole = all(0 <= a < b <= MOST_SAMPLES for a, b in spans) and 0 < len(spans) <= MOST_POINTS
    length = sum(b - a for a, b in spans)
    if (
        not whole
        or not length <= fit.samples <= MOST_SAMPLES
        or not 8000 <= fit.sample_rate <= 192000
    ):
        raise ValueError("the pieces of the music are damaged")
    relative = unquote(str(own.get("relative_track", "")), errors="surrogateescape")
    beside = os.path.abspath(os.path.join(folder, relative))
    moved = relative and not os.path.exists(fit.track) and os.path.exists(beside)
    return replace(fit, track=beside) if moved else fit
