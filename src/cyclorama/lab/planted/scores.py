"""Precision and recall of each rule on the planted set, with Wilson's intervals, and curves over limits."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import NamedTuple

from scipy import stats

from cyclorama.lab.planted.measure import Line, Truth

Lines = dict[str, Line]
"""Row id to what a rule said of it."""


@dataclass(frozen=True)
class Curve:
    """A measure whose limit decides."""

    rule: str
    number: str
    setting: str
    """The recipe's name of the limit."""
    kinds: tuple[str, ...]
    """Beginnings of the kinds that it is to catch."""
    above: bool = True
    """Whether the rule fires above the limit."""
    limit: float | None = None
    """Where it stands; None: the field of the settings called as ``setting``."""
    missing: float | None = None
    """The measure of an image for which none was taken; None leaves the image out."""


CURVES = (
    Curve("blank", "busy_share", "blank.min_busy_share", ("blank_",), above=False),
    Curve("text", "score", "text.min_confidence", ("text_", "logo_word")),
    Curve("text", "repeats", "text.max_repeats", ("watermark_tiled",)),
    Curve("people", "score", "people (score over the detector's limit)", ("face", "bust", "body"), limit=1.0),
    Curve("mask", "doubt", "mask (greatest measure over its limit)", ("mask_",), limit=1.0, missing=9.0),
    Curve("quality", "blur", "quality.max_blur", ("blurred",)),
    Curve("quality", "blockiness", "quality.max_blockiness", ("crushed",)),
    Curve("quality", "frame", "quality.max_frame", ("frame_",)),
    Curve("quality", "seam", "quality.max_seam", ("collage_",)),
    Curve("size", "width", "size.min_side", ("tiny",), above=False),
    Curve("size", "aspect", "size.max_aspect", ("banner",)),
)


class Point(NamedTuple):
    """What a limit is worth."""

    limit: float
    precision: float
    recall: float


class Score(NamedTuple):
    """Counts of one rule."""

    right: int
    missed: int
    wrong: int
    quiet: int

    @property
    def precision(self) -> str:
        """With its interval."""
        return format_rate(self.right, self.right + self.wrong)

    @property
    def recall(self) -> str:
        """With its interval."""
        return format_rate(self.right, self.right + self.missed)


def compute_wilson(hits: int, total: int) -> tuple[float, float]:
    """The 95 % interval of ``hits`` of ``total``; (0, 1) of none."""
    if total == 0:
        return 0.0, 1.0
    interval = stats.binomtest(hits, total).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def format_rate(hits: int, total: int) -> str:
    """``0.957 (0.93–0.98)``."""
    low, high = compute_wilson(hits, total)
    return f"{hits / total:.3f} ({low:.2f}–{high:.2f})" if total else "–"


def has_fired(line: Line) -> bool:
    """Whether the rule did not simply keep the row."""
    return bool(line["verdict"] != "keep")


def should_fire(rule: str, truth: Truth) -> bool | None:
    """Whether ``rule`` must fire; None if either answer is right."""
    if rule in truth["expect"].split():
        return True
    allowed = truth["allow"].split()
    if rule == "watermark" or "*" in allowed or rule in allowed or truth["expect"] == "reading":
        return None
    return False


def score_rule(rule: str, lines: Lines, truth: dict[str, Truth]) -> Score:
    """Counts over all rows that must or must not fire."""
    counts: Counter[tuple[bool, bool]] = Counter()
    for key, line in lines.items():
        due = should_fire(rule, truth[key]) if key in truth and line["verdict"] != "unread" else None
        if due is not None:
            counts[due, has_fired(line)] += 1
    return Score(counts[True, True], counts[True, False], counts[False, True], counts[False, False])


