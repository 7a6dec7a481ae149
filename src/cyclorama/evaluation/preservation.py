"""Is an image what it should be: its product the one that was given, its background near the true one?

Of the product: pixels, rim, outline and text; colour differences are scikit-image's. Of the background: PSNR,
SSIM and a perceptual distance, in which product pixels have weight 0, also inside SSIM's windows
(scikit-image's ``structural_similarity`` knows no weights; a test holds ours to it where the weight is 1).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from cyclorama.errors import NothingToMeasureError, TooFewImagesError, import_optional
from cyclorama.evaluation.features import CycloramaNetwork
from cyclorama.evaluation.rim import build_rim, find_product_like, get_unit
from cyclorama.imaging.colour import to_lab
from cyclorama.imaging.masks import erode, fill_product, find_window, grow_mask
from cyclorama.imaging.transforms import check_same_size
from cyclorama.types import Matte, Pixels

Plane = npt.NDArray[np.float64]

RIM_WIDTH = 3.0
"""Units (1/256 of the shorter side) of the rim's band, just inside the product."""
GROWTH_REACH = 24.0
"""Units outside the product in which the default segmenter looks for more of it."""
SEGMENTER_NAME = "rim-colours-1"


def compute_interior_difference(pixels: Pixels, original: Pixels, mask: Matte) -> tuple[int, float]:
    """(largest, mean) absolute difference of a channel where ``mask`` is 1, 0-255.

    Both images uint8 (H, W, 3). Raises ImageSizeError, NothingToMeasureError. Invariant: (0, 0) for a
    composite.
    """
    check_same_size(pixels, original, "image", "original")
    check_same_size(pixels, mask, "image", "mask")
    opaque = mask >= 1
    if not opaque.any():
        raise NothingToMeasureError(
            f"no pixel of the mask is fully product (largest {float(mask.max()):.3f}), so nothing is proved; "
            "give a solid mask"
        )
    difference = np.abs(pixels[opaque].astype(np.int16) - original[opaque])
    return int(difference.max()), float(difference.mean())


def compute_rim_delta_e(pixels: Pixels, original: Pixels, mask: Matte) -> float:
    """Mean CIEDE2000 of ``pixels`` and ``original`` in the band 3 units wide inside the product's edge.

    About 1 is just visible side by side. Raises ImageSizeError, NothingToMeasureError.
    """
    from skimage.color import deltaE_ciede2000  # takes a while to import

    check_same_size(pixels, original, "image", "original")
    solid = mask >= 0.5
    band = solid & ~erode(solid, max(1, round(RIM_WIDTH * get_unit(mask))))
    if not band.any():
        raise NothingToMeasureError("the product has no edge inside the image; there is no rim to measure")
    return float(deltaE_ciede2000(to_lab(pixels[band]), to_lab(original[band])).mean())


def compute_expansion(segmented: npt.NDArray[np.bool_], mask: Matte) -> float:
    """(area(m_out ∪ m_in) - area(m_in)) / area(m_in), 0 or more (the paper's object expansion, relative)."""
    check_same_size(segmented, mask, "segmented mask", "mask")
    given = mask >= 0.5
    if not given.any():
        raise NothingToMeasureError("the mask marks no product; there is nothing that could have grown")
    return float((segmented & ~given).sum() / given.sum())


def segment_by_rim_colours(pixels: Pixels, mask: Matte) -> npt.NDArray[np.bool_]:
    """``mask`` and what has grown out of it: connected pixels outside that carry the product's colours.

    Named ``rim-colours-1``. Within 24 units of the edge a pixel counts if its colour is near (ΔE 12) to the
    product's just inside and clearly farther from the scene beyond. Blind where product and scene have one
    colour, and to growth in another colour than the nearest part of the product. Raises
    NothingToMeasureError where they have one colour all round.
    """
    rim = build_rim(mask, GROWTH_REACH)
    like, _ = find_product_like(to_lab(pixels), rim)
    grown = rim.solid.copy()
    grown[rim.rows[like], rim.columns[like]] = True
    labels, _ = ndimage.label(grown)
    kept = np.unique(labels[rim.solid])
    return np.isin(labels, kept[kept > 0])


Reader = Callable[["Pixels"], str]
"""Pixels (H, W, 3) -> the text in them, lines joined by newlines; empty for none."""

READER_NAME = "rapidocr"
_MARGIN = 0.03


def compute_text_error(pixels: Pixels, original: Pixels, mask: Matte, reader: Reader) -> float | None:
    """The character error rate of the product's text in ``pixels`` against that in ``original``, 0 or more.

    Both readings are of the product's bounding box alone, so that text in a background does not count; None
    where ``reader`` finds no text in the original. Raises ImageSizeError.
    """
    check_same_size(pixels, original, "image", "original")
    check_same_size(pixels, mask, "image", "mask")
    margin = round(_MARGIN * min(mask.shape))
    solid = mask >= 0.5
    window = find_window(solid, margin) if solid.any() else (slice(None), slice(None))
    expected = reader(original[window]).strip()
    if not expected:
        return None
    return compute_edit_distance(expected, reader(pixels[window]).strip()) / len(expected)


def compute_edit_distance(expected: str, found: str) -> int:
    """Fewest insertions, deletions and replacements of a character that turn one text into the other."""
    row = list(range(len(found) + 1))
    for i, wanted in enumerate(expected, start=1):
        previous, row[0] = row[0], i
        for j, character in enumerate(found, start=1):
            best = min(row[j] + 1, row[j - 1] + 1, previous + (wanted != character))
            previous, row[j] = row[j], best
    return row[-1]


