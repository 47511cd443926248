"""Who may use the coordinator: users, each with a folder of its own, and their tokens.

All of it is one small file, which the commands change under a lock and the coordinator reads again when it changed. Of a token
only its hash is kept. The session of a browser is a token, too, that ends after a week, with the one it was begun by, or earlier.
"""

from __future__ import annotations

import copy
import hashlib
import hmac
import json
import os
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from montage_dask.errors import StoreError, UsageError, printable
from montage_dask.received import read_bytes
from montage_dask.store import write_json
from montage_dask.store.locks import Lock

NAME, LOCK = "accounts.json", "accounts.lock"
LOCAL = "local"
"""The user of this machine, who needs no account made."""
LOCAL_TOKEN = "local.token"
"""Its token, for the commands on this machine: whoever can read the folder is that user."""
USER = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
ACCOUNT_BYTES = 16 << 20
SESSION_SECONDS = 7 * 86_400
MOST_SESSIONS = 20
"""Of one token: the oldest end."""


@dataclass(frozen=True, slots=True)
class Account:
    """A user."""

    name: str
    root: Path
    """Uploads, jobs and artefacts; nobody else's lie there."""
    reads: tuple[Path, ...] = ()
    """Further folders that its jobs may read."""
    admin: bool = False
    """May drain clusters."""

    @property
    def uploads(self) -> Path:
        """What it has uploaded."""
        return self.root / "uploads"

    @property
    def store(self) -> Path:
        """The artefacts of all its jobs, and of nobody else's: what others made must not show in what is made quickly."""
        return self.root / "store"

    def job_folder(self, job_id: str) -> Path:
        """Of a job: its job file, its montage, its run folder, its log."""
        return self.root / "jobs" / job_id

    @property
    def roots(self) -> tuple[Path, ...]:
        """All that its jobs may name, without links."""
        return tuple(Path(os.path.realpath(p)) for p in (self.root, *self.reads))


