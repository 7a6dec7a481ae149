"""How does a cut-out stand on a stage?  A camera solved from its box, its front as a mesh, a body behind it.

All of it lies on the rays of the camera that sees the cut-out: the front covers what the matte covers, and
the body hides behind the front whatever its depth, yet casts a shadow and is mirrored as a solid thing.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cyclorama.scenes.foot import Foot, find_foot
from cyclorama.scenes.geometry import Mesh
from cyclorama.scenes.stage import BodyShape, Camera, Framing, Grid, Part, cast_rays
from cyclorama.scenes.surface import Surface

CELLS = 280
"""Cells of the front's mesh along the product's larger side."""
SOLID = 0.5
"""From this alpha on a pixel belongs to the front."""
SHARE_ROOM = (0.8, 1.2)
"""How far a product's share of the image may leave the category's before the angle of view gives way."""
TURNED = 0.3
"""How far back a foot's near edge may run, as a share of the product's width: a box turned by 17 degrees."""
ROUNDED = 1 / 3
"""How much of the category's overhang a round foot has beside what its outline shows."""
LEAST_HEIGHT = 0.003
"""What lies on the ground is so thick; the product's size is 1."""
LOWEST = 25.0
"""Least elevation of the camera over what lies, degrees; from the side nothing of it is seen."""


def solve_camera(
    canvas: tuple[int, int],
    box: tuple[int, int, int, int],
    framing: Framing,
    elevation: float,
    lies: bool = False,
) -> Camera:
    """The camera that sees a product of size 1 at the origin in ``box`` (top, left, height, width).

    ``canvas`` is (height, width) in pixels, ``elevation`` in degrees. The distance follows from the product's
    share of the image as in the category's own scenes; where that is far from theirs, the angle of view
    gives way. What ``lies`` is as long on the ground as it looks from above, and is seen from ``LOWEST`` at
    least.
    """
    height, width = canvas
    top, left, tall, wide = box
    world = tall / max(tall, 0.8 * wide)
    half = math.tan(math.radians(framing.fov) / 2)
    share = max(tall, 0.8 * wide) / min(height, width)
    low, high = framing.share
    distance = 0.5 / (min(max(share, low * SHARE_ROOM[0]), high * SHARE_ROOM[1]) * half)
    rise = math.radians(max(elevation, LOWEST) if lies else elevation)
    if lies:
        distance = max(distance, 0.6 * world / math.tan(rise))  # a wide lens stays before its near end
    middle = 0.0 if lies else world / 2
    origin = (0.0, -distance * math.cos(rise), middle + distance * math.sin(rise))
    # slopes of the rays to the product's lower and upper end against the camera's axis
    if lies:
        up, away = 1.0, 1 / math.tan(rise)
    else:
        up, away = math.cos(rise), -math.sin(rise)
    foot, head = (end * up / (distance + end * away) for end in (-world / 2, world / 2))
    scale = tall / height / (head - foot)  # shares of the image's height that a slope of 1 takes
    aspect = width / height
    fov = 2 * math.degrees(math.atan(0.5 * max(1.0, aspect) / scale))
    centre = ((left + wide / 2) / width, (top + tall) / height + scale * foot)
    return Camera(origin, (0.0, 0.0, middle), fov, aspect, centre)


