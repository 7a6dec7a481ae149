"""Keeps places of a set calm where words will stand: nothing stands there, and what is behind has no pattern.

A thing is what hangs together of a stage's parts; of a merged part, as beans that are scattered, each piece
is one. The set itself is what is seen as one sheet across the image: ground, walls, the view behind. Things
that are seen in a calm box are taken off the stage as a whole; a sheet stays, its pattern fades and its
folds are flatter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from cyclorama.scenes.geometry import Mesh, merge_meshes
from cyclorama.scenes.stage import Part, Stage, compute_bounds, project
from cyclorama.scenes.surface import Texture

CalmBox = tuple[float, float, float, float]
"""left, top, right, bottom in shares of the image."""
SET_SHARE = 0.9
"""What is seen across so much of the image's width and 0.2 of its height is the set itself."""
SHEET = 0.92
"""Share of its frame that a sheet covers; a fence covers less."""
SPREAD = 0.4
"""A part that is seen across more of the image may be many things."""
TOUCH = 0.02
"""Parts whose boxes are nearer hang together; the product is 1 high."""
MOST_PIECES = 4000
"""A part of more pieces is one thing."""
COARSE = 0.12
"""What is wider than this share of a texture is no pattern, but what the surface shows."""
PATTERN = 5.0
"""Most that a pattern behind words departs from its surface, levels of 255 (standard deviation)."""
THIN = 0.25
"""A sheet is no deeper than this share of its width and height."""
RELIEF = 0.3
"""What is left of its folds and grooves behind words."""
NEAREST = 0.05
"""What is nearer to the camera is not seen; the product is 1 high."""
_GRID = 48


def clear_boxes(stage: Stage, boxes: Sequence[CalmBox]) -> Stage:
    """``stage`` without the things that are seen in ``boxes``, and with calm surfaces behind them."""
    if not boxes or not stage.parts:
        return stage
    kept: dict[int, Part] = {}
    loose: list[tuple[int, Part]] = []
    for k, part in enumerate(stage.parts):
        seen = find_seen(part, stage)
        pieces = _split(part) if len(seen) and np.ptp(seen.clip(0, 1), axis=0).max() > SPREAD else [part]
        carries = bool(stage.product) and any(_carries(piece, stage.product) for piece in pieces)
        if carries or (is_wide(seen) and is_sheet(_find_frames(pieces, stage))):
            kept[k] = _calm(part, seen, boxes)
        else:
            loose += [(k, piece) for piece in pieces]
    left: dict[int, list[Part]] = {}
    groups = group_parts([piece for _, piece in loose])
    for number in range(int(groups.max(initial=-1)) + 1):
        members = [loose[n] for n in np.flatnonzero(groups == number)]
        if not any(crosses(find_seen(piece, stage), box) for _, piece in members for box in boxes):
            for k, piece in members:
                left.setdefault(k, []).append(piece)
    for k, pieces in left.items():
        kept[k] = _join(stage.parts[k], pieces)
    return replace(stage, parts=[kept[k] for k in sorted(kept)])


def find_seen(part: Part, stage: Stage) -> NDArray[np.float64]:
    """Image positions (N, 2) of the part's corners that lie before the camera, and of where it passes by it,
    as a floor does."""
    camera, mesh = stage.camera, part.mesh
    way = np.array(camera.target) - np.array(camera.origin)
    depth = (mesh.vertices - np.array(camera.origin)) @ (way / np.linalg.norm(way)) - NEAREST
    ahead = depth > 0
    points = mesh.vertices[ahead]
    if not ahead.all() and ahead.any():
        edges = np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]])
        first, second = edges[ahead[edges[:, 0]] != ahead[edges[:, 1]]].T
        share = (depth[first] / (depth[first] - depth[second]))[:, None]
        cut = mesh.vertices[first] + share * (mesh.vertices[second] - mesh.vertices[first])
        points = np.concatenate([points, cut])
    return np.asarray(project(points, camera))


def is_wide(seen: NDArray[np.float64]) -> bool:
    """Whether image positions (N, 2) reach across the image, as ground, walls and fences do."""
    if len(seen) == 0:
        return True
    (left, top), (right, bottom) = seen.min(0).clip(0, 1), seen.max(0).clip(0, 1)
    return bool(right - left > SET_SHARE and bottom - top > 0.2)


