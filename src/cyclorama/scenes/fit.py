"""Which set is in the style of a reference?  The nearest of the bank, then its colours, light and camera.

Every candidate is drawn small without a product and compared with the reference as the bank was searched,
but for colours, which count more. The result depends on the reference and the product's category.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.cluster.vq import kmeans2
from skimage.color import rgb2lab

from cyclorama.prompts import GENERAL
from cyclorama.scenes.bank import Bank, load_bank, measure_palettes
from cyclorama.scenes.brand import Brand
from cyclorama.scenes.features import Description, describe_background, shrink
from cyclorama.scenes.grammar.reader import load_category
from cyclorama.scenes.look import to_colour
from cyclorama.scenes.model import set_empty
from cyclorama.scenes.render import from_linear, render_image, to_linear
from cyclorama.scenes.stage import Framing, SceneCategory
from cyclorama.scenes.surface import Colour

OTHER_CATEGORY = 0.15
"""What it counts against a set that it is not of the product's own category; none of the general one's is."""
COLOURS_COUNT = 0.015
"""What a palette's root mean square distance of 1 (CIE76) counts beside the distance of features."""
DRAWN, CORRECTED, REFINED = 5, 3, 2
"""How many styles of the bank are drawn, how many of them are corrected, and how many refined, at most."""
NEAR = 0.9
"""A style that is drawn and found this near ends the search."""
CLOSE = 0.2
"""What is farther than the best by more is given up: corrections seldom gain as much."""
SIZE, SAMPLES = 128, 2
"""Of a candidate's image, pixels and light samples."""
ARRANGEMENTS = 8
"""How many arrangements of the found style are drawn."""
FOREIGN = 25.0
"""What is this far from all of the reference's colours, lightness left out, is none of them (CIE76)."""
MAX_TILT = 15.0
"""Sets whose usual camera stands more than this above or below the category's own are left out, degrees."""
_SIDE = 64
_BRIGHTEST, _DARKEST = 0.95, 0.008
"""Of a colour's channels in linear light."""


@dataclass(frozen=True)
class Regions:
    """The colours of a background, CIELAB (3,) each: above and below where its ground begins, and others."""

    wall: NDArray[np.float64]
    floor: NDArray[np.float64]
    prop: NDArray[np.float64]
    accent: NDArray[np.float64]
    side: float
    """The clearly lighter side, -1 left or 1 right, or 0."""
    colours: NDArray[np.float64]
    """The middles of all that is seen, (N, 3)."""


def read_regions(pixels: NDArray[np.uint8], product_mask: NDArray[np.float32] | None = None) -> Regions:
    """The regions of ``pixels`` (H, W, 3); what ``product_mask`` (H, W) marks is left out.

    The ground begins where the image's rows change most; wall and floor are the middle colours above and
    below, prop and accent the image's further ones.
    """
    small, seen = shrink(pixels, product_mask, _SIDE)
    lab = rgb2lab(small / 255.0)
    known = np.flatnonzero(seen.any(1))
    middles = np.array([np.median(lab[row][seen[row]], axis=0) for row in known])
    rows = np.stack([np.interp(np.arange(_SIDE), known, middles[:, k]) for k in range(3)], 1)
    smooth = ndimage.gaussian_filter1d(rows, 1.5, axis=0)
    change = np.linalg.norm(smooth[2:] - smooth[:-2], axis=1)
    low, high = int(0.4 * _SIDE), int(0.85 * _SIDE)
    horizon = low + 1 + int(np.argmax(change[low:high]))
    above, below = lab[:horizon][seen[:horizon]], lab[horizon:][seen[horizon:]]
    if not len(above) or not len(below):
        above = below = lab[seen]
    wall, floor = np.median(above, axis=0), np.median(below, axis=0)
    centres = lab[seen] + np.random.default_rng(0).normal(
        0, 0.01, lab[seen].shape
    )  # flat ones are no centres
    centres, places = kmeans2(centres, 6, minit="++", seed=0)
    shares = np.bincount(places, minlength=len(centres)) / len(places)
    apart = np.minimum(np.linalg.norm(centres - wall, axis=1), np.linalg.norm(centres - floor, axis=1))
    chroma = np.hypot(centres[:, 1], centres[:, 2])
    prop = centres[int(np.argmax(shares * (apart + 5)))]
    accent = centres[int(np.argmax((chroma + 0.5 * apart) * (shares > 0.01)))]
    return Regions(wall, floor, prop, accent, _compare_sides(lab[..., 0], seen), centres[shares > 0.01])


