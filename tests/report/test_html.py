"""The report: one file that fetches nothing, with what went wrong first; names and words in it are only ever text."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from collections import namedtuple
from dataclasses import replace
from fractions import Fraction
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from made_timeline import HOSTILE, music, on_beats, sources_in
from PIL import Image

from montage_dask.errors import UsageError
from montage_dask.report.html import page, rebuild, run_folders, write_report
from montage_dask.report.summary import heard, run_summary

Left = namedtuple("Left", "path reason")
EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


class Read(HTMLParser):
    """Tags with their attributes, and the text outside of script and style."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.scripts = ""
        self._inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside == "script":
            self.scripts += data
        elif self._inside != "style":
            self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def made(folder: Path, names=("one.mp4", "two.mp4", "three.mov"), skipped=(), **more):
    """The summary of a run, and its run folder with pictures."""
    sources, track = sources_in(folder, names), music(folder)
    timeline = on_beats(sources, track, fps=Fraction(30000, 1001), start=Fraction(5))
    run_dir = folder / "out.montage"
    run_dir.mkdir(exist_ok=True)
    Image.new("RGB", (400, 100), "#123456").save(run_dir / "timeline.png")
    Image.new("RGB", (400, 300), "#654321").save(run_dir / "contact_sheet.jpg")
    (folder / "out.mp4").write_bytes(b"video")
    ran = {
        "operations": [{"name": "encode", "target": "cpu", "count": 3, "seconds": 1.5, "cpu_seconds": 1, "reused": 2}],
        "workers": [
            {"worker": "pod-1", "target": "cpu", "count": 3, "seconds": 5.0, "operations": {"encode": 4.5, "strip": 0.5}},
            {"worker": "pod-<b>2", "target": "gpu", "count": 1, "seconds": 0.5, "operations": {"strip": 0.5}},
        ],
        "stages": [
            {"name": "encode", "unit": "segments", "done": 3, "total": 4, "seconds": 6.25, "media_seconds": 25.0, "speed": 4.0},
        ],
        "fallbacks": [], "troubles": [], "wall_seconds": 12.5,
    }  # fmt: skip
    summary = run_summary(
        timeline, sources, track, skipped=skipped, ran=ran, output=folder / "out.mp4", run_dir=run_dir
    )  # fmt: skip
    summary |= {
        "notes": [], "effects": [], "director": None,
        "placement": [{"operation": "encode", "target": "cpu", "reason": "no worker offers GPU"}],
        "heard": heard(timeline, track, [0.5] * 900),
        "pictures": {k: str(run_dir / k) for k in ("timeline.png",)}
        | {"timeline": str(run_dir / "timeline.png"), "contact_sheet": str(run_dir / "contact_sheet.jpg")},
        "command": "python -m montage_dask run --music m.ogg -- f", "folder": "/somewhere",
        "settings": [{"name": "style", "value": "travel", "origin": "command line"}],
        "versions": {"montage-dask": "0.1.0", "Python": "3.12.1"},
    }  # fmt: skip
    del summary["pictures"]["timeline.png"]
    return timeline, {**summary, **more}, run_dir


def test_it_tells_what_the_run_did(tmp_path):
    timeline, summary, run_dir = made(
        tmp_path,
        effects=[{"effect": "stabilise", "path": "/x/shaky.mp4", "applied": True, "reason": "shakes by 0.4 %"}],
        director={
            "answered_by": "rules", "reason": "what the words stand for", "chosen": ["pace: 1.41"],
            "overruled": ["style"], "notes": ["no unicorn"], "provisional": False,
        },
    )  # fmt: skip
    read = Read(page(summary, run_dir))
    for told in (
        "8 events", "no worker offers GPU", "shaky.mp4", "shakes by 0.4 %", "what the words stand for", "pace: 1.41",
        "no unicorn", "travel", "pod-1", "5.0 s (40 %)", "pod-<b>2", "3 of 4 segments", "4.0 ×",
        "3.12.1", summary["command"], "three.mov", "part 3", "command line", "120.0 BPM",
    )[1:]:  # fmt: skip
        assert told in read.text, told
    rows = [a for a in read.of("tr") if (a.get("id") or "").startswith("e")]
    assert len(rows) == len(timeline.events) == 8
    for event in timeline.events[1:]:
        assert f"{timeline.error_ms(event):+.1f} ms" in read.text
    assert "drop, " in read.text
    assert len([a for a in read.of("line") if a.get("class") == "downbeat"]) == len(
        summary["heard"]["downbeats_seconds"]
    )


