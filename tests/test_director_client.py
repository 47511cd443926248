"""Questions over real HTTP on loopback, by the real client."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
import tracemalloc
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from model_server import CHAT, RESPONSES, model_server, response_of

from montage_dask.director_client import KEY_VARIABLE, Server, ask, server_url
from montage_dask.errors import DirectorUnavailable

SCHEMA = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}


def server(state, *, model="m1", api="auto", seconds=30.0):
    return Server(server_url(state.url), model, api, seconds)


def asked(state, **options):
    return ask(server(state, **options), "be brief", "what now?", SCHEMA)


def test_responses_api():
    with model_server("the answer") as state:
        assert asked(state) == "the answer"
    ((path, body, headers),) = state.asked
    assert path == RESPONSES
    assert body["instructions"] == "be brief"
    assert body["input"] == "what now?"
    assert body["model"] == "m1"
    assert body["temperature"] == 0
    assert not body.get("stream")
    assert body["text"]["format"]["schema"] == SCHEMA
    # cgpu serve refuses these.
    assert not {"conversation", "previous_response_id", "include"} & set(body)
    assert headers["content-type"] == "application/json"


def test_chat_api():
    with model_server("the answer") as state:
        assert asked(state, api="chat") == "the answer"
    ((path, body, _),) = state.asked
    assert path == CHAT
    assert [m["role"] for m in body["messages"]] == ["system", "user"]
    assert body["temperature"] == 0
    assert body["response_format"]["json_schema"]["schema"] == SCHEMA


def test_auto_takes_the_api_that_the_server_has():
    with model_server("a", routes=(CHAT,)) as state:
        assert asked(state) == "a"
        assert [path for path, _, _ in state.asked] == [CHAT]
    with model_server("b", routes=(RESPONSES,)) as state:
        assert asked(state) == "b"
        with pytest.raises(DirectorUnavailable, match="404"):
            asked(state, api="chat")
    with (
        model_server("b", routes=(CHAT,)) as state,
        pytest.raises(DirectorUnavailable, match="404"),
    ):
        asked(state, api="responses")


@pytest.mark.parametrize("api", ["responses", "chat"])
def test_servers_that_know_no_schema_or_temperature(api):
    for refuses, tries in (
        (("text", "response_format"), 2),
        (("temperature",), 3),
        (("max_output_tokens", "max_completion_tokens"), 3),
    ):
        with model_server("fine", refuses=refuses) as state:
            assert asked(state, api=api) == "fine"
            assert len(state.asked) == tries


def test_the_model_of_a_server_that_has_one():
    with model_server("x", models=("only/one",)) as state:
        asked(state, model=None)
        assert state.asked[0][1]["model"] == "only/one"
    with model_server("x") as state:  # cgpu serve has no such route, and a default of its own
        asked(state, model=None)
        assert "model" not in state.asked[0][1]
    with (
        model_server("x", models=("a", "b")) as state,
        pytest.raises(DirectorUnavailable, match=r"2 models \(a, b .*director-model"),
    ):
        asked(state, model=None)


@pytest.mark.parametrize(
    ("api", "status"), [("responses", 401), ("responses", 502), ("chat", 429), ("chat", 500)]
)
def test_failures_are_one_line_with_the_status_and_without_the_key(api, status, monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, "sk-very-secret")
    with model_server(status) as state, pytest.raises(DirectorUnavailable) as failure:
        asked(state, api=api)
    assert str(status) in str(failure.value)
    assert "sk-very-secret" not in str(failure.value)
    assert "\n" not in str(failure.value)
    assert state.asked[0][2]["authorization"] == "Bearer sk-very-secret"
    assert len(state.asked) <= 2  # one more try where it may help


@pytest.mark.parametrize("api", ["responses", "chat"])
@pytest.mark.parametrize("behaviour", ["hang", "drip"])
def test_no_question_takes_longer_than_its_time(api, behaviour):
    with model_server(behaviour) as state:
        started = time.monotonic()
        with pytest.raises(DirectorUnavailable, match=r"did not answer within 1 s"):
            asked(state, api=api, seconds=1.0)
        assert time.monotonic() - started < 2.5


def test_a_server_that_is_not_there():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    nobody = Server(f"http://127.0.0.1:{port}/v1", "m", "auto", 5)
    with pytest.raises(DirectorUnavailable, match=f"http://127.0.0.1:{port} cannot be reached"):
        ask(nobody, "i", "q", SCHEMA)


@pytest.mark.parametrize("api", ["responses", "chat"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>hello</html>",
        b"[]",
        b"null",
        b"{}",
        b'{"choices": 3, "output": "no"}',
        json.dumps(response_of(CHAT, "")).encode(),
        json.dumps(response_of(RESPONSES, "  ")).encode(),
        b"\xff\xfe{",
    ],
)
def test_bodies_that_are_no_answer(api, body):
    with model_server(body) as state, pytest.raises(DirectorUnavailable):
        asked(state, api=api)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/v1"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080/v1"),
        ("https://api.openai.com/v1", "https://api.openai.com/v1"),
        ("https://x.org/proxy/v2/", "https://x.org/proxy/v2"),
        ("http://[::1]:99", "http://[::1]:99/v1"),
    ],
)
def test_base_urls(text, url):
    assert server_url(text) == url


@pytest.mark.parametrize(
    "text",
    [
        "localhost:8080", "file:///etc/passwd", "ftp://x", "http://", "", "http://a:b@x/", "http://me@x", "http://x:99999",
        "http://x/?key=1", "http://x/#a", "javascript:alert(1)", "http://x/\nv1",
    ],
)  # fmt: skip
def test_what_is_no_base_url(text):
    with pytest.raises(ValueError, match="must"):
        server_url(text)


@contextmanager
def raw_server(respond):
    """A server whose handler writes what it likes; its URL, and the paths and keys that it was asked with."""
    asked_for = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked_for.append((self.path, self.headers.get("Authorization")))
            with suppress(OSError):
                respond(self)

        do_GET = do_POST

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{made.server_address[1]}", asked_for
        made.shutdown()


def endless(handler):
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.end_headers()
    for _ in range(3000):
        handler.wfile.write(b" " * 100_000)


@pytest.mark.parametrize("api", ["responses", "chat", "auto"])
def test_an_answer_without_end_is_not_read_to_its_end(api):
    tracemalloc.start()
    try:
        with raw_server(endless) as (url, _), pytest.raises(DirectorUnavailable) as caught:
            ask(Server(server_url(url), "m", api, 60.0), "be brief", "what now?", SCHEMA)
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()
    assert "sent more than 1,000,000 bytes" in str(caught.value)


def test_the_list_of_models_is_not_read_to_its_end():
    with raw_server(endless) as (url, _), pytest.raises(DirectorUnavailable, match="sent more than"):  # fmt: skip
        ask(Server(server_url(url), None, "auto", 60.0), "be brief", "what now?", SCHEMA)


def test_a_packed_answer_is_not_unfolded():
    def packed(handler):
        assert handler.headers["Accept-Encoding"] == "identity"
        body = gzip.compress(b" " * 50_000_000)
        handler.send_response(200)
        handler.send_header("Content-Encoding", "gzip")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    with raw_server(packed) as (url, _), pytest.raises(DirectorUnavailable, match="packed answer"):
        ask(Server(server_url(url), "m", "chat", 60.0), "be brief", "what now?", SCHEMA)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(monkeypatch, status):
    """The key and the file names are for the server that the user named."""
    monkeypatch.setenv(KEY_VARIABLE, "sk-secret")
    with raw_server(endless) as (elsewhere, asked_elsewhere):

        def redirect(handler):
            handler.send_response(status)
            handler.send_header("Location", elsewhere + handler.path)
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        with raw_server(redirect) as (url, _), pytest.raises(DirectorUnavailable, match=str(status)):  # fmt: skip
            ask(Server(server_url(url), "m", "chat", 20.0), "be brief", "what now?", SCHEMA)
    assert asked_elsewhere == []
