"""The loopback Colab itself: faults on demand, and nothing left behind."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from calling import Cgpu
from colab import Colab, loopback_colab

pytestmark = pytest.mark.cgpu


def tell(colab: Colab, method: str, name: str, **values: Any) -> Any:
    """As another process would."""
    data = json.dumps(values).encode() if method != "GET" else None
    url = f"{colab.url}/_loopback/{name}"
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=20) as reply:
        return json.load(reply)


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}/cmdline").exists() and bool(Path(f"/proc/{pid}/cmdline").read_bytes())


def test_knobs_are_checked(colab: Colab) -> None:
    with pytest.raises(AttributeError, match="no such knob: asign_outcome"):
        colab.knobs.set(asign_outcome=1)


def test_a_knob_for_some_requests(cgpu: Cgpu, colab: Colab) -> None:
    cgpu.remote("true")
    colab.knobs.for_next(2, terminals_status=500)
    assert [cgpu("run", "true").returncode for _ in range(3)] == [1, 1, 0]


def test_knobs_go_back(colab: Colab) -> None:
    colab.knobs.set(latency=1.0, eligible_gpus=[])
    colab.knobs.reset()
    assert (colab.knobs.latency, colab.knobs.eligible_gpus) == (0.0, ["T4"])


def test_control_from_another_process(cgpu: Cgpu, colab: Colab) -> None:
    tell(colab, "PUT", "knobs", assign_outcome=1, times=1)
    assert cgpu("run", "true").returncode == 1
    assert cgpu("run", "true").returncode == 0
    assert tell(colab, "POST", "lose-runtime", variant="GPU") == 1
    assert colab.runtimes == []
    assert tell(colab, "GET", "requests")[-1]["path"].startswith("/terminals/websocket/")


def test_an_upload_that_is_corrupted(cgpu: Cgpu, colab: Colab, tmp_path: Path) -> None:
    content = os.urandom(1000)
    (tmp_path / "f").write_bytes(content)
    colab.knobs.for_next(1, corrupt_uploads=True)
    assert cgpu("copy", str(tmp_path / "f"), str(colab.root() / "f")).returncode == 0
    got = (colab.root() / "f").read_bytes()
    assert sum(a != b for a, b in zip(got, content, strict=True)) == 1


def test_a_download_that_is_corrupted(cgpu: Cgpu, colab: Colab) -> None:
    cgpu.remote("true")
    content = os.urandom(100_000)
    (colab.root() / "f").write_bytes(content)
    colab.knobs.for_next(1, corrupt_downloads=True)
    command = f"base64 -w 76 {colab.root() / 'f'}"
    bad = base64.b64decode(cgpu.remote(command)[1].replace("\n", ""), validate=True)
    assert len(bad) == len(content)
    assert 1 <= sum(a != b for a, b in zip(bad, content, strict=True)) <= 2
    good = base64.b64decode(cgpu.remote(command)[1].replace("\n", ""), validate=True)
    assert good == content


def test_a_connection_that_breaks_in_the_middle(cgpu: Cgpu, colab: Colab) -> None:
    colab.knobs.ws_drop_after_chars = 300_000
    ended = cgpu("run", "--", "head -c 1000000 /dev/zero | base64 -w 76")
    assert ended.returncode == 1
    assert len(ended.stdout) < 300_100


def test_a_connection_that_falls_silent_in_the_middle(cgpu: Cgpu, colab: Colab) -> None:
    colab.knobs.ws_hole_after_chars = 300_000
    output, _ = cgpu.hangs("run", "--", "head -c 1000000 /dev/zero | base64 -w 76", after="AAAA\n")
    assert len(output) < 300_100


@pytest.mark.parametrize("silent", [False, True])
def test_open_connections_can_be_broken(cgpu: Cgpu, colab: Colab, silent: bool) -> None:
    process = cgpu.start("run", "--", "echo running; sleep 1; touch done")
    assert process.stdout is not None
    process.stdout.readline()
    assert process.stdout.readline() == "running\n"
    if silent:
        assert colab.silence() == 1
        time.sleep(1.5)
        assert process.poll() is None
        cgpu.kill(process)
    else:
        assert colab.drop_connections() == 1
        process.communicate(timeout=10)
        assert process.returncode == 1
        time.sleep(1.3)
    assert (colab.root() / "done").exists()  # the shell lived on


def test_a_slow_line(cgpu: Cgpu, colab: Colab) -> None:
    cgpu.remote("true")
    colab.knobs.output_chars_per_second = 100_000
    started = time.monotonic()
    cgpu.remote("head -c 60000 /dev/zero | base64 -w 76")
    assert time.monotonic() - started > 0.6


def test_everything_is_down(cgpu: Cgpu, colab: Colab, config_dir: Path) -> None:
    colab.knobs.offline = True
    ended = cgpu("run", "true")
    assert ended.returncode == 1
    assert not (config_dir / "state" / "session.json").exists()


def test_accounts_have_runtimes_of_their_own(
    cgpu: Cgpu, cgpu_binary: Path, colab: Colab, tmp_path: Path
) -> None:
    variables = colab.environment(tmp_path / "second", account="you")
    other = Cgpu(cgpu_binary, dict(cgpu.environment) | variables)
    cgpu.remote("touch mine")
    ended = other("run", "ls; touch yours")
    assert ended.stdout == "Authenticated as You <you@example.com>\n"
    assert cgpu.remote("ls") == (0, "mine\n")
    colab.lose_runtime("you")
    assert [machine.account for machine in colab.runtimes] == ["me"]


def test_a_lost_machine_takes_its_processes_along(cgpu: Cgpu, colab: Colab) -> None:
    cgpu.remote("setsid nohup sleep 300 >/dev/null 2>&1 & echo")
    cgpu.remote("sleep 300 & touch file")
    pids = colab.processes()
    assert len(pids) >= 2
    root = colab.root()
    colab.lose_runtime()
    assert not any(map(alive, pids))
    assert not root.exists()


def test_nothing_is_left_at_the_end(cgpu_binary: Path, tmp_path: Path) -> None:
    with loopback_colab(tmp_path / "c") as colab:
        environment = dict(os.environ) | colab.environment(tmp_path / "config")
        cgpu = Cgpu(cgpu_binary, environment)
        cgpu.remote("setsid nohup sh -c 'trap : TERM HUP; sleep 300' >/dev/null 2>&1 & echo")
        waiting = cgpu.start("run", "--", "sleep 300")
        while not colab.count("WS", "/terminals/websocket/2"):
            time.sleep(0.02)
        pids, root = colab.processes(), colab.root()
        assert len(pids) >= 2
    assert not any(map(alive, pids))
    assert not root.exists()
    waiting.communicate(timeout=10)
    assert waiting.returncode == 1


SCRIPT = """
import os, subprocess, sys
from pathlib import Path
from colab import loopback_colab
with loopback_colab(Path(sys.argv[1])) as colab:
    environment = os.environ | colab.environment(Path(sys.argv[2]))
    command = "setsid nohup sleep 300 >/dev/null 2>&1 & echo"
    subprocess.run([sys.argv[3], "run", "--", command], env=environment, check=True)
    while not (found := colab.processes()):
        pass
    print("processes", *found, flush=True)
    sys.stdin.read()
