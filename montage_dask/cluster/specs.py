"""The Kubernetes objects of a cluster, from the very specs that people apply by hand.

`specs/kubernetes/` (packaged as `montage_dask/specs`) is the one source: the launcher reads `cluster.yaml` and the worker groups,
applies the images and patches of `kustomization.yaml` as kustomize does, and gives each cluster its own name and numbers.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from montage_dask.errors import UsageError
from montage_dask.graph.placement import TAGS

PACKAGED = Path(__file__).parents[1] / "specs"

FILES: Mapping[str, str] = {
    "cpu": "cluster.yaml",
    "gpu": "workers-gpu.yaml",
    "cgpu": "workers-cgpu.yaml",
}
"""Where the workers of each type are described; the CPU workers are the default group of the cluster itself."""

STANDING = "montage"
"""The name of the cluster and the claim in the specs."""

IMAGES: Mapping[str, str] = {"cpu": "montage-dask", "gpu": "montage-dask-gpu", "cgpu": "montage-dask-cgpu"}  # fmt: skip
"""The placeholder of each worker type's image in the specs; `kustomization.yaml` says what it stands for."""

PART_OF = "app.kubernetes.io/part-of"

CERTIFICATES_FOLDER = "/certificates"
"""Where pods see the Secret with their cluster's certificates."""

CACHE = "cache"
"""The volume for the copies of objects in the specs."""

CACHE_LIMIT = "DASK_MONTAGE__CACHE_LIMIT"

