"""What a run leaves beside the images: the manifest and the contact sheet."""

from __future__ import annotations

from pathlib import Path

from cyclorama.files import write_atomic
from cyclorama.generation import thumbs
from cyclorama.generation.model import ModelHandle
from cyclorama.generation.plan import RunConfig, describe_settings
from cyclorama.generation.rows import Outcome, build_row, write_rows
from cyclorama.generation.run import RunResult
from cyclorama.generation.sheet import Cell, SheetRow, build_sheet

SHEET_NAME = "index.html"


def write_report(out: Path, result: RunResult, model: ModelHandle, config: RunConfig) -> None:
    """Write ``manifest.jsonl`` and ``index.html``, the contact sheet. Raises OutputError."""
    rows = [build_row(index, outcome, model, config) for index, outcome in enumerate(result.outcomes)]
    write_rows(out, rows)
    sheet = [build_sheet_row(out, outcome) for outcome in result.outcomes if outcome.status != "pending"]
    page = build_sheet("Contact sheet", describe_run(result, model, config), sheet)
    write_atomic(out / SHEET_NAME, page.encode("utf-8", errors="backslashreplace"))


def describe_run(result: RunResult, model: ModelHandle, config: RunConfig) -> list[str]:
    """Counts, model and settings of a run as lines of text."""
    counts = [f"{result.count('done')} of {len(result.outcomes)} inputs done"]
    counts += [f"{result.count(status)} {status}" for status in ("failed", "pending") if result.count(status)]
    settings = ", ".join(
        f"{name.replace('_', ' ')} {value}"
        for name, value in describe_settings(config).items()
        if value is not None
    )
    return [", ".join(counts), f"Model {model.name} ({model.hash}), run seed {config.seed}", settings]


def build_sheet_row(out: Path, outcome: Outcome) -> SheetRow:
    """The sheet's line for one input; cells whose thumbnail is gone are left out, images never are."""
    planned, item = outcome.planned, outcome.planned.item
    if planned.failure is not None:
        return SheetRow(item.name, error=f"{planned.failure.error}: {planned.failure.reason}")
    assert planned.category is not None
    category = planned.category.name
    cells = []
    product = thumbs.get_product_name(planned.images[0].path)
    if (out / product).exists():
        cells.append(Cell("product", f"Product of {item.name}, cut out", product))
    if item.reference is not None and planned.reference_digest is not None:
        reference = thumbs.get_reference_name(planned.reference_digest)
        if (out / reference).exists():
            cells.append(
                Cell(f"reference {item.reference.name}", f"Reference {item.reference.name}", reference)
            )
    notes = []
    several = any(image.candidate > 1 for image in planned.images)
    for image, entry in zip(planned.images, outcome.entries, strict=True):
        if entry is None:
            continue
        parts = [image.layout.name, f"candidate {image.candidate}" if several else ""]
        label = " ".join(part for part in parts if part) or "result"
        alt = f"{item.name} as {category} advertisement, {label}"
        thumbnail = thumbs.get_result_name(entry.output)
        shown = thumbnail if (out / thumbnail).exists() else entry.output
        cells.append(Cell(f"{label}, seed {entry.seed}", alt, shown, entry.output))
        report = entry.report
        exact = "product exact" if report["exact"] else f"product off by {report['max_difference']}"
        if report["exact"] is None:
            exact = "product not provable: no pixel is fully opaque"
        elif "file_max_difference" in report:
            exact += f" before encoding, off by up to {report['file_max_difference']} in the file"
        exact = ", ".join([exact, *entry.placement.get("notes", ())])
        notes.append(f"{entry.size[1]} × {entry.size[0]} px, {entry.seconds:.1f} s, {exact}")
    return SheetRow(item.name, f"{category} · " + " · ".join(dict.fromkeys(notes)), tuple(cells))
