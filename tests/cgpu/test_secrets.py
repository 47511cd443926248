"""No token, secret or mail address comes into a message, a log, or a file of ours."""

from __future__ import annotations

import logging
import os
import traceback
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from montage_dask.cgpu.scrub import scrub
from montage_dask.cli import cli
from montage_dask.errors import MontageError

TOKEN = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", min_size=8)


@given(token=TOKEN, words=st.text(max_size=20))
def test_scrub(token, words):
    for secret in (f"1//{token}", f"ya29.{token}", f"GOCSPX-{token}", f"x{token}@example.com"):
        assert secret not in scrub(f"{words} {secret}\n{words}")
        assert token not in scrub(f"- {secret} -")
    assert token not in scrub(f'{{"access_token":"{token}"}} Authorization: Bearer {token}')
    assert scrub(f"{words} opaque-{token}", [f"opaque-{token}"]) == scrub(f"{words} …")


def test_scrub_leaves_tokens_of_unknown_kinds_out():
    for secret in (
        "proxy-630c4335e0694a10ae6fdab0916116ec",
        "eyJhbGciOiJIUzI1NiIsInR5cCI6.eyJzdWIiOiIx.SflKxwRJ",
    ):
        assert scrub(f"got {secret}: Forbidden") == "got …: Forbidden"
    for text in (
        "SomeVeryLongNameWithoutDigitsInIt",
        "ECONNREFUSED 127.0.0.1:8080",
        "/content/montage-dask/x",
    ):
        assert scrub(text) == text


def test_scrub_leaves_the_person_out():
    text = (
        "Authenticated as Me Myself <me@x.com>\nFailed request POST https://h/tun?a=b: Too Many\r\n"
    )
    assert scrub(text) == "Failed request POST https://h/tun?a=b: Too Many\n"


@pytest.mark.cgpu
def test_nothing_leaks(runtime, runner, colab, tmp_path, monkeypatch, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    told: list[str] = []

    def attempt(work) -> None:
        try:
            told.append(repr(work()))
        except MontageError as error:
            told.append("".join(traceback.format_exception(error)))
            told.append(repr(error))

    source = tmp_path / "source"
    source.write_bytes(os.urandom(10_000))
    attempt(runtime.ensure)
    attempt(lambda: runtime.run("env | sort; cat /no/such", 20))
    attempt(lambda: runtime.exchange(source, "cp input out", ["out"], 20, into=tmp_path / "o"))
    # Each failing answer quotes all the secrets that there are.
    secrets = [secret for secret in colab.secrets() if len(secret) > 3]
    assert len(secrets) >= 5
    quoting = " ".join(secrets)
    for knobs in (
        {"token_status": 503, "token_body": quoting},
        {"list_status": 500, "assign_status": 404, "assign_body": quoting},
        {"contents_status": 403, "contents_body": quoting},
        {"terminals_status": 404},
        {"ccu_body": f'{{"x": "{quoting}"}}', "list_status": 500},
    ):
        colab.knobs.reset()
        colab.knobs.set(**knobs)
        attempt(lambda: runner.call("echo hi", 20))
        if "contents_status" in knobs:
            attempt(lambda: runner.upload(source, f"{runtime.folder}/x"))
        if "ccu_body" in knobs:
            attempt(runner.eligible)
        secrets += colab.secrets()
    colab.knobs.reset()
    for name, value in runner.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CGPU_BIN", str(runner.account.binary))
    monkeypatch.setenv("DASK_MONTAGE__CGPU_FOLDER", runtime.folder)
    for arguments in (["cgpu", "status"], ["cgpu", "status", "--json"], ["cgpu", "run", "echo hi"]):
        result = CliRunner().invoke(cli, arguments)
        told.append(result.output + repr(result.exception))
    colab.knobs.set(token_status=400, token_body=quoting)
    attempt(lambda: runner.call("echo hi", 20))
    secrets += colab.secrets()
    captured = capfd.readouterr()
    text = "\n".join([*told, caplog.text, captured.out, captured.err])
    assert "Authenticated as" not in text
    assert "403" in text
    assert "hi" in text
    for secret in set(secrets):
        assert secret not in text, secret
    kept = [
        path
        for folder in (Path(runtime.folder), tmp_path / "config", tmp_path / "o")
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("config.json", "session.json")
    ]
    assert kept
    for path in kept:
        content = path.read_bytes()
        assert not [s for s in secrets if s.encode() in content], path


@pytest.mark.cgpu
def test_a_session_that_is_put_back_is_for_its_owner_only(runner, config_dir, colab):
    session = config_dir / "state" / "session.json"
    runner.allocate()
    colab.knobs.token_status = 503
    with pytest.raises(MontageError):
        runner.call("echo hi", 20)
    assert session.stat().st_mode & 0o777 == 0o600
    assert {p.name for p in session.parent.iterdir() if "lock" not in p.name} == {"session.json"}
