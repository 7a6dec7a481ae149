"""What a request brings for a batch: a table, a zip of images, or names of assets."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import IO, Any

from anyio import to_thread
from fastapi import Request
from sqlalchemy import RowMapping
from starlette.datastructures import UploadFile

from cyclorama.errors import RequestError, UnknownIdError
from cyclorama.service import batches
from cyclorama.service.batch_input import look_at_table, unpack_images
from cyclorama.service.batch_schemas import BatchFiles, BatchOrder
from cyclorama.service.context import Service
from cyclorama.service.idempotency import compute_fingerprint, do_once, read_token
from cyclorama.service.uploads import clean_name, keep, open_folder, read_shape

_TABLE = "table.csv"


async def create_batch(request: Request, service: Service, key: str) -> tuple[str, dict[str, Any] | None]:
    """The id of the batch that the request begins, and the first answer if it came before.

    Raises RequestError, ManifestError, BodyTooLargeError, UnknownIdError, KeyReusedError, InProgressError.
    """
    token = read_token(request)
    if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        async with request.form(max_files=2, max_fields=4) as form:
            table, images = form.get("table"), form.get("images")
            if not isinstance(table, UploadFile) and not isinstance(images, UploadFile):
                raise RequestError(
                    "the form has no file `table` and no zip `images`; give one of them", "table"
                )
            row = None
            if isinstance(table, UploadFile):
                row, _ = await keep(service, key, table.file, table.filename or _TABLE)
            archive = images.file if isinstance(images, UploadFile) else None
            name = clean_name(str(getattr(table, "filename", None) or _TABLE))
            values = (service, key, token, row, name, archive, BatchOrder(), request)
            return await to_thread.run_sync(_create, *values, limiter=service.children.entry)
    order = read_shape(BatchOrder, await request.body())
    row = (
        None if order.table is None else await to_thread.run_sync(service.store.find_asset, order.table, key)
    )
    name = _TABLE if row is None else row["name"]
    values = (service, key, token, row, name, None, order, request)
    return await to_thread.run_sync(_create, *values, limiter=service.children.entry)


def _create(
    service: Service,
    key: str,
    token: str | None,
    table: RowMapping | None,
    name: str,
    archive: IO[bytes] | None,
    order: BatchOrder,
    request: Request,
) -> tuple[str, dict[str, Any] | None]:
    digest = None if archive is None else hashlib.file_digest(archive, "sha256").hexdigest()  # type: ignore[arg-type]
    given = [None if table is None else table["sha256"], name, digest, dict(order.files)]
    id, folder = batches.begin_batch(service.store)
    try:
        found: dict[str, Any] = {"name": None, "kind": "folder", "rows": 0}
        if table is not None:
            found = _place_table(service, key, table, name, folder / "input")
        if archive is not None:
            archive.seek(0)
            _unpack(service, archive, folder / "input", found["name"])
        batches.link_assets(service.store, key, order.files, folder / "input", found["name"])
        found["files"] = batches.count_files(folder, found["name"])
        if table is None:
            found["rows"] = found["files"]
        model = service.find_model(None).name
        made, answer = do_once(
            service.store,
            key,
            service.server,
            token,
            compute_fingerprint(request, given),
            lambda connection: batches.add_batch(connection, id, key, found, model),
        )
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    if made != id:
        shutil.rmtree(folder, ignore_errors=True)
    return made, answer


def _place_table(service: Service, key: str, table: RowMapping, name: str, folder: Path) -> dict[str, Any]:
    """What the table holds, which lies in ``folder`` now, with the assets that it names."""
    path = folder / name
    batches.link_blob(service.store, table["sha256"], path)
    found, named = service.children.run(look_at_table, path)
    batches.link_known(service.store, key, named, folder)
    return found


async def receive_files(request: Request, service: Service, key: str, id: str) -> None:
    """Add what the request brings to batch ``id``: JSON of names and assets, or a zip.

    Raises UnknownIdError, NotReadyError (it is in work), RequestError, BodyTooLargeError.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in ("application/zip", "application/x-zip-compressed", "application/octet-stream"):
        with open_folder(service) as folder:
            path = folder / "images.zip"
            with path.open("wb") as copy:
                async for piece in request.stream():
                    await to_thread.run_sync(copy.write, piece)
            await to_thread.run_sync(_add_zip, service, key, id, path, limiter=service.children.entry)
        return
    files = read_shape(BatchFiles, await request.body())
    await to_thread.run_sync(_add_assets, service, key, id, files)


def _add_zip(service: Service, key: str, id: str, path: Path) -> None:
    row = _find_idle(service, key, id)
    folder = batches.find_folder(service.store, id)
    with path.open("rb") as archive:
        _unpack(service, archive, folder / "input", row["found"]["name"])
    batches.note_files(service.store, id)


def _add_assets(service: Service, key: str, id: str, files: BatchFiles) -> None:
    row = _find_idle(service, key, id)
    folder = batches.find_folder(service.store, id) / "input"
    batches.link_assets(service.store, key, files.files, folder, row["found"]["name"])
    batches.note_files(service.store, id)


def _find_idle(service: Service, key: str, id: str) -> RowMapping:
    row = batches.find_batch(service.store, key, id)
    batches.check_idle(row)
    if not batches.find_folder(service.store, id).is_dir():
        raise UnknownIdError(f"the files of batch {id} are with another server; ask that one")
    return row


def _unpack(service: Service, archive: IO[bytes], folder: Path, table: str | None) -> None:
    with open_folder(service) as place:
        path = place / "images.zip"
        with path.open("wb") as copy:
            shutil.copyfileobj(archive, copy, 2**20)
        service.children.run(unpack_images, path, folder, table)
