"""Does a background follow its reference and its category, and was the reference itself copied in place?

Reference methods fail by pasting what they were shown (the paper's Fig. 7). Copying shows in edges: where the
reference's product was, the generated background has the same gradients at the same place. The leak score is
the correlation of gradient fields at the reference's position, against the same correlation at displaced
positions, which says how much two images of this kind agree by accident.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

from cyclorama.errors import MissingImageError, SettingsError, TooFewImagesError
from cyclorama.evaluation.features import CycloramaNetwork, FeatureTable
from cyclorama.evaluation.reading import ReferenceStyle
from cyclorama.imaging.colour import to_lab
from cyclorama.imaging.masks import dilate, grow_mask
from cyclorama.imaging.transforms import check_same_size, fit_reference, resize_plane, resize_to
from cyclorama.types import Matte, Pixels

Values = npt.NDArray[np.float64]
Plane = npt.NDArray[np.float64]

DIRECTIONS = 64
QUANTILES = 256


def compute_palette(pixels: Pixels, mask: Matte | None = None) -> Values:
    """The colours of ``pixels`` (uint8 (H, W, 3)) outside ``mask`` (1 = product, with its rim).

    float64 (DIRECTIONS, QUANTILES): quantiles of the L*a*b* colours projected on each direction.
    Raises TooFewImagesError below 64 background pixels.
    """
    colours = to_lab(pixels).reshape(-1, 3)
    if mask is not None:
        colours = colours[(grow_mask(mask) < 0.5).reshape(-1)]
    if len(colours) < 64:
        raise TooFewImagesError(f"{len(colours)} background pixels make no palette; 64 is the least")
    step = max(1, len(colours) // 16384)
    projected = colours[::step].astype(np.float64) @ _get_directions().T
    places = (np.arange(QUANTILES) + 0.5) / QUANTILES
    return np.quantile(projected, places, axis=0, method="hazen").T


def compute_palette_distance(first: Values, second: Values) -> float:
    """The sliced Wasserstein-1 distance of two palettes in L*a*b*, in ΔE (CIE76) units, 0 or more.

    Mean over directions of the cost of moving one projection onto the other, doubled: a uniform shift of all
    colours by d then costs d. Composition plays no part.
    """
    return float(2 * np.abs(first - second).mean())


def _get_directions() -> Values:
    """Unit vectors (DIRECTIONS, 3) evenly over half a sphere (a Fibonacci spiral)."""
    place = np.arange(DIRECTIONS) + 0.5
    height = 1 - place / DIRECTIONS
    turn = place * np.pi * (1 + 5**0.5)
    ring = np.sqrt(1 - height**2)
    return np.stack([ring * np.cos(turn), ring * np.sin(turn), height], axis=1)


def compute_percentiles(
    own: Mapping[str, str], styles: Mapping[str, ReferenceStyle], distances: Mapping[tuple[str, str], float]
) -> dict[str, float]:
    """For each image, the share of its reference's rivals that are farther than the reference, by key.

    Ties count half; 0.5 is chance. ``own`` maps images to their references' keys, ``styles`` reference keys
    to category and brand, ``distances`` (image, reference) to a distance. Images whose reference has no rival
    are left out. Raises MissingImageError for a pair without distance.
    """
    result = {}
    for key, reference in own.items():
        rivals = list_rivals(reference, styles)
        try:
            mine = distances[key, reference]
            theirs = np.array([distances[key, rival] for rival in rivals])
        except KeyError as error:
            raise MissingImageError(f"no distance for the pair {error.args[0]}") from error
        if rivals:
            result[key] = float((theirs > mine).mean() + 0.5 * (theirs == mine).mean())
    return result


def list_rivals(reference: str, styles: Mapping[str, ReferenceStyle]) -> list[str]:
    """The other references of the same category, sorted, but for those of the same brand, where it is known.

    A brand's campaign is one style: who follows one of its images is as near to the next.
    """
    category, brand = styles[reference]
    return sorted(
        name
        for name, (kind, other) in styles.items()
        if kind == category and name != reference and (brand is None or other != brand)
    )


def compute_category_hits(
    backgrounds: FeatureTable, categories: Mapping[str, str], network: CycloramaNetwork
) -> dict[str, bool]:
    """Whether the network names the category of each image, seen its background alone.

    Images of a category that the network does not know are left out. Raises SettingsError if the features
    are not of backgrounds or of another network, TooFewImagesError if it knows none of the categories.
    """
    identity = backgrounds.identity
    if identity.region != "background" or identity.weights_hash != network.weights_hash:
        raise SettingsError(
            f"category accuracy needs {network.name} features of backgrounds, got {identity.label}"
        )
    known = [key for key in backgrounds.keys if categories.get(key) in network.categories]
    if not known:
        raise TooFewImagesError(
            f"the network knows none of the categories {sorted(set(categories.values()))[:5]}; it knows "
            f"{', '.join(network.categories[:5])} … ({len(network.categories)})"
        )
    best = network.classify(backgrounds.select(known).values).argmax(axis=1)
    return {key: network.categories[n] == categories[key] for key, n in zip(known, best)}


SIDE = 128
"""Pixels of the shorter side at which gradients are compared."""
TOLERANCE = 2
"""Pixels by which a copy may have moved."""
NULL_FROM, NULL_TO = 12, 40
"""Displacements (largest of rows and columns, pixels) that count as accident."""
SOFTENING = 2.0
"""L*a*b* units per pixel: gradients far above count alike, far below hardly."""
LEAST_PIXELS = 150
"""Fewest visible pixels of the reference's product (at SIDE) for a score."""
LEAST_SHARE = 0.15
"""Least visible share of it: slivers beside the generated product agree by accident."""


