"""What cgpu's failures mean: its texts, one by one, as errors that say what to do.

cgpu 0.1.4 exits with 1 for everything, also for a failed remote command. Only calls without an end marker come here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from montage_dask.cgpu.accounts import LOGIN
from montage_dask.cgpu.process import Ended
from montage_dask.cgpu.scrub import scrub
from montage_dask.errors import (
    AuthenticationRequired,
    ConnectionLost,
    NoCapacity,
    QuotaExceeded,
    RemoteError,
    RuntimeLost,
    Timeout,
    printable,
)

LOGIN_PROMPTS = (b"No cached session found", b"Opened browser for Google login")
"""cgpu waits for ever behind these."""

REVOKED = "Stored session invalid"
"""On stderr: Google refused the session, so deleting it was right."""

COLAB = "https://colab.research.google.com"

Maker = Callable[[str], RemoteError]


def _always(kind: type[RemoteError], message: str, retryable: bool | None = None) -> Maker:
    return lambda _: kind(message, retryable)


def _quoting(kind: type[RemoteError], message: str, retryable: bool | None = None) -> Maker:
    return lambda line: kind(f"{message}: {line}", retryable)


MEANINGS: tuple[tuple[str, Maker], ...] = (
    (
        r"Missing Colab OAuth credentials",
        _always(AuthenticationRequired, f"cgpu is not set up: {LOGIN}"),
    ),
    (REVOKED, _always(AuthenticationRequired, f"Google refuses the stored login: {LOGIN}")),
    (
        r"Insufficient quota",
        _always(
            QuotaExceeded,
            "the account's Colab quota is used up: wait (it refills within a day), or subscribe",
        ),
    ),
    (r"has been blocked", _always(QuotaExceeded, f"Colab has blocked this account: see {COLAB}")),
    (
        r"Disconnect other runtimes|refused to attach a brand-new",
        _always(
            QuotaExceeded, f"the account has too many Colab runtimes: disconnect some at {COLAB}"
        ),
    ),
    (
        r"No eligible \w+ accelerators",
        _always(
            QuotaExceeded,
            "Colab offers this account no accelerator now: wait (the free quota refills), or subscribe",
        ),
    ),
    (
        r"temporarily out of \w+ capacity",
        _always(
            NoCapacity, "Colab has no accelerator free at the moment: try again in some minutes"
        ),
    ),
    (
        r"Too Many Requests",
        _always(NoCapacity, "Colab takes no more requests for now: try again in some minutes"),
    ),
    (
        r"Failed to create remote terminal",
        _quoting(RuntimeLost, "the runtime is gone; it is set up again at the next try"),
    ),
    (
        r"Upload failed \(413",
        _quoting(
            RemoteError,
            "Colab takes no upload of this size: lower cgpu-chunk-megabytes",
            retryable=False,
        ),
    ),
    (
        r"Upload failed \(500.*(No such file|Errno 2)",
        _always(
            RuntimeLost,
            "the runtime has lost its folder: it was replaced; it is set up again at the next try",
        ),
    ),
    (
        r"Upload failed \((404|502|503|504)",
        _quoting(RuntimeLost, "the runtime does not take the upload"),
    ),
    (r"Upload failed", _quoting(RemoteError, "the upload failed")),
    (
        r"ENOSPC|No space left",
        _quoting(RemoteError, "a disk is full: free some space", retryable=False),
    ),
    (
        r"oauth2\.googleapis\.com|accounts\.google\.com",
        _quoting(
            RemoteError, "Google's login server does not answer: check the network and try again"
        ),
    ),
    (
        r"without reporting an exit code|Unexpected server response|socket hang up|ECONNRESET",
        _always(
            ConnectionLost,
            "the line to the runtime was cut: it is tried again when the job is asked for again",
        ),
    ),
    (
        r": (Unauthorized|Forbidden)\b",
        _quoting(AuthenticationRequired, f"Colab refuses the login ({LOGIN})"),
    ),
    (r"^Failed request", _quoting(RemoteError, "Colab refused a request: try again later")),
    (
        r"ECONNREFUSED|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|failed, reason",
        _quoting(RemoteError, "Colab cannot be reached: check the network and try again"),
    ),
    (
        r"^error: |Choose either --cpu or --tpu",
        _quoting(RemoteError, "this cgpu does not take our options (0.1.4 does)", retryable=False),
    ),
    (
        r'^\[\s*$|^\[\s*\{|"code": "invalid_|Unexpected token',
        _always(
            RemoteError,
            "cgpu does not understand Colab's answer: look for a newer cgpu",
            retryable=False,
        ),
    ),
)
"""Patterns of stderr, the first that fits counts, and what they mean."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What is known of a call that did not come to its end."""

    what: str
    """The call in a few words."""
    ended: Ended
    """The process."""
    timeout_seconds: float
    """Its limit."""
    stall_seconds: float | None = None
    """Its limit between outputs."""
    begun: bool = False
    """The script had begun."""
    refused: str | None = None
    """`full` or `changed`, see `FrameReader`."""
    silent_is_capacity: bool = True
    """cgpu ends without a word when there is no machine to have."""


def failure(circumstances: Circumstances, secrets: Iterable[str] = ()) -> RemoteError:
    """The error that a call without an end means."""
    c, ended = circumstances, circumstances.ended
    errors = scrub(ended.errors, secrets).strip()
    if ended.killed_for == "login":
        revoked = REVOKED in errors
        why = "Google refuses the stored login" if revoked else "cgpu asks for a login"
        return AuthenticationRequired(f"{why}: {LOGIN}")
    if ended.killed_for == "time":
        return Timeout(f"{c.what}: no answer within {c.timeout_seconds:.0f} s")
    if ended.killed_for == "stall":
        return ConnectionLost(f"{c.what}: no sign of life for {c.stall_seconds or 0:.0f} s")
    if c.refused == "full":
        return RemoteError(
            "the runtime's disk is full: free some space there, or `cgpu stop`", retryable=False
        )
    if c.refused == "changed":
        return RemoteError("the uploaded script arrived changed: try again")
    for pattern, maker in MEANINGS:
        found = re.search(pattern, errors, re.MULTILINE)
        if found:
            return maker(_line_at(errors, found.start()))
    if ended.code is not None and ended.code < 0:
        return RemoteError(f"{c.what}: cgpu was killed by signal {-ended.code}")
    if not errors and ended.code == 1 and not c.begun and c.silent_is_capacity:
        return NoCapacity(
            "Colab gave no machine and no reason, most likely for lack of capacity: try again in some minutes"
        )
    told = _line_at(errors, 0) if errors else "it said nothing"
    return RemoteError(f"{c.what}: cgpu failed (code {ended.code}): {told}")


def _line_at(text: str, position: int) -> str:
    start = text.rfind("\n", 0, position) + 1
    return printable(text[start:].split("\n", 1)[0].strip())[:200]
