"""The API: jobs, their events and files, uploads, health. The page and the commands use nothing else."""

import json
import os
import pathlib
import secrets
import shutil
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from anyio import sleep, to_thread
from fastapi import Depends, FastAPI, Header, Path, Request, Response
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel
from starlette.responses import FileResponse, JSONResponse, StreamingResponse

from montage_dask._version import __version__
from montage_dask.coordinator.accounts import SESSION_SECONDS, Account, Accounts
from montage_dask.coordinator.child import LOG, RUN_DIR
from montage_dask.coordinator.edits import CuttingRoom, Edits, edited_job, picture, told
from montage_dask.coordinator.guarding import COOKIE, Door, Gate
from montage_dask.coordinator.jobs import (
    ENDED,
    HELD,
    PRIORITIES,
    UNENDED,
    Job,
    QueueError,
    QueueUnavailable,
)
from montage_dask.coordinator.keep import Keeper
from montage_dask.coordinator.queue import Queue
from montage_dask.coordinator.requests import (
    Estimate,
    JobRequest,
    expected,
    inside,
    job_content,
    options_model,
    preview_of,
    title_of,
)
from montage_dask.coordinator.runner import Runner
from montage_dask.coordinator.sending import upload_routes
from montage_dask.coordinator.verbs import VERBS
from montage_dask.edit.styles import load_style, style_names
from montage_dask.errors import MontageError, StoreError, UsageError
from montage_dask.report.otioz import write_otioz

Shown = dict[str, Any]
Number = Annotated[int, Path(ge=0)]
PAGE = pathlib.Path(__file__).parent / "page"
LOOK_SECONDS = 0.5
QUIET_SECONDS = 15.0
"""A stream of events says at least this often that it is there."""
ACTIVE_CONTENT = (".html", ".svg", ".xml", ".xhtml", ".htm")
"""Files that browsers run: they are shown as strangers'."""


@dataclass(frozen=True, slots=True)
class Service:
    """What the API stands on."""

    queue: Queue
    accounts: Accounts
    runner: Runner
    keeper: Keeper
    open_to_all: bool = False
    prefix: str = ""


def shown(job: Job) -> Shown:
    """A job as its user sees it."""
    fields = (
        "id", "title", "state", "pausing", "submitted_at", "begun_at", "ended_at", "used_seconds", "reason", "progress",
        "request", "event", "parent", "after",
    )  # fmt: skip
    band = next(name for name, n in PRIORITIES.items() if n == job.priority)
    return {**{name: getattr(job, name) for name in fields}, "priority": band}


class Login(BaseModel):
    """What opens the page."""

    token: str


class Band(BaseModel):
    """A priority by its name."""

    priority: Literal["low", "normal", "high"]


