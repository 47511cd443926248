"""Segments: runs of events between hard cuts, each decoded, graded and encoded once by one ffmpeg."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import ffmpeg

from montage_dask.errors import FFmpegError, RenderError, VerificationError
from montage_dask.media.encoders import Encoding
from montage_dask.media.ffmpeg import graph_arguments, graph_name
from montage_dask.media.index import FrameIndex
from montage_dask.records import CUT, Event, Match, Pace, Source, Timeline
from montage_dask.render.accents import laid_on
from montage_dask.render.blame import blame
from montage_dask.render.filters import open_input, picture_of
from montage_dask.render.grade import Look, look_of
from montage_dask.render.mapping import event_map, timescale
from montage_dask.render.pieces import encode_any_way, in_pieces
from montage_dask.render.running import make_file
from montage_dask.render.tap import Size, tap_output, tap_size, tapped, write_tap
from montage_dask.store.locks import work_folder

VERSION = 8

RAW = "tap.raw"
"""In ffmpeg's folder: the small pictures as it writes them."""

MAXIMUM_EVENTS = 12
"""Inputs of one ffmpeg: each holds a decoder with its pictures."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Everything that determines the pixels of a run of events, and nothing else: not even where it stands."""

    events: tuple[Event, ...]
    """From frame 0; without beats, reasons and scores."""
    fps: Fraction
    width: int
    height: int
    fade_out_frames: int = 0
    """Frames at the end that fade to black."""

    @property
    def frames(self) -> int:
        """Length in output frames."""
        return self.events[-1].stop_frame


def plan_segments(timeline: Timeline, *, maximum_frames: int) -> tuple[Segment, ...]:
    """Split a timeline at hard cuts into segments of about `maximum_frames` at most.

    The split depends on the timeline only. An event that is longer is split inside, too: its parts join without a seam.
    Events that a transition joins, and what fades out at the end, stay together.
    """
    groups: list[list[Event]] = []
    fade_from = timeline.frames - timeline.fade_out_frames
    for event in _split(timeline.events, maximum_frames, timeline.fps, fade_from):
        joined = event.transition.kind != "cut" or event.start_frame > fade_from
        if groups:
            group = groups[-1]
            length = event.stop_frame - group[0].start_frame
            fits = length <= maximum_frames and len(group) < MAXIMUM_EVENTS
            if joined or fits:
                group.append(event)
                continue
        groups.append([event])
    segments = []
    for group in groups:
        start = group[0].start_frame
        events = tuple(
            Event(
                start_frame=e.start_frame - start,
                stop_frame=e.stop_frame - start,
                source=e.source,
                shot=0,
                in_seconds=e.in_seconds,
                speed=e.speed,
                transition=e.transition,
                match=e.match,
                focus=e.focus,
                ramp=e.ramp,
                accents=e.accents,
            )
            for e in group
        )
        last = group[-1].stop_frame == timeline.frames
        fade = min(timeline.fade_out_frames, events[-1].stop_frame) if last else 0
        segments.append(Segment(events, timeline.fps, timeline.width, timeline.height, fade))
    return tuple(segments)


