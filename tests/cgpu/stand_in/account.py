"""Signing in: the cached session, its refresh, and the login that waits for ever."""

from __future__ import annotations

import socket
import sys
import time
import uuid
from collections.abc import Mapping
from typing import Any, NoReturn
from urllib.parse import urlencode

from .failure import Failure, HttpFailure
from .settings import Session, Settings, load_session
from .web import Answer, Unreachable, parse_json, request, request_token

# Seconds before each repetition, as cgpu's HTTP library waits.
_AFTER_REFUSAL = (0.1, 0.5)
_AFTER_SERVER_ERROR = (0.1, 0.5, 1.5)


class Rejected(Failure):
    """The refresh token is not valid any more."""


class Account:
    """The signed-in account and what it may ask Colab.

    Access tokens are never kept: every call to Colab refreshes first.
    """

    def __init__(self, settings: Settings, session: Session) -> None:
        self._settings, self._session = settings, session
        self.name = session.label
        self.full_name = f"{session.label} <{session.mail}>"

    def access_token(self) -> str:
        """A new access token.

        Raises:
            Rejected: 400 or 401.
            Failure: the endpoint fails or cannot be reached, after repetitions.
        """
        form = {
            "refresh_token": self._session.refresh_token,
            "client_id": self._settings.client_id,
            "client_secret": self._settings.client_secret,
            "grant_type": "refresh_token",
        }
        answer = _patiently(form)
        if answer.status in (400, 401):
            raise Rejected(answer.body)
        if not answer.ok:
            raise Failure(answer.body)
        token: str = parse_json(answer.body, {"access_token": str})["access_token"]
        return token

    def ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        fields: Mapping[str, type] | None = None,
    ) -> dict[str, Any]:
        """One call of Colab's API.

        Raises:
            HttpFailure: the reply is not a 2xx.
            Failure: it is not the JSON that was expected.
        """
        url = f"{self._settings.api}/tun/m/{path}?{urlencode({'authuser': '0', **(query or {})})}"
        sent = {
            "Accept": "application/json",
            "Authorization": f"Bearer {self.access_token()}",
            "X-Colab-Client-Agent": "vscode",
            **(headers or {}),
        }
        answer = request(method, url, sent)
        if not answer.ok:
            raise HttpFailure(method, url, answer.status, answer.reason, answer.body)
        return parse_json(answer.body, fields)


def _patiently(form: Mapping[str, str]) -> Answer:
    tries = 0
    while True:
        try:
            answer = request_token(form)
        except Unreachable:
            if tries >= len(_AFTER_REFUSAL):
                raise
            time.sleep(_AFTER_REFUSAL[tries])
        else:
            if answer.status < 500 or tries >= len(_AFTER_SERVER_ERROR):
                return answer
            time.sleep(_AFTER_SERVER_ERROR[tries])
        tries += 1


def sign_in(settings: Settings, force: bool) -> Account:
    """The account of the cached session.

    A session whose refresh fails for any reason, a passing one too, is deleted; one that is rejected leads to the
    login, and so does a missing one. Nobody answers the login here: it waits for ever.

    Raises:
        Failure: session.json is corrupt, or the token endpoint fails.
    """
    session = None if force else load_session(settings.session_file)
    if session is None:
        print("No cached session found. Starting OAuth login...", flush=True)
        _log_in(settings)
    account = Account(settings, session)
    try:
        account.access_token()
    except Rejected:
        settings.session_file.unlink(missing_ok=True)
        print("Stored session invalid, forcing login.", file=sys.stderr, flush=True)
        _log_in(settings)
    except Failure:
        settings.session_file.unlink(missing_ok=True)
        raise
    return account


def _log_in(settings: Settings) -> NoReturn:
    with socket.create_server(("127.0.0.1", 0)) as callback:
        query = {
            "client_id": settings.client_id,
            "redirect_uri": f"http://127.0.0.1:{callback.getsockname()[1]}/callback",
            "response_type": "code",
            "access_type": "offline",
            "state": uuid.uuid4().hex,
        }
        print("Opened browser for Google login. If it did not open, visit:")
        print(f"https://accounts.google.com/o/oauth2/v2/auth?{urlencode(query)}", flush=True)
        while True:
            callback.accept()[0].close()