def make_app(service: Service) -> FastAPI:
    """The application around a service."""
    queue, keeper = service.queue, service.keeper
    door = Door(service.accounts, open_to_all=service.open_to_all)
    app = FastAPI(
        title="montage-dask coordinator", version=__version__, docs_url=None, redoc_url=None, root_path=service.prefix,
    )  # fmt: skip
    app.add_middleware(Gate)
    rooms: defaultdict[str, CuttingRoom] = defaultdict(CuttingRoom)
    User = Annotated[Account, Depends(door)]

    def admin(user: User) -> Account:
        if not user.admin:
            raise QueueError("only an administrator may do this", 403)
        return user

    def mine(job_id: str, user: User) -> Job:
        return queue.find(job_id, user.name)

    Admin = Annotated[Account, Depends(admin)]
    Mine = Annotated[Job, Depends(mine)]
    Key = Annotated[str | None, Header(alias="Idempotency-Key", max_length=200)]

    @app.exception_handler(MontageError)
    def refused(_: Request, error: Exception) -> JSONResponse:
        away = isinstance(error, StoreError | QueueUnavailable)
        status = error.status if isinstance(error, QueueError) else 503 if away else 422
        return JSONResponse({"detail": str(error)}, status, {"Retry-After": "5"} if away else None)

    # -- who --------------------------------------------------------------------------------------------------------------

    @app.post("/api/login")
    def login(given: Login, request: Request) -> Response:
        found = service.accounts.holder(given.token)
        session = None if found is None else service.accounts.begin_session(found[0])
        if found is None or session is None:
            raise QueueError("this token opens nothing", 401)
        answer = JSONResponse({"user": found[1].name})
        answer.set_cookie(
            COOKIE, session, max_age=SESSION_SECONDS, httponly=True, samesite="strict",
            secure=request.url.scheme == "https", path=service.prefix or "/",
        )  # fmt: skip
        return answer

    @app.post("/api/logout")
    def logout(user: User, request: Request) -> Response:
        service.accounts.end_session(request.cookies.get(COOKIE, ""))
        answer = JSONResponse({})
        answer.delete_cookie(COOKIE, path=service.prefix or "/")
        return answer

    @app.get("/api/me")
    def me(request: Request) -> dict[str, Any]:
        """Who asks; `user` is null when nobody is logged in, which is no error of a page."""
        try:
            user = door(request)
        except QueueError:
            return {"user": None}
        cluster = service.runner.cluster
        return {
            "user": user.name, "admin": user.admin, "csrf": door.csrf(request), "cluster": cluster,
            "drained": queue.drained(cluster),
        }  # fmt: skip

    # -- jobs -------------------------------------------------------------------------------------------------------------

    @app.post("/api/jobs", status_code=202)
    def submit(asked: JobRequest, user: User, response: Response, key: Key = None) -> Shown:
        """Add a job. Once this is answered, it survives whatever dies."""
        content = job_content(asked, user)
        keeper.check(user)
        wanted = Job(
            secrets.token_hex(8), user.name, content, title_of(asked), key=key, priority=PRIORITIES[asked.priority],
            parent=asked.parent, webhook=asked.webhook.model_dump() if asked.webhook else None,
        )  # fmt: skip
        if asked.preview:
            quick = replace(
                wanted, id=secrets.token_hex(8), request=preview_of(content), key=key and f"{key} preview", webhook=None,
            )  # fmt: skip
            first, _ = queue.submit(quick)
            wanted = replace(wanted, after=first.id, parent=first.id)
        job, new = queue.submit(wanted)
        response.headers["Location"] = f"{service.prefix}/api/jobs/{job.id}"
        return {**shown(job), "new": new}

    @app.get("/api/jobs")
    def jobs(user: User, before: int | None = None, most: int = 100) -> Shown:
        found = queue.of_user(user.name, before, max(1, min(most, 1000)))
        return {"jobs": [shown(j) for j in found], "before": found[-1].number if found else None}

    @app.get("/api/jobs/{job_id}")
    def job(found: Mine) -> Shown:
        return shown(found)

    @app.post("/api/jobs/{job_id}/otioz")
    def bundle(found: Mine, user: User) -> dict[str, str]:
        """The timeline of a job with its media in one file; made when it is first asked for. Answers its path."""
        path = f"{RUN_DIR}/timeline.otio"
        timeline = inside(user.job_folder(found.id), path)
        if not timeline.with_suffix(".otioz").exists():
            keeper.check(user)
            try:
                write_otioz(timeline)
            except MontageError as error:
                raise QueueError(str(error)) from error
        return {"path": f"{path}z"}

    # -- its timeline -----------------------------------------------------------------------------------------------------

    @app.post("/api/jobs/{job_id}/timeline")
    def timeline(found: Mine, edits: Edits, user: User) -> Shown:
        """The timeline of a job after some edits, and what an event could show instead; nothing is changed by it."""
        room = rooms[user.name]
        made, edited = room.timeline(found, user), room.timeline(found, user, edits.ops)
        return told(edited, made, edits.event)

    @app.post("/api/jobs/{job_id}/edit", status_code=202)
    def edit(found: Mine, edits: Edits, user: User, key: Key = None) -> Shown:
        """Render an edited timeline: a job of its own, of which only what changed is made."""
        room = rooms[user.name]
        made, edited = room.timeline(found, user), room.timeline(found, user, edits.ops)
        if edited == made:
            raise UsageError("nothing was changed")
        keeper.check(user)
        child = edited_job(found, user, edited, made, key, edits.ops)
        try:
            child, new = queue.submit(child)
        except QueueError:
            shutil.rmtree(user.job_folder(child.id), ignore_errors=True)
            raise
        return {**shown(child), "new": new}

    @app.get("/api/jobs/{job_id}/pictures/{source}/{frame}")
    def seen(found: Mine, source: Number, frame: Number, user: User) -> Response:
        """A small picture of a frame of the footage, as a timeline names it."""
        data = picture(rooms[user.name].timeline(found, user), source, frame)
        return Response(data, media_type="image/jpeg", headers={"cache-control": "private, max-age=86400"})  # fmt: skip

    @app.post("/api/jobs/{job_id}/{verb}")
    def act(job_id: str, verb: Literal["cancel", "pause", "resume", "retry"], user: User) -> Shown:
        return shown(getattr(queue, verb)(job_id, user.name))

    @app.put("/api/jobs/{job_id}/priority")
    def prioritise(job_id: str, band: Band, user: User) -> Shown:
        return shown(queue.prioritise(job_id, PRIORITIES[band.priority], user.name))

    @app.get("/api/jobs/{job_id}/events")
    async def events(
        job_id: str, user: User, last_event_id: Annotated[int, Header(ge=0)] = 0
    ) -> Response:
        """Server-sent events from the one behind Last-Event-ID on, until the job has ended."""
        job = await to_thread.run_sync(queue.find, job_id, user.name)
        if job.state in ENDED and last_event_id >= job.event:
            return Response(status_code=204)  # so browsers do not ask again
        stream = _stream(queue, job_id, last_event_id)
        return StreamingResponse(stream, media_type="text/event-stream")

    @app.get("/api/jobs/{job_id}/files")
    def files(found: Mine, user: User) -> list[dict[str, Any]]:
        folder = user.job_folder(found.id)
        return [
            {"path": str(p.relative_to(folder)), "bytes": p.stat().st_size}
            for p in sorted(folder.rglob("*"))
            if p.is_file() and not any(s.startswith(".") for s in p.relative_to(folder).parts)
        ]

    @app.get("/api/jobs/{job_id}/files/{path:path}")
    @app.head("/api/jobs/{job_id}/files/{path:path}", include_in_schema=False)
    def file(found: Mine, path: str, user: User) -> Response:
        """One file of a job, or a range of it."""
        place = inside(user.job_folder(found.id), path)
        more = {"content-security-policy": "sandbox allow-scripts"} if place.suffix in ACTIVE_CONTENT else {}  # fmt: skip
        return FileResponse(place, headers=more, filename=place.name, content_disposition_type="inline")  # fmt: skip

    @app.get("/api/jobs/{job_id}/log")
    def job_log(found: Mine, user: User) -> Response:
        return file(found, LOG, user)

    @app.put("/api/drain")
    def drain(user: Admin, on: bool = True) -> Shown:
        queue.drain(service.runner.cluster, user.name if on else None)
        return {"drained": queue.drained(service.runner.cluster)}

    @app.get("/api/styles")
    def styles(user: User) -> Shown:
        """The styles by their names, each with what it is like."""
        return {"styles": {name: load_style(name).description for name in style_names()}}

    @app.get("/api/options")
    def options(user: User, verb: str = "run") -> Shown:
        """The schema of what `options` of a job of a verb may hold."""
        if verb not in ("run", *VERBS):
            raise QueueError("there is no such verb", 404)
        return options_model(verb).model_json_schema(by_alias=True)

    @app.post("/api/estimate")
    def estimate(asked: Estimate, user: User) -> Shown:
        """What a montage would take, by what a browser knows of its files: seconds (null: nobody knows how many share a cluster),
        and how many bytes may still be sent."""
        threads = None if "://" in service.runner.cluster else os.cpu_count() or 1
        seconds = None if threads is None else round(expected(asked, threads), 1)
        return {"seconds": seconds, "room_bytes": keeper.room_bytes(user)}

    app.include_router(upload_routes(door, keeper, service.prefix))

    # -- operation --------------------------------------------------------------------------------------------------------

    @app.get("/healthz")
    def health() -> dict[str, str]:
        return {"status": "alive", "version": __version__}

    @app.get("/readyz")
    def ready() -> Response:
        queue.in_states(HELD)
        good = service.runner.works
        return JSONResponse({"status": "ready" if good else "no runner"}, 200 if good else 503)

    @app.get("/metrics")
    def metrics(user: Admin) -> Response:
        return Response(_metrics(service), media_type="text/plain; version=0.0.4")

    @app.get("/json/identity.json")
    def identity(user: User) -> dict[str, str]:
        """As the dashboard of a scheduler names it: workers ask here where to join."""
        if "://" not in service.runner.cluster:
            raise QueueError("this coordinator runs its jobs on workers of its own", 404)
        return {"address": service.runner.cluster}

    app.mount("/", StaticFiles(directory=PAGE, html=True))
    return app


