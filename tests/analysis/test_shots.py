"""Shots: every field has its unit and range, and means what it says."""

from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
from made_strips import hard, make_strip, scene

from montage_dask.analysis.shots import describe_shots, quality_of
from montage_dask.analysis.similarity import similarity
from montage_dask.records import Boundary, Shot, from_json, to_json


class Index:
    """Frame times as a frame index has them."""

    def __init__(self, pts, time_base):
        self.pts, self._time_base = pts, time_base

    def __len__(self):
        return len(self.pts)

    def time_seconds(self, i):
        return (self.pts[i] - self.pts[0]) * self._time_base


def described(folder, thumbnails, cuts=(), rate=25, sharpness=0.5, pts=None):
    frames = len(thumbnails)
    base = Fraction(1, 12800)
    pts = pts or [512 + i * 12800 // rate for i in range(frames)]
    index = Index(pts, base)
    source = SimpleNamespace(
        identity="abc",
        frame_rate=Fraction(rate),
        holes=(),
        time_base=base,
        duration_seconds=index.time_seconds(frames - 1) + Fraction(1, rate),
    )
    strip = make_strip(folder, thumbnails, 100, sharpness)
    boundaries = [b for c in cuts for b in ([c] if isinstance(c, Boundary) else hard([c]))]
    return describe_shots(source, index, strip, boundaries)


def test_frames_of_a_transition_belong_to_no_shot(tmp_path):
    thumbnails = np.concatenate([scene(1, 60), scene(2, 60), scene(3, 30)])
    boundaries = (Boundary("dissolve", 50, 70, 0.8), Boundary("cut", 120, 120, 0.9))
    shots = described(tmp_path, thumbnails, boundaries)
    assert [(s.start_frame, s.stop_frame) for s in shots] == [(0, 50), (70, 120), (120, 150)]
    assert [s.boundary for s in shots] == [None, *boundaries]
    assert [s.boundary_seconds for s in shots] == [None, Fraction(2), Fraction(120, 25)]
    assert from_json(Shot, to_json(shots[1])) == shots[1]


def test_shots_cover_the_source(tmp_path):
    thumbnails = np.concatenate([scene(1, 60), scene(2, 101), scene(3, 30)])
    shots = described(tmp_path, thumbnails, (60, 161))
    assert [(s.index, s.start_frame, s.stop_frame) for s in shots] == [
        (0, 0, 60), (1, 60, 161), (2, 161, 191),
    ]  # fmt: skip
    assert shots[0].start_seconds == 0
    assert [s.stop_seconds for s in shots] == [
        Fraction(60, 25),
        Fraction(161, 25),
        Fraction(191, 25),
    ]
    assert shots[1].start_seconds == shots[0].stop_seconds
    for s in shots:
        assert s.source == "abc"
        assert s.profile_step_frames == 6
        assert (
            len(s.motion_profile)
            == len(s.quality_profile)
            == -(-(s.stop_frame - s.start_frame) // 6)
        )
        values = [s.sharpness, s.exposure, s.contrast, s.colourfulness, s.motion, s.quality]
        assert all(0 <= v <= 1 for v in (*values, *s.motion_profile, *s.quality_profile))
        assert np.linalg.norm(s.embedding) == pytest.approx(1, abs=1e-3)
        assert len(s.perceptual_hash) == 16
        assert len(s.colour) == 9
        assert s.colour[:3] == pytest.approx(
            thumbnails[s.start_frame : s.stop_frame].mean(axis=(0, 1, 2)) / 255, abs=0.03
        )
        assert s.duplicate_group == -1
        assert from_json(Shot, to_json(s)) == s


def test_the_cut_itself_is_not_motion(tmp_path):
    still = [np.repeat(scene(seed, 1), 30, axis=0) for seed in (1, 2)]
    first, second = described(tmp_path, np.concatenate(still), (30,))
    assert first.motion == second.motion == 0
    assert max(second.motion_profile) == 0


def test_motion_compares_over_frame_rates(tmp_path):
    smooth = scene(1, 100, speed=1.0, noise=0)
    at_25 = described(tmp_path / "25", smooth)[0].motion
    doubled = described(tmp_path / "50", np.repeat(smooth, 2, axis=0), rate=50)[0].motion
    assert doubled == pytest.approx(at_25, rel=0.05)
    fast = described(tmp_path / "fast", scene(1, 100, speed=3.0, noise=0))[0].motion
    assert fast > at_25 * 1.3


def test_motion_with_variable_frame_rate(tmp_path):
    smooth = scene(1, 60, speed=1.0, noise=0)
    at_25 = described(tmp_path / "25", smooth)[0].motion
    # Every third frame is shown twice as long, so the same change there is slower.
    pts = np.concatenate([[0], np.cumsum([512 * (2 if i % 3 == 0 else 1) for i in range(59)])])
    slower = described(tmp_path / "vfr", smooth, pts=pts.tolist())[0]
    assert 0.6 * at_25 < slower.motion < at_25
    assert slower.stop_seconds > Fraction(60, 25)


def test_the_profile_shows_where_things_move(tmp_path):
    thumbnails = scene(1, 100, speed=2.0, noise=0)
    thumbnails[:50] = thumbnails[50]
    (shot,) = described(tmp_path, thumbnails)
    half = len(shot.motion_profile) // 2
    assert max(shot.motion_profile[: half - 1]) == 0
    assert min(shot.motion_profile[half + 1 :]) > 0.1


def test_black_white_flat_and_blurred_pictures_are_bad():
    def quality(sharpness=0.7, exposure=0.45, contrast=0.2):
        return float(quality_of(*(np.array([v]) for v in (sharpness, exposure, contrast)))[0])

    assert quality() == 1.0
    assert quality(exposure=0.01) == 0
    assert quality(exposure=0.99) == 0
    assert quality(contrast=0.005) == 0
    assert 0.2 < quality(sharpness=0.0) < quality(sharpness=0.3) < 0.7
    assert 0 < quality(exposure=0.1) < 0.6


def test_black_parts_of_a_shot_show_in_its_profile(tmp_path):
    thumbnails = scene(1, 120)
    thumbnails[60:] = 0
    (shot,) = described(tmp_path, thumbnails)
    assert min(shot.quality_profile[:9]) > 0.4
    assert max(shot.quality_profile[11:]) == 0
    assert 0.2 < shot.quality < 0.4


def test_shots_of_one_frame(tmp_path):
    shots = described(tmp_path, scene(1, 3), (1, 2))
    assert [s.stop_frame - s.start_frame for s in shots] == [1, 1, 1]
    assert all(len(s.motion_profile) == 1 for s in shots)


def test_parts_of_one_scene_look_alike_and_other_scenes_do_not(tmp_path):
    thumbnails = np.concatenate([scene(1, 60, speed=0.1), scene(2, 60), scene(1, 60, speed=0.1)])
    first, other, again = described(tmp_path, thumbnails, (60, 120))
    assert similarity(first, again) > 0.95
    assert similarity(first, other) < 0.6
