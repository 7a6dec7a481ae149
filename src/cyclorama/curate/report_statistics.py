"""What came of all rows, in numbers and drawn as SVG: the funnel of the rules, the spread of their numbers,
the kept set by category (as in the paper's Fig. 8)."""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np

from cyclorama.curate.records import Verdict
from cyclorama.curate.settling import JudgedRow
from cyclorama.data.licences import SetLicence, count_licences

MANY, FEW = 100, 10
"""Limits at which the paper describes its set's long tail (arXiv 2312.13309, section 4.2)."""
BINS = 24


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
        return sum(count > MANY for count in self.counts.values()) / max(1, len(self.counts))

    @property
    def share_few(self) -> float:
        """Share of the categories with fewer than 10 images; 0 without categories."""
        return sum(count < FEW for count in self.counts.values()) / max(1, len(self.counts))

    @property
    def median(self) -> float:
        """Images of the category in the middle; 0 without categories."""
        return float(statistics.median(self.counts.values())) if self.counts else 0.0


@dataclass(frozen=True)
class Statistics:
    """Everything the report and the card say in numbers."""

    rows: int
    verdicts: Mapping[str, int]
    funnel: Mapping[str, Mapping[str, int]]
    """Rule, in order, to verdict to rows, of the rows that came to it."""
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
    verdicts = {verdict.value: 0 for verdict in Verdict} | Counter(row.verdict.value for row in rows)
    dropped = Counter(row.rule or "unknown" for row in rows if row.verdict == Verdict.DROP)
    splits = {split: [row for row in kept if row.split == split] for split in sorted({r.split for r in kept})}
    return Statistics(
        rows=len(rows),
        verdicts=verdicts,
        funnel={rule: dict(counts) for rule, counts in steps.items() if counts},
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
    """Counts from the 0.5th to the 99.5th percentile, the rest at the ends.

    None for numbers that are equal but for rounding, or too large to be summed.
    """
    groups = [np.array([v for v in group if np.isfinite(v)], np.float64) for group in (kept, others)]
    both = np.concatenate(groups)
    if not len(both) or not _is_range(*(whole := (float(both.min()), float(both.max())))):
        return None
    within = np.percentile(both, [0.5, 99.5]).tolist()
    low, high = within if _is_range(*within) else whole
    clipped = (np.clip(group, low, high) for group in groups)
    first, second = (tuple(np.histogram(group, BINS, (low, high))[0].tolist()) for group in clipped)
    return Distribution(name, low, high, first, second, float(np.median(both)))


def _is_range(low: float, high: float) -> bool:
    """Whether bins can part the numbers from ``low`` to ``high``."""
    greatest = max(abs(low), abs(high))
    return greatest < 1e300 and high - low > max(1e-9 * greatest, 1e-300)


_WIDTH, _ROW, _LEFT, _RIGHT = 640, 26, 110, 70
_BARS = 160
"""Bars of the long tail; with more categories each bar stands for several."""


def draw_funnel(funnel: Mapping[str, Mapping[str, int]], rows: int) -> str:
    """One bar per rule: rows that came to it, parted by verdict. ``rows`` is the input's number."""
    scale = (_WIDTH - _LEFT - _RIGHT) / max(1, rows)
    parts = []
    for place, (rule, verdicts) in enumerate(funnel.items()):
        y, x = _ROW * place, float(_LEFT)
        parts.append(f'<text x="0" y="{y + 16}">{escape(rule)}</text>')
        for verdict in Verdict:
            width = verdicts.get(verdict, 0) * scale
            if width > 0:
                size = f'width="{width:.2f}" height="{_ROW - 8}"'
                parts.append(f'<rect class="{verdict}" x="{x:.1f}" y="{y + 3}" {size}/>')
                x += width
        parts.append(f'<text class="soft" x="{x + 6:.1f}" y="{y + 16}">{sum(verdicts.values()):,}</text>')
    label = "; ".join(
        f"{rule}: " + ", ".join(f"{count} {name}" for name, count in sorted(verdicts.items()))
        for rule, verdicts in funnel.items()
    )
    return _wrap(parts, max(1, len(funnel)) * _ROW, label)


def draw_long_tail(tail: LongTail) -> str:
    """Images per category, most first, on a logarithmic scale, with lines at 100 and 10."""
    counts = list(tail.counts.values())
    if not counts:
        return "<p>No category has an image.</p>"
    height, base = 190, 170
    top = max(math.log10(max(counts)), math.log10(MANY)) + 0.1
    left, width = 40, _WIDTH - 50

    def place(count: float) -> float:
        return base - (base - 10) * math.log10(max(count, 1)) / top

    per_bar = math.ceil(len(counts) / _BARS)
    means = [statistics.fmean(counts[n : n + per_bar]) for n in range(0, len(counts), per_bar)]
    step = width / len(means)
    parts = [
        f'<rect class="keep" x="{left + n * step:.2f}" y="{place(mean):.1f}" '
        f'width="{max(0.8, step * 0.85):.2f}" height="{max(1.0, base - place(mean)):.1f}"/>'
        for n, mean in enumerate(means)
    ]
    for count in (1, FEW, MANY, 1000, 10000):
        y = place(count)
        if y >= 5:
            marked = ' stroke-dasharray="4 3"' if count in (FEW, MANY) else ""
            parts.append(
                f'<line x1="{left}" x2="{left + width}" y1="{y:.1f}" y2="{y:.1f}"{marked}/>'
                f'<text class="soft" x="{left - 5}" y="{y + 4:.1f}" text-anchor="end">{count}</text>'
            )
    grouped = f", {per_bar} a bar" if per_bar > 1 else ""
    caption = f"{len(counts)} categories, most images first{grouped}"
    parts.append(f'<text class="soft" x="{left}" y="{height - 3}">{caption}</text>')
    spread = f"largest {counts[0]}, median {tail.median:g}, smallest {counts[-1]} images"
    return _wrap(parts, height, f"{len(counts)} categories; {spread}")


def draw_distribution(distribution: Distribution) -> str:
    """A histogram: kept rows below, the others on top of them."""
    height, base, left, width = 96, 78, 4, 292
    tallest = max(1, *(a + b for a, b in zip(distribution.kept, distribution.others, strict=True)))
    step = width / len(distribution.kept)
    parts = []
    for n, (kept, others) in enumerate(zip(distribution.kept, distribution.others, strict=True)):
        x, y = left + n * step, float(base)
        for name, count in (("keep", kept), ("drop", others)):
            tall = (base - 6) * count / tallest
            y -= tall
            if count:
                size = f'width="{step - 1:.1f}" height="{tall:.1f}"'
                parts.append(f'<rect class="{name}" x="{x:.1f}" y="{y:.1f}" {size}/>')
    low, high, middle = (f"{v:.4g}" for v in (distribution.low, distribution.high, distribution.median))
    place = f'y="{height - 4}"'
    parts.append(f'<text class="soft" x="{left}" {place}>{low}</text>')
    parts.append(f'<text class="soft" x="{left + width}" {place} text-anchor="end">{high}</text>')
    return _wrap(parts, height, f"{distribution.name}: from {low} to {high}, median {middle}", 300)


def _wrap(parts: Sequence[str], height: int, label: str, width: int = _WIDTH) -> str:
    return (
        f'<svg role="img" aria-label="{escape(label)}" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}">{"".join(parts)}</svg>'
    )
