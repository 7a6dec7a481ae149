"""Where is the product in a photo taken before a plain, light studio background?

The background's colour is learnt from the border, a flood from the border takes what looks like it, and a
second flood takes the soft shadow under the product. Nothing enclosed by the product is touched, except a
hole that is large and shows exactly the background. Distances are CIE76 in L*a*b*.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import ndimage

from cyclorama.config import Order, Settings, Share
from cyclorama.errors import SettingsError
from cyclorama.imaging.colour import to_lab
from cyclorama.imaging.masks import average_near, dilate, erode, find_window, iterate_tiles
from cyclorama.imaging.parts import EIGHT, find_frame
from cyclorama.imaging.transforms import resize_pixels, resize_plane
from cyclorama.types import Matte, Pixels

Mask = npt.NDArray[np.bool_]
Plane = npt.NDArray[np.float32]

_SURROUNDINGS = 24  # pixels round what differs from the background within which its neighbourhood counts
_TILE = 64  # pixels each way in which a rim is softened


class KeyingConfig(Settings):
    """What counts as a studio background, its shadow and a hole in the product."""

    error_type = SettingsError
    ordered: ClassVar[Order] = (("min_tolerance", "max_tolerance"),)

    min_lightness: Annotated[float, Field(ge=0, le=100)] = 75.0
    """Darkest background, L* (white is 100)."""
    max_chroma: Annotated[float, Field(ge=0)] = 10.0
    """Most colourful background, L*a*b* chroma."""
    min_border_share: Share = 0.4
    """Least share of the image's border that must be background, 0-1."""
    min_tolerance: Annotated[float, Field(gt=0)] = 1.0
    """Least distance that is still background, for a background without noise."""
    max_tolerance: Annotated[float, Field(gt=0)] = 6.0
    """Greatest distance that is still background; a noisier one is refused."""
    shadows: bool = True
    """Whether soft shadows on the ground are background."""
    hole_share: Share = 0.01
    """Smallest see-through hole as a share of the product's filled area, 0-1."""
    working_side: Annotated[int, Field(ge=64)] = 1024
    """Longest side, in pixels, at which the floods run; the rim is found at full size."""


@dataclass(frozen=True, eq=False)
class Keyed:
    """The outcome of keying; ``reason`` is empty on success."""

    matte: Matte | None
    """float32 (H, W), 1 = product, soft at the rim; None if it failed."""
    reason: str = ""
    notes: tuple[str, ...] = ()


def key_studio_background(pixels: Pixels, config: KeyingConfig | None = None) -> Keyed:
    """The matte of a product before a plain light background, or the reason why there is none.

    ``pixels`` uint8 (H, W, 3). Invariant: what equals the background's colour and is joined to
    the border by a path at least 3 pixels wide gets 0.
    """
    config = config or KeyingConfig()
    inside = find_frame(pixels)
    framed, pixels = pixels, pixels[inside]
    height, width = pixels.shape[:2]
    scale = min(1.0, config.working_side / max(height, width))
    small = resize_pixels(pixels, (max(1, round(height * scale)), max(1, round(width * scale))))
    background, border_share = _fit_background(small, config)
    if background is None:
        needed = f"{config.min_border_share:.0%} is needed"
        return Keyed(None, f"{border_share:.0%} of the border is plain and light, {needed}")
    lab = to_lab(small)
    distance = np.sqrt(((lab - background) ** 2).sum(axis=2)).astype(np.float32)
    calm = np.sort(distance[_border(distance.shape)])  # nearly all of the border varies by no more
    calm = calm[: max(1, int(len(calm) * config.min_border_share))]
    tolerance = max(config.min_tolerance, 0.6 + 3.0 * float(calm[-1]))
    if tolerance > config.max_tolerance:
        limit = f"{config.max_tolerance} is the limit"
        return Keyed(None, f"the border varies by {tolerance:.1f} L*a*b* units, {limit}")
    product = np.zeros(distance.shape, dtype=bool)
    seen = distance > tolerance
    if seen.any():  # all that lies farther out is background
        part = find_window(seen, _SURROUNDINGS)
        product[part] = _find_product(lab[part], background[part], distance[part], tolerance, config)
    share = float(product.mean())
    if not 0.002 <= share <= 0.98:
        return Keyed(None, f"{share:.1%} of the image differs from its border")
    radius = 2
    if scale < 1:
        product = resize_plane(product.astype(np.float32), (height, width)) >= 0.5
        radius = math.ceil(2 / scale)
    matte = np.zeros(framed.shape[:2], dtype=np.float32)
    matte[inside] = soften_outline(pixels, product, radius)
    notes = () if pixels.shape == framed.shape else ("a frame line along the border is not product",)
    return Keyed(matte, "", notes)


