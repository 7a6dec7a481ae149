"""Camera, light and ranges of a stage: cyclorama.scenes.stage by its values, against homogeneous matrices."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cyclorama.errors import CycloramaError
from cyclorama.scenes.stage import (
    Camera,
    Framing,
    Stage,
    add_key_light,
    cast_rays,
    compute_axes,
    compute_bounds,
    compute_film,
    project,
)

CAMERA = Camera((1.0, -3.0, 2.0), (0.25, 0.5, -0.5), 40.0, 1.6, (0.4, 0.7))


def build_matrix(camera: Camera) -> np.ndarray:
    """The 3 x 4 matrix of ``camera``: image = K [R | -R c], as textbooks write it."""
    ahead = np.subtract(camera.target, camera.origin)
    ahead = ahead / math.dist(camera.target, camera.origin)
    flat = math.hypot(ahead[0], ahead[1])
    right = np.array([ahead[1], -ahead[0], 0.0]) / flat
    down = np.array([ahead[0] * ahead[2], ahead[1] * ahead[2], -(flat**2)]) / flat
    focal = 1 / (2 * math.tan(math.radians(camera.fov / 2)))  # of the larger side, which is 1 long
    wide, tall = (1.0, 1 / camera.aspect) if camera.aspect > 1 else (camera.aspect, 1.0)
    inner = np.array([[focal / wide, 0, camera.centre[0]], [0, focal / tall, camera.centre[1]], [0, 0, 1]])
    turn = np.stack([right, down, ahead])
    return inner @ np.column_stack([turn, -turn @ np.array(camera.origin)])


@pytest.mark.parametrize("aspect", [1.6, 1.0, 0.625])
def test_points_are_seen_where_the_cameras_matrix_puts_them(aspect: float) -> None:
    camera = Camera(CAMERA.origin, CAMERA.target, CAMERA.fov, aspect, CAMERA.centre)
    points = np.random.default_rng(3).uniform((-0.3, 0.3, -0.6), (0.9, 1.5, 0.6), (20, 3))
    seen = build_matrix(camera) @ np.column_stack([points, np.ones(20)]).T
    np.testing.assert_allclose(project(points, camera), (seen[:2] / seen[2]).T, rtol=1e-9)
    np.testing.assert_allclose(project(np.array([camera.target]), camera), [camera.centre], atol=1e-12)


def test_rays_go_back_through_the_places() -> None:
    places = np.array([[0.4, 0.7], [0.1, 0.2], [0.9, 0.35], [0.0, 1.0]])
    rays = cast_rays(places, CAMERA)
    np.testing.assert_allclose(rays @ compute_axes(CAMERA)[2], 1.0)
    for far in (0.5, 4.0):
        np.testing.assert_allclose(project(CAMERA.origin + far * rays, CAMERA), places, atol=1e-12)


def test_the_film_has_the_larger_side_asked_for() -> None:
    shapes = [compute_film(Camera(CAMERA.origin, CAMERA.target, 30, a), 100) for a in (2.0, 1.0, 0.8, 0.1)]
    assert shapes == [(50, 100), (100, 100), (100, 80), (100, 10)]


def test_bounds_hold_all_parts() -> None:
    corners: list[Any] = [[[0, 5, 1], [2, 4, -1]], [[-1, 6, 0], [1, 7, 0.5]]]
    parts: Any = [SimpleNamespace(mesh=SimpleNamespace(vertices=np.array(c, float))) for c in corners]
    low, high = compute_bounds(parts)
    assert (low.tolist(), high.tolist()) == ([-1, 4, -1], [2, 7, 1])


def test_light_is_the_styles() -> None:
    stage = Stage()
    style: Any = SimpleNamespace(key_warmth=0.5, key_strength=1.5, key_side=-0.5, fill=2.0)
    add_key_light(stage, style, radiance=10.0, size=2.0, height=3.0)
    (light,) = stage.lights
    assert light.position == pytest.approx((-1.3, -2.6, 3.0))
    assert (light.target, light.size) == ((0.0, 0.2, 0.3), 2.0)
    assert light.radiance == pytest.approx((16.65, 15.15, 12.75))  # 15 x (1.11, 1.01, 0.85)
    assert stage.sky == pytest.approx((0.819, 0.84, 0.8652))  # 0.84 x (0.975, 1, 1.03)


def test_ranges_are_lowest_and_highest() -> None:
    assert Framing(share=(0.5, 0.5), turn=(3.0, 3.0)).share == (0.5, 0.5)
    for name in ("share", "elevation", "turn"):
        with pytest.raises(CycloramaError, match=rf"{name}.*in this order"):
            Framing(**{name: (0.5, 0.4)})  # type: ignore[arg-type]
