"""Which workers have the distribution that an operation is of. A worker without it is no target for the operation."""

from __future__ import annotations

import logging
from collections.abc import Collection

from distributed import Client

from montage_dask import plugins

log = logging.getLogger(__name__)


class Installed:
    """What workers have installed; each is asked once.

    Args:
        client: connected.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._versions: dict[tuple[str, str], str | None] = {}

    def lacking(self, distribution: str, workers: Collection[str]) -> frozenset[str]:
        """Those of some workers, by address, that do not have a distribution in the version that this process has.

        Raises:
            OSError, TimeoutError: the scheduler does not answer.
        """
        new = [w for w in workers if (w, distribution) not in self._versions]
        if new:
            said = self._client.run(
                plugins.version_of, distribution, workers=new, on_error="return"
            )
            for worker, version in said.items():
                if isinstance(version, str | None):
                    self._versions[worker, distribution] = version
                else:  # it may be on its way out, or of a version of ours that cannot be asked
                    log.warning("%s: %s: %r", worker, distribution, version)
        wanted = plugins.version_of(distribution)
        return frozenset(w for w in workers if self._versions.get((w, distribution)) != wanted)


def lack_of(distribution: str, lacking: int, workers: int) -> str:
    """That so many of the workers do not have a distribution, and what to do."""
    which = f"all {workers} workers" if lacking == workers else f"{lacking} of {workers} workers"
    version = plugins.version_of(distribution)
    return f"{distribution} {version} is missing on {which}: {plugins.how(distribution)}, there"
