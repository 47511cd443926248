"""Where shots begin: the project's own network, a cheap rule, TransNetV2, or one of PySceneDetect's detectors.

All of them read the strip of the whole source in order, a chunk at a time, so the result cannot
depend on how the source was divided. A cut is the first frame of the new shot. Only the network ("auto") knows the kind and the
extent of gradual transitions.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from montage_dask.analysis import scene_network, transnet
from montage_dask.analysis.boundaries import find_boundaries
from montage_dask.analysis.features import Bytes, Floats, likeness, shifted_likeness
from montage_dask.errors import UsageError
from montage_dask.records import Boundary, Source

if TYPE_CHECKING:
    from pathlib import Path

    from montage_dask.analysis.strip import Strip

VERSION = 2
"""Raised when the same strip gives other boundaries."""

DETECTORS = ("auto", "fast", "accurate", "content", "adaptive", "hash", "histogram")

THRESHOLDS = {
    "fast": 2.2,
    "accurate": 0.2,
    "content": 27.0,
    "adaptive": 3.0,
    "hash": 0.35,
    "histogram": 0.2,
}
"""Defaults; those of auto come with its weights. fast: how many times stronger than the motion around it a change must be.
accurate: score, 0 … 1. The others are PySceneDetect's own."""

MINIMUM_SHOT_SECONDS = 0.4
"""Shots shorter than this are joined with a neighbour."""

_SIDE_SECONDS = 0.24
"""How far the fast rule looks to both sides for motion, and how long a flash may last."""

_STRONG = 4.0
"""A change this many times stronger than the motion around it needs little further proof."""

_FLAT_SHOT_SECONDS = 1.0
"""Black or white this long is a shot of its own (which nobody will choose)."""

_APART_SECONDS = 0.5
"""Distance at which the pictures before and after a gradual transition are compared."""


def detect_boundaries(
    strip: Strip,
    *,
    detector: str,
    threshold: float | None = None,
    frame_rate: Fraction,
    minimum_shot_seconds: float = MINIMUM_SHOT_SECONDS,
    precision: str | None = None,
    weights: Path | None = None,
) -> tuple[Boundary, ...]:
    """What lies between the shots: sorted, apart from each other, within the source.

    Args:
        strip: complete; for "accurate" with its scores (`transnet.write_scores`).
        detector: one of DETECTORS. "auto" knows all kinds of boundaries, the others only cuts.
        threshold: see THRESHOLDS, which are the defaults.
        frame_rate: average rate of the source.
        minimum_shot_seconds: what is shorter between two boundaries is no shot of its own.
        precision: of the scores that "accurate" reads; what this machine would choose when None.
        weights: of the network of "auto"; None: those that come with the package.

    Raises:
        UsageError: an unknown detector, or a file that holds no weights.
        StoreError: a window of the strip or of the scores is missing.
    """
    if detector not in DETECTORS:
        raise UsageError(f"scene detector {detector!r} is not one of {', '.join(DETECTORS)}")
    shortest = max(1, round(minimum_shot_seconds * float(frame_rate)))
    if strip.frames <= shortest:
        return ()
    if detector != "auto":
        limit = THRESHOLDS[detector] if threshold is None else threshold
        cuts = _cuts(strip, detector, limit, frame_rate, shortest, precision)
        return tuple(Boundary("cut", cut, cut, 1.0) for cut in cuts)
    network = scene_network.network(weights)
    limits = network.thresholds
    if threshold is not None:
        limits = (*(threshold,) * len(scene_network.KINDS), min(threshold, limits[-1]))
    change = strip.feature("motion")
    scores = scene_network.scores(strip, network)
    found = find_boundaries(scores, change, limits, lambda frame: _at(strip, frame))
    return joined(found, shortest, strip.frames)


def joined(found: Sequence[Boundary], shortest: int, frames: int) -> tuple[Boundary, ...]:
    """Boundaries with shots of at least `shortest` frames between them.

    What is shorter belongs to the boundaries around it, which become one of the stronger's kind: nobody wants a shot of three
    frames, nor two cuts within one shot.

    Args:
        found: in order.
        shortest: frames.
        frames: of the source.
    """
    kept: list[Boundary] = []
    for one in found:
        before = kept[-1] if kept else None
        if before is None or one.start_frame - before.stop_frame >= shortest:
            kept.append(one)
            continue
        stronger = max(before, one, key=lambda b: b.score)
        kept[-1] = Boundary(
            stronger.kind,
            before.start_frame,
            max(before.stop_frame, one.stop_frame),
            stronger.score,
        )
    # Less than a shot before the first or behind the last one: there is no boundary, as there is no second shot.
    while kept and kept[0].start_frame < shortest:
        del kept[0]
    while kept and frames - kept[-1].stop_frame < shortest:
        del kept[-1]
    return tuple(kept)


def with_holes(found: Sequence[Boundary], source: Source) -> tuple[Boundary, ...]:
    """The boundaries, and a cut wherever pictures of the source are missing, however short a shot becomes by it.

    Args:
        found: in order.
        source: the source.
    """
    cuts = [hole + 1 for hole in source.holes if hole + 1 < source.frames]
    # One that lies within a hole, or ends at it, is the hole.
    kept = [b for b in found if not any(b.start_frame <= c <= b.stop_frame for c in cuts)]
    return tuple(
        sorted([*kept, *(Boundary("cut", c, c, 1.0) for c in cuts)], key=lambda b: b.start_frame)
    )


def _cuts(
    strip: Strip,
    detector: str,
    limit: float,
    frame_rate: Fraction,
    shortest: int,
    precision: str | None,
) -> tuple[int, ...]:
    """The first frames of all shots but the first: sorted, within (0, frames)."""
    if detector == "fast":
        return spaced(_fast(strip, limit, frame_rate, shortest), shortest, strip.frames)
    if detector == "accurate":
        scores = transnet.read_scores(strip, precision or transnet.default_precision())
        found = _transitions(strip, scores, limit, frame_rate)
        return spaced(found, shortest, strip.frames)
    cuts = _pyscenedetect(strip, detector, limit, frame_rate, shortest)
    return spaced([(cut, 1.0) for cut in cuts], shortest, strip.frames)


def spaced(found: Sequence[tuple[int, float]], shortest: int, frames: int) -> tuple[int, ...]:
    """The strongest cuts that leave no shot shorter than `shortest` frames.

    Args:
        found: (cut, strength) pairs.
        shortest: frames.
        frames: of the source.
    """
    kept: list[int] = []
    for cut, _ in sorted(found, key=lambda pair: (-pair[1], pair[0])):
        place = bisect_left(kept, cut)
        before = kept[place - 1] if place else 0
        after = kept[place] if place < len(kept) else frames
        if cut - before >= shortest and after - cut >= shortest:
            insort(kept, cut)
    return tuple(kept)


def _at(strip: Strip, frame: int) -> Bytes:
    """One thumbnail; outside the source the first or last one."""
    frame = min(max(frame, 0), strip.frames - 1)
    picture: Bytes = strip.thumbnails(frame, frame + 1)[0]
    return picture


# The fast rule ---------------------------------------------------------------------------------


def _fast(
    strip: Strip, ratio: float, frame_rate: Fraction, shortest: int
) -> list[tuple[int, float]]:
    change = strip.feature("motion") * np.float32(255.0)
    side = max(2, round(_SIDE_SECONDS * float(frame_rate)))
    flat = _flat_runs(strip, shortest, frame_rate)
    found = list(flat.cuts)
    for cut, strength in _peaks(change, ratio, side):
        if not flat.covers(cut) and _is_cut(strip, cut, strength, side):
            found.append((cut, strength))
    return found


