"""A track in pieces, joined at bar lines: aligned so that the attacks of both sides meet, and cross-faded before the downbeat."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from montage_dask.media.audio import LOUDEST, STEPS, raw_sound
from montage_dask.media.ffmpeg import output_argument
from montage_dask.media.loudness import raw_input
from montage_dask.records import MusicPiece
from montage_dask.render.running import make_file
from montage_dask.render.source_sound import SAMPLE_RATE
from montage_dask.store.locks import work_folder

VERSION = 1
"""Rises when equal arguments give another track: other joins (`edit.music_fit`, `analysis.bar_features`) too."""

FADE_SAMPLES = SAMPLE_RATE * 40 // 1000
"""Of a cross-fade. It ends on the downbeat, whose attack hides what is left to hear of it."""
ENTRY_SAMPLES = SAMPLE_RATE * 30 // 1000
"""A track that is entered in the middle must not click."""
MOST_SHIFT = SAMPLE_RATE * 25 // 1000
"""A join is moved by so much at most, so that the attacks of both sides meet; what trackers are off by."""
SEEN = SAMPLE_RATE * 120 // 1000
"""Of the sound on both sides of a bar line, to align by."""
SAME = 0.6
"""Correlation of two sounds that are the same played again: then their waves are aligned."""
ALIKE = 0.3
"""Correlation of two rhythms that can be aligned."""
DIED_AWAY = 1e-3
"""Of the loudest sample (-60 dB): silence behind the last sound is no music."""
STEP = 48
"""Samples between two values of an onset curve: 1 ms."""
BLOCK = 1 << 16

Sound = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Track:
    """The decoded samples of a track, from its start on, in a temporary file."""

    samples: Sound
    """[n, 2], mapped."""
    start_sample: int
    """Of the track: where they begin."""

    @property
    def end_sample(self) -> int:
        """Of the track: behind the last sound that is heard."""
        loudest, last = 0.0, 0
        peaks = [float(np.abs(b).max(initial=0.0)) for b in _blocks(self.samples)]
        loudest = max(peaks, default=0.0)
        for number in range(len(peaks) - 1, -1, -1):
            if peaks[number] > DIED_AWAY * loudest:
                block = self.samples[number * BLOCK : (number + 1) * BLOCK]
                heard = np.flatnonzero(np.abs(block).max(1) > DIED_AWAY * loudest)
                last = number * BLOCK + int(heard[-1]) + 1
                break
        return self.start_sample + (last or len(self.samples))

    def between(self, start: int, stop: int) -> Sound:
        """Samples of the track, [stop - start, 2]; zeros where there are none."""
        begin = start - self.start_sample
        end = stop - self.start_sample
        found = np.zeros((stop - start, 2), np.float32)
        part = self.samples[max(0, begin) : max(0, end)]
        at = max(0, -begin)
        found[at : at + len(part)] = part
        return found


def _blocks(samples: Sound) -> Iterator[Sound]:
    for at in range(0, len(samples), BLOCK):
        yield samples[at : at + BLOCK]


@contextmanager
def decoded(path: str, start_sample: int, folder: Path) -> Iterator[Track]:
    """The samples of a track, as they are played (see `media.audio`), in a temporary file.

    Args:
        path: of the track.
        start_sample: the first one that is used.
        folder: an existing one, for the file.

    Raises:
        MediaError: it cannot be read.
    """
    with work_folder("music", folder) as work:
        raw = work / "track.f32"
        with raw.open("wb") as file:
            for block in raw_sound(path, SAMPLE_RATE, start_sample):
                file.write(block)
        if not raw.stat().st_size:
            yield Track(np.zeros((0, 2), np.float32), start_sample)
            return
        mapped = np.memmap(raw, np.dtype("<f4"), "r").reshape(-1, 2)
        try:
            yield Track(mapped, start_sample)
        finally:
            del mapped


def aligned(track: Track, out_sample: int, in_sample: int) -> int:
    """Samples by which to move the second place so that both sound alike at one time; 0 where nothing says by how much.

    Args:
        track: decoded.
        out_sample: a downbeat that would have been heard.
        in_sample: the one that is heard instead.
    """
    one = track.between(out_sample - SEEN, out_sample + SEEN).mean(1, dtype=np.float64)
    other = track.between(in_sample - SEEN - MOST_SHIFT, in_sample + SEEN + MOST_SHIFT)
    two = other.mean(1, dtype=np.float64)
    match = _correlation(one, two)
    best = int(match.argmax())
    if match[best] >= SAME:
        return best - MOST_SHIFT
    match = _correlation(_onsets(one), _onsets(two))
    best, middle = int(match.argmax()), len(match) // 2
    if match[best] >= ALIKE and match[best] > 1.05 * match[middle]:
        return (best - middle) * STEP
    return 0


def _correlation(one: NDArray[np.float64], two: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of a sound with each stretch of its length of a longer one, -1 … 1."""
    size = 1 << (len(two) + len(one)).bit_length()
    product = np.fft.irfft(np.fft.rfft(two, size) * np.conj(np.fft.rfft(one, size)), size)
    count = len(two) - len(one) + 1
    total = np.concatenate([[0.0], np.cumsum(two**2)])
    power = (total[len(one) :] - total[: -len(one)]) * float((one**2).sum())
    return np.asarray(product[:count] / np.sqrt(np.maximum(power, 1e-12)))


