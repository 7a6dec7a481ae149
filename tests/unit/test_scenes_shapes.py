"""Proves sizes, places and normals of the compound shapes: panels, cloth and what grows."""

from __future__ import annotations

import numpy as np
import pytest

from cyclorama.scenes import geometry as g
from cyclorama.scenes.shapes import cloth, nature, panels, room
from cyclorama.scenes.shapes.cloth import satin, satin_cloth
from cyclorama.scenes.shapes.nature import scatter
from cyclorama.scenes.shapes.panels import disc, prism, slab


def measure(mesh: g.Mesh) -> list[list[float]]:
    """Lowest and highest corner."""
    return [mesh.vertices.min(0).tolist(), mesh.vertices.max(0).tolist()]


RNG = np.random.default_rng

BOUNDS = {
    "disc": (disc(0.5), (-0.5, -0.5, 0), (0.5, 0.5, 0)),
    "oval disc": (disc(0.5, 0.2), (-0.5, -0.2, 0), (0.5, 0.2, 0)),
    "plate": (panels.plate(1.0, 0.6, 0.1), (-0.5, 0, 0), (0.5, 0, 0.6)),
    "slab": (slab(1.0, 0.6, 0.2, 0.1, 0.02), (-0.5, -0.1, 0), (0.5, 0.1, 0.6)),
    "prism": (prism([(0.5, 0), (0.5, 1)], 4), (-(0.125**0.5), -(0.125**0.5), 0), (0.125**0.5, 0.125**0.5, 1)),
    "domed disc": (panels.domed_disc(0.5, 0.1), (-0.5, -0.1, -0.5), (0.5, 0, 0.5)),
    "ribbed cap": (panels.ribbed_cap(1.0, 0.5, 12, 0.9), (-1.05, -1.05, 0), (1.05, 1.05, 0.5)),
    "tube body": (panels.tube_body(0.2, 0.3, 1.0, True), (-0.3, -0.2, 0), (0.3, 0.2, 1)),
    "upended bottle": (panels.upended_bottle(0.5, 1.0), (-0.58, -0.408, 0.16), (0.58, 0.408, 1.16)),
    "cut ball": (panels.cut_ball(0.5, 0.5, -0.2), (-0.5, -0.2, 0), (0.5, 0.5, 1)),
    "cushion": (panels.round_cushion(0.5, 0.2), (-0.5, -0.5, 0), (0.5, 0.5, 0.2)),
    "curved wing": (panels.curved_wing(1.0, 0.2, 0.8, 0.1), (0.512, -0.1, 0.03), (0.674, 0.1, 0.83)),
}


@pytest.mark.parametrize("name", BOUNDS)
def test_shapes_fill_the_bounds_that_their_values_say(name: str) -> None:
    mesh, low, high = BOUNDS[name]
    found = measure(mesh)
    assert found == [pytest.approx(low, abs=0.012), pytest.approx(high, abs=0.012)]
    lengths = np.linalg.norm(mesh.normals, axis=1)
    assert lengths[lengths > 0] == pytest.approx(1.0, abs=1e-4)  # the point that rows meet in has none
    assert (lengths > 0).mean() > 0.45


def test_a_curtain_hangs_in_its_folds() -> None:
    low, high = measure(cloth.folded_cloth(2.0, 1.5, 6))
    assert (low[0], high[0], low[2], high[2]) == (-1, 1, 0, 1.5)
    assert high[1] == pytest.approx(0.06, abs=2e-3)
    x, y = cloth.folded_cloth(2.0, 1.5, 6).vertices[:48, :2].T
    assert y == pytest.approx(0.06 * np.sin(6 * np.pi * (x + 1)), abs=1e-5)


def test_satin_is_flat_about_the_product_and_falls_towards_the_camera() -> None:
    made = satin(RNG(0), 0.2, 0.7, False)
    assert cloth.cloth_height(made, 0.3, 0.2) == pytest.approx(0.2)
    assert cloth.cloth_height(made, 0.0, -0.69) == pytest.approx(0.2)
    mesh = satin_cloth(made, 1.5)
    assert measure(mesh)[0][:2] + measure(mesh)[1][:2] == pytest.approx([-2.1, -2.3, 2.1, 1.5])
    before, behind = mesh.vertices[mesh.vertices[:, 1] < -1.2], mesh.vertices[mesh.vertices[:, 1] > 1.2]
    assert behind[:, 2].mean() - before[:, 2].mean() == pytest.approx(0.11, abs=0.02)
    assert behind[:, 2].min() >= 0.2 - 1e-6


def test_scattered_copies_keep_off_the_product_and_may_find_no_place() -> None:
    grain = g.Mesh(
        np.zeros((1, 3), "f4"), np.zeros((0, 3), "i4"), np.ones((1, 3), "f4"), np.zeros((1, 2), "f4")
    )
    mesh = scatter(RNG(1), [], grain, 200, (-1, 1, -1, 1), keep_out=0.5, lift=0.3)
    assert mesh is not None
    x, y, z = mesh.vertices.T
    assert len(x) == 200
    assert not ((np.abs(x) < 0.5) & (y < 0.42)).any()
    assert z == pytest.approx(np.full(200, 0.3))
    assert (np.abs(x) < 0.5).any()
    assert scatter(RNG(1), [], grain, 5, (-0.4, 0.4, -1, 0)) is None


