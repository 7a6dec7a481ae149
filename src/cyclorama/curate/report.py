"""The report of a curating run as one HTML file: funnel, samples with evidence, distributions, long tail."""

from __future__ import annotations

import base64
import hashlib
import heapq
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from cyclorama.curate.records import Verdict
from cyclorama.curate.report_plots import draw_distribution, draw_funnel, draw_long_tail
from cyclorama.curate.report_statistics import FEW, MANY, Outcome, Statistics, collect_statistics

__all__ = ["Outcome", "ReportSample", "SampleChooser", "Statistics", "collect_statistics", "format_report"]

_STYLE = """
:root{color-scheme:light dark;--paper:#f6f5f2;--card:#fff;--ink:#23211d;--soft:#6c675e;--line:#dedad2;
--keep:#3f7d4f;--repair:#2f6fb3;--review:#c08a1e;--drop:#b0483c}
@media (prefers-color-scheme:dark){:root{
--paper:#1b1a18;--card:#262421;--ink:#eeebe5;--soft:#a8a297;--line:#3a3732}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:80rem;padding:1rem;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.5rem;overflow-wrap:anywhere}h2{font-size:1.15rem;margin-top:2rem}h3{font-size:1rem}
.soft,figcaption{color:var(--soft);font-size:.875rem;overflow-wrap:anywhere}
.wide{overflow-x:auto}table{border-collapse:collapse;background:var(--card);font-size:.9rem}
th,td{border:1px solid var(--line);padding:.3rem .6rem;text-align:left}
td{font-variant-numeric:tabular-nums}
.cells{display:flex;flex-wrap:wrap;gap:.75rem}figure{margin:0;max-width:100%;background:var(--card);padding:.5rem;
border:1px solid var(--line);border-radius:.5rem}figure.sample{width:15rem}
img{max-width:100%;height:auto;border-radius:.3rem}figure.sample img{max-height:15rem}
svg{max-width:100%;height:auto;font:13px system-ui,sans-serif}svg text{fill:currentColor}
svg text.soft{fill:var(--soft)}svg line{stroke:var(--line)}
.keep{fill:var(--keep)}.repair{fill:var(--repair)}.review{fill:var(--review)}.drop{fill:var(--drop)}
.key{display:inline-block;width:.8rem;height:.8rem;border-radius:.2rem;margin:0 .3rem 0 .8rem}
.warn{border-left:.3rem solid var(--drop);padding:.25rem .75rem;background:var(--card)}
"""


@dataclass(frozen=True)
class ReportSample:
    """One row shown for a rule's verdict."""

    rule: str
    verdict: Verdict
    key: str
    reason: str
    jpeg: bytes
    """The image with the evidence drawn in (``report_images.encode_evidence``)."""


class SampleChooser:
    """Chooses up to ``count`` rows per rule and verdict: those whose keys have the smallest hashes.

    Which rows are chosen depends neither on the order in which they are offered nor on how they are shared
    out among choosers that are merged.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._held: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)

    def offer(self, rule: str, verdict: Verdict, key: str) -> None:
        """Consider the row ``key`` for what ``rule`` said of it."""
        digest = hashlib.blake2b(f"{rule}\x1f{verdict.value}\x1f{key}".encode(), digest_size=8).digest()
        self._hold((rule, verdict.value), (-int.from_bytes(digest, "big"), key))

    def merge(self, other: SampleChooser) -> None:
        """Consider all that ``other`` holds."""
        for group, held in other._held.items():
            for entry in held:
                self._hold(group, entry)

    def choose(self) -> list[tuple[str, Verdict, str]]:
        """(rule, verdict, key) of the chosen rows, by rule, worst verdict first, then by hash."""
        order = sorted(self._held, key=lambda group: (group[0], -Verdict(group[1]).severity))
        return [
            (rule, Verdict(verdict), key)
            for rule, verdict in order
            for _, key in sorted(self._held[rule, verdict], reverse=True)
        ]

    def _hold(self, group: tuple[str, str], entry: tuple[int, str]) -> None:
        held = self._held[group]
        if entry in held or self.count < 1:
            return
        if len(held) < self.count:
            heapq.heappush(held, entry)
        else:
            heapq.heappushpop(held, entry)


def format_report(
    statistics: Statistics,
    samples: Iterable[ReportSample],
    title: str = "Curated set",
    notes: Sequence[str] = (),
) -> str:
    """The page; every text is escaped, every image has an alternative text, nothing is fetched."""
    found = list(samples)
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>",
        f"<p>{escape(_sum_up(statistics))}</p>",
        *_warn(statistics),
        *(f'<p class="soft">{escape(note)}</p>' for note in notes),
        f"<h2>Funnel</h2><p>{_format_legend()}</p>",
        draw_funnel(statistics.funnel, statistics.rows),
        _format_funnel(statistics),
        "<h2>Categories</h2>",
        f"<p>{escape(describe_long_tail(statistics))}</p>",
        draw_long_tail(statistics.long_tail),
        _format_categories(statistics),
        "<h2>Splits and licences</h2>",
        _format_table(
            ["split", "images", "products"],
            [[name or "(none)", f"{a:,}", f"{b:,}"] for name, (a, b) in statistics.splits.items()],
        ),
        _format_table(
            ["licence", "images"],
            [[name or "not stated", f"{count:,}"] for name, count in statistics.licence.counts.items()],
        ),
        "<h2>Samples per decision</h2>",
        *_format_samples(found, [step.rule for step in statistics.funnel]),
        '<h2>Distributions</h2><p class="soft">Each number a rule measured, over the rows that came to it.'
        f" {_format_legend(('keep', 'drop'), ('kept by the rule', 'others'))}</p>",
        '<div class="cells">',
        *(
            f"<figure>{draw_distribution(one)}<figcaption>{escape(one.name)}</figcaption></figure>"
            for one in statistics.distributions
        ),
        "</div></body></html>\n",
    ]
    return "\n".join(parts)


def describe_long_tail(statistics: Statistics) -> str:
    """The long tail in a sentence, beside the paper's."""
    tail = statistics.long_tail
    return (
        f"{len(tail.counts):,} categories: {tail.share_many:.1%} have more than {MANY} images, "
        f"{tail.share_few:.1%} fewer than {FEW}; the median has {tail.median:g}. "
        "BG60k: 2,032 categories, about 6 % and over half (arXiv 2312.13309, section 4.2)."
    )


