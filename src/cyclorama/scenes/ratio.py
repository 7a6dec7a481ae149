"""What does a product change in an empty set?  Light with it over light without it, measured on few pixels.

Shadow, mirror image and glow are smooth but for what they fall on, and that the empty set's own image knows:
so the ratio is rendered small and spread along the edges of that image; where the product meets the ground,
a narrow window is rendered at full size.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from cyclorama.imaging.masks import dilate
from cyclorama.scenes.render import Crop, render_light, tone_map
from cyclorama.scenes.stage import Stage, compute_film

SHRINK = 4
"""The canvas' side as a multiple of that of the small image."""
SAMPLES = ((160, 16), (320, 10), (10**6, 6))
"""(larger side, light samples a pixel) up to that side, each with and without the product."""
FLOOR = 1e-3
"""Radiance that is added on both sides, so that black stays black."""
LOOSE = 0.2
"""Difference of log light between a pixel and a small one from which on they hardly belong together."""
CLEAR = 8
"""Levels that a pixel may be off, and by how many pixels may (:func:`predict_fault`)."""
BARE = 0.05
"""Less of the product than this leaves the ground to be seen, and measured."""
ALONG = 3.0
"""Standard deviation by which a product's change is smoothed along its border, pixels."""
FAINT = 1e-3
"""Where the border weighs less in this smoothing, a hidden pixel takes the nearest where it weighs more."""
Light = NDArray[np.float32]


@dataclass(frozen=True)
class Change:
    """One measurement: ``ratio`` (h, w, 3) of light with to light without the product, filled in where it is
    hidden; ``before`` (h, w, 3) the light without it; ``seen`` (h, w) where it was measured."""

    ratio: Light
    before: Light
    seen: NDArray[np.bool_]


def measure_change(
    stage: Stage,
    shapes: list[Any],
    size: int,
    seed: int,
    albedo: Light,
    matte: Light,
    crop: Crop | None = None,
    before: Light | None = None,
) -> Change:
    """What the product of ``stage`` changes in an image whose larger side is ``size``, or in its ``crop``.

    ``shapes`` are those of the stage's parts; ``albedo`` (h, w, 3) and the product's ``matte`` (h, w) are of
    the image's, or the crop's, size, as is the light ``before``, if it is known.
    """
    samples = _count_samples(size)
    after = render_light(stage, size, samples, seed, crop, shapes, albedo)
    if before is None:
        empty = replace(stage, product=[])
        before = render_light(empty, size, samples, seed, crop, shapes, albedo)
    seen = matte < BARE
    return Change(fill_hidden((after + FLOOR) / (before + FLOOR), seen), before, seen)


def fill_hidden(ratio: Light, seen: NDArray[np.bool_]) -> Light:
    """``ratio`` (h, w, 3) with what is not ``seen`` (h, w) taken from the border, and the border smoothed
    along itself.

    A contact's dark line is thinner than a pixel; whether a pixel of the border shows it or the product's
    own colour is chance, and would make dashes of it.
    """
    border = seen & dilate(~seen, 1)
    if not border.any():
        return ratio
    weight = ndimage.gaussian_filter(border.astype(np.float32), ALONG)[..., None]
    mean = ndimage.gaussian_filter(ratio * border[..., None], (ALONG, ALONG, 0)) / np.maximum(weight, 1e-6)
    known = seen | (weight[..., 0] > FAINT)
    nearest = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
    return np.asarray(np.where((seen & ~border)[..., None], ratio, mean)[tuple(nearest)], np.float32)


def spread(change: Change, light: Light) -> Light:
    """The ratio at each pixel of ``light`` (H, W, 3), the empty set's own: between its four small neighbours,
    those of its own brightness before others."""
    (small_height, small_width), (height, width) = change.ratio.shape[:2], light.shape[:2]
    y = (np.arange(height, dtype=np.float32) + 0.5) * small_height / height - 0.5
    x = (np.arange(width, dtype=np.float32) + 0.5) * small_width / width - 0.5
    top, left = np.floor(y).astype(int), np.floor(x).astype(int)
    down, across = (y - top)[:, None], (x - left)[None]
    fine, coarse = (np.log(each.mean(2) + FLOOR) for each in (light, change.before))
    total, weights = np.zeros_like(light), np.zeros((height, width, 1), np.float32)
    for step_y in (0, 1):
        for step_x in (0, 1):
            at = np.ix_(
                np.clip(top + step_y, 0, small_height - 1), np.clip(left + step_x, 0, small_width - 1)
            )
            near = (down if step_y else 1 - down) * (across if step_x else 1 - across)
            weight = (near + 1e-3) * (np.exp(-(((fine - coarse[at]) / LOOSE) ** 2)) + 1e-4)
            total += weight[..., None] * change.ratio[at]
            weights += weight[..., None]
    return total / weights


