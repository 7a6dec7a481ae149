"""Proves of backdrops: what a plate shows is found, and only what the product changes is changed."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cyclorama.errors import SettingsError
from cyclorama.scenes.backdrop import WALL, Backdrop
from cyclorama.scenes.grammar.reader import load_category
from cyclorama.scenes.model import CutOut
from cyclorama.scenes.stage import project

PERFUME = load_category("perfume")


def draw_plate(size: tuple[int, int] = (96, 96), line: float = 0.6, lit: float = 0.0) -> NDArray[np.uint8]:
    """A grey wall over a brown ground, ``lit`` times brighter on the right."""
    y, x = np.mgrid[: size[0], : size[1]]
    colours = np.where((y >= line * size[0])[..., None], (120, 90, 60), (180, 180, 185))
    grain = np.random.default_rng(0).integers(-2, 3, size)
    light = 1 + lit * (x / size[1] - 0.5)
    return np.clip(colours * light[..., None] + grain[..., None], 0, 255).astype(np.uint8)


def cut(top: int = 40, left: int = 40, tall: int = 40, wide: int = 16, side: int = 96) -> CutOut:
    matte = np.zeros((side, side), np.float32)
    matte[top : top + tall, left : left + wide] = 1
    return CutOut(np.full((side, side, 3), 120, np.uint8), matte, (top, left, tall, wide))


@pytest.mark.parametrize("line", [0.4, 0.55, 0.75])
def test_the_ground_line_is_found_and_a_soft_change_is_none(line: float) -> None:
    assert Backdrop(draw_plate((120, 200), line)).line == pytest.approx(line, abs=0.01)
    sweep = np.linspace(200, 150, 120)[:, None, None] * np.ones((1, 80, 3))
    assert Backdrop(sweep.astype(np.uint8)).line is None


def test_the_light_stands_where_the_plate_is_brighter() -> None:
    sides = [Backdrop(draw_plate(lit=lit)).side for lit in (-0.3, 0.0, 0.3)]
    assert sides == [-1.0, None, 1.0]


def test_a_crop_brings_the_line_to_its_place_without_leaving_the_plate() -> None:
    tall = draw_plate((300, 100), 0.7)
    fitted = Backdrop(tall).fit((80, 80))
    assert fitted.pixels.shape == (80, 80, 3)
    assert fitted.line == pytest.approx(0.62, abs=0.02)
    plate = Backdrop(draw_plate((80, 160), 0.4))
    assert plate.fit((80, 80)).line == pytest.approx(0.4, abs=0.02)
    assert plate.fit((80, 160)) is plate


@pytest.mark.parametrize("line", [0.1, 0.62, 0.9])
@pytest.mark.parametrize(
    ("plate", "canvas"),
    [
        ((3000, 4000), (1080, 1920)), ((4000, 6000), (1920, 1080)), ((2000, 3000), (1920, 1080)),
        ((1000, 1500), (1920, 1080)), ((3024, 4032), (1350, 1080)), ((768, 1344), (628, 1200)),
    ],
)  # fmt: skip
def test_plates_of_cameras_fit_the_canvases_of_channels(
    monkeypatch: pytest.MonkeyPatch, plate: tuple[int, int], canvas: tuple[int, int], line: float
) -> None:
    """(height, width): the crop stays on the plate, has the canvas' shape and touches two of its sides."""
    boxes = []
    resize = Image.Image.resize

    def note(image: Image.Image, size: tuple[int, int], method: int, box: tuple[float, ...]) -> Image.Image:
        boxes.append(box)
        return resize(image, size, method, box)

    backdrop = Backdrop(np.zeros((*plate, 3), np.uint8))
    backdrop.__dict__["line"] = line
    monkeypatch.setattr(Image.Image, "resize", note)
    assert backdrop.fit(canvas).pixels.shape == (*canvas, 3)
    left, top, right, bottom = boxes[0]
    assert 0 <= left < right <= plate[1]
    assert 0 <= top < bottom <= plate[0]
    assert (right - left) / (bottom - top) == pytest.approx(canvas[1] / canvas[0])
    assert max((right - left) / plate[1], (bottom - top) / plate[0]) == pytest.approx(1)


def test_the_ground_ends_at_the_plates_line() -> None:
    stage, row = Backdrop(draw_plate(line=0.6)).build(cut(), PERFUME)
    assert row == pytest.approx(0.6 * 96, abs=1)
    foot = project(np.array([[0.0, WALL, 0.0]]), stage.camera)[0, 1]
    assert foot == pytest.approx(0.6, abs=0.01)
    far = stage.parts[0].mesh.vertices[:, 1].max()
    assert project(np.array([[0.0, far, 0.0]]), stage.camera)[0, 1] == pytest.approx(row / 96, abs=0.01)
    red, green, blue = stage.parts[0].surface.colour
    assert (255 * red, 255 * green, 255 * blue) == pytest.approx((120, 90, 60), abs=2)


@pytest.mark.parametrize("side", [-1, 1])
def test_the_shadow_falls_away_from_the_light_and_the_rest_is_the_plates_own(side: int) -> None:
    plate, product = Backdrop(draw_plate(lit=0.3 * side)), cut(50, 42, 30, 12)
    drawn = plate.draw(product, PERFUME, (96, 96))
    changed = drawn.astype(int).sum(2) - plate.pixels.astype(int).sum(2)
    left, right = (changed[72:82, columns].mean() for columns in (slice(24, 40), slice(56, 72)))
    lit, shaded = (right, left) if side > 0 else (left, right)
    assert shaded < lit - 10
    assert shaded < -15
    assert (changed[:56] == 0).all()  # above the line
    small = plate.draw(cut(70, 12, 16, 6), PERFUME, (96, 96))
    assert np.array_equal(small[:, 46:], plate.pixels[:, 46:])
    assert not np.array_equal(small, plate.pixels)


def test_a_product_above_the_ground_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"stands at 42% .* begins at 60%; place it lower"):
        Backdrop(draw_plate()).build(cut(10, 40, 30), PERFUME)
