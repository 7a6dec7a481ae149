"""Rendered images as finished ones, and the faults that are planted into them.

Each fault has the check that should catch it. Faults that need the renderer (a product raised, a scene
without its product) come from ``gates_render.py``.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage

from cyclorama.data.shards import scan_shard
from cyclorama.generation.result import Generated
from cyclorama.imaging.compositing import composite, compute_product_report
from cyclorama.imaging.product import Product, Reference

OLD = np.array([244, 244, 246], np.uint8)
"""Backdrop of the product photos."""


@dataclass(frozen=True, eq=False)
class Case:
    """An image, and what it was made from."""

    made: Generated
    product: Product
    reference: Reference | None
    plate: np.ndarray
    """The truth's background, the product taken out."""
    category: str


Truth = tuple[np.ndarray, np.ndarray, dict[str, Any]]
"""(pixels, matte, labels) of a rendered image."""


def load_truths(folder: Path, count: int, seed: int, held_out: bool = False) -> list[Truth]:
    """``count`` rendered images; ``held_out``: of those the feature network was not trained on."""
    members = {entry.key: entry for shard in sorted(folder.glob("*.tar")) for entry in scan_shard(str(shard))}
    keys = sorted(members)
    truths: list[Truth] = []
    for number in np.random.default_rng(seed).permutation(len(keys)):
        if len(truths) == count:
            break
        spans = {suffix: members[keys[number]].read(suffix) for suffix in members[keys[number]].members}
        if held_out and json.loads(spans["json"])["split"] == "train":
            continue
        pixels = np.asarray(Image.open(io.BytesIO(spans["png"])).convert("RGB"))
        mask = np.asarray(Image.open(io.BytesIO(spans["mask.png"])).convert("L"))
        truths.append((pixels, mask.astype(np.float32) / 255, json.loads(spans["json"])))
    return truths


def spread_product(pixels: np.ndarray, matte: np.ndarray) -> np.ndarray:
    """``pixels`` with every pixel outside the solid product replaced by the nearest solid one's."""
    rows, columns = ndimage.distance_transform_edt(matte < 1, return_distances=False, return_indices=True)
    return pixels[rows, columns]


def remove_product(pixels: np.ndarray, matte: np.ndarray) -> np.ndarray:
    """``pixels`` with the product replaced, row by row, by what lies left and right of it."""
    plate = pixels.copy()
    hidden = ndimage.binary_dilation(matte > 0, iterations=2)
    for row in np.flatnonzero(hidden.any(axis=1)):
        seen = np.flatnonzero(~hidden[row])
        if len(seen):
            for channel in range(3):
                plate[row, :, channel] = np.interp(
                    np.arange(plate.shape[1]), seen, pixels[row, seen, channel]
                )
    return plate


