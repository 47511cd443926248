"""Settings: packaged defaults in `montage.yaml`, the Dask configuration on top, every value checked once.

Order: command line > job file > environment > file > default. The environment names of `ENVIRONMENT` are a contract; every
other setting is reached as `DASK_MONTAGE__…`.
"""

from __future__ import annotations

import math
import os
import re
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import dask.config
import dask.utils
import yaml

from montage_dask.errors import UsageError

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

PLACEMENT_VARIABLE = "DASK_MONTAGE__PLACEMENT"
"""Read here, as YAML: Dask reads Python, and drops without a word what is no mapping then."""

Check = Callable[[Any], Any]

HUGE = re.compile(r"[eE][+-]?\d{4}")
"""An exponent that a Fraction would work out for hours."""


def seconds(value: Any) -> Fraction:
    """A time of at least 0: a number of seconds, "90", "1:30" or "0:01:30.5".

    Raises:
        ValueError: it is not one.
    """
    if isinstance(value, bool):
        raise ValueError("not a time")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("not a finite time")
    total = Fraction(0)
    parts = str(value).strip().split(":")
    if not 1 <= len(parts) <= 3 or HUGE.search(str(value)):
        raise ValueError("not a time")
    for part in parts:
        number = Fraction(part)
        if number < 0 or part.startswith("-"):
            raise ValueError("a time cannot be negative")
        total = total * 60 + number
    if total > 24 * 3600:
        raise ValueError("longer than 24 hours")
    return total


def positive_seconds(value: Any) -> Fraction:
    """As `seconds`, but more than 0."""
    result = seconds(value)
    if result <= 0:
        raise ValueError("must be more than 0")
    return result


def rate(value: Any) -> Fraction:
    """A frame rate: 25, "29.97" (taken as 30000/1001) or "24000/1001"."""
    if HUGE.search(str(value)):
        raise ValueError("must lie between 1 and 240")
    number = Fraction(str(value).strip())
    if not 1 <= number <= 240:
        raise ValueError("must lie between 1 and 240")
    ntsc = Fraction(round(number * Fraction(1001, 1000)) * 1000, 1001)
    # 23.976, 29.97 and 59.94 are everyday names of n·1000/1001.
    if number.denominator != 1 and abs(number - ntsc) < Fraction(1, 100):
        return ntsc
    return number.limit_denominator(100_000)


def size(value: Any) -> str:
    """WIDTHxHEIGHT in even pixels, 16 to 8192."""
    width, _, height = str(value).lower().partition("x")
    if not (width.isascii() and width.isdigit() and height.isascii() and height.isdigit()):
        raise ValueError("must look like 1920x1080")
    if not (16 <= int(width) <= 8192 and 16 <= int(height) <= 8192):
        raise ValueError("each side must lie between 16 and 8192")
    if int(width) % 2 or int(height) % 2:
        raise ValueError("both sides must be even")
    return f"{int(width)}x{int(height)}"


def whole(low: int, high: int) -> Check:
    """A check for whole numbers in [low, high]."""

    def check(value: Any) -> int:
        if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
            raise ValueError("must be a whole number")
        number = int(value)
        if not low <= number <= high:
            raise ValueError(f"must lie between {low} and {high}")
        return number

    return check


def number(low: float, high: float) -> Check:
    """A check for finite numbers in [low, high]."""

    def check(value: Any) -> float:
        if isinstance(value, bool):
            raise ValueError("must be a number")
        result = float(value)
        if not low <= result <= high:  # NaN fails too
            raise ValueError(f"must lie between {low:g} and {high:g}")
        return result

    return check


def one_of(*names: str) -> Check:
    """A check for one of several words."""

    def check(value: Any) -> str:
        if value not in names:
            raise ValueError("must be one of " + ", ".join(names))
        return str(value)

    return check


def text(value: Any) -> str:
    """A check for non-empty text."""
    if not isinstance(value, str | os.PathLike) or not str(value):
        raise ValueError("must be text")
    return str(value)


def brief(value: Any) -> str:
    """A check for a text of at most 2000 characters."""
    words = text(value)
    if not words.strip() or len(words) > 2000:
        raise ValueError("must be a text of 1 to 2000 characters")
    return words


def http_url(value: Any) -> str:
    """A check for the base URL of a server with an OpenAI API."""
    from montage_dask.director_client import server_url

    return server_url(text(value))


