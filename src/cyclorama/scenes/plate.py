"""What do the images of one style share?  The empty set, rendered once for all products of about one size.

Products are sorted into buckets by the size of their box and by where they stand. The plate of a bucket is
the set round one of middle size, with room for the largest, a margin wider than the canvas: a product that
stands elsewhere by a few pixels sees another part of the same plate, so that it is never moved.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cyclorama.scenes.calm import CalmBox
from cyclorama.scenes.canvas import fit_canvas
from cyclorama.scenes.card import build_card, solve_camera
from cyclorama.scenes.look import choose_wall, measure_rim
from cyclorama.scenes.model import PREVIEW, CutOut, begin_set, find_surroundings, find_view, light_as
from cyclorama.scenes.ratio import Light, add_product, measure_empty
from cyclorama.scenes.render import (
    build_shapes,
    clear_view,
    render_albedo,
    render_light,
    render_preview,
    tone_map,
)
from cyclorama.scenes.stage import BodyShape, Camera, SceneCategory, Stage
from cyclorama.scenes.surface import Colour, Style

SETS = 4
"""Arrangements that a style has where none is asked for."""
STEP = 1.15
"""Sizes of one bucket differ by no more than this factor."""
MARGIN = 24
"""The canvas' larger side as a multiple of the plate's margin."""
MOST_FAULTS = 0.02
"""Share of the pixels that may be expected to be wrong before all is rendered anew."""
KEPT_BYTES = 400 << 20
"""Plates that one process keeps."""


@dataclass(frozen=True)
class Bucket:
    """Products that share a plate: ``size`` (height, width) of the largest, ``foot`` (y, x) of the middle
    one, both in pixels of the ``canvas`` (height, width)."""

    canvas: tuple[int, int]
    size: tuple[int, int]
    foot: tuple[int, int]

    @property
    def margin(self) -> int:
        """By how many pixels the plate is wider than the canvas on each side."""
        return max(1, max(self.canvas) // MARGIN)

    def find_box(self, smaller: float = 1.0) -> tuple[int, int, int, int]:
        """(top, left, height, width) of one that is by a factor ``smaller`` than the largest."""
        tall, wide = (round(n / smaller) for n in self.size)
        return self.foot[0] - tall, self.foot[1] - wide // 2, tall, wide

    @property
    def film(self) -> tuple[int, int]:
        """(height, width) of the plate, pixels."""
        return self.canvas[0] + 2 * self.margin, self.canvas[1] + 2 * self.margin

    @classmethod
    def of(cls, cutout: CutOut) -> Bucket:
        """The bucket of a product."""
        top, left, tall, wide = cutout.box
        longer = max(cutout.canvas)
        size = tuple(math.ceil(longer * STEP ** math.ceil(math.log(n / longer, STEP))) for n in (tall, wide))
        plain = cls(cutout.canvas, (size[0], size[1]), (0, 0))
        grid = 2 * plain.margin
        foot = (round((top + tall) / grid) * grid, round((left + wide / 2) / grid) * grid)
        return replace(plain, foot=foot)

    def find_shift(self, cutout: CutOut) -> tuple[int, int]:
        """How far (down, to the right) a product stands from the bucket's foot, pixels."""
        top, left, tall, wide = cutout.box
        return top + tall - self.foot[0], math.floor(left + wide / 2) - self.foot[1]


