"""timeline.xml: the XML of Final Cut Pro 7 (xmeml 4), which Premiere Pro and DaVinci Resolve import."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree as ET

from montage_dask.errors import printable
from montage_dask.records import CUT, Event, Music, Source, Timeline
from montage_dask.report.effects import accent_in_words, ramp_in_words
from montage_dask.report.links import file_url
from montage_dask.store import writing
from montage_dask.timecode import clock_of, drops, timecode

DISSOLVE = "Cross Dissolve"


def write_xmeml(
    timeline: Timeline, sources: Mapping[str, Source], music: Music, path: Path
) -> None:
    """Write a timeline: one track of pictures, the music as a stereo pair, markers on the beats.

    Crossfades are transitions; dips are cuts with a marker, since they need no material beside the cut. Speeds are "Time Remap".

    Raises:
        StoreError: it cannot be written.
    """
    root = ET.Element("xmeml", version="4")
    sequence = ET.SubElement(root, "sequence", id="sequence-1")
    _add(sequence, "name", _text(path.stem))
    _add(sequence, "duration", timeline.frames)
    _rate(sequence, timeline.fps)
    _timecode(sequence, 0, timeline.fps, drops(timeline.fps))
    media = ET.SubElement(sequence, "media")
    _pictures(ET.SubElement(media, "video"), timeline, sources)
    _sound(ET.SubElement(media, "audio"), timeline, music)
    for frame, name in _marks(timeline):
        marker = ET.SubElement(sequence, "marker")
        _add(marker, "name", name)
        _add(marker, "in", frame)
        _add(marker, "out", -1)
    ET.indent(root)
    body = ET.tostring(root, encoding="unicode")
    with writing(path) as part:
        part.write_text(
            f'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE xmeml>\n{body}\n', encoding="utf-8"
        )


def _pictures(video: ET.Element, timeline: Timeline, sources: Mapping[str, Source]) -> None:
    form = ET.SubElement(ET.SubElement(video, "format"), "samplecharacteristics")
    _rate(form, timeline.fps)
    _size(form, timeline.width, timeline.height)
    _add(form, "pixelaspectratio", "square")
    _add(form, "fielddominance", "none")
    track = ET.SubElement(video, "track")
    known: dict[str, str] = {}
    for number, event in enumerate(timeline.events):
        if fade := _fade(timeline, number):
            _transition(track, event.start_frame, fade, timeline.fps)
        _clip(track, timeline, number, sources[event.source], known)


def _fade(timeline: Timeline, number: int) -> int:
    """Frames of the crossfade that begins an event: 0 when it has none."""
    if not 0 < number < len(timeline.events):
        return 0
    transition = timeline.events[number].transition
    return transition.frames if transition.kind == "crossfade" else 0


def _clip(
    track: ET.Element, timeline: Timeline, number: int, source: Source, known: dict[str, str]
) -> None:
    event, fps = timeline.events[number], timeline.fps
    before, after = _fade(timeline, number), _fade(timeline, number + 1)
    rate = _declared(source.frame_rate)
    clip = ET.SubElement(track, "clipitem", id=f"clipitem-{number + 1}")
    _add(clip, "name", _text(Path(source.path).name))
    _add(clip, "enabled", "TRUE")
    _add(clip, "duration", round(source.duration_seconds / event.speed * rate))
    _rate(clip, rate)
    # Under a transition the edge is the transition's: -1.
    _add(clip, "start", -1 if before else event.start_frame)
    _add(clip, "end", -1 if after else event.stop_frame)
    # A retimed clip counts retimed frames.
    first = max(0, int((event.in_seconds / event.speed - before // 2 / fps) * rate))
    shown = event.frames + before // 2 + after // 2
    _add(clip, "in", first)
    _add(clip, "out", first + max(1, round(shown / fps * rate)))
    _file(clip, source, rate, known)
    if event.speed != 1:
        _speed(clip, event)


def _file(clip: ET.Element, source: Source, rate: Fraction, known: dict[str, str]) -> None:
    """What it is made of: told once, then named."""
    if source.identity in known:
        ET.SubElement(clip, "file", id=known[source.identity])
        return
    known[source.identity] = f"file-{len(known) + 1}"
    file = ET.SubElement(clip, "file", id=known[source.identity])
    _add(file, "name", _text(Path(source.path).name))
    _add(file, "pathurl", file_url(source.path, "localhost"))
    _rate(file, rate)
    _add(file, "duration", round(source.duration_seconds * rate))
    number, counted, drop = clock_of(source)
    if source.timecode is not None:
        # In its own count of frames, which may be half of the pictures'.
        _timecode(file, number, _declared(counted), bool(drop))
    media = ET.SubElement(file, "media")
    form = ET.SubElement(ET.SubElement(media, "video"), "samplecharacteristics")
    _rate(form, rate)
    _size(form, source.width, source.height)
    if source.audio is not None:
        audio = ET.SubElement(media, "audio")
        form = ET.SubElement(audio, "samplecharacteristics")
        _add(form, "depth", 16)
        _add(form, "samplerate", source.audio.sample_rate)
        _add(audio, "channelcount", source.audio.channels)


def _speed(clip: ET.Element, event: Event) -> None:
    effect = ET.SubElement(ET.SubElement(clip, "filter"), "effect")
    for name, value in (
        ("name", "Time Remap"), ("effectid", "timeremap"), ("effectcategory", "motion"),
        ("effecttype", "motion"), ("mediatype", "video"),
    ):  # fmt: skip
        _add(effect, name, value)
    percent = f"{float(event.speed * 100):.4f}".rstrip("0").rstrip(".")
    values = {"variablespeed": "0", "speed": percent, "reverse": "FALSE", "frameblending": "FALSE"}
    for name, value in values.items():
        parameter = ET.SubElement(effect, "parameter")
        _add(parameter, "parameterid", name)
        _add(parameter, "name", name)
        _add(parameter, "value", value)


def _transition(track: ET.Element, cut: int, frames: int, fps: Fraction) -> None:
    item = ET.SubElement(track, "transitionitem")
    _add(item, "start", cut - frames // 2)
    _add(item, "end", cut + frames // 2)
    _add(item, "alignment", "center")
    _rate(item, fps)
    effect = ET.SubElement(item, "effect")
    for name, value in (
        ("name", DISSOLVE), ("effectid", DISSOLVE), ("effectcategory", "Dissolve"),
        ("effecttype", "transition"), ("mediatype", "video"),
    ):  # fmt: skip
        _add(effect, name, value)


def _sound(audio: ET.Element, timeline: Timeline, music: Music) -> None:
    """The music: two tracks of one channel each, which are one stereo track to Premiere."""
    _add(audio, "numOutputChannels", 2)
    form = ET.SubElement(ET.SubElement(audio, "format"), "samplecharacteristics")
    _add(form, "depth", 16)
    _add(form, "samplerate", 48000)
    first = round(timeline.music_start_seconds * timeline.fps)
    for channel in (0, 1):
        track = ET.SubElement(
            audio, "track", currentExplodedTrackIndex=str(channel), totalExplodedTrackCount="2", premiereTrackType="Stereo",
        )  # fmt: skip
        clip = ET.SubElement(
            track, "clipitem", id=f"music-{channel + 1}", premiereChannelType="stereo"
        )
        _add(clip, "name", _text(Path(music.path).name))
        _add(clip, "enabled", "TRUE")
        _add(clip, "duration", round(music.duration_seconds * timeline.fps))
        _rate(clip, timeline.fps)
        _add(clip, "start", 0)
        _add(clip, "end", timeline.frames)
        _add(clip, "in", first)
        _add(clip, "out", first + timeline.frames)
        file = ET.SubElement(clip, "file", id="file-music")
        if not channel:
            _add(file, "name", _text(Path(music.path).name))
            _add(file, "pathurl", file_url(music.path, "localhost"))
            _rate(file, timeline.fps)
            _add(file, "duration", round(music.duration_seconds * timeline.fps))
            _add(ET.SubElement(ET.SubElement(file, "media"), "audio"), "channelcount", 2)
        where = ET.SubElement(clip, "sourcetrack")
        _add(where, "mediatype", "audio")
        _add(where, "trackindex", channel + 1)
        for other in (0, 1):
            link = ET.SubElement(clip, "link")
            _add(link, "linkclipref", f"music-{other + 1}")
            _add(link, "mediatype", "audio")
            _add(link, "trackindex", other + 1)
            _add(link, "clipindex", 1)


def _marks(timeline: Timeline) -> list[tuple[int, str]]:
    """Beats, the dips that are written as cuts, and effects on beats, which the format does not know."""
    start, fps = timeline.music_start_seconds, timeline.fps
    marks = [(max(0, round((beat - start) * fps)), "beat") for beat in timeline.beats_seconds]
    marks += [
        (e.start_frame, f"{e.transition.kind} {e.transition.frames} frames")
        for e in timeline.events
        if e.transition != CUT and e.transition.kind != "crossfade"
    ]
    for event in timeline.events:
        marks += [(event.start_frame + a.frame, accent_in_words(a)) for a in event.accents]
        marks += [(event.start_frame, ramp_in_words(event))] if event.ramp else []
    return sorted(m for m in marks if m[0] < timeline.frames)


def _declared(rate: Fraction) -> Fraction:
    """The nearest rate that the format can name: whole, or that less a thousandth."""
    whole = max(1, round(rate))
    return min((Fraction(whole), Fraction(whole * 1000, 1001)), key=lambda r: abs(r - rate))


def _rate(parent: ET.Element, fps: Fraction) -> None:
    declared = _declared(fps)
    rate = ET.SubElement(parent, "rate")
    _add(rate, "timebase", round(declared))
    _add(rate, "ntsc", "FALSE" if declared.denominator == 1 else "TRUE")


def _timecode(parent: ET.Element, number: int, fps: Fraction, drop: bool) -> None:
    element = ET.SubElement(parent, "timecode")
    _rate(element, fps)
    _add(element, "string", timecode(number, fps, drop))
    _add(element, "frame", number)
    _add(element, "displayformat", "DF" if drop else "NDF")


def _size(form: ET.Element, width: int, height: int) -> None:
    _add(form, "width", width)
    _add(form, "height", height)


def _add(parent: ET.Element, name: str, value: object) -> None:
    ET.SubElement(parent, name).text = str(value)


def _text(text: str) -> str:
    """What XML 1.0 can hold."""
    return re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "?", printable(text))
