"""Does a network see the same product before a plain background as the key does, and who is right where not?

The key knows colours: it takes a shadow, a mirror image or a price tag for product, and white products for
background. The network knows shapes. What it is sure to be none goes if it also looks like a shadow, lies
below the product's foot or sits in a corner; a thin part that it is sure of comes back, and where the key
lacks more the network's own matte is taken. An enclosed hole that it is sure of is a white label, and closed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from cyclorama.imaging.colour import to_lab
from cyclorama.imaging.masks import average_near, dilate, erode
from cyclorama.imaging.matting import solve_matte
from cyclorama.imaging.parts import EIGHT, find_corner
from cyclorama.imaging.subject import SURE, find_subject, look_at, look_closer
from cyclorama.imaging.transforms import resize_pixels, resize_plane
from cyclorama.types import Matte, Pixels

LEAST_AGREEMENT = 0.9
"""IoU of what the key and the network see below which the reviewer is shown both."""
MOST_UNSURE = 0.25
"""Area of which the network may be unsure, as a share of what it sees; above it, it has no say."""
_EXACT = 3  # L*a*b* units from the ground within which a place shows it
_LEAST = 0.001  # smallest part that is taken out or comes back, as a share of the product
_SURELY = 0.9  # of an enclosed hole that the network must be sure of: 1 for labels, 0 for handles
_LACKING, _MOST_LACKING = 0.01, 0.5  # shares from which on the key has lost the product, or sees another
_PALE = 8  # L* below the ground's from which a shadow may be taken for a white product's side
_LOW = 0.3  # of the product's height, from its foot, in which a shadow lies; higher it is a white side
_LYING = 0.7  # of a shadow's area that must lie there
_FAINT = 8  # L*a*b* units from the ground, within which small bits that stick to the product are its noise
_STUCK = 0.005  # share of the product that they may be
_ROOM = 0.05  # share of the frame that the key takes and the network denies, from which on it is a room
_NOTCH = 6  # pixels; a bite out of a pale outline is at most twice as wide
_PALE_PACK = (
    24  # mean distance of the product from its ground, L*a*b*, counted up to 30, up to which it is pale
)
_ENDS = (np.s_[:1], np.s_[-1:], np.s_[:, :1], np.s_[:, -1:])
_ROUND = 4  # pixels within which the network's outline is uncertain

Mask = npt.NDArray[np.bool_]
Plane = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Settled:
    """A key after the second opinion."""

    matte: Matte
    """float32 (H, W), 1 = product."""
    notes: tuple[str, ...] = ()
    confidence: float | None = None
    """How sure the network is, 0-1, where the matte is its own."""
    second: npt.NDArray[np.uint8] | None = None
    """What the network sees, RGBA uint8 (h, w, 4) of at most 640 pixels, where both still differ by more than
    the limit."""


def settle(pixels: Pixels, keyed: Matte, seen: Matte | None = None) -> Settled:
    """``keyed`` (H, W) of ``pixels``, uint8 (H, W, 3) in sRGB, corrected where the network is sure of it;
    ``seen`` is :func:`cyclorama.imaging.subject.look_at` of them, if known."""
    seen = look_at(pixels) if seen is None else seen
    small = (seen.shape[0], seen.shape[1])
    shown, key = resize_pixels(pixels, small), resize_plane(keyed, small) >= 0.5
    subject = seen >= 0.5
    unsure = (seen > SURE) & (seen < 1 - SURE)
    if not key.any() or not subject.any():
        return Settled(keyed)
    notches = _find_notches(key, subject, shown)
    if notches.any():  # matting sees no outline in white on white
        key |= notches
        closed = dilate(notches, _ROUND // 2) & key  # their own soft rim, too
        keyed = np.maximum(keyed, resize_plane(closed.astype(np.float32), keyed.shape)).clip(0, 1)
    if unsure.sum() > MOST_UNSURE * subject.sum():
        return Settled(keyed)
    prints = _find_prints(key, seen)
    if prints.any():  # a closer look may see through a handle
        place, closer = look_closer(pixels, seen)
        prints[place] &= _find_prints(key[place], closer)
    if prints.any():
        keyed = np.where(_enlarge(prints, keyed.shape), 1, keyed).astype(np.float32)
        key |= prints
    depth, hue = _compare_ground(shown, key | subject)
    foreign, noise, kinds = _find_foreign(depth, hue, key, seen)
    if noise.any():
        keyed = np.where(_enlarge(noise, keyed.shape), 0, keyed).astype(np.float32)
    missed = _find_missed(key & ~foreign, seen)
    share = float(missed.sum() / subject.sum())
    if share >= _LACKING:
        own = find_subject(pixels, first=seen)
        if not own.doubt:
            note = f"its plain background has the colour of {share:.0%} of it; a network found it instead"
            return Settled(own.matte, (note, *own.notes), own.confidence)
        missed = _find_white(missed & (share <= _MOST_LACKING), key & ~foreign, depth)
    notes = tuple(f"{kind} was taken out; it is no product" for kind in kinds)
    matte = _redraw(pixels, keyed, foreign, missed) if foreign.any() or missed.any() else keyed
    left = resize_plane(matte, small) >= 0.5
    agreement = float((left & subject).sum() / (left | subject).sum())
    if agreement >= LEAST_AGREEMENT:
        return Settled(matte, notes)
    ring = np.concatenate([np.ravel((left & (seen < SURE))[ends]) for ends in _ENDS])
    if ring.mean() >= _ROOM:
        own = find_subject(pixels, first=seen)
        if not own.doubt:
            note = "only a part of its background is plain, as a wall is; a network found it instead"
            return Settled(own.matte, (note, *own.notes), own.confidence)
    notes += (
        f"background and network see different products (IoU {agreement:.2f}, {LEAST_AGREEMENT} is the "
        "least): look at both, and give a mask if this one is wrong",
    )
    return Settled(matte, notes, None, np.dstack([shown, np.rint(255 * seen).astype(np.uint8)]))


def _compare_ground(shown: Pixels, taken: Mask) -> tuple[Plane, Plane]:
    """How much darker than the ground outside of ``taken`` each pixel is, L*, and how far in hue, a*b*."""
    lab = to_lab(shown)
    ground = lab.max(axis=(0, 1)) if taken.all() else np.median(lab[~taken], axis=0)
    return ground[0] - lab[..., 0], np.hypot(lab[..., 1] - ground[1], lab[..., 2] - ground[2])


def _find_foreign(depth: Plane, hue: Plane, key: Mask, seen: Matte) -> tuple[Mask, Mask, list[str]]:
    """What of ``key`` is no product, small bits that are none, and what it is called; ``depth`` and ``hue``
    tell both from the ground."""
    subject, sure = seen >= 0.5, seen > 1 - SURE
    tall = np.flatnonzero(subject.any(axis=1))
    foot, low = int(tall[-1]), int(tall[-1]) - _LOW * len(tall)
    grey = (depth > -6) & (depth < 60) & (hue <= 3.0 + 0.08 * depth)  # a background may be uneven
    near, beside = dilate(subject, _ROUND), dilate(subject, 4 * _ROUND)
    enclosed, away = ndimage.binary_fill_holes(subject), np.hypot(depth, hue)
    labels, _ = ndimage.label(key & ~subject, EIGHT)
    whole, _ = ndimage.label(key, EIGHT)
    foreign, noise, shadow, kinds = np.zeros_like(key), np.zeros_like(key), np.zeros_like(key), []
    for number, place in enumerate(ndimage.find_objects(labels), 1):
        part = labels[place] == number
        core = part & ~near[place] & (seen[place] < SURE)
        if not core.any():
            continue
        rows = np.nonzero(core)[0] + place[0].start
        apart = not (subject & (whole == whole[place][part][0])).any()
        pale, lying = grey[place][core].mean() >= 0.8, (rows > low).mean() >= _LYING
        small = core.sum() < max(9.0, _LEAST * subject.sum())
        stuck = core.sum() < _STUCK * subject.sum() and not (core & ~beside[place]).any()
        if stuck and away[place][core].mean() < _FAINT:
            foreign[place] |= part
            continue
        if small:
            noise[place] |= core & (pale and lying)
            continue
        if pale and enclosed[place][core].mean() >= 0.9:
            kind = "the background seen through it"
        elif pale and lying:
            kind = "a shadow"
            shadow[place] |= part
        elif (rows > foot).mean() >= 0.8:
            kind = "a mirror image below the product"
        elif apart and part.sum() <= 0.25 * subject.sum() and find_corner(place, key.shape):
            kind = f"a badge in the {find_corner(place, key.shape)} corner"
        else:
            continue
        foreign[place] |= part
        kinds.append(kind)
    # between a product and its shadow the network may be unsure: there the ground's colour tells
    between = key & subject & ~sure & grey & ((away < _EXACT) | ~dilate(sure, _ROUND))
    between[: int(low) + 1] = False
    between &= ndimage.binary_propagation(shadow, EIGHT, mask=shadow | between)
    foreign = dilate(foreign | between, _ROUND) & ~(subject & ~between)
    return foreign, dilate(noise, _ROUND // 2) & ~subject, list(dict.fromkeys(kinds))


def _find_prints(key: Mask, seen: Matte) -> Mask:
    """Enclosed holes of ``key`` that the network is sure are product: labels as white as the background."""
    filled = ndimage.binary_fill_holes(key)
    labels, count = ndimage.label(filled & ~key, EIGHT)
    sure = np.atleast_1d(ndimage.mean(seen > 1 - SURE, labels, np.arange(1, count + 1)))
    prints = np.isin(labels, np.flatnonzero(sure >= _SURELY) + 1)
    return np.asarray(dilate(prints, _ROUND // 2) & erode(filled, 1))


def _find_notches(key: Mask, subject: Mask, shown: Pixels) -> Mask:
    """Bites out of the outline of a product nearly as pale as its ground: beside a dark print ringing looks
    like ground there, and the network sees ``subject``."""
    padded = np.pad(key, 2 * _NOTCH)
    closed: Mask = ndimage.binary_closing(padded, EIGHT, iterations=_NOTCH)[
        2 * _NOTCH : -2 * _NOTCH, 2 * _NOTCH : -2 * _NOTCH
    ]
    notches = closed & ~key & subject
    if not notches.any():
        return notches
    away = np.hypot(*_compare_ground(shown, key | subject))
    colour = average_near(np.minimum(away, 30.0), key, 21)
    return np.asarray(notches & (colour <= _PALE_PACK) & (away > 1), bool)


def _find_missed(key: Mask, seen: Matte) -> Mask:
    """What the network is sure of and ``key`` lacks beside it, the rim apart, open to the background."""
    outside, _ = ndimage.label(np.pad(~key, 1, constant_values=True))
    open_to = (outside == outside[0, 0])[1:-1, 1:-1]
    missed = erode(seen > 1 - SURE, _ROUND // 2) & open_to
    labels, count = ndimage.label(missed, EIGHT)
    kept = np.bincount(labels.ravel(), minlength=count + 1) >= _LEAST * (seen >= 0.5).sum()
    kept &= np.bincount(labels[dilate(key, _ROUND)], minlength=count + 1) > 0
    kept[0] = False
    return np.asarray(kept[labels])


def _find_white(missed: Mask, key: Mask, depth: Plane) -> Mask:
    """The parts of ``missed`` that are no shadow: pale ones, those that the frame cuts, and those that have
    product on most sides."""
    labels, count = ndimage.label(missed, EIGHT)
    ends = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    white = []
    for number in range(1, count + 1):
        part = labels == number
        inside = (key | missed)[dilate(part, _ROUND) & ~part].mean() >= 0.5
        if inside or number in ends or np.median(depth[part]) < _PALE:
            white.append(number)
    return np.isin(labels, white)


def _redraw(pixels: Pixels, matte: Matte, foreign: Mask, missed: Mask) -> Matte:
    """``matte`` without ``foreign`` and with ``missed`` (both smaller), the outline there by matting."""
    gone, back = _enlarge(foreign, matte.shape), _enlarge(missed, matte.shape)
    solid = ((matte >= 0.5) & ~gone) | back
    small = (resize_plane(matte, (foreign.shape[0], foreign.shape[1])) >= 0.5) & ~foreign | missed
    near = (dilate(foreign, _ROUND) & ~erode(foreign, _ROUND)) | (dilate(missed, 2 * _ROUND) & ~missed)
    unknown = _enlarge(near & dilate(erode(small, 1), 2 * _ROUND), matte.shape)
    trimap = np.where(unknown, 0.5, solid).astype(np.float32)
    solved = solve_matte(pixels, trimap) if (trimap == 1).any() else trimap
    return np.where(unknown | back, solved, np.where(gone, 0, matte)).astype(np.float32)


def _enlarge(mask: Mask, size: tuple[int, ...]) -> Mask:
    large = Image.fromarray(mask).resize((size[1], size[0]), Image.Resampling.NEAREST)
    return np.asarray(large, dtype=bool)
