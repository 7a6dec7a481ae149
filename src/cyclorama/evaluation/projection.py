"""Do images of one category lie together?  Compactness in feature space, and a map to look at."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageColor, ImageDraw

from cyclorama.errors import MissingImageError, TooFewImagesError
from cyclorama.evaluation.features import FeatureTable

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Compactness:
    """One category's spread."""

    count: int
    within: float
    """Mean distance of its images to their centre."""
    nearest: str
    """The category whose centre is nearest to its own."""
    between: float
    """Distance of these two centres."""
    nearest_centre_share: float
    """Share of its images whose nearest centre is its own (each left out of that centre)."""

    @property
    def ratio(self) -> float:
        """``within`` / ``between``; small = compact and apart."""
        return self.within / self.between if self.between > 0 else float("inf")


def compute_compactness(table: FeatureTable, categories: Mapping[str, str]) -> dict[str, Compactness]:
    """The spread of each category, by name; Euclidean distances of features scaled to length 1.

    Raises MissingImageError (an image without category), TooFewImagesError (fewer than two categories,
    or one image of a category), DataError (features of length 0).
    """
    for key in table.keys:
        if key not in categories:
            raise MissingImageError(f"{key!r} has no category; give a manifest or shards that name it")
    values = table.normalise()
    labels, places = np.unique([categories[key] for key in table.keys], return_inverse=True)
    counts = np.bincount(places)
    if len(labels) < 2 or counts.min() < 2:
        raise TooFewImagesError(
            "compactness needs two categories of two images; got "
            f"{dict(zip(labels.tolist(), counts.tolist()))}"
        )
    sums = np.zeros((len(labels), values.shape[1]))
    np.add.at(sums, places, values)
    centres = sums / counts[:, None]
    to_centres = np.linalg.norm(values[:, None] - centres[None], axis=2)
    rows = np.arange(len(values))
    left_out = (sums[places] - values) / (counts[places] - 1)[:, None]
    compared = to_centres.copy()
    compared[rows, places] = np.linalg.norm(values - left_out, axis=1)
    own = compared.argmin(axis=1) == places
    apart = np.linalg.norm(centres[:, None] - centres[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    return {
        str(label): Compactness(
            int(counts[n]),
            float(to_centres[places == n, n].mean()),
            str(labels[apart[n].argmin()]),
            float(apart[n].min()),
            float(own[places == n].mean()),
        )
        for n, label in enumerate(labels)
    }


def project(table: FeatureTable, seed: int = 0) -> tuple[Values, str]:
    """(places float64 (N, 2), name of the method) on a plane: t-SNE if scikit-learn is there, else PCA."""
    values = table.normalise()
    values = values - values.mean(axis=0)
    left, scales, _ = np.linalg.svd(values, full_matrices=False)
    flat: Values = np.zeros((len(values), 2))
    flat[:, : min(2, len(scales))] = (left * scales)[:, :2]
    try:
        manifold = import_module("sklearn.manifold")
    except ImportError:
        return flat, "PCA"
    if len(values) < 8:
        return flat, "PCA"
    perplexity = min(30.0, (len(values) - 1) / 3)
    start = flat / max(float(flat[:, 0].std()), 1e-12) * 1e-4
    engine = manifold.TSNE(2, perplexity=perplexity, init=start, random_state=seed, learning_rate="auto")
    places: Values = engine.fit_transform(values).astype(np.float64)
    return places, "t-SNE"


def draw_projection(places: Values, names: list[str], side: int = 640) -> bytes:
    """A PNG of the points ``places`` (N, 2), a colour per name, with a legend below."""
    labels = sorted(set(names))
    legend = 18 * ((len(labels) + 2) // 3) + 12
    image = Image.new("RGB", (side, side + legend), (255, 255, 255))
    pen = ImageDraw.Draw(image)
    span = np.maximum(np.ptp(places, axis=0), 1e-9)
    for (x, y), name in zip((places - places.min(axis=0)) / span * (side - 40) + 20, names):
        pen.ellipse(
            (x - 4, y - 4, x + 4, y + 4), fill=_get_colour(labels.index(name)), outline=(255, 255, 255)
        )
    for number, label in enumerate(labels):
        x, y = 12 + (number % 3) * (side // 3), side + 6 + 18 * (number // 3)
        pen.ellipse((x, y + 2, x + 8, y + 10), fill=_get_colour(number))
        pen.text((x + 14, y), label[:28], fill=(30, 30, 30))
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def _get_colour(number: int) -> tuple[int, ...]:
    """A hue of its own for any number: steps of the golden angle."""
    return ImageColor.getrgb(f"hsl({137.5 * number % 360:g}, 65%, 50%)")
