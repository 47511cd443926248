"""Audio of any file as one deterministic stream of mono samples.

Time 0 is the first sample that a player plays: encoder priming and edit lists are applied by
FFmpeg, a late start of the stream inside a video is dropped, and gaps in the time stamps become
silence, so that sample n is n / rate seconds.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from montage_dask.errors import MediaError
from montage_dask.media.container import open_media
from montage_dask.media.limits import within_length
from montage_dask.media.probe import fingerprint

Samples = npt.NDArray[np.float32]

ANALYSIS_RATE = 22050
"""Samples per second that all music analysis works on."""

GAP_SECONDS = 0.03
"""Time stamps may wander so far (containers round them) before samples are filled in or dropped."""

LONGEST_GAP_SECONDS = 60.0
"""A larger jump is a broken clock, not a pause: the audio continues without it."""

BLOCK_SAMPLES = 1 << 16
"""A block is about so long: NumPy works on whole blocks, not on the small frames of codecs."""

LOUDEST = 16.0
"""Float samples beyond this (+24 dBFS) are damage, and would drown everything else."""

STEPS = 1 << 19
"""Samples are multiples of 1 / STEPS (-114 dBFS): ±LOUDEST is 24 bit, so that they travel as FLAC without loss."""


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """The audio of one file, probed without decoding it."""

    path: str
    """Absolute path."""
    identity: str
    """First 32 hex digits of the SHA-256 of the file's bytes."""
    format_name: str
    """The demuxer, one name ("mov", "ogg")."""
    stream_index: int
    """Index of the audio stream in the file."""
    codec: str
    sample_rate: int
    """Samples per second."""
    channels: int
    duration_seconds: Fraction
    """As the container says; 0 when it does not. The decoded length is the truth."""


def probe_audio(path: str | Path) -> AudioInfo:
    """What the audio of a file is.

    Raises:
        MediaError: the file cannot be read, is no media file or has no audio.
    """
    full = os.path.abspath(path)
    with _opened(full) as (container, stream):
        duration = Fraction(0)
        if stream.duration is not None and stream.time_base is not None:
            duration = stream.duration * stream.time_base
        elif container.duration is not None:
            duration = Fraction(container.duration, 1_000_000)
        return AudioInfo(
            path=full,
            identity=fingerprint(full),
            format_name=container.format.name.split(",")[0],
            stream_index=stream.index,
            codec=stream.codec_context.name,
            sample_rate=int(stream.codec_context.sample_rate),
            channels=int(stream.codec_context.layout.nb_channels),
            duration_seconds=max(Fraction(0), duration),
        )


def has_audio(path: str | Path) -> bool:
    """Whether a file holds an audio stream; False for what cannot be opened."""
    try:
        with _opened(os.path.abspath(path)):
            return True
    except MediaError:
        return False


def decode_mono(path: str | Path, sample_rate: int = ANALYSIS_RATE) -> Samples:
    """The whole audio of a file as mono samples, float32, full scale ±1, shape (samples,).

    Raises:
        MediaError: as `mono_blocks`.
    """
    return np.concatenate(list(mono_blocks(path, sample_rate)))


def mono_blocks(path: str | Path, sample_rate: int = ANALYSIS_RATE) -> Iterator[Samples]:
    """The audio of a file as consecutive blocks of mono samples, float32, full scale ±1.

    The channels are mixed by FFmpeg's rule for their layout. Broken packets become silence, NaN
    becomes 0. Memory does not grow with the length.

    Raises:
        MediaError: as `probe_audio`, or no sample could be decoded.
    """
    yield from _gathered(_pieces(os.path.abspath(path), sample_rate))


