"""The demo's sheet: product, result without a reference, and each reference beside what it led to.

Where the true image in a reference's style is known, it stands beside the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from cyclorama.files import write_atomic
from cyclorama.generation import thumbs
from cyclorama.generation.demo_set import LETTERS, DemoEntry
from cyclorama.generation.model import ModelHandle
from cyclorama.generation.overview import encode_overview
from cyclorama.generation.plan import RunConfig
from cyclorama.generation.report import SHEET_NAME, describe_run
from cyclorama.generation.rows import Outcome, build_row, write_rows
from cyclorama.generation.run import RunResult
from cyclorama.generation.sheet import Cell, SheetRow, build_sheet
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
    out: Path, entries: Sequence[DemoEntry], result: RunResult, model: ModelHandle, config: RunConfig
) -> None:
    """Write ``index.html``, ``sheet.png`` and ``manifest.jsonl``. Raises OutputError."""
    write_rows(out, [build_row(i, outcome, model, config) for i, outcome in enumerate(result.outcomes)])
    rows: list[SheetRow] = []
    overview: list[list[Path | None]] = []
    for number, entry in enumerate(entries):
        outcomes = result.outcomes[number * _PER_ENTRY : (number + 1) * _PER_ENTRY]
        cells = _build_cells(out, entry, outcomes)
        rows.append(SheetRow(entry.name, entry.category, tuple(cell for cell in cells if cell is not None)))
        overview.append([None if cell is None else out / cell.thumbnail for cell in cells])
        rows += [
            SheetRow(
                f"{entry.name}, {outcome.planned.item.folder}", error=f"{failure.error}: {failure.reason}"
            )
            for outcome in outcomes
            if (failure := outcome.planned.failure) is not None
        ]
    page = build_sheet("Cyclorama demo", describe_run(result, model, config), rows)
    write_atomic(out / SHEET_NAME, page.encode("utf-8", errors="backslashreplace"))
    shown = [i for i in range(len(LABELS)) if i not in _TRUTHS or any(row[i] for row in overview)]
    chosen = [[row[i] for i in shown] for row in overview]
    write_atomic(out / OVERVIEW_NAME, encode_overview(chosen, [LABELS[i] for i in shown]))


def _build_cells(out: Path, entry: DemoEntry, outcomes: Sequence[Outcome]) -> list[Cell | None]:
    """Eight cells in the order of :data:`LABELS`; None where there is no such thumbnail."""
    plain, *styled = outcomes
    product = next(
        (thumbs.get_product_name(o.planned.images[0].path) for o in outcomes if o.status == "done"), None
    )
    cells = [
        _cell(out, product, LABELS[0], f"Product {entry.name}"),
        _result_cell(out, entry, plain, LABELS[1]),
    ]
    for number, outcome in enumerate(styled):
        digest = outcome.planned.reference_digest
        reference = None if digest is None else thumbs.get_reference_name(digest)
        label, result, truth = LABELS[2 + 3 * number : 5 + 3 * number]
        cells.append(_cell(out, reference, label, f"{label.capitalize()} for {entry.name}"))
        cells.append(_result_cell(out, entry, outcome, result))
        cells.append(_truth_cell(out, entry, entry.references[number].truth, truth))
    return cells


def _truth_cell(out: Path, entry: DemoEntry, truth: Path | None, label: str) -> Cell | None:
    if truth is None:
        return None
    name = str(PurePosixPath("thumbs", "truth", f"{truth.stem}.webp"))
    thumbs.write_thumbnail(out, name, load_image(truth).pixels)
    return _cell(out, name, label, f"{label.capitalize()}: {entry.name} rendered in this style")


def _result_cell(out: Path, entry: DemoEntry, outcome: Outcome, label: str) -> Cell | None:
    if outcome.status != "done":
        return None
    image = outcome.planned.images[0].path
    alt = f"{entry.category} advertisement of {entry.name}, {label}"
    return _cell(out, thumbs.get_result_name(image), label, alt, image)


def _cell(out: Path, thumbnail: str | None, caption: str, alt: str, image: str | None = None) -> Cell | None:
    if thumbnail is None or not (out / thumbnail).exists():
        return None
    return Cell(caption, alt, thumbnail, image)
