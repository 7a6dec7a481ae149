"""Where a cut-out stands, and whether its foot is round: outlines of known bodies, seen by a known camera."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial import ConvexHull
from skimage.draw import polygon2mask

from cyclorama.scenes.card import build_card, solve_camera
from cyclorama.scenes.foot import Foot, find_foot
from cyclorama.scenes.stage import BodyShape, Camera, Framing, project

SIZE = 500
FRAMING = Framing(share=(0.5, 0.6))


def see(*solids: NDArray[np.float64], camera: Camera) -> NDArray[np.bool_]:
    """The outline (SIZE, SIZE) of convex solids, each the hull of its points (N, 3)."""
    seen = np.zeros((SIZE, SIZE), bool)
    for points in solids:
        places = project(points, camera) * SIZE
        hull = places[ConvexHull(places).vertices]
        seen |= polygon2mask((SIZE, SIZE), hull[:, ::-1] - 0.5)
    return seen


def turn(profile: list[tuple[float, float]]) -> list[NDArray[np.float64]]:
    """Slices of a body of revolution through (radius, height) points."""
    a = np.linspace(0, 2 * np.pi, 90)
    rings = [np.stack([r * np.cos(a), r * np.sin(a), np.full(90, z)], 1) for r, z in profile]
    return [np.concatenate(pair) for pair in pairwise(rings)]


def build_box(width: float, depth: float, height: float, degrees: float) -> NDArray[np.float64]:
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (0, 1)], float)
    corners *= (width / 2, depth / 2, height)
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return corners @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])


def stand(elevation: float = 9.0) -> Camera:
    return solve_camera((SIZE, SIZE), (125, 150, 250, 200), FRAMING, elevation)


def find(seen: NDArray[np.bool_], camera: Camera, reach: float = 0.3) -> Foot:
    rows, columns = np.nonzero(seen)
    top, left = int(rows.min()), int(columns.min())
    solid = seen[top : rows.max() + 1, left : columns.max() + 1]
    return find_foot(solid, camera, (top, left), seen.shape, reach)


@pytest.mark.parametrize("elevation", [5.0, 9.0, 16.0, 30.0])
@pytest.mark.parametrize("wider", [1.0, 1.5, 2.0])
def test_a_round_foot_is_found_below_a_belly(elevation: float, wider: float) -> None:
    """Its width, its front and its depth are those of the body that was drawn."""
    camera = stand(elevation)
    seen = see(*turn([(0.2, 0), (0.2 * wider, 0.3), (0.2 * wider, 0.7), (0.1, 0.9)]), camera=camera)
    foot = find(seen, camera)
    pixel = 1 / 250
    assert (foot.ends[1] - foot.ends[0]) * pixel == pytest.approx(0.4, rel=0.15)
    assert foot.depth.min() == pytest.approx(-0.2, abs=1.5 * pixel / np.sin(np.deg2rad(elevation)))
    assert foot.sag == pytest.approx(1.0, abs=0.35)


@pytest.mark.parametrize("degrees", [0.0, 4.0, 12.0, 20.0, 45.0, -15.0])
@pytest.mark.parametrize("elevation", [5.0, 9.0, 16.0])
def test_a_box_has_no_round_foot(degrees: float, elevation: float) -> None:
    camera = stand(elevation)
    assert find(see(build_box(0.5, 0.3, 0.8, degrees), camera=camera), camera).sag == 0.0


def test_neither_legs_nor_a_level_photo_are_round() -> None:
    camera = stand()
    leg, top = build_box(0.05, 0.05, 0.5, 0), build_box(0.7, 0.5, 0.1, 0)
    legs = [leg + np.array([x, y, 0]) for x in (-0.3, 0.3) for y in (-0.2, 0.2)]
    top[:, 2] += 0.5
    assert find(see(top, *legs, camera=camera), camera).sag == 0.0
    level = np.zeros((SIZE, SIZE), bool)
    level[125:375, 150:350] = True
    assert find(level, camera).sag == 0.0


def test_a_vase_stands_on_its_foot_and_bulges_over_it() -> None:
    """The front of the card is that of the vase: nearest at its belly, back at its neck."""
    camera = stand()
    seen = see(*turn([(0.15, 0), (0.3, 0.35), (0.3, 0.45), (0.08, 0.8), (0.08, 1.0)]), camera=camera)
    colours = np.full((SIZE, SIZE, 3), 200, np.uint8)
    points = build_card(colours, seen.astype(np.float32), camera, BodyShape(depth=1.0))[0].mesh.vertices
    middle = points[np.abs(points[:, 0]) < 0.02]

    def reach(low: float, high: float) -> float:
        return float(np.median(middle[(middle[:, 2] > low) & (middle[:, 2] < high), 1]))

    assert reach(0.0, 0.03) == pytest.approx(-0.15, abs=0.04)
    assert reach(0.37, 0.43) == pytest.approx(-0.3, abs=0.04)
    assert reach(0.85, 0.97) == pytest.approx(-0.08, abs=0.05)
    assert points[:, 2].min() > -0.01
