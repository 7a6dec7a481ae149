"""How often are a poster's checks right? Faults planted on posters whose truth is known.

    python benchmarks/inspection.py --products 4 --rows out/inspection.jsonl [--sheet out/inspection.png]

A case is a held-out product of the rendered categories, cut out, planned and put on its category's set at
288 to 400 pixels. The set is rendered with the product and without it; where the product hides the ground,
the change of light next to it goes on, so that a product can be moved while its shadow stays. Faults, three
strengths each:

``floating``, ``sunk``: the product 3, 8 and 20 % of its height above or below where its shadow is.
``large``, ``small``: set drawn for a product of 0.6, 0.5, 0.4 or of 1.7, 2, 2.5 times the size.
``indistinct``: the set's colours moved so that the mean behind the product is 8, 5 and 2 (CIE76) from the
colour that is most common along the product's rim (its own mean need not show at its outline at all).
``cropped``: 3, 8 and 20 % of the product's width beyond the canvas.
``unreadable``: a text in a colour whose contrast to its ground's mean is 0.9, 0.7 and 0.5 of the limit.
``text_on_product``: a headline whose letters lie on 0.3, 1 and 5 % of the product.
``crowded``: all boxes larger until they take 76, 85 and 95 % of the canvas.

Limits are fitted on every second category, precision and recall told on the others: other products, other
sets. Precision is told for as many clean posters as faulty ones. Intervals: Wilson's, 95 %.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage, stats

from cyclorama.evaluation.rim import compute_floating
from cyclorama.posters.checks import LIMITS, measure_poster
from cyclorama.scenes.compose import list_held_out
from cyclorama.scenes.library import BUILT_IN
from cyclorama.types import Matte, Pixels
from cyclorama.typography.contrast import get_luminance
from inspection_faults import STRENGTHS, Case, build_case, plant

FITTED = {
    "floating": ("lift", 1),
    "sunk": ("lift", -1),
    "large": ("scale", 1),
    "small": ("scale", -1),
    "indistinct": ("lost", 1),
    "cropped": ("room", -1),
    "unreadable": ("contrast_margin", -1),
    "text_on_product": ("covered", 1),
    "crowded": ("used", 1),
}
"""Fault to the value that tells it, and whether more or less of it is worse."""
NAMES = {"large": "size", "small": "size"}
"""What the checks call a fault, where they call it otherwise."""


def measure(case: Case, split: str, sheet: list[Pixels] | None) -> list[dict[str, Any]]:
    """A row per planted poster."""
    rows = []
    for fault, strength, poster, product, layout, empty in plant(case):
        values = measure_poster(poster, product, layout, case.words)
        if fault in ("clean", "floating", "sunk"):
            values |= measure_shadow(poster.background, product.matte, empty)
        rows.append(
            {"case": case.name, "split": split, "fault": fault, "strength": strength, "values": values}
        )
        if sheet is not None:
            image = Image.fromarray(poster.pixels)
            image.thumbnail((256, 256))
            cell = np.full((256, 256, 3), 230, np.uint8)
            cell[: image.height, : image.width] = np.asarray(image)
            sheet.append(cell)
    return rows


def measure_shadow(ground: Pixels, matte: Matte, empty: Pixels) -> dict[str, float]:
    """Where the shadow says that a product stands; NaN where there is none to be seen.

    ``shadow``: how far below the foot the ground beside and below it is half as much darker than the
    ``empty`` set's as where it is darkest, as a share of the product's height. ``gate``: the gate's
    ``floating``, by the image alone.
    """
    found = compute_floating(ground, matte)
    values = {"shadow": float("nan"), "gate": float("nan") if found is None else found}
    solid = matte > 0.5
    rows, columns = np.flatnonzero(solid.any(1)), np.flatnonzero(solid.any(0))
    tall, foot = rows[-1] - rows[0] + 1, rows[-1]
    lowest = len(solid) - 1 - solid[::-1].argmax(0)[columns]
    touching = columns[lowest >= foot - max(1, 0.06 * tall)]
    side = 0.5 * (np.ptp(touching) + 1)
    left, right = max(0, int(touching[0] - side)), int(touching[-1] + 1 + side)
    top, bottom = max(0, int(foot - 0.35 * tall)), min(len(solid), int(foot + 0.35 * tall) + 1)
    light = [np.log(get_luminance(pixels[top:bottom, left:right]) + 0.005) for pixels in (empty, ground)]
    free = ~ndimage.binary_dilation(solid)[top:bottom, left:right]
    dark = np.maximum(light[0] - light[1], 0) * free
    profile = dark.sum(1) / np.maximum(free.sum(1), 1)
    profile[free.sum(1) < 3] = 0
    if profile.max() >= 0.03:
        values["shadow"] = (top + np.flatnonzero(profile >= 0.5 * profile.max())[-1] - foot) / tall
    return values


def fit_limit(bad: NDArray[np.float64], good: NDArray[np.float64]) -> float:
    """The limit on values, more being worse, with the best mean of both rates of being right; in the middle
    of the values that it lies between."""
    every = np.unique(np.concatenate([bad, good]))
    cuts = np.concatenate([[every[0] - 1], (every[1:] + every[:-1]) / 2, [every[-1] + 1]])
    rates = [((bad > cut).mean() + (good <= cut).mean()) / 2 for cut in cuts]
    best = np.flatnonzero(np.isclose(rates, max(rates)))
    return float(cuts[best[len(best) // 2]])


def format_share(count: int, total: int) -> str:
    """``0.97 (0.93 to 0.99)``."""
    interval = stats.binomtest(count, total).proportion_ci(method="wilson")
    return f"{count / total:.2f} ({interval.low:.2f} to {interval.high:.2f})"


def report(rows: list[dict[str, Any]]) -> None:
    """Print fitted limits, and what the shipped ones find on the held-out half."""
    print("| fault | value | fitted limit | shipped | n | recall | by strength | false alarms | precision |")
    print("|---|---|---|---|---|---|---|---|---|")
    for fault, (value, sign) in FITTED.items():
        fit, good = (_take(rows, "fit", kind, value) for kind in (fault, "clean"))
        limit = sign * fit_limit(sign * fit, sign * good)
        own = [one for one in LIMITS if one.fault == NAMES.get(fault, fault) and one.value == value]
        shipped = " / ".join(f"{x:g}" for one in own for x in (one.least, one.most) if np.isfinite(x))
        told, alarms = (
            np.array([any(one.judge(x) is not None for one in own) for x in _take(rows, "test", kind, value)])
            for kind in (fault, "clean")
        )
        print(f"| {fault} | {value} | {limit:.3f} | {shipped} | {_tell(rows, fault, told, alarms)}")
    for fault, value, sign in (("floating", "shadow", 1), ("sunk", "shadow", -1), ("floating", "gate", 1)):
        fit, good = (_take(rows, "fit", kind, value) for kind in (fault, "clean"))
        limit = fit_limit(sign * fit[~np.isnan(fit)], sign * good[~np.isnan(good)])
        told, alarms = (sign * _take(rows, "test", kind, value) > limit for kind in (fault, "clean"))
        print(f"| {fault} | {value} | {sign * limit:.3f} | – | {_tell(rows, fault, told, alarms)}")
    clean = [r["values"] for r in rows if r["split"] == "test" and r["fault"] == "clean"]
    whole = sum(all(one.judge(values[one.value]) is None for one in LIMITS) for values in clean)
    print(f"clean posters that pass all checks: {whole} of {len(clean)}")


def _take(rows: list[dict[str, Any]], split: str, fault: str, value: str) -> NDArray[np.float64]:
    found = [row["values"][value] for row in rows if row["split"] == split and row["fault"] == fault]
    return np.array(found, float)


def _tell(rows: list[dict[str, Any]], fault: str, told: NDArray[np.bool_], alarms: NDArray[np.bool_]) -> str:
    """Cells of a table: count, recall, recall by strength, false alarms, precision."""
    strengths = np.array([r["strength"] for r in rows if r["split"] == "test" and r["fault"] == fault])
    by = ", ".join(f"{told[strengths == one].mean():.2f}" for one in STRENGTHS[fault])
    hits, wrong = int(told.sum()), round(alarms.mean() * len(told))
    precision = format_share(hits, hits + wrong) if hits + wrong else "–"
    recall = format_share(hits, len(told))
    return f"{len(told)} | {recall} | {by} | {alarms.sum()} of {len(alarms)} | {precision} |"


def main() -> None:
    """Plant, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--products", type=int, default=4, help="of each category")
    parser.add_argument("--rows", type=Path, required=True, help="kept rows; known cases are not made again")
    parser.add_argument("--sheet", type=Path, help="an image of every poster of the first four cases")
    options = parser.parse_args()
    categories = [name for name, file in BUILT_IN.files.items() if "product" in file.head]
    options.rows.parent.mkdir(parents=True, exist_ok=True)
    lines = options.rows.read_text().splitlines() if options.rows.exists() else []
    rows = [json.loads(line) for line in lines]
    known = {row["case"] for row in rows}
    sheet: list[Pixels] = []
    for turn in range(options.products):
        for index, category in enumerate(categories):
            if f"{category} {list_held_out(category)[turn]}" in known:
                continue
            case = build_case(category, turn, index)
            cells: list[Pixels] | None = [] if options.sheet is not None and len(sheet) < 4 else None
            made = measure(case, ("fit", "test")[index % 2], cells)
            with options.rows.open("a") as file:
                file.write("".join(json.dumps(row) + "\n" for row in made))
            rows += made
            if cells is not None:
                cells += [np.full((256, 256, 3), 255, np.uint8)] * (30 - len(cells))
                sheet.append(np.vstack([np.hstack(cells[n : n + 10]) for n in range(0, 30, 10)]))
    if sheet:
        Image.fromarray(np.vstack(sheet)).save(options.sheet)
    report(rows)


if __name__ == "__main__":
    main()
