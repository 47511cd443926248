"""What is cropped keeps its subject: the window's path follows it, calmly, and stands still where it can."""

import math
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest

from montage_dask.edit.reframe import (
    SPEED,
    kept_share,
    parse_focus,
    reframed,
    seconds_of,
    window_of,
)
from montage_dask.errors import UsageError
from montage_dask.records import Event, Shot, Subject, Timeline, Transition

FPS = Fraction(30)
UPRIGHT = (1080, 1920)


def source(width=1920, height=1080, path="/clips/a.mp4"):
    return SimpleNamespace(
        identity="a", width=width, height=height, path=path, duration_seconds=Fraction(20)
    )


def shot(boxes, *, step=10, frames=500, rate=25, kind="moving"):
    """A shot of 20 s whose subject is where `boxes` says, from look to look."""
    subjects = tuple(
        Subject(k * step, kind, *(float(v) for v in box), 0.8)
        for k, box in enumerate(boxes)
        if box is not None
    )
    return Shot(
        "a", 0, 0, frames, Fraction(0), Fraction(frames, rate), 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, (), "0",
        10, (), (), subjects=subjects,
    )  # fmt: skip


def timeline(events=None, size=UPRIGHT):
    events = events or (Event(0, 150, "a", 0, Fraction(2)),)
    return Timeline(FPS, *size, events, "/m.wav", Fraction(0), "s", 0)


def walk(seed, count=50):
    """Somebody who walks through the picture and back, or stays: left, top, width, height at each look."""
    random = np.random.default_rng(seed)
    width, height = random.uniform(0.08, 0.2), random.uniform(0.3, 0.7)
    t = np.arange(count) * 0.4
    speed = random.uniform(0.02, 0.3)
    x = 0.5 + 0.5 * np.sin(speed * t * 2 + random.uniform(0, 6)) * (1 - width) - width / 2
    x = np.clip(x + random.normal(0, 0.01, count), 0, 1 - width)
    y = np.clip(0.3 + random.normal(0, 0.02, count), 0, 1 - height)
    return np.stack([x, y, np.full(count, width), np.full(count, height)], 1)


def kept(made, of_shot, shown, shape):
    """Mean share of the subject's box in the window, and the same in the middle."""
    window = window_of(shown, shape)
    following, middle = [], []
    for event in made.events:
        for subject in of_shot.subjects:
            frame = (seconds_of(of_shot, subject.frame) - float(event.in_seconds)) * float(FPS)
            if 0 <= frame < event.frames:
                following.append(kept_share(subject, event.centre_at(frame), window))
                middle.append(kept_share(subject, (0.5, 0.5), window))
    return np.mean(following), np.mean(middle)


def test_nine_tenths_of_the_subject_stay_in_an_upright_picture():
    following, middle = [], []
    for seed in range(30):
        of_shot = shot(walk(seed))
        made = reframed(timeline(), [of_shot], {"a": source()}, fit="cover")
        share = kept(made, of_shot, source(), Fraction(9, 16))
        following.append(share[0])
        middle.append(share[1])
    assert np.mean(following) >= 0.95
    assert min(following) >= 0.8
    assert np.mean(middle) < 0.6


@pytest.mark.parametrize("seed", range(8))
def test_the_window_is_never_faster_than_it_may_be_and_stays_inside(seed):
    random = np.random.default_rng(seed)
    boxes = np.column_stack([random.uniform(0, 0.9, 50), random.uniform(0, 0.5, 50), *np.full((2, 50), 0.1)])  # fmt: skip
    (event,) = reframed(timeline(), [shot(boxes)], {"a": source()}, fit="cover").events
    path = np.array([event.centre_at(k) for k in range(event.frames)])
    width = 9 / 16 * 9 / 16
    assert np.abs(np.diff(path[:, 0])).max() * 30 <= SPEED * width + 0.01
    assert path[:, 0].min() >= width / 2 - 1e-3
    assert path[:, 0].max() <= 1 - width / 2 + 1e-3
    assert np.ptp(path[:, 1]) == 0


def test_it_stands_still_where_the_subject_hardly_moves():
    boxes = walk(1)
    boxes[:, 0] = 0.7 + 0.02 * np.sin(np.arange(50))
    (event,) = reframed(timeline(), [shot(boxes)], {"a": source()}, fit="cover").events
    (point,) = event.focus
    assert point.frame == 0
    assert point.x / 10_000 == pytest.approx(0.7 + boxes[0, 2] / 2, abs=0.03)


