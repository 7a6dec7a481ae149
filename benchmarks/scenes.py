"""A cut-out in a scene beside the truth: the category's own 3-D product on the same stage.

    python benchmarks/scenes.py truth --products 2 --size 256 --out out/scenes-truth.png

For every category and held-out product the stage is rendered three times: with the product itself, with a
card made of that image's pixels and mask, and empty. Told are, by category: PSNR of the background (dB)
with the card and with nothing, mask IoU, and the darkening at the line of contact as a share of the truth's
where the truth darkens by at least 8 levels.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from cyclorama.scenes.card import build_card
from cyclorama.scenes.compose import ItemPlan, build_stage, derive, list_held_out
from cyclorama.scenes.grammar.reader import NAMES, load_category
from cyclorama.scenes.model import measure_body
from cyclorama.scenes.render import clear_view, render_image, render_mask

FINE = 512
"""Larger side of the mask that the card is made from, pixels."""
LEAST_DARKENING = 8.0
"""Contacts that darken the ground less are not compared, 8-bit levels."""


def compare(name: str, number: int, size: int, samples: int) -> tuple[dict[str, float], NDArray[np.uint8]]:
    """Figures of one product of a category, and its three images side by side."""
    category = load_category(name)
    stage, _ = build_stage(ItemPlan(0, category, None, number, derive("truth", name, number)))
    mask = render_mask(stage, size, 16, 0)
    clear_view(stage, mask)
    truth = render_image(stage, size, samples, 0)
    colours = np.asarray(Image.fromarray(truth).resize((FINE, FINE), Image.Resampling.BICUBIC))
    matte = (render_mask(stage, FINE, 16, 0) / 255).astype(np.float32)
    standing = replace(stage, product=build_card(colours, matte, stage.camera, measure_body(category)))
    card, covered = render_image(standing, size, samples, 0), render_mask(standing, size, 16, 0)
    empty = render_image(replace(stage, product=[]), size, samples, 0)
    seen = ~ndimage.binary_dilation((mask > 2) | (covered > 2))
    figures = {"card": _psnr(card, truth, seen), "empty": _psnr(empty, truth, seen)}
    figures["iou"] = float(((mask > 127) & (covered > 127)).sum() / ((mask > 127) | (covered > 127)).sum())
    line = _find_contact(mask)
    darkening = [float(empty[line].mean()) - float(image[line].mean()) for image in (truth, card)]
    figures["contact"] = darkening[1] / darkening[0] if darkening[0] >= LEAST_DARKENING else float("nan")
    return figures, np.hstack([truth, card, empty])


def _psnr(image: NDArray[np.uint8], truth: NDArray[np.uint8], seen: NDArray[np.bool_]) -> float:
    error = float(np.mean((image[seen].astype(float) - truth[seen]) ** 2))
    return 10 * float(np.log10(255**2 / max(error, 1e-9)))


def _find_contact(mask: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """The ground right below the product's lowest eighth: pixels 2 to 4 below its outline."""
    rows, columns = np.nonzero(mask > 127)
    line = np.zeros(mask.shape, bool)
    for column in np.unique(columns):
        lowest = rows[columns == column].max()
        if lowest > rows.max() - 0.12 * np.ptp(rows):
            line[lowest + 2 : lowest + 5, column] = True
    return line


def _median(values: list[float]) -> float:
    """The median of what could be measured."""
    known = [v for v in values if not np.isnan(v)]
    return float(np.median(known)) if known else float("nan")


def main() -> None:
    """Read the options, compare, print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["truth"])
    parser.add_argument("--categories", nargs="*", default=NAMES)
    parser.add_argument("--products", type=int, default=1)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    medians, sheet = [], []
    for name in options.categories:
        made = [
            compare(name, k, options.size, options.samples) for k in list_held_out(name)[: options.products]
        ]
        row = {key: _median([f[key] for f, _ in made]) for key in made[0][0]}
        medians.append(row)
        sheet.append(made[0][1])
        print(
            f"{name:16s} PSNR {row['card']:5.1f} dB (empty {row['empty']:5.1f})  IoU {row['iou']:.4f}  "
            f"contact {row['contact']:.2f}",
            flush=True,
        )
    for key in medians[0]:
        values = [row[key] for row in medians if not np.isnan(row[key])] or [float("nan")]
        print(f"{key}: median {np.median(values):.3f}, lowest {min(values):.3f}, highest {max(values):.3f}")
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.vstack(sheet)).save(options.out)


if __name__ == "__main__":
    main()
