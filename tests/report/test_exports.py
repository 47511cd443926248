"""All exports of a run folder are written by one call, and the report links to them."""

from __future__ import annotations

from fractions import Fraction

from made_timeline import music, sources_in

from montage_dask.records import Event, Timeline
from montage_dask.report.exports import EXPORTS, write_exports
from montage_dask.report.html import LINKED


def test_every_export_is_written_and_linked(tmp_path):
    sources = sources_in(tmp_path)
    events = (Event(0, 50, next(iter(sources)), 0, Fraction(0)),)
    track = str(tmp_path / "music.ogg")
    timeline = Timeline(Fraction(25), 64, 36, events, track, Fraction(0), "noir", 1)
    folder = tmp_path / "run"
    write_exports(timeline, sources, music(tmp_path), folder)
    assert {p.name for p in folder.iterdir()} == set(EXPORTS)
    assert set(EXPORTS) <= set(LINKED)
