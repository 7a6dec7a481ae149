"""Can a text be read on the pixels behind it, and what makes it so?

Contrast is WCAG 2.2's ratio (1.4.3), taken on the mean of the worst 5 % of the pixels under the glyphs and
within two pixels of them: a text is as readable as its worst letter. Remedies, in order: another of the given
colours, a soft scrim of at most 35 %, a plate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from cyclorama.errors import ContrastError
from cyclorama.types import Pixels, Size
from cyclorama.typography.drawing import Colour, Patch, draw_coverage, draw_text
from cyclorama.typography.fitting import SetText

LIMIT, LARGE_LIMIT = 4.5, 3.0
"""Of WCAG's level AA; the second for large text."""
_LARGE, _LARGE_BOLD, _BOLD = 24 / 360, 18.66 / 360, 700
"""Size of large text as a share of the shorter side: WCAG's pixels on a phone's screen 360 wide."""
_WORST = 0.05
_RING = 2
_MOST_SCRIM = 0.35
_FADE, _PADDING = 0.9, 0.45
"""How far a scrim and a plate reach beyond the text, in ems."""
_MIDDLE = 0.179
"""The luminance on which black and white are equally readable."""
_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)
_ENCODED = np.arange(256) / 255
_LINEAR = np.where(_ENCODED <= 0.04045, _ENCODED / 12.92, ((_ENCODED + 0.055) / 1.055) ** 2.4)
_WEIGHTS = np.array([0.2126, 0.7152, 0.0722])

Remedy = Literal["none", "colour", "scrim", "plate"]


class Legible(NamedTuple):
    """A text made readable."""

    patches: tuple[Patch, ...]
    """What lies over the image, the lowest first: scrim or plate if there is one, then the text."""
    colour: Colour
    ratio: float
    """On the worst pixels; at or above ``limit``."""
    limit: float
    remedy: Remedy
    strength: float
    """The scrim's or plate's opacity, 0 to 1."""


