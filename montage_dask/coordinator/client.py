"""Speaks to a coordinator; imports nothing of it."""

from __future__ import annotations

import base64
import http.client
import ipaddress
import json
import os
import shutil
import ssl
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, urlsplit

from montage_dask.errors import MontageError, UsageError, printable

TOKEN_VARIABLE = "COORDINATOR_TOKEN"
DEFAULT_URL = "http://127.0.0.1:8080"
ANSWER_SECONDS = 60.0
TRIES = 8
"""Of a request that may be sent again, over about a minute."""
PIECE_BYTES = 64 << 20
"""An upload goes in requests of so much, each of which is kept."""


class CoordinatorError(MontageError):
    """The coordinator refuses; the message is its own."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message, status)
        self.status = status

    def __str__(self) -> str:
        return str(self.args[0])


def default_folder() -> Path:
    """Where the coordinator of this user keeps everything, unless told otherwise."""
    named = os.environ.get("XDG_DATA_HOME", "")
    base = Path(named) if os.path.isabs(named) else Path.home() / ".local/share"
    return base / "montage-dask" / "coordinator"


class Coordinator:
    """A coordinator behind an address.

    Args:
        url: http:// or https://; None: of this machine.
        token: None: COORDINATOR_TOKEN, or that of the user of this machine.
        folder: of the coordinator of this machine, where that token lies.
    """

    def __init__(
        self, url: str | None = None, token: str | None = None, folder: Path | None = None
    ) -> None:
        self.url = (url or DEFAULT_URL).rstrip("/")
        self._parts = urlsplit(self.url)
        if self._parts.scheme not in ("http", "https") or not self._parts.hostname:
            raise UsageError(f"{printable(self.url)}: a coordinator's address is http://host:port")
        self._token = token or os.environ.get(TOKEN_VARIABLE)
        if self._token is None and self.is_here:
            with suppress(OSError):
                self._token = ((folder or default_folder()) / "local.token").read_text().strip()

    @property
    def is_here(self) -> bool:
        """Whether it is on this machine, and sees the same files."""
        host = self._parts.hostname or ""
        with suppress(ValueError):
            return ipaddress.ip_address(host).is_loopback
        return host == "localhost"

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if self._parts.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(host, port, timeout=ANSWER_SECONDS, context=context)
        return http.client.HTTPConnection(host, port, timeout=ANSWER_SECONDS)

    def _send(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: bytes | Iterator[bytes] | None,
        headers: Mapping[str, str],
    ) -> http.client.HTTPResponse:
        own = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        connection.request(method, self._parts.path + path, body, {**own, **headers})
        answer = connection.getresponse()
        if answer.status >= 400:
            text = answer.read(1 << 16).decode("utf-8", "replace")
            with suppress(ValueError, KeyError, TypeError):
                text = json.loads(text)["detail"]
            words = text if isinstance(text, str) else json.dumps(text)
            raise CoordinatorError(printable(words)[:500], answer.status)
        return answer

    def call(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        """One request with JSON, sent again when nobody answers: all of the API's may be.

        Raises:
            CoordinatorError: it refuses, or nobody answers.
        """
        data = None if body is None else json.dumps(body).encode()
        kind = {} if data is None else {"Content-Type": "application/json"}

        def ask(connection: http.client.HTTPConnection) -> Any:
            answer = self._send(connection, method, path, data, {**kind, **(headers or {})})
            text = answer.read()
            return json.loads(text) if text else _lower(answer)

        return self._patiently(ask)

    def _patiently(self, work: Callable[[http.client.HTTPConnection], Any], *again: int) -> Any:
        """What is made of a connection; tried again when nobody answers, or with 503 or one of `again`."""
        failure: Exception | None = None
        for attempt in range(TRIES):
            if attempt > 3 and isinstance(failure, ConnectionRefusedError):
                break
            if attempt:
                time.sleep(min(0.1 * 2**attempt, 15))
            try:
                with closing(self._connect()) as connection:
                    return work(connection)
            except (OSError, http.client.HTTPException, ValueError) as error:
                failure = error
            except CoordinatorError as error:
                failure = error
                if error.status not in (503, *again):
                    raise
        if isinstance(failure, CoordinatorError):
            raise failure
        raise CoordinatorError(
            f"no coordinator answers at {printable(self.url)}: {failure}; `python -m montage_dask coordinator` starts one", 503
        ) from failure  # fmt: skip

    def submit(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Add a job, once, however often it has to be said.

        Raises:
            CoordinatorError: it is refused.
        """
        key = {"Idempotency-Key": uuid.uuid4().hex}
        return dict(self.call("POST", "/api/jobs", request, key))

    def events(self, job_id: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """What happens to a job until it has ended, each event once, whatever happens to the line."""
        last, failed = "0", 0
        while True:
            try:
                with closing(self._connect()) as connection:
                    path = f"/api/jobs/{quote(job_id, safe='')}/events"
                    answer = self._send(connection, "GET", path, None, {"Last-Event-ID": last})
                    if answer.status == 204:
                        return
                    for fields in _fields(answer):
                        failed = 0
                        if fields.get("event") == "end":
                            return
                        last = fields.get("id", last)
                        yield fields["event"], json.loads(fields["data"])
            except (OSError, http.client.HTTPException):
                failed += 1
            except CoordinatorError as error:
                if error.status != 503:
                    raise
                failed += 1
            if failed > 2 * TRIES:
                raise CoordinatorError(
                    f"no coordinator answers at {printable(self.url)}; the job goes on without us",
                    503,
                )
            time.sleep(min(0.2 * 2**failed, 15))

    def upload(self, path: Path, folder: str) -> str:
        """Send a file, from where it stood when the line was cut; what it is called there.

        Raises:
            CoordinatorError: it is refused.
            OSError: it cannot be read.
        """
        size = path.stat().st_size
        pairs = {"filename": path.name, "folder": folder}
        told = ",".join(
            f"{k} {base64.b64encode(v.encode('utf-8', 'replace')).decode()}"
            for k, v in pairs.items()
        )
        made = self.call("POST", "/api/uploads", None, {"Upload-Length": str(size), "Upload-Metadata": told})  # fmt: skip
        place = "/api/uploads/" + made["location"].rpartition("/")[2]
        with path.open("rb") as file:

            def send(connection: http.client.HTTPConnection) -> Any:
                there = self.call("HEAD", place)
                if "upload-path" in there:
                    return there  # only the answer was lost
                offset = int(there["upload-offset"])
                file.seek(offset)
                headers = {
                    "Upload-Offset": str(offset),
                    "Content-Length": str(min(PIECE_BYTES, size - offset)),
                    "Content-Type": "application/offset+octet-stream",
                }
                piece = _blocks(file, min(PIECE_BYTES, size - offset))
                return _lower(self._send(connection, "PATCH", place, piece, headers))

            while "upload-path" not in made:
                made = self._patiently(send, 409, 423)
        return str(made["upload-path"])

    def download(self, job_id: str, path: str, target: Path) -> None:
        """Bring a file of a job here; it appears whole or not at all.

        Raises:
            CoordinatorError: there is none.
        """
        part = target.with_name(f".{target.name}.{uuid.uuid4().hex[:12]}.part")
        try:
            with closing(self._connect()) as connection, part.open("xb") as file:
                where = f"/api/jobs/{quote(job_id, safe='')}/files/{quote(path)}"
                answer = self._send(connection, "GET", where, None, {})
                wanted = answer.length
                shutil.copyfileobj(answer, file, 1 << 20)
                if wanted is not None and file.tell() != wanted:
                    raise CoordinatorError(f"{printable(path)}: the line was cut: try again", 503)
            os.replace(part, target)
        finally:
            part.unlink(missing_ok=True)

    def text(self, path: str) -> str:
        """A file as text."""
        with closing(self._connect()) as connection:
            return self._send(connection, "GET", path, None, {}).read().decode("utf-8", "replace")


def _blocks(file: IO[bytes], length: int) -> Iterator[bytes]:
    """So many bytes of a file, from where it stands."""
    while length > 0 and (block := file.read(min(length, 1 << 20))):
        length -= len(block)
        yield block


def _lower(answer: http.client.HTTPResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.headers.items()}


def _fields(answer: http.client.HTTPResponse) -> Iterator[dict[str, str]]:
    """The fields of server-sent events."""
    found: dict[str, str] = {}
    for line in answer:
        text = line.decode("utf-8").rstrip("\r\n")
        if not text:
            if "event" in found:
                yield found
            found = {}
        elif not text.startswith(":"):
            name, _, value = text.partition(":")
            found[name] = value.removeprefix(" ")


def request_of(
    footage: Sequence[str], music: str | None, options: Mapping[str, Any], more: Mapping[str, Any]
) -> dict[str, Any]:
    """The request of a job from what a command line says."""
    timeline = options.get("from-timeline")
    rest = {k: v for k, v in options.items() if k != "from-timeline"}
    named = {"music": music, "from-timeline": timeline, **more}
    return {"footage": list(footage), "options": rest, **{k: v for k, v in named.items() if v is not None}}  # fmt: skip
