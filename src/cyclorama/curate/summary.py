"""What is kept of an image once its pixels are gone, and how is it written down?

For near-duplicates a thumbnail of its luminance (96 × 96 bytes) and a unit vector of the bundled feature
network. Hashes, also those of parts of the image, are computed from the thumbnail: a crop's hash is near the
hash of the part of the original that it shows. Hashes of parts, thousands of images at a time, are what the
package ``imagehash`` does not compute; for a whole image ours is of its kind (DCT, sign against the median).
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import fft, ndimage

from cyclorama.curate.quality import get_luminance
from cyclorama.curate.records import SHAPE_SIDE, Finding, Record, RuleImage, Summary
from cyclorama.evaluation.features import Network
from cyclorama.imaging.transforms import resize_plane
from cyclorama.types import Matte, Pixels

THUMBNAIL_SIDE = 96
"""Pixels; the thumbnail is square whatever the image's aspect."""
HASH_SIDE = 8
"""The hash compares the lowest 8 × 8 frequencies of the cosine transform."""

Window = tuple[float, float, float, float]
"""Part of an image as (top, left, bottom, right) in shares of its sides."""
WHOLE: Window = (0.0, 0.0, 1.0, 1.0)


def compute_thumbnail(pixels: Pixels) -> npt.NDArray[np.uint8]:
    """uint8 (96, 96): the luminance of ``pixels`` (H, W, 3), averaged down, aspect not kept."""
    small = resize_plane(get_luminance(pixels), (THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    return np.clip(np.rint(small), 0, 255).astype(np.uint8)


def compute_hashes(thumbnails: npt.NDArray[np.uint8], windows: Sequence[Window]) -> npt.NDArray[np.uint64]:
    """uint64 (N, len(windows)): a hash of each window of each of ``thumbnails`` (N, 96, 96).

    Bit k says whether the k-th of the lowest 8 × 8 cosine coefficients lies above their median; the mean
    (coefficient 0) takes no part in the median, so that brightness and contrast do not matter.
    """
    flat = thumbnails.reshape(len(thumbnails), -1).astype(np.float32)
    bits = np.uint64(1) << np.arange(HASH_SIDE * HASH_SIDE, dtype=np.uint64)
    result = np.empty((len(thumbnails), len(windows)), np.uint64)
    for place, window in enumerate(windows):
        coefficients = flat @ _build_transform(window)
        above = coefficients > np.median(coefficients[:, 1:], axis=1, keepdims=True)
        result[:, place] = np.where(above, bits, np.uint64(0)).sum(axis=1, dtype=np.uint64)
    return result


def compute_sharpness(pixels: Pixels) -> float:
    """Mean squared Laplacian of the luminance in grey levels², 0 for a flat image; higher is sharper."""
    laplacian = ndimage.laplace(get_luminance(pixels))[1:-1, 1:-1]
    return float(np.mean(laplacian**2)) if laplacian.size else 0.0


@cache
def _load_network(features: str) -> Network:
    from cyclorama.evaluation.published import load_features

    return load_features(features)


def compute_embedding(pixels: Pixels, features: str = "cyclorama") -> npt.NDArray[np.float32]:
    """float32 (D,) of length 1: features of ``pixels``, uint8 (H, W, 3), by the network of that name
    (:func:`cyclorama.evaluation.published.load_features`), which is loaded when first used."""
    values = _load_network(features).compute([pixels])[0]
    return np.asarray(values / max(float(np.linalg.norm(values)), 1e-12), np.float32)


@cache
def _build_transform(window: Window) -> npt.NDArray[np.float32]:
    """float32 (96 · 96, 64): thumbnail to the lowest cosine coefficients of ``window``."""
    top, left, bottom, right = window
    rows = _build_low_frequencies(top, bottom)
    columns = _build_low_frequencies(left, right)
    return np.ascontiguousarray(np.kron(rows, columns).T, np.float32)


def _build_low_frequencies(start: float, end: float) -> npt.NDArray[np.float64]:
    """(8, 96): the lowest cosines over the part from ``start`` to ``end`` of a side, sampled on the side."""
    size = 4 * HASH_SIDE
    edges = (start + (end - start) * np.arange(size + 1) / size) * THUMBNAIL_SIDE
    cells = np.arange(THUMBNAIL_SIDE)
    low, high = edges[:-1, None], edges[1:, None]
    overlap = np.clip(np.minimum(high, cells + 1) - np.maximum(low, cells), 0, None)
    averages = overlap / overlap.sum(axis=1, keepdims=True)
    cosines = fft.dct(np.eye(size), axis=0, norm="ortho")[:HASH_SIDE]
    return np.asarray(cosines @ averages)


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
    sharpness = compute_sharpness(image.pixels)
    numbers = {"height": float(height), "width": float(width), "sharpness": sharpness}
    shape = None if image.mask is None else compute_mask_shape(image.mask)
    product = None if image.mask is None else compute_product(image.pixels, image.mask)
    arrays = {"thumbnail": thumbnail, "embedding": embedding, "mask_shape": shape, "product": product}
    packed = {name: None if array is None else _pack(array) for name, array in arrays.items()}
    return {"numbers": numbers, **packed}


def build_summary(
    record: Record, findings: tuple[Finding, ...], values: Mapping[str, Any], digest: str
) -> Summary:
    """The summary of ``record`` from what :func:`summarise` gave; numbers of ``findings`` are added."""
    numbers = dict(values["numbers"])
    for finding in findings:
        numbers |= {f"{finding.rule}.{name}": value for name, value in finding.numbers.items()}
    embedding = _unpack(values["embedding"], "<i2").astype(np.float32)
    square = (SHAPE_SIDE, SHAPE_SIDE)
    shape, product = (
        None if values[name] is None else _unpack(values[name], "u1").reshape(square)
        for name in ("mask_shape", "product")
    )
    return Summary(
        record=record,
        findings=findings,
        embedding=embedding / max(float(np.linalg.norm(embedding)), 1e-12),
        numbers=numbers,
        mask_shape=None if shape is None else (shape / 255).astype(np.float32),
        digest=digest,
        product=product,
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
