"""Jobs run once, on time, whatever happens to the line, and their results come back whole."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from driving import Counted, within

from montage_dask.cgpu import jobs
from montage_dask.errors import (
    RemoteCommandFailed,
    RemoteError,
    RuntimeLost,
    Timeout,
    TransferCorrupt,
    UsageError,
)

pytestmark = pytest.mark.cgpu


def running(words: str) -> list[int]:
    """Processes whose command line is this."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().replace(b"\0", b" ").strip() == words.encode():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def until(condition, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert condition()


def test_a_job_in_one_process_with_its_progress(work):
    _, runtime = work
    told: list[str] = []
    with Counted(runtime.runner) as counted:
        done = runtime.job(
            "first", "echo début; sleep 1.2; echo err >&2; cat; pwd; exit 4", 20, told.append
        )
    assert counted.started == 1
    assert done.code == 4
    assert "".join(told) == done.log_tail
    assert done.log_tail.startswith("début\nerr\n")
    assert told[0] == "début\n", "it came while the job ran"
    assert done.log_tail.splitlines()[-1].startswith(f"{runtime.folder}/jobs/first.")


def test_a_job_that_succeeded_is_not_run_again_and_one_that_failed_is(work):
    _, runtime = work
    count = Path(runtime.folder, "count")
    for code, runs in ((0, 1), (1, 2)):
        count.write_text("")
        for _ in range(2):
            done = runtime.job("again", f"echo x >>{count}; exit {code}", 20)
            assert done.code == code
        assert count.read_text() == "x\n" * runs


def test_a_job_that_is_asked_for_twice_runs_once(work):
    _, runtime = work
    count = Path(runtime.folder, "count2")

    def ask(_: int) -> str:
        return runtime.job("twice", f"echo x >>{count}; sleep 1.5; echo out", 30).log_tail

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(ask, range(3))) == ["out\n"] * 3
    assert count.read_text() == "x\n"


def test_long_scripts_and_big_logs(work):
    _, runtime = work
    text = os.urandom(3000).hex()
    with Counted(runtime.runner) as counted:
        done = runtime.job("long", f"echo {text}; seq 1 40000", 20)
    assert counted.started == 2
    assert done.code == 0
    assert len(done.log_tail) == jobs.TAIL_BYTES
    assert done.log_tail.endswith("39999\n40000\n")


def test_a_job_that_waits_longer_than_a_call(work, monkeypatch):
    _, runtime = work
    monkeypatch.setattr(jobs, "WAIT_SECONDS", 1)
    told: list[str] = []
    with Counted(runtime.runner) as counted:
        done = runtime.job("slow", "for i in 1 2 3; do echo $i; sleep 0.9; done", 30, told.append)
    assert counted.started <= 4
    assert (done.code, done.log_tail, "".join(told)) == (0, "1\n2\n3\n", "1\n2\n3\n")


def test_a_cut_line_ends_no_job(work):
    colab, runtime = work
    count = Path(runtime.folder, "count3")
    colab.knobs.for_next(2, ws_drop_after=0.8)
    done = runtime.job("cut", f"echo x >>{count}; sleep 3; echo out; exit 3", 30)
    assert (done.code, done.log_tail) == (3, "out\n")
    assert count.read_text() == "x\n"


def test_a_silent_line_ends_no_job(work, monkeypatch):
    colab, runtime = work
    monkeypatch.setattr(jobs, "STALL_SECONDS", 5.0)
    colab.knobs.for_next(1, ws_hole_after=0.8)
    with within(25):
        done = runtime.job("hole", "sleep 2; echo out", 30)
    assert (done.code, done.log_tail) == (0, "out\n")


def test_a_line_that_is_always_cut_is_given_up(work):
    colab, runtime = work
    colab.knobs.ws_drop_after = 0.1
    with within(30), pytest.raises(RuntimeLost, match="cut"):
        runtime.job("hopeless", "sleep 30", 60)


def test_time_is_up_on_both_sides(work):
    _, runtime = work
    with within(15), pytest.raises(Timeout, match="within 1 s and was killed"):
        runtime.job("late", "sleep 301.5 & sleep 302.5", 1)
    until(lambda: not running("sleep 301.5") and not running("sleep 302.5"))


def test_what_a_job_leaves_behind_ends_with_it(work):
    _, runtime = work
    assert runtime.job("children", "sleep 303.5 & echo done", 20).code == 0
    until(lambda: not running("sleep 303.5"))


