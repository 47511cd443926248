"""Whose turn it is. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from montage_dask.coordinator.jobs import Job


def pick(
    waiting: Iterable[Job],
    running: Mapping[str, int],
    used_seconds: Mapping[str, float],
    last_begun: Mapping[str, float],
) -> Job | None:
    """The next job: of the highest band, then of the user with the fewest running jobs, then the fewest used seconds, then who
    was not served for the longest time, then the oldest.

    Args:
        waiting: jobs that may begin now; the first of each user and band is enough.
        running: jobs under way, by user.
        used_seconds: time of processes so far, by user, of those under way too.
        last_begun: when a job was last begun, by user.
    """
    return min(
        waiting,
        key=lambda j: (
            -j.priority,
            running.get(j.user, 0),
            used_seconds.get(j.user, 0.0),
            last_begun.get(j.user, 0.0),
            j.number,
        ),
        default=None,
    )


def level_seconds(used_seconds: Mapping[str, float], present: Collection[str]) -> float:
    """From how many used seconds a user starts who had nothing in the queue.

    Level with the least served of those who are there: rest gives no credit, and past work no debt, that others would wait for.
    With nobody there, level with the most served, so that all are.
    """
    if present:
        return min(used_seconds.get(user, 0.0) for user in present)
    return max(used_seconds.values(), default=0.0)
