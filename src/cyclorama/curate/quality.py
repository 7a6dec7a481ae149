"""Is the image large enough, sharp, cleanly coded, whole and unframed, and is anything behind the product?

Every fault has a measure and a limit; measure over limit is its score. Above 1 an image goes to review,
above ``drop_from`` it is dropped. Blur is the width of edges: an ideal step blurred by ``s`` has, under
Gaussian derivatives of width ``a`` and ``b``, slopes in the ratio ``sqrt((s^2 + b^2) / (s^2 + a^2))``, from
which ``s`` follows (Zhuo and Sim, Defocus map estimation from a single image, 2011). Unlike the energy of the
Laplacian it does not depend on contrast. White, grey or coloured seamless backdrops, with their gradients,
vignettes and the product's own soft shadow, have no structure: nothing in them changes quickly.
"""

from __future__ import annotations

import io
from functools import cache
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import Field, PositiveFloat, PositiveInt
from scipy import ndimage

from cyclorama.config import Order, Settings, Share
from cyclorama.curate.borders import Frame, find_frame, find_seam
from cyclorama.curate.records import Box, Finding, RuleImage, Verdict
from cyclorama.imaging.colour import to_lab
from cyclorama.imaging.keying import key_studio_background
from cyclorama.imaging.masks import dilate
from cyclorama.imaging.transforms import reduce_size, resize_pixels, resize_plane
from cyclorama.types import Matte, Pixels

Plane = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]

UNITS = 256
"""Blur is told in 1/256 of the shorter side."""
_FINE, _COARSE = 1.0, 2.0
_FAINT = 1.5  # grey levels per pixel below which a slope is noise
_FEWEST = 24


def get_luminance(pixels: Pixels) -> Plane:
    """Luma (BT.601), float32 (H, W) in [0, 255]."""
    luma: Plane = pixels.astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    return luma


def measure_blur(luminance: Plane, region: Flags | None = None) -> float | None:
    """Width of the sharper edges in ``region`` (H, W): standard deviation in 1/256 of the shorter side.

    The lower quartile over the strongest edges, 0 or more. None where there are too few edges to tell.
    Invariant: independent of brightness and contrast.
    """
    fine, coarse = (ndimage.gaussian_gradient_magnitude(luminance, width) for width in (_FINE, _COARSE))
    edge = (fine >= ndimage.maximum_filter(fine, 3)) & (fine >= _FAINT)
    if region is not None:
        edge &= region
    if int(edge.sum()) < _FEWEST:
        return None
    strong = edge & (fine >= np.quantile(fine[edge], 0.6))
    ratio = (fine[strong] / np.maximum(coarse[strong], 1e-6)).astype(np.float64) ** 2
    ratio = np.clip(ratio, 1.02, (_COARSE / _FINE) ** 2)
    width = np.sqrt((_COARSE**2 - ratio * _FINE**2) / (ratio - 1))
    units: float = float(np.quantile(width, 0.25)) * UNITS / min(luminance.shape)
    return units


def measure_blockiness(luminance: Plane) -> float:
    """Grey levels by which steps every 8 pixels exceed those between, about 0 without a coding grid.

    The lesser of both directions, at the grid's best phase; steps are capped and medians taken, so that a few
    true edges do not count. Finds the blocks of JPEG also in files saved anew in another format.
    """
    return min(_measure_grid(luminance), _measure_grid(luminance.T))


def _measure_grid(luminance: Plane) -> float:
    second = np.abs(luminance[:, 3:] - 3 * luminance[:, 2:-1] + 3 * luminance[:, 1:-2] - luminance[:, :-3])
    columns = np.minimum(second, 24.0).mean(axis=0)
    phases = np.array([float(np.median(columns[phase::8])) for phase in range(8)])
    best = int(phases.argmax())
    others = float(np.median(np.delete(phases, best)))
    return max(0.0, float(phases[best]) - others) / 2  # a step of h gives 2 h


def read_jpeg_quality(raw: bytes) -> float | None:
    """Quality setting, about 1-100, that the luminance table of a JPEG file ``raw`` corresponds to.

    In the scale of the IJG library; None for other formats.
    """
    if not raw.startswith(b"\xff\xd8"):
        return None
    table, standard = _read_luminance_table(raw), _read_luminance_table(_build_standard())
    if table is None or standard is None:
        return None
    scale = 100 * float(np.median(table / standard))
    quality = 5000 / scale if scale > 100 else (200 - scale) / 2
    return float(np.clip(quality, 1, 100))


def _read_luminance_table(raw: bytes) -> npt.NDArray[np.float64] | None:
    """The divisors of a JPEG file's luminance, the smallest first; None if it has none."""
    with Image.open(io.BytesIO(raw)) as image:
        tables = getattr(image, "quantization", None)
    return np.sort(np.asarray(tables[min(tables)], np.float64)) if tables else None


