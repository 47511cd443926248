"""The main promise: footage and music in, a montage out, every cut on its beat – by the command, as a user runs it."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import av
import pytest
from jobs import SMALL, Done, Material, montage

from montage_dask.render.verify import facts, find_cuts, frames_hash


@pytest.fixture(scope="module")
def first(material: Material, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Done]:
    folder = tmp_path_factory.mktemp("first")
    output = folder / "out.mp4"
    done = montage(
        "run", material.footage, "--music", material.music, "-o", output, "--json", *SMALL,
        "--transition", "cut",
    )  # fmt: skip
    assert done.code == 0, done.stderr
    return output, done


def test_it_plays_with_exact_frames_and_sound_in_step(first):
    output, done = first
    result = done.json
    found = facts(output)
    assert found.frames == result["frames"] == 12 * 25
    assert found.fps == 25
    assert found.start_seconds == found.audio_start_seconds == 0
    assert abs(found.audio_seconds - 12) < 0.05
    with av.open(str(output)) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (192, 108)


def test_the_json_contract(first):
    output, done = first
    result = done.json
    assert result["output"] == str(output)
    assert Path(result["run_dir"]).is_dir()
    assert result["fps"] == 25
    assert result["tempo_bpm"] == pytest.approx(120, abs=1)
    assert len(result["beats_seconds"]) >= 22
    for cut in result["cuts"]:
        assert cut.keys() >= {
            "frame",
            "time_seconds",
            "beat_seconds",
            "error_ms",
            "source",
            "reason",
        }
        assert cut["time_seconds"] == pytest.approx(cut["frame"] / 25)
        assert cut["reason"]
        assert Path(cut["source"]).exists()
        expected = (cut["time_seconds"] - cut["beat_seconds"]) * 1000
        assert cut["error_ms"] == pytest.approx(expected, abs=0.01)
    assert {o["name"] for o in result["operations"]} >= {
        "probe",
        "strip",
        "shots",
        "beats",
        "encode",
        "audio",
        "assemble",
    }
    assert all(o["target"] == "cpu" and o["count"] >= 1 for o in result["operations"])
    assert result["skipped"] == []


def test_every_cut_is_on_its_beat(first, material):
    """Half a frame from the beat that was used, and near a true beat."""
    _, done = first
    cuts = done.json["cuts"]
    assert len(cuts) >= 4
    assert all(abs(c["error_ms"]) <= 20.001 for c in cuts)
    near = [min(abs(c["time_seconds"] - b) for b in material.beats) for c in cuts]
    assert sum(n <= 0.035 for n in near) >= 0.95 * len(near)


def test_the_cuts_are_in_the_file(first):
    """Found again by a detector that shares no code with the analysis."""
    output, done = first
    seen = find_cuts(output)
    promised = [c["frame"] for c in done.json["cuts"]]
    found = [p for p in promised if p in seen]
    assert len(found) >= 0.75 * len(promised), (
        promised,
        seen,
    )  # a cut between like pictures cannot be seen


def test_what_stands_in_the_run_folder(first):
    _, done = first
    folder = Path(done.json["run_dir"])
    names = {p.name for p in folder.iterdir()}
    assert names >= {
        "timeline.otio", "timeline.edl", "timeline.fcpxml", "timeline.xml", "summary.json", "contact_sheet.jpg", "timeline.png",
        "report.html", "progress.json",
    }  # fmt: skip
    assert json.loads((folder / "summary.json").read_text())["cuts"] == done.json["cuts"]


def test_the_report_tells_the_run_and_is_made_again(first):
    output, done = first
    result = done.json
    report = Path(result["run_dir"]) / "report.html"
    text = report.read_text(encoding="utf-8")
    assert text.count("<img ") == 1
    assert text.count('<figure class="shot">') == len(result["cuts"]) + 1
    assert text.count('<tr id="e') == len(result["cuts"]) + 1
    assert 'class="wave"' in text
    assert result["command"].endswith(str(Path(result["opening"]["source"]).parent))
    assert "skipped</h2>" not in text
    report.unlink()
    again = montage("report", output)
    assert (again.code, again.stdout.strip()) == (0, str(report))
    assert report.read_text(encoding="utf-8") == text
    followed = montage("status", output)
    assert (followed.code, followed.stdout.split(" after ")[0]) == (0, "finished")


def test_progress_goes_to_stderr_only(first):
    _, done = first
    assert "encode" in done.stderr
    json.loads(done.stdout)


def test_running_again_does_nothing_again(first):
    """By the command that the summary tells."""
    output, done = first
    before = output.stat().st_mtime_ns
    # What the tests set for all their runs (see `jobs.environment`) is part of it.
    settings, *words = shlex.split(done.json["command"])
    assert settings == "DASK_MONTAGE__PERFORMANCE_REPORT=false"
    assert words[:4] == ["python", "-m", "montage_dask", "run"]
    again = montage("run", "--json", *words[4:], cwd=done.json["folder"])
    assert again.code == 0
    assert sum(o["count"] for o in again.json["operations"]) == 0
    assert output.stat().st_mtime_ns == before
    assert again.json["cuts"] == done.json["cuts"]


def test_a_changed_option_recomputes_only_what_depends_on_it(first, material, tmp_path):
    output, _ = first
    done = montage(
        "run", material.footage, "--music", material.music, "-o", output.with_name("other.mp4"), "--json", *SMALL,
        "--transition", "cut", "--grade", "noir",
    )  # fmt: skip
    assert done.code == 0
    ran = {o["name"] for o in done.json["operations"] if o["count"]}
    assert ran == {"encode", "guard", "assemble", "pictures"}


def test_the_timeline_rendered_back_gives_the_same_video(first, tmp_path):
    output, done = first
    timeline = Path(done.json["run_dir"]) / "timeline.otio"
    copy = tmp_path / "edited.otio"
    shutil.copy(timeline, copy)
    back = montage(
        "run",
        "--from-timeline",
        copy,
        "-o",
        tmp_path / "back.mp4",
        "--quality",
        "preview",
        "--json",
    )
    assert back.code == 0, back.stderr
    assert frames_hash(tmp_path / "back.mp4") == frames_hash(output)
    assert [c["frame"] for c in back.json["cuts"]] == [c["frame"] for c in done.json["cuts"]]


def test_variants_differ(material, tmp_path):
    done = montage(
        "run", material.footage, "--music", material.music, "-o", tmp_path / "v.mp4", "--variants", 2,
        "--duration", 4, "--json", *SMALL,
    )  # fmt: skip
    assert done.code == 0, done.stderr
    a, b = done.json["variants"]
    assert Path(a["output"]).exists()
    assert Path(b["output"]).exists()
    assert all((Path(v["run_dir"]) / "report.html").exists() for v in (a, b))
    assert frames_hash(Path(a["output"])) != frames_hash(Path(b["output"]))


def test_a_job_file(material, tmp_path):
    for name in ("a stars.mp4", "b mandel.mp4"):
        shutil.copy(material.footage / name, tmp_path / name)
    shutil.copy(material.music, tmp_path / "track.wav")
    job = tmp_path / "job.yaml"
    job.write_text(
        'footage: ["*.mp4"]\nmusic: track.wav\noutput: out.mp4\nsize: 192x108\nfps: 30000/1001\n'
        "quality: preview\nduration: 3\nstyle: travel\n"
    )
    done = montage("run", job, "--json", "--seed", 5)
    assert done.code == 0, done.stderr
    assert done.json["seed"] == 5
    assert done.json["style"] == "travel"
    assert done.json["fps_exact"] == "30000/1001"
    assert (tmp_path / "out.mp4").exists()