def score_groups(lines: Lines, truth: dict[str, Truth]) -> tuple[Score, int]:
    """(counts, kept originals) of duplicates: of every pair one must fire, either; no other row may."""
    groups: dict[str, list[str]] = defaultdict(list)
    for key in lines:
        if key in truth and truth[key]["group"]:
            groups[truth[key]["group"]].append(key)
    pairs = [keys for keys in groups.values() if len(keys) == 2]
    found = [keys for keys in pairs if sum(has_fired(lines[key]) for key in keys) == 1]
    kept = sum(
        any(truth[key]["kind"] == "clean" and not has_fired(lines[key]) for key in keys) for keys in found
    )
    paired = {key for keys in pairs for key in keys}
    both = sum(all(has_fired(lines[key]) for key in keys) for keys in pairs)
    others = [key for key in lines if key in truth and key not in paired]
    wrong = both + sum(has_fired(lines[key]) for key in others)
    return Score(len(found), len(pairs) - len(found), wrong, len(others) - wrong), kept


def score_kinds(lines: Lines, truth: dict[str, Truth]) -> dict[str, Counter[str]]:
    """Kind to rows by verdict."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for key, line in lines.items():
        if key in truth and line["verdict"] != "unread":
            found[truth[key]["kind"]][line["verdict"]] += 1
    return dict(sorted(found.items()))


def list_measures(curve: Curve, lines: Lines, truth: dict[str, Truth]) -> tuple[list[float], list[float]]:
    """Measures of (rows to catch, rows to leave)."""
    caught, left = [], []
    for key, line in lines.items():
        value = line["numbers"].get(curve.number, curve.missing)
        if key not in truth or line["verdict"] == "unread" or value is None:
            continue
        due = should_fire(curve.rule, truth[key])
        wanted = due or "watermark" in truth[key]["expect"].split()
        if wanted and truth[key]["kind"].startswith(curve.kinds):
            caught.append(float(value))
        elif due is False:
            left.append(float(value))
    return caught, left


def trace(curve: Curve, caught: list[float], left: list[float], limit: float) -> list[Point]:
    """The set limit and some sixty others, dense where the measures lie."""
    steps = {limit} if caught else set()
    for values in (sorted(caught), sorted(left)) if caught else ():
        steps |= {values[round(k * (len(values) - 1) / 30)] for k in range(31) if values}
    points = []
    for step in sorted(steps):
        hits, false = (
            sum(v >= step if curve.above else v < step for v in values) for values in (caught, left)
        )
        if hits + false:
            points.append(Point(step, hits / (hits + false), hits / len(caught)))
    return points


def draw_curve(curve: Curve, points: list[Point], limit: float) -> str:
    """An SVG of precision and recall over the limit; its axis has equal steps between the limits tried."""
    left, top, wide, high = 56, 34, 484, 204

    def place(k: float, value: float) -> tuple[float, float]:
        return left + wide * k / max(1, len(points) - 1), top + high * (1 - value)

    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" width="560" height="300" font-family="sans-serif" '
        f'font-size="12"><rect width="100%" height="100%" fill="white"/><text x="{left}" y="18">'
        f"{curve.setting}, limit {limit:g}</text>"
    ]
    for value in (0, 0.25, 0.5, 0.75, 0.95, 1):
        _, y = place(0, value)
        parts.append(
            f'<path d="M{left} {y:.1f}h{wide}" stroke="#ddd"/><text x="20" y="{y:.1f}">{value}</text>'
        )
    for column, colour, name in ((1, "#1b6ca8", "precision"), (2, "#c2571a", "recall")):
        line = " ".join("{:.1f},{:.1f}".format(*place(k, point[column])) for k, point in enumerate(points))
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{left + 90 * (column - 1)}" y="290" fill="{colour}">{name}</text>')
    for k in range(0, len(points), max(1, len(points) // 8)):
        x, _ = place(k, 0)
        parts.append(f'<text x="{x:.1f}" y="256" text-anchor="middle">{points[k].limit:.3g}</text>')
    x, _ = place(min(sum(p.limit < limit for p in points), len(points) - 1), 0)
    parts.append(f'<path d="M{x:.1f} {top}v{high}" stroke="#555" stroke-dasharray="4 3"/>')
    return "".join(parts) + "</svg>\n"
