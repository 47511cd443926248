"""What this machine and its cluster have: every check tries the thing itself, and says what to do about a lack."""

from __future__ import annotations

import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from montage_dask.config import cluster_of, resolve
from montage_dask.errors import MontageError, RemoteError
from montage_dask.media.encoders import ENCODERS, HARDWARE, try_encoder
from montage_dask.media.ffmpeg import binary, version

FEW_GIGABYTES = 5.0


def examine(cluster: str | None = None) -> list[dict[str, Any]]:
    """All checks.

    Returns:
        Rows of check, ok, needed (nothing works without it), detail, advice.
    """
    return [
        *_python(),
        *_ffmpeg(),
        *_encoders(),
        *_gpu(),
        *_upscaling(),
        *_cgpu(),
        *_disk(),
        *_cluster(cluster),
    ]


def _row(
    check: str, ok: bool, detail: str, advice: str = "", *, needed: bool = False
) -> dict[str, Any]:
    return {
        "check": check,
        "ok": ok,
        "needed": needed,
        "detail": detail,
        "advice": "" if ok else advice,
    }


def _python() -> Iterator[dict[str, Any]]:
    import dask

    from montage_dask import plugins
    from montage_dask._version import __version__

    others = [f"{d.name} {d.version}" for d in plugins.distributions(plugins.OPERATIONS)]
    told = [f"montage-dask {__version__}", *others, f"Python {platform.python_version()}"]
    yield _row("versions", True, ", ".join([*told, f"dask {dask.__version__}"]), needed=True)


def _ffmpeg() -> Iterator[dict[str, Any]]:
    try:
        yield _row("ffmpeg", True, f"{version()} at {binary()}", needed=True)
    except MontageError as error:
        yield _row("ffmpeg", False, str(error), "pip install imageio-ffmpeg", needed=True)


def _encoders() -> Iterator[dict[str, Any]]:
    for name in ENCODERS.values():
        ok, why = try_encoder(name)
        yield _row(
            f"encoder {name}",
            ok,
            why or "encoded 5 frames",
            "reinstall imageio-ffmpeg",
            needed=name == "libx264",
        )
    for name in HARDWARE:
        ok, why = try_encoder(name)
        advice = "only needed for encoding on a GPU; update its driver, or go on with the CPU"
        yield _row(f"encoder {name}", ok, why or "encoded 5 frames", advice)


def _gpu() -> Iterator[dict[str, Any]]:
    advice = "without an NVIDIA GPU all operations run on the CPU"
    tool = shutil.which("nvidia-smi")
    if tool is None:
        yield _row("GPU", False, "nvidia-smi not found", advice)
        return
    query = [tool, "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
        yield _row("GPU", True, answer.stdout.strip().replace("\n", "; "))
    except (OSError, subprocess.SubprocessError) as error:
        yield _row("GPU", False, str(error), advice)


def _upscaling() -> Iterator[dict[str, Any]]:
    from montage_dask.render.networks import MODELS, weight_files

    for name in MODELS:
        try:
            yield _row(f"upscaling {name}", True, str(weight_files(name)[1].parent))
        except MontageError as error:
            yield _row(
                f"upscaling {name}", False, str(error), "pip install 'montage-dask[upscale]'"
            )


def _cgpu() -> Iterator[dict[str, Any]]:
    from montage_dask.cgpu.accounts import INSTALL, find_account

    advice = f"only needed for free Colab GPUs: {INSTALL}, then `cgpu connect` once"
    try:
        account = find_account(resolve())
    except RemoteError as error:
        yield _row("cgpu", False, str(error), advice)
        return
    lack = account.lack()
    detail = lack or f"{account.binary}, logged in ({account.config_dir})"
    yield _row("cgpu", lack is None, detail, "only needed for free Colab GPUs: `cgpu connect` once")


def _disk() -> Iterator[dict[str, Any]]:
    for name, folder in (
        ("disk (here)", Path.cwd()),
        ("disk (temporary)", Path(tempfile.gettempdir())),
    ):
        free = shutil.disk_usage(folder).free / 1e9
        yield _row(name, free > FEW_GIGABYTES, f"{free:.1f} GB free at {folder}", "free some space")


def _cluster(where: str | None) -> Iterator[dict[str, Any]]:
    from montage_dask.cluster.connect import connect
    from montage_dask.graph.workers import capacity_of

    settings = resolve({"cluster": where} if where else None)
    name = where or settings["cluster"].value
    try:
        name = cluster_of(settings)
        with connect(settings) as client:
            found = capacity_of(client)
    except MontageError as error:
        yield _row(
            f"cluster {name}", False, str(error), "start it, or use --cluster local", needed=True
        )
        return
    tags = ", ".join(f"{k}={v:g}" for k, v in found.resources.items()) or "no resources"
    ok = found.offers("cpu")
    advice = 'start its workers with --resources "CPU=1"'
    yield _row(
        f"cluster {name}",
        ok,
        f"{found.workers} worker{'' if found.workers == 1 else 's'}, {tags}",
        advice,
        needed=True,
    )
