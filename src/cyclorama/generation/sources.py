"""From the files of an item to its product and reference."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cyclorama.data.schema import MaskMeans
from cyclorama.errors import MaskError
from cyclorama.generation.items import Item
from cyclorama.imaging.cutout import CutoutNetwork
from cyclorama.imaging.loading import load_image
from cyclorama.imaging.masks import load_mask
from cyclorama.imaging.product import Product, Reference, build_product, build_reference
from cyclorama.types import Size

if TYPE_CHECKING:
    from cyclorama.types import Matte


class SourceLoader:
    """Loads products, and keeps the references used last, since a run often has one for all."""

    def __init__(self, network: CutoutNetwork | None = None) -> None:
        """``network`` cuts out products that have neither mask nor alpha nor a plain background."""
        self._network = network
        self._load_reference = lru_cache(maxsize=4)(load_reference_file)

    def load(self, item: Item) -> tuple[Product, Reference | None]:
        """The product and the reference of an item, decoded and cut out.

        Raises the named errors of the loader and of the masks.
        """
        assert item.image is not None
        loaded = load_image(item.image)
        mask = None if item.mask is None else _load_mask(item.mask, loaded.size, item.mask_means)
        product = build_product(loaded, mask, network=self._network)
        if item.reference is None:
            return product, None
        return product, self._load_reference(item.reference, item.reference_mask, item.mask_means)


def load_reference_file(image: Path, mask: Path | None, mask_means: MaskMeans | None) -> Reference:
    """The reference in a file; ``mask`` marks its own product."""
    loaded = load_image(image)
    return build_reference(loaded, None if mask is None else _load_mask(mask, loaded.size, mask_means))


def compute_product_name(product: Product) -> str:
    """A name for a product that has none, made of its pixels and matte; equal images get equal names."""
    digest = hashlib.blake2b(digest_size=6)
    digest.update(repr(product.size).encode())
    digest.update(np.ascontiguousarray(product.pixels).tobytes())
    digest.update(np.ascontiguousarray(product.matte).tobytes())
    return f"product-{digest.hexdigest()}"


def _load_mask(path: Path, size: Size, means: MaskMeans | None) -> Matte:
    if means == "alpha" and load_image(path).alpha is None:
        raise MaskError(
            f"{path}: mask_means is 'alpha' but the file has no alpha channel; use 'product' or 'background'"
        )
    return load_mask(path, size, "background" if means == "background" else "product")
