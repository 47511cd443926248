"""HTTP/1.1 over plain sockets, without time limits: a silent server hangs the call, as it hangs cgpu."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from .failure import Failure

TOKEN_HOST = "oauth2.googleapis.com"
TOKEN_URL = f"https://{TOKEN_HOST}/token"


class Answer(NamedTuple):
    """A reply, read completely."""

    status: int
    reason: str
    body: str

    @property
    def ok(self) -> bool:
        """A 2xx."""
        return 200 <= self.status < 300


class Unreachable(Failure):
    """No reply came."""


def connect(url: str, through: str = "") -> socket.socket:
    """A connection to a loopback or private address; nothing public exists in this stand-in's world.

    Args:
        url: what is asked for.
        through: a proxy's url.

    Raises:
        Unreachable: nobody listens there.
    """
    parts = urlsplit(through or url)
    host = parts.hostname or ""
    try:
        if not _near(host):
            raise Unreachable(
                f"request to {url} failed, reason: getaddrinfo ENOTFOUND {parts.hostname}"
            )
        return socket.create_connection((host, parts.port or 80))
    except ConnectionRefusedError:
        text = f"request to {url} failed, reason: connect ECONNREFUSED {host}:{parts.port}"
        raise Unreachable(text) from None


def _near(host: str) -> bool:
    if host.startswith("127."):
        return True
    import ipaddress  # 6 ms that calls to loopback need not spend

    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return False


def read_head(sock: socket.socket) -> tuple[int, str, dict[str, str], bytes]:
    """Status, reason and headers (lower case) of a reply, and what came after them."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(65536)
        if not piece:
            raise ConnectionResetError("socket hang up")
        data += piece
    head, _, rest = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    _, status, *reason = first.split(" ", 2)
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return int(status), "".join(reason), headers, rest


def exchange(
    sock: socket.socket, method: str, url: str, headers: Mapping[str, str], body: bytes
) -> Answer:
    """One request and its reply on an open connection."""
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    fields = {"Host": parts.netloc, "Connection": "close", **headers}
    if body or method != "GET":
        fields["Content-Length"] = str(len(body))
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    try:
        sock.sendall(f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode())
        sock.sendall(body)
        status, reason, replied, rest = read_head(sock)
        pieces, size = [rest], int(replied.get("content-length", "0")) - len(rest)
        while size > 0 and (piece := sock.recv(min(size, 1 << 20))):
            pieces.append(piece)
            size -= len(piece)
    except OSError as error:
        raise Unreachable(f"request to {url} failed, reason: {_code(error)}") from None
    return Answer(status, reason, b"".join(pieces).decode("utf-8", "replace"))


def _code(error: OSError) -> str:
    if isinstance(error, ConnectionResetError):
        return "read ECONNRESET"
    return str(error)


def request(
    method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes = b""
) -> Answer:
    """One plain HTTP request. Proxies in the environment are ignored."""
    with connect(url) as sock:
        return exchange(sock, method, url, headers or {}, body)


def request_token(form: Mapping[str, str]) -> Answer:
    """POST to the token endpoint: the one request that goes through HTTPS_PROXY, with TLS inside."""
    import ssl  # 15 ms that `serve` and usage errors need not spend

    proxy = _proxy()
    if not proxy:
        raise Unreachable(
            f"request to {TOKEN_URL} failed, reason: getaddrinfo ENOTFOUND {TOKEN_HOST}"
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if extra := os.environ.get("NODE_EXTRA_CA_CERTS"):
        context.load_verify_locations(extra)
    try:
        with connect(TOKEN_URL, proxy) as plain:
            plain.sendall(
                f"CONNECT {TOKEN_HOST}:443 HTTP/1.1\r\nHost: {TOKEN_HOST}\r\n\r\n".encode()
            )
            status, reason, _, _ = read_head(plain)
            if status != 200:
                raise Unreachable(f"request to {TOKEN_URL} failed, reason: {status} {reason}")
            with context.wrap_socket(plain, server_hostname=TOKEN_HOST) as secure:
                kind = {"Content-Type": "application/x-www-form-urlencoded"}
                return exchange(secure, "POST", TOKEN_URL, kind, urlencode(form).encode())
    except ssl.SSLCertVerificationError:
        text = f"request to {TOKEN_URL} failed, reason: unable to verify the first certificate"
        raise Unreachable(text) from None
    except OSError as error:
        raise Unreachable(f"request to {TOKEN_URL} failed, reason: {_code(error)}") from None


def _proxy() -> str:
    excluded = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
    names = [name.strip().lstrip("*.") for name in excluded.split(",") if name.strip()]
    if any(name == TOKEN_HOST or TOKEN_HOST.endswith(f".{name}") for name in names):
        return ""
    return os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy") or ""


def parse_json(text: str, fields: Mapping[str, type] | None = None) -> dict[str, Any]:
    """An object from a reply, checked for its fields ("a.b" is one in another).

    Raises:
        Failure: no JSON, or `check_fields` fails.
    """
    text = text.removeprefix(")]}'").lstrip("\n")
    try:
        value = json.loads(text)
    except ValueError:
        shown = text[:1] or "end of JSON input"
        raise Failure(f"Unexpected token '{shown}', \"{text[:20]}\" is not valid JSON") from None
    return check_fields(value, fields or {})


def check_fields(value: Any, fields: Mapping[str, type]) -> dict[str, Any]:
    """The value, when it is an object that has these fields.

    Raises:
        Failure: the list of issues as cgpu's validator prints it.
    """
    issues = []
    if not isinstance(value, dict):
        raise Failure(json.dumps([_issue([], dict, value)], indent=2))
    for name, kind in fields.items():
        at: Any = value
        for part in name.split("."):
            at = at.get(part) if isinstance(at, dict) else None
        if not isinstance(at, kind):
            issues.append(_issue(name.split("."), kind, at))
    if issues:
        raise Failure(json.dumps(issues, indent=2))
    return value


_NAMES = {dict: "object", list: "array", str: "string", int: "number", type(None): "undefined"}


def _issue(path: list[str], expected: type, got: object) -> dict[str, object]:
    received = _NAMES.get(type(got), type(got).__name__)
    text = f"Expected {_NAMES[expected]}, received {received}"
    message = "Required" if got is None else text
    return {
        "code": "invalid_type",
        "expected": _NAMES[expected],
        "received": received,
        "path": path,
        "message": message,
    }
