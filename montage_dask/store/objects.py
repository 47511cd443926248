"""What stands at a URL, by fsspec: the only place that talks to an object store.

Objects appear whole or not at all: an upload, also one in parts, counts when the store has confirmed all of it. Credentials
come from the environment of each machine (as boto3 and Google's libraries find them), never from a job.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from montage_dask.errors import StoreError, UsageError, printable
from montage_dask.store.places import PROTOCOLS, Place, Url

log = logging.getLogger(__name__)

NO_CREDENTIALS = ("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "DefaultCredentialsError", "RefreshError",
                  "CredentialRetrievalError", "TokenRetrievalError", "NoAuthTokenError", "SSOTokenLoadError")  # fmt: skip
NO_CONNECTION = ("EndpointConnectionError", "ConnectTimeoutError", "ConnectionError", "ClientConnectorError", "ConnectTimeout",
                 "ServerTimeoutError", "HTTPClientError")  # fmt: skip


class Vanished(StoreError):
    """There is no such object."""


def filesystem(url: Url) -> Any:
    """The fsspec file system behind a URL. Listings are not kept: other machines write there, too.

    Raises:
        UsageError: the package for the protocol is missing; says how to get it.
    """
    import fsspec

    package, extra = PROTOCOLS[url.protocol]
    if importlib.util.find_spec(package) is None:
        raise UsageError(
            f"{printable(str(url))}: {url.protocol}:// needs {package}, here and on the workers: "
            f"pip install 'montage-dask[{extra}]'"
        )
    return fsspec.filesystem(url.protocol, use_listings_cache=False)


@contextmanager
def told(url: Url, doing: str) -> Iterator[None]:
    """Errors of an object store in words for the user.

    Raises:
        Vanished: there is no such object or bucket.
        StoreError: credentials, permission or the network are the matter.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise Vanished(f"cannot {doing} {printable(str(url))}: {_missing(url)}") from error
    except StoreError:
        raise
    except Exception as error:  # boto and Google have no common base
        why = _reason(url, error)
        if why is None:
            raise
        raise StoreError(f"cannot {doing} {printable(str(url))}: {why}") from error


def _missing(url: Url) -> str:
    fs = filesystem(url)
    try:
        there = bool(fs.exists(url.bucket))
    except Exception:
        there = True  # what can be said is that the object is not to be had
    return "it does not exist" if there else f"there is no bucket {url.bucket}"


def _reason(url: Url, error: BaseException) -> str | None:
    """What the user can do about an error; None: it may pass by itself."""
    names = {type(e).__name__ for e in _chain(error)}
    words = " ".join(str(e) for e in _chain(error))
    if names & set(NO_CREDENTIALS):
        how = {
            "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile or role",
            "gs": "GOOGLE_APPLICATION_CREDENTIALS, or `gcloud auth application-default login`",
        }
        return f"no credentials: set {how[url.protocol]}, here and on the workers"
    if isinstance(error, PermissionError) or "Forbidden" in words or "Access Denied" in words:
        return "no permission: the credentials of this machine do not allow it"
    if "NoSuchBucket" in words or "bucket does not exist" in words:
        return f"there is no bucket {url.bucket}"
    if names & set(NO_CONNECTION):
        return "the object store cannot be reached: check the network, and AWS_ENDPOINT_URL if it is set"
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def state_of(place: Place) -> dict[str, Any]:
    """What tells what stands at a place now from what stood there before, without reading it: size, and time of change or etag.

    Raises:
        OSError: a path cannot be looked at.
        Vanished, StoreError: an object cannot be looked at.
    """
    if isinstance(place, Path):
        status = place.stat()
        return {"size_bytes": status.st_size, "mtime_ns": status.st_mtime_ns}
    with told(place, "read"):
        return _state(filesystem(place).info(str(place)))


