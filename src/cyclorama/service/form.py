"""The one-call form: files and settings side by side, as a request for one image."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.datastructures import UploadFile

from cyclorama.errors import RequestError
from cyclorama.generation.settings import GenerateConfig
from cyclorama.service.brands import dress
from cyclorama.service.context import Service
from cyclorama.service.jobs import ASSETS, count_asked
from cyclorama.service.schemas import JobItem, JobRequest
from cyclorama.service.uploads import clean_name, keep

_OWN = ("model", "gate", "brand", "brand_version")
_BINARY = {"type": "string", "format": "binary"}
_TEXTS = {name: {"type": "string"} for name in JobItem.model_fields if name not in ASSETS}
_FIELDS = {
    **{name: {**_BINARY, "description": "A file, or the id of an asset."} for name in ASSETS},
    **_TEXTS,
    "model": {"type": "string"},
    "gate": {"type": "boolean"},
    "brand": {"type": "string", "description": "Id of a brand kit."},
    "brand_version": {"type": "integer"},
    **{field.alias or name: {"type": "string"} for name, field in GenerateConfig.model_fields.items()},
}
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {"type": "object", "required": ["image"], "properties": _FIELDS}
            }
        },
    }
}
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/*": {"schema": _BINARY}, "application/json": {}}, "description": "The image"}
}


async def read_order(request: Request, service: Service, key: str) -> JobRequest:
    """The request's form as a job of one image; its files are kept as assets.

    Raises RequestError, ImageError, RequestValidationError, UnknownIdError (a brand), SettingsError (a
    model).
    """
    service.check_open()
    item: dict[str, Any] = {}
    values: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    async with request.form(max_files=len(ASSETS), max_fields=64) as form:
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                if name not in ASSETS:
                    raise RequestError(f"{name} is a file, but only {', '.join(ASSETS)} may be", name)
                title = value.filename or name
                row, _ = await keep(service, key, value.file, title)
                item[name] = row["id"]
                if name == "image":
                    item.setdefault("name", clean_name(title))
            elif name in JobItem.model_fields:
                item[name] = value
            elif name in _OWN:
                values[name] = value
            else:
                settings[name] = [value] if name == "outputs" else value
    try:
        order = JobRequest.model_validate(
            values | {"items": [item], "settings": settings, "lane": "interactive"}
        )
    except ValidationError as error:
        faults = [fault | {"loc": ("form", *fault["loc"][-1:])} for fault in error.errors()]
        raise RequestValidationError(faults) from error
    handle = service.find_model(order.model)
    dressed = await run_in_threadpool(dress, service.store, key, handle, order)
    if (count := count_asked(dressed)) > 1:
        raise RequestError(
            f"one call makes one image, this asks for {count} by outputs, candidates or its brand's canvases;"
            " give one size, or ask POST /v1/jobs"
        )
    return order


def wants_json(request: Request) -> bool:
    """Whether the client asks for JSON rather than for the image."""
    accept = request.headers.get("accept", "*/*")
    return "json" in accept and "image/" not in accept
