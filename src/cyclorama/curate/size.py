"""Is the image large enough, and is its shape usable?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, PositiveInt

from cyclorama.config import Order, Settings
from cyclorama.curate.records import Finding, Verdict

if TYPE_CHECKING:
    from cyclorama.curate.records import RuleImage


class SizeSettings(Settings):
    """The sizes that are taken."""

    ordered: ClassVar[Order] = (("min_side", "wanted_side"),)
    min_side: PositiveInt = 256
    """Least shorter side in pixels; a smaller image is dropped."""
    wanted_side: PositiveInt = 256
    """Shorter side in pixels below which an image goes to review; equal to ``min_side`` = never."""
    max_pixels: PositiveInt = 50_000_000
    """Most pixels, width times height; a larger image is dropped."""
    max_aspect: Annotated[float, Field(ge=1)] = 2.5
    """Greatest longer side over shorter side; beyond it an image is dropped."""


class SizeRule:
    """Drops images that are too small, too large or too long."""

    name = "size"

    def __init__(self, settings: SizeSettings | None = None) -> None:
        self.settings = settings or SizeSettings()

    def judge(self, image: RuleImage) -> Finding:
        """Drop outside the limits, review between ``min_side`` and ``wanted_side``, else keep."""
        settings = self.settings
        height, width = image.pixels.shape[:2]
        side, aspect = min(height, width), max(height, width) / min(height, width)
        numbers = {"height": float(height), "width": float(width), "aspect": aspect}
        faults = []
        if side < settings.min_side:
            faults.append(f"the shorter side has {side} pixels, the least is {settings.min_side}")
        if height * width > settings.max_pixels:
            faults.append(f"{height * width:,} pixels, the limit is {settings.max_pixels:,}")
        if aspect > settings.max_aspect:
            faults.append(f"its sides are as 1 to {aspect:.2f}, the limit is {settings.max_aspect:.2f}")
        if faults:
            return Finding(self.name, Verdict.DROP, "; ".join(faults), numbers)
        if side < settings.wanted_side:
            reason = f"the shorter side has {side} pixels, {settings.wanted_side} are wanted"
            return Finding(self.name, Verdict.REVIEW, reason, numbers)
        return Finding(self.name, Verdict.KEEP, numbers=numbers)
