"""Videos whose pictures are not shown as they are coded: display matrices, container cropping, woven fields."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from montage_dask.media.ffmpeg import run_ffmpeg

MATRICES = {
    "upright": (1, 0, 0, 1),
    "90": (0, 1, -1, 0),
    "180": (-1, 0, 0, -1),
    "270": (0, -1, 1, 0),
    "vflip": (1, 0, 0, -1),
    "transpose": (0, 1, 1, 0),
    "hflip": (-1, 0, 0, 1),
    "transverse": (0, -1, -1, 0),
}
"""All eight orientations: a, b, c, d of a display matrix. A pixel at (x, y) is shown at (a·x + c·y, b·x + d·y)."""


def with_matrix(source: Path, path: Path, matrix: tuple[float, ...]) -> Path:
    """A copy of an MP4 with another display matrix in the header of its first track."""
    data = bytearray(source.read_bytes())
    at = data.find(b"tkhd")
    begin = at + 4 + 4 + (32 if data[at + 4] else 20) + 8 + 8
    a, b, c, d = (round(v * 65536) for v in matrix)
    data[begin : begin + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def with_clap(source: Path, path: Path, size: tuple[int, int], crop: tuple[int, ...]) -> Path:
    """A copy of an MP4 whose index is at its end, with a clean aperture.

    Args:
        source: of H.264.
        path: to write.
        size: of its pictures.
        crop: pixels that are hidden at the left, top, right and bottom.
    """
    left, top, right, bottom = crop
    wide, high = size[0] - left - right, size[1] - top - bottom
    # The distance of the middle of what is shown from the middle of the picture, in halves of a pixel.
    box = struct.pack(
        ">I4sIIIIiIiI", 40, b"clap", wide, 1, high, 1, left - right, 2, top - bottom, 2
    )
    data = bytearray(source.read_bytes())
    moov = data.find(b"moov")
    entry = data.find(b"avc1", moov)
    length = int.from_bytes(data[entry - 4 : entry], "big")
    end = entry - 4 + length
    data[end:end] = box
    assert data.find(b"mdat") < moov  # else the places of all pictures would change
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1"):
        at = data.find(name, moov) - 4
        grown = int.from_bytes(data[at : at + 4], "big") + len(box)
        data[at : at + 4] = grown.to_bytes(4, "big")
    path.write_bytes(data)
    return path


def fields(path: Path, order: str, *options: str, flag: str = "", frames: int = 12) -> Path:
    """Woven fields at 25 frames a second: a bar that moves 8 pixels from field to field (see `bar`).

    Args:
        path: to write.
        order: tff or bff: which field comes first.
        options: of the encoder; lossless H.264 without any.
        flag: what the pictures say: tff, bff or prog; by default the truth.
        frames: of 320×192.
    """
    weave = {"tff": "interleave_top", "bff": "interleave_bottom"}[order]
    said = flag or order
    told = ("-flags", "+ildct+ilme", "-x264-params", f"{said}=1") if said != "prog" else ()
    drawn = "geq=lum='if(between(X-mod(N*8\\,240)\\,20\\,59)\\,200\\,50+Y/4)':cb=128:cr=128"
    run_ffmpeg(
        [
            "-f", "lavfi", "-i", f"nullsrc=size=320x192:rate=50,format=yuv420p,{drawn}",
            "-vf", f"tinterlace={weave},setfield={said}", "-frames:v", str(frames),
            *(options or ("-c:v", "libx264", "-preset", "ultrafast", "-qp", "0", "-threads", "1", *told)),
            f"file:{path}",
        ],
        about=path,
    )  # fmt: skip
    return path


def bar(field: int) -> np.ndarray:
    """The luma of a moment of `fields`: uint8 [192, 320]."""
    luma = np.repeat((50 + np.arange(192) / 4).astype(np.uint8)[:, None], 320, 1)
    luma[:, 20 + field * 8 : 60 + field * 8] = 200
    return luma


def shown_by_ffmpeg(
    path: Path, size: tuple[int, int], *filters: str, stream: int | None = None
) -> np.ndarray:
    """All frames as the ffmpeg executable shows a file by itself: uint8 [n, height, width, 3]."""
    raw = path.with_suffix(".rgb")
    chain = [
        *filters,
        f"scale={size[0]}:{size[1]}:flags=bicubic+accurate_rnd+full_chroma_int",
        "format=rgb24",
    ]
    run_ffmpeg(
        [
            "-i", f"file:{path}", "-map", "0:v:0" if stream is None else f"0:{stream}", "-fps_mode", "passthrough",
            "-vf", ",".join(chain), "-f", "rawvideo", f"file:{raw}",
        ],
        about=path,
    )  # fmt: skip
    pictures = np.fromfile(raw, np.uint8).reshape(-1, size[1], size[0], 3)
    raw.unlink()
    return pictures


def with_edits(source: Path, path: Path, edits: list[tuple[float, float]]) -> Path:
    """A copy of an MP4 whose index is at its end, with another edit list.

    Args:
        source: with one track.
        path: to write.
        edits: how long (seconds), and from which second of the media; -1 for nothing.
    """
    data = bytearray(source.read_bytes())
    moov = data.find(b"moov")
    assert data.find(b"mdat") < moov

    def scale(name: bytes) -> int:
        at = data.find(name, moov)
        return int.from_bytes(data[at + 16 : at + 20], "big")

    movie, media = scale(b"mvhd"), scale(b"mdhd")
    entries = b"".join(
        struct.pack(">iiI", round(t * movie), round(s * media) if s >= 0 else -1, 1 << 16)
        for t, s in edits
    )
    listed = struct.pack(">II", 0, len(edits)) + entries
    elst = struct.pack(">I4s", 8 + len(listed), b"elst") + listed
    edts = struct.pack(">I4s", 8 + len(elst), b"edts") + elst
    at = data.find(b"edts", moov) - 4
    length = int.from_bytes(data[at : at + 4], "big")
    data[at : at + length] = edts
    for name in (b"moov", b"trak"):
        box = data.find(name, moov) - 4
        grown = int.from_bytes(data[box : box + 4], "big") + len(edts) - length
        data[box : box + 4] = grown.to_bytes(4, "big")
    path.write_bytes(data)
    return path
