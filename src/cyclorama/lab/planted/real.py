"""What do the rules say of real product photos and references?  A table, and a sheet to look at."""

from __future__ import annotations

import argparse
import csv
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cyclorama.curate.records import Box, Record
from cyclorama.lab.planted.measure import build_rule, open_image

SIDE, COLUMNS = 220, 8
IMAGES = (".png", ".jpg", ".jpeg", ".webp")


def list_photos(folder: Path) -> list[tuple[str, Record]]:
    """(``product`` or ``reference``, record) of ``products.csv`` and of ``references/``."""
    with (folder / "products.csv").open(encoding="utf-8") as file:
        rows = [row["image"] for row in csv.DictReader(file)]
    found = [("product", Record(key=name, image=str(folder / name))) for name in rows]
    references = sorted(p for p in (folder / "references").iterdir() if p.suffix in IMAGES)
    return found + [("reference", Record(key=path.name, image=str(path))) for path in references]


def draw_photo(pixels: Any, mask: Any, boxes: list[Box], words: str) -> Image.Image:
    """The photo with its product's outline and the text found, and what was said."""
    scale = SIDE / max(pixels.shape[:2])
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    cell = Image.new("RGB", (SIDE + 4, SIDE + 32), "white")
    small = Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS)
    if mask is not None:
        product = np.asarray(Image.fromarray((mask * 255).astype(np.uint8)).resize(size)) > 127
        edge = product ^ np.roll(product, 1, 0) | product ^ np.roll(product, 1, 1)
        small.paste((0, 160, 220), mask=Image.fromarray((edge * 255).astype(np.uint8)))
    draw = ImageDraw.Draw(small)
    for box in boxes:
        colour = (30, 150, 60) if "product" in box.label else (230, 60, 30)
        draw.rectangle([v * scale for v in (box.left, box.top, box.right, box.bottom)], outline=colour)
    cell.paste(small)
    ImageDraw.Draw(cell).multiline_text((2, SIDE + 2), words, "black", ImageFont.load_default(11))
    return cell


def look_at_photos(args: argparse.Namespace, config: Any) -> int:
    """Print each photo's verdicts and write ``real.png`` into the output folder."""
    rules = {
        name: build_rule(name, config) for name in ("size", "quality", "mask", "blank", "people", "text")
    }
    cells, counts = [], Counter[tuple[str, str, str]]()
    for kind, record in list_photos(args.photos):
        image = open_image(record)
        image = rules["mask"].judge(image).repaired or image
        found = {name: rule.judge(image) for name, rule in rules.items()}
        for name, finding in found.items():
            counts[kind, name, str(finding.verdict)] += 1
        busy, text = found["blank"].numbers.get("busy_share", 0.0), found["text"]
        fired = {name: str(finding.verdict) for name, finding in found.items() if finding.verdict != "keep"}
        print(f"{record.key}: busy {busy:.3f}, {dict(text.numbers)}, {fired}", flush=True)
        for name in fired:
            print(f"    {name}: {found[name].reason}")
        said = ", ".join(f"{name} {verdict}" for name, verdict in fired.items())
        words = f"{Path(record.key).stem[:34]}\nbusy {busy:.2f}; {said}"
        cells.append(draw_photo(image.pixels, image.mask, list(text.boxes), words))
    width, height = cells[0].size
    sheet = Image.new("RGB", (COLUMNS * width, -(-len(cells) // COLUMNS) * height), "white")
    for number, cell in enumerate(cells):
        sheet.paste(cell, (number % COLUMNS * width, number // COLUMNS * height))
    args.out.mkdir(parents=True, exist_ok=True)
    sheet.save(args.out / "real.png")
    print("\n| photos | rule | verdict | number |\n|---|---|---|---|")
    for (kind, name, verdict), count in sorted(counts.items()):
        print(f"| {kind} | {name} | {verdict} | {count} |")
    return 0
