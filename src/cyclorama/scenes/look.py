"""What in a cut-out decides how its set looks?  The side of its light, and colours beside which it shows."""

from __future__ import annotations

import colorsys
import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.color import lab2rgb, rgb2lab

from cyclorama.scenes.surface import Colour, Style

DISTINCT = 18.0
"""Least CIE76 distance between the product's rim and what is seen behind it."""
_BAND = 0.22
"""Share of a row's run that counts as its left or right side."""
_LEAST_SHADING = 0.10
"""Mean difference of log light between the two sides from which on one of them counts as the lit one."""
_AGREEING = 0.7
"""Share of the rows that must say the same."""
_LEAF, _LEAF_VALUE = (0.22, 0.44), 0.65
"""Hues of leaves, as shares of the circle, and their largest value."""
_NEAR_COLOUR = 0.035
"""Largest distance of chromaticity between both sides of a row for them to be of one material."""


def estimate_light_side(foreground: NDArray[np.uint8], matte: NDArray[np.float32]) -> float | None:
    """The side from which the photo's key light came, -1 left or 1 right, or None if it does not show.

    Compares light on the left and right side of every row in which both sides have one colour.
    """
    rows = np.flatnonzero((matte > 0.9).sum(1) >= 12)
    rows = rows[:: max(1, len(rows) // 160)]
    linear = (foreground.astype(np.float32) / 255) ** 2.2 + 1e-3
    shades = []
    for row in rows:
        columns = np.flatnonzero(matte[row] > 0.9)
        band = max(2, round(_BAND * len(columns)))
        left, right = (linear[row, part].mean(0) for part in (columns[1 : band + 1], columns[-band - 1 : -1]))
        if np.abs(left / left.sum() - right / right.sum()).max() <= _NEAR_COLOUR:
            shades.append(float(np.log(right.sum() / left.sum())))
    if len(shades) < 12:
        return None
    middle = float(np.median(shades))
    agreeing = float(np.mean(np.sign(shades) == np.sign(middle)))
    if abs(middle) < _LEAST_SHADING or agreeing < _AGREEING:
        return None
    return float(np.sign(middle))


def measure_rim(foreground: NDArray[np.uint8], matte: NDArray[np.float32]) -> NDArray[np.float64]:
    """CIELAB colours (N, 3) along the inner rim of the product's upper three quarters."""
    solid = matte > 0.9
    if not solid.any():  # translucent all over
        solid = matte > 0.9 * float(matte.max())
    width = max(2, round(0.03 * float(np.sqrt(solid.sum()))))
    rim = solid & ~ndimage.binary_erosion(solid, iterations=width)
    rows = np.flatnonzero(solid.any(1))
    rim[rows[0] + (rows[-1] - rows[0]) * 3 // 4 :] = False
    colours = foreground[rim] if rim.any() else foreground[solid]
    return np.asarray(rgb2lab(colours[:: max(1, len(colours) // 2000)] / 255.0))


def measure_contrast(rim: NDArray[np.float64], behind: NDArray[np.uint8]) -> float:
    """Median CIE76 distance of the ``rim``'s colours from the mean of the pixels ``behind`` it (N, 3)."""
    seen = rgb2lab(behind.reshape(-1, 3) / 255.0).mean(0)
    return float(np.median(np.linalg.norm(rim - seen, axis=1)))


_TINTED = 30.0
"""Chroma (CIELAB) up to which a wall that gets darker keeps its share of colour."""
_WALL_STEPS = ((14, 0), (26, 0), (-20, 0), (-34, 0), (20, 60), (-24, 180))
"""How other walls differ: in lightness, away from the rim's, and in hue, degrees."""


def list_walls(wall: Colour, rim: NDArray[np.float64]) -> list[Colour]:
    """Colours for a wall that shows the product, the nearest to ``wall`` first.

    Moved in lightness away from the rim's, then also in hue. A darker wall has as much more colour as it has
    less white, as the paints of one tint have: a pale peach one becomes peach, not grey.
    """
    lightness, a, b = rgb2lab(np.array(wall, np.float64))
    lighter = lightness >= float(np.median(rim[:, 0]))
    hue, chroma = np.arctan2(b, a), float(np.hypot(a, b))
    walls = []
    for away, turn in _WALL_STEPS:
        moved = float(np.clip(lightness + (away if lighter else -away), 8, 96))
        paint = chroma * (100 - moved) / max(100 - lightness, 4)
        strong, angle = max(chroma, min(paint, _TINTED)), hue + np.deg2rad(turn)
        walls.append(to_colour(np.array([moved, strong * np.cos(angle), strong * np.sin(angle)])))
    return walls


def choose_wall(
    wall: Colour, rim: NDArray[np.float64], see: Callable[[Colour], NDArray[np.uint8]]
) -> tuple[Colour, float]:
    """The first wall that shows the product, ``wall`` before others, and its contrast; else the best.

    ``see`` gives the pixels (N, 3) that are behind the product with a wall.
    """
    best, contrast = wall, -1.0
    for tried in dict.fromkeys([wall, *list_walls(wall, rim)]):
        found = measure_contrast(rim, see(tried))
        if found > contrast:
            best, contrast = tried, found
        if contrast >= DISTINCT:
            break
    return best, contrast


def relate_accent(style: Style, foreground: NDArray[np.uint8], matte: NDArray[np.float32]) -> Style:
    """``style`` with its accent's hue related to the product's: the same, its neighbour or its opposite.

    A leaf's green stays: many sets' plants have the accent's colour.
    """
    colours = foreground[matte > 0.9]
    hsv = [colorsys.rgb_to_hsv(*(c / 255.0)) for c in colours[:: max(1, len(colours) // 500)]]
    weights = np.array([s * v for _, s, v in hsv])
    if not len(hsv) or weights.mean() < 0.12:
        return style
    angles = np.exp(2j * np.pi * np.array([h for h, _, _ in hsv]))
    mean = (angles * weights).sum() / weights.sum()
    if abs(mean) < 0.5:  # many colours: none of them is the product's own
        return style
    own = float(np.angle(mean) / (2 * np.pi) % 1)
    hue, saturation, value = colorsys.rgb_to_hsv(*style.accent)
    apart = abs((hue - own + 0.5) % 1 - 0.5)
    leaf = _LEAF[0] <= hue <= _LEAF[1] and value <= _LEAF_VALUE
    if leaf or saturation < 0.1 or apart < 0.12 or apart > 0.42:
        return style
    nearest = own if apart < 0.25 else (own + 0.5) % 1
    return style.replace(accent=colorsys.hsv_to_rgb(nearest, saturation, value))


def to_colour(lab: NDArray[np.float64]) -> Colour:
    """The nearest colour of sRGB to ``lab`` (3,), CIELAB."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a colour that no screen shows is brought near
        rgb = np.clip(lab2rgb(lab), 0, 1)
    return float(rgb[0]), float(rgb[1]), float(rgb[2])
