"""The project's own network: what it finds and what it leaves alone, the same for any windows, without torch, small and quick."""

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from made_strips import make_strip, picture, scene

from montage_dask.analysis import scene_features, scene_network
from montage_dask.analysis.scenes import detect_boundaries
from montage_dask.errors import UsageError

RATE = Fraction(25)


def found(folder: Path, thumbnails: np.ndarray, **kwargs):
    strip = make_strip(folder, thumbnails)
    return detect_boundaries(strip, detector="auto", frame_rate=RATE, **kwargs)


def street(seed: int, frames: int) -> np.ndarray:
    """A camera that moves along patches of all colours: uint8 [frames, 27, 48, 3]."""
    rng = np.random.default_rng(seed)
    patches = rng.integers(0, 255, (7, 14, 3)) * rng.uniform(0.3, 1)
    big = np.kron(patches, np.ones((6, 8, 1)))
    return np.array([big[5:32, 3 + k // 6 :][:, :48] for k in range(frames)]).astype(np.uint8)


def dissolve(first: np.ndarray, second: np.ndarray, length: int) -> np.ndarray:
    mix = np.linspace(0, 1, length + 2)[1:-1, None, None, None]
    middle = first[-length:] * (1 - mix) + second[:length] * mix
    return np.concatenate([first[:-length], middle, second[length:]]).astype(np.uint8)


def wipe(first: np.ndarray, second: np.ndarray, length: int) -> np.ndarray:
    middle = second[:length].copy()
    for k in range(length):
        border = 48 * (k + 1) // (length + 1)
        middle[k, :, border:] = first[k - length, :, border:]
    return np.concatenate([first[:-length], middle, second[length:]])


def fade(first: np.ndarray, second: np.ndarray, length: int) -> np.ndarray:
    light = np.abs(np.linspace(1, -1, length + 2)[1:-1])[:, None, None, None]
    half = length // 2
    middle = np.concatenate([first[-length:][:half], second[:length][half:]]) * light
    return np.concatenate([first[:-length], middle, second[length:]]).astype(np.uint8)


def test_cuts_are_found_to_the_frame(tmp_path):
    lengths = (40, 33, 61, 50)
    parts = [scene(seed, length) for seed, length in enumerate(lengths)]
    boundaries = found(tmp_path, np.concatenate(parts))
    assert [(b.kind, b.start_frame, b.stop_frame) for b in boundaries] == [
        ("cut", c, c) for c in (40, 73, 134)
    ]


@pytest.mark.parametrize(("made", "kind"), [(dissolve, "dissolve"), (wipe, "wipe"), (fade, "fade")])
def test_gradual_transitions_are_found_with_kind_and_extent(tmp_path, made, kind):
    """Of three with one kind, at least two; what is found is right."""
    hits = 0
    for first in (1, 2, 3):
        for boundary in found(
            tmp_path / str(first), made(street(first, 80), street(first + 4, 80), 20)
        ):
            hits += boundary.kind == kind
            assert abs(boundary.start_frame - 60) <= 8
            assert abs(boundary.stop_frame - 80) <= 8
    assert hits >= 2


def test_flashes_exposure_pans_and_jolts_are_no_boundaries(tmp_path):
    flash, dark = scene(3, 90), scene(4, 90)
    flash[40:42] = np.minimum(flash[40:42].astype(int) + 140, 255)
    dark[45:] = dark[45:] * 0.6
    big = picture(7)
    pan = np.array([big[10:37, x : x + 48] for x in np.linspace(0, 60, 60).astype(int)])
    jolt = np.array([big[10:37, 30:78]] * 30 + [big[12:39, 33:81]] * 30)
    for number, part in enumerate((flash, dark, pan, jolt)):
        assert found(tmp_path / str(number), part) == (), number


def test_windows_do_not_change_a_bit(tmp_path):
    # More than one block.
    thumbnails = np.concatenate(
        [np.tile(scene(seed, 65, speed=0.7), (2, 1, 1, 1)) for seed in range(4)]
    )[:520]
    using = scene_network.network()
    reference = None
    for window in (50, 1000):
        strip = make_strip(tmp_path / str(window), thumbnails, window)
        scores = scene_network.scores(strip, using)
        said = np.concatenate([scores.within, scores.middle, scores.kinds.ravel()])
        reference = said if reference is None else reference
        assert np.array_equal(said, reference), window


@pytest.mark.parametrize("frames", [11, 12, 513])
def test_any_length(tmp_path, frames):
    thumbnails = np.tile(scene(1, 12, speed=0.0), (43, 1, 1, 1))[:frames]
    using = scene_network.network()
    assert len(scene_network.scores(make_strip(tmp_path, thumbnails), using).within) == frames
    assert found(tmp_path / "again", thumbnails) == ()


def test_features_backwards_are_those_of_the_reversed_frames():
    frames = np.concatenate([scene(1, 60), scene(2, 60)])
    forward = scene_features.features(frames)
    again = scene_features.features(frames[::-1].copy())
    assert np.allclose(scene_features.backwards(forward), again, atol=1e-4)


def test_it_is_small_has_a_card_and_needs_no_torch():
    assert scene_network.WEIGHTS.stat().st_size < 2e6
    card = scene_network.WEIGHTS.with_suffix(".md").read_text(encoding="utf-8")
    for word in ("licence", "held out", "python -m montage_dask train scenes", "limits"):
        assert word in card.lower()
    script = (
        "import json, sys, time, resource; from montage_dask.analysis import scenes, scene_network\n"
        "import numpy as np\n"
        "began = time.process_time(); used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "network = scene_network.network(); network(np.zeros((200, 27, 48, 3), np.uint8))\n"
        "now = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print(json.dumps(['torch' in sys.modules, (now - used) / 1e3]))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    torch, megabytes = json.loads(run.stdout)
    assert not torch
    assert megabytes < 100


def test_other_weights_and_no_weights(tmp_path):
    with pytest.raises(UsageError, match="cannot be read as weights: No such file"):
        scene_network.network(tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", recipe="beats")
    with pytest.raises(UsageError, match="holds no weights of the scene network"):
        found(tmp_path, scene(1, 60), weights=tmp_path / "other.npz")


def test_weights_made_anew_at_the_same_place_are_read_anew(tmp_path):
    with np.load(scene_network.WEIGHTS) as file:
        held = dict(file)
    path = tmp_path / "weights.npz"
    np.savez(path, **held)
    before = scene_network.network(path)
    assert scene_network.network(path) is before
    np.savez(path, **{**held, "thresholds": held["thresholds"] / 2})
    assert scene_network.network(path).thresholds == tuple(t / 2 for t in before.thresholds)
