"""The report draws the subjects' boxes where the subjects are, and what a crop keeps."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from made_timeline import music, on_beats, sources_in
from PIL import Image
from test_html import Read, made

from montage_dask.edit.reframe import reframed
from montage_dask.records import Subject
from montage_dask.report.html import page
from montage_dask.report.pictures import contact_sheet, moment_of
from montage_dask.report.seen import drawn, seen_of, write_frames

FPS = Fraction(30)


def shots_of(timeline, sources):
    """A shot for each event, with a face that stays at the right."""
    from test_left_out import shot

    found = {}
    for event in timeline.events:
        source = sources[event.source]
        stop = int(source.frames)
        box = {"kind": "face", "x": 0.7, "y": 0.2, "width": 0.1, "height": 0.3, "confidence": 0.9}
        rate = float(source.frame_rate)
        whole = replace(
            shot(event.source), index=event.shot, stop_frame=stop, stop_seconds=source.duration_seconds,
            subjects=tuple(Subject(f, **box) for f in range(0, stop, max(1, round(rate / 2)))),
        )  # fmt: skip
        found[event.source, event.shot] = whole
    return tuple(found.values())


def numbers(style, name):
    return float(re.search(rf"{name}:([-\d.]+)%", style)[1])


@pytest.mark.parametrize(
    ("fit", "size"), [("cover", (1080, 1920)), ("centre", (1080, 1920)), ("blur", (1080, 1920)), ("cover", (1920, 1080))]
)  # fmt: skip
def test_boxes_and_windows_lie_where_they_are(tmp_path, fit, size):
    sources = {
        k: replace(s, width=1920, height=1080)
        for k, s in sources_in(tmp_path, ("a.mp4", "b.mp4")).items()
    }
    timeline = on_beats(sources, music(tmp_path), fps=FPS, start=Fraction(5))
    timeline = replace(timeline, width=size[0], height=size[1])
    shots = shots_of(timeline, sources)
    timeline = reframed(timeline, shots, sources, fit=fit)
    cells = [[float(n), n / 10, 0.0, 0.1, 0.5] for n in range(len(timeline.events))]
    seen = seen_of(timeline, cells, shots, sources, fit)
    assert json.loads(json.dumps(seen)) == seen
    cropped = fit != "blur" and size[0] < size[1]
    for one, shown in zip(seen, drawn(seen, whole=False), strict=True):
        assert one["cropped"] is cropped
        ((kind, x, y, wide, high),) = one["boxes"]
        assert (kind, x, y, wide, high) == ("face", 0.7, 0.2, 0.1, 0.3)
        box = shown["boxes"][0]["style"]
        left, right = numbers(box, "left"), numbers(box, "left") + numbers(box, "width")
        if not cropped and fit == "cover":
            assert (left, right) == (70, 80)
            assert shown["window"] == ""
            assert shown["aspect"] == pytest.approx(16 / 9, abs=1e-3)
            continue
        area = shown["window"] or shown["cell"]
        begin, end = numbers(area, "left"), numbers(area, "left") + numbers(area, "width")
        if fit == "cover":
            assert begin <= left < right <= end, "the window keeps the face"
            assert end - begin == pytest.approx(100 * 81 / 256, abs=0.1)
        elif fit == "centre":
            assert end <= left, "the middle does not"
        else:
            assert (begin, end) == (0, 100)
            assert shown["aspect"] == pytest.approx(9 / 16, abs=1e-3)
            assert numbers(shown["cell"], "height") == 100
            # The picture takes the middle third of the height, and the box is in it.
            third = 100 * 81 / 256
            assert numbers(box, "top") == pytest.approx(50 - third / 2 + 0.2 * third, abs=0.1)


def test_no_box_where_no_look_is_near(tmp_path):
    sources = sources_in(tmp_path)
    timeline = on_beats(sources, music(tmp_path), fps=FPS, start=Fraction(5))
    shots = tuple(replace(s, subjects=s.subjects[-1:]) for s in shots_of(timeline, sources))
    cells = [[0.0, 0.0, 0.0, 1.0, 1.0]]
    assert seen_of(timeline, cells, shots, sources, "cover")[0]["boxes"] == []
    assert seen_of(timeline, cells, (), sources, "cover")[0]["boxes"] == []


def test_the_sheet_tells_where_its_pictures_are(tmp_path):
    colours = [(200, 30, 30), (30, 200, 30), (30, 30, 200)]
    images = [(np.full((90, 160, 3), c, np.uint8), "x") for c in colours]
    areas = contact_sheet(images, tmp_path / "sheet.png", columns=2)
    with Image.open(tmp_path / "sheet.png") as sheet:
        for (x, y, w, h), colour in zip(areas, colours, strict=True):
            left, top = round(x * sheet.width), round(y * sheet.height)
            right, bottom = round((x + w) * sheet.width) - 1, round((y + h) * sheet.height) - 1
            for corner in ((left, top), (right, bottom)):
                assert sheet.getpixel(corner) == colour


def test_the_page_shows_them_and_rests_whole_around_a_crop(tmp_path):
    timeline, summary, run_dir = made(tmp_path)
    sources = {
        e.source: replace(s, width=1920, height=1080)
        for e, s in zip(timeline.events, [*sources_in(tmp_path).values()] * 9, strict=False)
    }
    upright = replace(timeline, width=1080, height=1920)
    shots = shots_of(upright, sources)
    upright = reframed(upright, shots, sources, fit="cover")
    cells = [[float(n), 0.0, 0.0, 0.5, 0.5] for n in range(len(upright.events))]
    seen = seen_of(upright, cells, shots, sources, "cover")
    picture = np.zeros((27, 48, 3), np.uint8)
    assert write_frames(
        upright, seen, sources, lambda _, f: [picture] * len(f), run_dir / "frames.jpg"
    )
    with Image.open(run_dir / "frames.jpg") as row:
        assert row.size == (48 * len(seen), 27)
    assert not write_frames(upright, seen, sources, lambda *_: [], run_dir / "none.jpg")
    summary |= {"seen": seen}
    summary["pictures"] = {**summary["pictures"], "frames": str(run_dir / "frames.jpg")}
    read = Read(page(summary, run_dir))
    classes = [a.get("class") for a in read.of("i")]
    for name in ("whole", "cell", "over window", "over face"):
        assert classes.count(name) == len(seen), name
    assert any(a.get("id") == "boxes" and a.get("type") == "checkbox" for a in read.of("input"))
    assert moment_of(upright.events[0]) == upright.events[0].start_frame
    # Without the row of whole pictures, the windows are drawn all the same.
    del summary["pictures"]["frames"]
    bare = Read(page(summary, run_dir))
    assert "whole" not in [a.get("class") for a in bare.of("i")]
