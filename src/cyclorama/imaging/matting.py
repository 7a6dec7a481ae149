"""How soft is the product's rim, and what is the product's own colour there?

Alpha comes from closed-form matting (Levin, Lischinski, Weiss 2008) in a narrow band around a hard mask, the
foreground colours from multi-level estimation (Germer et al. 2020); both through PyMatting, which is
imported on first use (its functions are compiled once per installation, which takes about a minute).
"""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress
from functools import cache
from importlib import import_module
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy import ndimage
from scipy.sparse import identity

from cyclorama.config import Settings
from cyclorama.errors import SettingsError
from cyclorama.imaging.masks import dilate, erode, find_window, iterate_tiles
from cyclorama.imaging.transforms import resize_pixels, resize_plane
from cyclorama.types import Matte, Pixels

_TILE, _TILE_MARGIN = 64, 16  # colours are solved in tiles that hold a rim, with so much round them, pixels
_SHIFTS = (0.001, 0.01, 0.1, 1.0, 10.0)  # without one the preconditioner can fail, which it prints
_SMOOTH = 1e-4  # regularisation; with PyMatting's 1e-7 a textured ground pulls at the outline
_TRUST, _STEEP = 0.03, 4.0  # weight of a guess beside the colours (Levin's lambda), after it is made steeper
_MARGIN = 8  # pixels of certain background kept around the product when it is cut out for speed


class MattingConfig(Settings):
    """How wide the soft rim may be, and how large the image is when alpha is solved."""

    error_type = SettingsError

    rim_share: Annotated[float, Field(gt=0, le=0.1)] = 0.004
    """Half width of the unknown band as a share of the longer side, at least 2 pixels."""
    working_side: Annotated[int, Field(ge=64)] = 512
    """Longest side, in pixels, at which alpha is solved; larger ones are refined by a guided upsampling."""


def estimate_matte(pixels: Pixels, mask: Matte, config: MattingConfig | None = None) -> Matte:
    """A soft matte, float32 (H, W), 1 = product, for a hard ``mask`` (H, W).

    ``pixels`` uint8 (H, W, 3). Only a band around the outline changes; further inside it is exactly 1,
    further outside exactly 0. Where nothing is left that is certain (a product thinner than the band) the
    mask is returned as it is.
    """
    config = config or MattingConfig()
    solid = mask >= 0.5
    radius = max(2, round(config.rim_share * max(mask.shape)))
    inside, outside = erode(solid, radius), ~dilate(solid, radius)
    if not inside.any() or not outside.any() or (inside | outside).all():
        return mask.astype(np.float32, copy=True)
    trimap = np.where(inside, 1, np.where(outside, 0, 0.5)).astype(np.float32)
    return solve_matte(pixels, trimap, config)


def solve_matte(
    pixels: Pixels, trimap: Matte, config: MattingConfig | None = None, guess: Matte | None = None
) -> Matte:
    """The matte, float32 (H, W), for a ``trimap`` (H, W) of 1 (product), 0 (background) and 0.5 (unknown).

    What is known stays as it is. Both ends must occur. ``guess`` (h, w), of any size, is what alpha keeps to
    where the colours tell little.
    """
    config = config or MattingConfig()
    matte = trimap.copy()
    unknown = trimap == 0.5
    if not unknown.any():
        return matte
    window = find_window(unknown, _MARGIN + max(2, round(config.rim_share * max(trimap.shape))))
    part = trimap[window]
    if guess is not None:
        guess = resize_plane(guess, (trimap.shape[0], trimap.shape[1]))[window]
    solved = _solve(pixels[window], part, part >= 0.5, config, guess)
    matte[window] = np.where(part == 0.5, solved, part)
    return matte


