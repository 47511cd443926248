"""Why a pod does not run, from what kubelets and schedulers write; and whose a cluster is."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from montage_dask.cluster.kube import refused
from montage_dask.cluster.orphans import KEPT, PROCESS, SEEN, launcher, orphaned
from montage_dask.cluster.pods import age_seconds, pending, restarts, trouble


def pod(phase="Pending", conditions=(), states=(), **status):
    containers = [{"name": "worker", "state": s, "restartCount": 2} for s in states]
    return {
        "metadata": {"name": "p", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "status": {
            "phase": phase, "conditions": list(conditions), "containerStatuses": containers, **status
        },
    }  # fmt: skip


def unschedulable(message):
    return {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": message,
    }


def event(reason, message, kind="Warning", name="p", at="2026-01-01T00:00:05Z"):
    return {
        "involvedObject": {"name": name}, "type": kind, "reason": reason, "message": message, "lastTimestamp": at
    }  # fmt: skip


@pytest.mark.parametrize(
    ("what", "events", "text", "hopeless"),
    [
        (
            pod(conditions=[unschedulable("0/3 nodes are available: 3 Insufficient nvidia.com/gpu.")]),
            [],
            "3 Insufficient nvidia.com/gpu; no node has a free GPU",
            False,
        ),
        (
            pod(conditions=[unschedulable('persistentvolumeclaim "montage" not found')]),
            [],
            "apply storage.yaml",
            False,
        ),
        (
            pod(conditions=[unschedulable("pod has unbound immediate PersistentVolumeClaims")]),
            [],
            "no volume fits the claim",
            False,
        ),
        (
            pod(states=[{"waiting": {"reason": "ErrImagePull", "message": "manifest unknown"}}]),
            [],
            "ErrImagePull: manifest unknown; check --image",
            True,
        ),
        (
            pod("Running", states=[{"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}]),
            [],
            "cluster logs",
            True,
        ),
        (
            pod(states=[{"waiting": {"reason": "ContainerCreating"}}]),
            [event("Pulled", "fine", "Normal"), event("FailedMount", 'secret "montage-cgpu" not found')],
            "FailedMount",
            False,
        ),
        (pod("Failed", reason="Evicted", message="low on memory"), [], "Evicted: low on memory", False),
    ],
)  # fmt: skip
def test_trouble_is_named_with_advice(what, events, text, hopeless):
    found = trouble(what, events)
    assert found is not None
    assert text in str(found)
    assert found.hopeless is hopeless
    assert "\n" not in str(found)


def test_no_trouble_where_there_is_none():
    assert trouble(pod("Running", states=[{"running": {}}])) is None
    assert trouble(pod(states=[{"waiting": {"reason": "ContainerCreating"}}])) is None
    going = pod("Failed")
    going["metadata"]["deletionTimestamp"] = "now"
    assert trouble(going) is None
    assert not pending(going)
    assert pending(pod())
    assert trouble(pod(), [event("FailedMount", "of another pod", name="q")]) is None


def test_a_node_on_its_way_is_known():
    waiting = pod(conditions=[unschedulable("0/1 nodes are available: 1 Insufficient cpu.")])
    found = trouble(waiting, [event("TriggeredScaleUp", "pod triggered scale-up", "Normal")])
    assert found is not None
    assert found.nodes_coming


def test_ages_and_restarts():
    assert age_seconds(pod(), datetime(2026, 1, 1, 0, 1, tzinfo=UTC)) == 60
    assert restarts(pod(states=[{"running": {}}])) == 2


@pytest.mark.parametrize(
    ("status", "message", "path", "text"),
    [
        (403, "daskclusters is forbidden", "daskclusters", "bind the Role in rbac.yaml"),
        (404, 'namespaces "films" not found', "daskclusters", "create namespace films"),
        (404, "the server could not find the requested resource", "daskclusters", "install the operator"),
        (422, "spec is\n invalid", "daskclusters", "refuses daskclusters: spec is invalid"),
    ],
)  # fmt: skip
def test_refusals_say_what_to_do(status, message, path, text):
    assert text in str(refused(status, message, "films", path))


def test_a_cluster_of_a_living_process_is_no_orphan():
    annotations = launcher(kept=False)
    later = datetime.now(UTC) + timedelta(hours=5)
    assert not orphaned(annotations, later)  # this very process lives: silence does not matter
    elsewhere = {**annotations, PROCESS: "another/12@3"}
    assert not orphaned(elsewhere)
    assert orphaned(elsewhere, later)
    assert not orphaned({**elsewhere, KEPT: "true"}, later)
    assert not orphaned({})
    assert not orphaned({**elsewhere, SEEN: "nonsense"}, later)


def test_a_cluster_of_a_dead_process_is_an_orphan():
    annotations = launcher(kept=False)
    machine = annotations[PROCESS].rpartition("/")[0]
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert orphaned({**annotations, PROCESS: f"{machine}/{child.pid}@1"})
    # The number was given to another process meanwhile.
    assert orphaned({**annotations, PROCESS: f"{machine}/{os.getpid()}@1"})
