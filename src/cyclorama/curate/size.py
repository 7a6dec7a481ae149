"""Is the image large enough, and is its shape usable?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cyclorama.curate.records import Finding, Verdict
from cyclorama.errors import SettingsError

if TYPE_CHECKING:
    from cyclorama.curate.records import LoadedImage


@dataclass(frozen=True)
class SizeSettings:
    """The sizes that are taken."""

    min_side: int = 256
    """Least shorter side in pixels; a smaller image is dropped."""
    wanted_side: int = 256
    """Shorter side in pixels below which an image goes to review; equal to ``min_side`` = never."""
    max_pixels: int = 50_000_000
    """Most pixels, width times height; a larger image is dropped."""
    max_aspect: float = 2.5
    """Greatest longer side over shorter side; beyond it an image is dropped."""

    def __post_init__(self) -> None:
        if not 1 <= self.min_side <= self.wanted_side:
            raise SettingsError(
                f"size: min_side is {self.min_side}, wanted_side {self.wanted_side}; "
                "use 1 <= min_side <= wanted_side"
            )
        if self.max_aspect < 1 or self.max_pixels < self.min_side**2:
            raise SettingsError(
                f"size: max_aspect is {self.max_aspect}, max_pixels {self.max_pixels}; use an aspect of 1 or "
                "more and at least min_side squared pixels"
            )


class SizeRule:
    """Drops images that are too small, too large or too long."""

    name = "size"

    def __init__(self, settings: SizeSettings | None = None) -> None:
        self.settings = settings or SizeSettings()

    def judge(self, image: LoadedImage) -> Finding:
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
