"""Which sets look like a background?  A table of described styles of every category, nearest first."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cyclorama.scenes.brand import Brand
from cyclorama.scenes.features import NETWORK, Description
from cyclorama.scenes.surface import Style

BANK = NETWORK.with_name("styles.npz")
DIMENSIONS = 96
"""Numbers that are left of a description's features."""
COLOURS_COUNT = 0.004
"""What a palette's root mean square distance of 1 (CIE76) counts beside the distance of features: little, as
a set takes on the reference's colours afterwards."""
_NUMBERS = ("layout", "key_side", "key_warmth", "key_strength", "fill")
_COLOURS = ("wall", "floor", "prop", "accent")


@dataclass(frozen=True)
class Bank:
    """N described styles: which set, which arrangement, which style, and how its empty set looks."""

    scenes: NDArray[np.str_]
    """Category whose set it is (N,)."""
    arrangements: NDArray[np.int64]
    """Number of the arrangement (N,)."""
    styles: NDArray[np.float16]
    """Four colours and five numbers of the style (N, 17)."""
    elements: NDArray[np.str_]
    """Names, ", " between them (N,)."""
    mean: NDArray[np.float16]
    """Of all features (F,)."""
    basis: NDArray[np.float16]
    """Directions (F, D) in which features differ most."""
    features: NDArray[np.float16]
    """Features in those directions (N, D)."""
    palettes: NDArray[np.float16]
    """(N, 16, 3), CIELAB."""

    def reduce(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Features (F,) in the bank's directions (D,)."""
        return np.asarray((features - self.mean.astype(np.float32)) @ self.basis.astype(np.float32))

    def measure(self, description: Description) -> NDArray[np.float32]:
        """Distance (N,) of every style to a background."""
        apart = np.linalg.norm(self.features - self.reduce(description.features), axis=1)
        return np.asarray(apart + COLOURS_COUNT * measure_palettes(self.palettes, description.palette))

    def get(self, number: int) -> Brand:
        """Style ``number`` as a brand."""
        values = [float(v) for v in self.styles[number]]
        colours = {name: tuple(values[3 * k : 3 * k + 3]) for k, name in enumerate(_COLOURS)}
        numbers = dict(zip(_NUMBERS, values[12:], strict=True))
        style = Style.model_validate(
            {
                **colours,
                **numbers,
                "layout": round(numbers["layout"]),
                "elements": tuple(filter(None, str(self.elements[number]).split(", "))),
            }
        )
        return Brand.of(style, str(self.scenes[number]), int(self.arrangements[number]))


def measure_palettes(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.float32]:
    """Root mean square CIE76 distance of palettes (..., 16, 3), patch by patch."""
    apart = first.astype(np.float32) - second.astype(np.float32)
    return np.asarray(np.sqrt((apart**2).sum(-1).mean(-1)))


def pack_style(style: Style) -> list[float]:
    """The numbers of ``style`` as a bank holds them."""
    colours = [channel for name in _COLOURS for channel in getattr(style, name)]
    return [*colours, *(float(getattr(style, name)) for name in _NUMBERS)]


def build_bank(brands: list[Brand], descriptions: list[Description], dimensions: int = DIMENSIONS) -> Bank:
    """The bank of ``brands`` and what their empty sets look like."""
    features = np.stack([d.features for d in descriptions])
    mean = features.mean(0)
    _, _, directions = np.linalg.svd(features - mean, full_matrices=False)
    basis = directions[:dimensions].T
    return Bank(
        np.array([b.scene for b in brands]),
        np.array([b.arrangement for b in brands]),
        np.array([pack_style(b.style) for b in brands], np.float16),
        np.array([", ".join(b.elements) for b in brands]),
        mean.astype(np.float16),
        basis.astype(np.float16),
        ((features - mean) @ basis).astype(np.float16),
        np.stack([d.palette for d in descriptions]).astype(np.float16),
    )


def save_bank(bank: Bank, path: Path) -> None:
    """Write ``bank`` as ``path``, npz."""
    np.savez_compressed(path, **vars(bank))


@cache
def load_bank(path: Path = BANK) -> Bank:
    """The bank in ``path``."""
    with np.load(path) as arrays:
        return Bank(**{name: arrays[name] for name in arrays.files})
