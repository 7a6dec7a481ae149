"""The style of a rendered set as a file, so that further images can follow it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from cyclorama.errors import RequestError, UnknownCategoryError
from cyclorama.scenes.brand import Brand, format_brand
from cyclorama.seeding import MAX_SEED
from cyclorama.service.context import Here

router = APIRouter(prefix="/v1/styles", tags=["server"])
MAX_ARRANGEMENT = 9999


@router.get("", response_class=Response, responses={200: {"content": {"application/yaml": {}}}})
def read_style(
    service: Here,
    category: Annotated[str, Query(max_length=100)],
    seed: Annotated[int, Query(ge=0, le=MAX_SEED)],
    arrangement: bool = False,
) -> Response:
    """The style file (YAML) of the set that `seed` draws for `category`: colours, things and light.

    With `arrangement` it names the set's arrangement too, for seeds up to 9999. An image's accent
    may differ, since it follows the product.
    """
    from cyclorama.scenes.model import draw_style  # loads SciPy

    library = next((handle.library for handle in service.models.values() if not handle.learned), None)
    if library is None:
        raise RequestError("no model of this server draws sets; only those have styles", "category")
    if category not in library.names:
        raise UnknownCategoryError(f"category {category!r} has no set; use one of {', '.join(library.names)}")
    number = seed if arrangement and seed <= MAX_ARRANGEMENT else None
    brand = Brand.of(draw_style(category, seed, library), category, number)
    return Response(format_brand(brand), media_type="application/yaml")
