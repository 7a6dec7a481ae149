"""The legend of shapes, and the proof that every image carries.

Legend: ``B`` batch, ``C`` channels, ``H`` height, ``W`` width. Sizes are always ``(height, width)``.

- ``pixels``: uint8 (H, W, 3), sRGB, as read or as written.
- ``image``: float tensor (B, 3, H, W) in [-1, 1].
- ``condition_image``: float tensor (B, 3 or 4, H, W) in [0, 1], 0 where hidden.
- ``product_mask``: float in [0, 1], **1 = product, 0 = background**; array (H, W) or tensor (B, 1, H, W).
- ``matte``: the product mask with its soft rim (alpha), float32 (H, W).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Pixels: TypeAlias = "npt.NDArray[np.uint8]"
"""uint8 (H, W, 3), sRGB."""
Matte: TypeAlias = "npt.NDArray[np.float32]"
"""float32 (H, W) in [0, 1], 1 = product."""
Size = tuple[int, int]
"""(height, width) in pixels."""


@dataclass(frozen=True)
class ProductReport:
    """Proof of the product guarantee for one image (method, 10).

    ``max_difference`` and ``mean_difference`` (0–255 levels) compare output and input where the
    matte is exactly 1; the guarantee is ``max_difference == 0``. Where no pixel is opaque there is nothing
    to compare: both are None, and nothing is proved.
    """

    opaque_pixels: int
    soft_pixels: int
    max_difference: int | None
    mean_difference: float | None
    notes: tuple[str, ...] = ()
    """Remarks on the proof and on the input."""

    @property
    def exact(self) -> bool | None:
        """Whether every fully opaque pixel equals the input's bit for bit; None if there is none."""
        return None if self.max_difference is None else self.max_difference == 0

    def describe(self) -> dict[str, Any]:
        """Plain values for a row."""
        return {"exact": self.exact, **asdict(self), "notes": list(self.notes)}
