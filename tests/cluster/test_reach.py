"""What pods can reach: the claim that a job needs, paths that only this machine has, buckets that the pods cannot use."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import s3fs

from montage_dask.api import batch
from montage_dask.cluster.reach import check_places, claim_for, look_into
from montage_dask.cluster.specs import Specs, Wanted, seen
from montage_dask.config import resolve
from montage_dask.errors import ClusterError, UsageError
from montage_dask.job import make_job
from montage_dask.store import Place, place_of

BUCKET = place_of("s3://films/raw")


@pytest.mark.parametrize(
    ("chosen", "places", "claim"),
    [
        ("auto", None, "montage"),
        ("auto", [BUCKET], None),
        ("auto", [BUCKET, Path("/montage/track.mp3")], "montage"),
        ("films", [BUCKET], "films"),
        ("none", [Path("/montage/track.mp3")], None),
    ],
)
def test_the_claim_is_what_is_set_or_what_the_job_needs(
    chosen: str, places: list[Place] | None, claim: str | None
) -> None:
    assert claim_for(resolve({"kubernetes-claim": chosen})["kubernetes-claim"].value, places) == claim  # fmt: skip


def test_what_a_job_names() -> None:
    bucket = {"footage": ["s3://films/raw"], "output": "s3://films/out/film.mp4"}
    job = make_job({**bucket, "music": "s3://films/track.mp3"})
    assert job.places is not None
    assert {str(p) for p in job.places} == {
        "s3://films/raw", "s3://films/track.mp3", "s3://films/out/film.mp4",
    }  # fmt: skip
    mixed = make_job({**bucket, "music": "track.mp3"})
    assert [p for p in mixed.places or () if isinstance(p, Path)] == [Path.cwd() / "track.mp3"]
    # Files that settings name count when they are read.
    more = {"scenes-weights": "s.npz", "beats-weights": "b.npz", "beat-this-checkpoint": "/b.ckpt"}
    own = {**bucket, "music": "s3://films/track.mp3", **more}
    for tracker, read in (("auto", ["b.npz"]), ("beat-this", ["/b.ckpt"]), ("flux", [])):
        paths = [Path.cwd() / name for name in ("s.npz", *read)]
        places = make_job({**own, "tracker": tracker}).places or ()
        assert [p for p in places if isinstance(p, Path)] == paths
    # What a timeline names is not known before it is read.
    assert make_job({**bucket, "from-timeline": "cut.otio"}).places is None


@pytest.mark.parametrize(
    ("kind", "read"),
    [("analyse", ["s.npz", "b.npz"]), ("frames", ["s.npz", "out"]), ("transcode", ["out"]), ("train", ["out"])],
)  # fmt: skip
def test_what_a_batch_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str, read: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    given: list[Any] = []

    @contextmanager
    def driving(settings: Any, *others: Any) -> Iterator[None]:
        given.extend((settings, others[-1]))
        yield

    monkeypatch.setattr(batch, "driving", driving)
    monkeypatch.setattr(batch, "watched", lambda *_: nullcontext())
    options = {
        "scenes_weights": "s.npz",
        "beats_weights": "b.npz",
        "beat_this_checkpoint": "b.ckpt",
    }
    with batch.batched(kind, ["s3://films/raw"], options, tmp_path / "out", None, "") as (_, made):
        assert (made.scenes_weights, made.beats_weights, made.beat_this_checkpoint) == tuple(
            str(tmp_path / n) for n in options.values()
        )
    assert given[1] == [BUCKET, *(tmp_path / n for n in read)]


def test_a_path_that_only_this_machine_has(tmp_path: Path) -> None:
    """Said before a cluster is asked for, with the path and what to do."""
    (folder := tmp_path / "montage").mkdir()
    there = {str(folder): "films"}
    music, own = folder / "track.mp3", Path("/home/me/track.mp3")
    for fine in ([BUCKET], [music], [BUCKET, music], None):
        check_places(fine, there, str(folder))
    check_places([BUCKET], {}, "/montage")
    wrong = {
        r"^/home/me/track.mp3 is on this machine; the pods have no claim and see only buckets": ([BUCKET, own], {}),
        rf"see only {folder} \(claim films\) and buckets: put it into the bucket, too": ([BUCKET, own], there),
        rf"see only {folder} \(claim films\): put it below that folder": ([own], there),
    }  # fmt: skip
    for message, (places, folders) in wrong.items():
        with pytest.raises(ClusterError, match=message):
            check_places(places, folders, str(folder))
    for places in (None, [Path("/nowhere/montage/track.mp3")]):
        with pytest.raises(ClusterError, match="mount the same storage at the same place"):
            check_places(places, {"/nowhere/montage": "films"}, "/nowhere/montage")


def test_pods_see_what_their_specs_mount() -> None:
    specs = Specs()
    assert seen(specs.cluster(Wanted("m", {"cpu": 0}, claim="films", folder="/films"))) == {"/films": "films"}  # fmt: skip
    bare = Wanted("m", {"cpu": 0, "gpu": 0, "cgpu": 0}, claim=None, cache_bytes=10**9)
    manifests = [specs.cluster(bare), *specs.groups(bare)]
    assert seen(manifests[0]) == {}
    for manifest in manifests:
        assert "persistentVolumeClaim" not in str(manifest)
        pod = manifest["spec"]["worker"]["spec"]
        names = {v["name"] for v in pod["volumes"]}
        (container,) = pod["containers"]
        mounts = {m["name"]: m["mountPath"] for m in container["volumeMounts"]}
        assert mounts.keys() <= names
        # Room for the copies and as much again; keys by the Secret alone.
        assert {"name": "cache", "emptyDir": {"sizeLimit": "1908Mi"}} in pod["volumes"]
        variables = {e["name"]: e.get("value") for e in container["env"]}
        assert variables["DASK_MONTAGE__CACHE_FOLDER"] == mounts["cache"]
        assert variables["DASK_MONTAGE__CACHE_LIMIT"] == str(10**9)
        assert container["envFrom"] == [{"secretRef": {"name": "montage-storage", "optional": True}}]  # fmt: skip


def test_the_claim_of_the_settings_is_a_name() -> None:
    assert resolve({})["kubernetes-claim"].value == "auto"
    with pytest.raises(UsageError, match="kubernetes-claim"):
        resolve({"kubernetes-claim": "Films/2"})


@pytest.mark.parametrize(
    ("key", "said"), [("", "no credentials: set AWS_"), ("key", "cannot be reached")]
)
def test_a_bucket_that_the_pods_cannot_use(
    monkeypatch: pytest.MonkeyPatch, key: str, said: str
) -> None:
    given = {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": key,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    try:
        told = asyncio.run(look_into(["s3://films/raw"]))
    finally:
        s3fs.S3FileSystem.clear_instance_cache()
    assert told.startswith("cannot read s3://films/raw: ")
    assert said in told
