"""`serve`: the Responses API over a Gemini CLI, without Colab."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from calling import Cgpu

pytestmark = pytest.mark.cgpu

GEMINI = """#!/bin/sh
case "$5" in *fail*) echo went wrong >&2; exit 1;; *slow*) exec sleep 30;; esac
printf '{"response": "%s says: %s", "stats": {}}' "$4" "$5"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("serve")


@pytest.fixture(scope="module")
def address(cgpu_binary: Path, folder: Path) -> Iterator[str]:
    gemini = folder / "gemini"
    gemini.write_text(GEMINI)
    gemini.chmod(0o755)
    yield from serve(cgpu_binary, str(gemini))


def serve(binary: Path, gemini: str) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    cgpu = Cgpu(binary, os.environ)
    process = cgpu.start("serve", "-p", str(port), "--gemini-bin", gemini, "--timeout", "500")
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    assert line == (
        f"cgpu serve listening on http://127.0.0.1:{port} (default model: gemini-2.0-flash)"
    )
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    output, _ = process.communicate(timeout=20)
    assert "cgpu serve shutdown complete" in output


def ask(url: str, body: Any = None, kind: str = "application/json") -> tuple[int, dict[str, Any]]:
    data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": kind})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=20) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_health(address: str) -> None:
    assert ask(f"{address}/health") == (200, {"status": "ok"})


def test_a_response(address: str) -> None:
    body = {"model": "any-model", "input": "hello", "temperature": 0.5}
    status, reply = ask(f"{address}/v1/responses", body)
    assert status == 200
    assert reply["object"] == "response"
    assert (reply["model"], reply["temperature"]) == ("any-model", 0.5)
    assert reply["output"][0]["content"][0]["text"] == "any-model says: hello"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/"])
def test_there_is_nothing_else(address: str, path: str) -> None:
    status, reply = ask(f"{address}{path}", {})
    assert (status, reply["error"]["code"]) == (404, "not_found")
    assert reply["error"]["message"] == f"No route for POST {path}"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"input": "x", "stream": True}, 400, "streaming_not_supported"),
        ({"input": "x", "previous_response_id": "r"}, 400, None),
        ({"input": "x", "conversation": "c"}, 400, None),
        ({"input": "x", "include": ["y"]}, 400, None),
        (b"{", 400, None),
        ({"input": "x" * (600 << 10)}, 413, None),
        ({"input": "please fail"}, 502, None),
        ({"input": "slow"}, 502, None),
    ],
)
def test_refusals(address: str, body: Any, status: int, code: str | None) -> None:
    try:
        got, reply = ask(f"{address}/v1/responses", body)
    except (urllib.error.URLError, ConnectionError):
        assert status == 413  # it may hang up while a body that is too large is still being sent
        return
    assert got == status
    assert code is None or reply["error"]["code"] == code


def test_no_gemini(cgpu_binary: Path, folder: Path) -> None:
    server = serve(cgpu_binary, str(folder / "missing"))
    address = next(server)
    status, reply = ask(f"{address}/v1/responses", {"input": "x"})
    assert (status, reply["error"]["code"]) == (500, "gemini_cli_missing")
    assert next(server, None) is None


def test_the_list_of_models(cgpu_binary: Path) -> None:
    listed = subprocess.run(
        [cgpu_binary, "serve", "--list-models"], capture_output=True, text=True, timeout=20
    )
    assert listed.returncode == 0
    heading, *items = listed.stdout.strip().splitlines()
    assert not heading.lstrip().startswith("-")
    models = [item.strip().removeprefix("- ") for item in items if item.lstrip().startswith("- ")]
    assert len(models) == 5
    assert all(" " not in model for model in models)
    assert "gemini-2.0-flash" in models
