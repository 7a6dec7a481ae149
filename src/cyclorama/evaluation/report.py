"""The figures as JSON and Markdown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cyclorama.evaluation.calibration import CalibrationRow
from cyclorama.evaluation.compare import PairedDifference
from cyclorama.evaluation.measure import Evaluation
from cyclorama.evaluation.settings import METRICS

CAUTION = (
    "Distances and similarities hold for the named network, weights and resampling only; those of the "
    "project's own network are not comparable with published ones."
)


@dataclass(frozen=True, eq=False)
class Report:
    """One set scored, or two compared."""

    evaluations: tuple[Evaluation, ...]
    differences: tuple[PairedDifference, ...] = ()
    calibration: tuple[CalibrationRow, ...] = ()

    @property
    def title(self) -> str:
        """What the report is about."""
        names = " and ".join(evaluation.name for evaluation in self.evaluations)
        return f"Comparison of {names}" if self.differences else f"Evaluation of {names}"


@dataclass(frozen=True)
class Table:
    """A caption, the heads of the columns and rows of text; all rows have as many cells as heads."""

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def build_json(report: Report, with_rows: bool = False) -> dict[str, Any]:
    """The report as plain values, finite numbers only; with the rows of all images if asked for."""
    sets = []
    for evaluation in report.evaluations:
        values: dict[str, Any] = {
            "images": evaluation.name,
            "count": len(evaluation.rows),
            "against": evaluation.against,
            "references": evaluation.references,
            "used": evaluation.used,
            "metrics": {
                name: {**asdict(estimate), "better": METRICS[name].better, "unit": METRICS[name].unit}
                for name, estimate in evaluation.estimates.items()
            },
            "distances": [asdict(distance) for distance in evaluation.distances],
            "compactness": {
                name: {**asdict(found), "ratio": found.ratio}
                for name, found in evaluation.compactness.items()
                if found.between > 0
            },
            "notes": list(evaluation.notes),
        }
        if with_rows:
            values["rows"] = evaluation.rows
        sets.append(values)
    result: dict[str, Any] = {"title": report.title, "sets": sets, "caution": CAUTION}
    if report.differences:
        result["differences"] = [
            {**asdict(d), "verdict": d.verdict, "better": METRICS[d.metric].better}
            for d in report.differences
        ]
    if report.calibration:
        result["calibration"] = [asdict(row) for row in report.calibration]
    return result


def format_json(report: Report, with_rows: bool = False) -> str:
    """The report as JSON text."""
    return json.dumps(build_json(report, with_rows), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def build_tables(report: Report) -> list[Table]:
    """The report's tables: differences; means, distances and categories of each set; calibration."""
    tables = [_tabulate_differences(report.differences)] if report.differences else []
    for evaluation in report.evaluations:
        suffix = f" of {evaluation.name}" if len(report.evaluations) > 1 else ""
        tables.append(_tabulate_means(evaluation, suffix))
        if evaluation.distances:
            tables.append(_tabulate_distances(evaluation, suffix))
        if evaluation.compactness:
            tables.append(_tabulate_categories(evaluation, suffix))
    if report.calibration:
        rows = tuple((row.name, f"{row.fid:.4g}", f"{row.kid:.4g}") for row in report.calibration)
        tables.append(Table("Calibration: the true set against", ("pair", "FID", "KID"), rows))
    return tables


def _tabulate_means(evaluation: Evaluation, suffix: str) -> Table:
    rows = []
    for name, estimate in evaluation.estimates.items():
        metric = METRICS[name]
        title = metric.title + (f" ({metric.unit})" if metric.unit else "")
        value, low, high = (f"{v:.{metric.digits}f}" for v in (estimate.value, estimate.low, estimate.high))
        rows.append((title, value, f"{low} to {high}", metric.better, str(estimate.count)))
    heads = ("metric", "mean", "95 % interval", "better", "images")
    return Table(f"Means over images{suffix}", heads, tuple(rows))


def _tabulate_distances(evaluation: Evaluation, suffix: str) -> Table:
    rows = tuple(
        (
            distance.features,
            f"{distance.fid:.4g}",
            "–" if distance.fid_extrapolated is None else f"{distance.fid_extrapolated:.4g}",
            "–" if distance.kid is None else f"{distance.kid:.4g} ± {distance.kid_spread:.2g}",
            f"{distance.counts[0]} / {distance.counts[1]}",
        )
        for distance in evaluation.distances
    )
    heads = ("features", "FID", "FID with many images", "KID", "images")
    return Table(f"Distances between sets{suffix}", heads, rows)


def _tabulate_categories(evaluation: Evaluation, suffix: str) -> Table:
    rows = tuple(
        (
            name,
            str(c.count),
            f"{c.within:.3f}",
            f"{c.between:.3f}",
            c.nearest,
            f"{c.nearest_centre_share:.0%}",
        )
        for name, c in evaluation.compactness.items()
    )
    heads = ("category", "images", "within", "to nearest centre", "nearest", "nearest to own centre")
    return Table(f"Compactness of categories{suffix}", heads, rows)


def _tabulate_differences(differences: Sequence[PairedDifference]) -> Table:
    rows = []
    for found in differences:
        metric = METRICS[found.metric]
        numbers = (
            found.first,
            found.second,
            found.difference.value,
            found.difference.low,
            found.difference.high,
        )
        first, second, value, low, high = (f"{v:.{metric.digits}f}" for v in numbers)
        rows.append((metric.title, first, second, f"{value} ({low} to {high})", found.wins, found.verdict))
    heads = (
        "metric",
        "first",
        "second",
        "difference (95 % interval)",
        "wins first / second / ties",
        "better",
    )
    return Table("Paired differences", heads, tuple(rows))


def format_markdown(report: Report) -> str:
    """The report as Markdown: what was scored and with what, the tables, the notes."""
    lines = [f"# {report.title}", ""]
    for evaluation in report.evaluations:
        lines += [f"- {line}" for line in describe_set(evaluation)]
    lines += ["", CAUTION, ""]
    for table in build_tables(report):
        lines += [
            f"## {table.caption}",
            "",
            _format_row(table.heads),
            _format_row(["---"] * len(table.heads)),
        ]
        lines += [*(_format_row(row) for row in table.rows), ""]
    notes = [note for evaluation in report.evaluations for note in evaluation.notes]
    if notes:
        lines += ["## Notes", "", *(f"- {note}" for note in dict.fromkeys(notes)), ""]
    return "\n".join(lines)


def describe_set(evaluation: Evaluation) -> list[str]:
    """Lines that say what was scored against what and with which networks."""
    against = f" against {evaluation.against}" if evaluation.against else ""
    references = f", references {evaluation.references}" if evaluation.references else ""
    used = "; ".join(f"{what}: {name}" for what, name in evaluation.used.items())
    return [f"{len(evaluation.rows)} images of {evaluation.name}{against}{references}", used]


def _format_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
