"""The page in a browser, from dropping clips to the downloads, loaded again on the way."""

from __future__ import annotations

import importlib.util
import json
import time
from pathlib import Path
from typing import Any

import pytest
from here import serving
from jobs import make_clip, make_track

SENT = """Object.entries(localStorage).filter(([k]) => k.startsWith("draft"))
    .every(([, v]) => JSON.parse(v).files.every(f => f.id))"""
DRAWN = """[...document.querySelectorAll("#shots .thumb")].length > 2 &&
    [...document.querySelectorAll("#shots .thumb")].every(t => t.style.backgroundImage.includes("contact_sheet"))"""
NAMELESS = """[...document.querySelectorAll("button, a, input, select")].filter(e => e.checkVisibility())
    .filter(e => !(e.textContent.trim() || e.ariaLabel || e.labels?.length)).map(e => e.outerHTML)"""

pytestmark = [pytest.mark.browser, pytest.mark.job]


def until(page: Any, what: str) -> None:
    """Wait for what a script says; `wait_for_function` needs what the page forbids."""
    end = time.monotonic() + 60
    while not page.evaluate(what):
        assert time.monotonic() < end, what
        time.sleep(0.05)


AXE = importlib.util.find_spec("axe_playwright_python")
"""Brings axe-core along."""
AXE_RUN = """axe.run().then(r => r.passes.length < 10 ? ["nothing was looked at"] :
    r.violations.map(v => `${v.id}: ${v.help}: ${v.nodes.map(n => n.html).join(" ")}`))"""


def accessible(page: Any) -> None:
    """What can be used has a name, nothing is wider than the window, and axe-core finds nothing, by day and by night."""
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate(NAMELESS) == []
    if AXE is None:
        return
    page.evaluate((Path(AXE.origin).parent / "axe.min.js").read_text(encoding="utf-8"))
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate(AXE_RUN) == [], scheme


LABELS = "[...document.querySelectorAll('#shots button')].map(b => b.ariaLabel).join('|')"


def edits(page: Any) -> None:
    """By mouse and by keyboard; a reload loses nothing, undo takes back one step after the other."""
    was = page.evaluate(LABELS).split("|")

    def changed(do: Any) -> list[str]:
        before = page.evaluate(LABELS)
        do()
        until(page, f"{LABELS} !== {json.dumps(before)}")
        return page.evaluate(LABELS).split("|")

    page.click("#shots button >> nth=1")
    page.wait_for_selector(".others button")
    assert "changed" in changed(lambda: page.click(".others button >> nth=0"))[1]
    page.focus("#shots button >> nth=1")
    page.keyboard.press("ArrowLeft")
    assert "pinned" in changed(lambda: page.keyboard.press("p"))[0]
    third, first = "#shots button >> nth=2", "#shots button >> nth=0"
    moved = changed(lambda: page.drag_and_drop(third, first))
    assert moved[0].split(", ")[0].split()[2] == was[2].split()[2]
    page.reload()
    until(page, f"{LABELS} === {json.dumps('|'.join(moved))}")
    page.focus(first)
    back = changed(lambda: page.keyboard.press("Control+z"))
    assert "pinned" in back[0]
    changed(lambda: page.click("#undo"))


def versions(page: Any) -> None:
    """The version before plays together with this one."""
    page.click("#compare")
    until(page, "document.getElementById('before').readyState >= 2")
    page.evaluate(
        "document.getElementById('film').muted = true; document.getElementById('film').play()"
    )
    times = "[...document.querySelectorAll('#side video')].map(v => v.currentTime)"
    until(page, f"{times}.every(t => t > 0.5)")
    one, other = page.evaluate(times)
    assert abs(one - other) < 0.3
    page.evaluate("document.getElementById('film').pause()")
    until(page, "document.getElementById('before').paused")
    page.click("#compare")
    assert page.is_hidden("#before")


@pytest.mark.skipif(AXE is None, reason="needs axe-playwright-python: axe-core looks at no page")
def test_axe_core_finds_nothing_on_the_first_page(browser, tmp_path):
    with serving(tmp_path / "folder") as here:
        page = browser.new_context(viewport={"width": 390, "height": 844}).new_page()
        page.goto(here.url)
        page.wait_for_selector("#login:visible")
        accessible(page)
        page.evaluate(
            "document.querySelector('#login label').replaceWith(document.querySelector('#login input[name=token]'))"
        )
        with pytest.raises(AssertionError):
            accessible(page)