def mix(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    """``first`` where ``share`` (H, W) is 0, ``second`` where it is 1."""
    return np.rint(first * (1 - share[..., None]) + second * share[..., None]).astype(np.uint8)


def make(pixels: np.ndarray, product: Product, category: str) -> Generated:
    """``pixels`` as a finished image."""
    report = compute_product_report(pixels, product)
    return Generated(pixels, pixels, report, category, "", 0, 0.0)


def build_cases(truths: list[Truth], seed: int) -> list[Case]:
    """Clean cases; the reference is another image of the same brand, or else category."""
    random = np.random.default_rng(seed)
    cases = []
    for number, (pixels, matte, labels) in enumerate(truths):
        foreground = spread_product(pixels, matte)
        photo = mix(np.broadcast_to(OLD, pixels.shape), foreground, matte)
        photo[matte >= 1] = pixels[matte >= 1]
        product = Product(photo, matte, foreground)
        others = [n for n, t in enumerate(truths) if n != number and t[2]["category"] == labels["category"]]
        own = [n for n in others if labels["brand"] and truths[n][2]["brand"] == labels["brand"]]
        reference = None
        if others:
            chosen = truths[random.choice(own or others)]
            reference = Reference(chosen[0], chosen[1])
        made = make(composite(pixels, product), product, labels["category"])
        cases.append(Case(made, product, reference, remove_product(pixels, matte), labels["category"]))
    return cases


def grow(case: Case, distance: float) -> np.ndarray:
    """Where the image is within ``distance`` pixels outside the product, bool (H, W)."""
    return ndimage.distance_transform_edt(case.product.matte < 0.5) <= distance


def plant(case: Case, pixels: np.ndarray) -> Case:
    """``case`` with ``pixels`` instead."""
    return replace(case, made=make(pixels, case.product, case.category))


def shift_colours(case: Case) -> Case:
    """Two levels on a patch of the product, as a decoder's rounding would leave."""
    pixels = case.made.pixels.astype(np.int16)
    inside = np.argwhere(case.product.matte >= 1)
    row, column = inside[len(inside) // 2]
    pixels[row - 8 : row + 8, column - 8 : column + 8] += 2
    kept = np.where((case.product.matte >= 1)[..., None], pixels, case.made.pixels)
    return plant(case, np.clip(kept, 0, 255).astype(np.uint8))


def blur_paste(case: Case) -> Case:
    """The product pasted back through a mask blurred by 3 pixels, as in-painting tools do."""
    soft = ndimage.gaussian_filter(case.product.matte, 3.0)
    pixels = mix(case.plate, case.product.foreground, soft * (case.product.matte > 0))
    return plant(case, pixels)


def wear_halo(case: Case) -> Case:
    """The mask takes 2 pixels of the old backdrop along."""
    wide = grow(case, 2).astype(np.float32)
    product = Product(case.product.pixels, wide, case.product.pixels)
    return replace(
        case, product=product, made=make(composite(case.made.pixels, product), product, case.category)
    )


def glow(case: Case) -> Case:
    """A rim of old backdrop, 2 pixels wide and 80 % strong, painted outside the mask."""
    ring = grow(case, 2.5) & (case.product.matte < 0.5)
    return plant(case, mix(case.made.pixels, np.broadcast_to(OLD, case.plate.shape), 0.8 * ring))


def paste_hard(case: Case) -> Case:
    """6 pixels of the old backdrop pasted along with the product."""
    ring = grow(case, 6) & (case.product.matte < 0.5)
    return plant(case, mix(case.made.pixels, np.broadcast_to(OLD, case.plate.shape), ring.astype(np.float32)))


def grow_product(case: Case) -> Case:
    """The product continues 6 pixels beyond its mask, shaded as inside."""
    ring = grow(case, 6) & (case.product.matte < 0.5)
    return plant(case, mix(case.made.pixels, case.product.foreground, ring.astype(np.float32)))


def double_product(
    case: Case, down: int = 0, right: int = 12, scale: float = 1.0, blur: float = 0.0, gain: float = 1.0
) -> Case:
    """The plate shows the same product once more, ``down`` and ``right`` pixels aside.

    ``scale`` about its middle, blurred by ``blur`` pixels and ``gain`` times as light, as a generator would
    draw what it saw.
    """
    matte, colours = case.product.matte, case.product.foreground.astype(np.float32)
    if scale != 1:
        rows, columns = np.nonzero(matte >= 0.5)
        middle, matrix = np.array([rows.mean(), columns.mean()]), np.eye(2) / scale
        offset = middle - matrix @ middle
        matte = ndimage.affine_transform(matte, matrix, offset, order=1)
        planes = [
            ndimage.affine_transform(colours[..., c], matrix, offset, order=1, mode="nearest")
            for c in range(3)
        ]
        colours = np.stack(planes, axis=-1)
    if blur:
        matte, colours = (
            ndimage.gaussian_filter(matte, blur),
            ndimage.gaussian_filter(colours, (blur, blur, 0)),
        )
    matte, colours = (np.roll(plane, (down, right), axis=(0, 1)) for plane in (matte, gain * colours))
    return plant(case, composite(mix(case.made.pixels, colours.clip(0, 255), matte), case.product))


def drop_shadow(case: Case) -> Case:
    """The ground below the product without its shadow: each column takes its colour farther down."""
    solid = case.product.matte >= 0.5
    lowest = int(np.flatnonzero(solid.any(axis=1)).max())
    columns = np.flatnonzero(solid.any(axis=0))
    left, right = max(0, columns.min() - 24), columns.max() + 25
    end = min(lowest + 34, solid.shape[0] - 6)
    pixels = case.plate.astype(np.float32)
    ground = np.median(pixels[end : end + 6, left:right], axis=0)
    pixels[lowest - 16 : end, left:right] = ndimage.gaussian_filter1d(ground, 4, axis=0)[None]
    return plant(case, composite(np.rint(pixels).astype(np.uint8), case.product))


def sink_shadow(case: Case) -> Case:
    """The plate lies 12 pixels lower: the product hovers over its shadow."""
    plate = np.concatenate([np.repeat(case.plate[:1], 12, axis=0), case.plate[:-12]])
    return plant(case, composite(plate, case.product))


IN_SIGHT = 120
"""Fewest pixels of a copied product that have to be in sight, else nobody could see the fault."""


def leak_reference(case: Case, share: float = 1.0) -> Case | None:
    """The reference's product stands in the background, where the reference has it."""
    return _copy_reference(case, (0, 0), share)


def leak_elsewhere(case: Case) -> Case | None:
    """The reference's product stands in the background, 70 pixels to the freer side and 10 up."""
    centre = np.nonzero(case.product.matte >= 0.5)[1].mean()
    return _copy_reference(case, (-10, 70 if centre < case.plate.shape[1] / 2 else -70), 1.0)


def _copy_reference(case: Case, shift: tuple[int, int], share: float) -> Case | None:
    if case.reference is None or case.reference.product_mask is None:
        return None
    mask = np.roll(case.reference.product_mask, shift, axis=(0, 1))
    if ((mask >= 0.5) & (case.product.matte < 0.1)).sum() < IN_SIGHT:
        return None
    plate = mix(case.plate, np.roll(case.reference.pixels, shift, axis=(0, 1)), share * mask)
    return plant(case, composite(plate, case.product))


def change_category(case: Case, other: Case) -> Case:
    """The product in front of another category's background."""
    return plant(case, composite(other.plate, case.product))


FAULTS: dict[str, tuple[str, Callable[[Case], Case | None]]] = {
    "two levels off inside": ("interior", shift_colours),
    "pasted through a blurred mask": ("rim", blur_paste),
    "mask takes 2 px of the old backdrop": ("halo", wear_halo),
    "2 px glow of the old backdrop": ("seam", glow),
    "6 px of the old backdrop pasted along": ("halo", paste_hard),
    "product grown by 6 px": ("expansion", grow_product),
    "product doubled, 12 px aside": ("doubled", double_product),
    "product doubled, 24 px aside and 10 up": ("doubled", partial(double_product, down=-10, right=-24)),
    "12 % larger double behind it": ("doubled", partial(double_product, right=0, scale=1.12)),
    "soft, darker double, 12 px aside": (
        "doubled",
        partial(double_product, down=3, right=-12, blur=1.5, gain=0.92),
    ),
    "shadow removed": ("floating", drop_shadow),
    "shadow 12 px below": ("floating", sink_shadow),
    "reference's product pasted in place": ("leak", leak_reference),
    "the same, 60 % opaque": ("leak", partial(leak_reference, share=0.6)),
    "reference's product pasted elsewhere": ("leak", leak_elsewhere),
}
WRONG_CATEGORY = "another category's background"


def plant_all(
    cases: list[Case], seed: int, checks: list[str] | None = None
) -> dict[str, tuple[str, list[Case]]]:
    """Fault to (its check, its images); ``checks``: only the faults of these."""
    planted = {}
    for name, (check, fault) in FAULTS.items():
        if checks is not None and check not in checks:
            continue
        made = [fault(case) for case in cases]
        planted[name] = (check, [case for case in made if case is not None])
    if checks is not None and "off_category" not in checks:
        return planted
    random = np.random.default_rng(seed)
    swapped = []
    for case in cases:
        others = [other for other in cases if other.category != case.category]
        if others:
            swapped.append(change_category(case, others[random.integers(len(others))]))
    planted[WRONG_CATEGORY] = ("off_category", swapped)
    return planted


def load_rendered_faults(folder: Path, count: int) -> dict[str, tuple[str, list[Case]]]:
    """The renders of ``gates_render.py`` of held-out products, at most ``count`` of each fault."""
    titles = {"lifted": "product raised (rendered)", "empty": "no shadow (rendered)"}
    planted: dict[str, tuple[str, list[Case]]] = {title: ("floating", []) for title in titles.values()}
    for truth in load_truths(folder, 1_000_000, 0, held_out=True):
        found = planted[titles[truth[2]["fault"]]][1]
        if len(found) < count:
            found += build_cases([truth], 0)
    return planted
