"""Which settings there are: what each may be, its default, its environment names, and what it does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from montage_dask.config.values import (
    Kind,
    absolute_folder,
    automatic,
    beat_effects,
    brief,
    byte_size,
    cache_size,
    http_url,
    name_of_claim,
    name_of_object,
    number,
    on_off_or_auto,
    one_of,
    optional,
    placements,
    positive_seconds,
    rate,
    received,
    seconds_or_auto,
    size,
    some_of,
    switch,
    text,
    texts,
    variables,
    whole,
    workers_range,
)

ENVIRONMENT: Mapping[str, str] = {
    "CGPU_BEAT_DETECT": "cgpu-beat-detect",
    "CGPU_SCENE_DETECT": "cgpu-scene-detect",
    "CGPU_ENCODE": "cgpu-encode",
    "CGPU_ENCODE_THRESHOLD": "cgpu-encode-threshold",
    "CGPU_GPU_ENABLED": "cgpu-enabled",
    "LOCAL_GPU_ENCODE": "gpu-encode",
    "LOCAL_GPU_OPENCV": "gpu-opencv",
    "GPU_MEMORY_LIMIT": "gpu-memory-limit",
    "DISTRIBUTED_MODE": "distributed-mode",
    "WORKER_CONCURRENCY": "n-workers",
    "COORDINATOR_URL": "coordinator-url",
    "WORKER_TYPE": "worker-type",
}
"""Environment variables that work without the DASK_MONTAGE__ prefix, and the setting that each one sets."""

REPLACED: Mapping[str, str] = {
    "WORKER_MODE": "`worker` starts a worker, and WORKER_TYPE says which kind",
    "TASK_TYPE": "the scheduler tells a worker what to do, and its type (WORKER_TYPE) what it is fit for",
    "TASK_ID": "the scheduler tells a worker what to do; `jobs follow JOB` watches a job",
}
"""Environment variables of older set-ups that do nothing, and what took their place."""

PLACEMENT_VARIABLE = "DASK_MONTAGE__PLACEMENT"
"""Read here, as YAML: Dask reads Python, and drops without a word what is no mapping then."""

KINDS: Mapping[str, Kind[Any]] = {
    "style": received(text),
    "duration": received(optional(positive_seconds)),
    "exact": received(switch),
    "music-fit": received(switch),
    "start": received(seconds_or_auto),
    "size": received(size),
    "fps": received(rate),
    "fit": received(one_of("contain", "cover", "centre", "blur")),
    "quality": received(one_of("preview", "standard", "high", "master")),
    "codec": received(one_of("h264", "hevc", "av1")),
    "crf": received(optional(whole(0, 63))),
    "seed": received(whole(0, 2**31 - 1)),
    "variants": received(whole(1, 20)),
    "grade": received(optional(text)),
    "match": received(optional(on_off_or_auto)),
    "transition": received(optional(one_of("cut", "crossfade", "dip-to-black", "dip-to-white"))),
    "beat-effects": received(optional(beat_effects)),
    "director": received(optional(brief)),
    "director-url": optional(http_url),
    "director-model": optional(text),
    "director-api": one_of("auto", "responses", "chat"),
    "director-seconds": number(1, 3600),
    "keep-audio": received(switch),
    "allow": received(
        some_of("text", "card", "black", "white", "empty", "frozen", "fade", "blur", "all")
    ),
    "deinterlace": received(on_off_or_auto),
    "stabilise": received(on_off_or_auto),
    "upscale": received(on_off_or_auto),
    "upscale-model": received(text),
    "upscale-limit-minutes": number(0, 1e6),
    "bpm": received(optional(number(20, 400))),
    "beats-file": received(optional(text)),
    "beats-per-bar": received(optional(whole(2, 7))),
    "window-frames": whole(1, 1_000_000),
    "segment-frames": whole(10, 100_000),
    "transcode-frames": whole(10, 1_000_000),
    "encoder-threads": whole(1, 64),
    "stall-seconds": number(1, 86_400),
    "music-limit-hours": number(0.001, 1000),
    "picture-limit-megapixels": number(0.001, 10_000),
    "faces": received(switch),
    "detector": received(
        one_of("auto", "fast", "accurate", "content", "adaptive", "hash", "histogram")
    ),
    "threshold": received(optional(number(0, 1000))),
    "scenes-weights": optional(text),
    "embedding": received(one_of("auto", "strip", "clip", "dino")),
    "embedding-model": optional(text),
    "tracker": received(one_of("auto", "network", "flux", "librosa", "beat-this")),
    "beats-weights": optional(text),
    "beat-this-checkpoint": optional(text),
    "loudness-lufs": received(number(-40, -5)),
    "true-peak-db": received(number(-12, 0)),
    "cluster": text,
    "insecure": switch,
    "dashboard-hosts": texts,
    "tls-ca-file": optional(text),
    "tls-cert": optional(text),
    "tls-key": optional(text),
    "coordinator-url": optional(text),
    "distributed-mode": switch,
    "n-workers": optional(whole(1, 1024)),
    "gpu-workers": optional(whole(0, 64)),
    "memory-limit": byte_size,
    "worker-type": one_of("cpu", "gpu", "cgpu"),
    "in-flight-per-slot": whole(1, 100),
    "priority": whole(-1000, 1000),
    "retries": whole(0, 20),
    "store": optional(text),
    "cache-folder": optional(absolute_folder),
    "cache-limit": cache_size,
    "placement": placements,
    "gpu-encode": automatic,
    "gpu-opencv": automatic,
    "gpu-memory-limit": whole(256, 1_000_000),
    "cgpu-enabled": automatic,
    "cgpu-beat-detect": automatic,
    "cgpu-scene-detect": automatic,
    "cgpu-encode": automatic,
    "cgpu-encode-threshold": number(0, 1e6),
    "cgpu-binary": optional(text),
    "cgpu-config-dir": optional(text),
    "cgpu-folder": text,
    "cgpu-python": text,
    "cgpu-install": one_of("python", "target", "off"),
    "cgpu-chunk-megabytes": whole(1, 64),
    "cgpu-call-seconds": number(1, 86_400),
    "kubernetes-namespace": optional(name_of_object),
    "kubernetes-specs": optional(text),
    "kubernetes-image": optional(text),
    "kubernetes-gpu-image": optional(text),
    "kubernetes-cgpu-image": optional(text),
    "kubernetes-cpu-workers": workers_range,
    "kubernetes-gpu-workers": workers_range,
    "kubernetes-cgpu-workers": workers_range,
    "kubernetes-claim": name_of_claim,
    "kubernetes-folder": absolute_folder,
    "kubernetes-env": variables,
    "kubernetes-idle-seconds": number(0, 86_400),
    "kubernetes-pending-seconds": number(1, 86_400),
    "kubernetes-tls": switch,
    "kubernetes-keep": switch,
    "kubernetes-attach": optional(name_of_object),
    "performance-report": switch,
    "roots": texts,
}
"""What each setting may be, and whether a job file may set it: only those that say `received`."""

FILE = Path(__file__).parents[1] / "montage.yaml"
"""The defaults, each with a word on what it does."""


@cache
def defaults() -> dict[str, Any]:
    """The packaged defaults, by name."""
    loaded = yaml.safe_load(FILE.read_text(encoding="utf-8"))["montage"]
    assert loaded.keys() == KINDS.keys(), loaded.keys() ^ KINDS.keys()
    return dict(loaded)


@cache
def descriptions() -> dict[str, str]:
    """What each setting does: the comment beside its default."""
    lines = FILE.read_text(encoding="utf-8").splitlines()
    found = (re.fullmatch(r"  ([a-z0-9-]+):.*?\s# (.+)", line) for line in lines)
    return {f[1]: f[2].strip() for f in found if f}


@cache
def sections() -> dict[str, tuple[str, ...]]:
    """Names of the settings under the headings of the file, in its order."""
    result: dict[str, tuple[str, ...]] = {}
    heading = ""
    for line in FILE.read_text(encoding="utf-8").splitlines():
        if title := re.fullmatch(r"  # -- (.+?) -+", line):
            heading = title[1]
        elif name := re.match(r"  ([a-z0-9-]+):", line):
            result[heading] = (*result.get(heading, ()), name[1])
    return result
