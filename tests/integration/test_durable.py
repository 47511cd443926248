"""One job at an output; names that are no UTF-8; interrupts; what killed jobs and killed programs leave."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from jobs import SMALL, Material, environment, make_clip, make_track, montage

from montage_dask.errors import InUse
from montage_dask.media.ffmpeg import binary
from montage_dask.render.verify import frames_hash
from montage_dask.store import Url, locks, writing
from montage_dask.store.locks import in_use, sweep, work_folder

JOB = (*SMALL, "--duration", "4", "--n-workers", "2")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Material:
    folder = tmp_path_factory.mktemp("tiny")
    footage = folder / "footage"
    footage.mkdir()
    make_clip(footage / "a.mp4", "testsrc2=size=160x90:rate=25", 4)
    make_clip(footage / "b.mp4", "mandelbrot=size=160x90:rate=25", 4)
    return Material(footage, folder / "t.wav", make_track(folder / "t.wav", 6))


def command(tiny: Material, output: object, *more: object) -> list[str]:
    return ["run", *map(str, (tiny.footage, "--music", tiny.music, "-o", output, *JOB, *more))]


def start(*arguments: str, **extra: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "montage_dask", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(**extra),
    )  # fmt: skip


def wait_for(path: Path) -> None:
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.02)


@pytest.fixture
def slow(tmp_path) -> dict[str, str]:
    """An ffmpeg that waits before it begins: a job that is still there."""
    script = tmp_path / "slow-ffmpeg"
    script.write_text(f'#!/bin/sh\nsleep 30\nexec {binary()} "$@"\n')
    script.chmod(0o755)
    return {"MONTAGE_FFMPEG": str(script)}


def test_the_second_job_at_an_output_is_told_who_is_there(tiny, tmp_path, slow):
    """However it names the output, and when only the run folder is the same; a killed one lets go."""
    output = tmp_path / "out.mp4"
    (tmp_path / "link").symlink_to(tmp_path)
    first = start(*command(tiny, output), **slow)
    try:
        wait_for(tmp_path / ".out.mp4.lock")
        for again in (
            command(tiny, tmp_path / "link" / "out.mp4", "--run-dir", tmp_path / "other"),
            command(tiny, tmp_path / "more.mp4", "--run-dir", tmp_path / "link" / "out.montage"),
        ):
            done = montage(*again)
            assert done.code == 1
            assert f"in use by process {first.pid} on " in done.stderr, done.stderr
            assert done.stderr.count("\n") <= 2, "no work was done"
        assert not (tmp_path / "more.mp4").exists()
    finally:
        first.kill()
        first.communicate(timeout=60)
    done = montage(*command(tiny, output))
    assert done.code == 0, done.stderr
    assert sorted(p.name for p in tmp_path.glob(".*")) == [".montage"]


def test_variants_folders_and_objects_are_taken_once(tmp_path):
    (tmp_path / "made").mkdir()
    url = Url("s3://bucket/out.mp4")
    places = [tmp_path / "out-1.mp4", tmp_path / "made", url]
    with in_use(places, tmp_path / "urls"):
        for place in places:
            with pytest.raises(InUse, match=f"process {os.getpid()}"), in_use([place], tmp_path / "urls"):  # fmt: skip
                pass
        with in_use([tmp_path / "out-2.mp4"], tmp_path / "urls"):
            pass
    with in_use(places, tmp_path / "urls"):
        pass
    assert not list(tmp_path.rglob("*.lock"))


def test_two_batches_in_one_folder(tiny, tmp_path, slow):
    made = tmp_path / "made"
    first = start("transcode", str(tiny.footage), "-o", str(made), "--quality", "preview", **slow)
    try:
        wait_for(made / ".montage.lock")
        second = montage("grade", str(tiny.footage), "-o", made, "--grade", "warm")
        assert "is in use by process" in second.stderr
    finally:
        first.kill()
        first.communicate(timeout=60)


HOLD = """
import sys, time
from pathlib import Path
from montage_dask.store import writing
from montage_dask.store.locks import work_folder
with writing(Path(sys.argv[1]) / "out.mp4") as part, work_folder("encode", Path(sys.argv[1])) as work:
    part.write_bytes(b"half")
    (work / "more").write_bytes(b"half")
    print("ready", flush=True)
    time.sleep(60)
