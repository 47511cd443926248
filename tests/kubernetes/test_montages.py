"""Montages by pods: the same frames as on this machine, two launches at once, and nothing left behind."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from jobs import Material, montage
from server import SHORT, Namespace

from montage_dask.render.verify import frames_hash

MEDIA = Path(__file__).parents[3] / "shared" / "media"


def true_material(folder: Path) -> Material:
    """Real footage and a track of a known tempo."""
    footage = folder / "true"
    footage.mkdir()
    for name in ("bigbuckbunny.mp4", "nasa_13013.mp4"):
        shutil.copy(MEDIA / "footage" / name, footage / name)
    track = folder / "synth.ogg"
    shutil.copy(MEDIA / "music" / "synth_edm124.ogg", track)
    return Material(footage, track, [])


def test_two_launches_at_once_make_the_frames_of_local_runs(
    namespace: Namespace, material: Material, reference: str, shared: Path, tmp_path: Path
) -> None:
    """One of them of true footage, where there is any."""
    second = true_material(shared) if MEDIA.is_dir() else material
    folders = [shared / "one", shared / "two"]
    runs = []
    for folder, made_of in zip(folders, (material, second), strict=True):
        folder.mkdir()
        folder.chmod(0o777)
        runs.append(namespace.start(made_of, folder / "out.mp4", "--cpu-workers", "0:2"))
    results = [run.result() for run in runs]
    names = [
        n for run in runs for n in re.findall(r"cluster (montage-\w+) is asked for", run.stderr)
    ]
    assert len(set(names)) == len(names) == 2
    assert namespace.remains() == []
    expected = [reference, reference]
    if second is not material:
        output = tmp_path / "out.mp4"
        local = montage(
            "run", second.footage, "--music", second.music, "-o", output, *SHORT, "--n-workers", 1
        )
        assert local.code == 0, local.stderr
        expected[1] = frames_hash(output)
    for folder, result, frames in zip(folders, results, expected, strict=True):
        assert {o["target"] for o in result["operations"]} == {"cpu"}
        assert result["output"] == str(folder / "out.mp4")
        assert frames_hash(folder / "out.mp4") == frames
