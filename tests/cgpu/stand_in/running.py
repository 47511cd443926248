"""`run`: a command typed into a new remote shell."""

from __future__ import annotations

import os
import sys
import uuid
from urllib.parse import urlsplit

from .failure import Failure
from .lines import SENTINEL, Lines
from .runtimes import Runtime
from .web import parse_json, request
from .websocket import Websocket

NO_CODE = "Command finished without reporting an exit code; assuming failure (exit code 1)."


def open_terminal(runtime: Runtime) -> tuple[str, Websocket]:
    """A new terminal: its name and the websocket to it."""
    kind = {"Content-Type": "application/json"}
    answer = request("POST", f"{runtime.url}api/terminals", runtime.headers | kind, b"{}")
    if not answer.ok:
        raise Failure(f"Failed to create remote terminal: {answer.reason}")
    name = parse_json(answer.body, {"name": str})["name"]
    parts = urlsplit(runtime.url)
    headers = runtime.headers | {"Origin": f"{parts.scheme}://{parts.netloc}"}
    url = f"{runtime.url}terminals/websocket/{name}?authuser=0"
    return name, Websocket(url, headers)


def typed(command: str, token: str) -> str:
    """The keys for the shell: the command, then a line that prints its status."""
    return (
        f"stty -echo\nPS1=\n{command}\n__COLAB_CLI_STATUS=$?\nstty echo\n"
        f"printf '{SENTINEL}{token}:%s\\n' \"$__COLAB_CLI_STATUS\"\nexit\n"
    )


def write(text: str) -> None:
    """To stdout at once."""
    data = text.encode("utf-8", "replace")
    while data:
        data = data[os.write(1, data) :]


def run(runtime: Runtime, command: str, verbose: bool) -> int:
    """Type the command, print its output as it comes, return its status (1 when it is not known).

    Args:
        runtime: where.
        command: a shell's text; several lines work.
        verbose: print the terminal's output as it is.
    """
    _, websocket = open_terminal(runtime)
    token = str(uuid.uuid4())
    lines = Lines(token)
    websocket.send_json(["stdin", typed(command, token)])
    for frame in websocket.frames():
        if frame[0] == "disconnect":
            break
        if frame[0] != "stdout":
            continue
        cleaned = lines.feed(frame[1])
        write(frame[1] if verbose else cleaned)
        if lines.code is not None:
            break
    if not verbose:
        write(lines.rest())
    websocket.close()
    if lines.code is None:
        print(NO_CODE, file=sys.stderr)
        return 1
    return lines.code