@dataclass(frozen=True)
class ProductSet:
    """A set without a product: all that decides how its plate looks."""

    category: SceneCategory
    """Whose products stand there."""
    dressing: SceneCategory
    """Whose set it is."""
    arrangement: int
    elevation: float
    """The camera's, degrees."""
    body: BodyShape
    """The products'."""
    style: Style
    bucket: Bucket

    def build(self) -> Stage:
        """The stage with a plain box in place of the product; its camera sees the whole plate."""
        (rng, _), body = _begin(self.category, self.dressing, self.arrangement), self.body
        bucket, framing = self.bucket, self.category.framing
        middle = bucket.find_box(math.sqrt(STEP))  # so large is the set
        camera = _widen(solve_camera(bucket.canvas, middle, framing, self.elevation, body.lies), bucket)
        matte = np.zeros(bucket.film, np.float32)
        top, left, tall, wide = bucket.find_box()
        top, left = top + bucket.margin, left + bucket.margin
        matte[max(0, top) : top + tall, max(0, left) : left + wide] = 1
        card = build_card(np.zeros((*bucket.film, 3), np.uint8), matte, camera, body)
        stage = Stage(product=card, camera=camera)
        self.dressing.dress(stage, rng, self.style)
        clear_view(stage, np.where(matte > 0, 255, 0).astype(np.uint8))
        return stage

    def crop(self, plate: NDArray[np.floating], cutout: CutOut) -> Light:
        """What the product's own canvas shows of ``plate`` (H, W, 3)."""
        margin, (down, right) = self.bucket.margin, self.bucket.find_shift(cutout)
        height, width = cutout.canvas
        part = plate[margin - down :, margin - right :][:height, :width]
        return np.ascontiguousarray(part, np.float32)

    def place(self, stage: Stage, cutout: CutOut) -> Stage:
        """``stage`` with a product of the bucket, as the camera of its own canvas sees it."""
        camera = _narrow(stage.camera, self.bucket, self.bucket.find_shift(cutout))
        card = build_card(cutout.foreground, cutout.matte, camera, self.body)
        return replace(stage, product=card, camera=camera)

    def widen(self, matte: Light, cutout: CutOut) -> Light:
        """``matte`` (H, W) of the product's own canvas on the plate; the inverse of :meth:`crop`."""
        margin, (down, right) = self.bucket.margin, self.bucket.find_shift(cutout)
        return np.pad(matte, ((margin - down, margin + down), (margin - right, margin + right)))


def choose_set(
    cutout: CutOut,
    category: SceneCategory,
    dressing: SceneCategory,
    arrangement: int,
    style: Style,
    elevation: float | None = None,
) -> ProductSet:
    """The set of ``style`` for a product: lit from its photo's side, before a wall that shows it."""
    style, _ = light_as(style, cutout)
    _, usual = _begin(category, dressing, arrangement)
    camera, body = find_view(cutout, category, usual if elevation is None else elevation)
    rise = (camera.origin[2] - camera.target[2]) / math.dist(camera.origin, camera.target)
    height = round(math.degrees(math.asin(rise)), 3)
    first = ProductSet(category, dressing, arrangement, height, body, style, Bucket.of(cutout))

    def look_behind(wall: Colour) -> NDArray[np.uint8]:
        return _look_behind(replace(first, style=style.replace(wall=wall)), cutout)

    wall, _ = choose_wall(style.wall, measure_rim(cutout.foreground, cutout.matte), look_behind)
    return replace(first, style=style.replace(wall=wall))


def _begin(
    category: SceneCategory, dressing: SceneCategory, arrangement: int
) -> tuple[np.random.Generator, float]:
    """What an arrangement draws from, and the elevation that it draws first, degrees."""
    rng, _ = begin_set(dressing, arrangement)
    return rng, float(rng.uniform(*category.framing.elevation))


@lru_cache(256)
def _preview(shown: ProductSet) -> NDArray[np.uint8]:
    stage = replace(shown.build(), product=[])
    return render_preview(stage, PREVIEW, 4)


def _look_behind(shown: ProductSet, cutout: CutOut) -> NDArray[np.uint8]:
    """Pixels (N, 3) of a small image of the plate round the product."""
    return find_surroundings(_preview(shown), shown.widen(cutout.matte, cutout))


@dataclass(frozen=True)
class Plate:
    """An empty set as its wide camera sees it."""

    stage: Stage
    """Without a product; its parts are in ``shapes``."""
    shapes: list[Any]
    light: NDArray[np.float16]
    """Linear radiance (H, W, 3)."""
    albedo: NDArray[np.float16]
    """Colours (H, W, 3)."""
    small: Light
    """The light (h, w, 3) that products' changes are told against."""
    bytes: int
    """What it takes in memory, about."""

    @classmethod
    def of(cls, shown: ProductSet, samples: int) -> Plate:
        """The plate of a set, ``samples`` a pixel."""
        stage = replace(fit_canvas(shown.build()), product=[])
        size, shapes = max(shown.bucket.film), build_shapes(stage, stage.parts)
        albedo = render_albedo(stage, size, shown.arrangement)
        light = render_light(stage, size, samples, shown.arrangement, None, shapes, albedo)
        # the renderer keeps textures as floats of 2 bytes or 4
        textures = {id(p.surface.colour): np.asarray(p.surface.colour).size for p in stage.parts}
        meshes = sum(p.mesh.vertices.nbytes + p.mesh.faces.nbytes for p in stage.parts)
        count = 4 * sum(textures.values()) + 4 * meshes + light.nbytes
        half = (light.astype(np.float16), albedo.astype(np.float16))
        small = measure_empty(stage, shapes, half[1].astype(np.float32), shown.arrangement)
        return cls(replace(stage, parts=[]), shapes, *half, small, count)


