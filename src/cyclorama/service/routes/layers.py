"""Layered files of finished images, made when they are first asked for."""

from __future__ import annotations

from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request, Response
from sqlalchemy import select, update

from cyclorama.service.context import Here, Key, Service
from cyclorama.service.decisions import read_done
from cyclorama.service.files import send_blob
from cyclorama.service.layering import MEDIA_TYPES, LayerFile, pack_layers, write_layers
from cyclorama.service.store import find
from cyclorama.service.tables import assets, images, jobs
from cyclorama.service.uploads import open_folder

router = APIRouter(prefix="/v1/images", tags=["images"])
_PARTS = (".background.png", ".shadow.png", ".product.png")


@router.get("/{id}/layers.{kind}", response_class=Response)
async def read_layers(id: str, kind: LayerFile, request: Request, service: Here, key: Key) -> Response:
    """Background, shadow and product as a PSD, an OpenRaster file or a zip of PNGs."""
    row = await to_thread.run_sync(read_done, service.store, key, id)
    digest = row["files"].get(f".{kind}")
    if digest is None:
        digest = await to_thread.run_sync(_make, service, row, kind, limiter=service.children.entry)
    return send_blob(service, request, digest, MEDIA_TYPES[kind], f"{id}.{kind}")


def _make(service: Service, row: Any, kind: LayerFile) -> str:
    """The layers' blob, which the image keeps. Raises the errors of loader and masks, UnknownIdError."""
    store, known = service.store, row["files"]
    if kind == "zip" and _PARTS[-1] in known:  # the job asked for them
        parts = {suffix: store.blobs.read(known[suffix]) for suffix in _PARTS if suffix in known}
        digest = store.blobs.put(pack_layers(parts))
    else:
        digest = _take_apart(service, row, kind)
    with store.write() as connection:
        mine = images.c.id == row["id"]
        files = connection.execute(select(images.c.files).where(mine).with_for_update()).scalar()
        if files:
            changed = {**files, f".{kind}": digest}
            connection.execute(update(images).where(mine).values(files=changed))
    return digest


def _take_apart(service: Service, row: Any, kind: LayerFile) -> str:
    store, known = service.store, row["files"]
    with store.read() as connection:
        job = find(connection, jobs, row["job"], row["key"])
        item = job["request"]["items"][row["item"]]
        sources = [
            None if item[name] is None else find(connection, assets, item[name], row["key"])["sha256"]
            for name in ("image", "mask")
        ]
    share = service.find_model(job["model"]).registry.resolve(row["result"]["category"]).share
    with open_folder(service) as folder:
        photo, mask = (None if digest is None else store.blobs.fetch(digest, folder) for digest in sources)
        finished, plate = (store.blobs.fetch(known[name], folder) for name in ("file", "plate"))
        made = (item["mask_means"], job["request"]["settings"], row["output"], share, finished, plate)
        target = folder / "layers"
        service.children.run(write_layers, kind, photo, mask, *made, target)
        with target.open("rb") as file:
            return store.blobs.put_file(file)
