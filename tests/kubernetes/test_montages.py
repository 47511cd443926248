"""Montages by pods: the same frames as on this machine, two launches at once, and nothing left behind."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from jobs import Material, montage
from server import SHORT, Namespace

from montage_dask.render.verify import frames_hash

MEDIA = Path(__file__).parents[3] / "shared" / "media"


def test_two_launches_at_once_make_the_frames_of_a_local_run(
    namespace: Namespace, material: Material, reference: str, shared: Path
) -> None:
    folders = [shared / "one", shared / "two"]
    runs = []
    for folder in folders:
        folder.mkdir(mode=0o777)
        folder.chmod(0o777)
        runs.append(namespace.start(material, folder / "out.mp4", "--cpu-workers", "0:2"))
    first_task = max(run.says(r"^probe: [123]/3") for run in runs)
    names = {
        c["metadata"]["name"] for c in namespace.list("kubernetes.dask.org/v1", "daskclusters")
    }
    assert len(names) == 2
    results = [run.result() for run in runs]
    for folder, result in zip(folders, results, strict=True):
        assert {o["target"] for o in result["operations"]} == {"cpu"}
        assert result["output"] == str(folder / "out.mp4")
        assert frames_hash(folder / "out.mp4") == reference
    assert namespace.remains() == []
    print(f"from `run` to the first result, two launches at once: {first_task:.1f} s")


@pytest.mark.skipif(not MEDIA.is_dir(), reason="needs the shared media")
def test_true_footage(namespace: Namespace, shared: Path, tmp_path: Path) -> None:
    footage = shared / "true"
    footage.mkdir()
    for name in ("bigbuckbunny.mp4", "nasa_13013.mp4"):
        shutil.copy(MEDIA / "footage" / name, footage / name)
    track = shared / "synth.ogg"
    shutil.copy(MEDIA / "music" / "synth_edm124.ogg", track)
    true = Material(footage, track, [])
    out = shared / "true-out"
    out.mkdir()
    out.chmod(0o777)
    run = namespace.start(true, out / "out.mp4", "--cpu-workers", "2:2")
    local = montage("run", footage, "--music", track, "-o", tmp_path / "out.mp4", *SHORT, "--n-workers", 1)  # fmt: skip
    assert local.code == 0, local.stderr
    run.result()
    assert frames_hash(out / "out.mp4") == frames_hash(tmp_path / "out.mp4")
    assert namespace.remains() == []
