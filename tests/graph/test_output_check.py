"""Jobs that begin at once with one folder find that they can write there, all of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from montage_dask.graph.montage import check_output
from montage_dask.job import make_job


def test_many_jobs_look_at_one_folder_at_once(tmp_path):
    job = make_job({"footage": ["a"], "music": "b", "output": tmp_path / "out.mp4"})
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(check_output, [job] * 64))
    assert not list(tmp_path.rglob(".montage-write-test*"))
