"""The contact sheet: one HTML file beside the images, without a single outside resource."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from cyclorama.generation.names import build_ending
from cyclorama.generation.thumbs import SHOWN_ROWS, name_thumbnails

if TYPE_CHECKING:
    from cyclorama.generation.job import ImageRun
    from cyclorama.generation.model import ModelHandle
    from cyclorama.generation.settings import RunConfig

SHEET_NAME = "index.html"

_STYLE = """
:root{color-scheme:light dark;
--paper:#f6f5f2;--card:#fff;--ink:#23211d;--soft:#6c675e;--line:#dedad2;--bad:#a3261b}
@media (prefers-color-scheme:dark){:root{
--paper:#1b1a18;--card:#262421;--ink:#eeebe5;--soft:#a8a297;--line:#3a3732;
--bad:#ff9d90}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
header,main,footer{max-width:88rem;margin:0 auto;padding:1.25rem 1rem}
h1{margin:0;font-size:1.6rem}h2{font-size:1.15rem;margin:2rem 0 .75rem}
p{margin:.35rem 0}.soft,figcaption,footer{color:var(--soft);font-size:.875rem}
.row{background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:.9rem;margin:0 0 1rem}
.row h3{margin:0 0 .5rem;font-size:1rem;overflow-wrap:anywhere}
.cells{display:grid;gap:.75rem;grid-template-columns:repeat(auto-fill,minmax(min(9.5rem,45%),1fr))}
figure{margin:0}figcaption{margin-top:.3rem;overflow-wrap:anywhere}
img{display:block;width:100%;aspect-ratio:1;object-fit:contain;border-radius:.35rem;background:#8883}
a{color:inherit}a:focus-visible{outline:3px solid #4178c4;outline-offset:2px}
.bad{border-left:4px solid var(--bad)}.bad strong{color:var(--bad)}
ul.failures{list-style:none;padding:0}ul.failures li{overflow-wrap:anywhere}
"""


@dataclass(frozen=True)
class Cell:
    """One image of a row; ``thumbnail`` and ``image`` are paths relative to the sheet."""

    caption: str
    alt: str
    thumbnail: str
    output: str | None = None
    """Where a click leads; None for no link."""


@dataclass(frozen=True)
class SheetRow:
    """One line of the sheet: images side by side, or the reason why there are none."""

    title: str
    note: str = ""
    cells: tuple[Cell, ...] = ()
    error: str | None = None


@dataclass
class SheetRows:
    """The result rows that a sheet shows: the first ones, and the first that failed."""

    done: list[dict[str, Any]] = field(default_factory=list)
    failed: list[dict[str, Any]] = field(default_factory=list)

    def add(self, row: dict[str, Any]) -> None:
        """One more row of the run, in order."""
        rows = self.done if row["status"] == "done" else self.failed
        if len(rows) < SHOWN_ROWS:
            rows.append(row)


def build_run_sheet(out: Path, shown: SheetRows, job: ImageRun, done: int, failed: int) -> str:
    """The contact sheet of a run."""
    rows = [build_sheet_row(out, row, job) for row in shown.done]
    rows += [SheetRow(row["name"], error=f"{row['error']}: {row['reason']}") for row in shown.failed]
    return build_sheet("Contact sheet", describe_run(job.model, job.config, done, failed, len(rows)), rows)


def describe_run(model: ModelHandle, config: RunConfig, done: int, failed: int, shown: int) -> list[str]:
    """Counts, model and settings of a run as lines of text."""
    counts = f"{done} of {done + failed} inputs done" + (f", {failed} failed" if failed else "")
    if shown < done + failed:
        counts += f"; the first {shown} are shown, all are in results.jsonl and results.parquet"
    settings = ", ".join(
        f"{name.replace('_', ' ')} {value}"
        for name, value in config.describe_settings().items()
        if value is not None
    )
    run = f"Model {model.name} ({model.hash}), run seed {config.run.seed}"
    return [counts, run, settings]


def build_sheet_row(out: Path, row: dict[str, Any], job: ImageRun) -> SheetRow:
    """The sheet's line for one finished row; cells whose thumbnail is gone are left out, images never are."""
    category, candidates = row["category"], job.config.settings.candidates
    stem = row["stem"]
    names = name_thumbnails(stem, "", True, row.get("reference_digest"))
    cells = []
    if (out / names["product"]).exists():
        cells.append(Cell("product", f"Product of {row['name']}, cut out", names["product"]))
    if "reference" in names and (out / names["reference"]).exists():
        caption = f"reference {row['reference']}"
        cells.append(Cell(caption, caption.capitalize(), names["reference"]))
    notes = []
    for image in row["images"]:
        layout, number = image.get("layout_name") or "", image["candidate"]
        parts = [layout, f"candidate {number}" if len(row["images"]) > 1 and candidates > 1 else ""]
        label = " ".join(part for part in parts if part) or "result"
        ending = build_ending(layout, number, candidates)
        thumbnail = name_thumbnails(stem, ending, False, None)["result"]
        output = None if ":" in image["output"] else image["output"]
        shown = thumbnail if (out / thumbnail).exists() else output or ""
        alt = f"{row['name']} as {category} advertisement, {label}"
        cells.append(Cell(f"{label}, seed {image['seed']}", alt, shown, output))
        notes.append(f"{image['width']} × {image['height']} px, {_describe_exactness(image['report'])}")
        notes += image.get("placement", {}).get("notes", ())
    notes = [f"{category} ({row['category_source']})", *notes, *(row.get("notes") or ())]
    if row.get("seconds"):
        notes.append(f"{row['seconds']:.1f} s")
    return SheetRow(row["name"], " · ".join(dict.fromkeys(notes)), tuple(cells))


def _describe_exactness(report: dict[str, Any]) -> str:
    if report["exact"] is None:
        text = "no pixel is fully product, nothing to prove"
    else:
        text = "product exact" if report["exact"] else f"product off by {report['max_difference']}"
    if report.get("file_max_difference") is not None:
        text += f" before encoding, off by up to {report['file_max_difference']} in the file"
    return text


def build_sheet(title: str, summary: Sequence[str], rows: Sequence[SheetRow]) -> str:
    """The HTML page: ``summary`` paragraphs, a card per finished row, then the failures with reasons.

    Every text is escaped, every image has an alternative text, the page reads without scripts, and
    nothing is fetched from elsewhere.
    """
    finished = [row for row in rows if row.error is None]
    failed = [row for row in rows if row.error is not None]
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>",
        f"<header><h1>{escape(title)}</h1>",
        *(f'<p class="soft">{escape(line)}</p>' for line in summary),
        "</header><main>",
    ]
    if finished:
        parts += ["<section aria-label='Images'>", *(_card(row) for row in finished), "</section>"]
    if failed:
        parts += [
            f"<section aria-label='Failures'><h2>Failed ({len(failed)})</h2><ul class='failures'>",
            *(
                f"<li class='row bad'><strong>{escape(row.title)}</strong><p>{escape(error)}</p></li>"
                for row in failed
                if (error := row.error)
            ),
            "</ul></section>",
        ]
    parts.append("</main><footer>Made with Cyclorama. Each image carries its own settings and seed.</footer>")
    parts.append("</body></html>\n")
    return "\n".join(parts)


def _card(row: SheetRow) -> str:
    cells = "".join(_figure(cell) for cell in row.cells)
    note = f'<p class="soft">{escape(row.note)}</p>' if row.note else ""
    return (
        f'<article class="row"><h3>{escape(row.title)}</h3><div class="cells">{cells}</div>{note}</article>'
    )


def _figure(cell: Cell) -> str:
    image = (
        f'<img src="{escape(quote(cell.thumbnail))}" alt="{escape(cell.alt)}" '
        'loading="lazy" decoding="async" width="256" height="256">'
    )
    if cell.output is not None:
        image = f'<a href="{escape(quote(cell.output))}">{image}</a>'
    return f"<figure>{image}<figcaption>{escape(cell.caption)}</figcaption></figure>"
