"""Artefacts that are not as they were made: who made them, and having them made again."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from montage_dask.errors import DamagedArtefact
from montage_dask.graph.operation import Request, files_of, finished, operation, pieces_of
from montage_dask.store import Store
from montage_dask.store.artefacts import same_file

log = logging.getLogger(__name__)

MOST_TIMES = 3
"""An artefact that is damaged again and again lies on a disk that cannot be used."""


class Makers:
    """The requests of a job that make files, so that what is damaged can be made again.

    Args:
        store: where the artefacts stand.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._seen: dict[tuple[str, str], Request] = {}
        self._others: list[Callable[[], Iterable[Request]]] = []
        self._times: Counter[str] = Counter()

    def saw(self, request: Request) -> None:
        """A request of this job."""
        op = operation(request.operation)
        if op.files or op.pieces is not None:
            self._seen[request.operation, request.key] = request

    def can_make(self, requests: Callable[[], Iterable[Request]]) -> None:
        """Requests that this job did not make, because it knows what comes of what they make; drawn only when one is needed."""
        self._others.append(requests)

    def _every(self) -> Iterator[Request]:
        yield from self._seen.values()
        for requests in self._others:
            yield from requests()

    def of(self, damage: DamagedArtefact) -> Request | None:
        """The request that makes a damaged file again, whose record is forgotten now. None when nobody here can.

        When it was made again meanwhile, the request is found done.

        Raises:
            StoreError: its record cannot be removed.
        """
        root = str(self._store.root) + "/"
        place = damage.place.removeprefix(root)
        self._times[place] += 1
        if place == damage.place or self._times[place] > MOST_TIMES:
            return None
        for request in self._every():
            if place in files_of(request) or place in pieces_of(request):
                if damage.missing or not self._whole(request, place):
                    log.warning("%s: %s makes it again", damage, request.task_name)
                    self._store.forget(request.operation, request.key)
                return request
        return None

    def _whole(self, request: Request, place: str) -> bool:
        """Whether the file is again as its record says; of an object only its maker can tell."""
        record = finished(request, self._store)
        if record is None or not isinstance(self._store.root, Path):
            return False
        return same_file(self._store.root / place, record["files"][place])