def switch(value: Any) -> bool:
    """A check for yes or no."""
    words = {"true": True, "yes": True, "1": True, "on": True}
    words |= {"false": False, "no": False, "0": False, "off": False}
    if str(value).lower() not in words:
        raise ValueError("must be true or false")
    return words[str(value).lower()]


def automatic(value: Any) -> str:
    """A check for auto, true or false."""
    return "auto" if str(value).lower() == "auto" else str(switch(value)).lower()


def on_off_or_auto(value: Any) -> str:
    """A check for auto, on or off; YAML reads the latter two as true and false."""
    words = {"auto": "auto", "on": "on", "true": "on", "off": "off", "false": "off"}
    if str(value).lower() not in words:
        raise ValueError("must be auto, on or off")
    return words[str(value).lower()]


def byte_size(value: Any) -> int:
    """Bytes, as Dask writes them: "1.5GB", "800 MiB"."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError('must look like "1.5GB"')
    result = int(dask.utils.parse_bytes(value))
    if not 1 << 26 <= result <= 1 << 44:
        raise ValueError("must lie between 64 MiB and 16 TiB")
    return result


def cache_size(value: Any) -> int:
    """As `byte_size`, from 1 MB on."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError('must look like "20GB"')
    result = int(dask.utils.parse_bytes(value))
    if not 10**6 <= result <= 1 << 50:
        raise ValueError("must lie between 1 MB and 1 PiB")
    return result


def placements(value: Any) -> dict[str, str]:
    """Operation names and where each is to run."""
    if not isinstance(value, Mapping):
        raise ValueError("must map operations to targets")
    return {text(k): one_of("auto", "cpu", "gpu", "cgpu")(v) for k, v in value.items()}


def workers_range(value: Any) -> str:
    """Numbers of workers: "4", "0:8"."""
    found = re.fullmatch(r"\s*(\d{1,4})(?:\s*:\s*(\d{1,4}))?\s*", str(value))
    if not found:
        raise ValueError("must look like 4 or 0:8")
    low, high = int(found[1]), int(found[2] or found[1])
    if not low <= high <= 1000:
        raise ValueError("must be a range within 0:1000, the smaller number first")
    return f"{low}:{high}"


def name_of_object(value: Any) -> str:
    """A check for names of Kubernetes objects."""
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", str(value)):
        raise ValueError("must be lower case letters, digits and dashes")
    return str(value)


def absolute_folder(value: Any) -> str:
    """A check for absolute paths."""
    if not text(value).startswith("/") or text(value) == "/":
        raise ValueError("must be an absolute path")
    return os.path.normpath(text(value))


def variables(value: Any) -> dict[str, str]:
    """Names and values of environment variables."""
    if not isinstance(value, Mapping):
        raise ValueError("must map names to values")
    return {text(k): str(v) for k, v in value.items()}


def texts(value: Any) -> tuple[str, ...]:
    """A list of texts."""
    if not isinstance(value, list | tuple):
        raise ValueError("must be a list")
    return tuple(text(v) for v in value)


def optional(check: Check) -> Check:
    """A check that lets null through."""
    return lambda value: None if value is None else check(value)