def build_rapidocr_reader() -> Reader:
    """A reader of RapidOCR, which carries its models and needs no network. Raises MissingDependencyError.

    Lines without a letter or digit (it reads a plain box as "■") do not count as text.
    """
    remedy = 'reading text needs RapidOCR: pip install "cyclorama[evaluate]", or leave the metric "text" out'
    engine = import_optional("rapidocr", remedy).RapidOCR(params={"Global.log_level": "critical"})

    def read(pixels: Pixels) -> str:
        result = engine(np.ascontiguousarray(pixels[..., ::-1]))  # it takes BGR
        return "\n".join(line for line in result.txts or () if any(map(str.isalnum, line)))

    return read


PSNR_LIMIT = 100.0
"""dB reported for equal backgrounds, where the true value is infinite."""
_SIGMA = 1.5
_RADIUS = 5


def compute_truth(
    pixels: Pixels, truth: Pixels, mask: Matte | None, network: CycloramaNetwork | None = None
) -> list[float]:
    """[PSNR, SSIM] and, with a ``network``, the perceptual distance of ``pixels`` to ``truth``.

    Both uint8 (H, W, 3), scored outside ``mask`` (1 = product); None takes the whole image. Raises
    ImageSizeError, TooFewImagesError (no background left).
    """
    check_same_size(pixels, truth, "image", "truth")
    weight = _get_weight(pixels, mask)
    perceptual = [] if network is None else [compute_perceptual(pixels, truth, mask, network)]
    return [compute_psnr(pixels, truth, weight), compute_ssim(pixels, truth, weight), *perceptual]


def compute_psnr(pixels: Pixels, truth: Pixels, weight: Plane) -> float:
    """Peak signal-to-noise ratio in dB (peak 255) with ``weight`` (H, W) in [0, 1] per pixel; 100 for equal.

    Raises NothingToMeasureError where all weights are 0.
    """
    error = _average(((pixels.astype(np.float64) - truth) ** 2).mean(axis=2), weight)
    return PSNR_LIMIT if error == 0 else min(PSNR_LIMIT, 10 * float(np.log10(255**2 / error)))


def compute_ssim(pixels: Pixels, truth: Pixels, weight: Plane) -> float:
    """Structural similarity (Wang et al. 2004, Eq. 13): Gaussian window of 11, sigma 1.5, mean of channels.

    Local moments are means weighted with window times ``weight`` (H, W); the result is the mean of the map
    under ``weight``. With weight 1 everywhere it is the usual SSIM, windows at the border cut at the frame.
    Raises NothingToMeasureError where all weights are 0.
    """
    norm = _blur(weight)
    safe = np.where(norm > 1e-6, norm, 1)
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    total = 0.0
    for channel in range(3):
        x, y = pixels[..., channel].astype(np.float64), truth[..., channel].astype(np.float64)
        mean_x, mean_y = _blur(weight * x) / safe, _blur(weight * y) / safe
        var_x = _blur(weight * x * x) / safe - mean_x**2
        var_y = _blur(weight * y * y) / safe - mean_y**2
        cov = _blur(weight * x * y) / safe - mean_x * mean_y
        quotient = (2 * mean_x * mean_y + c1) * (2 * cov + c2)
        quotient /= (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
        total += _average(quotient, weight)
    return total / 3


def _average(plane: Plane, weight: Plane) -> float:
    total = float(weight.sum())
    if total <= 0:
        raise NothingToMeasureError("no pixel has a weight; there is no background to compare")
    return float((plane * weight).sum()) / total


def compute_perceptual(pixels: Pixels, truth: Pixels, mask: Matte | None, network: CycloramaNetwork) -> float:
    """The squared distance of unit-length features on five scales of the feature network, background only.

    In the manner of LPIPS (arXiv 1801.03924, Eq. 1, all channel weights 1), but with our network: not
    comparable with published LPIPS. The product is grey in both inputs and has no weight in the means.
    """
    import torch

    pair = [pixels, truth] if mask is None else [fill_product(p, mask) for p in (pixels, truth)]
    weight = torch.from_numpy(_get_weight(pixels, mask))[None, None].float().to(network.device)
    with torch.no_grad():
        total = 0.0
        maps = network.network.compute_maps(network.prepare(pair))
        for values in maps:
            unit = values / (values.square().sum(dim=1, keepdim=True).sqrt() + 1e-10)
            distance = (unit[:1] - unit[1:]).square().sum(dim=1, keepdim=True)
            local = torch.nn.functional.interpolate(weight, distance.shape[2:], mode="area")
            total += float((distance * local).sum() / local.sum())
    return total / len(maps)


def _get_weight(pixels: Pixels, mask: Matte | None) -> Plane:
    """float64 (H, W): 1 on the background, 0 on the product and within a rim of it."""
    if mask is None:
        return np.ones(pixels.shape[:2])
    check_same_size(pixels, mask, "image", "mask")
    weight = (1 - grow_mask(mask)).astype(np.float64)
    if weight.sum() < 16:
        raise TooFewImagesError(f"{weight.sum():.0f} background pixels are left by the mask; 16 is the least")
    return weight


def _blur(plane: Plane) -> Plane:
    return np.asarray(ndimage.gaussian_filter(plane, _SIGMA, mode="constant", radius=_RADIUS))
