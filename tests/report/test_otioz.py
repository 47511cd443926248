"""A timeline with all its media in one file, and timelines of sources that carry a timecode."""

from __future__ import annotations

import shutil
import zipfile
from dataclasses import replace
from fractions import Fraction

import opentimelineio as otio
import pytest
from click.testing import CliRunner
from made_timeline import music, on_beats
from makers import X264, film, write_wav
from test_otio import SIZE

from montage_dask.cli import cli
from montage_dask.errors import MediaError, UsageError
from montage_dask.media.probe import fingerprint, probe
from montage_dask.report.otio import media_of, read_otio, write_otio
from montage_dask.report.otioz import write_otioz
from montage_dask.report.summary import heard, run_summary
from montage_dask.store import write_json


@pytest.fixture
def made(tmp_path):
    """A folder with a timeline of real clips: two of one name, one of a hostile name, all with a timecode."""
    import numpy as np

    run = tmp_path / "m.montage"
    run.mkdir()
    sources = {}
    for number, name in enumerate(("a/clip.mov", "b/CLIP.mov", "b/100%25 #1?.mov")):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        options = ("-timecode", f"1{number}:09:42:00", "-metadata", f"title={number}")
        source, _ = probe(film(path, *X264, *options, frames=100, size="64x36"))
        assert source.timecode
        sources[source.identity] = source
    write_wav(tmp_path / "music.wav", np.zeros(22_050 * 6, np.float32))
    track = replace(music(tmp_path), path=str(tmp_path / "music.wav"))
    timeline = on_beats(sources, track, fps=Fraction(25), events=3, beats_per_event=1)
    events = tuple(replace(e, in_seconds=Fraction(1 + k, 7)) for k, e in enumerate(timeline.events))
    timeline = replace(timeline, events=events)
    write_otio(timeline, sources, track, run / "timeline.otio")
    return run, timeline, sources


def test_a_timeline_of_sources_with_a_timecode_is_read_again(made):
    run, timeline, sources = made
    assert set(media_of(run / "timeline.otio")) == {s.path for s in sources.values()}
    assert read_otio(run / "timeline.otio", sources, **SIZE) == timeline


def test_the_numbers_of_a_program_that_drops_our_metadata_are_enough(made):
    run, timeline, sources = made
    document = otio.adapters.read_from_file(str(run / "timeline.otio"))
    for clip in document.find_clips():
        clip.metadata.clear()
    otio.adapters.write_to_file(document, str(run / "other.otio"))
    read = read_otio(run / "other.otio", sources, **SIZE)
    for event, wanted in zip(read.events, timeline.events, strict=True):
        assert event.source == wanted.source
        assert abs(event.in_seconds - wanted.in_seconds) < Fraction(1, 10_000)


def test_the_bundle_holds_all_and_reads_with_opentimelineio(made, tmp_path):
    run, timeline, sources = made
    bundle = write_otioz(run / "timeline.otio")
    assert bundle == run / "timeline.otioz"
    with zipfile.ZipFile(bundle) as file:
        names = file.namelist()
        assert names[:2] == ["version.txt", "content.otio"]
        assert all(i.compress_type == zipfile.ZIP_STORED for i in file.infolist()[2:])
        assert len({n.casefold() for n in names}) == len(names) == 2 + 4
        assert str(tmp_path) not in file.read("content.otio").decode()
    place = tmp_path / "elsewhere"
    place.mkdir()
    document = otio.adapters.read_from_file(str(bundle), extract_to_directory=str(place))
    found = {}
    for clip in document.find_clips():
        path = place / otio.url_utils.filepath_from_url(clip.media_reference.target_url)
        assert path.is_file()
        found[fingerprint(path)] = str(path)
    assert set(sources) <= set(found)
    # Unpacked, it is a timeline that we render like the first.
    moved = {k: replace(s, path=found[k]) for k, s in sources.items()}
    read = read_otio(place / "content.otio", moved, **SIZE)
    assert read.events == timeline.events


def test_report_bundles_on_request(made, tmp_path):
    run, timeline, sources = made
    track = replace(music(tmp_path), path=timeline.music_path)
    ran = {
        "operations": [],
        "workers": [],
        "stages": [],
        "wall_seconds": 1.0,
        "cluster": "local",
        "versions": {},
    }
    summary = run_summary(
        timeline, sources, track, skipped=[], ran=ran, output=tmp_path / "m.mp4", run_dir=run
    )
    more = {"notes": [], "effects": [], "pictures": {}, "director": None, "placement": []}
    write_json(run / "summary.json", {**summary, **more, "heard": heard(timeline, track, [])})
    asked = CliRunner().invoke(
        cli, ["report", str(run), "--otioz"], catch_exceptions=False, standalone_mode=False
    )
    assert asked.output.splitlines() == [str(run / "report.html"), str(run / "timeline.otioz")]
    assert zipfile.is_zipfile(run / "timeline.otioz")


def test_only_media_go_into_a_bundle(made, tmp_path):
    run, _, sources = made
    [first, *_] = sources.values()
    shutil.move(first.path, tmp_path / "kept.mov")
    with pytest.raises(UsageError, match="does not exist"):
        write_otioz(run / "timeline.otio")
    (tmp_path / "a" / "clip.mov").write_text("-----BEGIN PRIVATE KEY-----")
    with pytest.raises(MediaError):
        write_otioz(run / "timeline.otio")
    assert not list(run.glob("*.otioz"))
