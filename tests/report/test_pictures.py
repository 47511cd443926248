"""Pictures are written and are pictures, whatever stands in the captions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_timelines import HOSTILE, media, music, timeline
from PIL import Image

from montage_dask.errors import StoreError
from montage_dask.report.pictures import WAVE_RATE, contact_sheet, draw_timeline


def colour(value: int, height: int = 90, width: int = 160) -> np.ndarray:
    return np.full((height, width, 3), (value, 200, 60), np.uint8)


def test_the_sheet_shows_every_picture(tmp_path):
    images = [(colour(v), n) for v, n in zip(range(0, 250, 25), HOSTILE, strict=True)]
    path = tmp_path / "sheet.png"
    contact_sheet(images, path, columns=4)
    with Image.open(path) as sheet:
        assert sheet.width == 8 + 4 * 168
        pixels = np.asarray(sheet.convert("RGB")).reshape(-1, 3)
    for value in range(0, 250, 25):
        assert (pixels == (value, 200, 60)).all(1).sum() == 160 * 90


def test_pictures_of_other_shapes_keep_theirs(tmp_path):
    contact_sheet([(colour(9, 320, 180), "high"), (colour(99), "wide")], tmp_path / "s.jpg")
    with Image.open(tmp_path / "s.jpg") as sheet:
        assert sheet.format == "JPEG"


def test_a_sheet_of_nothing_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="needs images"):
        contact_sheet([], tmp_path / "s.png")


@pytest.mark.parametrize("length", [1, 20, 400])
def test_the_timeline_is_drawn(tmp_path, length):
    """Names with mathematics in them, with no glyph in the font, with markup: no warning (they are errors here)."""
    sound = np.sin(np.arange(20 * WAVE_RATE) / 9).astype(np.float32)
    made = timeline(tmp_path, [length] * len(HOSTILE), style="$x_{$ <b>🎬")
    names = {k: Path(s.path).name for k, s in media(tmp_path).items()}
    draw_timeline(made, music(tmp_path), tmp_path / "t.png", waveform=sound, names=names)
    with Image.open(tmp_path / "t.png") as picture:
        assert picture.format == "PNG"
        assert picture.width > 1000
        assert len(picture.convert("RGB").getcolors(1 << 24)) > 50


def test_music_without_samples_or_beats(tmp_path):
    from dataclasses import replace

    made = timeline(tmp_path, [50], beats_seconds=())
    track = replace(music(tmp_path), beats_seconds=(), downbeats=(), energy_curve=(), sections=())
    names = {k: Path(s.path).name for k, s in media(tmp_path).items()}
    draw_timeline(made, track, tmp_path / "t.png", waveform=np.zeros(0, np.float32), names=names)
    assert (tmp_path / "t.png").stat().st_size > 1000


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot write"):
        contact_sheet([(colour(1), "x")], tmp_path / "file" / "s.png")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