def test_what_went_wrong_stands_first(tmp_path):
    _, summary, run_dir = made(
        tmp_path,
        skipped=[Left("/a/bad.mp4", "is empty")],
        notes=["footage is short"],
        fallbacks=[
            {"operation": "encode", "label": "x", "from_target": "gpu", "to_target": "cpu", "reason": "no memory left"}
        ],
        troubles=[{"operation": "strip", "reason": "the line was cut", "count": 2}],
    )  # fmt: skip
    text = page(summary, run_dir)
    first = text.index('id="skipped"')
    assert first < text.index('id="notes"') < text.index("<video")
    for told in ("is empty", "footage is short", "no memory left", "the line was cut"):
        assert first < text.index(told) < text.index("<video")
    _, fine, run_dir = made(tmp_path)
    assert 'id="skipped"' not in page(fine, run_dir)
    assert 'id="notes"' not in page(fine, run_dir)


def test_it_fetches_nothing(tmp_path):
    _, summary, run_dir = made(tmp_path)
    text = page(summary, run_dir)
    read = Read(text)
    assert [a["src"] for a in read.of("video")] == ["../out.mp4"]
    pictures = read.of("img")
    assert len(pictures) == 2
    assert all(a["src"].startswith("data:image/") for a in pictures)
    assert read.of("link") == []
    assert not re.search(r"https?://|@import|url\(", text)
    for a in read.of("a"):
        assert a["href"].startswith("#") or (run_dir / a["href"]).exists(), a
    anchors = {a.get("id") for a in read.of("tr")}
    assert {a["href"][1:] for a in read.of("a") if a["href"].startswith("#")} <= anchors


def test_only_its_own_script_may_run(tmp_path):
    _, summary, run_dir = made(tmp_path)
    read = Read(page(summary, run_dir))
    digest = base64.b64encode(hashlib.sha256(read.scripts.encode()).digest()).decode()
    [policy] = [
        a["content"] for a in read.of("meta") if a.get("http-equiv") == "Content-Security-Policy"
    ]
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy


def test_names_and_words_are_only_text(tmp_path):
    """Whatever clips are called and a model says: the tags of the page are those of a harmless one."""
    _, plain, run_dir = made(tmp_path, names=tuple(f"{n}.mp4" for n in range(len(HOSTILE))))
    names = (*HOSTILE[:-1], "<script>alert(1)<", HOSTILE[-1])[: len(HOSTILE)]
    nasty = tmp_path / "nasty"
    nasty.mkdir()
    _, hostile, nasty_dir = made(nasty, names=names)
    director = dict.fromkeys(("answered_by", "reason"), EVIL)
    director |= {key: [EVIL] for key in ("chosen", "overruled", "notes")}
    harmless = json.loads(json.dumps(director).replace(json.dumps(EVIL), '"word"'))

    def told(text, director):
        return {
            "director": director,
            "notes": [text],
            "skipped": [{"path": f"/a/{text}", "reason": text}],
            "fallbacks": [
                dict.fromkeys(("operation", "label", "from_target", "to_target", "reason"), text)
            ],
            "troubles": [{"operation": text, "reason": text, "count": 2}],
            "effects": [{"effect": text, "path": text, "applied": True, "reason": text}],
            "placement": [{"operation": text, "target": text, "reason": text}],
            "settings": [{"name": text, "value": text, "origin": text}],
            "versions": {text: text},
            "command": text,
            "style": text,
        }

    for e in (hostile["opening"], *hostile["cuts"]):
        e["reason"] = EVIL
    for section in hostile["heard"]["sections"]:
        section["label"] = "<b>'\""  # short, as a long one finds no place
    (nasty / "out.mp4").rename(nasty / f"{EVIL.replace('/', '')}.mp4")
    hostile["output"] = str(nasty / f"{EVIL.replace('/', '')}.mp4")
    text = page(hostile | told(EVIL, director), nasty_dir)
    read, expected = Read(text), Read(page(plain | told("word", harmless), run_dir))
    assert [t for t, _ in read.tags] == [t for t, _ in expected.tags]
    assert [sorted(a) for _, a in read.tags] == [sorted(a) for _, a in expected.tags]
    assert read.scripts == expected.scripts
    assert not [a for _, attributes in read.tags for a in attributes if a.startswith("on")]
    assert EVIL in read.text
    assert "new\\nline.mp4" in read.text
    (source,) = [a["src"] for a in read.of("video")]
    assert not re.search(r"[\"'<> ]", source)


