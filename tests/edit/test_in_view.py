"""Who is in a shot is still there when it ends, and parts with somebody in them come first."""

from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import numpy as np

from montage_dask.edit.candidates import find_candidates
from montage_dask.edit.inpoints import Use, settle
from montage_dask.records import Shot, Subject

WEIGHTS = {"quality": 0.3, "action": 0.2}


def shot(subjects=(), motion=(), index=0):
    frames = 300
    return Shot(
        "a", index, 0, frames, Fraction(0), Fraction(12), 0.5, 0.5, 0.5, 0.5, 0.2, 0.8, (1.0,), "0", 6,
        motion or (0.2,) * 50, (0.8,) * 50, subjects=tuple(subjects),
    )  # fmt: skip


def there(first, last):
    """Somebody at every look from one second to another."""
    return [
        Subject(f, "moving", 0.4, 0.2, 0.2, 0.5, 0.8) for f in range(0, 300, 10) if first <= f / 25 <= last
    ]  # fmt: skip


def begin(of_shot):
    use = Use(
        slot=0, shot=of_shot, position_seconds=4.0, lead_seconds=Fraction(0), length_seconds=Fraction(2),
        beat_seconds=0.5, shown_seconds=Fraction(2),
    )  # fmt: skip
    return float(settle([use], WEIGHTS)[0])


def test_a_part_ends_before_its_subject_leaves():
    # Leaving is what moves most.
    motion = tuple(0.9 if 27 <= k <= 32 else 0.2 for k in range(50))
    leaving = shot(there(1, 6.6), motion)
    assert begin(leaving) + 2 <= 7.1
    assert begin(leaving) >= 0.8
    assert begin(replace(leaving, subjects=())) + 2 > 7.5


def test_parts_with_a_subject_are_known():
    sources = {"a": SimpleNamespace(path="/a.mp4")}
    found = find_candidates([shot(there(4, 8))], sources, np.array([2.0]))
    middle = found.anchor + 1
    assert (found.subject[(middle > 5) & (middle < 7)] == 1).all()
    assert (found.subject[(middle < 2) | (middle > 10)] == 0).all()
    assert not find_candidates([shot()], sources, np.array([2.0])).subject.any()


def test_a_speck_is_no_subject():
    small = [replace(s, width=0.03, height=0.05) for s in there(0, 12)]
    found = find_candidates([shot(small)], {"a": SimpleNamespace(path="/a.mp4")}, np.array([2.0]))
    assert not found.subject.any()
