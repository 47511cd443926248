"""What a terminal sends to all processes of a job, only the job answers."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import os, signal
from montage_dask.cluster.connect import connect
from montage_dask.config import resolve

def deaf(pid):
    status = dict(line.split(":", 1) for line in open(f"/proc/{pid}/status") if ":" in line)
    return {s.name for s in (signal.SIGINT, signal.SIGHUP)
            if (int(status["SigBlk"], 16) | int(status["SigIgn"], 16)) >> (s - 1) & 1}

if __name__ == "__main__":
    with connect(resolve({"cluster": "local", "n-workers": 2})) as client:
        from multiprocessing import resource_tracker
        pids = [*client.run(os.getpid).values(), resource_tracker._resource_tracker._pid]
        print(sorted(map(sorted, map(deaf, pids))), sorted(deaf(os.getpid())))
"""


def test_workers_hear_neither_ctrl_c_nor_that_the_terminal_is_gone(tmp_path):
    """In a fresh process: the first start of a process opens the ears of the thread that does it."""
    script = tmp_path / "job.py"
    script.write_text(CODE)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120)
    assert done.stdout == f"{[['SIGHUP', 'SIGINT']] * 3} []\n", done.stderr
