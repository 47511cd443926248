"""Upscaling as a job: in pieces, resumed, its time said before it begins, and from a GPU that fails to a CPU."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from distributed import Client, LocalCluster
from makers import film, network_file

from montage_dask.config import resolve
from montage_dask.errors import TargetFailed, UsageError
from montage_dask.graph import batch, converting
from montage_dask.graph import operation as room
from montage_dask.graph.drive import Driver
from montage_dask.graph.operation import Operation, Request, register
from montage_dask.graph.placement import Capacity, Placement
from montage_dask.graph.survey import Settings
from montage_dask.graph.telling import Silent
from montage_dask.graph.upscaling import PIECE_FRAMES, spoken, too_large, upscaling
from montage_dask.media.index import FrameIndex
from montage_dask.media.probe import probe
from montage_dask.render.pictures import read_pictures
from montage_dask.store import Store


class Told(Silent):
    """Remembers what people were told, in order."""

    def __init__(self):
        self.said = []

    def note(self, message):
        self.said.append(message)

    def stage(self, name, total, unit=""):
        self.said.append(f"stage {name} {total}")


@pytest.fixture(scope="module")
def client():
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, resources={"CPU": 1, "GPU": 1},
            dashboard_address="127.0.0.1:0",
        ) as cluster,
        Client(cluster) as connected,
    ):  # fmt: skip
        yield connected


@pytest.fixture
def driver(client, tmp_path):
    return Driver(client, Store(tmp_path / "store"), Told())


@pytest.fixture
def model(tmp_path):
    return str(network_file(tmp_path / "own.pth"))


HOW = converting.Transcoding(
    codec="h264", quality="preview", crf=None, size=None, audio="copy", window_frames=1500, encoder_threads=1
)  # fmt: skip


def run(driver, files, folder, model, limit_minutes=None, scale=2, target="cpu"):
    settings = resolve({"placement": {"upscale": target}})
    return batch.upscale(
        driver, Settings.of(settings), [str(f) for f in files], folder, HOW,
        upscaling(model, scale, memory_limit_mb=4096), limit_minutes,
    )  # fmt: skip


def test_files_are_enlarged_in_pieces_and_what_is_done_stays(driver, tmp_path, model):
    frames = PIECE_FRAMES + 20
    small = film(tmp_path / "small.mp4", frames=frames, size="64x36", sound=True)
    written = run(driver, [small], tmp_path / "large", model)
    (made,) = written.outputs
    assert made["frames"] == frames
    before, after = probe(small)[0], probe(made["output"])[0]
    assert (after.width, after.height) == (128, 72)
    assert (after.frames, after.frame_rate) == (before.frames, before.frame_rate)
    assert after.audio is not None
    said = driver.progress.people.said
    estimate = next(n for n, s in enumerate(said) if "2× by own.pth" in s)
    assert estimate < said.index("stage upscale 2")
    assert driver.tally.counts["upscale", "cpu"] == 2
    assert written.expected_seconds > 0

    first = (tmp_path / "large/small.mp4").read_bytes()
    piece = sorted((driver.store.root / "records/upscale").rglob("*.json"))[0]
    piece.unlink()
    (tmp_path / "large/small.mp4").unlink()
    run(driver, [small], tmp_path / "large", model)
    assert driver.tally.counts["upscale", "cpu"] == 3
    assert (tmp_path / "large/small.mp4").read_bytes() == first
    # Nothing is left to do: nothing to measure, and no limit matters.
    assert run(driver, [small], tmp_path / "large", model, limit_minutes=0).expected_seconds == 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a GPU")
def test_a_worker_that_only_says_it_has_a_gpu(driver, tmp_path, model):
    """CUDA is absent: the estimate and every piece go on with the CPU."""
    small = film(tmp_path / "small.mp4", frames=PIECE_FRAMES + 20, size="64x36")
    written = run(driver, [small], tmp_path / "large", model, target="gpu")
    assert written.outputs[0]["frames"] == PIECE_FRAMES + 20
    assert driver.tally.counts["upscale", "cpu"] == 2
    said = driver.progress.people.said
    assert any("1 cpu slot takes about" in s for s in said)
    assert any("goes on with cpu: no CUDA device" in s for s in said)


def test_what_takes_too_long_is_not_begun(driver, tmp_path, model):
    small = film(tmp_path / "small.mp4", frames=30, size="64x36")
    with pytest.raises(
        UsageError, match=r"takes about .* more than upscale-limit-minutes = 0: say --yes"
    ):
        run(driver, [small], tmp_path / "large", model, limit_minutes=0)
    assert not driver.tally.counts["upscale", "cpu"]
    assert not list((tmp_path / "large").glob("*"))


def test_what_would_be_too_large_is_skipped(driver, tmp_path, model):
    small = film(tmp_path / "small.mp4", frames=5, size="64x36")
    wide = film(tmp_path / "wide.mp4", frames=2, size="2400x16")
    written = run(driver, [small, wide], tmp_path / "large", model, scale=4)
    (skipped,) = written.survey.skipped
    assert skipped.path == str(wide)
    assert "9600×64" in skipped.reason
    assert probe(written.outputs[0]["output"])[0].width == 256


def test_the_largest_side(tmp_path):
    source, _ = probe(film(tmp_path / "wide.mp4", frames=2, size="4096x16"))
    assert too_large(source, 2) is None
    assert "more than 8192" in too_large(source, 4)


def test_the_model_must_be_one(tmp_path):
    with pytest.raises(UsageError, match=r"must be fidelity, detail or a \.pth file"):
        upscaling("best", 2, memory_limit_mb=4096)
    assert upscaling("detail", 2, memory_limit_mb=4096).identity == "detail"


def test_the_same_network_is_the_same_work_wherever_it_stands(tmp_path, model):
    (tmp_path / "other").mkdir()
    again = shutil.copy(model, tmp_path / "other" / "name.pth")
    one, other = (upscaling(m, 2, memory_limit_mb=4096) for m in (model, str(again)))
    assert one.identity == other.identity
    assert one.model != other.model


def test_a_mezzanine_keeps_the_times_of_its_source(driver, tmp_path, model):
    """Two effects in turn: what the first made is enlarged, and stands at the same times."""
    from montage_dask.graph.operation import perform
    from montage_dask.graph.survey import Clip
    from montage_dask.graph.upscaling import upscale_request
    from montage_dask.render.mezzanine import mezzanine_source
    from montage_dask.render.pictures import write_pictures

    small = film(tmp_path / "small.mp4", frames=40, size="64x36")
    source, index = probe(small)
    index.save(tmp_path / "index.npz")
    middle = tmp_path / "middle.mp4"
    write_pictures(source, index, 10, 30, middle, transform=lambda p: p, size=(64, 36))
    clip = Clip(source, tmp_path / "index.npz")
    how = upscaling(model, 2, memory_limit_mb=4096)
    request = upscale_request(clip, 10, 30, how, before=("key", middle))
    record = perform(request, driver.store)
    assert (record["start_frame"], record["frames"]) == (10, 20)
    made = driver.store.file("upscale", request.key, ".mp4")
    large, own = mezzanine_source(source, index, made, 10, identity="made")
    assert (large.width, large.height) == (128, 72)
    assert own.time_seconds(5) == index.time_seconds(15) - index.time_seconds(10)
    # The matrix that was guessed by the small size is told now.
    assert large.color_space == "smpte170m"
    direct = upscale_request(clip, 10, 30, how)
    assert direct.key != request.key
    perform(direct, driver.store)
    same, same_index = mezzanine_source(
        source, index, driver.store.file("upscale", direct.key, ".mp4"), 10, identity="made"
    )
    for a, b in zip(
        read_pictures(large, own, 0, 20), read_pictures(same, same_index, 0, 20), strict=True
    ):
        assert np.abs(a.y.astype(int) - b.y).mean() < 3


def montage_of(tmp_path, driver, model, mode, limit_minutes=30):
    """The effects of a montage of 128×72 that shows a small clip twice and a large one once."""
    from fractions import Fraction

    from montage_dask.graph.effects import improve
    from montage_dask.graph.survey import Clip, Survey
    from montage_dask.job import make_job
    from montage_dask.records import Event, Timeline

    clips = {}
    for name, size in (("small", "64x36"), ("large", "128x72")):
        path = tmp_path / f"{name}.mp4"
        source, index = probe(path if path.exists() else film(path, frames=120, size=size))
        index.save(tmp_path / f"{name}.npz")
        clips[source.identity] = Clip(source, tmp_path / f"{name}.npz")
    small, large = clips
    job = make_job(
        {
            "footage": [str(tmp_path)], "music": str(tmp_path / "music.wav"), "output": str(tmp_path / "out.mp4"),
            "size": "128x72", "stabilise": "off", "upscale": mode, "upscale-model": model,
            "upscale-limit-minutes": limit_minutes, "placement": {"upscale": "cpu"},
        }
    )  # fmt: skip
    shown = [(small, 0), (large, 1), (small, 2)]
    events = tuple(
        Event(20 * n, 20 * n + 20, identity, 0, Fraction(second))
        for n, (identity, second) in enumerate(shown)
    )
    timeline = Timeline(Fraction(25), 128, 72, events, job.music, Fraction(0), "sport", 0)
    return improve(job, driver, Survey(clips=clips), timeline), timeline


def test_small_footage_of_a_montage_is_enlarged(driver, tmp_path, model):
    from montage_dask.render.mezzanine import stand_ins

    improved, timeline = montage_of(tmp_path, driver, model, "on")
    (told,) = improved.told
    assert told["applied"]
    assert told["reason"] == "64×36 in 128×72: 2× by own.pth"
    first, second, third = improved.timeline.events
    assert second == timeline.events[1]
    with stand_ins(improved.stand_ins, tmp_path) as made:
        for event, given in ((first, timeline.events[0]), (third, timeline.events[2])):
            source, index = made[event.source]
            assert (source.width, source.height) == (128, 72)
            # The same frames are shown.
            footage = FrameIndex.load(tmp_path / "small.npz")
            begin = improved.stand_ins[event.source]["start_frame"]
            wanted = footage.frame_at(given.in_seconds)
            assert begin + index.frame_at(event.in_seconds) == wanted
    again, _ = montage_of(tmp_path, driver, model, "on")
    assert again.stand_ins.keys() == improved.stand_ins.keys()
    assert driver.tally.reused["upscale"] == sum(
        len(s["pieces"]) for s in improved.stand_ins.values()
    )


def test_the_plan_guesses_what_upscaling_takes(driver, tmp_path, model, monkeypatch):
    from montage_dask.graph.planning import _upscales
    from montage_dask.graph.survey import Clip, Survey
    from montage_dask.job import make_job

    source, _ = probe(film(tmp_path / "small.mp4", frames=60, size="64x36"))
    survey = Survey(clips={source.identity: Clip(source, tmp_path / "index.npz")})

    def guess(mode, size):
        job = make_job({"footage": ["."], "music": "a.wav", "size": size, "upscale": mode})
        return _upscales(job, driver, survey, 1.0)

    monkeypatch.setattr(driver.workers, "capacity", lambda: Capacity({"CPU": 1}, {"CPU": 1}, 1))
    assert guess("auto", "128x72") == guess("off", "128x72") == guess("on", "80x46") == []
    ((name, count, work),) = guess("on", "128x72")
    assert (name, count) == ("upscale", 2)  # 37.5 of 60 frames
    assert 0.1 < work.cpu_seconds < 10


def test_auto_leaves_it_to_accelerators(tmp_path, driver, model, monkeypatch):
    improved, timeline = montage_of(tmp_path, driver, model, "off")
    assert (improved.told, improved.timeline) == ([], timeline)
    plain = Capacity({"CPU": 1}, {"CPU": 1}, 1)
    monkeypatch.setattr(driver.workers, "expect", lambda target: plain)
    improved, timeline = montage_of(tmp_path, driver, model, "auto")
    (told,) = improved.told
    assert not told["applied"]
    assert "no worker has a GPU" in told["reason"]
    assert (improved.timeline, improved.stand_ins) == (timeline, {})


def test_auto_does_without_when_it_takes_too_long(tmp_path, driver, model):
    improved, timeline = montage_of(tmp_path, driver, model, "auto", limit_minutes=0)
    (told,) = improved.told
    assert not told["applied"]
    assert "more than upscale-limit-minutes" in told["reason"]
    assert (improved.timeline, improved.stand_ins) == (timeline, {})
    with pytest.raises(UsageError, match="raise DASK_MONTAGE__UPSCALE_LIMIT_MINUTES"):
        montage_of(tmp_path, driver, model, "on", limit_minutes=0)


def _refuse(request, context):
    if context.device == "cuda":
        raise TargetFailed("no memory left on the GPU")
    return {"n": request.parameters["n"]}


def test_what_a_gpu_cannot_do_goes_on_with_the_cpu(driver, monkeypatch):
    monkeypatch.setattr(room, "_REGISTRY", dict(room._REGISTRY))
    register(Operation("refused", "media.probe", _refuse))
    place = {"refused": Placement("refused", "gpu", "test", ("cpu",))}
    requests = [Request("refused", {"n": n}, label=f"clip {n}") for n in range(5)]
    outcomes = list(driver.run(requests, place))
    assert sorted(o.record["n"] for o in outcomes) == list(range(5))
    assert driver.tally.counts == {("refused", "cpu"): 5}
    assert any("goes on with cpu: no memory left" in s for s in driver.progress.people.said)


def test_without_another_target_it_is_an_error(driver, monkeypatch):
    monkeypatch.setattr(room, "_REGISTRY", dict(room._REGISTRY))
    register(Operation("refused", "media.probe", _refuse))
    (outcome,) = driver.run(
        [Request("refused", {"n": 9})], {"refused": Placement("refused", "gpu", "test")}
    )
    assert isinstance(outcome.error, TargetFailed)


@pytest.mark.parametrize(("seconds", "text"), [(40, "40 s"), (700, "12 min"), (12_600, "3.5 h")])
def test_times_for_people(seconds, text):
    assert spoken(seconds) == text