def _find_product(
    lab: Plane, background: Plane, distance: Plane, tolerance: float, config: KeyingConfig
) -> Mask:
    """What of an image, that is surrounded by background, is its product."""
    contrast: Plane = ndimage.maximum_filter(distance, 17)
    plain = _looks_plain(distance, contrast, tolerance)
    outside = _flood(plain)
    outside |= _find_holes(~outside, plain, distance, tolerance, config)
    if config.shadows:
        outside = _take_shadow(outside, lab, background, tolerance)
    pockets = _find_pockets(outside, distance, contrast)
    product = ~ndimage.binary_dilation(outside, iterations=12, mask=outside | pockets)
    return _tidy(product, pockets, distance, contrast, tolerance)


def _border(shape: tuple[int, ...]) -> Mask:
    ring = np.ones(shape[:2], dtype=bool)
    width = max(2, round(0.01 * min(shape[:2])))
    ring[width:-width, width:-width] = False
    return ring


def _fit_background(pixels: Pixels, config: KeyingConfig) -> tuple[Plane | None, float]:
    """(background's L*a*b* colour (H, W, 3), share of the border that shows it)."""
    ring = _border(pixels.shape)
    colours = to_lab(pixels[ring]).astype(np.float64)
    light = (colours[:, 0] >= config.min_lightness) & (
        np.hypot(colours[:, 1], colours[:, 2]) <= config.max_chroma
    )
    if light.mean() < config.min_border_share:
        return None, float(light.mean())
    size = pixels.shape[:2]
    terms = np.stack(
        _list_terms(*(v / n - 0.5 for v, n in zip(np.nonzero(ring), size, strict=True))), axis=-1
    )
    keep = light
    fitted = np.median(colours[keep], axis=0)[None, :]
    coefficients = np.concatenate([fitted, np.zeros((5, 3))])
    for degree_terms in (1, 1, 6, 6):
        residual = np.sqrt(((colours - terms @ coefficients) ** 2).sum(axis=1))
        spread = max(0.4, 1.4826 * float(np.median(residual[keep])))
        if degree_terms == 6 and spread <= 0.4:
            break
        keep = light & (residual <= 3.5 * spread)
        used = terms[:, :degree_terms]
        solution = np.linalg.lstsq(used[keep], colours[keep], rcond=None)[0]
        coefficients = np.concatenate([solution, np.zeros((6 - degree_terms, 3))])
    residual = np.sqrt(((colours - terms @ coefficients) ** 2).sum(axis=1))
    share = float((light & (residual <= config.max_tolerance)).mean())
    if share < config.min_border_share:
        return None, share
    rows, columns = (np.arange(n, dtype=np.float32) / n - 0.5 for n in size)
    field = np.zeros((*size, 3), dtype=np.float32)
    for term, factors in zip(_list_terms(rows[:, None], columns[None]), coefficients, strict=True):
        if factors.any():
            field += term[..., None] * factors.astype(np.float32)
    field[..., 0] = np.minimum(field[..., 0], 100.0)
    return field, share


