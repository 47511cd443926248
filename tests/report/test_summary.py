"""The JSON contract of `run`: cuts, beats and errors agree."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction

import pytest
from made_timelines import media, music, timeline

from montage_dask.media.discover import Skipped
from montage_dask.report.summary import cuts_of, run_summary


def test_the_object_is_json_and_has_what_is_promised(tmp_path):
    made = timeline(tmp_path, [50, 25, 75], Fraction(30000, 1001))
    result = run_summary(
        made, media(tmp_path), music(tmp_path), skipped=[Skipped("a\nb", "is odd")], output=tmp_path / "o.mp4",
        run_dir=tmp_path / "r", operations=[{"name": "encode", "target": "cpu", "count": 1, "seconds": 0.5}],
    )  # fmt: skip
    read = json.loads(json.dumps(result, allow_nan=False))
    assert read.keys() >= {
        "output", "run_dir", "fps", "frames", "tempo_bpm", "beats_seconds", "cuts", "skipped", "operations",
    }  # fmt: skip
    assert read["frames"] == 150
    assert read["fps"] == pytest.approx(30000 / 1001)
    assert read["fps_exact"] == "30000/1001"
    assert read["skipped"] == [{"path": "a\nb", "reason": "is odd"}]
    assert read["beats_seconds"] == [i / 2 for i in range(9)], "from the start of the output"


def test_the_first_event_is_no_cut_and_errors_are_late_when_positive(tmp_path):
    made = timeline(tmp_path, [50, 25, 75])
    late = replace(made.events[1], beat_seconds=Fraction(2) + Fraction(1, 2) - Fraction(1, 100))
    free = replace(made.events[2], beat_seconds=None)
    cuts = cuts_of(replace(made, events=(made.events[0], late, free)), media(tmp_path))
    assert [c["frame"] for c in cuts] == [50, 75]
    assert cuts[0]["error_ms"] == pytest.approx(10)
    assert cuts[0]["error_ms"] == pytest.approx(
        (cuts[0]["time_seconds"] - cuts[0]["beat_seconds"]) * 1000
    )
    assert cuts[1]["beat_seconds"] is None
    assert cuts[1]["error_ms"] is None
