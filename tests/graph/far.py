"""Another machine, as near as it gets: a process that runs `op` in a folder of its own and sees nothing but bundles."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from pathlib import Path

from montage_dask.errors import RemoteError


class NearLine:
    """A line whose other end is a process on this machine.

    Args:
        folder: the other machine's disk.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sent: list[int] = []
        """Bytes of each bundle."""
        self.failures: list[Exception] = []
        """Raised by the next exchanges, in order."""
        self.damage: list[int] = []
        """In the next answers, the byte at this share (in percent) is flipped."""
        self.hold = threading.Event()
        self.hold.set()
        self.closed = False
        self.learnt: list[tuple[int, float]] = []
        folder.mkdir()

    def exchange(self, bundle: Path, answer: Path) -> None:
        self.hold.wait()
        self.sent.append(bundle.stat().st_size)
        if self.failures:
            raise self.failures.pop(0)
        arrived, made = self.folder / "arrived.tar", self.folder / "made.tar"
        shutil.copyfile(bundle, arrived)
        done = subprocess.run(
            [sys.executable, "-m", "montage_dask", "op", str(arrived), "--answer", str(made),
             "--store", str(self.folder / "disk"), "--device", "cpu"],
            capture_output=True, text=True, cwd=self.folder,
        )  # fmt: skip
        if done.returncode:
            raise RemoteError(done.stderr.strip(), retryable=False)
        shutil.move(made, answer)
        if self.damage:
            data = bytearray(answer.read_bytes())
            data[len(data) * self.damage.pop(0) // 100] ^= 0xFF
            answer.write_bytes(data)

    def learn(self, moved_bytes: int, seconds: float) -> None:
        self.learnt.append((moved_bytes, seconds))

    def close(self) -> None:
        self.closed = True
