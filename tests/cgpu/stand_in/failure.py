"""How a call ends badly."""

from __future__ import annotations


class Failure(Exception):
    """Ends the call with exit code 1 and its text on stderr (none when it is empty)."""


class HttpFailure(Failure):
    """A reply of Colab's API that is not a 2xx."""

    def __init__(self, method: str, url: str, status: int, reason: str, body: str) -> None:
        super().__init__(f"Failed request {method} {url}: {reason}\nResponse body: {body}")
        self.status = status
