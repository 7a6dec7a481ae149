"""How often does each gate refuse a clean picture, and how often does it catch its fault?

    cyclorama synth --size 256 --count 2000 --out out/render
    python benchmarks/gates.py out/render --pictures 160 [--seed 1] [--held-out] [--features DIR]

Clean pictures are rendered truth, with the product photo (the product on white) that a catalogue would have
given; each fault is planted into the same pictures. Prints Markdown: the distribution of every score on clean
pictures, then the rates at the default thresholds, or those in ``--thresholds``.
"""

from __future__ import annotations

import argparse
import io
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage

from cyclorama.catalogue.gate_settings import CHECKS, GateThresholds, load_thresholds
from cyclorama.catalogue.gates import build_gate, compute_score
from cyclorama.evaluation.tar_members import list_members, read_span
from cyclorama.imaging.compositing import composite, compute_product_report
from cyclorama.types import Generated, Product, Reference

OLD = np.array([244, 244, 246], np.uint8)
"""Backdrop of the product photos."""


@dataclass(frozen=True, eq=False)
class Case:
    """A picture, and what it was made from."""

    made: Generated
    product: Product
    reference: Reference | None
    plate: np.ndarray
    """The truth's background, the product taken out."""
    category: str


Truth = tuple[np.ndarray, np.ndarray, dict[str, Any]]
"""(pixels, matte, labels) of a rendered picture."""
Measured = dict[str, float | str]
"""What the gate measured on one picture."""


def load_truths(folder: Path, count: int, seed: int, held_out: bool = False) -> list[Truth]:
    """``count`` rendered pictures; ``held_out``: of those the feature network was not trained on."""
    members = {
        key: spans for shard in sorted(folder.glob("*.tar")) for key, spans in list_members(shard).items()
    }
    keys = sorted(members)
    truths: list[Truth] = []
    for number in np.random.default_rng(seed).permutation(len(keys)):
        if len(truths) == count:
            break
        spans = {suffix: read_span(*span) for suffix, span in members[keys[number]].items()}
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
    """``pixels`` as a finished picture."""
    report = compute_product_report(pixels, product)
    return Generated(pixels, pixels, report, category, "", 0, 0.0)


def build_cases(truths: list[Truth], seed: int) -> list[Case]:
    """Clean cases; the reference is another picture of the same brand, or else category."""
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
    """Where the picture is within ``distance`` pixels outside the product, bool (H, W)."""
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


def double_product(case: Case) -> Case:
    """The plate shows the same product once more, 12 pixels to the side."""
    moved = np.roll(case.product.matte, 12, axis=1)
    plate = mix(case.made.pixels, np.roll(case.product.foreground, 12, axis=1), moved)
    return plant(case, composite(plate, case.product))


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


def leak_reference(case: Case) -> Case | None:
    """The reference's product stands in the background, where the reference has it."""
    if case.reference is None or case.reference.product_mask is None:
        return None
    plate = mix(case.plate, case.reference.pixels, case.reference.product_mask)
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
    "product doubled, 12 px aside": ("ghost", double_product),
    "shadow removed": ("floating", drop_shadow),
    "shadow 12 px below": ("floating", sink_shadow),
    "reference's product pasted in place": ("leak", leak_reference),
}
WRONG_CATEGORY = "another category's background"


def plant_all(cases: list[Case], seed: int) -> dict[str, tuple[str, list[Case]]]:
    """Fault to (its check, its pictures)."""
    planted = {}
    for name, (check, fault) in FAULTS.items():
        made = [fault(case) for case in cases]
        planted[name] = (check, [case for case in made if case is not None])
    random = np.random.default_rng(seed)
    swapped = []
    for case in cases:
        others = [other for other in cases if other.category != case.category]
        if others:
            swapped.append(change_category(case, others[random.integers(len(others))]))
    planted[WRONG_CATEGORY] = ("off_category", swapped)
    return planted


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("shards", type=Path, help="folder of rendered shards")
    parser.add_argument("--pictures", type=int, default=160)
    parser.add_argument("--seed", type=int, default=1, help="which pictures are drawn")
    parser.add_argument(
        "--held-out", action="store_true", help="only pictures that no network was trained on"
    )
    parser.add_argument("--thresholds", type=Path, help="YAML file; default: the built-in ones")
    parser.add_argument("--features", type=Path, help="folder of a feature network; default: the bundled one")
    parser.add_argument("--sheet", type=Path, help="write a picture of the first cases and all their faults")
    args = parser.parse_args()
    thresholds = None if args.thresholds is None else load_thresholds(args.thresholds)
    gate = build_gate(thresholds, args.features)
    cases = build_cases(load_truths(args.shards, args.pictures, args.seed, args.held_out), args.seed)
    planted = plant_all(cases, args.seed)
    if args.sheet is not None:
        rows = [np.concatenate([c.made.pixels for c in cases[:8]], axis=1)]
        rows += [np.concatenate([c.made.pixels for c in found[:8]], axis=1) for _, found in planted.values()]
        width = max(row.shape[1] for row in rows)
        Image.fromarray(np.concatenate([row[:, :width] for row in rows if row.shape[1] == width])).save(
            args.sheet
        )
    start = time.process_time()
    clean = [gate.measure(case.made, case.product, case.reference) for case in cases]
    seconds = (time.process_time() - start) / len(cases)
    faulty = {
        name: (check, [gate.measure(case.made, case.product, case.reference) for case in found])
        for name, (check, found) in planted.items()
    }
    print_report(gate.thresholds, clean, faulty)
    print(f"\n{len(cases)} pictures, seed {args.seed}; {1000 * seconds:.0f} ms of one core a picture")


