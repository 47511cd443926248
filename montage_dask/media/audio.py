"""Audio of any file as one deterministic stream of samples: the only decoder of what is heard, measured and played.

The clock is that of the samples. Time 0 is the first sample that a player plays (encoder priming and edit lists are applied
by FFmpeg, a late start of the stream inside a video is dropped), and decoded samples follow one another: sample n is n / rate
seconds, whatever the time stamps of the container say. Stamps that jump, stand still or run backward, as in recordings,
joined files and chains, neither tear the music apart nor cut any of it away. Samples count in most programs that write beats,
too. Only a packet that cannot be decoded leaves silence, as long as it says that it is, so that the music behind it keeps its
pace. Where the rate or the layout changes, the new sound goes on at the exact place, at whatever rate it is asked for: so
music analysis (mono) and the render (stereo) are never further apart than half a sample.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from montage_dask.errors import MediaError
from montage_dask.media import matroska_chain, ogg_chain
from montage_dask.media.container import open_media
from montage_dask.media.joined import REASON, unread_file
from montage_dask.media.limits import too_long, within_length
from montage_dask.media.mixing import BLOCK_SAMPLES as BLOCK_SAMPLES
from montage_dask.media.mixing import Mixer
from montage_dask.media.mixing import Samples as Samples
from montage_dask.media.probe import fingerprint

ANALYSIS_RATE = 22050
"""Samples per second that all music analysis works on."""

LONGEST_LOST_SECONDS = 1.0
"""What a packet that cannot be decoded says of its length is believed up to this."""

TOLD_ASTRAY_SECONDS = Fraction(1, 5)
"""Time stamps that are further off the samples are told: other programs may go by them."""

LOUDEST = 16.0
"""Float samples beyond this (+24 dBFS) are damage, and would drown everything else."""

STEPS = 1 << 19
"""Samples are multiples of 1 / STEPS (-114 dBFS): ±LOUDEST is 24 bit, so that they travel as FLAC without loss."""


STATING = frozenset(
    ["flac", "wav", "w64", "aiff", "caf", "au", "mov", "matroska", "ogg", "asf", "tta", "ape", "wv"]
)
"""Formats that say how long they are; of others FFmpeg guesses it from bytes and a bit rate."""


CHAINS = {"ogg": ogg_chain.links, "matroska": matroska_chain.links}
"""What finds the parts of joined files, each with its own codec, rate and priming, in formats that are joined so."""


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


def check_track(path: str | Path) -> Fraction:
    """Whether the audio of a file can be decoded at all, as far as that is known without decoding it.

    Returns:
        Seconds, as its header says them; 0 where it does not, or they are an estimate.

    Raises:
        MediaError: as `probe_audio`; it is too long, or holds several files of which one is read.
    """
    full = os.path.abspath(path)
    with _opened(full) as (container, stream):
        return _checked(full, container, stream)


def _checked(path: str, container: Any, stream: Any) -> Fraction:
    format_name = container.format.name.split(",")[0]
    if unread_file(path, format_name, b"", os.path.getsize(path)):
        raise MediaError(path, REASON)
    if format_name not in STATING or stream.duration is None:
        return Fraction(0)
    seconds = Fraction(stream.duration * stream.time_base)
    unfit = too_long(seconds)
    if unfit:
        raise MediaError(path, unfit)
    return max(Fraction(0), seconds)


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
    for block in _gathered(_pieces(os.path.abspath(path), sample_rate, "mono")):
        yield block.reshape(-1)


def stereo_blocks(path: str | Path, sample_rate: int) -> Iterator[Samples]:
    """The same sound as `mono_blocks`, in stereo: blocks of shape (samples, 2).

    Raises:
        MediaError: as `mono_blocks`.
    """
    yield from _gathered(_pieces(os.path.abspath(path), sample_rate, "stereo"))


def raw_sound(
    path: str | Path,
    sample_rate: int,
    start: int = 0,
    samples: int | None = None,
    *,
    layout: str = "stereo",
    troubles: list[str] | None = None,
) -> Generator[bytes, None, None]:
    """The same sound as interleaved float32, for ffmpeg; decoding ends where enough is read.

    Args:
        path: the file.
        sample_rate: of what is given.
        start: the first sample that is given; nothing (empty blocks) while those before it are decoded.
        samples: how many at most; None: all.
        layout: "mono" or "stereo".
        troubles: gets what a user must know of a file that is damaged or strange, once all is read.

    Raises:
        MediaError: as `mono_blocks`.
    """
    position, stop = 0, None if samples is None else start + samples
    for block in _gathered(_pieces(os.path.abspath(path), sample_rate, layout, troubles)):
        begin, end = max(0, start - position), len(block) if stop is None else stop - position
        yield block[begin:end].astype("<f4", copy=False).tobytes()
        position += len(block)
        if stop is not None and position >= stop:
            return


@within_length
def _pieces(
    full: str, sample_rate: int, layout: str, troubles: list[str] | None = None
) -> Iterator[Samples]:
    """The samples frame by frame, each of shape (samples, channels)."""
    produced = 0
    decoder = _Decoder(full)
    mixer = Mixer(sample_rate, layout)
    try:
        for piece in mixer.mixed(decoder):
            produced += len(piece)
            yield piece
    except (av.error.FFmpegError, ValueError) as error:
        raise MediaError(full, f"has sound whose channels cannot be mixed ({error})") from error
    if produced == 0:
        reason = decoder.broken or decoder.ended or "the stream is empty"
        raise MediaError(full, f"no audio could be decoded ({reason})")
    if troubles is not None:
        troubles += decoder.troubles(Fraction(produced, sample_rate))


class _Decoder:
    """Goes through all frames of a file, and the lengths of what is lost between them."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.broken = ""
        """Why a packet could not be decoded."""
        self.ended = ""
        """Why reading ended before the file did."""
        self._lost_packets = 0
        self._astray = Fraction(0)
        """Seconds that the time stamps are off the samples at most."""

    def __iter__(self) -> Iterator[Any]:
        with _opened(self._path) as (container, stream):
            _checked(self._path, container, stream)
            format_name = container.format.name.split(",")[0]
            find = CHAINS.get(format_name)
            parts = find(self._path) if find else []
            if len(parts) < 2:
                yield from self._frames(container, stream)
                return
        for part in parts:
            file = ogg_chain.Link(self._path, *part)
            try:
                with av.open(file, format=format_name, metadata_errors="replace") as container:
                    stream = container.streams.best("audio")
                    if stream is not None and stream.codec_context.sample_rate:
                        yield from self._frames(container, stream)
            except av.error.FFmpegError as error:
                self.broken = error.strerror or str(error)
                self._lost_packets += 1
            finally:
                file.close()

    def _frames(self, container: Any, stream: Any) -> Iterator[Any]:
        stream.codec_context.thread_count = 1
        lost = Fraction(0)
        first: Fraction | None = None
        heard = Fraction(0)
        for packet in self._packets(container, stream):
            try:
                frames = packet.decode()
            except av.error.FFmpegError as error:
                self.broken = error.strerror or str(error)
                self._lost_packets += 1
                lost += _length_of(packet)
                continue
            for frame in frames:
                if not frame.samples or not frame.sample_rate:
                    continue
                if lost and heard:  # before the first sample there is nothing to keep in time
                    yield lost
                    heard += lost
                lost = Fraction(0)
                if frame.pts is not None and frame.time_base is not None:
                    at = frame.pts * frame.time_base
                    first = at if first is None else first
                    self._astray = max(self._astray, abs(at - first - heard))
                heard += Fraction(frame.samples, frame.sample_rate)
                yield frame

    def _packets(self, container: Any, stream: Any) -> Iterator[Any]:
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets)
            except (StopIteration, av.error.EOFError):
                return
            except av.error.FFmpegError as error:
                # A truncated file: what came before it is good.
                self.ended = error.strerror or str(error)
                return
            except IndexError:
                return  # PyAV, at the end of a file in which another stream turned up
            yield packet

    def troubles(self, seconds: Fraction) -> Iterator[str]:
        """What a user must know, once all is read."""
        if self.ended:
            yield f"it is damaged: only the first {float(seconds):.1f} s can be used ({self.ended})"
        if self._lost_packets:
            count = self._lost_packets
            yield f"it is damaged: {count} parts of it cannot be decoded, and are silent ({self.broken})"
        if self._astray > TOLD_ASTRAY_SECONDS:
            yield (
                f"its time stamps are up to {float(self._astray):.1f} s off its sound: "
                "the montage plays it without gaps, other programs may not"
            )


def _length_of(packet: Any) -> Fraction:
    """Seconds, as a packet says; 0 when it does not."""
    if not packet.duration or packet.duration < 0 or packet.time_base is None:
        return Fraction(0)
    return min(packet.duration * Fraction(packet.time_base), Fraction(LONGEST_LOST_SECONDS))


@contextmanager
def _opened(full: str) -> Iterator[tuple[Any, Any]]:
    with open_media(full) as container:
        stream = container.streams.best("audio")
        if stream is None:
            raise MediaError(full, "has no audio stream")
        if not stream.codec_context.sample_rate:
            raise MediaError(full, "has an audio stream without any samples")
        yield container, stream


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
