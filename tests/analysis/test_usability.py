"""Stretches that are no footage, with what is known of them: from made strips, and from drawn titles and cards."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from made_source import made_source

from montage_dask.analysis import features, looks
from montage_dask.analysis.strip import Strip, create_strip, write_frames
from montage_dask.analysis.usability import KINDS, covered_seconds, find_unusable, overlaid
from montage_dask.media.index import FrameIndex

RATE = 25
STEP = looks.step(Fraction(RATE))


def scene(frames, seed=0):
    """Thumbnails of something that moves: uint8 [n, 27, 48, 3]."""
    random = np.random.default_rng(seed)
    wide = random.integers(40, 220, (27, 48 + frames, 3)).astype(np.uint8)
    return np.stack([wide[:, k : k + 48] for k in range(frames)])


def unusable(folder, thumbnails, *, text=(), card=(), sharpness=0.5):
    """What is found in a source of one shot; `text` and `card`: frames [start, stop) that looks see such in."""
    frames = len(thumbnails)
    window = -(-frames // 50) * 50
    seen = np.zeros((-(-frames // STEP), looks.BYTES), np.uint8)
    for column, spans in enumerate((text, card)):
        for start, stop in spans:
            seen[-(-start // STEP) : -(-stop // STEP), column] = 255
            seen[-(-start // STEP) : -(-stop // STEP), looks.FLAT] = 130 * (column == looks.CARD)
    create_strip(folder, frames, window, STEP)
    sharp = np.full(frames, sharpness, np.float32)
    write_frames(folder, 0, thumbnails, sharp, window, seen, STEP)
    strip = Strip(folder)
    source = made_source(
        "/made.mp4",
        "made",
        rate=Fraction(RATE),
        seconds=Fraction(frames, RATE),
        size=(1280, 720),
        time_base=Fraction(1, 12800),
    )
    index = FrameIndex(
        pts=np.arange(frames, dtype=np.int64) * 512,
        key_pts=np.arange(0, frames, 25, dtype=np.int64) * 512,
        time_base=Fraction(1, 12800),
        last_duration=512,
    )
    columns = {name: strip.feature(name) for name in features.COLUMNS}
    return find_unusable(source, index, strip, 0, frames, columns)


def spans(found, kind):
    return [(u.start_frame, u.stop_frame) for u in found if u.kind == kind]


def test_footage_is_all_usable(tmp_path):
    assert unusable(tmp_path, scene(200)) == ()


@pytest.mark.parametrize("light", [0.08, 0.5, 0.9])
@pytest.mark.parametrize("contrast", [6, 20])
def test_low_contrast_is_no_fault(tmp_path, light, contrast):
    """Fog, snow, night: dim or bright, and next to no contrast, but something moves."""
    noise = scene(150).astype(np.float32) - 130
    dull = np.clip(255 * light + noise * contrast / 90, 0, 255).astype(np.uint8)
    assert unusable(tmp_path, dull, sharpness=0.2) == ()


@pytest.mark.parametrize(("kind", "value"), [("black", 3), ("white", 252), ("empty", 120)])
def test_nothing_to_see(tmp_path, kind, value):
    thumbnails = scene(200)
    thumbnails[60:120] = value
    thumbnails[60:120:2] = value + 1  # noise: not frozen
    found = unusable(tmp_path, thumbnails, sharpness=0.01 if kind == "empty" else 0.5)
    found = [u for u in found if u.kind != "blur"]
    assert spans(found, kind) == [(60, 120)]
    assert {u.kind for u in found} == {kind}
    assert found[0].start_seconds == Fraction(60, RATE)
    assert found[0].stop_seconds == Fraction(120, RATE)


def test_a_still_in_footage_and_a_short_hold(tmp_path):
    thumbnails = scene(250)
    thumbnails[50:140] = thumbnails[50]
    thumbnails[180:200] = thumbnails[180]
    assert spans(unusable(tmp_path, thumbnails), "frozen") == [(50, 140)]


def test_fades_at_the_ends(tmp_path):
    thumbnails = scene(200).astype(np.float32)
    for k in range(25):
        thumbnails[k] *= k / 25
        thumbnails[199 - k] *= k / 25
    found = unusable(tmp_path, thumbnails.astype(np.uint8))
    (first, last) = spans(found, "fade")
    assert first[0] == 0
    assert 18 <= first[1] <= 25
    assert last[1] == 200
    assert 175 <= last[0] <= 182


def test_light_that_is_switched_on_is_no_fade(tmp_path):
    thumbnails = scene(200).astype(np.float32)
    thumbnails[:20] *= 0.2
    assert spans(unusable(tmp_path, thumbnails.astype(np.uint8)), "fade") == []


def test_text_and_cards_as_the_looks_see_them(tmp_path):
    found = unusable(tmp_path, scene(400), text=[(100, 200)], card=[(300, 400)])
    ((start, stop),) = spans(found, "text")
    assert 100 - 1.5 * STEP <= start <= 100
    assert 190 <= stop <= 200 + STEP
    ((start, stop),) = spans(found, "card")
    assert 300 - 1.5 * STEP <= start <= 300
    assert stop == 400
    assert covered_seconds(found) == pytest.approx(8, abs=1.5)
    assert covered_seconds(found, ["text"]) < covered_seconds(found)


def test_out_of_focus(tmp_path):
    assert spans(unusable(tmp_path, scene(100), sharpness=0.02), "blur") == [(0, 100)]


def test_steps_lie_on_the_grid_of_windows():
    for rate in (1, 5, 10, Fraction(25, 2), 24, 25, Fraction(30000, 1001), 50, 60, 240, 1000):
        step = looks.step(Fraction(rate))
        assert 50 % step == 0
        assert step == 1 or step / rate <= looks.LONGEST_SECONDS


def test_every_kind_has_words_and_a_setting():
    from montage_dask.config import KINDS as SETTINGS
    from montage_dask.edit.usable import WORDS

    assert WORDS.keys() == set(KINDS)
    assert all(f"`{kind}`" in SETTINGS["allow"].form for kind in KINDS)


def _looks(text, card=0.0, flat=0.0):
    text = np.asarray(text, float)
    ones = np.ones_like(text)
    return np.rint(255 * np.stack([text, card * ones, flat * ones], 1)).astype(np.uint8)


@pytest.mark.parametrize(
    ("likely", "there"),
    [
        ((0.0, 0.1, 0.0, 0.0), (0, 0, 0, 0)),
        ((0.0, 0.93, 0.1, 0.0), (0, 0, 0, 0)),  # one look alone that is hardly sure
        ((0.0, 1.0, 0.0, 0.0), (0, 0, 0, 0)),  # and one that is sure: tiles, a face
        ((0.0, 1.0, 1.0, 0.0), (0, 1, 1, 0)),
        ((0.0, 0.0, 0.0, 1.0), (0, 0, 0, 1)),  # it may go on behind the cut
        ((0.0, 0.95, 0.96, 0.95), (0, 1, 1, 1)),  # several that are hardly sure
        ((1.0, 0.8, 1.0, 0.0), (1, 1, 1, 0)),  # somebody walks through a title
        ((1.0, 1.0, 1.0, 1.0), (1, 1, 1, 1)),
    ],
)
def test_looks_of_a_shot_are_decided_together(likely, there):
    found = overlaid(_looks(likely), (0.9, 0.9))
    assert found["text"].tolist() == [bool(v) for v in there]
    assert not found["card"].any()


def test_no_looks_are_no_text():
    assert len(overlaid(_looks([]), (0.9, 0.9))["text"]) == 0
