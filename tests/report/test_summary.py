from __future__ import annotations

import csv
import json
from collections import namedtuple
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import opentimelineio as otio
import pytest
from made_timeline import music, on_beats, sources_in

from montage_dask.errors import UsageError
from montage_dask.records import Shot
from montage_dask.report.summary import analysis_summary, run_summary
from montage_dask.report.tables import write_analysis

Left = namedtuple("Left", "path reason")
FPS = Fraction(30000, 1001)


def summary(tmp_path, **changes):
    sources, track = sources_in(tmp_path), music(tmp_path)
    timeline = replace(on_beats(sources, track, fps=FPS, start=Fraction(5)), **changes)
    result = run_summary(
        timeline, sources, track, skipped=[Left("/a/bad.mp4", "is empty")],
        ran={"operations": [{"name": "probe", "target": "cpu", "count": 3, "seconds": 0.5}]},
        output=tmp_path / "out.mp4", run_dir=tmp_path / "out.montage",
    )  # fmt: skip
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    return timeline, sources, result


def test_the_contract_of_run(tmp_path):
    timeline, sources, result = summary(tmp_path)
    promised = {
        "output",
        "run_dir",
        "fps",
        "frames",
        "tempo_bpm",
        "beats_seconds",
        "cuts",
        "skipped",
        "operations",
    }
    assert promised <= set(result)
    assert result["fps"] == float(FPS)
    assert Fraction(result["fps_exact"]) == FPS
    assert result["frames"] == timeline.frames
    assert result["skipped"] == [{"path": "/a/bad.mp4", "reason": "is empty"}]
    assert result["operations"] == [{"name": "probe", "target": "cpu", "count": 3, "seconds": 0.5}]
    assert len(result["cuts"]) == len(timeline.events) - 1
    for cut, event in zip(result["cuts"], timeline.events[1:], strict=True):
        assert {"frame", "time_seconds", "beat_seconds", "error_ms", "source", "reason"} <= set(cut)
        assert cut["frame"] == event.start_frame > 0
        assert cut["source"] == sources[event.source].path
        assert cut["time_seconds"] == pytest.approx(cut["frame"] / 29.97003, abs=1e-4)
        assert cut["error_ms"] == pytest.approx(
            (cut["time_seconds"] - cut["beat_seconds"]) * 1000, abs=1e-3
        )
        assert abs(cut["error_ms"]) <= 1000 / 59.94


def test_beats_count_from_the_start_of_the_output(tmp_path):
    timeline, _, result = summary(tmp_path)
    assert 0 <= result["beats_seconds"][0] < 0.5
    assert result["beats_seconds"][-1] < float(timeline.duration_seconds)
    beats = {round(b, 4) for b in result["beats_seconds"]}
    assert {round(c["beat_seconds"], 4) for c in result["cuts"]} <= beats


def test_a_cut_without_a_beat_has_null(tmp_path):
    sources, track = sources_in(tmp_path), music(tmp_path)
    events = on_beats(sources, track).events
    off = replace(events[1], beat_seconds=None)
    _, _, result = summary(tmp_path, events=(events[0], off, *events[2:]))
    assert (result["cuts"][0]["beat_seconds"], result["cuts"][0]["error_ms"]) == (None, None)


def analysed(tmp_path):
    sources, track = sources_in(tmp_path, ("=cmd.mp4", "b\nc.mp4")), music(tmp_path, seconds=10)
    shots = [
        Shot(
            key, n, 40 * n, 40 * n + 40, Fraction(8 * n, 5), Fraction(8 * n + 8, 5), 0.5, 0.5, 0.2, 0.4, 0.3, 0.8,
            (1.0,), "00ff00ff00ff00ff", 5, (0.3,) * 8, (0.8,) * 8,
        )
        for key in sources
        for n in range(2)
    ]  # fmt: skip
    return sources, analysis_summary(sources.values(), shots, [track], [], {"operations": []})


def test_the_contract_of_analyse(tmp_path):
    _, result = analysed(tmp_path)
    assert {"footage", "music", "skipped"} <= set(result)
    clip = result["footage"][0]
    assert {"path", "fps", "frames", "shots"} <= set(clip)
    assert [(s["start_frame"], s["stop_frame"]) for s in clip["shots"]] == [(0, 40), (40, 80)]
    assert [(s["start_seconds"], s["stop_seconds"]) for s in clip["shots"]] == [
        (0.0, 1.6),
        (1.6, 3.2),
    ]
    [heard] = result["music"]
    assert {
        "path",
        "tempo_bpm",
        "confidence",
        "beats_seconds",
        "downbeats_seconds",
        "sections",
    } <= set(heard)
    assert heard["downbeats_seconds"] == heard["beats_seconds"][::4]
    json.dumps(result, allow_nan=False)


def test_tables_hold_all_shots_and_beats(tmp_path):
    _, result = analysed(tmp_path)
    written = write_analysis(result, tmp_path / "all")
    assert [p.name for p in written] == ["analysis.json", "shots.csv", "beats.csv", "shots.otio"]
    assert json.loads(written[0].read_text()) == json.loads(json.dumps(result))
    shots = list(csv.DictReader(written[1].open(newline="", encoding="utf-8")))
    assert len(shots) == 4
    assert [int(s["start_frame"]) for s in shots] == [0, 40, 0, 40]
    assert all("\n" not in s["path"] for s in shots)
    beats = list(csv.DictReader(written[2].open(newline="", encoding="utf-8")))
    assert sum(int(b["downbeat"]) for b in beats) == len(result["music"][0]["downbeats_seconds"])
    document = otio.adapters.read_from_file(str(written[3]))
    clips = list(document.tracks[0])
    assert [
        (c.source_range.start_time.value, c.source_range.duration.value) for c in clips[:2]
    ] == [(0, 40), (40, 40)]


def test_a_spreadsheet_does_not_run_a_file_name(tmp_path):
    _, result = analysed(tmp_path)
    result["footage"][0]["path"] = "=HYPERLINK(1)"
    [shots, _] = write_analysis(result, tmp_path / "t.csv")
    assert "'=HYPERLINK(1)" in shots.read_text(encoding="utf-8")


def test_single_files_by_their_endings(tmp_path):
    _, result = analysed(tmp_path)
    assert write_analysis(result, tmp_path / "a.json") == [tmp_path / "a.json"]
    assert write_analysis(result, tmp_path / "a.otio") == [tmp_path / "a.otio"]
    with pytest.raises(UsageError, match=r"must end in"):
        write_analysis(result, Path(tmp_path / "a.xlsx"))
