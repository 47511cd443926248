"""The doctor tries things itself and gives advice for each lack."""

from __future__ import annotations

import pytest

from montage_dask.doctor import examine


def test_what_is_needed_is_here_and_each_lack_has_advice(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKER_CONCURRENCY", "1")
    rows = {r["check"]: r for r in examine()}
    for name in ("versions", "ffmpeg", "encoder libx264", "cluster local"):
        assert rows[name]["ok"], rows[name]
        assert rows[name]["needed"]
    assert {"GPU", "cgpu", "disk (here)", "upscaling fidelity", "upscaling detail"} <= rows.keys()
    assert all(r["advice"] for r in rows.values() if not r["ok"])
    assert all(r["detail"] and "\n" not in r["detail"] for r in rows.values())


def test_without_ffmpeg_and_cluster(tmp_path, monkeypatch):
    from montage_dask.media import ffmpeg

    ffmpeg.binary.cache_clear()
    monkeypatch.setenv("MONTAGE_FFMPEG", str(tmp_path / "none"))
    try:
        rows = {r["check"]: r for r in examine(str(tmp_path / "no-scheduler.json"))}
    finally:
        monkeypatch.undo()
        ffmpeg.binary.cache_clear()
    assert not rows["ffmpeg"]["ok"]
    assert "imageio-ffmpeg" in rows["ffmpeg"]["advice"]
    assert any(not r["ok"] and name.startswith("cluster") for name, r in rows.items())


def test_a_wrong_setting_is_a_usage_error(monkeypatch):
    from montage_dask.errors import UsageError

    monkeypatch.setenv("WORKER_CONCURRENCY", "many")
    with pytest.raises(UsageError, match="WORKER_CONCURRENCY"):
        examine()
