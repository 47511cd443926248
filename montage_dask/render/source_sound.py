"""The kept sound of the source clips, laid out on the output's clock as raw samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from montage_dask.errors import MediaError
from montage_dask.media.container import open_media
from montage_dask.records import Event, Source, Timeline

SAMPLE_RATE = 48_000
CHANNELS = 2
FADE_SAMPLES = 480
"""10 ms at both ends of every piece: a cut in the middle of a wave would click."""

WANDER_SECONDS = Fraction(1, 50)
"""Time stamps may wander so far before sound is placed anew: lips stay with words."""


def lay_out(timeline: Timeline, sources: Mapping[str, Source], path: Path) -> int:
    """Write the sound of all events as interleaved float32 stereo at 48 kHz, silence where there is none.

    Returns:
        How many events have sound.
    """
    total = round(timeline.duration_seconds * SAMPLE_RATE)
    sound = np.memmap(path, np.float32, "w+", shape=(total, CHANNELS))
    heard = 0
    for event in timeline.events:
        source = sources[event.source]
        if source.audio is None or event.speed != 1 or event.ramp or source.restarted:
            continue
        start = round(event.start_frame / timeline.fps * SAMPLE_RATE)
        stop = min(total, round(event.stop_frame / timeline.fps * SAMPLE_RATE))
        piece = _piece(source, event, stop - start)
        ramp = np.linspace(0, 1, min(FADE_SAMPLES, len(piece) // 2), dtype=np.float32)[:, None]
        piece[: len(ramp)] *= ramp
        piece[len(piece) - len(ramp) :] *= ramp[::-1]
        sound[start:stop] = piece
        heard += 1
    sound.flush()
    return heard


def _piece(source: Source, event: Event, samples: int) -> NDArray[np.float32]:
    """The sound under an event: float32 [samples, 2]; silence where the file has none or is damaged."""
    piece = np.zeros((samples, CHANNELS), np.float32)
    assert source.audio is not None
    wanted = source.start_pts * source.time_base + event.in_seconds
    try:
        with open_media(source.path, source.format_name) as container:
            stream = container.streams[source.audio.stream_index]
            # A second early: codecs need a run-up until their output is right. Before time 0, too: clocks may begin there.
            early = int((wanted - 1) // stream.time_base)
            # A file that cannot be sought there is read from its start, where it stands.
            with suppress(av.FFmpegError):
                container.seek(early, stream=stream, backward=True)
            for time, block in _blocks(container, stream):
                at = round((time - wanted) * SAMPLE_RATE)
                if at >= samples:
                    break
                begin, end = max(0, -at), min(len(block), samples - at)
                if end > begin:
                    piece[at + begin : at + end] = block[begin:end]
    except (MediaError, av.FFmpegError, IndexError, ValueError):
        return piece  # the picture counts; its sound is only kept where there is one
    return np.nan_to_num(piece, posinf=0.0, neginf=0.0)


def _blocks(container: Any, stream: Any) -> Iterator[tuple[Fraction, NDArray[np.float32]]]:
    """The sound by the clock that its pictures have, too: time of each piece, and its samples.

    Frames run on one behind the other as long as their time stamps wander no further than containers round them: placed one
    by one they would overlap, or leave holes that crackle. Where the clock jumps, or the format changes, a new run begins.
    """
    run: _Run | None = None
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.FFmpegError:
            continue
        for frame in frames:
            if not frame.samples or not frame.sample_rate:
                continue
            told = frame.pts is not None and frame.time_base is not None
            time = frame.pts * frame.time_base if told else None
            if run is None or not run.goes_on(frame, time):
                if run is not None:
                    yield from run.pieces(None)
                if time is None and run is None:
                    continue
                run = _Run(frame, run.end if time is None and run is not None else time)
            yield from run.pieces(frame)
    if run is not None:
        yield from run.pieces(None)


class _Run:
    """Frames of one format without a jump between them, resampled as one."""

    def __init__(self, frame: Any, start: Fraction | None) -> None:
        assert start is not None
        self._kind = _kind(frame)
        self._resampler = av.AudioResampler(format="flt", layout="stereo", rate=SAMPLE_RATE)
        self._start, self.end = start, start
        self._written = 0

    def goes_on(self, frame: Any, time: Fraction | None) -> bool:
        """Whether a frame is of this run."""
        near = time is None or abs(time - self.end) <= WANDER_SECONDS
        return near and _kind(frame) == self._kind

    def pieces(self, frame: Any) -> Iterator[tuple[Fraction, NDArray[np.float32]]]:
        """What comes of a frame; of None: what is left."""
        if frame is not None:
            self.end += Fraction(frame.samples, frame.sample_rate)
            frame.pts = None
        for out in self._resampler.resample(frame):
            if out is None:
                continue
            block = out.to_ndarray().reshape(-1, CHANNELS)[: out.samples]
            yield self._start + Fraction(self._written, SAMPLE_RATE), block
            self._written += len(block)


def _kind(frame: Any) -> tuple[int, str, str]:
    return int(frame.sample_rate), frame.layout.name, frame.format.name
