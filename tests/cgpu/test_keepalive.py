"""The side-car keeps the runtime alive, one per account, comes again when it dies, and ends with its owner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from driving import within

from montage_dask.cgpu import keepalive
from montage_dask.cgpu.keepalive import KeepAlive

pytestmark = pytest.mark.cgpu


@pytest.fixture
def car(runner, monkeypatch):
    monkeypatch.setattr(keepalive, "FIRST_PAUSE_SECONDS", 0.1)
    monkeypatch.setattr(keepalive, "PLACE_SECONDS", 0.1)
    environment = runner.environment() | {"STAND_IN_KEEP_ALIVE_SECONDS": "0.3"}
    return lambda: KeepAlive(runner.account, environment, delay_seconds=0)


def until(condition, seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert condition()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_it_keeps_alive_and_comes_again(runner, colab, car):
    runner.allocate()
    machine = colab.runtimes[0]
    with car() as kept:
        until(kept.connected.is_set)
        first = kept.pid
        until(lambda: len(machine.kept_alive) >= 2 or os.environ.get("CGPU_BIN") is not None)
        os.kill(first, signal.SIGKILL)
        until(lambda: kept.starts == 2 and kept.connected.is_set())
        second = kept.pid
        assert second != first
        # Calls go on beside it.
        assert runner.call("echo hi", 20).output == "hi\n"
        with within(5):
            assert alive(second)
    until(lambda: not alive(second), 5)
    assert len(colab.runtimes) == 1


def test_one_per_account(runner, colab, car):
    runner.allocate()
    with car() as first:
        until(first.connected.is_set)
        with car() as second:
            time.sleep(1)
            assert second.starts == 0
            first.__exit__(None, None, None)
            until(second.connected.is_set)


def test_it_ends_with_its_owner(runner, colab):
    """The owner is killed: neither pipe nor lock outlives it."""
    runner.allocate()
    program = f"""
import os, time
from pathlib import Path
from montage_dask.cgpu.accounts import Account
from montage_dask.cgpu.keepalive import KeepAlive
with KeepAlive(Account(Path({str(runner.account.binary)!r}), Path({str(runner.account.config_dir)!r})), os.environ,
               delay_seconds=0) as k:
    k.connected.wait(20)
    print(k.pid, flush=True)
    time.sleep(60)
"""
    environment = runner.environment() | {"PYTHONPATH": str(Path(keepalive.__file__).parents[2])}
    owner = subprocess.Popen(
        [sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    assert alive(pid)
    owner.kill()
    owner.wait()
    owner.stdout.close()
    until(lambda: not alive(pid), 5)


def test_a_refused_login_ends_it_and_a_bad_moment_does_not(runner, config_dir, colab, car):
    runner.allocate()
    session = config_dir / "state" / "session.json"
    colab.knobs.set(token_status=503, token_body="busy")
    with car() as kept:
        until(lambda: kept.starts == 2)
        colab.knobs.reset()
        until(kept.connected.is_set)
    assert session.exists()
    colab.knobs.set(token_status=400, token_body='{"error":"invalid_grant"}')
    with car() as kept:
        until(lambda: kept._thread is not None and not kept._thread.is_alive())
        assert kept.starts == 1
    assert not session.exists()


def test_what_is_short_needs_none(runtime, runner, colab):
    with runtime.keep_alive():
        assert runtime.run("echo hi", 20).output == "hi\n"
    assert colab.count("GET", "/tun/m/keep") == 0
