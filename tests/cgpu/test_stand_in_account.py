"""Credentials: what is missing or wrong, what deletes the session, what waits for ever."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from calling import Cgpu
from colab import Colab

pytestmark = pytest.mark.cgpu


@pytest.fixture
def session(cgpu: Cgpu, config_dir: Path) -> Path:
    return config_dir / "state" / "session.json"


def test_no_config(cgpu: Cgpu, config_dir: Path) -> None:
    (config_dir / "config.json").unlink()
    ended = cgpu("run", "true")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.splitlines()[:4] == [
        "Missing Colab OAuth credentials.",
        f"cgpu now stores credentials in a single config file at {config_dir / 'config.json'}.",
        "Re-run this command from an interactive terminal to launch the guided setup,",
        "or create the file manually with your OAuth client ID and secret.",
    ]


def test_a_config_that_lacks_something(cgpu: Cgpu, config_dir: Path) -> None:
    config = json.loads((config_dir / "config.json").read_text())
    del config["clientSecret"]
    (config_dir / "config.json").write_text(json.dumps(config))
    ended = cgpu("status")
    assert ended.returncode == 1
    assert "Validation errors: clientSecret: Required" in ended.stderr


def test_no_session_hangs_at_the_login(cgpu: Cgpu, session: Path) -> None:
    session.unlink()
    output, errors = cgpu.hangs("run", "true", after="https://")
    lines = output.splitlines()
    assert lines[0] == "No cached session found. Starting OAuth login..."
    assert lines[1] == "Opened browser for Google login. If it did not open, visit:"
    assert lines[2].startswith("https://accounts.google.com/")
    assert errors == ""


def test_force_login_hangs_in_spite_of_a_session(cgpu: Cgpu, session: Path) -> None:
    output, _ = cgpu.hangs("--force-login", "status", after="https://")
    assert "Opened browser" in output
    assert session.exists()


@pytest.mark.parametrize("status", [400, 401])
def test_a_revoked_session_is_deleted_and_hangs(
    cgpu: Cgpu, colab: Colab, session: Path, status: int
) -> None:
    colab.knobs.token_status = status
    output, errors = cgpu.hangs("status", after="https://")
    assert "Stored session invalid, forcing login." in errors
    assert "Opened browser for Google login." in output
    assert not session.exists()


def test_a_failing_token_endpoint_deletes_the_session(
    cgpu: Cgpu, colab: Colab, session: Path
) -> None:
    colab.knobs.set(token_status=503, token_body="backend error")
    ended = cgpu("status")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "backend error" in ended.stderr
    assert not session.exists()
    assert colab.count("POST", "/token") > 1  # it was patient


def test_a_short_failure_of_the_token_endpoint_is_not_seen(
    cgpu: Cgpu, colab: Colab, session: Path
) -> None:
    colab.knobs.for_next(1, token_status=500)
    assert cgpu("status").returncode == 0
    assert session.exists()


def test_an_unreachable_token_endpoint_deletes_the_session(
    cgpu_binary: Path, cgpu_environment: dict[str, str], config_dir: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = f"http://127.0.0.1:{server.getsockname()[1]}"
    cgpu_environment |= {"HTTPS_PROXY": closed, "https_proxy": closed}
    ended = Cgpu(cgpu_binary, cgpu_environment)("status")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "oauth2.googleapis.com/token failed, reason:" in ended.stderr
    assert "ECONNREFUSED" in ended.stderr
    assert not (config_dir / "state" / "session.json").exists()


def test_an_untrusted_token_endpoint_is_refused(
    cgpu_binary: Path, cgpu_environment: dict[str, str]
) -> None:
    del cgpu_environment["NODE_EXTRA_CA_CERTS"]
    ended = Cgpu(cgpu_binary, cgpu_environment)("status")
    assert ended.returncode == 1
    assert "oauth2.googleapis.com/token failed" in ended.stderr


@pytest.mark.parametrize("text", ["{}", "what?", '{"id": 1, "account": []}'])
def test_a_corrupt_session(cgpu: Cgpu, session: Path, text: str) -> None:
    session.write_text(text)
    ended = cgpu("status")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "Unexpected token" in ended.stderr or json.loads(ended.stderr)


def test_access_tokens_are_never_cached(cgpu: Cgpu, colab: Colab) -> None:
    cgpu.remote("true")
    assert colab.count("POST", "/token") == 5
    cgpu.remote("true")
    assert colab.count("POST", "/token") == 5 + 3


def test_debugging_adds_the_stack(cgpu_binary: Path, cgpu_environment: dict[str, str]) -> None:
    environment = cgpu_environment | {"CGPU_DEBUG": "1"}
    ended = Cgpu(cgpu_binary, environment)("run", "--cpu", "--tpu", "true")
    assert len(ended.stderr.splitlines()) > 1