def build_card(
    foreground: NDArray[np.uint8], matte: NDArray[np.float32], camera: Camera, body: BodyShape
) -> list[Part]:
    """Front and back of the cut-out as ``camera`` sees it, standing on z = 0.

    ``foreground`` (H, W, 3) are its own colours, ``matte`` (H, W) in [0, 1] says where it
    is, both on the canvas.
    """
    rows, columns = np.nonzero(matte >= SOLID)
    top, left, bottom, right = rows.min(), columns.min(), rows.max() + 1, columns.max() + 1
    solid = np.pad(matte[top:bottom, left:right] >= SOLID, 2)
    places, faces = _triangulate(solid)
    pixels = places + np.array([left - 2, top - 2])
    size = np.array([matte.shape[1], matte.shape[0]])
    rays = cast_rays(pixels / size, camera)
    origin = np.array(camera.origin)
    pixel = _measure_pixel(camera, matte.shape[0])
    corner = top - 2, left - 2
    if not body.lies:
        width = float(np.ptp(np.flatnonzero(solid.any(0))) + 1) * pixel
        reach = max(body.depth * width / 2, TURNED * width)
        foot = find_foot(solid, camera, corner, matte.shape, reach)
        if foot.sag:
            body = body.replace(round=True, depth=min(foot.sag, 1.0), front=(), back=())
    depth = (_measure_thickness(solid, body) if body.lies else _measure_depth(solid, body)) * pixel
    at = (np.clip(places[:, 1] - 0.5, 0, len(solid) - 1), places[:, 0] - 0.5)
    behind = np.maximum(ndimage.map_coordinates(depth, at, order=1, mode="nearest"), 1e-4)
    if body.lies:
        axis, near, far = 2, (depth.max() + behind) / 2, (depth.max() - behind) / 2
    else:
        axis, near = 1, np.interp(places[:, 0], np.arange(len(foot.depth)), foot.depth)
        if body.front:
            up = (np.interp(places[:, 0], np.arange(len(foot.row)), foot.row) - places[:, 1]) / (bottom - top)
            across = (places[:, 0] - 2) / (right - left)
            near = near + width * _look_up(body.front, up, across)
            behind = width * _look_up(body.back, up, across)
            near = _keep_above_ground(near, rays, origin)
        elif foot.sag:
            edge = _round_edge(solid, ROUNDED * body.overhang * width / pixel)
            before = _turn(solid, foot, places, camera) * body.depth
            before += np.interp(places[:, 1], np.arange(len(edge)) + 0.5, edge)
            near = near - before * pixel
            near = _keep_above_ground(near, rays, origin)
        else:
            bulge = _measure_bulge(solid, foot.ends) * body.depth * pixel / 2
            bulge = np.maximum(bulge, _round_edge(solid, body.overhang * width / pixel) * pixel)
            near = near - np.interp(places[:, 1], np.arange(len(bulge)) + 0.5, bulge)
        behind = _level_underside(places, rays, near - origin[1], behind)
        far = near + behind
    uv = np.stack([(pixels[:, 0] - left) / (right - left), (bottom - pixels[:, 1]) / (bottom - top)], 1)
    sheets = [origin + rays * ((place - origin[axis]) / rays[:, axis])[:, None] for place in (near, far)]
    colours = np.ascontiguousarray(foreground[top:bottom, left:right])
    facing = np.eye(3)[axis] * (1 if body.lies else -1)
    return [
        Part(_build(sheets[0], faces, facing, uv), Surface(colours, "photo")),
        Part(_build(sheets[1], faces[:, ::-1], -facing, uv), Surface(colours)),
        Part(_build_walls(sheets[0], sheets[1], faces, uv), Surface(colours)),
    ]


def _build(
    points: NDArray[np.float64],
    faces: NDArray[np.int32],
    facing: NDArray[np.float64],
    uv: NDArray[np.float64],
) -> Mesh:
    normals = np.broadcast_to(facing, points.shape)
    arrays = [np.ascontiguousarray(a, np.float32) for a in (points, normals, uv)]
    return Mesh(arrays[0], np.ascontiguousarray(faces), arrays[1], arrays[2])