def test_a_name_of_broken_bytes_and_one_that_turns_text_around(tmp_path):
    _, summary, run_dir = made(tmp_path)
    summary["skipped"] = [{"path": os.fsdecode(b"/a/\xff\xfe.mp4"), "reason": "\u202egnp.exe"}]
    text = write_report(summary, run_dir).read_text(encoding="utf-8")
    assert "\\udcff" in text
    assert "\u202e" not in text


def test_three_minutes_stay_small(tmp_path):
    """180 s with 360 cuts, and pictures that do not compress."""
    sources, track = sources_in(tmp_path), music(tmp_path, seconds=200)
    timeline = on_beats(sources, track, events=360, beats_per_event=1)
    words = "High part: as lively as the music here and unlike its neighbours; another part of a shot seen before."
    scores = {n: 0.123456 for n in ("quality", "motion", "arc", "action", "variety", "total")}
    events = tuple(replace(e, reason=words, scores=scores) for e in timeline.events)
    timeline = replace(timeline, events=events)
    noise = np.random.default_rng(1).integers(0, 256, (1500, 2000, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "timeline.png")
    Image.fromarray(noise).save(tmp_path / "contact_sheet.jpg", quality=88)
    assert (tmp_path / "timeline.png").stat().st_size > 8e6
    summary = run_summary(
        timeline, sources, track, skipped=(), ran={}, output=tmp_path / "o.mp4", run_dir=tmp_path
    )
    summary["heard"] = heard(timeline, track, [0.5] * 900)
    summary["pictures"] = {"timeline": "timeline.png", "contact_sheet": "contact_sheet.jpg"}
    path = write_report(summary, tmp_path)
    assert path.stat().st_size < 3e6
    assert len(Read(path.read_text()).of("img")) == 2


def test_no_pictures_no_beats_no_video(tmp_path):
    """The rest is told all the same."""
    _, summary, run_dir = made(tmp_path)
    for e in (summary["opening"], *summary["cuts"]):
        e |= {"beat_seconds": None, "error_ms": None}
    Path(summary["output"]).unlink()
    del summary["heard"], summary["opening"], summary["director"]
    summary["pictures"] = {"timeline": str(run_dir / "gone.png")}
    read = Read(page(summary, run_dir))
    assert "no beats" in read.text
    assert "is not there any more" in read.text
    assert read.of("img") == read.of("video") == []
    assert next(a["id"] for a in read.of("tr") if a.get("id")) == "e2"


def test_it_is_rebuilt_from_whatever_names_the_run(tmp_path):
    _, summary, run_dir = made(tmp_path)
    (run_dir / "summary.json").write_text(json.dumps(summary))
    for name in (run_dir, run_dir / "summary.json", tmp_path / "out.mp4"):
        assert run_folders(name) == [run_dir]
    before = write_report(summary, run_dir).read_bytes()
    (run_dir / "report.html").unlink()
    assert rebuild(run_dir).read_bytes() == before


def test_variants_have_one_each(tmp_path):
    for number in (1, 2, 10):
        folder = tmp_path / f"v.montage/variant-{number}"
        folder.mkdir(parents=True)
        (folder / "summary.json").write_text("{}")
    names = [p.name for p in run_folders(tmp_path / "v.mp4")]
    assert names == ["variant-1", "variant-2", "variant-10"]
    assert run_folders(tmp_path / "v-2.mp4")[0].name == "variant-2"


@pytest.mark.parametrize("name", ["nothing", "nothing.mp4", "empty", "out.mp4/x"])
def test_where_no_run_is(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"no run there|no run has finished there"):
        run_folders(tmp_path / name)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"output": 3}', '{"output": "x", "cuts": 5}'])
