"""From a file's bytes to an Image, and from an Image to the digest that results are kept under."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image

from cyclorama.curate.records import Record, RuleImage
from cyclorama.data.decode import open_image, read_mask
from cyclorama.errors import DataError, InputError, MaskSizeError
from cyclorama.imaging.loading import LoadLimits, load_image
from cyclorama.imaging.masks import load_mask

if TYPE_CHECKING:
    from cyclorama.data.columns import MaskMeans
    from cyclorama.types import Matte, Pixels, Size

JUDGED_FIELDS = ("product_id", "category", "brand", "licence", "language")
"""What of a record an image rule's answer may depend on, beside ``mask_means``; addresses, keys, clicks and
a shop's further columns change without it."""


def decode_record(record: Record, data: bytes, mask_data: bytes | None, limits: LoadLimits) -> RuleImage:
    """The image in ``data`` with the mask in ``mask_data``, as the rules see it.

    Raises InputError: unreadable, animated, too large or too small; a mask that does not fit the image.
    """
    loaded = load_image(data, limits)
    pixels, alpha = loaded.pixels, loaded.alpha
    if alpha is not None and float(alpha.min()) == 1.0:
        alpha = None
    if alpha is not None:
        alpha = round_matte(alpha)
        pixels = _lay_on_white(pixels, alpha)
    mask = None
    if mask_data is not None:
        mask = round_matte(_decode_mask(record, mask_data, (pixels.shape[0], pixels.shape[1]), limits))
    return RuleImage(record, pixels, alpha, mask, loaded.format, len(data), data)


def round_matte(matte: Matte) -> Matte:
    """``matte`` in steps of 1/255, as a file keeps it: an image is the same fresh and read again."""
    return (np.rint(np.clip(matte, 0, 1) * 255) / 255).astype(np.float32)


def to_levels(matte: Matte) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """uint8 (H, W), 255 = product."""
    return np.asarray(np.rint(np.clip(matte, 0, 1) * 255), dtype=np.uint8)


def settle(image: RuleImage, former: RuleImage) -> RuleImage:
    """``image`` as it would be if it had been written and read again: mattes in steps of 1/255.

    Layers equal to those of ``former`` become the same objects. Raises InputError for sizes that differ.
    """
    layers: dict[str, Any] = {}
    for name in ("pixels", "alpha", "mask"):
        array, before = getattr(image, name), getattr(former, name)
        if array is not None and array is not before and name != "pixels":
            array = round_matte(array)
        if array is not None and before is not None and np.array_equal(array, before):
            array = before
        if array is not None and array.shape[:2] != image.pixels.shape[:2]:
            raise MaskSizeError(f"{name} has {array.shape[:2]}, the image {image.pixels.shape[:2]}")
        layers[name] = array
    return replace(image, **layers)


def compute_content_digest(record: Record, data: bytes, mask_data: bytes | None) -> str:
    """What an image's first results are kept under: digest of its files and of what is known about it."""
    known = {name: getattr(record, name) for name in JUDGED_FIELDS}
    known["mask_means"] = record.extra.get("mask_means")
    digest = hashlib.sha256(json.dumps(known, sort_keys=True, ensure_ascii=False).encode())
    digest.update(hashlib.sha256(data).digest())
    digest.update(b"-" if mask_data is None else hashlib.sha256(mask_data).digest())
    return digest.hexdigest()


def compute_changed_digest(former: str, image: RuleImage) -> str:
    """The digest after a rule has put ``image`` in place of the one with digest ``former``."""
    digest = hashlib.sha256(former.encode())
    for array in (
        image.pixels,
        *(None if m is None else to_levels(m) for m in (image.alpha, image.mask)),
    ):
        digest.update(
            b"-" if array is None else repr(array.shape).encode() + np.ascontiguousarray(array).tobytes()
        )
    return digest.hexdigest()


def encode_png(array: Pixels | np.ndarray[tuple[int, int], np.dtype[np.uint8]], fast: bool = False) -> bytes:
    """A PNG of uint8 (H, W, 3) or (H, W); ``fast`` for files that are thrown away one day."""
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG", compress_level=1 if fast else 6)
    return stream.getvalue()


def decode_png(data: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """What :func:`encode_png` was given."""
    with Image.open(io.BytesIO(data)) as image:
        return np.array(image, dtype=np.uint8)


def _decode_mask(record: Record, data: bytes, size: Size, limits: LoadLimits) -> Matte:
    """A mask file as it is: whether it makes sense is the mask rule's question."""
    means = _get_means(record)
    where = f"mask of {record.key!r}"
    if means == "alpha":
        return load_mask(np.asarray(read_mask(open_image(data, where), "alpha", where)), size)
    try:
        return load_mask(data, size, means or "product", allow_inverted=True, limits=limits)
    except MaskSizeError as error:
        raise MaskSizeError(f"{where}: {error}") from error
    except InputError as error:
        return _read_odd_mask(data, size, where, error, means)


def _read_odd_mask(
    data: bytes, size: Size, where: str, error: InputError, means: Literal["product", "background"] | None
) -> Matte:
    """An empty, full or otherwise senseless mask, which still is a mask; ``error`` for what is none."""
    try:
        image = read_mask(open_image(data, where), means, where)
    except DataError:
        raise error from None
    levels = np.asarray(image, dtype=np.float32) / np.float32(255)
    if levels.shape != tuple(size):
        raise error
    return levels


def _get_means(record: Record) -> Literal["product", "background", "alpha"] | None:
    means = record.extra.get("mask_means", "").lower()
    found: dict[str, MaskMeans] = {"product": "product", "background": "background", "alpha": "alpha"}
    return found.get(means)


def _lay_on_white(pixels: Pixels, alpha: Matte) -> Pixels:
    shown = pixels.astype(np.float32) * alpha[..., None] + 255 * (1 - alpha[..., None])
    return np.asarray(np.rint(shown), dtype=np.uint8)
