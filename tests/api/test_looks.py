"""How the objects show themselves: pictures are there, hostile names are text, and nothing grows without bound."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from montage_dask import Music, Style, Timeline
from montage_dask.api.material import Material
from montage_dask.api.running import Run, Runs
from montage_dask.errors import UsageError
from montage_dask.media.discover import Skipped
from montage_dask.notebook.clips import footage_html
from montage_dask.notebook.page import MOST_ROWS
from montage_dask.notebook.progress import progress_html
from montage_dask.notebook.timeline import montage_html

HOSTILE = "<script>alert(1)<&.mp4"


def text_only(html: str) -> bool:
    """No element but those of ours: what names contain is escaped."""
    return "<script" not in html.lower() and "onerror=" not in html.lower()


def test_all_show_themselves(footage, job, small, cluster, tmp_path):
    music = Music(small.music)
    timeline = job.edit()
    montage = timeline.render(tmp_path / "<script>out.mp4")
    run = Run(lambda _: None, HOSTILE)
    run.wait(60)
    shown = {
        "cluster": cluster, "footage": footage, "clip": footage[0], "no music": music, "music": Music.of(timeline.music.record),
        "plan": job.plan(), "timeline": timeline, "montage": montage, "run": run, "runs": Runs([run, run], 1),
        "style": Style("travel"),
    }  # fmt: skip
    for name, thing in shown.items():
        html = thing._repr_html_()
        assert text_only(html), name
        assert len(html) < 400_000, name
        assert html.count("<div") == html.count("</div>"), name
        assert len(repr(thing)) < 400, name
    assert shown["footage"]._repr_html_().count("data:image/jpeg") == 3
    assert shown["timeline"]._repr_html_().count("data:image/jpeg") == len(timeline)
    assert "<svg" in shown["timeline"]._repr_html_()
    assert "<svg" in shown["music"]._repr_html_()
    assert 'src="data:video/mp4' in shown["montage"]._repr_html_()
    assert "&lt;script&gt;alert(1)&lt;&amp;.mp4" in shown["footage"]._repr_html_()
    assert "data:video/mp4;base64" in montage.play()._repr_html_()
    for first in ("cluster", "plan"):  # the dashboard comes first
        after = shown[first]._repr_html_().partition("</style>")[2]
        assert after.lstrip().startswith('<div>Dashboard: <a href="http')


def test_a_montage_in_a_bucket_shows_where_it_is(job, tmp_path, monkeypatch):
    monkeypatch.setenv("MONTAGE_DASK_CACHE_FOLDER", str(tmp_path))
    made = job.run()
    there = {"output": "s3://b/o/film.mp4", "run_dir": "s3://b/o/film.montage/variant-2"}
    far = type(made)({**made.summary, **there}, made.timeline)
    assert str(far.path) == "s3://b/o/film.mp4"
    assert far.report.parts[-3:] == ("film.montage", "variant-2", "report.html")
    assert "s3:" not in str(far.report)
    assert "s3://b/o/film.mp4" in far._repr_html_()
    assert "gone" not in far._repr_html_()
    with pytest.raises(UsageError, match="in a bucket"):
        far.play()


def test_much_is_cut_short(footage, job):
    material = footage.material
    one = next(iter(material.sources.values()))
    many = {f"{k:032x}": replace(one, identity=f"{k:032x}", path=f"/f/{HOSTILE}{k}") for k in range(2000)}  # fmt: skip
    html = footage_html("x", Material(many, (), material.store), [Skipped("/x", "y" * 5000)] * 500)
    assert len(html) < 100_000
    assert "more clips" in html
    timeline = job.edit()
    event = timeline[0]
    events = tuple(replace(event, start_frame=k, stop_frame=k + 1, reason="z" * 900) for k in range(5000))  # fmt: skip
    long = Timeline(replace(timeline.record, events=events), material, timeline.music.record)
    assert len(long._repr_html_()) < 900_000
    beats = tuple(Fraction(k, 3) for k in range(30_000))
    music = replace(
        timeline.music.record, beats_seconds=beats, duration_seconds=Fraction(10_000), beat_energy=(0.5,) * 30_000,
        beat_strength=(0.5,) * 30_000, energy_curve=(0.5,) * 100_000, downbeats=tuple(range(0, 30_000, 4)),
    )  # fmt: skip
    assert len(Music.of(music)._repr_html_()) < 400_000


def test_progress_of_many_tells_first_what_goes_on():
    numbers = {"done": 1, "total": 4, "unit": "windows", "speed": None, "eta_seconds": 3.0}
    state = {
        "error": None, "stage": "strip", "label": "", "notes": [], "noted": 0, "seconds": 1.0, "dashboard": "javascript:alert(1)",
        **numbers,
    }  # fmt: skip
    stages = [{"name": "strip", "seconds": 1.0, "media_seconds": 0.0, **numbers}]
    found = [{**state, "stages": stages, "title": f"{HOSTILE}{k}", "state": "finished"} for k in range(300)]  # fmt: skip
    found[250] = {**found[250], "state": "failed", "error": "<b>broken</b>"}
    found[299]["state"] = "running"
    html = progress_html(found)
    assert text_only(html)
    assert html.index("299") < html.index("&lt;b&gt;broken")
    assert html.count("<tr>") == MOST_ROWS + 1
    assert 'href="javascript' not in html
    assert "strip 1/4 windows" in html


def test_a_video_that_is_large_or_gone_is_named_only(tmp_path):
    summary = {
        "output": str(tmp_path / "a.mp4"), "run_dir": str(tmp_path), "cuts": [], "skipped": [], "style": "travel", "seed": 0,
        "duration_seconds": 1.0,
    }  # fmt: skip
    assert "gone" in montage_html(summary)
    with (tmp_path / "a.mp4").open("wb") as file:
        file.truncate(5_000_000)
    html = montage_html(summary)
    assert "<video" not in html
    assert ".play()" in html


@pytest.mark.parametrize("name", Style.names())
def test_every_style_tells_what_it_is(name):
    assert Style(name).record.description in Style(name)._repr_html_().replace("&#39;", "'")
