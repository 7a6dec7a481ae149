"""Batches: a table of products, mapped, checked, run by the engine of `cyclorama generate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as PathParameter
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, JSONResponse

from cyclorama.errors import NotReadyError
from cyclorama.service import batches
from cyclorama.service.archive import send_folder
from cyclorama.service.batch_answers import to_batch, to_batch_summary
from cyclorama.service.batch_schemas import (
    BatchDetail,
    BatchFiles,
    BatchOrder,
    BatchRequest,
    BatchRow,
    BatchSummary,
)
from cyclorama.service.batch_uploads import create_batch, receive_files
from cyclorama.service.brands import dress_batch
from cyclorama.service.context import Here, Key
from cyclorama.service.files import name_file
from cyclorama.service.idempotency import keep_answer
from cyclorama.service.photos import TABLE_TYPES
from cyclorama.service.schemas import Page
from cyclorama.service.store import read_page
from cyclorama.service.tables import batches as batches_table
from cyclorama.service.webhooks import check_address

router = APIRouter(prefix="/v1/batches", tags=["batches"])
RowNumber = Annotated[int, PathParameter(ge=0, le=10**9)]
_BINARY = {"type": "string", "format": "binary"}
_ZIP = {"application/zip": {"schema": _BINARY}}
_FORM = {
    "multipart/form-data": {"schema": {"type": "object", "properties": {"table": _BINARY, "images": _BINARY}}}
}
_SUFFIXES = {".png": "image/png", ".webp": "image/webp", ".jpg": "image/jpeg", ".avif": "image/avif"}


def _take(shape: type[Any], *others: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {"application/json": {"schema": shape.model_json_schema()}}
    for other in others:
        content |= other
    return {"requestBody": {"required": True, "content": content}}


@router.post("", status_code=201, response_model=BatchDetail, openapi_extra=_take(BatchOrder, _FORM))
async def create_new_batch(request: Request, service: Here, key: Key) -> Response:
    """Begin a batch: a form with the file `table` and, if the images come along, a zip `images`; or JSON.

    Cells name files of the zip, files given by name, ids of assets, or addresses on allowed hosts. Nothing is
    checked or made yet.
    """
    service.check_open()
    id, answer = await create_batch(request, service, key)
    if answer is not None:
        return JSONResponse(answer["body"], answer["status"], {"Idempotent-Replay": "true"})

    def conclude() -> Any:
        body = to_batch(service.store, batches.find_batch(service.store, key, id)).model_dump(mode="json")
        token = request.headers.get("idempotency-key")
        keep_answer(service.store, key, token, {"status": 201, "body": body})
        return body

    return JSONResponse(await run_in_threadpool(conclude), 201, {"Location": f"/v1/batches/{id}"})


@router.get("", response_model=Page[BatchSummary])
def list_batches(
    service: Here, key: Key, after: str | None = None, limit: Annotated[int, Query(ge=1, le=100)] = 20
) -> Page[BatchSummary]:
    """This key's batches, newest first."""
    with service.store.read() as connection:
        rows, cursor = read_page(connection, batches_table, key, after, limit)
    return Page(items=[to_batch_summary(service.store, row) for row in rows], next=cursor)


@router.get("/{id}", response_model=BatchDetail)
def read_batch(id: str, service: Here, key: Key) -> BatchDetail:
    """A batch: what its table holds, what the check says, how far it is."""
    return to_batch(service.store, batches.find_batch(service.store, key, id))


@router.delete("/{id}", status_code=204)
def delete_batch(id: str, service: Here, key: Key) -> None:
    """Delete a batch with all its files."""
    batches.drop_batch(service.store, key, id)


@router.post("/{id}/files", response_model=BatchDetail, openapi_extra=_take(BatchFiles, _ZIP))
async def add_files(id: str, request: Request, service: Here, key: Key) -> BatchDetail:
    """Add files that cells name: JSON of names and assets, or a zip as it is. May be repeated."""
    service.check_open()
    await receive_files(request, service, key, id)
    return await run_in_threadpool(read_batch, id, service, key)


