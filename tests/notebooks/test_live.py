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
    for _ in range(3):
        time.sleep(0.7)
        told.step("encode", "<script>alert(1)</script>.mp4")
"""

IN_THE_BACKGROUND = """
from montage_dask import Run
def work(told):
    told.stage("encode", 2, "segments")
    for _ in range(2):
        time.sleep(0.7)
        told.step("encode", "a.mp4")
Run(work, "later.mp4")
"""


@pytest.fixture(scope="module")
def kernel():
    manager, client = start_new_kernel(kernel_name="python3", startup_timeout=120)
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def shown(kernel, code, last):
    """The HTML that a cell displays, in order, until it holds this; and what came after the cell had ended."""
    asked = kernel.execute(code)
    found, later, ended = [], [], False
    while not any(last in html for html in (*found, *later)):
        try:
            message = kernel.get_iopub_msg(timeout=120)
        except Empty:
            raise AssertionError((found, later)) from None
        kind, content = message["msg_type"], message["content"]
        assert kind != "error", content
        if kind in ("display_data", "update_display_data") and "text/html" in content["data"]:
            (later if ended else found).append(content["data"]["text/html"])
        mine = message["parent_header"].get("msg_id") == asked
        ended = ended or (mine and content.get("execution_state") == "idle")
    return found, later


def test_it_moves_while_a_cell_waits(kernel):
    found, _ = shown(kernel, WAITED_FOR, "finished")
    counts = [n for n in range(4) if any(f"{n}/3 segments" in html for html in found)]
    assert len(counts) >= 2
    assert all("<script" not in html for html in found)
    assert found[0].index("Dashboard") < found[0].index("out.mp4")


def test_it_moves_after_the_cell_when_it_runs_in_the_background(kernel):
    _, later = shown(kernel, IN_THE_BACKGROUND, "finished")
    assert any("1/2 segments" in html for html in later)
    assert "later.mp4: finished" in later[-1]
