"""What an outline tells: whether a product stands, and from how high its foot was seen."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from cyclorama.scenes.card import build_card
from cyclorama.scenes.grammar.reader import load_category
from cyclorama.scenes.model import CutOut, find_view
from cyclorama.scenes.pose import ABOVE, _find_run, can_stand, estimate_dish, estimate_elevation
from cyclorama.scenes.stage import Camera, compute_axes, project


def draw_cylinder(degrees: float, radius: float = 60, size: int = 320) -> NDArray[np.float32]:
    """A jar seen from ``degrees`` above from afar, anti-aliased."""
    y, x = np.mgrid[: 4 * size, : 4 * size] / 4 + 0.125
    u = (x - 0.47 * size) / radius
    sag = radius * np.sin(np.deg2rad(degrees))
    arc = np.sqrt(np.clip(1 - u**2, 0, 1)) * sag
    inside = (np.abs(u) <= 1) & (y <= 0.7 * size + arc) & (y >= 0.25 * size - arc)
    return inside.astype(np.float32).reshape(size, 4, size, 4).mean((1, 3))


@pytest.mark.parametrize("degrees", [3, 8, 15, 24])
@pytest.mark.parametrize("radius", [20, 60])
def test_elevation_is_the_foot_ellipses(degrees: float, radius: float) -> None:
    assert estimate_elevation(draw_cylinder(degrees, radius)) == pytest.approx(degrees, abs=1)


def test_a_flat_foot_a_ball_a_slanted_foot_and_a_small_one_tell_nothing() -> None:
    y, x = np.mgrid[:320, :320]
    ball = (np.hypot(x - 160, y - 160) < 80).astype(np.float32)
    slanted = ((y < 250 + 0.2 * (x - 160)) & (np.abs(x - 160) < 60) & (y > 60)).astype(np.float32)
    for matte in (draw_cylinder(0), ball, slanted, draw_cylinder(15, 9)):
        assert estimate_elevation(matte) is None


def test_what_is_aslant_would_fall_and_what_is_upright_stands() -> None:
    y, x = np.mgrid[:200, :200]
    rod = ((np.abs(x - 100) < 80) & (np.abs(y - 100) < 12)).astype(np.float32)
    for degrees, stands in ((0, True), (15, False), (-40, False), (70, False), (90, True)):
        turned = ndimage.rotate(rod, degrees, reshape=False, order=1)
        assert can_stand(turned) is stands, degrees
    assert can_stand(draw_cylinder(10))


def cut_out(matte: NDArray[np.float32]) -> CutOut:
    rows, columns = np.nonzero(matte > 0.5)
    box = (int(rows.min()), int(columns.min()), int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1)
    return CutOut(np.zeros((*matte.shape, 3), np.uint8), matte, box)


def measure_foot(camera: Camera, radius: float = 0.2) -> float:
    """Degrees from which ``camera`` sees a circle on the ground at the product's place."""
    circle = np.linspace(0, 2 * np.pi, 200)
    seen = project(np.stack([radius * np.cos(circle), radius * np.sin(circle), 0 * circle], 1), camera)
    return float(np.rad2deg(np.arcsin(np.ptp(seen[:, 1]) / np.ptp(seen[:, 0]))))


def test_what_would_fall_lies_and_is_seen_from_above() -> None:
    y, x = np.mgrid[:200, :200]
    rod = ndimage.rotate(
        ((np.abs(x - 100) < 80) & (np.abs(y - 100) < 12)).astype(np.float32), -30, reshape=False, order=1
    )
    camera, body = find_view(cut_out(rod), load_category("vegetables"), 12.0)
    assert body.lies
    down = -compute_axes(camera)[2][2]
    assert np.rad2deg(np.arcsin(down)) == pytest.approx(ABOVE)
    camera, body = find_view(cut_out(rod), load_category("television"), 12.0)  # a box may be seen turned
    assert not body.lies


@pytest.mark.parametrize("elevation", [0.0, 2.0, 8.0, 10.0])
def test_a_ring_is_seen_from_above_where_a_brand_asks_for_less(elevation: float) -> None:
    y, x = np.mgrid[:512, :512]
    away = np.hypot(y - 255.5, x - 255.5)
    ring = cut_out(((away < 150) & (away > 130)).astype(np.float32))
    camera, body = find_view(ring, load_category("jewellery"), elevation)
    assert body.lies
    assert 0 < camera.fov < 180
    seen = project(build_card(ring.foreground, ring.matte, camera, body)[0].mesh.vertices, camera)
    top, left, tall, wide = (n / 512 for n in ring.box)
    assert seen.min(0) == pytest.approx([left, top], abs=0.01)
    assert seen.max(0) == pytest.approx([left + wide, top + tall], abs=0.01)


