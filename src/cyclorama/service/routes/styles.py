"""The style of a rendered set as a file, so that further images can follow it."""

from __future__ import annotations

from fastapi import APIRouter, Response

from cyclorama.errors import RequestError
from cyclorama.scenes.brand import Brand, format_brand
from cyclorama.service.context import Here, Key
from cyclorama.service.store import find
from cyclorama.service.tables import images

router = APIRouter(prefix="/v1/images", tags=["images"])


@router.get("/{id}/style", response_class=Response, responses={200: {"content": {"application/yaml": {}}}})
def read_style(id: str, service: Here, key: Key) -> Response:
    """The style file (YAML) of the set that an image's seed drew: colours, things and light.

    The image's own accent may differ, since it follows the product.
    """
    from cyclorama.scenes.model import draw_style  # loads SciPy

    with service.store.read() as connection:
        row = find(connection, images, id, key)
    made = row["result"] or {}
    library = next((handle.library for handle in service.models.values() if not handle.learned), None)
    if (
        library is None
        or made.get("style")
        or made.get("poster")
        or made.get("category") not in library.names
    ):
        raise RequestError(f"the style of image {id} was not drawn from a seed; take what its job names")
    brand = Brand.of(draw_style(made["category"], made["seed"], library), made["category"])
    return Response(format_brand(brand), media_type="application/yaml")
