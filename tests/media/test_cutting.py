"""A frame decoded from a cut is the frame of the whole file, whatever the range and the kind of file."""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_kinds import KINDS
from makers import X264, copied, film, flipped, hashes

from montage_dask.errors import MediaError, Uncuttable
from montage_dask.media import cutting
from montage_dask.media.cutting import cut_range, cut_ranges
from montage_dask.media.index import FrameIndex
from montage_dask.media.probe import probe

FRAMES = 60
UNKNOWN = ("wmv.wmv", "flv.flv")
"""Codecs of which PyAV writes no container."""


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Name → (source, index, digests of all frames)."""
    folder, found = tmp_path_factory.mktemp("cutting"), {}

    def clip(name):
        if name not in found:
            source, index = probe(film(folder / name, *KINDS[name], frames=FRAMES))
            found[name] = source, index, hashes(source, index, 0, FRAMES)
        return found[name]

    return clip


spans = st.integers(0, FRAMES - 1).flatmap(
    lambda start: st.tuples(st.just(start), st.integers(start + 1, min(FRAMES, start + 25)))
)


@pytest.mark.parametrize("name", [k for k in KINDS if k not in UNKNOWN])
def test_random_ranges_decode_as_in_the_whole(clips, tmp_path_factory, name):
    source, index, whole = clips(name)
    output = tmp_path_factory.mktemp("cut") / "cut"

    @settings(max_examples=8, derandomize=True)
    @given(ranges=st.lists(spans, min_size=1, max_size=3))
    def holds(ranges):
        cut = cut_ranges(source, index, ranges, output)
        for start, stop in ranges:
            assert hashes(cut.source, cut.index, start, stop) == whole[start:stop]
            assert any(a <= start and stop <= b for a, b in cut.ranges)
        assert cut.first_frame == cut.ranges[0][0]
        assert cut.size_bytes == output.stat().st_size
        assert list(cut.ranges) == sorted(cut.ranges)
        assert all(before[1] < after[0] for before, after in pairwise(cut.ranges))
        for n in (0, 17, FRAMES):
            assert cut.index.time_seconds(n) == index.time_seconds(n)

    holds()


def test_a_cut_is_small_and_says_what_the_source_says(tmp_path):
    path = film(
        tmp_path / "a.mkv", *X264, "-bf", "2", "-g", "20", "-colorspace", "smpte170m", "-color_range", "pc",
        "-color_primaries", "bt709", "-color_trc", "bt709", "-pix_fmt", "yuvj420p",
        frames=200, filters="setsar=4/3", sound=True,
    )  # fmt: skip
    path = copied(path, tmp_path / "b.mp4", before=("-display_rotation", "90"))
    source, index = probe(path)
    assert (source.rotation_degrees, source.sample_aspect) == (270, Fraction(4, 3))
    cut = cut_range(source, index, 85, 95, tmp_path / "cut")
    assert cut.ranges[0][0] == 80
    assert 95 <= cut.ranges[0][1] <= 98
    assert cut.size_bytes < source.size_bytes / 4
    probed, own = probe(cut.path)
    assert probed.audio is None
    for name in cutting.SAME:
        assert getattr(probed, name) == getattr(source, name)
    assert (cut.index is index, cut.reindexed) == (True, False)
    assert np.array_equal(own.pts, index.pts[80 : cut.ranges[0][1]])
    assert cut.source == replace(
        source,
        path=str(cut.path),
        size_bytes=cut.size_bytes,
        audio=None,
        stream_index=0,
        excerpt=True,
    )


def test_the_stream_that_is_used_is_the_one_that_is_cut(tmp_path):
    small = film(tmp_path / "small.mp4", *X264, frames=40, size="96x54")
    large = film(tmp_path / "large.mp4", *X264, frames=40, rate="30000/1001")
    both = copied(small, tmp_path / "both.mkv", "-i", f"file:{large}", "-map", "0", "-map", "1")
    source, index = probe(both)
    assert source.stream_index == 1
    cut = cut_range(source, index, 11, 30, tmp_path / "cut")
    assert hashes(cut.source, cut.index, 11, 30) == hashes(source, index, 11, 30)


@pytest.mark.parametrize(("offset", "frames"), [("0", 53), ("3600.25", 60)])
def test_frames_before_an_edit_list_and_late_time_stamps(tmp_path, offset, frames):
    whole = film(tmp_path / "uncut.mp4", *X264, "-bf", "2", "-g", "30", frames=90)
    path = copied(
        whole, tmp_path / "edited.mp4", "-output_ts_offset", offset, before=("-ss", "1.48")
    )
    source, index = probe(path)
    assert source.frames == frames
    assert (index.key_pts[0] < index.pts[0]) == (offset == "0")
    for start, stop in [(0, 9), (3, 40), (25, 26), (50, 53)]:
        cut = cut_range(source, index, start, stop, tmp_path / "cut")
        assert hashes(cut.source, cut.index, start, stop) == hashes(source, index, start, stop)


def test_a_range_that_cannot_be_cut_is_told_and_leaves_nothing(clips, tmp_path):
    source, index, _ = clips("wmv.wmv")
    with pytest.raises(Uncuttable, match="wmv2"):
        cut_range(source, index, 5, 9, tmp_path / "cut")
    uneven = FrameIndex(index.pts, index.key_pts, Fraction(1001, 30000), 1)
    with pytest.raises(Uncuttable, match="1001/30000"):
        cut_range(replace(source, constant_frame_rate=False), uneven, 5, 9, tmp_path / "cut")
    assert not (tmp_path / "cut").exists()
    for wrong in [(-1, 3), (5, 5), (50, 61)]:
        with pytest.raises(ValueError, match="of 60"):
            cut_range(source, index, *wrong, tmp_path / "cut")
    gone = replace(source, path=str(tmp_path / "gone.mp4"))
    with pytest.raises(MediaError, match="does not exist"):
        cut_range(gone, index, 5, 9, tmp_path / "cut")


def test_a_container_that_loses_something_is_not_used(clips, tmp_path):
    """What the probe of the cut does not find again is not taken on trust."""
    source, index, _ = clips("bframes.mp4")
    for wrong in [replace(source, rotation_degrees=90), replace(source, color_space="bt2020nc")]:
        with pytest.raises(Uncuttable, match=r"rotation_degrees|color_space"):
            cut_range(wrong, index, 5, 9, tmp_path / "cut")
    shifted = FrameIndex(
        np.concatenate([index.pts[:30], index.pts[30:] + 1]),
        index.key_pts[:2],
        index.time_base,
        index.last_duration,
    )
    with pytest.raises(Uncuttable, match="frame 30 by a packet of its own"):
        cut_range(source, shifted, 28, 34, tmp_path / "cut")
    # A keyframe that is none cannot be where decoding starts.
    more = FrameIndex(
        index.pts, np.sort(np.append(index.key_pts, index.pts[33])), index.time_base, 1
    )
    with pytest.raises(Uncuttable):
        cut_range(source, more, 34, 40, tmp_path / "cut")


@pytest.mark.parametrize("name", ["bframes.mp4", "opengop.mp4", "mpeg2.ts", "bframes.avi"])
@pytest.mark.parametrize("seed", range(3))
def test_damage_gives_the_same_frames_or_an_error(clips, tmp_path, name, seed):
    healthy, _, _ = clips(name)
    path = flipped(Path(healthy.path), tmp_path / name, 0.3 + seed / 10, 4000, step=97)
    try:
        source, index = probe(path)
        whole = hashes(source, index, 0, len(index))
    except MediaError:
        return
    rng, compared = random.Random(seed), 0
    for _ in range(12):
        start = rng.randrange(len(index))
        stop = min(len(index), start + rng.randint(1, 9))
        try:
            cut = cut_range(source, index, start, stop, tmp_path / "cut")
            found = hashes(cut.source, cut.index, start, stop)
        except MediaError:
            continue
        assert found == whole[start:stop]
        compared += 1
    assert compared
