"""What does an image's background look like?  Features of a pretrained network and a coarse palette."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from skimage.color import rgb2lab

NETWORK = Path(__file__).parents[1] / "weights" / "references" / "network.onnx"
SIDE = 128
"""Side at which the network sees an image, pixels; other shapes are squeezed to a square."""
CELLS = 2
"""Features are averaged over so many cells each way."""
PATCHES = 4
"""Colours of the palette each way."""
COLOURED = 0.5
"""What features of the colours count beside those of lights and darks, in which shapes show whatever their
colour: a set can be painted, its planks cannot be moved."""
CONTRAST, LEAST_CONTRAST = 0.45, 8.0
"""Standard deviation of lights and darks as the network sees them, and the least they have, CIELAB."""
LEAST_SEEN = 0.05
"""A cell of which less is seen takes the whole background's mean."""


@dataclass(frozen=True)
class Description:
    """One background: ``features`` (1856,) of its colours and of its lights and darks alone, each of the
    network's three blocks of one length, and ``palette`` (16, 3) in CIELAB, rows first."""

    features: NDArray[np.float32]
    palette: NDArray[np.float32]


@cache
def open_trunk() -> Any:
    """The network's first blocks: ``image`` (1, 3, H, W) as (x - 127) / 128 to three maps of features."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(NETWORK, options, providers=["CPUExecutionProvider"])


def describe_background(
    pixels: NDArray[np.uint8], product_mask: NDArray[np.float32] | None = None
) -> Description:
    """The description of ``pixels`` (H, W, 3) without what ``product_mask`` (H, W), 1 = product, hides.

    A uniform hidden region changes nothing but what its own cells say.
    """
    square, seen = shrink(pixels, product_mask, SIDE)
    filled = fill_hidden(square.astype(np.float32), seen)
    lab = rgb2lab(np.clip(filled, 0, 255) / 255.0)
    light = (lab[..., :1] - lab[..., 0].mean()) / max(float(lab[..., 0].std()), LEAST_CONTRAST)
    shapes = np.repeat(np.clip(CONTRAST * light, -1, 1), 3, axis=2)
    parts = []
    for image, counts in (((filled - 127) / 128, COLOURED), (shapes, 1.0)):
        values = np.ascontiguousarray(image.transpose(2, 0, 1)[None], np.float32)
        for block in open_trunk().run(None, {"image": values}):
            pooled = _pool(block[0].transpose(1, 2, 0), seen, CELLS).ravel()
            parts.append(counts * pooled / np.linalg.norm(pooled))
    palette = _pool(lab, seen, PATCHES).reshape(-1, 3)
    return Description(np.concatenate(parts).astype(np.float32), palette.astype(np.float32))


def shrink(
    pixels: NDArray[np.uint8], product_mask: NDArray[np.float32] | None, side: int
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The image at (side, side, 3) and where its background is seen (side, side); all of it if none is."""
    small = np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BOX))
    if product_mask is None:
        return small, np.ones((side, side), bool)
    hidden = np.asarray(
        Image.fromarray(product_mask.astype(np.float32)).resize((side, side), Image.Resampling.BOX)
    )
    seen = ~ndimage.binary_dilation(hidden > 0.02, iterations=max(1, side // 64))
    return small, seen if seen.any() else np.ones((side, side), bool)


def fill_hidden(image: NDArray[np.float32], seen: NDArray[np.bool_]) -> NDArray[np.float32]:
    """``image`` (H, W, C) with what is not ``seen`` filled smoothly from round it."""
    filled, known, radius = np.where(seen[..., None], image, 0.0), seen.astype(np.float64), 2.0
    while known.min() < 1:
        weight = ndimage.gaussian_filter(known, radius)
        mean = ndimage.gaussian_filter(filled * known[..., None], (radius, radius, 0))
        reached = (known == 0) & (weight > 0.02)
        filled[reached] = mean[reached] / weight[reached][:, None]
        known[reached] = 1.0
        radius *= 1.5
    return np.asarray(filled, np.float32)


def _pool(values: NDArray[Any], seen: NDArray[np.bool_], cells: int) -> NDArray[np.float64]:
    """Means of ``values`` (H, W, C) over (cells, cells) fields, hidden places left out."""
    height, width, channels = values.shape
    share = np.asarray(
        Image.fromarray(seen.astype(np.float32)).resize((width, height), Image.Resampling.BOX), np.float64
    )
    fields = (cells, height // cells, cells, width // cells)
    weights = share.reshape(fields).sum((1, 3))
    sums = (values * share[..., None]).reshape(*fields, channels).sum((1, 3))
    whole = sums.sum((0, 1)) / weights.sum()
    known = weights >= LEAST_SEEN * fields[1] * fields[3]
    return np.asarray(np.where(known[..., None], sums / np.maximum(weights, 1e-9)[..., None], whole))
