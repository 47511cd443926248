"""What operations cost on one CPU thread, for plans and for choosing targets."""

from __future__ import annotations

from collections.abc import Mapping

CPU_SECONDS_PER_FRAME: Mapping[str, float] = {
    "strip": 0.0068, "scores": 0.021, "shots": 0.0002, "encode": 0.06, "motion": 0.016,
    "stabilise": 0.04,
}  # fmt: skip
"""Measured on 1080p with one thread of a 2.5-GHz server core; `docs/benchmarks.md`. Scaled by the number of pixels."""

PIXELS_1080P = 1920 * 1080

BEATS_SECONDS = 2.0
"""Of a track of usual length."""

QUALITY_WORK: Mapping[str, float] = {"preview": 0.35, "standard": 1.0, "high": 2.2, "master": 4.5}
CODEC_WORK: Mapping[str, float] = {"h264": 1.0, "hevc": 3.0, "av1": 2.5}
"""Encoding time relative to H.264 in `standard` quality."""


def encode_seconds_per_pixel(codec: str, quality: str) -> float:
    """CPU time of a pixel of the result in software."""
    return (
        CPU_SECONDS_PER_FRAME["encode"] / PIXELS_1080P * QUALITY_WORK[quality] * CODEC_WORK[codec]
    )
