"""A report as Markdown and as one HTML page: texts, tables, lists and images; nothing is fetched."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from PIL import Image

from cyclorama.types import Pixels

STYLE = """
:root{color-scheme:light dark;--paper:#f6f5f2;--card:#fff;--ink:#23211d;--soft:#6c675e;--line:#dedad2;
--mark:#1d4f91}
@media (prefers-color-scheme:dark){:root{
--paper:#1b1a18;--card:#262421;--ink:#eeebe5;--soft:#a8a297;--line:#3a3732;--mark:#8db8f0}}
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
svg{max-width:100%;height:auto;font:13px system-ui,sans-serif}
"""
_THUMBNAIL = 224


@dataclass(frozen=True)
class ReportTable:
    """A caption, the heads of the columns and rows of text, each with as many cells as there are heads."""

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class ReportText:
    """What a report says, whatever form it takes. In cells ``**text**`` is bold."""

    title: str
    facts: Sequence[str]
    """What was measured, with what."""
    reading: Sequence[str]
    """How the figures are to be read."""
    tables: Sequence[ReportTable]
    lists: Mapping[str, Iterable[str]]
    """Heading -> lines; an empty list is left out."""


def format_markdown(text: ReportText, images: Mapping[str, str] | None = None) -> str:
    """The report as Markdown; ``images`` maps captions to image files beside it."""
    lines = [f"# {text.title}", "", *(f"- {fact}" for fact in text.facts), ""]
    for paragraph in text.reading:
        lines += [paragraph, ""]
    for table in text.tables:
        lines += [f"## {table.caption}", "", *map(_format_row, (table.heads, ["---"] * len(table.heads)))]
        lines += [*map(_format_row, table.rows), ""]
    for caption, name in (images or {}).items():
        lines += [f"## Images: {caption}", "", f"![{caption}]({name})", ""]
    for heading, entries in text.lists.items():
        if found := [f"- {entry}" for entry in dict.fromkeys(entries)]:
            lines += [f"## {heading}", "", *found, ""]
    return "\n".join(lines)


def _format_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def format_page(text: ReportText, top: Iterable[str] = (), bottom: Iterable[str] = ()) -> str:
    """The report as an HTML page; every text is escaped. ``top`` and ``bottom`` are HTML before the tables
    and at the end.
    """
    title = escape(text.title)
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{title}</title><style>{STYLE}</style></head><body><h1>{title}</h1>",
        *(f'<p class="soft">{escape(line)}</p>' for line in [*text.facts, *text.reading]),
        *top,
        *map(_format_table, text.tables),
    ]
    for heading, entries in text.lists.items():
        if found := "".join(f"<li>{escape(entry)}</li>" for entry in dict.fromkeys(entries)):
            parts.append(f"<h2>{escape(heading)}</h2><ul>{found}</ul>")
    return "\n".join([*parts, *bottom, "</body></html>\n"])


def _format_table(table: ReportTable) -> str:
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


def format_figure(pixels: Pixels, alt: str, caption: str) -> str:
    """A thumbnail inside the page with its caption."""
    image = Image.fromarray(pixels)
    image.thumbnail((_THUMBNAIL, _THUMBNAIL), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=88)
    size = f'width="{image.width}" height="{image.height}"'
    return (
        f'<figure style="width:{image.width}px"><img src="{embed(stream.getvalue(), "jpeg")}" '
        f'alt="{escape(alt)}" {size}><figcaption>{escape(caption)}</figcaption></figure>'
    )


def embed(data: bytes, kind: str) -> str:
    """The address of an image of type ``kind`` that is its own content."""
    return f"data:image/{kind};base64," + base64.b64encode(data).decode()
