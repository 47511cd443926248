"""The timecode that a file carries is that of its first frame, whatever kind of file it is."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import pytest
from makers import X264, film

from montage_dask.media.probe import probe
from montage_dask.records import Source as Record
from montage_dask.records import from_json, to_json
from montage_dask.timecode import number_of, starts_at, timecode

MPEG2 = ("-c:v", "mpeg2video")
NTSC, FAST = "30000/1001", "60000/1001"


def clock(path: Path) -> tuple[str | None, Fraction | None]:
    source, _ = probe(path)
    assert from_json(Record, to_json(source)) == source
    return source.timecode, source.timecode_rate


@pytest.mark.parametrize(
    ("name", "label", "rate", "options"),
    [
        ("a.mov", "14:09:42:00", "25", X264),
        ("a.mp4", "14:09:42:00", "25", X264),
        ("drop.mov", "01:00:00;00", NTSC, X264),
        ("whole.mov", "01:00:00:00", NTSC, X264),
        ("film.mov", "01:00:00:23", "24000/1001", X264),
        ("fast.mov", "01:00:59;58", FAST, X264),
        ("midnight.mov", "23:59:59:24", "25", X264),
        ("a.mxf", "10:00:00:00", "25", MPEG2),
        ("drop.mxf", "10:00:00;02", NTSC, MPEG2),
        ("a.mpg", "10:00:00:05", "25", MPEG2),
        ("drop.ts", "10:00:00;02", NTSC, MPEG2),
    ],
)
def test_it_is_found(tmp_path, name, label, rate, options):
    path = film(tmp_path / name, *options, "-timecode", label, frames=5, rate=rate)
    assert clock(path) == (label, Fraction(rate))


@pytest.mark.parametrize(
    ("name", "size", "pixels", "rate", "label"),
    [
        ("a.dv", "720x576", "yuv420p", "25", "10:00:00:00"),
        ("drop.dv", "720x480", "yuv411p", NTSC, "10:00:00;00"),
        ("dv.avi", "720x576", "yuv420p", "25", "10:00:00:00"),
    ],
)
def test_it_is_found_in_dv(tmp_path, name, size, pixels, rate, label):
    options = ("-c:v", "dvvideo", "-pix_fmt", pixels, "-timecode", label)
    path = film(tmp_path / name, *options, frames=5, size=size, rate=rate)
    assert clock(path) == (label, Fraction(rate))


@pytest.mark.parametrize("owner", ["-metadata", "-metadata:s:v:0"])
def test_it_is_found_in_tags_of_matroska(tmp_path, owner):
    path = film(tmp_path / "a.mkv", *X264, owner, "timecode=14:09:42:10", frames=5)
    assert clock(path) == ("14:09:42:10", 25)


@pytest.mark.parametrize("label", ["99:00:00:00", "10:61:00:00", "10:00:00:25", "noon", "", "-1:00:00:00"])  # fmt: skip
def test_what_is_no_timecode_is_none(tmp_path, label):
    path = film(tmp_path / "a.mkv", *X264, "-metadata", f"timecode={label}", frames=5)
    assert clock(path) == (None, None)


def test_files_without_one_have_none(tmp_path):
    assert clock(film(tmp_path / "a.mp4", frames=5)) == (None, None)
    # Groups of pictures always have one; zeros tell nothing, and in a container of its own clock it does not count.
    assert clock(film(tmp_path / "a.mpg", *MPEG2, frames=5)) == (None, None)
    other = film(tmp_path / "b.mkv", *MPEG2, "-gop_timecode", "10:00:00:00", frames=5)
    assert clock(other) == (None, None)


@pytest.mark.parametrize(("rate", "half"), [("50", "25"), (FAST, NTSC)])
def test_fast_footage_may_count_every_second_frame(tmp_path, rate, half):
    """As cameras write it: the tmcd track of a file of 50 frames a second counts 25."""
    path = film(tmp_path / "a.mov", *X264, "-timecode", "01:00:00:40", frames=10, rate=rate)
    data = bytearray(path.read_bytes())
    # The description of the samples: 28 bytes behind its kind stand the frames in a second, before them a frame's length.
    entries = (m.start() + 28 for m in re.finditer(b"tmcd", data[:-28]))
    [nominal] = [e for e in entries if data[e] == round(Fraction(rate))]
    data[nominal] = round(Fraction(half))
    length = data[nominal - 4 : nominal]
    data[nominal - 4 : nominal] = (2 * int.from_bytes(length, "big")).to_bytes(4, "big")
    counter = (3600 * round(Fraction(rate)) + 40).to_bytes(4, "big")
    at = data.index(counter)
    data[at : at + 4] = (3600 * round(Fraction(half)) + 20).to_bytes(4, "big")
    path.write_bytes(data)
    assert clock(path) == ("01:00:00:20", Fraction(half))
    source, _ = probe(path)
    assert starts_at(source) == (3600 * round(Fraction(half)) + 20) / Fraction(half)


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(NTSC), Fraction(FAST), Fraction(24000, 1001)])  # fmt: skip
@pytest.mark.parametrize("drop", [False, True])
def test_labels_and_numbers_are_inverse(fps, drop):
    if drop and round(fps) % 30:
        return
    for frame in (*range(0, 40000, 7), *range(1790, 1810), *range(3590, 3610), 107892, 2_000_000):
        assert number_of(timecode(frame, fps, drop), fps) == frame
