"""Cut-outs: what of a photo is its product, and how a designer mends it."""

from __future__ import annotations

from pathlib import Path

from anyio import to_thread
from fastapi import APIRouter

from cyclorama.service.assets import keep_asset
from cyclorama.service.context import Here, Key, Service
from cyclorama.service.schemas import Cutout, CutoutRequest
from cyclorama.service.tasks import cut_out
from cyclorama.service.uploads import open_folder

router = APIRouter(prefix="/v1/cutouts", tags=["cutouts"])


@router.post("", response_model=Cutout)
async def create_cutout(order: CutoutRequest, service: Here, key: Key) -> Cutout:
    """Cut a product out, or draw strokes on its matte. The matte is an asset that an item takes as `mask`."""
    service.check_open()
    return await to_thread.run_sync(_cut_out, order, service, key, limiter=service.children.entry)


def _cut_out(order: CutoutRequest, service: Service, key: str) -> Cutout:
    store = service.store
    photo = store.find_asset(order.image, key)
    mask = None if order.mask is None else store.find_asset(order.mask, key)
    with open_folder(service) as folder:
        paths = [None if row is None else store.blobs.fetch(row["sha256"], folder) for row in (photo, mask)]
        matte = folder / "matte"
        facts = service.children.run(cut_out, *paths, order.mask_means, order.strokes, matte)
        with matte.open("rb") as file:
            digest = store.blobs.put_file(file)
        size = matte.stat().st_size
    name = f"{Path(photo['name']).stem}-matte.png"
    known = {name: facts[name] for name in ("width", "height")} | {"alpha": False}
    row, _ = keep_asset(store, key, digest, size, name, "image/png", known)
    return Cutout(matte=row["id"], **facts)
