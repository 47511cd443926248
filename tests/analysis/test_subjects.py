"""Subjects are found where they are, and a camera's motion is told from theirs."""

from fractions import Fraction
from types import SimpleNamespace

import cv2
import matplotlib.cbook
import numpy as np
import pytest
from made_strips import make_strip
from made_subjects import RATE, Index, film, leaves, overlap, thumbnails
from PIL import Image

from montage_dask.analysis import looks
from montage_dask.analysis.faces import finder
from montage_dask.analysis.subjects import find_subjects
from montage_dask.records import Shot, Subject, from_json, to_json

STEP = looks.step(Fraction(RATE))


def found_in(folder, frames, window_frames=100):
    strip = make_strip(folder, thumbnails(frames), window_frames)
    source = SimpleNamespace(frame_rate=Fraction(RATE))
    return find_subjects(source, Index(len(frames)), strip, 0, len(frames))


def test_who_moves_is_found_at_nine_of_ten_looks(tmp_path):
    hits = near = total = 0
    for seed in range(12):
        made = film(seed, pan=(0.0, 0.1, -0.06)[seed % 3])
        subjects, _ = found_in(tmp_path / str(seed), made.frames)
        boxes = {s.frame: np.array([s.x, s.y, s.width, s.height]) for s in subjects}
        for frame in range(0, len(made.frames), STEP):
            total += 1
            if frame in boxes:
                true, box = made.boxes[frame], boxes[frame]
                hits += overlap(true, box) >= 0.4
                apart = np.abs(true[:2] + true[2:] / 2 - box[:2] - box[2:] / 2)
                near += bool((apart <= (0.08, 0.15)).all())
    assert near / total >= 0.9
    assert hits / total >= 0.8


@pytest.mark.parametrize("pan", [0.0, 0.1])
def test_where_only_the_camera_moves_there_is_no_subject(tmp_path, pan):
    found = 0
    for seed in range(6):
        made = film(seed, pan=pan, subject=False)
        found += len(found_in(tmp_path / str(seed), made.frames)[0])
    assert found <= 2  # of 90 looks


def moved_over(kind, count=100):
    """A picture under a camera of a kind, seen by hand, on a tripod, panned, tilted, zoomed."""
    ground = leaves(31, 900, 600, 40, 215)
    random = np.random.default_rng(3)
    shake = cv2.GaussianBlur(random.normal(0, 14, (count, 2)), (1, 9), 2)
    frames = []
    for k in range(count):
        t = k / RATE
        x, y, size = 450.0, 300.0, 1.0
        if kind == "pan":
            x += 38 * t
        elif kind == "tilt":
            y -= 30 * t
        elif kind == "zoom":
            size = np.exp(-0.12 * t)
        elif kind == "handheld":
            x, y = x + shake[k, 0], y + shake[k, 1]
        matrix = np.array([[size, 0, x - size * 192], [0, size, y - size * 108]])
        view = cv2.warpAffine(ground, matrix, (384, 216), flags=cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR)  # fmt: skip
        frames.append(np.clip(view + random.normal(0, 1.5, view.shape), 0, 255).astype(np.uint8))
    return np.stack(frames)


@pytest.mark.parametrize(
    ("kind", "strength"),
    [("static", 0.0), ("pan", 38 / 384), ("tilt", 30 / 384), ("zoom", 0.12), ("handheld", None)],
)
def test_the_kind_of_the_cameras_motion(tmp_path, kind, strength):
    _, camera = found_in(tmp_path, moved_over(kind))
    assert camera.kind == kind
    if strength is not None:
        assert camera.strength == pytest.approx(strength, abs=0.15 * strength + 0.003)


def test_windows_do_not_matter(tmp_path):
    frames = film(4, pan=0.05).frames
    assert found_in(tmp_path / "a", frames, 50) == found_in(tmp_path / "b", frames, 100)


@pytest.fixture(scope="module")
def portrait():
    path = matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
    return np.array(Image.open(path).convert("RGB"))


