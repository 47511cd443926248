"""What is kept and for how long: ended jobs for some days, users' files up to a quota."""

from __future__ import annotations

import logging
import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from montage_dask.coordinator import uploads
from montage_dask.coordinator.accounts import Account, Accounts
from montage_dask.coordinator.jobs import ENDED, UNENDED, QueueError
from montage_dask.coordinator.queue import Queue
from montage_dask.coordinator.requests import names

log = logging.getLogger(__name__)

COUNTED_SECONDS = 30.0
"""So old may a count of a user's bytes be."""


@dataclass
class Keeper:
    """Retention and quota.

    Args:
        queue: of jobs.
        accounts: whose files they are.
        keep_days: ended jobs are removed after so many days; None: never.
        quota_bytes: of each user; None: as much as there is.
    """

    queue: Queue
    accounts: Accounts
    keep_days: float | None = None
    quota_bytes: int | None = None
    _counted: dict[str, tuple[float, int]] = field(default_factory=dict)

    def chore(self) -> None:
        """Remove what is past its time: never what a job names that waits or runs."""
        for account in self.accounts.users():
            uploads.expire(account)
        if self.keep_days is None:
            return
        named = [p for job in self.queue.in_states(UNENDED) for p in names(job.request)]
        for job in self.queue.in_states(ENDED):
            found = self.accounts.account(job.user)
            if found is None or time.time() - (job.ended_at or 0) < self.keep_days * 86_400:
                continue
            folder = found.job_folder(job.id)
            if not any(p.is_relative_to(folder) for p in named):
                log.info("job %s is past its time: removed", job.id)
                shutil.rmtree(folder, ignore_errors=True)
                self.queue.remove(job.id)

    def check(self, account: Account, more_bytes: int = 0) -> None:
        """Refuse what goes beyond a user's quota.

        Raises:
            QueueError: 413; says how much there is.
        """
        if self.quota_bytes is not None:
            used = self._used_bytes(account)
            if used + more_bytes > self.quota_bytes:
                raise QueueError(
                    f"your quota of {self.quota_bytes / 1e9:.1f} GB has no room for this: {used / 1e9:.1f} GB are used; "
                    "remove jobs or uploads",
                    413,
                )
            self._counted[account.name] = (self._counted[account.name][0], used + more_bytes)

    def room_bytes(self, account: Account) -> int:
        """What a user may still send: of the quota, and of the disk."""
        account.root.mkdir(parents=True, exist_ok=True)
        room = shutil.disk_usage(account.root).free - uploads.KEPT_FREE_BYTES
        if self.quota_bytes is not None:
            room = min(room, self.quota_bytes - self._used_bytes(account))
        return max(0, room)

    def _used_bytes(self, account: Account) -> int:
        at, used = self._counted.get(account.name, (-COUNTED_SECONDS, 0))
        if time.monotonic() - at >= COUNTED_SECONDS:
            used = _size(account.root)
            self._counted[account.name] = (time.monotonic(), used)
        return used


def _size(folder: Path) -> int:
    total = 0
    for place, _, files in os.walk(folder):
        for name in files:
            with suppress(OSError):
                total += os.lstat(os.path.join(place, name)).st_size
    return total
