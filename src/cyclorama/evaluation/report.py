"""The figures as JSON, Markdown and one HTML page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

from cyclorama.evaluation.compare import PairedDifference
from cyclorama.evaluation.measure import Evaluation
from cyclorama.evaluation.settings import METRICS
from cyclorama.evaluation.tables import ReportTable, ReportText, embed, format_figure, format_page

CAUTION = (
    "Distances and similarities hold for the named network, weights and resampling only; those of the "
    "project's own network are not comparable with published ones."
)
SHOWN = 24
"""Images on the page; they are spread evenly over the keys."""


@dataclass(frozen=True, eq=False)
class Report:
    """One set scored, or two compared."""

    evaluations: tuple[Evaluation, ...]
    differences: tuple[PairedDifference, ...] = ()
    calibration: tuple[tuple[str, float, float], ...] = ()

    @property
    def title(self) -> str:
        """What the report is about."""
        names = " and ".join(evaluation.name for evaluation in self.evaluations)
        return f"Comparison of {names}" if self.differences else f"Evaluation of {names}"

    @property
    def notes(self) -> list[str]:
        """The notes of all sets, each once."""
        return list(dict.fromkeys(note for e in self.evaluations for note in (*e.notes, *e.left_out)))


def build_json(report: Report, with_rows: bool = False) -> dict[str, Any]:
    """The report as plain values, finite numbers only; with the rows of all images if asked for."""
    sets = []
    for evaluation in report.evaluations:
        truth, references = evaluation.partners.truth, evaluation.partners.references
        values: dict[str, Any] = {
            "images": evaluation.name,
            "count": len(evaluation.rows),
            "against": None if truth is None else truth.name,
            "references": None if references is None else references.name,
            "used": evaluation.used,
            "metrics": {
                name: {**asdict(estimate), "better": METRICS[name].better, "unit": METRICS[name].unit}
                for name, estimate in evaluation.estimates.items()
            },
            "published": evaluation.published,
            "distances": [asdict(distance) for distance in evaluation.distances],
            "compactness": {
                name: {**asdict(found), "ratio": found.ratio}
                for name, found in evaluation.compactness.items()
                if found.between > 0
            },
            "notes": [*evaluation.notes, *evaluation.left_out],
        }
        sets.append(values | ({"rows": evaluation.rows} if with_rows else {}))
    result: dict[str, Any] = {"title": report.title, "sets": sets, "caution": CAUTION}
    if report.differences:
        result["differences"] = [
            {**asdict(d), "verdict": d.verdict, "better": METRICS[d.metric].better}
            for d in report.differences
        ]
    if report.calibration:
        result["calibration"] = [dict(zip(("name", "fid", "kid"), row)) for row in report.calibration]
    return result


def format_json(report: Report, with_rows: bool = False) -> str:
    """The report as JSON text."""
    return json.dumps(build_json(report, with_rows), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def build_text(report: Report) -> ReportText:
    """The report's texts and tables: differences; means, distances, categories of each set; calibration."""
    tables = [_tabulate_differences(report.differences)] if report.differences else []
    facts = []
    for evaluation in report.evaluations:
        fact = f"{len(evaluation.rows)} images of {evaluation.name}"
        partners = evaluation.partners
        for word, partner in (("against", partners.truth), ("references", partners.references)):
            fact += "" if partner is None else f", {word} {partner.name}"
        facts += [fact, "; ".join(f"{what}: {name}" for what, name in evaluation.used.items())]
        suffix = f" of {evaluation.name}" if len(report.evaluations) > 1 else ""
        tables += _tabulate_set(evaluation, suffix)
    if report.calibration:
        rows = [(name, f"{fid:.4g}", f"{kid:.4g}") for name, fid, kid in report.calibration]
        tables.append(ReportTable("Calibration: the true set against", ("pair", "FID", "KID"), rows))
    return ReportText(report.title, facts, [CAUTION], tables, {"Notes": report.notes})


