"""Words' places stay free of props, and no canvas is wider or higher than its set."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cyclorama.scenes.calm import PATTERN, RELIEF, clear_boxes, fade, find_seen
from cyclorama.scenes.canvas import fit_canvas
from cyclorama.scenes.geometry import Mesh, grid_surface, merge_meshes, rounded_box
from cyclorama.scenes.grammar.reader import load_category
from cyclorama.scenes.model import CutOut, set_stage
from cyclorama.scenes.render import _shapes_in_black, load_mitsuba
from cyclorama.scenes.stage import Camera, Light, Part, Stage, cast_rays, compute_axes, project
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


def look_past(stage: Stage) -> float:
    """Share of a grid of rays from the camera that meet nothing of the set."""
    mi = load_mitsuba()
    scene = mi.load_dict({"type": "scene", **_shapes_in_black(mi, stage.parts)}, parallel=False)
    places = np.stack(np.meshgrid((np.arange(16) + 0.5) / 16, (np.arange(16) + 0.5) / 16), -1).reshape(-1, 2)
    rays = cast_rays(places, stage.camera)
    return float(np.mean([not scene.ray_test(mi.Ray3f(list(stage.camera.origin), d.tolist())) for d in rays]))


@pytest.mark.parametrize("canvas", [(90, 728), (600, 160), (400, 1200), (1200, 400)])
@pytest.mark.parametrize(
    "name", ["camera", "cream jar", "jewellery", "musical instrument", "suitcase", "whisky"]
)
def test_banners_and_skyscrapers_show_nothing_but_set(name: str, canvas: tuple[int, int]) -> None:
    category = load_category(name)
    foreground, matte = np.zeros((*canvas, 3), np.uint8), np.zeros(canvas, np.float32)
    side = min(canvas)
    top, left = canvas[0] - int(0.95 * side), (canvas[1] - side // 2) // 2
    box_ = (top, left, int(0.8 * side), side // 2)
    matte[top : top + box_[2], left : left + box_[3]] = 1
    for seed in range(3):
        stage = fit_canvas(set_stage(CutOut(foreground, matte, box_), category, seed).stage)
        assert look_past(stage) == 0
        for light in stage.lights:
            seen = project(np.array([light.position]), stage.camera)[0]
            ahead = (
                np.dot(np.subtract(light.position, stage.camera.origin), compute_axes(stage.camera)[2]) > 0
            )
            assert not (ahead and (seen > 0).all() and (seen < 1).all()), "no lamp is seen"


@pytest.mark.parametrize("textured", [False, True])
def test_a_low_wall_goes_on_upwards(textured: bool) -> None:
    texture = np.arange(8 * 4 * 3, dtype=np.uint8).reshape(8, 4, 3) if textured else None
    wall = make_wall(2.5, texture)
    stage = replace(make_stage(wall), camera=replace(CAMERA, aspect=0.4, fov=70.0))
    assert see(wall, stage)[:, 1].min() > 0.2
    [raised] = fit_canvas(stage).parts
    assert see(raised, stage)[:, 1].min() < 0
    assert np.allclose(raised.mesh.vertices[:4], wall.mesh.vertices)
    assert np.ptp(raised.mesh.vertices[:, 2]) % 2.5 == pytest.approx(0), "whole copies of it"
    if textured:
        above = raised.mesh.uv[raised.mesh.vertices[:, 2] > 2.6]
        assert len(above) and (above[:, 1] == np.float32(1 - 0.5 / 8)).all(), "its uppermost row"
        assert set(raised.mesh.uv[:, 0]) == {np.float32(0.125), np.float32(0.875)}, "no pixel of the far side"


def test_a_sweep_goes_on_upwards_by_its_wall_alone() -> None:
    turn = np.radians(np.arange(0, 91, 9))
    profile = [(-4.0, 0.0), *zip(2 + np.sin(turn), 1 - np.cos(turn), strict=True), (3.0, 3.0)]
    sweep = Part(grid_surface(np.array([[[x, y, z] for x in (-6.0, 6.0)] for y, z in profile])), PLAIN)
    stage = replace(make_stage(sweep), camera=replace(CAMERA, aspect=0.4, fov=70.0))
    [raised] = fit_canvas(stage).parts
    added = raised.mesh.vertices[len(sweep.mesh.vertices) :]
    assert len(added) and added[:, 1] == pytest.approx(3.0), "no ceiling"
    assert see(raised, stage)[:, 1].min() < 0 < see(sweep, stage)[:, 1].min()


def test_ground_goes_on_behind_where_no_wall_stands() -> None:
    ground = Part(grid_surface(np.array([[[x, y, 0.0] for x in (-3, 3)] for y in (-4, 2)])), PLAIN)
    steep = Camera((0.0, -3.0, 5.0), (0.0, 0.0, 0.0), 60.0, aspect=0.5)
    stage = replace(make_stage(ground), camera=steep)
    assert see(ground, stage)[:, 1].min() > 0
    [deeper] = fit_canvas(stage).parts
    assert see(deeper, stage)[:, 1].min() < 0
    walled = replace(stage, parts=[ground, make_wall(9.0)])
    assert np.ptp(fit_canvas(walled).parts[0].mesh.vertices[:, 1]) == 6


def test_what_reaches_as_far_as_the_camera_sees_stays_as_it_is() -> None:
    wall, vase = make_wall(9.0), make_box(0.8, 0, 0.1)
    stage = make_stage(wall, vase)
    assert [id(part) for part in fit_canvas(stage).parts] == [id(wall), id(vase)]
    assert fit_canvas(make_stage()).parts == []
    banner = replace(stage, camera=replace(CAMERA, aspect=8.0, fov=80.0))
    assert fit_canvas(banner).parts[1] is vase, "a prop is no wall"


def test_a_lamp_in_sight_is_raised_and_as_bright() -> None:
    lamp = Light((1.5, 1.0, 1.6), (0.0, 0.0, 0.5), 1.0, (9.0, 8.0, 7.0))
    far = Light((2.6, -2.6, 3.4), (0.0, 0.2, 0.3), 2.0, (9.0, 8.0, 7.0))
    stage = replace(
        make_stage(make_wall(9.0)), lights=[lamp, far], camera=replace(CAMERA, fov=60.0, aspect=3.0)
    )
    raised, same = fit_canvas(stage).lights
    assert same is far
    assert raised.position[:2] == lamp.position[:2] and raised.target == lamp.target
    assert project(np.array([raised.position]), stage.camera)[0, 1] < 0
    gain = np.sum(np.subtract(raised.position, lamp.target) ** 2) / (1.5**2 + 1 + 1.1**2)
    assert raised.radiance == pytest.approx([gain * value for value in lamp.radiance])


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


def test_a_wall_goes_on_to_both_sides_as_its_mirror_image() -> None:
    texture = np.arange(8 * 10 * 3, dtype=np.uint8).reshape(8, 10, 3)
    corners = np.array([[-2, 3, -1], [2.4, 3, -1], [2.4, 3, 9], [-2, 3, 9]], np.float32)
    wall = Part(replace(make_wall(9.0).mesh, vertices=corners), Surface(texture, tiles=(3.0, 2.0)))
    stage = replace(make_stage(wall), camera=replace(CAMERA, aspect=4.0, fov=75.0))
    assert see(wall, stage)[:, 0].min() > 0 and see(wall, stage)[:, 0].max() < 1
    [wider] = fit_canvas(stage).parts
    seen = see(wider, stage)
    assert seen[:, 0].min() < 0 and seen[:, 0].max() > 1
    assert wider.surface is wall.surface
    columns: dict[float, set[float]] = {}
    for (x, _, _), (u, _) in zip(wider.mesh.vertices, wider.mesh.uv, strict=True):
        columns.setdefault(round(float(x), 3), set()).add(float(u))
    assert all(len(found) == 1 for found in columns.values()), "neighbours meet at the same column"
    assert sorted(columns) == pytest.approx(np.arange(len(columns)) * 4.4 + min(columns))
    a, b, c = wider.mesh.vertices[wider.mesh.faces.T]
    assert (np.cross(b - a, c - a)[:, 1] < 0).all(), "every copy faces the camera"
    assert (wider.mesh.normals == [0, -1, 0]).all()
