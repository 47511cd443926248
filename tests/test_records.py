"""Records: what is written is read back, and what is no record is refused."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from montage_dask.records import (
    AudioStream,
    Event,
    Music,
    Section,
    Shot,
    Source,
    TempoAlternative,
    Timeline,
    Transition,
    Window,
    from_json,
    to_json,
)

RECORDS = (
    AudioStream,
    Event,
    Music,
    Section,
    Shot,
    Source,
    TempoAlternative,
    Timeline,
    Transition,
    Window,
)
st.register_type_strategy(Fraction, st.fractions())
st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
@pytest.mark.parametrize("cls", RECORDS)
def test_every_record_comes_back_from_json(cls, data):
    record = data.draw(st.from_type(cls))
    assert from_json(cls, json.loads(json.dumps(to_json(record), allow_nan=False))) == record


def test_fractions_stay_exact_and_readable():
    section = Section(Fraction(1001, 30000), Fraction(2), "intro", 0.5)
    assert to_json(section) == {
        "start_seconds": "1001/30000", "stop_seconds": "2", "label": "intro", "energy": 0.5,
    }  # fmt: skip


def test_containers_and_paths():
    assert to_json({1: (Path("/a"), None, [True])}) == {"1": ["/a", None, [True]]}
    with pytest.raises(TypeError, match="not a record"):
        to_json(object())


@pytest.mark.parametrize(
    "data",
    [
        {"kind": "cut", "frames": 0, "more": 1}, {"kind": "cut"}, {"kind": 3, "frames": 0}, {"kind": "cut", "frames": "0"},
        {"kind": "cut", "frames": 1.5}, [], None, "cut",
    ],
)  # fmt: skip
def test_what_is_no_record_is_refused(data):
    with pytest.raises((ValueError, TypeError, KeyError)):
        from_json(Transition, data)


def test_lengths_and_errors():
    events = (
        Event(0, 50, "a", 0, Fraction(0)),
        Event(50, 75, "b", 0, Fraction(1), beat_seconds=Fraction(299, 100)),
    )
    made = Timeline(Fraction(25), 2, 2, events, "m", Fraction(1), "s", 0)
    assert made.frames == 75
    assert made.duration_seconds == 3
    assert made.error_ms(made.events[0]) is None
    assert made.error_ms(made.events[1]) == pytest.approx(10)
    assert Timeline(Fraction(25), 2, 2, (), "m", Fraction(0), "s", 0).frames == 0
