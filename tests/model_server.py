"""A small server on loopback with OpenAI's APIs, and with what such servers do wrong."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

RESPONSES, CHAT, MODELS = "/v1/responses", "/v1/chat/completions", "/v1/models"


@dataclass
class ModelServer:
    """What it answers, in turn (the last answer again and again), and what it was asked."""

    answers: list[Any]
    """A text (the model's answer), a function that makes one of the catalogue,
    a number (an HTTP status), "hang", "drip", or bytes (the raw body)."""
    routes: tuple[str, ...] = (RESPONSES, CHAT)
    models: tuple[str, ...] | None = None
    """None: there is no such route."""
    refuses: tuple[str, ...] = ()
    """Parameters that it answers 400 to."""
    asked: list[tuple[str, dict[str, Any], dict[str, str]]] = field(default_factory=list)
    """Path, body and headers (names in lower case) of every question."""
    url: str = ""
    stop: threading.Event = field(default_factory=threading.Event)

    def text_of(self, number: int) -> str:
        """What question `number` said, instructions left out."""
        body = self.asked[number][1]
        return body["input"] if "input" in body else body["messages"][-1]["content"]

    def catalogue_of(self, number: int) -> dict[str, Any]:
        """The catalogue in question `number`."""
        return json.JSONDecoder().raw_decode(self.text_of(number))[0]["catalogue"]


def response_of(path: str, text: str) -> dict[str, Any]:
    """The body of a finished answer, in the form of its API."""
    if path == CHAT:
        message = {"role": "assistant", "content": text}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        return {
            "id": "c1",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": choices,
        }
    content = [{"type": "output_text", "text": text, "annotations": []}]
    message = {
        "type": "message",
        "id": "m1",
        "role": "assistant",
        "status": "completed",
        "content": content,
    }
    return {
        "id": "r1", "object": "response", "created_at": 1, "status": "completed", "model": "m", "output": [message],
        "parallel_tool_calls": False, "tool_choice": "auto", "tools": [],
    }  # fmt: skip


@contextmanager
def model_server(*answers: Any, **more: Any) -> Iterator[ModelServer]:
    """A running server; its `url` has no path."""
    state = ModelServer(list(answers), **more)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def reply(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def refuse(self, status: int, message: str) -> None:
            self.reply(status, json.dumps({"error": {"code": "e", "message": message}}).encode())

        def do_GET(self) -> None:
            if self.path != MODELS or state.models is None:
                return self.refuse(404, f"No route for GET {self.path}")
            data = [
                {"id": m, "object": "model", "created": 1, "owned_by": "x"} for m in state.models
            ]
            return self.reply(200, json.dumps({"object": "list", "data": data}).encode())

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path not in state.routes:
                return self.refuse(404, f"No route for POST {self.path}")
            state.asked.append((self.path, body, {k.lower(): v for k, v in self.headers.items()}))
            for name in state.refuses:
                if name in body:
                    return self.refuse(400, f"unknown parameter {name}")
            answer = state.answers.pop(0) if len(state.answers) > 1 else state.answers[0]
            if callable(answer):
                answer = answer(state.catalogue_of(-1))
            if answer == "hang":
                state.stop.wait(30)
                return None
            if answer == "drip":
                return self.drip()
            if isinstance(answer, int):
                key = self.headers.get("Authorization", "")
                return self.refuse(answer, f"it broke for {key}")
            if isinstance(answer, bytes):
                return self.reply(200, answer)
            return self.reply(200, json.dumps(response_of(self.path, answer)).encode())

        def drip(self) -> None:
            """A byte now and then: no single read ever waits long."""
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", "100000")
            self.end_headers()
            while not state.stop.is_set():
                try:
                    self.wfile.write(b" ")
                    self.wfile.flush()
                except OSError:
                    return
                time.sleep(0.05)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
    )
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield state
    finally:
        state.stop.set()
        server.shutdown()
        server.server_close()
        thread.join()