def _solve(
    pixels: Pixels,
    trimap: npt.NDArray[Any],
    solid: npt.NDArray[np.bool_],
    config: MattingConfig,
    guess: Matte | None,
) -> Matte:
    """Alpha, float32 (H, W), of a ``trimap`` of 0, 0.5 (unknown) and 1; ``solid`` if one end is missing."""
    size, unknown = trimap.shape, trimap == 0.5
    scale = min(1.0, config.working_side / max(size))
    guide = pixels
    if scale < 1:
        small = (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
        guide = resize_pixels(pixels, small)
        trimap = resize_plane(trimap, small).astype(np.float64)
        trimap[(trimap > 0.001) & (trimap < 0.999)] = 0.5
    trimap = np.where(trimap < 0.25, 0.0, np.where(trimap > 0.75, 1.0, 0.5))
    if not (trimap == 1).any() or not (trimap == 0).any():
        return solid.astype(np.float32)
    pymatting, known = _load_pymatting(), (trimap != 0.5).ravel()
    free = ~known
    rows = pymatting.cf_laplacian(guide / 255.0, epsilon=_SMOOTH, is_known=known)[free]
    matrix, wanted = rows[:, free], -(rows[:, known] @ trimap.ravel()[known])
    if guess is not None:
        steep = (_STEEP * (resize_plane(guess, trimap.shape).ravel()[free] - 0.5) + 0.5).clip(0, 1)
        matrix, wanted = matrix + _TRUST * identity(matrix.shape[0]), wanted + _TRUST * steep
    solved = trimap.ravel().copy()
    try:
        with np.errstate(invalid="ignore", divide="ignore"):
            solved[free] = pymatting.cg(matrix, wanted, M=pymatting.ichol(matrix, shifts=_SHIFTS))
    except ValueError:  # it does not converge where nothing unknown touches the product
        return solid.astype(np.float32)
    alpha = np.clip(solved, 0, 1).astype(np.float32).reshape(trimap.shape)
    if scale < 1:
        alpha = _upsample_guided(alpha, guide, pixels, unknown)
    # the solver leaves a faint veil over flat areas: stretch it away
    return np.asarray(np.clip((alpha - 0.04) / 0.92, 0, 1), dtype=np.float32)


def _upsample_guided(
    alpha: Matte, guide: Pixels, pixels: Pixels, wanted: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float32]:
    """``alpha`` (h, w) at the size of ``pixels`` where ``wanted`` (H, W), else 0: locally linear in the
    colour (fast guided filter, 2015)."""
    radius, epsilon = 2, 1e-4
    window = 2 * radius + 1

    def mean(plane: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        return np.asarray(ndimage.uniform_filter(plane, window, mode="nearest"), dtype=np.float32)

    colour = guide.astype(np.float32) / 255
    means = np.stack([mean(colour[..., c]) for c in range(3)], axis=-1)
    mean_alpha = mean(alpha)
    covariance = np.empty((*alpha.shape, 3, 3), dtype=np.float32)
    cross = np.empty((*alpha.shape, 3), dtype=np.float32)
    for i in range(3):
        cross[..., i] = mean(colour[..., i] * alpha) - means[..., i] * mean_alpha
        for j in range(3):
            covariance[..., i, j] = mean(colour[..., i] * colour[..., j]) - means[..., i] * means[..., j]
    covariance += epsilon * np.eye(3, dtype=np.float32)
    used = resize_plane(wanted, (alpha.shape[0], alpha.shape[1])) > 0
    used = ndimage.maximum_filter(used, 2 * window + 1)  # twice averaged, then enlarged
    slope = np.zeros_like(cross)
    slope[used] = np.linalg.solve(covariance[used], cross[used][..., None])[..., 0]
    offset = mean(mean_alpha - (slope * means).sum(axis=-1))
    slopes = [mean(slope[..., c]) for c in range(3)]
    result = np.zeros(wanted.shape, dtype=np.float32)
    scale = np.divide(alpha.shape, wanted.shape)
    for own in iterate_tiles(wanted):
        start, stop = (scale * [side.start for side in own]), (scale * [side.stop for side in own])
        box = (start[1], start[0], min(stop[1], alpha.shape[1]), min(stop[0], alpha.shape[0]))
        part = pixels[own].astype(np.float32) / 255
        size = (part.shape[0], part.shape[1])
        result[own] = resize_plane(offset, size, box)
        for c, plane in enumerate(slopes):
            result[own] += resize_plane(plane, size, box) * part[..., c]
    return result.clip(0, 1)


def estimate_foreground(pixels: Pixels, matte: Matte) -> Pixels:
    """The product's own colours, uint8 (H, W, 3), with the old background taken out of the soft rim.

    Solves ``I = alpha F + (1 - alpha) B`` for smooth ``F`` and ``B``. Invariant: equal to ``pixels`` bit for
    bit wherever ``matte`` is 1; and where it is 0, since nothing is seen of it there.
    """
    foreground = pixels.copy()
    soft = (matte > 0) & (matte < 1)
    if not soft.any():
        return foreground
    pymatting = _load_pymatting()
    threads = import_module("numba")
    before = threads.get_num_threads()
    threads.set_num_threads(1)  # the same result every time, and no waiting on busy machines
    try:
        for own in iterate_tiles(soft, _TILE):
            wide = tuple(slice(max(0, side.start - _TILE_MARGIN), side.stop + _TILE_MARGIN) for side in own)
            image = pixels[wide].astype(np.float32) / np.float32(255)
            solved = pymatting.estimate_foreground_ml(image, matte[wide].astype(np.float32))
            y, x = own[0].start - wide[0].start, own[1].start - wide[1].start
            rim = soft[own]
            colours = solved[y : y + rim.shape[0], x : x + rim.shape[1]][rim]
            foreground[own][rim] = np.clip(np.rint(colours * 255), 0, 255).astype(np.uint8)
    finally:
        threads.set_num_threads(before)
    return foreground


@cache
def _load_pymatting() -> Any:
    """PyMatting without a side effect: numba's thread pool, which it starts, sets OpenMP's number of threads,
    torch's included, and an image's last bits depend on that.
    """
    torch = sys.modules.get("torch")
    openmp: Any = None
    with suppress(ImportError, OSError):  # a numba without OpenMP sets nothing
        openmp = ctypes.CDLL(import_module("numba.np.ufunc.omppool").__file__)
    before = torch.get_num_threads() if torch else openmp and openmp.omp_get_max_threads()
    pymatting = import_module("pymatting")
    if torch:
        torch.set_num_threads(before)
    elif openmp:
        openmp.omp_set_num_threads(before)
    return pymatting


def measure_spill(pixels: Pixels, alpha: Matte) -> tuple[float, float]:
    """How far the rim colours of an image with ``alpha`` (H, W) are mixed with a former background.

    (strength: 0 the product's own colours, 1 fully mixed; share of the rim's colour change that mixing
    explains, 0-1).

    A rim pixel that is still mixed reads ``I = F + s (1 - alpha)(C - F)`` with ``F`` the nearest opaque
    colour and ``C`` the old background's; ``s`` is fitted by least squares for ``C`` white, black and the
    colour kept under alpha 0, and the best-fitting one counts. A cleaned rim gives ``s`` near 0. Few rim
    pixels (below 32) or no opaque ones give 0.
    """
    opaque = alpha >= 1
    rim = (alpha > 0.1) & (alpha < 0.9)
    if int(rim.sum()) < 32 or not opaque.any():
        return 0.0, 0.0
    window = find_window(alpha > 0, _MARGIN)
    opaque, rim, alpha, pixels = opaque[window], rim[window], alpha[window], pixels[window]
    distance, index = ndimage.distance_transform_edt(~opaque, return_indices=True)
    rim &= distance <= 8  # far from opaque pixels F is a guess: glass, smoke, shadows
    if int(rim.sum()) < 32:
        return 0.0, 0.0
    own = pixels[index[0], index[1]][rim].astype(np.float64)
    change = pixels[rim].astype(np.float64) - own
    candidates = [np.full(3, 255.0), np.zeros(3)]
    hidden = (alpha == 0) & (ndimage.distance_transform_edt(alpha == 0) <= 3)
    if hidden.any():
        candidates.append(np.median(pixels[hidden].astype(np.float64), axis=0))
    total = float((change**2).sum())
    best = 0.0, 0.0
    for colour in candidates:
        model = (1 - alpha[rim, None].astype(np.float64)) * (colour - own)
        power = float((model**2).sum())
        if power < 1.0 or total < 1.0:
            continue
        strength = float((change * model).sum()) / power
        left = float(((change - strength * model) ** 2).sum())
        if strength > 0 and 1 - left / total > best[1]:
            best = min(strength, 1.0), 1 - left / total
    return best
