"""Fits a set to its canvas: calm places where words will stand, and a backdrop up to the upper edge.

A thing is what hangs together of a stage's parts, the ground, walls and what the product stands on left out.
Those that are seen in a calm box are taken off the stage as a whole; a surface's own texture stays.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from cyclorama.scenes.stage import Part, Stage, compute_bounds, project

CalmBox = tuple[float, float, float, float]
"""left, top, right, bottom in shares of the image."""
SET_SHARE = 0.9
"""A part that is seen across so much of the image's width and 0.2 of its height is the set itself."""
MOST_RISE = 20.0
"""Most that a backdrop is raised; the product is 1 high."""
TOUCH = 0.02
"""Parts whose boxes are nearer hang together; the product is 1 high."""


def clear_boxes(stage: Stage, boxes: Sequence[CalmBox]) -> Stage:
    """``stage`` without the things that are seen in ``boxes``."""
    if not boxes or not stage.parts:
        return stage
    seen = [_find_seen(part, stage) for part in stage.parts]
    loose = [
        k
        for k, part in enumerate(stage.parts)
        if not _is_set(seen[k]) and not (stage.product and _carries(part, stage.product))
    ]
    groups = _group([stage.parts[k] for k in loose])
    gone: set[int] = set()
    for number in set(groups.tolist()):
        members = [k for k, group in zip(loose, groups, strict=True) if group == number]
        if any(_crosses(seen[k], box) for k in members for box in boxes):
            gone |= set(members)
    return replace(stage, parts=[part for k, part in enumerate(stage.parts) if k not in gone])


def raise_backdrop(stage: Stage) -> Stage:
    """``stage`` with its backdrop as high as the camera sees.

    Sets are dressed for canvases that are little higher than wide; on a high one with the product low the
    camera looks over the wall or the view behind. Its uppermost row goes on upwards.
    """
    found = [(_find_seen(part, stage), k) for k, part in enumerate(stage.parts)]
    walls = [(float(seen[:, 1].min()), k) for seen, k in found if len(seen) and _is_set(seen)]
    if not walls or min(walls)[0] <= 0:
        return stage
    number = min(walls)[1]
    part = stage.parts[number]
    low, high = part.mesh.vertices.min(0), part.mesh.vertices.max(0)
    if part.surface.tiles != (1.0, 1.0) or high[2] - low[2] < 4 * (high[1] - low[1]):
        return stage  # no upright plane, or a pattern that does not go on
    tall, rise = float(high[2] - low[2]), _find_rise(part, stage)
    vertices = part.mesh.vertices.copy()
    vertices[vertices[:, 2] > high[2] - 1e-3 * tall, 2] += rise
    surface = part.surface
    if isinstance(surface.colour, np.ndarray):
        rows = math.ceil(len(surface.colour) * rise / tall)
        colour = np.concatenate([np.repeat(surface.colour[:1], rows, 0), surface.colour])
        surface = replace(surface, colour=colour)
    parts = [*stage.parts]
    parts[number] = Part(replace(part.mesh, vertices=vertices), surface)
    return replace(stage, parts=parts)


def _find_rise(part: Part, stage: Stage) -> float:
    """How much higher the part must be for its upper edge to be seen above the image."""
    corners = part.mesh.vertices
    top = corners[corners[:, 2] > corners[:, 2].max() - 1e-3]
    rise = 0.0
    while rise < MOST_RISE and float(project(top + np.array([0, 0, rise]), stage.camera)[:, 1].max()) > -0.02:
        rise += 0.1
    return rise


def _find_seen(part: Part, stage: Stage) -> NDArray[np.float64]:
    """Image positions (N, 2) of the part's corners that lie before the camera."""
    camera = stage.camera
    ahead = (part.mesh.vertices - np.array(camera.origin)) @ (
        np.array(camera.target) - np.array(camera.origin)
    )
    return np.asarray(project(part.mesh.vertices[ahead > 1e-3], camera))


def _is_set(seen: NDArray[np.float64]) -> bool:
    if len(seen) == 0:
        return True
    (left, top), (right, bottom) = seen.min(0).clip(0, 1), seen.max(0).clip(0, 1)
    return bool(right - left > SET_SHARE and bottom - top > 0.2)


def _carries(part: Part, product: list[Part]) -> bool:
    """Whether the product's middle stands over the part, and at its top."""
    (low, high), (under, over) = compute_bounds([part]), compute_bounds(product)
    middle = (under[:2] + over[:2]) / 2
    inside = (low[:2] <= middle).all() and (middle <= high[:2]).all()
    return bool(inside and high[2] < under[2] + 0.1 * (over[2] - under[2]))


def _group(parts: list[Part]) -> NDArray[np.int32]:
    """Number of the thing each part belongs to, by boxes that touch."""
    if not parts:
        return np.zeros(0, np.int32)
    bounds = [compute_bounds([part]) for part in parts]
    low, high = (
        np.array([low for low, _ in bounds]) - TOUCH / 2,
        np.array([high for _, high in bounds]) + TOUCH / 2,
    )
    meet = ((low[:, None] <= high[None]) & (low[None] <= high[:, None])).all(-1)
    numbers: NDArray[np.int32] = connected_components(coo_array(meet), directed=False)[1]
    return numbers


def _crosses(seen: NDArray[np.float64], box: CalmBox) -> bool:
    """Whether the hull of what is seen may meet the box: their upright rectangles do."""
    if len(seen) == 0:
        return False
    left, top = seen.min(0)
    right, bottom = seen.max(0)
    return bool(left < box[2] and right > box[0] and top < box[3] and bottom > box[1])