def placed(portrait, height, left, top, seed):
    """A portrait of a height somewhere in a still, and where its face is: in shares of the portrait, measured by hand."""
    still = leaves(seed, looks.WIDTH, looks.HEIGHT, 60, 200)
    wide = round(portrait.shape[1] * height / portrait.shape[0])
    small = cv2.resize(portrait, (wide, height), interpolation=cv2.INTER_AREA)
    still[top : top + height, left : left + wide] = small[: looks.HEIGHT - top]
    face = np.array([left + 0.36 * wide, top + 0.2 * height, 0.34 * wide, 0.37 * height])
    return still, face


def test_faces_of_all_sizes_are_found_and_nothing_else(portrait):
    random = np.random.default_rng(8)
    find, hits, wrong, count = finder(), 0, 0, 40
    for seed in range(count):
        height = int(random.integers(62, 144))
        left, top = int(random.integers(0, 120)), int(random.integers(0, 145 - height))
        still, face = placed(portrait, height, left, top, seed)
        faces = find(still)
        good = [overlap(face, box[:4]) >= 0.4 for box in faces]
        hits += any(good)
        wrong += good.count(False)
    assert hits / count >= 0.9
    assert wrong <= 2


def test_a_look_says_where_faces_are_in_the_picture_without_its_bars(portrait):
    source = SimpleNamespace(width=90, height=160)
    left, top, wide, high = looks.inside(source)
    still = np.zeros((looks.HEIGHT, looks.WIDTH, 3), np.uint8)
    shown = leaves(2, wide, high, 60, 200)
    small = cv2.resize(portrait, (64, 75), interpolation=cv2.INTER_AREA)
    shown[20:95, 10:74] = small
    still[top : top + high, left : left + wide] = shown
    thumbnail = cv2.resize(shown, (48, 27), interpolation=cv2.INTER_AREA)
    face, *others = looks.faces_of(looks.Looks(source)(0, still, thumbnail)[None])[0]
    assert face[4] > 0.9
    assert not any(o[4] for o in others)
    true = np.array([(10 + 0.36 * 64) / wide, (20 + 0.2 * 75) / high, 0.34 * 64 / wide, 0.37 * 75 / high])  # fmt: skip
    assert overlap(true, face[:4]) >= 0.4
    blind = looks.Looks(source, faces=False)(0, still, thumbnail)
    assert not looks.faces_of(blind[None]).any()
    assert (blind[: looks.SEEN_BYTES] == looks.Looks(source)(0, still, thumbnail)[: looks.SEEN_BYTES]).all()  # fmt: skip


def test_faces_are_looked_for_again_only_where_the_picture_changed(portrait):
    source = SimpleNamespace(width=16, height=9)
    plain = leaves(5, looks.WIDTH, looks.HEIGHT, 60, 200)
    with_face, _ = placed(portrait, 120, 90, 10, 5)
    small = [cv2.resize(p, (48, 27), interpolation=cv2.INTER_AREA) for p in (plain, with_face)]
    look = looks.Looks(source)
    asked = []
    find = look._find
    look._find = lambda still: asked.append(1) or find(still)
    for number, shown in ((0, 0), (10, 0), (20, 0), (30, 1), (40, 1), (50, 0), (60, 0)):
        seen = look(number, (plain, with_face)[shown], small[shown])
        assert looks.faces_of(seen[None])[0, 0, 4] > 0.5 or not shown, number
    assert len(asked) == 4  # 0, 30, 40 (somebody is there), 50 (on the grid of windows)


def test_subjects_travel_as_json(tmp_path):
    shot = Shot(
        "a", 0, 0, 10, Fraction(0), Fraction(1), 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, (), "0", 10, (), (),
        subjects=(Subject(0, "face", 0.1, 0.2, 0.3, 0.4, 0.9),),
    )  # fmt: skip
    assert from_json(Shot, to_json(shot)) == shot
