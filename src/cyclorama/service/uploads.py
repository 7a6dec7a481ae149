"""What comes in as a file: received in pieces, told by its content, kept as an asset."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeVar
from urllib.parse import unquote, urlsplit

from anyio import to_thread
from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from sqlalchemy import RowMapping
from starlette.datastructures import UploadFile

from cyclorama.data.fetch import UrlPolicy, fetch
from cyclorama.errors import FetchError, RequestError
from cyclorama.files import refuse
from cyclorama.service.assets import add_thumbnail, find_known, keep_asset
from cyclorama.service.context import Service
from cyclorama.service.schemas import AssetSource
from cyclorama.service.settings import FILE_BYTES
from cyclorama.service.tasks import draw_thumbnail, inspect

S = TypeVar("S", bound=BaseModel)
_BLOCK = 2**20
_NAME = "image"


async def receive(request: Request, service: Service, key: str) -> tuple[RowMapping, bool]:
    """The asset of the request's body, and whether it is new.

    The body is a file as it is, a form with the part ``file``, or JSON with the address of a file.

    Raises ImageError, RequestError, FetchError.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        async with request.form(max_files=1, max_fields=4) as form:
            part = form.get("file")
            if not isinstance(part, UploadFile):
                raise RequestError("the form has no part `file` with a file; give one", "file")
            return await keep(service, key, part.file, part.filename or _NAME)
    if kind == "application/json":
        source = read_shape(AssetSource, await request.body())
        return await run_in_threadpool(keep_address, service, key, source.url)
    with tempfile.TemporaryFile() as file:
        async for piece in request.stream():
            await run_in_threadpool(file.write, piece)
        file.seek(0)
        name = request.query_params.get("name") or _NAME
        return await keep(service, key, file, name)


async def keep(service: Service, key: str, file: IO[bytes], name: str) -> tuple[RowMapping, bool]:
    """The asset of an open ``file``, and whether it is new. Raises ImageError."""
    return await to_thread.run_sync(keep_file, service, key, file, name, limiter=service.children.entry)


def read_shape(shape: type[S], body: bytes) -> S:
    """A JSON body as a ``shape``. Raises RequestValidationError."""
    try:
        return shape.model_validate_json(body)
    except ValidationError as error:
        faults = [fault | {"loc": ("body", *fault["loc"])} for fault in error.errors()]
        raise RequestValidationError(faults) from None


def keep_file(service: Service, key: str, file: IO[bytes], name: str) -> tuple[RowMapping, bool]:
    """As :func:`keep`, in this thread."""
    with open_folder(service) as folder:
        path = folder / "file"
        try:
            with path.open("wb") as copy:
                shutil.copyfileobj(file, copy, _BLOCK)
        except OSError as error:
            raise refuse(path, error) from error
        with path.open("rb") as copy:
            digest = hashlib.file_digest(copy, "sha256").hexdigest()
        path = path.rename(folder / digest)
        known = find_known(service.store, key, digest)
        if known is not None:  # it was looked at before
            stated = [known[column] for column in ("bytes", "name", "media_type", "facts")]
        else:
            facts = service.children.run(inspect, path)
            stated = [path.stat().st_size, clean_name(name), facts.pop("media_type"), facts]
        if known is None or not service.store.blobs.has(digest):
            with path.open("rb") as copy:
                service.store.blobs.put_file(copy)
    return keep_asset(service.store, key, digest, *stated)


def keep_address(service: Service, key: str, url: str) -> tuple[RowMapping, bool]:
    """The asset of the file at ``url``, and whether it is new. Raises FetchError, ImageError."""
    hosts = service.settings.allow_urls
    if not hosts:
        raise FetchError(
            "this server fetches no addresses (--allow-urls HOST allows it); send the file's bytes"
        )
    data = fetch(url, UrlPolicy(hosts=hosts, max_bytes=FILE_BYTES, tries=2, max_pause=2.0))
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        return keep_file(service, key, file, unquote(urlsplit(url).path))


async def find_thumbnail(service: Service, key: str, id: str) -> str:
    """The digest of a small WebP of asset ``id``, drawn when it is first asked for.

    Raises UnknownIdError, ImageError (it is no image).
    """
    row = await run_in_threadpool(service.store.find_asset, id, key)
    known = row["facts"].get("thumbnail")
    if known is not None:
        return str(known)
    return await to_thread.run_sync(_draw_thumbnail, service, row, limiter=service.children.entry)


def _draw_thumbnail(service: Service, row: RowMapping) -> str:
    with open_folder(service) as folder:
        drawn = folder / "thumbnail"
        service.children.run(draw_thumbnail, service.store.blobs.fetch(row["sha256"], folder), drawn)
        digest = service.store.blobs.put(drawn.read_bytes())
    add_thumbnail(service.store, row, digest)
    return digest


def clean_name(name: str) -> str:
    """The last part of a file's ``name``, which is only ever shown.

    >>> clean_name("../../etc/pass\\0wd")
    'passwd'
    """
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return "".join(c for c in last if c.isprintable())[:255].strip(". ") or _NAME


@contextmanager
def open_folder(service: Service) -> Iterator[Path]:
    """A folder for the files of one request, gone afterwards. Raises OutputError."""
    incoming = service.store.folder / "incoming"
    try:
        incoming.mkdir(exist_ok=True)
        folder = tempfile.TemporaryDirectory(dir=incoming, ignore_cleanup_errors=True)
    except OSError as error:
        raise refuse(incoming, error) from error
    with folder as name:
        yield Path(name)
