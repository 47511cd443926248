"""The driver of cgpu against every failure that cgpu has: one error each, in a bounded time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from driving import make_runner, within

from montage_dask import errors
from montage_dask.cgpu.accounts import find_binary, find_config_dir
from montage_dask.cgpu.client import CgpuCli
from montage_dask.errors import (
    AuthenticationRequired,
    ConnectionLost,
    NoCapacity,
    QuotaExceeded,
    RemoteError,
    RuntimeLost,
    Timeout,
    UsageError,
)

pytestmark = pytest.mark.cgpu


def test_codes_and_output(runner):
    for script, code, output in (
        ("echo hi", 0, "hi\n"),
        ("echo out; echo err >&2; exit 42", 42, "out\nerr\n"),
        ("cat; read x; echo '\tbang!foo' \"<$x>\"", 0, "\tbang!foo <>\n"),
        (
            "printf 'a\\n\\n\\nexit\\r50%%\\r100%%\\nlogout'; kill -9 $$",
            137,
            "a\n\n\nexit\r50%\r100%\nlogout",
        ),
    ):
        done = runner.call(script, 20)
        assert (done.code, done.output) == (code, output)
    assert runner.processes_started == 1 + 4


def test_a_shell_that_starts_late(runner, colab):
    colab.knobs.terminals_delay = 0
    assert runner.call("echo 'late \U0001f600'; exit 7", 20).output == "late \U0001f600\n"


def test_a_script_too_long_to_type(runner, colab):
    text = "".join(chr(0x4E00 + i * 7 % 5000) for i in range(3000))
    done = runner.call(f"printf %s '{text}'; exit 9", 20)
    assert (done.code, done.output) == (9, text)
    assert runner.processes_started == 3  # the machine, the upload, the run
    assert not list(colab.root().glob(".montage-dask-*"))


def test_a_script_that_arrives_changed_does_not_run(runner, colab):
    runner.allocate()
    colab.knobs.corrupt_uploads = True
    with pytest.raises(RemoteError, match="changed"):
        runner.call(f"touch {colab.root()}/ran; : '{os.urandom(1500).hex()}'", 20)
    assert not (colab.root() / "ran").exists()


def test_changed_output_is_an_error(runner, colab):
    runner.allocate()
    colab.knobs.set(corrupt_downloads=True, corrupt_downloads_after=3000)
    with pytest.raises(errors.TransferCorrupt):
        runner.call("head -c 20000 /dev/zero | tr '\\0' x", 20)


def test_parallel_calls_on_one_machine(runner, colab):
    def one(i: int) -> tuple[int, str]:
        done = runner.call(f"sleep 0.2; echo {i}; exit {i}", 30)
        return done.code, done.output

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(one, range(1, 5))) == [(i, f"{i}\n") for i in range(1, 5)]
    assert len(colab.runtimes) == 1
    assert runner.processes_started == 5


def test_cold_starts_of_two_drivers_make_one_machine(
    cgpu_binary, config_dir, cgpu_environment, colab
):
    runners = [make_runner(cgpu_binary, config_dir, cgpu_environment, colab) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda r: r.allocate(), runners))
    assert len(colab.runtimes) == 1


@pytest.mark.parametrize(
    ("knobs", "error", "words"),
    [
        ({"assign_outcome": 1}, QuotaExceeded, "quota"),
        ({"assign_outcome": 2}, QuotaExceeded, "quota"),
        ({"assign_outcome": 5}, QuotaExceeded, "blocked"),
        ({"assign_status": 412}, QuotaExceeded, "too many"),
        ({"assign_status": 503}, NoCapacity, "some minutes"),
        ({"assign_status": 429}, NoCapacity, "some minutes"),
        ({"assign_status": 401}, AuthenticationRequired, "refuses the login"),
        ({"assign_status": 404}, RemoteError, "refused a request"),
        ({"eligible_gpus": []}, QuotaExceeded, "no accelerator"),
        ({"ccu_body": '{"unexpected": 1}'}, RemoteError, "newer cgpu"),
        (
            {"token_status": 400, "token_body": '{"error":"invalid_grant"}'},
            AuthenticationRequired,
            "refuses",
        ),
        ({"token_status": 503, "token_body": "busy"}, RemoteError, ""),
        ({"offline": True}, RemoteError, "network"),
    ],
)
def test_no_machine(runner, colab, config_dir, knobs, error, words):
    session = config_dir / "state" / "session.json"
    before = session.read_text()
    colab.knobs.set(**knobs)
    with within(15), pytest.raises(error) as raised:
        runner.call("echo hi", 20)
    assert type(raised.value) is error
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)
    refused = knobs.get("token_status") == 400
    assert session.exists() is not refused
    if not refused:
        assert session.read_text() == before
        assert (
            session.stat().st_mode & 0o77 == 0 or error is not RemoteError or "offline" not in knobs
        )
        colab.knobs.reset()
        assert runner.call("echo again", 20).output == "again\n"


@pytest.mark.parametrize(
    ("knobs", "error"),
    [
        ({"terminals_status": 404}, RuntimeLost),
        ({"upgrade_status": 404}, ConnectionLost),
        ({"ws_drop_after": 0.5}, ConnectionLost),
        ({"ws_hole_after": 0.2}, Timeout),
        ({"assign_status": 503, "list_status": 500}, NoCapacity),  # silent: no -v in this call
    ],
)
def test_a_machine_that_fails_later(runner, colab, knobs, error):
    runner.allocate()
    colab.knobs.set(**knobs)
    with within(6), pytest.raises(error) as raised:
        runner.call("sleep 1; echo hi", 3)
    assert type(raised.value) is error
    assert raised.value.retryable
    colab.knobs.reset()
    assert runner.call("echo again", 20).output == "again\n"


def test_a_hole_is_noticed_by_its_silence(runner, colab):
    class Nothing:
        def data(self, block: bytes) -> None:
            pass

        def mark(self, name: str, arguments: list[str]) -> None:
            pass

    runner.allocate()
    colab.knobs.ws_hole_after = 0.2
    with within(6), pytest.raises(ConnectionLost, match="no sign of life"):
        runner.stream("sleep 30", 60, Nothing(), stall_seconds=1)


def test_a_command_that_takes_too_long_is_ended_on_both_sides(runner, colab):
    runner.allocate()
    with within(6), pytest.raises(Timeout, match="within 2 s"):
        runner.call("sleep 300.25", 2)
    deadline = time.monotonic() + 12
    while _running("sleep 300.25") and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not _running("sleep 300.25")


def _running(command: str) -> bool:
    return any(
        path.read_bytes().replace(b"\0", b" ").strip() == command.encode()
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if _readable(path)
    )


def _readable(path: Path) -> bool:
    try:
        path.read_bytes()
    except OSError:
        return False
    return True


def test_logins_are_never_waited_for(cgpu_binary, tmp_path, colab):
    for name, signed_in, words in (("empty", None, "not set up"), ("out", False, "not logged in")):
        folder = tmp_path / name
        folder.mkdir()
        environment = {**os.environ}
        if signed_in is not None:
            environment |= colab.environment(folder, signed_in=signed_in)
        runner = make_runner(cgpu_binary, folder, environment, colab)
        with within(1), pytest.raises(AuthenticationRequired, match=words):
            runner.call("echo hi", 20)
        assert runner.processes_started == 0
    (tmp_path / "out" / "state").mkdir(exist_ok=True)
    (tmp_path / "out" / "state" / "session.json").write_text("{ damaged")
    with pytest.raises(AuthenticationRequired, match="damaged"):
        runner.call("echo hi", 20)


def test_a_session_that_vanishes_between_two_looks(runner, config_dir, monkeypatch):
    """The prompt shows it: cgpu is killed at once."""
    runner.allocate()
    monkeypatch.setattr(type(runner.account), "check", lambda self: None)
    (config_dir / "state" / "session.json").unlink()
    with within(5), pytest.raises(AuthenticationRequired, match="asks for a login"):
        runner.call("echo hi", 30)


def test_a_bad_moment_of_one_call_does_not_log_another_out(runner, config_dir, colab):
    """One call loses the session for want of a token; calls beside it wait until it is back."""
    runner.allocate()
    colab.knobs.token_status = 503
    outcomes: list[str] = []

    def one(i: int) -> None:
        try:
            outcomes.append(runner.call(f"echo {i}", 20).output)
        except RemoteError as error:
            outcomes.append(type(error).__name__)
            colab.knobs.reset()

    threads = [threading.Thread(target=one, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
        time.sleep(0.1)
    for thread in threads:
        thread.join()
    assert "AuthenticationRequired" not in outcomes
    assert "RemoteError" in outcomes
    assert (config_dir / "state" / "session.json").exists()


def test_logging_out_meanwhile_is_respected(runner, config_dir):
    runner.allocate()
    session = config_dir / "state" / "session.json"
    threading.Timer(0.8, session.unlink).start()
    assert runner.call("sleep 1.5; echo hi", 20).output == "hi\n"
    assert not session.exists()


def test_upload(runner, colab, tmp_path):
    source = tmp_path / 'na"me -\n\t\U0001f600'
    source.write_bytes(os.urandom(300_000))
    runner.allocate()
    target = colab.root() / "there"
    runner.upload(source, str(target))
    assert target.read_bytes() == source.read_bytes()
    assert runner.processes_started == 2
    with pytest.raises(UsageError):
        runner.upload(source, "/content/a b")
    with pytest.raises(UsageError):
        runner.upload(source, "relative")
    colab.knobs.for_next(1, contents_status=413)
    with pytest.raises(RemoteError, match="cgpu-chunk-megabytes") as raised:
        runner.upload(source, str(target))
    assert not raised.value.retryable
    with pytest.raises(RuntimeLost, match="lost its folder"):
        runner.upload(source, str(colab.root() / "no" / "such" / "folder"))


def test_the_runtime_that_answers_may_be_another_one(runner, colab):
    assert runner.call(f"touch {colab.root()}/marker", 20).code == 0
    colab.lose_runtime(listed=True)
    done = runner.call(f"ls {colab.root()}/marker", 20)
    assert done.code == 2  # no error of cgpu: the machine was replaced without a word
    assert runner.alive()
    colab.knobs.offline = True
    assert not runner.alive()


def test_accelerators(cgpu_binary, config_dir, cgpu_environment, colab):
    cpu = CgpuCli(
        cgpu_binary, config_dir, accelerator="cpu", environment=cgpu_environment, scratch="/content"
    )
    assert cpu.call("echo hi", 20).output == "hi\n"
    assert [m.variant for m in colab.runtimes] == ["DEFAULT"]
    assert cpu.eligible() == ["T4"]
    with pytest.raises(UsageError):
        CgpuCli(cgpu_binary, config_dir, accelerator="quantum")


def test_what_is_no_cgpu(config_dir, cgpu_environment, tmp_path):
    with pytest.raises(RemoteError, match="does not run"):
        CgpuCli(tmp_path / "none", config_dir, environment=cgpu_environment).call("true", 5)
    other = tmp_path / "other"
    other.write_text("#!/bin/sh\necho \"error: unknown option '-v'\" >&2; exit 1\n")
    other.chmod(0o755)
    with pytest.raises(RemoteError, match=r"0\.1\.4"):
        CgpuCli(other, config_dir, environment=cgpu_environment).call("true", 5)
    other.write_text("#!/bin/sh\nkill -9 $$\n")
    with pytest.raises(RemoteError, match="signal 9"):
        CgpuCli(other, config_dir, environment=cgpu_environment).call("true", 5)


def test_a_killed_driver_leaves_no_cgpu(cgpu_binary, config_dir, cgpu_environment, colab):
    program = (
        "import sys\nfrom pathlib import Path\nfrom montage_dask.cgpu.client import CgpuCli\n"
        f"r = CgpuCli(Path({str(cgpu_binary)!r}), Path({str(config_dir)!r}))\n"
        "r.allocate(); print('go', flush=True); r.call('sleep 20.75', 60)\n"
    )
    environment = cgpu_environment | {"PYTHONPATH": str(Path(errors.__file__).parents[1])}
    driver = subprocess.Popen(
        [sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE
    )
    assert driver.stdout is not None
    driver.stdout.readline()
    deadline = time.monotonic() + 10
    while not _children(driver.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    children = _children(driver.pid)
    assert children
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    driver.stdout.close()
    deadline = time.monotonic() + 5
    while any(_alive(pid) for pid in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(_alive(pid) for pid in children)


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(each) for each in text.split()]


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_where_cgpu_and_its_account_are_found(tmp_path, monkeypatch):
    monkeypatch.delenv("CGPU_BIN", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RemoteError, match="npm install"):
        find_binary()
    binary = tmp_path / "cgpu"
    binary.write_text("#!/bin/sh\n")
    binary.chmod(0o755)
    assert find_binary() == binary
    monkeypatch.setenv("CGPU_BIN", "/no/such")
    with pytest.raises(RemoteError, match="/no/such"):
        find_binary()
    assert find_binary(str(binary)) == binary
    monkeypatch.setenv("CGPU_CONFIG_DIR", "/a")
    assert find_config_dir() == Path("/a")
    assert find_config_dir("/b") == Path("/b")
    monkeypatch.delenv("CGPU_CONFIG_DIR")
    monkeypatch.setenv("XDG_CONFIG_HOME", "/x")
    assert find_config_dir() == Path("/x/cgpu")
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", "/h")
    assert find_config_dir() == Path("/h/.config/cgpu")


def test_credentials_on_a_read_only_mount(runner, config_dir, monkeypatch):
    """Nothing of ours is written beside them, and cold starts are serialised all the same."""
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    before = {path.name for path in (config_dir / "state").iterdir()}
    assert runner.call("echo hi", 20).output == "hi\n"
    assert {path.name for path in (config_dir / "state").iterdir()} == before


def test_storage_dir_holds_the_session(tmp_path):
    from montage_dask.cgpu.accounts import Account

    (tmp_path / "config.json").write_text(json.dumps({"storageDir": "/elsewhere"}))
    assert Account(Path("cgpu"), tmp_path).session_path == Path("/elsewhere/session.json")


def test_errors_travel():
    import pickle

    for error in (
        RemoteError("x", retryable=False),
        QuotaExceeded("quota"),
        NoCapacity("full"),
        ConnectionLost("cut"),
        errors.TransferCorrupt("bits"),
        Timeout("late", retryable=False),
        errors.RemoteCommandFailed("op beats", 3, ["first", "last \x1b"]),
    ):
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), str(copy), copy.retryable) == (type(error), str(error), error.retryable)
    failed = pickle.loads(pickle.dumps(errors.RemoteCommandFailed("op", 3, ["a", "b"])))
    assert (failed.code, failed.last_lines) == (3, ("a", "b"))
    assert "code 3): b" in str(failed)