OWN_VOLUMES = {"emptyDir", "secret", "configMap", "projected", "downwardAPI"}
"""Volumes with nobody's footage."""

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one cluster is to be."""

    name: str
    replicas: Mapping[str, int]
    """Workers to start with, by type; only these types get a group."""
    images: Mapping[str, str | None] = field(default_factory=dict)
    """By type, over what the kustomization says."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """For every container, over what the specs say."""
    claim: str | None = STANDING
    """The PersistentVolumeClaim with footage and outputs; None: pods without one, which read and write buckets."""
    folder: str = "/montage"
    """Where every pod sees it."""
    cache_bytes: int | None = None
    """The most that the copies of objects may take in each pod; None: as the specs say."""
    tls_namespace: str | None = None
    """The namespace of a cluster whose parts speak TLS; None: plain TCP."""


class Specs:
    """The specs of one folder.

    Args:
        folder: None: the packaged ones.

    Raises:
        UsageError: a file is missing or is no such spec.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or PACKAGED
        self._kustomization = self._read("kustomization.yaml")

    def _read(self, name: str) -> Manifest:
        path = self.folder / name
        try:
            loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise UsageError(
                f"kubernetes-specs: {path}: {error.strerror}; copy the folder specs/kubernetes"
            ) from error
        except yaml.YAMLError as error:
            raise UsageError(f"kubernetes-specs: {path} is not YAML: {error}") from error
        if not isinstance(loaded, dict) or "kind" not in loaded:
            raise UsageError(f"kubernetes-specs: {path} holds no Kubernetes object")
        # YAML's anchors make shared parts; a change of one must not change the other.
        return _unshared(loaded)

    def manifest(self, kind: str) -> Manifest:
        """A worker type's manifest with the images and patches of the kustomization; names are those of the file."""
        return self._kustomized(self._read(FILES[kind]))

    def slots(self, kind: str) -> int:
        """Slots that one worker of a type brings: its resource tag in the command.

        Raises:
            UsageError: the command names no such tag.
        """
        return self._slots(self.manifest(kind), kind)

    def cluster(self, wanted: Wanted) -> Manifest:
        """The DaskCluster with the CPU workers."""
        made = self.manifest("cpu")
        made["spec"]["worker"]["replicas"] = wanted.replicas.get("cpu", 0)
        service = made["spec"]["scheduler"]["service"]
        service["selector"]["dask.org/cluster-name"] = wanted.name
        self._named(made, wanted.name, wanted, "cpu")
        return made

    def groups(self, wanted: Wanted) -> list[Manifest]:
        """The DaskWorkerGroups beside the default one."""
        made = []
        for kind in wanted.replicas:
            if kind == "cpu":
                continue
            group = self.manifest(kind)
            group["spec"]["cluster"] = wanted.name
            group["spec"]["worker"]["replicas"] = wanted.replicas[kind]
            group["metadata"].setdefault("labels", {})["dask.org/cluster-name"] = wanted.name
            self._named(group, group_name(wanted.name, kind), wanted, kind)
            made.append(group)
        return made

    def disruption_budget(self, name: str, version: str) -> Manifest:
        """The PodDisruptionBudget of a cluster's scheduler.

        Args:
            name: of the cluster.
            version: policy/v1 or, on old servers, policy/v1beta1.
        """
        made = self._read("disruption-budget.yaml")
        made["apiVersion"] = version
        made["metadata"]["name"] = f"{name}-scheduler"
        made["metadata"]["labels"]["dask.org/cluster-name"] = name
        made["spec"]["selector"]["matchLabels"]["dask.org/cluster-name"] = name
        return made

    def _named(self, manifest: Manifest, name: str, wanted: Wanted, kind: str) -> None:
        manifest["metadata"]["name"] = name
        # The folder's namespace is for kubectl: the launcher's own is given with each request.
        manifest["metadata"].pop("namespace", None)
        for pod in _pods(manifest):
            _claim(pod, wanted.claim)
            environment = {**_cache(pod, wanted.cache_bytes), **wanted.environment}
            for container in _containers(pod):
                given = wanted.images.get(kind)
                if given:
                    container["image"] = given
                own = [e for e in container.get("env", ()) if e["name"] not in environment]
                more = [{"name": k, "value": v} for k, v in environment.items()]
                container["env"] = own + more
                for mount in container.get("volumeMounts", ()):
                    if mount["name"] == STANDING:
                        mount["mountPath"] = wanted.folder
            if wanted.tls_namespace is not None:
                _encrypt(pod, wanted.name, wanted.tls_namespace)

    def _kustomized(self, manifest: Manifest) -> Manifest:
        """What kustomize makes of it: images by name, JSON patches by kind and name."""
        images = {i["name"]: i for i in self._kustomization.get("images", ())}
        for pod in _pods(manifest):
            for container in _containers(pod):
                container["image"] = _image(container["image"], images)
        for entry in self._kustomization.get("patches", ()):
            target = entry.get("target", {})
            if target.get("kind", manifest["kind"]) != manifest["kind"]:
                continue
            if target.get("name", manifest["metadata"]["name"]) != manifest["metadata"]["name"]:
                continue
            operations = yaml.safe_load(entry["patch"])
            if not isinstance(operations, list):
                raise UsageError(
                    f"{self.folder}/kustomization.yaml: only JSON patches (op, path, value) are understood"
                )
            for operation in operations:
                _patch(manifest, operation, self.folder)
        return manifest

    def _slots(self, manifest: Manifest, kind: str) -> int:
        container = manifest["spec"]["worker"]["spec"]["containers"][0]
        words = [str(w) for w in [*container.get("command", ()), *container.get("args", ())]]
        found = re.search(rf"--resources[ =][^ ]*\b{TAGS[kind]}=(\d+)", " ".join(words))
        slots = found or re.search(r"--slots[ =](\d+)", " ".join(words))
        if slots is None:
            raise UsageError(
                f"{self.folder}/{FILES[kind]}: its command gives the workers no --resources {TAGS[kind]}=1"
            )
        return int(slots[1])


def group_name(cluster: str, kind: str) -> str:
    """The DaskWorkerGroup of a worker type: its `dask.org/workergroup-name` label, and how its Deployments' names begin."""
    return f"{cluster}-default" if kind == "cpu" else f"{cluster}-{kind}"


def secret_name(cluster: str) -> str:
    """The Secret with the certificates of a cluster."""
    return f"{cluster}-tls"


def _claim(pod: dict[str, Any], name: str | None) -> None:
    """Another claim for a pod, or none: then its volume and the places where that is mounted go, too."""
    claimed = [v for v in pod.get("volumes", ()) if _claimed(v) == STANDING]
    if name is not None:
        for volume in claimed:
            volume["persistentVolumeClaim"]["claimName"] = name
        return
    gone = {v["name"] for v in claimed}
    pod["volumes"] = [v for v in pod.get("volumes", ()) if v["name"] not in gone]
    for container in _containers(pod):
        mounts = container.get("volumeMounts", ())
        container["volumeMounts"] = [m for m in mounts if m["name"] not in gone]


def _claimed(volume: Mapping[str, Any]) -> str | None:
    return (volume.get("persistentVolumeClaim") or {}).get("claimName")


