"""Draws a planned poster on its background: panel, scrims, product, logo, words, each a layer of its own.

Everything that changes the background lies below the product, so its pixels stay what they are; words stand
above it, on places that its silhouette leaves free.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
from PIL import Image

from cyclorama.imaging.colour import to_lab
from cyclorama.imaging.compositing import composite, compute_product_report
from cyclorama.imaging.product import Product
from cyclorama.layout.elements import Box, Element, PosterLayout, compute_hull, find_leading, find_stacks
from cyclorama.posters.record import TextProof
from cyclorama.posters.words import RGB, PosterBrand, Wording, build_block, runs_from_right
from cyclorama.types import Pixels, ProductReport
from cyclorama.typography.contrast import (
    Legible,
    choose_limit,
    compute_ratio,
    draw_plate,
    find_behind,
    get_luminance,
    make_legible,
    measure_contrast,
)
from cyclorama.typography.drawing import Patch, draw_text, lay_over, write_svg
from cyclorama.typography.fitting import SetText, fit_text
from cyclorama.typography.proof import read_back

BLACK, WHITE = (0, 0, 0), (255, 255, 255)
INK, PAPER = 16.0, 97.0
"""Lightness (L*) of dark and light words; both take a trace of the background's hue."""
PANEL_DARK, PANEL_LIGHT = 22.0, 93.0
BRIGHT = 80.0
"""Lightness of an accent on a dark ground."""
DEEP, YELLOW = (35.0, 48.0), (74.0, 84.0)
"""Least and largest lightness of an accent, and of a yellow one, which is olive where it is deep."""
YELLOW_HUES = (70.0, 115.0)
"""Degrees of CIELAB's hue."""
APART = 35.0
"""CIE76 distance from its ground from which on a button shows."""
STEP, SAME_HUE, COLOURED = 35.0, 30.0, 15.0
"""Least difference in lightness (L*) of a price in the accent; degrees within which two hues are one; chroma
from which on a colour has a hue."""
DARK = 62.0
"""Grounds darker than this (L*) take light words and dark panels."""


@dataclass(frozen=True, eq=False)
class DrawnPoster:
    """A poster's pixels and what it is made of."""

    pixels: Pixels
    background: Pixels
    """Without product, panel and words."""
    below: tuple[Patch, ...]
    """Panel and scrims, lowest first."""
    above: tuple[Patch, ...]
    """Logo and words."""
    texts: tuple[tuple[SetText, RGB], ...]
    proofs: tuple[TextProof, ...]
    report: ProductReport


def draw_poster(
    background: Pixels,
    product: Product,
    layout: PosterLayout,
    wording: Wording,
    language: str,
    brand: PosterBrand,
    logo: npt.NDArray[np.uint8] | None = None,
) -> DrawnPoster:
    """``wording`` on ``background`` (H, W, 3) with ``product`` on the same canvas, as ``layout`` says.

    Raises typography's errors: a letter without a font, words that do not fit their box, a contrast that
    nothing reaches. Invariant: where the product is opaque, the poster is the product bit for bit.
    """
    canvas = product.size
    panel = [_draw_panel(background, element, brand, canvas) for element in layout.select("underlay")]
    ground = lay_over(background, panel)
    below, above, proofs, texts = list(panel), [], [], []
    for element in layout.select("logo"):
        if logo is not None:
            above.append(_draw_logo(logo, element.box, canvas))
    accent = brand.accent or find_accent(product)
    fitted = set_texts(layout, wording, language, brand, canvas)
    colours = _choose_colours(ground, fitted, accent, brand)
    for element, text in fitted:
        if element.role == "action":
            fill = _choose_fill(accent, _find_mean(ground, element.box))
            legible = _draw_button(text, _to_pixels(element.box, canvas), fill, canvas)
        else:
            legible = _write(ground, element, text, colours[element.id])
        *veils, letters = legible.patches
        below += veils
        ground = lay_over(ground, veils)
        above.append(letters)
        texts.append((text, legible.colour))
        proofs.append(_prove(element, text, legible, canvas))
    flat = composite(ground, product)
    pixels = lay_over(flat, above)
    report = compute_product_report(pixels, product)
    return DrawnPoster(pixels, background, tuple(below), tuple(above), tuple(texts), tuple(proofs), report)


