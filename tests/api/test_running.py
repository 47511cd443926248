"""Work in the background: it can be waited for, awaited, looked at and called off; errors come to whoever asks."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from montage_dask import Cancelled, MediaError, UsageError
from montage_dask.api.running import Run, Runs, finished


def test_it_goes_on_while_others_do_other_things():
    go_on = threading.Event()

    def work(progress):
        progress.stage("strip", 2, "windows")
        progress.step("strip", "a.mp4", 1.0)
        assert go_on.wait(60)
        progress.note("half of it")
        return 7

    run = Run(work, "a.mp4")
    while not run.progress["done"]:
        time.sleep(0.01)
    now = run.progress
    assert (run.state, now["stage"], now["done"], now["total"], now["label"]) == ("running", "strip", 1, 2, "a.mp4")  # fmt: skip
    assert "running, strip 1/2" in repr(run)
    with pytest.raises(UsageError, match="wait"):
        _ = run.result
    with pytest.raises(TimeoutError):
        run.wait(0.01)
    go_on.set()
    assert run.wait(60) == run.result == 7
    assert (run.state, run.error, run.progress["notes"]) == ("finished", None, ["half of it"])


def test_an_error_comes_to_whoever_asks():
    def work(_):
        raise MediaError("a.mp4", "is damaged")

    run = Run(work, "a.mp4")
    with pytest.raises(MediaError):
        run.wait(60)
    assert (run.state, str(run.error)) == ("failed", "a.mp4: is damaged")
    with pytest.raises(MediaError):
        asyncio.run(run._awaited())


def test_the_event_loop_goes_on():
    async def main():
        go_on = threading.Event()
        run = Run(lambda _: go_on.wait(60), "x")
        ticks = 0
        waiting = asyncio.ensure_future(run._awaited())
        while ticks < 5:
            await asyncio.sleep(0)
            ticks += 1
        go_on.set()
        return await waiting, await run

    assert asyncio.run(main()) == (True, True)


def test_who_stops_waiting_does_not_stop_the_work_but_a_twin_does():
    async def main():
        go_on = threading.Event()
        run, own = (Run(lambda _: go_on.wait(60), name) for name in ("run", "own"))
        for waiting in (asyncio.ensure_future(run._awaited()), asyncio.ensure_future(finished(own))):  # fmt: skip
            await asyncio.sleep(0.01)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        states = (run._called_off.is_set(), own._called_off.is_set())
        go_on.set()
        return states, await run

    assert asyncio.run(main()) == ((False, True), True)


def test_many_a_few_at_a_time():
    most, now, lock = 0, 0, threading.Lock()

    def work(number):
        def one(_):
            nonlocal most, now
            with lock:
                now += 1
                most = max(most, now)
            time.sleep(0.02)
            with lock:
                now -= 1
            if number == 3:
                raise MediaError("3.mp4", "is damaged")
            return number

        return one

    runs = Runs([Run(work(n), f"{n}.mp4", start=False) for n in range(6)], at_once=2)
    ended = list(runs.as_finished())
    assert sorted(r.title for r in ended) == [f"{n}.mp4" for n in range(6)]
    assert most == 2
    assert runs.wait() == runs.results == [0, 1, 2, 4, 5]
    assert {k: str(e) for k, e in runs.errors.items()} == {"3.mp4": "3.mp4: is damaged"}
    assert runs.states == {"finished": 5, "failed": 1}


def test_what_waits_is_cancelled_before_it_begins():
    go_on = threading.Event()
    runs = Runs([Run(lambda _: go_on.wait(60), str(n), start=False) for n in range(3)], at_once=1)
    while runs[0].state != "running":
        time.sleep(0.01)
    assert runs[2].state == "waiting"
    runs[2].cancel()
    go_on.set()
    runs.wait()
    assert [r.state for r in runs] == ["finished", "finished", "cancelled"]
    with pytest.raises(Cancelled):
        runs[2].wait()
    with pytest.raises(UsageError, match="at least 1"):
        Runs([], at_once=0)