"""


def test_what_the_dead_left_is_swept_and_what_the_living_write_is_not(tmp_path):
    mine = tmp_path / ".out.notes.part.mp4"
    mine.write_text("of somebody else")
    writer = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    writer.stdout.readline()
    under_way = sorted(tmp_path.glob(".*"))
    assert len(under_way) == 3
    sweep(tmp_path, ".*")
    assert sorted(tmp_path.glob(".*")) == under_way
    writer.kill()
    writer.wait()
    writer.stdout.close()
    sweep(tmp_path, ".*")
    assert list(tmp_path.glob(".*")) == [mine]


def test_a_job_clears_away_what_a_killed_one_left(tiny, tmp_path):
    output = tmp_path / "out.mp4"
    (tmp_path / ".montage" / "files" / "encode" / "ab").mkdir(parents=True)
    for folder in (tmp_path, tmp_path / ".montage" / "files" / "encode" / "ab"):
        killed = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE)
        assert killed.stdout is not None
        killed.stdout.readline()
        killed.kill()
        killed.wait()
        killed.stdout.close()
    assert list(tmp_path.rglob(".*.part.mp4"))
    assert montage(*command(tiny, output)).code == 0
    assert [p for p in tmp_path.rglob(".*") if p.name != ".montage"] == []


def test_a_folder_for_work_goes_with_its_block(tmp_path):
    with work_folder("encode", tmp_path) as folder:
        assert folder.is_dir()
    assert list(tmp_path.iterdir()) == []
    with writing(tmp_path / "a.txt") as part:
        part.write_text("a")
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_names_that_are_no_utf8(tiny, tmp_path):
    """Footage, folder, music and output; nothing but a programmer's matter is printed."""
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/n\xe9n"))
    folder.mkdir()
    shutil.copy(tiny.footage / "a.mp4", folder / os.fsdecode(b"caf\xe9 \xff.mp4"))
    shutil.copy(tiny.footage / "b.mp4", folder / os.fsdecode(b"\xff.mp4"))
    music = folder / os.fsdecode(b"m\xfc.wav")
    shutil.copy(tiny.music, music)
    output = folder / os.fsdecode(b"o\xf1.mp4")
    done = subprocess.run(
        [sys.executable, "-m", "montage_dask", *command(Material(folder, music, []), output, "-v", "--json")],
        capture_output=True, env=environment(), timeout=200,
    )  # fmt: skip
    said = done.stderr.decode("utf-8", "replace")
    assert done.returncode == 0, said
    assert "Traceback" not in said
    log = output.with_suffix(".montage") / "montage.log"
    assert not log.exists() or "Traceback" not in log.read_text()
    assert len(frames_hash(output)) > 10
    run = output.with_suffix(".montage")
    assert {"timeline.otio", "timeline.edl", "timeline.fcpxml", "report.html"} <= {p.name for p in run.iterdir()}  # fmt: skip
    assert montage("report", output).code == 0
    done = montage("transcode", folder, "-o", folder / "t", "--quality", "preview")
    assert done.code == 3, "the music is no video"
    assert len(list((folder / "t").glob("*.mp4"))) == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_answered_at_once_and_the_second_one_quits(tiny, tmp_path, slow, number):
    # Whoever started these tests may ignore hangups; what a child ignores from birth, it goes on ignoring.
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        job = start(*command(tiny, tmp_path / "out.mp4", "--run-dir", tmp_path / "run"), **slow)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert job.stderr is not None
    for line in job.stderr:  # until the analysis is under way
        if line.startswith("strip"):
            break
    job.send_signal(number)
    began = time.monotonic()
    line = next(line for line in job.stderr if line.strip() and "stopping" in line)
    assert "once more to quit at once" in line
    assert time.monotonic() - began < 10  # a second, on a machine that is not full
    job.send_signal(number)
    rest = job.communicate(timeout=60)[1]
    assert job.returncode == 130
    assert "Traceback" not in rest


