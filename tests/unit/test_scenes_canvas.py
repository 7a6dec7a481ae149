"""Words' places stay free of props, and no canvas is higher than its backdrop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cyclorama.scenes.canvas import clear_boxes, raise_backdrop
from cyclorama.scenes.geometry import Mesh, rounded_box
from cyclorama.scenes.stage import Camera, Part, Stage, project
from cyclorama.scenes.surface import Surface

PLAIN = Surface((0.5, 0.5, 0.5))
CAMERA = Camera((0.0, -5.0, 0.9), (0.0, 0.0, 0.5), 28.0)


def make_box(x: float, y: float, z: float, size: float = 0.2) -> Part:
    return Part(rounded_box(size, size, size, 0.01).moved(x, y, z), PLAIN)


def make_wall(height: float, texture: np.ndarray | None = None) -> Part:
    corners = np.array([[-6, 3, 0], [6, 3, 0], [6, 3, height], [-6, 3, height]], np.float32)
    uv = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    normals = np.tile(np.array([[0, -1, 0]], np.float32), (4, 1))
    mesh = Mesh(corners, np.array([[0, 1, 2], [0, 2, 3]], np.int32), normals, uv)
    return Part(mesh, PLAIN if texture is None else Surface(texture))


def make_stage(*parts: Part) -> Stage:
    product = [Part(rounded_box(0.4, 0.4, 1.0, 0.01), PLAIN)]
    return Stage(product=product, parts=list(parts), camera=CAMERA)


def see(part: Part, stage: Stage) -> np.ndarray:
    return project(part.mesh.vertices, stage.camera)


def test_a_thing_in_a_calm_box_goes_as_a_whole_and_no_other() -> None:
    wall, vase, flower, book = (
        make_wall(9.0),
        make_box(0.8, 0, 0.1),
        make_box(0.8, 0, 0.3),
        make_box(-0.8, 0, 0.1),
    )
    stage = make_stage(wall, vase, flower, book)
    seen = see(flower, stage)
    box_ = (seen[:, 0].min(), seen[:, 1].min(), seen[:, 0].max(), seen[:, 1].min() + 0.01)
    kept = clear_boxes(stage, [box_]).parts
    assert [id(part) for part in kept] == [id(wall), id(book)], "the vase goes with its flower"
    assert clear_boxes(stage, []) is stage
    assert len(stage.parts) == 4, "the given stage stays as it is"


def test_what_carries_the_product_stays() -> None:
    podium = Part(rounded_box(1.2, 1.2, 0.2, 0.01).moved(0, 0, -0.2), PLAIN)
    stage = make_stage(podium)
    assert clear_boxes(stage, [(0.0, 0.0, 1.0, 1.0)]).parts == [podium]


@pytest.mark.parametrize("textured", [False, True])
def test_a_low_backdrop_goes_on_upwards(textured: bool) -> None:
    texture = np.arange(8 * 4 * 3, dtype=np.uint8).reshape(8, 4, 3) if textured else None
    low = make_wall(1.6, texture)
    stage = make_stage(low)
    assert see(low, stage)[:, 1].min() > 0.01
    [raised] = raise_backdrop(stage).parts
    assert see(raised, stage)[:, 1].min() < 0
    assert np.allclose(raised.mesh.vertices[:2], low.mesh.vertices[:2])
    if textured:
        assert texture is not None and isinstance(raised.surface.colour, np.ndarray)
        added = len(raised.surface.colour) - 8
        assert (raised.surface.colour[:added] == texture[0]).all() and (
            raised.surface.colour[added:] == texture
        ).all()
        per_row = (raised.mesh.vertices[:, 2].max()) / len(raised.surface.colour)
        assert per_row == pytest.approx(1.6 / 8, rel=0.1), "the image is not stretched"


def test_a_high_one_and_a_pattern_stay_as_they_are() -> None:
    stage = make_stage(make_wall(9.0))
    assert raise_backdrop(stage) is stage
    tiled = replace(make_wall(1.6).surface, tiles=(4.0, 2.0))
    stage = make_stage(Part(make_wall(1.6).mesh, tiled))
    assert raise_backdrop(stage) is stage
    assert raise_backdrop(make_stage()).parts == []
