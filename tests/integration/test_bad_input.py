"""Bad input: every file that cannot be used is named with its reason, the rest of the job is finished.

No file is followed to another one, and no error leaves anything half-made behind.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import threading
import wave
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from jobs import SMALL, Done, make_clip, make_track, montage

from montage_dask.media.ffmpeg import run_ffmpeg
from montage_dask.render.verify import facts
from montage_dask.report.otio import media_of

NAMES = (
    "plain.mp4", "with spaces  two.mp4", "quote'\"s`.mp4", "new\nline.mp4", "emoji 🎬 é.mp4", "-leading dash.mp4",
    "100%d %s.mp4", "colon:name.mp4", "concat:plain.mp4", "[brackets]{}*?.mp4", "$(touch hacked);&|.mp4",
)  # fmt: skip
"""Good clips with names that a careless program takes for an option, a pattern, a protocol or a command."""


def picture(number: int) -> str:
    return f"gradients=size=160x90:rate=25:speed=0.05:seed={number + 1}:nb_colors={2 + number % 6}"


def clean(done: Done) -> None:
    """Nothing that only a programmer understands."""
    assert "Traceback" not in done.stderr, done.stderr
    assert not re.search(r"montage_dask/.*Warning", done.stderr), done.stderr


def parts_below(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if ".part" in p.name]


class Listener:
    """A server on this machine that notes whether anybody called."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.calls = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.calls += 1
            connection.close()

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(scope="module")
def bad_job(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Done, Listener]]:
    """One job with every kind of bad file and every kind of odd name."""
    folder = tmp_path_factory.mktemp("bad")
    footage, secret = folder / "footage", folder / "secret"
    footage.mkdir()
    secret.mkdir()
    for number, name in enumerate(NAMES):
        make_clip(secret / "made.mp4", picture(number), 2.4)
        shutil.move(secret / "made.mp4", footage / name)
    make_clip(secret / "hidden.mp4", picture(50), 2)
    make_clip(secret / "long.mp4", "testsrc2=size=320x180:rate=25", 6)
    whole = (secret / "long.mp4").read_bytes()
    (footage / "moov missing.mp4").write_bytes(whole[: len(whole) * 6 // 10])
    run_ffmpeg(
        ["-i", str(secret / "long.mp4"), "-c", "copy", "-movflags", "+faststart", str(secret / "fast.mp4")],
        about="fast.mp4",
    )  # fmt: skip
    (footage / "moov first.mp4").write_bytes((secret / "fast.mp4").read_bytes()[: len(whole) // 2])
    (footage / "text.mp4").write_text("This is no video.\n" * 50)
    (footage / "noise.mp4").write_bytes(bytes(range(256)) * 40)
    (footage / "zero.mp4").write_bytes(b"")
    run_ffmpeg(
        ["-f", "lavfi", "-i", "sine", "-t", "1", str(footage / "sound only.mp4")], about="sound"
    )
    run_ffmpeg(
        ["-f", "lavfi", "-i", "testsrc", "-frames:v", "1", str(footage / "picture.png")],
        about="png",
    )
    shutil.copy(footage / "picture.png", footage / "picture.mp4")
    (footage / "folder.mp4").mkdir()
    os.symlink(folder / "nowhere.mp4", footage / "broken link.mp4")
    listener = Listener()
    url = f"http://127.0.0.1:{listener.port}/a.ts"
    hls = "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{}\n#EXT-X-ENDLIST\n"
    hidden = str(secret / "hidden.mp4")
    (footage / "list.m3u8").write_text(hls.format(hidden))
    (footage / "list.mp4").write_text(hls.format(hidden))
    (footage / "web.mp4").write_text(hls.format(url))
    (footage / "web.m3u8").write_text(hls.format(url))
    (footage / "concat.mp4").write_text(f"ffconcat version 1.0\nfile '{hidden}'\n")
    (footage / "sdp.mp4").write_text(
        "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nm=video 5004 RTP/AVP 96\r\n"
    )
    track = folder / "track.wav"
    make_track(track, 24)
    done = montage(
        "run", "footage", "--music", "track.wav", "-o", "-o ut%d:1.mp4", "--json", "--style", "action",
        "--allow", "all", *SMALL, cwd=folder,
    )  # fmt: skip
    yield folder, done, listener
    listener.close()


def test_the_montage_is_made_and_right(bad_job):
    folder, done, _ = bad_job
    assert done.code == 3, done.stderr
    clean(done)
    output = folder / "-o ut%d:1.mp4"
    assert done.json["output"] == str(output)
    found = facts(output)
    assert found.frames == done.json["frames"] == 24 * 25
    assert abs(found.audio_seconds - 24) < 0.05
    assert not parts_below(folder)
    assert not (folder / "hacked").exists()


REASONS = {
    "text.mp4": "text", "noise.mp4": "not media", "zero.mp4": "empty", "sound only.mp4": "sound", "picture.png": "image",
    "picture.mp4": "image", "folder.mp4": "folder", "broken link.mp4": "leads out of its folder", "moov missing.mp4": "truncated",
    "list.m3u8": "playlist", "list.mp4": "playlist", "web.mp4": "playlist", "web.m3u8": "playlist", "concat.mp4": "playlist",
    "sdp.mp4": "playlist",
}  # fmt: skip


@pytest.mark.parametrize("name", REASONS)
def test_each_bad_file_is_named_with_its_reason(bad_job, name):
    folder, done, _ = bad_job
    reasons = {s["path"]: s["reason"] for s in done.json["skipped"]}
    reason = reasons[str(folder / "footage" / name)]
    assert REASONS[name] in reason
    assert reason
    assert "\n" not in reason
    assert name in done.stderr


def test_nothing_else_is_skipped(bad_job):
    """A file whose index stands in front is used as far as it goes."""
    _, done, _ = bad_job
    assert {Path(s["path"]).name for s in done.json["skipped"]} == set(REASONS)


def test_clips_with_odd_names_are_used(bad_job):
    _, done, _ = bad_job
    used = {Path(p).name for p in media_of(Path(done.json["run_dir"]) / "timeline.otio")}
    assert used >= set(NAMES)


def test_playlists_are_not_followed(bad_job):
    _, done, listener = bad_job
    assert listener.calls == 0
    assert "hidden.mp4" not in done.stdout


def test_the_part_before_the_damage_is_used_and_no_more(bad_job):
    _, done, _ = bad_job
    timeline = json.loads((Path(done.json["run_dir"]) / "summary.json").read_text())
    used = [c for c in timeline["cuts"] if Path(c["source"]).name == "moov first.mp4"]
    assert all(c["source_seconds"] < 4 for c in used)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two clips and a short track."""
    folder = tmp_path_factory.mktemp("small")
    (folder / "clips").mkdir()
    make_clip(folder / "clips" / "a.mp4", picture(1), 3)
    make_clip(folder / "clips" / "b.mp4", picture(7), 3)
    make_track(folder / "track.wav", 4)
    return folder


def one_line(done: Done) -> str:
    """The error: a single line behind the progress."""
    clean(done)
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    return errors[0]


@pytest.mark.parametrize("where", ["clips", "clips/*.mp4", "nowhere"])
def test_an_empty_folder_a_glob_without_hits_and_a_missing_name(small, tmp_path, where):
    (tmp_path / "clips").mkdir()
    done = montage("run", where, "--music", small / "track.wav", "-o", "out.mp4", cwd=tmp_path)
    assert done.code == 1
    assert Path(where).name in one_line(done)
    assert not (tmp_path / "out.mp4").exists()


def test_only_bad_clips_make_nothing(small, tmp_path):
    (tmp_path / "text.mp4").write_text("nothing\n" * 99)
    (tmp_path / "zero.mp4").write_bytes(b"")
    done = montage(
        "run",
        "text.mp4",
        "zero.mp4",
        "--music",
        small / "track.wav",
        "-o",
        "out/out.mp4",
        cwd=tmp_path,
    )
    assert done.code == 1
    assert "text.mp4" in one_line(done)
    assert "zero.mp4" in one_line(done)
    assert not (tmp_path / "out" / "out.mp4").exists()


def test_a_clip_without_permission_is_skipped_and_named(small, tmp_path):
    shutil.copytree(small / "clips", tmp_path / "clips")
    locked, room = tmp_path / "clips" / "locked.mp4", tmp_path / "clips" / "room"
    shutil.copy(tmp_path / "clips" / "a.mp4", locked)
    locked.chmod(0)
    room.mkdir(mode=0)
    try:
        done = montage(
            "run", "clips", "--music", small / "track.wav", "-o", "out.mp4", "--json", *SMALL,
            cwd=tmp_path, ordinary_user=True,
        )  # fmt: skip
    finally:
        room.chmod(0o700)
    assert done.code == 3, done.stderr
    clean(done)
    reasons = {Path(s["path"]).name: s["reason"] for s in done.json["skipped"]}
    assert reasons.keys() == {"locked.mp4", "room"}
    assert all("permission" in r.lower() for r in reasons.values()), reasons
    assert facts(tmp_path / "out.mp4").frames == 100


def test_a_missing_output_folder_is_made(small, tmp_path):
    output = tmp_path / "not" / "yet there" / "out.mp4"
    done = montage("run", small / "clips", "--music", small / "track.wav", "-o", output, *SMALL)
    assert done.code == 0, done.stderr
    assert done.stdout.strip() == str(output)
    assert facts(output).frames == 100
    assert not parts_below(tmp_path)


def test_a_read_only_output_folder_is_found_out_before_the_work(small, tmp_path):
    tmp_path.chmod(0o500)
    try:
        done = montage(
            "run", small / "clips", "--music", small / "track.wav", "-o", tmp_path / "out.mp4", *SMALL,
            ordinary_user=True,
        )  # fmt: skip
    finally:
        tmp_path.chmod(0o700)
    assert done.code == 1
    assert str(tmp_path) in one_line(done)
    assert "permission" in one_line(done)
    assert "probe" not in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount program")
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted: {done.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_is_named_and_the_job_goes_on_when_there_is_space(small, small_disk):
    filler = small_disk / "filler"
    filler.write_bytes(b"\1" * (22 << 20))
    command = (
        "run", small / "clips", "--music", small / "track.wav", "-o", small_disk / "out.mp4", "--json",
        "--size", "640x360", "--fps", 25, "--quality", "master",
    )  # fmt: skip
    full = montage(*command)
    assert full.code == 1, (full.stderr, full.stdout)
    assert str(small_disk) in one_line(full)
    assert "full" in one_line(full)
    assert not (small_disk / "out.mp4").exists()
    assert not parts_below(small_disk)
    filler.unlink()
    again = montage(*command)
    assert again.code == 0, again.stderr
    assert facts(small_disk / "out.mp4").frames == 100
    assert sum(o["reused"] for o in again.json["operations"]) > 0
    assert not parts_below(small_disk)


def silence(time: np.ndarray) -> np.ndarray:
    return np.zeros_like(time)


def chord(time: np.ndarray) -> np.ndarray:
    return 0.2 * (np.sin(2 * np.pi * 220 * time) + np.sin(2 * np.pi * 331 * time))


def click(time: np.ndarray) -> np.ndarray:
    return np.where(np.abs(time - 0.7) < 0.01, 0.7, 0.0)


@pytest.mark.parametrize(("sound", "seconds"), [(silence, 8), (chord, 8), (click, 2)])
def test_music_that_is_silent_or_without_beat_or_very_short(small, tmp_path, sound, seconds):
    track = tmp_path / "track.wav"
    with wave.open(str(track), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(22_050)
        samples = sound(np.arange(seconds * 22_050) / 22_050)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    output = tmp_path / "out.mp4"
    done = montage("run", small / "clips", "--music", track, "-o", output, "--json", *SMALL)
    assert done.code == 0, done.stderr
    clean(done)
    found = facts(output)
    assert found.frames == done.json["frames"] == seconds * 25
    assert abs(found.audio_seconds - seconds) < 0.05
    assert done.json["tempo_confidence"] < 0.5
    edges = [0, *(c["frame"] for c in done.json["cuts"]), found.frames]
    longest = max(b - a for a, b in pairwise(edges))
    assert longest <= 3 * 25, "a clip of 3 s cannot fill more"


def test_music_that_is_no_music_names_the_file(small, tmp_path):
    (tmp_path / "words.mp3").write_text("la la la\n" * 100)
    done = montage(
        "run",
        small / "clips",
        "--music",
        tmp_path / "words.mp3",
        "-o",
        tmp_path / "out.mp4",
        *SMALL,
    )
    assert done.code == 1
    assert "words.mp3" in one_line(done)
    assert not (tmp_path / "out.mp4").exists()
