"""Do the tensors of one call belong together?  The check that every generator makes before it works."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cyclorama.errors import SettingsError

if TYPE_CHECKING:
    from torch import Tensor


def check_batch(
    product_image: Tensor,
    product_mask: Tensor,
    categories: Sequence[str],
    generators: Sequence[Any],
    reference_image: Tensor | None,
    reference_mask: Tensor | None,
    *,
    multiple: int,
) -> None:
    """Raise SettingsError unless all are one batch: images (B, 3, H, W), masks (B, 1, H, W), B names.

    ``multiple``: H and W must be multiples of it, in pixels.
    """
    batch, _, height, width = product_image.shape
    expected = {
        "product_image": (product_image, (batch, 3, height, width)),
        "product_mask": (product_mask, (batch, 1, height, width)),
        "reference_image": (reference_image, (batch, 3, height, width)),
        "reference_mask": (reference_mask, (batch, 1, height, width)),
    }
    for name, (tensor, shape) in expected.items():
        if tensor is not None and tuple(tensor.shape) != shape:
            raise SettingsError(f"{name} has shape {tuple(tensor.shape)}, expected {shape}")
    if height % multiple or width % multiple:
        raise SettingsError(f"image size {height} x {width} must be multiples of {multiple}; pad it first")
    if len(categories) != batch or len(generators) != batch:
        raise SettingsError(
            f"{batch} images need {batch} categories and generators, "
            f"got {len(categories)} and {len(generators)}"
        )
    if reference_image is None and reference_mask is not None:
        raise SettingsError("reference_mask given without reference_image")
