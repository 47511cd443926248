"""ffmpeg is watched, killed with all that it started, and its errors say what was wrong."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from makers import film

import montage_dask
from montage_dask.errors import FFmpegError, FFmpegKilled, UsageError
from montage_dask.graph import operation
from montage_dask.graph.operation import STALL, Operation, Request, perform
from montage_dask.media import ffmpeg
from montage_dask.media.ffmpeg import binary, input_arguments, output_argument, run_ffmpeg, version
from montage_dask.store import Store

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(montage_dask.__file__).parents[1])}
ENDLESS = ["-re", "-f", "lavfi", "-i", "color=size=16x16:rate=5", "-f", "null", "-"]


def running(marker: str) -> list[int]:
    """Processes whose command line contains a word."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if marker.encode() in command and b"ffmpeg" in command.split(b"\0")[0] and state != "Z":
                found.append(int(entry.name))
    return found


def gone(marker: str, seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while running(marker):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


@pytest.fixture
def pipe(tmp_path):
    """A pipe that is open for writing and never brings a byte."""
    path = tmp_path / f"pipe-{os.getpid()}.nut"
    os.mkfifo(path)
    holder = os.open(path, os.O_RDWR)
    yield path
    os.close(holder)


def test_a_stalled_child_is_killed(pipe):
    began = time.monotonic()
    with pytest.raises(FFmpegError, match="no progress for 1 s") as caught:
        run_ffmpeg(["-f", "nut", "-i", str(pipe), "-f", "null", "-"], about="clip.nut", stall_seconds=1)  # fmt: skip
    assert 0.9 < time.monotonic() - began < 10
    assert caught.value.path == "clip.nut"
    assert gone(pipe.name)


def test_a_child_that_stalls_half_way_is_killed(pipe, tmp_path):
    """It goes on to report its position, which no longer changes."""
    whole = film(tmp_path / "whole.ts", "-c:v", "mpeg2video", "-g", "5", frames=100)
    seen = []
    holder = os.open(pipe, os.O_RDWR)
    writer = threading.Thread(target=os.write, args=(holder, whole.read_bytes()), daemon=True)
    writer.start()
    with pytest.raises(FFmpegError, match="no progress for 2 s"):
        run_ffmpeg(
            ["-f", "mpegts", "-probesize", "50000", "-i", str(pipe), "-f", "null", "-"],
            about="x", stall_seconds=2, on_frame=seen.append,
        )  # fmt: skip
    assert seen[-1] > 50
    os.close(holder)


def test_the_setting_holds_for_every_child_of_an_operation(pipe, tmp_path, monkeypatch):
    monkeypatch.setattr(operation, "_REGISTRY", {})
    hang = ["-f", "nut", "-i", str(pipe), "-f", "null", "-"]
    operation.register(
        Operation("hang", "media.probe", lambda *_: {"said": run_ffmpeg(hang, about="clip.nut")})
    )
    began = time.monotonic()
    with pytest.raises(FFmpegError, match="no progress for 1 s"):
        perform(Request("hang", {}, {STALL: 1}), Store(tmp_path))
    assert time.monotonic() - began < 20
    assert gone(pipe.name)


def test_a_child_that_somebody_stops_is_killed_and_no_file_blamed():
    marker = f"color=size=16x16:rate=5:color=0x{(os.getpid() + 2) % 0xFFFFFF:06x}"

    def stop(_frame: int) -> None:
        for pid in running(marker):
            os.kill(pid, signal.SIGSTOP)

    with pytest.raises(FFmpegKilled, match="stopped by somebody"):
        run_ffmpeg(
            [marker if a.startswith("color") else a for a in ENDLESS],
            about="x", stall_seconds=1, on_frame=stop,
        )  # fmt: skip
    assert gone(marker)


def test_a_pause_of_everything_is_no_stall():
    """Ctrl-Z and fg, or a laptop that slept: only ffmpeg goes on, and ends well, or goes on with us."""
    code = (
        "import sys; from montage_dask.media.ffmpeg import run_ffmpeg\n"
        "print('ready', flush=True); run_ffmpeg(sys.argv[1:], about='x', stall_seconds=1); print('well', flush=True)"
    )
    for seconds in ("1", "6"):
        parent = subprocess.Popen(
            [sys.executable, "-c", code, "-t", seconds, *ENDLESS],
            stdout=subprocess.PIPE, text=True, env=ENVIRONMENT,
        )  # fmt: skip
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        time.sleep(0.5)
        parent.send_signal(signal.SIGSTOP)
        time.sleep(3)
        parent.send_signal(signal.SIGCONT)
        assert parent.stdout.readline() == "well\n"
        assert parent.wait() == 0
        parent.stdout.close()


def test_slow_is_not_stalled(tmp_path):
    """Five frames a second for two seconds, with a patience of one second."""
    seen = []
    run_ffmpeg(["-t", "2", *ENDLESS], about="slow", stall_seconds=1, on_frame=seen.append)
    assert seen == sorted(seen)
    assert 9 <= seen[-1] <= 11
    assert len(seen) >= 3


def test_the_child_dies_with_a_killed_parent():
    code = (
        "import sys; from montage_dask.media.ffmpeg import run_ffmpeg\n"
        "print('ready', flush=True); run_ffmpeg(sys.argv[1:], about='x')"
    )
    marker = f"color=size=16x16:rate=5:color=0x{os.getpid() % 0xFFFFFF:06x}"
    arguments = [marker if a.startswith("color") else a for a in ENDLESS]
    parent = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, env=ENVIRONMENT
    )
    assert parent.stdout is not None
    parent.stdout.readline()
    end = time.monotonic() + 10
    while not running(marker) and time.monotonic() < end:
        time.sleep(0.05)
    assert running(marker)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    assert gone(marker)


