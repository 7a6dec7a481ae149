"""The report as one HTML file with its images inside: nothing is fetched from elsewhere."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from PIL import Image

from cyclorama.evaluation.image_metrics import Row
from cyclorama.evaluation.partners import Partners
from cyclorama.evaluation.report import CAUTION, Report, Table, build_tables, describe_set
from cyclorama.evaluation.settings import METRICS

if TYPE_CHECKING:
    from cyclorama.types import Pixels

SHOWN = 24
"""Images shown; they are spread evenly over the keys."""
_THUMBNAIL = 224
STYLE = """
:root{color-scheme:light dark;--paper:#f6f5f2;--card:#fff;--ink:#23211d;--soft:#6c675e;--line:#dedad2}
@media (prefers-color-scheme:dark){:root{
--paper:#1b1a18;--card:#262421;--ink:#eeebe5;--soft:#a8a297;--line:#3a3732}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:80rem;padding:1rem;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.5rem;overflow-wrap:anywhere}h2{font-size:1.15rem;margin-top:2rem}
.soft,figcaption{color:var(--soft);font-size:.875rem;overflow-wrap:anywhere}
.wide{overflow-x:auto}table{border-collapse:collapse;background:var(--card);font-size:.9rem}
th,td{border:1px solid var(--line);padding:.3rem .6rem;text-align:left}
td{font-variant-numeric:tabular-nums}
.row{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.75rem;margin:0 0 1rem}
.row h3{margin:0 0 .5rem;font-size:1rem;overflow-wrap:anywhere}
.cells{display:flex;flex-wrap:wrap;gap:.75rem}figure{margin:0}img{max-width:100%;border-radius:.3rem}
"""


def format_html(report: Report, partners: Sequence[Partners]) -> str:
    """The page: summary, tables, map of categories, then images beside their originals and references.

    ``partners`` are those of the report's evaluations, in their order. Every text is escaped, every image
    has an alternative text.
    """
    title = escape(report.title)
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{title}</title><style>{STYLE}</style></head><body><h1>{title}</h1>",
    ]
    lines = [line for evaluation in report.evaluations for line in describe_set(evaluation)]
    parts += [f'<p class="soft">{escape(line)}</p>' for line in [*lines, CAUTION]]
    parts += [format_table(table) for table in build_tables(report)]
    notes = dict.fromkeys(note for evaluation in report.evaluations for note in evaluation.notes)
    if notes:
        parts.append("<h2>Notes</h2><ul>" + "".join(f"<li>{escape(note)}</li>" for note in notes) + "</ul>")
    for evaluation in report.evaluations:
        if evaluation.projection is not None:
            method = evaluation.used.get("projection", "")
            source = "data:image/png;base64," + base64.b64encode(evaluation.projection).decode()
            alt = escape(f"Map of the features of {evaluation.name} by category")
            parts.append(f'<h2>Categories</h2><figure><img src="{source}" alt="{alt}">')
            parts.append(f"<figcaption>{escape(method)}</figcaption></figure>")
    parts += [
        "<h2>Images</h2>",
        *_format_images(partners, [evaluation.rows for evaluation in report.evaluations]),
    ]
    parts.append("</body></html>\n")
    return "\n".join(parts)


def format_table(table: Table) -> str:
    """A table with its caption as a heading; ``**text**`` of a cell is bold. Every text is escaped."""
    heads = "".join(f'<th scope="col">{escape(head)}</th>' for head in table.heads)
    rows = "".join(
        "<tr>" + "".join(f"<td>{_format_cell(cell)}</td>" for cell in row) + "</tr>" for row in table.rows
    )
    return (
        f'<h2>{escape(table.caption)}</h2><div class="wide"><table><thead><tr>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _format_cell(text: str) -> str:
    if len(text) > 4 and text.startswith("**") and text.endswith("**"):
        return f"<strong>{escape(text[2:-2])}</strong>"
    return escape(text)


def _format_images(partners: Sequence[Partners], rows: Sequence[Mapping[str, Row]]) -> list[str]:
    first = partners[0]
    keys = [key for key in first.images.keys if all(key in p.images for p in partners)]
    keys = [keys[n * len(keys) // min(SHOWN, len(keys))] for n in range(min(SHOWN, len(keys)))]
    parts = []
    for key in keys:
        cells = []
        if first.truth is not None and first.paired:
            cells.append(_format_figure(first.truth.load(key).pixels, f"original of {key}", "original"))
        if first.references is not None and key in first.reference_of:
            reference = first.references.load(first.reference_of[key])
            cells.append(
                _format_figure(reference.pixels, f"reference of {key}", f"reference {reference.key}")
            )
        for one, scores in zip(partners, rows):
            row = scores[key]
            notes = "; ".join(
                f"{METRICS[name].title} {value:.{METRICS[name].digits}f}" for name, value in row.items()
            )
            caption = f"{one.images.name}: {notes}"
            cells.append(_format_figure(one.images.load(key).pixels, f"{key} of {one.images.name}", caption))
        category = first.categories.get(key)
        title = f"{key} · {category}" if category else key
        parts.append(
            f'<article class="row"><h3>{escape(title)}</h3>'
            f'<div class="cells">{"".join(cells)}</div></article>'
        )
    return parts


def _format_figure(pixels: Pixels, alt: str, caption: str) -> str:
    image = Image.fromarray(pixels)
    image.thumbnail((_THUMBNAIL, _THUMBNAIL), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=88)
    source = "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()
    size = f'width="{image.width}" height="{image.height}"'
    return (
        f'<figure style="width:{image.width}px"><img src="{source}" alt="{escape(alt)}" {size}>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )
