"""Which stretches of a shot are no footage to show: titles and captions, cards, black, white, nothing, frozen, fading, blurred.

Two kinds come from the network that looks at stills (`graphics_network`), the others from the features of every frame. Low
contrast is no fault: fog, snow and night have it. What is left out stays visible: each stretch has its kind, for people and
for the edit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from montage_dask.analysis import looks
from montage_dask.analysis.features import Bytes
from montage_dask.analysis.graphics_network import network
from montage_dask.records import Source, Unusable

if TYPE_CHECKING:
    from montage_dask.analysis.strip import Strip
    from montage_dask.media.index import FrameIndex

Flags = NDArray[np.bool_]
Doubles = NDArray[np.float64]

KINDS = ("text", "card", "black", "white", "empty", "frozen", "fade", "blur")

BLACK, WHITE = 0.045, 0.965
"""Mean luma, 0 … 1, of a picture that shows nothing if it has no contrast either."""

NO_CONTRAST = 0.03
"""Deviation of luma, 0 … 1: of a picture that is black or white."""

EMPTY_CONTRAST, EMPTY_SHARPNESS = 0.012, 0.03
"""Of a picture of nothing: a covered lens, one colour. The dimmest fog measured has a contrast of .02."""

FROZEN_SECONDS = 2.0
"""A picture that does not change for so long, not by one grey level of a thumbnail, is a still."""

BLUR_SHARPNESS, BLUR_CONTRAST = 0.035, 0.06
"""Sharpness below which a picture that has contrast shows nothing that could be told."""

FADE_SECONDS = 2.5
"""Longest fade at an end of a shot."""

FADE_DEPTH, FADE_END = 0.3, 0.85
"""A fade begins below and ends above these shares of the light that the shot has behind it."""

LEAST_SECONDS: Mapping[str, float] = {"blur": 0.5, "empty": 0.3, "black": 0.12, "white": 0.12}
"""Shorter stretches are flashes and flicker."""

MERGED_SECONDS = 0.7
"""Two stretches of one kind with less between them are one."""

CARD, FLAT, ALL_FLAT = 0.8, 0.43, 0.58
"""How likely a card must be, and how much of it one colour beside the same colour: a wall behind a bottle reaches 1.0 and .41.
From ALL_FLAT on it is one whatever the network says. (The threshold of the card asks too little of both.)"""

SWITCH = 2.0
"""What it costs, as a sum of log odds, that text or a card begins or ends between two looks: one look alone is never enough in
the midst of a shot. (1.5 and 2 do the same on what is made; 2 takes no tiles for text on the footage that was looked at.)"""


def find_unusable(
    source: Source,
    index: FrameIndex,
    strip: Strip,
    start: int,
    stop: int,
    columns: Mapping[str, NDArray[np.float32]],
) -> tuple[Unusable, ...]:
    """Stretches of a shot that are no footage, by kind, in time.

    Args:
        source: the source.
        index: its frame times.
        strip: complete.
        start: first frame of the shot.
        stop: behind its last frame.
        columns: `features.COLUMNS` of the whole source; motion per 1/25 s.

    Raises:
        StoreError: a window of the strip is missing.
    """
    part = {name: values[start:stop].astype(np.float64) for name, values in columns.items()}
    rate = float(source.frame_rate)
    found: dict[str, Flags] = {
        **_seen(strip, start, stop),
        **_empty(part),
        "frozen": _lasting(part["motion"][1:] <= 0, FROZEN_SECONDS * rate, stop - start)
        | np.isin(np.arange(start, stop), source.holes),
        "fade": _fading(part["exposure"], rate),
        "blur": (part["sharpness"] < BLUR_SHARPNESS) & (part["contrast"] > BLUR_CONTRAST),
    }
    spans: list[Unusable] = []
    for kind in KINDS:
        least = LEAST_SECONDS.get(kind, 0.0) * rate
        for first, last in _runs(found[kind], MERGED_SECONDS * rate, least):
            spans.append(_span(kind, start + first, start + last, source, index))
    return tuple(sorted(spans, key=lambda s: (s.start_frame, s.stop_frame, KINDS.index(s.kind))))


def _seen(strip: Strip, start: int, stop: int) -> dict[str, Flags]:
    """Text and cards, by the looks that lie in the shot, each for the frames around it."""
    step = strip.look_step
    seen = strip.looks(start, stop)
    if not len(seen):
        # Shorter than the way from one look to the next: nothing is known of it.
        none = np.zeros(stop - start, np.bool_)
        return {"text": none, "card": none.copy()}
    first = -(-start // step) * step
    nearest = np.rint((np.arange(start, stop) - first) / step).astype(int).clip(0, len(seen) - 1)
    found = {}
    for kind, there in overlaid(seen, network().thresholds).items():
        # A title is there before it can be read: the way to the next look counts on both sides.
        found[kind] = _widened(there[nearest], step // 2 + 1)
    return found


def overlaid(seen: Bytes, thresholds: Sequence[float]) -> dict[str, Flags]:
    """At which looks of a shot text and a card are there: the likeliest course of it, by all of the looks.

    Args:
        seen: uint8 [n, looks.SEEN_BYTES or more], in order.
        thresholds: likelihood from which on text counts, and a card.

    Returns:
        "text" and "card": bool [n].
    """
    flat = seen[:, looks.FLAT] / 255
    text, card = (
        _log_odds(seen[:, k] / 255) - _log_odds(np.array(thresholds[k]))
        for k in (looks.TEXT, looks.CARD)
    )
    sure = np.where(flat >= FLAT, card, np.minimum(card, 0))
    return {"text": _course(text), "card": _course(sure) | (flat >= ALL_FLAT)}


def _log_odds(likely: Doubles) -> Doubles:
    held = likely.clip(0.004, 0.996)
    result: Doubles = np.log(held / (1 - held))
    return result


def _course(evidence: Doubles) -> Flags:
    """The states of highest total evidence, where each change between two looks costs SWITCH (Viterbi's algorithm)."""
    off, on, came = 0.0, 0.0, []
    for value in evidence.tolist():
        came.append((off < on - SWITCH, on < off - SWITCH))
        off, on = max(off, on - SWITCH), max(on, off - SWITCH) + value
    state = on > off
    states = np.zeros(len(evidence), np.bool_)
    for look in range(len(evidence) - 1, -1, -1):
        states[look] = state
        from_on, from_off = came[look]
        state = not state if (from_off if state else from_on) else state
    return states


def _empty(part: Mapping[str, Doubles]) -> dict[str, Flags]:
    light, contrast = part["exposure"], part["contrast"]
    plain = contrast < NO_CONTRAST
    black, white = plain & (light < BLACK), plain & (light > WHITE)
    nothing = (contrast < EMPTY_CONTRAST) & (part["sharpness"] < EMPTY_SHARPNESS)
    return {"black": black, "white": white, "empty": nothing & ~black & ~white}


def _fading(light: Doubles, rate: float) -> Flags:
    """Light that only rises at the begin of a shot, or only falls at its end, from or to next to nothing."""
    flags = np.zeros(len(light), np.bool_)
    flags[: _rise(light, rate)] = True
    falling = _rise(light[::-1], rate)
    if falling:
        flags[-falling:] = True
    return flags


def _rise(light: Doubles, rate: float) -> int:
    """Frames at the begin of a shot that fade in."""
    longest = min(int(FADE_SECONDS * rate), len(light) // 2)
    if longest < 3:
        return 0
    level = float(np.median(light[longest : 2 * longest + 1]))
    if level < 2 * BLACK or light[0] > FADE_DEPTH * level:
        return 0
    bright = np.flatnonzero(light[: longest + 1] >= FADE_END * level)
    end = int(bright[0]) if len(bright) else 0
    # A fade goes on and on; light that is switched on, or a car that comes out of a tunnel, jumps.
    steps = np.diff(light[: end + 1])
    if end < 3 or (steps < -0.02 * level).any() or steps.max() > 0.6 * level:
        return 0
    return end


def _lasting(flags: Flags, least: float, frames: int) -> Flags:
    """Frames on both sides of changes that are none, in runs of at least so many."""
    result = np.zeros(frames, np.bool_)
    for first, last in _runs(flags, 0, least):
        result[first : last + 1] = True
    return result


def _widened(flags: Flags, frames: int) -> Flags:
    result = flags.copy()
    for first, last in _runs(flags, 0, 0):
        result[max(0, first - frames) : last + frames] = True
    return result


def _runs(flags: Flags, gap: float, least: float) -> list[tuple[int, int]]:
    """[first, behind the last) of runs, joined over gaps of less than `gap` frames, those of at least `least` frames."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]])))
    runs: list[tuple[int, int]] = []
    for first, last in edges.reshape(-1, 2).tolist():
        if runs and first - runs[-1][1] < gap:
            runs[-1] = (runs[-1][0], last)
        else:
            runs.append((first, last))
    return [(a, b) for a, b in runs if b - a >= least]


def _span(kind: str, start: int, stop: int, source: Source, index: FrameIndex) -> Unusable:
    end = index.time_seconds(stop) if stop < len(index) else source.duration_seconds
    return Unusable(kind, start, stop, index.time_seconds(start), end)


def covered_seconds(spans: Sequence[Unusable], kinds: Sequence[str] = KINDS) -> float:
    """Seconds under at least one of the stretches of these kinds."""
    total, end = 0.0, -np.inf
    for span in sorted(spans, key=lambda s: s.start_seconds):
        if span.kind in kinds:
            first, last = float(span.start_seconds), float(span.stop_seconds)
            total += max(0.0, last - max(first, end))
            end = max(end, last)
    return total
