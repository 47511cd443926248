"""A constant rate is called constant, whatever clock rounds it, and where a program stream times a picture as another one."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from makers import X264, film, hashes

from montage_dask.media.probe import probe
from montage_dask.media.rates import evened, is_uneven

MPEG2 = ("-c:v", "mpeg2video", "-g", "12", "-bf", "2", "-q:v", "9")


@pytest.mark.parametrize(
    ("name", "options", "rate"),
    [
        ("a.vob", MPEG2, "24000/1001"),
        ("b.vob", MPEG2, "60000/1001"),
        ("c.mpg", MPEG2, "25"),
        ("d.mpg", MPEG2, "24000/1001"),
        ("e.vob", MPEG2, "48"),
        ("f.ts", X264, "23.98"),
        ("g.wmv", ("-c:v", "wmv2"), "90"),
        ("h.flv", X264, "23.98"),
        ("i.mov", (*X264, "-video_track_timescale", "600"), "24000/1001"),
        ("j.mkv", X264, "60000/1001"),
    ],
)
def test_a_constant_rate_is_called_so(tmp_path, name, options, rate):
    path = film(tmp_path / name, *options, frames=150, size="96x64", rate=rate)
    source, index = probe(path)
    assert (len(index), source.frame_rate, source.constant_frame_rate) == (
        150,
        Fraction(rate),
        True,
    )
    assert not source.warnings
    if name.endswith(("mpg", "vob")):
        whole = hashes(source, index, 0, 150)
        assert len(set(whole)) == 150
        assert hashes(source, index, 70, 90) == whole[70:90]


def test_what_varies_stays_variable(tmp_path):
    path = film(tmp_path / "a.ts", *MPEG2, "-fps_mode", "vfr", frames=60, filters="select='not(between(n,20,23))'")  # fmt: skip
    source, index = probe(path)
    assert not source.constant_frame_rate
    assert np.diff(index.pts).max() == 5 * 3600


def test_times_are_evened_where_they_are_near_a_grid():
    even = np.arange(100) * 3600 + 7
    late = even.copy()
    late[[20, 21, 22]] += 3600
    assert is_uneven(late)
    assert not is_uneven(even)
    found = evened(late.tolist(), (Fraction(25),), Fraction(1, 90_000))
    assert found is not None
    assert np.array_equal(found, even)
    late[50:] += 3 * 3600
    assert evened(late.tolist(), (Fraction(25),), Fraction(1, 90_000)) is None
