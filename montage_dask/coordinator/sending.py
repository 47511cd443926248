"""The routes of uploads: tus 1.0."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request, Response

from montage_dask.coordinator import uploads
from montage_dask.coordinator.accounts import Account
from montage_dask.coordinator.guarding import Door
from montage_dask.coordinator.jobs import QueueError
from montage_dask.coordinator.keep import Keeper
from montage_dask.store.artefacts import flush

TUS = {"Tus-Resumable": "1.0.0"}
TUS_OFFER = {"Tus-Version": "1.0.0", "Tus-Extension": "creation,termination,expiration"}


def upload_routes(door: Door, keeper: Keeper, prefix: str) -> APIRouter:
    """The routes below /api/uploads, behind a door; `prefix` is that of a proxy."""
    routes = APIRouter(prefix="/api/uploads")
    User = Annotated[Account, Depends(door)]

    def tell(upload: uploads.Upload, status: int) -> Response:
        more = {"Location": f"{prefix}{routes.prefix}/{upload.id}"} if status == 201 else {}
        if upload.path is not None:
            more["Upload-Path"] = "".join(c if c.isascii() else f"%{b:02X}" for c in upload.path for b in c.encode())  # fmt: skip
        offset = {"Upload-Offset": str(upload.offset), "Upload-Length": str(upload.length)}
        return Response(status_code=status, headers={**TUS, **offset, **more})

    @routes.options("")
    def tus() -> Response:
        return Response(status_code=204, headers={**TUS, **TUS_OFFER})

    @routes.get("")
    def uploaded(user: User) -> list[dict[str, Any]]:
        return uploads.uploaded(user)

    @routes.post("", status_code=201)
    def begin(
        user: User,
        upload_length: Annotated[int, Header(ge=0, lt=1 << 50)],
        upload_metadata: Annotated[str, Header(max_length=4000)] = "",
    ) -> Response:
        keeper.check(user, upload_length)
        return tell(uploads.create(user, upload_length, uploads.metadata(upload_metadata)), 201)

    @routes.head("/{upload_id}")
    def offset(upload_id: str, user: User) -> Response:
        upload = uploads.find(user, upload_id)
        if upload.path is None:
            flush(upload.part)
        return tell(upload, 200)

    @routes.patch("/{upload_id}")
    async def receive(
        upload_id: str, user: User, request: Request, upload_offset: Annotated[int, Header(ge=0)]
    ) -> Response:
        if request.headers.get("content-type") != "application/offset+octet-stream":
            raise QueueError("Content-Type must be application/offset+octet-stream", 415)
        return tell(await uploads.receive(user, upload_id, upload_offset, request.stream()), 204)

    @routes.delete("/{upload_id}")
    def drop(upload_id: str, user: User) -> Response:
        uploads.remove(user, upload_id)
        return Response(status_code=204, headers=TUS)

    return routes
