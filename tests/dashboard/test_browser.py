"""A person watches: chromium opens the page of a multi-process cluster while a real job runs there, and its reports afterwards.

The scheduler loads the page by `--preload` and lies below a prefix, as behind a proxy. One worker claims a GPU that is not
there, one file is no video, and the names of all are hostile.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import namedtuple

import pytest
from jobs import SMALL, environment, make_track
from makers import film

pytestmark = pytest.mark.browser

EVIL = "<img src=x onerror=alert(1)>"
BAD = "<script>alert(2)<script>.mp4"
PREFIX = "/proxy/8787"
NUMBERS = """() => ({
    state: document.querySelector('.state')?.textContent ?? '',
    done: [...document.querySelectorAll('progress')].map(p => p.value / p.max),
    left: document.querySelectorAll('#left li').length,
    moved: document.querySelectorAll('#moved li').length,
    tasks: [...document.querySelectorAll('#tasks tbody tr')].map(r => r.innerText.split('\\t').slice(0, 4)),
    live: document.getElementById('live')?.textContent,
})"""

Watched = namedtuple("Watched", "page seen complaints requests base job out")


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A scheduler and three workers in processes of their own; the address file, and where the dashboard is."""
    folder = tmp_path_factory.mktemp("cluster")
    address, port = folder / "scheduler.json", free_port()
    # Where there is a GPU, it is hidden.
    known = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "NVIDIA_VISIBLE_DEVICES": "void"}
    shared = [sys.executable, "-m", "dask"]
    worker = [*shared, "worker", "--scheduler-file", address, "--no-dashboard", "--nthreads", "1"]
    commands = [
        [*shared, "scheduler", "--scheduler-file", address, "--host", "127.0.0.1", "--port", "0",
         "--dashboard-address", f"127.0.0.1:{port}",
         "--dashboard-prefix", PREFIX, "--preload", "montage_dask.dashboard"],
        [*worker, "--nworkers", "2", "--resources", "CPU=1"],
        [*worker, "--name", "pretender", "--resources", "GPU=1"],
    ]  # fmt: skip
    with (folder / "log").open("w") as log:
        started = [
            subprocess.Popen(
                [str(a) for a in c], stdout=log, stderr=log, env=known, cwd=folder, process_group=0
            )
            for c in commands
        ]
        try:
            yield address, f"http://127.0.0.1:{port}{PREFIX}"
        finally:
            for process in reversed(started):
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def opened(browser, complaints, requests, **options):
    """A page that tells of everything that is wrong with it."""
    page = browser.new_context(viewport={"width": 1280, "height": 900}, **options).new_page()
    page.on("console", lambda m: complaints.append(f"{m.type}: {m.text}"))
    page.on("pageerror", lambda e: complaints.append(f"error: {e}"))
    page.on("dialog", lambda d: (complaints.append(f"dialog: {d.message}"), d.dismiss()))
    # A browser that has seen enough of a video breaks off by itself.
    page.on(
        "requestfailed",
        lambda r: "ERR_ABORTED" in r.failure or complaints.append(f"failed: {r.url}"),
    )
    page.on("request", lambda r: requests.append(r.url))
    return page


@pytest.fixture(scope="module")
def watched(browser, cluster, tmp_path_factory):
    """What was to be seen from before the job until after it."""
    folder = tmp_path_factory.mktemp("watched")
    footage = folder / "footage"
    footage.mkdir()
    for number in range(3):
        film(footage / f"{EVIL}{number}.mp4", frames=75, filters=f"hue=h={90 * number}")
    (footage / BAD).write_bytes(b"this is text\n" * 50)
    make_track(folder / "track.wav", seconds=8)
    address, base = cluster
    complaints, requests = [], []
    deadline = time.monotonic() + 120
    while True:
        try:
            urllib.request.urlopen(base + "/montage", timeout=10).close()
            break
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.2)
    page = opened(browser, complaints, requests)
    # The page asks once a second, and a quick machine is through with an operation within that.
    page.add_init_script("const wait = setTimeout; window.setTimeout = (f, ms) => wait(f, ms / 20)")
    page.goto(base + "/montage")
    page.wait_for_selector("#none:visible")
    seen = [page.evaluate(NUMBERS)]
    out = folder / "out.mp4"
    extra = {
        "DASK_MONTAGE__PLACEMENT": '{"strip": "gpu"}',
        "DASK_MONTAGE__PERFORMANCE_REPORT": "true",
    }
    command = [
        sys.executable, "-m", "montage_dask", "run", footage, "--music", folder / "track.wav", "-o", out, "--cluster",
        address, "--duration", "6", *SMALL,
    ]  # fmt: skip
    with (folder / "job.log").open("w") as log:
        job = subprocess.Popen([str(c) for c in command], stdout=log, stderr=log, env=environment(**extra))  # fmt: skip
        try:
            while job.poll() is None and time.monotonic() < deadline + 150:
                now = page.evaluate(NUMBERS)
                if now != seen[-1]:
                    seen.append(now)
                page.wait_for_timeout(30)
            assert job.wait(5) == 3, (folder / "job.log").read_text()
        finally:
            job.kill()
    page.wait_for_selector(".state.finished", timeout=30_000)
    # While Dask writes its own report the scheduler does not answer, and the page says that it tries again.
    until = time.monotonic() + 20
    while page.evaluate(NUMBERS)["live"] != "live; finished" and time.monotonic() < until:
        page.wait_for_timeout(100)
    seen.append(page.evaluate(NUMBERS))
    page.screenshot(path=str(folder / "page.png"), full_page=True)
    return Watched(page, seen, complaints, requests, base, job, out)