def is_sheet(frames: NDArray[np.float64]) -> bool:
    """Whether frames (N, 4) of what is seen (left, top, right, bottom) cover what they span."""
    low, high = frames[:, :2].min(0).clip(0, 1), frames[:, 2:].max(0).clip(0, 1)
    covered = np.zeros((_GRID, _GRID), bool)
    cells = np.rint((frames.reshape(-1, 2, 2).clip(low, high) - low) / (high - low) * _GRID).astype(int)
    for (left, top), (right, bottom) in cells:
        covered[top:bottom, left:right] = True
    return bool(covered.mean() >= SHEET)


def fade(texture: Texture, wraps: bool) -> Texture:
    """``texture`` (H, W, 3) with so faint a pattern that words can stand before it.

    Colours that change slowly, as in a sky, stay. Invariant: a texture that is faint already stays as it is.
    """
    values = texture.astype(np.float32)
    mode = "wrap" if wraps else "nearest"
    sigma = COARSE * min(texture.shape[:2])
    coarse = ndimage.gaussian_filter(values, (sigma, sigma, 0), mode=mode)
    detail = values - coarse
    spread = float(detail.std())
    if spread <= PATTERN:
        return texture
    faded: Texture = np.clip(np.rint(coarse + detail * (PATTERN / spread)), 0, 255).astype(np.uint8)
    return faded


def _calm(part: Part, seen: NDArray[np.float64], boxes: Sequence[CalmBox]) -> Part:
    if not any(crosses(seen, box) for box in boxes):
        return part
    mesh, surface = _press(part.mesh), part.surface
    if isinstance(surface.colour, np.ndarray):
        surface = replace(surface, colour=fade(surface.colour, surface.tiles != (1.0, 1.0)))
    changed = mesh is not part.mesh or surface is not part.surface
    return Part(mesh, surface) if changed else part


def _press(mesh: Mesh) -> Mesh:
    """An upright sheet with lower folds and grooves; what stands out most stays where it is."""
    low = mesh.vertices.min(0)
    wide, deep, tall = np.ptp(mesh.vertices, axis=0)
    if deep < 1e-3 or deep > THIN * min(wide, tall):
        return mesh
    return mesh.moved(y=-float(low[1])).scaled(1, RELIEF, 1).moved(y=float(low[1]))


def _split(part: Part) -> list[Part]:
    """The part's pieces: meshes that share no corner."""
    mesh = part.mesh
    # corners at one place are one, whatever their normals
    _, place = np.unique(np.round(mesh.vertices, 5), axis=0, return_inverse=True)
    place = place.ravel()
    pairs = place[np.concatenate([mesh.faces[:, :2], mesh.faces[:, 1:]])]
    size = int(place.max()) + 1
    links = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(size, size))
    number, labels = connected_components(links, directed=False)
    if number == 1 or number > MOST_PIECES:
        return [part]
    owner = labels[place][mesh.faces[:, 0]]
    order = np.argsort(owner, kind="stable")
    starts = np.flatnonzero(np.diff(owner[order], prepend=-1))
    return [Part(mesh.take(faces), part.surface) for faces in np.split(mesh.faces[order], starts[1:])]


def _join(part: Part, pieces: list[Part]) -> Part:
    if len(pieces) == 1 and len(pieces[0].mesh.vertices) == len(part.mesh.vertices):
        return part
    return Part(merge_meshes([piece.mesh for piece in pieces]), part.surface)


def _carries(part: Part, product: list[Part]) -> bool:
    """Whether the product's middle stands over the part, and at its top."""
    (low, high), (under, over) = compute_bounds([part]), compute_bounds(product)
    middle = (under[:2] + over[:2]) / 2
    inside = (low[:2] <= middle).all() and (middle <= high[:2]).all()
    return bool(inside and high[2] < under[2] + 0.1 * (over[2] - under[2]))


def group_parts(parts: list[Part]) -> NDArray[np.int32]:
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


def _find_frames(pieces: Sequence[Part], stage: Stage) -> NDArray[np.float64]:
    """(left, top, right, bottom) (N, 4) of the pieces that are seen; of none, the whole image."""
    seen = [points for piece in pieces if len(points := find_seen(piece, stage))]
    return np.array([[*points.min(0), *points.max(0)] for points in seen] or [[0.0, 0.0, 1.0, 1.0]])


def crosses(seen: NDArray[np.float64], box: CalmBox) -> bool:
    """Whether the hull of what is seen may meet the box: their upright rectangles do."""
    if len(seen) == 0:
        return False
    left, top = seen.min(0)
    right, bottom = seen.max(0)
    return bool(left < box[2] and right > box[0] and top < box[3] and bottom > box[1])
