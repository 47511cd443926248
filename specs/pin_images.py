"""Writes the digests of base images behind their names in a Dockerfile: python specs/pin_images.py [Dockerfile]

A digest is the hash of what the registry sent, worked out here: none is taken on trust, and none is written where no registry
answers. Needs nothing but Python. Run it again to take newer images.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlencode

FROM = re.compile(
    r"^(FROM(?:\s+--platform=\S+)?\s+)([^\s@$]+:[^\s@$]+)(@sha256:[0-9a-f]{64})?(?=\s|$)", re.M
)
KINDS = (
    "application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json",
)  # fmt: skip
MOST_BYTES = 4 << 20
SECONDS = 20


def split(image: str) -> tuple[str, str, str]:
    """Registry, repository and tag of an image, as Docker reads its name."""
    name, _, tag = image.rpartition(":")
    first, _, rest = name.partition("/")
    if rest and ("." in first or ":" in first or first == "localhost"):
        return first, rest, tag
    return "registry-1.docker.io", name if rest else f"library/{name}", tag


def fetch(url: str, headers: dict[str, str]) -> bytes:
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:
        content: bytes = answer.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ValueError(f"{url}: too large")
    return content


def digest_of(image: str) -> str:
    """The digest of an image, or of its index for several platforms.

    Raises:
        OSError, ValueError: no registry says.
    """
    registry, repository, tag = split(image)
    plain = registry.startswith(("localhost", "127.0.0.1"))
    url = f"{'http' if plain else 'https'}://{registry}/v2/{repository}/manifests/{tag}"
    headers = {"Accept": ", ".join(KINDS)}
    try:
        content = fetch(url, headers)
    except urllib.error.HTTPError as error:
        if error.code != 401:
            raise
        asked = dict(re.findall(r'(\w+)="([^"]*)"', error.headers.get("WWW-Authenticate", "")))
        realm = asked.pop("realm", "")
        if not realm.startswith("http://127.0.0.1:" if plain else "https://"):
            raise ValueError(f"{registry}: asks for a login that is not understood") from error
        token = json.loads(fetch(f"{realm}?{urlencode(asked)}", {}))
        headers["Authorization"] = f"Bearer {token.get('token') or token['access_token']}"
        content = fetch(url, headers)
    if json.loads(content).get("mediaType") not in KINDS:
        raise ValueError(f"{registry}: {repository}:{tag} is no image")
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def pinned(text: str) -> str:
    """A Dockerfile with the digests of today.

    Raises:
        OSError, ValueError: one cannot be had.
    """
    found = {m[2]: digest_of(m[2]) for m in FROM.finditer(text)}
    return FROM.sub(lambda m: f"{m[1]}{m[2]}@{found[m[2]]}", text)


def main(arguments: list[str]) -> int:
    path = Path(arguments[0] if arguments else "Dockerfile")
    try:
        text = path.read_text(encoding="utf-8")
        made = pinned(text)
    except (OSError, ValueError, KeyError) as error:
        print(f"error: {error}; {path} stays as it is", file=sys.stderr)
        return 1
    path.write_text(made, encoding="utf-8")
    for found in FROM.finditer(made):
        print(f"{found[2]}{found[3]}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
