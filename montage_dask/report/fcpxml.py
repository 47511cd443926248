"""FCPXML 1.10 for Final Cut Pro and DaVinci Resolve: every time a rational number of seconds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

from montage_dask.errors import printable
from montage_dask.records import Event, Music, Pace, Source, Timeline
from montage_dask.report.effects import accent_in_words
from montage_dask.report.links import media_url
from montage_dask.store import writing
from montage_dask.timecode import drops, on_screen, starts_at

CROSS_DISSOLVE = "FxPlug:4731E73A-8DAC-4113-9A30-AE85B1761265"
"""The one transition whose identifier is the same in every version: dips are written as dissolves of their length, too."""


def write_fcpxml(
    timeline: Timeline, sources: Mapping[str, Source], music: Music, path: Path
) -> None:
    """Write a timeline: clips on the spine, the music connected to its start, markers on the beats.

    Raises:
        StoreError: it cannot be written.
    """
    root = ET.Element("fcpxml", version="1.10")
    resources = ET.SubElement(root, "resources")
    formats: dict[tuple[int, int, Fraction], str] = {}
    sequence_format = _format(resources, formats, timeline.width, timeline.height, timeline.fps)
    if any(e.transition.frames for e in timeline.events):
        ET.SubElement(
            resources, "effect", id="r-dissolve", name="Cross Dissolve", uid=CROSS_DISSOLVE
        )
    assets: dict[str, str] = {}
    for event in timeline.events:
        if event.source not in assets:
            source = sources[event.source]
            rate = _format(resources, formats, source.width, source.height, source.frame_rate)
            name = f"a{len(assets) + 1}"
            assets[event.source] = _asset(resources, name, source, rate, path.parent)
    sound = ET.SubElement(
        resources, "asset", id="music", name=_text(Path(music.path).name), start="0s",
        duration=_time(music.duration_seconds), hasAudio="1", audioSources="1", audioChannels="2",
    )  # fmt: skip
    ET.SubElement(sound, "media-rep", kind="original-media", src=media_url(music.path, path.parent))
    library = ET.SubElement(root, "library")
    project = ET.SubElement(
        ET.SubElement(library, "event", name="montage-dask"), "project", name=_text(path.stem)
    )
    sequence = ET.SubElement(
        project, "sequence", format=sequence_format, tcStart="0s", duration=_time(timeline.duration_seconds),
        tcFormat="DF" if drops(timeline.fps) else "NDF", audioLayout="stereo", audioRate="48k",
    )  # fmt: skip
    spine = ET.SubElement(sequence, "spine")
    first: ET.Element | None = None
    for event in timeline.events:
        if event.transition.frames and event.start_frame:  # nothing is before the first one
            _transition(spine, event, timeline.fps)
        clip = _clip(spine, event, assets[event.source], sources[event.source], timeline.fps)
        first = clip if first is None else first
        _markers(clip, event, sources[event.source], timeline)
    if first is not None:
        # Connected at the clip's own clock, which does not start at 0.
        ET.SubElement(
            first, "asset-clip", ref="music", lane="-1", offset=first.get("start", "0s"),
            name=_text(Path(music.path).name), start=_time(timeline.music_start_seconds),
            duration=_time(timeline.duration_seconds), audioRole="music",
        )  # fmt: skip
        # The DTD wants connected clips before markers.
        music_clip = first[-1]
        first.remove(music_clip)
        first.insert(1 if len(first) and first[0].tag == "timeMap" else 0, music_clip)
    ET.indent(root)
    body = ET.tostring(root, encoding="unicode")
    with writing(path) as part:
        part.write_text(
            f'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE fcpxml>\n{body}\n', encoding="utf-8"
        )


def _time(seconds: Fraction) -> str:
    """Seconds as FCPXML writes them: 1001/30000s."""
    exact = seconds.limit_denominator(1_000_000_000)
    return (
        f"{exact.numerator}s"
        if exact.denominator == 1
        else f"{exact.numerator}/{exact.denominator}s"
    )


def _format(
    resources: ET.Element,
    known: dict[tuple[int, int, Fraction], str],
    width: int,
    height: int,
    fps: Fraction,
) -> str:
    key = (width, height, fps)
    if key not in known:
        known[key] = f"f{len(known) + 1}"
        ET.SubElement(
            resources, "format", id=known[key], frameDuration=_time(1 / fps),
            width=str(width), height=str(height), colorSpace="1-1-1 (Rec. 709)",
        )  # fmt: skip
    return known[key]


def _asset(
    resources: ET.Element, identity: str, source: Source, format_id: str, folder: Path
) -> str:
    asset = ET.SubElement(
        resources, "asset", id=identity, name=_text(Path(source.path).stem), start=_time(starts_at(source)),
        duration=_time(source.duration_seconds), hasVideo="1", format=format_id, videoSources="1",
    )  # fmt: skip
    if source.audio is not None:
        asset.set("hasAudio", "1")
        asset.set("audioSources", "1")
        asset.set("audioChannels", str(source.audio.channels))
    ET.SubElement(asset, "media-rep", kind="original-media", src=media_url(source.path, folder))
    return identity


def _clip(spine: ET.Element, event: Event, asset: str, source: Source, fps: Fraction) -> ET.Element:
    start = _start(event, source, fps)
    clip = ET.SubElement(
        spine, "asset-clip", ref=asset, name=_text(Path(source.path).name), srcEnable="video",
        offset=_time(event.start_frame / fps), start=_time(start), duration=_time(event.frames / fps),
    )  # fmt: skip
    if source.timecode is not None:
        clip.set("tcFormat", "DF" if ";" in source.timecode else "NDF")
    if event.speed != 1 or event.ramp:
        timing = ET.SubElement(clip, "timeMap")
        for time, value in _mapped(event, source, start, fps):
            ET.SubElement(timing, "timept", time=_time(time), value=_time(value), interp="linear")
    return clip


def _mapped(
    event: Event, source: Source, start: Fraction, fps: Fraction
) -> list[tuple[Fraction, Fraction]]:
    """Times of a retimed clip's own clock, and of its media: from the start of that to its end, over the points of a ramp."""
    begin, end = starts_at(source), source.duration_seconds
    first = begin + (start - begin) * event.speed
    edges = [Pace(0, Fraction(0)), *event.ramp, Pace(event.frames, Fraction(event.frames))]
    inside = [
        (start + p.frame / fps, first + p.shown / fps * event.speed)
        for p in (edges if event.ramp else ())
    ]
    whole = [(begin, begin), *inside, (begin + end / event.speed, begin + end)]
    # Where the event touches an end of its media, that point is there already.
    return [a for a, b in pairwise(whole) if a[0] < b[0]] + whole[-1:]