def get_luminance(pixels: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """WCAG's relative luminance, 0 to 1, of sRGB uint8 (..., 3)."""
    linear: npt.NDArray[np.float64] = _LINEAR[np.asarray(pixels, np.uint8)] @ _WEIGHTS
    return linear


def compute_ratio(one: npt.ArrayLike, other: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """WCAG's contrast ratio, 1 to 21, of two luminances (0 to 1)."""
    lighter, darker = np.maximum(one, other), np.minimum(one, other)
    ratio: npt.NDArray[np.float64] = (lighter + 0.05) / (darker + 0.05)
    return ratio


def measure_contrast(pixels: Pixels, behind: npt.NDArray[np.bool_], colour: Colour) -> float:
    """The ratio of ``colour`` on the worst 5 % of ``pixels`` (H, W, 3) where ``behind`` (H, W) holds."""
    return _rate(pixels[behind], colour)


def _rate(seen: Pixels, colour: Colour) -> float:
    """The ratio of ``colour`` on the worst 5 % of the pixels ``seen`` (K, 3)."""
    ratios = compute_ratio(get_luminance(seen), get_luminance(colour))
    worst = max(1, math.ceil(_WORST * ratios.size))
    return float(np.partition(ratios, worst - 1)[:worst].mean())


def choose_limit(text: SetText, shorter: int) -> float:
    """WCAG's limit for ``text`` on a canvas whose shorter side is ``shorter`` pixels."""
    share = text.size * min(span.scale for span in text.block.words) / shorter
    bold = text.block.style.weight >= _BOLD
    return LARGE_LIMIT if share >= (_LARGE_BOLD if bold else _LARGE) else LIMIT


def make_legible(
    pixels: Pixels, text: SetText, colours: Sequence[Colour], limit: float | None = None, strict: bool = False
) -> Legible:
    """``text`` over ``pixels`` (H, W, 3) in the first of ``colours`` to reach ``limit``, or with a remedy.

    ``colours``: preferred first; black and white come after them, or if ``strict`` are for plates alone.
    ``limit``: None is WCAG's. Raises ContrastError (a limit that no plate reaches). Invariant: the ratio of
    the result, measured on what lies below the text, is at or above the limit.
    """
    canvas = (pixels.shape[0], pixels.shape[1])
    limit = choose_limit(text, min(canvas)) if limit is None else limit
    unders = list(dict.fromkeys([*colours, _BLACK, _WHITE]))
    tried = list(dict.fromkeys(colours)) if strict else unders
    behind = find_behind(text, canvas)
    seen = pixels[behind]
    for index, colour in enumerate(tried):
        ratio = _rate(seen, colour)
        if ratio >= limit:
            remedy: Remedy = "none" if index == 0 else "colour"
            return Legible((draw_text(text, colour, canvas),), colour, ratio, limit, remedy, 0.0)
    left, top, veil = _build_veil(text, canvas)
    rows, columns = np.nonzero(behind)
    veiled = veil[rows - top, columns - left]
    for colour in tried:
        under = _BLACK if get_luminance(colour) > _MIDDLE else _WHITE
        found = _find_scrim(seen, veiled, (colour, under), limit)
        if found is not None:
            ratio, strength = found
            layers = (_fill("Scrim", (left, top), under, strength * veil), draw_text(text, colour, canvas))
            return Legible(layers, colour, ratio, limit, "scrim", strength)
    for colour, under in ((c, u) for c in tried for u in unders):
        ratio = float(compute_ratio(get_luminance(colour), get_luminance(under)))
        if ratio >= limit:
            layers = (draw_plate(text, under, canvas), draw_text(text, colour, canvas))
            return Legible(layers, colour, ratio, limit, "plate", 1.0)
    raise ContrastError(
        f"a contrast of {limit:g} is asked for; black on white has 21: set the limit to 21 or less"
    )


def find_behind(text: SetText, canvas: Size) -> npt.NDArray[np.bool_]:
    """(H, W): the pixels under the glyphs and within the ring round them."""
    left, top, coverage = draw_coverage(text, canvas)
    full = np.zeros((canvas[0] + 2 * _RING, canvas[1] + 2 * _RING), bool)
    full[top + _RING : top + _RING + coverage.shape[0], left + _RING : left + _RING + coverage.shape[1]] = (
        coverage > 0
    )
    rows = slice(top, top + coverage.shape[0] + 2 * _RING)
    columns = slice(left, left + coverage.shape[1] + 2 * _RING)
    full[rows, columns] = ndimage.binary_dilation(full[rows, columns], iterations=_RING)
    return full[_RING:-_RING, _RING:-_RING]


def _find_scrim(
    seen: Pixels, veiled: npt.NDArray[np.float64], colours: tuple[Colour, Colour], limit: float
) -> tuple[float, float] | None:
    """Ratio and strength of the faintest scrim, its colour the second of ``colours``, that is enough.

    ``seen`` (K, 3): the pixels behind the text; ``veiled`` (K,): the scrim's share there at full strength.
    """
    found, low, high = None, 1, round(255 * _MOST_SCRIM)
    while low <= high:
        middle = (low + high) // 2
        alpha = np.rint(255 * (middle / 255 * veiled))[:, None] / 255  # as a layer of 8 bits is laid over
        ratio = _rate(np.rint(alpha * colours[1] + (1 - alpha) * seen).astype(np.uint8), colours[0])
        if ratio >= limit:
            found, high = (ratio, middle / 255), middle - 1
        else:
            low = middle + 1
    return found


def _build_veil(text: SetText, canvas: Size) -> tuple[int, int, npt.NDArray[np.float64]]:
    """(left, top, share): 1 behind ``text``, fading to 0 over most of a line's height."""
    fade = max(_FADE * text.size, _RING + 1)
    left, top, distance = _measure_distance(text, fade, _RING, canvas)
    share = np.clip(1 - distance / fade, 0, 1)
    return left, top, share * share * (3 - 2 * share)


def draw_plate(text: SetText, colour: Colour, canvas: Size) -> Patch:
    """An opaque plate with round corners behind ``text``."""
    padding = max(_PADDING * text.size, _RING + 1)
    radius = padding / 2
    left, top, distance = _measure_distance(text, radius + 1, padding - radius, canvas)
    return _fill("Plate", (left, top), colour, np.clip(radius - distance + 0.5, 0, 1))


def _measure_distance(
    text: SetText, reach: float, padding: float, canvas: Size
) -> tuple[int, int, npt.NDArray[np.float64]]:
    """(left, top, distance in pixels) of a window from the box of ``text``'s ink grown by ``padding``."""
    ink = text.ink
    left, top = (max(math.floor(v - padding - reach), 0) for v in ink[:2])
    right = min(math.ceil(ink[2] + padding + reach), canvas[1])
    bottom = min(math.ceil(ink[3] + padding + reach), canvas[0])
    x, y = np.arange(left, right) + 0.5, np.arange(top, bottom) + 0.5
    across = np.maximum(np.maximum(ink[0] - padding - x, x - ink[2] - padding), 0)
    down = np.maximum(np.maximum(ink[1] - padding - y, y - ink[3] - padding), 0)
    return left, top, np.hypot(across[None, :], down[:, None])


def _fill(name: str, place: tuple[int, int], colour: Colour, share: npt.NDArray[np.float64]) -> Patch:
    alpha = np.rint(255 * share).astype(np.uint8)
    rgba = np.dstack([np.broadcast_to(np.array(colour, np.uint8), (*alpha.shape, 3)), alpha])
    rgba[alpha == 0] = 0
    return Patch(name, *place, rgba)
