"""Fits a set to its canvas: ground, walls and views go on as far as the camera sees, lamps are out of sight.

Sets are dressed for canvases about as wide as high; on a banner the camera looks past their ends. What is as
large as the set goes on there as its own mirror image: no pattern breaks off. A view, as of hills behind a
window, goes on upwards as its uppermost row: more sky, not a second ground.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cyclorama.scenes.calm import NEAREST, THIN, CalmBox, clear_boxes, crosses, find_seen
from cyclorama.scenes.geometry import Mesh, merge_meshes
from cyclorama.scenes.stage import Camera, Light, Part, Stage, cast_rays, compute_axes, project
from cyclorama.scenes.surface import Surface

WIDE, HIGH = 4.0, 2.4
"""What is so wide goes on to both sides, and what is so high, too, upwards; the product is 1 high."""
FLAT = 0.5
"""What is no higher is ground, which goes on behind where no wall stands."""
UPRIGHT = 0.02
"""Most that a face that stands leans, as the sine of its angle."""
MOST_COPIES = 8
"""Of one thing on one side; on the steepest view of ground its end is never out of sight."""
IMAGE = (0.0, 0.0, 1.0, 1.0)
OUTSIDE = 0.02
"""How far beyond the image's edges things go on, in shares of it."""
UPPER = [(0.0, -OUTSIDE), (1.0, -OUTSIDE)]


def fit_canvas(stage: Stage, calm: Sequence[CalmBox] = ()) -> Stage:
    """``stage`` with nothing but set wherever the camera looks, and no props in ``calm`` boxes."""
    parts, spans = [*stage.parts], [np.ptp(part.mesh.vertices, axis=0) for part in stage.parts]
    seen = [crosses(find_seen(part, stage), IMAGE) for part in parts]
    large = [k for k in range(len(parts)) if seen[k] and spans[k][0] >= WIDE]
    walled = any(spans[k][2] >= HIGH for k in large)
    for k in large:
        if spans[k][2] >= HIGH:
            parts[k] = _go_up(parts[k], stage)
        elif spans[k][2] <= FLAT and not walled:
            parts[k] = _go_back(parts[k], stage)
        parts[k] = _go_aside(parts[k], stage)
    lights = [_hide(light, stage) for light in stage.lights]
    return clear_boxes(replace(stage, parts=parts, lights=lights), calm)


def _go_aside(part: Part, stage: Stage) -> Part:
    """As wide as the camera sees at the part's far end."""
    edges = [(x, y) for x in (-OUTSIDE, 1 + OUTSIDE) for y in (0.0, 0.5, 1.0)]
    seen = _meet(stage, 1, float(part.mesh.vertices[:, 1].max()), edges)[:, 0]
    return _repeat(part, part.mesh, 0, float(np.nanmin([0.0, *seen])), float(np.nanmax([0.0, *seen])))


def _go_up(part: Part, stage: Stage) -> Part:
    """As high as the camera sees."""
    wall = _take_wall(part.mesh)
    if len(wall.faces) == 0:
        return part
    seen = _meet(stage, 1, float(wall.vertices[:, 1].max()), UPPER)[:, 2]
    low, high = float(wall.vertices[:, 2].min()), float(np.nanmax([0.0, *seen]))
    if _is_view(part.surface):
        top = wall.uv[wall.vertices[:, 2].argmax(), 1]
        wall = replace(wall, uv=np.stack([wall.uv[:, 0], np.full_like(wall.uv[:, 1], top)], 1))
    return _repeat(part, wall, 2, low, high)


def _go_back(part: Part, stage: Stage) -> Part:
    """As deep as the camera sees."""
    low, high = part.mesh.vertices.min(0), part.mesh.vertices.max(0)
    seen = _meet(stage, 2, float(high[2]), UPPER)[:, 1]
    return _repeat(part, part.mesh, 1, float(low[1]), float(np.nanmax([0.0, *seen])))


def _meet(stage: Stage, axis: int, value: float, places: list[tuple[float, float]]) -> NDArray[np.float64]:
    """Points (N, 3) where the camera's rays through image ``places`` meet the plane ``axis`` = ``value``; NaN
    where they do not."""
    rays, origin = cast_rays(np.array(places), stage.camera), np.array(stage.camera.origin)
    with np.errstate(divide="ignore"):
        way = (value - origin[axis]) / rays[:, axis]
    return np.asarray(origin + np.where(np.isfinite(way) & (way > 0), way, np.nan)[:, None] * rays)


def _repeat(part: Part, mesh: Mesh, axis: int, low: float, high: float) -> Part:
    """``part`` with mirror images of ``mesh`` put to its ends, until these reach from ``low`` to ``high``."""
    first, last = float(mesh.vertices[:, axis].min()), float(mesh.vertices[:, axis].max())
    copies = [part.mesh]
    for end, beyond in ((first, first - low), (last, high - last)):
        copy, step = mesh, math.copysign(last - first, end - (first + last) / 2)
        for number in range(min(MOST_COPIES, math.ceil(beyond / (last - first)))):
            copy = _mirror(copy, axis, end + number * step)
            copies.append(copy)
    if len(copies) == 1:
        return part
    mesh = merge_meshes(copies)
    if _is_view(part.surface):  # beyond the middle of its outermost pixels it begins anew
        half = 0.5 / np.array(np.shape(part.surface.colour)[1::-1], np.float32)
        mesh = replace(mesh, uv=mesh.uv.clip(half, 1 - half))
    return Part(mesh, part.surface)


def _is_view(surface: Surface) -> bool:
    return isinstance(surface.colour, np.ndarray) and surface.tiles == (1.0, 1.0)


def _mirror(mesh: Mesh, axis: int, place: float) -> Mesh:
    side, shift = np.ones(3), np.zeros(3)
    side[axis], shift[axis] = -1, 2 * place
    turned = mesh.scaled(*side).moved(*shift)
    return replace(turned, faces=turned.faces[:, ::-1].copy())


def _take_wall(mesh: Mesh) -> Mesh:
    """What of ``mesh`` goes on upwards: all of a sheet; of a sweep the faces that stand."""
    wide, deep, tall = np.ptp(mesh.vertices, axis=0)
    if deep <= THIN * min(wide, tall):
        return mesh
    a, b, c = mesh.vertices[mesh.faces.T]
    across = np.cross(b - a, c - a)
    return mesh.take(mesh.faces[np.abs(across[:, 2]) <= UPRIGHT * np.linalg.norm(across, axis=1)])


def _hide(light: Light, stage: Stage) -> Light:
    """``light`` raised above what the camera sees, if it is seen, and as bright on its target."""
    right, up, _ = compute_axes(Camera(light.position, light.target, 90.0))
    half, origin, target = light.size / 2, np.array(light.position), np.array(light.target)
    corners = origin + half * np.array([right + up, right - up, -right - up, up - right])
    ahead = (corners - np.array(stage.camera.origin)) @ compute_axes(stage.camera)[2] > NEAREST
    if not ahead.any() or not crosses(project(corners[ahead], stage.camera), IMAGE):
        return light
    rise = np.zeros(3)
    while project(corners + rise, stage.camera)[:, 1].max() > 0:
        rise[2] += 0.1
    position = origin + rise
    gain = float(np.sum((position - target) ** 2) / np.sum((origin - target) ** 2))
    red, green, blue = light.radiance
    radiance = gain * red, gain * green, gain * blue
    return replace(light, position=tuple(position.tolist()), radiance=radiance)
