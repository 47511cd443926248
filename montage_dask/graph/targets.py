"""The target of each operation of a job: what settings force, what the workers offer, and what it would cost where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from montage_dask.graph.costs import Work
from montage_dask.graph.drive import Driver
from montage_dask.graph.operation import operation as registered
from montage_dask.graph.parcel import can_travel
from montage_dask.graph.placement import GPU_START_SECONDS, Cost, Placement, place
from montage_dask.graph.remote import LineState

GPU_SWITCHES: Mapping[str, tuple[str, ...]] = {
    "gpu-encode": ("encode", "transcode"), "gpu-opencv": ("stabilise", "grade"),
}  # fmt: skip
"""Operations that a switch sends to the GPU (true) or keeps from it (false)."""

CGPU_SWITCHES: Mapping[str, tuple[str, ...]] = {
    "cgpu-beat-detect": ("beats",), "cgpu-scene-detect": ("scores",),
    "cgpu-encode": ("encode", "transcode", "grade"),
}  # fmt: skip
"""Operations that a switch sends to cgpu (true) or keeps from it (false)."""

ENCODING = ("encode", "transcode", "grade")

COLD_SECONDS = 90.0
"""Until a new runtime is allocated and set up: a guess on the safe side, as no live one could be measured."""

WARM_SECONDS = 4.0
"""What a bundle costs beside its bytes: two calls of the CLI and the start of Python there."""

CGPU_SHARE = 0.5
"""Speed of Colab's usual GPU relative to a worker's own: a guess, as no live one could be measured."""


@dataclass(frozen=True, slots=True)
class Targets:
    """What settings say of targets."""

    wanted: Mapping[str, str] = field(default_factory=dict)
    """Target by operation; `auto` or nothing: what is cheapest."""
    at_home: frozenset[str] = frozenset()
    """Operations that are kept from cgpu."""
    switched: frozenset[str] = frozenset()
    """Operations that a switch, not a placement, sends to cgpu: thresholds hold for them."""
    cgpu: str = "auto"
    """false: never; else where a worker offers it."""
    encode_threshold_seconds: float = 300.0

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Targets:
        """From resolved settings (name → `config.Setting`); `placement` counts more than the switches."""
        wanted: dict[str, str] = {}
        home: set[str] = set()
        for switch, operations in GPU_SWITCHES.items():
            target = {"true": "gpu", "false": "cpu"}.get(settings[switch].value)
            if target:
                wanted.update(dict.fromkeys(operations, target))
        switched: set[str] = set()
        for switch, operations in CGPU_SWITCHES.items():
            if settings[switch].value == "true":
                wanted.update(dict.fromkeys(operations, "cgpu"))
                switched.update(operations)
            elif settings[switch].value == "false":
                home.update(operations)
        placed = settings["placement"].value
        return cls(
            {**wanted, **placed},
            frozenset(home - {o for o, t in placed.items() if t == "cgpu"}),
            frozenset(switched - placed.keys()),
            settings["cgpu-enabled"].value,
            settings["cgpu-encode-threshold"].value,
        )

    def keeps_home(self, operation: str, work: Work) -> str:
        """Why an operation does not go to cgpu whatever it costs; empty when it may."""
        if self.cgpu == "false":
            return "cgpu is switched off"
        if operation in self.at_home:
            return "kept from cgpu by the user"
        forced = self.wanted.get(operation) == "cgpu" and operation not in self.switched
        seconds = work.media_seconds
        below = seconds is not None and seconds < self.encode_threshold_seconds
        if operation in ENCODING and below and not forced:
            return (
                f"{seconds:.0f} s of video are fewer than CGPU_ENCODE_THRESHOLD = "
                f"{self.encode_threshold_seconds:g}"
            )
        return ""


def place_on(
    driver: Driver, operation: str, targets: Targets, work: Work | None = None
) -> Placement:
    """Where an operation of this job runs.

    Args:
        driver: knows the workers.
        operation: its name.
        targets: may force one.
        work: of all its requests together.

    Raises:
        ClusterError: no worker offers any of its targets.
    """
    speedup = registered(operation).gpu_speedup
    capacity = driver.workers.expect("cpu", operation)
    work = work or Work()
    costs = {"cpu": Cost(work.cpu_seconds / capacity.slots_of("cpu"))}
    if speedup:
        each = work.cpu_seconds / speedup / capacity.slots_of("gpu")
        costs["gpu"] = Cost(GPU_START_SECONDS + each)
    lack = ""
    if speedup and can_travel(operation) and capacity.offers("cgpu"):
        lack = targets.keeps_home(operation, work)
        line = driver.line() if not lack else None
        if line is not None:
            lack = line.lack
        if line is not None and line.ready:
            costs["cgpu"] = cgpu_cost(work, speedup, line)
    wanted = targets.wanted.get(operation, "auto")
    if wanted == "cgpu" and lack:
        wanted = "auto"
    return place(operation, costs, capacity, wanted=wanted, lack=lack)


def cgpu_cost(work: Work, speedup: float, line: LineState) -> Cost:
    """What it costs to have the work done behind a line."""
    start = WARM_SECONDS if line.warm else COLD_SECONDS
    note = (
        f"{work.bytes_moved / 1e6:.1f} MB at {line.bytes_per_second / 1e6:.2g} MB/s, "
        f"{'warm' if line.warm else 'cold'} runtime"
    )
    return Cost(
        start + work.cpu_seconds / max(1.0, speedup * CGPU_SHARE),
        work.bytes_moved,
        line.bytes_per_second,
        note,
    )
