"""From a cut-out to its set: what is measured, tried and kept. Of cyclorama.scenes.model, by its values."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from cyclorama.scenes import body as bodies
from cyclorama.scenes import look, model
from cyclorama.scenes.body import measure_body
from cyclorama.scenes.model import (
    CutOut,
    find_surroundings,
    light_as,
    set_empty,
    set_stage,
)
from cyclorama.scenes.stage import BodyShape, Framing
from cyclorama.scenes.surface import Style

FRONTS = (-0.1, -0.05, -0.03)
"""How near the left, middle and right third of a foot come."""


def build_points(corner: float, reach: float) -> np.ndarray:
    """A thing 2 wide and 1 deep, with a point at ``corner`` of both half sides; it comes ``reach`` nearer
    above its foot, and much nearer where that no longer counts."""
    points = [(x, y, 0.01) for x, y in zip((-0.9, 0.1, 0.9), FRONTS)]
    points += [(x, y - reach, 0.119) for x, y in zip((-0.9, 0.1, 0.9), FRONTS)]
    points += [(x, y - reach, 0.02) for x, y in zip((-0.9, 0.1, 0.9), FRONTS)]
    points += [(-1, 0, 0.5), (1, 0, 0.5), (0, 0.5, 0.5), (0, -0.5, 0.12), (-0.9, -0.4, 0.12)]
    return np.array([*points, (corner, corner / 2, 0.5)])


def measure(
    monkeypatch: pytest.MonkeyPatch,
    *products: tuple[float, float],
    relief: Any = lambda *_: np.full((2, 24, 12), 0.25),
) -> BodyShape:
    made = [[SimpleNamespace(mesh=SimpleNamespace(vertices=build_points(*p)))] for p in products]
    monkeypatch.setattr(bodies, "list_held_out", lambda name: (0, 2))
    order = iter(made)
    monkeypatch.setattr(bodies, "build_product", lambda category, number: next(order))
    monkeypatch.setattr(bodies, "_measure_relief", relief)
    category: Any = SimpleNamespace(name="thing", body=None, framing=None)
    return measure_body.__wrapped__(category)


def test_a_body_is_measured_from_the_categorys_products(monkeypatch: pytest.MonkeyPatch) -> None:
    found = measure(monkeypatch, *[(0.7, 0.2)] * 4)
    assert found.depth == pytest.approx(0.5)
    assert found.overhang == pytest.approx(0.1)  # 0.2 nearer, of a width of 2
    assert found.round
    mixed = measure(monkeypatch, *[(0.7, reach) for reach in (0.0, 0.04, 0.2, 0.3)])
    assert mixed.overhang == pytest.approx(0.02 + 0.2 * 0.08)  # of four, one and a fifth
    given = BodyShape(depth=0.3)
    stated: Any = SimpleNamespace(body=given)
    assert measure_body.__wrapped__(stated) is given


@pytest.mark.parametrize(
    ("corners", "is_round"),
    [((0.8, 0.8, 0.8, 0.8), True), ((0.81, 0.81, 0.8, 0.8), False), ((0.81, 0.8, 0.8, 0.8), True)],
)
def test_half_of_the_products_with_corners_make_a_box(
    monkeypatch: pytest.MonkeyPatch, corners: tuple[float, ...], is_round: bool
) -> None:
    assert measure(monkeypatch, *[(corner, 0.0) for corner in corners]).round is is_round


@pytest.mark.parametrize(("fronts", "kept"), [((0.3, 0.4, 0.5, 0.4), True), ((0.0, 0.1, 0.2, 0.3), False)])
def test_a_relief_is_kept_where_the_products_agree(
    monkeypatch: pytest.MonkeyPatch, fronts: tuple[float, ...], kept: bool
) -> None:
    order = iter(fronts)

    def measure_relief(*_: Any) -> NDArray[np.float64]:
        relief = np.full((2, 24, 12), next(order))
        relief[:, 20:] = np.nan  # nothing is so high
        return relief

    body = measure(monkeypatch, *[(0.9, 0.0)] * 4, relief=measure_relief)
    assert not body.round
    assert body.front == (((0.4,) * 12,) * 24 if kept else ())
    assert bool(body.back) is kept


class Dressing:
    """A category whose set is told by what it was dressed with."""

    name, framing, body = "thing", Framing(share=(0.5, 0.7), elevation=(6, 11)), BodyShape()

    def sample_style(self, rng: np.random.Generator) -> Style:
        rng.random()
        return STYLE

    def dress(self, stage: Any, rng: np.random.Generator, style: Style) -> None:
        stage.parts.append((style, rng.random()))


GREY = (0.5, 0.5, 0.5)
STYLE = Style(wall=GREY, floor=GREY, prop=GREY, accent=(0.2, 0.4, 0.6), elements=(), key_side=0.7)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What camera and card were asked for."""
    asked: dict[str, Any] = {}

    def solve_camera(*args: Any) -> str:
        asked["camera"] = args
        return "camera"

    def build_card(*args: Any) -> list[str]:
        asked["card"] = args
        return ["card"]

    monkeypatch.setattr(model, "solve_camera", solve_camera)
    monkeypatch.setattr(model, "build_card", build_card)
    return asked


