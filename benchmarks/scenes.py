"""A cut-out in a scene beside the truth: the category's own 3-D product on the same stage.

    python benchmarks/scenes.py truth --products 10 --size 192 --rows out/truth.jsonl --out out/truth.png
    python benchmarks/scenes.py floating --size 192 --rows out/floating.jsonl

``truth``: for every category and held-out product the stage is rendered three times: with the product, with
a card made of that image's pixels and mask, and empty. Told are, by category: PSNR of the background (dB)
with the card and with nothing (a quarter of the samples), mask IoU at 512 px, and the contact.

Contact darkness is 1 - with / without product, of the mean linear luminance of the ground 1 to 3 pixels (of
192) below the product's lowest eighth, sampled there 64 times a pixel and not denoised. Told are the card's
as a share of the truth's, and the difference. What a product keeps from its ground is the darkness of the
same product in black; what it gives, by its glow, its colour or as a mirror image, is the rest. Where it
gives more than half of what it keeps, or keeps less than a tenth of the light, the share says nothing and is
left out. The samples are drawn in two halves; half their difference is the share's standard error.

``floating``: the gate's measure over cards that stand and cards raised by 2 to 20 % of their size: the
area under the curve for each height, and the limit that one standing card in twenty exceeds.

With ``--rows`` every product's figures are kept in that file, and known ones are not measured again.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from cyclorama.evaluation.rim import compute_floating
from cyclorama.scenes.body import measure_body
from cyclorama.scenes.card import build_card
from cyclorama.scenes.compose import ItemPlan, build_stage, derive, list_held_out
from cyclorama.scenes.grammar.reader import NAMES, load_category
from cyclorama.scenes.render import (
    build_shapes,
    clear_view,
    render_image,
    render_light,
    render_mask,
    render_noisy,
    tone_map,
)
from cyclorama.scenes.stage import Part, Stage
from cyclorama.scenes.surface import Surface

FINE = 512
"""Larger side of the mask that the card is made from, pixels."""
CONTACT_SAMPLES = 64
"""Light samples a pixel of the ground at the product's contact."""
LEAST_KEPT, MOST_GIVEN = 0.1, 0.5
"""Contacts are compared where the product keeps so much light from its ground and gives so much of that."""
LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)
LIFTS = (0.0, 0.02, 0.05, 0.1, 0.2)
"""How high cards are raised, as shares of the product's size."""

Figures = dict[str, float]


def build_truth(name: str, number: int, size: int) -> tuple[Stage, NDArray[np.uint8]]:
    """The stage of a held-out product and the product's coverage; nothing stands before it."""
    stage, _ = build_stage(ItemPlan(0, load_category(name), None, number, derive("truth", name, number)))
    mask = render_mask(stage, size, 16, 0)
    clear_view(stage, mask)
    return stage, mask


def stand_card(stage: Stage, name: str, image: NDArray[np.uint8], fine: NDArray[np.uint8]) -> Stage:
    """``stage`` with a card made of its ``image`` and its product's coverage in the product's place."""
    colours = np.asarray(Image.fromarray(image).resize((FINE, FINE), Image.Resampling.BICUBIC))
    matte = (fine / 255).astype(np.float32)
    return replace(stage, product=build_card(colours, matte, stage.camera, measure_body(load_category(name))))


