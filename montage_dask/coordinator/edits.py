"""Edits of a montage that is there: small operations, replayed on its timeline, and rendered as a job of their own."""

from __future__ import annotations

import io
import secrets
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from montage_dask.coordinator.accounts import Account
from montage_dask.coordinator.child import OUTPUT, RUN_DIR
from montage_dask.coordinator.jobs import Job, QueueError
from montage_dask.coordinator.requests import inside
from montage_dask.coordinator.transaction import digest
from montage_dask.errors import UsageError
from montage_dask.job import SELECTORS, make_job
from montage_dask.received import TIMELINE_BYTES, parse_json, read_bytes
from montage_dask.records import Event, Shot
from montage_dask.store import Store, write_json
from montage_dask.store.artefacts import flush

if TYPE_CHECKING:  # what edits need takes a second and 50 MB: only who edits pays for it
    from montage_dask.api.timeline import Timeline

EDITED, SELECTED = "edited.otio", "edited.json"
"""In the folder of a job: the timeline that it renders, and what edits of it may choose from."""
MOST_EDITS = 500
KEPT = 24
"""Timelines of a user in memory: an edit more, or one less, costs one step."""
AT_ONCE = 6
"""Requests of a user that wait for an edit; more are refused, so that nobody holds up the others."""


class Edit(BaseModel):
    """One operation. It names nothing but numbers of what the job itself has."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    op: Literal["veto", "choose", "hold", "slide", "trim", "move"]
    event: int = Field(ge=0, le=1_000_000)
    value: int = Field(0, ge=-1_000_000, le=1_000_000)
    """The number of the alternative; frames to slide, or by which its end comes later; the number of the event to move to."""


class Edits(BaseModel):
    """What is done to a timeline, in order."""

    model_config = ConfigDict(extra="forbid")
    ops: list[Edit] = Field(default=[], max_length=MOST_EDITS)
    event: int | None = Field(None, ge=0, le=1_000_000)
    """Whose alternatives are wanted, too."""


_STEPS: Mapping[str, Callable[[Timeline, Edit], Timeline]] = {
    "veto": lambda t, e: t.veto(e.event),
    "choose": lambda t, e: t.choose(e.event, e.value),
    "hold": lambda t, e: t.hold(e.event),
    "slide": lambda t, e: t.slide(e.event, e.value),
    "trim": lambda t, e: t.trim(e.event, e.value),
    "move": lambda t, e: t.move(e.event, e.value),
}


class CuttingRoom:
    """The timelines of a user's finished jobs, with edits."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, tuple[Edit, ...]], Timeline] = {}
        self._mutex, self._places = threading.Lock(), threading.BoundedSemaphore(AT_ONCE)

    def timeline(self, job: Job, account: Account, ops: Sequence[Edit] = ()) -> Timeline:
        """The timeline of a job after some edits.

        Raises:
            QueueError: it has none, its footage is no longer what it was, or too many are asked for at once.
            UsageError: one of the edits cannot be.
        """
        known = self._known.get((job.id, tuple(ops)))
        if known is not None:
            return known
        if not self._places.acquire(blocking=False):
            raise QueueError("too many edits at once: wait for the others", 429)
        try:
            with self._mutex:  # one at a time: they take a core each
                return self._after(job, account, tuple(ops))
        finally:
            self._places.release()

    def _after(self, job: Job, account: Account, ops: tuple[Edit, ...]) -> Timeline:
        made = self._known.pop((job.id, ops), None)
        if made is None:
            before = self._after(job, account, ops[:-1]) if ops else opened(job, account)
            made = _STEPS[ops[-1].op](before, ops[-1]) if ops else before
        self._known[job.id, ops] = made
        if len(self._known) > KEPT:
            del self._known[next(iter(self._known))]
        return made


def opened(job: Job, account: Account) -> Timeline:
    """The timeline of a job, as it was made, with what it was chosen from.

    Raises:
        QueueError: see `CuttingRoom.timeline`.
    """
    from montage_dask.api.material import Material
    from montage_dask.api.timeline import Timeline
    from montage_dask.graph.recalling import recalled

    folder = account.job_folder(job.id)
    try:
        path = inside(folder, f"{RUN_DIR}/timeline.otio")
    except QueueError:
        path = inside(folder, f"{RUN_DIR}/variant-1/timeline.otio")
    given = {**job.request, "output": str(folder / OUTPUT), "store": str(account.store)}
    given = {k: v for k, v in given.items() if k != "music"}
    given |= {**_selected(job, account), "from-timeline": str(path)}
    try:
        spec = make_job(given, base=folder)
        survey, record = recalled(spec, Store(spec.store))
    except UsageError as error:
        raise QueueError(f"this montage cannot be edited: {error}") from error
    assert survey.music is not None
    material = Material.of(survey, spec.store, spec["window-frames"], spec["faces"])
    return Timeline(record, material, survey.music, given)


