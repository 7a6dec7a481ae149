"""Layouts planned by rules against one template and against chance, on held-out products.

    python benchmarks/layout.py --rows FILE [--products 270]

Each product's outline is that of its own 3-D model; words are of four lengths; canvases 1:1, 4:5, 9:16 and
1.91:1. For each planner: refused, overlap, occlusion and constraints of what it gives, energy with the paired
interval over products; and the processor time of five plans.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from cyclorama.errors import LayoutError
from cyclorama.evaluation.compare import estimate_mean
from cyclorama.layout.metrics import measure_layout
from cyclorama.layout.planners import PLANNERS, plan_by_rules
from cyclorama.layout.task import CELLS, LayoutTask
from cyclorama.posters.planning import measure_texts
from cyclorama.posters.words import PosterBrand
from cyclorama.scenes.compose import build_studio, list_held_out
from cyclorama.scenes.library import BUILT_IN
from cyclorama.scenes.render import render_mask

CANVASES = ((1080, 1080), (1350, 1080), (1920, 1080), (628, 1200))
WORDS = (
    {"headline": "Slow evenings", "price": "€ 59"},
    {
        "headline": "Made to stay",
        "subline": "Drawn, lit and set without a studio",
        "price": "€ 49",
        "action": "See more",
    },
    {
        "headline": "Forty years of comfort",
        "subline": "Oak and linen",
        "body": "Made in one piece and repaired for life, in every colour that our dyer knows.",
        "price": "from € 749",
        "legal": "While stocks last. Prices include VAT.",
    },
    {"headline": "New"},
)


def find_outline(category: str, number: int) -> tuple[np.ndarray, float]:
    """The product's silhouette (32, 32) in its box, and the box's width against its height."""
    mask = render_mask(build_studio(BUILT_IN.load(category), number), 96, 1, 0) > 127
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    part = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    tall, wide = part.shape
    grid = part[np.arange(CELLS) * tall // CELLS][:, np.arange(CELLS) * wide // CELLS]
    return grid, wide / tall


def measure(category: str, number: int, index: int) -> list[dict[str, Any]]:
    """A row per canvas: what each planner's layout measures (None where it refuses), and the milliseconds of
    five plans by rules."""
    shapes = [measure_texts({"en": words}, PosterBrand()) for words in WORDS]
    outline, aspect = find_outline(category, number)
    rows = []
    for place, (height, width) in enumerate(CANVASES):
        texts = shapes[(index + place) % len(shapes)]
        task = LayoutTask(height, width, aspect, texts, outline, logo_aspect=2.6 if index % 2 else None)
        start = time.process_time()
        plan_by_rules(task, 5, index)
        row: dict[str, Any] = {
            "product": f"{category} {number}",
            "ms": 1e3 * (time.process_time() - start),
        }
        for name, plan in PLANNERS.items():
            try:
                row[name] = measure_layout(plan(task, index), task)
            except LayoutError:
                row[name] = None
        rows.append(row)
    return rows


def report(rows: list[dict[str, Any]]) -> None:
    """Print means, differences and times."""
    whole = [row for row in rows if all(row[name] for name in PLANNERS)]
    print(f"{len(rows)} layouts; {len(whole)} that no planner refuses")
    for name in PLANNERS:
        refused = sum(row[name] is None for row in rows) / len(rows)
        mean = {key: float(np.mean([row[name][key] for row in whole])) for key in whole[0][name]}
        kept = sum(row[name]["constraint"] == 1 for row in whole) / len(whole)
        print(
            f"{name:<7} refused {refused:.2%}, overlap {mean['overlap']:.4f}, "
            f"occlusion {mean['occlusion']:.4f}, all constraints kept {kept:.1%}, "
            f"lines beyond four {mean['alignment']:.3f}, energy {mean['energy']:.3f}"
        )
    for name in ("fixed", "random"):
        differences = [row[name]["energy"] - row["rules"]["energy"] for row in whole]
        interval = estimate_mean(differences, [row["product"] for row in whole])
        assert interval is not None
        print(f"energy, {name} less rules: {interval.format(3)}")
    middle, most = np.quantile([row["ms"] for row in rows], (0.5, 0.95))
    print(f"five plans by rules, processor: median {middle:.0f} ms, 95 % within {most:.0f} ms")


def main() -> None:
    """Plan, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--products", type=int, default=270)
    parser.add_argument("--rows", type=Path, required=True, help="kept rows; known ones are not made again")
    options = parser.parse_args()
    lines = options.rows.read_text().splitlines() if options.rows.exists() else []
    rows = [json.loads(line) for line in lines]
    known = {row["product"] for row in rows}
    categories = [name for name, file in BUILT_IN.files.items() if "product" in file.head]
    chosen = [(name, number) for name in categories for number in list_held_out(name)[:10]]
    chosen = chosen[:: max(1, len(chosen) // options.products)][: options.products]
    for index, (category, number) in enumerate(chosen):
        if f"{category} {number}" in known:
            continue
        made = measure(category, number, index)
        with options.rows.open("a") as file:
            file.write("".join(json.dumps(row) + "\n" for row in made))
        rows += made
    report(rows)


if __name__ == "__main__":
    main()
