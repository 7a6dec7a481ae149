"""Odd products in rendered sets: every one has its image, its own pixels bit for bit, or a named error."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cyclorama.errors import EmptyMaskError
from cyclorama.generate import BackgroundGenerator
from cyclorama.generation.result import Generated
from cyclorama.generation.scenes import SceneModel
from cyclorama.imaging.compositing import composite
from cyclorama.imaging.product import Product

Box = tuple[int, int, int, int]
"""Top, left, bottom, right; pixels."""


def draw_boxes(canvas: tuple[int, int], *boxes: Box, hole: Box = (0, 0, 0, 0)) -> Image.Image:
    """Noise, opaque in ``boxes`` and clear elsewhere and in the ``hole``."""
    pixels = np.zeros((*canvas, 4), np.uint8)
    pixels[..., :3] = np.random.default_rng(0).integers(0, 256, (*canvas, 3), np.uint8)
    for top, left, bottom, right in boxes:
        pixels[top:bottom, left:right, 3] = 255
    top, left, bottom, right = hole
    pixels[top:bottom, left:right, 3] = 0
    return Image.fromarray(pixels)


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> BackgroundGenerator:
    monkeypatch.setitem(sys.modules["cyclorama.generation.scenes"].PRESETS, "fast", (64, 2))
    return BackgroundGenerator.from_pretrained()


def check_exact(made: Generated, image: Image.Image) -> None:
    """The opaque product pixels are in the image, unmoved against each other, and the report says all are."""
    given = np.asarray(image)
    solid = given[..., 3] == 255
    assert made.report.exact and made.report.opaque_pixels == solid.sum()
    rows, columns = np.nonzero(solid)
    product = given[rows, columns, :3]
    height, width = made.pixels.shape[:2]
    top, left = rows.min(), columns.min()
    tall, wide = np.ptp(rows), np.ptp(columns)
    first = np.argwhere((made.pixels[: height - tall, : width - wide] == given[top, left, :3]).all(-1))
    starts = first if solid[top, left] else np.argwhere(np.ones((height - tall, width - wide), bool))
    assert any(np.array_equal(made.pixels[rows - top + y, columns - left + x], product) for y, x in starts)


ODD: dict[str, tuple[str, Any]] = {
    "as wide as a panorama, 20:1": ("armchair", lambda: draw_boxes((60, 440), (20, 20, 40, 420))),
    "as tall as a lamp, 1:15": ("table lamp", lambda: draw_boxes((320, 60), (10, 20, 310, 40))),
    "cut by the upper edge": ("whisky", lambda: draw_boxes((96, 96), (0, 30, 60, 66))),
    "cut by the left edge": ("whisky", lambda: draw_boxes((96, 96), (30, 0, 80, 40))),
    "cut by the right edge": ("whisky", lambda: draw_boxes((96, 96), (30, 50, 80, 96))),
    "cut by the lower edge": ("whisky", lambda: draw_boxes((96, 96), (30, 30, 96, 66))),
    "cut by three edges": ("whisky", lambda: draw_boxes((96, 96), (0, 4, 96, 96))),
    "with a hole": ("mug", lambda: draw_boxes((96, 96), (20, 20, 80, 76), hole=(35, 35, 60, 60))),
    "in two parts": ("shoes", lambda: draw_boxes((96, 96), (30, 10, 80, 40), (40, 56, 80, 86))),
    "lying": ("jewellery", lambda: draw_boxes((96, 96), (30, 10, 80, 86))),
    "20 px small": ("perfume", lambda: draw_boxes((200, 200), (90, 92, 110, 108))),
    "of a photo of 20 px": ("perfume", lambda: draw_boxes((24, 24), (2, 4, 22, 20))),
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_products_have_their_image(make: BackgroundGenerator, kind: str) -> None:
    category, draw = ODD[kind]
    image = draw()
    made = make(image, category=category, preset="fast")
    check_exact(made, image)
    background = made.background.astype(float)
    assert 4 < background.mean() < 251 and background.std() > 3  # a set, not one colour


def test_a_product_cut_by_the_frame_keeps_that_edge(make: BackgroundGenerator) -> None:
    """What is cut stays at the canvas' edge: no ground shows where the product goes on."""
    image = draw_boxes((96, 96), (30, 30, 96, 66))
    made = make(image, category="whisky", preset="fast")
    cut, edge = np.asarray(image)[-1, 30:66, :3], made.pixels[-1]
    assert any(np.array_equal(edge[x : x + len(cut)], cut) for x in range(len(edge) - len(cut) + 1))


def test_nothing_to_show_is_a_named_error(make: BackgroundGenerator) -> None:
    with pytest.raises(EmptyMaskError):
        make(draw_boxes((64, 64)), category="perfume", preset="fast")


@pytest.mark.slow
def test_forty_megapixels(make: BackgroundGenerator) -> None:
    """The set is rendered small and scaled up; the product is not."""
    assert isinstance(make.pipeline, SceneModel)
    pixels = np.asarray(draw_boxes((5000, 8000), (1000, 2000, 4500, 6000)))
    matte = (pixels[..., 3] > 0).astype(np.float32)
    product = Product(pixels[..., :3], matte, pixels[..., :3], "large")
    ground = make.pipeline.draw(product, "cabinet", 7, "fast")
    assert ground.shape == (5000, 8000, 3) and ground.dtype == np.uint8
    made = composite(ground, product)
    assert np.array_equal(made[1000:4500, 2000:6000], product.pixels[1000:4500, 2000:6000])
    assert np.array_equal(made[:1000], ground[:1000])
