"""The page's server side on the embedded cluster: what a job tells is there, bounded, cheap, and without paths."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from fractions import Fraction
from pathlib import Path

import pytest
from makers import film

from montage_dask.cluster.connect import connect
from montage_dask.config import resolve
from montage_dask.dashboard.drawn import drawn
from montage_dask.dashboard.plugin import MontagePlugin
from montage_dask.dashboard.publish import ANSWER_SECONDS, page_link, published
from montage_dask.dashboard.state import NAME, TEXT
from montage_dask.errors import MediaError, NothingToDoError
from montage_dask.graph.fallback import Fallback
from montage_dask.graph.operation import Request
from montage_dask.graph.placement import Placement
from montage_dask.graph.remote import LineState
from montage_dask.graph.telling import Silent, Telling
from montage_dask.media.thumbnail import HEIGHT, WIDTH, first_picture
from montage_dask.records import Event, Timeline

SETTINGS = resolve({"n-workers": 1})
EVIL = "<script>alert(1)<script>\"'&.mp4"


@pytest.fixture(scope="module")
def client():
    with connect(SETTINGS) as connected:
        yield connected


def fetch(client, path):
    with urllib.request.urlopen(page_link(client).rpartition("/")[0] + path, timeout=60) as answer:
        return answer.read().decode(), answer.headers


def state(client, **asked):
    query = "&".join(f"{k}={v}" for k, v in asked.items())
    return json.loads(fetch(client, f"/montage/state?{query}")[0])


def shown(client, telling, footage, title="out.mp4"):
    return published(client, telling, "run", title, [str(footage)], SETTINGS)


def timeline(events, names):
    parts = tuple(
        Event(n * 10, n * 10 + 10, names[n % len(names)], 0, Fraction(0)) for n in range(events)
    )
    return Timeline(Fraction(25), 192, 108, parts, "/m.wav", Fraction(0), "music-video", 1)


def test_a_job_is_shown_from_its_begin_to_its_end(client, tmp_path):
    told, said = Telling(Silent()), []
    told.people.note = said.append
    segment = film(tmp_path / "segment.mp4", frames=5)
    with shown(client, told, tmp_path):
        told.stage("encode", 4, "segments")
        told.placed(Placement("encode", "gpu", f"cheapest; see {tmp_path}/x/y"))
        request = Request("encode", {}, label=EVIL)
        told.ran(request, "cpu", "done", {"seconds": 2.0, "moved_bytes": 7}, 1.5, "w")
        told.ran(request, "cpu", "reused", {"seconds": 2.0}, 1.5)
        told.moved(request, Fallback("encode", EVIL, "gpu", "cpu", "no memory left for /srv/a/b"))
        told.left_out(f"{tmp_path}/day/{EVIL}", f"cannot be read: {tmp_path}/day/{EVIL}")
        told.left_out("/srv/secret/b.mp4", "/srv/secret/b.mp4 is bad")
        told.line(LineState("no account in /root/.config/cgpu"))
        told.composed(timeline(3, ["a"]), {"a": EVIL}, [(0, 20), (20, 30)])
        told.rendered(1, segment)
        told.step("encode", EVIL, 1.5)
        deadline = time.monotonic() + 60
        while "pictures" not in (seen := state(client))["items"] and time.monotonic() < deadline:
            time.sleep(0.1)
        assert (seen["job"], seen["state"], seen["whole"]) == (told.job, "running", True)
        assert (
            state(client, job=told.job, since=seen["revision"], epoch=seen["epoch"])["items"] == {}
        )
        assert state(client, job=told.job, since=seen["revision"], epoch="another")["whole"]
    assert said[0] == f"watch it at {page_link(client)}"
    items = state(client)["items"]
    assert items["job"]["state"] == "finished"
    assert (items["job"]["left"], items["job"]["moved"]) == (2, 1)
    assert (items["stage/encode"]["done"], items["stage/encode"]["total"]) == (1, 4)
    assert items["place/encode/gpu"]["reason"] == "cheapest; see x/y"
    assert items["left/0"] == {"name": f"day/{EVIL}", "reason": f"cannot be read: day/{EVIL}"}
    assert items["left/1"] == {"name": "b.mp4", "reason": "b.mp4 is bad"}
    assert items["moved/0"]["reason"] == "no memory left for b"
    assert items["line"]["lack"] == "no account in cgpu"
    assert items["segments"] == {"ready": 1, "total": 2, "made": "01"}
    assert items["timeline"]["names"] == [EVIL]
    picture, headers = None, None
    with urllib.request.urlopen(
        page_link(client) + f"/picture/{told.job}/1-{items['pictures']['1']}.jpg"
    ) as answer:
        picture, headers = answer.read(), answer.headers
    assert picture[:2] == b"\xff\xd8"
    assert headers["Content-Type"] == "image/jpeg"
    for wrong in ("1-0000.jpg", "7-0000.jpg"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            fetch(client, f"/montage/picture/{told.job}/{wrong}")
    whole = json.dumps(items)
    assert str(tmp_path) not in whole
    assert "/srv" not in whole
    assert "/root" not in whole


def test_metrics_stand_beside_those_of_dask(client):
    told = Telling(Silent())
    with shown(client, told, "/f"):
        told.stage("strip", 2)
        told.ran(Request("measured", {}), "cgpu", "done", {"seconds": 2.5, "moved_bytes": 70}, 10.0)
        told.ran(Request("measured", {}), "cgpu", "failed", {})
        told.left_out("/f/a", "bad")
        told.line(LineState("", True, 1e6))
        told._stages["strip"].started -= 10.0
        told.step("strip", "a", 30.0)
        deadline = time.monotonic() + 60
        while (
            "measured" not in (text := fetch(client, "/metrics")[0]) and time.monotonic() < deadline
        ):
            time.sleep(0.1)
    lines = text.splitlines()
    assert any(line.startswith("dask_scheduler_workers") for line in lines)
    for expected in (
        'montage_operations_total{operation="measured",outcome="done",target="cgpu"} 1.0',
        'montage_operations_total{operation="measured",outcome="failed",target="cgpu"} 1.0',
        'montage_operation_seconds_total{operation="measured",target="cgpu"} 2.5',
        'montage_media_seconds_total{operation="measured",target="cgpu"} 10.0',
        'montage_moved_bytes_total{operation="measured",target="cgpu"} 70.0',
        'montage_jobs{state="running"} 1.0',
        'montage_slots{target="cpu"} 1.0',
        "montage_cgpu_ready 1.0",
        "montage_cgpu_bytes_per_second 1e+06",
    ):
        assert expected in lines
    (speed,) = [
        line.split()[1] for line in lines if line.startswith('montage_speed_ratio{stage="strip"}')
    ]
    assert 1 < float(speed) <= 3


@pytest.mark.parametrize(
    ("error", "state_after", "said"),
    [
        (MediaError("/srv/secret/x.mp4", "is broken"), "failed", "x.mp4: is broken"),
        (NothingToDoError("no usable footage: /srv/secret/x.mp4: bad"), "failed", "no usable footage: x.mp4: bad"),
        (KeyboardInterrupt(), "interrupted", ""),
    ],
)  # fmt: skip
def test_how_a_job_ends_is_told(client, error, state_after, said):
    told = Telling(Silent())
    with pytest.raises(type(error)), shown(client, told, "/f"):
        raise error
    view = state(client, job=told.job)
    assert (view["state"], view["items"]["job"]["error"]) == (state_after, said)


def test_folders_of_a_job_are_hidden_whatever_their_names(client, tmp_path):
    told = Telling(Silent())
    settings = resolve({"n-workers": 1, "store": "/mnt/Ann: work/store"})
    footage = tmp_path / "Rock, Pop" / "clips"
    footage.mkdir(parents=True)
    others = ["/home/ann/Tom's music/secret/track.mp3"]
    with published(client, told, "run", "o.mp4", [str(footage)], settings, others):
        told.note("/home/ann/Tom's music/secret/track.mp3: is broken")
        told.note("cannot write /mnt/Ann: work/store/records/x.json")
        told.note(f"{footage}/day/a.mp4 is skipped, {footage.parent}/b/c.mp4 too")
    assert [n["text"] for n in told.board.of("note").values()] == [
        "track.mp3: is broken",
        "cannot write x.json",
        "day/a.mp4 is skipped, c.mp4 too",
    ]
    label = told.about(Request("beats", {}, label=others[0]))["label"]
    assert label == "track.mp3"


def test_a_job_of_a_thousand_clips_stays_small_and_cheap(client):
    """Long names, as many failures as clips, a picture for each that has room: < 1 MB, and < 200 ms of the scheduler."""
    told = Telling(Silent())
    names = {f"k{n}": f"{n} " + "long name " * 12 + ".mp4" for n in range(1000)}
    with shown(client, told, "/f", title="t" * 3000):
        told.stage("strip", 1000, "windows")
        for name in names.values():
            request = Request("strip", {}, label=name)
            told.ran(request, "gpu", "done", {"seconds": 1.0}, 60.0)
            told.moved(request, Fallback("strip", name, "gpu", "cpu", "why " * 200))
            told.left_out(f"/f/{name}", "why " * 200)
            told.note("note " * 200)
            told.step("strip", name, 60.0)
        told.composed(
            timeline(5000, list(names)), names, [(n * 50, n * 50 + 50) for n in range(1000)]
        )
        for number in range(1000):
            told.board.picture(number, b"\xff\xd8" + bytes(15_000))
            told.rendered(number, Path("/f/gone.mp4"))
    whole, _ = fetch(client, f"/montage/state?job={told.job}")
    page = sum(
        len(fetch(client, path)[0])
        for path in ("/montage", "/montage/montage.css", "/montage/montage.js")
    )
    assert len(whole) + page < 400_000, "a third of what may be"
    items = json.loads(whole)["items"]
    assert items["job"]["left"] == items["job"]["moved"] == 1000
    assert all(
        len(v["name"]) <= NAME and len(v["reason"]) <= TEXT
        for k, v in items.items()
        if k[:5] == "left/"
    )

    def cost(dask_scheduler):
        plugin = dask_scheduler.plugins["montage"]
        spent = []
        for since in (0, 10**9, 0):
            plugin._seen = (float("-inf"), {})
            began = time.thread_time()
            json.dumps(plugin.view(told_job, since, plugin.jobs.epoch))
            spent.append(time.thread_time() - began)
        began = time.thread_time()
        plugin.tell("copy", "c", dict(plugin.jobs.board(told_job).since(0)), [])
        return max(spent), time.thread_time() - began

    told_job = told.job
    view_seconds, tell_seconds = client.run_on_scheduler(cost)
    assert view_seconds < 0.2
    assert tell_seconds < 0.2


def test_headers_keep_the_page_to_itself_and_nothing_can_be_sent(client):
    text, headers = fetch(client, "/montage")
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "http:" not in text
    assert "https:" not in text
    assert "<script>" not in text, "only its own file"
    base = page_link(client)
    for path in ("", "/state"):
        with pytest.raises(urllib.error.HTTPError, match="405"):
            urllib.request.urlopen(urllib.request.Request(base + path, b"x", method="POST"))
    for path in ("/../montage.html.bak", "/plugin.py", "/montage.html.j2"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(base + path)


def test_the_page_is_linked_from_those_of_dask(client):
    assert 'href="montage"' in fetch(client, "/status")[0]


def test_a_second_job_finds_what_the_first_brought(client):
    before = client.run_on_scheduler(lambda dask_scheduler: id(dask_scheduler.plugins["montage"]))
    client.register_plugin(MontagePlugin())
    after = client.run_on_scheduler(lambda dask_scheduler: id(dask_scheduler.plugins["montage"]))
    assert before == after


def test_a_scheduler_without_this_package_does_not_disturb_a_job(client, monkeypatch):
    def refused(plugin):
        raise ModuleNotFoundError("No module named 'montage_dask'")

    monkeypatch.setattr(client, "register_plugin", refused)
    told, said = Telling(Silent()), []
    told.people.note = said.append
    with shown(client, told, "/f"):
        told.stage("strip", 2)
        told.step("strip", "a")
    assert told.board.get("job")["state"] == "finished"
    assert said == []
    assert told.job not in {j["id"] for j in state(client)["jobs"]}


def test_the_end_of_a_job_is_told_again_when_the_scheduler_does_not_answer(client, monkeypatch):
    sync, tries = client.sync, []

    def late(function, *args, **known):
        ended = known.get("items", {}).get("job", {}).get("state") == "finished"
        if ended:
            tries.append(known["callback_timeout"])
        if ended and len(tries) < 3:
            raise TimeoutError
        return sync(function, *args, **known)

    told = Telling(Silent())
    with shown(client, told, "/f"):
        monkeypatch.setattr(client, "sync", late)
    monkeypatch.undo()
    assert state(client, job=told.job)["state"] == "finished"
    assert len(tries) == 3
    assert all(0 < wait <= ANSWER_SECONDS for wait in tries)


def test_a_picture_of_a_segment(tmp_path):
    from io import BytesIO

    from PIL import Image

    with Image.open(
        BytesIO(first_picture(film(tmp_path / "w.mp4", frames=3, size="640x200")))
    ) as image:
        assert (image.format, image.size) == ("JPEG", (WIDTH, 40))
    with Image.open(
        BytesIO(first_picture(film(tmp_path / "t.mp4", frames=3, size="90x160")))
    ) as image:
        assert image.size == (40, HEIGHT)
    (tmp_path / "no.mp4").write_bytes(b"x" * 100)
    with pytest.raises(MediaError, match="has no picture"):
        first_picture(tmp_path / "no.mp4")


def test_a_long_timeline_is_told_as_a_shorter_one():
    told = drawn(timeline(2500, ["a", "b", "c"]), {}, [(0, 25_000)])
    assert len(told["events"]) == 834
    assert told["events"][0][0] == 0
    assert told["events"][-1][1] == told["frames"] == 25_000
    assert all(a[1] == b[0] for a, b in zip(told["events"], told["events"][1:], strict=False))
    assert told["cuts"] == 2499


@pytest.mark.parametrize("segments", [0, 1, 1000, 1001, 1340, 2001])
def test_all_segments_count_however_many_are_drawn(segments):
    told = Telling(Silent())
    edit = timeline(segments or 1, ["a"])
    told.composed(edit, {}, [(n * 10, n * 10 + 10) for n in range(segments)])
    for number in range(segments - 1):
        told.rendered(number, Path(f"{number}.mp4"))
    line, now = told.board.get("timeline"), told.board.get("segments")
    assert (now["ready"], now["total"]) == (max(0, segments - 1), segments)
    assert len(line["segments"]) == len(now["made"]) <= 1000
    assert now["made"] == "1" * (len(now["made"]) - 1) + "0" * (segments > 0)
    assert [s for s, _ in line["segments"][1:]] == [s for _, s in line["segments"][:-1]]
    if segments:
        assert (line["segments"][0][0], line["segments"][-1][1]) == (0, edit.frames)
    for number, _ in told.fresh:
        assert line["segments"][number // line["grouped"]][0] == number * 10
