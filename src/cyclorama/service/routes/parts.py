"""Finished images taken apart, and put together anew."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request, Response
from sqlalchemy import RowMapping

from cyclorama.errors import RequestError, SettingsError
from cyclorama.imaging.formats import EncodingConfig
from cyclorama.service.context import Here, Key, Service
from cyclorama.service.decisions import keep_file, keep_image, read_done
from cyclorama.service.files import send_blob
from cyclorama.service.recompose import PARTS, Part, Parts, Recompose, place, put_together, write_plate
from cyclorama.service.schemas import Image
from cyclorama.service.store import find
from cyclorama.service.submit import make_once, wait_for_parts
from cyclorama.service.tables import jobs
from cyclorama.service.uploads import open_folder

router = APIRouter(prefix="/v1/images", tags=["images"])
_ENCODING = ("format", "quality", "provenance", "strip")


@router.get("/{id}/parts", response_model=Parts)
async def read_parts(id: str, service: Here, key: Key) -> Parts:
    """What a finished image is made of. The first time a worker takes it apart, which takes seconds."""
    row = await wait_for_parts(service, key, id)
    known = row["result"]
    stated = ("width", "height", "box", "lit_box", "photo_box", "scale", "shadow", "lit_shadow")
    parts = [name for name in PARTS if name in row["files"]]
    return Parts.model_validate({name: known[name] for name in stated} | {"parts": parts})


@router.get("/{id}/parts/{part}", response_class=Response)
async def read_part(id: str, part: Part, request: Request, service: Here, key: Key) -> Response:
    """One of them, PNG."""
    row = await wait_for_parts(service, key, id)
    if part not in row["files"]:
        raise RequestError(f"image {id} has no part {part!r}", "part")
    return send_blob(service, request, row["files"][part], "image/png", f"{id}-{part}.png")


@router.get("/{id}/plate", response_class=Response)
async def read_plate(id: str, request: Request, service: Here, key: Key) -> Response:
    """The ground that the product was set into, PNG."""
    row = await to_thread.run_sync(read_done, service.store, key, id)
    digest = row["files"].get("plate")
    if digest is None:
        digest = await to_thread.run_sync(_draw_plate, service, row, limiter=service.children.entry)
    return send_blob(service, request, digest, "image/png", f"{id}-plate.png")


def _draw_plate(service: Service, row: RowMapping) -> str:
    with open_folder(service) as folder:
        target = folder / "plate"
        service.children.run(write_plate, row["result"], fetch_parts(service, row, folder), target)
        with target.open("rb") as file:
            digest = service.store.blobs.put_file(file)
    keep_file(service.store, row["id"], "plate", digest)
    return digest


def fetch_parts(service: Service, row: RowMapping, folder: Path) -> dict[str, Path]:
    """Local files of the parts of an image that was taken apart."""
    known = row["files"]
    return {n: service.store.blobs.fetch(known[n], folder) for n in (*PARTS, "cut") if n in known}


@router.post("/{id}/recompose", response_model=Image, status_code=201)
async def recompose_image(id: str, order: Recompose, request: Request, service: Here, key: Key) -> Image:
    """Put an image together anew with its product moved, scaled, or its shadow weaker; no model is asked.

    The answer is a new image of the same job. The first time a worker takes the old one apart.
    """
    service.check_open()
    row = await wait_for_parts(service, key, id)
    return await make_once(service, request, order, row, lambda: _recompose(service, row, order))


def _recompose(service: Service, row: RowMapping, order: Recompose) -> RowMapping:
    start, store, known = time.perf_counter(), service.store, row["result"]
    encoding = _choose_encoding(service, row, order)
    place(order, known)  # refused before a child is asked
    with open_folder(service) as folder:
        parts = fetch_parts(service, row, folder)
        said = service.children.run(put_together, order, known, encoding, parts, folder)
        files = {}
        for name in ("file", "thumbnail"):
            with (folder / name).open("rb") as file:
                files[name] = store.blobs.put_file(file)
    return keep_image(store, row, said, files, time.perf_counter() - start)


def _choose_encoding(service: Service, row: RowMapping, order: Recompose) -> EncodingConfig:
    """The file format that is asked for, else that of the image. Raises SettingsError."""
    with service.store.read() as connection:
        settings: dict[str, Any] = find(connection, jobs, row["job"], row["key"])["request"]["settings"]
    values = {name: settings[name] for name in _ENCODING if name in settings}
    values["format"] = row["result"]["media_type"].partition("/")[2]
    if order.format is not None:
        values["format"], _ = order.format, values.pop("quality", None)
    if order.quality is not None:
        values["quality"] = order.quality
    try:
        return EncodingConfig(**values)
    except SettingsError as error:
        raise RequestError(str(error), "quality") from error
