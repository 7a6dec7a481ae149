"""The experiment as one HTML page: tables, and the sheets that lie beside it."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from cyclorama.evaluation.report import CAUTION
from cyclorama.evaluation.report_html import STYLE, format_table
from cyclorama.lab.experiments.table import CONDITIONS, READING, ExperimentResult, build_tables, describe


def format_page(result: ExperimentResult, sheets: Mapping[str, str]) -> str:
    """The page; every text is escaped, every image has an alternative text, nothing is fetched."""
    title = escape(result.title)
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{title}</title><style>{STYLE}</style></head><body><h1>{title}</h1>",
        *(f'<p class="soft">{escape(line)}</p>' for line in [*describe(result), READING, CAUTION]),
        *(format_table(table) for table in build_tables(result)),
    ]
    for condition, name in sheets.items():
        alt = escape(f"Images of all methods: {CONDITIONS[condition]}")
        parts.append(f'<h2>{escape(CONDITIONS[condition])}</h2><img src="{escape(name)}" alt="{alt}">')
    if result.notes:
        parts.append(
            "<h2>Notes</h2><ul>" + "".join(f"<li>{escape(note)}</li>" for note in result.notes) + "</ul>"
        )
    return "\n".join([*parts, "</body></html>\n"])