def test_a_summary_that_is_none(tmp_path, text):
    (tmp_path / "summary.json").write_text(text)
    with pytest.raises(UsageError, match=r"is not the summary of a run"):
        rebuild(tmp_path)


def failed(folder: Path, started_at: float, state: str = "failed") -> None:
    folder.mkdir(exist_ok=True)
    (folder / "progress.json").write_text(
        json.dumps({
            "state": state, "error": "the disk is full: free <some> space", "stage": "encode", "done": 2, "total": 5,
            "unit": "segments", "notes": ["encode is tried again"], "output": "/x/out.mp4", "started_at": started_at,
            "updated_at": started_at + 5,
        })
    )  # fmt: skip


def test_a_failed_run_has_a_report_of_the_failure(tmp_path):
    failed(tmp_path, 1000.0)
    read = Read(rebuild(tmp_path).read_text())
    for told in ("This run failed", "free <some> space", "encode: 2 of 5", "is tried again"):
        assert told in read.text
    failed(tmp_path, 1000.0, "finished")
    with pytest.raises(UsageError, match=r"no summary yet"):
        rebuild(tmp_path)


def test_a_run_that_failed_after_a_good_one_is_told_first(tmp_path):
    _, summary, run_dir = made(tmp_path)
    (run_dir / "summary.json").write_text(json.dumps(summary))
    failed(run_dir, 1000.0)
    assert "The last run" not in rebuild(run_dir).read_text()
    failed(run_dir, 1e11)
    text = rebuild(run_dir).read_text()
    assert text.index("The last run into this folder failed") < text.index("<video")


def opened(browser, path: Path, **options):
    """A page of Debian's browser with no network, and what it complained of."""
    page = browser.new_context(
        offline=True, viewport={"width": 1280, "height": 800}, **options
    ).new_page()
    complaints: list[str] = []
    page.on("console", lambda m: complaints.append(m.text))
    page.on("pageerror", lambda e: complaints.append(str(e)))
    page.goto(path.as_uri())
    return page, complaints


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_chromium_draws_it_without_complaint(tmp_path, browser, scheme):
    """Its script runs in spite of the policy, nothing is refused, and the colours are those asked for."""
    _, summary, run_dir = made(tmp_path)
    (tmp_path / "out.mp4").unlink()
    page, complaints = opened(browser, write_report(summary, run_dir), color_scheme=scheme)
    assert page.locator("html.js").count() == 1
    assert complaints == []
    with Image.open(BytesIO(page.screenshot())) as image:
        corner = image.convert("L").getpixel((5, 5))
    assert corner < 60 if scheme == "dark" else corner > 200


@pytest.mark.browser
def test_a_click_sorts_and_the_policy_stops_any_other_script(tmp_path, browser):
    """A script of somebody else clicks on "length" twice: it does so only without the policy."""
    _, summary, run_dir = made(tmp_path)
    (tmp_path / "out.mp4").unlink()
    text = write_report(summary, run_dir).read_text(encoding="utf-8")
    foreign = "<script>for (const _ of [1, 2]) document.querySelectorAll('#events th')[6].click()</script>"
    path = tmp_path / "foreign.html"
    orders = {}
    for policy in (True, False):
        shown = text if policy else re.sub(r"<meta http-equiv=.*", "", text)
        path.write_text(shown.replace("</body>", foreign + "</body>"), encoding="utf-8")
        page, complaints = opened(browser, path)
        assert any("Content Security Policy" in c for c in complaints) == policy
        rows = page.eval_on_selector_all("#events tr[id]", "rows => rows.map(r => r.id)")
        orders[policy] = [int(row.removeprefix("e")) for row in rows]
    errors = {n: c["error_ms"] for n, c in enumerate(summary["cuts"], 2)} | {1: 0.0}
    assert orders[True] == list(range(1, 9))
    assert [errors[n] for n in orders[False]] == sorted(errors.values(), reverse=True)
