"""Proves every shape and texture against stored fingerprints, and closed bodies against their formulas."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from cyclorama.scenes import geometry
from cyclorama.scenes.geometry import (
    Mesh,
    cylinder,
    lathe,
    loft,
    merge_meshes,
    rounded_box,
    sphere,
    sweep,
    tube,
)
from cyclorama.scenes.shapes.cloth import spread_blanket
from cyclorama.scenes.shapes.nature import cream_swirl, ripples
from cyclorama.scenes.shapes.panels import padded_shell, slab
from cyclorama.scenes.textures.basic import draw_dot, start_drawing, to_texture
from cyclorama.scenes.textures.materials import foil, fruit_skin
from cyclorama.scenes.textures.packages import carton_print
from cyclorama.scenes.textures.prints import mug_glaze
from cyclorama.scenes.textures.views import landscape
from scene_prints import (
    STORED,
    find_shapes,
    find_textures,
    list_functions,
    list_shape_cases,
    take_fingerprint,
)

STORED_PRINTS = json.loads(STORED.read_text())
SHAPES_APART, TEXTURES_APART = 2e-4, 4.0
"""Rounding that differs between processors moves the sums by about 1e-5, one pixel by at most 1."""


def test_every_shape_is_the_stored_one() -> None:
    assert find_shapes() == {
        name: pytest.approx(stored, abs=SHAPES_APART) for name, stored in STORED_PRINTS["shapes"].items()
    }


def test_every_texture_is_the_stored_one() -> None:
    assert find_textures() == {
        name: pytest.approx(stored, abs=TEXTURES_APART) for name, stored in STORED_PRINTS["textures"].items()
    }


def test_a_fingerprint_follows_a_single_pixel() -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    before = take_fingerprint(image)
    image[20, 30, 1] = 40
    assert max(abs(a - b) for a, b in zip(take_fingerprint(image), before, strict=True)) > TEXTURES_APART


CLOSED = {
    "sphere": sphere(0.4, 20),
    "cylinder": cylinder(0.4, 0.9, segments=16),
    "cylinder with a round rim": cylinder(0.4, 0.9, 0.05, 16),
    "lathe": lathe([(0, 0), (0.5, 0), (0.6, 0.3), (0.2, 0.8), (0, 0.8)], 24),
    "rounded box": rounded_box(1.0, 0.6, 0.4, 0.1),
    "tube": tube([(0, 0, 0), (0, 0, 0.1), (0.2, 0, 0.5), (0.3, 0, 0.6)], [0, 0.1, 0.1, 0], 9),
}


@pytest.mark.parametrize("name", CLOSED)
def test_closed_bodies_are_watertight_and_turned_one_way(name: str) -> None:
    """Each edge belongs to two faces, which run along it in opposite directions."""
    mesh = CLOSED[name]
    _, corner = np.unique(np.round(mesh.vertices, 5), axis=0, return_inverse=True)
    faces = corner.reshape(-1)[mesh.faces]
    faces = faces[[len(set(face)) == 3 for face in faces.tolist()]]
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    assert len(np.unique(edges, axis=0)) == len(edges)
    assert {(a, b) for a, b in edges.tolist()} == {(b, a) for a, b in edges.tolist()}


def compute_volume(mesh: Mesh) -> float:
    a, b, c = (mesh.vertices[mesh.faces[:, k]].astype(np.float64) for k in range(3))
    return abs(float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6))


@pytest.mark.parametrize("segments", [5, 24])
def test_a_lathe_has_the_volume_of_its_frustums(segments: int) -> None:
    profile = [(0, 0), (0.5, 0), (0.6, 0.3), (0.2, 0.8), (0, 0.8)]
    corner = segments / 2 * np.sin(2 * np.pi / segments)  # area of a regular polygon of radius 1
    volume = sum(
        corner * (z1 - z0) / 3 * (r0 * r0 + r0 * r1 + r1 * r1)
        for (r0, z0), (r1, z1) in itertools.pairwise(profile)
    )
    assert compute_volume(lathe(profile, segments)) == pytest.approx(volume, rel=1e-5)


def test_a_rounded_box_has_the_volume_of_its_core_edges_and_corners() -> None:
    w, d, h, b = 1.0, 0.6, 0.4, 0.05
    a, c, e = w - 2 * b, d - 2 * b, h - 2 * b
    exact = a * c * e + 2 * b * (a * c + a * e + c * e) + np.pi * b * b * (a + c + e) + 4 / 3 * np.pi * b**3
    assert compute_volume(rounded_box(w, d, h, b)) == pytest.approx(exact, rel=3e-3)


def test_a_crease_parts_the_normals_of_sharp_corners_alone() -> None:
    profile = [(0.5, 0.0), (0.5, 0.5), (0.4, 0.6)]  # a corner of 45 degrees
    soft, sharp = lathe(profile, 4, crease=46), lathe(profile, 4, crease=44)
    assert (len(soft.vertices), len(sharp.vertices)) == (3 * 5, 4 * 5)
    assert soft.normals[5:10, 2] == pytest.approx(np.full(5, np.sin(np.pi / 8)), abs=1e-6)
    assert sharp.normals[5:10, 2] == pytest.approx(np.zeros(5), abs=1e-6)
    assert sharp.normals[10:15, 2] == pytest.approx(np.full(5, 0.5**0.5), abs=1e-6)
    assert sharp.uv[:, 1].reshape(4, 5)[:, 0] == pytest.approx([0, 5 / 6, 5 / 6, 1])


def test_normals_have_length_one_or_none() -> None:
    seen, cases = 0, list_shape_cases()
    for name, function in list_functions((geometry,)):
        for values in cases.get(name, ()):
            mesh = function(**values)
            if isinstance(mesh, Mesh):
                lengths = np.linalg.norm(mesh.normals, axis=1)
                lengths = lengths[lengths > 0.01]  # where all of a row meets in a point there is none
                assert lengths == pytest.approx(1, abs=1e-5), name
                seen += 1
    for mesh in (spread_blanket(1.0), cream_swirl(0.2, 0.3), ripples(0.0), slab(1.0, 0.6, 0.2, 0.1, 0.02)):
        assert np.linalg.norm(mesh.normals, axis=1) == pytest.approx(1, abs=1e-4)
    assert seen > 15


def test_a_tube_keeps_its_radius_and_a_sweep_its_corner() -> None:
    path = np.array([(0, 0, 0), (0.1, 0.3, 0.2), (0.4, 0.4, 0.6), (0.5, 0.9, 0.7)])
    skin = tube(path, [0.1, 0.2, 0.05, 0.1], 7).vertices.reshape(4, 8, 3)
    apart = np.linalg.norm(skin - path[:, None], axis=2)
    assert apart == pytest.approx(np.repeat([[0.1], [0.2], [0.05], [0.1]], 8, 1), abs=1e-6)
    shell = padded_shell(0.6, 0.5, 0.1, 90.0, 0.2, (0.9, 0.6))
    assert shell.vertices[:, 2].min() == pytest.approx(0.2, abs=0.051)
    y, z = sweep(2.0, -1.0, 1.5, 2.0, 0.4).vertices[2:-2, 1:].T
    assert np.hypot(y - 1.1, z - 0.4) == pytest.approx(np.full(len(y), 0.4), abs=1e-6)


@pytest.mark.parametrize("axis", range(3))
def test_a_tube_is_not_wrung_where_its_path_winds(axis: int) -> None:
    # a skin line of a tube of radius r leaves the path's own by no more than r times the turn of the path
    a = np.linspace(0, 4 * np.pi, 60)
    path = np.roll(np.stack([np.cos(a), np.sin(a), a / 9], 1), axis, 1)
    for way in (path, [(0, -0.12, 0.09), (0.03, -0.1, 0.15), (0.03, 0.2, 0.15), (0, 0.22, 0.09)]):
        along = np.gradient(np.array(way), axis=0)
        along /= np.linalg.norm(along, axis=1, keepdims=True)
        spokes = (tube(way, 1.0, 9).vertices.reshape(len(way), 10, 3) - np.array(way)[:, None]).astype(float)
        bent = np.arccos(np.clip((along[:-1] * along[1:]).sum(1), -1, 1))
        moved = np.linalg.norm(np.diff(spokes, axis=0), axis=2).max(1)
        assert (moved <= 1.01 * bent + 1e-3).all()


def test_a_loft_takes_one_number_for_a_whole_row() -> None:
    x = np.array([0.0, 1.0, 2.0])
    mesh = loft([(x, 0.0, 0.0), (x, 0.0, x)])
    assert mesh.vertices.reshape(2, 3, 3)[:, :, 2].tolist() == [[0, 0, 0], [0, 1, 2]]
    assert merge_meshes([mesh, mesh]).faces[4:].min() == 6


def test_a_drawing_starts_from_a_colour_or_a_texture_and_colours_become_bytes() -> None:
    image, draw = start_drawing((1.0, 0.5, 0.0), 9, 5)
    draw_dot(draw, 4, 2, 1, (0.0, 0.0, 1.0))
    pixels = np.asarray(image)
    assert pixels.shape == (5, 9, 3)
    assert pixels[0, 0].tolist() == [255, 128, 0]
    assert pixels[2, 4].tolist() == [0, 0, 255]
    assert (pixels[..., 2] == 255).sum() in (5, 9)
    again, _ = start_drawing(pixels, 9, 5)
    assert np.array_equal(np.asarray(again), pixels)
    assert to_texture(np.array([[-1.0, 0.999, 2.0]])).tolist() == [[0, 254, 255]]


def test_textures_have_their_sizes() -> None:
    rng, grey = np.random.default_rng(0), (0.5, 0.5, 0.5)
    assert foil(grey, 40).shape == (40, 40, 3)
    assert fruit_skin("plum", 2).shape == (64, 64, 3)
    assert carton_print(rng, grey, grey, grey).shape == (768, 768, 3)
    assert mug_glaze(rng, grey, grey).shape == (384, 768, 3)
    assert landscape(rng, "lake", grey, grey, grey, 48).shape == (48, 48, 3)
