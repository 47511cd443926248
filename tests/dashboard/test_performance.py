"""Dask's own report of a run."""

from __future__ import annotations

from distributed import Client, LocalCluster

from montage_dask.dashboard.performance import NAME, performance


def test_a_name_that_is_not_utf8_does_not_cost_the_report(tmp_path, caplog):
    cluster = LocalCluster(
        n_workers=0, processes=False, dashboard_address="127.0.0.1:0", protocol="tcp://"
    )
    with cluster, Client(cluster) as client, performance(client, tmp_path, "run caf\udce9.mp4"):
        pass
    assert "Failed to Serialize" not in caplog.text
    assert "run caf" in (tmp_path / NAME).read_text(encoding="utf-8")