def _peaks(change: Floats, ratio: float, side: int) -> Iterator[tuple[int, float]]:
    """Frames that change much more than frames nearby do, and how many times more.

    Nearby motion is the mean of the two largest changes on each side: repeated frames (12.5 frames
    a second stored as 25), where every other change is 0, then look like the motion that they are.
    """
    padded = np.pad(change, side)
    near = np.lib.stride_tricks.sliding_window_view(padded, 2 * side + 1)
    frames = np.flatnonzero(change >= 4.0)
    # In pieces: the windows of two hours at once would not be small.
    for part in np.array_split(frames, len(frames) // 4096 + 1):
        sides = np.stack([near[part, :side], near[part, side + 1 :]])
        two = np.partition(sides, side - 2, axis=2)[..., -2:]
        level = two[..., 0] + two[..., 1]
        around = (level[0] + level[1]) / np.float32(4.0)
        times = change[part] / (around + np.float32(1.0))
        highest = change[part] >= sides.max(axis=(0, 2))
        for place in np.flatnonzero((times >= ratio) & highest):
            yield int(part[place]), float(times[place])


def _is_cut(strip: Strip, cut: int, strength: float, side: int) -> bool:
    """Whether the picture really is another one: no flash, jolt of the camera or new exposure."""
    first = max(cut - side, 0)
    around = strip.thumbnails(first, min(cut + side, strip.frames))
    before, after = around[: cut - first], around[cut - first :]
    # Strong peaks may be cuts between pictures that are composed alike.
    limit = 0.5 if strength < _STRONG else 0.85
    if shifted_likeness(before[-1], after[0]) > limit:
        return False
    # After a flash the old picture is back; before its end, the new one was there already.
    returned = max(likeness(before[-1], later) for later in after)
    known = max(likeness(earlier, after[0]) for earlier in before)
    return max(returned, known) <= max(limit, 0.8)


class _FlatRuns:
    """Runs of black or white frames, and the cuts that they stand for."""

    def __init__(self, runs: list[tuple[int, int]], cuts: list[tuple[int, float]]) -> None:
        self.runs, self.cuts = runs, cuts
        self._stops = [stop for _, stop in runs]

    def covers(self, cut: int) -> bool:
        """Whether a cut lies in a run or on its border."""
        place = bisect_left(self._stops, cut)
        return place < len(self.runs) and self.runs[place][0] <= cut


def _flat_runs(strip: Strip, shortest: int, frame_rate: Fraction) -> _FlatRuns:
    exposure, contrast = strip.feature("exposure"), strip.feature("contrast")
    flat = (contrast < 0.02) & ((exposure < 0.08) | (exposure > 0.92))
    runs = runs_of(flat)
    apart = max(1, round(_APART_SECONDS * float(frame_rate)))
    own_shot = max(2 * shortest, round(_FLAT_SHOT_SECONDS * float(frame_rate)))
    cuts: list[tuple[int, float]] = []
    for start, stop in runs:
        if stop - start >= own_shot:
            cuts += [(start, 100.0), (stop, 100.0)]
        elif start == 0 or stop == strip.frames:
            continue
        elif stop - start >= shortest or not (
            # The same picture on both sides is a flash. Close by, when the camera moves; further
            # away, where a fade is over.
            likeness(_at(strip, start - 1), _at(strip, stop)) > 0.8
            or shifted_likeness(_at(strip, start - apart), _at(strip, stop - 1 + apart)) > 0.8
        ):
            cuts.append(((start + stop) // 2, 100.0))
    return _FlatRuns(runs, cuts)


def runs_of(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """The [start, stop) of all runs of True."""
    edges = np.flatnonzero(np.diff(np.pad(mask.astype(np.int8), 1)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


# TransNetV2 ------------------------------------------------------------------------------------


def _transitions(
    strip: Strip, scores: Floats, threshold: float, frame_rate: Fraction
) -> list[tuple[int, float]]:
    """Runs of high scores as cuts: the frame of a hard cut, the centre of a gradual transition.

    Half-hearted scores also come from titles, fades within one picture and large objects that pass,
    so a gradual transition must lead to another picture, the more so the lower its score is.
    """
    change = strip.feature("motion") * np.float32(255.0)
    apart = max(1, round(_APART_SECONDS * float(frame_rate)))
    found = []
    for start, stop in runs_of(scores > threshold):
        score = float(scores[start:stop].max())
        hard = _hard_step(strip, change, start, stop)
        if hard is not None:
            found.append((hard, score))
            continue
        alike = likeness(_at(strip, start + 1 - apart), _at(strip, stop - 1 + apart))
        if (score >= 0.5 and alike < 0.85) or (score >= 0.3 and alike < 0.5):
            found.append(((start + stop - 1) // 2 + 1, score))
    return found


def _hard_step(strip: Strip, change: Floats, start: int, stop: int) -> int | None:
    """The cut when most of the change over a run of scores happens in one step."""
    # A score belongs to the last frame of a shot; the change is stored with the first of the next.
    first, last = max(start, 1), min(stop + 2, len(change))
    if first >= last:
        return None
    cut = first + int(change[first:last].argmax())
    others = np.delete(change[max(first - 3, 1) : last + 3], cut - max(first - 3, 1))
    level = float(others.mean()) if len(others) else 0.0
    if change[cut] < 2.0 * level + 2.0:
        return None
    return cut if shifted_likeness(_at(strip, cut - 1), _at(strip, cut)) < 0.85 else None


# PySceneDetect ---------------------------------------------------------------------------------


def _pyscenedetect(
    strip: Strip, detector: str, threshold: float, frame_rate: Fraction, shortest: int
) -> list[int]:
    import cv2
    from scenedetect import FrameTimecode, detectors

    cv2.setNumThreads(1)
    make: dict[str, Any] = {
        "content": lambda: detectors.ContentDetector(threshold, min_scene_len=shortest),
        "adaptive": lambda: detectors.AdaptiveDetector(threshold, min_scene_len=shortest),
        "hash": lambda: detectors.HashDetector(threshold, min_scene_len=shortest),
        "histogram": lambda: detectors.HistogramDetector(threshold, min_scene_len=shortest),
    }
    working = make[detector]()
    cuts: list[int] = []
    number = 0
    for batch in strip.batches():
        for picture in np.ascontiguousarray(batch[..., ::-1]):
            time = FrameTimecode(number, frame_rate)
            cuts += [cut.frame_num for cut in working.process_frame(time, picture)]
            number += 1
    end = FrameTimecode(strip.frames - 1, frame_rate)
    return cuts + [cut.frame_num for cut in working.post_process(end)]
