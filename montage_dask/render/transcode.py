"""Transcoding one file in windows: each window is encoded alone, the parts are joined without encoding again.

Every frame of the source is kept, once. A constant frame rate stays exactly that; with a variable one every frame keeps its time.
Rotation is applied, sample aspect and colour stay what they are.
"""

from __future__ import annotations

import tempfile
from fractions import Fraction
from functools import partial
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import ffmpeg

from montage_dask.errors import FFmpegError, InputChanged, VerificationError
from montage_dask.media.container import open_media
from montage_dask.media.encoders import Encoding
from montage_dask.media.ffmpeg import graph_arguments, graph_name, input_arguments, output_argument
from montage_dask.media.index import FrameIndex
from montage_dask.records import Source
from montage_dask.render.assemble import MUXERS, concat_list
from montage_dask.render.filters import (
    UNINDEXED,
    frames_of,
    graded_picture,
    open_input,
    upright,
)
from montage_dask.render.grade import look_of
from montage_dask.render.mapping import FrameMap, timescale
from montage_dask.render.pieces import all_there, is_elsewhere, make_piece, troubled
from montage_dask.render.running import make_file
from montage_dask.render.segments import count_frames
from montage_dask.store import writing
from montage_dask.store.locks import work_folder

VERSION = 4

UNSPECIFIED = "unspecified"


def transcode_window(
    source: Source,
    index: FrameIndex,
    start_frame: int,
    stop_frame: int,
    output: Path,
    *,
    encoding: Encoding,
    size: tuple[int, int] | None,
    grade: str = "none",
    threads: int = 1,
) -> dict[str, Any]:
    """Encode frames [start_frame, stop_frame) into a part.

    Args:
        source: the source.
        index: its frame index.
        start_frame: first frame.
        stop_frame: end.
        output: a .mp4; not atomic, that is the caller's.
        encoding: how to encode.
        size: box that the picture must fit into, or None to keep its size.
        grade: name of a preset or a .cube file; what is graded is Rec.709 afterwards.
        threads: of the filters.

    Returns:
        A small record: frames, size_bytes.

    Raises:
        MediaError: the source cannot be read.
        VerificationError: the part has another number of frames.
    """
    encode = partial(
        _encode,
        output=output,
        encoding=encoding,
        size=size,
        grade=grade,
        threads=threads,
        told=source,
    )
    try:
        # Else it is decoded by number, as everywhere where ffmpeg alone does not get it right.
        right = source.is_plain(start_frame, stop_frame)
        if right:
            said = encode(source, index, start_frame, stop_frame)
            right = not troubled(said, {"": source}, UNINDEXED) or is_elsewhere(
                source, index, start_frame, stop_frame
            )
        missing = count_frames(output) != stop_frame - start_frame
        right = right and not (missing and all_there(source, index, start_frame, stop_frame))
    except InputChanged:
        right = False
    if not right:
        with work_folder("piece", output.parent) as folder:
            piece = make_piece(source, index, start_frame, stop_frame, Path(folder) / "piece.mp4")
            encode(*piece, 0, stop_frame - start_frame)
    written = count_frames(output)
    if written != stop_frame - start_frame:
        raise VerificationError(
            f"{source.path}: frames {start_frame}…{stop_frame} gave {written} frames"
        )
    return {"frames": written, "size_bytes": output.stat().st_size}


def _encode(
    source: Source,
    index: FrameIndex,
    start_frame: int,
    stop_frame: int,
    *,
    output: Path,
    encoding: Encoding,
    size: tuple[int, int] | None,
    grade: str,
    threads: int,
    told: Source,
) -> list[str]:
    """Encode frames of a source, or of a piece of it; `told` is the source itself. Gives what ffmpeg printed."""
    shown = FrameMap(start_frame, stop_frame - 1, stop_frame - start_frame, 0, 0.0, 1.0)
    stream = open_input(source, index, shown)
    stream = frames_of(stream, source, index, start_frame, stop_frame)
    options = dict(encoding.options)
    if source.constant_frame_rate:
        rate = source.frame_rate
        stream = stream.filter("settb", expr=f"{rate.denominator}/{rate.numerator}")
        stream = stream.filter("setpts", expr="N")
        timing = {"r": f"{rate.numerator}/{rate.denominator}", "fps_mode": "cfr"}
        ticks = timescale(rate)
    else:
        stream = stream.filter("setpts", expr=f"PTS-{int(index.pts[start_frame])}")
        base = index.time_base
        timing = {
            "fps_mode": "passthrough",
            "enc_time_base": f"{base.numerator}:{base.denominator}",
        }
        ticks = base.denominator if base.numerator == 1 else 90_000
        if index.lingers(stop_frame - 1):
            # MP4 keeps the time of the picture that comes last in the file: no other may follow the one that is shown last.
            options["bf"] = "0"
    stream = _sized(stream, source, size)
    deep = source.bit_depth > 8 and not encoding.h264
    if deep:
        options["pix_fmt"] = "yuv420p10le" if encoding.executable is None else "p010le"
    with work_folder("transcode", output.parent) as work:
        look = look_of(grade, Path(work))
        if look is not None:
            pixels = "yuv420p10le" if deep else encoding.pixel_format
            stream = graded_picture(stream, source, look, pixels)
        else:
            options = _tagged(options, told)
        if encoding.upload:
            options.pop("pix_fmt", None)
            packed = "p010le" if deep else encoding.upload
            stream = stream.filter("format", packed).filter("hwupload")
        made = {**options, **timing, "video_track_timescale": ticks, "an": None, "f": "mp4"}
        arguments = graph_arguments(ffmpeg.output(stream, graph_name(output), **made))
        return make_file(
            [
                *encoding.device_arguments,
                "-copyts",
                "-filter_complex_threads",
                str(threads),
                *arguments,
            ],
            output,
            about=told.path,
            cwd=Path(work),
            executable=encoding.executable,
            constant=True,
        )


