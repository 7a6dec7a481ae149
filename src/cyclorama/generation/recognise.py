"""What is the product in an image?  Its category by a classifier's classes, or none."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cyclorama.errors import UnknownCategoryError
from cyclorama.imaging.colour import to_srgb
from cyclorama.imaging.layout import find_box
from cyclorama.imaging.product import Product
from cyclorama.models.registry import CategoryRegistry
from cyclorama.models.vocabulary import FOLDER
from cyclorama.models.words import CategoryMatch, match_known
from cyclorama.prompts import GENERAL
from cyclorama.scenes.features import open_trunk

SIDE = 224
"""Side at which the network sees a product, pixels."""
MARGIN = 0.1
"""White round the product, of its larger side."""
LEAST = 0.4
"""Least probability of a category to be taken; below it stands the general one."""


class Told(NamedTuple):
    """What an image shows."""

    category: str
    """The likeliest of the known categories, or the general one."""
    probability: float
    """Of all classes that belong to it, in [0, 1]."""
    name: str
    """The likeliest of these classes."""


@cache
def _open_classes() -> tuple[Any, tuple[str, ...], tuple[str, ...]]:
    """The network behind the trunk, and the name and category of each class."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    file, lines = FOLDER / "classes.onnx", (FOLDER / "classes.txt").read_text(encoding="utf-8").splitlines()
    names, categories = zip(*(line.split("\t") for line in lines), strict=True)
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"]), names, categories


def look(product: Product) -> Told:
    """The category that the cut-out of ``product``, over white, is of most probably, whatever its size and
    place and whether it is mirrored."""
    _, names, categories = _open_classes()
    square = _draw_over_white(product)
    shares = (_classify(square) + _classify(square[:, ::-1])) / 2
    sums = {name: 0.0 for name in categories if name != GENERAL}
    best = dict.fromkeys(sums, (0.0, ""))
    for name, category, share in zip(names, categories, shares.tolist(), strict=True):
        if category != GENERAL:
            sums[category] += share
            best[category] = max(best[category], (share, name))
    category = max(sums, key=lambda name: sums[name])
    return Told(category, sums[category], best[category][1])


def _classify(square: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The probability of each class for ``square`` (SIDE, SIDE, 3)."""
    network = _open_classes()[0]
    values = (square.astype(np.float32).transpose(2, 0, 1)[None] - 127) / 128
    block = open_trunk().run(None, {"image": np.ascontiguousarray(values)})[-1]
    logits = network.run(None, {network.get_inputs()[0].name: block})[0][0].astype(np.float64)
    shares: NDArray[np.float64] = np.exp(logits - logits.max())
    shares /= shares.sum()
    return shares


def recognise(product: Product, registry: CategoryRegistry) -> CategoryMatch:
    """The category of ``product`` by what it looks like; the general one where that is not clear.

    Raises UnknownCategoryError where ``registry`` has neither.
    """
    told = look(product)
    if told.probability >= LEAST:
        found = match_known(told.category, registry, "image", told.name)
        if found is not None:
            return CategoryMatch(found.category, found.source, told.name, round(told.probability, 2))
    if registry.general is None:
        raise UnknownCategoryError(
            f"no category is given, and the image does not tell one of this model's: it looks like "
            f"{told.name!r}, {told.probability:.0%} sure of {LEAST:.0%}; name one with --category"
        )
    return CategoryMatch(registry.resolve(registry.general), "general", told.name)


def _draw_over_white(product: Product) -> NDArray[np.uint8]:
    """The product's box in the middle of a white square, sRGB (SIDE, SIDE, 3)."""
    box = find_box(product.matte)
    rows, columns = slice(box.top, box.top + box.height), slice(box.left, box.left + box.width)
    alpha = product.matte[rows, columns, None]
    colours = to_srgb(product.foreground, product.icc_profile)[rows, columns].astype(np.float32)
    drawn = np.rint(255 + alpha * (colours - 255)).clip(0, 255).astype(np.uint8)
    scale = SIDE * (1 - 2 * MARGIN) / max(box.height, box.width)
    size = max(1, round(box.width * scale)), max(1, round(box.height * scale))
    square = Image.new("RGB", (SIDE, SIDE), "white")
    small = Image.fromarray(drawn).resize(size, Image.Resampling.LANCZOS)
    square.paste(small, ((SIDE - size[0]) // 2, (SIDE - size[1]) // 2))
    return np.asarray(square)
