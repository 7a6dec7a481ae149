"""What shapes are scenes made of?  Small triangle meshes in numpy, z up, with normals and uv."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int32]
Points = NDArray[np.float64]


@dataclass(frozen=True)
class Mesh:
    """A triangle mesh: ``vertices``, ``normals`` (N, 3), ``uv`` (N, 2) float32; ``faces`` (M, 3) int32.

    Axes: x to the right, y away from the camera, z up.  Texture v runs upwards.
    """

    vertices: FloatArray
    faces: IntArray
    normals: FloatArray
    uv: FloatArray

    def moved(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Mesh:
        """The mesh shifted by (x, y, z)."""
        shift = np.array([x, y, z], np.float32)
        return Mesh(self.vertices + shift, self.faces, self.normals, self.uv)

    def scaled(self, x: float, y: float | None = None, z: float | None = None) -> Mesh:
        """The mesh scaled about the origin; one number scales all axes alike."""
        s = np.array([x, x if y is None else y, x if z is None else z], np.float32)
        n = self.normals / s
        n = n / np.maximum(np.linalg.norm(n, axis=1, keepdims=True), 1e-9)
        return Mesh(self.vertices * s, self.faces, n.astype(np.float32), self.uv)

    def turned(self, axis: str, degrees: float) -> Mesh:
        """The mesh turned about one axis through the origin, counter-clockwise seen from the axis' tip."""
        a = np.deg2rad(degrees)
        c, s = np.cos(a), np.sin(a)
        i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
        m = np.eye(3)
        m[i, i], m[i, j], m[j, i], m[j, j] = c, -s, s, c
        m32 = m.astype(np.float32)
        return Mesh(self.vertices @ m32.T, self.faces, self.normals @ m32.T, self.uv)

    def take(self, faces: IntArray) -> Mesh:
        """The part of the mesh that ``faces`` (N, 3) of it are."""
        used, renamed = np.unique(faces, return_inverse=True)
        corners = renamed.reshape(-1, 3).astype(np.int32)
        return Mesh(self.vertices[used], corners, self.normals[used], self.uv[used])


def merge_meshes(meshes: Sequence[Mesh]) -> Mesh:
    """One mesh that holds all of ``meshes`` (at least one)."""
    offsets = np.cumsum([0] + [len(m.vertices) for m in meshes[:-1]])
    return Mesh(
        np.concatenate([m.vertices for m in meshes]),
        np.concatenate([m.faces + o for m, o in zip(meshes, offsets, strict=True)]).astype(np.int32),
        np.concatenate([m.normals for m in meshes]),
        np.concatenate([m.uv for m in meshes]),
    )


def face_viewer(mesh: Mesh, eye: Sequence[float], least: float = 0.03) -> Mesh:
    """``mesh`` with the normals of all faces that are seen from ``eye`` turned to it by ``least`` (a cosine).

    A rounded edge's normal may look away where its face is seen at a grazing angle: a renderer takes that for
    the face's other side, and shows a black slit.
    """
    v, f, n = mesh.vertices, mesh.faces, mesh.normals
    view = np.asarray(eye, np.float32) - v
    view /= np.maximum(np.linalg.norm(view, axis=1, keepdims=True), 1e-9)
    facing = np.cross(v[f[:, 1]] - v[f[:, 0]], v[f[:, 2]] - v[f[:, 0]])
    outer = np.sign((facing * n[f].sum(1)).sum(1))
    side = np.sign((facing * view[f[:, 0]]).sum(1)) * outer  # 1 if the side of its normals is seen
    wanted = np.zeros(len(v), np.float32)
    wanted[f[side < 0]] = -1
    wanted[f[side > 0]] = 1
    lack = np.maximum(least - wanted * (n * view).sum(1), 0) * wanted
    turned = n + lack[:, None] * view
    turned /= np.maximum(np.linalg.norm(turned, axis=1, keepdims=True), 1e-9)
    return Mesh(v, f, np.where(lack[:, None] == 0, n, turned), mesh.uv)


def as_points(*coordinates: NDArray[np.float64]) -> list[tuple[Any, ...]]:
    """The points of equally long arrays, one for each coordinate."""
    return list(zip(*(axis.tolist() for axis in coordinates), strict=True))


def _build(points: Points, faces: IntArray, normals: Points, uv: Points) -> Mesh:
    """A mesh of arrays (..., 3) and (..., 2), faces (M, 3)."""
    v, n, t = (np.asarray(a, np.float32).reshape(-1, a.shape[-1]) for a in (points, normals, uv))
    return Mesh(v, faces, n, t)


