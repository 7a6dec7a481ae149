"""How does a product stand on a plate of the user's own?  A plain floor, seen and lit as the plate's, catches
its shadow.

What the product changes in the floor's light is multiplied onto the plate. Above the ground line and far from
the product its pixels stay as they are: nobody knows what stands there, or how far off.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.color import rgb2lab

from cyclorama.errors import SettingsError
from cyclorama.scenes.card import build_card, solve_camera
from cyclorama.scenes.geometry import floor
from cyclorama.scenes.look import estimate_light_side
from cyclorama.scenes.model import CutOut, find_view
from cyclorama.scenes.ratio import add_product
from cyclorama.scenes.render import build_shapes, from_linear, to_linear
from cyclorama.scenes.stage import Camera, Light, SceneCategory, Stage, cast_rays, project
from cyclorama.scenes.surface import Colour, plastic

WALL = 3.0
"""How far behind a product of size 1 its ground ends."""
LINE = 0.62
"""Where a crop puts the ground line if it can; share of the canvas' height."""
SHARP = 5.0
"""CIE76 distance across a ground line; what is softer is a seamless sweep."""
LIT = 0.05
"""Difference of log light between the right and the left third from which on a side counts as the lit one."""
LEAST = 0.02
"""Change of log light that counts as none."""
KEY, FILL = 27.0, 0.2
"""Radiance of the key light and of the sky; together they show a level ground about as bright as it is."""
EXPOSURE = 2.0
"""The product's own light counts half: it is its photo's, and would wash out the shadow at its foot."""
Ratio = NDArray[np.float32]
_SMALL = 128
_ELEVATIONS = np.arange(1.0, 40.5, 0.5)
_APART = (
    1e4  # radiance beside which none of the stage's is alike: the ratio is spread without regard to edges
)