def test_scattered_copies_lie_in_no_other_and_in_no_thing() -> None:
    coin, block = g.cylinder(0.1, 0.05), g.rounded_box(0.6, 0.4, 0.3, 0.02).moved(0.5, 0.6)
    mesh = scatter(RNG(4), [block, g.floor(9, -4, 2)], coin, 60, (-1, 1, -1, 1), keep_out=0)
    assert mesh is not None
    copies = mesh.vertices.reshape(-1, len(coin.vertices), 3)
    spots, reach = copies.mean(1)[:, :2], np.ptp(copies[:, :, 0], axis=1) / 2
    assert len(copies) > 20
    apart = np.hypot(*(spots[:, None] - spots[None]).transpose(2, 0, 1)) + 9 * np.eye(len(spots))
    assert (apart > (reach[:, None] + reach[None]) * 0.999).all()
    beside = np.maximum(np.abs(spots - (0.5, 0.6)) - (0.3, 0.2), 0)
    assert (np.hypot(*beside.T) > reach * 0.99).all()


def test_free_ground_is_beside_things_under_them_and_on_what_is_wide() -> None:
    block, lid = g.rounded_box(0.6, 0.4, 0.3, 0.001), g.floor(4, -2, 2).moved(z=0.05)
    things = [block, lid]
    assert not room.is_free(things, 0, 0, 0.05, 0, 0.1)  # within the block
    assert not room.is_free(things, 0.39, 0, 0.1, 0, 0.1) and room.is_free(things, 0.41, 0, 0.1, 0, 0.1)
    assert room.is_free(things, 0, 0, 0.05, 0.31, 0.4)  # on it
    assert room.measure_gap(room.find_outlines([block], 0, 0.1), 0.3 + 0.3, 0.2 + 0.4) == pytest.approx(
        0.5, abs=1e-3
    )
    assert room.measure_gap(room.find_outlines([], 0, 1), 0, 0) == np.inf


def test_grass_keeps_off_the_product_and_is_shorter_before_it() -> None:
    blades = nature.grass(RNG(2), -2.0, 1.0, 4000)
    foot_x, foot_y, foot_z = blades.vertices[: len(blades.faces)].T
    before = (np.abs(foot_x) < 0.4) & (foot_y < 0.28)
    tips = blades.vertices[2 * len(blades.faces) :, 2]
    assert before.sum() > 400 and foot_y[before].max() < -0.26
    assert (tips[before] / (-0.2 - foot_y[before])).max() < np.tan(np.radians(6))  # below sight of the foot
    assert foot_z == pytest.approx(np.full(len(blades.faces), -0.02))
    assert blades.vertices[:, 2].max() <= 0.13 * 0.55
    assert nature.grass(RNG(2), 0.0, 1.0, 400).vertices[:, 2].max() == pytest.approx(0.13, abs=0.002)


def test_a_bean_has_a_crease_along_its_upper_side_alone() -> None:
    bean = nature.coffee_bean(1.0)
    low, high = measure(bean)
    assert low == pytest.approx([-1.35, -0.95, 0], abs=3e-3) and high[2] == pytest.approx(1.0, abs=0.03)
    middle = bean.vertices[np.abs(bean.vertices[:, 0]) < 1e-6]
    crease = middle[(np.abs(middle[:, 1]) < 0.02) & (middle[:, 2] > 0.5)]
    assert high[2] - crease[:, 2].max() == pytest.approx(0.16, abs=0.04)
    under = middle[middle[:, 2] < 0.62]
    assert under[:, 2] == pytest.approx(0.62 - 0.62 * np.sqrt(1 - (under[:, 1] / 0.95) ** 2), abs=2e-3)


def test_water_ripples_about_its_level_and_stones_stand_on_the_ground() -> None:
    water = nature.ripples(0.4).vertices
    assert water[:, 2].max() == pytest.approx(0.4016, abs=1e-4)
    assert water[:, 2].min() == pytest.approx(0.3985, abs=3e-4)
    assert water[np.hypot(water[:, 0], water[:, 1]) > 7][:, 2] == pytest.approx(0.4, abs=1e-4)
    low, high = measure(nature.flat_stone(RNG(3), 1.0, 0.6, 0.2))
    assert (high[0] - low[0], high[1] - low[1]) == (pytest.approx(1.0, abs=0.1), pytest.approx(0.6, abs=0.07))


def test_a_twig_bends_to_the_right_over_its_length() -> None:
    path = np.array(nature.bent_twig((0.1, 0.2, 0.3), 0.9, 30.0))
    assert path[0] == pytest.approx([0.1, 0.2, 0.3])
    steps = np.diff(path, axis=0)
    assert np.hypot(steps[:, 0], steps[:, 2]) == pytest.approx(np.full(9, 0.1))
    angles = np.rad2deg(np.arctan2(steps[:, 0], steps[:, 2]))
    assert (angles[0], angles[-1], angles.mean()) == (pytest.approx(21), pytest.approx(39), pytest.approx(30))
    assert path[-1, 1] == pytest.approx(0.2 - 0.12 * 0.9)


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_a_cup_handle_stands_off_the_wall_on_its_side(side: float) -> None:
    low, high = measure(panels.cup_handle(RNG(4), [(0.4, 0.0), (0.4, 1.0)], side))
    outer, inner = (high[0], low[0]) if side > 0 else (-low[0], -high[0])
    assert 0.4 - 0.018 + 0.2 < outer < 0.4 + 0.28 * 1.35 + 0.06
    assert inner > 0.3
    assert low[2] > 0.1
    assert high[2] < 0.95
