"""The strip: what one decode of a window leaves behind, and all that the analysis reads afterwards.

Per frame a 48×27 RGB thumbnail (3.9 kB), five scalar features, a colour histogram and a perceptual
hash, each in a Zarr array whose chunk is the window; about twice a second what networks that need a
larger still say of it (`analysis.looks`). Everything depends on the frame and its number only, never
on how the source was divided.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from montage_dask.analysis import features, looks
from montage_dask.analysis.features import HEIGHT, WIDTH, Bytes, Floats
from montage_dask.analysis.small_pictures import decode_window
from montage_dask.errors import StoreError
from montage_dask.records import Source, Window
from montage_dask.store import Place, Store, key_of
from montage_dask.store.arrays import ArraySpec, Rows, chunk_names, create_array, write_rows

if TYPE_CHECKING:
    from montage_dask.media.index import FrameIndex

VERSION = 6
"""Raised when the same frames give another strip."""


_BATCH = 64
"""Thumbnails per NumPy batch: small enough to stay in the processor's cache."""

ARRAYS: Mapping[str, tuple[tuple[int, ...], str]] = {
    "thumbnails": ((HEIGHT, WIDTH, 3), "uint8"),
    "scalars": ((len(features.COLUMNS),), "float32"),
    "histogram": ((features.BINS**3,), "uint16"),
    "hash": ((), "uint64"),
}
"""What is kept of each frame: shape and type."""
EDGES, EDGES_TAIL = "edges", (2, HEIGHT, WIDTH, 3)
"""The first and the last thumbnail of each window."""


def strip_folder(store: Store, source: Source, window_frames: int, faces: bool = True) -> Place:
    """Where the strip of a source stands.

    Args:
        store: the artefacts.
        source: the source; only its identity and its stream count.
        window_frames: frames per window, which is the chunk of the arrays.
        faces: whether faces were looked for.
    """
    key = key_of("strip", VERSION, strip_parameters(source, window_frames, faces))
    return store.array("strip", key)


def strip_parameters(source: Source, window_frames: int, faces: bool = True) -> dict[str, Any]:
    """What the address of a strip is made of (with the operation's name and `VERSION`)."""
    return {
        "identity": source.identity,
        "stream_index": source.stream_index,
        "window_frames": window_frames,
        **({} if faces else {"faces": False}),
    }


