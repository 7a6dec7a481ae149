"""What does a caller get for one product: the image, the proof about the product, and how it was made?"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cyclorama import __version__
from cyclorama.errors import OutputError, SettingsError, UnreadableImageError
from cyclorama.files import write_atomic
from cyclorama.generation.model import ModelHandle
from cyclorama.generation.settings import GenerateConfig
from cyclorama.imaging.compositing import compute_contact_shadow
from cyclorama.imaging.formats import SUFFIXES, EncodingConfig, decode_image, encode_image, measure_encoding
from cyclorama.imaging.layers import build_layers, encode_layers, split_shadow
from cyclorama.imaging.layout import CanvasLayout
from cyclorama.imaging.product import Product
from cyclorama.types import ProductReport

if TYPE_CHECKING:
    import os

    from PIL import Image

    from cyclorama.types import Pixels

_FORMATS = {suffix: name for name, suffix in SUFFIXES.items()} | {".jpeg": "jpeg"}


@dataclass(frozen=True, eq=False)
class Generated:
    """One finished image and everything needed to make it again."""

    pixels: Pixels
    """uint8 (H, W, 3)."""
    background: Pixels
    """The generated image before compositing, at the same size."""
    report: ProductReport
    category: str
    identifier: str
    seed: int
    seconds: float
    settings: dict[str, Any] = field(default_factory=dict)
    name: str = ""
    icc_profile: bytes | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    """Resolution, creator and rights of the photo."""
    recipe: dict[str, Any] = field(default_factory=dict)
    """All it was made of, as plain values: seed, category, reference, model, settings."""
    empty: Pixels | None = None
    """A rendered set without the product, at the same size, if layers were asked for."""
    style: str | None = None
    """Name of a set's style: its file and digest, or that of the file in the run's folder ``styles`` that
    was fitted to the reference."""

    @property
    def image(self) -> Image.Image:
        """The image as PIL's, RGB, with the input's colour profile in ``info["icc_profile"]``."""
        from PIL import Image

        image = Image.fromarray(self.pixels)
        if self.icc_profile is not None:
            image.info["icc_profile"] = self.icc_profile
        return image

    def save(self, path: str | os.PathLike[str], **encoding: Any) -> Path:
        """Write the image with its recipe and colour profile, and return where it is.

        The suffix of ``path`` (.png, .webp, .jpg, .avif) decides the format; ``~`` is the home folder,
        missing folders are made. ``encoding``: fields of :class:`cyclorama.EncodingConfig`, such as
        ``quality=90``. Raises SettingsError (suffix, encoding), OutputError (disk).
        """
        target = Path(path).expanduser()
        if target.is_dir():
            raise OutputError(f"{target} is a folder; give a file, such as {target / 'image.png'}")
        if target.suffix.lower() not in _FORMATS:
            raise SettingsError(
                f"{target} ends with {target.suffix or 'no suffix'}; use one of {', '.join(_FORMATS)}"
            )
        if encoding.setdefault("format", own := _FORMATS[target.suffix.lower()]) != own:
            raise SettingsError(f"{target} ends as {own}, format is {encoding['format']!r}; use one of both")
        write_atomic(target, self.encode(**encoding))
        return target

    def encode(self, **encoding: Any) -> bytes:
        """The bytes of the file that :meth:`save` writes; a PNG unless ``format`` says otherwise."""
        return encode_image(
            self.pixels, self.recipe, self.icc_profile, EncodingConfig(**encoding), self.metadata
        )

    def _repr_png_(self) -> bytes:
        """What a notebook shows."""
        buffer = io.BytesIO()
        self.image.save(buffer, "PNG")
        return buffer.getvalue()


def describe_image(
    model: ModelHandle, settings: dict[str, Any], layout: CanvasLayout, **source: Any
) -> dict[str, Any]:
    """The recipe as plain values: all that an image was made of, and nothing that differs between equal runs.

    ``settings``: as rows state them. ``source``: input (its name), seed, category, identifier, reference (its
    file's name), mask_source and :func:`describe_looks`. An output among several also names its canvas, so
    that it can be made again by its own size or aspect.
    """
    made_by = {"model": model.name, "model_hash": model.hash, "settings": settings}
    canvas = {"layout": layout.name, "canvas": layout.describe()} if layout.name else {}
    return {"cyclorama": __version__} | source | made_by | canvas


def describe_looks(style: object, backdrop: object) -> dict[str, str]:
    """What a recipe says of a product's style and backdrop, where they are given: their files' names."""
    looks = {"style": style, "backdrop": backdrop}
    return {
        name: Path(look).name if isinstance(look, str | Path) else "brand"
        for name, look in looks.items()
        if look is not None
    }


def encode_files(
    pixels: Pixels,
    background: Pixels,
    product: Product,
    recipe: dict[str, Any],
    settings: GenerateConfig,
    empty: Pixels | None = None,
) -> tuple[dict[str, bytes], dict[str, Any]]:
    """The files of one image by suffix, its own first, and what a lossy one did to the opaque product.

    ``product`` is on the image's canvas, ``background`` the image without it, ``empty`` the same without its
    shadow, if that is known. The second is that of :func:`measure_encoding`, empty for a lossless file.
    Invariant: equal arguments give equal bytes. Raises SettingsError (a format that is too small).
    """
    encoding, strength = settings.encoding, settings.contact_shadow
    content = encode_image(pixels, recipe, product.icc_profile, encoding, product.metadata)
    files = {encoding.suffix: content}
    if settings.layers is not None:
        shadow = compute_contact_shadow(product.matte, strength) if strength else None
        if empty is not None:
            background, own = split_shadow(background, empty)
            shadow = own if shadow is None else 255 - np.rint((255.0 - own) * (255.0 - shadow) / 255)
            shadow = shadow.astype(np.uint8)
        files |= encode_layers(build_layers(pixels, background, product, shadow), settings.layers)
    return files, {} if encoding.is_lossless else measure_encoding(content, product)


def load_metadata(path: str | Path) -> dict[str, Any]:
    """What is written into the image at ``path``: seed, settings, category, model.

    Reads PNG, WebP, JPEG and AVIF. Raises UnreadableImageError if the file is no such image or carries
    nothing of ours.
    """
    try:
        recipe = decode_image(Path(path).read_bytes()).recipe
    except (OSError, UnreadableImageError) as error:
        raise UnreadableImageError(f"cannot read {path}: {error}") from error
    if recipe is None:
        raise UnreadableImageError(
            f"{path} carries no Cyclorama settings; it was made or saved by another program, or with strip"
        )
    return recipe
