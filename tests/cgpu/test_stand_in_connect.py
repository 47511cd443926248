"""`connect`: a shell on pipes, and keep-alives."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from calling import Cgpu
from colab import Colab

pytestmark = pytest.mark.cgpu

only_stand_in = pytest.mark.skipif(
    "CGPU_BIN" in os.environ,
    reason="the real one waits for a minute between keep-alives; what one interrupt does to it was not seen",
)


def wait_until_connected(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    lines: list[str] = []
    while not lines or "Connected!" not in lines[-1]:
        line = process.stdout.readline()
        assert line, lines
        lines.append(line.rstrip("\n"))
    return lines


@pytest.mark.parametrize("options", [(), ("--startup-command", "true")])
def test_it_outlives_its_stdin(cgpu: Cgpu, colab: Colab, options: tuple[str, ...]) -> None:
    process = cgpu.start("connect", *options, stdin=subprocess.PIPE)
    try:
        assert wait_until_connected(process) == [
            "Authenticated as Me <me@example.com>",
            "Opening terminal session 1 on Colab GPU T4...",
            "Connected! Use Ctrl+C twice to exit.",
        ]
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(2)
    finally:
        _, errors = cgpu.kill(process)
    assert errors == ""


@pytest.mark.parametrize("options", [(), ("--startup-command", "touch zero")])
def test_keys_reach_the_shell(cgpu: Cgpu, colab: Colab, options: tuple[str, ...]) -> None:
    """Whether it ends with the shell is not asked: with a startup command it does not."""
    process = cgpu.start("connect", *options, stdin=subprocess.PIPE)
    try:
        wait_until_connected(process)
        assert process.stdin is not None
        process.stdin.write("touch one\ntouch two\n")
        process.stdin.flush()
        wanted = {"one", "two"} | ({"zero"} if options else set())
        deadline = time.monotonic() + 20
        while not wanted <= {path.name for path in colab.root().iterdir()}:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        cgpu.kill(process)


@only_stand_in
def test_it_keeps_the_runtime_alive(
    cgpu_binary: Path, cgpu_environment: dict[str, str], colab: Colab
) -> None:
    cgpu = Cgpu(cgpu_binary, cgpu_environment | {"STAND_IN_KEEP_ALIVE_SECONDS": "0.2"})
    process = cgpu.start("connect", stdin=subprocess.PIPE)
    wait_until_connected(process)
    deadline = time.monotonic() + 20
    while len(colab.runtimes[0].kept_alive) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    cgpu.kill(process)


@only_stand_in
def test_an_idle_runtime_is_lost_and_a_kept_one_is_not(
    cgpu_binary: Path, cgpu_environment: dict[str, str], colab: Colab
) -> None:
    cgpu = Cgpu(cgpu_binary, cgpu_environment | {"STAND_IN_KEEP_ALIVE_SECONDS": "0.2"})
    process = cgpu.start("connect", stdin=subprocess.PIPE)
    wait_until_connected(process)
    colab.knobs.idle_seconds = 1.5
    time.sleep(2)
    kept = colab.runtimes[0]
    assert not kept.lost
    cgpu.kill(process)
    deadline = time.monotonic() + 20
    while not kept.lost:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert cgpu("run", "true").returncode == 0
    assert colab.runtimes[0] is not kept


def test_run_sends_no_keep_alive(cgpu: Cgpu, colab: Colab) -> None:
    cgpu.remote("sleep 1")
    assert colab.runtimes[0].kept_alive == []


def test_interrupts_end_it(cgpu: Cgpu) -> None:
    process = cgpu.start("connect", stdin=subprocess.PIPE)
    wait_until_connected(process)
    # Two within a second; on a busy machine it may see two later than that, or as one.
    deadline = time.monotonic() + 20
    while process.poll() is None:
        assert time.monotonic() < deadline
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
    assert process.returncode == -signal.SIGINT
    process.communicate()


@only_stand_in
def test_one_interrupt_does_not(cgpu: Cgpu) -> None:
    process = cgpu.start("connect", stdin=subprocess.PIPE)
    wait_until_connected(process)
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1.5)
    cgpu.kill(process)