@router.post("/{id}/check", response_model=BatchDetail, status_code=202)
def check_batch(id: str, service: Here, key: Key, order: BatchRequest | None = None) -> BatchDetail:
    """Look all rows up, open and cut out some, and say what a run would do: faults, seconds, bytes.

    Without a body as it was asked for last. The batch is `open` again once it is checked.
    """
    return _ask(service, key, id, "checking", order)


@router.post("/{id}/run", response_model=BatchDetail, status_code=202)
def run_batch(id: str, service: Here, key: Key, order: BatchRequest | None = None) -> BatchDetail:
    """Make the images. Without a body as it was asked for last; finished rows that nothing changes stay."""
    return _ask(service, key, id, "queued", order)


@router.post("/{id}/retry", response_model=BatchDetail, status_code=202)
def retry_batch(id: str, service: Here, key: Key) -> BatchDetail:
    """Make its failed rows again, and those that were cancelled, no others."""
    return _ask(service, key, id, "queued", None, retry=True)


@router.post("/{id}/cancel", response_model=BatchDetail)
def cancel_batch(id: str, service: Here, key: Key) -> BatchDetail:
    """End after the images in hand; finished ones stay, and a new run goes on from there."""
    batches.cancel_batch(service.store, key, id)
    return read_batch(id, service, key)


@router.get("/{id}/rows", response_model=Page[BatchRow])
def list_rows(
    id: str,
    service: Here,
    key: Key,
    after: Annotated[int, Query(ge=-1, le=10**9)] = -1,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    status: Literal["done", "failed"] | None = None,
) -> Page[BatchRow]:
    """Finished rows in order, as in `results.jsonl`; `after` is a row's number."""
    out = _find_out(service, key, id)
    rows, following = batches.list_rows(out, after, limit, status)
    return Page(items=rows, next=None if following is None else str(following))


@router.get("/{id}/rows/{row}/image", response_class=Response)
def read_row_image(
    id: str, row: RowNumber, service: Here, key: Key, number: Annotated[int, Query(ge=1, le=1024)] = 1
) -> Response:
    """An image of a finished row: the first, or the `number`-th of several."""
    out = _find_out(service, key, id)
    images = batches.read_row(out, row).get("images") or []
    if number > len(images):
        raise NotReadyError(f"row {row} has {len(images)} images, there is no number {number}")
    path = out / images[number - 1]["output"]
    return _send(path, _SUFFIXES.get(path.suffix, "application/octet-stream"), "inline")


@router.get("/{id}/results.parquet", response_class=Response)
def read_results(id: str, service: Here, key: Key) -> Response:
    """All rows as a table, once the batch is done."""
    out = _find_out(service, key, id)
    if not (out / "results.parquet").is_file():
        raise NotReadyError(f"batch {id} has no results yet; they are written once every row is dealt with")
    return _send(out / "results.parquet", TABLE_TYPES["Parquet"], "attachment")


@router.get("/{id}/archive.zip", response_class=Response)
def read_batch_archive(id: str, service: Here, key: Key) -> Response:
    """The folder that `cyclorama generate` would have written: images, results, sheet."""
    row = batches.find_batch(service.store, key, id)
    batches.check_idle(row)
    return send_folder(batches.find_folder(service.store, id) / "out", f"{id}.zip")


def _ask(
    service: Here, key: str, id: str, state: str, order: BatchRequest | None, retry: bool = False
) -> BatchDetail:
    service.check_open()
    store, row = service.store, batches.find_batch(service.store, key, id)
    if order is not None:
        batches.check_idle(row)
        handle = service.find_model(order.model)
        check_address(order.webhook, service.settings.webhooks)
        order = dress_batch(store, key, handle, order.model_copy(update={"model": handle.name}))
        batches.link_common(store, key, order, batches.find_folder(store, id) / "common")
    batches.ask(store, key, id, state, order, retry)
    return to_batch(store, batches.find_batch(store, key, id))


def _find_out(service: Here, key: str, id: str) -> Path:
    """The folder of the run. Raises UnknownIdError."""
    batches.find_batch(service.store, key, id)
    return batches.find_folder(service.store, id) / "out"


def _send(path: Path, media_type: str, kind: str) -> Response:
    headers = {"Content-Disposition": name_file(path.name, kind), "Cache-Control": "no-store"}
    headers["X-Content-Type-Options"] = "nosniff"
    return FileResponse(path, media_type=media_type, headers=headers)
