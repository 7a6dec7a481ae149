"""Records that travel between the rooms, and the legend of shapes.

Legend: ``B`` batch, ``C`` channels, ``H`` height, ``W`` width. Sizes are always ``(height, width)``.

- ``pixels``: uint8 (H, W, 3), sRGB, as read or as written.
- ``image``: float tensor (B, 3, H, W) in [-1, 1].
- ``condition_image``: float tensor (B, 3 or 4, H, W) in [0, 1], 0 where hidden.
- ``product_mask``: float in [0, 1], **1 = product, 0 = background**; array (H, W) or tensor (B, 1, H, W).
- ``matte``: the product mask with its soft rim (alpha), float32 (H, W).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]
    """uint8 (H, W, 3), sRGB."""
    Matte = npt.NDArray[np.float32]
    """float32 (H, W) in [0, 1], 1 = product."""

Size = tuple[int, int]
"""(height, width) in pixels."""


@dataclass(frozen=True, eq=False)
class Product:
    """A product photo with its matte.

    ``pixels`` are the input's own; ``foreground`` are the colour-decontaminated ones used under the
    soft rim (equal to ``pixels`` wherever ``matte`` is 1). All share one size.
    """

    pixels: Pixels
    matte: Matte
    foreground: Pixels
    name: str = ""
    mask_source: str = "alpha"
    """Where the matte came from: ``alpha``, ``mask``, ``white`` or the name of a cut-out network."""
    icc_profile: bytes | None = None

    @property
    def size(self) -> Size:
        """(height, width) in pixels."""
        return (int(self.pixels.shape[0]), int(self.pixels.shape[1]))


@dataclass(frozen=True, eq=False)
class Reference:
    """A reference advertisement; ``product_mask`` (1 = its product) is None where it is unknown."""

    pixels: Pixels
    product_mask: Matte | None = None
    name: str = ""


@dataclass(frozen=True)
class ProductReport:
    """Proof of the product guarantee for one image (method, 10).

    ``max_difference`` and ``mean_difference`` (0–255 levels) compare output and input where the
    matte is exactly 1; the guarantee is ``max_difference == 0``.
    """

    opaque_pixels: int
    soft_pixels: int
    max_difference: int
    mean_difference: float

    @property
    def exact(self) -> bool:
        """Whether every fully opaque pixel equals the input's bit for bit."""
        return self.max_difference == 0


@dataclass(frozen=True, eq=False)
class Generated:
    """One finished image and everything needed to make it again."""

    pixels: Pixels
    background: Pixels
    """The generated image before compositing, at the same size."""
    report: ProductReport
    category: str
    identifier: str
    seed: int
    seconds: float
    settings: dict[str, Any] = field(default_factory=dict)
    name: str = ""
    icc_profile: bytes | None = None
