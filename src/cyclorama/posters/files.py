"""A poster's files: the flat image, its parts for later editing, layers for designers' programs, the
record."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from PIL import Image

from cyclorama.errors import SettingsError
from cyclorama.files import write_atomic
from cyclorama.imaging.compositing import composite, compute_product_report
from cyclorama.imaging.layers import encode_openraster, encode_psd
from cyclorama.imaging.product import Product
from cyclorama.layout.elements import ENDING, PARTS
from cyclorama.posters.drawing import DrawnPoster, draw_svg, list_layers
from cyclorama.posters.maker import Poster
from cyclorama.posters.record import PosterRecord, read_record
from cyclorama.types import Pixels
from cyclorama.typography.drawing import lay_over

PosterLayers = Literal["psd", "ora", "svg"]


def write_poster(poster: Poster, folder: Path, stem: str, layers: PosterLayers | None = None) -> Path:
    """``stem``.png with its record and parts beside it, and layers if asked for. Raises OutputError."""
    if layers is not None and layers not in get_args(PosterLayers):
        raise SettingsError(f"layers is {layers!r}; give one of {', '.join(get_args(PosterLayers))}")
    drawn, product = poster.drawn, poster.product
    named = list_layers(drawn, product)
    image = folder / f"{stem}.png"
    write_atomic(image, _encode(drawn.pixels))
    write_atomic(folder / f"{stem}{PARTS['background']}", _encode(drawn.background))
    write_atomic(
        folder / f"{stem}{PARTS['product']}", _encode(next(rgba for name, rgba in named if name == "Product"))
    )
    if layers == "psd":
        write_atomic(folder / f"{stem}.psd", encode_psd(named, drawn.pixels))
    elif layers == "ora":
        write_atomic(folder / f"{stem}.ora", encode_openraster(named, drawn.pixels))
    elif layers == "svg":
        bare = f"{stem}.bare.png"
        write_atomic(folder / bare, _encode(draw_bare(drawn, product)))
        write_atomic(folder / f"{stem}.svg", draw_svg(drawn, bare).encode())
    poster.record.save(folder / f"{stem}{ENDING}")
    return image


def open_poster(path: Path) -> Poster:
    """The poster of a record file, from the parts beside it. Raises SettingsError, UnreadableImageError."""
    record: PosterRecord = read_record(path)
    stem = path.name.removesuffix(ENDING)
    parts = {name: path.with_name(stem + suffix) for name, suffix in PARTS.items()}
    if missing := [file.name for file in parts.values() if not file.is_file()]:
        raise SettingsError(f"{path}: {', '.join(missing)} is missing; it was written beside the record")
    with Image.open(parts["background"]) as image:
        background = np.asarray(image.convert("RGB"))
    with Image.open(parts["product"]) as image:
        rgba = np.asarray(image.convert("RGBA"))
    matte = (rgba[..., 3] / 255).astype(np.float32)
    product = Product(
        rgba[..., :3].copy(), matte, rgba[..., :3].copy(), name=record.name, allow_inverted=True
    )
    drawn = DrawnPoster(
        background, background, (), (), (), (), compute_product_report(product.pixels, product)
    )
    return Poster(drawn, product, record)


def draw_bare(drawn: DrawnPoster, product: Product) -> Pixels:
    """The poster without words and logo."""
    return composite(lay_over(drawn.background, drawn.below), product)


def _encode(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG")
    return buffer.getvalue()
