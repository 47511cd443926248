"""The one table of encoder arguments, and the proof that an encoder works: encoding a few frames with it.

Everything that changes the bytes is fixed here – the number of threads too – so that equal input gives an equal file on any
machine, and segments of one montage join without re-encoding.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from montage_dask.errors import FFmpegError, UsageError
from montage_dask.media.ffmpeg import output_argument, run_ffmpeg

CODECS = ("h264", "hevc", "av1")
QUALITIES = ("preview", "standard", "high", "master")

ENCODERS: Mapping[str, str] = {"h264": "libx264", "hevc": "libx265", "av1": "libsvtav1"}
"""The software encoder of each codec: what every worker has."""

HARDWARE = (
    "h264_nvenc", "hevc_nvenc", "av1_nvenc", "h264_vaapi", "hevc_vaapi", "h264_qsv", "hevc_qsv",
    "h264_videotoolbox", "hevc_videotoolbox",
)  # fmt: skip
"""Candidates on special machines; `doctor` tries each."""

PRESETS: Mapping[tuple[str, str], tuple[str, int]] = {
    ("h264", "preview"): ("ultrafast", 28),
    ("h264", "standard"): ("veryfast", 20),
    ("h264", "high"): ("medium", 18),
    ("h264", "master"): ("slow", 14),
    ("hevc", "preview"): ("ultrafast", 30),
    ("hevc", "standard"): ("veryfast", 23),
    ("hevc", "high"): ("medium", 20),
    ("hevc", "master"): ("slow", 16),
    ("av1", "preview"): ("12", 42),
    ("av1", "standard"): ("10", 32),
    ("av1", "high"): ("7", 26),
    ("av1", "master"): ("5", 20),
}
"""Preset and constant rate factor."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """How pictures are encoded."""

    encoder: str
    options: tuple[tuple[str, str], ...]
    """FFmpeg output options, without dashes."""
    pixel_format: str

    def arguments(self) -> list[str]:
        """The options as an argument list."""
        return [part for name, value in self.options for part in (f"-{name}", value)]


def encoding(codec: str, quality: str, *, crf: int | None = None, threads: int = 1) -> Encoding:
    """The encoding of a codec at a quality.

    Args:
        codec: one of CODECS.
        quality: one of QUALITIES.
        crf: overrides the constant rate factor.
        threads: of the encoder; part of what determines the bytes.

    Raises:
        UsageError: an unknown codec or quality, or a rate factor out of range.
    """
    if (codec, quality) not in PRESETS:
        raise UsageError(
            f"codec {codec}, quality {quality}: must be one of {', '.join(CODECS)} and "
            + ", ".join(QUALITIES)
        )
    preset, factor = PRESETS[codec, quality]
    factor = factor if crf is None else crf
    highest = 63 if codec == "av1" else 51
    if not 0 <= factor <= highest:
        raise UsageError(f"crf = {factor}: must lie between 0 and {highest} for {codec}")
    deep = codec != "h264" and quality == "master"  # 10-bit H.264 plays almost nowhere
    pixels = "yuv420p10le" if deep else "yuv420p"
    own: dict[str, dict[str, str]] = {
        "h264": {
            # A rate factor of 0 is lossless, which the High profile does not know.
            **({"profile:v": "high"} if factor else {}),
            "x264-params": "open-gop=0",
            "threads": str(threads),
        },
        "hevc": {
            "tag:v": "hvc1",
            "x265-params": f"open-gop=0:pools={threads}:frame-threads=1:log-level=error",
        },
        "av1": {"svtav1-params": f"lp={threads}"},
    }
    options = {
        "c:v": ENCODERS[codec],
        "preset": preset,
        "crf": str(factor),
        "pix_fmt": pixels,
        **own[codec],
        "colorspace": "bt709",
        "color_primaries": "bt709",
        "color_trc": "bt709",
        "color_range": "tv",
        "flags:v": "+bitexact",
        "fflags": "+bitexact",
        "map_metadata": "-1",
    }
    return Encoding(ENCODERS[codec], tuple(options.items()), pixels)


@cache
def try_encoder(name: str) -> tuple[bool, str]:
    """Encode a few 256×256 frames: a listed encoder proves nothing.

    Returns:
        Whether it works, and if not, the line that says why.
    """
    device = ["-vaapi_device", "/dev/dri/renderD128"] if name.endswith("_vaapi") else []
    upload = ["-vf", "format=nv12,hwupload"] if device else []
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "try.mkv"
        try:
            run_ffmpeg(
                [
                    *device, "-f", "lavfi", "-i", "testsrc2=size=256x256:rate=25",
                    *upload, "-frames:v", "5", "-c:v", name, output_argument(output),
                ],
                about=name,
                stall_seconds=30,
            )  # fmt: skip
        except FFmpegError as error:
            unknown = [line for line in error.last_lines if "Unknown encoder" in line]
            return False, "this ffmpeg was built without it" if unknown else error.reason
        return (True, "") if output.stat().st_size else (False, "it wrote nothing")


def available_encoders() -> list[tuple[str, bool, str]]:
    """Every encoder of the tables with whether it works here, and why not."""
    return [(name, *try_encoder(name)) for name in (*ENCODERS.values(), *HARDWARE)]
