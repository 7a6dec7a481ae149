"""What this server can do, and whether it is well."""

from __future__ import annotations

from fastapi import APIRouter, Response

from cyclorama.generation.model import find_licence
from cyclorama.generation.scenes import PRESETS
from cyclorama.models.vocabulary import get_words
from cyclorama.service.context import Here
from cyclorama.service.health import find_fault, measure_load, measure_presets
from cyclorama.service.jobs import MAX_WAITING, MAX_WAITING_OF_A_KEY
from cyclorama.service.limits import REQUEST_BYTES
from cyclorama.service.schemas import MAX_ITEMS, Page, Shape
from cyclorama.service.settings import FILE_BYTES, PIXELS
from cyclorama.service.store import is_alive

router = APIRouter(tags=["server"])


class ModelInfo(Shape):
    """A model that this server has."""

    name: str
    hash: str
    learned: bool
    """Whether it has weights; rendered sets have none."""
    licence: str


class CategoryInfo(Shape):
    """A category of a model and the words that are known for it."""

    name: str
    words: list[str]


class PresetInfo(Shape):
    """A preset of a model."""

    name: str
    seconds: float | None = None
    """Median seconds an image took here with it; null where none was made yet."""


class Limits(Shape):
    """What this server takes."""

    items: int
    """Products of a job."""
    images_waiting: int
    """Of all keys together."""
    images_waiting_of_a_key: int
    file_bytes: int
    request_bytes: int
    pixels: int
    """Of a photo."""
    requests_a_minute: int
    images_a_minute: int


@router.get("/v1/models", response_model=Page[ModelInfo])
def list_models(service: Here) -> Page[ModelInfo]:
    """The models that are served, the default first."""
    items = [
        ModelInfo(
            name=handle.name,
            hash=handle.hash,
            learned=handle.learned,
            licence=find_licence(handle.folder) if handle.learned else "Apache-2.0",
        )
        for handle in service.models.values()
    ]
    return Page(items=items)


@router.get("/v1/categories", response_model=Page[CategoryInfo])
def list_categories(service: Here, model: str | None = None) -> Page[CategoryInfo]:
    """The categories of a model, with the words that are known for each."""
    registry = service.find_model(model).registry
    items = [
        CategoryInfo(name=category.name, words=sorted({*category.aliases, *get_words(category.name)}))
        for category in registry.categories
    ]
    return Page(items=items)


@router.get("/v1/presets", response_model=Page[PresetInfo])
def list_presets(service: Here) -> Page[PresetInfo]:
    """The presets, best first, and how long an image takes with each."""
    known = measure_presets(service.store)
    return Page(items=[PresetInfo(name=name, seconds=known.get(name)) for name in PRESETS])


@router.get("/v1/limits", response_model=Limits)
def read_limits(service: Here) -> Limits:
    """What this server takes, and how much of it."""
    return Limits(
        items=MAX_ITEMS,
        images_waiting=MAX_WAITING,
        images_waiting_of_a_key=MAX_WAITING_OF_A_KEY,
        file_bytes=FILE_BYTES,
        request_bytes=REQUEST_BYTES,
        pixels=PIXELS,
        requests_a_minute=service.rates.requests,
        images_a_minute=service.rates.images,
    )


@router.get("/healthz", include_in_schema=False)
def check_health(service: Here) -> Response:
    """200 while process and database answer."""
    alive = is_alive(service.store)
    return Response("ok\n" if alive else "the database does not answer\n", 200 if alive else 503)


@router.get("/readyz", include_in_schema=False)
def check_ready(service: Here) -> Response:
    """200 while new work would be made soon."""
    fault = "the server shuts down" if service.draining else find_fault(measure_load(service.store))
    return Response("ok\n" if fault is None else f"{fault}\n", 200 if fault is None else 503)


@router.get("/metrics", include_in_schema=False)
def read_metrics(service: Here) -> Response:
    """The service in numbers, for Prometheus."""
    return Response(service.metrics.write(), media_type="text/plain; version=0.0.4")
