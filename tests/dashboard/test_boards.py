"""Boards and jobs: only changes travel, everything is bounded, totals never fall."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from montage_dask.dashboard import jobs as room
from montage_dask.dashboard.jobs import JOBS, Jobs
from montage_dask.dashboard.state import LIMITS, PICTURE_BYTES, PICTURES, TEXT, Board, short

KEYS = st.sampled_from(["job", "stage/a", "stage/b", "left/0", "moved/1", "nonsense", "note/3"])
JPEG = b"\xff\xd8rest"


@given(st.lists(st.tuples(KEYS, st.integers(0, 3), st.booleans())))
def test_a_board_that_gets_the_changes_becomes_the_same(changes):
    """However often and whenever they are sent."""
    one, other, sent = Board(), Board(), 0
    for key, value, send in changes:
        one.put(key, value)
        if send:
            news, sent = one.since(sent), one.revision
            other.apply(news, {})
    other.apply(one.since(sent), {})
    assert one.since(0) == other.since(0)
    assert one.since(one.revision) == {}
    assert "nonsense" not in one.since(0)


def test_only_changes_count():
    board = Board()
    board.put("stage/a", {"done": 1})
    before = board.revision
    assert board.put("stage/a", {"done": 1})
    assert board.revision == before
    board.put("stage/b", 1)
    assert board.since(before) == {"stage/b": 1}


def test_every_kind_is_bounded():
    board = Board()
    for kind in LIMITS:
        for number in range(1500):
            board.put(f"{kind}/{number}", number)
        assert len(board.of(kind)) == LIMITS[kind]
    kept = [board.picture(n, JPEG) for n in range(PICTURES + 5)]
    assert sum(kept) == len(board.pictures) == PICTURES
    assert board.picture(0, JPEG + b"new")
    assert not board.picture(1, JPEG + bytes(PICTURE_BYTES))
    assert not board.picture(1, b"<svg onload=alert(1)>")
    assert len(short("x" * 5000)) == TEXT
    assert short("short") == "short"


def test_another_timeline_drops_the_pictures_of_the_one_before():
    mine, theirs = Board(), Board()
    mine.picture(0, JPEG)
    mine.picture(7, JPEG)
    theirs.apply(mine.since(0), mine.pictures)
    assert theirs.pictures == mine.pictures
    mine.keep_pictures(())
    mine.picture(0, JPEG + b"2")
    theirs.apply(mine.since(0), mine.pictures)
    assert theirs.pictures == {0: JPEG + b"2"}
    assert theirs.get("pictures") == mine.get("pictures")


def count(outcome, number):
    told = {"operation": "encode", "target": "cpu", "outcome": outcome, "count": number}
    return {
        f"count/encode/cpu/{outcome}": {**told, "seconds": 2.0, "media_seconds": 1.5, "bytes": 10}
    }


def test_old_jobs_are_dropped_and_their_counts_stay():
    jobs = Jobs()
    for number in range(3 * JOBS):
        state = {"job": {"state": "finished", "left": 2}} if number else {"job": {}}
        jobs.tell(f"j{number}", "c", {**state, **count("done", 3)}, [])
    rows = jobs.overview()
    assert len(rows) == JOBS
    assert rows[0]["id"] == f"j{3 * JOBS - 1}"
    assert jobs.board("j0") is not None, "it still runs: those that ended go first"
    assert jobs.totals()["encode", "cpu", "done"] == [9 * JOBS, 6 * JOBS, 4.5 * JOBS, 30 * JOBS]
    assert jobs.left_out() == 2 * (3 * JOBS - 1)
    assert jobs.newest() == "j0"


def test_jobs_that_run_are_kept_however_many_and_count_once():
    jobs = Jobs()
    for number in range(1, 5):
        for job in range(25):
            jobs.tell(f"j{job}", f"c{job}", {"job": {"left": 1}, **count("done", number)}, [])
    assert list(jobs.states()) == ["running"] * 25
    assert jobs.totals()["encode", "cpu", "done"] == [100, 50, 37.5, 250]
    assert jobs.left_out() == 25


def test_a_dropped_job_that_comes_back_counts_once(monkeypatch):
    """It only sends what changed."""
    monkeypatch.setattr(room, "DROPPED", 2)
    jobs = Jobs()
    jobs.tell("silent", "c", {"job": {"left": 2}, **count("done", 3), **count("failed", 1)}, [])
    jobs.gone("c")
    for number in range(JOBS):
        jobs.tell(f"j{number}", "d", {"job": {}}, [])
    assert jobs.board("silent") is None
    assert jobs.totals()["encode", "cpu", "done"][0] == 3
    jobs.tell("silent", "c", count("done", 4), [])
    assert jobs.state("silent") == "running"
    assert jobs.left_out() == 2
    assert [jobs.totals()["encode", "cpu", o][0] for o in ("done", "failed")] == [4, 1]
    jobs.gone("d")
    for number in range(JOBS):
        jobs.tell(f"k{number}", "e", {"job": {"left": 1}, **count("done", 1)}, [])
    assert jobs.totals()["encode", "cpu", "done"][0] == 4 + JOBS
    assert jobs.left_out() == 2 + JOBS


def test_a_job_ends_with_its_client_unless_it_comes_back(monkeypatch):
    jobs = Jobs()
    jobs.tell("a", "client-1", {"job": {"state": "running"}}, [])
    jobs.tell("b", "client-2", {"job": {"state": "running"}}, [])
    jobs.gone("client-1")
    assert (jobs.state("a"), jobs.state("b"), jobs.newest()) == ("stopped", "running", "b")
    jobs.tell("a", "client-1", {}, [])
    assert jobs.state("a") == "running"
    monkeypatch.setattr(room, "SILENT_SECONDS", -1.0)
    assert set(jobs.states()) == {"stopped"}
    jobs.tell("a", "client-1", {"job": {"state": "finished"}}, [])
    assert jobs.state("a") == "finished"


@pytest.mark.parametrize(
    "hostile", [{"stage/x": None}, {"count/x": "text"}, {"job": 5}, {"job": None}]
)
def test_items_that_make_no_sense_are_refused(hostile):
    """Another version's client, say: the page of all others goes on."""
    jobs = Jobs()
    jobs.tell("good", "c", {"job": {"state": "running"}, **count("done", 1)}, [])
    with pytest.raises(ValueError, match="no item"):
        jobs.tell("bad", "c", hostile, [])
    assert [r["id"] for r in jobs.overview()] == ["good"]
    assert jobs.totals()["encode", "cpu", "done"][0] == 1
