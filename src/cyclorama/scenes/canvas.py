"""Fits a set to its canvas: a backdrop up to the upper edge."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from cyclorama.scenes.calm import find_seen, is_wide
from cyclorama.scenes.stage import Part, Stage, project

MOST_RISE = 20.0
"""Most that a backdrop is raised; the product is 1 high."""


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


def _find_rise(part: Part, stage: Stage) -> float:
    """How much higher the part must be for its upper edge to be seen above the image."""
    corners = part.mesh.vertices
    top = corners[corners[:, 2] > corners[:, 2].max() - 1e-3]
    rise = 0.0
    while rise < MOST_RISE and float(project(top + np.array([0, 0, rise]), stage.camera)[:, 1].max()) > -0.02:
        rise += 0.1
    return rise