def _list_terms(y: npt.NDArray[Any], x: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], ...]:
    """Those of a polynomial of second degree."""
    return np.ones_like(x), x, y, x * x, y * y, x * y


def _looks_plain(distance: Plane, contrast: Plane, tolerance: float) -> Mask:
    """Pixels that show the background, compression noise included.

    JPEG rings in blocks of 8 beside strong edges, in single pixels and in proportion to the edge. There a
    pixel is judged by the median of its neighbourhood against a tolerance raised by up to 2.2, times up to 3
    where the blocks show; a white pack, a plateau a few units off the background, stays product.
    """
    coarse = 1 + 5 * min(max(_measure_blocks(distance, contrast) - 0.3, 0.0), 0.4)
    ringing = coarse * np.minimum(2.2, 0.05 * contrast)
    weak = distance <= np.clip(0.2 * contrast, tolerance, 8.0)
    share = ndimage.uniform_filter(weak.astype(np.float32), 5)
    mean = ndimage.uniform_filter(np.where(weak, distance, 0), 5) / np.maximum(share, 0.04)
    near = distance <= tolerance
    asked = weak & ~near & (mean > tolerance + ringing)
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(distance, 2, mode="symmetric"), (5, 5))
    calm = ~asked
    calm[asked] = np.median(windows[asked].reshape(-1, 25), axis=1) <= (tolerance + ringing)[asked]
    return np.asarray(near | (weak & calm))


def _measure_blocks(distance: Plane, contrast: Plane) -> float:
    """How much more neighbours differ across the borders of 8-pixel blocks than within, beside strong edges:
    about 0.2 for JPEG quality 92, 0.35 for 75, 0.6 for 30."""
    found = []
    ringing = (distance <= 12) & (contrast > 15)
    for plane, near in ((distance, ringing), (distance.T, ringing.T)):
        steps, both = np.abs(np.diff(plane, axis=1)), near[:, 1:] & near[:, :-1]
        means = [steps[:, k::8].mean(where=both[:, k::8]) for k in range(8) if both[:, k::8].any()]
        found.append(float(np.max(means) - np.median(means)) if means else 0.0)
    return sum(found) / 2


def _flood(passable: Mask, start: Mask | None = None) -> Mask:
    """What of ``passable`` is joined to the border or to ``start`` by paths at least 3 pixels wide.

    From there it goes up to 8 pixels into narrower pockets, no further, so that a thin gap in a white pack's
    outline cannot empty the pack.
    """
    padded = np.pad(passable, 2, constant_values=True)
    wide = ndimage.binary_erosion(padded, EIGHT, border_value=1)
    labels, count = ndimage.label(wide)
    joined = np.arange(count + 1) == labels[0, 0]
    if start is not None:
        joined[labels[2:-2, 2:-2][start & wide[2:-2, 2:-2]]] = True
    reached = ndimage.binary_dilation(joined[labels], EIGHT) & padded
    reached = ndimage.binary_dilation(reached, iterations=8, mask=padded)
    return np.asarray(reached[2:-2, 2:-2])


def _find_pockets(outside: Mask, distance: Plane, contrast: Plane) -> Mask:
    """What is near white beside a product which is coloured there: background, if it is joined to it.

    Where the product nearby is itself near the background's colour (a white pack) there is nothing.
    """
    colour = average_near(np.minimum(distance, 30.0), ~outside, 21)
    return np.asarray((distance <= np.clip(0.2 * contrast, 0.0, 8.0)) & (colour > 24.0))


