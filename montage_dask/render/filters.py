"""The filter chains of one event: from a source's pictures to output pictures, in ffmpeg-python's terms."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import ffmpeg

from montage_dask.media.container import checked_format
from montage_dask.media.ffmpeg import graph_name
from montage_dask.media.index import FrameIndex
from montage_dask.media.opening import decoder_options
from montage_dask.media.orientation import turn_filters
from montage_dask.media.tone import is_wide, primaries_of
from montage_dask.media.whole import NEIGHBOURS, cropping, deinterlacer
from montage_dask.records import Focus, Source
from montage_dask.render.grade import Curves, Look
from montage_dask.render.mapping import FrameMap
from montage_dask.render.window import window_expressions

UNINDEXED = frozenset(["mpegts", "mpeg", "mpegvideo", "asf", "flv", "ogg", "nsv", "rm", "vob"])
"""Formats in which a seek may land behind the wanted keyframe: seek two keyframes earlier."""

Colours = tuple[str, str]
"""Matrix and range."""

REC709: Colours = ("bt709", "tv")
SCALER = "bicubic+accurate_rnd"

ZIMG_MATRICES = {
    "bt709": "709",
    "smpte170m": "170m",
    "bt470bg": "bt470bg",
    "smpte240m": "240m",
    "fcc": "fcc",
    "bt2020": "2020_ncl",
}
"""What zscale calls the matrices of `matrix_of`."""

BLUR_DIVISOR = 8
"""The blurred background is made at this fraction of the size: nobody sees the difference, and it costs next to nothing."""


FROM_START_FRAMES = 3000
"""What begins before this frame of its source is decoded from the start where seeking is not to be trusted."""

KEYS_BACK = 10
"""Likewise, keyframes to go back for what begins later."""


def open_input(
    source: Source,
    index: FrameIndex,
    shown: FrameMap,
    number: int = 0,
    *,
    further_back: bool = False,
) -> Any:
    """The input of one event: opened as the untrusted file that it is, a little before the first frame that is shown.

    `number` tells the inputs of one graph apart: ffmpeg-python takes equal nodes for one, and an edit may show a part twice.
    `further_back` decodes from the start, or many keyframes earlier: where pictures were wrong behind the nearest one.
    """
    options: dict[str, Any] = {
        "protocol_whitelist": "file",
        "thread_queue_size": 8 + number,  # any option that may differ; 8 is ffmpeg's default
        "f": checked_format(source.path, source.format_name),
        "threads": 1,
        "noautorotate": None,
        **decoder_options(source),
    }
    # What is deinterlaced needs the picture before it.
    begin = max(0, shown.first - NEIGHBOURS) if source.field_order else shown.first
    key = index.key_before(begin)
    if further_back:
        key = 0 if begin < FROM_START_FRAMES else max(0, key - KEYS_BACK)
    back = 2 if source.format_name in UNINDEXED else 0
    if key - back > 0:
        # Absolute time stamps (-copyts), so that frames are told apart by their exact PTS below.
        wanted = Fraction(int(index.pts[begin]))
        if back or further_back:
            wanted = Fraction(int(index.key_pts[key - back]))
        elif source.format_name == "mov":
            # Asked for a picture that precedes a keyframe on screen but not in the file (an open group), MP4's demuxer goes to
            # that keyframe. Half a tick: what ffmpeg rounds to microseconds must not lie before the wanted one.
            wanted = int(index.key_pts[key]) + Fraction(1, 2)
        options["ss"] = f"{float(wanted * index.time_base):.6f}"
        options["seek_timestamp"] = 1
        options["noaccurate_seek"] = None
    return ffmpeg.input(graph_name(source.path), **options)[str(source.stream_index)]


def frames_of(
    stream: Any, source: Source, index: FrameIndex, start_frame: int, stop_frame: int
) -> Any:
    """Exactly frames [start_frame, stop_frame) of an input: whole pictures, as `media.decode.decode_frames` gives them.

    Args:
        stream: from `open_input`.
        source: the source.
        index: its frame index.
        start_frame: first number.
        stop_frame: end of the range.
    """
    if source.field_order:
        around = max(0, start_frame - NEIGHBOURS), min(len(index), stop_frame + NEIGHBOURS)
        stream = _trimmed(stream, index, *around).filter("bwdif", **deinterlacer(source))
        # It counts in halves of a tick.
        base = index.time_base
        stream = stream.filter("settb", expr=f"{base.numerator}/{base.denominator}")
    stream = _trimmed(stream, index, start_frame, stop_frame)
    if any(source.crop):
        stream = stream.filter("crop", **cropping(source))
    # Pictures that only say that they are interlaced would be scaled field by field, and their file would say it again.
    return stream.filter("setfield", mode="prog")


def _trimmed(stream: Any, index: FrameIndex, start_frame: int, stop_frame: int) -> Any:
    end = {"end_pts": int(index.pts[stop_frame])} if stop_frame < len(index) else {}
    return stream.filter("trim", start_pts=int(index.pts[start_frame]), **end)


def upright(stream: Any, source: Source) -> Any:
    """Pictures turned and mirrored as they are to be shown."""
    for name, argument in turn_filters(source):
        stream = stream.filter(name, argument) if argument else stream.filter(name)
    return stream


def picture_of(
    stream: Any,
    source: Source,
    index: FrameIndex,
    shown: FrameMap,
    *,
    fps: Fraction,
    size: tuple[int, int],
    fit: str,
    look: Look,
    pixel_format: str,
    focus: Sequence[Focus] = (),
    lead: int = 0,
) -> Any:
    """The pictures of one event: exact frames, size, colours.

    Args:
        stream: from `open_input`.
        source: the source.
        index: its frame index.
        shown: which frames.
        fps: output rate.
        size: output width and height.
        fit: contain, cover, centre or blur.
        look: the grade; a lookup table must lie in ffmpeg's working folder under a safe name.
        pixel_format: of the output.
        focus: what cover keeps in view; without it, the middle.
        lead: output frames that are shown before the event itself.
    """
    stream = frames_of(stream, source, index, shown.first, shown.last + 1)
    # Rotation, HDR metadata, captions: done here, or untrue of the result.
    stream = stream.filter("sidedata", mode="delete")
    stream = stream.filter("settb", expr="1/1000000000")
    tick = Fraction(10**9) / fps
    stream = stream.filter("setpts", expr=f"round({shown.expression()}*{float(tick)!r})")
    stream = stream.filter("settb", expr=f"{fps.denominator}/{fps.numerator}")
    rates = {"fps": f"{fps.numerator}/{fps.denominator}", "start_time": 0, "round": "near"}
    # Work on each picture once: before it is repeated, or after those that nobody sees are dropped.
    repeats = shown.last - shown.first + 1 <= shown.frames
    if not repeats:
        stream = stream.filter("fps", **rates)
    window = window_expressions(focus, fps, lead) if fit == "cover" else None
    stream = _coloured(stream, source, size, fit, pixel_format, look, window)
    if repeats:
        stream = stream.filter("fps", **rates)
    # The last picture stays until the event ends, however long the stream says that it lasts.
    stream = stream.filter("tpad", stop=shown.frames, stop_mode="clone")
    return stream.filter("trim", end_frame=shown.frames)


def graded_picture(stream: Any, source: Source, look: Look, pixel_format: str) -> Any:
    """Pictures in a grade, of the size that they have, in Rec.709.

    Args:
        stream: pictures of the source.
        source: whose colours they have.
        look: the grade; a lookup table must lie in ffmpeg's working folder under a safe name.
        pixel_format: of the output.
    """
    stream = _to_rec709(stream.filter("sidedata", mode="delete"), source)
    colours, depth = _colours_of(source), _planar_depth(source)
    if isinstance(look, Curves) and (colours != REC709 or not depth):
        stream = stream.filter(
            "scale", flags=SCALER, in_color_matrix=colours[0], in_range=colours[1],
            out_color_matrix="bt709", out_range="tv",
        ).filter("format", pixel_format)  # fmt: skip
        colours, depth = REC709, _depth(pixel_format)
    stream, _ = _graded(stream, colours, look, depth, pixel_format)
    return stream.filter(
        "setparams", range="tv", color_primaries="bt709", color_trc="bt709", colorspace="bt709"
    )


def matrix_of(source: Source) -> str:
    """The matrix of a source; where it says none, SD is taken for BT.601 and HD for BT.709, as players do."""
    names = {"bt470bg": "bt470bg", "smpte170m": "smpte170m", "smpte240m": "smpte240m", "fcc": "fcc"}
    if source.color_space in ("bt2020nc", "bt2020c"):
        return "bt2020"
    if source.color_space == "bt709":
        return "bt709"
    return names.get(source.color_space) or ("bt709" if source.coded_height >= 720 else "smpte170m")


def _coloured(
    stream: Any,
    source: Source,
    size: tuple[int, int],
    fit: str,
    pixel_format: str,
    look: Look,
    window: tuple[str, str] | None = None,
) -> Any:
    stream = _to_rec709(stream, source)
    stream = upright(stream, source)
    colours, depth = _colours_of(source), _planar_depth(source)
    even = (
        source.coded_width % 2 == source.coded_height % 2 == 0
    )  # ffmpeg's `colorspace` takes no others
    if depth and even and colours != REC709 and colours[1] == "tv":
        # The scaler would go through RGB at the output's size: three times the cost of scaling alone.
        stream, colours = _matrixed(stream, colours[0]), REC709
    # A grade costs by the pixel: do it on the smaller picture.
    small = source.coded_width * source.coded_height <= size[0] * size[1]
    first = small and (colours == REC709 and depth > 0 if isinstance(look, Curves) else True)
    if first:
        stream, colours = _graded(stream, colours, look, depth, pixel_format, even=even)
    stream = _fitted(stream, source, size, fit, colours, pixel_format, window)
    if not first:
        stream, _ = _graded(stream, REC709, look, _depth(pixel_format), pixel_format)
    stream = stream.filter(
        "setparams", range="tv", color_primaries="bt709", color_trc="bt709", colorspace="bt709"
    )
    return stream.filter("setsar", 1)


def _depth(pixel_format: str) -> int:
    return 10 if pixel_format.endswith("10le") else 8


def _planar_depth(source: Source) -> int:
    """The bit depth behind `_to_rec709` where pictures are plain planar Y'CbCr, else 0."""
    if is_wide(source):
        return 8
    plain = {f"yuv{s}p{d}": int(d[:2] or 8) for s in (420, 422, 444) for d in ("", "10le")}
    return plain.get(source.pixel_format, 0)