def _sum_up(statistics: Statistics) -> str:
    counts = statistics.verdicts
    return (
        f"{statistics.rows:,} rows in: {statistics.kept:,} in the set ({counts['repair']:,} of them "
        "repaired), "
        f"{counts['review']:,} for review, {counts['drop']:,} dropped. {statistics.products:,} products. "
        f"{statistics.decided:,} rows were decided by people."
    )


def _warn(statistics: Statistics) -> list[str]:
    licence = statistics.licence
    if licence.commercial_use == "forbidden":
        names = ", ".join(licence.restricted)
        text = f"Not for commercial use: {names}. A model trained on this set carries the same mark."
    elif licence.commercial_use == "unstated" and statistics.kept:
        text = "Some images state no licence: find out before commercial use."
    else:
        return []
    return [f'<p class="warn">{escape(text)}</p>']


def _format_legend(
    names: Sequence[str] = ("keep", "repair", "review", "drop"),
    words: Sequence[str] = ("kept", "repaired", "to review", "dropped"),
) -> str:
    return "".join(
        f'<span class="key" style="background:var(--{name})"></span>{word}'
        for name, word in zip(names, words)
    )


def _format_funnel(statistics: Statistics) -> str:
    heads = ["rule", "rows", "kept", "repaired", "to review", "dropped", "taken out by its word"]
    rows = [
        [step.rule, f"{step.seen:,}"]
        + [f"{step.verdicts.get(verdict.value, 0):,}" for verdict in Verdict]
        + [f"{statistics.dropped_by.get(step.rule, 0):,}"]
        for step in statistics.funnel
    ]
    known = {step.rule for step in statistics.funnel}
    rows += [
        [rule, *["–"] * 5, f"{count:,}"] for rule, count in statistics.dropped_by.items() if rule not in known
    ]
    return _format_table(heads, rows)


def _format_categories(statistics: Statistics) -> str:
    counts = statistics.long_tail.counts
    table = _format_table(["category", "images"], [[name, f"{count:,}"] for name, count in counts.items()])
    return f"<details><summary>All {len(counts):,} categories</summary>{table}</details>"


def _format_samples(samples: Sequence[ReportSample], order: Sequence[str]) -> list[str]:
    rules = list(dict.fromkeys([*order, *(sample.rule for sample in samples)]))
    parts = []
    for rule in rules:
        for verdict in reversed(Verdict):
            shown = [sample for sample in samples if sample.rule == rule and sample.verdict == verdict]
            if shown:
                parts.append(f'<h3>{escape(rule)}: {verdict.value}</h3><div class="cells">')
                parts += [_format_sample(sample) for sample in shown]
                parts.append("</div>")
    return parts


def _format_sample(sample: ReportSample) -> str:
    source = "data:image/jpeg;base64," + base64.b64encode(sample.jpeg).decode()
    caption = f"{sample.key}: {sample.reason}" if sample.reason else sample.key
    return (
        f'<figure class="sample"><img src="{source}" alt="{escape(sample.key)}" loading="lazy">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _format_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
