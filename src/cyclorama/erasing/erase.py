"""How is a part of an image of any size taken away and filled as if it had never been there?

Small images go through the network whole. Of large ones only a window around each hole does, at full
resolution where the window is small enough, reduced otherwise. Only pixels of the hole are written.

The fill takes on the colours of its surroundings: by how much its colours just inside the rim of the hole
differ from the image's just outside is continued into the hole as the smoothest surface with these values at
its rim (Laplace's equation, a membrane) and taken off. This is Poisson image editing (Pérez and others, 2003)
with the fill as guiding image.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, NonNegativeFloat, PositiveInt
from scipy import ndimage, sparse
from scipy.sparse.linalg import splu
from torch import Tensor
from torch.nn import functional as F

from cyclorama.config import Settings
from cyclorama.erasing.files import LamaModel
from cyclorama.erasing.network import predict_fill
from cyclorama.errors import CycloramaError, MaskSizeError, SettingsError
from cyclorama.tensors import to_image, to_pixels
from cyclorama.types import Matte, Pixels

Hole = npt.NDArray[np.bool_]
"""bool (H, W), true where the image is to be invented."""

Plane = npt.NDArray[np.float32]

RIM_SIGMA = 1.5
"""Standard deviation in pixels of the mean along the rim of the steps across it; single pixels are noise."""
_NEIGHBOURS = ((-1, 0), (1, 0), (0, -1), (0, 1))


def match_surroundings(filled: Plane, hole: Hole) -> Plane:
    """``filled`` (H, W, C), float32 in any unit, its colours in ``hole`` (H, W) bent to those around it.

    A hole of one colour becomes a membrane over its surroundings.

    Invariants: nothing changes outside the hole; a fill that is off by a constant becomes right; no shift
    exceeds the greatest step at the rim. A hole without any rim (the whole image) stays as it is.
    """
    output = filled.copy()
    if not hole.any() or hole.all():
        return output
    rim = ndimage.binary_dilation(hole, np.ones((3, 3))) & ~hole
    inside = _divide(*(ndimage.uniform_filter(plane, (3, 3, 0)) for plane in _weigh(output, hole)))
    steps = (
        ndimage.gaussian_filter(plane, (RIM_SIGMA, RIM_SIGMA, 0)) for plane in _weigh(filled - inside, rim)
    )
    output[hole] += _spread(_divide(*steps), hole).astype(np.float32)
    return output


def _weigh(values: Plane, where: Hole) -> tuple[Plane, Plane]:
    weight = where[..., None].astype(np.float32)
    return values * weight, weight


def _divide(total: Plane, weight: Plane) -> Plane:
    return np.asarray(total / np.maximum(weight, 1e-6), dtype=np.float32)


def _spread(rim: Plane, hole: Hole) -> npt.NDArray[np.float64]:
    """(N, C): the harmonic surface over the N hole pixels, in the order of ``numpy.nonzero``.

    At known neighbours it has the values of ``rim`` (H, W, C); the image's border is free.
    """
    rows, columns = np.nonzero(hole)
    number = np.full(hole.shape, -1, dtype=np.int64)
    number[rows, columns] = np.arange(len(rows))
    degree = np.zeros(len(rows))
    fixed = np.zeros((len(rows), rim.shape[2]))
    entries: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]] = []
    for down, right in _NEIGHBOURS:
        y, x = rows + down, columns + right
        here = np.flatnonzero((y >= 0) & (y < hole.shape[0]) & (x >= 0) & (x < hole.shape[1]))
        degree[here] += 1
        other = number[y[here], x[here]]
        free = other >= 0
        entries.append((here[free], other[free]))
        rimmed = here[~free]
        fixed[rimmed] += rim[y[rimmed], x[rimmed]]
    across, along = (np.concatenate(parts) for parts in zip(*entries))
    couplings = sparse.coo_matrix((-np.ones(len(across)), (across, along)), shape=(len(rows),) * 2)
    return np.asarray(splu((couplings + sparse.diags(degree)).tocsc()).solve(fixed))


SMALLEST_SIDE = 32
"""Pixels that a network's input has at least each way; smaller images are reflected at their borders."""


class EraseConfig(Settings):
    """How large images are worked on."""

    error_type: ClassVar[type[CycloramaError]] = SettingsError
    max_side: Annotated[int, Field(ge=SMALLEST_SIDE)] | None = None
    """Longest side in pixels that the network sees; None: twice that of the images it was trained on."""
    context: NonNegativeFloat = 1.0
    """Image around a hole that the network sees, on each side, as a share of the hole's longer side."""
    min_context: PositiveInt = 64
    """The same in pixels, at least."""
    match: bool = True
    """Bend the fill's colours to those round the hole (:mod:`.matching`)."""