@dataclass(frozen=True, eq=False)
class Backdrop:
    """A plate of the user's own, sRGB uint8 (H, W, 3), and what it shows of its ground and light."""

    pixels: NDArray[np.uint8]

    @cached_property
    def line(self) -> float | None:
        """Share of the height, from the top, at which ground and wall meet; None: a seamless sweep."""
        lab = rgb2lab(self._small / 255.0)
        band = _SMALL // 12
        rows = range(_SMALL * 3 // 10, _SMALL * 17 // 20)
        steps = [lab[y : y + band].mean(0) - lab[y - band : y].mean(0) for y in rows]
        scores = [float(np.median(np.linalg.norm(step, axis=1))) for step in steps]
        best = int(np.argmax(scores))
        return rows[best] / _SMALL if scores[best] >= SHARP else None

    @cached_property
    def side(self) -> float | None:
        """Where its key light stands, -1 left or 1 right; None where both sides are about as bright."""
        light = np.log(to_linear(self._small / 255.0).mean(2) + 1e-3)
        shades = light[:, -_SMALL // 3 :].mean(1) - light[:, : _SMALL // 3].mean(1)
        middle = float(np.median(shades))
        return float(np.sign(middle)) if abs(middle) >= LIT else None

    @cached_property
    def _small(self) -> NDArray[np.uint8]:
        return np.asarray(Image.fromarray(self.pixels).resize((_SMALL, _SMALL), Image.Resampling.BOX))

    def fit(self, canvas: tuple[int, int]) -> Backdrop:
        """The plate cropped and scaled to ``canvas`` (height, width), its ground line near LINE."""
        (tall, wide), (height, width) = self.pixels.shape[:2], canvas
        if (tall, wide) == canvas:
            return self
        scale = min(tall / height, wide / width)
        high, broad = min(tall, height * scale), min(wide, width * scale)  # rounding goes beyond the plate
        line = LINE if self.line is None else self.line
        top = min(max(0.0, line * tall - LINE * height * scale), tall - high)
        left = (wide - broad) / 2
        box = (left, top, min(wide, left + broad), min(tall, top + high))
        image = Image.fromarray(self.pixels).resize((width, height), Image.Resampling.LANCZOS, box)
        return Backdrop(np.asarray(image))

    def draw(self, cutout: CutOut, category: SceneCategory, size: tuple[int, int]) -> NDArray[np.uint8]:
        """The plate at ``size`` (height, width) with the shadow and the mirror image of ``cutout``, sRGB.

        Raises SettingsError (the product stands above the plate's ground).
        """
        plate = self.fit(size).pixels
        ratio = self.fit(cutout.canvas).measure(cutout, category)
        channels = [Image.fromarray(c).resize(size[::-1], Image.Resampling.BILINEAR) for c in _split(ratio)]
        light = to_linear(plate / 255.0) * np.stack([np.asarray(c) for c in channels], 2)
        return np.asarray(np.clip(np.rint(255 * from_linear(light)), 0, 255), np.uint8)

    def measure(self, cutout: CutOut, category: SceneCategory) -> Ratio:
        """Light with to light without the product at each pixel of its canvas (H, W, 3), the plate's own."""
        height, width = cutout.canvas
        stage, row = self.build(cutout, category)
        albedo = np.zeros((height, width, 3), np.float32)
        albedo[row:] = to_linear(self._find_ground(row))
        shapes = build_shapes(stage, stage.parts)
        apart = np.full((height, width, 3), _APART, np.float32)
        light, _ = add_product(apart, stage, shapes, albedo, cutout.matte, 0)
        change = np.log(light / _APART)
        change[:row] = 0
        change = np.sign(change) * np.maximum(np.abs(change) - LEAST, 0)
        return np.asarray(np.exp(change * _fade(cutout)[..., None]), np.float32)

    def build(self, cutout: CutOut, category: SceneCategory) -> tuple[Stage, int]:
        """The stage with the product on it, and the row at which its ground ends."""
        height = cutout.canvas[0]
        top, _, tall, _ = cutout.box
        usual = sum(category.framing.elevation) / 2
        camera, body = find_view(cutout, category, usual)
        line, far = None if body.lies else self.line, 40.0
        if line is not None:
            if line * height >= top + tall:
                raise SettingsError(
                    f"the product stands at {(top + tall) / height:.0%} of the canvas' height, above the "
                    f"backdrop's ground, which begins at {line:.0%}; place it lower "
                    "(--placement bottom --margin 0.1), make it larger (--product-scale) or take another one"
                )
            foot = np.array([[0.0, WALL, 0.0]])

            def miss(elevation: float) -> float:
                seen = project(foot, _solve(cutout, category, elevation))
                return abs(float(seen[0, 1]) - line)

            camera = _solve(cutout, category, min(_ELEVATIONS, key=miss))
            ray = cast_rays(np.array([[0.5, line]]), camera)[0]
            if ray[2] < 0:
                far = min(far, camera.origin[1] - camera.origin[2] * ray[1] / ray[2])
        row = 0 if line is None else round(line * height)
        side = self.side or estimate_light_side(cutout.foreground, cutout.matte) or -1.0
        stage = Stage(
            build_card(cutout.foreground, cutout.matte, camera, body), exposure=EXPOSURE, camera=camera
        )
        stage.add(floor(40.0, -12.0, far), plastic(self._find_ground(row), 0.3))
        stage.lights.append(Light((2.8 * side, 0.5, 3.0), (0.0, 0.0, 0.3), 1.5, (KEY, KEY, KEY)))
        stage.sky = (FILL, FILL, FILL)
        return stage, row

    def _find_ground(self, row: int) -> Colour:
        """The usual colour of the ground, which begins at ``row``."""
        red, green, blue = np.median(self.pixels[row:].reshape(-1, 3), axis=0) / 255
        return float(red), float(green), float(blue)


def _solve(cutout: CutOut, category: SceneCategory, elevation: float) -> Camera:
    return solve_camera(cutout.canvas, cutout.box, category.framing, float(elevation))


def _split(image: Ratio) -> list[Ratio]:
    return [np.ascontiguousarray(channel) for channel in np.moveaxis(image, 2, 0)]


def _fade(cutout: CutOut) -> Ratio:
    """Weight in [0, 1] (H, W): 1 near the product, 0 from one and a half of its larger side off."""
    top, left, tall, wide = cutout.box
    height, width = cutout.canvas
    y, x = np.arange(height)[:, None], np.arange(width)[None]
    down = np.maximum(np.maximum(top - y, y - top - tall), 0)
    across = np.maximum(np.maximum(left - x, x - left - wide), 0)
    return np.asarray(np.clip(3 - 2 * np.hypot(down, across) / max(tall, wide), 0, 1), np.float32)