def _matrixed(stream: Any, matrix: str) -> Any:
    """From a matrix to Rec.709's, in limited range; nothing else of the colours changes."""
    same = {"primaries": "bt709", "trc": "bt709", "iprimaries": "bt709", "itrc": "bt709"}
    return stream.filter(
        "colorspace", ispace=matrix, space="bt709", irange="tv", range="tv", **same
    )


def _to_rec709(stream: Any, source: Source) -> Any:
    """Wide-gamut and HDR pictures are brought to Rec.709 light first; for others the matrix is enough."""
    if not is_wide(source):
        return stream
    # What the file does not say is said here: zscale refuses to guess.
    matrix = "bt2020" if source.color_space == "unspecified" else matrix_of(source)
    rgb = any(order in source.pixel_format for order in ("rgb", "bgr", "gbr"))
    stream = stream.filter(
        "setparams",
        colorspace="gbr" if rgb else {"bt2020": "bt2020nc"}.get(matrix, matrix),
        color_primaries=primaries_of(source),
        color_trc=source.color_transfer if source.hdr else "bt709",
        range="pc" if rgb or source.color_range == "pc" else "tv",
    )
    if source.hdr:
        stream = stream.filter("zscale", transfer="linear", npl=100)
        stream = stream.filter("format", "gbrpf32le")
        stream = stream.filter("zscale", primaries="bt709")
        stream = stream.filter("tonemap", tonemap="hable", desat=0)
    stream = stream.filter(
        "zscale", primaries="bt709", transfer="bt709", matrix="bt709", range="tv"
    )
    return stream.filter("format", "yuv444p")