@pytest.mark.parametrize("degrees", [20, 24])
def test_a_round_foot_is_seen_as_in_its_photo(degrees: float) -> None:
    matte = draw_cylinder(degrees)
    own, _ = find_view(cut_out(draw_cylinder(0)), load_category("whisky"), 3.0)
    followed, _ = find_view(cut_out(matte), load_category("whisky"), 3.0)
    assert abs(measure_foot(followed) - degrees) < 4 < abs(measure_foot(own) - degrees)


def test_a_photo_nearly_as_high_changes_nothing() -> None:
    camera, _ = find_view(cut_out(draw_cylinder(15)), load_category("whisky"), 8.0)
    assert np.rad2deg(np.arcsin(-compute_axes(camera)[2][2])) == pytest.approx(8.0)


def test_support_ends_seven_hundredths_of_the_longer_side_over_the_ground() -> None:
    """Of a hundred rows the last but seven still holds up what stands on a tip else, as a turned armchair's
    hindmost leg does."""
    matte = np.zeros((110, 100), np.float32)
    matte[:92] = 1
    matte[93:100, :10] = 1
    assert not can_stand(matte)
    matte[92] = 0.5
    assert can_stand(matte)


def test_a_middle_slightly_beside_its_support_does_not_fall() -> None:
    matte = np.ones((100, 100), np.float32)
    matte[90:, 46:] = 0
    assert can_stand(matte)
    matte[90:, 30:] = 0
    assert not can_stand(matte)


def test_of_two_products_each_stands_for_itself() -> None:
    jar = draw_cylinder(10)
    nearer = np.roll(jar, 30, axis=0)
    assert can_stand(np.hstack([jar, nearer]))
    rod = np.zeros((320, 320), np.float32)
    rod[60:260, 150:170] = 1
    aslant = ndimage.rotate(rod, 40, reshape=False, order=1)
    assert not can_stand(np.hstack([jar, np.roll(aslant, 60, axis=0)]))


def test_a_row_is_followed_to_its_gaps() -> None:
    row = np.array([[True, True, False, True, True]])
    assert [_find_run(row, height, column) for height in (-3, 0, 9) for column in (1, 3)] == [
        (0, 2),
        (3, 2),
    ] * 3
    assert _find_run(row, 0, 2) == (3, 0)


def draw_foot(tilt: float, ragged: float, lowest: float = 182.5) -> NDArray[np.float32]:
    """A jar seen from 12 degrees above; its foot slants, and waves by so many pixels."""
    y, x = np.mgrid[:220, :200] + 0.5
    u = (x - 100) / 60
    foot = lowest - 60 * np.sin(np.deg2rad(12)) * (1 - np.sqrt(np.clip(1 - u**2, 0, 1)))
    foot += tilt * (x - 100) + ragged * np.sin(x)
    return np.where(np.abs(u) <= 1, np.clip(foot - y + 0.5, 0, 1) * (y > 40), 0).astype(np.float32)


@pytest.mark.parametrize(
    ("tilt", "ragged", "tells"),
    [(0, 0, True), (0.01, 0, True), (0.06, 0, False), (0, 0.2, True), (0, 1, False)],
)
def test_a_slightly_slanting_or_ragged_foot_still_tells(tilt: float, ragged: float, tells: bool) -> None:
    found = estimate_elevation(draw_foot(tilt, ragged))
    assert found == (pytest.approx(12, abs=0.7) if tells else None)


def test_a_foot_at_the_images_edge_tells_as_much() -> None:
    matte = draw_foot(0, 0, lowest=183)
    assert estimate_elevation(matte[:183]) == pytest.approx(12, abs=0.1)


@pytest.mark.parametrize("degrees", [40, 58, 72])
def test_a_cup_on_its_saucer_is_seen_from_as_high_as_the_saucer(degrees: float) -> None:
    def draw(steep: float, squared: float = 2.0) -> NDArray[np.float32]:
        y, x = np.mgrid[:640, :640] / 2 + 0.25
        inside = (
            abs((x - 150) / 90) ** squared + abs((y - 180) / (90 * np.sin(np.deg2rad(steep)))) ** squared < 1
        )
        return inside.astype(np.float32).reshape(320, 2, 320, 2).mean((1, 3))

    cup = draw_cylinder(degrees, 40)
    matte = np.maximum(draw(degrees), np.roll(cup, (-40, 0), (0, 1)) * (np.arange(320) < 180)[:, None])
    assert estimate_dish(matte) == pytest.approx(degrees, abs=1.5)
    for category in ("mug", "coffee"):
        camera, body = find_view(cut_out(matte), load_category(category), 12.0)
        assert body.lies and body.round
        down = -compute_axes(camera)[2][2]
        assert np.rad2deg(np.arcsin(down)) == pytest.approx(degrees, abs=1.5)
    others = (draw(90), draw(20), draw(degrees, 2.3), draw_cylinder(24), np.roll(cup, 30, axis=0))
    assert [estimate_dish(other) for other in others] == [None] * len(others)