CHECKS: Mapping[str, Check] = {
    "style": text,
    "duration": optional(positive_seconds),
    "start": seconds,
    "size": size,
    "fps": rate,
    "fit": one_of("contain", "cover", "blur"),
    "quality": one_of("preview", "standard", "high", "master"),
    "codec": one_of("h264", "hevc", "av1"),
    "crf": optional(whole(0, 63)),
    "seed": whole(0, 2**31 - 1),
    "variants": whole(1, 20),
    "grade": optional(text),
    "match": optional(on_off_or_auto),
    "transition": optional(one_of("cut", "crossfade", "dip-to-black", "dip-to-white")),
    "director": optional(brief),
    "director-url": optional(http_url),
    "director-model": optional(text),
    "director-api": one_of("auto", "responses", "chat"),
    "director-seconds": number(1, 3600),
    "keep-audio": switch,
    "stabilise": on_off_or_auto,
    "upscale": on_off_or_auto,
    "upscale-model": text,
    "upscale-limit-minutes": number(0, 1e6),
    "bpm": optional(number(20, 400)),
    "beats-file": optional(text),
    "beats-per-bar": optional(whole(2, 12)),
    "window-frames": whole(1, 1_000_000),
    "segment-frames": whole(10, 100_000),
    "transcode-frames": whole(10, 1_000_000),
    "encoder-threads": whole(1, 64),
    "stall-seconds": number(1, 86_400),
    "detector": one_of("fast", "accurate", "content", "adaptive", "hash", "histogram"),
    "threshold": optional(number(0, 1000)),
    "embedding": one_of("auto", "strip", "clip", "dino"),
    "embedding-model": optional(text),
    "tracker": one_of("auto", "flux", "librosa"),
    "loudness-lufs": number(-40, -5),
    "true-peak-db": number(-12, 0),
    "cluster": text,
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
    "kubernetes-claim": name_of_object,
    "kubernetes-folder": absolute_folder,
    "kubernetes-env": variables,
    "kubernetes-idle-seconds": number(0, 86_400),
    "kubernetes-pending-seconds": number(1, 86_400),
    "kubernetes-tls": switch,
    "kubernetes-keep": switch,
    "kubernetes-attach": optional(name_of_object),
    "roots": texts,
}
"""What each setting may be."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One resolved setting."""

    name: str
    value: Any
    """Checked and converted."""
    origin: str
    """command line, job file, environment NAME, file, or default."""


@cache
def defaults() -> dict[str, Any]:
    """The packaged defaults, by name."""
    text_ = Path(__file__).with_name("montage.yaml").read_text(encoding="utf-8")
    loaded = yaml.safe_load(text_)["montage"]
    assert loaded.keys() == CHECKS.keys(), loaded.keys() ^ CHECKS.keys()
    return dict(loaded)


@cache
def _announce() -> None:
    """Tell Dask the defaults, once: it keeps every announcement."""
    dask.config.update_defaults({"montage": defaults()})


def checked(name: str, value: Any, origin: str) -> Any:
    """The value of a setting, converted.

    Raises:
        UsageError: there is no such setting, or the value is wrong; names both and the origin.
    """
    if name not in CHECKS:
        raise UsageError(f"no setting {name!r} ({origin}); `config show` lists them")
    try:
        return CHECKS[name](value)
    except (ValueError, TypeError, OverflowError, ZeroDivisionError) as error:
        detail = str(error) if type(error) is ValueError else "has the wrong form"
        if detail.startswith(("invalid literal", "could not convert", "Invalid literal")):
            detail = "has the wrong form"
        raise UsageError(f"{name} = {_shown(value)} ({origin}): {detail}") from error


def _shown(value: Any) -> str:
    """A value as it was given, cut short: a message is one line."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = 60
    return short.repr(value)


def resolve(
    command_line: Mapping[str, Any] | None = None, job_file: Mapping[str, Any] | None = None
) -> dict[str, Setting]:
    """Every setting, with where its value came from.

    Args:
        command_line: the options given (without the ones left out).
        job_file: the keys of a job file.

    Raises:
        UsageError: an unknown setting or a wrong value.
    """
    _announce()
    # First announced inside `dask.config.set(…)`, they went with its end.
    dask.config.update(dask.config.config, {"montage": defaults()}, priority="old")
    configured = {k.replace("_", "-"): v for k, v in dask.config.get("montage").items()}
    unknown = configured.keys() - CHECKS.keys()
    if unknown:
        raise UsageError(f"no setting {sorted(unknown)[0]!r} (Dask configuration, below montage:)")
    found = {
        k: (v, "default" if v == defaults()[k] else _dask_origin(k)) for k, v in configured.items()
    }
    placement = os.environ.get(PLACEMENT_VARIABLE)
    if placement:
        found["placement"] = (_yaml(placement), f"environment {PLACEMENT_VARIABLE}")
    for variable, name in ENVIRONMENT.items():
        value = os.environ.get(variable)
        if value:
            found[name] = (value, f"environment {variable}")
    for origin, values in (("job file", job_file), ("command line", command_line)):
        for name, value in (values or {}).items():
            found[name] = (value, origin)
    return {
        name: Setting(name, checked(name, value, origin), origin)
        for name, (value, origin) in sorted(found.items())
    }


def _yaml(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def _dask_origin(name: str) -> str:
    variable = "DASK_MONTAGE__" + name.replace("-", "_").upper()
    return f"environment {variable}" if variable in os.environ else "file"
