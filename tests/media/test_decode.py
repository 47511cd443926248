"""A frame is the same whoever decodes it: every kind of file, whole and in windows."""

from __future__ import annotations

import hashlib
import random
from fractions import Fraction

import av
import numpy as np
import pytest
from made_kinds import KINDS
from makers import X264, copied, film, flipped, hashes

from montage_dask.errors import MediaError
from montage_dask.media.decode import decode_frames, show_rgb
from montage_dask.media.probe import probe

FRAMES = 60
SILENT = ("opengop.mp4", "vp8.webm")
"""Decoders that make up pictures for lost data without telling: then only their number is certain."""

DAMAGED = (*SILENT, "bframes.mp4", "vp9.webm", "av1.mkv", "bframes.avi", "mpeg2.ts", "ffv1.mkv")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("decode")


def assert_window_independent(path, *, starts=8, seed=0):
    source, index = probe(path)
    whole = hashes(source, index, 0, len(index))
    rng = random.Random(seed)
    for _ in range(starts):
        start = rng.randrange(len(index))
        stop = min(len(index), start + rng.randint(1, 9))
        assert hashes(source, index, start, stop) == whole[start:stop], (start, stop)
    return source, index, whole


def straightforward(path):
    """Every frame that a plain decoder shows, by its time."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        return [
            (f.pts, hashlib.sha256(f.to_ndarray().tobytes()).hexdigest()[:16])
            for f in container.decode(stream)
        ]


@pytest.mark.parametrize("name", KINDS)
def test_windows_give_what_the_whole_file_gives(folder, name):
    path = film(folder / name, *KINDS[name], frames=FRAMES)
    _source, index, whole = assert_window_independent(path)
    plain = straightforward(path)
    assert len(index) == FRAMES
    assert [int(p) for p in index.pts] == [p for p, _ in plain]
    assert whole == [h for _, h in plain]
    if name != "gif.gif":
        assert len(set(whole)) == FRAMES


def test_threads_do_not_change_frames(folder):
    path = film(folder / "threads.mp4", *KINDS["bframes.mp4"], frames=FRAMES)
    source, index = probe(path)
    assert hashes(source, index, 7, 50, threads=1) == hashes(source, index, 7, 50, threads=3)


def test_a_transport_stream_that_begins_in_the_middle_of_a_group(folder):
    whole = film(folder / "whole.ts", *X264, "-bf", "2", "-g", "25", frames=90)
    data = whole.read_bytes()
    cut = folder / "cut.ts"
    cut.write_bytes(data[188 * (len(data) // 188 // 6) :])
    source, index, _ = assert_window_independent(cut)
    assert 40 <= source.frames < 90
    assert index.pts[0] == index.key_pts[0]


def test_a_variable_rate_keeps_every_frame(folder):
    vary = "setpts='(N+0.4*mod(N\\,3)+gt(N\\,20)*7)/(25*TB)'"
    path = film(folder / "vfr.mp4", *X264, "-bf", "2", "-fps_mode", "vfr", "-enc_time_base", "1:1000", filters=vary)  # fmt: skip
    source, index, _ = assert_window_independent(path)
    assert not source.constant_frame_rate
    assert index.time_seconds(21) - index.time_seconds(20) > Fraction(1, 5)


def test_an_edit_list_hides_frames(folder):
    whole = film(folder / "uncut.mp4", *X264, "-bf", "2", "-g", "30", frames=90)
    path = copied(whole, folder / "edited.mp4", before=("-ss", "1.48"))
    source, index, hidden = assert_window_independent(path)
    assert source.frames == 90 - 37
    assert [h for _, h in straightforward(path)] == hidden
    original, all_frames = probe(whole)
    assert hidden == hashes(original, all_frames, 37, 90)
    assert int(index.key_pts[0]) < int(index.pts[0])


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_is_for_showing_only(folder, degrees):
    plain = film(folder / "plain.mp4", *X264, frames=5)
    path = copied(plain, folder / f"{degrees}.mp4", before=("-display_rotation", str(-degrees)))
    upright, turned = probe(plain), probe(path)
    assert turned[0].rotation_degrees == degrees
    assert hashes(*turned, 0, 5) == hashes(*upright, 0, 5)
    expected = np.rot90(next(decode_frames(*upright, 2, 3))[1].to_ndarray(format="rgb24"), -degrees // 90)  # fmt: skip
    shown = show_rgb(next(decode_frames(*turned, 2, 3))[1], turned[0])
    assert shown.shape == expected.shape == (turned[0].height, turned[0].width, 3)
    assert np.abs(shown.astype(int) - expected).mean() < 3


def test_odd_sizes_and_wide_pixels(folder):
    odd = film(
        folder / "odd.mkv",
        "-c:v",
        "ffv1",
        frames=12,
        filters="scale=161:91,setsar=1,format=yuv444p",
    )
    source, _, _ = assert_window_independent(odd)
    assert (source.width, source.height) == (161, 91)
    wide = film(folder / "wide.mp4", *X264, size="120x96", frames=5, filters="setsar=16/11")
    source, index = probe(wide)
    assert (source.coded_width, source.coded_height) == (120, 96)
    assert (source.width, source.height) == (175, 96)
    assert show_rgb(next(decode_frames(source, index, 0, 1))[1], source).shape == (96, 175, 3)
    assert show_rgb(next(decode_frames(source, index, 0, 1))[1], source, 80).shape == (44, 80, 3)


@pytest.mark.parametrize("name", DAMAGED)
@pytest.mark.parametrize(("start", "length"), [(0.4, 400), (0.55, 20_000)])
def test_damage_in_the_middle_is_survived_and_the_same_for_all(folder, name, start, length):
    whole = film(folder / f"good-{name}", *KINDS[name], frames=FRAMES)
    path = flipped(whole, folder / f"{start}-{name}", start, length)
    try:
        source, _ = probe(path)
    except MediaError:
        return
    assert source.frames >= 10
    if name in SILENT:
        assert len(hashes(*probe(path), 0, source.frames)) == source.frames
    else:
        assert_window_independent(path)


@pytest.mark.parametrize("name", ["bframes.avi", "mpeg2.ts", "vp9.webm", "ffv1.mkv", "flv.flv"])
def test_a_lost_tail(folder, name):
    whole = film(folder / f"complete-{name}", *KINDS[name], frames=FRAMES)
    path = folder / f"short-{name}"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    source, _, _ = assert_window_independent(path)
    assert 15 <= source.frames < FRAMES


def test_a_tail_lost_behind_the_index(folder):
    whole = film(folder / "fast.mp4", *X264, "-g", "12", "-movflags", "+faststart", frames=90)
    path = folder / "short.mp4"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    source, _, _ = assert_window_independent(path)
    assert 20 <= source.frames < 90
    assert any("truncated" in w for w in source.warnings)


def test_wrong_ranges_and_lost_files(folder):
    path = film(folder / "lost.mp4", frames=5)
    source, index = probe(path)
    for start, stop in ((-1, 2), (3, 3), (0, 6)):
        with pytest.raises(ValueError, match="of 5"):
            list(decode_frames(source, index, start, stop))
    path.unlink()
    with pytest.raises(MediaError, match="does not exist"):
        list(decode_frames(source, index, 0, 5))