async def _stream(queue: Queue, job_id: str, last: int) -> AsyncIterator[str]:
    quiet_since = time.monotonic()
    while True:
        # Looked at first: whatever its state says has happened stands among the events read after it.
        try:
            state = (await to_thread.run_sync(queue.find, job_id)).state
            found = await to_thread.run_sync(queue.events, job_id, last)
        except QueueUnavailable:
            await sleep(QUIET_SECONDS / 3)
            yield ": the queue is away\n\n"
            continue
        except QueueError:
            return  # it was removed
        for event in found:
            last = event.number
            data = json.dumps({"at": event.at, **event.data})
            yield f"id: {last}\nevent: {event.kind}\ndata: {data}\n\n"
        if found:
            quiet_since = time.monotonic()
            continue
        if state in ENDED:
            yield "event: end\ndata: {}\n\n"
            return
        if time.monotonic() - quiet_since > QUIET_SECONDS:
            quiet_since = time.monotonic()
            yield ": still here\n\n"
        await sleep(LOOK_SECONDS)


def _metrics(service: Service) -> str:
    """What Prometheus reads; no names of users or files."""
    unended = service.queue.in_states(UNENDED)
    count = Counter(j.state for j in unended)
    waiting = [j.submitted_at for j in unended if j.state == "waiting"]
    values = {
        **{f'jobs{{state="{s}"}}': count[s] for s in UNENDED},
        "oldest_waiting_seconds": round(time.time() - min(waiting), 1) if waiting else 0,
        "processes": service.runner.running,
        "drained": int(service.queue.drained(service.runner.cluster) is not None),
        "runner_works": int(service.runner.works),
    }
    return "".join(f"montage_coordinator_{name} {value}\n" for name, value in values.items())