def test_cancel(work):
    _, runtime = work
    caught: list[BaseException] = []

    def ask() -> None:
        try:
            runtime.job("no more", "sleep 304.5", 60)
        except RemoteError as error:
            caught.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    until(lambda: bool(running("sleep 304.5")), 15)
    runtime.cancel("no more")
    thread.join(15)
    assert [str(e) for e in caught] == ["the job was cancelled"]
    assert not running("sleep 304.5")


def test_a_job_that_dies_without_a_code(work):
    _, runtime = work
    with pytest.raises(RemoteError, match="without an exit code") as raised:
        runtime.job("dies", "kill -9 -- -$PPID", 20)
    assert raised.value.retryable


@pytest.mark.parametrize("silent", [False, True])
def test_a_machine_lost_under_a_job(work, monkeypatch, silent):
    """Its end is told by a broken line, or by nothing at all."""
    colab, runtime = work
    monkeypatch.setattr(jobs, "STALL_SECONDS", 5.0)
    threading.Timer(2.0, colab.lose_runtime, kwargs={"silent": silent}).start()
    with within(40), pytest.raises(RuntimeLost) as raised:
        runtime.job("lost", "sleep 305.5", 90)
    assert type(raised.value) is RuntimeLost
    assert not running("sleep 305.5")
    assert runtime.job("lost", "echo anew", 30).log_tail == "anew\n"


def test_a_killed_client_finds_its_job_again(work, tmp_path):
    _, runtime = work
    count = Path(runtime.folder, "count4")
    script = f"echo x >>{count}; sleep 4; echo out"
    program = f"""
from pathlib import Path
from montage_dask.cgpu.client import CgpuCli
from montage_dask.cgpu.runtime import Runtime
r = Runtime(CgpuCli(Path({str(runtime.runner.account.binary)!r}), Path({str(runtime.runner.account.config_dir)!r}),
            scratch={runtime.runner.scratch!r}), {runtime.folder!r}, install="off")
r.job("found", {script!r}, 60)
"""
    environment = runtime.runner.environment() | {"PYTHONPATH": str(Path(jobs.__file__).parents[2])}
    client = subprocess.Popen([sys.executable, "-c", program], env=environment)
    until(count.exists, 20)
    client.kill()
    client.wait()
    done = runtime.job("found", script, 60)
    assert (done.code, done.log_tail) == (0, "out\n")
    assert count.read_text() == "x\n"


def test_exchange_in_two_processes(work, tmp_path):
    _, runtime = work
    source = tmp_path / "in\nput"
    source.write_bytes(os.urandom(200_000))
    script = "sha256sum <input >'-su m'; mkdir -p deep/er; cp input deep/er/copy; echo done"
    names = ["-su m", "deep/er/copy", "deep"]
    with Counted(runtime.runner) as counted:
        made = runtime.exchange(source, script, names[:2], 20, into=tmp_path / "out")
    assert counted.started == 2
    assert (made.code, made.log_tail) == (0, "done\n")
    assert made.files == {name: tmp_path / "out" / name for name in names[:2]}
    assert made.files["deep/er/copy"].read_bytes() == source.read_bytes()
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"-su m", "deep"}
    # A folder in, nothing out; then nothing in, a folder out.
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "file").write_text("content")
    with Counted(runtime.runner) as counted:
        assert runtime.exchange(folder, "cat input/sub/file", None, 20).log_tail == "content"
    assert counted.started == 2
    with Counted(runtime.runner) as counted:
        made = runtime.exchange(None, "mkdir d; echo x >d/x", ["d"], 20, into=tmp_path / "o")
    assert counted.started == 1
    assert (made.files["d"] / "x").read_text() == "x\n"
    assert (
        len(list(Path(runtime.folder, "jobs").glob("exchange.*"))) <= 1
    )  # the last one waits for the next call


def test_exchange_of_more_than_a_chunk(work, tmp_path, monkeypatch):
    _, runtime = work
    monkeypatch.setattr(jobs, "INLINE_BYTES", 1 << 20)
    source = tmp_path / "source"
    source.write_bytes(os.urandom(2_500_000))
    with Counted(runtime.runner) as counted:
        made = runtime.exchange(source, "cp input out", ["out"], 30, into=tmp_path / "o")
    assert (
        counted.started == 3 + 1 + 1
    )  # three chunks, the job with the first part of the result, the rest
    assert made.files["out"].read_bytes() == source.read_bytes()


