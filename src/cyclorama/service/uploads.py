"""What comes in as a file: received in pieces, told by its content, kept as an asset."""

from __future__ import annotations

import tempfile
from typing import IO, Any

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from PIL import Image
from sqlalchemy import RowMapping
from starlette.datastructures import UploadFile

from cyclorama.errors import SettingsError, UnreadableImageError
from cyclorama.service.assets import keep_asset
from cyclorama.service.context import Service

_SPOOL = 2**20
_NAME = "image"


async def receive(request: Request, service: Service, key: str) -> tuple[RowMapping, bool]:
    """The asset of the request's body, a file as it is or the part ``file`` of a form, and whether it is new.

    Raises ImageError, SettingsError.
    """
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        async with request.form(max_files=1, max_fields=4) as form:
            part = form.get("file")
            if not isinstance(part, UploadFile):
                raise SettingsError("the form has no part `file` with a file; give one")
            return await run_in_threadpool(keep_file, service, key, part.file, part.filename or _NAME)
    with tempfile.SpooledTemporaryFile(_SPOOL) as spooled:
        async for piece in request.stream():
            spooled.write(piece)
        spooled.seek(0)
        return await run_in_threadpool(
            keep_file, service, key, spooled, request.query_params.get("name", _NAME)
        )


def keep_file(service: Service, key: str, file: Any, name: str) -> tuple[RowMapping, bool]:
    """The asset of an open ``file``, and whether it is new. Raises ImageError."""
    media_type, facts = inspect_file(file)
    size = file.seek(0, 2)
    file.seek(0)
    digest = service.store.blobs.put_file(file)
    name = name.replace("\\", "/").rpartition("/")[2][:255] or _NAME
    return keep_asset(service.store, key, digest, size, name, media_type, facts)


def inspect_file(file: IO[bytes]) -> tuple[str, dict[str, Any]]:
    """Media type and facts of an image by its header, of a style file by its text. Raises ImageError."""
    try:
        with Image.open(file) as image:
            facts = {"width": image.width, "height": image.height, "alpha": image.has_transparency_data}
            return Image.MIME.get(image.format or "", "application/octet-stream"), facts
    except Exception as error:
        file.seek(0)
        try:
            text = file.read(2**16).decode()
        except UnicodeDecodeError:
            text = ""
        if text.lstrip().startswith("{") or ":" in text.partition("\n")[0]:
            return "application/yaml", {}
        raise UnreadableImageError("the file is no image of a known format, nor a style file") from error
