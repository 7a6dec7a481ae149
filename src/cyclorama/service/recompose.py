"""An image put together anew from its parts, in a child process: no model is asked."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import Field

from cyclorama.generation.sheet import encode_thumbnail
from cyclorama.imaging.compositing import composite, compute_product_report
from cyclorama.imaging.formats import MEDIA_TYPES, EncodingConfig, ImageFormat, encode_image, measure_encoding
from cyclorama.imaging.layout import Rectangle
from cyclorama.imaging.product import Product
from cyclorama.imaging.recompose import MOVED, Effect, check_place, from_rgba, measure_move, move_product
from cyclorama.service.photos import SHOWN
from cyclorama.service.schemas import ProductBox, Shape, Side
from cyclorama.types import Pixels

Part = Literal["lit", "empty", "shadow", "light", "product"]
PARTS: tuple[str, ...] = get_args(Part)
_KEPT_PIXELS = 2**24
"""Of the largest part that is kept decoded; all of an image's are then 350 MB."""


class Parts(Shape):
    """What a finished image is made of, each a file at ``GET /v1/images/{id}/parts/{part}``.

    From below: ``empty`` times ``shadow``, plus ``light``; over it ``product``. All but the first are moved
    and scaled as ``lit_box`` became ``box``. Where nothing was moved the ground is ``lit``.
    """

    width: int
    height: int
    box: ProductBox
    """Where the product lies."""
    lit_box: ProductBox
    """Where it lay when ground and light were made."""
    photo_box: ProductBox
    """As large as in its photo."""
    scale: float
    """Factor on the photo's own pixels."""
    shadow: float
    lit_shadow: float
    """Of ``lit``."""
    parts: list[Part]


class Recompose(Shape):
    """How an image is to be put together anew from its parts; what is null stays."""

    left: Side | None = None
    """Of the product's box on its canvas, pixels."""
    top: Side | None = None
    scale: Annotated[float, Field(gt=0, le=64)] | None = None
    """Factor on the photo's own pixels: 1 keeps them bit for bit, others are resampled from them once."""
    shadow: Annotated[float, Field(ge=0, le=2)] | None = None
    """0: none, 1: as the rendered set has it; of a learned model's image that of a contact shadow."""
    format: ImageFormat | None = None
    quality: Annotated[int, Field(ge=1, le=100)] | None = None


def place(order: Recompose, known: Mapping[str, Any]) -> Rectangle:
    """Where the product of an image comes to lie; ``known`` is what is known of the image and its parts.

    Raises SettingsError.
    """
    now, photo = Rectangle(**known["box"]), Rectangle(**known["photo_box"])
    left = now.left if order.left is None else order.left
    top = now.top if order.top is None else order.top
    size = (now.height, now.width) if order.scale is None else (photo.height, photo.width)
    canvas = known["height"], known["width"]
    return check_place(canvas, size, left, top, 1.0 if order.scale is None else order.scale)


def put_together(
    order: Recompose,
    known: Mapping[str, Any],
    encoding: EncodingConfig,
    parts: Mapping[str, Path],
    folder: Path,
) -> dict[str, Any]:
    """Write ``file`` and ``thumbnail`` into ``folder``, and say what is to be said. Raises SettingsError."""
    box = place(order, known)
    said = {
        "box": asdict(box),
        "scale": known["scale"] if order.scale is None else order.scale,
        "shadow": known["shadow"] if order.shadow is None else order.shadow,
    }
    ground, product = stand({**known, **said}, parts)
    pixels = composite(ground, product)
    recipe = known["recipe"] | {"recomposed": said}
    with ThreadPoolExecutor(1) as beside:
        small = beside.submit(encode_thumbnail, pixels, None, SHOWN)
        content = encode_image(pixels, recipe, product.icc_profile, encoding, product.metadata, quick=True)
        measured = {} if encoding.is_lossless else measure_encoding(content, product)
        (folder / "thumbnail").write_bytes(small.result())
    (folder / "file").write_bytes(content)
    return {
        **said,
        "moved": measure_move(Rectangle(**known["lit_box"]), box, product.size) > MOVED,
        "recipe": recipe,
        "report": compute_product_report(pixels, product).describe() | measured,
        "media_type": MEDIA_TYPES[encoding.format],
        "suffix": encoding.suffix,
        "bytes": len(content),
    }


def stand(known: Mapping[str, Any], parts: Mapping[str, Path]) -> tuple[Pixels, Product]:
    """The ground, uint8 (H, W, 3), and the product on it, of an image whose parts are known."""
    box, lit_box, strength = Rectangle(**known["box"]), Rectangle(**known["lit_box"]), known["shadow"]
    product = _read_product(parts["product"], known["metadata"])
    if box != lit_box:
        same = (box.height, box.width) == (lit_box.height, lit_box.width)
        cut = product if same else _read_product(parts["cut"], known["metadata"])
        product = move_product(product, cut, box)
    elif strength == known["lit_shadow"]:
        return _read_pixels(parts["lit"]), product
    light = _read_pixels(parts["light"]) if "light" in parts else None
    effect = Effect(_read_pixels(parts["shadow"]), light)
    return effect.apply(_read_pixels(parts["empty"]), lit_box, box, strength), product


def write_plate(known: Mapping[str, Any], parts: Mapping[str, Path], target: Path) -> None:
    """Write the ground of an image that was put together anew, PNG."""
    ground, product = stand(known, parts)
    Image.fromarray(ground).save(target, "PNG", compress_level=1, icc_profile=product.icc_profile)


def _read_pixels(path: Path) -> Pixels:
    return _read(path, "RGB")[0]


def _read_product(path: Path, metadata: Mapping[str, Any]) -> Product:
    return from_rgba(*_read(path, "RGBA"), metadata)


def _read(path: Path, mode: str) -> tuple[npt.NDArray[np.uint8], bytes | None]:
    """Levels and profile of a part; those of one image are kept, since it is rarely changed only once."""
    with Image.open(path) as image:
        small = image.width * image.height <= _KEPT_PIXELS
    return _decode(path, mode) if small else _decode.__wrapped__(path, mode)


@lru_cache(len(PARTS) + 1)
def _decode(path: Path, mode: str) -> tuple[npt.NDArray[np.uint8], bytes | None]:
    with Image.open(path) as image:
        return np.asarray(image.convert(mode)), image.info.get("icc_profile")
