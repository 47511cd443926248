"""timeline.otio: the source of truth for an edit, for other programs and for `run --from-timeline`.

Every number of OTIO's `RationalTime` is a double, so the exact fractions stand in the metadata under "montage", per clip: a clip
that another program moved or trimmed no longer agrees with its metadata, and then OTIO's own numbers count.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import opentimelineio as otio

from montage_dask.config import rate as parse_rate
from montage_dask.errors import UsageError, printable
from montage_dask.records import (
    CUT,
    Event,
    Music,
    Source,
    Timeline,
    Transition,
    from_json,
    to_json,
)
from montage_dask.store import writing

NAMESPACE = "montage"
AGREEMENT_SECONDS = Fraction(1, 2000)
"""Doubles and exact fractions that differ by less mean the same time."""


def write_otio(timeline: Timeline, sources: Mapping[str, Source], music: Music, path: Path) -> None:
    """Write a timeline with clips, transitions, music, and markers on the beats.

    Raises:
        StoreError: it cannot be written.
    """
    document = otio.schema.Timeline(name=path.stem, global_start_time=_time(0, timeline.fps))
    document.metadata[NAMESPACE] = {
        k: v
        for k, v in to_json(timeline).items()
        if k not in ("events", "beats_seconds", "music_path")
    }
    video = otio.schema.Track(name="montage", kind=otio.schema.TrackKind.Video)
    for event in timeline.events:
        if event.transition.frames:
            half = _time(event.transition.frames / 2, timeline.fps)
            video.append(
                otio.schema.Transition(
                    name=event.transition.kind,
                    transition_type=otio.schema.TransitionTypes.SMPTE_Dissolve
                    if event.transition.kind == "crossfade"
                    else otio.schema.TransitionTypes.Custom,
                    in_offset=half,
                    out_offset=half,
                    metadata={NAMESPACE: to_json(event.transition)},
                )
            )
        video.append(_clip(event, sources[event.source], timeline.fps, path.parent))
    document.tracks.append(video)
    document.tracks.append(_music_track(timeline, music, path.parent))
    _mark_beats(document, timeline, music)
    with writing(path) as part:
        otio.adapters.write_to_file(document, str(part), adapter_name="otio_json")


def _time(frames: float | Fraction, rate: Fraction) -> Any:
    return otio.opentime.RationalTime(float(frames), float(rate))


def _range(start: Fraction, duration: Fraction | int, rate: Fraction) -> Any:
    return otio.opentime.TimeRange(_time(start, rate), _time(duration, rate))


def _reference(path: str, available: Any, folder: Path) -> Any:
    reference = otio.schema.ExternalReference(
        "file://" + quote(path, errors="surrogateescape"), available
    )
    reference.metadata[NAMESPACE] = {
        "relative_path": quote(os.path.relpath(path, folder), errors="surrogateescape")
    }
    return reference


def _clip(event: Event, source: Source, fps: Fraction, folder: Path) -> Any:
    available = _range(Fraction(0), source.duration_seconds * source.frame_rate, source.frame_rate)
    clip = otio.schema.Clip(
        name=printable(Path(source.path).name),
        media_reference=_reference(source.path, available, folder),
        source_range=_range(event.in_seconds * fps, event.frames, fps),
        metadata={NAMESPACE: to_json(event)},
    )
    if event.speed != 1:
        clip.effects.append(
            otio.schema.LinearTimeWarp(name="speed", time_scalar=float(event.speed))
        )
    return clip


def _music_track(timeline: Timeline, music: Music, folder: Path) -> Any:
    track = otio.schema.Track(name="music", kind=otio.schema.TrackKind.Audio)
    available = _range(Fraction(0), music.duration_seconds * timeline.fps, timeline.fps)
    track.append(
        otio.schema.Clip(
            name=printable(Path(timeline.music_path).name),
            media_reference=_reference(timeline.music_path, available, folder),
            source_range=_range(
                timeline.music_start_seconds * timeline.fps, timeline.frames, timeline.fps
            ),
        )
    )
    return track


def _mark_beats(document: Any, timeline: Timeline, music: Music) -> None:
    strong = {music.beats_seconds[i] for i in music.downbeats}
    colours = otio.schema.MarkerColor
    for beat in timeline.beats_seconds:
        down = beat in strong
        document.tracks.markers.append(
            otio.schema.Marker(
                name="downbeat" if down else "beat",
                color=colours.RED if down else colours.YELLOW,
                marked_range=_range(
                    (beat - timeline.music_start_seconds) * timeline.fps, 0, timeline.fps
                ),
                metadata={NAMESPACE: {"beat_seconds": str(beat)}},
            )
        )


def _load(path: Path) -> Any:
    name = printable(str(path))
    try:
        document = otio.adapters.read_from_file(str(path), adapter_name="otio_json")
    except Exception as error:  # the library raises many kinds
        raise UsageError(f"{name}: not an OpenTimelineIO file: {str(error)[:200]}") from error
    if not isinstance(document, otio.schema.Timeline):
        raise UsageError(f"{name}: holds no timeline")
    return document


def _video_items(document: Any, name: str) -> Iterator[Any]:
    tracks = [t for t in document.video_tracks() if len(t)]
    if len(tracks) != 1:
        raise UsageError(f"{name}: must have one video track with clips, has {len(tracks)}")
    for item in tracks[0]:
        if isinstance(item, otio.schema.Gap) and not item.duration().value:
            continue
        if not isinstance(item, otio.schema.Clip | otio.schema.Transition):
            kind = type(item).__name__.lower()
            raise UsageError(
                f"{name}: a {kind} in the video track cannot be rendered; use clips only"
            )
        yield item


def _path_of(clip: Any, folder: Path, name: str) -> str:
    """The media file of a clip: a local one, here or beside the timeline."""
    reference = clip.media_reference
    if not isinstance(reference, otio.schema.ExternalReference) or not reference.target_url:
        raise UsageError(f"{name}: clip {printable(clip.name)!r} names no media file")
    url = reference.target_url
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        path = unquote(parts.path, errors="surrogateescape")
    elif "://" not in url:
        path = url
    else:
        raise UsageError(f"{name}: {printable(url)} is not a local file; only local media are used")
    if not os.path.isabs(path):
        path = os.path.join(folder, path)
    if not os.path.exists(path):
        relative = dict(reference.metadata.get(NAMESPACE, {})).get("relative_path", "")
        beside = (
            [os.path.join(folder, unquote(str(relative), errors="surrogateescape"))]
            if relative
            else []
        )
        beside.append(os.path.join(folder, os.path.basename(path)))
        path = next((p for p in beside if os.path.exists(p)), path)
    if not os.path.exists(path):
        raise UsageError(
            f"{name}: media {printable(path)} does not exist; put it back or relink the clip"
        )
    return os.path.abspath(path)


def media_of(path: Path) -> tuple[str, ...]:
    """The video files that a timeline uses, each once.

    Raises:
        UsageError: the file is no timeline, or names media that are not there or not local.
    """
    name, document = printable(str(path)), _load(path)
    clips = [i for i in _video_items(document, name) if isinstance(i, otio.schema.Clip)]
    return tuple(dict.fromkeys(_path_of(c, path.parent, name) for c in clips))


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
    name, document = printable(str(path)), _load(path)
    own = _plain(document.metadata.get(NAMESPACE, {}))
    try:
        fps = Fraction(own.get("fps", fps))
        width, height = int(own.get("width", width)), int(own.get("height", height))
        events = tuple(_events(document, name, path.parent, sources, fps))
        music_path, start = _music_of(document, path.parent, name)
        if "music_start_seconds" in own:
            exact = Fraction(own["music_start_seconds"])
            start = exact if abs(exact - start) < AGREEMENT_SECONDS else start
        return Timeline(
            fps=fps,
            width=width,
            height=height,
            events=events,
            music_path=music_path,
            music_start_seconds=start,
            style=str(own.get("style", "timeline")),
            seed=int(own.get("seed", 0)),
            beats_seconds=tuple(
                Fraction(_plain(m.metadata[NAMESPACE])["beat_seconds"])
                for m in document.tracks.markers
                if NAMESPACE in m.metadata
            ),
            grade=str(own.get("grade", "none")),
            fade_out_frames=int(own.get("fade_out_frames", 0)),
            notes=tuple(str(n) for n in own.get("notes", ())),
        )
    except (ValueError, TypeError, KeyError, ZeroDivisionError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"{name}: damaged timeline: {error}") from error


def _plain(value: Any) -> dict[str, Any]:
    """OTIO's own dictionaries and lists as Python's."""

    def convert(v: Any) -> Any:
        if hasattr(v, "items"):
            return {str(k): convert(x) for k, x in v.items()}
        if isinstance(v, str) or not hasattr(v, "__iter__"):
            return v
        return [convert(x) for x in v]

    result = convert(value)
    return result if isinstance(result, dict) else {}


def _seconds(time: Any) -> Fraction:
    """A RationalTime in exact seconds; rates such as 29.97 mean 30000/1001."""
    return Fraction(time.value).limit_denominator(1_000_000) / parse_rate(time.rate)


def _events(
    document: Any, name: str, folder: Path, sources: Mapping[str, Source], fps: Fraction
) -> Iterator[Event]:
    by_path = {s.path: s for s in sources.values()}
    transition, elapsed, start = CUT, Fraction(0), 0
    for item in _video_items(document, name):
        if isinstance(item, otio.schema.Transition):
            transition = _transition(item, fps)
            continue
        shown = item.trimmed_range()
        elapsed += _seconds(shown.duration)
        stop = round(elapsed * fps)  # from the running total: roundings do not add up
        if stop <= start:
            continue
        source = by_path[_path_of(item, folder, name)]
        event = _event(item, shown, source, fps, start, stop, transition)
        end = event.in_seconds + event.frames / fps * event.speed
        if event.in_seconds < 0 or end > source.duration_seconds + 1 / source.frame_rate:
            raise UsageError(
                f"{name}: clip {printable(item.name)!r} at frame {start} reaches beyond its media "
                f"({float(event.in_seconds):.2f}…{float(end):.2f} s of {float(source.duration_seconds):.2f} s)"
            )
        yield event
        transition, start = CUT, stop
    if not start:
        raise UsageError(f"{name}: holds no clip")


def _transition(item: Any, fps: Fraction) -> Transition:
    own = _plain(item.metadata.get(NAMESPACE, {}))
    half = min(_seconds(item.in_offset), _seconds(item.out_offset))
    frames = 2 * round(half * fps)
    kind = str(own.get("kind", "crossfade"))
    if kind not in ("crossfade", "dip-to-black", "dip-to-white"):
        raise UsageError(f"unknown transition {printable(kind)!r}")
    return Transition(kind, frames) if frames else CUT


def _event(
    item: Any,
    shown: Any,
    source: Source,
    fps: Fraction,
    start: int,
    stop: int,
    transition: Transition,
) -> Event:
    begins = _seconds(shown.start_time)
    if isinstance(item.media_reference, otio.schema.ExternalReference):
        available = item.media_reference.available_range
        begins -= _seconds(available.start_time) if available is not None else 0
    speed = Fraction(1)
    for effect in item.effects:
        if isinstance(effect, otio.schema.LinearTimeWarp):
            speed = Fraction(effect.time_scalar).limit_denominator(1000)
    if speed <= 0:
        raise UsageError(
            f"clip {printable(item.name)!r}: a speed of {float(speed):g} cannot be rendered"
        )
    own = _plain(item.metadata.get(NAMESPACE, {}))
    stored = from_json(Event, own) if own else None
    if stored is None:
        return Event(
            start, stop, source.identity, 0, begins, speed, transition, reason="from the timeline"
        )
    exact = stored.in_seconds if abs(stored.in_seconds - begins) < AGREEMENT_SECONDS else begins
    same_place = stored.start_frame == start
    return Event(
        start_frame=start,
        stop_frame=stop,
        source=source.identity,
        shot=stored.shot,
        in_seconds=exact,
        speed=stored.speed if abs(stored.speed - speed) < Fraction(1, 500) else speed,
        transition=transition,
        beat_seconds=stored.beat_seconds if same_place else None,
        reason=stored.reason,
        scores=stored.scores,
    )


def _music_of(document: Any, folder: Path, name: str) -> tuple[str, Fraction]:
    for track in document.audio_tracks():
        for item in track:
            if isinstance(item, otio.schema.Clip):
                begins = item.trimmed_range().start_time
                return _path_of(item, folder, name), _seconds(begins)
    return "", Fraction(0)
