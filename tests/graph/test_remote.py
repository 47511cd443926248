"""Requests that another machine runs: same results, few bundles, and every failure is one that another target can mend."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile
from far import NearLine
from makers import film

from montage_dask.analysis.strip import Strip, strip_folder
from montage_dask.analysis.transnet import read_scores
from montage_dask.cgpu.answers import most_answer_bytes
from montage_dask.config import size
from montage_dask.errors import NoCapacity, RuntimeLost, TargetFailed, TransferCorrupt
from montage_dask.graph import converting, remote
from montage_dask.graph.bundle import (
    FUNCTIONS,
    Question,
    read_answers,
    run_bundle,
    unpack,
    write_bundle,
)
from montage_dask.graph.converting import Transcoding
from montage_dask.graph.encoding import Choice
from montage_dask.graph.operation import Request, perform
from montage_dask.graph.parcel import Parcel, pack
from montage_dask.graph.placement import Placement
from montage_dask.graph.remote import Dispatcher, ask_remotely, perform_remotely
from montage_dask.graph.requests import music_request, scores_requests, strip_requests
from montage_dask.graph.survey import Clip, Settings
from montage_dask.graph.upscaling import upscale_request, upscaling
from montage_dask.media.probe import probe
from montage_dask.store import Store

pytestmark = pytest.mark.job

SETTINGS = Settings(
    window_frames=50, detector="accurate", threshold=None, tracker="flux", bpm=None,
    beats_file=None, beats_per_bar=None,
)  # fmt: skip


def click_track(path, seconds, bpm=126):
    """A track of clicks, one a beat."""
    rng = np.random.default_rng(0)
    sound = rng.normal(scale=0.01, size=44100 * seconds)
    for at in np.arange(0.2, seconds - 0.1, 60 / bpm):
        start = int(at * 44100)
        sound[start : start + 2000] += rng.normal(size=2000) * np.exp(-np.arange(2000) / 300)
    soundfile.write(path, sound / np.abs(sound).max(), 44100)
    return path


@pytest.fixture
def line(tmp_path, monkeypatch):
    made = NearLine(tmp_path / "far")
    monkeypatch.setattr(remote._Process, "dispatcher", Dispatcher(made, gather_seconds=0.2))
    yield made
    remote._Process.dispatcher.close()
    assert made.closed


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clip")
    path = film(folder / 'it\'s a "clip"\n!.mp4', frames=60)
    source, index = probe(path)
    index.save(folder / "index.npz")
    return Clip(source, folder / "index.npz")


@pytest.fixture
def stored(clip, tmp_path):
    store = Store(tmp_path / "here")
    for request in strip_requests(clip, SETTINGS):
        perform(request, store)
    return store


def test_scores_are_those_of_this_machine_and_windows_travel_together(clip, stored, tmp_path, line):
    requests = list(scores_requests(clip, SETTINGS, "float32"))
    with ThreadPoolExecutor(8) as pool:
        records = list(pool.map(lambda r: perform_remotely(r, stored), requests))
    assert len(line.sent) == 1
    assert [r["target"] for r in records] == ["cgpu"] * 2
    assert [r["frames"] for r in records] == [50, 10]
    far = read_scores(Strip(strip_folder(stored, clip.source, 50)), "float32")
    near = Store(tmp_path / "near")
    for request in (*strip_requests(clip, SETTINGS), *requests):
        perform(request, near)
    here = read_scores(Strip(strip_folder(near, clip.source, 50)), "float32")
    np.testing.assert_array_equal(far, here)
    # Again: nothing travels.
    assert perform_remotely(requests[0], stored) == records[0]
    assert len(line.sent) == 1
    # Names and folders of this machine do not travel.
    assert clip.name not in _texts(line.folder)
    assert str(tmp_path) not in _texts(line.folder)


def _texts(folder: Path) -> str:
    with tarfile.open(folder / "arrived.tar") as tar:
        return json.loads(tar.extractfile("items.json").read()).__repr__()


def test_the_beats_are_those_of_this_machine(tmp_path, line):
    track = click_track(tmp_path / "track.wav", 20)
    request = music_request(str(track), SETTINGS)
    far = perform_remotely(request, Store(tmp_path / "a"))
    here = perform(request, Store(tmp_path / "b"))
    assert far["music"] == here["music"]
    assert line.sent[0] < track.stat().st_size / 2
    ((moved, seconds),) = line.learnt
    assert moved > line.sent[0]
    assert 0 < seconds < 30


HOW = Transcoding("h264", "preview", None, None, "none", 50, 1)


def test_only_the_range_travels_and_the_file_is_that_of_this_machine(tmp_path, line):
    path = film(tmp_path / "long.mp4", frames=600, size="320x180")
    source, index = probe(path)
    index.save(tmp_path / "index.npz")
    here, there = Store(tmp_path / "a"), Store(tmp_path / "b")
    by = Choice(None, Placement("transcode", "cgpu", "test"))
    _, second, *_ = converting.window_requests(Clip(source, tmp_path / "index.npz"), HOW, by)
    record = perform_remotely(second, there)
    near = perform(second, here)
    assert line.sent[0] < path.stat().st_size / 3
    for name in ("frames", "size_bytes"):
        assert record[name] == near[name]
    files = [s.file("transcode", second.key, ".mp4").read_bytes() for s in (here, there)]
    assert files[0] == files[1]
    made = line.folder / "disk" / "store" / "files" / "transcode"
    (far,) = made.rglob("*.mp4")
    assert far.read_bytes() == files[1]


def test_enlarged_pictures_come_back(tmp_path, line):
    path = film(tmp_path / "small.mp4", frames=30, size="48x32")
    source, index = probe(path)
    index.save(tmp_path / "index.npz")
    how = upscaling("fidelity", 2, memory_limit_mb=512)
    request = upscale_request(Clip(source, tmp_path / "index.npz"), 10, 14, how)
    here, there = Store(tmp_path / "a"), Store(tmp_path / "b")
    record, near = perform_remotely(request, there), perform(request, here)
    assert (record["frames"], record["start_frame"]) == (4, 10)
    assert record["target"] == "cgpu"
    files = [s.file("upscale", request.key, ".mp4").read_bytes() for s in (here, there)]
    assert files[0] == files[1]
    assert near["size_bytes"] == record["size_bytes"]


def test_what_cannot_be_parted_stays_here(tmp_path, line):
    path = film(tmp_path / "a.mp4", frames=60)
    source, index = probe(path)
    index.save(tmp_path / "index.npz")
    broken = replace(source, codec="other")
    by = Choice(None, Placement("transcode", "cgpu", "test"))
    request, *_ = converting.window_requests(Clip(broken, tmp_path / "index.npz"), HOW, by)
    with pytest.raises(TargetFailed, match="stays here"):
        perform_remotely(request, Store(tmp_path / "a"))
    assert line.sent == []


def test_a_function_is_called_there(line):
    assert ask_remotely(size.read, "1920X1080") == "1920x1080"
    with pytest.raises(TargetFailed, match="must look like"):
        ask_remotely(size.read, "large")
    with pytest.raises(TargetFailed, match="no function of montage-dask"):
        ask_remotely(os.system, "true")


def test_what_fails_there_costs_only_itself(clip, stored, line):
    good, other, *_ = scores_requests(clip, SETTINGS, "float32")
    broken = replace(other, parameters={**other.parameters, "precision": "float1"})
    with ThreadPoolExecutor(2) as pool:
        fine = pool.submit(perform_remotely, good, stored)
        bad = pool.submit(perform_remotely, broken, stored)
        assert fine.result()["frames"] == 50
        with pytest.raises(TargetFailed, match="precision 'float1'"):
            bad.result()
    assert len(line.sent) == 1


@pytest.mark.parametrize(
    ("trouble", "bundles"), [([RuntimeLost("gone")], 2), ([TransferCorrupt("x")] * 2, 3)]
)
def test_a_passing_trouble_is_tried_again(line, trouble, bundles):
    line.failures += trouble
    assert ask_remotely(size.read, "640x360") == "640x360"
    assert len(line.sent) == bundles


def test_damage_on_the_way_is_noticed(clip, stored, line):
    request = next(iter(scores_requests(clip, SETTINGS, "float32")))
    line.damage += [0, 1]
    assert perform_remotely(request, stored)["frames"] == 50
    assert len(line.sent) >= 2


def test_what_no_try_mends_is_left_alone_for_a_while(line, monkeypatch):
    line.failures.append(NoCapacity("no GPU is free"))
    for _ in range(3):
        with pytest.raises(NoCapacity, match="no GPU is free"):
            ask_remotely(size.read, "640x360")
    assert len(line.sent) == 1
    remote._Process.dispatcher._resting = (time.monotonic() - 1, NoCapacity("old"))
    assert ask_remotely(size.read, "640x360") == "640x360"


def test_while_a_bundle_is_away_the_next_one_gathers(line):
    line.hold.clear()
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(ask_remotely, size.read, "640x360")
        time.sleep(0.5)
        rest = [pool.submit(ask_remotely, size.read, f"{n}x{n}") for n in range(16, 32, 2)]
        time.sleep(0.5)
        line.hold.set()
        assert first.result() == "640x360"
        assert [r.result() for r in rest] == [f"{n}x{n}" for n in range(16, 32, 2)]
    assert len(line.sent) == 2


def test_an_answer_puts_no_file_where_it_was_not_expected(tmp_path):
    bad = tmp_path / "bad.tar"
    with tarfile.open(bad, "w") as tar:
        for name in ("../out", "/etc/out", "store/other"):
            tar.addfile(tarfile.TarInfo(name))
        link = tarfile.TarInfo("store/good")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    (tmp_path / "in").mkdir()
    assert (
        unpack(bad, tmp_path / "in", lambda n: n in ("../out", "/etc/out", "store/good")) == set()
    )
    assert not any((tmp_path / "in").rglob("*"))


@pytest.mark.parametrize("answers", ["{", "[]", '[{"record": 3}]', "[1]", '[{"value": 1}, {}]'])
def test_an_answer_of_another_form_is_damage(tmp_path, answers, clip, stored):
    request = next(iter(scores_requests(clip, SETTINGS, "float32")))
    parcel = pack(request, stored, tmp_path)
    (tmp_path / "answers.json").write_text(answers)
    with tarfile.open(tmp_path / "answer.tar", "w") as tar:
        tar.add(tmp_path / "answers.json", "answers.json")
    with pytest.raises(TransferCorrupt):
        read_answers(tmp_path / "answer.tar", [parcel], tmp_path / "out")


def test_another_version_is_refused(tmp_path, monkeypatch):
    from montage_dask.graph import bundle

    monkeypatch.setattr(bundle, "__version__", "0.0.1")
    write_bundle([Question("montage_dask.config:size", ("16x16",))], tmp_path / "b.tar")
    done = subprocess.run(
        [sys.executable, "-m", "montage_dask", "op", str(tmp_path / "b.tar"), "-o", "a.tar"],
        capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2
    assert "the bundle is of montage-dask 0.0.1" in done.stderr


def test_op_runs_one_request_of_a_file(tmp_path):
    track = click_track(tmp_path / "track.wav", 8)
    request = music_request(str(track), SETTINGS)
    (tmp_path / "r.json").write_text(
        json.dumps({"operation": "beats", "parameters": request.parameters, "paths": request.paths})
    )
    done = subprocess.run(
        [sys.executable, "-m", "montage_dask", "op", str(tmp_path / "r.json")],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert Fraction(json.loads(done.stdout)["music"]["duration_seconds"]) == 8


QUESTIONS = [
    "montage_dask.cgpu.process:start", "montage_dask.media.ffmpeg:run_ffmpeg", "montage_dask.store.artefacts:write_json",
    "os:system", "montage_dask.graph.bundle:importlib", "montage_dask.config.values:os", "montage_dask.media.encoders:subprocess",
    "montage_dask.config.values:size.read", "montage_dask.config.values:number", "",
]  # fmt: skip


@pytest.mark.parametrize("function", QUESTIONS)
def test_a_bundle_calls_functions_of_a_table_only(tmp_path, function):
    """Such as `cgpu.process:start`, which starts whatever program it is told to."""
    mark = tmp_path / "code-ran"
    write_bundle([Question(function, (["touch", str(mark)], {}))], tmp_path / "b.tar")
    list(run_bundle(tmp_path / "b.tar", tmp_path / "a.tar", tmp_path / "there", "cpu"))
    with tarfile.open(tmp_path / "a.tar") as tar:
        (said,) = json.load(tar.extractfile("answers.json"))
    assert "no function of montage-dask" in said["error"]
    assert not mark.exists()


def test_every_function_of_the_table_is_there():
    for named in FUNCTIONS:
        module, _, name = named.partition(":")
        assert callable(getattr(importlib.import_module(module), name))


@pytest.mark.parametrize(
    "name", ["/etc/hostname", "bundle:../../secret", "bundle:/etc/hostname", "../secret", "file:///etc/hostname"]
)  # fmt: skip
def test_a_bundle_names_files_of_its_own_only(tmp_path, name):
    """An answer must not bring what lies beside it on the machine that runs it."""
    track = click_track(tmp_path / "track.wav", 4)
    request = music_request(str(track), SETTINGS)
    parcel = pack(request, Store(tmp_path / "store"), tmp_path)
    bad = replace(parcel.request, paths={**parcel.request.paths, "path": name})
    write_bundle([replace(parcel, request=bad)], tmp_path / "b.tar")
    list(run_bundle(tmp_path / "b.tar", tmp_path / "a.tar", tmp_path / "there", "cpu"))
    with tarfile.open(tmp_path / "a.tar") as tar:
        (said,) = json.load(tar.extractfile("answers.json"))
    assert "which is no file of it" in said["error"]


def test_a_bundle_runs_operations_that_travel_only(tmp_path):
    """Stills, say, are written wherever the request says."""
    target = tmp_path / "written.jpg"
    request = Request("stills", {"outputs": {"0": str(target)}}, {"outputs": {}})
    write_bundle([Parcel(request, {})], tmp_path / "b.tar")
    list(run_bundle(tmp_path / "b.tar", tmp_path / "a.tar", tmp_path / "there", "cpu"))
    with tarfile.open(tmp_path / "a.tar") as tar:
        (said,) = json.load(tar.extractfile("answers.json"))
    assert "no operation of bundles" in said["error"]


def sparse_tar(path, name, size):
    """10 kB that say that they are a large file with holes, as GNU tar writes it."""
    member = tarfile.TarInfo(name)
    header = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    header[156:157] = b"S"
    header[386:410] = b"%011o\0%011o\0" % (size, 0)
    header[483:495] = b"%011o\0" % size
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    path.write_bytes(bytes(header) + bytes(10240 - 512))
    with tarfile.open(path) as tar:
        assert tar.next().size == size


def test_archives_write_no_more_than_they_have(tmp_path):
    large = 300_000_000
    sparse_tar(tmp_path / "sparse.tar", "store/good", large)
    (tmp_path / "plain").write_bytes(bytes(large))
    with tarfile.open(tmp_path / "packed.tar.gz", "w:gz", compresslevel=1) as tar:
        tar.add(tmp_path / "plain", "store/good")
    with tarfile.open(tmp_path / "large.tar", "w") as tar:
        tar.add(tmp_path / "plain", "store/good")
    cases = {"sparse.tar": large * 2, "packed.tar.gz": large * 2, "large.tar": 256_000_000}
    for name, most in cases.items():
        folder = tmp_path / f"into-{name}"
        with pytest.raises(TransferCorrupt):
            unpack(tmp_path / name, folder, lambda name: True, most)
        assert sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) < 1000, name


def test_the_answer_to_a_question_is_small(tmp_path):
    (tmp_path / "answers.json").write_text(json.dumps([{"value": "x" * 3_000_000}]))
    with tarfile.open(tmp_path / "answer.tar", "w") as tar:
        tar.add(tmp_path / "answers.json", "answers.json")
    question = Question("montage_dask.config.values:size", ("16x16",))
    with pytest.raises(TransferCorrupt, match="more than the 2,000,000 that were expected"):
        read_answers(tmp_path / "answer.tar", [question], tmp_path / "out")
    assert most_answer_bytes([None, 30_000_000]) == 302_000_000
    assert most_answer_bytes([200_000_000]) == 1_000_000_000


def test_an_answer_that_is_nested_without_end_is_damage(tmp_path):
    (tmp_path / "answers.json").write_text("[" * 100_000 + "]" * 100_000)
    with tarfile.open(tmp_path / "answer.tar", "w") as tar:
        tar.add(tmp_path / "answers.json", "answers.json")
    question = Question("montage_dask.config.values:size", ("16x16",))
    with pytest.raises(TransferCorrupt, match="nested"):
        read_answers(tmp_path / "answer.tar", [question], tmp_path / "out")
