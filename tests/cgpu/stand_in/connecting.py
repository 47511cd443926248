"""`connect`: a terminal for a human, and the only verb that keeps a runtime alive."""

from __future__ import annotations

import codecs
import contextlib
import os
import signal
import threading
import time
from types import FrameType

from .account import Account
from .failure import Failure
from .running import open_terminal, write
from .runtimes import Runtime, keep_alive
from .websocket import Websocket

KEEP_ALIVE_SECONDS = float(os.environ.get("STAND_IN_KEEP_ALIVE_SECONDS", "60"))
"""The one thing that differs from cgpu: tests cannot wait for a minute."""
_TWICE_SECONDS = 1.0


def connect(account: Account, runtime: Runtime, startup_command: str | None) -> int:
    """Carry stdin to a remote shell and its output to stdout, until the shell ends or the second interrupt within a second.

    The end of stdin is not an end. With a startup command not even the shell's is.
    """
    name, websocket = open_terminal(runtime)
    print(f"Opening terminal session {name} on Colab {runtime.name}...", flush=True)
    interrupted = [float("-inf")]

    def on_interrupt(number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if now - interrupted[0] < _TWICE_SECONDS:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
        interrupted[0] = now
        with contextlib.suppress(OSError):
            websocket.send_json(["stdin", "\x03"])

    signal.signal(signal.SIGINT, on_interrupt)
    print("Connected! Use Ctrl+C twice to exit.", flush=True)
    threading.Thread(target=_keep_alive, args=(account, runtime), daemon=True).start()
    if startup_command:
        websocket.send_json(["stdin", f"{startup_command}\n"])
    threading.Thread(target=_type, args=(websocket,), daemon=True).start()
    for frame in websocket.frames():
        if frame[0] == "stdout":
            write(frame[1])
        elif frame[0] == "disconnect":
            print("Remote runtime disconnected.", flush=True)
            break
    websocket.close()
    print("Terminal session closed.", flush=True)
    while startup_command:
        signal.pause()
    return 0


def _keep_alive(account: Account, runtime: Runtime) -> None:
    while True:
        time.sleep(KEEP_ALIVE_SECONDS)
        with contextlib.suppress(Failure):
            keep_alive(account, runtime)


def _type(websocket: Websocket) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    with contextlib.suppress(OSError):
        while data := os.read(0, 65536):
            websocket.send_json(["stdin", decoder.decode(data)])
