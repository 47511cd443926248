"""The script of the page in chromium, with answers of our own in the order of our choice."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from montage_dask.dashboard.drawn import drawn
from montage_dask.dashboard.pages import FILES, PAGE
from montage_dask.graph.telling import Silent, Telling
from montage_dask.records import Event, Timeline

pytestmark = pytest.mark.browser

BASE = "http://scheduler.test"


def view(job, items=()):
    told = {"title": f"title of {job}", "kind": "run", "started_at": 0}
    return {
        "epoch": "e", "now": 1, "job": job, "state": "running", "whole": True, "revision": 7, "jobs": [],
        "items": {"job": told, **dict(items)}, "workers": {"groups": {}, "unplaced": 0, "tasks": []},
    }  # fmt: skip


@pytest.fixture
def page(browser):
    """The page, its files answered for; nothing answers for its state yet."""
    opened = browser.new_context().new_page()

    def file(route):
        name = urlsplit(route.request.url).path.rpartition("/")[2]
        name = "montage.html" if name == "montage" else name
        if name in FILES:
            route.fulfill(body=(PAGE / name).read_bytes(), content_type=FILES[name])
        else:
            route.fulfill(status=404)

    opened.route("**/*", file)
    yield opened
    opened.context.close()


def test_a_slow_answer_about_another_job_is_ignored(page):
    asked, held = [], []

    def answer(route):
        query = parse_qs(urlsplit(route.request.url).query)
        asked.append((query["job"][0], query["since"][0]))
        if asked[-1][0] == "slow":
            held.append(route)
        else:
            route.fulfill(body=json.dumps(view("quick")))

    page.route("**/montage/state?*", answer)
    with page.expect_request("**/montage/state?*job=slow*"):
        page.goto(f"{BASE}/montage#job=slow")
    page.evaluate("location.hash = 'job=quick'")
    page.wait_for_function("job === 'quick'")
    with page.expect_event("requestfinished", lambda r: "job=slow" in r.url):
        held[0].fulfill(body=json.dumps({**view("slow"), "revision": 99}))
    page.wait_for_timeout(200)
    assert page.inner_text("#title") == "title of quick"
    assert page.evaluate("[job, revision]") == ["quick", 7]
    with page.expect_response("**/montage/state?*"):
        pass
    assert set(asked[1:]) == {("quick", "0"), ("quick", "7")}


def test_more_segments_than_are_drawn_are_all_counted(page):
    told = Telling(Silent())
    edit = Timeline(25, 192, 108, (Event(0, 13_400, "a", 0, 0),), "/m.wav", 0, "s", 1)
    told.composed(edit, {"a": "a.mp4"}, [(n * 10, n * 10 + 10) for n in range(1340)])
    for number in range(1339):
        told.rendered(number, f"{number}.mp4")
    told.board.put("pictures", {"1338": "aa"})
    assert len(drawn(edit, {}, [(0, 10)] * 1340)["segments"]) == 670
    page.route(
        "**/montage/state?*",
        lambda route: route.fulfill(body=json.dumps(view("j", told.board.since(0)))),
    )
    page.goto(f"{BASE}/montage")
    page.wait_for_selector("#bar rect.todo", state="attached")
    assert page.inner_text("#about").startswith("1,339 of 1,340 segments are rendered; ")
    assert page.locator("#bar rect.done").count() == 669
    assert page.locator("#bar rect.todo").count() == 1
    assert page.inner_text("#pictures figcaption") == "8:55 min a.mp4"
