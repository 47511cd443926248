"""Which cgpu, with whose credentials: found and checked without starting anything."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from montage_dask.errors import AuthenticationRequired, RemoteError, printable

if TYPE_CHECKING:
    from montage_dask.config import Setting

INSTALL = "npm install -g cgpu"
LOGIN = "run `cgpu connect` once in a terminal and log in"

CONFIG_KEYS = ("clientId", "clientSecret", "colabApiDomain", "colabGapiDomain")
SESSION_KEYS = ("id", "refreshToken", "scopes", "account")


@dataclass(frozen=True, slots=True)
class Account:
    """One Google account as cgpu knows it. Safe to pickle; holds no secret."""

    binary: Path
    """The cgpu executable, absolute."""
    config_dir: Path
    """The folder with config.json."""

    @property
    def config_path(self) -> Path:
        """cgpu's config.json."""
        return self.config_dir / "config.json"

    def state_dir(self) -> Path:
        """The folder with session.json."""
        stored = _read_object(self.config_path).get("storageDir")
        return Path(stored) if isinstance(stored, str) and stored else self.config_dir / "state"

    @property
    def session_path(self) -> Path:
        """cgpu's session.json."""
        return self.state_dir() / "session.json"

    def lack(self) -> str | None:
        """Why a call would end at a login that nobody can answer, in one line; None: it would not."""
        where = printable(str(self.config_dir))
        config = _read_object(self.config_path)
        missing = [key for key in CONFIG_KEYS if not isinstance(config.get(key), str)]
        if missing:
            return f"cgpu is not set up ({where}/config.json lacks {missing[0]}): {LOGIN}"
        session = _read_object(self.session_path)
        if not session and not self.session_path.exists():
            return f"cgpu is not logged in ({where}): {LOGIN}"
        if any(key not in session for key in SESSION_KEYS):
            return f"cgpu's stored session is damaged ({where}): run `cgpu logout`, then {LOGIN}"
        return None

    def check(self) -> None:
        """Raise unless a call has a chance.

        Raises:
            AuthenticationRequired: a person must set cgpu up or log in.
        """
        lack = self.lack()
        if lack:
            raise AuthenticationRequired(lack)

    def secrets(self) -> list[str]:
        """Texts that no log or message may carry."""
        config, session = _read_object(self.config_path), _read_object(self.session_path)
        account = session.get("account")
        person = account if isinstance(account, dict) else {}
        found = [config.get("clientId"), config.get("clientSecret"), session.get("refreshToken")]
        found += [person.get("id"), person.get("label")]
        return [text for text in found if isinstance(text, str) and len(text) > 2]


def find_binary(chosen: str | None = None) -> Path:
    """The cgpu executable: the setting, else `CGPU_BIN`, else cgpu on PATH.

    Raises:
        RemoteError: there is none.
    """
    name = chosen or os.environ.get("CGPU_BIN") or "cgpu"
    found = shutil.which(os.path.expanduser(name))
    if found is None:
        what = "no cgpu on PATH" if name == "cgpu" else f"{printable(name)} is no executable"
        raise RemoteError(f"{what}: {INSTALL}, or set cgpu-binary", retryable=False)
    return Path(found).absolute()


def find_config_dir(chosen: str | None = None) -> Path:
    """The folder of cgpu's config.json: the setting, else where cgpu itself looks."""
    given = chosen or os.environ.get("CGPU_CONFIG_DIR")
    if given:
        return Path(given).expanduser().absolute()
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "cgpu"


def find_account(settings: Mapping[str, Setting] | None = None) -> Account:
    """The account that the settings (or cgpu's own environment) name.

    Raises:
        RemoteError: there is no cgpu.
    """
    binary = settings["cgpu-binary"].value if settings else None
    folder = settings["cgpu-config-dir"].value if settings else None
    return Account(find_binary(binary), find_config_dir(folder))


def _read_object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
