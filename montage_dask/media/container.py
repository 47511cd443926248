"""Opening untrusted media with PyAV: local files only, and nothing that a file refers to."""

from __future__ import annotations

import os
import stat
from functools import cache
from pathlib import Path
from typing import Any

import av

from montage_dask.errors import MediaError, TargetFailed, printable

REFERRING = frozenset(
    [
        "hls", "applehttp", "dash", "webm_dash_manifest", "concat", "concatf", "imf", "sdp",
        "rtsp", "rtp", "rtp_mpegts", "sap", "lavfi", "image2", "image2pipe", "alias_pix",
        "brender_pix", "tty", "ffmetadata", "mpjpeg", "avisynth", "vapoursynth", "libopenmpt",
        "bin", "xbin", "adf", "idf", "srt", "ass", "webvtt", "x11grab", "kmsgrab", "fbdev",
        "v4l2", "video4linux2", "alsa", "pulse", "oss", "jack", "openal", "dvbsub", "dvbtxt",
        "data", "bfstm", "ircam", "codec2raw",
    ]
)  # fmt: skip
"""Demuxers that open other files or devices, read a single picture, or take any text for video."""

PLAYLIST_HEADS = (
    b"#EXTM3U",
    b"ffconcat",
    b"[playlist]",
    b"v=0\r",
    b"v=0\n",
    b"<smil",
    b"[Reference]",
    b"<asx",
    b"<ASX",
    b"<MPD",
)
PLAYLIST = "is a playlist, which is not followed; name the media files themselves"
IMAGE_HEADS = (
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"BM",
    b"II*\x00",
    b"MM\x00*",
    b"8BPS",
    b"\x00\x00\x01\x00",
)
IMAGE_BRANDS = (b"heic", b"heix", b"avif", b"mif1", b"msf1")


@cache
def demuxers() -> str:
    """The demuxers that may open a file, for FFmpeg's `format_whitelist`."""
    names = sorted(
        n for n in av.formats_available if n not in REFERRING and not n.endswith("_pipe")
    )
    return ",".join(names)


def checked_format(path: str, format_name: str) -> str:
    """A demuxer that a record names, if probing could have named it: records lie in folders that others may have filled.

    Raises:
        MediaError: it is none that may open a file.
    """
    if format_name not in _demuxer_names():
        raise MediaError(path, f"is to be opened as {printable(format_name)!r}, which is not done")
    return format_name


@cache
def _demuxer_names() -> frozenset[str]:
    return frozenset(demuxers().split(","))


def open_media(path: str | Path, format_name: str | None = None, *, device: str = "cpu") -> Any:
    """Open one file for demuxing.

    Args:
        path: the file.
        format_name: the demuxer to force, if known.
        device: "cuda": streams are decoded by a GPU's decoder; pictures come back in system memory.

    Raises:
        TargetFailed: the GPU, or its driver, does not decode this.
        MediaError: it cannot be read, or is nothing that may be opened; says why.
    """
    text = os.fspath(path)
    check_file(text)
    if format_name is not None:
        checked_format(text, format_name)
    if _is_playlist(_head(text)):
        raise MediaError(text, PLAYLIST)
    options = {"protocol_whitelist": "file", "format_whitelist": demuxers()}
    if device != "cpu":
        # A file that is bad must not look like a GPU that is.
        open_media(path, format_name).close()
        try:
            return _open_on_gpu(text, format_name, options)
        except (av.FFmpegError, RuntimeError, ValueError, NotImplementedError) as error:
            raise TargetFailed(f"the GPU does not decode {printable(text)}: {error}") from error
    try:
        return av.open(
            "file:" + os.path.abspath(text),
            format=format_name,
            options=options,
            metadata_errors="replace",
        )
    except (av.FFmpegError, OSError, UnicodeError, ValueError) as error:
        raise MediaError(text, _why(text, error)) from error


def _open_on_gpu(path: str, format_name: str | None, options: dict[str, str]) -> Any:
    from av.codec.hwaccel import HWAccel

    return av.open(
        "file:" + os.path.abspath(path),
        format=format_name,
        options=options,
        metadata_errors="replace",
        hwaccel=HWAccel("cuda", allow_software_fallback=False),
    )


def check_file(path: str) -> None:
    """A readable, non-empty regular file.

    Raises:
        MediaError: it is not.
    """
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise MediaError(path, "is a folder, not a file")
        if not stat.S_ISREG(status.st_mode):
            raise MediaError(path, "is not a regular file")
        with open(path, "rb"):
            pass
    except ValueError as error:
        raise MediaError(path, "is not a valid file name") from error
    except OSError as error:
        reasons = {
            FileNotFoundError: "does not exist",
            PermissionError: "cannot be read: no permission",
        }
        raise MediaError(path, reasons.get(type(error), error.strerror or str(error))) from error
    if status.st_size == 0:
        raise MediaError(path, "is empty (0 bytes)")


def _why(path: str, error: Exception) -> str:
    """A reason that a person can act on, from the first bytes of a file that no demuxer takes."""
    head = _head(path)
    if is_image(head):
        return "is a still image, not a video"
    if b"\x00" not in head and sum(b < 9 for b in head) == 0:
        return "is not media: it contains text"
    if head[4:8] == b"ftyp":
        return "is a damaged or truncated mp4: its index (moov) is missing"
    return f"is not media that can be read, or is damaged ({getattr(error, 'strerror', None) or error})"


def _head(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(4096)


def _is_playlist(head: bytes) -> bool:
    return head.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(PLAYLIST_HEADS) or b"<MPD" in head[:512]


def is_image(head: bytes) -> bool:
    """Whether a file that begins so is a still picture."""
    webp = head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    heif = head[4:8] == b"ftyp" and head[8:12] in IMAGE_BRANDS
    return head.startswith(IMAGE_HEADS) or webp or heif