def _split(
    events: tuple[Event, ...], maximum_frames: int, fps: Fraction, fade_from: int
) -> Iterator[Event]:
    """Events, the long ones in equal parts that show the same source frames."""
    for number, event in enumerate(events):
        follower = events[number + 1].transition if number + 1 < len(events) else CUT
        plain = event.transition == CUT and follower == CUT and event.stop_frame <= fade_from
        parts = -(-event.frames // maximum_frames) if plain else 1
        for part in range(parts):
            start = event.start_frame + event.frames * part // parts
            stop = event.start_frame + event.frames * (part + 1) // parts
            yield _part(event, start - event.start_frame, stop - event.start_frame, fps)


def _part(event: Event, first: int, last: int, fps: Fraction) -> Event:
    """Output frames [first, last) of an event, which show what they show in it."""
    begin, end = event.shown_at(first), event.shown_at(last)
    frames = last - first
    pace = (end - begin) / frames
    return replace(
        event,
        start_frame=event.start_frame + first,
        stop_frame=event.start_frame + last,
        in_seconds=event.seconds_at(first, fps),
        speed=event.speed * pace,
        focus=tuple(replace(f, frame=f.frame - first) for f in event.focus),
        ramp=tuple(
            Pace(p.frame - first, (p.shown - begin) / pace)
            for p in event.ramp
            if first < p.frame < last
        ),
        accents=tuple(
            replace(a, frame=a.frame - first)
            for a in event.accents
            if a.frame < last and first < a.frame + a.frames
        ),
    )


def render_segment(
    segment: Segment,
    sources: Mapping[str, Source],
    indexes: Mapping[str, FrameIndex],
    output: Path,
    *,
    fit: str,
    grade: str,
    encoding: Encoding,
    threads: int = 1,
    work: Path,
    tap: Path | None = None,
    on_frame: Callable[[int], None] | None = None,
    further_back: bool = False,
) -> dict[str, Any]:
    """Encode one segment.

    Args:
        segment: what to show.
        sources: by identity.
        indexes: frame indexes by identity.
        output: a .mp4 to write; not atomic, that is the caller's.
        fit: contain, cover, centre or blur.
        grade: name of a preset or a .cube file.
        encoding: how to encode.
        threads: of the filters.
        work: folder for the lookup table; ffmpeg runs in it.
        tap: a file to write for the guard: see `render.tap`.
        on_frame: told how many frames are encoded.
        further_back: see `open_input`.

    Returns:
        A small record: frames, size_bytes.

    Raises:
        MediaError: a source cannot be read or gives no pictures; names it.
        RenderError: it cannot be encoded, twice, and no source is to blame.
        StoreError: the output cannot be written.
    """
    encode = partial(
        encode_any_way,
        _encode,
        output=output,
        fit=fit,
        grade=grade,
        encoding=encoding,
        threads=threads,
        work=work,
        tap=tap,
        further_back=further_back,
    )
    given: dict[str, Any] = {"sources": sources, "indexes": indexes}
    try:
        encode(segment, on_frame=on_frame, **given)
    except (FFmpegError, VerificationError):
        blame(segment, sources, indexes, encode, work)
        try:
            encode(segment, on_frame=on_frame, **given)
        except (FFmpegError, VerificationError) as error:
            lines = (error.last_lines, error.command) if isinstance(error, FFmpegError) else ()
            raise RenderError(getattr(error, "reason", str(error)), *lines) from error
    return {"frames": segment.frames, "size_bytes": output.stat().st_size}


def _encode(
    segment: Segment,
    *,
    sources: Mapping[str, Source],
    indexes: Mapping[str, FrameIndex],
    by_pieces: frozenset[str],
    output: Path,
    fit: str,
    grade: str,
    encoding: Encoding,
    threads: int,
    work: Path,
    tap: Path | None,
    further_back: bool,
    on_frame: Callable[[int], None] | None = None,
) -> list[str]:
    """Encode a segment; gives what ffmpeg printed."""
    about = sources[segment.events[0].source].path
    small = tap_size(segment, sources, fit) if tap else None
    # A folder of its own: others may render into the same work folder at the same time.
    with work_folder("encode", work) as folder:
        segment, sources, indexes = in_pieces(segment, sources, indexes, by_pieces, folder)
        pictures, smalls = _joined(
            segment,
            sources,
            indexes,
            fit=fit,
            looks={m: look_of(grade, folder, m) for m in {e.match for e in segment.events}},
            pixel_format=encoding.pixel_format,
            further_back=further_back,
            small=small,
        )
        pictures = laid_on(pictures, segment, encoding.pixel_format)
        if encoding.upload:
            pictures = pictures.filter("format", encoding.upload).filter("hwupload")
        cuts = "+".join(f"eq(n,{e.start_frame})" for e in segment.events)
        options: dict[str, Any] = {
            **dict(encoding.options),
            "force_key_frames": f"expr:{cuts}",
            "r": f"{segment.fps.numerator}/{segment.fps.denominator}",
            "fps_mode": "cfr",
            "frames:v": segment.frames,
            "video_track_timescale": timescale(segment.fps),
            "an": None,
            "f": "mp4",
        }
        outputs = ffmpeg.output(pictures, graph_name(output), **options)
        if small:
            beside = tap_output(smalls, segment.fps, folder / RAW)
            outputs = ffmpeg.merge_outputs(outputs, beside)
        arguments = graph_arguments(outputs)
        lines = make_file(
            [
                *encoding.device_arguments,
                "-copyts",
                "-filter_complex_threads",
                str(threads),
                *arguments,
            ],
            output,
            about=about,
            executable=encoding.executable,
            on_frame=on_frame,
            cwd=folder,
            constant=True,
        )
        if tap and small:
            write_tap(folder / RAW, small, segment, tap)
    frames = count_frames(output)
    if frames != segment.frames:
        raise VerificationError(f"{frames} frames instead of {segment.frames}")
    return lines


def count_frames(path: Path) -> int:
    """Video frames of a file that we wrote, by its packets; 0 for one that is no video at all."""
    try:
        with av.open(f"file:{path}", metadata_errors="replace") as container:
            packets = container.demux(container.streams.video[0])
            return sum(1 for packet in packets if packet.size)
    except (av.FFmpegError, IndexError):
        return 0


def _joined(
    segment: Segment,
    sources: Mapping[str, Source],
    indexes: Mapping[str, FrameIndex],
    *,
    fit: str,
    looks: Mapping[Match | None, Look],
    pixel_format: str,
    further_back: bool,
    small: Size | None = None,
) -> tuple[Any, list[Any]]:
    """The filter graph of a segment: every event's pictures, joined by cuts and transitions.

    With a size for a tap, small pictures of every event, too, before anything is laid on.
    """
    fps, events = segment.fps, segment.events
    run: list[Any] = []
    smalls: list[Any] = []
    length = 0
    for number, event in enumerate(events):
        after = events[number + 1].transition if number + 1 < len(events) else CUT
        source, index = sources[event.source], indexes[event.source]
        shown, lead, tail = event_map(segment, number, index, source.path)
        picture = picture_of(
            open_input(source, index, shown, number, further_back=further_back),
            source,
            index,
            shown,
            fps=fps,
            size=(segment.width, segment.height),
            fit=fit,
            look=looks[event.match],
            pixel_format=pixel_format,
            focus=event.focus,
            lead=lead,
        )
        if small:
            picture, own = tapped(picture, small)
            smalls.append(own)
        # Effects come here, behind the tap: what they show then needs no model in the guard.
        if event.transition.kind.startswith("dip") and event.transition.frames > 1:
            picture = _dip(picture, "in", 0, event.transition.frames // 2, event.transition.kind)
        if after.kind.startswith("dip") and after.frames > 1:
            half = after.frames // 2
            picture = _dip(picture, "out", event.frames + lead + tail - half, half, after.kind)
        if lead:
            both = lead * 2
            offset = (length - both) / fps  # xfade rounds it to the nearest frame
            run = [
                ffmpeg.filter(
                    [_numbered(_concatenated(run), fps), _numbered(picture, fps)],
                    "xfade",
                    transition="fade",
                    duration=f"{float(both / fps):.9f}",
                    offset=f"{float(offset):.9f}",
                )
            ]
            length -= both
        else:
            run.append(picture)
        length += event.frames + lead + tail
    whole = _numbered(_concatenated(run), fps)
    if segment.fade_out_frames:
        begin = segment.frames - segment.fade_out_frames
        whole = _dip(whole, "out", begin, segment.fade_out_frames, "dip-to-black")
    return whole, smalls


def _dip(picture: Any, direction: str, start: int, frames: int, kind: str) -> Any:
    colour = "white" if kind == "dip-to-white" else "black"
    return picture.filter("fade", t=direction, start_frame=start, nb_frames=frames, color=colour)


def _concatenated(run: list[Any]) -> Any:
    return run[0] if len(run) == 1 else ffmpeg.concat(*run, v=1, a=0)


def _numbered(picture: Any, fps: Fraction) -> Any:
    """Frames with the times 0, 1, 2 … in units of a frame: concat and xfade count in rounded microseconds."""
    return picture.filter("settb", expr=f"{fps.denominator}/{fps.numerator}").filter(
        "setpts", expr="N"
    )
