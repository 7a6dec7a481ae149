"""How often does each gate refuse a clean image, and how often does it catch its fault?

    cyclorama lab render --size 256 --count 2000 --out out/render
    python benchmarks/gates_render.py out/render --out out/floating
    python benchmarks/gates.py out/render --floating out/floating --images 120 [--seed 1] [--held-out]

Clean images are rendered truth, with the product photo (the product on white) that a catalogue would have
given; each fault is planted into the same images (``gates_faults.py``). Prints Markdown: the distribution
of every score on clean images, then the rates at the default thresholds, or those in ``--thresholds``.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from PIL import Image

from cyclorama.config import load_config
from cyclorama.generation.gate_settings import CHECKS, GateThresholds
from cyclorama.generation.gates import build_gate, compute_score
from gates_faults import build_cases, load_rendered_faults, load_truths, plant_all

Measured = dict[str, float | str]
"""What the gate measured on one image."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("shards", type=Path, help="folder of rendered shards")
    parser.add_argument("--images", type=int, default=160)
    parser.add_argument("--seed", type=int, default=1, help="which images are drawn")
    parser.add_argument("--held-out", action="store_true", help="only images that no network was trained on")
    parser.add_argument("--floating", type=Path, help="folder of gates_render.py's shards")
    parser.add_argument("--checks", nargs="+", metavar="NAME", help="only these checks and their faults")
    parser.add_argument("--thresholds", type=Path, help="YAML file; default: the built-in ones")
    parser.add_argument("--features", type=Path, help="folder of a feature network; default: the bundled one")
    parser.add_argument("--sheet", type=Path, help="write an image of the first cases and all their faults")
    args = parser.parse_args()
    thresholds = GateThresholds() if args.thresholds is None else load_config(GateThresholds, args.thresholds)
    if args.checks is not None:
        left_out = dict.fromkeys(set(CHECKS) - set(args.checks))
        thresholds = thresholds.replace(**left_out)
    gate = build_gate(thresholds, args.features)
    cases = build_cases(load_truths(args.shards, args.images, args.seed, args.held_out), args.seed)
    planted = plant_all(cases, args.seed, args.checks)
    if args.floating is not None:
        planted |= load_rendered_faults(args.floating, args.images)
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
    print(f"\n{len(cases)} images, seed {args.seed}; {1000 * seconds:.0f} ms of one core an image")


def print_report(
    thresholds: GateThresholds, clean: list[Measured], faulty: dict[str, tuple[str, list[Measured]]]
) -> None:
    """The tables: scores of clean images and of the check's own fault, then who catches what."""

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
    print(f"\nClean images refused: {refused:.1%}. Mean score {mean_score(clean, thresholds):.3f}.\n")
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
    return float(np.mean([compute_score(values, thresholds) or 0.0 for values in plain]))


def compute_separation(clean: np.ndarray, faulty: np.ndarray) -> float:
    """Area under the ROC curve: the chance that a faulty image has the larger value (ties one half)."""
    greater = (faulty[:, None] > clean[None]).mean()
    return float(greater + 0.5 * (faulty[:, None] == clean[None]).mean())


if __name__ == "__main__":
    main()
