"""A montage from a bucket into a bucket, on workers that share nothing else, is the montage that local files give."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import dask
import numpy as np
import psutil
import pytest
from distributed import Client, LocalCluster
from jobs import make_clip, make_track
from makers import write_wav
from s3_server import SECRET, Bucket, serving

from montage_dask import api
from montage_dask.errors import MontageError, StoreError, UsageError
from montage_dask.graph.staging import machine_cache
from montage_dask.job import read_job
from montage_dask.render.verify import frames_hash

PICTURES = ("testsrc2=size=320x180", "mandelbrot=size=320x240", "life=size=160x90,scale=320:180")
HOW = {"size": "192x108", "fps": "25", "quality": "preview", "seed": 2, "duration": 5}


@pytest.fixture(scope="module")
def media(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    (folder / "raw").mkdir()
    for number, picture in enumerate(PICTURES):
        make_clip(folder / "raw" / f"clip {number}.mp4", picture, 4)
    make_track(folder / "track.wav", 8)
    return folder


@pytest.fixture(scope="module")
def bucket(media):
    with serving() as made:
        for clip in (media / "raw").iterdir():
            made.put(clip, f"raw/{clip.name}")
        made.put(media / "track.wav", "music/track.wav")
        yield made


@pytest.fixture(scope="module")
def caches(tmp_path_factory) -> dict[str, Path]:
    """One folder per machine; the client is one, too."""
    return {n: tmp_path_factory.mktemp(n) / "cache" for n in ("client", "one", "two")}


@pytest.fixture(scope="module")
def limit_bytes(media) -> int:
    """All clips fit, and nothing else: whatever comes besides takes the place of something."""
    return sum(p.stat().st_size for p in (media / "raw").iterdir()) + 50_000


@dataclass(frozen=True)
class Machines:
    """A scheduler here, and two workers that were started as on machines of their own."""

    address: str
    workers: dict[str, subprocess.Popen[bytes]]

    def kill_one(self) -> int:
        """Kill the process that works, not the one that watches over it."""
        (child,) = [
            p
            for p in psutil.Process(self.workers["one"].pid).children(recursive=True)
            if any("spawn_main" in word for word in p.cmdline())
        ]
        child.send_signal(signal.SIGKILL)
        return child.pid


@pytest.fixture(scope="module")
def cluster(bucket, caches, limit_bytes):
    """Two workers with caches of their own, and so much room."""
    own = {"montage.cache-folder": str(caches["client"]), "montage.segment-frames": 20}
    machine_cache.cache_clear()
    with (
        dask.config.set(own),
        LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address="127.0.0.1:0") as made,
        ExitStack() as stack,
    ):
        workers = {}
        for name in ("one", "two"):
            environment = {
                **os.environ,
                "DASK_MONTAGE__CACHE_FOLDER": str(caches[name]),
                "DASK_MONTAGE__CACHE_LIMIT": str(limit_bytes),
            }
            workers[name] = subprocess.Popen(
                [
                    sys.executable, "-m", "montage_dask", "worker", "--type", "cpu", "--slots", "1",
                    "--scheduler", made.scheduler_address, "--name", name, "--no-dashboard",
                    "--local-directory", str(caches[name].parent),
                ],
                env=environment,
                stderr=subprocess.DEVNULL,
            )  # fmt: skip
            stack.callback(workers[name].wait, 30)
            stack.callback(workers[name].terminate)
        with Client(made) as client:
            client.wait_for_workers(2, timeout=120)
        yield Machines(made.scheduler_address, workers)
    machine_cache.cache_clear()


@contextmanager
def watched(caches: dict[str, Path]):
    """The most that each cache holds meanwhile, in bytes."""
    most, ended = dict.fromkeys(caches, 0), threading.Event()

    def look():
        while not ended.wait(0.05):
            for name, folder in caches.items():
                copies = [p for p in folder.glob("*") if p.suffix in (".mp4", ".wav", ".part", ".npz", ".m4a")]  # fmt: skip
                size = 0
                for path in copies:
                    try:
                        size += path.stat().st_size
                    except FileNotFoundError:
                        continue
                most[name] = max(most[name], size)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield most
    finally:
        ended.set()
        thread.join()


class KillsOne:
    """Kills a worker process when the first segment is done."""

    def __init__(self, cluster: Machines) -> None:
        self.killed, self._cluster = 0, cluster

    def stage(self, name: str, total: int, unit: str = "") -> None: ...
    def note(self, message: str) -> None: ...

    def step(self, name: str, label: str, media_seconds: float = 0.0) -> None:
        if name == "encode" and not self.killed:
            self.killed = self._cluster.kill_one()


def make(bucket: Bucket, cluster: Machines, **more):
    return api.run(
        f"{bucket.url}/raw", music=f"{bucket.url}/music/track.wav", cluster=cluster.address,
        **{**HOW, "output": f"{bucket.url}/out/film.mp4", **more},
    )  # fmt: skip


def test_a_montage_on_workers_that_share_nothing_but_a_bucket(
    bucket, cluster, caches, media, limit_bytes, tmp_path
):
    here = tmp_path / "here.mp4"
    local = api.run(
        str(media / "raw"), music=str(media / "track.wav"), output=str(here),
        cluster=cluster.address, **HOW,
    )  # fmt: skip
    killer = KillsOne(cluster)
    with watched({n: caches[n] for n in ("one", "two")}) as most:
        far = make(bucket, cluster, progress=killer)
    assert killer.killed
    assert far["output"] == f"{bucket.url}/out/film.mp4"
    assert far["frames"] == local["frames"]
    there = tmp_path / "there.mp4"
    there.write_bytes(bucket.read("out/film.mp4"))
    assert frames_hash(there) == frames_hash(here)
    # The inputs alone do not fit; a copy goes for another one.
    assert limit_bytes < sum(p.stat().st_size for p in media.rglob("*.*"))
    assert all(0 < size <= limit_bytes for size in most.values()), most
    run = {k.removeprefix("out/film.montage/") for k in bucket.keys("out/film.montage")}
    assert run >= {"summary.json", "progress.json", "report.html", "timeline.otio", "contact_sheet.jpg"}  # fmt: skip
    summary = json.loads(bucket.read("out/film.montage/summary.json"))
    assert summary["run_dir"] == f"{bucket.url}/out/film.montage"
    told = b"".join(bucket.read(k) for k in bucket.keys("out") if not k.endswith((".mp4", ".m4a")))
    assert SECRET.encode() not in told
    # Nothing but the sound depends on where the footage lies: the same segments have the same addresses.
    kept = {p.name for p in (tmp_path / ".montage/files/encode").rglob("*.*")}
    assert kept == {Path(k).name for k in bucket.keys("out/.montage/files/encode")}


def test_again_nothing_is_done_and_a_lost_output_is_made_again(bucket, cluster):
    bucket.remove("out/film.mp4")
    again = make(bucket, cluster)
    counts = {o["name"]: o["count"] for o in again["operations"]}
    assert counts["encode"] == 0
    assert counts["assemble"] == 1
    assert "out/film.mp4" in bucket.keys("out")


def test_batch_jobs_read_and_write_buckets(bucket, cluster):
    done = api.frames(
        f"{bucket.url}/raw/clip 1.mp4".split("\n"), f"{bucket.url}/stills", every=2,
        contact_sheet=True, cluster=cluster.address,
    )  # fmt: skip
    (clip,) = done["frames"]
    assert clip["stills"] == [f"{bucket.url}/stills/clip 1/{n}.jpg" for n in ("000", "050")]
    assert {"stills/clip 1/000.jpg", "stills/contact_sheet.jpg"} <= bucket.keys("stills")
    done = api.transcode(
        [f"{bucket.url}/raw/clip 1.mp4"], f"{bucket.url}/smaller", size="160x90", quality="preview",
        cluster=cluster.address,
    )  # fmt: skip
    assert [o["output"] for o in done["outputs"]] == [f"{bucket.url}/smaller/clip 1.mp4"]
    assert len(bucket.read("smaller/clip 1.mp4")) == done["outputs"][0]["size_bytes"]


def test_what_is_wrong_is_said_before_anything_runs(bucket, tmp_path):
    track = write_wav(tmp_path / "track.wav", np.zeros(22_050))
    with pytest.raises(StoreError, match="there is no bucket nowhere"):
        api.run(f"{bucket.url}/raw", music=str(track), output="s3://nowhere/film.mp4")
    with pytest.raises(UsageError, match="credentials do not belong"):
        api.run("s3://me:hunter2@films/raw", music="track.wav")
    job = tmp_path / "job.yaml"
    job.write_text(f"footage: {bucket.url}/raw\nmusic: track.wav\n")
    with pytest.raises(UsageError, match="lies outside"):
        api.run(job)
    elsewhere = dask.config.set({"montage.roots": [f"{bucket.url}/music"]})
    with elsewhere, pytest.raises(UsageError, match="lies outside"):
        read_job(job, {})
    with dask.config.set({"montage.roots": [bucket.url]}):
        assert read_job(job, {}).footage == (f"{bucket.url}/raw",)
    with pytest.raises(MontageError, match="must be a file or folder of this machine"):
        api.run(f"{bucket.url}/raw", music=str(track), beats_file=f"{bucket.url}/beats.txt")