def test_from_clips_to_the_film(browser, tmp_path, monkeypatch):
    for name, value in (("SIZE", "160x90"), ("QUALITY", "preview"), ("N_WORKERS", "1"), ("ALLOW", '["all"]')):  # fmt: skip
        monkeypatch.setenv(f"DASK_MONTAGE__{name}", value)
    clips = [tmp_path / "a.mp4", tmp_path / "b.mp4"]
    make_clip(clips[0], "testsrc2=size=160x90:rate=25", 4)
    make_clip(clips[1], "mandelbrot=size=160x90:rate=25", 4)
    make_track(tmp_path / "track.wav", 6)
    complaints: list[str] = []
    with serving(tmp_path / "folder") as here:
        page = browser.new_context(viewport={"width": 390, "height": 844}, locale="de-DE").new_page()  # fmt: skip
        page.set_default_timeout(60_000)
        page.on("console", lambda m: complaints.append(f"{m.type}: {m.text}"))
        page.on("pageerror", lambda e: complaints.append(f"error: {e}"))
        page.goto(here.url)
        page.wait_for_selector("#login:visible")
        assert page.inner_text("#login h1") == "Anmelden"
        page.fill("input[name=token]", here.token)
        page.keyboard.press("Enter")
        page.wait_for_selector("#new:visible")
        assert here.token not in page.evaluate("document.cookie + JSON.stringify(localStorage)")
        page.click("#language")
        assert page.inner_text("#lacks") == "Clips are missing."
        # A file that is cut off half-way: after a reload it stands where it was, and goes on when it is chosen again.
        page.route("**/api/uploads/*", lambda r: r.abort() if r.request.method == "PATCH" else r.continue_())  # fmt: skip
        page.set_input_files("#clips", clips)
        page.fill("input[name=duration]", "3")
        until(page, SENT)
        page.reload()
        page.wait_for_selector("#files li")
        assert page.input_value("input[name=duration]") == "3"
        assert "choose this file again" in page.inner_text("#files li >> nth=0")
        uploads = here.accounts.account("local").uploads / ".unfinished"
        assert len(list(uploads.glob("*.part"))) == 2
        page.unroute_all(behavior="wait")
        page.set_input_files("#clips", clips)
        page.set_input_files("#track", tmp_path / "track.wav")
        page.wait_for_selector("#make:enabled")
        assert (here.accounts.account("local").uploads / "a.mp4").read_bytes() == clips[0].read_bytes()  # fmt: skip
        assert len(list(uploads.glob("*.json"))) == 3, "no file was begun twice"
        page.wait_for_selector(
            "#expect:has-text('there is room for'):has-text('The film takes about')"
        )
        accessible(page)
        page.click("#make")
        page.wait_for_selector("#job:visible")
        page.wait_for_selector("#state.waiting")
        page.click("#verbs button:has-text('Pause')")
        page.wait_for_selector("#state.paused")
        page.reload()
        page.wait_for_selector("#state.paused")
        page.click("#verbs button:has-text('Go on')")
        here.runner.start()
        page.wait_for_selector("#state.running")
        page.wait_for_selector("#state.finished")
        until(page, "document.getElementById('film').readyState >= 1")
        assert 2.5 < page.evaluate("document.getElementById('film').duration") < 3.5
        until(page, DRAWN)
        assert page.locator("#sound .wave").count() == 1
        page.wait_for_selector("#other a:has-text('The whole one')")
        (full,) = (j["id"] for j in here.client.call("GET", "/api/jobs")["jobs"] if j["after"])
        here.client.call("POST", f"/api/jobs/{full}/cancel")
        page.click("#shots button >> nth=1")
        until(page, "document.getElementById('film').currentTime > 0")
        for word in ("MP4", "OTIO", "EDL", "FCPXML", "Premiere XML"):
            with page.expect_download() as got:
                page.click(f"#links a:text-is('{word}')")
            assert got.value.path().stat().st_size > 100, word
        with page.expect_download() as got:
            page.click("#bundle")
        assert got.value.path().read_bytes()[:2] == b"PK"
        page.wait_for_selector(".others button")
        accessible(page)
        edits(page)
        page.click("#render")
        page.wait_for_selector("#state.running")
        page.wait_for_selector("#state.finished")
        page.wait_for_selector("#again:has-text('segments were made again')")
        versions(page)
        here.queue.drain("local", "anna")
        page.click("#shots button >> nth=0")
        page.click("#veto")
        page.click("#render:enabled")
        page.wait_for_selector("#state.waiting")
        again = here.client.call("GET", "/api/jobs")["jobs"][0]
        assert again["parent"]
        assert again["request"]["from-timeline"].endswith("/edited.otio")
        page.wait_for_selector("#drained:has-text('anna')")
        page.click("#verbs button:has-text('Cancel')")
        page.wait_for_selector("#state.cancelled")
        page.click("#logout")
        page.wait_for_selector("#login:visible")
        here.runner.stop()
    # The line that was cut above says so.
    assert [c for c in complaints if c != "error: Failed to load resource: net::ERR_FAILED"] == []
