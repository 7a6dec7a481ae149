"""How do images of several methods come on one page so that only their content differs?"""

from __future__ import annotations

import io
from collections.abc import Mapping

from PIL import Image, ImageCms, ImageOps

from cyclorama.errors import StudyImageError
from cyclorama.evaluation.reading import ImageSet, read_place
from cyclorama.imaging.loading import load_image

SHAPE_TOLERANCE = 0.02
"""Largest relative difference of aspect ratios that is cropped away instead of refused."""
_QUALITY = 92


def load_study_image(images: ImageSet, key: str) -> Image.Image:
    """The image as sRGB: an embedded colour profile is applied, everything else about the file is dropped.

    Raises what :meth:`ImageSet.load` raises.
    """
    item = images.items.get(key)
    if item is None or item.image is None:
        return Image.fromarray(images.load(key).pixels)
    loaded = load_image(read_place(item.image))
    image = Image.fromarray(loaded.pixels)
    if loaded.icc_profile is not None:
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(loaded.icc_profile))
            converted = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"))
        except (ImageCms.PyCMSError, OSError):
            return image  # a broken profile is what every viewer ignores
        if converted is not None:
            image = converted
    return image


def level_images(images: Mapping[str, Image.Image], side: int, name: str) -> dict[str, Image.Image]:
    """The images of one pair, all of one size: the smallest among them, at most ``side`` long.

    An image is scaled down and, where its shape differs by less than 2 %, cropped in the middle; it is never
    scaled up. Raises StudyImageError for shapes that differ by more.
    """
    sizes = {method: image.size for method, image in images.items()}
    ratios = {method: width / height for method, (width, height) in sizes.items()}
    if max(ratios.values()) > min(ratios.values()) * (1 + SHAPE_TOLERANCE):
        wide, tall = max(ratios, key=ratios.__getitem__), min(ratios, key=ratios.__getitem__)
        raise StudyImageError(
            f"the images of {name!r} differ in shape by more than {SHAPE_TOLERANCE:.0%}: "
            f"{_describe(wide, sizes)}, {_describe(tall, sizes)}; raters could tell the methods apart by "
            "that: bring them to one shape"
        )
    width, height = min(w for w, _ in sizes.values()), min(h for _, h in sizes.values())
    scale = min(1.0, side / max(width, height))
    target = (max(1, round(width * scale)), max(1, round(height * scale)))
    return {method: ImageOps.fit(image, target, Image.Resampling.LANCZOS) for method, image in images.items()}


def shrink(image: Image.Image, side: int) -> Image.Image:
    """The image at most ``side`` long, never scaled up."""
    image = image.copy()
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return image


def encode(image: Image.Image) -> bytes:
    """A JPEG without any metadata, settings equal for all."""
    stream = io.BytesIO()
    image.convert("RGB").save(stream, "JPEG", quality=_QUALITY, subsampling=0, optimize=True)
    return stream.getvalue()


def _describe(method: str, sizes: Mapping[str, tuple[int, int]]) -> str:
    return f"{method} {sizes[method][0]}×{sizes[method][1]}"
