"""What was left out, and why, is told by `analyse`, `plan`, the report and in notebooks; a clip that is never shown is named."""

from __future__ import annotations

from fractions import Fraction

from click.testing import CliRunner
from made_source import made_source
from test_html import Read, made

from montage_dask import api, cli
from montage_dask.api.material import Material
from montage_dask.notebook.clips import clip_html, footage_html
from montage_dask.notebook.plan import plan_html
from montage_dask.notebook.timeline import montage_html
from montage_dask.records import Shot, Unusable
from montage_dask.report.html import page
from montage_dask.report.left_out import (
    MOST_STRETCHES,
    left_out,
    left_out_lines,
    never_shown,
    not_shown,
)
from montage_dask.report.summary import analysis_summary

EVIL = "<b>titles&.mp4"
SOURCES = {
    name: made_source(
        f"/footage/{name}",
        name,
        rate=Fraction(25),
        seconds=Fraction(60),
        size=(640, 360),
        time_base=Fraction(1, 12800),
    )
    for name in ("sea.mp4", EVIL)
}


def shot(source: str, *stretches: tuple[str, int, int]) -> Shot:
    """Ten seconds at 25 frames a second, with stretches of kinds, in seconds."""
    spans = tuple(
        Unusable(kind, 25 * a, 25 * b, Fraction(a), Fraction(b)) for kind, a, b in stretches
    )
    return Shot(
        source=source, index=0, start_frame=0, stop_frame=250, start_seconds=Fraction(0), stop_seconds=Fraction(10),
        sharpness=0.5, exposure=0.5, contrast=0.2, colourfulness=0.5, motion=0.1, quality=0.8, embedding=(1.0,),
        perceptual_hash="0" * 16, profile_step_frames=250, motion_profile=(0.1,), quality_profile=(0.8,), unusable=spans,
    )  # fmt: skip


SHOTS = (shot("sea.mp4", ("text", 1, 3), ("black", 8, 10)), shot(EVIL, ("card", 0, 10)))
LINES = [
    f"{EVIL} is not shown: it shows cards or graphics (--allow card takes it)",
    "sea.mp4, left out: 1.0–3.0 s text is laid over it; 8.0–10.0 s it is black",
]


def told(allow: tuple[str, ...] = ()) -> dict[str, object]:
    return {
        "left_out": left_out(SHOTS, SOURCES, allow),
        "not_shown": never_shown(SHOTS, SOURCES, allow),
    }


def test_a_line_per_clip_and_what_is_allowed_is_not_left_out():
    assert left_out_lines(told()) == LINES
    assert left_out_lines(told(("card",))) == LINES[1:]
    assert left_out_lines(told(("card", "text"))) == ["sea.mp4, left out: 8.0–10.0 s it is black"]
    assert left_out_lines(told(("all",))) == []
    flicker = shot("sea.mp4", *(("black", k, k + 1) for k in range(9)))
    (line,) = left_out_lines({"left_out": left_out([flicker], SOURCES)})
    assert line.count("it is black") == MOST_STRETCHES
    assert line.endswith(f"and {9 - MOST_STRETCHES} more")


def invoked(monkeypatch, verb: str, result: dict[str, object], *more: str) -> str:
    monkeypatch.setattr(api, verb, lambda *_, **__: result)
    done = CliRunner().invoke(cli.cli, [verb, "x.mp4", *more])
    assert done.exit_code == 0, done.output
    return done.output


def test_analyse_tells_it_in_words(monkeypatch):
    result = analysis_summary(SOURCES.values(), SHOTS, (), (), {})
    assert {k: result[k] for k in told()} == told()
    output = invoked(monkeypatch, "analyse", result)
    for line in LINES:
        assert line in output
    assert LINES[1] not in invoked(monkeypatch, "analyse", result, "--quiet")


PLAN = {
    "output": "/o.mp4", "clips": [], "windows": 0, "window_frames": 1000, "operations": [], "skipped": [],
    "director": None, "notes": [],
    "music": {"warnings": []}, "montage": {"duration_seconds": 1.0, "frames": 30, "size": "2x2", "fps": 30.0, "segments": 1},
    "estimate": {"wall_seconds": 1.0, "cpu_seconds": 1.0, "disk_bytes": 1, "disk_free_bytes": 2},
    "cluster": {"where": "local", "address": "local", "workers": 1, "resources": {}, "dashboard": None},
}  # fmt: skip


def test_plan_tells_it_once_the_footage_is_known(monkeypatch):
    output = invoked(monkeypatch, "plan", {**PLAN, **told()}, "--music", "m.ogg")
    for line in LINES:
        assert line in output
    shown = plan_html({**PLAN, **told()})
    assert "&lt;b&gt;titles" in shown
    assert "it is black" in shown
    unknown = {**PLAN, "left_out": None, "not_shown": []}
    assert "known once it is analysed" in invoked(monkeypatch, "plan", unknown, "--music", "m.ogg")
    nothing = {**PLAN, "left_out": [], "not_shown": []}
    output = invoked(monkeypatch, "plan", nothing, "--music", "m.ogg")
    assert "left out" not in output


def test_the_report_tells_it(tmp_path):
    gone = not_shown({EVIL: "it shows cards or graphics (--allow card takes it)"}, SOURCES)
    _, summary, run_dir = made(tmp_path, left_out=left_out(SHOTS, SOURCES), not_shown=gone)
    text = page(summary, run_dir)
    section = text[text.index('id="left_out"') :]
    section = Read(section[: section.index("</section>")]).text
    for word in (EVIL, "it shows cards or graphics (--allow card takes it)", "it is black", "text is laid over it"):  # fmt: skip
        assert word in section
    _, fine, run_dir = made(tmp_path)
    assert 'id="left_out"' not in page(fine, run_dir)


def test_notebooks_tell_it(tmp_path):
    material = Material(SOURCES, SHOTS, tmp_path)
    for html in (
        footage_html("x", material, ()),
        clip_html(SOURCES[EVIL], SHOTS[1:], material) + clip_html(SOURCES["sea.mp4"], SHOTS[:1], material),
    ):  # fmt: skip
        assert "&lt;b&gt;titles&amp;.mp4 is not shown: it shows cards" in html
        assert "8.0–10.0 s it is black" in html
    summary = {
        "output": str(tmp_path / "a.mp4"), "run_dir": str(tmp_path), "cuts": [], "skipped": [], "style": "travel", "seed": 0,
        "duration_seconds": 1.0, "notes": [f"note {k}" for k in range(7)], **told(),
    }  # fmt: skip
    html = montage_html(summary)
    assert "8.0–10.0 s it is black" in html
    for k in range(7):
        assert f"note {k}" in html