class Plates:
    """The plates used last; what an image looks like does not depend on which they are.

    Can be pickled; the plates stay behind.
    """

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        """Keeps up to ``kept_bytes``, and the last one whatever its size."""
        self._limit, self._kept = kept_bytes, OrderedDict[tuple[ProductSet, int], Plate]()

    def __reduce__(self) -> tuple[type[Plates], tuple[int]]:
        return Plates, (self._limit,)

    def get(self, shown: ProductSet, samples: int) -> Plate:
        """The plate of ``shown`` with ``samples`` a pixel."""
        key = (shown, samples)
        plate = self._kept.pop(key, None) or Plate.of(shown, samples)
        self._kept[key] = plate
        while len(self._kept) > 1 and sum(p.bytes for p in self._kept.values()) > self._limit:
            self._kept.popitem(last=False)
        return plate

    def draw(self, cutout: CutOut, shown: ProductSet, samples: int) -> NDArray[np.uint8]:
        """The set round ``cutout``, sRGB (H, W, 3): the plate with what the product changes in it.

        Where that is too fine to be measured small, all is rendered.
        """
        plate = self.get(shown, samples)
        light, faults = change_plate(plate, cutout, shown)
        if faults > MOST_FAULTS:
            light = render_whole(plate, cutout, shown, samples)
        return tone_map(light, plate.stage.exposure)

    def draw_empty(self, cutout: CutOut, shown: ProductSet, samples: int) -> NDArray[np.uint8]:
        """The plate alone, as the canvas of ``cutout`` sees it, sRGB (H, W, 3)."""
        plate = self.get(shown, samples)
        return tone_map(shown.crop(plate.light, cutout), plate.stage.exposure)


def change_plate(plate: Plate, cutout: CutOut, shown: ProductSet) -> tuple[Light, float]:
    """The light (H, W, 3) of ``plate`` with a product before it, and the share of pixels that is likely to be
    more than a few levels off."""
    stage = replace(shown.place(plate.stage, cutout), camera=plate.stage.camera)
    light, albedo = (each.astype(np.float32) for each in (plate.light, plate.albedo))
    matte = shown.widen(cutout.matte, cutout)
    light, faults = add_product(light, stage, plate.shapes, albedo, matte, shown.arrangement, plate.small)
    return shown.crop(light, cutout), faults


def render_whole(
    plate: Plate, cutout: CutOut, shown: ProductSet, samples: int, seed: int | None = None
) -> Light:
    """The light (H, W, 3) of the same set with the product, rendered at once; ``seed`` of its noise."""
    stage, guide = shown.place(plate.stage, cutout), shown.crop(plate.albedo, cutout)
    number = shown.arrangement if seed is None else seed
    return render_light(stage, max(cutout.canvas), samples, number, None, plate.shapes, guide)


def render_alone(
    cutout: CutOut, shown: ProductSet, samples: int, calm: Sequence[CalmBox] = ()
) -> NDArray[np.uint8]:
    """The set round ``cutout``, sRGB (H, W, 3), without a plate: faster for a product or two.

    Nothing of its props is seen in the ``calm`` boxes.
    """
    stage = fit_canvas(shown.place(shown.build(), cutout), calm)
    light = render_light(stage, max(cutout.canvas), samples, shown.arrangement)
    return tone_map(light, stage.exposure)


def _widen(camera: Camera, bucket: Bucket) -> Camera:
    """``camera`` with a film that is a margin wider on each side."""
    return _refilm(camera, bucket.canvas, 2 * bucket.margin, (bucket.margin, bucket.margin))


def _narrow(camera: Camera, bucket: Bucket, shift: tuple[int, int]) -> Camera:
    """The camera of the canvas, moved by ``shift`` (down, right) against the wide one's middle."""
    margin = bucket.margin
    return _refilm(camera, bucket.film, -2 * margin, (shift[0] - margin, shift[1] - margin))


def _refilm(camera: Camera, film: tuple[int, int], wider: int, corner: tuple[int, int]) -> Camera:
    """``camera``, whose film is ``film`` pixels (height, width), with one that is ``wider`` and whose corner
    is ``corner`` pixels up and to the left of it."""
    height, width = film
    tall, wide = height + wider, width + wider
    half = math.tan(math.radians(camera.fov) / 2) * max(tall, wide) / max(height, width)
    x, y = camera.centre
    centre = ((x * width + corner[1]) / wide, (y * height + corner[0]) / tall)
    return replace(camera, fov=2 * math.degrees(math.atan(half)), aspect=wide / tall, centre=centre)
