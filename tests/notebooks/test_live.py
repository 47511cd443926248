"""What takes time shows in a notebook that it moves: while a cell waits for it, and after the cell, in the background."""

from __future__ import annotations

from queue import Empty

import pytest
from jupyter_client.manager import start_new_kernel

WAITED_FOR = """
import time
from montage_dask.notebook.live import Live
with Live("out.mp4", lambda: "http://127.0.0.1:8787/montage") as told:
    told.stage("encode", 3, "segments")
    for n in range(3):
        told.step("encode", "<script>alert(1)</script>.mp4")
        while f"{n + 1}/3 segments" not in told._view._shown:
            time.sleep(0.01)
"""

INTERRUPTED = """
from montage_dask.notebook.live import Live
try:
    with Live("out.mp4", lambda: None) as told:
        told.stage("encode", 3, "segments")
        raise KeyboardInterrupt
except KeyboardInterrupt:
    pass
"""

IN_THE_BACKGROUND = """
import threading
from montage_dask import Run
go_on = threading.Event()
def work(told):
    told.stage("encode", 2, "segments")
    told.step("encode", "a.mp4")
    go_on.wait(60)
    told.step("encode", "a.mp4")
run = Run(work, "later.mp4")
run
"""


@pytest.fixture(scope="module")
def kernel():
    manager, client = start_new_kernel(kernel_name="python3", startup_timeout=120)
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def shown(kernel, code, last):
    """The HTML that is displayed after code was sent, in order, until it holds this."""
    kernel.execute(code)
    found = []
    while not any(last in html for html in found):
        try:
            message = kernel.get_iopub_msg(timeout=120)
        except Empty:
            raise AssertionError(found) from None
        content = message["content"]
        assert message["msg_type"] != "error", content
        if "text/html" in content.get("data", {}):
            found.append(content["data"]["text/html"])
    return found


def test_an_interrupted_cell_did_not_fail(kernel):
    assert "failed" not in shown(kernel, INTERRUPTED, ">interrupted<")[-1]


def test_it_moves_while_a_cell_waits(kernel):
    found = shown(kernel, WAITED_FOR, "finished")
    for n in (1, 2, 3):
        assert any(f"{n}/3 segments" in html for html in found)
    assert all("<script" not in html for html in found)
    assert found[0].index("Dashboard") < found[0].index("out.mp4")


def test_it_moves_after_the_cell_when_it_runs_in_the_background(kernel):
    found = shown(kernel, IN_THE_BACKGROUND, "1/2 segments")
    assert "running" in found[-1]
    # The cell has ended, or this one would not begin.
    found = shown(kernel, "go_on.set()", "finished")
    assert "later.mp4: finished" in found[-1]