def test_the_job_is_seen_from_its_begin_to_its_end(watched):
    states = list(dict.fromkeys(now["state"] for now in watched.seen))
    assert states == ["", "running", "finished"]
    running = [now for now in watched.seen if now["state"] == "running"]
    assert len({sum(now["done"]) for now in running}) >= 3, "progress moves"
    assert [now["left"] for now in watched.seen][:: len(watched.seen) - 1] == [0, 1]
    assert running[-1]["moved"] == 3
    assert set(watched.seen[-1]["done"]) == {1.0}
    assert watched.seen[-1]["live"] == "live; finished"


def test_what_runs_where_is_seen(watched):
    tasks = [task for now in watched.seen for task in now["tasks"]]
    assert {task[0] for task in tasks} <= {"CPU", "GPU"}
    assert {task[2] for task in tasks} & {"strip", "beats", "encode", "pictures"}
    assert not any("/" in cell for task in tasks for cell in task if "tcp" not in cell)
    text = watched.page.inner_text("#places")
    assert "set by the user" in text
    assert "gpu failed: " in text


def test_hostile_names_are_text_and_nothing_complains(watched):
    page = watched.page
    assert BAD in page.inner_text("#left")
    assert f"strip of {EVIL}0.mp4" in page.inner_text("#moved")
    assert page.locator("img").count() == page.locator("#pictures img").count() > 0
    assert page.locator("script").count() == 1
    assert watched.complaints == []
    assert all(url.startswith(watched.base) or "/statics/" in url for url in watched.requests)


def test_the_rendered_segments_have_pictures(watched):
    page = watched.page
    loaded = page.evaluate(
        "[...document.querySelectorAll('#pictures img')].map(i => i.complete && i.naturalWidth)"
    )
    assert loaded
    assert set(loaded) == {128}
    assert page.locator("#bar rect.done").count() == page.locator("#pictures img").count()
    assert page.locator("#bar rect.todo").count() == 0


def test_no_folder_is_shown_to_those_who_only_watch(watched):
    state = urllib.request.urlopen(watched.base + "/montage/state").read().decode()
    told = json.loads(state)
    assert told["items"]["job"]["title"] == "out.mp4"
    for text in (state, watched.page.content()):
        assert str(watched.out.parent) not in text
        assert "/tmp" not in text
        assert os.path.expanduser("~") not in text


def test_a_browser_that_comes_later_or_in_the_dark_sees_the_same(watched, browser):
    complaints = []
    page = opened(browser, complaints, [], color_scheme="dark")
    page.goto(f"{watched.base}/montage/")
    page.wait_for_selector(".state.finished")
    assert page.url == f"{watched.base}/montage"
    assert page.inner_text("#stages") == watched.page.inner_text("#stages")
    red, *_ = (
        page.evaluate("getComputedStyle(document.body).backgroundColor")
        .removeprefix("rgb(")
        .split(",")
    )
    assert int(red) < 60
    page.goto(f"{watched.base}/status")
    page.click("#myTopnav a[href=montage]")
    page.wait_for_selector("#title:visible")
    assert [c for c in complaints if c.startswith(("error", "dialog"))] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_report_opens_without_a_network_and_failures_come_first(watched, browser, scheme):
    complaints, requests = [], []
    page = opened(browser, complaints, requests, color_scheme=scheme, offline=True)
    report = watched.out.with_suffix(".montage") / "report.html"
    page.goto(report.as_uri())
    first = page.locator("section").first
    assert first.get_attribute("id") == "skipped"
    assert BAD in first.inner_text()
    assert "gpu → cpu" in page.inner_text("#notes")
    work = page.inner_text("#work")
    for title in ("By stage", "By operation", "By worker", "Placement"):
        assert title in work
    assert page.locator("a[href='dask.html']").count() == 1
    page.wait_for_function("document.querySelector('video').readyState >= 1", timeout=30_000)
    assert page.locator("#chart").count() == 1
    assert complaints == []
    assert all(url.startswith(("file:", "data:")) for url in requests)
    page.screenshot(path=str(watched.out.with_name(f"report-{scheme}.png")), full_page=True)


def test_dasks_own_report_opens_without_a_network(watched, browser):
    complaints, requests = [], []
    page = opened(browser, complaints, requests, offline=True)
    page.goto((watched.out.with_suffix(".montage") / "dask.html").as_uri())
    page.wait_for_selector("text=Task Stream", timeout=30_000)
    page.wait_for_selector("text=python -m montage_dask run")
    assert [c for c in complaints if c.startswith(("error", "failed"))] == []
    assert all(url.startswith(("file:", "data:")) for url in requests)