def _build_walls(
    near: NDArray[np.float64], far: NDArray[np.float64], faces: NDArray[np.int32], uv: NDArray[np.float64]
) -> Mesh:
    """What joins the front's outline with the back's, so that the body is closed."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    _, first, counts = np.unique(np.sort(edges, axis=1), axis=0, return_index=True, return_counts=True)
    a, b = edges[first[counts == 1]].T
    points = np.stack([near[a], near[b], far[b], far[a]], 1)
    facing = np.cross(points[:, 1] - points[:, 0], points[:, 3] - points[:, 0])
    facing /= np.maximum(np.linalg.norm(facing, axis=1, keepdims=True), 1e-12)
    corners = np.arange(4 * len(a), dtype=np.int32).reshape(-1, 4)
    quads = np.concatenate([corners[:, [0, 1, 2]], corners[:, [0, 2, 3]]])
    around = np.repeat(facing, 4, axis=0)
    return _build(points.reshape(-1, 3), quads, around, uv[np.stack([a, b, b, a], 1)].reshape(-1, 2))


def _triangulate(solid: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Vertices (N, 2) x, y in pixels and triangles (M, 3) that cover ``solid``.

    A grid; its vertices outside are moved onto the outline.
    """
    height, width = solid.shape
    cell = max(1.0, max(height, width) / CELLS)
    down, across = math.ceil(height / cell), math.ceil(width / cell)
    ys, xs = np.linspace(0, height, down + 1), np.linspace(0, width, across + 1)
    labels = np.minimum((np.arange(height) + 0.5) / height * down, down - 1).astype(int)
    held = np.zeros((down, across), bool)
    sides = np.minimum((np.arange(width) + 0.5) / width * across, across - 1).astype(int)
    inside = np.nonzero(solid)
    held[labels[inside[0]], sides[inside[1]]] = True
    distance = ndimage.distance_transform_edt(solid) - ndimage.distance_transform_edt(~solid)
    distance = ndimage.gaussian_filter(distance - 0.5 * np.sign(distance), 0.7)
    slope_y, slope_x = np.gradient(distance)
    places = np.stack(np.meshgrid(xs, ys), -1).reshape(-1, 2)
    for _ in range(3):
        at = (np.clip(places[:, 1] - 0.5, 0, height - 1), np.clip(places[:, 0] - 0.5, 0, width - 1))
        d, gy, gx = (
            ndimage.map_coordinates(a, at, order=1, mode="nearest") for a in (distance, slope_y, slope_x)
        )
        out = d < 0
        length = np.maximum(gx**2 + gy**2, 0.25)
        places[out] -= np.stack([d * gx / length, d * gy / length], 1)[out]
    y, x = np.nonzero(held)
    a = y * (across + 1) + x
    b, c, e = a + 1, a + across + 2, a + across + 1
    faces = np.concatenate([np.stack([e, c, b], 1), np.stack([e, b, a], 1)])
    used, faces = np.unique(faces, return_inverse=True)
    return places[used], faces.reshape(-1, 3).astype(np.int32)


def _measure_pixel(camera: Camera, height: int) -> float:
    """World size of a pixel at the product's place."""
    distance = float(np.linalg.norm(np.subtract(camera.target, camera.origin)))
    return distance / (camera.scale[1] * height)


def _measure_depth(solid: NDArray[np.bool_], body: BodyShape) -> NDArray[np.float64]:
    """How far the body reaches behind each pixel (H, W), in pixels: a section for every run of a row."""
    depth = np.zeros(solid.shape)
    columns = np.arange(solid.shape[1]) + 0.5
    for row, line in enumerate(solid):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], line, [0]])))
        for start, end in zip(edges[::2], edges[1::2], strict=True):
            u = np.clip((columns[start:end] - start) / (end - start), 0, 1)
            section = np.sqrt(4 * u * (1 - u)) if body.round else np.ones(end - start)
            depth[row, start:end] = body.depth * (end - start) * section
    nearest = ndimage.distance_transform_edt(~solid, return_distances=False, return_indices=True)
    return np.asarray(ndimage.gaussian_filter1d(depth[tuple(nearest)], max(1.0, len(solid) / 100), axis=0))


def _measure_thickness(solid: NDArray[np.bool_], body: BodyShape) -> NDArray[np.float64]:
    """How thick what lies is at each pixel (H, W), in pixels: most where it is broadest, like a sausage."""
    inside = ndimage.distance_transform_edt(solid)
    broadest = float(inside.max())
    section = np.sqrt(1 - (1 - inside / broadest) ** 2) if body.round else np.ones(solid.shape)
    return np.asarray(2 * broadest * body.depth * section)


