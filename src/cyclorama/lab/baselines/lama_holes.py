"""Which part of a training image does LaMa have to invent?  Large holes of several kinds.

Strokes and boxes are the wide masks of arXiv 2109.07161, section 2.3, with the sizes of its published
training. The third kind is not in the paper: everything but the product, which is what a background generator
invents.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from cyclorama.config import Settings, Share
from cyclorama.erasing.erase import Hole
from cyclorama.errors import ConfigError

if TYPE_CHECKING:
    from cyclorama.types import Matte, Size

KNOWN_MATTE = 0.95
"""From this much product on a pixel is known; below, the old background shows through."""
_TRIES = 256


class HoleConfig(Settings):
    """Kinds of holes and their sizes. Lengths are pixels at ``reference_resolution``."""

    strokes: NonNegativeFloat = 1.0
    """Weight of polygonal chains drawn with a wide round pen, beside ``boxes`` and ``background``."""
    boxes: NonNegativeFloat = 1.0
    """Weight of upright rectangles of any aspect ratio."""
    background: NonNegativeFloat = 0.0
    """Weight of everything but the product (not in the paper)."""
    max_chains: PositiveInt = 5
    """Chains of one hole: 1 to this many."""
    max_segments: PositiveInt = 5
    """Segments of a chain: 1 to this many, each in a direction of its own."""
    segment_px: tuple[PositiveFloat, PositiveFloat] = (10.0, 210.0)
    """Length of a segment."""
    stroke_px: tuple[PositiveFloat, PositiveFloat] = (5.0, 105.0)
    """Width of a segment."""
    max_boxes: PositiveInt = 4
    """Boxes of one hole: 1 to this many."""
    box_px: tuple[PositiveFloat, PositiveFloat] = (30.0, 150.0)
    """Side of a box."""
    box_margin_px: NonNegativeFloat = 10.0
    """What a box keeps free at the image's edge."""
    min_area: Share = 0.005
    """Strokes and boxes below this share of the image are drawn anew."""
    max_area: Share = 0.75
    """Strokes and boxes above this share of the image are drawn anew."""
    reference_resolution: PositiveInt = 256
    """Shorter side, in pixels, at which the lengths hold."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.strokes and not self.boxes:
            raise ConfigError("give strokes or boxes some weight; images without product need them")
        for name in ("segment_px", "stroke_px", "box_px"):
            low, high = getattr(self, name)
            if low > high:
                raise ConfigError(f"{name} is {low} to {high}; use first <= second")
        if self.min_area >= self.max_area:
            raise ConfigError(
                f"min_area is {self.min_area}, max_area {self.max_area}; use min_area < max_area"
            )
        return self


def sample_hole(product_mask: Matte, config: HoleConfig, rng: np.random.Generator) -> Hole:
    """A hole for an image with ``product_mask`` float32 (H, W), 1 = product; bool (H, W), true = to invent.

    Invariants: strokes and boxes cover ``min_area`` to ``max_area`` of the image; the background kind never
    covers a pixel of at least KNOWN_MATTE product. An image whose background kind would leave less than
    1 % known gets strokes or boxes instead. Raises ConfigError if the areas cannot be met.
    """
    kinds = ("background", "strokes", "boxes")
    weights = np.array([getattr(config, kind) for kind in kinds])
    kind = kinds[int(np.searchsorted(np.cumsum(weights / weights.sum()), rng.random(), side="right"))]
    if kind == "background":
        hole = hide_background(product_mask)
        if 0 < hole.mean() <= 0.99:
            return hole
        kind = "strokes" if config.strokes else "boxes"
    size = (product_mask.shape[0], product_mask.shape[1])
    draw = draw_strokes if kind == "strokes" else draw_boxes
    for _ in range(_TRIES):
        hole = draw(size, config, rng)
        if config.min_area <= hole.mean() <= config.max_area:
            return hole
    raise ConfigError(
        f"holes: {_TRIES} {kind} lay outside {config.min_area} to {config.max_area} of the image; "
        f"widen min_area and max_area or change the lengths"
    )


def hide_background(product_mask: Matte) -> Hole:
    """Everything below KNOWN_MATTE of product: bool (H, W)."""
    return np.asarray(product_mask) < KNOWN_MATTE


def draw_strokes(size: Size, config: HoleConfig, rng: np.random.Generator) -> Hole:
    """Polygonal chains in a round pen, parts outside the image cut off. bool (height, width)."""
    scale = min(size) / config.reference_resolution
    hole = np.zeros(size, dtype=bool)
    for _ in range(int(rng.integers(1, config.max_chains + 1))):
        point = rng.random(2) * size
        for _ in range(int(rng.integers(1, config.max_segments + 1))):
            direction = rng.uniform(0, 2 * np.pi)
            length = rng.uniform(*config.segment_px) * scale
            width = rng.uniform(*config.stroke_px) * scale
            end = point + length * np.array([np.sin(direction), np.cos(direction)])
            end = np.clip(end, 0, size)
            _draw_segment(hole, point, end, width / 2)
            point = end
    return hole


def draw_boxes(size: Size, config: HoleConfig, rng: np.random.Generator) -> Hole:
    """Upright rectangles inside the image, up to the margin. bool (height, width)."""
    scale = min(size) / config.reference_resolution
    margin = round(config.box_margin_px * scale)
    hole = np.zeros(size, dtype=bool)
    for _ in range(int(rng.integers(1, config.max_boxes + 1))):
        spans = []
        for side in size:
            room = max(1, side - 2 * margin)
            length = min(room, max(1, round(float(rng.uniform(*config.box_px)) * scale)))
            start = min(margin, (side - room) // 2) + int(rng.integers(0, room - length + 1))
            spans.append(slice(start, start + length))
        hole[spans[0], spans[1]] = True
    return hole


def _draw_segment(hole: Hole, start: npt.NDArray[Any], end: npt.NDArray[Any], radius: float) -> None:
    """Set all pixels whose centre is within ``radius`` of the segment; points are (y, x)."""
    low = np.floor(np.minimum(start, end) - radius).astype(int).clip(0, hole.shape)
    high = np.ceil(np.maximum(start, end) + radius).astype(int).clip(0, hole.shape) + 1
    ys = np.arange(low[0], min(high[0], hole.shape[0]))[:, None] + 0.5 - start[0]
    xs = np.arange(low[1], min(high[1], hole.shape[1]))[None, :] + 0.5 - start[1]
    along = end - start
    squared = float(along @ along)
    share = np.clip((ys * along[0] + xs * along[1]) / max(squared, 1e-9), 0, 1)
    near = (ys - share * along[0]) ** 2 + (xs - share * along[1]) ** 2 <= radius**2
    hole[low[0] : low[0] + near.shape[0], low[1] : low[1] + near.shape[1]] |= near
