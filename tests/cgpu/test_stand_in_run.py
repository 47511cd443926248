"""`run`: a typed shell, with all that follows from it."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from calling import Cgpu
from colab import Colab

pytestmark = pytest.mark.cgpu

NO_CODE = "Command finished without reporting an exit code; assuming failure (exit code 1)."
LATE_SHELL = {"shell": ["sh", "-c", "sleep 0.5; exec bash --norc -i"], "terminals_delay": 0.0}


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("true", 0),
        ("false", 1),
        ('sh -c "exit 42"', 42),
        ("no-such-command", 127),
        ("( exit 3 )", 3),
    ],
)
def test_codes(cgpu: Cgpu, command: str, code: int) -> None:
    ended = cgpu("run", "--", command)
    assert (ended.returncode, ended.stderr) == (code, "")
    assert ended.stdout.startswith("Authenticated as Me <me@example.com>\n")


def test_exit_ends_the_shell_before_its_code_is_known(cgpu: Cgpu) -> None:
    ended = cgpu("run", "exit 3")
    assert (ended.returncode, ended.stderr.strip()) == (1, NO_CODE)


def test_a_killed_shell(cgpu: Cgpu) -> None:
    ended = cgpu("run", "kill -9 $$")
    assert (ended.returncode, ended.stderr.strip()) == (1, NO_CODE)


@pytest.mark.parametrize("command", ["cat", "read x"])
def test_reading_stdin_eats_the_trailer(cgpu: Cgpu, command: str) -> None:
    cgpu.hangs("run", f"echo waiting; {command}", after="waiting\n")


def test_remote_errors_come_on_stdout(cgpu: Cgpu) -> None:
    ended = cgpu("run", "echo out; echo err >&2")
    assert ended.stdout.splitlines()[1:] == ["out", "err"]
    assert ended.stderr == ""


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (r"printf 'a\n\n  \nb\n'", "a\n  \nb\n"),
        (r"printf '\033[31mred\033[0m\n'", "red\n"),
        (r"printf '10%%\r50%%\r100%%\n'", "10%50%100%\n"),
        ("echo '/# prompt'", "prompt\n"),
        (r"printf 'exit\nlogout\nPS1=\nstty echo\nstty -echo\nkept\n'", "kept\n"),
        ("echo first\necho second", "first\nsecond\n"),
        ("printf abc", "abc\n"),
        ("echo é → 🎬", "é → 🎬\n"),
    ],
)
def test_what_becomes_of_output(cgpu: Cgpu, command: str, text: str) -> None:
    assert cgpu.remote(command) == (0, text)


def test_history_expansion_fails_with_code_0(cgpu: Cgpu) -> None:
    code, text = cgpu.remote('echo "bang!foo"')
    assert code == 0
    assert "!foo: event not found" in text


def test_a_string_of_several_lines_works(cgpu: Cgpu) -> None:
    code, text = cgpu.remote("echo 'two\nlines'")
    assert code == 0
    assert text.endswith("two\nlines\n")  # after the shell's prompt for more


def test_several_lines_end_with_the_code_of_the_last(cgpu: Cgpu) -> None:
    assert cgpu.remote("false\nsh -c 'exit 7'")[0] == 7


def test_no_final_newline_loses_the_code_under_dash(cgpu: Cgpu, colab: Colab) -> None:
    colab.knobs.shell = ["dash", "-i"]
    ended = cgpu("run", "printf abc")
    assert ended.returncode == 1
    assert NO_CODE in ended.stderr
    assert cgpu.remote("echo abc")[0] == 0


def test_a_late_shell_echoes_the_command(cgpu: Cgpu, colab: Colab) -> None:
    colab.knobs.set(**LATE_SHELL)
    code, text = cgpu.remote("echo hi")
    assert code == 0
    assert "echo hi\n" in text
    assert "__COLAB_CLI_STATUS=$?\n" in text


def test_the_tty_loses_the_tail_of_a_long_line(cgpu: Cgpu, colab: Colab) -> None:
    code, text = cgpu.remote(f"echo {'x' * 5000} tail")
    assert code == 0
    assert len(text.splitlines()[-1]) == 4095 - len("echo ")  # before it, readline's redrawing
    colab.knobs.line_limit = 10_000
    assert cgpu.remote(f"echo {'x' * 5000} tail")[1].endswith("x tail\n")


def test_output_comes_while_the_command_runs(cgpu: Cgpu) -> None:
    started = time.monotonic()
    process = cgpu.start("run", "--", "echo early; sleep 20")
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("Authenticated")
        assert process.stdout.readline() == "early\n"
        assert time.monotonic() - started < 10
    finally:
        cgpu.kill(process)


def test_a_killed_client_does_not_end_the_command(cgpu: Cgpu, colab: Colab) -> None:
    process = cgpu.start("run", "--", "sleep 1; touch done")
    deadline = time.monotonic() + 20
    while not colab.count("WS", "/terminals/"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.2)
    cgpu.kill(process)
    while not (colab.root() / "done").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_verbose_output_is_raw(cgpu: Cgpu) -> None:
    output = cgpu("run", "-v", r"printf '\033[31mred\033[0m\n\n'").stdout
    assert "\x1b[31mred" in output
    assert "__COLAB_CLI_STATUS=$?" in output or "__COLAB_CLI_EXIT__" in output


# Failures on the way


def test_the_machine_is_gone_when_the_terminal_is_made(cgpu: Cgpu, colab: Colab) -> None:
    colab.knobs.terminals_status = 404
    ended = cgpu("run", "true")
    assert ended.returncode == 1
    assert ended.stderr.strip() == "Failed to create remote terminal: Not Found"


def test_a_refused_websocket(cgpu: Cgpu, colab: Colab) -> None:
    colab.knobs.upgrade_status = 403
    ended = cgpu("run", "true")
    assert ended.returncode == 1
    assert "Unexpected server response: 403" in ended.stderr


def test_a_websocket_that_is_reset(cgpu: Cgpu, colab: Colab) -> None:
    colab.knobs.ws_drop_after = 0.4
    ended = cgpu("run", "--", "echo before; sleep 20")
    assert (ended.returncode, ended.stderr.strip()) == (1, NO_CODE)
    assert ended.stdout.splitlines()[1:] == ["before"]


def test_a_black_hole_hangs(cgpu: Cgpu, colab: Colab) -> None:
    colab.knobs.ws_hole_after = 0.4
    output, errors = cgpu.hangs("run", "--", "echo before; sleep 0.6; echo after", after="before\n")
    assert output.splitlines()[1:] == ["before"]
    assert errors == ""


def test_a_machine_that_is_lost_while_a_command_runs(cgpu: Cgpu, colab: Colab) -> None:
    process = cgpu.start("run", "--", "echo running; sleep 30")
    assert process.stdout is not None
    process.stdout.readline()
    assert process.stdout.readline() == "running\n"
    colab.lose_runtime()
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors.strip()) == (1, NO_CODE)


# The framing that a driver can rely on

FRAME = re.compile(r"@@BEG0123\n(.*?)@@END0123:(\d+)", re.DOTALL)


def framed(script: str) -> str:
    """The documented recipe: markers are split, so that an echoed command does not match."""
    return (
        rf"printf '%s%s\n' @@B EG0123; ( {script} ) </dev/null; printf '\n%s%s:%s\n' @@E ND0123 $?"
    )


@pytest.mark.parametrize("knobs", [{}, LATE_SHELL])
@pytest.mark.parametrize(
    ("script", "text", "code"),
    [("exit 3", "", 3), ("cat", "", 0), ("printf abc", "abc\n", 0), ("kill -9 $BASHPID", "", 137)],
)
def test_framing(
    cgpu: Cgpu, colab: Colab, knobs: dict[str, Any], script: str, text: str, code: int
) -> None:
    colab.knobs.set(**knobs)
    _, output = cgpu.remote(framed(script))
    found = FRAME.search(output)
    assert found is not None, output
    assert found[1].endswith(text)
    assert int(found[2]) == code