def erase(
    pixels: Pixels,
    hole: Hole | Matte | npt.NDArray[np.uint8],
    model: LamaModel,
    config: EraseConfig | None = None,
) -> Pixels:
    """``pixels`` uint8 (H, W, 3) with all of ``hole`` (H, W) filled from its surroundings.

    ``hole`` is bool or a number; whatever is not 0 is filled wholly, so widen it beforehand by the soft
    rim of what is to go. Invariants: pixels outside the hole are unchanged bit for bit; what was in the hole
    has no influence on the result. Raises SettingsError (not uint8 (H, W, 3), or nothing left to fill from),
    MaskSizeError.
    """
    config = config or EraseConfig()
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise SettingsError(f"pixels are {pixels.dtype} {pixels.shape}; give uint8 (H, W, 3)")
    if hole.shape != pixels.shape[:2]:
        raise MaskSizeError(f"the hole is {hole.shape}, the image {pixels.shape[:2]}; give equal sizes")
    open_hole = np.asarray(hole).astype(bool)
    if open_hole.all():
        raise SettingsError("the hole covers the whole image; leave something to fill it from")
    output = pixels.copy()
    max_side = max(SMALLEST_SIDE, 2 * model.image_size) if config.max_side is None else config.max_side
    if max(open_hole.shape) <= max_side:
        if open_hole.any():
            output[open_hole] = _fill(output, open_hole, model, max_side, config.match)[open_hole]
        return output
    labels, _ = ndimage.label(open_hole, structure=np.ones((3, 3)))
    for number, box in enumerate(ndimage.find_objects(labels), 1):
        if not (open_hole[box] & (labels[box] == number)).any():
            continue  # filled with a neighbour
        rows, columns = _add_context(box, open_hole.shape, config)
        inside = _select_whole(labels[rows, columns], labels, rows, columns) & open_hole[rows, columns]
        filled = _fill(output[rows, columns], open_hole[rows, columns], model, max_side, config.match)
        output[rows, columns][inside] = filled[inside]
        open_hole[rows, columns][inside] = False
    return output


def _add_context(
    box: tuple[slice, slice], shape: tuple[int, ...], config: EraseConfig
) -> tuple[slice, slice]:
    longer = max(span.stop - span.start for span in box)
    margin = max(config.min_context, round(config.context * longer))
    rows, columns = (
        slice(max(0, span.start - margin), min(side, span.stop + margin)) for span, side in zip(box, shape)
    )
    return rows, columns


def _select_whole(
    window: npt.NDArray[np.int32], labels: npt.NDArray[np.int32], rows: slice, columns: slice
) -> Hole:
    """True on the holes that lie in the window with all their pixels; the others keep their turn."""
    whole = np.bincount(window.ravel(), minlength=int(labels.max()) + 1) > 0
    edges = (
        (window[0], rows.start > 0),
        (window[-1], rows.stop < labels.shape[0]),
        (window[:, 0], columns.start > 0),
        (window[:, -1], columns.stop < labels.shape[1]),
    )
    for edge, is_cut in edges:
        if is_cut:
            whole[edge] = False
    whole[0] = False
    return np.asarray(whole[window])


def _fill(pixels: Pixels, hole: Hole, model: LamaModel, max_side: int, match: bool) -> Pixels:
    """The network's image uint8 (H, W, 3), worked out at ``max_side`` at most; for use inside the hole."""
    image, holes = to_image(pixels), torch.from_numpy(hole.astype(np.float32))[None, None]
    height, width = hole.shape
    longest = max(height, width)
    if longest > max_side:
        size = tuple(max(1, round(side * max_side / longest)) for side in (height, width))
        image, holes = shrink(image, holes, (size[0], size[1]))
    filled = fill(image, holes, model)
    if match:
        matched = match_surroundings(filled[0].permute(1, 2, 0).numpy(), holes[0, 0].numpy() > 0)
        filled = torch.from_numpy(matched).permute(2, 0, 1)[None].clamp(-1, 1)
    if longest > max_side:
        filled = F.interpolate(filled, (height, width), mode="bilinear", align_corners=False)
    return to_pixels(filled)


def shrink(image: Tensor, hole: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """``image`` (B, 3, H, W) and ``hole`` (B, 1, H, W) at ``size`` (height, width), by area.

    A small pixel is the mean of the known pixels it covers, and known if there is any. Invariant: what is in
    the hole has no influence.
    """
    known = 1 - hole
    weight = F.interpolate(known, size, mode="area")
    total = F.interpolate(torch.where(hole > 0, 0.0, image), size, mode="area")
    return total / weight.clamp_min(1e-6), (weight <= 0).to(hole.dtype)


@torch.no_grad()
def fill(image: Tensor, hole: Tensor, model: LamaModel) -> Tensor:
    """``image`` (B, 3, H, W) in [-1, 1] with ``hole`` (B, 1, H, W; 0 or 1) filled; known values stay.

    Any size: the borders are reflected up to the network's multiple. On the CPU, float32.
    """
    height, width = image.shape[-2:]
    multiple = model.generator.shape.multiple
    padded = (max(SMALLEST_SIDE, -(-side // multiple) * multiple) for side in (height, width))
    rows, columns = (_reflect(side, target) for side, target in zip((height, width), padded))
    wide_image, wide_hole = image[..., rows, :][..., columns], hole[..., rows, :][..., columns]
    predicted = predict_fill(model.generator, wide_image.to(model.device), wide_hole.to(model.device))
    predicted = predicted[..., :height, :width].float().cpu()
    return torch.where(hole > 0, predicted, image)


def _reflect(side: int, target: int) -> Tensor:
    """Indices 0 … side - 1, then back and forth until there are ``target``."""
    return torch.from_numpy(np.pad(np.arange(side), (0, target - side), mode="reflect"))
