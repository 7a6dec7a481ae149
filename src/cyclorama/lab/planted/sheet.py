"""A sheet of images as the rules see and leave them, and a table of what they say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cyclorama.curate.config import CurateConfig, EraseSettings
from cyclorama.curate.records import Box, Finding, Record, RuleImage
from cyclorama.lab.planted.measure import IMAGE_RULES, Truth, WatchedEraser, build_rule, open_image

SIDE = 236
LARGEST = 600_000
"""Bytes of a sheet."""


def write_sheet(records: Iterable[Record], config: CurateConfig, out: Path, columns: int = 4) -> list[str]:
    """Ask the image rules about ``records`` and draw a sheet; lines that say what they found."""
    eraser = WatchedEraser(config.erase or EraseSettings())
    rules = {n: build_rule(n, config, **({"erase": eraser} if n == "text" else {})) for n in IMAGE_RULES}
    cells: list[Image.Image] = []
    lines: list[str] = []
    counts: Counter[tuple[str, str]] = Counter()
    for record in records:
        image = open_image(record)
        image = rules["mask"].judge(image).repaired or image
        found: dict[str, Finding] = {name: rule.judge(image) for name, rule in rules.items()}
        counts.update((name, finding.verdict.value) for name, finding in found.items())
        fired = {name: finding for name, finding in found.items() if finding.verdict != "keep"}
        lines += [f"{record.key}: {name} {f.verdict}: {f.reason}" for name, f in fired.items()]
        said = ", ".join(f"{name} {finding.verdict}" for name, finding in fired.items())
        repaired = found["text"].repaired
        cells.append(_draw_cell(image, found["text"].boxes, repaired, f"{record.key[-34:]}\n{said}"))
    width, height = cells[0].size
    sheet = Image.new("RGB", (columns * (width + 8), -(-len(cells) // columns) * (height + 4)), "white")
    for number, cell in enumerate(cells):
        sheet.paste(cell, (number % columns * (width + 8), number // columns * (height + 4)))
    for quality in range(88, 30, -6):
        sheet.save(out, "JPEG", quality=quality, optimize=True)
        if out.stat().st_size <= LARGEST:
            break
    return [*lines, *(f"{name}: {count} {verdict}" for (name, verdict), count in sorted(counts.items()))]


def choose_texts(records: Iterable[Record], truth: dict[str, Truth], each: int = 2) -> list[Record]:
    """The first planted texts of every kind."""
    taken: Counter[str] = Counter()
    chosen = []
    for record in records:
        kind = truth[record.key]["kind"] if record.key in truth else ""
        if kind.startswith(("text_", "logo_word", "pack_text")) and taken[kind] < each:
            taken[kind] += 1
            chosen.append(record)
    return chosen


def _draw_cell(image: RuleImage, boxes: Iterable[Box], repaired: RuleImage | None, words: str) -> Image.Image:
    """The image with its product's outline and the texts found, beside it what was left; words below."""
    before = Image.fromarray(image.pixels)
    if image.mask is not None:
        product = image.mask > 0.5
        edge = product ^ np.roll(product, 2, 0) | product ^ np.roll(product, 2, 1)
        before.paste((0, 160, 220), mask=Image.fromarray((edge * 255).astype(np.uint8)))
    draw = ImageDraw.Draw(before)
    for box in boxes:
        colour = (30, 150, 60) if "product" in box.label else (230, 60, 30)
        draw.rectangle((box.left, box.top, box.right, box.bottom), outline=colour, width=3)
    shown: list[Any] = [before] if repaired is None else [before, Image.fromarray(repaired.pixels)]
    cell = Image.new("RGB", (2 * SIDE + 4, SIDE + 32), "white")
    for place, view in enumerate(shown):
        view.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        cell.paste(view, (place * (SIDE + 4), 0))
    ImageDraw.Draw(cell).multiline_text((2, SIDE + 2), words, "black", ImageFont.load_default(12))
    return cell
