"""Does a background have its reference's colours and features, and does it look like its category?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from cyclorama.errors import MissingImageError, SettingsError, TooFewImagesError
from cyclorama.evaluation.features import FeatureTable
from cyclorama.evaluation.resize import grow_mask
from cyclorama.imaging.colour import to_lab

if TYPE_CHECKING:
    import numpy.typing as npt

    from cyclorama.evaluation.features import CycloramaNetwork
    from cyclorama.types import Matte, Pixels

    Values = npt.NDArray[np.float64]

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
    palette: Values = np.quantile(projected, places, axis=0, method="hazen").T
    return palette


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
    own: Mapping[str, str], categories: Mapping[str, str], distances: Mapping[tuple[str, str], float]
) -> dict[str, float]:
    """For each image, the share of the other references that are farther than its own, by key.

    Ties count half; 0.5 is chance. ``own`` maps images to their references' keys, ``categories`` reference
    keys to categories, ``distances`` (image, reference) to a distance. Images whose category has no other
    reference are left out. Raises MissingImageError for a pair without distance.
    """
    result = {}
    for key, reference in own.items():
        rivals = list_rivals(reference, categories)
        try:
            mine = distances[key, reference]
            theirs = np.array([distances[key, rival] for rival in rivals])
        except KeyError as error:
            raise MissingImageError(f"no distance for the pair {error.args[0]}") from error
        if rivals:
            result[key] = float((theirs > mine).mean() + 0.5 * (theirs == mine).mean())
    return result


def list_rivals(reference: str, categories: Mapping[str, str]) -> list[str]:
    """The other references of the same category, sorted."""
    wanted = categories[reference]
    return sorted(name for name, category in categories.items() if category == wanted and name != reference)


def compute_category_hits(
    backgrounds: FeatureTable, categories: Mapping[str, str], network: CycloramaNetwork
) -> dict[str, tuple[bool, str, float]]:
    """(right, category said, its probability) of each image whose background the network names.

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
    probabilities = network.classify(backgrounds.select(known).values)
    best = probabilities.argmax(axis=1)
    return {
        key: (network.categories[n] == categories[key], network.categories[n], float(row[n]))
        for key, n, row in zip(known, best, probabilities)
    }