def print_report(
    thresholds: GateThresholds, clean: list[Measured], faulty: dict[str, tuple[str, list[Measured]]]
) -> None:
    """The tables: scores of clean pictures and of the check's own fault, then who catches what."""

    def gather(measured: list[Measured], check: str) -> np.ndarray:
        return np.array([m[check] for m in measured if check in m and not isinstance(m[check], str)])

    def is_above(measured: Measured, check: str) -> bool:
        value = measured.get(check, "")
        return not isinstance(value, str) and value > thresholds.get_limit(check)

    def is_refused(measured: Measured) -> bool:
        return any(is_above(measured, check) for check in measured if check not in thresholds.advisory)

    checks = [check for check in CHECKS if thresholds.get_limit(check) is not None]
    print(
        "| check | limit | role | clean: measured | median | 90 % | 95 % | 99 % | largest | above the limit |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for check in checks:
        values = gather(clean, check)
        role = "advisory" if check in thresholds.advisory else "refuses"
        head = f"| {check} | {thresholds.get_limit(check):g} | {role} | {len(values)} of {len(clean)} "
        if not len(values):
            print(head + "| | | | | | |")
            continue
        cells = [f"{np.percentile(values, q):.3g}" for q in (50, 90, 95, 99, 100)]
        share = np.mean(values > thresholds.get_limit(check))
        print(head + f"| {' | '.join(cells)} | {share:.1%} |")
    refused = np.mean([is_refused(m) for m in clean])
    print(f"\nClean pictures refused: {refused:.1%}. Mean score {mean_score(clean, thresholds):.3f}.\n")
    print(
        "| planted fault | its check | measured | 5 % | median | separates | its check catches | refused "
        "| mean score |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for name, (check, measured) in faulty.items():
        values = gather(measured, check)
        refused = np.mean([is_refused(m) for m in measured])
        head = f"| {name} | {check} | {len(values)} of {len(measured)} "
        if not len(values):
            print(head + f"| | | | | {refused:.1%} | {mean_score(measured, thresholds):.3f} |")
            continue
        area = compute_separation(gather(clean, check), values)
        caught = np.mean(values > thresholds.get_limit(check))
        print(
            head + f"| {np.percentile(values, 5):.3g} | {np.median(values):.3g} | {area:.3f} | {caught:.1%} "
            f"| {refused:.1%} | {mean_score(measured, thresholds):.3f} |"
        )
    print("\n| planted fault | " + " | ".join(checks) + " |")
    print("|---" * (len(checks) + 1) + "|")
    for name, (_, measured) in [("(clean)", ("", clean)), *faulty.items()]:
        shares = [np.mean([is_above(m, check) for m in measured]) for check in checks]
        print(f"| {name} | " + " | ".join(f"{share:.0%}" for share in shares) + " |")


def mean_score(measured: list[Measured], thresholds: GateThresholds) -> float:
    """The mean total score."""
    plain = [{k: v for k, v in m.items() if not isinstance(v, str)} for m in measured]
    return float(np.mean([compute_score(values, thresholds) for values in plain]))


def compute_separation(clean: np.ndarray, faulty: np.ndarray) -> float:
    """Area under the ROC curve: the chance that a faulty picture has the larger value (ties one half)."""
    greater = (faulty[:, None] > clean[None]).mean()
    return float(greater + 0.5 * (faulty[:, None] == clean[None]).mean())


if __name__ == "__main__":
    main()
