"""Effects between edit and encoding: only what the events show is made, once, and shown at the right times."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from distributed import Client, LocalCluster
from made_shake import HEIGHT, RATE, WIDTH, filmed, hand, wall

from montage_dask.graph import batch, converting
from montage_dask.graph.analysing import Analysis
from montage_dask.graph.drive import Driver
from montage_dask.graph.effects import improve
from montage_dask.graph.operation import perform
from montage_dask.graph.rendering import encode_requests
from montage_dask.graph.steadying import grid
from montage_dask.graph.survey import Clip, Settings, Survey, probe_request
from montage_dask.graph.telling import Silent
from montage_dask.job import make_job
from montage_dask.media.probe import probe
from montage_dask.records import Event, Source, Timeline, Transition, from_json
from montage_dask.render.pictures import read_pictures
from montage_dask.store import Store

CUT_FRAME, FRAMES = 130, 260
"""The first shot is held by hand, the second one stands on a tripod."""


@pytest.fixture(scope="module")
def client():
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, resources={"CPU": 1},
            dashboard_address="127.0.0.1:0",
        ) as cluster,
        Client(cluster) as connected,
    ):  # fmt: skip
        yield connected


@pytest.fixture(scope="module")
def footage(tmp_path_factory):
    poses = np.concatenate([hand(CUT_FRAME), np.zeros((FRAMES - CUT_FRAME, 4))])
    # The second shot is of another wall, in negative: a cut that nobody can miss.
    walls = {CUT_FRAME: 255 - np.sqrt(wall(seed=9) * 255)}
    return filmed(tmp_path_factory.mktemp("footage") / "two shots.mp4", poses, walls=walls)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture
def driver(client, store):
    return Driver(client, store, Silent())


def job_of(footage, **options):
    given = {"footage": [str(footage)], "music": "none.wav", "size": f"{WIDTH}x{HEIGHT}"}
    usual = {"fps": "25", "quality": "high", "stabilise": "auto"}
    return make_job(given | usual | options)


def surveyed(driver, job, footage):
    request = probe_request(footage)
    source = from_json(Source, perform(request, driver.store)["source"])
    index = driver.store.file("probe", request.key, ".npz")
    survey = Survey(clips={source.identity: Clip(source, index)})
    Analysis(driver, Settings.of(job.settings), survey).run([])
    assert [s.start_frame for s in survey.shots] == [0, CUT_FRAME]
    return survey, source


def timeline_of(source, events):
    """Events of (in_seconds, output frames, transition frames) after another."""
    made, at = [], 0
    for begin, frames, transition in events:
        kind = Transition("crossfade", transition) if transition else Transition("cut", 0)
        made.append(Event(at, at + frames, source.identity, 0, Fraction(begin), transition=kind))
        at += frames
    return Timeline(RATE, WIDTH, HEIGHT, tuple(made), "none.wav", Fraction(0), "s", 0)


def encoded(driver, job, timeline, survey):
    """The pictures of a timeline as it is encoded, and the keys of its segments."""
    improved = improve(job, driver, survey, timeline)
    luma, keys = [], []
    for _, request in encode_requests(job, improved.timeline, survey.clips, improved.stand_ins):
        perform(request, driver.store)
        source, index = probe(driver.store.file("encode", request.key, ".mp4"))
        luma += [p.y.copy() for p in read_pictures(source, index, 0, len(index))]
        keys.append(request.key)
    return luma, keys, improved


def fast_movement(luma):
    from montage_dask.analysis.motion import motion_between
    from montage_dask.analysis.steady import path_of, shake_percent

    moves = [np.zeros(5)] + [motion_between(a, b) for a, b in pairwise(luma)]
    return shake_percent(path_of(np.array(moves)), RATE, HEIGHT / WIDTH)


def test_a_grid_does_not_depend_on_the_part():
    whole = list(grid(0, 1000, 100))
    assert list(grid(200, 500, 100)) == whole[2:5]
    assert list(grid(130, 260, 100)) == [(130, 200), (200, 260)]


def test_only_the_shot_that_shakes_is_replaced(driver, footage):
    job = job_of(footage)
    survey, source = surveyed(driver, job, footage)
    # From the middle of the first shot; from the second one; and the first again, up to its end.
    timeline = timeline_of(source, [("1.6", 50, 0), ("7", 40, 0), ("3.2", 45, 0)])
    luma, _, improved = encoded(driver, job, timeline, survey)
    ours = [e.source in improved.stand_ins for e in improved.timeline.events]
    assert ours == [True, False, True]
    assert [(e["applied"], e["start_seconds"]) for e in improved.told] == [
        (True, 0.0),
        (False, 5.2),
    ]
    plain, _, none = encoded(driver, job_of(footage, stabilise="off"), timeline, survey)
    assert none.timeline == timeline
    assert none.told == []
    assert len(luma) == len(plain) == timeline.frames
    assert np.mean([np.abs(a - b.astype(float)).mean() for a, b in zip(luma, plain)][50:90]) < 0.1  # noqa: B905
    for start, stop in ((0, 50), (90, 135)):
        assert fast_movement(plain[start:stop]) > 0.7
        assert fast_movement(luma[start:stop]) < 0.2 * fast_movement(plain[start:stop])


def test_another_edit_reuses_the_pieces(driver, footage):
    job = job_of(footage)
    survey, source = surveyed(driver, job, footage)
    encoded(driver, job, timeline_of(source, [("1.6", 50, 0), ("3.2", 45, 0)]), survey)
    fresh = Driver(driver.client, driver.store, Silent())
    _, _, improved = encoded(fresh, job, timeline_of(source, [("2", 70, 0)]), survey)
    assert len(improved.stand_ins) == 1
    made = {row["name"]: row["count"] for row in fresh.tally.rows()}
    del made["tremor"]  # of another part of the shot
    assert made == {"motion": 0, "path": 0, "stabilise": 0}


def test_a_steady_shot_is_looked_at_only_where_it_is_shown(driver, footage, monkeypatch):
    from montage_dask.graph import effects, steadying

    for module in (effects, steadying):
        monkeypatch.setattr(module, "MOTION_FRAMES", 20)
    job = job_of(footage)
    survey, source = surveyed(driver, job, footage)
    timeline = timeline_of(source, [("6.48", 12, 0)])
    fresh = Driver(driver.client, driver.store, Silent())
    _, _, improved = encoded(fresh, job, timeline, survey)
    assert not improved.stand_ins
    # On the strip alone.
    assert {r["name"] for r in fresh.tally.rows()} == {"tremor"}
    # Its piece is 130…200 of 130…260; with what is looked at around it, it touches all windows but the last.
    monkeypatch.setattr("montage_dask.analysis.tremor.STEADY_PERCENT", 0)
    _, _, improved = encoded(fresh, job, timeline, survey)
    assert not improved.stand_ins
    assert sum(r["count"] for r in fresh.tally.rows() if r["name"] == "motion") == 6


def test_transitions_and_pieces_of_both_kinds(driver, footage):
    job = job_of(footage)
    survey, source = surveyed(driver, job, footage)
    # The second event begins in the shaking shot while it fades in, and goes on over the cut.
    timeline = timeline_of(source, [("0.4", 30, 0), ("4.4", 60, 10)])
    luma, _, improved = encoded(driver, job, timeline, survey)
    assert len(luma) == 90
    assert all(e.source in improved.stand_ins for e in improved.timeline.events)
    runs = [s["pieces"] for s in improved.stand_ins.values()]
    assert [len(r) for r in runs] == [1, 2]
    # Behind the cut, which is in the middle of the second event, the pictures are those of the source.
    plain, _, _ = encoded(driver, job_of(footage, stabilise="off"), timeline, survey)
    behind = 30 + CUT_FRAME - 110
    assert len(plain) == 90
    for n in range(behind, 90):
        assert np.abs(luma[n].astype(float) - plain[n]).mean() < 1
    assert np.abs(luma[behind - 1].astype(float) - plain[behind - 1]).mean() > 3


def test_many_files_by_the_batch_job(driver, footage, tmp_path):
    how = converting.Transcoding("h264", "high", None, None, "none", 100, 1)
    settings = Settings.of(job_of(footage).settings)
    written = batch.stabilise(driver, settings, [str(footage)], tmp_path / "out", how)
    (output,) = written.outputs
    assert [s["applied"] for s in output["shots"]] == [True, False]
    source, index = probe(output["output"])
    assert source.frames == FRAMES
    assert source.constant_frame_rate
    assert source.frame_rate == RATE
    before, after = (
        [p.y.copy() for p in read_pictures(*opened, 0, CUT_FRAME)]
        for opened in (probe(footage), (source, index))
    )
    assert fast_movement(after) < 0.2 * fast_movement(before)
    again = Driver(driver.client, driver.store, Silent())
    batch.stabilise(again, settings, [str(footage)], tmp_path / "out", how)
    assert all(row["count"] == 0 for row in again.tally.rows())
