"""What an experiment shows: the table in the paper's layout (Markdown, JSON, HTML) and a sheet to look at."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any

from PIL import Image

from cyclorama.evaluation import tables
from cyclorama.evaluation.reading import ImageItem
from cyclorama.evaluation.report import CAUTION
from cyclorama.evaluation.tables import ReportTable, ReportText
from cyclorama.files import write_atomic
from cyclorama.generation.run import iterate_rows
from cyclorama.generation.sheet import encode_overview
from cyclorama.lab.experiments.held_out import HeldOutSet
from cyclorama.lab.experiments.recipe import COLUMNS, Condition
from cyclorama.lab.experiments.scoring import MethodResult, Value, Wins, find_best

NOT_TRAINED = "not trained"
READING = (
    "Mean over seeds, and over trainings where a method has several, ± standard deviation of their means; in "
    "brackets the 95 % interval of the mean by bootstrap over products, all images of a product together. "
    "Distances between sets have the spread alone. "
    "The best of a column is bold, whether or not the difference is certain: see the paired differences."
)
CONDITIONS = {
    "none": "Without reference",
    "pair": "Ref→Self: reference of another product",
    "self": "Self→Self: the product's own image as reference",
}


@dataclass(frozen=True, eq=False)
class ExperimentResult:
    """A finished experiment."""

    title: str
    recipe: dict[str, Any]
    data: str
    machine: str
    methods: dict[str, dict[str, Any]]
    missing: dict[str, str]
    """Method without a model to why."""
    results: tuple[MethodResult, ...]
    wins: tuple[Wins, ...]
    used: dict[str, str]
    notes: tuple[str, ...]


def format_json(result: ExperimentResult) -> str:
    """All figures as JSON text, finite numbers only."""
    values = asdict(result)
    for wins, plain in zip(result.wins, values["wins"], strict=True):
        for difference, inner in zip(wins.differences, plain["differences"], strict=True):
            inner |= {"verdict": difference.verdict, "better": COLUMNS[difference.metric].better}
    values |= {"reading": READING, "caution": CAUTION}
    return json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def build_tables(result: ExperimentResult) -> list[ReportTable]:
    """The main table of every condition, the wins of the chief method, the methods and their weights."""
    found = [_tabulate_results(result, condition) for condition in result.recipe["conditions"]]
    found += [_tabulate_wins(result, wins) for wins in result.wins]
    rows = []
    for name, m in result.methods.items():
        settings = ", ".join(f"{k} {v}" for k, v in m["settings"].items() if v is not None)
        rows.append((name, m["model"], m["hash"], settings))
    rows += [(name, NOT_TRAINED, "", why) for name, why in result.missing.items()]
    return [*found, ReportTable("Methods", ("method", "model", "hash", "settings"), rows)]


def _tabulate_results(result: ExperimentResult, condition: str) -> ReportTable:
    columns = result.recipe["columns"]
    found = {r.method: r for r in result.results if r.condition == condition}
    best = {column: find_best(list(found.values()), column) for column in columns}
    rows = []
    for method in (m["name"] for m in result.recipe["methods"]):
        if method not in found:
            rows.append((method, *[NOT_TRAINED if n == 0 else "–" for n in range(len(columns))], "–"))
            continue
        one = found[method]
        cells = []
        for column in columns:
            text = format_value(one.values.get(column), COLUMNS[column].digits)
            cells.append(f"**{text}**" if best[column] == method and len(found) > 1 else text)
        seconds = "–" if one.seconds_per_image is None else f"{one.seconds_per_image:.2f}"
        rows.append((method, *cells, seconds))
    heads = ("method", *(COLUMNS[column].head for column in columns), "s/image")
    return ReportTable(CONDITIONS[condition], heads, rows)


def format_value(value: Value | None, digits: int) -> str:
    """``88.33 ± 0.12 (87.90 to 88.71)``; a dash for what was not measured."""
    if value is None:
        return "–"
    text = f"{value.mean:.{digits}f}"
    if value.spread is not None:
        text += f" ± {value.spread:.{digits}f}"
    if value.low is not None and value.high is not None:
        text += f" ({value.low:.{digits}f} to {value.high:.{digits}f})"
    return text


def _tabulate_wins(result: ExperimentResult, wins: Wins) -> ReportTable:
    rows = []
    for found in wins.differences:
        if found.metric in result.recipe["columns"]:
            metric = COLUMNS[found.metric]
            verdict = {"first": wins.chief, "second": wins.other}.get(found.verdict, found.verdict)
            values = (metric.format(found.first), metric.format(found.second))
            rows.append((metric.title, *values, found.difference.format(metric.digits), found.wins, verdict))
    for name, (won, lost, seeds) in wins.seeds_won.items():
        if name in result.recipe["columns"]:
            verdict = wins.chief if won == seeds else wins.other if lost == seeds else "open"
            rows.append((COLUMNS[name].title, "", "", f"nearer in {won} of {seeds} seeds", "", verdict))
    caption = f"{wins.chief} against {wins.other} ({wins.condition})"
    heads = ("metric", wins.chief, wins.other, "difference (95 % interval)", "wins / losses / ties", "better")
    return ReportTable(caption, heads, rows)


def _build_text(result: ExperimentResult) -> ReportText:
    seeds = ", ".join(map(str, result.recipe["seeds"]))
    used = "; ".join(f"{what}: {name}" for what, name in result.used.items())
    steps, guidance = result.recipe["steps"], result.recipe["guidance"]
    lines = [f"{result.data}; seeds {seeds}; {steps} steps, guidance {guidance:g}; {result.machine}", used]
    for one in result.results:
        if one.failures:
            key, why = next(iter(one.failures.items()))
            lines.append(
                f"{one.method} ({one.condition}): {len(one.failures)} images failed, first {key}: {why}"
            )
    tables = build_tables(result)
    return ReportText(result.title, lines, [READING, CAUTION], tables, {"Notes": result.notes})


def format_markdown(result: ExperimentResult, sheets: Mapping[str, str]) -> str:
    """The whole report as Markdown; ``sheets`` maps conditions to image files beside it."""
    images = {CONDITIONS[condition]: name for condition, name in sheets.items()}
    return tables.format_markdown(_build_text(result), images)


def format_page(result: ExperimentResult, sheets: Mapping[str, str]) -> str:
    """The same as an HTML page; every image has an alternative text, nothing is fetched."""
    images = []
    for condition, name in sheets.items():
        title = escape(CONDITIONS[condition])
        alt = f"Images of all methods: {title}"
        images.append(f'<h2>{title}</h2><img src="{escape(name)}" alt="{alt}">')
    return tables.format_page(_build_text(result), bottom=images)


def write_sheet(
    path: Path, held_out: HeldOutSet, condition: Condition, folders: Mapping[str, Path], rows: int
) -> None:
    """Write a JPEG with ``rows`` products spread over the set; ``folders`` maps methods to their images.

    An image that failed leaves its cell empty. Raises OutputError.
    """
    images = {
        name: {row["id"]: folder / row["output"] for row in iterate_rows(folder) if row["status"] == "done"}
        for name, folder in folders.items()
    }
    keys = [str(item.id) for item in held_out.items]
    chosen = [keys[n * len(keys) // min(rows, len(keys))] for n in range(min(rows, len(keys)))]
    columns: dict[str, Mapping[str, Path | None]] = {"product": _list_files(held_out.products.items, chosen)}
    if condition != "self":
        columns["truth"] = _list_files(held_out.truth.items, chosen)
    references = held_out.get_references(condition)
    if references is not None:
        columns["reference"] = _list_files(references.items, chosen)
    columns |= {name: {key: found.get(key) for key in chosen} for name, found in images.items()}
    cells = [[column[key] for column in columns.values()] for key in chosen]
    with Image.open(io.BytesIO(encode_overview(cells, list(columns)))) as image:
        stream = io.BytesIO()
        image.convert("RGB").save(stream, "JPEG", quality=88, optimize=True)
    write_atomic(path, stream.getvalue())


def _list_files(items: Mapping[str, ImageItem], keys: list[str]) -> dict[str, Path | None]:
    return {key: image if isinstance(image := items[key].image, Path) else None for key in keys}
