"""Edits of a finished montage: what they show, what they refuse, and how little of the montage is made again."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from here import Here, serving
from jobs import make_clip, make_track

from montage_dask.coordinator.client import CoordinatorError
from montage_dask.coordinator.edits import AT_ONCE, CuttingRoom, Edit
from montage_dask.coordinator.jobs import QueueError
from montage_dask.report.otio import media_of

PART = 10
"""Output frames of a segment: fewer than of any event, so that none holds two."""

pytestmark = pytest.mark.job

OPTIONS = {"size": "160x90", "fps": "25", "quality": "standard", "duration": 4, "allow": ["all"]}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    """A coordinator that works, with a finished job: four clips in segments of at most one shot or two."""
    folder = tmp_path_factory.mktemp("edits")
    (folder / "footage").mkdir()
    pictures = ("testsrc2", "testsrc", "rgbtestsrc", "smptehdbars")
    for name, picture in zip("abcd", pictures, strict=True):
        make_clip(folder / f"footage/{name}.mp4", f"{picture}=size=160x90:rate=25", 3)
    make_track(folder / "t.wav", 6)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DASK_MONTAGE__SEGMENT_FRAMES", str(PART))
        patch.setenv("DASK_MONTAGE__PERFORMANCE_REPORT", "false")
        with serving(folder / "coordinator") as made:
            made.runner.start()
            yield made
            made.runner.stop()


@pytest.fixture(scope="module")
def parent(here: Here) -> str:
    footage, music = str(here.folder.parent / "footage"), str(here.folder.parent / "t.wav")
    asked = {"footage": [footage], "music": music, "options": OPTIONS, "preview": True}
    return done(here, here.client.submit(asked))


def done(here: Here, job: dict[str, Any]) -> str:
    end = time.monotonic() + 120
    while (now := here.client.call("GET", f"/api/jobs/{job['id']}"))["state"] != "finished":
        assert time.monotonic() < end, now
        assert now["state"] in ("waiting", "running"), now
        time.sleep(0.1)
    return str(job["id"])


def summary(here: Here, job_id: str) -> dict[str, Any]:
    return json.loads(here.client.text(f"/api/jobs/{job_id}/files/montage.montage/summary.json"))


def view(here: Here, job_id: str, *ops: dict[str, Any], event: int | None = None) -> dict[str, Any]:
    return here.client.call(
        "POST", f"/api/jobs/{job_id}/timeline", {"ops": list(ops), "event": event}
    )


def shown(timeline: dict[str, Any]) -> list[tuple[str, float]]:
    return [(e["clip"], e["source_seconds"]) for e in timeline["events"]]


def test_a_quick_version_comes_first_with_the_same_cuts(here, parent):
    full = here.client.call("GET", f"/api/jobs/{parent}")
    quick = here.client.call("GET", f"/api/jobs/{full['after']}")
    assert quick["ended_at"] < full["ended_at"]
    assert quick["state"] == "finished"
    assert quick["request"]["quality"] == "preview"
    assert shown(view(here, quick["id"])) == shown(view(here, parent))
    operations = {o["name"]: o["count"] for o in summary(here, parent)["operations"]}
    assert not any(operations.get(n, 0) for n in ("strip", "shots", "beats"))


def test_one_veto_makes_one_segment_again(here, parent):
    """Counted from the record of the child: everything else comes from the store."""
    before = view(here, parent)
    clips = [e["clip"] for e in before["events"]]
    number = next(k for k, c in enumerate(clips) if clips.count(c) == 1)
    veto = {"op": "veto", "event": number}
    edited = view(here, parent, veto)
    job = here.client.call(
        "POST", f"/api/jobs/{parent}/edit", {"ops": [veto]}, {"Idempotency-Key": "k"}
    )
    again = here.client.call(
        "POST", f"/api/jobs/{parent}/edit", {"ops": [veto]}, {"Idempotency-Key": "k"}
    )
    assert (again["id"], job["parent"]) == (job["id"], parent)
    child = done(here, job)
    assert [k for k, e in enumerate(edited["events"]) if e["was"] != k] == [number]
    assert shown(view(here, child)) == shown(edited)
    whole, made = ({o["name"]: o for o in summary(here, j)["operations"]} for j in (parent, child))
    parts = [-(-e["frames"] // PART) for e in before["events"]]
    segments = whole["encode"]["count"]
    assert len(parts) < segments <= sum(parts), "the last one fades, and stays whole"
    assert made["encode"]["count"] == parts[number]
    assert made["encode"]["reused"] == segments - parts[number]
    analysed = {"strip", "shots", "beats"} & {n for n, o in made.items() if o["count"]}
    assert not analysed, "nothing is analysed again"
    # What was vetoed comes back in no later edit of the child.
    offered = [
        o["clip"] for k in range(len(parts)) for o in view(here, child, event=k)["alternatives"]
    ]
    assert offered
    assert clips[number] not in offered


def test_every_edit_shows_what_it_says(here, parent):
    before = view(here, parent)
    was = shown(before)
    offered = view(here, parent, event=1)["alternatives"]
    assert all(o["reason"] for o in offered)
    assert was[1] not in [(o["clip"], o["source_seconds"]) for o in offered]
    chosen = view(here, parent, {"op": "choose", "event": 1, "value": 1})["events"]
    assert (chosen[1]["clip"], chosen[1]["held"]) == (offered[1]["clip"], True)
    assert [e["was"] for e in chosen] == [0, None, *range(2, len(was))]
    moved = shown(view(here, parent, {"op": "move", "event": 3, "value": 0}))
    assert [c for c, _ in moved[:4]] == [was[3][0], was[0][0], was[1][0], was[2][0]]
    held = view(here, parent, {"op": "hold", "event": 0})
    assert (shown(held), held["events"][0]["held"]) == (was, True)
    slid = [view(here, parent, {"op": "slide", "event": 0, "value": n}) for n in (5, -5, 1000)
            if was[0][1] + n / 25 >= 0]  # fmt: skip
    assert slid[0]["events"][0]["source_seconds"] == pytest.approx(was[0][1] + 0.2)
    assert slid[-1]["events"][0]["source_seconds"] <= 3
    trimmed = view(here, parent, {"op": "trim", "event": 1, "value": -3})["events"]
    assert trimmed[1]["frames"] == before["events"][1]["frames"] - 3
    assert trimmed[2]["frames"] == before["events"][2]["frames"] + 3
    assert (trimmed[1]["held"], trimmed[2]["held"]) == (True, True)
    edits = [{"op": "slide", "event": 0, "value": 1}, {"op": "move", "event": 3, "value": 0}]
    view(here, parent, *edits)
    assert shown(view(here, parent, edits[0])) == shown(view(here, parent, *edits[:1])), "undone"
    # A picture of each: bytes of a JPEG, and none of a clip or frame that is not the job's.
    for one in (*before["events"], *offered):
        asked = {"Authorization": f"Bearer {here.token}"}
        path = f"/api/jobs/{parent}/pictures/{one['picture']}"
        assert here.ask("GET", path, headers=asked)[1][:3] == b"\xff\xd8\xff"
    assert here.ask("GET", f"/api/jobs/{parent}/pictures/99/0", headers=asked)[0] == 404


WRONG = (
    {"op": "delete", "event": 0},
    {"op": "veto", "event": -1},
    {"op": "veto", "event": 10_000},
    {"op": "veto", "event": "0; x"},
    {"op": "veto", "event": 0, "clip": "/etc/passwd"},
    {"op": "choose", "event": 0, "value": 4000},
    {"op": "choose", "event": 0, "value": -1},
    {"op": "move", "event": 0, "value": -2},
    {"op": "slide", "event": 0, "value": 1e30},
)


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_what_is_no_edit_of_this_job_is_refused(here, parent, wrong):
    for verb in ("timeline", "edit"):
        with pytest.raises(CoordinatorError) as refused:
            here.client.call("POST", f"/api/jobs/{parent}/{verb}", {"ops": [wrong]})
        assert refused.value.status == 422


def test_who_may_edit_what(here, parent):
    account = here.accounts.account("local")
    before = sorted(p.name for p in (account.root / "jobs").iterdir())
    for ops, status in (([], 422), ([{"op": "hold", "event": 0}] * 501, 422)):
        with pytest.raises(CoordinatorError) as refused:
            here.client.call("POST", f"/api/jobs/{parent}/edit", {"ops": ops})
        assert refused.value.status == status
    _, other = here.accounts.add("other")
    for verb in ("timeline", "edit"):
        asked = {"Authorization": f"Bearer {other}"}
        assert here.ask("POST", f"/api/jobs/{parent}/{verb}", {"ops": []}, asked)[0] == 404
    body = {"ops": [{"op": "hold", "event": 0}]}
    path = f"/api/jobs/{parent}/edit"
    here.queue.drain("local", "test")
    one = here.client.call("POST", path, body, {"Idempotency-Key": "same"})
    with pytest.raises(CoordinatorError, match="another job was sent") as refused:
        here.client.call(
            "POST", path, {"ops": [{"op": "hold", "event": 1}]}, {"Idempotency-Key": "same"}
        )
    assert refused.value.status == 422
    here.client.call("POST", f"/api/jobs/{one['id']}/cancel")
    here.queue.drain("local", None)
    after = sorted(p.name for p in (account.root / "jobs").iterdir())
    assert set(after) - set(before) == {one["id"]}, "what is refused leaves nothing"
    media = media_of(account.job_folder(one["id"]) / "edited.otio")
    assert {Path(m).parent for m in media} == {here.folder.parent / "footage"}


def test_a_user_who_asks_for_much_at_once_holds_up_nobody(here, parent):
    room, job = CuttingRoom(), here.queue.find(parent)
    account = here.accounts.account("local")
    known = room.timeline(job, account)
    for _ in range(AT_ONCE):
        assert room._places.acquire(blocking=False)
    assert room.timeline(job, account) is known
    with pytest.raises(QueueError, match="too many edits") as refused:
        room.timeline(job, account, [Edit(op="hold", event=0)])
    assert refused.value.status == 429


def test_another_verb_is_a_job_too(here):
    asked = {"verb": "frames", "footage": [str(here.folder.parent / "footage/a.mp4")],
             "options": {"width": 64, "contact-sheet": True}}  # fmt: skip
    job = done(here, here.client.submit(asked))
    files = [f["path"] for f in here.client.call("GET", f"/api/jobs/{job}/files")]
    assert any(p.startswith("made/") and p.endswith(".jpg") for p in files), files


def test_changed_footage_is_said(here, parent):
    """The analysis is of files as they were: what was written since must not be shown under its name."""
    clip = here.folder.parent / "footage/a.mp4"
    kept = clip.read_bytes()
    status = clip.stat()
    try:
        clip.write_bytes(kept[:-1])
        with pytest.raises(QueueError, match="cannot be edited"):
            CuttingRoom().timeline(here.queue.find(parent, "local"), here.accounts.account("local"))
    finally:
        clip.write_bytes(kept)
        os.utime(clip, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert view(here, parent)["events"]