def _colours_of(source: Source) -> Colours:
    """Matrix and range of the pictures behind `_to_rec709`."""
    if is_wide(source):
        return REC709
    full = source.color_range == "pc" or source.pixel_format.startswith("yuvj")
    return matrix_of(source), "pc" if full else "tv"


def _graded(
    stream: Any,
    colours: Colours,
    look: Look,
    depth: int,
    pixel_format: str,
    *,
    even: bool = True,
) -> tuple[Any, Colours]:
    """Graded pictures and their colours; `depth` is 0 where they are no plain planar Y'CbCr."""
    if look is None:
        return stream, colours
    if isinstance(look, Curves):
        chroma = look.chroma_expression(depth)
        stream = stream.filter("lutyuv", y=look.luma_expression(depth), u=chroma, v=chroma)
        return stream, colours
    # Through the lookup table and back in float, since only there ffmpeg's lookup is vectorised: half the time.
    if depth and even:
        # zscale writes Y'CbCr at half the cost of the scaler, but takes few formats, and no odd sizes.
        exact = {"filter": "bicubic", "dither": "none"}
        stream = stream.filter(
            "zscale",
            matrixin=ZIMG_MATRICES[colours[0]],
            rangein="limited" if colours[1] == "tv" else "full",
            matrix="gbr",
            range="full",
            **exact,
        )
        stream = stream.filter("format", "gbrpf32le")
        stream = stream.filter("lut3d", file=look.name, interp="tetrahedral")
        stream = stream.filter("zscale", matrix="709", range="limited", **exact)
        return stream.filter("format", pixel_format), REC709
    stream = stream.filter(
        "scale", flags=SCALER, in_color_matrix=colours[0], in_range=colours[1], out_range="pc"
    )
    stream = stream.filter("format", "gbrpf32le")
    stream = stream.filter("lut3d", file=look.name, interp="tetrahedral")
    stream = stream.filter("scale", flags=SCALER, out_color_matrix="bt709", out_range="tv")
    return stream.filter("format", pixel_format), REC709


