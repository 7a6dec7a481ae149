"""The scores of a study as JSON, as Markdown, and as one HTML page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from html import escape

from cyclorama.evaluation.bootstrap import Estimate
from cyclorama.lab.study.score import QuestionScore, RaterScore, StudyScore

READING = (
    "Mean rank score: the first of n places gives n points, the last gives 1. Intervals hold 95 % of the "
    "bootstrap draws of raters and pairs. p: Wilcoxon's signed-rank test, corrected by Holm for all pairs of "
    "methods; over pairs it speaks for other products, over raters for other people."
)
_STYLE = """
:root{color-scheme:light dark;--paper:#f6f5f2;--card:#fff;--ink:#23211d;--soft:#6c675e;
--line:#dedad2;--mark:#1d4f91}
@media (prefers-color-scheme:dark){:root{
--paper:#1b1a18;--card:#262421;--ink:#eeebe5;--soft:#a8a297;--line:#3a3732;--mark:#8db8f0}}
body{margin:0 auto;max-width:70rem;padding:1rem;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}.soft{color:var(--soft);font-size:.875rem}
.wide{overflow-x:auto}table{border-collapse:collapse;background:var(--card);font-size:.9rem}
th,td{border:1px solid var(--line);padding:.3rem .6rem;text-align:left;font-variant-numeric:tabular-nums}
caption{text-align:left;font-weight:600;padding:.3rem 0}
svg{max-width:100%;height:auto;font:13px system-ui,sans-serif}
"""


@dataclass(frozen=True)
class _Table:
    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


def format_json(score: StudyScore) -> str:
    """Everything, as JSON text without NaN."""
    return json.dumps(asdict(score), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def format_markdown(score: StudyScore) -> str:
    """Scores, tests and reliability as Markdown; method names are taken as text."""
    lines = ["# User study", "", _describe(score), "", READING, ""]
    for table in _build_tables(score):
        lines += [
            f"## {table.caption}",
            "",
            _format_row(table.heads),
            _format_row(["---"] * len(table.heads)),
        ]
        lines += [*(_format_row(row) for row in table.rows), ""]
    for question in score.questions:
        lines += [f"- {line}" for line in _state(question)]
    lines += ["", "## Notes", "", *(f"- {note}" for note in score.notes), ""]
    return "\n".join(lines)


def format_html(score: StudyScore) -> str:
    """The same as one page that fetches nothing, with a drawing of the intervals."""
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>User study</title><style>{_STYLE}</style></head><body><main><h1>User study</h1>",
        f'<p>{escape(_describe(score))}</p><p class="soft">{escape(READING)}</p>',
        *(_draw(question) for question in score.questions),
        *(_format_table(table) for table in _build_tables(score)),
        "<h2>Agreement and reliability</h2><ul>",
        *(f"<li>{escape(line)}</li>" for question in score.questions for line in _state(question)),
        "</ul><h2>Notes</h2><ul>",
        *(f"<li>{escape(note)}</li>" for note in score.notes),
        "</ul></main></body></html>\n",
    ]
    return "\n".join(parts)


def _describe(score: StudyScore) -> str:
    return (
        f"{len(score.methods)} methods, {score.pairs} product–reference pairs, {len(score.raters)} raters; "
        f"study {score.study}."
    )


def _build_tables(score: StudyScore) -> list[_Table]:
    found = {q.question: {one.method: one for one in q.methods} for q in score.questions}
    rows = [
        [method, *(_show(one[method].score) for one in found.values())]
        + [f"{one[method].first_share:.0%}" for one in found.values()]
        for method in score.methods
    ]
    heads = ["method", *found, *(f"first place, {question}" for question in found)]
    tables = [_Table("Mean rank scores (95 % interval)", heads, rows)]
    for question in score.questions:
        rows = [
            [
                f"{one.first} − {one.second}",
                _show(one.difference),
                f"{one.first_above:.0%}",
                _show_p(one.p["pairs"]),
                _show_p(one.p["raters"]),
            ]
            for one in question.differences
        ]
        heads = [
            "methods",
            "difference (95 % interval)",
            "first above second",
            "p over pairs",
            "p over raters",
        ]
        tables.append(_Table(f"Differences in {question.question}", heads, rows))
    heads = ["rater", "rankings", "repeats: tau", "repeats: same first", "as shown", "median seconds"]
    tables.append(_Table("Raters", heads, [_format_rater(one) for one in score.raters]))
    return tables


def _format_rater(one: RaterScore) -> list[str]:
    again = one.repetition
    tau, same = (f"{again.tau:.2f}", f"{again.same_first:.0%}") if again else ("–", "–")
    return [one.rater, str(one.rankings), tau, same, f"{one.as_shown:.0%}", f"{one.median_seconds:.1f}"]


def _state(question: QuestionScore) -> list[str]:
    """Sentences on tests and reliability of one question."""
    lines = []
    for unit, test in question.friedman.items():
        if test is not None:
            lines.append(
                f"{question.question}: Friedman over {test.blocks} {unit}: chi-square {test.chi_square:.2f}, "
                f"p {_show_p(test.p)}; Kendall's W {test.concordance:.3f}"
            )
    if question.agreement is not None and question.agreement_by_chance is not None:
        lines.append(
            f"{question.question}: raters of one pair agree with Kendall's W {question.agreement:.3f} "
            f"(by chance {question.agreement_by_chance:.3f})"
        )
    if question.repetition is not None:
        again = question.repetition
        lines.append(
            f"{question.question}: {again.count} repeated rankings: tau {again.tau:.3f}, same first place "
            f"{again.same_first:.0%} (by chance 0 and {1 / len(question.methods):.0%})"
        )
    places = ", ".join(f"{value:.2f}" for value in question.places)
    lines.append(f"{question.question}: mean rank score by place on the page: {places}")
    return lines


def _draw(question: QuestionScore) -> str:
    """Means and intervals on a line from 1 to n, best on top."""
    top, count, width = 24, len(question.methods), 640
    left, right = 200, 20

    def place(value: float) -> float:
        return round(left + (value - 1) / max(1, count - 1) * (width - left - right), 1)

    parts = []
    for n in range(1, count + 1):
        x = place(n)
        parts.append(f'<line x1="{x}" x2="{x}" y1="{top}" y2="{top + 30 * count}" stroke="var(--line)"/>')
        parts.append(f'<text x="{x}" y="16" text-anchor="middle" fill="currentColor">{n}</text>')
    for row, one in enumerate(question.methods):
        y, score = top + 15 + 30 * row, one.score
        name = one.method if len(one.method) <= 26 else one.method[:25] + "…"
        low, mean, high = place(score.low), place(score.value), place(score.high)
        parts.append(f'<text x="0" y="{y + 4}" fill="currentColor">{escape(name)}</text>')
        parts.append(
            f'<line x1="{low}" x2="{high}" y1="{y}" y2="{y}" stroke="var(--mark)" stroke-width="3"/>'
            f'<circle cx="{mean}" cy="{y}" r="6" fill="var(--mark)"/>'
        )
    label = escape("; ".join(f"{one.method} {_show(one.score)}" for one in question.methods))
    return (
        f"<h2>{escape(question.question.capitalize())}</h2>"
        f'<svg role="img" aria-label="{label}" width="{width}" height="{top + 30 * count + 6}" '
        f'viewBox="0 0 {width} {top + 30 * count + 6}">{"".join(parts)}</svg>'
    )


def _format_table(table: _Table) -> str:
    heads = "".join(f'<th scope="col">{escape(head)}</th>' for head in table.heads)
    rows = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in table.rows
    )
    return (
        f'<div class="wide"><table><caption>{escape(table.caption)}</caption><thead><tr>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _format_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _show(estimate: Estimate) -> str:
    return f"{estimate.value:.2f} ({estimate.low:.2f} to {estimate.high:.2f})"


def _show_p(p: float | None) -> str:
    if p is None:
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
