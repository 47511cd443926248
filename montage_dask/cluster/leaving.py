"""The preload of nannies on clusters: how a worker goes, and how it comes back.

A worker that is told to go (SIGTERM) takes nothing new, ends its work, and hands it on.

Dask's own answer to the signal is to drop everything at once: each spot node that goes would cost the operations under way. What
had not begun, or is not finished in time, the scheduler gives to other workers; it does not count as a failure of the task.

A worker whose scheduler breaks away (killed, rebooted) is started anew and waits for the next one at the same address; Dask's own
answer is that the worker ends, too.
"""

from __future__ import annotations

import asyncio
import logging
import time

from distributed import Nanny, Worker
from distributed.core import Status
from distributed.protocol.pickle import dumps

from montage_dask.cluster import allocator

log = logging.getLogger(__name__)

PRELOAD = ("--preload-nanny", __name__)
"""Options of `dask worker`, which does not read the environment for it."""

PRELOAD_ENVIRONMENT = {"DASK_DISTRIBUTED__NANNY__PRELOAD": __name__}
"""For `dask cuda worker`, which has no such option."""

FINISHING_SECONDS = 15.0
"""What runs may take so long. `terminationGracePeriodSeconds` of pods and `stop_grace_period` of compose are longer."""

ANSWER_SECONDS = 3.0
"""A scheduler or a worker that does not answer for so long is not waited for."""

LOOK_SECONDS = 0.2

BROKEN_AWAY = "worker-handle-scheduler-connection-broken"
"""The reason that a worker gives its nanny when its scheduler is gone without a word."""

RETURNING_SECONDS = 600.0
"""So long it waits for a scheduler at the old address."""


def dask_setup(nanny: Nanny) -> None:
    """Called by the nanny before it starts its worker."""
    allocator.dask_setup(nanny)
    waiting: set[asyncio.Task[None]] = set()

    def close_gracefully(reason: str = "nanny-close-gracefully") -> None:
        if reason != BROKEN_AWAY:
            nanny.close_gracefully(reason=reason)
            return
        # Its worker ends now; the nanny, not told to close, starts another.
        log.warning("%s lost its scheduler and waits for it to come back", nanny.worker_address)
        task = asyncio.ensure_future(_give_up(nanny))
        waiting.add(task)
        task.add_done_callback(waiting.discard)

    nanny.handlers["close_gracefully"] = close_gracefully


async def _give_up(nanny: Nanny) -> None:
    """End a nanny whose next worker finds no scheduler for long."""
    old, deadline = nanny.pid, time.monotonic() + RETURNING_SECONDS
    while time.monotonic() < deadline:
        if nanny.status in (Status.closing, Status.closed, Status.failed):
            return
        process = nanny.process
        if process is not None and process.pid != old and process.status == Status.running:
            return
        await asyncio.sleep(LOOK_SECONDS)
    log.error("no scheduler came back within %.0f s", RETURNING_SECONDS)
    await nanny.close(reason="no-scheduler-came-back")


async def dask_teardown(nanny: Nanny) -> None:
    """Called by the nanny before it ends its worker; never fails, because the worker must end in any case."""
    if nanny.worker_address is None:
        return
    try:
        await _leave(nanny, nanny.worker_address)
    except (
        Exception
    ) as error:  # of the network, of Dask's own end: all that matters is that the end comes
        log.info("%s leaves without a word: %r", nanny.worker_address, error)


async def _leave(nanny: Nanny, address: str) -> None:
    async with nanny.rpc(address) as worker:
        asked = worker.run(function=dumps(_finish))
        answer = await asyncio.wait_for(asked, FINISHING_SECONDS + 2 * ANSWER_SECONDS)
    for key in answer["result"] if answer["status"] == "OK" else ():
        log.warning("%s hands back %s, which it has not finished", address, key)
    retired = nanny.scheduler.retire_workers(workers=[address], close_workers=False, remove=True)
    await asyncio.wait_for(retired, ANSWER_SECONDS)


async def _finish(dask_worker: Worker) -> list[str]:
    """Runs in the worker: the keys of the tasks that it must give up."""
    dask_worker.status = Status.closing_gracefully
    deadline = time.monotonic() + FINISHING_SECONDS
    address = dask_worker.address
    while running := {task.key for task in dask_worker.state.executing}:
        asked = dask_worker.scheduler.processing(workers=[address])
        wanted = (await asyncio.wait_for(asked, ANSWER_SECONDS)).get(address, ())
        # What nobody waits for any more, such as tasks of a client that is gone, is not worth finishing.
        if running.isdisjoint(wanted):
            break
        if time.monotonic() > deadline:
            return sorted(map(str, running))
        await asyncio.sleep(LOOK_SECONDS)
    return []
