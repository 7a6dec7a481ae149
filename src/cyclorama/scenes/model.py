"""From a cut-out on its canvas to its stage: the set of its category, lit as the photo is."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cyclorama.scenes.body import measure_body
from cyclorama.scenes.card import build_card, solve_camera
from cyclorama.scenes.compose import derive
from cyclorama.scenes.library import BUILT_IN, SceneLibrary
from cyclorama.scenes.look import choose_wall, estimate_light_side, measure_rim, relate_accent
from cyclorama.scenes.pose import ABOVE, can_stand, estimate_dish, estimate_elevation
from cyclorama.scenes.render import render_preview
from cyclorama.scenes.stage import BodyShape, Camera, SceneCategory, Stage
from cyclorama.scenes.surface import Colour, Style

PREVIEW = 96
"""Larger side of the small images by which colours are judged, pixels."""
STAND_IN_ASPECT = 0.7
"""Width to height of the box round which an empty set is built."""
CIRCLE = 0.75
"""Depth from which on a round foot counts as a circle."""
STEP = 5.0
"""Degrees by which the camera follows the photo's."""


@dataclass(frozen=True)
class CutOut:
    """A product on its canvas: own colours (H, W, 3) uint8, ``matte`` (H, W) in [0, 1] and its
    ``box`` (top, left, height, width)."""

    foreground: NDArray[np.uint8]
    matte: NDArray[np.float32]
    box: tuple[int, int, int, int]

    @property
    def canvas(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.matte.shape[0], self.matte.shape[1]


@dataclass(frozen=True)
class Setting:
    """The stage of one image, and what was decided for it."""

    stage: Stage
    style: Style
    light_side: float | None
    """Where the photo's light came from, -1 or 1; None: not told, the style's own side."""
    contrast: float
    """CIE76 distance between the product's rim and what is behind it."""
    solid: NDArray[np.uint8]
    """255 where the product covers all (H, W)."""


def begin_set(dressing: SceneCategory, seed: int) -> tuple[np.random.Generator, Style]:
    """What arrangement ``seed`` of a set draws from, and its own style, which is drawn first."""
    rng = np.random.default_rng(derive("scene", seed, dressing.name))
    return rng, dressing.sample_style(rng)


def draw_style(name: str, seed: int, library: SceneLibrary = BUILT_IN) -> Style:
    """The style that ``seed`` draws from the whole range of category ``name``."""
    return begin_set(library.load(name), seed)[1]


def set_empty(
    category: SceneCategory,
    dressing: SceneCategory,
    arrangement: int,
    style: Style,
    size: int,
    elevation: float | None = None,
) -> Stage:
    """The set of ``dressing`` that :func:`set_stage` builds for products of ``category``, without one.

    It stands round a plain upright box of the category's usual share, on a square canvas of ``size`` pixels.
    """
    rng, _ = begin_set(dressing, arrangement)
    usual = float(rng.uniform(*category.framing.elevation))
    tall = round(size * sum(category.framing.share) / 2)
    wide, top = round(STAND_IN_ASPECT * tall), (size - tall) // 2
    left = (size - wide) // 2
    matte = np.zeros((size, size), np.float32)
    matte[top : top + tall, left : left + wide] = 1
    body = measure_body(category)
    rise = usual if elevation is None else elevation
    camera = solve_camera((size, size), (top, left, tall, wide), category.framing, rise, body.lies)
    card = build_card(np.zeros((size, size, 3), np.uint8), matte, camera, body)
    stage = Stage(product=card, camera=camera)
    dressing.dress(stage, rng, style)
    return replace(stage, product=[])


def set_stage(cutout: CutOut, category: SceneCategory, seed: int, style: Style | None = None) -> Setting:
    """The stage of ``category`` for ``cutout``: camera, product, props, light and colours.

    Without ``style`` the seed draws one from the category's whole range.
    """
    rng, drawn = begin_set(category, seed)
    style, side = light_as(style or relate_accent(drawn, cutout.foreground, cutout.matte), cutout)
    camera, body = find_view(cutout, category, float(rng.uniform(*category.framing.elevation)))
    card = build_card(cutout.foreground, cutout.matte, camera, body)
    state, stages = rng.bit_generator.state, {}

    def look_behind(wall: Colour) -> NDArray[np.uint8]:
        rng.bit_generator.state = state
        stages[wall] = stage = Stage(product=card, camera=camera)
        category.dress(stage, rng, style.replace(wall=wall))
        return find_surroundings(render_preview(replace(stage, product=[]), PREVIEW, 4), cutout.matte)

    rim = measure_rim(cutout.foreground, cutout.matte)
    wall, contrast = choose_wall(style.wall, rim, look_behind)
    solid = np.where(cutout.matte > 0.98, 255, 0).astype(np.uint8)
    return Setting(stages[wall], style.replace(wall=wall), side, contrast, solid)


def find_view(cutout: CutOut, category: SceneCategory, elevation: float) -> tuple[Camera, BodyShape]:
    """The camera, ``elevation`` degrees high unless the cut-out tells better, and the cut-out's body.

    What would fall if it stood lies, and is seen from above; so is what stands on a dish that was seen from
    there. Where the photo's own camera saw a round foot clearly higher or lower, this one is as high, in
    steps of ``STEP``.
    """
    body = measure_body(category)
    dish = None if body.lies else estimate_dish(cutout.matte)
    if dish is not None:
        body, elevation = body.replace(lies=True, round=True), dish
    elif body.round and not body.lies and not can_stand(cutout.matte):
        body, elevation = body.replace(lies=True), ABOVE
    camera = solve_camera(cutout.canvas, cutout.box, category.framing, elevation, body.lies)
    circle = body.round and not body.lies and body.depth >= CIRCLE
    foot = estimate_elevation(cutout.matte) if circle else None
    if foot is None:
        return camera, body
    # the foot is seen from higher than the middle, at which the camera aims
    drop = camera.target[2] * math.cos(math.radians(foot)) / math.dist(camera.origin, camera.target)
    wanted = STEP * max(1, round((foot - math.degrees(math.asin(drop))) / STEP))
    if abs(wanted - elevation) > STEP:
        camera = solve_camera(cutout.canvas, cutout.box, category.framing, wanted)
    return camera, body


def light_as(style: Style, cutout: CutOut) -> tuple[Style, float | None]:
    """``style`` lit from the side from which the photo was lit, and that side, if it shows."""
    side = estimate_light_side(cutout.foreground, cutout.matte)
    if side is None:
        return style, None
    return style.replace(key_side=side * max(abs(style.key_side), 0.4)), side


def find_surroundings(image: NDArray[np.uint8], matte: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Pixels (N, 3) of a small ``image`` round the upper three quarters of a product, ``matte`` (H, W)."""
    small = ndimage.zoom(matte, np.divide(image.shape[:2], matte.shape), order=1) > 0.5
    if not small.any():  # thinner than the image's pixels
        y, x = np.nonzero(matte >= min(0.5, float(matte.max())))
        small[y * small.shape[0] // matte.shape[0], x * small.shape[1] // matte.shape[1]] = True
    ring = ndimage.binary_dilation(small, iterations=4) & ~ndimage.binary_dilation(small)
    rows = np.flatnonzero(small.any(1))
    ring[rows[0] + (rows[-1] - rows[0]) * 3 // 4 :] = False
    return image[: ring.shape[0], : ring.shape[1]][ring] if ring.any() else image.reshape(-1, 3)
