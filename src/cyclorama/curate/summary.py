"""What is kept of an image once its pixels are gone, and how it is written down."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from cyclorama.curate.blur import get_luminance
from cyclorama.curate.records import SHAPE_SIDE, Finding, Record, RuleImage, Summary
from cyclorama.curate.signature import (
    THUMBNAIL_SIDE,
    compute_phash,
    compute_sharpness,
    compute_thumbnail,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    from cyclorama.types import Matte, Pixels

_EMBEDDING_STEPS = 2**14
"""Embeddings are kept in steps of 1/16384, which equals half precision and is the same on every machine."""
_LEAST_SHARE = 0.02
"""Share of product below which a place of the product's image is empty."""


def summarise(
    image: RuleImage, compute_embedding: Callable[[Pixels], npt.NDArray[np.float32]]
) -> dict[str, Any]:
    """Plain values of an image's summary, fit for JSON; :func:`build_summary` reads them."""
    thumbnail = compute_thumbnail(image.pixels)
    embedding = np.rint(compute_embedding(image.pixels) * _EMBEDDING_STEPS).astype("<i2")
    height, width = image.pixels.shape[:2]
    numbers = {
        "height": float(height),
        "width": float(width),
        "file_bytes": float(image.file_bytes),
        "sharpness": compute_sharpness(image.pixels),
    }
    if image.mask is not None:
        numbers["mask_share"] = float(image.mask.mean())
    shape = None if image.mask is None else compute_mask_shape(image.mask)
    product = None if image.mask is None else compute_product(image.pixels, image.mask)
    return {
        "phash": f"{compute_phash(thumbnail):016x}",
        "thumbnail": _pack(thumbnail),
        "embedding": _pack(embedding),
        "mask_shape": None if shape is None else _pack(shape),
        "product": None if product is None else _pack(product),
        "numbers": numbers,
    }


def build_summary(
    record: Record, findings: tuple[Finding, ...], values: Mapping[str, Any], digest: str
) -> Summary:
    """The summary of ``record`` from what :func:`summarise` gave; numbers of ``findings`` are added."""
    numbers = dict(values["numbers"])
    for finding in findings:
        numbers |= {f"{finding.rule}.{name}": value for name, value in finding.numbers.items()}
    embedding = _unpack(values["embedding"], "<i2").astype(np.float32)
    shape, product = values["mask_shape"], values["product"]
    return Summary(
        record=record,
        findings=findings,
        phash=int(values["phash"], 16),
        embedding=embedding / max(float(np.linalg.norm(embedding)), 1e-12),
        numbers=numbers,
        mask_shape=None
        if shape is None
        else (_unpack(shape, "u1").reshape(SHAPE_SIDE, SHAPE_SIDE) / 255).astype(np.float32),
        digest=digest,
        product=None if product is None else _unpack(product, "u1").reshape(SHAPE_SIDE, SHAPE_SIDE),
        thumbnail=_unpack(values["thumbnail"], "u1").reshape(THUMBNAIL_SIDE, THUMBNAIL_SIDE),
    )


def compute_mask_shape(mask: Matte) -> npt.NDArray[np.uint8] | None:
    """uint8 (SHAPE_SIDE, SHAPE_SIDE), 255 = product: the product alone, centred on a square, averaged down.

    None for a mask without product. Invariant: moving the product in the image changes nothing.
    """
    share = _cut_product(mask, mask)
    return None if share is None else np.rint(_average(share) * 255).astype(np.uint8)


def compute_product(pixels: Pixels, mask: Matte) -> npt.NDArray[np.uint8] | None:
    """uint8 (SHAPE_SIDE, SHAPE_SIDE): the product's luminance, laid out as by :func:`compute_mask_shape`.

    0 where there is no product; None for a mask without any.
    """
    light, share = _cut_product(get_luminance(pixels) * mask, mask), _cut_product(mask, mask)
    if light is None or share is None:
        return None
    weight = _average(share)
    mean = np.where(weight > _LEAST_SHARE, _average(light) / np.maximum(weight, _LEAST_SHARE), 0)
    return np.rint(mean).clip(0, 255).astype(np.uint8)


def _cut_product(plane: npt.NDArray[np.float32], mask: Matte) -> npt.NDArray[np.float32] | None:
    """What ``plane`` (H, W) shows of the product, centred on a square of zeros."""
    rows, columns = np.flatnonzero((mask >= 0.5).any(axis=1)), np.flatnonzero((mask >= 0.5).any(axis=0))
    if not len(rows):
        return None
    cut = plane[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    side = max(cut.shape)
    top, left = (side - cut.shape[0]) // 2, (side - cut.shape[1]) // 2
    square = np.zeros((side, side), np.float32)
    square[top : top + cut.shape[0], left : left + cut.shape[1]] = cut
    return square


def _average(square: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    small = Image.fromarray(square).resize((SHAPE_SIDE, SHAPE_SIDE), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32)


def _pack(array: npt.NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def _unpack(text: str, kind: str) -> npt.NDArray[Any]:
    return np.frombuffer(base64.b64decode(text), dtype=kind)
