"""From the files of an item to its product and reference."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cyclorama.data.columns import MaskMeans
from cyclorama.errors import MaskError
from cyclorama.imaging.loading import load_image
from cyclorama.imaging.masks import load_mask
from cyclorama.imaging.product import CutoutNetwork, Product, Reference, build_product, build_reference
from cyclorama.types import Size

if TYPE_CHECKING:
    from cyclorama.types import Matte


def load_product_file(
    image: Path, mask: Path | None, mask_means: MaskMeans | None, network: CutoutNetwork | None = None
) -> Product:
    """The product in a file, decoded and cut out; ``network`` serves where there is neither mask nor alpha
    nor a plain background.

    Raises the named errors of the loader and of the masks.
    """
    loaded = load_image(image)
    return build_product(
        loaded, None if mask is None else _load_mask(mask, loaded.size, mask_means), network=network
    )


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