def _take_shadow(outside: Mask, lab: Plane, background: Plane, tolerance: float) -> Mask:
    """``outside`` and the soft shadow below the product.

    A shadow keeps the background's hue, lies at the product's lower half and fades: its depth ``d`` (loss of
    lightness, below 60) changes slowly, ``|grad d| <= 0.35 d`` and 8 per pixel, where a product's edge jumps.
    """
    rows = np.nonzero((~outside).any(axis=1))[0]
    if len(rows) == 0:
        return outside
    depth = background[..., 0] - ndimage.gaussian_filter(lab[..., 0], 0.7)
    slope = np.hypot(ndimage.sobel(depth, 0), ndimage.sobel(depth, 1)) / 8
    hue = np.hypot(lab[..., 1] - background[..., 1], lab[..., 2] - background[..., 2])
    gentle = slope <= np.minimum(0.15 * tolerance + 0.35 * depth, 8.0)
    soft = (depth > 0) & (depth < 60) & gentle & (hue <= 2.0 + 0.06 * depth)
    soft[: (rows[0] + rows[-1]) // 2] = False
    reached = _flood(outside | soft, outside)
    labels, _ = ndimage.label(reached & ~outside, EIGHT)
    result = outside.copy()
    from_outside = ndimage.distance_transform_edt(~outside)
    for index, place in enumerate(ndimage.find_objects(labels), 1):
        part = labels[place] == index
        if part.sum() < 8:
            continue
        far, deep = from_outside[place][part], depth[place][part]
        middle = float(np.median(far))
        outer, inner = deep[far <= middle], deep[far > middle]
        if len(inner) and float(inner.mean()) >= 1.5 * float(outer.mean()):
            result[place] |= part
    return result


def _find_holes(product: Mask, plain: Mask, distance: Plane, tolerance: float, config: KeyingConfig) -> Mask:
    """Large areas enclosed by ``product`` that show the background as exactly as it is shown round them, with
    the ringing in them."""
    labels, _ = ndimage.label(product & (distance <= tolerance))
    holes = np.zeros_like(product)
    for number, place in enumerate(ndimage.find_objects(labels), 1):
        part = labels[place] == number
        if part.sum() < config.hole_share * product.sum():
            continue
        room = [slice(max(0, 2 * s.start - s.stop), 2 * s.stop - s.start) for s in place]
        beside = distance[room[0], room[1]][~product[room[0], room[1]]]
        uneven = min(float(beside.mean()), 0.5 * tolerance) if len(beside) else 0.0
        if distance[place][part].mean() <= 0.5 * tolerance + uneven:
            holes[place] |= part
    return np.asarray(ndimage.binary_propagation(holes, mask=holes | (plain & product)))


def _tidy(product: Mask, pockets: Mask, distance: Plane, contrast: Plane, tolerance: float) -> Mask:
    """``product`` with a smooth outline where it is faint, and without faint bits along it or apart from it.

    Faint means far below the strongest colour nearby, as ringing is; a stem or a root is not. ``pockets`` are
    not filled, however narrow the corner that they lie in.
    """
    majority = ndimage.uniform_filter(product.astype(np.float32), 7, mode="nearest") > 0.5
    majority &= product | ~pockets
    product = np.where((distance > tolerance) & (distance < 8.0), majority, product)
    body = ndimage.binary_opening(np.pad(product, 4, mode="edge"), EIGHT, iterations=2)[4:-4, 4:-4]
    bits, count = ndimage.label(product & ~body, EIGHT)
    if count:
        index = np.arange(1, count + 1)
        strength = ndimage.mean(distance / np.maximum(contrast, 1.0), bits, index)
        product = product & ~np.isin(bits, index[strength < 0.2])
    parts, count = ndimage.label(product, EIGHT)
    if not count:
        return product
    index = np.arange(1, count + 1)
    areas = ndimage.sum_labels(np.ones_like(parts), parts, index)
    strongest = ndimage.maximum(distance, parts, index)
    keep = (areas >= 0.01 * areas.max()) & (strongest >= 0.3 * strongest[areas.argmax()])
    return np.isin(parts, index[keep])


def soften_outline(pixels: Pixels, product: Mask, radius: int = 2) -> Matte:
    """A matte, float32 (H, W), for a hard ``product`` mask whose background is smooth and known.

    ``pixels`` uint8 (H, W, 3); only pixels within ``radius`` of the outline become soft. Least squares of
    ``I = alpha F + (1 - alpha) B``, that is ``alpha = (I - B).(F - B) / |F - B|^2``, with ``F`` and ``B`` the
    colours just inside and just outside. Where they are too alike the outline is only anti-aliased.
    """
    matte: Matte = product.astype(np.float32)
    outline = np.zeros_like(product)
    outline[1:] = product[1:] != product[:-1]
    outline[:, 1:] |= product[:, 1:] != product[:, :-1]
    if not outline.any():
        return matte
    near, window = np.zeros_like(outline), find_window(outline, radius + 1)
    near[window] = ndimage.maximum_filter(outline[window], 2 * radius + 3)
    margin = 4 * radius + 2
    for own in iterate_tiles(near, _TILE):
        wide = tuple(slice(max(0, s.start - margin), s.stop + margin) for s in own)
        soft = _soften_tile(pixels[wide], product[wide], radius)
        y, x = own[0].start - wide[0].start, own[1].start - wide[1].start
        part = matte[own]
        part[:] = soft[y : y + part.shape[0], x : x + part.shape[1]]
    return matte


def _soften_tile(pixels: Pixels, product: Mask, radius: int) -> Matte:
    inside, outside = erode(product, radius), ~dilate(product, radius)
    band = ~inside & ~outside
    matte: Matte = product.astype(np.float32)
    if not band.any() or not outside.any():
        return matte
    colours = pixels.astype(np.float32)
    behind, _ = _spread(colours, outside, radius, band)
    front, away = _spread(colours, inside, radius, band)
    thin = away > 2 * radius + 1
    front[thin] = _find_strongest(colours, product, behind[thin], np.argwhere(band)[thin], radius)
    span = front - behind
    power = (span**2).sum(axis=1)
    alpha = ((colours[band] - behind) * span).sum(axis=1) / np.maximum(power, 1.0)
    alpha = np.clip((alpha - 0.06) / 0.88, 0, 1)  # compression noise at both ends
    plain = np.clip(ndimage.gaussian_filter(matte, 0.6)[band], 0, 1)
    trust = np.clip((np.sqrt(power) - 8.0) / 16.0, 0, 1)
    matte[band] = trust * alpha + (1 - trust) * plain
    return matte


def _spread(colours: Plane, known: Mask, radius: int, band: Mask) -> tuple[Plane, Plane]:
    """For the N pixels of ``band``: (N, 3) colours of the nearest ``known`` pixels, smoothed, and how far
    those are."""
    if not known.any():
        return np.zeros((int(band.sum()), 3), dtype=np.float32), np.full(int(band.sum()), np.inf, np.float32)
    distance, index = ndimage.distance_transform_edt(~known, return_indices=True)
    smooth = ndimage.gaussian_filter(colours[index[0], index[1]], 0.5 * radius, axes=(0, 1))
    return smooth[band], distance[band].astype(np.float32)


def _find_strongest(
    colours: Plane, product: Mask, behind: Plane, places: npt.NDArray[np.int64], radius: int
) -> Plane:
    """(N, 3): near each of N ``places`` (row, column) the product colour farthest from ``behind``."""
    result = colours[places[:, 0], places[:, 1]]
    if not len(places):
        return result
    best = np.zeros(len(places), dtype=np.float32)
    reach = np.unique(np.linspace(-radius - 1, radius + 1, 7).round().astype(int))
    limit = np.array(product.shape) - 1
    for dy in reach:
        for dx in reach:
            y, x = np.clip(places + np.array([dy, dx]), 0, limit).T
            strength = np.where(product[y, x], ((colours[y, x] - behind) ** 2).sum(axis=1), -1.0)
            better = strength > best
            best[better] = strength[better]
            result[better] = colours[y, x][better]
    return result
