"""A timeline as OpenTimelineIO: clips, transitions, music, markers on the beats (see `report.otio`)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import quote

import opentimelineio as otio

from montage_dask.errors import printable
from montage_dask.records import Event, Music, Source, Timeline, to_json
from montage_dask.report.links import media_url
from montage_dask.schema_versions import with_version
from montage_dask.store import is_url, writing
from montage_dask.timecode import starts_at

NAMESPACE = "montage"
"""Key of our own metadata."""


def write_otio(timeline: Timeline, sources: Mapping[str, Source], music: Music, path: Path) -> None:
    """Write a timeline with clips, transitions, music, and markers on the beats.

    Raises:
        StoreError: it cannot be written.
    """
    document = otio.schema.Timeline(name=path.stem, global_start_time=_time(0, timeline.fps))
    told = {
        k: v
        for k, v in to_json(timeline).items()
        if k not in ("events", "beats_seconds", "music_path", "music_fit")
    }
    document.metadata[NAMESPACE] = with_version("timeline", told)
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
        # It takes no name that is not UTF-8.
        part.write_text(otio.adapters.write_to_string(document, "otio_json"), encoding="utf-8")


def _time(frames: float | Fraction, rate: Fraction) -> Any:
    return otio.opentime.RationalTime(float(frames), float(rate))


def _range(start: Fraction, duration: Fraction | int, rate: Fraction) -> Any:
    return otio.opentime.TimeRange(_time(start, rate), _time(duration, rate))


def _reference(path: str, available: Any, folder: Path) -> Any:
    reference = otio.schema.ExternalReference(media_url(path, folder), available)
    if is_url(path):
        return reference
    reference.metadata[NAMESPACE] = {
        "relative_path": quote(os.path.relpath(path, folder), errors="surrogateescape")
    }
    return reference


def _clip(event: Event, source: Source, fps: Fraction, folder: Path) -> Any:
    begin, rate = starts_at(source), source.frame_rate
    available = _range(begin * rate, source.duration_seconds * rate, rate)
    clip = otio.schema.Clip(
        name=printable(Path(source.path).name),
        media_reference=_reference(source.path, available, folder),
        source_range=_range((begin + event.in_seconds) * fps, event.frames, fps),
        metadata={NAMESPACE: _metadata(event)},
    )
    if event.speed != 1:
        clip.effects.append(
            otio.schema.LinearTimeWarp(name="speed", time_scalar=float(event.speed))
        )
    return clip


def _metadata(event: Event) -> dict[str, Any]:
    # Scores as text, like the fractions: OTIO's JSON reader is off by one bit in the last place for one double in ten.
    return {**to_json(event), "scores": {k: repr(float(v)) for k, v in event.scores.items()}}


def _music_track(timeline: Timeline, music: Music, folder: Path) -> Any:
    track = otio.schema.Track(name="music", kind=otio.schema.TrackKind.Audio)
    available = _range(Fraction(0), music.duration_seconds * timeline.fps, timeline.fps)
    reference = _reference(timeline.music_path, available, folder)
    fit = timeline.music_fit
    if fit is not None:
        # With the reference, and not with the document: a bundle tells nobody of other files.
        told = {"fit": to_json(fit)}
        if not is_url(fit.track):
            told["relative_track"] = quote(
                os.path.relpath(fit.track, folder), errors="surrogateescape"
            )
        reference.metadata[NAMESPACE] = {**dict(reference.metadata.get(NAMESPACE, {})), **told}
    track.append(
        otio.schema.Clip(
            name=printable(Path(timeline.music_path).name),
            media_reference=reference,
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
