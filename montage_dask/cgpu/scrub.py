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
    return TOKENS.sub("…", clean)