def predict_fault(change: Change, exposure: float) -> float:
    """Share of the small image's pixels that would be more than CLEAR levels off if it were half as large.

    What is too fine for an image of half the side, a mirrored label, is too fine for this one, too.
    """
    half = [
        np.asarray(ndimage.zoom(each, (0.5, 0.5, 1), order=1, grid_mode=True, mode="nearest"))
        for each in (change.ratio, change.before)
    ]
    coarse = Change(half[0], half[1], change.seen)
    found = tone_map(change.before * spread(coarse, change.before), exposure)
    true = tone_map(change.before * change.ratio, exposure)
    off = np.abs(found.astype(int) - true).max(2) > CLEAR
    return float((off & change.seen).sum() / max(1, change.seen.sum()))


def shrink(image: NDArray[Any], size: tuple[int, int]) -> Light:
    """``image`` (H, W) or (H, W, 3) at ``size`` (height, width), each pixel the mean of what it covers."""
    channels = [image] if image.ndim == 2 else list(np.moveaxis(image, 2, 0))
    small = [
        np.asarray(
            Image.fromarray(np.ascontiguousarray(c, np.float32)).resize(size[::-1], Image.Resampling.BOX)
        )
        for c in channels
    ]
    return small[0] if image.ndim == 2 else np.ascontiguousarray(np.stack(small, 2))


def measure_empty(stage: Stage, shapes: list[Any], albedo: Light, seed: int) -> Light:
    """What :func:`add_product` measures small before there is a product, the same for all of them."""
    size = _shrink_side(albedo)
    guide = shrink(albedo, compute_film(stage.camera, size))
    empty = replace(stage, product=[])
    return render_light(empty, size, _count_samples(size), seed, None, shapes, guide)


def _shrink_side(image: Light) -> int:
    longer: int = max(image.shape[:2])
    return max(longer // SHRINK, 48)


def _count_samples(size: int) -> int:
    return next(count for side, count in SAMPLES if size <= side)


def add_product(
    light: Light,
    stage: Stage,
    shapes: list[Any],
    albedo: Light,
    matte: Light,
    seed: int,
    before: Light | None = None,
) -> tuple[Light, float]:
    """``light`` (H, W, 3) of an empty set with what the product of ``stage`` changes in it, and the share of
    pixels that are likely to be wrong.

    ``albedo`` (H, W, 3) and ``matte`` (H, W) are of the same size; ``before`` is :func:`measure_empty`'s.
    """
    size, small_size = max(light.shape[:2]), _shrink_side(light)
    small = compute_film(stage.camera, small_size)
    guides = shrink(albedo, small), shrink(matte, small)
    change = measure_change(stage, shapes, small_size, seed, *guides, before=before)
    ratio = spread(change, light)
    window = find_foot_window(matte)
    left, top, wide, tall = window
    part = np.s_[top : top + tall, left : left + wide]
    guide = np.ascontiguousarray(albedo[part])
    near = measure_change(stage, shapes, size, seed, guide, matte[part], window)
    weight = _fade(window, matte.shape)[..., None]
    ratio[part] += weight * (near.ratio - ratio[part])
    return light * ratio, predict_fault(change, stage.exposure)


def find_foot_window(matte: Light) -> Crop:
    """The window round the lowest tenth of a product."""
    height, width = matte.shape
    rows = np.flatnonzero((matte > 0.5).any(1))
    margin = max(4, max(height, width) // 20)
    top = max(0, int(rows[-1] - max(0.1 * np.ptp(rows), 0.5 * margin)))
    bottom = min(height, int(rows[-1]) + 1 + margin)
    foot = np.flatnonzero((matte[top:bottom] > 0.5).any(0))
    left, right = max(0, int(foot[0]) - margin), min(width, int(foot[-1]) + 1 + margin)
    return left, top, right - left, bottom - top


def _fade(window: Crop, canvas: tuple[int, ...]) -> Light:
    """Weight in [0, 1] of a window (h, w): 0 at its edges but for those of the canvas."""
    left, top, wide, tall = window
    margin = max(4, max(canvas) // 20) / 2
    x, y = np.arange(wide) + 0.5, np.arange(tall) + 0.5
    from_left = x if left > 0 else np.full(wide, np.inf)
    from_right = wide - x if left + wide < canvas[1] else np.full(wide, np.inf)
    from_top = y if top > 0 else np.full(tall, np.inf)
    from_bottom = tall - y if top + tall < canvas[0] else np.full(tall, np.inf)
    across = np.clip(np.minimum(from_left, from_right) / margin, 0, 1)
    down = np.clip(np.minimum(from_top, from_bottom) / margin, 0, 1)
    return np.asarray(down[:, None] * across[None], np.float32)
