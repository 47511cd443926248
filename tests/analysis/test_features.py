"""Features of thumbnails: right on pictures whose values are known, and no trace of batching."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_strips import picture, scene

from montage_dask.analysis import features


def plain(red: int, green: int, blue: int) -> np.ndarray:
    return np.full((1, 27, 48, 3), (red, green, blue), np.uint8)


def test_tone_of_plain_pictures():
    for level in (0, 128, 255):
        exposure, contrast, colour = features.tone(plain(level, level, level))
        assert exposure[0] == pytest.approx(level / 255, abs=1e-3)
        assert contrast[0] == 0
        assert colour[0] == 0


def test_colourfulness_orders_grey_pastel_and_garish():
    grey, pastel, garish = (
        features.tone(np.stack([scene_of(strength)]))[2][0] for strength in (0.0, 0.3, 1.0)
    )
    assert grey < 0.02 < pastel < garish <= 1.0


def scene_of(saturation: float) -> np.ndarray:
    view = picture(3)[:27, :48].astype(float)
    grey = view.mean(axis=2, keepdims=True)
    return np.clip(grey + (view - grey) * saturation * 2, 0, 255).astype(np.uint8)


def test_contrast_matches_numpy():
    pictures = scene(1, 3)
    light = pictures @ np.array([77, 150, 29]) / 256 / 255
    _, contrast, _ = features.tone(pictures)
    assert contrast == pytest.approx(light.std(axis=(1, 2)), rel=1e-5)


def test_motion_is_the_mean_difference():
    pictures = scene(2, 4)
    moved = features.motion(pictures[0], pictures)
    assert moved[0] == 0
    apart = np.abs(pictures[1:].astype(float) - pictures[:-1]).mean(axis=(1, 2, 3)) / 255
    assert moved[1:] == pytest.approx(apart, rel=1e-6)


def test_histogram_counts_every_pixel_in_its_bin():
    counts = features.histogram(np.concatenate([plain(0, 0, 255), plain(255, 32, 0)]))
    assert counts.shape == (2, 512)
    assert counts[0, 7] == features.PIXELS
    assert counts[1, 7 * 64 + 8] == features.PIXELS
    assert counts.sum() == 2 * features.PIXELS


def bits_apart(left: np.ndarray, right: np.ndarray) -> int:
    return int(np.bitwise_count(left ^ right)[0])


def test_hash_ignores_exposure_and_knows_other_pictures():
    view = picture(5)[:27, :48][None]
    known = features.perceptual_hash(view)
    darker = features.perceptual_hash((view * 0.7).astype(np.uint8))
    noisy = np.random.default_rng(0).normal(0, 4, view.shape)
    assert bits_apart(known, darker) <= 4
    assert (
        bits_apart(known, features.perceptual_hash((view + noisy).clip(0, 255).astype(np.uint8)))
        <= 8
    )
    others = [features.perceptual_hash(picture(seed)[:27, :48][None]) for seed in range(6, 12)]
    assert min(bits_apart(known, other) for other in others) > 16


def test_sharpness_falls_with_blur():
    rng = np.random.default_rng(0)
    sharp = rng.integers(0, 256, (90, 160), np.uint8)
    soft = ((sharp[1:].astype(int) + sharp[:-1]) // 2).astype(np.uint8)
    softer = soft.reshape(-1)[: 88 * 160].reshape(22, 4, 40, 4).mean(axis=(1, 3)).repeat(4, 0)
    values = [features.sharpness(p.astype(np.uint8)) for p in (sharp, soft, softer, sharp * 0)]
    assert values == sorted(values, reverse=True)
    assert values[0] < 1.0
    assert values[-1] == 0.0


def test_likeness():
    view, other = picture(1)[:27, :48], picture(2)[:27, :48]
    assert features.likeness(view, view) == pytest.approx(1.0)
    assert features.likeness(view, (view * 0.6 + 20).astype(np.uint8)) > 0.99
    assert abs(features.likeness(view, other)) < 0.6
    black = np.zeros_like(view)
    assert features.likeness(black, black) == 1.0
    assert features.likeness(black, view) == 0.0


def test_shifted_likeness_follows_the_camera():
    big = picture(4)
    here, there = big[10:37, 10:58], big[11:38, 14:62]
    assert features.likeness(here, there) < 0.95
    assert features.shifted_likeness(here, there) > 0.999


PICTURES = scene(9, 90, noise=20)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 89), st.integers(1, 89))
def test_values_do_not_depend_on_the_batch(start, count):
    part = slice(start, start + count)
    for function in (features.histogram, features.perceptual_hash):
        assert np.array_equal(function(PICTURES)[part], function(PICTURES[part]))
    whole, alone = features.tone(PICTURES), features.tone(PICTURES[part])
    for left, right in zip(whole, alone, strict=True):
        assert np.array_equal(left[part], right)