def test_an_empty_set_stands_round_a_box_of_the_usual_share(asked: dict[str, Any]) -> None:
    category: Any = Dressing()
    stage = set_empty(category, category, 5, STYLE, 101)
    canvas, box, framing, rise, lies = asked["camera"]
    assert (canvas, box, framing, lies) == ((101, 101), (20, 29, 61, 43), category.framing, False)
    assert 6 <= rise <= 11
    matte = asked["card"][1]
    assert matte.sum() == 61 * 43 and matte[20:81, 29:72].all()
    assert (stage.product, stage.camera, stage.parts[0][0]) == ([], "camera", STYLE)
    set_empty(category, category, 5, STYLE, 101, 33.0)
    assert asked["camera"][3] == 33.0


CUT = CutOut(np.zeros((4, 2, 3), np.uint8), np.array([[0.98, 0.99]] * 4, np.float32), (0, 0, 4, 2))
WALLS = ((0.1, 0.1, 0.1), (0.2, 0.2, 0.2), (0.3, 0.3, 0.3))


@pytest.mark.parametrize(
    ("contrasts", "wall"),
    [
        ([1.0], STYLE.wall),
        ([0.9, 0.8, 1.0], WALLS[1]),  # the first that stands off enough
        ([0.5, 0.5, 0.4, 0.5], STYLE.wall),  # none is better
        ([0.5, 0.6, 0.7, 0.6], WALLS[1]),  # the best of those that do not
    ],
)
@pytest.mark.usefixtures("asked")
def test_walls_are_tried_until_one_stands_off(
    monkeypatch: pytest.MonkeyPatch, contrasts: list[float], wall: tuple[float, ...]
) -> None:
    left = [look.DISTINCT * share for share in contrasts]
    monkeypatch.setattr(model, "relate_accent", lambda style, *args: style)
    monkeypatch.setattr(model, "estimate_light_side", lambda *args: None)
    monkeypatch.setattr(model, "find_view", lambda *args: ("camera", BodyShape()))
    monkeypatch.setattr(model, "measure_rim", lambda *args: "rim")
    monkeypatch.setattr(model, "render_preview", lambda *args: None)
    monkeypatch.setattr(model, "find_surroundings", lambda *args: None)
    monkeypatch.setattr(look, "measure_contrast", lambda *args: left.pop(0))
    monkeypatch.setattr(look, "list_walls", lambda *args: WALLS)
    category: Any = Dressing()
    found = set_stage(CUT, category, 3)
    assert not left
    assert found.style == STYLE.replace(wall=wall)
    assert found.contrast == look.DISTINCT * max(contrasts)
    assert found.stage.parts[0][0] == found.style and found.light_side is None
    assert found.solid.tolist() == [[0, 255]] * 4


@pytest.mark.parametrize(("own", "side", "expected"), [(0.7, -1.0, -0.7), (-0.2, 1.0, 0.4), (0.2, None, 0.2)])
def test_light_comes_from_the_photos_side(
    monkeypatch: pytest.MonkeyPatch, own: float, side: float | None, expected: float
) -> None:
    monkeypatch.setattr(model, "estimate_light_side", lambda *args: side)
    style, found = light_as(STYLE.replace(key_side=own), CUT)
    assert (style.key_side, found) == (expected, side)


def test_only_the_ring_round_the_upper_part_is_looked_at() -> None:
    places = np.indices((40, 44))
    image = np.dstack([*places, places[0]]).astype(np.uint8)
    matte = np.zeros((40, 44), np.float32)
    matte[10:30, 12:28] = 1
    matte[12, 28] = 0.5  # half seen is not seen
    away = ndimage.distance_transform_cdt(matte <= 0.5, metric="taxicab")
    expected = image[(away >= 2) & (away <= 4) & (places[0] < 24)]
    np.testing.assert_array_equal(find_surroundings(image, matte), expected)


@pytest.mark.parametrize(("canvas", "small"), [((1024, 1024), (96, 96)), ((90, 728), (12, 96))])
@pytest.mark.parametrize("alpha", [1.0, 0.6])
def test_a_product_thinner_than_the_small_images_pixels_has_surroundings(
    canvas: tuple[int, int], small: tuple[int, int], alpha: float
) -> None:
    """A column of 4 pixels, wherever it lies between two samples: what is behind its upper part is seen."""
    image = np.dstack([*np.indices(small), np.zeros(small)]).astype(np.uint8)
    height, step = canvas[0], canvas[1] / small[1]
    for left in range(300, 301 + int(step)):
        matte = np.zeros(canvas, np.float32)
        matte[height // 6 : height - height // 6, left : left + 4] = alpha
        found = find_surroundings(image, matte)
        assert 10 < len(found) < 0.2 * image[..., 0].size
        assert np.abs(found[:, 1] - (left + 2) / step).max() <= 6
        assert found[:, 0].max() <= 0.75 * small[0]
