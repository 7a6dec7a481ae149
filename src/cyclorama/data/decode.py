"""Images and masks of a training set, from file bytes to arrays at the training size.

Training sets are read by the ten thousand, so this stays small: one decode, one resample. Photos that
users bring go through ``imaging`` instead, which knows many more kinds of trouble.
"""

from __future__ import annotations

import io
from typing import Literal

import numpy as np
from PIL import ExifTags, Image, ImageOps

from cyclorama.data.columns import MaskMeans
from cyclorama.errors import DataError
from cyclorama.imaging.colour import read_profile, to_srgb
from cyclorama.imaging.decoding import decode
from cyclorama.types import Matte, Pixels, Size

ASPECT_TOLERANCE = 0.02
"""Relative difference of aspect up to which a mask of another size is taken as the same view."""


def open_image(data: bytes, where: str) -> Image.Image:
    """The decoded image, EXIF orientation applied, in mode RGB, RGBA, L or LA.

    Raises DataError naming ``where`` for bytes that are not one complete image.
    """
    return _open(data, where)[0]


def _open(data: bytes, where: str, coloured: bool = False) -> tuple[Image.Image, bytes | None]:
    """As :func:`open_image`; with ``coloured`` also the profile of its colours, None for sRGB."""
    profile = None
    try:
        with Image.open(io.BytesIO(data)) as opened:
            opened.load()
            image = ImageOps.exif_transpose(opened)
            if coloured and image.mode == "CMYK":
                image = Image.fromarray(decode(image, data, where)[0])
            elif coloured:
                profile, _ = read_profile(opened, data, where)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{where}: not a readable image ({len(data)} bytes): {error}") from error
    return _unify(image), profile


def _unify(image: Image.Image) -> Image.Image:
    if image.mode in ("RGB", "RGBA", "L", "LA"):
        return image
    if image.mode.startswith("I"):  # 16 bits
        wide = np.asarray(image).astype(np.uint32)
        return Image.fromarray((wide >> 8).clip(0, 255).astype(np.uint8))
    if "transparency" in image.info or image.mode in ("PA", "La", "RGBa"):
        return image.convert("RGBA")
    return image.convert("L" if image.mode in ("1", "F") else "RGB")


def find_stored_suffix(data: bytes) -> str | None:
    """The ending under which a file can go into a shard as it is: RGB, upright; None: only as a new PNG."""
    with Image.open(io.BytesIO(data)) as opened:
        upright = opened.getexif().get(ExifTags.Base.Orientation, 1) == 1
        kept = opened.mode == "RGB" and upright
        return {"PNG": "png", "JPEG": "jpg", "WEBP": "webp"}.get(opened.format or "") if kept else None


def get_used_alpha(image: Image.Image) -> Image.Image | None:
    """The alpha channel of an image, if it has one that is not constant."""
    alpha = image.getchannel("A") if image.mode in ("RGBA", "LA") else None
    return alpha if alpha is not None and len(set(alpha.getextrema())) > 1 else None


def read_mask(image: Image.Image, means: MaskMeans | None, where: str) -> Image.Image:
    """The product mask (mode L, 255 = product) in a decoded mask image.

    ``means`` None: the alpha channel if the file has one that is not constant, else bright = product.
    Raises DataError if the alpha channel is asked for and there is none.
    """
    if means == "alpha":
        if image.mode not in ("RGBA", "LA"):
            raise DataError(
                f"{where}: mask_means is 'alpha' but the file has no alpha channel ({image.mode})"
            )
        return image.getchannel("A")
    if means is None and (alpha := get_used_alpha(image)) is not None:
        return alpha
    grey = image.convert("L")
    return ImageOps.invert(grey) if means == "background" else grey


def fit_image(
    image: Image.Image, target: Size, fit: Literal["crop", "pad"], resample: Image.Resampling, edge: bool
) -> Image.Image:
    """``image`` at ``target`` (height, width) with its aspect kept.

    ``crop``: short side to size, then centre crop. ``pad``: long side to size, the rest filled by
    repeating the border pixels (``edge``) or with 0.
    """
    size = (target[1], target[0])
    if fit == "crop":
        return ImageOps.fit(image, size, resample)
    scale = min(target[0] / image.height, target[1] / image.width)
    height = min(target[0], max(1, round(image.height * scale)))
    width = min(target[1], max(1, round(image.width * scale)))
    inner = np.asarray(image.resize((width, height), resample))
    top, left = (target[0] - height) // 2, (target[1] - width) // 2
    pads = [(top, target[0] - height - top), (left, target[1] - width - left)] + [(0, 0)] * (inner.ndim - 2)
    return Image.fromarray(np.pad(inner, pads, mode="edge") if edge else np.pad(inner, pads))


def decode_example(
    image: bytes,
    mask: bytes | None,
    means: MaskMeans | None,
    target: Size,
    fit: Literal["crop", "pad"],
    where: str,
) -> tuple[Pixels, Matte]:
    """pixels uint8 (H, W, 3), sRGB, and product_mask float32 (H, W) in [0, 1], both at ``target``.

    ``mask`` None is only good with ``means`` "alpha": the image's own alpha channel is the mask then.
    The mask is area-averaged, the image resampled bicubically (both anti-aliased).

    Raises DataError: unreadable file, other aspect of the mask, no or only product left after fitting.
    """
    opened, profile = _open(image, where, coloured=True)
    if mask is None and means != "alpha":
        raise DataError(f"{where}: no mask; training needs one for every image")
    marks = opened if mask is None else open_image(mask, f"{where} (mask)")
    aspect, mask_aspect = opened.width / opened.height, marks.width / marks.height
    if abs(mask_aspect / aspect - 1) > ASPECT_TOLERANCE:
        raise DataError(
            f"{where}: the mask is {marks.width} x {marks.height}, "
            f"the image {opened.width} x {opened.height}; their aspects must agree"
        )
    product = read_mask(marks, means, where)
    fitted = fit_image(opened.convert("RGB"), target, fit, Image.Resampling.BICUBIC, edge=True)
    pixels = to_srgb(np.array(fitted), profile)
    levels = np.asarray(fit_image(product, target, fit, Image.Resampling.BOX, edge=False))
    if int(levels.max()) < 128:
        raise DataError(f"{where}: the mask marks no product after the {fit} to {target[1]} x {target[0]}")
    if int(levels.min()) >= 128:
        raise DataError(f"{where}: the mask marks everything as product; there is no background to learn")
    return pixels, levels.astype(np.float32) / np.float32(255)
