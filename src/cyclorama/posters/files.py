"""A poster and its files: the flat image, its parts for later editing, layers for designers' programs, the
record."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image

from cyclorama.errors import SettingsError
from cyclorama.files import write_atomic
from cyclorama.imaging.compositing import composite, compute_product_report
from cyclorama.imaging.layers import encode_openraster, encode_psd
from cyclorama.imaging.product import Product
from cyclorama.layout.elements import ENDING, PARTS
from cyclorama.posters.drawing import DrawnPoster, draw_svg, list_layers
from cyclorama.posters.record import PosterRecord, read_record
from cyclorama.types import Pixels, ProductReport
from cyclorama.typography.drawing import lay_over

PosterLayers = Literal["psd", "ora", "svg"]


@dataclass(frozen=True, eq=False)
class Poster:
    """A finished poster: pixels, layers and record."""

    drawn: DrawnPoster
    product: Product
    """On the canvas."""
    record: PosterRecord
    """Words, layout, seeds and what the checks found."""

    @property
    def pixels(self) -> Pixels:
        """uint8 (H, W, 3)."""
        return self.drawn.pixels

    @property
    def image(self) -> Image.Image:
        """As PIL's."""
        return Image.fromarray(self.drawn.pixels)

    @property
    def report(self) -> ProductReport:
        """The proof that the product's pixels are the given ones."""
        return self.drawn.report

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the poster and return where it is.

        The suffix of ``path`` decides: .png is flat; .psd, .ora and .svg have layers (an .svg lies beside the
        image without its words, NAME.bare.png); .poster.json is the record with the parts beside it, from
        which `cyclorama poster edit` goes on. Missing folders are made. Raises SettingsError (suffix),
        OutputError (disk).
        """
        target = Path(path).expanduser()
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.name.endswith(ENDING):
            write_poster(self, target.parent, target.name.removesuffix(ENDING))
            return target
        suffix = target.suffix.lower()
        if suffix not in _SUFFIXES:
            raise SettingsError(
                f"{target} ends with {suffix or 'no suffix'}; use one of {', '.join((*_SUFFIXES, ENDING))}"
            )
        flat = suffix == ".png"
        files = {} if flat else _encode_layers(self, target.stem, suffix)
        for name, data in (files or {suffix: encode_png(self.pixels)}).items():
            write_atomic(target if name == suffix else target.with_name(target.stem + name), data)
        return target

    def _repr_png_(self) -> bytes:
        """What a notebook shows."""
        return encode_png(self.pixels)


_SUFFIXES = (".png", *(f".{kind}" for kind in get_args(PosterLayers)))


def write_poster(poster: Poster, folder: Path, stem: str, layers: PosterLayers | None = None) -> list[Path]:
    """Write ``stem``.png with its record and parts beside it, and layers if asked for.

    The files' paths, the image first. Equal posters give equal bytes. Raises OutputError.
    """
    product = next(rgba for name, rgba in list_layers(poster.drawn, poster.product) if name == "Product")
    files = {
        ".png": encode_png(poster.pixels),
        PARTS["background"]: encode_png(poster.drawn.background),
        PARTS["product"]: encode_png(product),
        **({} if layers is None else _encode_layers(poster, stem, f".{layers}")),
    }
    for suffix, data in files.items():
        write_atomic(folder / (stem + suffix), data)
    poster.record.save(folder / (stem + ENDING))
    return [folder / (stem + suffix) for suffix in (*files, ENDING)]


def _encode_layers(poster: Poster, stem: str, suffix: str) -> dict[str, bytes]:
    """Suffix to bytes of a file of layers, and of what it needs beside it."""
    drawn = poster.drawn
    if suffix == ".svg":
        bare = ".bare.png"
        flat = encode_png(draw_bare(drawn, poster.product))
        return {bare: flat, ".svg": draw_svg(drawn, stem + bare).encode()}
    named = list_layers(drawn, poster.product)
    return {suffix: (encode_psd if suffix == ".psd" else encode_openraster)(named, drawn.pixels)}


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


def encode_png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """The bytes of a PNG of RGB or RGBA ``pixels`` (H, W, 3 or 4)."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG")
    return buffer.getvalue()