@cache
def _build_standard() -> bytes:
    """A JPEG of quality 50, whose tables are those of ITU-T T.81, annex K.1."""
    stream = io.BytesIO()
    Image.new("L", (8, 8)).save(stream, "JPEG", quality=50)
    return stream.getvalue()


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
    low, right = height - frame.bottom, width - frame.right
    places = ((0, 0, width, frame.top), (0, low, width, height), (0, 0, frame.left, height))
    boxes = [Box(a, b, c, d, "frame", 1.0) for a, b, c, d in (*places, (right, 0, width, height))]
    return tuple(box for box in boxes if box.right > box.left and box.bottom > box.top)


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


class BlankSettings(Settings):
    """What counts as structure in a background, and how much of it an image must have."""

    ordered: ClassVar[Order] = (("min_busy_share", "doubtful_share"),)
    min_busy_share: Share = 0.05
    """Least share of the background that shows structure, 0-1; below it the background is blank."""
    doubtful_share: Share = 0.05
    """Between ``min_busy_share`` and this the image goes to review instead; equal = never."""
    busy_slope: PositiveFloat = 1.3
    """Change in L*a*b* units per pixel of the working image from which a place shows structure."""
    margin: Share = 0.025
    """Width of the ring round the product that is left out, as a share of the shorter side: soft rims."""
    working_side: Annotated[int, Field(ge=32)] = 256
    """Shorter side, in pixels, at which structure is measured; smaller images are taken as they are."""
    min_background: Share = 0.02
    """Least share of the image that must be background for a judgement, 0-1; with less it is kept."""


class BlankRule:
    """Drops images whose background has no content."""

    name = "blank"

    def __init__(self, settings: BlankSettings | None = None) -> None:
        self.settings = settings or BlankSettings()

    def judge(self, image: RuleImage) -> Finding:
        """Drop or review below the limits, keep above; without a mask a frame along the border is judged."""
        settings = self.settings
        share, background = measure_structure(image.pixels, image.mask, settings)
        numbers = {"busy_share": share, "background_share": background}
        if background < settings.min_background:
            return Finding(self.name, Verdict.KEEP, numbers=numbers)  # nothing there to be blank
        if share >= settings.doubtful_share:
            return Finding(self.name, Verdict.KEEP, numbers=numbers)
        blank = share < settings.min_busy_share
        limit = settings.min_busy_share if blank else settings.doubtful_share
        where = "background" if image.mask is not None else "image's border, without a mask,"
        reason = f"{share:.1%} of the {where} shows structure, the limit is {limit:.1%}"
        return Finding(self.name, Verdict.DROP if blank else Verdict.REVIEW, reason, numbers)


def measure_structure(pixels: Pixels, mask: Matte | None, settings: BlankSettings) -> tuple[float, float]:
    """(share of the background with structure, share of the image that is background), each 0-1.

    ``pixels`` uint8 (H, W, 3), ``mask`` (H, W), 1 = product. Structure is a change of L*a*b* faster than
    ``busy_slope`` after a light blur, which takes noise and compression away. Invariant: what is on the
    product, or within half the margin of it, has no influence.
    """
    size = reduce_size(pixels.shape, settings.working_side)
    background = _find_background(mask, size, settings)
    total = int(background.sum())
    if not total:
        return 0.0, 0.0
    lab = _fill_product(to_lab(resize_pixels(pixels, size)), background)
    slopes = (ndimage.gaussian_filter(lab, (1.5, 1.5, 0), order=way) for way in ((1, 0, 0), (0, 1, 0)))
    slope = np.hypot(*(np.linalg.norm(one, axis=2) for one in slopes))
    busy = (slope >= settings.busy_slope) & background
    return float(busy.sum()) / total, float(background.mean())


def _find_background(mask: Matte | None, size: tuple[int, int], settings: BlankSettings) -> Flags:
    if mask is None:
        frame = np.ones(size, dtype=bool)
        rows, columns = size[0] // 8, size[1] // 8
        frame[rows:-rows, columns:-columns] = False
        return frame
    product = resize_plane(mask, size) > 0.05
    return ~dilate(product, max(2, round(settings.margin * min(size))))


def _fill_product(lab: npt.NDArray[np.float32], background: Flags) -> npt.NDArray[np.float32]:
    """``lab`` (H, W, 3) with the nearest background colour everywhere else: no edge at the product's rim."""
    if background.all():
        return lab
    rows, columns = ndimage.distance_transform_edt(~background, return_distances=False, return_indices=True)
    filled: npt.NDArray[np.float32] = lab[rows, columns]
    return filled