def compare(name: str, number: int, size: int, samples: int) -> tuple[Figures, NDArray[np.uint8]]:
    """Figures of one product of a category, and its three images side by side."""
    stage, mask = build_truth(name, number, size)
    shapes = build_shapes(stage, stage.parts, len(stage.product))
    truth = draw(stage, size, samples, shapes)
    fine = render_mask(stage, FINE, 4, 0)
    standing, empty = stand_card(stage, name, truth, fine), replace(stage, product=[])
    card, covered = draw(standing, size, samples, shapes), render_mask(standing, size, 16, 0)
    nothing = draw(empty, size, max(1, samples // 4), shapes)
    seen = ~ndimage.binary_dilation((mask > 2) | (covered > 2))
    figures = {"card": _psnr(card, truth, seen), "empty": _psnr(nothing, truth, seen)}
    solid = [fine > 127, render_mask(standing, FINE, 4, 0) > 127]
    figures["iou"] = float((solid[0] & solid[1]).sum() / (solid[0] | solid[1]).sum())
    black = replace(stage, product=[_blacken(part) for part in stage.product])
    line = _find_contact(mask) & seen
    light = [measure_light(each, line, shapes) for each in (stage, standing, black, empty)]
    return figures | judge_contact(np.stack(light)), np.hstack([truth, card, nothing])


def draw(stage: Stage, size: int, samples: int, shapes: list[Any]) -> NDArray[np.uint8]:
    """The image of ``stage``, whose parts have these ``shapes``."""
    return tone_map(render_light(stage, size, samples, 0, shapes=shapes), stage.exposure)


def measure_light(stage: Stage, line: NDArray[np.bool_], shapes: list[Any]) -> NDArray[np.float64]:
    """Mean linear luminance of ``stage`` on ``line`` (H, W), by either half of the samples (2,)."""
    rows, columns = np.nonzero(line)
    top, left, tall, wide = rows.min(), columns.min(), np.ptp(rows) + 1, np.ptp(columns) + 1
    crop, half = (int(left), int(top), int(wide), int(tall)), CONTACT_SAMPLES // 2
    sampled = [render_noisy(stage, max(line.shape), half, seed, crop, shapes) for seed in (0, 1)]
    part = line[top : top + tall, left : left + wide]
    return np.array([(light[part] @ LUMINANCE).mean() for light in sampled])


def judge_contact(light: NDArray[np.float64]) -> Figures:
    """Contact of the ``light`` (4, 2) with the product, its card, the product in black and nothing."""
    truth, card, kept = (1 - light[:3].mean(1) / light[3].mean()).tolist()
    halves = 1 - light[:2] / light[3]
    compared = kept >= LEAST_KEPT and kept - truth <= MOST_GIVEN * kept
    shares = halves[1] / halves[0] if compared else np.full(2, np.nan)
    return {
        "contact": card / truth if compared else float("nan"),
        "contact error": float(np.ptp(shares)) / 2,
        "contact difference": card - truth,
        "darkness": truth,
        "kept": kept,
    }


def _blacken(part: Part) -> Part:
    """``part``, giving off and reflecting nothing; glass stays."""
    return part if part.surface.kind == "glass" else Part(part.mesh, Surface((0.0, 0.0, 0.0)))


def raise_card(name: str, number: int, size: int, samples: int) -> Figures:
    """The gate's ``floating`` of a product's card for every height of ``LIFTS``."""
    stage, _ = build_truth(name, number, size)
    card = stand_card(stage, name, render_image(stage, size, samples, 0), render_mask(stage, FINE, 16, 0))
    figures = {}
    for lift in LIFTS:
        raised = replace(card, product=[replace(p, mesh=p.mesh.moved(z=lift)) for p in card.product])
        mask = render_mask(raised, size, 16, 0) / np.float32(255)
        found = compute_floating(render_image(raised, size, samples, 0), mask)
        figures[f"{lift:.2f}"] = float("nan") if found is None else found
    return figures


def _psnr(image: NDArray[np.uint8], truth: NDArray[np.uint8], seen: NDArray[np.bool_]) -> float:
    error = float(np.mean((image[seen].astype(float) - truth[seen]) ** 2))
    return 10 * float(np.log10(255**2 / max(error, 1e-9)))


def _find_contact(mask: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """The ground right below the product's lowest eighth."""
    rows, columns = np.nonzero(mask > 127)
    unit = max(mask.shape) / 192
    line = np.zeros(mask.shape, bool)
    for column in np.unique(columns):
        lowest = rows[columns == column].max()
        if lowest > rows.max() - 0.12 * np.ptp(rows):
            line[lowest + round(unit) : lowest + round(4 * unit), column] = True
    return line


def _known(values: list[float]) -> NDArray[np.float64]:
    """What could be measured."""
    return np.array([v for v in values if not np.isnan(v)] or [np.nan])


def report_truth(rows: dict[str, list[Figures]]) -> None:
    """Print a line for every category, then the medians over categories."""
    medians = []
    for name, made in rows.items():
        row = {key: float(np.median(_known([f[key] for f in made]))) for key in made[0]}
        medians.append(row)
        print(name.ljust(18) + "  ".join(f"{key} {value:.3f}" for key, value in row.items()))
    for key in medians[0]:
        values = _known([row[key] for row in medians])
        print(f"{key}: median {np.median(values):.3f}, lowest {values.min():.3f}, highest {values.max():.3f}")
    for what, every in (("categories", medians), ("products", [f for made in rows.values() for f in made])):
        contact = _known([row["contact"] for row in every])
        print(f"contact within 15 %: {np.mean(np.abs(contact - 1) <= 0.15):.0%} of {len(contact)} {what}")
    errors = _known([f["contact error"] for made in rows.values() for f in made])
    print(f"standard error of a product's contact: {np.sqrt(np.mean(errors**2)):.3f}")


def report_floating(rows: dict[str, list[Figures]]) -> None:
    """Print the area under the curve for every height, and the limit."""
    found = {
        key: _known([f[key] for made in rows.values() for f in made]) for key in (f"{x:.2f}" for x in LIFTS)
    }
    standing = found["0.00"]
    for key, values in found.items():
        higher = (values[:, None] > standing).mean() + 0.5 * (values[:, None] == standing).mean()
        print(f"raised {key}: median {np.median(values):.3f}, AUC {higher:.3f}, {len(values)} cards")
    print(f"limit for 5 % of standing cards: {np.quantile(standing, 0.95):.3f}")


def main() -> None:
    """Read the options, measure, print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["truth", "floating"])
    parser.add_argument("--categories", nargs="*", default=NAMES)
    parser.add_argument("--products", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="leave out so many held-out products")
    parser.add_argument("--size", type=int, default=192)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--rows", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    lines = options.rows.read_text().splitlines() if options.rows and options.rows.exists() else []
    known = {tuple(key): figures for key, figures in map(json.loads, lines)}
    rows: dict[str, list[Figures]] = {name: [] for name in options.categories}
    sheet = []
    for place in range(options.first, options.first + options.products):
        for name in options.categories:
            number = list_held_out(name)[place]
            figures = known.get((name, number))
            if figures is None and options.what == "truth":
                figures, images = compare(name, number, options.size, options.samples)
                sheet.append(images)
            elif figures is None:
                figures = raise_card(name, number, options.size, options.samples)
            if options.rows and (name, number) not in known:
                options.rows.parent.mkdir(parents=True, exist_ok=True)
                with options.rows.open("a") as file:
                    file.write(json.dumps([[name, number], figures]) + "\n")
            rows[name].append(figures)
    (report_truth if options.what == "truth" else report_floating)(rows)
    if options.out is not None and sheet:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.vstack(sheet)).save(options.out)


if __name__ == "__main__":
    main()