def _grid_faces(rows: int, columns: int) -> IntArray:
    i, j = np.meshgrid(np.arange(rows - 1), np.arange(columns - 1), indexing="ij")
    a = (i * columns + j).ravel()
    return np.concatenate(
        [np.stack([a, a + 1, a + columns + 1], 1), np.stack([a, a + columns + 1, a + columns], 1)]
    ).astype(np.int32)


def lathe(profile: Sequence[tuple[float, float]], segments: int = 72, crease: float = 38.0) -> Mesh:
    """A surface of revolution about z from (radius, height) points listed from bottom to top.

    Corners sharper than ``crease`` degrees stay sharp.  u = 0.5 faces the camera (-y); v follows the height.
    """
    p = np.array(profile, np.float64)
    d = np.diff(p, axis=0)
    n = np.stack([d[:, 1], -d[:, 0]], 1)
    n /= np.maximum(np.linalg.norm(n, axis=1, keepdims=True), 1e-12)
    rows, breaks = [[*p[0], *n[0]]], []
    for point, before, after in zip(p[1:-1], n, n[1:], strict=False):
        if np.dot(before, after) < np.cos(np.deg2rad(crease)):
            breaks.append(len(rows))
            rows += [[*point, *before], [*point, *after]]
        else:
            rows.append([*point, *((before + after) / np.linalg.norm(before + after))])
    r = np.array([*rows, [*p[-1], *n[-1]]])
    u = np.linspace(0.0, 1.0, segments + 1)
    a = np.pi / 2 + 2 * np.pi * u
    ca, sa = np.cos(a), np.sin(a)
    v, nn = (
        np.stack(np.broadcast_arrays(a * ca, a * sa, z), -1)
        for a, z in ((r[:, :1], r[:, 1:2]), (r[:, 2:3], r[:, 3:]))
    )
    low, high = p[:, 1].min(), p[:, 1].max()
    vv = np.repeat((r[:, 1:2] - low) / max(high - low, 1e-9), segments + 1, 1)
    uv = np.stack([np.broadcast_to(u, vv.shape), vv], -1)
    faces = _grid_faces(len(r), segments + 1)
    row_of_face = np.tile(np.repeat(np.arange(len(r) - 1), segments), 2)
    keep = ~np.isin(row_of_face, breaks)
    return _build(v, faces[keep], nn, uv)


def smooth_profile(points: Sequence[tuple[float, float]], rounds: int = 2) -> list[tuple[float, float]]:
    """The profile with its corners cut ``rounds`` times (Chaikin), ends kept."""
    p = np.array(points, np.float64)
    for _ in range(rounds):
        q = np.empty((2 * (len(p) - 1), 2))
        q[0::2] = 0.75 * p[:-1] + 0.25 * p[1:]
        q[1::2] = 0.25 * p[:-1] + 0.75 * p[1:]
        p = np.concatenate([p[:1], q, p[-1:]])
    return as_points(*p.T)