def _look_up(grid: Grid, up: NDArray[np.float64], across: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values of ``grid`` at shares of the height over the foot and of the width from the left (N,)."""
    values = np.array(grid)
    at = np.floor(up * len(values)), across * values.shape[1] - 0.5  # steps: a lip stands, a deck lies
    return np.asarray(ndimage.map_coordinates(values, at, order=1, mode="nearest"))


def _keep_above_ground(
    near: NDArray[np.float64], rays: NDArray[np.float64], origin: NDArray[np.float64]
) -> NDArray[np.float64]:
    """``near`` (N,), no farther off than where the rays come to the ground."""
    ground = origin[1] - (origin[2] - LEAST_HEIGHT) * rays[:, 1] / np.minimum(rays[:, 2], -1e-9)
    return np.where(rays[:, 2] < 0, np.minimum(near, ground), near)


def _turn(
    solid: NDArray[np.bool_], foot: Foot, places: NDArray[np.float64], camera: Camera
) -> NDArray[np.float64]:
    """How far the front at ``places`` (N, 2) stands before the foot's near edge, in pixels, if ``solid`` is
    as round as its foot all the way up; what is narrower stands back.

    A place on the front is seen in a row farther down than where its own height is widest.
    """
    middle, half = sum(foot.ends) / 2, (foot.ends[1] - foot.ends[0]) / 2
    radius = half + _measure_bulge(solid, foot.ends, narrower=True) / 2
    usual = ndimage.median_filter(radius, size=int(half) | 1, mode="nearest")
    radius = np.where(radius > half, np.clip(radius, None, np.maximum(usual, half)), radius)
    below = np.arange(len(radius)) + 0.5 > foot.row[list(foot.ends)].max()
    radius = np.where(below, np.maximum(radius, half), radius)
    sine = (camera.origin[2] - camera.target[2]) / math.dist(camera.origin, camera.target)
    aside = places[:, 0] - middle
    rows = np.arange(len(radius)) + 0.5
    before = np.sqrt(np.maximum(np.interp(places[:, 1], rows, radius) ** 2 - aside**2, 0))
    before = np.sqrt(np.maximum(np.interp(places[:, 1] - sine * before, rows, radius) ** 2 - aside**2, 0))
    return np.asarray(before - np.sqrt(np.maximum(half**2 - aside**2, 0)))


def _measure_bulge(
    solid: NDArray[np.bool_], ends: tuple[int, int], narrower: bool = False
) -> NDArray[np.float64]:
    """How much wider each row of ``solid`` is than its foot, whose columns are ``ends``, in pixels.

    What is wider above its foot to both sides, a ball or a lamp, is so towards the camera, too; a handle or a
    spout is not.
    """
    rows, columns = np.flatnonzero(solid.any(1)), np.arange(solid.shape[1])
    middle, empty = sum(ends) / 2, ~solid[rows]
    left = np.where(empty & (columns < middle), columns + 1, 0).max(1)
    right = np.where(empty & (columns + 1 > middle), columns, len(columns)).min(1)
    widths = 2 * np.minimum(middle - left, right - middle)
    smooth = ndimage.gaussian_filter1d(np.interp(np.arange(len(solid)), rows, widths), len(solid) / 100)
    wider = smooth - (ends[1] - ends[0])
    return np.asarray(wider if narrower else np.maximum(wider, 0.0))


def _level_underside(
    places: NDArray[np.float64],
    rays: NDArray[np.float64],
    near: NDArray[np.float64],
    behind: NDArray[np.float64],
) -> NDArray[np.float64]:
    """``behind`` (N,), cut so that no column of the body reaches lower than its front, ``near`` the camera.

    Rays fall; without this what stands on legs would reach the ground behind them.
    """
    fall = np.maximum(-rays[:, 2] / rays[:, 1], 1e-3)
    column = np.round(places[:, 0]).astype(int)
    lowest = np.full(column.max() + 1, np.inf)
    np.minimum.at(lowest, column, -fall * near)
    lowest = ndimage.minimum_filter1d(lowest, 2 * (len(lowest) // CELLS) + 3)
    return np.asarray(np.clip((-fall * near - lowest[column]) / fall, 1e-4, behind))


def _round_edge(solid: NDArray[np.bool_], overhang: float) -> NDArray[np.float64]:
    """How far each row of ``solid`` stands over the foot: a quarter of a circle of ``overhang`` pixels."""
    height = np.flatnonzero(solid.any(1)).max() + 0.5 - np.arange(len(solid))
    return np.asarray(overhang * np.sqrt(1 - (1 - np.clip(height / max(overhang, 1e-6), 0, 1)) ** 2))
