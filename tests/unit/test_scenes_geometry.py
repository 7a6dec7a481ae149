"""Proves volumes, areas and normals of the meshes against closed formulas."""

from __future__ import annotations

import numpy as np
import pytest

from cyclorama.scenes import geometry as g


def compute_volume(mesh: g.Mesh) -> float:
    """Signed volume of a closed mesh by the divergence theorem."""
    a, b, c = (mesh.vertices[mesh.faces[:, k]].astype(np.float64) for k in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


def test_sphere_has_its_volume_and_unit_outward_normals() -> None:
    mesh = g.sphere(0.5, 96)
    assert abs(compute_volume(mesh)) == pytest.approx(4 / 3 * np.pi * 0.5**3, rel=0.005)
    outward = mesh.vertices / np.linalg.norm(mesh.vertices, axis=1, keepdims=True)
    assert np.abs(np.linalg.norm(mesh.normals, axis=1) - 1).max() < 1e-5
    assert (np.einsum("ij,ij->i", outward, mesh.normals) > 0.99).all()


def test_cylinder_has_its_volume_and_sharp_rims() -> None:
    mesh = g.cylinder(0.3, 0.8, segments=128)
    assert abs(compute_volume(mesh)) == pytest.approx(np.pi * 0.09 * 0.8, rel=0.005)
    flat = np.abs(mesh.normals[:, 2])
    assert ((flat < 1e-5) | (flat > 1 - 1e-5)).all()


def test_rounded_box_fills_its_bounds_and_has_outward_normals() -> None:
    mesh = g.rounded_box(1.0, 0.6, 0.4, 0.001)
    assert mesh.vertices.min(0) == pytest.approx([-0.5, -0.3, 0.0], abs=1e-5)
    assert mesh.vertices.max(0) == pytest.approx([0.5, 0.3, 0.4], abs=1e-5)
    assert abs(compute_volume(mesh)) == pytest.approx(0.24, rel=0.01)
    from_middle = mesh.vertices - np.array([0, 0, 0.2], np.float32)
    assert (np.einsum("ij,ij->i", from_middle, mesh.normals) > 0).all()


def test_turning_scaling_and_moving_are_the_named_maps() -> None:
    point = g.Mesh(
        *(np.array([[1, 0, 0]], t) for t in (np.float32, np.int32, np.float32)), np.zeros((1, 2), "f4")
    )
    assert point.turned("z", 90).vertices[0] == pytest.approx([0, 1, 0], abs=1e-6)
    assert point.turned("y", 90).vertices[0] == pytest.approx([0, 0, -1], abs=1e-6)
    moved = point.scaled(2).moved(0, 3, -1)
    assert moved.vertices[0] == pytest.approx([2, 3, -1])
    assert moved.normals[0] == pytest.approx([1, 0, 0])


def test_merged_meshes_keep_their_faces_apart() -> None:
    both = g.merge_meshes([g.sphere(1.0, 8), g.sphere(1.0, 8).moved(5)])
    half = len(both.faces) // 2
    assert both.vertices[both.faces[:half]][..., 0].max() <= 1.0
    assert both.vertices[both.faces[half:]][..., 0].min() >= 4.0


def test_faces_that_are_seen_are_shaded_from_the_side_that_is_seen() -> None:
    lid, eye = g.lathe([(0.3, 0), (0.3, 0.1), (0.25, 0.12), (0, 0.12)], crease=50), np.array([0, -4.0, 0.3])
    turned = g.face_viewer(lid, eye)
    view = eye - lid.vertices
    view /= np.linalg.norm(view, axis=1, keepdims=True)
    corners = lid.vertices[lid.faces]
    facing = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    facing *= np.sign((facing * lid.normals[lid.faces].sum(1)).sum(1))[:, None]
    seen = lid.faces[(facing * view[lid.faces[:, 0]]).sum(1) > 0]
    assert (lid.normals * view).sum(1)[seen].min() < -0.1  # the rounded rim far behind
    assert (turned.normals * view).sum(1)[seen].min() > 0.02
    kept = (lid.normals * view).sum(1) > 0.03
    assert (turned.normals[kept] == lid.normals[kept]).all() and kept.mean() > 0.3
    assert np.linalg.norm(turned.normals, axis=1) == pytest.approx(np.ones(len(view)), abs=1e-5)