def set_texts(
    layout: PosterLayout, wording: Wording, language: str, brand: PosterBrand, canvas: tuple[int, int]
) -> list[tuple[Element, SetText]]:
    """Every text fitted into its box, in the order of the wording."""
    found = []
    texts = layout.select("text")
    if runs_from_right(language):
        texts = [_turn(text, stack) for stack in find_stacks(texts) for text in stack]
    for element in sorted(texts, key=lambda one: list(wording).index(one.id)):
        assert element.role is not None
        align = "center" if element.role == "action" else element.align  # in the middle of its button
        size = element.find_em(canvas[0])
        block = build_block(element.role, wording[element.id], language, brand, align, size)
        found.append((element, fit_text(block, _to_pixels(element.box, canvas), canvas)))
    return found


def _turn(text: Element, stack: Sequence[Element]) -> Element:
    """A text of a stack that keeps to the left, at the stack's right side instead."""
    if text.align != "left":
        return text
    left, top, right, bottom = text.box
    edge = compute_hull([one.box for one in stack])[2]
    return text.model_copy(update={"box": (edge - (right - left), top, edge, bottom), "align": "right"})


def _write(ground: Pixels, element: Element, text: SetText, colours: list[RGB]) -> Legible:
    """A text in the first colour that can be read, or in the last with a remedy that suits its ground.

    Never dark words on a pale veil before a dark ground, or the other way round: these stand on a plate of
    the ground's own kind.
    """
    for colour in colours[:-1]:
        legible = make_legible(ground, text, [colour], strict=True)
        if legible.remedy == "none":
            return legible
    legible = make_legible(ground, text, colours[-1:], strict=True)
    mean = _find_mean(ground, element.box)
    dark = mean[0] < DARK
    if legible.remedy == "none" or (
        legible.remedy == "scrim" and (float(get_luminance(legible.colour)) > 0.18) == dark
    ):
        return legible
    canvas = (ground.shape[0], ground.shape[1])
    for under in (_tint(PANEL_DARK, mean, 0.8), _tint(PANEL_LIGHT, mean, 0.8)):
        ratio = float(compute_ratio(get_luminance(colours[-1]), get_luminance(under)))
        if ratio >= legible.limit:
            patches = (draw_plate(text, under, canvas), draw_text(text, colours[-1], canvas))
            return Legible(patches, colours[-1], ratio, legible.limit, "plate", 1.0)
    return legible


def _choose_colours(
    ground: Pixels, texts: Sequence[tuple[Element, SetText]], accent: RGB, brand: PosterBrand
) -> dict[str, list[RGB]]:
    """For each text its colours, preferred first; the last is that of its whole stack.

    A stack has one colour: the first of the brand's, ink and paper that can be read in all of it, or the one
    that comes nearest. A price takes the accent where that can be read and stands out.
    """
    canvas = (ground.shape[0], ground.shape[1])
    found: dict[str, list[RGB]] = {}
    fitted = {element.id: text for element, text in texts}
    for stack in find_stacks([element for element, _ in texts if element.role != "action"]):
        means = [_find_mean(ground, element.box) for element in stack]
        mean = np.mean(means, axis=0)
        ink, paper = _tint(INK, mean, 0.5), _tint(PAPER, mean, 0.15)
        tried = [
            *brand.colours,
            *([paper, ink, WHITE, BLACK] if mean[0] < DARK else [ink, paper, BLACK, WHITE]),
        ]
        behind = [
            (find_behind(fitted[element.id], canvas), choose_limit(fitted[element.id], min(canvas)))
            for element in stack
        ]
        margins = [
            min(measure_contrast(ground, pixels, colour) / limit for pixels, limit in behind)
            for colour in tried
        ]
        enough = [colour for colour, margin in zip(tried, margins, strict=True) if margin >= 1]
        own = enough[0] if enough else tried[int(np.argmax(margins))]
        for element, place in zip(stack, means, strict=True):
            tone = accent if brand.accent is not None or place[0] >= DARK else _lighten(accent)
            first = [tone] if element.role == "price" and _stands_out(tone, place) else []
            found[element.id] = [*first, own]
    return found


