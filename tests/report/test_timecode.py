"""Timecode: known values of SMPTE ST 12-1, and every frame has one of its own."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from montage_dask.timecode import drops, timecode

NTSC, DOUBLE, FILM = Fraction(30000, 1001), Fraction(60000, 1001), Fraction(24000, 1001)


@pytest.mark.parametrize(
    ("frame", "fps", "expected"),
    [
        (0, NTSC, "00:00:00;00"),
        (1799, NTSC, "00:00:59;29"),
        (1800, NTSC, "00:01:00;02"),  # 00 and 01 are left out
        (3597, NTSC, "00:01:59;29"),
        (3598, NTSC, "00:02:00;02"),
        (17981, NTSC, "00:09:59;29"),
        (17982, NTSC, "00:10:00;00"),  # but not in each tenth minute
        (107892, NTSC, "01:00:00;00"),
        (3600, DOUBLE, "00:01:00;04"),
        (35964, DOUBLE, "00:10:00;00"),
        (1800, Fraction(30), "00:01:00:00"),
        (1440, FILM, "00:01:00:00"),
        (89999, Fraction(25), "00:59:59:24"),
        (90000 * 24, Fraction(25), "00:00:00:00"),
    ],
)
def test_known_values(frame, fps, expected):
    assert timecode(frame, fps) == expected


@given(st.integers(0, 2_000_000), st.sampled_from([NTSC, DOUBLE]))
def test_drop_frame_stays_with_the_clock(frame, fps):
    """The numbers differ from real time by a minute's correction and less than 0.1 s a day, and no left-out number appears."""
    text = timecode(frame, fps)
    hours, minutes, seconds, frames = (int(p) for p in text.replace(";", ":").split(":"))
    shown = Fraction(frames, round(fps)) + seconds + 60 * minutes + 3600 * hours
    assert abs(shown - frame / fps) < Fraction(16, 100)
    assert not (seconds == 0 and minutes % 10 and frames < round(fps) // 15)


@given(st.integers(0, 200_000))
def test_neighbours_differ(frame):
    assert timecode(frame, NTSC) < timecode(frame + 1, NTSC)


def test_only_two_rates_drop():
    assert drops(NTSC)
    assert drops(DOUBLE)
    assert not drops(FILM)
    assert not drops(Fraction(30))


def test_no_time_before_zero():
    with pytest.raises(ValueError, match="-1"):
        timecode(-1, NTSC)
