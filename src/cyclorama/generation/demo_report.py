"""The demo's sheet: product, result without a reference, and each reference beside what it led to.

Where the true image in a reference's style is known, it stands beside the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cyclorama.files import write_atomic
from cyclorama.generation import thumbs
from cyclorama.generation.demo_set import LETTERS, DemoEntry
from cyclorama.generation.overview import encode_overview
from cyclorama.generation.sheet import SHEET_NAME, Cell, SheetRow, build_sheet
from cyclorama.imaging.loading import load_image

OVERVIEW_NAME = "sheet.png"
LABELS = (
    "product",
    "no reference",
    "reference A",
    "result A",
    "truth A",
    "reference B",
    "result B",
    "truth B",
)
_PER_ENTRY = 1 + len(LETTERS)
_TRUTHS = (4, 7)


def write_demo_report(
    out: Path, entries: Sequence[DemoEntry], rows: Sequence[dict[str, Any]], summary: Sequence[str]
) -> None:
    """Write ``index.html`` and ``sheet.png`` from the run's ``rows``, three per entry. Raises OutputError."""
    sheet: list[SheetRow] = []
    overview: list[list[Path | None]] = []
    for number, entry in enumerate(entries):
        ours = rows[number * _PER_ENTRY : (number + 1) * _PER_ENTRY]
        cells = _build_cells(out, entry, ours)
        sheet.append(SheetRow(entry.name, entry.category, tuple(cell for cell in cells if cell is not None)))
        overview.append([None if cell is None else out / cell.thumbnail for cell in cells])
        sheet += [
            SheetRow(f"{row['stem']}", error=f"{row['error']}: {row['reason']}")
            for row in ours
            if row["status"] == "failed"
        ]
    page = build_sheet("Cyclorama demo", summary, sheet)
    write_atomic(out / SHEET_NAME, page.encode("utf-8", errors="backslashreplace"))
    shown = [i for i in range(len(LABELS)) if i not in _TRUTHS or any(row[i] for row in overview)]
    chosen = [[row[i] for i in shown] for row in overview]
    write_atomic(out / OVERVIEW_NAME, encode_overview(chosen, [LABELS[i] for i in shown]))


def _build_cells(out: Path, entry: DemoEntry, rows: Sequence[dict[str, Any]]) -> list[Cell | None]:
    """Eight cells in the order of :data:`LABELS`; None where there is no such thumbnail."""
    names = [thumbs.name_thumbnails(row["stem"], "", True, row.get("reference_digest")) for row in rows]
    product = next((n["product"] for n, row in zip(names, rows) if row["status"] == "done"), None)
    cells = [_cell(out, product, LABELS[0], f"Product {entry.name}")]
    for number, (name, row) in enumerate(zip(names, rows, strict=True)):
        place = 1 if number == 0 else 3 * number
        if number:
            label = LABELS[place - 1]
            alt = f"{label.capitalize()} for {entry.name}"
            cells.append(_cell(out, name.get("reference"), label, alt))
        done = row["status"] == "done"
        alt = f"{entry.category} advertisement of {entry.name}, {LABELS[place]}"
        cells.append(_cell(out, name["result"], LABELS[place], alt, row["output"]) if done else None)
        if number:
            cells.append(_truth_cell(out, entry, entry.references[number - 1].truth, LABELS[place + 1]))
    return cells


def _truth_cell(out: Path, entry: DemoEntry, truth: Path | None, label: str) -> Cell | None:
    if truth is None:
        return None
    name = f"{thumbs.FOLDER}/truth/{truth.stem}.webp"
    thumbs.write_thumbnail(out, name, load_image(truth).pixels)
    return _cell(out, name, label, f"{label.capitalize()}: {entry.name} rendered in this style")


def _cell(out: Path, thumbnail: str | None, caption: str, alt: str, image: str | None = None) -> Cell | None:
    if thumbnail is None or not (out / thumbnail).exists():
        return None
    return Cell(caption, alt, thumbnail, image)
