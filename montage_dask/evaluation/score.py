"""One number of many figures: 0 (nobody would watch it) … 10."""

from __future__ import annotations

from collections.abc import Mapping

from montage_dask.evaluation.figures import Figures

WEIGHTS: Mapping[str, float] = {
    "junk": 3.0,
    "places": 1.0,
    "mismatched": 1.5,
    "subject": 1.5,
    "repeated": 1.5,
    "drops": 1.0,
    "end": 0.5,
    "fade": 0.25,
    "beat": 2.0,
    "clips": 0.5,
    "loudness": 0.5,
}
"""What counts how much; what is not known does not count."""


def parts_of(figures: Figures) -> dict[str, float]:
    """Each part that is known, 0 … 1."""
    f = figures
    found: dict[str, float | None] = {
        "junk": _down(f.junk_percent, 20),
        "places": None if f.junk_places is None else float(not f.junk_places),
        "mismatched": _down(f.mismatched_percent, 5),
        "subject": None if f.subject_kept_percent is None else _up(f.subject_kept_percent, 50, 95),
        "repeated": _down(f.repeated_percent, 15),
        # The top fifth is as good as the best.
        "drops": sum(min(1.0, r / 0.8) for r in f.drop_ranks) / len(f.drop_ranks)
        if f.drop_ranks
        else None,
        "end": _down(f.end_seconds, 0.5),
        "fade": None if f.fade_share is None else 1.0 - _clipped((f.fade_share - 0.5) / 0.5),
        "beat": None if f.synchrony is None else _up(f.synchrony, 0.6, 0.95),
        "clips": f.clips_shown / f.clips_given if f.clips_shown and f.clips_given else None,
        "loudness": None
        if f.loudness_lufs is None or f.true_peak_db is None
        else min(
            1.0 - _clipped((abs(f.loudness_lufs + 14.0) - 1.0) / 5.0),
            1.0 - _clipped(f.true_peak_db / 1.0),
        ),
    }
    return {name: round(value, 4) for name, value in found.items() if value is not None}


def score_of(figures: Figures) -> float | None:
    """0 … 10: the weighted mean of what is known; None where nothing is."""
    parts = parts_of(figures)
    weight = sum(WEIGHTS[name] for name in parts)
    if not weight:
        return None
    return round(10 * sum(WEIGHTS[name] * value for name, value in parts.items()) / weight, 2)


def _down(value: float | None, worst: float) -> float | None:
    """1 at 0, 0 from `worst` on."""
    return None if value is None else 1.0 - _clipped(value / worst)


def _up(value: float, worst: float, best: float) -> float:
    return _clipped((value - worst) / (best - worst))


def _clipped(value: float) -> float:
    return min(1.0, max(0.0, value))
