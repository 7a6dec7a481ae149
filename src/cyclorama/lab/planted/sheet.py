"""A sheet of planted texts before and after erasing, for the documentation; rendered images only."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cyclorama.curate.records import LoadedImage
from cyclorama.lab.planted.measure import build_eraser, build_rule, open_image, read_records, read_truth

SIDE = 236
COLUMNS = 3
KINDS = (
    "text_plain", "text_busy", "text_cjk", "text_badge", "text_turned", "text_outlined", "text_faint",
    "text_two", "logo_word", "text_large", "text_small", "pack_text",
)  # fmt: skip


def draw_cell(before: LoadedImage, after: Any, found: list[Any], label: str) -> Image.Image:
    """Before, with the boxes found, and after, side by side."""
    cell = Image.new("RGB", (2 * SIDE + 4, SIDE + 18), "white")
    marked = Image.fromarray(before.pixels)
    draw = ImageDraw.Draw(marked)
    for box in found:
        colour = (230, 60, 30) if box.label == "text" else (30, 150, 60)
        draw.rectangle((box.left, box.top, box.right, box.bottom), outline=colour, width=3)
    for left, image in ((0, marked), (SIDE + 4, Image.fromarray(after))):
        cell.paste(image.resize((SIDE, SIDE), Image.Resampling.LANCZOS), (left, 0))
    ImageDraw.Draw(cell).text((2, SIDE + 2), label, "black", ImageFont.load_default(12))
    return cell


def write_sheet(args: argparse.Namespace, config: Any) -> int:
    """Two images of every kind of text, as the text rule leaves them; a JPEG below 600 kB."""
    truth, records = read_truth(args.set), {r.key: r for r in read_records(args.set)}
    eraser = build_eraser(args.eraser, config)
    rule = build_rule("text", config, eraser)
    cells = []
    for kind in KINDS:
        keys = [key for key, row in truth.items() if row["kind"] == kind]
        for key in keys[: 1 if kind == "pack_text" else 2]:
            image = open_image(records[key])
            eraser.hole = None
            finding = rule.judge(image)
            after = image.pixels if finding.repaired is None else finding.repaired.pixels
            label = f"{kind.replace('_', ' ')}: {finding.verdict}"
            cells.append(draw_cell(image, after, list(finding.boxes), label))
    width, height = cells[0].size
    lines = -(-len(cells) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * (width + 8), lines * (height + 4)), "white")
    for number, cell in enumerate(cells):
        sheet.paste(cell, (number % COLUMNS * (width + 8), number // COLUMNS * (height + 4)))
    for quality in range(88, 30, -6):
        sheet.save(args.out, "JPEG", quality=quality, optimize=True)
        if args.out.stat().st_size <= 600_000:
            break
    print(f"{args.out}: {np.asarray(sheet).shape[:2]}, {args.out.stat().st_size} bytes")
    return 0