def _start(event: Event, source: Source, fps: Fraction) -> Fraction:
    """Where the clip begins in its own clock, on a frame of it; a retimed clip's runs at the output's pace."""
    if event.speed == 1:
        return starts_at(source) + on_screen(source, event.in_seconds) / source.frame_rate
    return starts_at(source) + round(event.in_seconds / event.speed * fps) / fps


def _transition(spine: ET.Element, event: Event, fps: Fraction) -> None:
    half = event.transition.frames // 2
    transition = ET.SubElement(
        spine, "transition", name=event.transition.kind, offset=_time((event.start_frame - half) / fps),
        duration=_time(event.transition.frames / fps),
    )  # fmt: skip
    ET.SubElement(transition, "filter-video", ref="r-dissolve", name="Cross Dissolve")


def _markers(clip: ET.Element, event: Event, source: Source, timeline: Timeline) -> None:
    start = _start(event, source, timeline.fps)
    for beat in timeline.beats_seconds:
        frame = round((beat - timeline.music_start_seconds) * timeline.fps)
        if event.start_frame <= frame < event.stop_frame:
            at = start + (frame - event.start_frame) / timeline.fps
            ET.SubElement(
                clip, "marker", start=_time(at), duration=_time(1 / timeline.fps), value="beat"
            )
    for accent in event.accents:
        ET.SubElement(
            clip, "marker", start=_time(start + accent.frame / timeline.fps), duration=_time(1 / timeline.fps),
            value=accent_in_words(accent),
        )  # fmt: skip


def _text(text: str) -> str:
    """What XML 1.0 can hold."""
    return re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "?", printable(text))
