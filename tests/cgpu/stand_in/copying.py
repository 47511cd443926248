"""`copy`: one file, in one request."""

from __future__ import annotations

import base64
import stat
from pathlib import Path
from urllib.parse import quote

from .failure import Failure
from .runtimes import Runtime
from .web import request

_LONGEST_STRING = 0x1FFFFFE8
"""Characters that a string of Node 20 can have."""
_LARGEST_READ = 2 << 30


def remote_path(source: str, destination: str | None) -> str:
    """Where a file goes: always an absolute path of a file, never a folder. ".." vanishes."""
    if destination is None:
        destination = f"/content/{Path(source).name}"
    parts = destination.replace("\\", "/").split("/")
    return "/" + "/".join(part for part in parts if part not in ("", ".", ".."))


def copy(runtime: Runtime, source: str, destination: str | None) -> str:
    """Upload a file.

    Returns:
        What to print.

    Raises:
        Failure: no such file, too large for cgpu, or the runtime refuses.
    """
    try:
        status = Path(source).stat()
    except FileNotFoundError:
        raise Failure(f"ENOENT: no such file or directory, stat '{source}'") from None
    if not stat.S_ISREG(status.st_mode):
        raise Failure(f"Cannot upload {source}: not a file.")
    if status.st_size > _LARGEST_READ:
        raise Failure(f"File size ({status.st_size}) is greater than 2 GiB")
    if (status.st_size + 2) // 3 * 4 > _LONGEST_STRING:
        raise Failure(f"Cannot create a string longer than {_LONGEST_STRING:#x} characters")
    target = remote_path(source, destination)
    content = base64.b64encode(Path(source).read_bytes())
    body = b'{"type":"file","format":"base64","content":"' + content + b'"}'
    url = f"{runtime.url}api/contents{quote(target)}?authuser=0"
    headers = runtime.headers | {"Content-Type": "application/json"}
    answer = request("PUT", url, headers, body)
    if not answer.ok:
        raise Failure(f"Upload failed ({answer.status} {answer.reason}): {answer.body}")
    return f"Uploaded: {Path(source).name} → {target} ({_size(status.st_size)})"


def _size(count: int) -> str:
    value = float(count)
    for unit in ("B", "KB", "MB"):
        if value < 1024:
            return f"{count} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GB"
