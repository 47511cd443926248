"""What is shown of one job: small items by name, of which only the changed ones travel.

The job fills one `Board`, the scheduler holds another, each browser a third: the same items, sent as what changed since a
revision. Each kind of item has a limit, so that a board stays small however large its job is.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

LIMITS: Mapping[str, int] = {
    "job": 1,
    "stage": 40,
    "place": 80,
    "count": 200,
    "moved": 100,
    "left": 200,
    "note": 20,
    "line": 1,
    "timeline": 1,
    "segments": 1,
    "pictures": 1,
}
"""How many items of a kind are kept; of what is too much, only the number is told (in `job`)."""

ANNOTATION = "montage"
"""Under this name a task of Dask carries what it is about."""

PICTURES = 120
"""Small pictures of one job."""
PICTURE_BYTES = 16_000
"""The most that one of them takes."""
TEXT = 300
"""Characters of a text at most."""
NAME = 80
"""Characters of a name at most."""


NEEDED: Mapping[str, tuple[str, ...]] = {
    "job": (),
    "stage": ("name", "done", "total", "speed"),
    "count": ("operation", "target", "outcome", "count", "seconds", "media_seconds", "bytes"),
    "line": ("ready", "warm", "bytes_per_second"),
}
"""What the scheduler itself reads of the items of a kind."""


def check(items: Mapping[str, Any]) -> None:
    """Refuse what another version of this package might send.

    Raises:
        ValueError: names the item.
    """
    for key, value in items.items():
        needed = NEEDED.get(str(key).partition("/")[0])
        if needed is not None and (
            not isinstance(value, Mapping) or any(n not in value for n in needed)
        ):
            raise ValueError(f"no item of a board: {key}")


def short(text: str, most: int = TEXT) -> str:
    """A text of bounded length; what is taken out of the middle is marked."""
    if len(text) <= most:
        return text
    half = (most - 1) // 2
    return f"{text[:half]}…{text[len(text) - (most - 1 - half) :]}"


class Board:
    """The items of one job: `kind` or `kind/name` → JSON value. Safe to use from several threads."""

    def __init__(self) -> None:
        self.revision = 0
        """Grows with every change."""
        self.pictures: dict[int, bytes] = {}
        """JPEG files by segment."""
        self._items: dict[str, Any] = {}
        self._changed: dict[str, int] = {}
        self._numbers: dict[str, int] = {}
        self._lock = threading.RLock()

    def put(self, key: str, value: Any) -> bool:
        """Set an item; false when there are too many of its kind, or the kind is unknown."""
        kind = key.partition("/")[0]
        with self._lock:
            if key not in self._items:
                if self._numbers.get(kind, 0) >= LIMITS.get(kind, 0):
                    return False
                self._numbers[kind] = self._numbers.get(kind, 0) + 1
            elif self._items[key] == value:
                return True
            self.revision += 1
            self._items[key], self._changed[key] = value, self.revision
            return True

    def get(self, key: str, default: Any = None) -> Any:
        """An item."""
        with self._lock:
            return self._items.get(key, default)

    def of(self, kind: str) -> dict[str, Any]:
        """All items of a kind, in the order in which they came."""
        with self._lock:
            return {k: v for k, v in self._items.items() if k.partition("/")[0] == kind}

    def since(self, revision: int) -> dict[str, Any]:
        """The items that changed after a revision."""
        with self._lock:
            if revision >= self.revision:
                return {}
            return {k: self._items[k] for k, at in self._changed.items() if at > revision}

    def picture(self, number: int, data: bytes) -> bool:
        """Keep the picture of a segment, if it is one and there is room."""
        with self._lock:
            room = number in self.pictures or len(self.pictures) < PICTURES
            if not room or len(data) > PICTURE_BYTES or data[:2] != b"\xff\xd8":
                return False
            self.pictures[number] = data
            self._told_pictures()
            return True

    def keep_pictures(self, numbers: Iterable[int]) -> None:
        """Forget the pictures of all other segments."""
        with self._lock:
            self.pictures = {n: self.pictures[n] for n in numbers if n in self.pictures}
            self._told_pictures()

    def _told_pictures(self) -> None:
        # With a part of the hash in its name, a picture may be kept by browsers for ever.
        marks = {str(n): sha256(d).hexdigest()[:12] for n, d in sorted(self.pictures.items())}
        self.put("pictures", marks)

    def apply(self, items: Mapping[str, Any], pictures: Mapping[int, bytes]) -> None:
        """Take over what changed on another board."""
        for key, value in items.items():
            if key != "pictures":
                self.put(str(key), value)
        if "pictures" in items:
            self.keep_pictures(int(n) for n in items["pictures"])
        for number, data in pictures.items():
            self.picture(int(number), bytes(data))
