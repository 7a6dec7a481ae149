"""What does an image say about itself? All it was made of, and nothing that differs between equal runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cyclorama import __version__

if TYPE_CHECKING:
    from cyclorama.generation.model import ModelHandle
    from cyclorama.imaging.layout import CanvasLayout


@dataclass(frozen=True)
class ImageSource:
    """What one image was made from, beside model and settings."""

    name: str
    """Name of the input."""
    seed: int
    category: str | None
    identifier: str | None
    reference: str | None
    """File name of the reference."""
    mask_source: str
    """Where the product mask came from."""


def describe_image(
    source: ImageSource, model: ModelHandle, settings: dict[str, Any], layout: CanvasLayout
) -> dict[str, Any]:
    """The recipe as plain values; it is written into the image's file.

    ``settings``: as rows state them. An output among several also names its canvas, so that it can be made
    again by its own size or aspect.
    """
    recipe = {
        "cyclorama": __version__,
        "input": source.name,
        "seed": source.seed,
        "category": source.category,
        "identifier": source.identifier,
        "reference": source.reference,
        "mask_source": source.mask_source,
        "model": model.name,
        "model_hash": model.hash,
        "settings": settings,
    }
    return recipe | ({"layout": layout.name, "canvas": layout.describe()} if layout.name else {})
