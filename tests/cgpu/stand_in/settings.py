"""config.json and session.json: where they are, what must be in them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from .failure import Failure
from .web import parse_json

_REQUIRED = ("clientId", "clientSecret", "colabApiDomain", "colabGapiDomain")


class Settings(NamedTuple):
    """A valid config.json."""

    client_id: str
    client_secret: str
    api: str
    """Colab's address, without a final slash."""
    session_file: Path


def config_folder() -> Path:
    """CGPU_CONFIG_DIR, else below XDG_CONFIG_HOME or ~/.config."""
    if own := os.environ.get("CGPU_CONFIG_DIR"):
        return Path(own)
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path(os.environ.get("HOME", "/"), ".config")) / "cgpu"


def load_settings(config: str | None) -> Settings:
    """Read config.json.

    Args:
        config: the path of `-c`. The state stays in the config folder all the same.

    Raises:
        Failure: it is missing or wrong. (cgpu asks questions on a terminal instead; this one never does.)
    """
    folder = config_folder()
    path = Path(config) if config else folder / "config.json"
    try:
        values = json.loads(path.read_text())
    except FileNotFoundError:
        raise Failure(_guidance(path, "")) from None
    except (OSError, ValueError) as error:
        raise Failure(_guidance(path, str(error))) from None
    if not isinstance(values, dict):
        values = {}
    issues = [issue for name in _REQUIRED for issue in _issues(name, values)]
    if issues:
        raise Failure(_guidance(path, "; ".join(issues)))
    state = Path(values["storageDir"]) if values.get("storageDir") else folder / "state"
    api = values["colabApiDomain"].rstrip("/")
    session = state / "session.json"
    return Settings(values["clientId"], values["clientSecret"], api, session)


def _issues(name: str, values: Mapping[str, Any]) -> list[str]:
    value = values.get(name)
    if not value:
        return [f"{name}: Required"]
    if name.endswith("Domain") and not urlsplit(str(value)).netloc:
        return [f"{name}: Invalid url"]
    return []


def _guidance(path: Path, issues: str) -> str:
    lines = [
        "Missing Colab OAuth credentials.",
        f"cgpu now stores credentials in a single config file at {path}.",
        "Re-run this command from an interactive terminal to launch the guided setup,",
        "or create the file manually with your OAuth client ID and secret.",
    ]
    return "\n".join(lines + ([f"Validation errors: {issues}"] if issues else []))


class Session(NamedTuple):
    """A signed-in account."""

    refresh_token: str
    mail: str
    label: str


def load_session(path: Path) -> Session | None:
    """Read session.json; None when there is none.

    Raises:
        Failure: it is there and corrupt.
    """
    try:
        text = path.read_text()
    except FileNotFoundError:
        return None
    fields = {
        "id": str,
        "refreshToken": str,
        "scopes": list,
        "account.id": str,
        "account.label": str,
    }
    values = parse_json(text, fields)
    account = values["account"]
    return Session(values["refreshToken"], account["id"], account["label"])
