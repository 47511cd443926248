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

from montage_dask.errors import FFmpegError, TargetFailed, UsageError
from montage_dask.media.ffmpeg import executables, output_argument, run_ffmpeg

CODECS = ("h264", "hevc", "av1")
QUALITIES = ("preview", "standard", "high", "master")

ENCODERS: Mapping[str, str] = {"h264": "libx264", "hevc": "libx265", "av1": "libsvtav1"}
"""The software encoder of each codec: what every worker has."""

HARDWARE = (
    "h264_nvenc", "hevc_nvenc", "av1_nvenc", "h264_vaapi", "hevc_vaapi", "h264_qsv", "hevc_qsv",
    "h264_videotoolbox", "hevc_videotoolbox",
)  # fmt: skip
"""Candidates on special machines; `doctor` tries each."""

ON_GPU: Mapping[str, tuple[str, ...]] = {
    "h264": ("h264_nvenc", "h264_vaapi"),
    "hevc": ("hevc_nvenc", "hevc_vaapi"),
    "av1": ("av1_nvenc", "av1_vaapi"),
}
"""What a GPU worker tries for each codec, the best first."""

VAAPI_DEVICE = "/dev/dri/renderD128"

NVENC_PRESETS: Mapping[str, str] = {"preview": "p1", "standard": "p4", "high": "p6", "master": "p7"}
GPU_FACTORS: Mapping[str, int] = {"preview": 30, "standard": 22, "high": 19, "master": 15}
"""Constant quality of NVENC and VAAPI for H.264 and HEVC; AV1 counts in other steps."""
GPU_FACTORS_AV1: Mapping[str, int] = {"preview": 42, "standard": 32, "high": 26, "master": 20}

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
    """Of the pictures that the filters hand to it."""
    executable: Path | None = None
    """The ffmpeg in which a GPU's encoder works; None: the usual one."""
    device_arguments: tuple[str, ...] = ()
    """Global arguments of ffmpeg that open the device."""
    upload: str | None = None
    """The format in which a filter must bring pictures to the device."""

    @property
    def h264(self) -> bool:
        """Whether it makes H.264, of which players know 8 bits only."""
        return "264" in self.encoder

    def arguments(self) -> list[str]:
        """The options as an argument list."""
        return [part for name, value in self.options for part in (f"-{name}", value)]


def encoding(
    codec: str,
    quality: str,
    *,
    crf: int | None = None,
    threads: int = 1,
    encoder: str | None = None,
) -> Encoding:
    """The encoding of a codec at a quality.

    Args:
        codec: one of CODECS.
        quality: one of QUALITIES.
        crf: overrides the constant rate factor.
        threads: of the encoder; part of what determines the bytes.
        encoder: one of ON_GPU; None: the codec's software encoder.

    Raises:
        UsageError: an unknown codec or quality, or a rate factor out of range.
        TargetFailed: the GPU of this machine, or its driver, does not do it.
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
    if encoder is not None:
        return _on_gpu(codec, quality, crf, encoder, deep)
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
        **TAGS,
    }
    return Encoding(ENCODERS[codec], tuple(options.items()), pixels)


TAGS: Mapping[str, str] = {
    "colorspace": "bt709",
    "color_primaries": "bt709",
    "color_trc": "bt709",
    "color_range": "tv",
    "flags:v": "+bitexact",
    "fflags": "+bitexact",
    "map_metadata": "-1",
}
"""What every file says of itself."""


def _on_gpu(codec: str, quality: str, crf: int | None, encoder: str, deep: bool) -> Encoding:
    if encoder not in ON_GPU[codec]:
        raise UsageError(f"encoder {encoder}: must be one of {', '.join(ON_GPU[codec])}")
    executable, why = find_encoder(encoder)
    if executable is None:
        raise TargetFailed(f"{encoder} does not work here: {why}")
    factor = crf
    if factor is None:
        factor = (GPU_FACTORS_AV1 if codec == "av1" else GPU_FACTORS)[quality]
    pixels, packed = ("yuv420p10le", "p010le") if deep else ("yuv420p", "nv12")
    options = {"c:v": encoder, **({"tag:v": "hvc1"} if codec == "hevc" else {})}
    if encoder.endswith("_nvenc"):
        options |= {
            "preset": NVENC_PRESETS[quality], "tune": "hq", "rc": "vbr", "cq": str(factor), "b:v": "0",
            # Every cut is a keyframe from which a player can start, and nothing else is.
            "forced-idr": "1", "no-scenecut": "1", "g": "250", "strict_gop": "1",
            "pix_fmt": packed,
        }  # fmt: skip
        return Encoding(encoder, tuple({**options, **TAGS}.items()), pixels, executable)
    options |= {"rc_mode": "CQP", "qp": str(factor), "g": "250"}
    device = ("-vaapi_device", VAAPI_DEVICE)
    every = tuple({**options, **TAGS}.items())
    return Encoding(encoder, every, pixels, executable, device, packed)


@cache
def find_encoder(name: str) -> tuple[Path | None, str]:
    """The first ffmpeg of this machine in which an encoder works: another build may fit the driver where ours does not.

    Returns:
        The executable; or None, and why the usual one failed.
    """
    reasons = []
    for executable in executables():
        works, why = try_encoder(name, executable)
        if works:
            return executable, ""
        reasons.append(why)
    return None, reasons[0]


def working_encoder(codec: str) -> tuple[str | None, str]:
    """The best GPU encoder of a codec that works in this process, or None and why there is none."""
    reasons = []
    for name in ON_GPU[codec]:
        executable, why = find_encoder(name)
        if executable is not None:
            return name, ""
        reasons.append(f"{name}: {why}")
    return None, "; ".join(reasons)


@cache
def try_encoder(name: str, executable: Path | None = None) -> tuple[bool, str]:
    """Encode a few 256×256 frames: a listed encoder proves nothing.

    Args:
        name: FFmpeg's name of the encoder.
        executable: an ffmpeg; None: the usual one.

    Returns:
        Whether it works, and if not, the line that says why.
    """
    device = ["-vaapi_device", VAAPI_DEVICE] if name.endswith("_vaapi") else []
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
                executable=executable,
            )  # fmt: skip
        except FFmpegError as error:
            unknown = [line for line in error.last_lines if "Unknown encoder" in line]
            return False, "this ffmpeg was built without it" if unknown else error.reason
        return (True, "") if output.stat().st_size else (False, "it wrote nothing")


def available_encoders() -> list[tuple[str, bool, str]]:
    """Every encoder of the tables with whether it works here, and why not."""
    return [(name, *try_encoder(name)) for name in (*ENCODERS.values(), *HARDWARE)]