def _scale(stream: Any, colours: Colours, width: int, height: int, pixel_format: str) -> Any:
    scaled = stream.filter(
        "scale",
        w=width,
        h=height,
        flags=SCALER,
        in_color_matrix=colours[0],
        in_range=colours[1],
        out_color_matrix="bt709",
        out_range="tv",
    )
    return scaled.filter("format", pixel_format)


def _fitted(
    stream: Any,
    source: Source,
    size: tuple[int, int],
    fit: str,
    colours: Colours,
    pixel_format: str,
    window: tuple[str, str] | None = None,
) -> Any:
    width, height = size
    ratio = Fraction(source.width, source.height) / Fraction(width, height)
    if abs(ratio - 1) < Fraction(1, 100):
        return _scale(stream, colours, width, height, pixel_format)
    inside = (width, _even(width / Fraction(source.width, source.height)))
    if ratio < 1:
        inside = (_even(height * Fraction(source.width, source.height)), height)
    outside = (_even(height * Fraction(source.width, source.height)), height)
    if ratio < 1:
        outside = (width, _even(width / Fraction(source.width, source.height)))
    if fit in ("cover", "centre"):
        scaled = _scale(stream, colours, *_at_least(outside, size), pixel_format)
        if window is None:
            return scaled.filter("crop", width, height)
        return scaled.filter("crop", width, height, *window)
    if fit == "contain":
        scaled = _scale(stream, colours, *inside, pixel_format)
        return scaled.filter("pad", width, height, "(ow-iw)/2", "(oh-ih)/2")
    both = stream.filter_multi_output("split", 2)
    small = (_even(Fraction(width, BLUR_DIVISOR)), _even(Fraction(height, BLUR_DIVISOR)))
    cover = (_even(Fraction(outside[0], BLUR_DIVISOR)), _even(Fraction(outside[1], BLUR_DIVISOR)))
    behind = _scale(both[0], colours, *_at_least(cover, small), "yuv420p")
    behind = behind.filter("crop", *small).filter("gblur", sigma=max(2, small[1] // 24))
    behind = behind.filter("lutyuv", y="(val-16)*0.6+16")
    behind = behind.filter("scale", w=width, h=height, flags="bilinear").filter("setsar", 1)
    before = _scale(both[1], colours, *inside, pixel_format).filter("setsar", 1)
    pixels = "yuv420p10" if pixel_format.endswith("10le") else "yuv420"
    joined = ffmpeg.overlay(behind, before, x="(W-w)/2", y="(H-h)/2", format=pixels, shortest=1)
    return joined.filter("format", pixel_format)


def _even(value: Fraction) -> int:
    return max(2, 2 * round(value / 2))


def _at_least(size: tuple[int, int], least: tuple[int, int]) -> tuple[int, int]:
    return max(size[0], least[0]), max(size[1], least[1])
