"""Who is in a shot is still there when it ends, and parts with somebody in them come first."""

from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import numpy as np

from montage_dask.edit.candidates import find_candidates
from montage_dask.edit.inpoints import Use, best_place, peak_seconds, settle
from montage_dask.edit.views import course, in_view, view_of
from montage_dask.records import Camera, Shot, Subject

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
    return float(settle([use], WEIGHTS)[0].in_seconds)


def test_a_part_ends_before_its_subject_leaves():
    # Leaving is what moves most.
    motion = tuple(0.9 if 27 <= k <= 32 else 0.2 for k in range(50))
    leaving = shot(there(1, 6.6), motion)
    assert begin(leaving) + 2 <= 7.1
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


def boxes(*some, step=10):
    """A subject at successive looks: left, top, width, height."""
    return [Subject(k * step, "moving", *box, 0.8) for k, box in enumerate(some)]


def test_who_walks_out_over_an_edge_is_gone_though_traces_of_him_are_found():
    walking = [(0.1 + 0.1 * k, 0.2, 0.2, 0.6) for k in range(7)]
    # Half of him, a quarter, his shadow.
    traces = [(0.8, 0.2, 0.2, 0.6), (0.88, 0.3, 0.12, 0.4), (0.94, 0.6, 0.06, 0.4)]
    ((start, stop),) = in_view(shot(boxes(*walking, *traces)))
    assert start == 0
    assert 2.8 <= stop <= 3.2  # he touches the edge at 2.8 s
    # One who stays at the edge is there.
    waiting = [(0.8, 0.2, 0.2, 0.6)] * 3
    ((_, stop),) = in_view(shot(boxes(*walking, *waiting)))
    assert stop > 3.6


def test_a_head_at_the_upper_edge_does_not_leave():
    standing = [(0.4, 0.3 - 0.1 * k, 0.2, 0.6) for k in range(4)] + [(0.4, 0.0, 0.2, 0.55)] * 4
    ((_, stop),) = in_view(shot(boxes(*standing)))
    assert stop >= 2.8
    driving = [(0.4, 0.0, 0.2, 0.9 - 0.2 * k) for k in range(4)]
    ((_, stop),) = in_view(shot(boxes((0.4, 0.2, 0.2, 0.7), *driving)))
    assert stop < 1.5


def test_two_who_follow_each_other_are_two():
    left = [(0.1 - 0.05 * k, 0.2, 0.2, 0.5) for k in range(3)]
    right = [(0.75, 0.2, 0.2, 0.5)] * 3
    found = course(shot(boxes(*left, *right)))
    assert found[:8, 0].max() < 0  # to the left
    assert not found[9:12].any()  # not from the one to the other
    assert (found[14:18, 2] == 0.5).all()


def test_a_part_ends_with_its_subject_rather_than_on_the_strongest_movement():
    motion = tuple(0.9 if 24 <= k <= 26 else 0.1 for k in range(50))
    walker = shot(there(2, 5.9), motion)
    assert begin(walker) + 2 <= 6.4
    assert begin(walker) >= 1.5


def test_the_peak_lies_on_the_beat_at_a_third():
    assert peak_seconds(2.0, 0.5) == 0.5
    assert peak_seconds(4.0, 0.5) == 1.5
    assert peak_seconds(1.5, 0.5) == 0.5
    for peak in (14, 25, 33):
        motion = tuple(0.9 if k == peak else 0.1 for k in range(50))
        assert abs(begin(shot((), motion)) + 0.5 - (peak + 0.5) * 0.24) <= 0.1


def test_the_camera_alone_is_no_movement_of_a_subject():
    panning = shot((), (0.6,) * 50)
    assert not view_of(panning).motion.any()
    motion = tuple(0.9 if k in (10, 40) else 0.3 for k in range(50))
    seen = view_of(shot(there(1, 4), motion))
    assert seen.motion[10] > 0.5
    assert seen.motion[40] == 0  # nobody is there


def test_parts_of_a_long_take_lie_where_somebody_stays_to_their_end():
    take = shot(there(3.4, 6.2))
    found = find_candidates([take], {"a": SimpleNamespace(path="/a.mp4")}, np.array([2.0]))
    even = find_candidates([replace(take, subjects=())], {"a": SimpleNamespace(path="/a.mp4")}, np.array([2.0]))  # fmt: skip
    assert len(found.anchor) == len(even.anchor)
    assert (np.diff(found.anchor) >= 2).all()
    assert found.subject.max() == 1
    assert even.anchor.min() == 0
    best = int(np.argmax(found.subject))
    empty = found.ends_empty(2.0)
    assert empty[best] == 0
    assert empty[(found.anchor > 7.5) | (found.anchor < 0.5)].all()
    assert not even.ends_empty(2.0).any()  # a landscape lacks nobody