def test_exchange_through_bad_lines(work, tmp_path):
    colab, runtime = work
    source = tmp_path / "source"
    source.write_bytes(os.urandom(600_000))
    colab.knobs.for_next(1, corrupt_uploads=True)
    colab.knobs.for_next(1, corrupt_downloads=True)
    colab.knobs.corrupt_downloads_after = 300_000
    made = runtime.exchange(source, "cp input out", ["out"], 30, into=tmp_path / "o")
    assert made.files["out"].read_bytes() == source.read_bytes()
    colab.knobs.corrupt_uploads = True
    with pytest.raises(TransferCorrupt):
        runtime.exchange(source, "true", None, 30)


def test_exchange_that_fails(work, tmp_path):
    _, runtime = work
    made = runtime.exchange(None, "echo why; exit 6", ["out"], 20, into=tmp_path / "o")
    assert (made.code, made.log_tail, made.files) == (6, "why\n", {})
    with pytest.raises(RemoteCommandFailed, match="not all its results"):
        runtime.exchange(None, "true", ["out"], 20, into=tmp_path / "o")
    for names in (["/etc/passwd"], ["../x"], [""], ["."]):
        with pytest.raises(UsageError):
            runtime.exchange(None, "true", names, 20, into=tmp_path / "o")
    with pytest.raises(UsageError, match="folder"):
        runtime.exchange(None, "true", ["x"], 20)
    with pytest.raises(UsageError, match="no such file"):
        runtime.exchange(tmp_path / "none", "true", None, 20)
    assert not list((tmp_path / "o").iterdir())


def test_bundles_of_two_clients_do_not_meet(work, tmp_path):
    """The second finds the job running, and leaves its files alone."""
    _, runtime = work
    source = tmp_path / "source"
    source.write_bytes(os.urandom(100_000))
    count = Path(runtime.folder, "count5")
    script = f"echo x >>{count}; sleep 2; cp input out"

    def ask(i: int) -> bytes:
        made = runtime.exchange(source, script, ["out"], 30, into=tmp_path / str(i), job_id="both")
        return made.files["out"].read_bytes()

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(ask, range(2))) == [source.read_bytes()] * 2
    assert count.read_text() == "x\n"


def test_an_interrupted_wait_ends_the_job(work, monkeypatch):
    _, runtime = work

    def interrupt(text: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runtime.job("interrupted", "echo go; sleep 306.5", 60, interrupt)
    until(lambda: not running("sleep 306.5"))


def test_signs_of_life_while_results_are_packed(work, tmp_path, monkeypatch):
    """A tar that takes long is no cut line."""
    _, runtime = work
    monkeypatch.setattr(jobs, "STALL_SECONDS", 5.0)
    programs = Path(runtime.folder, "programs")
    programs.mkdir()
    (programs / "tar").write_text('#!/bin/sh\nsleep 6\nexec /bin/tar "$@"\n')
    (programs / "tar").chmod(0o755)
    environment = Path(runtime.environment_path)
    before = environment.read_text()
    environment.write_text(f"{before}PATH={programs}:$PATH\n")
    try:
        with Counted(runtime.runner) as counted:
            made = runtime.exchange(None, "echo x >out", ["out"], 20, into=tmp_path / "o")
    finally:
        environment.write_text(before)
    assert counted.started == 1
    assert made.files["out"].read_text() == "x\n"


def test_a_job_whose_folder_was_cleaned_up_starts_anew(work, tmp_path):
    """Another client had the same results and went."""
    _, runtime = work
    count = Path(runtime.folder, "count6")
    source = tmp_path / "source"
    source.write_bytes(os.urandom(1000))

    def clean() -> None:
        until(count.exists, 20)
        # At once: a folder that goes piece by piece takes from the next one, too.
        gone = next(Path(runtime.folder, "jobs").glob("cleaned.*")).rename(tmp_path / "gone")
        shutil.rmtree(gone)

    thread = threading.Thread(target=clean)
    thread.start()
    made = runtime.exchange(
        source,
        f"echo x >>{count}; sleep 2; cp input out",
        ["out"],
        30,
        into=tmp_path / "o",
        job_id="cleaned",
    )
    thread.join()
    assert made.files["out"].read_bytes() == source.read_bytes()
    assert count.read_text() == "x\nx\n"