def _compare_sides(lightness: NDArray[np.float64], seen: NDArray[np.bool_]) -> float:
    third = _SIDE // 3
    left, right = (lightness[:, part][seen[:, part]] for part in (slice(0, third), slice(-third, None)))
    if not len(left) or not len(right) or abs(right.mean() - left.mean()) < 6:
        return 0.0
    return float(np.sign(right.mean() - left.mean()))


@dataclass(frozen=True)
class Candidate:
    """A style and how far its empty set is from the reference."""

    brand: Brand
    distance: float
    """Of the set as drawn, and ``behind``."""
    regions: Regions
    behind: float
    """How much farther than the nearest of all the search found the bank's style from which this one began.

    It counts in full: small draws that are changed until they look like the reference mix up sets that the
    search tells apart.
    """


class _Fit:
    """One reference, and products of one category."""

    def __init__(
        self,
        category: SceneCategory,
        pixels: NDArray[np.uint8],
        product_mask: NDArray[np.float32] | None,
    ) -> None:
        self.category, self.bank = category, load_bank()
        self.wanted = describe_background(pixels, product_mask)
        self.regions = read_regions(pixels, product_mask)
        self._drawn: dict[Brand, tuple[float, Regions]] = {}

    def iterate_nearest(self) -> Iterator[tuple[Brand, float]]:
        """The bank's styles, nearest first, no two that differ in colours alone, and how far each is behind
        the nearest."""
        other = 0.0 if self.category.name == GENERAL else OTHER_CATEGORY
        cost = self.bank.measure(self.wanted) + other * (self.bank.scenes != self.category.name)
        found: set[tuple[object, ...]] = set()
        nearest = None
        for number in np.argsort(cost, kind="stable"):
            brand = self.bank.get(int(number))
            key = (brand.scene, brand.elements, brand.layout)
            if key not in found and self._may_be(load_category(str(brand.scene)).framing):
                found.add(key)
                nearest = cost[number] if nearest is None else nearest
                yield brand, float(cost[number] - nearest)

    def _may_be(self, framing: Framing) -> bool:
        """Whether the category's products may stand in a set that is framed so."""
        own = self.category.framing
        tilt = abs(sum(framing.elevation) - sum(own.elevation)) / 2
        return framing.room == own.room and tilt <= MAX_TILT

    def draw(self, brand: Brand, behind: float) -> Candidate:
        """``brand``'s empty set, compared."""
        if brand not in self._drawn:
            image = draw_empty(self.category, brand)
            distance = measure(self.bank, self.wanted, describe_background(image))
            self._drawn[brand] = distance, read_regions(image)
        distance, regions = self._drawn[brand]
        return Candidate(brand, distance + behind, regions, behind)

    def better(self, best: Candidate, *brands: Brand) -> Candidate:
        """The nearest of ``best`` and of the sets of ``brands``, which began where it did."""
        return _best(best, *(self.draw(brand, best.behind) for brand in brands))

    def start(self, brand: Brand, behind: float) -> Candidate:
        """A style of the bank as the product's category is seen, lit from the reference's side.

        Props and accent that have none of the reference's colours take one.
        """
        own = {name: getattr(brand, name) for name in ("props", "accent")}
        wanted = self.recolour(brand)
        brand = brand.replace(**{n: getattr(wanted, n) if self._is_foreign(c) else c for n, c in own.items()})
        light, side = brand.light, self.regions.side
        if side:
            light = light.replace(side=side * max(abs(light.side), 0.4))
        brand = brand.replace(light=light, elevation=sum(self.category.framing.elevation) / 2)
        return self.draw(brand, behind)

    def recolour(self, brand: Brand) -> Brand:
        """``brand`` with things in the reference's further colours."""
        regions = self.regions
        return brand.replace(props=to_colour(regions.prop), accent=to_colour(regions.accent))

    def _is_foreign(self, colour: Colour) -> bool:
        """Whether ``colour`` is none that the reference shows, be it lighter or darker."""
        apart = self.regions.colours[:, 1:] - rgb2lab(np.array(colour)[None, None])[0, 0, 1:]
        return bool(np.linalg.norm(apart, axis=1).min() > FOREIGN)

    def repaint(self, brand: Brand) -> Brand:
        """``brand`` with wall and floor of the reference's colours, whatever is seen of them."""
        regions = self.regions
        return brand.replace(wall=to_colour(regions.wall), floor=to_colour(regions.floor))

    def correct(self, candidate: Candidate) -> Brand:
        """The candidate's style, wall and floor by channel as much lighter or darker as they should be."""
        brand = candidate.brand
        changes = {}
        for name in ("wall", "floor"):
            wanted, found = (
                to_linear(np.array(to_colour(getattr(regions, name))))
                for regions in (self.regions, candidate.regions)
            )
            linear = to_linear(np.array(getattr(brand, name))) * (wanted + 0.01) / (found + 0.01)
            changes[name] = _to_srgb(linear)
        return brand.replace(**changes)


