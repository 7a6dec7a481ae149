"""Layered files of finished images, made when they are first asked for."""

from __future__ import annotations

from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request, Response

from cyclorama.errors import RequestError
from cyclorama.service import tasks
from cyclorama.service.context import Here, Key, Service
from cyclorama.service.decisions import keep_file, read_done
from cyclorama.service.files import send_blob
from cyclorama.service.layering import MEDIA_TYPES, LayerFile, pack_layers, write_layers
from cyclorama.service.routes.parts import fetch_parts
from cyclorama.service.routes.posters import open_poster_folder
from cyclorama.service.submit import wait_for_parts
from cyclorama.service.uploads import open_folder

router = APIRouter(prefix="/v1/images", tags=["images"])
_PARTS = (".background.png", ".shadow.png", ".product.png")


@router.get("/{id}/layers.{kind}", response_class=Response)
async def read_layers(id: str, kind: LayerFile, request: Request, service: Here, key: Key) -> Response:
    """Background, shadow and product as a PSD, an OpenRaster file or a zip of PNGs.

    Of a poster also its words, each a layer of its own, and as SVG with the words as outlines.
    """
    row = await to_thread.run_sync(read_done, service.store, key, id)
    known = row["files"]
    digest = known.get(f".{kind}")
    if digest is None:
        if "poster" in row["result"]:
            digest = await to_thread.run_sync(
                _make_poster, service, row, kind, limiter=service.children.entry
            )
        elif kind == "svg":
            raise RequestError(f"image {id} is no poster, so it has no words to be outlines", "kind")
        elif kind == "zip" and _PARTS[-1] in known:  # the job asked for them
            digest = await to_thread.run_sync(_pack, service, row)
        else:
            row = await wait_for_parts(service, key, id)
            digest = await to_thread.run_sync(_make, service, row, kind, limiter=service.children.entry)
        await to_thread.run_sync(keep_file, service.store, id, f".{kind}", digest)
    return send_blob(service, request, digest, MEDIA_TYPES[kind], f"{id}.{kind}")


def _pack(service: Service, row: Any) -> str:
    blobs, known = service.store.blobs, row["files"]
    return blobs.put(pack_layers({suffix: blobs.read(known[suffix]) for suffix in _PARTS if suffix in known}))


def _make(service: Service, row: Any, kind: LayerFile) -> str:
    blobs = service.store.blobs
    with open_folder(service) as folder:
        finished, parts = blobs.fetch(row["files"]["file"], folder), fetch_parts(service, row, folder)
        target = folder / "layers"
        service.children.run(write_layers, kind, finished, row["result"], parts, target)
        with target.open("rb") as file:
            return blobs.put_file(file)


def _make_poster(service: Service, row: Any, kind: LayerFile) -> str:
    record = row["result"]["recipe"]
    with open_poster_folder(service, row) as folder:
        values = (folder, kind, record["texts"], record["language"])
        with service.children.run(tasks.write_poster_layers, *values).open("rb") as file:
            return service.store.blobs.put_file(file)