def create_strip(
    folder: Place, frames: int, window_frames: int, look_step: int = looks.STEPS[-1]
) -> None:
    """Make the arrays of a strip unless they are there. Any number of processes may do it at once.

    Raises:
        StoreError: they cannot be written.
    """
    for name, (tail, dtype) in ARRAYS.items():
        create_array(folder, name, ArraySpec((frames, *tail), dtype, window_frames))
    create_array(
        folder,
        "looks",
        ArraySpec((-(-frames // look_step), looks.BYTES), "uint8", -(-window_frames // look_step)),
    )
    windows = -(-frames // window_frames)
    create_array(folder, EDGES, ArraySpec((windows, *EDGES_TAIL), "uint8", 1))


def window_files(window: int) -> list[str]:
    """The files below a strip's folder that hold one window, and those that describe them."""
    tails = {name: tail for name, (tail, _) in ARRAYS.items()} | {EDGES: EDGES_TAIL}
    return [f for name, tail in tails.items() for f in chunk_names(name, window, len(tail))]


def write_window(
    source: Source,
    index: FrameIndex,
    window: Window,
    window_frames: int,
    folder: Place,
    *,
    threads: int = 1,
    device: str = "cpu",
    faces: bool = True,
) -> dict[str, Any]:
    """Decode one window and write its part of the strip.

    Args:
        source: the source.
        index: its frame index.
        window: which frames; starts on a multiple of `window_frames`.
        window_frames: frames per window, the chunk of the arrays.
        folder: from `strip_folder`.
        threads: decoding threads.
        device: "cuda": a GPU decodes; only thumbnails are kept.
        faces: whether faces are looked for.

    Returns:
        A small JSON record: {"window", "frames"}.

    Raises:
        TargetFailed: the GPU does not decode it.
        MediaError: the file is gone, or nothing of it decodes.
        StoreError: the strip cannot be written.
    """
    step = looks.step(source.frame_rate)
    create_strip(folder, len(index), window_frames, step)
    thumbnails, sharpness, seen = decode_window(source, index, window, threads, device, faces)
    write_frames(folder, window.start_frame, thumbnails, sharpness, window_frames, seen, step)
    return {"window": window.index, "frames": window.frames}


def write_frames(
    folder: Place,
    start: int,
    thumbnails: Bytes,
    sharpness: Floats,
    window_frames: int,
    seen: Bytes | None = None,
    look_step: int = looks.STEPS[-1],
) -> None:
    """Work out the features of one window and write it.

    Args:
        folder: a strip made by `create_strip`.
        start: first frame of the window.
        thumbnails: uint8 [n, 27, 48, 3].
        sharpness: float32 [n], 0 … 1.
        window_frames: frames per window.
        seen: uint8 [ceil(n / look_step), looks.BYTES]; None: nothing.
        look_step: frames from one look to the next.

    Raises:
        StoreError: the strip cannot be written.
    """
    frames = len(thumbnails)
    if seen is None:
        seen = np.zeros((-(-frames // look_step), looks.BYTES), np.uint8)
    write_rows(folder, "looks", start // look_step, seen)
    scalars = np.empty((frames, len(features.COLUMNS)), np.float32)
    histogram = np.empty((frames, features.BINS**3), np.uint16)
    hashes = np.empty(frames, np.uint64)
    before = thumbnails[0]
    for first in range(0, frames, _BATCH):
        part = slice(first, first + _BATCH)
        batch = thumbnails[part]
        scalars[part, :3] = np.stack(features.tone(batch), axis=1)
        scalars[part, 3] = features.motion(before, batch)
        histogram[part] = features.histogram(batch)
        hashes[part] = features.perceptual_hash(batch)
        before = batch[-1]
    scalars[:, 4] = sharpness
    for name, rows in (
        ("scalars", scalars),
        ("histogram", histogram),
        ("hash", hashes),
        ("thumbnails", thumbnails),
    ):
        write_rows(folder, name, start, rows)
    write_rows(folder, "edges", start // window_frames, thumbnails[None, [0, -1]])


class Strip:
    """Reads a strip, chunk by chunk.

    Args:
        folder: from `strip_folder`.

    Raises:
        StoreError: there is no strip.
    """

    def __init__(self, folder: Place) -> None:
        self.folder = folder
        self._thumbnails = Rows(self.folder, "thumbnails")
        self._rows: dict[str, Rows] = {}
        self.frames = len(self._thumbnails)
        """Frames of the source."""
        self.window_frames = self._thumbnails.chunk
        """Frames per chunk."""

    def thumbnails(self, start: int, stop: int) -> Bytes:
        """Thumbnails of frames [start, stop): uint8 [n, 27, 48, 3]. Each takes 3.9 kB.

        Raises:
            StoreError: a window was never written.
        """
        return self._thumbnails.read(start, stop)

    def batches(self, start: int = 0, stop: int | None = None) -> Iterator[Bytes]:
        """Thumbnails of frames [start, stop) in order, at most one chunk at a time."""
        return self._thumbnails.pieces(start, self.frames if stop is None else stop)

    @property
    def look_step(self) -> int:
        """Frames from one look to the next."""
        return self.window_frames // self._array("looks").chunk

    def looks(self, start: int, stop: int) -> Bytes:
        """What was seen in the stills of frames [start, stop): uint8 [n, looks.BYTES].

        Args:
            start: first frame.
            stop: behind the last frame.

        Raises:
            StoreError: a window was never written.
        """
        return self._read("looks", -(-start // self.look_step), -(-stop // self.look_step))

    def feature(self, name: str, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """One feature of frames [start, stop).

        Args:
            name: one of `features.COLUMNS` (float32 [n], 0 … 1), "histogram" (uint16 [n, 512]) or
                "hash" (uint64 [n]).
            start: first frame.
            stop: behind the last frame; all of them when None.

        Raises:
            StoreError: a window was never written.
        """
        stop = self.frames if stop is None else stop
        scalar = name in features.COLUMNS
        rows = self._read("scalars" if scalar else name, start, stop)
        if not scalar:
            return rows
        column = rows[:, features.COLUMNS.index(name)]
        return self._over_edges(column, start, stop) if name == "motion" else column

    def _over_edges(self, motion: Floats, start: int, stop: int) -> Floats:
        """Motion with the values of the windows' first frames, which no window knew by itself.

        Decoding the frame before a window would cost up to a whole group of pictures.
        """
        size = self.window_frames
        first, last = max(1, -(-start // size)), -(-stop // size)
        if first >= last:
            return motion
        edges = self._read("edges", first - 1, last)
        result = motion.copy()
        result[first * size - start :: size] = features.difference(edges[:-1, 1], edges[1:, 0])
        return result

    def _array(self, name: str) -> Rows:
        if name not in self._rows:
            self._rows[name] = Rows(self.folder, name)
        return self._rows[name]

    def _read(self, array: str, start: int, stop: int) -> NDArray[Any]:
        return self._array(array).read(start, stop)


def thumbnails_of(folder: Place, frames: Sequence[int]) -> list[Bytes]:
    """Thumbnails of some frames, uint8 [27, 48, 3] each; none where there is no strip, or not all of it.

    Args:
        folder: from `strip_folder`.
        frames: their numbers; those outside are the first or the last one.
    """
    try:
        strip = Strip(folder)
        inside = [min(max(0, f), strip.frames - 1) for f in frames]
        return [strip.thumbnails(f, f + 1)[0] for f in inside]
    except StoreError:
        return []