def compute_leak(pixels: Pixels, mask: Matte, reference: Pixels, reference_mask: Matte) -> list[float | None]:
    """How much of ``reference`` was copied in place into ``pixels``: [its product, its layout].

    0 is no more than by accident, 1 an exact copy. The product counts with its outline; None where the
    generated product hides that place. Of the layout (its scenery) style allows some: no fault by itself.

    ``pixels`` uint8 (H, W, 3), masks float (H, W), 1 = product. The reference is centre-cropped to the
    image's aspect and resized, as the generator sees it. Raises ImageSizeError.
    """
    check_same_size(pixels, mask, "image", "mask")
    check_same_size(reference, reference_mask, "reference", "its mask")
    height, width = pixels.shape[:2]
    scale = SIDE / min(height, width)
    size = (round(height * scale), round(width * scale))
    fitted, own_mask = fit_reference(reference, reference_mask, size)
    assert own_mask is not None
    found, wanted = _compute_gradients(resize_to(pixels, size)), _compute_gradients(fitted)
    hidden = dilate(resize_plane(mask, size) >= 0.25, 3)
    product = dilate(own_mask >= 0.5, 2)
    visible = (~hidden).astype(np.float64)
    supports = product.astype(np.float64), (~dilate(product, 2)).astype(np.float64)
    return [_compare(found, visible, wanted, support) for support in supports]


def _compute_gradients(pixels: Pixels) -> Plane:
    """Softened gradients float64 (6, H, W): two directions of L*, a*, b*."""
    lab = to_lab(pixels).astype(np.float64)
    planes = [
        ndimage.gaussian_filter(lab[..., channel], 1.0, order=order, mode="nearest")
        for channel in range(3)
        for order in ((1, 0), (0, 1))
    ]
    gradients = np.stack(planes)
    size = np.sqrt((gradients**2).sum(axis=0))
    return np.asarray(gradients / (size + SOFTENING))


def _compare(found: Plane, visible: Plane, wanted: Plane, support: Plane) -> float | None:
    """The score of ``wanted`` under ``support`` looked for in ``found`` where ``visible``."""
    correlation, overlap = correlate_gradients(found, visible, wanted, support)
    centre = (correlation.shape[0] // 2, correlation.shape[1] // 2)
    seen = overlap[centre]
    if seen < max(LEAST_PIXELS, LEAST_SHARE * float(support.sum())):
        return None
    peaks = ndimage.maximum_filter(correlation, 2 * TOLERANCE + 1)
    rows, columns = np.indices(peaks.shape)
    away = np.maximum(abs(rows - centre[0]), abs(columns - centre[1]))
    accident = peaks[(away >= NULL_FROM) & (away <= NULL_TO) & (overlap >= 0.5 * seen)]
    if len(accident) < 50:
        return None
    bound = float(np.percentile(accident, 95))
    return max(0.0, (float(peaks[centre]) - bound) / max(1e-6, 1 - bound))


def correlate_gradients(found: Plane, visible: Plane, wanted: Plane, support: Plane) -> tuple[Plane, Plane]:
    """(correlation in [-1, 1], pixels compared) for all displacements up to NULL_TO; the centre is none.

    Normalised cross-correlation of vector fields (C, H, W) under masks (H, W), by Fourier transforms:
    sum(s v f·w) / sqrt(sum(s v |f|²) sum(s v |w|²)), s and w fixed, v and f displaced.
    """
    height, width = support.shape
    padded = (fft.next_fast_len(height + NULL_TO), fft.next_fast_len(width + NULL_TO))

    def transform(planes: Plane) -> npt.NDArray[np.complex128]:
        return np.asarray(fft.rfft2(planes, padded, axes=(-2, -1)))

    def displace(spectrum: npt.NDArray[np.complex128]) -> Plane:
        values = fft.irfft2(spectrum, padded)
        rows = np.arange(-NULL_TO, NULL_TO + 1)
        return np.asarray(values[np.ix_(rows % padded[0], rows % padded[1])])

    seen, fixed = transform(visible), transform(support).conj()
    spectra = transform(found * visible) * transform(wanted * support).conj()
    product = displace(spectra.sum(axis=0))
    energy_found = displace(transform((found**2).sum(axis=0) * visible) * fixed)
    energy_wanted = displace(seen * transform((wanted**2).sum(axis=0) * support).conj())
    overlap = displace(seen * fixed)
    norm = np.sqrt(np.clip(energy_found, 0, None) * np.clip(energy_wanted, 0, None))
    return np.where(norm > 1e-6, product / np.maximum(norm, 1e-6), 0.0), overlap
