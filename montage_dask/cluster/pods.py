"""Why a pod does not run, in one line: read from its status and its events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

HOPELESS = (
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "CreateContainerConfigError",
    "CreateContainerError",
    "CrashLoopBackOff",
    "RunContainerError",
)
"""States of a container that waiting rarely ends."""

NODES_COMING = ("TriggeredScaleUp", "Nominated")
"""Events of autoscalers of nodes: a machine is on its way."""

ADVICE: Mapping[str, str] = {
    "image": "check --image and the registry's credentials",
    "nvidia.com/gpu": "no node has a free GPU: lower --gpu-workers, or add GPU nodes",
    "Insufficient": "no node is large or free enough: lower the sizes in kustomization.yaml, or add nodes",
    "unbound": "no volume fits the claim: give storage.yaml a storage class that can be written from several nodes",
    "persistentvolumeclaim": "apply storage.yaml, or name your claim by the setting kubernetes-claim",
    "secret": "create it as workers-cgpu.yaml says",
    "CrashLoopBackOff": "see `python -m montage_dask cluster logs`",
}


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a pod does not run."""

    pod: str
    reason: str
    """One line with what to do."""
    hopeless: bool
    """Whether waiting will hardly help."""
    nodes_coming: bool = False
    """Whether a machine is being added for it."""

    def __str__(self) -> str:
        return f"pod {self.pod}: {self.reason}"


def age_seconds(item: Mapping[str, Any], now: datetime | None = None) -> float:
    """How long ago an object was made, in seconds."""
    made = datetime.fromisoformat(item["metadata"]["creationTimestamp"])
    return ((now or datetime.now(UTC)) - made).total_seconds()


def trouble(pod: Mapping[str, Any], events: Iterable[Mapping[str, Any]] = ()) -> Trouble | None:
    """Why a pod does not run, or None when it runs, is being deleted, or nothing is known yet.

    Args:
        pod: as the API server gives it.
        events: of the namespace; those of other objects are left out.
    """
    name = pod["metadata"]["name"]
    status = pod.get("status", {})
    if pod["metadata"].get("deletionTimestamp"):
        return None
    own = [e for e in events if e.get("involvedObject", {}).get("name") == name]
    coming = any(e.get("reason") in NODES_COMING for e in own)
    if status.get("phase") == "Failed":
        why = status.get("message") or status.get("reason") or "failed"
        return Trouble(name, _advised(f"{status.get('reason', 'Failed')}: {why}"), hopeless=False)
    for container in _containers(status):
        waiting = container.get("state", {}).get("waiting") or {}
        if waiting.get("reason") in HOPELESS:
            ended = container.get("lastState", {}).get("terminated") or {}
            last = f" (it ended with {ended.get('reason', 'Error')}, code {ended['exitCode']})" if ended else ""  # fmt: skip
            said = waiting.get("message") or ""
            return Trouble(name, _advised(f"{waiting['reason']}: {said}{last}"), hopeless=True)
    if status.get("phase") == "Running":
        return None
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            said = condition.get("message") or condition.get("reason") or "not scheduled"
            return Trouble(name, _advised(f"Pending: {said}"), False, coming)
    warned = [e for e in own if e.get("type") == "Warning"]
    if warned:
        last_one = max(warned, key=_last_seen)
        text = f"{last_one.get('reason')}: {last_one.get('message')}"
        return Trouble(name, _advised(text), False, coming)
    for container in _containers(status):
        waiting = container.get("state", {}).get("waiting") or {}
        if waiting.get("message"):
            return Trouble(name, _advised(f"{waiting['reason']}: {waiting['message']}"), False)
    return None


def pending(pod: Mapping[str, Any]) -> bool:
    """Whether a pod is on its way or stuck, rather than running or going."""
    phase = pod.get("status", {}).get("phase")
    return phase == "Pending" and not pod["metadata"].get("deletionTimestamp")


def restarts(pod: Mapping[str, Any]) -> int:
    """How often the containers of a pod were restarted."""
    return sum(c.get("restartCount", 0) for c in _containers(pod.get("status", {})))


def _containers(status: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def _last_seen(event: Mapping[str, Any]) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or "")


def _advised(text: str) -> str:
    line = " ".join(text.split())[:300].rstrip(": .")
    for mark, advice in ADVICE.items():
        if mark.lower() in line.lower():
            return f"{line}; {advice}"
    return line
