"""Upscaling as requests, where they run, and how long that takes – said before it begins, and refused when it is silly.

The time is measured with a small tile on a worker of the very target, not taken from a table.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from montage_dask.errors import TargetFailed, UsageError, printable
from montage_dask.graph.costs import Work, output_bytes, range_bytes
from montage_dask.graph.drive import Driver
from montage_dask.graph.operation import Request, finished
from montage_dask.graph.placement import TAGS, Placement
from montage_dask.graph.survey import Clip, Settings
from montage_dask.graph.targets import place_on
from montage_dask.job import JobSpec
from montage_dask.records import Source, Timeline, from_json, to_json
from montage_dask.store import Place

PIECE_FRAMES = 50
"""Frames of a piece: minutes of work on a CPU, so that little is lost when a job is stopped."""

LARGEST_SIDE = 8192
"""Pixels; what encoders and players take."""

CPU_SECONDS_PER_PIXEL = 2e-5
"""Of the source. Chooses between targets only; what people are told is measured."""


@dataclass(frozen=True, slots=True)
class Upscaling:
    """How pictures are enlarged."""

    model: str
    """fidelity, detail, or the absolute path of a .pth file."""
    identity: str
    """Of the model: its name, or the fingerprint of the file."""
    scale: int
    """2 or 4."""
    precision: str
    """On CPUs: all workers of a job must agree on one."""
    memory_limit_mb: int
    """Of a GPU worker."""


def upscaling(model: str, scale: int, *, memory_limit_mb: int) -> Upscaling:
    """Check how to upscale.

    Raises:
        UsageError: no such model, its package is not installed, or it is a file that cannot be used.
    """
    from montage_dask.render.networks import MODELS, default_precision, load_network, weight_files

    if model in MODELS:
        weight_files(model)
        identity = model
    elif model.endswith(".pth"):
        model = str(Path(model).absolute())
        if os.path.exists(model) and not os.path.isfile(model):
            raise UsageError(f"model {printable(model)}: is not a regular file")
        load_network(model, precision="float32")
        identity = "sha256:" + hashlib.sha256(Path(model).read_bytes()).hexdigest()[:32]
    else:
        raise UsageError(
            f"model {printable(model)!r}: must be {', '.join(MODELS)} or a .pth file with a compact network"
        )
    return Upscaling(model, identity, scale, default_precision("cpu"), memory_limit_mb)


def too_large(source: Source, scale: int) -> str | None:
    """Why a source cannot be upscaled so much; None when it can."""
    width, height = source.coded_width * scale, source.coded_height * scale
    if max(width, height) <= LARGEST_SIDE:
        return None
    return f"would be {width}×{height} pixels, more than {LARGEST_SIDE} on a side"


def upscale_request(
    clip: Clip,
    start_frame: int,
    stop_frame: int,
    how: Upscaling,
    *,
    before: tuple[str, Place] | None = None,
    encoding: Mapping[str, Any] | None = None,
) -> Request:
    """The request that enlarges a range of a source.

    Args:
        clip: the source.
        start_frame: first frame.
        stop_frame: end.
        how: model and scale.
        before: key and file of the mezzanine of exactly this range to take instead of the source.
        encoding: codec, quality, crf, threads of the result (upright, and at an exact rate if the source has one);
            None makes a mezzanine.
    """
    from montage_dask.render import pictures

    source = clip.source
    return Request(
        "upscale",
        {
            "identity": source.identity,
            "stream_index": source.stream_index,
            "start_frame": start_frame,
            "stop_frame": stop_frame,
            "input": before[0] if before else None,
            "model": how.identity,
            "scale": how.scale,
            "precision": how.precision,
            "encoding": None if encoding is None else dict(encoding),
            "mezzanine_version": pictures.VERSION,
        },
        {
            "source": to_json(source),
            "index": str(clip.index),
            "input": str(before[1]) if before else None,
            "model": how.model,
            "memory_limit_mb": how.memory_limit_mb,
        },
        clip.name,
    )


def upscale_place(
    driver: Driver, settings: Settings, requests: Iterable[Request] = ()
) -> Placement:
    """Where pictures are enlarged.

    Raises:
        ClusterError: no worker offers a target.
    """
    requests = list(requests)
    # When the requests are not known yet, any time tells which target is faster.
    seconds = source_pixels(requests) * CPU_SECONDS_PER_PIXEL or 1.0
    return place_on(driver, "upscale", settings.targets, Work(seconds, _moved(requests)))


def _moved(requests: Iterable[Request]) -> int:
    """Bytes that go to a machine which does not see the files, and come back."""
    total = 0
    for request in requests:
        p, source = request.parameters, from_json(Source, request.paths["source"])
        frames = p["stop_frame"] - p["start_frame"]
        total += range_bytes(source, frames / source.frame_rate)
        total += output_bytes(frames * source.width * source.height * p["scale"] ** 2, "master")
    return total


def source_pixels(requests: Iterable[Request]) -> int:
    """How many pixels of sources requests read."""
    total = 0
    for request in requests:
        p, source = request.parameters, request.paths["source"]
        size = source["coded_width"] * source["coded_height"]
        total += (p["stop_frame"] - p["start_frame"]) * size
    return total


def expect(
    driver: Driver,
    requests: Iterable[Request],
    placement: Placement,
    *,
    limit_minutes: float | None,
    advice: str,
) -> float:
    """Say how long it will take, measured on a worker; what is done already costs nothing.

    Args:
        driver: has the workers.
        requests: to upscale.
        placement: where they will run.
        limit_minutes: the longest that it may take; None: however long.
        advice: how to have it done all the same.

    Returns:
        Expected seconds.

    Raises:
        UsageError: it takes longer than the limit; says what to do.
    """
    left = [r for r in requests if finished(r, driver.store) is None]
    if not left:
        return 0.0
    while True:
        try:
            seconds, slots = _measured(driver, left, placement)
            break
        except TargetFailed as error:
            if not placement.fallbacks:
                raise
            placement = placement.fallback(str(error))
    p, paths = left[0].parameters, left[0].paths
    model, scale = paths["model"], p["scale"]
    told = (
        f"upscaling {scale}× by {Path(model).name} on {slots} {placement.target} "
        f"{'slots' if slots > 1 else 'slot'} takes about {spoken(seconds)}"
    )
    if limit_minutes is not None and seconds > limit_minutes * 60:
        # The network of `detail` makes four times in any case, that of `fidelity` twice.
        cheaper = {("detail", 2): ["--model fidelity"], ("fidelity", 4): ["--scale 2"]}.get(
            (model, scale), []
        )
        ways = ", ".join([advice, "use a GPU worker", *cheaper, "or take less footage"])
        raise UsageError(f"{told}, more than upscale-limit-minutes = {limit_minutes:g}: {ways}")
    driver.progress.note(told)
    return seconds


def _measured(
    driver: Driver, requests: Sequence[Request], placement: Placement
) -> tuple[float, int]:
    """Seconds that requests will take on a target, and how many run at once."""
    device = {"gpu": "cuda", "cgpu": "auto"}.get(placement.target, "cpu")
    work: dict[tuple[str, int, str | None, int], list[Request]] = {}
    for request in requests:
        p, paths = request.parameters, request.paths
        precision = p["precision"] if device != "cuda" else None
        way = (paths["model"], p["scale"], precision, paths["memory_limit_mb"])
        work.setdefault(way, []).append(request)
    # Behind a line there is one machine, however many requests wait for it.
    shared = placement.target == "cgpu"
    slots = (
        1
        if shared
        else int(driver.workers.capacity().resources.get(TAGS[placement.target], 1)) or 1
    )
    slots = min(slots, len(requests))
    each = {way: driver.ask(placement, measure_seconds_per_pixel, *way, device) for way in work}
    return sum(source_pixels(own) * each[way] for way, own in work.items()) / slots, slots


def spoken(seconds: float) -> str:
    """A length of time for people: "40 s", "12 min", "3.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def measure_seconds_per_pixel(
    model: str, scale: int, precision: str | None, memory_limit_mb: int, device: str
) -> float:
    """Runs in a worker: seconds for one pixel of a source."""
    from montage_dask.devices import best_device
    from montage_dask.render.upscale import Upscaler

    device = best_device() if device == "auto" else device
    own = precision if device == "cpu" else None
    upscaler = Upscaler(model, scale, device=device, precision=own, memory_limit_mb=memory_limit_mb)
    return upscaler.seconds_per_pixel()