"""


def test_nothing_is_left_when_the_test_is_killed(cgpu_binary: Path, tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", SCRIPT, str(tmp_path / "c"), str(tmp_path / "config")]
    process = subprocess.Popen(
        [*arguments, str(cgpu_binary)],
        cwd=Path(__file__).parent,
        # A command that ran within these tests has left its own protection behind; this script finds its helpers beside it.
        env={k: v for k, v in os.environ.items() if k != "PYTHONSAFEPATH"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    lines: list[str] = []
    while not lines or not lines[-1].startswith("processes"):
        lines.append(process.stdout.readline())
        assert lines[-1], lines
    pids = [int(n) for n in lines[-1].split()[1:]]
    assert any(map(alive, pids))
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 20
    while any(map(alive, pids)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_machine_is_as_promised(cgpu: Cgpu, colab: Colab) -> None:
    _, text = cgpu.remote("pwd; tty; stty size; python3 -c 'import numpy, sys; print(sys.prefix)'")
    folder, tty, size, prefix = text.splitlines()
    assert folder == str(colab.root())
    assert re.fullmatch("/dev/pts/[0-9]+", tty)
    assert size == "0 0"
    assert Path(prefix).samefile(sys.prefix)


def test_a_chosen_python_and_environment(cgpu_binary: Path, tmp_path: Path) -> None:
    with loopback_colab(tmp_path / "c", python="/bin/echo", environment={"ABC": "d e"}) as colab:
        environment = dict(os.environ) | colab.environment(tmp_path / "config")
        cgpu = Cgpu(cgpu_binary, environment)
        assert cgpu.remote('python3 not python; echo "$ABC"') == (0, "not python\nd e\n")


def test_secrets_are_known(cgpu: Cgpu, colab: Colab, config_dir: Path) -> None:
    cgpu.remote("true")
    secrets = colab.secrets()
    config = json.loads((config_dir / "config.json").read_text())
    session = json.loads((config_dir / "state" / "session.json").read_text())
    assert {config["clientSecret"], session["refreshToken"], "me@example.com"} <= set(secrets)
    assert any(secret.startswith("ya29.") for secret in secrets)
    assert any(secret.startswith("proxy-") for secret in secrets)


def test_a_runtime_asks_for_its_token(cgpu: Cgpu, colab: Colab) -> None:
    cgpu.remote("true")
    command = ["curl", "-s", "--noproxy", "*", "-o", "/dev/null", "-w", "%{http_code}"]
    posted = [*command, "-X", "POST", f"{colab.url}/api/terminals"]
    assert subprocess.run(posted, capture_output=True, text=True, check=True).stdout == "404"
    listed = [*command, f"{colab.url}/tun/m/assignments?authuser=0"]
    assert subprocess.run(listed, capture_output=True, text=True, check=True).stdout == "401"
