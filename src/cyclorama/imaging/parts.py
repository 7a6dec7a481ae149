"""Which parts of a matte or photo are no product: specks, frame lines, a baked shadow, a mirror image?

What is removed here would rule where the product's box lies and how large the product may be. Each test asks
for strong evidence, because a part of a real product that is cut off is worse than a speck that stays.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from cyclorama.imaging.masks import dilate, find_window
from cyclorama.imaging.transforms import resize_pixels, resize_plane, resize_rgba
from cyclorama.types import Matte, Pixels

_VISIBLE = 0.05
_SLOPES = (0.0, 0.06, 0.12, 0.2, 0.3, 0.45, 0.6, 0.8, 1.0)  # of a box's lower edges, seen at its corner
EIGHT = np.ones((3, 3), dtype=bool)


def find_frame(pixels: Pixels) -> tuple[slice, slice]:
    """(rows, columns) of ``pixels`` (H, W, 3) inside a frame of plain lines along the border.

    A line is one colour that ends abruptly; background may be left outside of it. One side alone counts up
    to 1 % of the image, a frame round at least three sides up to 5 %.
    """
    shorter = min(pixels.shape[:2])
    limit, thin = max(3, round(0.05 * shorter)), max(3, round(0.01 * shorter))
    turned = pixels.transpose(1, 0, 2)
    found = [_measure_line(side, limit) for side in (pixels, pixels[::-1], turned, turned[::-1])]
    if sum(thickness > 0 for thickness in found) < 3:
        found = [thickness if thickness <= thin else 0 for thickness in found]
    top, bottom, left, right = found
    return slice(top, pixels.shape[0] - bottom), slice(left, pixels.shape[1] - right)


def _measure_line(rows: Pixels, limit: int) -> int:
    """At which of the first ``rows`` a plain line, unlike what follows, ends; 0 for none."""
    if len(rows) < 4 * limit:
        return 0
    colours = np.median(rows[: limit + 4], axis=1)
    away = np.abs(colours - np.median(colours[limit:], axis=0)).max(axis=1)
    end = int(np.flatnonzero(away > 3).max(initial=-1)) + 1
    if not 0 < end <= limit or np.abs(np.diff(colours[: end + 1], axis=0)).max() < 12:
        return 0
    line = int(away.argmax())
    plain = (np.abs(rows[line].astype(np.int16) - colours[line]).max(axis=1) <= 24).mean()
    return end if plain >= 0.85 else 0


def drop_specks(matte: Matte) -> tuple[Matte, tuple[str, ...]]:
    """``matte`` (H, W) without tiny parts far from the product and lines along the border, and notes."""
    visible = matte >= _VISIBLE
    if not visible.any():
        return matte, ()
    labels = np.zeros(matte.shape, dtype=np.int32)
    window = find_window(visible, 0)
    labels[window], count = ndimage.label(visible[window], EIGHT)
    if count < 2:
        return matte, ()
    areas, places = np.bincount(labels[window].ravel())[1:], ndimage.find_objects(labels)
    rim = max(2, round(0.01 * min(matte.shape)))
    ends = (labels[:rim], labels[-rim:], labels[rim:-rim, :rim], labels[rim:-rim, -rim:])
    dropped = np.bincount(np.concatenate([*map(np.ravel, ends)]), minlength=count + 1)[1:] == areas
    tiny = (areas <= max(9.0, 0.0015 * areas.max())) & ~dropped
    if tiny.any() and areas[tiny].sum() <= 0.01 * areas.max():
        body = np.append(False, ~tiny & ~dropped)
        reach = max(4.0, 0.01 * max(matte.shape))
        for number in np.flatnonzero(tiny):
            wide = tuple(
                slice(max(0, s.start - int(reach) - 1), s.stop + int(reach) + 1) for s in places[number]
            )
            part = labels[wide]
            dropped[number] = not (dilate(body[part], reach) & (part == number + 1)).any()
    badges = _note_badges(places, areas / areas.max(), matte.shape)
    dropped[areas.argmax()] = False
    if not dropped.any():
        return matte, badges
    off = np.append(False, dropped)[labels]
    gone = dilate(off, 3) & ((labels == 0) | off)
    what = f"specks or border lines apart from the product were taken out of its mask: {dropped.sum()}"
    return np.where(gone, 0, matte).astype(np.float32), (what, *badges)


def _note_badges(
    places: list[tuple[slice, slice]], areas: npt.NDArray[np.float64], shape: tuple[int, ...]
) -> tuple[str, ...]:
    """Notes about single parts in a corner: they may be products of a set, so they stay."""
    notes = []
    for place, area in zip(places, areas, strict=True):
        corner = find_corner(place, shape)
        if 0.005 <= area <= 0.25 and corner:
            notes.append(
                f"a part of its own in the {corner} corner ({area:.0%} of the product's area) counts as "
                "product; if it is a badge or price tag, give a mask without it"
            )
    return tuple(notes)


def find_corner(place: tuple[slice, slice], shape: tuple[int, ...]) -> str:
    """The corner of an image of ``shape`` in which ``place`` lies, such as ``top left``; empty for none."""
    ends = [(p.stop / side <= 0.3, p.start / side >= 0.7) for p, side in zip(place, shape, strict=True)]
    if not all(map(any, ends)):
        return ""
    return f"{'top' if ends[0][0] else 'bottom'} {'left' if ends[1][0] else 'right'}"


def drop_soft_shadow(pixels: Pixels, matte: Matte) -> tuple[Matte, tuple[str, ...]]:
    """``matte`` (H, W) of a file with alpha, without a shadow that was baked into it, and notes.

    A shadow is black or grey, half transparent, changes slowly and fades out to nothing; lenses, veils and
    smoke end at an edge, have texture or colour. Beside it the rim's alpha is what it was without it.
    """
    opaque = matte >= 1
    partial = (matte > 0.01) & (matte < 0.9)
    solid = int(opaque.sum())
    if solid == 0 or partial.sum() < 0.01 * solid:
        return matte, ()
    low, high = pixels.min(axis=2).astype(np.int16), pixels.max(axis=2)
    soft = partial & (high <= 64) & (high - low <= 24)
    if soft.sum() < 0.005 * solid:
        return matte, ()
    soft &= np.hypot(ndimage.sobel(matte, 0), ndimage.sobel(matte, 1)) / 8 <= 0.08
    labels, _ = ndimage.label(soft, EIGHT)
    outside = ndimage.maximum_filter(matte <= 0.01, 11)
    shadow, hard = np.zeros_like(opaque), 0
    for part, place in enumerate(ndimage.find_objects(labels), 1):
        own = labels[place] == part
        if own.sum() < 0.005 * solid:
            continue
        fading = matte[place][own & outside[place]]
        thick = ndimage.distance_transform_edt(np.pad(own, 1)).max() > 3
        if not thick or not len(fading):
            continue
        if np.median(fading) < 0.15:
            shadow[place] |= own
        else:
            hard += int(own.sum())
    if not shadow.any() or solid < 0.05 * (matte > _VISIBLE).sum():
        if hard < 0.02 * solid:
            return matte, ()
        share = hard / (matte > 0.01).sum()
        return matte, (
            f"{share:.0%} of it is black and half transparent and counts as product; if it is a shadow, "
            "give a mask without it",
        )
    bare = matte.copy()
    bare[shadow] = 0
    window = find_window(shadow, 5)
    old, gone = matte[window], shadow[window]
    distance, nearest = ndimage.distance_transform_edt(~gone, return_indices=True)
    behind = old[nearest[0], nearest[1]]
    beside = (distance <= 4) & ~gone & (old < 1)
    bare[window][beside] = np.clip((old - behind) / (1 - behind), 0, 1)[beside]
    share = shadow.sum() / (matte > 0.01).sum()
    note = f"a soft shadow in the transparency ({share:.0%} of it) was taken out; it is no product"
    return bare, (note,)


def drop_reflection(pixels: Pixels, matte: Matte, on_alpha: bool) -> tuple[Matte, tuple[str, ...]]:
    """``matte`` (H, W) without a mirror image on the ground below the product, and notes.

    ``on_alpha``: whether the mirror image fades into transparency or into the plain background. Below the
    product's foot the rows repeat those above, upside down and weaker; the foot of a box seen at its corner
    is two lines that rise to both sides.
    """
    scale = min(1.0, 384 / max(matte.shape))
    size = (max(1, round(matte.shape[0] * scale)), max(1, round(matte.shape[1] * scale)))
    ground = (
        np.zeros(3) if on_alpha else np.median(np.vstack([pixels[0], pixels[:, 0], pixels[:, -1]]), axis=0)
    )

    def measure(colours: Pixels, alpha: Matte) -> npt.NDArray[np.float32]:
        """How far each pixel is from the ground, a plane per colour and one of the alpha."""
        away = (colours - ground) * alpha[..., None]
        return np.dstack([away, 255 * alpha] if on_alpha else [away]).astype(np.float32)

    small, alpha = pixels, matte
    if scale < 0.5 and not on_alpha:  # nothing else lies under transparency: the plain way is fast
        double = (2 * size[0], 2 * size[1])
        small, alpha = resize_pixels(pixels, double), resize_plane(matte, double)
    small, alpha = resize_rgba(small, alpha, size)
    foot, sure = _find_mirror(measure(small, alpha))
    if not sure and not on_alpha:  # the mirror image may be so pale that the matte holds parts of it only
        whole = _find_mirror(measure(small, np.ones_like(alpha)))
        foot, sure = whole if whole[1] else (foot, sure)
    if not sure and not on_alpha and (corner := _find_corner_foot(measure(small, alpha))) is not None:
        rows = np.interp(np.arange(matte.shape[1]), (np.arange(size[1]) + 0.5) / scale - 0.5, corner / scale)
        above = np.clip(rows - np.arange(matte.shape[0])[:, None], 0, 1)
        share = float((matte * (1 - above)).sum() / matte.sum())
        note = f"a mirror image below the product ({share:.0%} of it) was taken out; it is no product"
        return np.minimum(matte, above).astype(np.float32), (note,)
    if foot is None:
        return matte, ()
    if not sure:
        return matte, (
            "its lowest part looks like a mirror image and counts as product; if it is one, give a mask "
            "without it",
        )
    # the foot at full size: where the rows lose most of their strength
    reach = round(2 / scale) + 2
    near = slice(max(0, round(foot / scale) - reach - 1), round(foot / scale) + reach)
    strength = np.abs(measure(pixels[near], matte[near])).sum(axis=(1, 2))
    row = near.start + 1 + int(np.argmin(np.diff(strength)))
    kept = matte.copy()
    kept[row:] = 0
    note = f"a mirror image below the product ({matte.shape[0] - row} rows) was taken out; it is no product"
    return kept, (note,)


def _find_corner_foot(planes: npt.NDArray[np.float32]) -> npt.NDArray[np.float64] | None:
    """Per column of ``planes`` (H, W, C), a box seen at its corner, the first row of a mirror image; or None.

    The two lines lie where the columns lose most of their strength. With the columns moved so that these are
    one level line, the mirror image must be as sure as any other.
    """
    strength = np.abs(planes).sum(axis=2)
    seen = strength > 0.02 * strength.max()
    columns, rows = np.flatnonzero(seen.any(axis=0)), np.flatnonzero(seen.any(axis=1))
    if not len(columns):
        return None
    first, last, left, right = int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])
    level = np.array([row[mask].mean() for row, mask in zip(strength[rows], seen[rows], strict=True)])
    if len(rows) < 24 or len(columns) < 12 or level[-4:].mean() > 0.4 * np.median(level):
        return None  # nothing fades
    smooth = ndimage.uniform_filter1d(strength, 3, axis=1)
    drops = np.zeros_like(smooth)
    drops[2:-2] = smooth[:-4] + smooth[1:-3] - smooth[3:-1] - smooth[4:]
    x, step = np.arange(left, right + 1), max(1, (right - left) // 24)
    knees = np.arange(first + (last - first) // 2, last - 3)
    best: tuple[float, npt.NDArray[np.float64] | None] = (0.0, None)
    for place in range(left + 2 * step, right - 2 * step, step):
        for slopes in ((a, b) for a in _SLOPES for b in _SLOPES if a + b > 0):
            rise = np.where(x < place, slopes[0] * (place - x), slopes[1] * (x - place))
            lines = knees[:, None] - rise
            found = drops[np.clip(np.round(lines), 0, len(drops) - 1).astype(int), x].mean(axis=1)
            if found.max() > best[0]:
                best = (float(found.max()), lines[int(found.argmax())])
    if best[1] is None:
        return None
    foot = np.interp(np.arange(planes.shape[1]), x, best[1])
    lowest = int(np.ceil(foot.max()))
    moved = np.zeros_like(planes)
    for column, down in enumerate(np.round(lowest - foot).astype(int)):
        moved[down:, column] = planes[: len(planes) - down, column]
    level_foot, sure = _find_mirror(moved)
    if level_foot is None or not sure or abs(level_foot - lowest) > 4:
        return None
    return foot + (level_foot - lowest)


def _find_mirror(planes: npt.NDArray[np.float32]) -> tuple[int | None, bool]:
    """(first row of a mirror image in ``planes`` (H, W, C), 0 where there is nothing, or None; is it sure?).

    A plain foot in a paler colour fits as well. A mirror image is cut off, fades, has structure or a waist.
    """
    planes = planes[:, np.flatnonzero(planes.any(axis=(0, 2)))].astype(np.float64)
    power = (planes**2).sum(axis=(1, 2))
    widths = ((planes**2).sum(axis=2) > 1e-3 * (planes**2).sum(axis=2).max()).sum(axis=1)
    rows = np.flatnonzero(power > 1e-3 * power.max())
    first, last = int(rows[0]), int(rows[-1])
    height = last + 1 - first
    best: tuple[float, int | None, bool] = (0.06, None, False)
    for foot in range(first + height // 2, last + 1 - max(4, height // 25)):
        lower = planes[foot : last + 1]
        if len(lower) > foot - first:
            continue
        upper = planes[foot - len(lower) : foot][::-1]
        own, above = power[foot : last + 1], power[foot - len(lower) : foot][::-1]
        alike = np.einsum("ijk,ijk->i", lower, upper)
        share = alike / np.maximum(above, 1e-3)
        if share.max() > 0.75 or np.median(share) < 0.03 or share[-1] > share[0] + 0.05:
            continue
        left = float(
            (own - 2 * share * alike + share**2 * above).sum() / own.sum()
        )  # of (lower - share * upper)²
        if left >= best[0]:
            continue
        cut_or_fading = last == len(planes) - 1 or share[-1] < 0.5 * share[0]
        structure = np.abs(upper - upper.mean(axis=0)).sum() >= 0.1 * np.abs(upper).sum()
        reach = min(6, len(lower) - 1)
        waist = max(widths[foot - 1 : foot + 1]) < 0.98 * min(widths[foot + reach], widths[foot - 1 - reach])
        best = (left, foot, bool(cut_or_fading or structure or waist))
    return best[1], best[2]