def _state(info: dict[str, Any]) -> dict[str, Any]:
    if info.get("type") == "directory":
        raise FileNotFoundError(info.get("name"))
    found = (info.get(k) for k in ("ETag", "etag", "md5Hash", "LastModified", "updated", "mtime"))
    return {"size_bytes": int(info["size"]), "etag": str(next((v for v in found if v), "")).strip('"')}  # fmt: skip


def exists(place: Place) -> bool:
    """Whether a file or an object stands at a place.

    Raises:
        StoreError: it cannot be found out.
    """
    if isinstance(place, Path):
        return place.exists()
    try:
        state_of(place)
        return True
    except Vanished:
        return False


def below(url: Url, pattern: str = "") -> dict[str, dict[str, Any]]:
    """The objects below a URL, or those that match a glob, by URL with their `state_of`.

    Raises:
        StoreError: it cannot be listed.
    """
    fs = filesystem(url)
    with told(url, "list"):
        find = fs.glob if pattern else fs.find
        found = find(f"{url.protocol}://{pattern}" if pattern else str(url), detail=True)
        if not found and not fs.exists(url.bucket):
            raise FileNotFoundError(url.bucket)
    return {
        f"{url.protocol}://{name}": _state(info)
        for name, info in found.items()
        if info.get("type") != "directory" and not name.endswith("/")
    }


def read(place: Place) -> bytes:
    """All of a small file or object.

    Raises:
        OSError: a path cannot be read.
        Vanished, StoreError: an object cannot be read.
    """
    if isinstance(place, Path):
        return place.read_bytes()
    with told(place, "read"):
        return bytes(filesystem(place).cat_file(str(place)))


def write(url: Url, data: bytes) -> None:
    """Put a small object, in one request.

    Raises:
        StoreError: it cannot be written.
    """
    with told(url, "write"):
        filesystem(url).pipe_file(str(url), data)


def remove(place: Place) -> None:
    """Remove a file or an object, if it is there.

    Raises:
        OSError, StoreError: it cannot be removed.
    """
    if isinstance(place, Path):
        place.unlink(missing_ok=True)
        return
    try:
        with told(place, "remove"):
            filesystem(place).rm_file(str(place))
    except Vanished:
        return


def fetch(url: Url, path: Path) -> dict[str, Any]:
    """Copy an object to a path, and make sure that it is all of one version.

    Returns:
        Its `state_of`.

    Raises:
        Vanished, StoreError: it cannot be read, or changes again and again.
    """
    fs = filesystem(url)
    for _ in range(3):
        before = state_of(url)
        with told(url, "read"):
            fs.get_file(str(url), str(path))
        if state_of(url) == before and path.stat().st_size == before["size_bytes"]:
            return before
    raise StoreError(f"cannot read {printable(str(url))}: it changes while it is read")


def upload(path: Path, url: Url) -> dict[str, Any]:
    """Copy a file to a URL, where it appears whole or not at all.

    Returns:
        The `state_of` what stands there now.

    Raises:
        StoreError: it cannot be written, or what stands there is not what was sent.
    """
    with told(url, "write"):
        filesystem(url).put_file(str(path), str(url))
    state = state_of(url)
    if state["size_bytes"] != path.stat().st_size:
        arrived = f"{state['size_bytes']} of {path.stat().st_size} bytes arrived"
        raise StoreError(f"cannot write {printable(str(url))}: {arrived}")
    return state


def check_bucket(url: Url) -> None:
    """Find out whether the bucket of a URL is there, and answers.

    Raises:
        Vanished, StoreError: says why not, and what to do.
    """
    fs = filesystem(url)
    with told(url, "read"):
        # Asking for the bucket alone would hide missing keys and a lost network.
        if not fs.exists(str(url)) and not fs.exists(url.bucket):
            raise FileNotFoundError(url.bucket)


def check_writable(url: Url) -> None:
    """Find out before the work, not after it, that nothing can be written below a URL.

    Raises:
        UsageError, StoreError: says why, and what to do.
    """
    mark = url / ".montage-write-test"
    write(mark, b"")
    remove(mark)