def accelerated(driver: Driver) -> bool:
    """Whether a GPU is there, in a worker or behind one."""
    capacity = driver.workers.expect("cpu")
    return capacity.offers("gpu") or (capacity.offers("cgpu") and driver.line().ready)


def enlargements(
    job: JobSpec,
    driver: Driver,
    clips: Mapping[str, Clip],
    timeline: Timeline,
    told: list[dict[str, Any]],
) -> dict[str, Upscaling]:
    """Which sources of a montage are enlarged, and how; by identity.

    Args:
        job: its settings.
        driver: knows what the cluster has.
        clips: by identity.
        timeline: which of them are used, and the size of the output.
        told: gets a line for each source that would gain by it: whether it is done, and why.

    Raises:
        UsageError: upscaling is on, and the model cannot be used.
    """
    from montage_dask.render.upscale import SCALES, needs_upscale

    mode, model = job["upscale"], job["upscale-model"]
    used = dict.fromkeys(e.source for e in timeline.events)
    how: dict[str, Upscaling] = {}
    for identity in used if mode != "off" else ():
        source = clips[identity].source
        if not needs_upscale(source, timeline.width, timeline.height):
            continue
        # Twice is enough as long as what is left to interpolate would not be upscaled either.
        far = needs_upscale(source, timeline.width // 2, timeline.height // 2)
        scale = SCALES[1] if far and too_large(source, SCALES[1]) is None else SCALES[0]
        reason = f"{source.width}×{source.height} in {timeline.width}×{timeline.height}"
        if mode == "auto" and not accelerated(driver):
            reason += ", but no worker has a GPU; --upscale on does it all the same"
        elif (unfit := too_large(source, scale)) is not None:
            reason += f", but it {unfit}"
        else:
            try:
                how[identity] = upscaling(model, scale, memory_limit_mb=job["gpu-memory-limit"])
                reason += f": {scale}× by {Path(model).name}"
            except UsageError as error:
                if mode == "on":
                    raise
                reason += f", but {error}"
        told.append(
            {
                "effect": "upscale",
                "path": source.path,
                "applied": identity in how,
                "reason": reason,
            }
        )
    return how
