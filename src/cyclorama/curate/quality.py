"""Is the image sharp, cleanly coded, whole, and without a frame?

Every fault has a measure and a limit; measure over limit is its score. Above 1 an image goes to review,
above ``drop_from`` it is dropped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, PositiveFloat

from cyclorama.config import Settings
from cyclorama.curate.blur import get_luminance, measure_blockiness, measure_blur, read_jpeg_quality
from cyclorama.curate.borders import Frame, find_frame, find_seam
from cyclorama.curate.records import Box, Finding, Verdict
from cyclorama.imaging.masks import dilate
from cyclorama.imaging.transforms import resize_pixels, resize_plane

if TYPE_CHECKING:
    from cyclorama.curate.records import LoadedImage
    from cyclorama.types import Matte, Pixels


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

    def __init__(self, settings: QualitySettings | None = None) -> None:
        self.settings = settings or QualitySettings()

    def judge(self, image: LoadedImage) -> Finding:
        """Keep if every score is at most 1, drop if one reaches ``drop_from``, review between.

        ``numbers`` holds each measure and, under ``…_score``, measure over limit; a measure that cannot be
        taken (no edges, no JPEG) is left out.
        """
        settings = self.settings
        numbers: dict[str, float] = {}
        faults: list[tuple[float, str]] = []

        def add(name: str, measure: float | None, score: float, what: str, limit: float) -> None:
            if measure is None:
                return
            numbers[name], numbers[f"{name}_score"] = measure, score
            if score > 1:
                faults.append((score, f"{what} {measure:.3g}, the limit is {limit:.3g}"))

        mask = image.mask if image.mask is not None else image.alpha
        blur, background_blur = measure_blurs(image.pixels, mask, settings.working_side)
        for name, value, limit, what in (
            ("blur", blur, settings.max_blur, "width of the product's edges"),
            (
                "background_blur",
                background_blur,
                settings.max_background_blur,
                "width of the background's edges",
            ),
        ):
            add(name, value, (value or 0.0) / limit, what, limit)
        quality = read_jpeg_quality(image.raw)
        add(
            "jpeg_quality",
            quality,
            settings.min_jpeg_quality / max(quality or 1.0, 1.0),
            "JPEG quality",
            settings.min_jpeg_quality,
        )
        blocks = measure_blockiness(get_luminance(image.pixels))
        add(
            "blockiness",
            blocks,
            blocks / settings.max_blockiness,
            "steps at coding blocks",
            settings.max_blockiness,
        )
        frame = find_frame(image.pixels)
        share = _get_frame_share(frame, image.pixels)
        add("frame", share, share / settings.max_frame, "a plain strip takes", settings.max_frame)
        seam = find_seam(image.pixels)
        add("seam", seam.score, seam.score / settings.max_seam, "likeness to a collage", settings.max_seam)
        numbers["score"] = max(value for name, value in numbers.items() if name.endswith("_score"))
        boxes = _get_boxes(frame, image.pixels) if share > settings.max_frame else ()
        if not faults:
            return Finding(self.name, Verdict.KEEP, numbers=numbers)
        verdict = Verdict.DROP if max(faults)[0] >= settings.drop_from else Verdict.REVIEW
        reason = "; ".join(text for _, text in sorted(faults, reverse=True))
        return Finding(self.name, verdict, reason, numbers, boxes)


def measure_blurs(
    pixels: Pixels, mask: Matte | None, working_side: Annotated[int, Field(ge=64)] = 512
) -> tuple[float | None, float | None]:
    """Edge widths of the product and of the background, in 1/256 of the shorter side.

    Without a mask both are the whole image's. None where there are too few edges.
    """
    height, width = pixels.shape[:2]
    scale = min(1.0, working_side / min(height, width))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    luminance = get_luminance(resize_pixels(pixels, size))
    if mask is None:
        whole = measure_blur(luminance)
        return whole, whole
    solid = resize_plane(mask, size) >= 0.5
    return measure_blur(luminance, dilate(solid, 2)), measure_blur(luminance, ~dilate(solid, 6))


def _get_frame_share(frame: Frame, pixels: Pixels) -> float:
    height, width = pixels.shape[:2]
    shares = (frame.top / height, frame.bottom / height, frame.left / width, frame.right / width)
    return float(max(shares))


def _get_boxes(frame: Frame, pixels: Pixels) -> tuple[Box, ...]:
    height, width = pixels.shape[:2]
    strips = (
        Box(0, 0, width, frame.top, "frame", 1.0),
        Box(0, height - frame.bottom, width, height, "frame", 1.0),
        Box(0, 0, frame.left, height, "frame", 1.0),
        Box(width - frame.right, 0, width, height, "frame", 1.0),
    )
    return tuple(box for box in strips if box.right > box.left and box.bottom > box.top)