def find_accent(product: Product) -> RGB:
    """The product's most lively colour, deep enough for words unless it is yellow; a plain dark one if it has
    none."""
    seen = product.foreground[product.matte > 0.9]
    if len(seen) == 0:
        return (40, 40, 44)
    seen = seen[:: max(1, len(seen) // 4000)]
    lab = to_lab(seen[:, None])[:, 0].astype(float)
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    lively = chroma >= max(28.0, float(np.quantile(chroma, 0.9)))
    if lively.mean() < 0.01 or not lively.any():
        return (40, 40, 44)
    hue = np.median(lab[lively], axis=0)
    degrees = math.degrees(math.atan2(hue[2], hue[1]))
    low, high = YELLOW if YELLOW_HUES[0] <= degrees <= YELLOW_HUES[1] else DEEP
    return _from_lab(np.array([min(max(hue[0], low), high), hue[1], hue[2]]))


def _draw_panel(background: Pixels, element: Element, brand: PosterBrand, canvas: tuple[int, int]) -> Patch:
    left, top, right, bottom = (round(value) for value in _to_pixels(element.box, canvas))
    colour = brand.panel
    if colour is None:
        mean = to_lab(background.reshape(-1, 1, 3)[::97]).reshape(-1, 3).mean(0)
        colour = _tint(PANEL_DARK if mean[0] < DARK else PANEL_LIGHT, mean, 0.8)
    rgba = np.empty((bottom - top, right - left, 4), np.uint8)
    rgba[...] = (*colour, 255)
    return Patch("Panel", left, top, rgba)


def _draw_logo(logo: npt.NDArray[np.uint8], box: Box, canvas: tuple[int, int]) -> Patch:
    left, top, right, bottom = (round(value) for value in _to_pixels(box, canvas))
    size = (max(1, right - left), max(1, bottom - top))
    small = Image.fromarray(logo).convert("RGBa").resize(size, Image.Resampling.LANCZOS).convert("RGBA")
    return Patch("Logo", left, top, np.asarray(small))


def _choose_fill(accent: RGB, mean: npt.NDArray[np.float64]) -> RGB:
    """A button's colour on a ground of ``mean`` (L*a*b*): the accent, or what shows where that does not."""
    plain = _tint(PAPER if mean[0] < DARK else INK, mean, 0.5)
    return next((tone for tone in (accent, _lighten(accent)) if _measure_apart(tone, mean) >= APART), plain)


def _draw_button(
    text: SetText, box: tuple[float, float, float, float], accent: RGB, canvas: tuple[int, int]
) -> Legible:
    """An action on its button, in white or black."""
    limit = choose_limit(text, min(canvas))
    ratios = {
        colour: float(compute_ratio(get_luminance(colour), get_luminance(accent)))
        for colour in (WHITE, BLACK)
    }
    colour = next(
        (one for one, ratio in ratios.items() if ratio >= limit), max(ratios, key=lambda k: ratios[k])
    )
    patches = (_draw_pill(text, box, accent, canvas), draw_text(text, colour, canvas))
    return Legible(patches, colour, ratios[colour], limit, "plate", 1.0)


def _draw_pill(
    text: SetText, box: tuple[float, float, float, float], colour: RGB, canvas: tuple[int, int]
) -> Patch:
    """A button that fills its box, with round ends."""
    radius = min(find_leading("action") * text.size, box[3] - box[1]) / 2
    left, top = max(0, math.floor(box[0])), max(0, math.floor(box[1]))
    right, bottom = min(canvas[1], math.ceil(box[2])), min(canvas[0], math.ceil(box[3]))
    x, y = np.arange(left, right) + 0.5, np.arange(top, bottom) + 0.5
    across = np.maximum(np.maximum(box[0] + radius - x, x - box[2] + radius), 0)
    down = np.maximum(np.maximum(box[1] + radius - y, y - box[3] + radius), 0)
    inside = radius - np.hypot(across[None, :], down[:, None])
    alpha = np.rint(255 * np.clip(inside + 0.5, 0, 1)).astype(np.uint8)
    rgba = np.dstack([np.broadcast_to(np.array(colour, np.uint8), (*alpha.shape, 3)), alpha])
    rgba[alpha == 0] = 0
    return Patch("Button", left, top, rgba)


def _prove(element: Element, text: SetText, legible: Legible, canvas: tuple[int, int]) -> TextProof:
    left, top, right, bottom = text.ink
    height, width = canvas
    return TextProof(
        id=element.id,
        words=read_back(text.lines, text.block.text),
        size=text.size,
        lines=len(text.lines),
        fonts=text.fonts,
        colour=legible.colour,
        contrast=round(legible.ratio, 3),
        limit=legible.limit,
        remedy=legible.remedy,
        place=(left / width, top / height, right / width, bottom / height),
    )


def draw_svg(drawn: DrawnPoster, image: str) -> str:
    """An SVG: ``image`` (a file beside it, the poster without its words) and the words' outlines above it."""
    height, width = drawn.pixels.shape[:2]
    groups = "".join(write_svg(text, colour) for text, colour in drawn.texts)
    size = f'width="{width}" height="{height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {size}>'
    return f'{head}<image href="{quote(image)}" {size}/>{groups}</svg>\n'


def list_layers(drawn: DrawnPoster, product: Product) -> list[tuple[str, npt.NDArray[np.uint8]]]:
    """(name, RGBA (H, W, 4)) from below; one above the other they are the poster."""
    canvas = product.size
    opaque = np.full((*canvas, 1), 255, np.uint8)
    colours = np.where((product.matte >= 1)[..., None], product.pixels, product.foreground)
    alpha = np.rint(product.matte * 255).astype(np.uint8)
    colours = np.where(alpha[..., None] > 0, colours, 0).astype(np.uint8)
    return [
        ("Background", np.concatenate([drawn.background, opaque], 2)),
        *((patch.name, patch.expand(canvas)) for patch in drawn.below),
        ("Product", np.dstack([colours, alpha])),
        *((patch.name, patch.expand(canvas)) for patch in drawn.above),
    ]


def _find_mean(ground: Pixels, box: Box) -> npt.NDArray[np.float64]:
    """Mean L*a*b* in a box."""
    return np.asarray(to_lab(_cut(ground, box)).reshape(-1, 3).mean(0), np.float64)


def _stands_out(colour: RGB, mean: npt.NDArray[np.float64]) -> bool:
    """Whether a price shows in ``colour`` on ``mean`` (L*a*b*): far from it, lighter or darker, and on a
    light ground of another hue."""
    lab = to_lab(np.array([[colour]], np.uint8))[0, 0].astype(float)
    if _measure_apart(colour, mean) <= 45 or abs(lab[0] - mean[0]) < STEP:
        return False
    turned = math.degrees(math.atan2(lab[2], lab[1]) - math.atan2(mean[2], mean[1]))
    like = (
        abs((turned + 180) % 360 - 180) < SAME_HUE and min(np.hypot(*lab[1:]), np.hypot(*mean[1:])) > COLOURED
    )
    return mean[0] < DARK or not like


def _measure_apart(colour: RGB, mean: npt.NDArray[np.float64]) -> float:
    return float(np.linalg.norm(to_lab(np.array([[colour]], np.uint8))[0, 0] - mean))


def _lighten(colour: RGB) -> RGB:
    """The same hue for a dark ground."""
    lab = to_lab(np.array([[colour]], np.uint8))[0, 0].astype(float)
    return _from_lab(np.array([BRIGHT, lab[1], lab[2]]))


def _tint(lightness: float, towards: npt.NDArray[np.float64], share: float) -> RGB:
    """A colour of ``lightness`` with a share of the hue of ``towards`` (L*a*b*)."""
    a, b = towards[1:] * share
    chroma = float(np.hypot(a, b))
    limit = 14.0
    scale = min(1.0, limit / chroma) if chroma > 0 else 0.0
    return _from_lab(np.array([lightness, a * scale, b * scale]))


def _from_lab(lab: npt.NDArray[np.float64]) -> RGB:
    from cyclorama.scenes.look import to_colour

    red, green, blue = (round(255 * min(1.0, max(0.0, channel))) for channel in to_colour(lab))
    return red, green, blue


def _cut(pixels: Pixels, box: Box) -> Pixels:
    left, top, right, bottom = (round(v) for v in _to_pixels(box, (pixels.shape[0], pixels.shape[1])))
    return pixels[top : max(bottom, top + 1), left : max(right, left + 1)]


def _to_pixels(box: Box | Sequence[float], canvas: tuple[int, int]) -> tuple[float, float, float, float]:
    height, width = canvas
    left, top, right, bottom = box
    return left * width, top * height, right * width, bottom * height
