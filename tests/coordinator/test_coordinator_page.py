"""The page in a browser, from dropping clips to the downloads, loaded again on the way."""

from __future__ import annotations

import time
from typing import Any

import pytest
from here import serving
from jobs import make_clip, make_track

SENT = """Object.entries(localStorage).filter(([k]) => k.startsWith("draft"))
    .every(([, v]) => JSON.parse(v).files.every(f => f.id))"""
DRAWN = """[...document.querySelectorAll("#shots canvas")]
    .every(c => c.getContext("2d").getImageData(0, 0, c.width, c.height).data.some(v => v > 0 && v < 255))"""
NAMELESS = """[...document.querySelectorAll("button, a, input, select")].filter(e => e.checkVisibility())
    .filter(e => !(e.textContent.trim() || e.ariaLabel || e.labels?.length)).map(e => e.outerHTML)"""

pytestmark = [pytest.mark.browser, pytest.mark.job]


def until(page: Any, what: str) -> None:
    """Wait for what a script says; `wait_for_function` needs what the page forbids."""
    end = time.monotonic() + 60
    while not page.evaluate(what):
        assert time.monotonic() < end, what
        time.sleep(0.05)


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
        page.wait_for_selector("#shots canvas")
        until(page, DRAWN)
        page.click("#shots button >> nth=1")
        until(page, "document.getElementById('film').currentTime > 0")
        for word in ("MP4", "OTIO", "EDL", "FCPXML", "Premiere XML"):
            with page.expect_download() as got:
                page.click(f"#links a:text-is('{word}')")
            assert got.value.path().stat().st_size > 100, word
        with page.expect_download() as got:
            page.click("#bundle")
        assert got.value.path().read_bytes()[:2] == b"PK"
        # Nothing is wider than a phone, and everything that can be used has a name.
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate(NAMELESS) == []
        here.queue.drain("local", "anna")
        page.click("#without")
        page.wait_for_selector("#state.waiting")
        again = here.client.call("GET", "/api/jobs")["jobs"][0]
        assert again["parent"]
        assert again["request"]["exclude"][0].partition("@")[0] in ("a.mp4", "b.mp4")
        page.wait_for_selector("#drained:has-text('anna')")
        page.click("#verbs button:has-text('Cancel')")
        page.wait_for_selector("#state.cancelled")
        page.click("#logout")
        page.wait_for_selector("#login:visible")
        here.runner.stop()
    # The line that was cut above says so.
    assert [c for c in complaints if c != "error: Failed to load resource: net::ERR_FAILED"] == []
