"""What came of all rows: the funnel of the rules, the spread of their numbers, the kept set by category."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from cyclorama.curate.records import Verdict
from cyclorama.curate.settling import JudgedRow
from cyclorama.data.licences import SetLicence, count_licences

MANY, FEW = 100, 10
"""Limits at which the paper describes its set's long tail (arXiv 2312.13309, section 4.2)."""
BINS = 24


@dataclass(frozen=True)
class FunnelStep:
    """What one rule said of the rows that came to it."""

    rule: str
    verdicts: Mapping[str, int]

    @property
    def seen(self) -> int:
        """Rows that came to it."""
        return sum(self.verdicts.values())


@dataclass(frozen=True)
class Distribution:
    """A rule's number over the rows: counts (BINS) of kept and of other rows between equally spaced edges."""

    name: str
    low: float
    high: float
    kept: tuple[int, ...]
    others: tuple[int, ...]
    median: float


@dataclass(frozen=True)
class LongTail:
    """How many images the categories have."""

    counts: Mapping[str, int]
    """Category to images, the most first, equal ones by name."""

    @property
    def share_many(self) -> float:
        """Share of the categories with more than 100 images; 0 without categories."""
        return self._share(sum(count > MANY for count in self.counts.values()))

    @property
    def share_few(self) -> float:
        """Share of the categories with fewer than 10 images; 0 without categories."""
        return self._share(sum(count < FEW for count in self.counts.values()))

    @property
    def median(self) -> float:
        """Images of the category in the middle; 0 without categories."""
        return float(statistics.median(self.counts.values())) if self.counts else 0.0

    def _share(self, count: int) -> float:
        return count / len(self.counts) if self.counts else 0.0


@dataclass(frozen=True)
class Statistics:
    """Everything the report and the card say in numbers."""

    rows: int
    verdicts: Mapping[str, int]
    funnel: tuple[FunnelStep, ...]
    decided: int
    long_tail: LongTail
    licence: SetLicence
    """Of the kept images."""
    splits: Mapping[str, tuple[int, int]]
    """Split to (images, products)."""
    products: int
    languages: Mapping[str, int]
    """Language of the category's name to kept images; the empty name counts those that state none."""
    distributions: tuple[Distribution, ...]
    dropped_by: Mapping[str, int] = field(default_factory=dict)
    """Rule, or ``review``, to rows that its word took out."""

    @property
    def kept(self) -> int:
        """Images in the set."""
        return self.verdicts["keep"] + self.verdicts["repair"]


def compute_long_tail(categories: Iterable[str | None]) -> LongTail:
    """Images per category of rows with these ``categories``; None counts for nothing."""
    counts = Counter(name for name in categories if name is not None)
    return LongTail(dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))))


def collect_statistics(rows: Sequence[JudgedRow], rules: Sequence[str] = ()) -> Statistics:
    """The statistics of ``rows``; ``rules`` gives the funnel's order, further ones follow as they come.

    Invariant: nothing depends on the order of ``rows`` but the order of rules that ``rules`` does not name.
    """
    steps: dict[str, Counter[str]] = {rule: Counter() for rule in rules}
    values: dict[str, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    for row in rows:
        for finding in row.findings:
            steps.setdefault(finding.rule, Counter())[finding.verdict.value] += 1
            for name, number in finding.numbers.items():
                values[f"{finding.rule}.{name}"][finding.verdict != Verdict.KEEP].append(number)
    kept = [row for row in rows if row.is_kept]
    verdicts = Counter({verdict.value: 0 for verdict in Verdict})
    verdicts.update(row.verdict.value for row in rows)
    dropped = Counter(row.rule or "unknown" for row in rows if row.verdict == Verdict.DROP)
    splits = {split: [row for row in kept if row.split == split] for split in sorted({r.split for r in kept})}
    return Statistics(
        rows=len(rows),
        verdicts=dict(verdicts),
        funnel=tuple(FunnelStep(rule, dict(counts)) for rule, counts in steps.items() if counts),
        decided=sum(row.decision is not None for row in rows),
        long_tail=compute_long_tail(row.category for row in kept),
        licence=count_licences(row.record.licence for row in kept),
        splits={split: (len(some), _count_products(some)) for split, some in splits.items()},
        products=_count_products(kept),
        languages=dict(sorted(Counter(row.record.language or "" for row in kept).items())),
        distributions=tuple(
            found for name in sorted(values) if (found := _compute_distribution(name, *values[name]))
        ),
        dropped_by=dict(sorted(dropped.items(), key=lambda pair: (-pair[1], pair[0]))),
    )


def _count_products(rows: Sequence[JudgedRow]) -> int:
    return len({(row.record.product_id is not None, row.record.product_id or row.record.key) for row in rows})


def _compute_distribution(name: str, kept: list[float], others: list[float]) -> Distribution | None:
    """Counts from the 0.5th to the 99.5th percentile, the rest at the ends; None for a constant."""
    both = np.array(kept + others, np.float64)
    both = both[np.isfinite(both)]
    if not len(both):
        return None
    low, high = (float(value) for value in np.percentile(both, [0.5, 99.5]))
    if high <= low:
        low, high = float(both.min()), float(both.max())
    if high <= low:
        return None
    counts = [
        np.histogram(np.clip([v for v in one if np.isfinite(v)], low, high), BINS, (low, high))[0].tolist()
        for one in (kept, others)
    ]
    return Distribution(name, low, high, tuple(counts[0]), tuple(counts[1]), float(np.median(both)))
