"""A whole job with a dask-cuda worker whose GPU is not there: every operation that was sent to it is done by the CPU."""

from __future__ import annotations

from pathlib import Path

import pytest
from jobs import SMALL, Material, montage

from montage_dask.devices import count_gpus
from montage_dask.render.verify import frames_hash

NO_DEVICE = {
    "DASK_CUDA_TEST_DISABLE_DEVICE_SPECIFIC": "1",
    "CUDA_VISIBLE_DEVICES": "0",
    "DASK_MONTAGE__GPU_WORKERS": "1",
    "LOCAL_GPU_ENCODE": "true",
}


@pytest.mark.skipif(count_gpus() > 0, reason="there is a GPU: nothing falls back")
def test_the_montage_is_the_same_and_says_what_fell_back(
    material: Material, tmp_path: Path
) -> None:
    def run(name: str, **variables: str) -> dict:
        output = tmp_path / name / "out.mp4"
        job = ("run", str(material.footage), "--music", str(material.music), "-o", str(output))
        done = montage(*job, "--json", *SMALL, "--duration", "4", **variables)
        assert done.code == 0, done.stderr
        return done.json

    wanted = "{strip: gpu, beats: gpu}"
    fell = run("gpu", **NO_DEVICE, DASK_MONTAGE__PLACEMENT=wanted)
    plain = run("cpu")
    assert {(f["operation"], f["from_target"], f["to_target"]) for f in fell["fallbacks"]} == {
        ("beats", "gpu", "cpu"),
        ("strip", "gpu", "cpu"),
    }
    assert all(f["reason"] for f in fell["fallbacks"])
    assert len(fell["fallbacks"]) <= 6  # five clips and a track: none is tried again and again
    (encode,) = (p for p in fell["placement"] if p["operation"] == "encode")
    assert encode["target"] == "cpu"
    assert "no GPU encoder works: h264_nvenc: " in encode["reason"]
    assert plain["fallbacks"] == []
    assert frames_hash(Path(fell["output"])) == frames_hash(Path(plain["output"]))
    assert {o["target"] for o in fell["operations"]} == {"cpu"}
