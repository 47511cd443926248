"""Texts of cgpu, made fit for messages and logs: no tokens, secrets, names or addresses of people."""

from __future__ import annotations

import re
from collections.abc import Iterable

IDENTITY = re.compile(r"^.*Authenticated as .*$\n?", re.MULTILINE)
"""The first line of every call names the person."""

TOKENS = re.compile(
    r"1//[\w-]+"  # refresh tokens
    r"|ya29\.[\w.-]+"  # access tokens
    r"|GOCSPX-[\w-]+"  # client secrets
    r"|[\w-]+\.apps\.googleusercontent\.com"
    r"|[\w.+-]+@[\w-]+(?:\.[\w-]+)+"  # mail addresses
    r"|(?<=Bearer )\S+"
    r"|(?<=[?&]token=)[^&\s]+"
    r'|(?<="token":")[^"]+'
    r'|(?<="access_token":")[^"]+'
    r'|(?<="refresh_token":")[^"]+'
)
OPAQUE = re.compile(r"(?=[A-Za-z_~+=-]*\d)[\w~+=-]{24,}(?:\.[\w~+=-]{8,})*", re.ASCII)
"""Long and with a digit in it: a token of a kind that is not known here, or an id that nobody misses."""

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


def scrub(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without what identifies or authorises anybody, and without terminal escapes.

    Args:
        text: what cgpu printed.
        secrets: further texts to leave out, such as `Account.secrets`.
    """
    clean = IDENTITY.sub("", ESCAPES.sub("", text))
    for secret in sorted(secrets, key=len, reverse=True):
        clean = clean.replace(secret, "…")
    return OPAQUE.sub("…", TOKENS.sub("…", clean))