def killed_at(tmp_path: Path, word: str) -> dict[str, str]:
    """An ffmpeg that is killed, as the system does for want of memory, the first time that a word is among its arguments."""
    script, mark = tmp_path / "ffmpeg-killed", tmp_path / f"killed-{len(word)}"
    script.write_text(
        textwrap.dedent(f"""\
        #!/bin/sh
        case "$*" in *"{word}"*) if mkdir {mark} 2>/dev/null; then kill -9 $$; fi;; esac
        exec {binary()} "$@"
        """)
    )
    script.chmod(0o755)
    return {"MONTAGE_FFMPEG": str(script)}


@pytest.mark.parametrize("word", ["libx264", "aac", "concat"])
def test_a_killed_ffmpeg_costs_a_try_and_no_clip(tiny, tmp_path, word, reference):
    done = montage(*command(tiny, tmp_path / "out.mp4"), **killed_at(tmp_path, word))
    assert done.code == 0, done.stderr
    assert "is tried again" in done.stderr
    assert "skipped" not in done.stderr
    assert frames_hash(tmp_path / "out.mp4") == reference


@pytest.fixture(scope="module")
def reference(tiny, tmp_path_factory):
    output = tmp_path_factory.mktemp("reference") / "out.mp4"
    assert montage(*command(tiny, output)).code == 0
    return frames_hash(output)


def test_an_ffmpeg_that_is_always_killed_ends_the_job_with_the_reason(tiny, tmp_path):
    script = tmp_path / "ffmpeg-killed"
    script.write_text(
        f'#!/bin/sh\ncase "$*" in *libx264*) kill -9 $$;; esac\nexec {binary()} "$@"\n'
    )
    script.chmod(0o755)
    done = montage(*command(tiny, tmp_path / "out.mp4"), MONTAGE_FFMPEG=str(script))
    assert done.code == 1
    assert "failed 3 times: ffmpeg was killed (SIGKILL): mostly for want of memory" in done.stderr
    assert "skipped" not in done.stderr
    assert not (tmp_path / "out.mp4").exists()


def test_a_store_that_is_removed_in_the_middle(tiny, tmp_path, reference):
    """What is gone is made again."""
    script, mark = tmp_path / "ffmpeg-removes", tmp_path / "removed"
    script.write_text(
        f'#!/bin/sh\ncase "$*" in *libx264*) if mkdir {mark} 2>/dev/null; then rm -rf {tmp_path}/.montage; fi;; esac\n'
        f'exec {binary()} "$@"\n'
    )
    script.chmod(0o755)
    done = montage(*command(tiny, tmp_path / "out.mp4"), MONTAGE_FFMPEG=str(script))
    assert done.code == 0, done.stderr
    assert mark.is_dir()
    assert frames_hash(tmp_path / "out.mp4") == reference


def test_a_folder_that_died_before_it_had_its_lock_is_swept(tmp_path, monkeypatch):
    """Or while it was removed. Who makes one meanwhile makes another."""
    (tmp_path / f".encode-{'ab' * 6}.work").mkdir()
    sweep(tmp_path, ".*")
    assert list(tmp_path.iterdir()) == []
    real, swept = locks.Lock, []

    def late(path: Path, **how):
        if not swept:
            swept.append(path)
            sweep(tmp_path, ".*")
        return real(path, **how)

    monkeypatch.setattr(locks, "Lock", late)
    with work_folder("encode", tmp_path) as folder:
        assert folder.is_dir()
        assert folder != swept[0].parent
        sweep(tmp_path, ".*")
        assert folder.is_dir()
    assert list(tmp_path.iterdir()) == []