def _onsets(sound: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much louder it gets, every millisecond."""
    count = len(sound) // STEP
    power = (sound[: count * STEP].reshape(count, STEP) ** 2).mean(1)
    power = np.convolve(power, np.ones(5) / 5, "same")
    rise = np.maximum(0.0, np.diff(np.log(power + 1e-7), prepend=np.log(power[0] + 1e-7)))
    smooth = np.convolve(rise, np.hanning(9) / 4, "same")
    return np.asarray(smooth - smooth.mean())


def pieces_of(
    track: Track, end_sample: int, joins: Sequence[tuple[int, int]]
) -> tuple[MusicPiece, ...]:
    """The pieces of a track between joins, each aligned.

    Args:
        track: decoded.
        end_sample: where the last piece ends.
        joins: (sample of the downbeat that is left, sample of the one that follows), in order.
    """
    pieces, start = [], track.start_sample
    for out_sample, in_sample in joins:
        pieces.append(MusicPiece(start, out_sample))
        start = in_sample + aligned(track, out_sample, in_sample)
    return (*pieces, MusicPiece(start, end_sample))


def write_fitted(
    track: Track, pieces: Sequence[MusicPiece], samples: int, output: Path, *, about: str
) -> None:
    """Write pieces of a track, one behind the other, as a WAV file of floats; not atomic, that is the caller's.

    What lies outside of the cross-fades is the track's own samples, bit for bit.

    Args:
        track: decoded.
        pieces: of it.
        samples: length of the file; silence behind the pieces.
        output: a .wav.
        about: the track, for messages.

    Raises:
        StoreError: it cannot be written.
    """
    make_file(
        [
            *raw_input(SAMPLE_RATE), "-c:a", "pcm_f32le", "-flags:a", "+bitexact", "-fflags", "+bitexact", "-map_metadata", "-1",
            "-f", "wav", "-rf64", "auto", output_argument(output),
        ],
        output,
        about=about,
        feed=_joined(track, pieces, samples),
    )  # fmt: skip


def _joined(
    track: Track, pieces: Sequence[MusicPiece], samples: int
) -> Generator[bytes, None, None]:
    left = samples
    for number, piece in enumerate(pieces):
        after = pieces[number + 1] if number + 1 < len(pieces) else None
        stop = piece.stop_sample - (FADE_SAMPLES if after else 0)
        for at in range(piece.start_sample, stop, BLOCK):
            block = track.between(at, min(stop, at + BLOCK))
            if at == piece.start_sample and not number and piece.start_sample > 0:
                block[:ENTRY_SAMPLES] *= np.linspace(0, 1, len(block[:ENTRY_SAMPLES]))[:, None]
            yield _bytes(block)
        if after is not None:
            before = track.between(stop, piece.stop_sample)
            behind = track.between(after.start_sample - FADE_SAMPLES, after.start_sample)
            yield _bytes(cross_fade(before, behind))
        left -= piece.stop_sample - piece.start_sample
    for at in range(0, left, BLOCK):
        yield bytes(8 * min(BLOCK, left - at))


def cross_fade(before: Sound, behind: Sound) -> Sound:
    """From one sound to another at constant power: sounds that are the same keep their level, too; shape [n, 2]."""
    one, two = before.astype(np.float64), behind.astype(np.float64)
    power = np.sqrt((one**2).sum() * (two**2).sum())
    alike = min(1.0, max(0.0, float((one * two).sum()) / power)) if power > 0 else 0.0
    angle = (np.arange(len(one)) + 0.5)[:, None] / len(one) * (np.pi / 2)
    mixed = one * np.cos(angle) + two * np.sin(angle)
    return np.asarray(mixed / np.sqrt(1 + alike * np.sin(2 * angle)), np.float32)


def _bytes(block: Sound) -> bytes:
    """On the grid of all decoded samples, so that nothing changes when the file is read."""
    most = LOUDEST - 1 / STEPS
    grid = np.rint(np.clip(block, -most, most).astype(np.float64) * STEPS) / STEPS
    return grid.astype("<f4").tobytes()
