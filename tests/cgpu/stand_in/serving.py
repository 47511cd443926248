"""`serve`: the Responses API in front of a Gemini CLI. It has nothing to do with Colab."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import FrameType
from typing import Any

MODELS = (
    "gemini-2.0-flash",
    "gemini-2.0-flash-lite",
    "gemini-1.5-pro",
    "gemini-1.5-flash",
    "gemini-1.5-flash-8b",
)
_BODY_LIMIT = 512 << 10
_REFUSED = ("conversation", "previous_response_id", "include")


class Refusal(Exception):
    """A reply that is an error."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


def serve(options: Mapping[str, str]) -> int:
    """Serve until SIGTERM or SIGINT."""
    if "list-models" in options:
        print("\n".join(("Gemini models:", *(f"  - {model}" for model in MODELS))))
        return 0
    model = options.get("default-model", MODELS[0])
    host, port = options.get("host", "127.0.0.1"), int(options.get("port", "8080"))

    class Handler(_Handler):
        gemini = options.get("gemini-bin", "gemini")
        default_model = model
        timeout_seconds = int(options.get("timeout", "120000")) / 1000
        workspace = options.get("workspace-dir")

    try:
        server = ThreadingHTTPServer((host, port), Handler)
    except OSError as error:
        print(f"listen EADDRINUSE: {error.strerror} {host}:{port}", file=sys.stderr)
        return 1

    def stop(number: int, frame: FrameType | None) -> None:
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    address = f"http://{host}:{server.server_address[1]}"
    print(f"cgpu serve listening on {address} (default model: {model})", flush=True)
    server.serve_forever(poll_interval=0.05)
    server.server_close()
    print("cgpu serve shutdown complete", flush=True)
    return 0


class _Handler(BaseHTTPRequestHandler):
    gemini: str
    default_model: str
    timeout_seconds: float
    workspace: str | None
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        try:
            path = self.path.partition("?")[0]
            if (self.command, path) == ("GET", "/health"):
                self._reply(200, {"status": "ok"})
            elif (self.command, path) == ("POST", "/v1/responses"):
                self._reply(200, self._respond(self._body()))
            else:
                raise Refusal(404, "not_found", f"No route for {self.command} {path}")
        except Refusal as refusal:
            kind = "server_error" if refusal.status >= 500 else "invalid_request_error"
            error = {"code": refusal.code, "message": str(refusal), "type": kind, "param": None}
            self._reply(refusal.status, {"error": error})

    def _reply(self, status: int, value: Mapping[str, Any]) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Access-Control-Allow-Origin", "*")
        self.end_headers()
        self.wfile.write(data)

    def _body(self) -> dict[str, Any]:
        size = int(self.headers.get("Content-Length", "0"))
        if size > _BODY_LIMIT:
            self.close_connection = True
            raise Refusal(413, "payload_too_large", "Request body is larger than 512 KiB")
        data = self.rfile.read(size)
        if "application/json" not in self.headers.get("Content-Type", ""):
            raise Refusal(415, "unsupported_media_type", "Content-Type must be application/json")
        try:
            body = json.loads(data)
        except ValueError:
            raise Refusal(400, "invalid_json", "Request body is not valid JSON") from None
        if not isinstance(body, dict):
            raise Refusal(400, "invalid_request", "Request body must be an object")
        return body

    def _respond(self, body: dict[str, Any]) -> dict[str, Any]:
        if body.get("stream"):
            raise Refusal(400, "streaming_not_supported", "Streaming responses are not supported")
        for name in _REFUSED:
            if body.get(name):
                raise Refusal(400, f"{name}_not_supported", f"{name} is not supported")
        model = body.get("model") or self.default_model
        text, stats = self._ask_gemini(model, _prompt(body))
        content = {"type": "output_text", "text": text, "annotations": []}
        output = {
            "type": "message",
            "id": f"msg_{uuid.uuid4().hex}",
            "status": "completed",
            "role": "assistant",
            "content": [content],
        }
        return {
            "id": f"resp_{uuid.uuid4().hex}",
            "object": "response",
            "created_at": int(time.time()),
            "status": "completed",
            "model": model,
            "output": [output],
            "output_text": text,
            "error": None,
            "temperature": body.get("temperature"),
            "metadata": {"stats": stats},
        }

    def _ask_gemini(self, model: str, prompt: str) -> tuple[str, Any]:
        command = [self.gemini, "--output-format", "json", "--model", model, prompt]
        with tempfile.TemporaryDirectory(dir=self.workspace) as folder:
            try:
                ended = subprocess.run(
                    command, cwd=folder, capture_output=True, timeout=self.timeout_seconds
                )
            except FileNotFoundError:
                text = f"Gemini CLI not found: {os.path.basename(self.gemini)}"
                raise Refusal(500, "gemini_cli_missing", text) from None
            except subprocess.TimeoutExpired:
                raise Refusal(502, "gemini_cli_timeout", "Gemini CLI timed out") from None
            except OSError as error:
                raise Refusal(502, "gemini_cli_failed", str(error)) from None
        if ended.returncode:
            last = ended.stderr.decode("utf-8", "replace")[-2000:]
            text = f"Gemini CLI exited with code {ended.returncode}: {last}"
            raise Refusal(502, "gemini_cli_failed", text)
        try:
            reply = json.loads(ended.stdout)
            return str(reply["response"]), reply.get("stats")
        except (ValueError, KeyError, TypeError):
            raise Refusal(502, "gemini_cli_failed", "Gemini CLI printed no JSON") from None


def _prompt(body: Mapping[str, Any]) -> str:
    parts = [str(body["instructions"])] if body.get("instructions") else []
    given = body.get("input", "")
    if isinstance(given, str):
        parts.append(given)
    elif isinstance(given, list):
        for item in given:
            content = item.get("content", "") if isinstance(item, dict) else item
            if isinstance(content, list):
                content = "\n".join(str(piece.get("text", "")) for piece in content)
            parts.append(str(content))
    prompt = "\n\n".join(part for part in parts if part.strip())
    if not prompt:
        raise Refusal(400, "invalid_request", "input must not be empty")
    return prompt
