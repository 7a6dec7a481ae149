"""The report and the data card of a finished run, put together from its rows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import yaml

from cyclorama.config import to_plain
from cyclorama.curate.cache import ImageCache
from cyclorama.curate.card import format_card
from cyclorama.curate.config import CurateConfig
from cyclorama.curate.reading import Input
from cyclorama.curate.records import Verdict
from cyclorama.curate.report import ReportSample, SampleChooser, format_report
from cyclorama.curate.report_statistics import Outcome, collect_statistics
from cyclorama.curate.reviewing import draw_evidence
from cyclorama.curate.rules import Rules
from cyclorama.curate.settling import Row
from cyclorama.curate.splits import find_unseen_categories
from cyclorama.curate.store import CurateStore
from cyclorama.files import write_atomic

REPORT_FILE, CARD_FILE = "index.html", "card.md"
SAMPLE_SIDE = 384
"""Longest side, in pixels, of an image in the report."""
KEPT = "kept"
"""What the report calls the rows that no rule had anything against."""


def write_report(
    store: CurateStore,
    cache: ImageCache,
    found: Input,
    rows: Sequence[Row],
    config: CurateConfig,
    rules: Rules,
) -> None:
    """Write ``index.html`` and ``card.md``. Raises OutputError."""
    outcomes = [
        Outcome(
            row.record, row.findings, row.verdict, row.rule, row.category, row.split, row.decision is not None
        )
        for row in rows
    ]
    statistics = collect_statistics(outcomes, rules.names)
    samples = choose_samples(cache, rows, config.output.samples)
    page = format_report(statistics, samples, title="Curated set", notes=found.notes)
    write_atomic(store.out / REPORT_FILE, page.encode("utf-8", "backslashreplace"))
    kept = [row for row in rows if row.is_kept]
    card = format_card(
        statistics,
        recipe=yaml.safe_dump(to_plain(config), sort_keys=False, allow_unicode=True),
        digests={
            path.relative_to(store.out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(store.set.glob("*.tar"))
        },
        unseen=find_unseen_categories([row.category for row in kept], [row.split for row in kept]),
    )
    write_atomic(store.out / CARD_FILE, card.encode("utf-8", "backslashreplace"))


def choose_samples(cache: ImageCache, rows: Sequence[Row], count: int) -> list[ReportSample]:
    """Up to ``count`` rows per rule and verdict, drawn as the rule saw them, and as many of the kept ones."""
    chooser = SampleChooser(count)
    places: dict[tuple[str, str], tuple[Row, int | None]] = {}
    for row in rows:
        spoken = [place for place, finding in enumerate(row.findings) if finding.verdict != Verdict.KEEP]
        for place in spoken:
            finding = row.findings[place]
            if row.digest:
                chooser.offer(finding.rule, finding.verdict, row.record.key)
                places[finding.rule, row.record.key] = (row, place)
        if not spoken and row.is_kept:
            chooser.offer(KEPT, Verdict.KEEP, row.record.key)
            places[KEPT, row.record.key] = (row, None)
    samples = []
    for rule, verdict, key in chooser.choose():
        row, chosen = places[rule, key]
        jpeg = draw_evidence(row, cache, chosen, SAMPLE_SIDE)
        if jpeg is not None:
            reason = "" if chosen is None else row.findings[chosen].reason
            samples.append(ReportSample(rule, verdict, key, reason, jpeg))
    return samples
