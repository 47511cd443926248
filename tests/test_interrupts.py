"""Ctrl-C at any moment: also within what Python says is ignored."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest

from montage_dask import cli


class _Interrupted:
    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.02)


@pytest.fixture
def listening(monkeypatch):
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)
    before = {n: signal.getsignal(n) for n in numbers}
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    monkeypatch.setattr(cli, "_stopping", False)
    cli.listen()
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number, handler in before.items():
        signal.signal(number, handler)


def test_an_interrupt_within_a_destructor_is_not_lost(listening, capfd):
    def work() -> None:
        _Interrupted()
        time.sleep(5)

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        work()
    assert time.monotonic() - began < 4
    assert capfd.readouterr().err.strip() == "stopping; once more to quit at once"
