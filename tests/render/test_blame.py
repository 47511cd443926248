"""A clip is blamed only on proof; ffmpeg that somebody kills proves nothing."""

from __future__ import annotations

import signal
import sys
import textwrap
from fractions import Fraction
from pathlib import Path

import psutil
import pytest
from made_footage import HEIGHT, WIDTH, numbered

from montage_dask.errors import FFmpegError, FFmpegKilled, MediaError, RenderError
from montage_dask.media import ffmpeg
from montage_dask.media.encoders import encoding
from montage_dask.media.ffmpeg import binary, run_ffmpeg
from montage_dask.media.loudness import measure_loudness
from montage_dask.media.probe import probe
from montage_dask.records import Event
from montage_dask.render.segments import Segment, count_frames, render_segment
from montage_dask.render.transcode import transcode_window

SMALL = ["-f", "lavfi", "-i", "testsrc2=size=64x64:duration=1", "-f", "null", "-"]


@pytest.fixture
def wrapped(tmp_path, monkeypatch):
    """ffmpeg behind a script of ours: `wrapped(code)`, where `number` counts the encodes so far, from 1."""

    def wrap(code: str) -> Path:
        script = tmp_path / "ffmpeg"
        counter = tmp_path / "count"
        counter.write_text("")
        script.write_text(
            textwrap.dedent(f"""\
            #!{sys.executable}
            import os, signal, subprocess, sys, time
            arguments = sys.argv[1:]
            with open({str(counter)!r}, "a+") as file:
                encodes = "libx264" in arguments
                file.write("x" * encodes)
                file.flush()
                number = file.tell()
            """)
            + textwrap.dedent(code)
            + f"\nos.execv({str(binary())!r}, ['ffmpeg', *arguments])\n"
        )
        script.chmod(0o755)
        monkeypatch.setattr(ffmpeg, "binary", lambda: script)
        return counter

    return wrap


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    return [probe(numbered(folder / f"{n}.mp4", 50, gop=10)) for n in range(2)]


def two_events(clips) -> tuple[Segment, dict, dict]:
    events = tuple(
        Event(n * 10, n * 10 + 10, s.identity + str(n), 0, Fraction(n)) for n, (s, _) in enumerate(clips)
    )  # fmt: skip
    sources = {s.identity + str(n): s for n, (s, _) in enumerate(clips)}
    indexes = {s.identity + str(n): i for n, (s, i) in enumerate(clips)}
    return Segment(events, Fraction(25), WIDTH, HEIGHT), sources, indexes


def render(segment, sources, indexes, folder: Path) -> Path:
    output = folder / "segment.mp4"
    render_segment(
        segment, sources, indexes, output, fit="contain", grade="none",
        encoding=encoding("h264", "preview", crf=None, threads=1), work=folder,
    )  # fmt: skip
    return output


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("how", ["itself", "behind a shell"])
def test_a_signal_is_an_error_of_its_own(wrapped, monkeypatch, tmp_path, number, how):
    if how == "itself":
        wrapped(f"if encodes or 1: os.kill(os.getpid(), {int(number)})")
    else:
        shell = tmp_path / "shell"
        shell.write_text(f"#!/bin/sh\nsh -c 'kill -{int(number)} $$'\nexit $?\n")
        shell.chmod(0o755)
        monkeypatch.setattr(ffmpeg, "binary", lambda: shell)
    with pytest.raises(FFmpegKilled, match=number.name) as caught:
        run_ffmpeg(SMALL, about="clip.mp4")
    assert not isinstance(caught.value, MediaError)


def test_an_ffmpeg_that_was_asked_to_end_was_killed_too(tmp_path):
    """It ends by itself then, with a code of its own."""

    def end(frames: int) -> None:
        for child in psutil.Process().children() if frames else ():
            if "color=size=16x16:rate=30:color=red" in child.cmdline():
                child.terminate()

    with pytest.raises(FFmpegKilled, match="SIGTERM"):
        run_ffmpeg(
            ["-re", "-f", "lavfi", "-i", "color=size=16x16:rate=30:color=red", "-f", "null", "-"],
            about="x", on_frame=end,
        )  # fmt: skip