def test_a_face_keeps_its_hair_where_height_is_cropped():
    tall = source(1080, 1920)
    of_shot = shot([(0.4, 0.1, 0.2, 0.12)] * 50, kind="face")
    made = reframed(timeline(size=(1920, 1080)), [of_shot], {"a": tall}, fit="cover")
    (point,) = made.events[0].focus
    height = window_of(tall, Fraction(16, 9))[1]
    assert point.x == 5000
    assert point.y / 10_000 - height / 2 <= 0.1 - 0.6 * 0.12


def test_nothing_changes_where_nothing_is_cropped_or_nobody_follows():
    of_shot = shot(walk(3))
    plain = timeline(size=(1280, 720))
    assert reframed(plain, [of_shot], {"a": source()}, fit="cover") == plain
    for fit in ("blur", "contain", "centre"):
        assert reframed(timeline(), [of_shot], {"a": source()}, fit=fit) == timeline()
    assert reframed(timeline(), [shot([])], {"a": source()}, fit="cover") == timeline()


def test_a_place_set_by_hand_wins():
    of_shot = shot(walk(3))
    for text in ("a.mp4@4=0.2,0.5", "a.mp4=.2,.5"):
        made = reframed(
            timeline(), [of_shot], {"a": source()}, fit="cover", by_hand=[parse_focus(text)]
        )
        assert [(f.frame, f.x, f.y) for f in made.events[0].focus] == [(0, 2000, 5000)]
    late = replace(of_shot, stop_frame=100, stop_seconds=Fraction(4))
    made = reframed(
        timeline(), [late], {"a": source()}, fit="cover", by_hand=[parse_focus("a.mp4@9=0.2,0.5")]
    )
    assert made.events[0].focus != ()
    assert made.events[0].focus[0].x != 2000


@pytest.mark.parametrize("text", ["a.mp4", "a.mp4=1", "a.mp4=1.2,0.5", "=0.1,0.1", "a.mp4=x,y"])
def test_a_focus_that_is_none_is_refused(text):
    with pytest.raises(UsageError):
        parse_focus(text)


def test_a_clip_that_is_none_is_named():
    with pytest.raises(UsageError, match=r"no clip is called 'b\.mp4'"):
        reframed(
            timeline(), [shot([])], {"a": source()}, fit="cover", by_hand=[parse_focus("b.mp4=0,0")]
        )


def test_the_path_reaches_into_crossfades():
    events = (
        Event(0, 60, "a", 0, Fraction(2)),
        Event(60, 150, "a", 0, Fraction(10), transition=Transition("crossfade", 20)),
    )
    boxes = walk(3)
    boxes[:, 0] = 0.4 + 0.38 * np.sin(np.arange(50) * 0.5)
    first, second = reframed(timeline(events), [shot(boxes)], {"a": source()}, fit="cover").events
    assert second.focus[0].frame == -10
    assert first.focus[-1].frame >= 70
    assert math.isclose(second.centre_at(-10)[0], second.focus[0].x / 10_000)


def test_slow_motion_follows_in_source_time():
    boxes = walk(3)
    boxes[:, 0] = np.linspace(0, 0.8, 50)
    slow = Event(0, 150, "a", 0, Fraction(2), speed=Fraction(1, 2))
    of_shot = shot(boxes)
    (half,) = reframed(timeline((slow,)), [of_shot], {"a": source()}, fit="cover").events
    (full,) = reframed(timeline(), [of_shot], {"a": source()}, fit="cover").events
    assert half.centre_at(140)[0] == pytest.approx(full.centre_at(70)[0], abs=0.06)


def test_where_only_a_hand_moves_all_of_who_stands_there_is_kept():
    whole, hand = (0.52, 0.05, 0.24, 0.8), (0.48, 0.3, 0.08, 0.15)
    one = shot([whole] * 10 + [hand] * 20)
    made = reframed(
        timeline((Event(0, 90, "a", 0, Fraction(5)),)), [one], {"a": source()}, fit="cover"
    )
    window = window_of(source(), Fraction(9, 16))
    body = Subject(0, "moving", *whole, 0.8)
    assert len(made.events[0].focus) == 1
    focus = made.events[0].focus[0]
    assert kept_share(body, (focus.x / focus.UNIT, focus.y / focus.UNIT), window) >= 0.95
    # Who comes afterwards, elsewhere, is somebody else; and a hand that is left at the edge is on its way out.
    for other in ((0.05, 0.3, 0.08, 0.15), (0.92, 0.3, 0.08, 0.15)):
        moved = shot([whole] * 10 + [other] * 20)
        path = reframed(
            timeline((Event(0, 90, "a", 0, Fraction(7)),)), [moved], {"a": source()}, fit="cover"
        ).events[0].focus  # fmt: skip
        middle = Subject(0, "moving", *other, 0.8)
        assert kept_share(middle, (path[-1].x / focus.UNIT, 0.5), window) >= 0.95
