"""Looking at a finished file with other eyes: its frames, its cuts, its sound. Shares no code with the analysis."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from montage_dask.errors import MediaError, VerificationError

CUT_CHANGE = 8.0
"""Mean change of luma, in code values, that a cut must have at least."""
CUT_RATIO = 2.2
"""How much more a cut must change than the larger of the changes around it."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a file holds, by its packets."""

    frames: int
    fps: Fraction
    start_seconds: Fraction
    """When the first picture is shown."""
    audio_start_seconds: Fraction | None
    audio_seconds: Fraction | None


def frames_hash(path: Path) -> str:
    """SHA-256 of all decoded pictures: equal for equal video."""
    digest = hashlib.sha256()
    with av.open(f"file:{path}", metadata_errors="replace") as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        for frame in container.decode(stream):
            digest.update(np.ascontiguousarray(frame.to_ndarray()).tobytes())
    return digest.hexdigest()


def find_cuts(path: Path) -> tuple[int, ...]:
    """First frames of new shots in a finished file: where the picture changes much more than around it."""
    changes = [0.0]
    before: np.ndarray | None = None
    with av.open(f"file:{path}", metadata_errors="replace") as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        for frame in container.decode(stream):
            small = frame.reformat(width=128, height=72, format="gray", interpolation="AREA")
            luma = small.to_ndarray().astype(np.float32)
            if before is not None:
                changes.append(float(np.abs(luma - before).mean()))
            before = luma
    found = []
    for n in range(1, len(changes)):
        around = changes[max(1, n - 2) : n] + changes[n + 1 : n + 3]
        if changes[n] >= CUT_CHANGE and changes[n] >= CUT_RATIO * max(around, default=0.0):
            found.append(n)
    return tuple(found)


def facts(path: Path) -> Facts:
    """Demux a file and check that its pictures come at a constant rate.

    Raises:
        VerificationError: they do not.
        MediaError: it cannot be read.
    """
    try:
        with av.open(f"file:{path}", metadata_errors="replace") as container:
            video = container.streams.video[0]
            sounds = container.streams.audio
            pts: list[int] = []
            audio: list[tuple[int, int]] = []
            for packet in container.demux([video, *sounds[:1]]):
                if not packet.size or packet.pts is None:
                    continue
                if packet.stream_index == video.index:
                    pts.append(packet.pts)
                elif not packet.is_discard:
                    audio.append((packet.pts, packet.duration or 0))
            base = Fraction(video.time_base)
            sound_base = Fraction(sounds[0].time_base) if sounds else Fraction(1)
    except (av.FFmpegError, IndexError) as error:
        raise MediaError(str(path), f"cannot be read back: {error}") from error
    pts.sort()
    deltas = set(np.diff(pts).tolist())
    if len(deltas) > 1 and max(deltas) - min(deltas) > 1:
        raise VerificationError(
            f"{path}: frames are not evenly spaced ({sorted(deltas)[:5]} ticks)"
        )
    span = (pts[-1] - pts[0]) * base if len(pts) > 1 else Fraction(0)
    fps = (len(pts) - 1) / span if span else Fraction(0)
    return Facts(
        frames=len(pts),
        fps=fps.limit_denominator(1001),
        start_seconds=pts[0] * base if pts else Fraction(0),
        audio_start_seconds=audio[0][0] * sound_base if audio else None,
        audio_seconds=sum((Fraction(d) for _, d in audio), Fraction(0)) * sound_base
        if audio
        else None,
    )


def check(path: Path, *, frames: int, fps: Fraction, joins: tuple[int, ...] = ()) -> None:
    """Check a finished file: number and spacing of frames, sound and picture together, and that it decodes.

    Args:
        path: the file.
        frames: that it must have.
        fps: that it must have.
        joins: frames at which files were joined: a few pictures around each are decoded.

    Raises:
        VerificationError: it is not as promised; says how.
    """
    found = facts(path)
    if found.frames != frames:
        raise VerificationError(f"{path}: {found.frames} frames instead of {frames}")
    if frames > 2 and abs(found.fps - fps) > Fraction(1, 1000) * fps:
        raise VerificationError(
            f"{path}: {float(found.fps):.4f} frames a second instead of {float(fps):.4f}"
        )
    if found.audio_start_seconds is not None and found.audio_seconds is not None:
        apart = abs(found.audio_start_seconds - found.start_seconds)
        if apart > 1 / fps:
            raise VerificationError(f"{path}: sound starts {float(apart):.3f} s off the picture")
        difference = abs(found.audio_seconds - frames / fps)
        if difference > 1 / fps + Fraction(1, 20):
            raise VerificationError(
                f"{path}: sound and picture differ in length by {float(difference):.3f} s"
            )
    _decodes(path, sorted({0, max(0, frames - 1), *(j for j in joins if 0 < j < frames)}), fps)


def _decodes(path: Path, numbers: list[int], fps: Fraction) -> None:
    try:
        with av.open(f"file:{path}", metadata_errors="replace") as container:
            stream = container.streams.video[0]
            for number in numbers:
                target = int(number / fps / stream.time_base)
                container.seek(target, stream=stream, backward=True)
                if next(container.decode(stream), None) is None:
                    raise VerificationError(f"{path}: frame {number} cannot be decoded")
    except av.FFmpegError as error:
        raise VerificationError(f"{path}: does not decode clean: {error}") from error
