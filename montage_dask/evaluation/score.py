"""One number of many figures: 0 (nobody would watch it) … 10: what is worth seeing, less what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from montage_dask.evaluation.figures import Figures

WORTH: Mapping[str, float] = {
    "lost": 2.0,
    "empty": 2.0,
    "takes": 1.5,
    "drops": 1.0,
    "weak": 1.0,
    "flips": 0.5,
}
"""What makes a montage worth seeing, and what counts how much; what is not known does not count."""

FAULTS: Mapping[str, float] = {
    "junk": 0.8,
    "mismatched": 0.8,
    "repeated": 0.6,
    "beat": 0.5,
    "subject": 0.4,
    "places": 0.3,
    "end": 0.1,
    "clips": 0.1,
    "loudness": 0.1,
    "fade": 0.05,
}
"""What nobody notices as long as it is right: the share of the worth that each takes where it is as wrong as can be."""


def parts_of(figures: Figures) -> dict[str, float]:
    """Each part that is known, 0 … 1."""
    f = figures
    found: dict[str, float | None] = {
        "lost": _down(f.subject_lost_percent, 40),
        "empty": _down(f.empty_percent, 30),
        "takes": None if f.takes_share is None else _up(f.takes_share, 0.1, 0.7),
        # The top fifth is as good as the best.
        "drops": sum(min(1.0, r / 0.8) for r in f.drop_ranks) / len(f.drop_ranks)
        if f.drop_ranks
        else None,
        "weak": None if f.weak_places is None else 1.0 - _clipped(len(f.weak_places) / 2),
        "flips": None
        if f.direction_flips_percent is None
        else 1.0 - _clipped((f.direction_flips_percent - 10) / 50),
        "junk": _down(f.junk_percent, 20),
        "mismatched": _down(f.mismatched_percent, 5),
        "repeated": _down(f.repeated_percent, 15),
        "beat": None if f.synchrony is None else _up(f.synchrony, 0.6, 0.95),
        "subject": None if f.subject_kept_percent is None else _up(f.subject_kept_percent, 50, 95),
        "places": None if f.junk_places is None else float(not f.junk_places),
        "end": _down(f.end_seconds, 0.5),
        "clips": f.clips_shown / f.clips_given if f.clips_shown and f.clips_given else None,
        "loudness": None
        if f.loudness_lufs is None or f.true_peak_db is None
        else min(
            1.0 - _clipped((abs(f.loudness_lufs + 14.0) - 1.0) / 5.0),
            1.0 - _clipped(f.true_peak_db / 1.0),
        ),
        "fade": None if f.fade_share is None else 1.0 - _clipped(1.5 * f.fade_share - 0.5),
    }
    return {name: round(value, 4) for name, value in found.items() if value is not None}


def score_of(figures: Figures) -> float | None:
    """0 … 10: the weighted mean of the worth, times what each fault leaves of it; None where nothing is known."""
    parts = parts_of(figures)
    weight = sum(w for name, w in WORTH.items() if name in parts)
    if not parts:
        return None
    worth = 1.0
    if weight:
        worth = sum(w * parts[name] for name, w in WORTH.items() if name in parts) / weight
    left = prod(1 - share * (1 - parts[name]) for name, share in FAULTS.items() if name in parts)
    return round(10 * worth * left, 2)


def _down(value: float | None, worst: float) -> float | None:
    """1 at 0, 0 from `worst` on."""
    return None if value is None else 1.0 - _clipped(value / worst)


def _up(value: float, worst: float, best: float) -> float:
    return _clipped((value - worst) / (best - worst))


def _clipped(value: float) -> float:
    return min(1.0, max(0.0, value))