def _tagged(options: dict[str, Any], source: Source) -> dict[str, Any]:
    """Encoder options with the colours that the source says it has."""
    tags = {
        "colorspace": source.color_space,
        "color_primaries": source.color_primaries,
        "color_trc": source.color_transfer,
        "color_range": source.color_range,
    }
    kept = {k: v for k, v in options.items() if k not in tags}
    return {**kept, **{k: v for k, v in tags.items() if v != UNSPECIFIED}}


def _sized(stream: Any, source: Source, size: tuple[int, int] | None) -> Any:
    # It is turned here; what says so must not stay, or players turn it again.
    stream = stream.filter("sidedata", mode="delete", type="DISPLAYMATRIX")
    stream = upright(stream, source)
    if size is None:
        if source.coded_width % 2 or source.coded_height % 2:
            stream = stream.filter("scale", "ceil(iw/2)*2", "ceil(ih/2)*2", flags="bicubic")
        return stream
    scale = min(Fraction(size[0], source.width), Fraction(size[1], source.height))
    width, height = (max(2, 2 * round(side * scale / 2)) for side in (source.width, source.height))
    return stream.filter("scale", width, height, flags="bicubic").filter("setsar", 1)


def join_transcode(
    source: Source,
    index: FrameIndex,
    parts: list[Path],
    output: Path,
    *,
    audio: str,
) -> dict[str, Any]:
    """Join the parts of a file and add its sound; the result appears whole and checked, or not at all.

    Args:
        source: the source.
        index: its frame index.
        parts: of all windows, in order.
        output: .mp4, .mov or .mkv.
        audio: copy (encoded to AAC where the container cannot hold it), aac or none.

    Returns:
        A small record: frames, audio (what was done).

    Raises:
        VerificationError: frames are missing.
        MediaError: the sound cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="montage-") as folder, writing(output) as part:
        done = audio
        if source.audio is None:
            done = "none"
        attempts = {"copy": ["copy", "aac"], "aac": ["aac"], "none": ["none"]}[done]
        for number, how in enumerate(attempts):
            work = Path(folder) / how
            work.mkdir()
            try:
                _join(source, index, parts, part, how, work)
                done = how
                break
            except FFmpegError:
                if number == len(attempts) - 1:
                    raise
        frames = count_frames(part)
        if frames != source.frames:
            raise VerificationError(f"{output}: {frames} frames instead of {source.frames}")
    return {"frames": frames, "audio": done}


def _join(
    source: Source, index: FrameIndex, parts: list[Path], output: Path, audio: str, work: Path
) -> None:
    ends = list(accumulate(count_frames(p) for p in parts))
    times = [index.time_seconds(n) for n in (0, *ends)]
    if source.constant_frame_rate:
        times = [n / source.frame_rate for n in (0, *ends)]
    listed = concat_list(parts, [b - a for a, b in pairwise(times)], work)
    arguments = ["-protocol_whitelist", "file", "-f", "concat", "-safe", "1"]
    sound: list[str] = []
    if audio != "none":
        assert source.audio is not None
        with open_media(source.path, source.format_name) as container:
            begins = Fraction(container.start_time or 0, 1_000_000)
        # ffmpeg moves the sound's file to start at 0: the pictures must keep their distance to it.
        ahead = source.start_pts * source.time_base - begins
        arguments += ["-itsoffset", f"{float(ahead):.6f}"]
        sound = ["-map", f"1:{source.audio.stream_index}", "-c:a", audio]
    arguments += ["-i", listed.name]
    if audio != "none":
        arguments += input_arguments(source.path, source.format_name)
        arguments += ["-map_metadata", "1", "-map_chapters", "1"]
    if source.constant_frame_rate:
        arguments += ["-video_track_timescale", str(timescale(source.frame_rate))]
    make_file(
        [
            *arguments, "-map", "0:v:0", *sound, "-c:v", "copy", "-fflags", "+bitexact",
            "-metadata:s:v:0", "rotate=", "-movflags", "+faststart",
            "-f", MUXERS[output.suffix.lower()], output_argument(output),
        ],
        output,
        about=source.path,
        cwd=work,
    )  # fmt: skip
