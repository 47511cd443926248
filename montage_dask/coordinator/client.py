"""Speaks to a coordinator; imports nothing of it."""

from __future__ import annotations

import base64
import http.client
import ipaddress
import json
import os
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from montage_dask.errors import MontageError, UsageError, printable

TOKEN_VARIABLE = "COORDINATOR_TOKEN"
DEFAULT_URL = "http://127.0.0.1:8080"
ANSWER_SECONDS = 60.0
TRIES = 8
"""Of a request that may be sent again, over about a minute."""
PIECE_BYTES = 16 << 20
"""An upload goes in requests of so much, each of which is kept."""

AWAY = (OSError, http.client.HTTPException)
"""Nobody answers, or no more."""

T = TypeVar("T")


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


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


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
        self._parts = parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"{printable(self.url)}: a coordinator's address is http://host:port")
        self.is_here = is_loopback(parts.hostname)
        """Whether it is on this machine, and sees the same files."""
        token = token or os.environ.get(TOKEN_VARIABLE)
        if token is None and self.is_here:
            with suppress(OSError):
                token = ((folder or default_folder()) / "local.token").read_text().strip()
        self._own = {"Authorization": f"Bearer {token}"} if token else {}

    @contextmanager
    def _answer(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[http.client.HTTPResponse]:
        """The answer to one request, whose body is still to be read.

        Raises:
            CoordinatorError: it refuses.
            OSError, http.client.HTTPException: nobody answers.
        """
        where, secure = self._parts, self._parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        with closing(kind(where.hostname or "", where.port, timeout=ANSWER_SECONDS)) as line:
            line.request(method, where.path + path, body, {**self._own, **(headers or {})})
            answer = line.getresponse()
            if answer.status >= 400:
                words: Any = answer.read(1 << 16).decode("utf-8", "replace")
                with suppress(ValueError, KeyError, TypeError):
                    words = json.loads(words)["detail"]
                text = words if isinstance(words, str) else json.dumps(words)
                raise CoordinatorError(printable(text)[:500], answer.status)
            yield answer

    def call(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        """One request with JSON, sent again when nobody answers: all of the API's may be.

        Returns:
            What is answered; the headers where that is nothing.

        Raises:
            CoordinatorError: it refuses, or nobody answers.
        """
        data = None if body is None else json.dumps(body).encode()
        kind = {} if data is None else {"Content-Type": "application/json"}
        named = {**kind, **(headers or {})}
        return self._patiently(lambda: self._once(method, path, data, named))

    def _once(self, method: str, path: str, data: bytes | None, headers: Mapping[str, str]) -> Any:
        with self._answer(method, path, data, headers) as answer:
            text = answer.read()
            return json.loads(text) if text else {k.lower(): v for k, v in answer.headers.items()}

    def _patiently(self, work: Callable[[], T], *again: int) -> T:
        """What comes of some work; tried again when nobody answers, or with 503 or one of `again`."""
        failure: Exception | None = None
        for attempt in range(TRIES):
            if attempt > 3 and isinstance(failure, ConnectionRefusedError):
                break
            if attempt:
                time.sleep(min(0.1 * 2**attempt, 15))
            try:
                return work()
            except (*AWAY, ValueError) as error:
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
                path = f"/api/jobs/{quote(job_id, safe='')}/events"
                with self._answer("GET", path, headers={"Last-Event-ID": last}) as answer:
                    if answer.status == 204:
                        return
                    for fields in _fields(answer):
                        failed = 0
                        if fields["event"] == "end":
                            return
                        last = fields.get("id", last)
                        yield fields["event"], json.loads(fields["data"])
            except AWAY:
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
        pairs = {"filename": path.name, "folder": folder}
        coded = {k: base64.b64encode(v.encode("utf-8", "replace")) for k, v in pairs.items()}
        made = self.call("POST", "/api/uploads", None, {
            "Upload-Length": str(path.stat().st_size),
            "Upload-Metadata": ",".join(f"{k} {v.decode()}" for k, v in coded.items()),
        })  # fmt: skip
        place = "/api/uploads/" + made["location"].rpartition("/")[2]
        with path.open("rb") as file:

            def send() -> Any:
                there = self.call("HEAD", place)
                if "upload-path" in there:
                    return there  # only the answer was lost
                file.seek(int(there["upload-offset"]))
                headers = {
                    "Upload-Offset": there["upload-offset"],
                    "Content-Type": "application/offset+octet-stream",
                }
                return self._once("PATCH", place, file.read(PIECE_BYTES), headers)

            while "upload-path" not in made:
                made = self._patiently(send, 409, 423)
        return str(made["upload-path"])

    def download(self, job_id: str, path: str, target: Path) -> None:
        """Bring a file of a job here; it appears whole or not at all.

        Raises:
            CoordinatorError: there is none.
        """
        part = target.with_name(f".{target.name}.{uuid.uuid4().hex[:12]}.part")
        where = f"/api/jobs/{quote(job_id, safe='')}/files/{quote(path)}"
        try:
            with self._answer("GET", where) as answer, part.open("xb") as file:
                while block := answer.read(1 << 20):
                    file.write(block)
                if answer.length:  # http.client says nothing of what is missing
                    raise http.client.IncompleteRead(b"", answer.length)
            os.replace(part, target)
        except http.client.HTTPException as error:
            raise CoordinatorError(
                f"{printable(path)}: the line was cut: try again", 503
            ) from error
        finally:
            part.unlink(missing_ok=True)

    def text(self, path: str) -> str:
        """A file as text."""
        with self._answer("GET", path) as answer:
            return answer.read().decode("utf-8", "replace")


def _fields(lines: Iterable[bytes]) -> Iterator[dict[str, str]]:
    """The fields of server-sent events."""
    found: dict[str, str] = {}
    for data in lines:
        line = data.decode("utf-8").rstrip("\r\n")
        if not line:
            if "event" in found:
                yield found
            found = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(":")
            found[name] = value.removeprefix(" ")
