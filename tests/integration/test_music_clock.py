"""Whole montages to music whose clock jumps or whose format changes, and to what has no beat: what the finished file holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from jobs import SMALL, Material, make_track, montage

from montage_dask.media.ffmpeg import run_ffmpeg

RATE = 48_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clocks")


def stamped(folder: Path, name: str, stamps: str, *codec: str) -> Path:
    wav, path = folder / "track.wav", folder / name
    frames = f"asetnsamples=1024,asetpts='{stamps}'"
    run_ffmpeg(["-i", str(wav), *codec, "-af", frames, str(path)], about=path)
    return path


def joined(folder: Path, name: str, *options: list[str]) -> Path:
    """The track in parts of other formats, one file behind the other."""
    parts = []
    for number, extra in enumerate(options):
        part = folder / f"part{number}-{name}"
        cut = ["-ss", str(6 * number), "-t", "6", "-i", str(folder / "track.wav")]
        run_ffmpeg([*cut, *extra, str(part)], about=part)
        parts.append(part.read_bytes())
    path = folder / name
    path.write_bytes(b"".join(parts))
    return path


def clicks(path: Path) -> np.ndarray:
    """Where the kicks of the track begin in a finished file, in seconds, as a player plays it."""
    raw = path.with_suffix(".raw")
    run_ffmpeg(["-i", str(path), "-f", "f32le", "-ac", "1", "-ar", str(RATE), str(raw)], about=path)
    sound = np.fromfile(raw, np.float32)
    level = np.sqrt(np.convolve(sound**2, np.full(480, 1 / 480), "full")[: len(sound)])
    rise = level[480:] - level[:-480]
    loud = rise > 0.5 * np.percentile(rise, 99.5)
    begins = np.flatnonzero(loud[1:] & ~loud[:-1]) / RATE + 0.01
    return begins[np.concatenate([[True], np.diff(begins) > 0.15])]


KINDS = {
    "a gap of 80 ms": lambda f: stamped(f, "a.mka", "PTS+if(gte(T,5),0.08/TB,0)", "-c:a", "flac"),
    "a gap of 90 s": lambda f: stamped(f, "b.mka", "PTS+if(gte(T,5),90/TB,0)", "-c:a", "flac"),
    "a gap in TS": lambda f: stamped(f, "c.ts", "PTS+if(gte(T,5),12/TB,0)", "-c:a", "aac"),
    "joined MP3": lambda f: joined(
        f, "d.mp3", ["-ac", "2", "-b:a", "128k"], ["-ar", "22050", "-b:a", "64k"]
    ),
    "a chain": lambda f: joined(
        f, "e.ogg", ["-c:a", "libopus"], ["-c:a", "flac", "-ar", "44100", "-f", "ogg"]
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_clicks_lie_under_the_cuts(material: Material, folder: Path, kind: str):
    """To half a frame, measured in the file: the montage plays what the analysis heard."""
    beats = np.array(make_track(folder / "track.wav"))
    late = np.median([np.abs(clicks(folder / "track.wav") - b).min() for b in beats[1:]])
    output = folder / f"{kind.replace(' ', '-')}.mp4"
    done = montage(
        "run", material.footage / "a stars.mp4", material.footage / "e bars.mp4", "--music", KINDS[kind](folder),
        "-o", output, "--json", "--allow", "all", *SMALL, "--start", "3", "--transition", "cut", "--store", folder / "store",
    )  # fmt: skip
    assert done.code == 0, done.stderr
    result = done.json
    assert result["duration_seconds"] == pytest.approx(9, abs=0.3), "some of the music was lost"
    found = clicks(output) - late
    assert len(found) >= 16
    cuts = [c["time_seconds"] for c in result["cuts"] if c["error_ms"] is not None]
    assert len(cuts) >= 3
    assert cuts[-1] > 5
    off = [float(np.abs(found - c).min()) for c in cuts]
    assert max(off) <= 0.5 / 25 + 0.005, off  # and how exactly a beat, and a click, can be found


def test_a_grid_is_never_called_a_beat(material: Material, folder: Path):
    """Noise that swells irregularly: run, plan and report say that there is no beat, and none says how near the cuts are."""
    random = np.random.default_rng(3)
    swell = np.interp(
        np.arange(RATE * 10), np.arange(0, RATE * 10, 9_000), random.uniform(0.1, 1, 54)[:54]
    )
    wav = folder / "noise.f32"
    (0.2 * swell * random.normal(0, 1, len(swell))).astype("<f4").tofile(wav)
    music = folder / "noise.flac"
    run_ffmpeg(
        ["-f", "f32le", "-ar", str(RATE), "-ac", "1", "-i", str(wav), str(music)], about=music
    )
    output = folder / "grid.mp4"
    given = (
        material.footage / "a stars.mp4", material.footage / "e bars.mp4", "--music", music, "-o", output,
        *SMALL, "--store", folder / "store",
    )  # fmt: skip
    done = montage("run", *given)
    assert done.code == 0, done.stderr
    assert "no beat was found: a grid of 120 BPM is used instead" in done.stderr
    assert "off their beats" not in done.stderr
    again = montage("run", *given, "--json")
    result = again.json
    assert len(result["cuts"]) >= 3
    assert (
        {c["error_ms"] for c in result["cuts"]}
        == {c["beat_seconds"] for c in result["cuts"]}
        == {None}
    )
    assert result["beats_seconds"] == result["heard"]["downbeats_seconds"] == []
    report = (Path(result["run_dir"]) / "report.html").read_text()
    assert "<b>no beat</b>" in report
    assert "at most" not in report.split("<section")[0]
    assert "a grid of 120 BPM" in montage("plan", *given).stdout.replace("\n", " ")
    assert "a grid of 120 BPM" in montage("analyse", music, "--store", folder / "store").stderr