class Accounts:
    """The accounts of one folder.

    Args:
        folder: of the coordinator.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._seen: object = None
        self._content: dict[str, Any] = {}

    def _read(self) -> dict[str, Any]:
        path = self.folder / NAME
        try:
            found = path.stat()
            seen = (found.st_mtime_ns, found.st_size, found.st_ino)
            if seen != self._seen:
                self._content = json.loads(read_bytes(path, ACCOUNT_BYTES))
                self._seen = seen
        except FileNotFoundError:
            self._content, self._seen = {"users": {}, "tokens": {}}, None
        except (OSError, ValueError) as error:
            raise StoreError(f"{printable(str(path))}: cannot be read: {error}") from error
        return self._content

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Any]]:
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with Lock(self.folder / LOCK, exclusive=True):
                self._seen = None
                content = copy.deepcopy(self._read())  # others read while we change it
                yield content
                now = time.time()
                content["tokens"] = {k: t for k, t in content["tokens"].items() if _lives(t, now)}
                write_json(self.folder / NAME, content, durable=True)
                (self.folder / NAME).chmod(0o600)
                self._seen = None
        except OSError as error:
            raise StoreError(
                f"cannot write {printable(str(self.folder))}: {error.strerror}"
            ) from error

    def account(self, name: str) -> Account | None:
        """A user."""
        found = self._read()["users"].get(name)
        if found is None:
            return None
        reads = tuple(Path(p) for p in found["reads"])
        return Account(name, Path(found["root"]), reads, found["admin"])

    def users(self) -> list[Account]:
        """All of them."""
        return [a for name in sorted(self._read()["users"]) if (a := self.account(name))]

    def add(
        self,
        name: str,
        root: Path | None = None,
        reads: Sequence[Path] = (),
        *,
        admin: bool = False,
    ) -> tuple[str, str]:
        """A new token of a user, who is made when there is none of that name.

        Returns:
            The token's id, by which it can be revoked, and the token, which is said only here.

        Raises:
            UsageError: no name of a user, or a root that is another one's.
        """
        if not USER.fullmatch(name):
            raise UsageError(
                f"{printable(name)}: a user's name has small letters, digits and hyphens, at most 40"
            )
        with self._changing() as content:
            known = content["users"].get(name, {})
            own = Path(os.path.realpath(root or known.get("root", self.folder / "users" / name)))
            for other, theirs in content["users"].items():
                that = Path(theirs["root"])
                if other != name and (own.is_relative_to(that) or that.is_relative_to(own)):
                    raise UsageError(f"--root {printable(str(own))}: is the folder of {other}")
            content["users"][name] = {
                "root": str(own),
                "reads": [os.path.realpath(p) for p in reads] or known.get("reads", []),
                "admin": admin or known.get("admin", False),
            }
            own.mkdir(parents=True, exist_ok=True, mode=0o700)
            return _new_token(content, name)

    def revoke(self, token_id: str) -> None:
        """A token is worth nothing any more, nor what was logged in with it.

        Raises:
            UsageError: there is no such token.
        """
        with self._changing() as content:
            if content["tokens"].pop(token_id, None) is None:
                raise UsageError(f"{printable(token_id)}: no such token; `token list` names them")
            for session in [k for k, t in content["tokens"].items() if t.get("of") == token_id]:
                del content["tokens"][session]

    def tokens(self) -> list[dict[str, Any]]:
        """All tokens, without what would let anybody in, and without sessions."""
        found = self._read()["tokens"].items()
        return [
            {"id": i, "user": t["user"], "made_at": t["made_at"]} for i, t in found if "of" not in t
        ]

    def local_token(self, reads: Sequence[Path]) -> str:
        """The token of the user of this machine; made when there is none."""
        path = self.folder / LOCAL_TOKEN
        with suppress(FileNotFoundError):
            token = path.read_text(encoding="ascii").strip()
            if self.holder(token) is not None:
                if reads:  # the token stays: others go on with it after a restart
                    with self._changing() as content:
                        folders = [os.path.realpath(p) for p in reads]
                        content["users"][LOCAL]["reads"] = folders
                return token
        for old in [t["id"] for t in self.tokens() if t["user"] == LOCAL]:
            self.revoke(old)
        _, token = self.add(LOCAL, reads=reads or (Path.home(), Path.cwd()), admin=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with open(handle, "w", encoding="ascii") as file:
            file.write(token + "\n")
        return token

    def holder(self, token: str) -> tuple[str, Account] | None:
        """Whose token or session it is, and its id; None: nobody's."""
        hashed = _hash(token)
        for token_id, known in self._read()["tokens"].items():
            if hmac.compare_digest(known["hash"], hashed) and _lives(known, time.time()):
                account = self.account(known["user"])
                return None if account is None else (token_id, account)
        return None

    def begin_session(self, token_id: str) -> str | None:
        """What a browser's cookie holds; None: only a token that lives begins one, and no other session."""
        with self._changing() as content:
            tokens = content["tokens"]
            known = tokens.get(token_id)
            if known is None or "of" in known:
                return None
            own = [k for k, t in tokens.items() if t.get("of") == token_id]
            for old in own[: max(0, len(own) - MOST_SESSIONS + 1)]:
                del tokens[old]
            until = time.time() + SESSION_SECONDS
            return _new_token(content, known["user"], of=token_id, until=until)[1]

    def end_session(self, session: str) -> None:
        """It opens nothing any more; a token stays as it is."""
        found = self.holder(session)
        if found is not None and "of" in self._read()["tokens"][found[0]]:
            self.revoke(found[0])


def _new_token(content: dict[str, Any], user: str, **more: Any) -> tuple[str, str]:
    token, token_id = secrets.token_urlsafe(32), secrets.token_hex(4)
    made_at = round(time.time())
    content["tokens"][token_id] = {"user": user, "hash": _hash(token), "made_at": made_at, **more}
    return token_id, token


def _lives(token: dict[str, Any], now: float) -> bool:
    return float(token.get("until", now)) >= now


def _hash(token: str) -> str:
    # Tokens are 256 random bits: there is nothing to guess, and so nothing to slow down.
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
