"""Posters whose truth is known, and the faults that are planted into them (``inspection.py`` says which)."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.color import lab2rgb

from cyclorama.generation.scenes import fit_cutout
from cyclorama.imaging.colour import to_lab
from cyclorama.imaging.layout import Rectangle, find_box, place_in_box
from cyclorama.imaging.product import Product
from cyclorama.layout.elements import Box, PosterLayout, compute_area
from cyclorama.posters import drawing
from cyclorama.posters.drawing import DrawnPoster, draw_poster
from cyclorama.posters.maker import find_calm, place
from cyclorama.posters.planning import PlanRequest, plan_poster
from cyclorama.posters.words import PosterBrand, Wording
from cyclorama.scenes.canvas import fit_canvas
from cyclorama.scenes.compose import derive, list_held_out
from cyclorama.scenes.items import render_cutout
from cyclorama.scenes.library import BUILT_IN
from cyclorama.scenes.look import measure_rim
from cyclorama.scenes.model import CutOut, find_surroundings, set_stage
from cyclorama.scenes.render import clear_view, render_light, tone_map
from cyclorama.types import Pixels
from cyclorama.typography.contrast import (
    Legible,
    choose_limit,
    compute_ratio,
    get_luminance,
    measure_contrast,
)
from cyclorama.typography.drawing import draw_text

CANVASES = ((288, 288), (360, 288), (384, 288), (224, 400))
WORDS: tuple[Wording, ...] = (
    {"headline": "Slow evenings", "price": "€ 59"},
    {"headline": "Made to stay", "subline": "Drawn, lit and set without a studio", "action": "See more"},
    {"headline": "New"},
    {"headline": "Forty years of comfort", "subline": "Made in one piece", "price": "from € 749"},
)
FLOOR = 1e-3
STRENGTHS: dict[str, tuple[float, ...]] = {
    "clean": (0.0,),
    "floating": (0.03, 0.08, 0.2),
    "sunk": (0.03, 0.08, 0.2),
    "large": (0.6, 0.5, 0.4),
    "small": (1.7, 2.0, 2.5),
    "indistinct": (8.0, 5.0, 2.0),
    "cropped": (0.03, 0.08, 0.2),
    "unreadable": (0.9, 0.7, 0.5),
    "text_on_product": (0.003, 0.01, 0.05),
    "crowded": (0.76, 0.85, 0.95),
}
"""From faint to plain."""


@dataclass(frozen=True, eq=False)
class Case:
    """A product, its layout and its set."""

    name: str
    category: str
    seed: int
    product: Product
    """As cut out."""
    layout: PosterLayout
    words: Wording

    def stand(self, box: Box, scale: float = 1.0) -> Product:
        """The product in ``box``, ``scale`` times as large about the middle of its lower edge."""
        layout = self.layout
        height, width = layout.height, layout.width
        standing, _ = place(self.product, set_box(layout, "product", box))
        found = find_box(standing.matte)
        tall, wide = max(1, round(found.height * scale)), max(1, round(found.width * scale))
        left = round(found.left + (found.width - wide) / 2)
        top = found.top + found.height - tall
        if scale == 1:
            return standing
        return place_in_box(self.product, (height, width), Rectangle(top, left, tall, wide))

    def light(self, product: Product) -> tuple[Pixels, Pixels]:
        """The set drawn for ``product``: with what it changes, also where it hides that; and empty."""
        cutout = fit_cutout(product, 512)
        setting = set_stage(cutout, BUILT_IN.load(self.category), self.seed)
        stage = fit_canvas(setting.stage, find_calm(self.layout))
        clear_view(stage, setting.solid)
        size = max(cutout.canvas)
        full = render_light(stage, size, 4, self.seed)
        empty = render_light(replace(stage, product=[]), size, 4, self.seed)
        return tone_map(_uncover(full, empty, cutout), stage.exposure), tone_map(empty, stage.exposure)


def _uncover(full: NDArray[np.float32], empty: NDArray[np.float32], cutout: CutOut) -> NDArray[np.float32]:
    ratio = (full + FLOOR) / (empty + FLOOR)
    hidden = ndimage.binary_dilation(cutout.matte > 0, iterations=2)
    nearest = ndimage.distance_transform_edt(hidden, return_distances=False, return_indices=True)
    return np.where(hidden[..., None], empty * ratio[tuple(nearest)], full)


def set_box(layout: PosterLayout, name: str, box: Box) -> PosterLayout:
    """``layout`` with another box of one element, kept on the canvas."""
    left, top, right, bottom = (min(1.0, max(0.0, value)) for value in box)
    elements = tuple(
        element.model_copy(update={"box": (left, top, right, bottom)}) if element.id == name else element
        for element in layout.elements
    )
    return layout.model_copy(update={"elements": elements})


def find_element(layout: PosterLayout, name: str) -> Box:
    """The box of an element."""
    return next(element.box for element in layout.elements if element.id == name)


def build_case(category: str, turn: int, index: int) -> Case:
    """Held-out product ``turn`` of a category, planned."""
    number = list_held_out(category)[turn]
    cut = render_cutout(BUILT_IN.load(category), number, 256, 4)
    name = f"{category} {number}"
    product = Product.from_image(cut, name=name)
    canvas, words = CANVASES[(index + turn) % 4], WORDS[(index + 2 * turn) % 4]
    request = PlanRequest(product, canvas, {"en": words}, PosterBrand())
    seed = derive("inspection", name) % 2**31
    return Case(name, category, seed, product, plan_poster(request, "rules", 1, seed)[0], words)


Planted = tuple[str, float, DrawnPoster, Product, PosterLayout, Pixels]


def plant(case: Case) -> Iterator[Planted]:
    """(fault, strength, poster, product, layout, empty set) of a case; what has no room is left out."""
    layout, own = case.layout, find_element(case.layout, "product")
    standing = case.stand(own)
    ground, empty = case.light(standing)
    box, (height, width) = find_box(standing.matte), standing.size

    def draw(product: Product, where: PosterLayout = layout, below: Pixels = ground) -> tuple[Any, ...]:
        poster = draw_poster(below, product, where, case.words, "en", PosterBrand())
        return poster, product, where, empty

    clean = draw(standing)[0]
    yield ("clean", 0.0, clean, standing, layout, empty)
    for fault, sign in (("floating", -1), ("sunk", 1)):
        for strength in STRENGTHS[fault]:
            shift = sign * max(1, round(strength * box.height))
            if box.top + shift > 0 and box.top + box.height + shift < height:
                yield (fault, strength, *draw(_shift(standing, shift, 0)))
    for strength in STRENGTHS["small"]:
        yield ("small", strength, *draw(case.stand(own, 1 / strength)))
    number = case.seed % 3
    strength = STRENGTHS["large"][number]
    small = set_box(layout, "product", _scale_box(own, strength))
    below, _ = case.light(case.stand(find_element(small, "product")))
    yield ("large", strength, *draw(standing, small, below))
    for strength in STRENGTHS["indistinct"]:
        below = _recolour(ground, standing, strength, case.seed)
        yield ("indistinct", strength, *draw(standing, layout, below))
    side = 1 if box.left + box.width / 2 > width / 2 else -1
    for strength in STRENGTHS["cropped"]:
        over = round(strength * box.width)
        shift = width - box.left - box.width + over if side > 0 else -box.left - over
        moved = set_box(layout, "product", (own[0] + shift / width, own[1], own[2] + shift / width, own[3]))
        yield ("cropped", strength, *draw(_shift(standing, 0, shift), moved, np.roll(ground, shift, 1)))
    for strength in STRENGTHS["unreadable"]:
        yield ("unreadable", strength, *_dim(strength, case.seed, draw, standing))
    for strength in STRENGTHS["text_on_product"]:
        found = _cover(layout, clean, standing, strength)
        if found is not None:
            yield ("text_on_product", strength, *draw(standing, found))
    for strength in STRENGTHS["crowded"]:
        yield ("crowded", strength, *draw(standing, _crowd(layout, strength)))


def _shift(product: Product, down: int, right: int) -> Product:
    """Moved by whole pixels; what leaves the canvas is gone."""
    height, width = product.size

    def move(plane: NDArray[Any]) -> NDArray[Any]:
        moved = np.zeros_like(plane)
        target = np.s_[max(0, down) : height + min(0, down), max(0, right) : width + min(0, right)]
        source = np.s_[max(0, -down) : height - max(0, down), max(0, -right) : width - max(0, right)]
        moved[target] = plane[source]
        return moved

    return product.derive(
        pixels=move(product.pixels), matte=move(product.matte), foreground=move(product.foreground)
    )


def _scale_box(box: Box, scale: float) -> Box:
    """About the middle of the lower edge."""
    middle, half, tall = (box[0] + box[2]) / 2, (box[2] - box[0]) / 2 * scale, (box[3] - box[1]) * scale
    return middle - half, box[3] - tall, middle + half, box[3]


def _recolour(ground: Pixels, product: Product, distance: float, seed: int) -> Pixels:
    """``ground`` with its colours moved, so that the mean of what is behind the product is ``distance`` from
    the colour that is most common along its rim."""
    chance = np.random.default_rng(seed).normal(size=3)
    behind = to_lab(find_surroundings(ground, product.matte)[:, None])[:, 0].mean(0)
    own = _find_common(measure_rim(product.foreground, product.matte))
    moved = to_lab(ground) + own + distance * chance / np.linalg.norm(chance) - behind
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # colours that no screen shows are brought near
        pixels: Pixels = np.rint(255 * np.clip(lab2rgb(moved), 0, 1)).astype(np.uint8)
    return pixels


def _find_common(colours: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of the colours (N, 3) within 10 of the one that has most others so near."""
    some = colours[:: max(1, len(colours) // 400)]
    near = np.linalg.norm(some[:, None] - some[None], axis=2) < 10
    return np.asarray(some[near[near.sum(1).argmax()]].mean(0))


def _dim(share: float, seed: int, draw: Callable[..., Any], product: Product) -> Any:
    """One text in a grey whose contrast to the mean of its ground is ``share`` of the limit."""
    whole = drawing._write
    names: list[str] = []

    def write(ground: Pixels, element: Any, text: Any, colours: Any) -> Legible:
        names.append(element.id)
        if len(names) != 1:
            return whole(ground, element, text, colours)
        canvas = ground.shape[0], ground.shape[1]
        limit = choose_limit(text, min(canvas))
        rows, columns = (
            slice(round(element.box[k] * side), round(element.box[k + 2] * side) + 1)
            for k, side in ((1, canvas[0]), (0, canvas[1]))
        )
        mean = float(get_luminance(ground[rows, columns]).mean())
        greys = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, 1)
        ratios = compute_ratio(get_luminance(greys), mean)
        level = int(np.argmin(np.abs(ratios - max(1.0, share * limit))))
        colour = (level, level, level)
        behind = np.zeros(canvas, bool)
        left, top, right, bottom = (round(value) for value in text.ink)
        behind[max(top, 0) : bottom, max(left, 0) : right] = True
        ratio = measure_contrast(ground, behind, colour)
        return Legible((draw_text(text, colour, canvas),), colour, ratio, limit, "none", 0.0)

    drawing._write = write
    try:
        return draw(product)
    finally:
        drawing._write = whole


def _cover(layout: PosterLayout, clean: DrawnPoster, product: Product, share: float) -> PosterLayout | None:
    """The headline moved towards the product until its letters lie on ``share`` of it."""
    seen, (height, width) = product.matte >= 0.05, product.size
    letters, box = clean.above[0].expand((height, width))[..., 3] > 0, find_box(product.matte)
    left, top, right, bottom = find_element(layout, "headline")
    wide, high = right - left, bottom - top
    target = (
        min(max((box.left + box.width / 2) / width - wide / 2, 0), 1 - wide),
        min(max((box.top + box.height / 2) / height - high / 2, 0), 1 - high),
    )
    for step in np.linspace(0, 1, 100):
        x, y = left + step * (target[0] - left), top + step * (target[1] - top)
        moved = np.roll(letters, (round((y - top) * height), round((x - left) * width)), (0, 1))
        if (moved & seen).sum() >= share * seen.sum():
            return set_box(layout, "headline", (x, y, x + wide, y + high))
    return None


def _crowd(layout: PosterLayout, used: float) -> PosterLayout:
    """All boxes larger about their middles, until they take ``used`` of the canvas."""
    for factor in np.linspace(1, 8, 400):
        grown = layout
        for element in layout.select("product", "text"):
            left, top, right, bottom = element.box
            x, y, wide, high = (left + right) / 2, (top + bottom) / 2, right - left, bottom - top
            box = (x - wide * factor / 2, y - high * factor / 2, x + wide * factor / 2, y + high * factor / 2)
            grown = set_box(grown, element.id, box)
        if sum(compute_area(element.box) for element in grown.select("product", "text")) >= used:
            break
    return grown