def _tabulate_set(evaluation: Evaluation, suffix: str) -> list[ReportTable]:
    rows: list[tuple[str, ...]] = []
    for name, estimate in evaluation.estimates.items():
        metric = METRICS[name]
        title = metric.title + (f" ({metric.unit})" if metric.unit else "")
        interval = estimate.format_interval(metric.digits)
        rows.append((title, metric.format(estimate.value), interval, metric.better, str(estimate.count)))
    heads: tuple[str, ...] = ("metric", "mean", "95 % interval", "better", "images")
    tables = [ReportTable(f"Means over images{suffix}", heads, rows)]
    rows = [
        (METRICS[name].title, METRICS[name].format(value)) for name, value in evaluation.published.items()
    ]
    tables.append(
        ReportTable(f"Layout metrics as published, over all posters{suffix}", ("metric", "value"), rows)
    )
    rows = [
        (
            distance.features,
            f"{distance.fid:.4g}",
            "–" if distance.fid_extrapolated is None else f"{distance.fid_extrapolated:.4g}",
            f"{distance.kid:.4g}" + ("" if distance.kid_spread is None else f" ± {distance.kid_spread:.2g}"),
            f"{distance.counts[0]} / {distance.counts[1]}",
        )
        for distance in evaluation.distances
    ]
    heads = ("features", "FID", "FID with many images", "KID", "images")
    tables.append(ReportTable(f"Distances between sets{suffix}", heads, rows))
    rows = []
    for name, c in evaluation.compactness.items():
        sides = f"{c.within:.3f}", f"{c.between:.3f}"
        rows.append((name, str(c.count), *sides, c.nearest, f"{c.nearest_centre_share:.0%}"))
    heads = ("category", "images", "within", "to nearest centre", "nearest", "nearest to own centre")
    tables.append(ReportTable(f"Compactness of categories{suffix}", heads, rows))
    return [table for table in tables if table.rows]


def _tabulate_differences(differences: Sequence[PairedDifference]) -> ReportTable:
    rows = []
    for found in differences:
        metric = METRICS[found.metric]
        means = metric.format(found.first), metric.format(found.second)
        rows.append((metric.title, *means, found.difference.format(metric.digits), found.wins, found.verdict))
    wins = "wins first / second / ties"
    heads = ("metric", "first", "second", "difference (95 % interval)", wins, "better")
    return ReportTable("Paired differences", heads, rows)


def format_html(report: Report) -> str:
    """The page: summary, tables, map of categories, then images beside their originals and references.

    Every text is escaped, every image has an alternative text.
    """
    parts = []
    for evaluation in report.evaluations:
        if evaluation.projection is not None:
            alt = escape(f"Map of the features of {evaluation.name} by category")
            parts.append(
                f'<h2>Categories</h2><figure><img src="{embed(evaluation.projection, "png")}" alt="{alt}">'
                f"<figcaption>{escape(evaluation.used.get('projection', ''))}</figcaption></figure>"
            )
    images = _show_images(report.evaluations)
    return format_page(build_text(report), bottom=[*parts, "<h2>Images</h2>", *images])


def _show_images(evaluations: Sequence[Evaluation]) -> list[str]:
    first = evaluations[0].partners
    keys = [key for key in first.images.keys if all(key in e.rows for e in evaluations)]
    keys = [keys[n * len(keys) // min(SHOWN, len(keys))] for n in range(min(SHOWN, len(keys)))]
    parts = []
    for key in keys:
        cells = []
        if first.truth is not None and first.paired:
            cells.append(format_figure(first.truth.load(key).pixels, f"original of {key}", "original"))
        if first.references is not None and key in first.reference_of:
            reference = first.references.load(first.reference_of[key])
            cells.append(format_figure(reference.pixels, f"reference of {key}", f"reference {reference.key}"))
        for one in evaluations:
            row = one.rows[key].items()
            figures = "; ".join(f"{METRICS[name].title} {METRICS[name].format(value)}" for name, value in row)
            pixels = one.partners.images.load(key).pixels
            cells.append(format_figure(pixels, f"{key} of {one.name}", f"{one.name}: {figures}"))
        category = first.categories.get(key)
        title = escape(f"{key} · {category}" if category else key)
        shown = "".join(cells)
        parts.append(f'<article class="row"><h3>{title}</h3><div class="cells">{shown}</div></article>')
    return parts
