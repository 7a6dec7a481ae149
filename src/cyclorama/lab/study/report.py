"""The scores of a study as JSON, as Markdown, and as one HTML page."""

from __future__ import annotations

import json
from dataclasses import asdict
from html import escape

from cyclorama.evaluation import tables
from cyclorama.evaluation.tables import ReportTable, ReportText
from cyclorama.lab.study.score import UNITS, QuestionScore, StudyScore

READING = (
    "Mean rank score: the first of n places gives n points, the last gives 1. Intervals hold 95 % of the "
    "bootstrap draws of raters and pairs. p: Wilcoxon's signed-rank test, corrected by Holm for all pairs of "
    "methods; over pairs it speaks for other products, over raters for other people."
)


def format_json(score: StudyScore) -> str:
    """Everything, as JSON text without NaN."""
    return json.dumps(asdict(score), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def format_markdown(score: StudyScore) -> str:
    """Scores, tests and reliability as Markdown; method names are taken as text."""
    return tables.format_markdown(_build_text(score))


def format_html(score: StudyScore) -> str:
    """The same as one page that fetches nothing, with a drawing of the intervals."""
    return tables.format_page(_build_text(score), top=map(_draw, score.questions))


def _build_text(score: StudyScore) -> ReportText:
    fact = (
        f"{len(score.methods)} methods, {score.pairs} product–reference pairs, {len(score.raters)} raters; "
        f"study {score.study}."
    )
    lines = [line for question in score.questions for line in _state(question)]
    lists = {"Agreement and reliability": lines, "Notes": score.notes}
    return ReportText("User study", [fact], [READING], _build_tables(score), lists)


def _build_tables(score: StudyScore) -> list[ReportTable]:
    found = {q.question: {one.method: one for one in q.methods} for q in score.questions}
    rows = [
        [method, *(one[method].score.format(2) for one in found.values())]
        + [f"{one[method].first_share:.0%}" for one in found.values()]
        for method in score.methods
    ]
    heads = ["method", *found, *(f"first place, {question}" for question in found)]
    tables = [ReportTable("Mean rank scores (95 % interval)", heads, rows)]
    for question in score.questions:
        rows = [
            [f"{one.first} − {one.second}", one.difference.format(2), f"{one.first_above:.0%}"]
            + [_show_p(one.p[unit]) for unit in UNITS]
            for one in question.differences
        ]
        heads = ["methods", "difference (95 % interval)", "first above second"]
        heads += [f"p over {unit}" for unit in UNITS]
        tables.append(ReportTable(f"Differences in {question.question}", heads, rows))
    heads = ["rater", "rankings", "repeats: tau", "repeats: same first", "as shown", "median seconds"]
    rows = []
    for rater in score.raters:
        again = rater.repetition
        repeats = [f"{again.tau:.2f}", f"{again.same_first:.0%}"] if again else ["–", "–"]
        shares = [f"{rater.as_shown:.0%}", f"{rater.median_seconds:.1f}"]
        rows.append([rater.rater, str(rater.rankings), *repeats, *shares])
    tables.append(ReportTable("Raters", heads, rows))
    return tables


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
        mean = place(score.value)
        parts.append(f'<text x="0" y="{y + 4}" fill="currentColor">{escape(name)}</text>')
        parts.append(f'<circle cx="{mean}" cy="{y}" r="6" fill="var(--mark)"/>')
        if score.low is not None and score.high is not None:
            ends = f'x1="{place(score.low)}" x2="{place(score.high)}" y1="{y}" y2="{y}"'
            parts.append(f'<line {ends} stroke="var(--mark)" stroke-width="3"/>')
    label = escape("; ".join(f"{one.method} {one.score.format(2)}" for one in question.methods))
    return (
        f"<h2>{escape(question.question.capitalize())}</h2>"
        f'<svg role="img" aria-label="{label}" width="{width}" height="{top + 30 * count + 6}" '
        f'viewBox="0 0 {width} {top + 30 * count + 6}">{"".join(parts)}</svg>'
    )


def _show_p(p: float | None) -> str:
    if p is None:
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