@within_length
def _pieces(full: str, sample_rate: int) -> Iterator[Samples]:
    """The samples frame by frame, on the unbroken clock."""
    produced = 0
    broken = ""
    with _opened(full) as (container, stream):
        stream.codec_context.thread_count = 1
        mixer = _Mixer(sample_rate)
        for packet in _packets(container, stream):
            try:
                frames = packet.decode()
            except av.error.FFmpegError as error:
                broken = error.strerror or str(error)
                continue
            for frame in frames:
                for piece in mixer.push(frame):
                    produced += len(piece)
                    yield piece
        for piece in mixer.finish():
            produced += len(piece)
            yield piece
    if produced == 0:
        raise MediaError(full, f"no audio could be decoded ({broken or 'the stream is empty'})")


@contextmanager
def _opened(full: str) -> Iterator[tuple[Any, Any]]:
    with open_media(full) as container:
        stream = container.streams.best("audio")
        if stream is None:
            raise MediaError(full, "has no audio stream")
        if not stream.codec_context.sample_rate:
            raise MediaError(full, "has an audio stream without any samples")
        yield container, stream


def _packets(container: Any, stream: Any) -> Iterator[Any]:
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.error.EOFError):
            return
        except av.error.FFmpegError:
            # A truncated file: what came before it is good.
            return
        yield packet


class _Mixer:
    """Decoded frames to blocks of mono samples on an unbroken clock."""

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._resampler: Any = None
        self._source: tuple[int, str, str] | None = None
        self._start_seconds: float | None = None
        self._shift_seconds = 0.0
        self._due = 0.0
        self._written = 0

    def push(self, frame: Any) -> Iterator[Samples]:
        source = (int(frame.sample_rate), frame.layout.name, frame.format.name)
        if source != self._source:
            yield from self._flush()
            self._resampler = av.AudioResampler(format="flt", layout="mono", rate=self._rate)
            self._source = source
            self._due = self._written / self._rate
        drop = 0
        if frame.pts is not None and frame.time_base is not None:
            at = frame.pts * float(frame.time_base)
            if self._start_seconds is None:
                self._start_seconds = at
            error = at - self._start_seconds - self._shift_seconds - self._due
            if abs(error) > LONGEST_GAP_SECONDS:
                self._shift_seconds += error
            elif error > GAP_SECONDS:
                yield from self._flush()
                silence = round(error * self._rate)
                self._written += silence
                self._due += error
                yield np.zeros(silence, np.float32)
                self._resampler = av.AudioResampler(format="flt", layout="mono", rate=self._rate)
            elif error < -GAP_SECONDS:
                drop = min(frame.samples, round(-error * source[0]))
        if drop >= frame.samples:
            return
        if drop:
            whole = frame
            planes = whole.to_ndarray()
            step = 1 if whole.format.is_planar else whole.layout.nb_channels
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(planes[:, drop * step :]), whole.format.name, whole.layout.name
            )
            frame.sample_rate = whole.sample_rate
        self._due += frame.samples / source[0]
        frame.pts = None
        yield from self._take(self._resampler.resample(frame))

    def finish(self) -> Iterator[Samples]:
        yield from self._flush()

    def _flush(self) -> Iterator[Samples]:
        if self._resampler is not None:
            yield from self._take(self._resampler.resample(None))
            self._resampler = None

    def _take(self, frames: list[Any]) -> Iterator[Samples]:
        for frame in frames:
            block = frame.to_ndarray().reshape(-1)[: frame.samples]
            self._written += len(block)
            yield block


def _gathered(pieces: Iterable[Samples]) -> Iterator[Samples]:
    """Pieces of one frame each to blocks of about 3 s, without damage."""
    held: list[Samples] = []
    length = 0
    for piece in pieces:
        held.append(piece)
        length += len(piece)
        if length >= BLOCK_SAMPLES:
            yield _cleaned(held)
            held, length = [], 0
    if length:
        yield _cleaned(held)


def _cleaned(pieces: list[Samples]) -> Samples:
    block = np.concatenate(pieces).astype(np.float32, copy=False)
    np.nan_to_num(block, copy=False, nan=0.0, posinf=LOUDEST, neginf=-LOUDEST)
    most = LOUDEST - 1 / STEPS
    np.clip(block, -most, most, out=block)
    block *= STEPS
    np.rint(block, out=block)
    block /= STEPS
    return block
