"""The first look for shake: never far below the truth, and no alarm for a tripod or a pan."""

import cv2
import numpy as np
import pytest
from made_shake import HEIGHT, RATE, WIDTH, hand, pan, seen, wall

from montage_dask.analysis.steady import SHAKES_PERCENT, shake_percent
from montage_dask.analysis.tremor import STEADY_PERCENT, rough_shake_percent

FRAMES = 75
ASPECT = HEIGHT / WIDTH


def thumbnails(poses):
    picture = wall()
    frames = [np.clip(seen(picture, p).round(), 0, 255).astype(np.uint8) for p in poses]
    small = [cv2.resize(f, (48, 27), interpolation=cv2.INTER_AREA) for f in frames]
    return np.stack(small)[..., None].repeat(3, -1)


@pytest.mark.parametrize("pixels", [0.5, 1.0, 3.0])
def test_shake_is_not_missed(pixels):
    poses = hand(FRAMES, pixels=pixels, degrees=0.0)
    truth = shake_percent(poses / (WIDTH, WIDTH, 1, 1), RATE, ASPECT)
    assert truth > SHAKES_PERCENT
    rough = rough_shake_percent(thumbnails(poses), RATE, ASPECT)
    assert max(STEADY_PERCENT, 0.85 * truth) < rough < 1.8 * truth


@pytest.mark.parametrize("poses", [np.zeros((FRAMES, 4)), pan(FRAMES, 60)], ids=["tripod", "pan"])
def test_no_alarm_for_a_tripod_or_a_pan(poses):
    assert rough_shake_percent(thumbnails(poses), RATE, ASPECT) < STEADY_PERCENT


def test_the_batches_do_not_show(monkeypatch):
    pictures = thumbnails(hand(FRAMES))
    whole = rough_shake_percent(pictures, RATE, ASPECT)
    monkeypatch.setattr("montage_dask.analysis.tremor.BATCH", 10)
    assert rough_shake_percent(pictures, RATE, ASPECT) == pytest.approx(whole, rel=1e-9)
    assert rough_shake_percent(pictures[:1], RATE, ASPECT) == 0