def lift(brand: Brand) -> list[Brand]:
    """``brand`` with its camera lower and higher."""
    rise = brand.elevation or 0.0
    return [brand.replace(elevation=e) for e in (max(2.0, 0.5 * rise), min(1.6 * rise, rise + MAX_TILT))]


def strengthen(brand: Brand) -> list[Brand]:
    """``brand`` with stronger and with weaker light."""
    light = brand.light
    changed = [light.replace(strength=min(f * light.strength, 3.0)) for f in (1.35, 0.74)]
    return [brand.replace(light=each) for each in changed]


def soften(brand: Brand) -> list[Brand]:
    """``brand`` with softer and with harder light."""
    light = brand.light
    changed = [light.replace(softness=min(f * light.softness, 3.0)) for f in (1.6, 0.62)]
    return [brand.replace(light=each) for each in changed]


def measure(bank: Bank, wanted: Description, found: Description) -> float:
    """The distance of two backgrounds; colours count more than in the search."""
    apart = np.linalg.norm(bank.reduce(wanted.features) - bank.reduce(found.features))
    return float(apart + COLOURS_COUNT * measure_palettes(wanted.palette, found.palette))


def draw_empty(
    category: SceneCategory, brand: Brand, size: int = SIZE, samples: int = SAMPLES
) -> NDArray[np.uint8]:
    """The set of ``brand`` for products of ``category``, without one, (size, size, 3)."""
    dressing = category if brand.scene is None else load_category(brand.scene)
    stage = set_empty(category, dressing, brand.arrangement or 0, brand.style, size, brand.elevation)
    return render_image(stage, size, samples, 0)


def fit_style(
    category: SceneCategory, pixels: NDArray[np.uint8], product_mask: NDArray[np.float32] | None = None
) -> Brand:
    """The style in which products of ``category`` stand as in the reference ``pixels`` (H, W, 3).

    ``product_mask`` (H, W), 1 = the reference's own product, is left out. Takes 17 to 36 small renders, the
    more the less like the bank's styles the reference is.
    """
    fit = _Fit(category, pixels, product_mask)
    drawn: list[Candidate] = []
    for brand, behind in islice(fit.iterate_nearest(), DRAWN):
        drawn.append(fit.start(brand, behind))
        if drawn[-1].distance <= NEAR:
            break
    corrected = [fit.better(c, fit.correct(c)) for c in _keep(drawn, CORRECTED)]
    return _rearrange(fit, _best(*(_refine(fit, c) for c in _keep(corrected, REFINED)))).brand


def _refine(fit: _Fit, best: Candidate) -> Candidate:
    for change in (fit.repaint, fit.recolour):
        best = fit.better(best, change(best.brand))
    best = fit.better(best, fit.correct(best))
    for vary in (lift, strengthen, soften):
        before = best
        for brand in vary(before.brand):
            best = fit.better(best, brand)
            if best is not before:
                break
    return fit.better(best, fit.correct(best))


def _rearrange(fit: _Fit, best: Candidate) -> Candidate:
    """The best of the set's arrangements: where its things stand."""
    others = set(range(ARRANGEMENTS)) - {best.brand.arrangement}
    best = fit.better(best, *(best.brand.replace(arrangement=n) for n in sorted(others)))
    return fit.better(best, fit.correct(best))


def _keep(candidates: list[Candidate], count: int) -> list[Candidate]:
    """The nearest, ``count`` at most, and none that is much farther than the first."""
    near = sorted(candidates, key=_distance)[:count]
    return [c for c in near if c.distance <= near[0].distance + CLOSE]


def _best(*candidates: Candidate) -> Candidate:
    return min(candidates, key=_distance)


def _distance(candidate: Candidate) -> float:
    return candidate.distance


def _to_srgb(linear: NDArray[np.float64]) -> Colour:
    """A colour that a surface can have, of linear light."""
    inside = np.clip(linear, _DARKEST, _BRIGHTEST)
    red, green, blue = from_linear(inside)
    return float(red), float(green), float(blue)
