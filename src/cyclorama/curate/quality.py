"""Is the image sharp, cleanly coded, whole, and without a frame?

Every fault has a measure and a limit; measure over limit is its score. Above 1 an image goes to review,
above ``drop_from`` it is dropped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field, PositiveFloat

from cyclorama.config import Settings
from cyclorama.curate.blur import get_luminance, measure_blockiness, measure_blur, read_jpeg_quality
from cyclorama.curate.borders import Frame, find_frame, find_seam
from cyclorama.curate.records import Box, Finding, Verdict
from cyclorama.imaging.keying import key_studio_background
from cyclorama.imaging.masks import dilate
from cyclorama.imaging.transforms import reduce_size, resize_pixels, resize_plane

if TYPE_CHECKING:
    from cyclorama.curate.records import RuleImage
    from cyclorama.types import Matte, Pixels


_RECTANGLE = 0.97
"""Share of its bounding box from which what was keyed is a rectangle, 0-1."""
_BACKGROUND_BLUR = "width of the background's edges {:.3g}"


class QualitySettings(Settings):
    """Limits of the faults."""

    max_blur: PositiveFloat = 0.6
    """Greatest width of the product's edges, standard deviation in 1/256 of the shorter side."""
    max_background_blur: PositiveFloat = 4.0
    """The same for the background, where a shallow depth of field is wanted."""
    min_jpeg_quality: PositiveFloat = 40.0
    """Least quality setting of a JPEG file, 1-100 in the scale of the IJG library."""
    max_blockiness: PositiveFloat = 1.5
    """Grey levels by which steps at the borders of 8 x 8 blocks may exceed those within them."""
    max_frame: PositiveFloat = 0.01
    """Widest plain strip along a side, as a share of that side, 0-1."""
    max_seam: PositiveFloat = 0.7
    """Greatest likeness of a straight line to a border between two images, 0-1."""
    drop_from: Annotated[float, Field(ge=1)] = 1.5
    """Score (measure over limit) from which an image is dropped instead of reviewed; 1 = always."""
    working_side: Annotated[int, Field(ge=64)] = 512
    """Shorter side, in pixels, to which larger images are reduced for blur."""


class QualityRule:
    """Drops blurred, badly compressed, framed and assembled images; watermarks are the text rule's."""

    name = "quality"
    version = "2"

    def __init__(self, settings: QualitySettings | None = None) -> None:
        self.settings = settings or QualitySettings()

    def judge(self, image: RuleImage) -> Finding:
        """Keep if every score is at most 1, drop if one reaches ``drop_from``, review between.

        ``numbers`` holds each measure and, under ``…_score``, measure over limit; a measure that cannot be
        taken (no edges, no JPEG) is left out.
        """
        settings, pixels = self.settings, image.pixels
        mask = image.product
        frame, seam = find_frame(pixels, mask), find_seam(pixels, mask)
        shares = frame.measure_shares(*pixels.shape[:2])
        widest = max(shares.values(), default=0.0)
        if mask is None and (widest > settings.max_frame or seam.score > settings.max_seam):
            product = _key_product(pixels)  # before a light backdrop, its outline may be what was found
            frame, seam = find_frame(pixels, product), find_seam(pixels, product)
            shares = frame.measure_shares(*pixels.shape[:2])
            widest = max(shares.values(), default=0.0)
        blur, background_blur = measure_blurs(pixels, mask, settings.working_side)
        quality, blocks = read_jpeg_quality(image.raw), measure_blockiness(get_luminance(pixels))
        whose = "the edges" if mask is None else "the product's edges"
        strips = f"plain strips at the {' and '.join(shares)} take {widest:.3g} of the side"
        measured = (
            ("blur", blur, settings.max_blur, f"width of {whose} {{:.3g}}"),
            ("background_blur", background_blur, settings.max_background_blur, _BACKGROUND_BLUR),
            ("jpeg_quality", quality, settings.min_jpeg_quality, "JPEG quality {:.3g}"),
            ("blockiness", blocks, settings.max_blockiness, "steps at coding blocks {:.3g}"),
            ("frame", widest, settings.max_frame, strips),
            ("seam", seam.score, settings.max_seam, "likeness to a collage {:.3g}"),
        )
        numbers: dict[str, float] = {}
        faults: list[tuple[float, str]] = []
        for name, value, limit, words in measured:
            if value is not None:
                score = limit / max(value, 1.0) if name == "jpeg_quality" else value / limit
                numbers |= {name: value, f"{name}_score": score}
                if score > 1:
                    faults.append((score, f"{words.format(value)}, the limit is {limit:.3g}"))
        numbers["score"] = max(value for name, value in numbers.items() if name.endswith("_score"))
        if not faults:
            return Finding(self.name, Verdict.KEEP, numbers=numbers)
        verdict = Verdict.DROP if max(faults)[0] >= settings.drop_from else Verdict.REVIEW
        reason = "; ".join(text for _, text in sorted(faults, reverse=True))
        boxes = _get_boxes(frame, pixels) if widest > settings.max_frame else ()
        return Finding(self.name, verdict, reason, numbers, boxes)


def _key_product(pixels: Pixels) -> Matte | None:
    """What stands before a plain light backdrop; None without one, and for a rectangle: a white frame."""
    matte = key_studio_background(pixels).matte
    if matte is None:
        return None
    rows, columns = np.nonzero(matte >= 0.5)
    area = (np.ptp(rows) + 1) * (np.ptp(columns) + 1) if len(rows) else 0
    return None if len(rows) >= _RECTANGLE * area else matte


def measure_blurs(
    pixels: Pixels, mask: Matte | None, working_side: Annotated[int, Field(ge=64)] = 512
) -> tuple[float | None, float | None]:
    """Edge widths of the product and of the background, in 1/256 of the shorter side.

    Without a mask the first is the whole image's, the second None. None where there are too few edges.
    """
    size = reduce_size(pixels.shape, working_side)
    luminance = get_luminance(resize_pixels(pixels, size))
    if mask is None:
        return measure_blur(luminance), None
    solid = resize_plane(mask, size) >= 0.5
    return measure_blur(luminance, dilate(solid, 2)), measure_blur(luminance, ~dilate(solid, 6))


def _get_boxes(frame: Frame, pixels: Pixels) -> tuple[Box, ...]:
    height, width = pixels.shape[:2]
    strips = (
        Box(0, 0, width, frame.top, "frame", 1.0),
        Box(0, height - frame.bottom, width, height, "frame", 1.0),
        Box(0, 0, frame.left, height, "frame", 1.0),
        Box(width - frame.right, 0, width, height, "frame", 1.0),
    )
    return tuple(box for box in strips if box.right > box.left and box.bottom > box.top)
