from __future__ import annotations

import numpy as np
import pytest
from made_timeline import HOSTILE, music, on_beats, sources_in
from PIL import Image

from montage_dask.report.pictures import WAVE_RATE, contact_sheet, draw_timeline


def test_a_sheet_shows_every_picture_in_its_colours(tmp_path):
    colours = [(250, 20, 20), (20, 250, 20), (20, 20, 250), (250, 250, 20), (250, 20, 250)]
    images = [
        (np.full((90, 160, 3), c, np.uint8), f"{n} {name}")
        for n, (c, name) in enumerate(zip(colours, HOSTILE, strict=False))
    ]
    contact_sheet(images, tmp_path / "s.png", columns=3)
    sheet = np.asarray(Image.open(tmp_path / "s.png"))
    assert sheet.shape[1] == 8 + 3 * (160 + 8)
    for colour in colours:
        assert (sheet == colour).all(axis=2).sum() == 90 * 160


def test_upright_pictures_fit_among_wide_ones(tmp_path):
    upright = np.full((160, 90, 3), 200, np.uint8)
    wide = np.full((90, 160, 3), 100, np.uint8)
    contact_sheet([(upright, "up"), (wide, "wide")], tmp_path / "s.jpg")
    with Image.open(tmp_path / "s.jpg") as sheet:
        assert sheet.format == "JPEG"
        assert sheet.height >= 160


def test_no_picture_is_no_sheet(tmp_path):
    with pytest.raises(ValueError, match="needs images"):
        contact_sheet([], tmp_path / "s.png")
    assert not (tmp_path / "s.png").exists()


def drawn(tmp_path, timeline, track, names, **options):
    wave = np.sin(np.arange(120 * WAVE_RATE, dtype=np.float32) / 7)
    draw_timeline(timeline, track, tmp_path / "t.png", waveform=wave, names=names, **options)
    return np.asarray(Image.open(tmp_path / "t.png").convert("RGB"))


def test_the_timeline_shows_the_events_where_they_are(tmp_path):
    sources, track = sources_in(tmp_path, HOSTILE), music(tmp_path)
    timeline = on_beats(sources, track, events=10)
    names = {k: HOSTILE[n] for n, k in enumerate(sources)}
    pictures = {
        0: np.full((90, 160, 3), (255, 0, 255), np.uint8),
        5: np.full((90, 160, 3), (0, 255, 0), np.uint8),
    }
    picture = drawn(tmp_path, timeline, track, names, thumbnails=pictures)
    for number, colour in ((0, (255, 0, 255)), (5, (0, 255, 0))):
        columns = np.flatnonzero((picture == colour).all(axis=2).sum(axis=0) > 20)
        event = timeline.events[number]
        left, right = 0.015 * picture.shape[1], 0.985 * picture.shape[1]
        scale = (right - left) / timeline.frames
        assert abs(columns[0] - (left + event.start_frame * scale)) < 4
        assert abs(columns[-1] - (left + event.stop_frame * scale)) < 4


def test_many_sources_and_no_beat_are_drawn_too(tmp_path):
    sources, track = sources_in(tmp_path, tuple(f"_{n}.mp4" for n in range(40))), music(tmp_path)
    timeline = on_beats(sources, track, events=60)
    picture = drawn(tmp_path, timeline, track, {k: f"_{n}.mp4" for n, k in enumerate(sources)})
    assert picture.std() > 10
