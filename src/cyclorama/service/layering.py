"""A finished image taken apart again, for a designer's programs: the layers that make it up bit for bit.

Its product is cut out anew from the photo, which gives what it was made of; all in a child process.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from cyclorama.data.columns import MaskMeans
from cyclorama.generation.settings import GenerateConfig
from cyclorama.imaging.compositing import apply_shadow, composite, compute_contact_shadow
from cyclorama.imaging.formats import decode_image
from cyclorama.imaging.layers import LayerFormat, build_layers, encode_layers
from cyclorama.imaging.product import Product

LayerFile = Literal["psd", "ora", "zip"]
MEDIA_TYPES: dict[LayerFile, str] = {
    "psd": "image/vnd.adobe.photoshop",
    "ora": "image/openraster",
    "zip": "application/zip",
}
_FORMATS: dict[LayerFile, LayerFormat] = {"psd": "psd", "ora": "ora", "zip": "png"}
_EPOCH = (1980, 1, 1, 0, 0, 0)


def write_layers(
    kind: LayerFile,
    photo: Path,
    mask: Path | None,
    mask_means: MaskMeans | None,
    settings: Mapping[str, Any],
    output: int,
    share: float | None,
    finished: Path,
    plate: Path,
    target: Path,
) -> None:
    """Write the layers of the image in the file ``finished`` to ``target``.

    ``photo`` and ``mask`` are the product's, ``settings`` the job's, ``output`` counts its canvases from 0,
    ``share`` is its category's usual share of an image, ``plate`` what was drawn before the product was set
    into it. Of a lossy file the layers make up what it was encoded from. Raises the errors of loader and
    masks, SettingsError.
    """
    config = GenerateConfig(**settings)
    product = Product.from_image(photo, mask, mask_means=mask_means)
    product = config.build_layouts()[output].place(product, share)
    background = np.asarray(Image.open(plate).convert("RGB"))
    strength = config.contact_shadow
    shadow = compute_contact_shadow(product.matte, strength) if strength else None
    if config.encoding.is_lossless:
        flat = decode_image(finished.read_bytes()).pixels
    else:
        flat = composite(background if shadow is None else apply_shadow(background, shadow), product)
    files = encode_layers(build_layers(flat, background, product, shadow), _FORMATS[kind])
    target.write_bytes(pack_layers(files) if kind == "zip" else next(iter(files.values())))


def pack_layers(files: Mapping[str, bytes]) -> bytes:
    """A zip of PNGs by suffix, each named by what it shows.

    >>> import zipfile, io
    >>> zipfile.ZipFile(io.BytesIO(pack_layers({".shadow.png": b""}))).namelist()
    ['shadow.png']
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for suffix, data in files.items():
            archive.writestr(zipfile.ZipInfo(suffix.lstrip("."), _EPOCH), data)
    return buffer.getvalue()
