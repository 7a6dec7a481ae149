"""Words' places stay free of props, and no canvas is higher than its backdrop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cyclorama.scenes.calm import PATTERN, RELIEF, clear_boxes, fade, find_seen
from cyclorama.scenes.canvas import raise_backdrop, widen_backdrop
from cyclorama.scenes.geometry import Mesh, grid_surface, merge_meshes, rounded_box
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


def test_a_pattern_behind_words_fades_and_slow_changes_stay() -> None:
    checks = np.kron(np.indices((8, 8)).sum(0) % 2, np.ones((32, 32)))[..., None].repeat(3, 2)
    texture = (60 + 150 * checks).astype(np.uint8)
    faded = fade(texture, wraps=True)
    assert faded.std() == pytest.approx(PATTERN, rel=0.1) and texture.std() > 70
    assert faded.mean() == pytest.approx(texture.mean(), abs=1)
    assert np.corrcoef(faded.ravel(), texture.ravel())[0, 1] > 0.95, "the same pattern, fainter"
    sky = np.linspace(80, 230, 256)[:, None, None].repeat(256, 1).repeat(3, 2).astype(np.uint8)
    assert fade(sky, wraps=False) is sky

    wall, box_ = make_wall(9.0, texture), (0.1, 0.05, 0.4, 0.2)
    [kept] = clear_boxes(make_stage(wall), [box_]).parts
    assert kept.surface.colour.std() < 8 and kept.mesh is wall.mesh
    [same] = clear_boxes(make_stage(make_wall(1.2, texture)), [box_]).parts
    assert same.surface.colour is texture, "what is seen in no box keeps its pattern"


def test_a_floor_that_passes_under_the_camera_is_seen_down_to_the_lower_edge() -> None:
    corners = np.array([[-4, -8, 0], [4, -8, 0], [4, 2, 0], [-4, 2, 0]], np.float32)
    uv, up = np.zeros((4, 2), np.float32), np.tile(np.array([[0, 0, 1]], np.float32), (4, 1))
    checks = np.kron(np.indices((8, 8)).sum(0) % 2, np.ones((8, 8)))[..., None].repeat(3, 2) * 200
    floor = Part(
        Mesh(corners, np.array([[0, 1, 2], [0, 2, 3]], np.int32), up, uv), Surface(checks.astype(np.uint8))
    )
    stage = make_stage(floor)
    assert find_seen(floor, stage)[:, 1].max() > 1
    [kept] = clear_boxes(stage, [(0.6, 0.94, 0.9, 0.98)]).parts
    assert kept.surface.colour.std() < 12 < floor.surface.colour.std()


def test_folds_behind_words_are_flatter() -> None:
    points = np.array([[[x, 3 + 0.2 * np.sin(4 * x), z] for x in np.linspace(-6, 6, 97)] for z in (0.0, 9.0)])
    curtain = Part(grid_surface(points), PLAIN)
    [kept] = clear_boxes(make_stage(curtain), [(0.1, 0.05, 0.4, 0.2)]).parts
    assert np.ptp(kept.mesh.vertices[:, 1]) == pytest.approx(RELIEF * 0.4, rel=0.01)
    assert kept.mesh.vertices[:, 1].min() == pytest.approx(2.8, abs=0.001), "its front stays"
    assert np.linalg.norm(kept.mesh.normals, axis=1) == pytest.approx(1, abs=1e-5)
    assert np.abs(kept.mesh.normals[:, 0]).max() < np.abs(curtain.mesh.normals[:, 0]).max()


def test_a_fence_goes_as_a_whole_and_of_scattered_things_those_in_the_box() -> None:
    posts = [rounded_box(0.15, 0.04, 1.2, 0.01).moved(x, 2, 0) for x in np.arange(-3, 3.01, 0.3)]
    rails = [rounded_box(6.5, 0.04, 0.1, 0.01).moved(0, 2, z) for z in (0.3, 0.8)]
    fence = Part(merge_meshes([*posts, *rails]), PLAIN)
    floor = Part(rounded_box(12, 6, 0.02, 0.005).moved(0, 0, -0.02), PLAIN)
    beads = [rounded_box(0.05, 0.05, 0.05, 0.01).moved(x, -0.6, 0) for x in (-0.9, -0.5, 0.5, 0.9)]
    stage = make_stage(make_wall(9.0), floor, fence, Part(merge_meshes(beads), PLAIN))
    seen = see(fence, stage)
    assert seen[:, 0].min() < 0 and seen[:, 0].max() > 1, "it reaches across as a wall does"
    middle = (seen[:, 1].min() + seen[:, 1].max()) / 2
    kept = clear_boxes(stage, [(0.7, middle, 0.95, middle + 0.05)]).parts
    assert len(kept) == 3 and all(part is not fence for part in kept)
    right = see(Part(beads[-1], PLAIN), stage)
    box_ = (right[:, 0].min(), right[:, 1].min(), right[:, 0].max(), right[:, 1].max())
    *rest, scattered = clear_boxes(stage, [box_]).parts
    assert len(rest) == 3 and len(scattered.mesh.vertices) == 3 * len(beads[0].vertices)
    assert scattered.mesh.vertices[:, 0].max() < 0.6


def test_a_view_goes_on_to_both_sides_of_a_wide_canvas() -> None:
    texture = np.zeros((8, 10, 3), np.uint8)
    texture[:, 0], texture[:, -1] = 50, 200
    corners = np.array([[-2, 3, -1], [1.6, 3, -1], [1.6, 3, 4], [-2, 3, 4]], np.float32)
    uv = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    normals = np.tile(np.array([[0, -1, 0]], np.float32), (4, 1))
    view = Part(Mesh(corners, np.array([[0, 1, 2], [0, 2, 3]], np.int32), normals, uv), Surface(texture))
    stage = replace(make_stage(view, make_box(0.8, 0, 0.1)), camera=replace(CAMERA, aspect=1.91, fov=50.0))
    assert see(view, stage)[:, 0].min() > 0 and see(view, stage)[:, 0].max() < 1
    wider, box_ = widen_backdrop(stage).parts
    seen = see(wider, stage)
    assert seen[:, 0].min() < 0 and seen[:, 0].max() > 1 and box_ is stage.parts[1]
    colour = wider.surface.colour
    width = colour.shape[1]
    assert set(colour[0, : width // 8, 0]) == {50} and set(colour[0, -width // 8 :, 0]) == {200}
    scale = np.ptp(wider.mesh.vertices[:, 0]) / 3.6
    assert width == pytest.approx(10 * scale, abs=2), "the view keeps its scale"
    for aim in (-0.4, 0.45):  # seen across more than 0.9 of the width; the camera above, so edges lean
        nearly = replace(stage, camera=Camera((aim, -5.0, 2.4), (aim, 0.0, 0.5), 33.0, aspect=1.91))
        shown = see(view, nearly)[:, 0]
        assert shown.min() > 0 or shown.max() < 1
        edges = see(widen_backdrop(nearly).parts[0], nearly)[:, 0]
        assert np.sort(edges)[1] <= 0 and np.sort(edges)[-2] >= 1, "every corner is outside the image"
    square = replace(stage, camera=replace(CAMERA, fov=20.0))
    assert widen_backdrop(square) is square
    wall = make_wall(9.0)
    before = replace(stage, parts=[wall, view])
    assert widen_backdrop(before) is before, "a thing before a wall stays as wide as it is"
    cut = replace(
        view.mesh, vertices=np.array([[-2, 3, 1], [1.6, 3, 1.2], [0, 3, 4], [-1, 3, -1]], np.float32)
    )
    odd = replace(stage, parts=[Part(cut, view.surface)])
    assert widen_backdrop(odd) is odd, "and so does what has no upright edges"