def test_a_crash_may_be_the_files_doing(wrapped):
    wrapped("os.kill(os.getpid(), signal.SIGSEGV)")
    with pytest.raises(FFmpegError, match=r"crashed \(SIGSEGV\)"):
        run_ffmpeg(SMALL, about="clip.mp4")


def test_sound_and_transcoding_are_killed_alike(wrapped, clips, tmp_path):
    source, index = clips[0]
    track = tmp_path / "t.wav"
    run_ffmpeg(["-f", "lavfi", "-i", "sine=duration=1", str(track)], about=track)
    wrapped("os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(FFmpegKilled):
        measure_loudness(track)
    with pytest.raises(FFmpegKilled):
        transcode_window(
            source, index, 0, 10, tmp_path / "x.mp4", size=None,
            encoding=encoding("h264", "preview", crf=None, threads=1),
        )  # fmt: skip


def test_a_killed_encoder_is_not_a_clips_fault(wrapped, clips, tmp_path):
    counter = wrapped("if number == 1: os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(FFmpegKilled):
        render(*two_events(clips), tmp_path)
    assert counter.read_text() == "x", "nobody was questioned"
    assert count_frames(render(*two_events(clips), tmp_path)) == 20


def test_what_fails_once_and_goes_well_alone_is_tried_again(wrapped, clips, tmp_path):
    counter = wrapped("if number == 1: sys.exit('[error] a cosmic ray')")
    assert count_frames(render(*two_events(clips), tmp_path)) == 20
    assert len(counter.read_text()) == 4  # itself, each alone, itself again


@pytest.mark.parametrize(
    ("code", "encodes"),
    [
        # Two together, always: each alone is well, and so is none to blame.
        ("if encodes and arguments.count('-i') > 1: sys.exit('[AVIO @ 0x1] [error] out of luck')", 4),
        # Everything, generated pictures too.
        ("if encodes: sys.exit('[AVIO @ 0x1] [error] out of luck')", 4),
    ],
)  # fmt: skip
def test_when_nobody_is_guilty_nobody_is_blamed(wrapped, clips, tmp_path, code, encodes):
    counter = wrapped(code)
    with pytest.raises(RenderError, match="no file is to blame: out of luck") as caught:
        render(*two_events(clips), tmp_path)
    assert not isinstance(caught.value, MediaError)
    assert len(counter.read_text()) == encodes
    assert [p.name for p in tmp_path.glob(".encode-*")] == []


@pytest.mark.parametrize("events", [1, 2])
def test_a_clip_that_fails_alone_is_blamed(wrapped, clips, tmp_path, events):
    """And only where the same goes well with generated pictures."""
    segment, sources, indexes = two_events(clips[-events:])
    guilty = list(sources.values())[-1].path
    wrapped(f"if encodes and {'file:' + guilty!r} in arguments: sys.exit('[h264 @ 0x1] [error] no such luck')")  # fmt: skip
    with pytest.raises(MediaError, match="no such luck") as caught:
        render(segment, sources, indexes, tmp_path)
    assert caught.value.path == guilty


def test_the_reason_is_the_error_and_not_what_stands_around_it(wrapped):
    wrapped("""
        print("Stream mapping:", file=sys.stderr)
        print("[in#0/mov @ 0x55] [error] Error opening the ring", file=sys.stderr)
        print("[info]   fade:default -> Stream #0:0 (libx264) failed to be an error", file=sys.stderr)
        print("[fatal] Conversion failed!", file=sys.stderr)
        sys.exit(1)
    """)
    with pytest.raises(FFmpegError, match="Error opening the ring"):
        run_ffmpeg(SMALL, about="x")
