"""What an outline tells: whether a product stands, and from how high its foot was seen."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from cyclorama.scenes.grammar.reader import load_category
from cyclorama.scenes.model import CutOut, find_view
from cyclorama.scenes.pose import ABOVE, can_stand, estimate_elevation
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


@pytest.mark.parametrize("degrees", [20, 24])
def test_a_round_foot_is_seen_as_in_its_photo(degrees: float) -> None:
    matte = draw_cylinder(degrees)
    own, _ = find_view(cut_out(draw_cylinder(0)), load_category("whisky"), 3.0)
    followed, _ = find_view(cut_out(matte), load_category("whisky"), 3.0)
    assert abs(measure_foot(followed) - degrees) < 4 < abs(measure_foot(own) - degrees)


def test_a_photo_nearly_as_high_changes_nothing() -> None:
    camera, _ = find_view(cut_out(draw_cylinder(15)), load_category("whisky"), 8.0)
    assert np.rad2deg(np.arcsin(-compute_axes(camera)[2][2])) == pytest.approx(8.0)