def _cache(pod: dict[str, Any], limit_bytes: int | None) -> dict[str, str]:
    """Room for the copies of objects in a pod that has a place for them; the variables that tell it of the limit."""
    volumes = [v for v in pod.get("volumes", ()) if v["name"] == CACHE and "emptyDir" in v]
    if limit_bytes is None or not volumes:
        return {}
    for volume in volumes:
        # What an operation makes lies there, too, until it is uploaded. A pod that takes more than this is evicted.
        volume["emptyDir"]["sizeLimit"] = f"{-(-2 * limit_bytes // 2**20)}Mi"
    return {CACHE_LIMIT: str(limit_bytes)}


def seen(manifest: Manifest) -> dict[str, str | None]:
    """The folders that the pods of a DaskCluster share with others: where they are mounted, and the claim behind each."""
    pod = manifest["spec"]["worker"]["spec"]
    shared = {v["name"]: v for v in pod.get("volumes", ()) if not v.keys() & OWN_VOLUMES}
    return {
        mount["mountPath"]: _claimed(shared[mount["name"]])
        for container in pod["containers"]
        for mount in container.get("volumeMounts", ())
        if mount["name"] in shared
    }


def _encrypt(pod: dict[str, Any], cluster: str, namespace: str) -> None:
    """The certificates for a pod, and Dask's settings to use them: they reach every process, whatever command starts it."""
    secret = {"secretName": secret_name(cluster), "defaultMode": 0o440}
    pod.setdefault("volumes", []).append({"name": "certificates", "secret": secret})
    dask = "DASK_DISTRIBUTED__COMM__"
    variables = {
        # The operator gives workers a tcp:// address, unless they have one.
        "DASK_SCHEDULER_ADDRESS": f"tls://{cluster}-scheduler.{namespace}.svc.cluster.local:8786",
        f"{dask}REQUIRE_ENCRYPTION": "true",
        "DASK_MONTAGE__INSECURE": "false",
        f"{dask}TLS__CA_FILE": f"{CERTIFICATES_FOLDER}/ca.crt",
    }
    for role in ("SCHEDULER", "WORKER", "CLIENT"):
        variables[f"{dask}TLS__{role}__CERT"] = f"{CERTIFICATES_FOLDER}/tls.crt"
        variables[f"{dask}TLS__{role}__KEY"] = f"{CERTIFICATES_FOLDER}/tls.key"
    for container in pod["containers"]:
        kept = [e for e in container.get("env", ()) if e["name"] not in variables]
        container["env"] = kept + [{"name": k, "value": v} for k, v in variables.items()]
        container.setdefault("volumeMounts", []).append(
            {"name": "certificates", "mountPath": CERTIFICATES_FOLDER, "readOnly": True}
        )


def _pods(manifest: Manifest) -> Iterator[dict[str, Any]]:
    for part in ("scheduler", "worker"):
        if part in manifest["spec"]:
            yield manifest["spec"][part]["spec"]


def _containers(pod: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    yield from pod.get("initContainers", ())
    yield from pod["containers"]


def _image(placeholder: str, images: Mapping[str, Mapping[str, str]]) -> str:
    name, _, tag = placeholder.partition(":")
    if name not in images:
        return placeholder
    entry = images[name]
    if "digest" in entry:
        return f"{entry.get('newName', name)}@{entry['digest']}"
    tag = entry.get("newTag", tag)
    return entry.get("newName", name) + (f":{tag}" if tag else "")


def _patch(manifest: Manifest, operation: Mapping[str, Any], folder: Path) -> None:
    """Apply one operation of a JSON patch (RFC 6902): add, replace or remove."""
    *parents, last = [
        p.replace("~1", "/").replace("~0", "~") for p in operation["path"].split("/")[1:]
    ]
    op = operation["op"]
    try:
        at: Any = manifest
        for step in parents:
            at = at[int(step)] if isinstance(at, list) else at[step]
        if isinstance(at, list):
            if op == "add":
                at.insert(len(at) if last == "-" else int(last), operation["value"])
            elif op == "replace":
                at[int(last)] = operation["value"]
            else:
                del at[int(last)]
        elif op == "remove" or (op == "replace" and last not in at):
            del at[last]
        else:
            at[last] = copy.deepcopy(operation["value"])
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise UsageError(
            f"{folder}/kustomization.yaml: no place for the patch {op} {operation['path']}"
        ) from error


def _unshared(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _unshared(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_unshared(v) for v in value]
    return value
