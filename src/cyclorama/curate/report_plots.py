"""The report's drawings as SVG: the funnel, the long tail as in the paper's Fig. 8, distributions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from cyclorama.curate.records import Verdict
from cyclorama.curate.report_statistics import FEW, MANY, Distribution, FunnelStep, LongTail

VERDICTS = tuple(verdict.value for verdict in Verdict)
_WIDTH, _ROW, _LEFT, _RIGHT = 640, 26, 110, 70
_BARS = 160
"""Bars of the long tail; with more categories each bar stands for several."""


def draw_funnel(steps: Sequence[FunnelStep], rows: int) -> str:
    """One bar per rule: rows that came to it, parted by verdict. ``rows`` is the input's number."""
    scale = (_WIDTH - _LEFT - _RIGHT) / max(1, rows)
    parts = []
    for place, step in enumerate(steps):
        y, x = _ROW * place, float(_LEFT)
        parts.append(f'<text x="0" y="{y + 16}">{escape(step.rule)}</text>')
        for verdict in VERDICTS:
            width = step.verdicts.get(verdict, 0) * scale
            if width > 0:
                parts.append(
                    f'<rect class="{verdict}" x="{x:.1f}" y="{y + 3}" width="{width:.2f}" '
                    f'height="{_ROW - 8}"/>'
                )
                x += width
        parts.append(f'<text class="soft" x="{x + 6:.1f}" y="{y + 16}">{step.seen:,}</text>')
    label = "; ".join(
        f"{step.rule}: " + ", ".join(f"{count} {name}" for name, count in sorted(step.verdicts.items()))
        for step in steps
    )
    return _wrap(parts, max(1, len(steps)) * _ROW, label)


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
    means = [
        sum(counts[n : n + per_bar]) / len(counts[n : n + per_bar]) for n in range(0, len(counts), per_bar)
    ]
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
                parts.append(
                    f'<rect class="{name}" x="{x:.1f}" y="{y:.1f}" width="{step - 1:.1f}" '
                    f'height="{tall:.1f}"/>'
                )
    parts.append(f'<text class="soft" x="{left}" y="{height - 4}">{_show(distribution.low)}</text>')
    parts.append(
        f'<text class="soft" x="{left + width}" y="{height - 4}" text-anchor="end">'
        f"{_show(distribution.high)}</text>"
    )
    label = f"{distribution.name}: from {_show(distribution.low)} to {_show(distribution.high)}"
    return _wrap(parts, height, f"{label}, median {_show(distribution.median)}", 300)


def _wrap(parts: Sequence[str], height: int, label: str, width: int = _WIDTH) -> str:
    return (
        f'<svg role="img" aria-label="{escape(label)}" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}">{"".join(parts)}</svg>'
    )


def _show(value: float) -> str:
    return f"{value:.4g}"