def test_a_shot_slows_down_to_keep_its_subject():
    use = Use(
        slot=0, shot=shot(there(3.2, 4.4)), position_seconds=3.0, lead_seconds=Fraction(0),
        length_seconds=Fraction(2), beat_seconds=0.5, shown_seconds=Fraction(2),
        paces=(Fraction(1), Fraction(4, 5)), at_seconds=None,
    )  # fmt: skip
    free = (Fraction(3), Fraction(48, 10))
    assert best_place(use, *free, WEIGHTS).pace == Fraction(4, 5)  # it fits at no other
    assert best_place(replace(use, paces=(Fraction(1),)), *free, WEIGHTS) is None
    assert best_place(use, Fraction(0), None, WEIGHTS).pace == Fraction(4, 5)
    staying = replace(use, shot=shot(there(3.2, 8)))
    assert best_place(staying, Fraction(0), None, WEIGHTS).pace == 1


def test_who_goes_out_at_the_side_has_gone_when_little_is_left_of_him():
    walking = [(0.5, 0.1, 0.1, 0.5), (0.71, 0.0, 0.23, 0.8)]
    # A leg at the edge, then his shadow on the floor: neither goes further out than the other.
    traces = [(0.92, 0.3, 0.08, 0.5), (0.88, 0.78, 0.12, 0.22)]
    ((_, stop),) = in_view(shot(boxes(*walking, *traces)))
    assert stop <= 0.8


def test_who_stops_and_moves_only_the_head_at_the_upper_edge_stays():
    walking = [(0.3, 0.5, 0.3, 0.5), (0.45, 0.2, 0.15, 0.6)]
    head = [(0.5, 0.0, 0.1, 0.26), (0.5, 0.0, 0.12, 0.44), (0.5, 0.0, 0.23, 0.37), (0.5, 0.0, 0.2, 0.37)]  # fmt: skip
    ((_, stop),) = in_view(shot(boxes(*walking, *head)))
    assert stop >= 2.0


def test_a_hand_that_goes_up_has_gone():
    coming = [(0.8, 0.0, 0.2, 0.22), (0.7, 0.0, 0.2, 0.3)]
    there = [(0.58, 0.0, 0.3, 0.41)] * 3
    going = [(0.56, 0.0, 0.23, 0.26)]
    ((_, stop),) = in_view(shot(boxes(*coming, *there, *going)))
    assert 1.6 <= stop <= 2.0


def test_there_is_nothing_to_see_where_nobody_is_and_nothing_moves():
    road = shot(there(4, 7), tuple(0.3 if 16 <= k <= 30 else 0.02 for k in range(50)))
    seen = view_of(road)
    assert seen.nothing[:35].all()
    assert not seen.nothing[40:70].any()
    assert seen.nothing[80:].all()
    # What a camera passes is worth seeing.
    panning = replace(road, camera=Camera("pan", 0.1))
    assert not view_of(panning).nothing.any()
    found = find_candidates([road], {"a": SimpleNamespace(path="/a.mp4")}, np.array([2.0]))
    bare = found.bare(2.0)
    assert bare[(found.anchor > 4) & (found.anchor < 5)].max() == 0
    assert bare[found.anchor > 8].min() == 1
    begins = Use(
        slot=0, shot=replace(road, subjects=()), position_seconds=8.0, lead_seconds=Fraction(0),
        length_seconds=Fraction(2), beat_seconds=0, shown_seconds=Fraction(2),
    )  # fmt: skip
    assert 3.5 <= settle([begins], {"quality": 0.5, "action": 0})[0].in_seconds <= 6


def test_a_take_in_which_nothing_happens_is_one_picture():
    sources = {"a": SimpleNamespace(path="/a.mp4")}
    still, lively = shot((), (0.02,) * 50), shot((), (0.3,) * 50)
    assert find_candidates([still], sources, np.array([2.0])).views[0] == 1
    assert find_candidates([lively], sources, np.array([2.0])).views[0] > 2