def told(timeline: Timeline, made: Timeline, event: int | None) -> dict[str, Any]:
    """A timeline for the page, beside the one that was made."""
    from montage_dask.edit.hand import by_hand

    record = timeline.record
    numbers = {k: n for n, k in enumerate(made.material.sources)}
    was = {(e.source, e.shot, e.in_seconds): n for n, e in reversed(list(enumerate(made.events)))}

    def shown(one: Event) -> dict[str, Any]:
        source = made.material.sources[one.source]
        return {
            "clip": Path(source.path).name,
            "picture": f"{numbers[one.source]}/{int(one.in_seconds * source.frame_rate)}",
            "shape": round(source.width / source.height, 4),
            "source_seconds": float(one.in_seconds),
            "reason": one.reason,
            "scores": dict(one.scores),
        }

    found: dict[str, Any] = {
        "fps": float(record.fps),
        "frames": record.frames,
        "events": [
            {
                **shown(e), "start_seconds": float(e.start_frame / record.fps), "frames": e.frames, "held": by_hand(e),
                "was": was.get((e.source, e.shot, e.in_seconds)),
            }
            for e in timeline.events
        ],
    }  # fmt: skip
    if event is not None:
        found["alternatives"] = [shown(e) for e in timeline.alternatives(event)]
    return found


def picture(made: Timeline, source: int, frame: int) -> bytes:
    """A small JPEG of a frame that the analysis has seen.

    Raises:
        QueueError: 404: there is none.
    """
    from PIL import Image

    known = list(made.material.sources.values())
    found = made.material.thumbnails(known[source].identity, [frame]) if source < len(known) else []
    if not found:
        raise QueueError("there is no such picture", 404)
    file = io.BytesIO()
    Image.fromarray(found[0]).save(file, "jpeg", quality=90)
    return file.getvalue()


def edited_job(
    job: Job,
    account: Account,
    edited: Timeline,
    made: Timeline,
    key: str | None,
    ops: Sequence[Edit],
) -> Job:
    """The job that renders an edited timeline, which lies in its folder then, on the disk.

    The same edits under the same key are the same job.
    """
    from montage_dask.api.job import NOT_FOR_RENDERING

    named = [account.name, job.id, key or secrets.token_hex(8), [e.model_dump() for e in ops]]
    job_id = digest(named)[:16]
    path = account.job_folder(job_id) / EDITED
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        edited.save(path)
        left = {(s.source, s.index) for s in edited.material.shots}
        gone = [s for s in made.material.shots if (s.source, s.index) not in left]
        vetoed = [f"{made.material.sources[s.source].path}@{_middle(s):.3f}" for s in gone]
        selected = _selected(job, account)
        selected["exclude"] = [*selected.get("exclude", ()), *vetoed]
        write_json(path.with_name(SELECTED), selected, durable=True)
        flush(path)
        flush(path.parent)
    except BaseException:
        shutil.rmtree(path.parent, ignore_errors=True)
        raise
    request = {
        **{k: v for k, v in job.request.items() if k not in NOT_FOR_RENDERING},
        "footage": job.request.get("footage", []),
        "from-timeline": str(path),
    }
    return Job(job_id, account.name, request, job.title, key=key, priority=job.priority, parent=job.id)  # fmt: skip


def _selected(job: Job, account: Account) -> dict[str, Any]:
    """The selections by which the footage of a job is known: its own, or those of the job whose timeline it edits."""
    path = account.job_folder(job.id) / SELECTED
    found = parse_json(read_bytes(path, TIMELINE_BYTES).decode("ascii")) if path.exists() else job.request  # fmt: skip
    return {k: found[k] for k in SELECTORS if k in found}


def _middle(shot: Shot) -> float:
    return float(shot.start_seconds + shot.stop_seconds) / 2