def sphere(radius: float, segments: int = 56) -> Mesh:
    """A sphere about the origin."""
    a = np.linspace(-np.pi / 2, np.pi / 2, segments // 2 + 1)
    return lathe(as_points(radius * np.cos(a), radius * np.sin(a)), segments, crease=80)


def cylinder(radius: float, height: float, bevel: float = 0.0, segments: int = 72) -> Mesh:
    """A closed cylinder on z = 0 with an optional rounded rim; its ends carry the whole texture, too."""
    b = max(bevel, 0.0)
    side = [(radius, 0.0), (radius, height)]
    if b > 0:
        t = np.linspace(0, np.pi / 2, 6)
        low = as_points(radius - b + b * np.sin(t), b - b * np.cos(t))
        side = [*low, *as_points(radius - b + b * np.cos(t), height - b + b * np.sin(t))]
    bottom, top = (lathe([(0.0, z), (radius - b, z)], segments) for z in (0.0, height))
    top = Mesh(top.vertices, top.faces[:, ::-1], -top.normals, top.uv)
    caps = [replace(m, uv=0.5 + m.vertices[:, :2] / (2 * radius)) for m in (bottom, top)]
    return merge_meshes([lathe(side, segments), *caps])


def rounded_box(
    width: float, depth: float, height: float, bevel: float, corner: Sequence[float] = (1.0, 0.6, 0.25, 0.0)
) -> Mesh:
    """A box with rounded edges, centred in x and y, on z = 0; every side carries the whole texture.

    ``corner``: where a rounded edge has its rows, from the corner (1) to the flat side (0); (1, 0) is enough
    for what is small and many, like the bricks of a wall.
    """
    half = np.array([width, depth, height], np.float64) / 2
    b = min(bevel, float(half.min()) * 0.999)
    meshes: list[Mesh] = []
    turn = b * np.array(corner)
    for axis in range(3):
        for sign in (-1.0, 1.0):
            i, j = [(1, 2), (0, 2), (0, 1)][axis]
            ti = np.concatenate([-half[i] + b - turn, half[i] - b + turn[::-1]])
            tj = np.concatenate([-half[j] + b - turn, half[j] - b + turn[::-1]])
            g = np.zeros((len(tj), len(ti), 3))
            g[..., axis] = sign * half[axis]
            g[..., i], g[..., j] = np.meshgrid(ti, tj)
            inner = np.clip(g, -(half - b), half - b)
            d = g - inner
            length = np.linalg.norm(d, axis=-1, keepdims=True)
            n = d / np.maximum(length, 1e-12)
            p = inner + b * n
            u = (p[..., i] / half[i] + 1) / 2
            if (axis == 0 and sign < 0) or (axis == 1 and sign > 0):
                u = 1 - u
            uv = np.stack([u, (p[..., j] / half[j] + 1) / 2], -1)
            f = _grid_faces(len(tj), len(ti))
            if (sign > 0) == (axis == 1):
                f = f[:, ::-1]
            meshes.append(_build(p, np.ascontiguousarray(f), n, uv))
    return merge_meshes(meshes).moved(z=height / 2)


def grid_surface(points: NDArray[np.float64], uv: NDArray[np.float64] | None = None) -> Mesh:
    """A smooth surface through a (rows, columns, 3) grid of points."""
    p = np.asarray(points, np.float64)
    du = np.gradient(p, axis=1)
    dv = np.gradient(p, axis=0)
    n = np.cross(du, dv)
    n /= np.maximum(np.linalg.norm(n, axis=-1, keepdims=True), 1e-12)
    if uv is None:
        u, v = np.meshgrid(np.linspace(0, 1, p.shape[1]), np.linspace(0, 1, p.shape[0]))
        uv = np.stack([u, v], -1)
    return _build(p, _grid_faces(p.shape[0], p.shape[1]), n, uv)


def loft(rows: Sequence[tuple[Any, Any, Any]]) -> Mesh:
    """A smooth surface through rows of (x, y, z), each an array along the row or one number for all of it."""
    return grid_surface(np.stack([np.stack(np.broadcast_arrays(*row), -1) for row in rows]))


def quad(width: float, height: float) -> Mesh:
    """An upright rectangle in the plane y = 0, centred in x, standing on z = 0, facing the camera."""
    w = width / 2
    return grid_surface(np.array([[[-w, 0, 0], [w, 0, 0]], [[-w, 0, height], [w, 0, height]]], np.float64))


def floor(width: float, near: float, far: float) -> Mesh:
    """A level rectangle at z = 0 from y = near to y = far, facing up."""
    w = width / 2
    return grid_surface(np.array([[[-w, near, 0], [w, near, 0]], [[-w, far, 0], [w, far, 0]]], np.float64))


def sweep(width: float, near: float, far: float, height: float, radius: float) -> Mesh:
    """A cyclorama: floor, rounded corner and wall in one smooth surface."""
    a = np.linspace(0, np.pi / 2, 10)
    corner = [(far - radius + radius * np.sin(t), radius - radius * np.cos(t)) for t in a]
    yz = [(near, 0.0), *corner, (far, height)]
    rows = [[[-width / 2, y, z], [width / 2, y, z]] for y, z in yz]
    return grid_surface(np.array(rows, np.float64))


def tube(
    path: Sequence[tuple[float, float, float] | Points], radii: Sequence[float] | float, segments: int = 12
) -> Mesh:
    """A round tube along ``path``; one radius, or one per point (0 closes an end)."""
    p = np.array(path, np.float64)
    r = np.broadcast_to(np.asarray(radii, np.float64), (len(p),))
    t = np.gradient(p, axis=0)
    if np.allclose(p[0], p[-1]):  # closed: both ends are one
        t[0] = t[-1] = p[1] - p[-2]
    t /= np.maximum(np.linalg.norm(t, axis=1, keepdims=True), 1e-12)
    side = np.empty_like(t)
    last = np.eye(3)[np.abs(t[0]).argmin()]
    for k, along in enumerate(t):  # the last side, turned no more than the path turns
        last = last - (last @ along) * along
        last /= max(float(np.linalg.norm(last)), 1e-12)
        side[k] = last
    up = np.cross(side, t)
    a = np.linspace(0, 2 * np.pi, segments + 1)
    ring = np.cos(a)[None, :, None] * side[:, None] + np.sin(a)[None, :, None] * up[:, None]
    v = p[:, None] + r[:, None, None] * ring
    u, w = np.meshgrid(np.linspace(0, 1, segments + 1), np.linspace(0, 1, len(p)))
    return _build(v, _grid_faces(len(p), segments + 1), ring, np.stack([u, w], -1))


def fan(outline: Sequence[tuple[float, float]] | NDArray[np.float64], width: float, height: float) -> Mesh:
    """An upright face in the plane y = 0 within a closed ``outline`` of (x, z), facing the camera."""
    front = np.array([(0.0, height / 2), *outline])
    k = np.arange(1, len(outline))
    vertices = np.stack([front[:, 0], 0 * front[:, 0], front[:, 1]], 1)
    uv = np.stack([front[:, 0] / width + 0.5, front[:, 1] / height], 1)
    faces = np.stack([np.zeros_like(k), k, k + 1], 1).astype(np.int32)
    return _build(vertices, faces, np.tile([0.0, -1.0, 0.0], (len(front), 1)), uv)


def arch(width: float, height: float, depth: float) -> Mesh:
    """A solid panel with a semicircular top and a round front edge, on z = 0, facing y = 0."""
    a = np.linspace(0, np.pi, 48)
    bow = np.stack([np.cos(a), np.sin(a)], 1)
    outward = np.concatenate([[[1, 0]], bow, [[-1, 0]]])
    edge, middle = 0.12 * min(depth, width), [0, height - width / 2]

    def outline(inset: float) -> NDArray[np.float64]:
        r = width / 2 - inset
        return np.concatenate([[[r, 0.0]], middle + r * bow, [[-r, 0.0]]])

    turns = np.linspace(0, np.pi / 2, 5)
    rows = [(outline(edge * (1 - np.sin(t))), edge * (1 - np.cos(t)), t) for t in turns]
    rows.append((outline(0.0), depth, np.pi / 2))
    front = outline(edge)
    face = fan(np.concatenate([front, front[:1]]), width, height)
    side = loft([(points[:, 0], y, points[:, 1]) for points, y, _ in rows])
    return merge_meshes([face, with_edge(side, outward, [(t, -1) for _, _, t in rows])])


def with_edge(mesh: Mesh, outward: NDArray[np.float64], rows: Sequence[tuple[float, int]]) -> Mesh:
    """``mesh``, a loft round a panel, with the exact normals of its round edge.

    ``outward`` (N, 2) are those of the outline in (x, z); ``rows`` tell the turn from the face that looks to
    y = -1 or 1, and which of the two.
    """
    n = [np.insert(np.sin(t) * outward, 1, sign * np.cos(t), axis=1) for t, sign in rows]
    return replace(mesh, normals=np.concatenate(n).astype(np.float32))


def ring(radius: float, thickness: float, segments: int = 72) -> Mesh:
    """A torus in the plane y = 0 about the origin."""
    a = np.linspace(0, 2 * np.pi, segments + 1)
    return tube(as_points(radius * np.cos(a), 0 * a, radius * np.sin(a)), thickness, 12)


def leaf(length: float, width: float, bend: float) -> Mesh:
    """A leaf growing from the origin along +z, bending towards -y by ``bend`` times its length.

    Folded along its midrib, its halves arched; u runs across, v along.
    """
    s = np.linspace(0, 1, 13)
    w = width / 2 * np.sin(np.pi * s**0.8) ** 0.8
    across = np.array([-1.0, -0.6, -0.15, 0.0, 0.15, 0.6, 1.0])
    lift = np.array([0.24, 0.27, 0.1, 0.0, 0.1, 0.27, 0.24])
    y = -bend * length * s * s
    z = length * s * (1 - 0.3 * bend * s)
    return loft([(across * h, b - lift * h * 1.2, t) for h, b, t in zip(w, y, z, strict=True)])
