"""A job that names only URLs needs no claim: footage, music, output and artefacts lie in a bucket that the pods reach."""

from __future__ import annotations

import secrets
from pathlib import Path

from jobs import Material
from pod_bucket import bucket_in_a_pod
from server import Server

from montage_dask.cluster.kube import CORE
from montage_dask.render.verify import frames_hash


def test_a_montage_from_bucket_to_bucket(
    server: Server, material: Material, reference: str, tmp_path: Path
) -> None:
    with (
        server.namespace(f"montage-{secrets.token_hex(3)}", None) as namespace,
        bucket_in_a_pod(namespace) as bucket,
    ):
        for clip in sorted(material.footage.iterdir()):
            bucket.put(clip, f"raw/{clip.name}")
        bucket.put(material.music, "track.wav")
        there = Material(f"{bucket.url}/raw", f"{bucket.url}/track.wav", [])  # type: ignore[arg-type]
        run = namespace.start(
            there, f"{bucket.url}/out/film.mp4", "--cpu-workers", "0:2",  # type: ignore[arg-type]
            DASK_MONTAGE__CACHE_FOLDER=str(tmp_path / "cache"), **bucket.environment,
        )  # fmt: skip
        result = run.result()
        assert {o["target"] for o in result["operations"]} == {"cpu"}
        assert result["output"] == f"{bucket.url}/out/film.mp4"
        film = tmp_path / "film.mp4"
        film.write_bytes(bucket.read("out/film.mp4"))
        assert frames_hash(film) == reference
        assert namespace.list(CORE, "persistentvolumeclaims") == []
        assert namespace.remains() == []
        told = run.stderr.encode() + b"".join(
            bucket.read(k) for k in bucket.keys("out") if not k.endswith((".mp4", ".m4a"))
        )
        for name in ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"):
            assert bucket.environment[name].encode() not in told
