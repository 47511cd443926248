"""Progress: plain lines, one each, on stderr; names cannot break them."""

from __future__ import annotations

import pytest

from montage_dask.progress import Bars, Lines, speed


def test_plain_lines_say_begin_and_end(capsys):
    with Lines(every_seconds=1000) as lines:
        lines.stage("strip", 3, "windows")
        for number in range(3):
            lines.step("strip", f"a\nb{number}.mp4", 2.0)
        lines.note("music is short")
    out, err = capsys.readouterr()
    assert out == ""
    first, last, note = err.splitlines()
    assert first == "strip: 3 windows"
    assert last.startswith("strip: 3/3 in ")
    assert r"a\nb2.mp4" in last
    assert note == "music is short"


def test_lines_in_between_tell_what_is_left(capsys):
    lines = Lines(every_seconds=0)
    lines.stage("encode", 2)
    lines.step("encode", "x")
    assert "1/2" in capsys.readouterr().err


@pytest.mark.parametrize(
    "label", ["[bold]x[/nonsense]", "[/]", "\x1b[31mred", "🎬" * 100, "broken\udcff"]
)
def test_bars_take_any_name(label, capsys):
    with Bars() as bars:
        bars.stage("strip", 2, "windows")
        bars.step("strip", label, 1.0)
        bars.stage("strip", 3, "windows")
        bars.step("strip", label)
        bars.note(label.encode("utf-8", "replace").decode())
    out, err = capsys.readouterr()
    assert out == ""
    assert "\x1b[31mred" not in err


def test_speed():
    assert speed(10, 4) == "2.5×"
    assert speed(0, 4) == speed(10, 0) == ""
