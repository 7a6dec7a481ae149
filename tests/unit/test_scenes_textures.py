"""Proves what the printed images hold: size, colours, repeats, where motifs lie; equal for an equal seed."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from cyclorama.scenes.textures import basic, materials, packages, prints, views
from cyclorama.scenes.textures.basic import checks, gradient, halo, sideways, stripes, tiles
from cyclorama.scenes.textures.materials import chequer, grille_cloth
from cyclorama.scenes.textures.packages import can_print, paint
from cyclorama.scenes.textures.prints import vinyl
from cyclorama.scenes.textures.views import night_sky

RED, BLUE = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)


def test_gradients_stripes_and_checks_are_their_colours() -> None:
    ramp = gradient(RED, BLUE, 5)[:, 0].tolist()
    assert ramp[0] == [0, 0, 255]
    assert ramp[2] == [128, 0, 128]
    assert ramp[4] == [255, 0, 0]
    bars = stripes([RED, BLUE], 4, 8)
    assert bars[3, ::2, 0].tolist() == [255, 0, 255, 0]
    assert np.array_equal(stripes([RED, BLUE], 4, 8, upright=False), sideways(bars))
    cloth = checks(RED, BLUE, 2, 4)
    assert cloth[0, 0].tolist() == [255, 0, 0]
    assert cloth[2, 2].tolist() == [0, 0, 255]
    assert cloth[0, 2].tolist() == [127, 0, 127]


def test_a_halo_is_brightest_at_its_centre() -> None:
    wall = halo((1, 1, 1), (0, 0, 0), x=0.25, y=0.75, size=129)[..., 0]
    assert wall[96, 32] == wall.max() == 255
    assert wall[96, 96] == round(255 * np.exp(-(0.25 / (2 * 0.45**2)) * 1.5))


def test_tiles_have_grout_between_them_and_bricks_are_shifted() -> None:
    rows = tiles(np.random.default_rng(0), (1, 1, 1), (0, 0, 0), 4, 4, size=64)[..., 0]
    assert rows[0].max() == 0
    assert rows[8, [0, 16, 32, 48]].max() == 0
    assert rows[8, [8, 24, 40]].min() > 230
    bricks = tiles(np.random.default_rng(0), (1, 1, 1), (0, 0, 0), 4, 4, brick=True, size=64)[..., 0]
    assert bricks[24, [8, 24, 40]].max() == 0
    assert bricks[8, [8, 24, 40]].min() > 230


def test_floors_and_grilles_have_their_patterns() -> None:
    floor = chequer((1, 1, 1), (0, 0, 0), 2, 8)[..., 0]
    assert floor[1, 1] == 255
    assert floor[5, 1] == 0
    assert floor[0, 1] == round(255 * 0.85) - 1 or floor[0, 1] == int(255 * 0.85)
    dots = grille_cloth((1, 1, 1), 0)[..., 0]
    assert (dots[3, 3], dots[0, 0]) == (89, 255)
    assert grille_cloth((1, 1, 1), 2)[0, :8, 0].tolist() == [114] * 3 + [255] * 5


def test_paint_covers_inside_the_edge_and_half_of_it_at_the_edge() -> None:
    canvas = np.zeros((1, 4, 3))
    paint(canvas, np.array([[-1.0, 0.0, 0.25, 3.0]]), (1.0, 0.5, 0.0))
    assert canvas[0, :, 0].tolist() == [0.0, 0.5, 0.75, 1.0]
    assert canvas[0, 3].tolist() == [1.0, 0.5, 0.0]


def test_a_record_has_its_label_and_hole_and_a_night_its_moon() -> None:
    record = vinyl(np.random.default_rng(0), RED, BLUE)[::3, ::3]
    assert record[96, 96].tolist() == [230, 230, 230]
    assert record[96, 96 + 28].tolist() == [255, 0, 0]
    assert record[96, 96 + 16].tolist() == [0, 0, 255]
    assert record[96, 96 + 60].max() < 30
    assert record[0, 0].tolist() == [14, 14, 15]
    night = night_sky(np.random.default_rng(0))
    assert night[35, 27].tolist() == [255, 246, 205]
    assert night[0].mean() < night[95].mean()


def test_a_can_closes_without_a_seam_and_tells_its_accent() -> None:
    image, accent = can_print(np.random.default_rng(5), 1.6)
    assert image.shape == (768, 768, 3)
    assert all(0 <= v <= 1 for v in accent)


@pytest.mark.parametrize("module", [basic, materials, packages, prints, views], ids=lambda m: m.__name__[29:])
def test_equal_seeds_give_equal_images(module) -> None:
    made = 0
    for name, function in vars(module).items():
        if not inspect.isfunction(function) or function.__module__ != module.__name__ or name[0] == "_":
            continue
        needed = [p for p in inspect.signature(function).parameters.values() if p.default is p.empty]
        colours = [p.name for p in needed if p.annotation == "Colour"]
        if [p.name for p in needed] != ["rng", *colours]:
            continue
        shades = {name: (0.2 + 0.1 * k, 0.5, 0.6) for k, name in enumerate(colours)}
        first, again = (function(np.random.default_rng(3), **shades) for _ in range(2))
        assert first.dtype == np.uint8
        assert first.shape[2] == 3
        assert np.array_equal(first, again)
        assert first.std() > 0
        made += 1
    assert made >= 1
