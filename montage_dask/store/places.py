"""Places: a path of this machine, or the URL of an object in an object store (`s3://`, `gs://`).

Only names are dealt with here. What stands at a URL is read and written by `store.objects`; what needs a file gets one by
`store.cache`. A `file://` URL is a path, and never seen behind this module.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from montage_dask.errors import UsageError, printable

PROTOCOLS: Mapping[str, tuple[str, str]] = {"s3": ("s3fs", "s3"), "gs": ("gcsfs", "gcs")}
"""What a URL may begin with: the package that reads it, and the extra that brings the package."""

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")


def is_url(text: object) -> bool:
    """Whether a text has the form of a URL."""
    return isinstance(text, str) and _URL.match(text) is not None


@dataclass(frozen=True, slots=True, order=True)
class Url:
    """The name of an object, or of what its folder would be, with the parts that a `Path` has. Does no I/O."""

    text: str
    """protocol://bucket/key, without a slash at its end."""

    def __str__(self) -> str:
        return self.text

    def __truediv__(self, name: str) -> Url:
        return Url(f"{self.text}/{name}")

    @property
    def protocol(self) -> str:
        """s3 or gs."""
        return self.text.partition("://")[0]

    @property
    def bucket(self) -> str:
        """The bucket."""
        return self.text.partition("://")[2].partition("/")[0]

    @property
    def key(self) -> str:
        """The name in the bucket; empty for the bucket itself."""
        return self.text.partition("://")[2].partition("/")[2]

    @property
    def name(self) -> str:
        """The last part."""
        return self.text.rpartition("/")[2]

    @property
    def stem(self) -> str:
        """The last part without its suffix."""
        return Path(self.name).stem

    @property
    def suffix(self) -> str:
        """The suffix with its dot, or nothing."""
        return Path(self.name).suffix

    @property
    def parent(self) -> Url:
        """What it lies in; a bucket is its own parent."""
        return Url(self.text.rpartition("/")[0]) if self.key else self

    def with_name(self, name: str) -> Url:
        """Another name beside it."""
        return self.parent / name

    def with_stem(self, stem: str) -> Url:
        """The same suffix behind another stem."""
        return self.with_name(stem + self.suffix)

    def with_suffix(self, suffix: str) -> Url:
        """Another suffix behind the same stem."""
        return self.with_name(self.stem + suffix)

    def is_relative_to(self, other: Url) -> bool:
        """Whether it is another one, or lies below it."""
        return self == other or self.text.startswith(other.text + "/")

    def relative_to(self, other: Url) -> str:
        """Its name below another one, which it must lie in."""
        return self.text[len(other.text) + 1 :]


Place = Path | Url


def place_of(text: str | os.PathLike[str] | Url, base: Path | None = None) -> Place:
    """The place that a user means.

    Args:
        text: a path, or a URL.
        base: the folder that relative paths start from; the current one by default.

    Raises:
        UsageError: a URL that cannot be used, and why; what could be a password in it is not repeated.
    """
    if isinstance(text, Url):
        return text
    if not is_url(os.fspath(text)):
        return Path(os.path.abspath((base or Path.cwd()) / text))
    named = os.fspath(text)
    parts = urlsplit(named)
    if parts.scheme.lower() == "file":
        if parts.netloc not in ("", "localhost"):
            raise UsageError(f"{printable(named)}: a file:// URL names a path of this machine, file:///folder")  # fmt: skip
        return Path(os.path.abspath(unquote(parts.path)))
    protocol, _, rest = named.partition("://")
    protocol = protocol.lower()
    bucket, _, key = rest.partition("/")
    if protocol not in PROTOCOLS:
        known = ", ".join(f"{p}://" for p in PROTOCOLS)
        raise UsageError(
            f"{scrubbed(named)}: {protocol}:// cannot be used: name a path, or a URL with {known} or file://"
        )
    if "@" in bucket or ":" in bucket:
        raise UsageError(
            f"{scrubbed(named)}: credentials do not belong into a URL, where logs and reports show them: set them in the "
            "environment (AWS_ACCESS_KEY_ID, GOOGLE_APPLICATION_CREDENTIALS, …) of this machine and of the workers"
        )
    if not bucket or any(part in (".", "..") for part in rest.split("/")):
        raise UsageError(f"{printable(named)}: a URL is {protocol}://bucket/folder/file, without . and ..")  # fmt: skip
    return Url(f"{protocol}://{bucket}" + (f"/{key.strip('/')}" if key.strip("/") else ""))


def lies_in(place: Place, roots: Iterable[Place]) -> bool:
    """Whether a place is one of these folders or lies below one, once all links are followed.

    Args:
        place: a path, or a URL.
        roots: folders without links in their own names, or URLs.
    """
    if isinstance(place, Url):
        return any(isinstance(r, Url) and place.is_relative_to(r) for r in roots)
    try:
        real = place.resolve()
    except (OSError, RuntimeError, ValueError):  # a circle of links, or no path at all
        return False
    return any(isinstance(r, Path) and real.is_relative_to(r) for r in roots)


def scrubbed(text: str) -> str:
    """A URL without user and password, on one line."""
    head, mark, rest = text.partition("://")
    host, slash, tail = rest.partition("/")
    return printable(head + mark + host.rpartition("@")[2] + slash + tail)


def local_only(text: str, what: str) -> str:
    """A text that must not be a URL.

    Raises:
        UsageError: it is one.
    """
    if is_url(text) and not text.lower().startswith("file://"):
        raise UsageError(f"{what} {scrubbed(text)}: must be a file or folder of this machine")
    return text
