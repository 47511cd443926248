"""Cuts: found to the frame, and not found in pans, jolts, flashes and fades within one picture."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_strips import detect_cuts, make_strip, picture, scene

from montage_dask.analysis import scenes, transnet
from montage_dask.analysis.scenes import spaced
from montage_dask.errors import StoreError, UsageError
from montage_dask.store.arrays import ArraySpec, create_array, write_rows

RATE = Fraction(25)
LENGTHS = (40, 33, 61, 50, 27, 80)


def joined(lengths=LENGTHS, **kwargs) -> tuple[np.ndarray, tuple[int, ...]]:
    parts = [scene(seed, length, **kwargs) for seed, length in enumerate(lengths)]
    return np.concatenate(parts), tuple(np.cumsum(lengths)[:-1].tolist())


def fast(strip, rate=RATE, **kwargs):
    return detect_cuts(strip, detector="fast", frame_rate=rate, **kwargs)


@pytest.mark.parametrize("speed", [0.0, 0.3, 1.0])
def test_hard_cuts_are_found_to_the_frame(tmp_path, speed):
    thumbnails, cuts = joined(speed=speed)
    assert fast(make_strip(tmp_path, thumbnails)) == cuts


@pytest.mark.parametrize("detector", ["content", "adaptive", "hash", "histogram"])
def test_detectors_of_pyscenedetect_work_on_the_strip(tmp_path, detector):
    thumbnails, cuts = joined(speed=0.0)
    strip = make_strip(tmp_path, thumbnails)
    found = detect_cuts(strip, detector=detector, frame_rate=RATE)
    # The hash and the histogram of soft pictures may miss some; none invents any.
    assert set(found) <= set(cuts)
    assert len(found) >= (len(cuts) if detector in ("content", "adaptive") else 1)


def test_frames_stored_twice_do_not_matter(tmp_path):
    thumbnails, cuts = joined(speed=1.0)
    doubled = np.repeat(thumbnails, 2, axis=0)
    assert fast(make_strip(tmp_path, doubled), Fraction(50)) == tuple(2 * cut for cut in cuts)


def test_a_slide_show_of_stills(tmp_path):
    thumbnails, cuts = joined(speed=0.0, noise=0.0)
    assert fast(make_strip(tmp_path, thumbnails)) == cuts


def test_pans_and_a_shaking_camera_are_not_cuts(tmp_path):
    big = picture(7)
    rng = np.random.default_rng(7)
    pan = [big[10:37, x : x + 48] for x in (np.linspace(0, 60, 30)).astype(int)]
    shake = [big[10 + dy :][:27, 30 + dx :][:, :48] for dy, dx in rng.integers(-3, 4, (60, 2))]
    jolt = [big[10:37, 30:78]] * 30 + [big[12:39, 34:82]] * 30
    for number, part in enumerate((pan, shake, jolt)):
        assert fast(make_strip(tmp_path / str(number), np.array(part))) == ()


@pytest.mark.parametrize("length", [1, 2, 4])
@pytest.mark.parametrize("level", [0, 255])
def test_flashes_and_black_frames_are_not_cuts(tmp_path, length, level):
    thumbnails = scene(3, 90)
    thumbnails[40 : 40 + length] = level
    assert fast(make_strip(tmp_path, thumbnails)) == ()


def test_a_flash_that_is_not_quite_white(tmp_path):
    thumbnails = scene(3, 90)
    thumbnails[40:42] = np.minimum(thumbnails[40:42].astype(int) + 140, 255)
    assert fast(make_strip(tmp_path, thumbnails)) == ()


def test_a_new_exposure_is_not_a_cut(tmp_path):
    thumbnails = scene(3, 90)
    thumbnails[45:] = thumbnails[45:] * 0.6
    assert fast(make_strip(tmp_path, thumbnails)) == ()


def faded(first: np.ndarray, second: np.ndarray, ramp: int, black: int) -> np.ndarray:
    down = np.linspace(1, 0, ramp)[:, None, None, None]
    first, second = first.astype(float), second.astype(float)
    first[-ramp:] *= down
    second[:ramp] *= down[::-1]
    return np.concatenate([first, np.zeros((black, 27, 48, 3)), second]).astype(np.uint8)


def test_a_fade_through_black_is_one_cut_in_the_black(tmp_path):
    thumbnails = faded(scene(1, 60), scene(2, 60), ramp=15, black=6)
    (cut,) = fast(make_strip(tmp_path, thumbnails))
    assert 58 <= cut <= 67


def test_long_black_is_a_shot_of_its_own(tmp_path):
    thumbnails = np.concatenate([scene(1, 60), np.zeros((50, 27, 48, 3), np.uint8), scene(2, 60)])
    assert fast(make_strip(tmp_path, thumbnails)) == (60, 110)


def test_a_fade_in_from_black_at_the_start_is_not_a_cut(tmp_path):
    thumbnails = faded(scene(1, 60), scene(2, 60), ramp=15, black=6)[62:]
    assert fast(make_strip(tmp_path, thumbnails)) == ()


def test_shots_are_not_shorter_than_asked(tmp_path):
    thumbnails, cuts = joined((50, 12, 50, 50))
    found = fast(make_strip(tmp_path, thumbnails), minimum_shot_seconds=1.0)
    assert len(found) == 2
    assert set(found) <= set(cuts)


@given(
    st.lists(st.tuples(st.integers(-5, 300), st.floats(0, 9)), max_size=60),
    st.integers(1, 40),
    st.integers(1, 300),
)
def test_spaced_cuts_leave_no_short_shot(found, shortest, frames):
    kept = spaced(found, shortest, frames)
    assert set(kept) <= {cut for cut, _ in found}
    if kept:
        assert min(b - a for a, b in pairwise([0, *kept, frames])) >= shortest


def test_spaced_prefers_the_stronger():
    assert spaced([(50, 1.0), (55, 3.0), (60, 2.0)], 8, 100) == (55,)


THUMBNAILS, _ = joined(speed=0.7)


@pytest.mark.parametrize("detector", ["fast", "content", "adaptive", "hash", "histogram"])
@settings(
    deadline=None, max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(window=st.sampled_from([50, 100, 150, 200, 250, 500]))
def test_windows_do_not_change_the_result(tmp_path_factory, detector, window):
    folder = tmp_path_factory.mktemp("strip")
    whole = make_strip(folder / "whole", THUMBNAILS, 1000)
    windowed = make_strip(folder / "windows", THUMBNAILS, window)
    for name in ("motion", "exposure", "histogram", "hash"):
        assert np.array_equal(whole.feature(name), windowed.feature(name))
    assert np.array_equal(whole.thumbnails(0, 291), windowed.thumbnails(0, 291))
    kwargs = {"detector": detector, "frame_rate": RATE}
    assert detect_cuts(whole, **kwargs) == detect_cuts(windowed, **kwargs)


def scored(folder, thumbnails, runs: dict[tuple[int, int], float]):
    """A strip with scores as a network might give them."""
    strip = make_strip(folder, thumbnails)
    scores = np.full(strip.frames, 0.01, np.float32)
    for (start, stop), score in runs.items():
        scores[start:stop] = score
    name = transnet.scores_name("float32")
    create_array(folder, name, ArraySpec((strip.frames,), "float32", strip.window_frames))
    for start in range(0, strip.frames, strip.window_frames):
        write_rows(folder, name, start, scores[start : start + strip.window_frames])
    return strip


def accurate(strip, **kwargs):
    return detect_cuts(strip, detector="accurate", frame_rate=RATE, precision="float32", **kwargs)


def dissolve(first: np.ndarray, second: np.ndarray, length: int) -> np.ndarray:
    mix = np.linspace(0, 1, length + 2)[1:-1, None, None, None]
    middle = first[-length:] * (1 - mix) + second[:length] * mix
    return np.concatenate([first[:-length], middle, second[length:]]).astype(np.uint8)


def test_a_run_over_a_hard_cut_is_cut_at_the_step(tmp_path):
    thumbnails, _ = joined((60, 60))
    assert accurate(scored(tmp_path, thumbnails, {(58, 62): 0.6})) == (60,)


def test_a_dissolve_is_cut_in_its_middle(tmp_path):
    thumbnails = dissolve(scene(1, 70), scene(2, 70), 20)
    assert accurate(scored(tmp_path, thumbnails, {(52, 68): 0.7})) == (60,)


def test_scores_without_another_picture_are_not_believed(tmp_path):
    thumbnails = scene(1, 120, speed=0.1)
    strip = scored(tmp_path, thumbnails, {(30, 34): 0.4, (60, 66): 0.6, (90, 91): 0.25})
    assert accurate(strip) == ()


def test_the_threshold_counts(tmp_path):
    thumbnails, _ = joined((60, 60))
    strip = scored(tmp_path, thumbnails, {(59, 60): 0.5})
    assert accurate(strip) == (60,)
    assert accurate(strip, threshold=0.7) == ()


def test_missing_scores_and_unknown_detectors(tmp_path):
    strip = make_strip(tmp_path, scene(1, 60))
    with pytest.raises(StoreError, match=r"transnet2.* is missing"):
        accurate(strip)
    with pytest.raises(UsageError, match="'best' is not one of auto"):
        detect_cuts(strip, detector="best", frame_rate=RATE)


@pytest.mark.parametrize("detector", [d for d in scenes.DETECTORS if d != "accurate"])
@pytest.mark.parametrize("frames", [1, 2, 11, 12])
def test_very_short_sources(tmp_path, detector, frames):
    strip = make_strip(tmp_path, scene(1, frames))
    assert detect_cuts(strip, detector=detector, frame_rate=RATE) == ()
