"""The report (HTML) and the data card (Markdown) of a curated set: how it was chosen, what is in it."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from heapq import nsmallest
from html import escape

import yaml

from cyclorama.config import to_plain
from cyclorama.curate.config import CurateConfig
from cyclorama.curate.records import Verdict
from cyclorama.curate.report_statistics import (
    FEW,
    MANY,
    Statistics,
    collect_statistics,
    draw_distribution,
    draw_funnel,
    draw_long_tail,
)
from cyclorama.curate.reviewing import draw_evidence
from cyclorama.curate.settling import JudgedRow
from cyclorama.curate.splits import find_unseen_categories
from cyclorama.curate.store import CurateStore, ImageCache
from cyclorama.evaluation.tables import ReportTable, ReportText, embed, format_markdown, format_page
from cyclorama.files import write_atomic

REPORT_FILE, CARD_FILE = "index.html", "card.md"
SAMPLE_SIDE = 384
"""Longest side, in pixels, of an image in the report."""
KEPT = "kept"
"""What the report calls the rows that no rule had anything against."""
_LARGEST = 20
"""Categories listed in the card; the page lists ten times as many."""
_WORDS = {"keep": "kept", "repair": "repaired", "review": "to review", "drop": "dropped"}
_STYLE = """<style>
:root{--keep:#3f7d4f;--repair:#2f6fb3;--review:#c08a1e;--drop:#b0483c}
figure{max-width:100%;background:var(--card);padding:.5rem;border:1px solid var(--line);border-radius:.5rem}
figure.sample{width:15rem}img{height:auto}figure.sample img{max-height:15rem}
svg text{fill:currentColor}svg text.soft{fill:var(--soft)}svg line{stroke:var(--line)}
.keep{fill:var(--keep)}.repair{fill:var(--repair)}.review{fill:var(--review)}.drop{fill:var(--drop)}
.key{display:inline-block;width:.8rem;height:.8rem;border-radius:.2rem;margin:0 .3rem 0 .8rem}
.warn{border-left:.3rem solid var(--drop);padding:.25rem .75rem;background:var(--card)}
</style>"""


@dataclass(frozen=True)
class ReportSample:
    """One row shown for a rule's verdict."""

    rule: str
    verdict: Verdict
    key: str
    reason: str
    jpeg: bytes
    """The image with the evidence drawn in (:func:`.reviewing.encode_evidence`)."""


def write_report(
    store: CurateStore,
    cache: ImageCache,
    rows: Sequence[JudgedRow],
    config: CurateConfig,
    rules: Sequence[str],
    notes: Sequence[str],
) -> None:
    """Write ``index.html`` and ``card.md``; ``rules`` are the rules' names in order. Raises OutputError."""
    statistics = collect_statistics(rows, rules)
    samples = draw_samples(cache, rows, config.output.samples)
    page = format_report(statistics, samples, notes=notes)
    write_atomic(store.out / REPORT_FILE, page.encode("utf-8", "backslashreplace"))
    kept = [row for row in rows if row.is_kept]
    card = format_card(
        statistics,
        recipe=yaml.safe_dump(to_plain(config), sort_keys=False, allow_unicode=True),
        digests=store.compute_digests(sorted(store.set.glob("*.tar"))),
        unseen=find_unseen_categories([row.category for row in kept], [row.split for row in kept]),
    )
    write_atomic(store.out / CARD_FILE, card.encode("utf-8", "backslashreplace"))


def choose_samples(rows: Iterable[JudgedRow], count: int) -> list[tuple[str, Verdict, JudgedRow, int | None]]:
    """Up to ``count`` rows per rule and verdict, each with the place of its finding, and of the kept ones.

    Those whose keys have the smallest hashes, so that the order of ``rows`` does not matter; by rule, the
    severest verdict first, then by hash.
    """
    groups: dict[tuple[str, Verdict], list[tuple[JudgedRow, int | None]]] = defaultdict(list)
    for row in rows:
        against = [place for place, f in enumerate(row.findings) if f.verdict != Verdict.KEEP]
        for place in against if row.digest else ():
            groups[row.findings[place].rule, row.findings[place].verdict].append((row, place))
        if not against and row.is_kept:
            groups[KEPT, Verdict.KEEP].append((row, None))

    return [
        (rule, verdict, row, place)
        for rule, verdict in sorted(groups, key=lambda group: (group[0], -group[1].severity))
        for row, place in nsmallest(count, groups[rule, verdict], partial(_compute_order, rule, verdict))
    ]


def _compute_order(rule: str, verdict: Verdict, chosen: tuple[JudgedRow, int | None]) -> str:
    return hashlib.blake2b("\x1f".join((rule, verdict, chosen[0].record.key)).encode()).hexdigest()


def draw_samples(cache: ImageCache, rows: Sequence[JudgedRow], count: int) -> list[ReportSample]:
    """The chosen rows as their rules saw them; a row whose file has gone is left out."""
    samples = []
    for rule, verdict, row, place in choose_samples(rows, count):
        jpeg = draw_evidence(row, cache, place, SAMPLE_SIDE)
        if jpeg is not None:
            reason = "" if place is None else row.findings[place].reason
            samples.append(ReportSample(rule, verdict, row.record.key, reason, jpeg))
    return samples


def format_report(
    statistics: Statistics,
    samples: Sequence[ReportSample],
    title: str = "Curated set",
    notes: Sequence[str] = (),
) -> str:
    """The page; every text is escaped, every image has an alternative text, nothing is fetched."""
    licence, warning = statistics.licence, ""
    if licence.commercial_use == "forbidden":
        names = ", ".join(licence.restricted)
        warning = f"Not for commercial use: {names}. A model trained on this set carries the same mark."
    elif licence.commercial_use == "unstated" and statistics.kept:
        warning = "Some images state no licence: find out before commercial use."
    top = [
        _STYLE,
        f'<p class="warn">{escape(warning)}</p>' if warning else "",
        f"<h2>Funnel</h2><p>{_format_legend(_WORDS)}</p>",
        draw_funnel(statistics.funnel, statistics.rows),
        draw_long_tail(statistics.long_tail),
    ]
    order = [*statistics.funnel, *(sample.rule for sample in samples)]
    bottom = ["<h2>Samples per decision</h2>"]
    for rule in dict.fromkeys(order):
        for verdict in reversed(Verdict):
            if shown := [_format_sample(s) for s in samples if (s.rule, s.verdict) == (rule, verdict)]:
                bottom += [f'<h3>{escape(rule)}: {verdict.value}</h3><div class="cells">', *shown, "</div>"]
    legend = _format_legend({"keep": "kept by the rule", "drop": "others"})
    bottom.append(
        '<h2>Distributions</h2><p class="soft">Each number a rule measured, over the rows that came to it. '
        f'{legend}</p><div class="cells">'
    )
    for one in statistics.distributions:
        caption = f"<figcaption>{escape(one.name)}</figcaption>"
        bottom.append(f"<figure>{draw_distribution(one)}{caption}</figure>")
    return format_page(_build_text(statistics, title, notes, 10 * _LARGEST), top, [*bottom, "</div>"])


def format_card(
    statistics: Statistics,
    title: str = "Curated set",
    recipe: str = "",
    digests: Mapping[str, str] | None = None,
    unseen: Mapping[str, int] | None = None,
) -> str:
    """The card as Markdown; the first line after the title is ``Licence:``, which programs read.

    ``recipe`` is the run's recipe as YAML, ``digests`` maps files of the set to their hashes, ``unseen``
    categories kept aside of which no image trains to their number.
    """
    licence = statistics.licence
    stated = licence.describe()
    if licence.commercial_use == "forbidden":
        stated = f"non-commercial use only; holds images under {', '.join(licence.restricted)}"
    use = {"allowed": "allowed", "forbidden": "not allowed", "unstated": "not known: licences are missing"}
    facts = [
        f"commercial use: {use[licence.commercial_use]}; models trained on the set keep the mark",
        "splits are by product: no product is in two of them",
    ]
    if unseen:
        names = ", ".join(f"{name} ({count})" for name, count in sorted(unseen.items()))
        facts.append(f"kept aside, yet in no training image: {names}")
    facts.append(
        "rules are fallible: people and faces, text and logos may remain; the images' owners, the people "
        "they may show and the brands have rights of their own, which no licence mark settles"
    )
    files = ReportTable("Files", ("file", "SHA-256"), sorted((digests or {}).items()))
    text = format_markdown(_build_text(statistics, title, facts, _LARGEST, files))
    head, _, body = text.partition("\n\n")
    if recipe:
        body += f"## Recipe\n\n```yaml\n{recipe.rstrip()}\n```\n"
    return f"{head}\n\nLicence: {' '.join(stated.split())}\n\n{body.rstrip()}\n"


def _build_text(
    statistics: Statistics, title: str, facts: Sequence[str], categories: int, *tables: ReportTable
) -> ReportText:
    counts, tail = statistics.verdicts, statistics.long_tail
    steps, out = statistics.funnel, statistics.dropped_by
    funnel: list[list[object]] = [
        [rule, sum(said.values()), *(said.get(v, 0) for v in Verdict), out.get(rule, 0)]
        for rule, said in steps.items()
    ]
    funnel += [[rule, *["–"] * 5, count] for rule, count in out.items() if rule not in steps]
    heads = ("rule", "rows", *_WORDS.values(), "taken out by its word")
    languages = list(statistics.languages.items()) if any(statistics.languages) else []
    splits = [(split or "(none)", *both) for split, both in statistics.splits.items()]
    return ReportText(
        title,
        facts,
        [
            f"{statistics.rows:,} rows in: {statistics.kept:,} in the set ({counts['repair']:,} of them "
            f"repaired, text or logos on the background erased), {counts['review']:,} for review, "
            f"{counts['drop']:,} dropped. {statistics.kept:,} images of {statistics.products:,} products, "
            f"with category and product mask (1 = product). {statistics.decided:,} rows were decided by "
            "people.",
            f"{len(tail.counts):,} categories: {tail.share_many:.1%} have more than {MANY} images, "
            f"{tail.share_few:.1%} fewer than {FEW}; the median has {tail.median:g}. "
            "BG60k: 2,032 categories, about 6 % and over half (arXiv 2312.13309, section 4.2).",
        ],
        [
            table
            for table in (
                _tabulate("How it was chosen", heads, funnel),
                _tabulate("Categories", ("category", "images"), list(tail.counts.items())[:categories]),
                _tabulate("Languages of the categories' names", ("language", "images"), languages),
                _tabulate("Splits", ("split", "images", "products"), splits),
                _tabulate("Licences", ("licence", "images"), list(statistics.licence.counts.items())),
                *tables,
            )
            if table.rows
        ],
        {},
    )


def _tabulate(caption: str, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> ReportTable:
    """A table of texts and counts; an empty text is what rows do not state."""
    cells = [[f"{c:,}" if isinstance(c, int) else str(c) or "not stated" for c in row] for row in rows]
    return ReportTable(caption, heads, cells)


def _format_legend(words: Mapping[str, str]) -> str:
    return "".join(
        f'<span class="key" style="background:var(--{n})"></span>{word}' for n, word in words.items()
    )


def _format_sample(sample: ReportSample) -> str:
    caption = f"{sample.key}: {sample.reason}" if sample.reason else sample.key
    return (
        f'<figure class="sample"><img src="{embed(sample.jpeg, "jpeg")}" alt="{escape(sample.key)}" '
        f'loading="lazy"><figcaption>{escape(caption)}</figcaption></figure>'
    )
