"""Children die with what started them, and starting one disturbs nobody."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from montage_dask.children import dying_with_parent

BUSY = """
import subprocess, threading
import numpy as np
from montage_dask.children import dying_with_parent
left, right = np.ones((600, 300), np.float32), np.ones((300, 64), np.float32)
ended = threading.Event()
def multiply():
    while not ended.is_set():
        left @ right
threads = [threading.Thread(target=multiply) for _ in range(2)]
for one in threads: one.start()
for _ in range(100):
    subprocess.run(dying_with_parent(["true"]), check=True)
ended.set()
for one in threads: one.join()
"""


def test_threads_that_multiply_are_not_waited_for():
    """A fork waits for the threads of OpenBLAS, which for ever wait for each other: seen with `preexec_fn`."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "2"}
    subprocess.run([sys.executable, "-c", BUSY], env=environment, timeout=60, check=True)


def test_a_child_dies_with_what_started_it(tmp_path: Path):
    told = tmp_path / "child"
    parent = subprocess.Popen(
        [sys.executable, "-c",
         "import subprocess, sys, pathlib, time\n"
         "from montage_dask.children import dying_with_parent\n"
         "child = subprocess.Popen(dying_with_parent(['sleep', '300']))\n"
         f"pathlib.Path({str(told)!r}).write_text(str(child.pid))\n"
         "time.sleep(300)\n"],
    )  # fmt: skip
    deadline = time.monotonic() + 30
    while not (told.exists() and told.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    child = psutil.Process(int(told.read_text()))
    while child.name() != "sleep" and time.monotonic() < deadline:
        time.sleep(0.02)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    psutil.wait_procs([child], timeout=10)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_what_is_not_there_is_told_as_ever(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="nothing-of-this-name"):
        subprocess.run(dying_with_parent(["nothing-of-this-name"]), check=False)
    alone = {"PATH": str(tmp_path)}
    (tmp_path / "own").symlink_to("/bin/true")
    assert dying_with_parent(["own"], alone)[-1] == str(tmp_path / "own")
