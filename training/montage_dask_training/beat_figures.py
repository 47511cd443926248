"""Figures of beat trackers: F-measures of beats and downbeats, octaves, offset."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from montage_dask.analysis.beat_network import network
from montage_dask.analysis.decoding import decode_bars, decode_beats
from montage_dask.analysis.onset import HOP
from montage_dask.analysis.tempo import Doubles
from montage_dask_training.beat_data import Track

WITHIN_SECONDS = 0.07
"""A beat counts when it is so near (the field's usual tolerance)."""
OCTAVES = {"correct": 1.0, "double": 2.0, "half": 0.5}
NEAR_TEMPO = 0.08
"""Ratio (logarithm) within which a tempo counts as the true one, its double or its half."""
AROUND_SECONDS = 0.25
"""Beats found so far before the first true one or behind the last one still count."""


def f_measure(found: Doubles, truth: Doubles, within: float = WITHIN_SECONDS) -> float:
    """Harmonic mean of precision and recall, each true beat met at most once; as `mir_eval.beat.f_measure`."""
    if not len(found) or not len(truth):
        return 0.0
    met = begin = 0
    for beat in truth:
        while begin < len(found) and found[begin] < beat - within:
            begin += 1
        if begin < len(found) and found[begin] <= beat + within:
            met += 1
            begin += 1
    return 2 * met / (len(found) + len(truth))


def octave(found: Doubles, truth: Doubles) -> str:
    """How the tempo found relates to the true one: correct, double, half, or other."""
    if len(found) < 3 or len(truth) < 3:
        return "other"
    ratio = float(np.median(np.diff(truth)) / np.median(np.diff(found)))
    for name, factor in OCTAVES.items():
        if abs(np.log(ratio / factor)) < NEAR_TEMPO:
            return name
    return "other"


def offset_ms(found: Doubles, truth: Doubles) -> float:
    """Median of found minus true where both are near; NaN when nothing is."""
    nearest = truth[np.abs(truth[None, :] - found[:, None]).argmin(1)] if len(truth) else found
    errors = (found - nearest)[np.abs(found - nearest) <= WITHIN_SECONDS]
    return float(1000 * np.median(errors)) if len(errors) else float("nan")


def judged(
    beats: Doubles, first: Doubles, truth: Doubles, true_first: Doubles | None
) -> dict[str, Any]:
    """Figures of one track.

    Args:
        beats: found, seconds.
        first: those of them that begin bars.
        truth: true beats; what was found outside their range is not judged.
        true_first: true first beats of bars, when they are known.
    """
    low, high = truth[0] - AROUND_SECONDS, truth[-1] + AROUND_SECONDS
    beats, first = (v[(v > low) & (v < high)] for v in (beats, first))
    return {
        "beats": f_measure(beats, truth),
        "downbeats": None if true_first is None else f_measure(first, true_first),
        "octave": octave(beats, truth),
        "offset_ms": offset_ms(beats, truth),
    }


def mean(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means over tracks, octaves counted."""
    downbeats = [r["downbeats"] for r in rows if r["downbeats"] is not None]
    offsets = [r["offset_ms"] for r in rows if np.isfinite(r["offset_ms"])]
    return {
        "tracks": len(rows),
        "beats": round(float(np.mean([r["beats"] for r in rows])), 4),
        "downbeats": round(float(np.mean(downbeats)), 4) if downbeats else None,
        "offset_ms": round(float(np.median(offsets)), 1) if offsets else None,
        "octaves": {o: sum(r["octave"] == o for r in rows) for o in (*OCTAVES, "other")},
    }


def figures(weights: Path, tracks: Sequence[Track]) -> dict[str, Any]:
    """Figures of a network and the decoder, over all tracks and by style."""
    net = network(weights)
    rows: dict[str, list[dict[str, Any]]] = {}
    for track in tracks:
        logits = net(track.mel)
        heard = logits[:, 0] + np.float32(net.lift)
        beats = decode_beats(heard, track.strength.astype(float), len(track.mel) * HOP)
        first = beats[decode_bars(logits, beats).downbeats]
        true_first = track.beats[track.downbeats] if len(track.downbeats) else None
        rows.setdefault(track.style, []).append(judged(beats, first, track.beats, true_first))
    everything = [row for group in rows.values() for row in group]
    return {"all": mean(everything), "styles": {name: mean(group) for name, group in rows.items()}}
