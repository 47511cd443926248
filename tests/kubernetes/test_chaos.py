"""What breaks in the middle of a job costs time, not the job: the video is that of a quiet run, and nothing is left behind.

How much time it costs: `python -m benchmarks kubernetes`.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import faults
import pytest
from jobs import Material
from server import Namespace, Running, eventually, write_json

from montage_dask.cluster.kube import DASK
from montage_dask.render.verify import frames_hash


def finish(run: Running, namespace: Namespace, out: Path, reference: str) -> None:
    run.result()
    assert frames_hash(out) == reference
    assert namespace.remains() == []


def test_pods_processes_groups_and_the_operator(
    namespace: Namespace, material: Material, out: Path, reference: str
) -> None:
    run = namespace.start(material, out, "--cpu-workers", "2:2")
    run.says(r"^probe: 3 clips")
    try:
        eventually(lambda: faults.kill_worker_process(namespace), 60)
    except faults.Unreachable as error:
        pytest.skip(str(error))
    run.says(r"^strip: \d+ windows")
    faults.delete_worker_pod(namespace)
    faults.restart_operator(namespace)
    # The scaler brings it back, when the operator is there again.
    faults.delete_group_deployments(namespace)
    run.says(r"^strip: (\d+)/\1 ")
    faults.scale_group_to_zero(namespace)
    finish(run, namespace, out, reference)


def test_a_killed_client(
    namespace: Namespace, material: Material, out: Path, reference: str
) -> None:
    run = namespace.start(material, out, "--cpu-workers", "1:1")
    run.says(r"^probe: 3/3")
    run.process.kill()
    run.process.wait()
    assert namespace.list(DASK, "daskclusters")
    again = namespace.start(material, out, "--cpu-workers", "1:1")
    again.says("has lost its client")
    result = again.result()
    assert frames_hash(out) == reference
    probe = next(o for o in result["operations"] if o["name"] == "probe")
    assert probe["reused"] == 3
    eventually(lambda: namespace.remains() == [], 60)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_client_cleans_up(
    namespace: Namespace, material: Material, out: Path, sign: signal.Signals
) -> None:
    run = namespace.start(material, out, "--cpu-workers", "1:1")
    run.says(r"^probe: 3 clips")
    run.process.send_signal(sign)
    done = run.done(120)
    assert done.code == 130
    assert "interrupted" in done.stderr
    assert namespace.remains() == []


def test_a_lost_scheduler(
    namespace: Namespace, material: Material, out: Path, reference: str
) -> None:
    run = namespace.start(material, out, "--cpu-workers", "1:1")
    run.says(r"^probe: 3/3")
    faults.delete_scheduler_pod(namespace)
    done = run.done()
    if done.code != 0:  # said so, and goes on when run again
        assert "run the same command again" in done.stderr
        assert namespace.remains() == []
        run = namespace.start(material, out, "--cpu-workers", "1:1")
    finish(run, namespace, out, reference)


@pytest.fixture
def gate() -> Iterator[faults.Gate]:
    try:
        made = faults.Gate()
    except faults.Unreachable as error:
        pytest.skip(str(error))
    yield made
    made.close()


def test_an_api_server_that_is_away_for_20_seconds(
    namespace: Namespace, material: Material, out: Path, reference: str, gate: faults.Gate, tmp_path: Path
) -> None:  # fmt: skip
    """Outside the cluster the way to the scheduler leads through it, too."""
    path = write_json(tmp_path / "kubeconfig", gate.kubeconfig())
    run = namespace.start(material, out, "--cpu-workers", "1:1", KUBECONFIG=str(path))
    run.says(r"^probe: 3 clips")
    eventually(lambda: faults.ready(namespace), 60)
    gate.shut(20)
    finish(run, namespace, out, reference)
