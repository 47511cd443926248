"""Analyses as files: JSON, CSV and OTIO that programs can read, whatever the clips are called."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from fractions import Fraction

import opentimelineio as otio
import pytest
from made_timelines import HOSTILE, media, music

from montage_dask.errors import UsageError
from montage_dask.records import Shot
from montage_dask.report.summary import analysis_summary
from montage_dask.report.tables import write_analysis
from montage_dask.timecode import number_of


def shot(identity: str, index: int, start: int, stop: int, rate: Fraction) -> Shot:
    return Shot(
        identity, index, start, stop, start / rate, stop / rate, 0.5, 0.5, 0.2, 0.3, 0.1, 0.6,
        (1.0,), "0f" * 8, 10, (0.1,), (0.6,),
    )  # fmt: skip


@pytest.fixture
def result(tmp_path):
    sources = media(tmp_path)
    shots = [
        shot(k, i, 100 * i, 100 * i + 100, s.frame_rate) for k, s in sources.items() for i in (0, 1)
    ]
    return analysis_summary(sources.values(), shots, [music(tmp_path)], [], {"operations": []})


def test_json(result, tmp_path):
    (path,) = write_analysis(result, tmp_path / "a.json")
    read = json.loads(path.read_text())
    assert read == json.loads(json.dumps(result))
    footage = read["footage"][1]
    assert footage.keys() >= {"path", "fps", "frames", "shots"}
    assert footage["shots"][1]["start_frame"] == 100
    assert footage["shots"][1]["start_seconds"] == pytest.approx(100 / footage["fps"])
    track = read["music"][0]
    assert track.keys() >= {
        "path",
        "tempo_bpm",
        "confidence",
        "beats_seconds",
        "downbeats_seconds",
        "sections",
    }
    assert track["downbeats_seconds"] == track["beats_seconds"][::4]


def test_csv_has_one_line_a_shot_and_no_formulas(result, tmp_path):
    shots, beats = write_analysis(result, tmp_path / "a.csv")
    with shots.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * len(HOSTILE)
    assert len(shots.read_text("utf-8").splitlines()) == 1 + len(rows)
    assert rows[1]["start_frame"] == "100"
    assert not any(value[:1] in "=+@" for row in rows for value in row.values() if value)
    with beats.open(newline="", encoding="utf-8") as file:
        heard = list(csv.DictReader(file))
    assert [float(r["beat_seconds"]) for r in heard] == [i / 2 for i in range(40)]
    assert [r["downbeat"] for r in heard[:5]] == ["1", "0", "0", "0", "1"]


def test_relative_names_that_look_like_formulas(result, tmp_path):
    result["footage"][0]["path"] = "=HYPERLINK(1).mp4"
    shots, _ = write_analysis(result, tmp_path / "a.csv")
    with shots.open(newline="", encoding="utf-8") as file:
        assert next(csv.DictReader(file))["path"] == "'=HYPERLINK(1).mp4"


def test_otio_cuts_each_clip_into_its_shots(result, tmp_path):
    (path,) = write_analysis(result, tmp_path / "a.otio")
    found = otio.adapters.read_from_file(str(path), adapter_name="otio_json")
    clips = list(found.find_clips())
    assert len(clips) == 2 * len(HOSTILE)
    assert clips[1].source_range.start_time.value == 100
    assert clips[1].source_range.duration.value == 100


def test_otio_counts_from_the_source_timecode(tmp_path):
    sources = {
        k: replace(s, timecode="14:09:42:00", timecode_rate=s.frame_rate)
        for k, s in media(tmp_path).items()
    }
    shots = [shot(k, 0, 100, 200, s.frame_rate) for k, s in sources.items()]
    result = analysis_summary(sources.values(), shots, [], [], {"operations": []})
    assert {f["timecode"] for f in result["footage"]} == {"14:09:42:00"}
    (path,) = write_analysis(result, tmp_path / "a.otio")
    found = otio.adapters.read_from_file(str(path), adapter_name="otio_json")
    for clip, source in zip(found.find_clips(), sources.values(), strict=True):
        begin = clip.media_reference.available_range.start_time
        assert begin.value == pytest.approx(number_of("14:09:42:00", source.frame_rate))
        assert (clip.source_range.start_time - begin).value == pytest.approx(100)
        assert str(tmp_path) not in clip.media_reference.target_url  # lies below the export


def test_a_folder_gets_all_of_them(result, tmp_path):
    written = write_analysis(result, tmp_path / "all")
    assert {p.name for p in written} == {"analysis.json", "shots.csv", "beats.csv", "shots.otio"}
    assert all(p.exists() for p in written)


def test_another_ending_is_refused(result, tmp_path):
    with pytest.raises(UsageError, match=r"\.xlsx"):
        write_analysis(result, tmp_path / "a.xlsx")
