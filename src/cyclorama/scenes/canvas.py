"""Fits a set to its canvas: a backdrop up to the upper edge and out to both sides."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cyclorama.scenes.calm import CalmBox, clear_boxes, find_seen, is_wide
from cyclorama.scenes.stage import Part, Stage, project

MOST_RISE = 20.0
"""Most that a backdrop is raised; the product is 1 high."""


def fit_canvas(stage: Stage, calm: Sequence[CalmBox] = ()) -> Stage:
    """``stage`` with its backdrop as wide and as high as the camera sees, and no props in ``calm`` boxes."""
    return raise_backdrop(clear_boxes(widen_backdrop(stage), calm))


def raise_backdrop(stage: Stage) -> Stage:
    """``stage`` with its backdrop as high as the camera sees.

    Sets are dressed for canvases that are little higher than wide; on a high one with the product low the
    camera looks over the wall or the view behind. Its uppermost row goes on upwards.
    """
    found = [(find_seen(part, stage), k) for k, part in enumerate(stage.parts)]
    walls = [(float(seen[:, 1].min()), k) for seen, k in found if len(seen) and is_wide(seen)]
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


def widen_backdrop(stage: Stage) -> Stage:
    """``stage`` with its view or wall, where that is an upright plane, as wide as the camera sees.

    Sets are dressed for canvases that are little wider than high. The outermost columns go on outwards.
    """
    found: list[tuple[float, int]] = []
    tops: dict[int, float] = {}  # where each thing that reaches across begins
    for k, part in enumerate(stage.parts):
        low, high = part.mesh.vertices.min(0), part.mesh.vertices.max(0)
        wide, deep, tall = high - low
        textured = isinstance(part.surface.colour, np.ndarray) and part.surface.tiles != (1.0, 1.0)
        seen = find_seen(part, stage)
        if len(seen) == 0:
            continue
        (left, top), (right, bottom) = seen.min(0), seen.max(0)
        if is_wide(seen):
            tops[k] = float(top)
        if textured or min(wide, tall) < 4 * deep:
            continue
        if left < 0.4 and right > 0.6 and right - left > 0.4 and bottom - top > 0.2:
            found.append((float(high[1]), k))
    if not found:
        return stage
    _, number = max(found)
    part = stage.parts[number]
    own = find_seen(part, stage)[:, 1].min()
    if any(top <= own for k, top in tops.items() if k != number):
        return stage  # no backdrop but a thing before one
    low, high = part.mesh.vertices.min(0), part.mesh.vertices.max(0)
    wide = float(high[0] - low[0])
    across = part.mesh.vertices[:, 0]
    ends = across < low[0] + 1e-3 * wide, across > high[0] - 1e-3 * wide
    edges = [project(part.mesh.vertices[end], stage.camera)[:, 0] for end in ends]
    left, right = float(edges[0].max()), float(edges[1].min())
    if left <= 0 and right >= 1:
        return stage  # wide enough
    grow = [wide * max(0.0, gap + 0.05) / (right - left) for gap in (left, 1 - right)]
    vertices = part.mesh.vertices.copy()
    if min(np.ptp(vertices[end, 2]) for end in ends) < 0.9 * float(high[2] - low[2]):
        return stage  # no upright edges
    vertices[ends[0], 0] -= grow[0]
    vertices[ends[1], 0] += grow[1]
    surface = part.surface
    if isinstance(surface.colour, np.ndarray):
        turned = part.mesh.uv[ends[0], 0].mean() > part.mesh.uv[ends[1], 0].mean()
        columns = [math.ceil(surface.colour.shape[1] * share / wide) for share in grow]
        sides = columns[::-1] if turned else columns
        colour = np.pad(surface.colour, ((0, 0), (sides[0], sides[1]), (0, 0)), mode="edge")
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
