"""Files that requests name: photos, masks, references, plates, style files."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from cyclorama.service import uploads
from cyclorama.service.answers import to_asset
from cyclorama.service.assets import drop_asset
from cyclorama.service.context import Here, Key
from cyclorama.service.files import send_blob
from cyclorama.service.schemas import Asset, AssetSource

router = APIRouter(prefix="/v1/assets", tags=["assets"])
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            },
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "application/json": {"schema": AssetSource.model_json_schema()},
        },
    }
}


@router.post("", status_code=201, response_model=Asset, openapi_extra=_BODY)
async def upload_asset(request: Request, response: Response, service: Here, key: Key) -> Asset:
    """Keep a file: the whole body, or the part `file` of a form. Known bytes give the known asset and 200."""
    service.check_open()
    row, new = await uploads.receive(request, service, key)
    if not new:
        response.status_code = 200
    return to_asset(row)


@router.get("/{id}", response_model=Asset)
def read_asset(id: str, service: Here, key: Key) -> Asset:
    """What is known of an asset."""
    return to_asset(service.store.find_asset(id, key))


@router.get("/{id}/file", response_class=StreamingResponse)
def read_asset_file(id: str, request: Request, service: Here, key: Key) -> Response:
    """An asset's bytes."""
    row = service.store.find_asset(id, key)
    return send_blob(service, request, row["sha256"], row["media_type"], row["name"])


@router.get("/{id}/thumbnail", response_class=StreamingResponse)
async def read_asset_thumbnail(id: str, request: Request, service: Here, key: Key) -> Response:
    """An image's small WebP."""
    digest = await uploads.find_thumbnail(service, key, id)
    return await run_in_threadpool(send_blob, service, request, digest, "image/webp", f"{id}.webp")


@router.delete("/{id}", status_code=204)
async def delete_asset(id: str, service: Here, key: Key) -> None:
    """Forget an asset."""
    await run_in_threadpool(drop_asset, service.store, key, id)