def test_an_interrupted_caller_leaves_no_child():
    marker = f"color=size=16x16:rate=5:color=0x{(os.getpid() + 1) % 0xFFFFFF:06x}"

    def interrupt(_frame):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_ffmpeg(
            [marker if a.startswith("color") else a for a in ENDLESS], about="x", on_frame=interrupt
        )
    assert gone(marker)


SOURCE = ["-f", "lavfi", "-i", "testsrc2=size=64x64:duration=1"]


@pytest.mark.parametrize(
    ("arguments", "telling"),
    [
        (["-i", "file:/nowhere/clip.mp4", "-f", "null", "-"], "No such file"),
        ([*SOURCE, "-c:v", "nonsense", "-f", "null", "-"], "Unknown encoder 'nonsense'"),
        ([*SOURCE, "-vf", "nonsense", "-f", "null", "-"], "No such filter: 'nonsense'"),
        ([*SOURCE, "-vf", "crop=999:999", "-f", "null", "-"], "too big|Invalid too big"),
        ([*SOURCE, "-nonsense", "1", "-f", "null", "-"], "nonsense"),
        ([*SOURCE, "-c:v", "rawvideo", "-f", "rawvideo", "file:/dev/full"], "No space left"),
        (
            [*SOURCE, "-f", "null", "file:/nowhere/x/out.mp4", "-f", "mp4", "file:/nowhere/x"],
            "No such file",
        ),
    ],
)
def test_the_reason_is_the_telling_line(arguments, telling):
    with pytest.raises(FFmpegError, match=telling) as caught:
        run_ffmpeg(arguments, about="clip.mp4")
    assert "\n" not in str(caught.value)
    assert 0 < len(caught.value.last_lines) <= 20


def test_the_command_can_be_run_again(tmp_path):
    bad = tmp_path / "it's bad; $(x).mp4"
    bad.write_bytes(b"nothing")
    with pytest.raises(FFmpegError) as caught:
        run_ffmpeg([*input_arguments(bad, "mov"), "-f", "null", "-"], about=bad)
    line = caught.value.details().rpartition("command: ")[2]
    assert shlex.split(line) == list(caught.value.command)
    again = subprocess.run(line, shell=True, capture_output=True, text=True, check=False)
    assert again.returncode != 0
    assert "Invalid data" in again.stderr


@pytest.mark.parametrize(
    "name", ["-i.mp4", "a:b.mp4", "frame%03d.mp4", "http:x.mp4", "two\nlines 🎬.mp4", b"\xe9.mp4"]
)
def test_names_are_never_options_patterns_or_urls(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    path = film(tmp_path / os.fsdecode(name), frames=3)
    output = tmp_path / ("out" + path.name)
    run_ffmpeg(
        [*input_arguments(path.name, "mov"), "-c", "copy", output_argument(output)], about=path
    )
    assert output.stat().st_size > 500
    assert sorted(os.listdir()) == sorted([path.name, output.name])


def test_a_forced_demuxer_does_not_follow_a_playlist(tmp_path):
    film(tmp_path / "secret.mp4", frames=3)
    listed = tmp_path / "clip.mp4"
    listed.write_text("ffconcat version 1.0\nfile secret.mp4\n")
    with pytest.raises(FFmpegError):
        run_ffmpeg([*input_arguments(listed, "mov"), "-f", "null", "-"], about=listed)


def test_a_flood_of_messages_does_not_block(tmp_path):
    source = "testsrc2=size=16x16:duration=150"
    lines = run_ffmpeg(
        ["-f", "lavfi", "-i", source, "-vf", "showinfo", "-f", "null", "-"], about="x"
    )
    assert len(lines) == 2000


def test_the_executable_can_be_chosen(monkeypatch):
    assert version().startswith("ffmpeg version")
    binary.cache_clear()
    try:
        monkeypatch.setenv("MONTAGE_FFMPEG", "/nowhere/ffmpeg")
        with pytest.raises(UsageError, match="MONTAGE_FFMPEG"):
            binary()
        monkeypatch.setenv("MONTAGE_FFMPEG", "/bin/false")
        assert str(binary()) == "/bin/false"
        with pytest.raises(UsageError, match="does not run"):
            version()
        with pytest.raises(FFmpegError, match="without a message"):
            run_ffmpeg([], about="x")
    finally:
        monkeypatch.undo()
        ffmpeg.binary.cache_clear()
