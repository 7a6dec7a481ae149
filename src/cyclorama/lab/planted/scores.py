"""Precision and recall of each rule on the planted set, with Wilson's intervals, and curves."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cyclorama.lab.planted.measure import IMAGE_RULES, SET_RULES, Truth

Lines = dict[str, dict[str, Any]]
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


def compute_wilson(hits: int, total: int) -> tuple[float, float]:
    """The 95 % interval of ``hits`` of ``total``; (0, 1) of none."""
    if total == 0:
        return 0.0, 1.0
    z, rate = 1.959964, hits / total
    middle = rate + z * z / (2 * total)
    spread = z * math.sqrt(rate * (1 - rate) / total + z * z / (4 * total**2))
    low, high = ((middle + sign * spread) / (1 + z * z / total) for sign in (-1, 1))
    return max(0.0, low), min(1.0, high)


def format_rate(hits: int, total: int) -> str:
    """``0.957 (0.93–0.98)``."""
    if total == 0:
        return "–"
    low, high = compute_wilson(hits, total)
    return f"{hits / total:.3f} ({low:.2f}–{high:.2f})"


def has_fired(line: dict[str, Any]) -> bool:
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


@dataclass(frozen=True)
class Score:
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


def score_rule(rule: str, lines: Lines, truth: dict[str, Truth]) -> Score:
    """Counts over all rows that must or must not fire."""
    counts = {"right": 0, "missed": 0, "wrong": 0, "quiet": 0}
    for key, line in lines.items():
        due = should_fire(rule, truth[key]) if key in truth and line["verdict"] != "unread" else None
        if due is not None:
            fired = has_fired(line)
            counts["right" if due and fired else "missed" if due else "wrong" if fired else "quiet"] += 1
    return Score(**counts)


def score_groups(lines: Lines, truth: dict[str, Truth]) -> tuple[Score, int]:
    """(counts, kept originals) of duplicates: of every pair one must fire, either; no other row may."""
    groups: dict[str, list[str]] = {}
    for key in lines:
        if key in truth and truth[key]["group"]:
            groups.setdefault(truth[key]["group"], []).append(key)
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


def score_kinds(
    rule: str, lines: Lines, truth: dict[str, Truth]
) -> dict[str, tuple[int, int, dict[str, int]]]:
    """Kind to (fired, rows, rows by verdict)."""
    found: dict[str, tuple[int, int, dict[str, int]]] = {}
    for key, line in lines.items():
        if key in truth and line["verdict"] != "unread":
            fired, total, verdicts = found.get(truth[key]["kind"], (0, 0, {}))
            verdicts[line["verdict"]] = verdicts.get(line["verdict"], 0) + 1
            found[truth[key]["kind"]] = (fired + has_fired(line), total + 1, verdicts)
    return found


def list_measures(curve: Curve, lines: Lines, truth: dict[str, Truth]) -> tuple[list[float], list[float]]:
    """Measures of (rows to catch, rows to leave)."""
    caught, left = [], []
    for key, line in lines.items():
        if key not in truth or line["verdict"] == "unread":
            continue
        value = line["numbers"].get(curve.number, curve.missing)
        if value is None:
            continue
        due = should_fire(curve.rule, truth[key])
        wanted = due or "watermark" in truth[key]["expect"].split()
        if wanted and truth[key]["kind"].startswith(curve.kinds):
            caught.append(float(value))
        elif due is False:
            left.append(float(value))
    return caught, left


def trace(
    curve: Curve, caught: list[float], left: list[float], limit: float | None
) -> list[tuple[float, float, float]]:
    """(limit, precision, recall) at the set limit and some sixty others, dense where the measures lie."""
    if not caught:
        return []
    steps = set() if limit is None else {limit}
    for values in (sorted(caught), sorted(left)):
        steps |= {values[round(k * (len(values) - 1) / 30)] for k in range(31) if values}
    points = []
    for limit in sorted(steps):
        fires = [v >= limit for v in caught] if curve.above else [v < limit for v in caught]
        false = sum(v >= limit for v in left) if curve.above else sum(v < limit for v in left)
        if sum(fires) + false:
            points.append((limit, sum(fires) / (sum(fires) + false), sum(fires) / len(caught)))
    return points


def draw_curve(curve: Curve, points: list[tuple[float, float, float]], limit: float | None) -> str:
    """An SVG of precision and recall over the limit; its axis has equal steps between the limits tried."""
    width, height, left, top = 560, 300, 56, 34
    wide, high = width - left - 20, height - top - 62

    def place(k: float, value: float) -> str:
        return f"{left + wide * k / max(1, len(points) - 1):.1f},{top + high * (1 - value):.1f}"

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" '
        f'font-size="12"><rect width="100%" height="100%" fill="white"/>'
        f'<text x="{left}" y="18" font-size="14">{curve.setting}</text>'
    ]
    for value in (0, 0.25, 0.5, 0.75, 0.95, 1):
        y = top + high * (1 - value)
        parts.append(
            f'<line x1="{left}" x2="{left + wide}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
            f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>'
        )
    for column, colour, name in ((1, "#1b6ca8", "precision"), (2, "#c2571a", "recall")):
        line = " ".join(place(k, point[column]) for k, point in enumerate(points))
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{left + 90 * (column - 1)}" y="{height - 10}" fill="{colour}">{name}</text>')
    for k in range(0, len(points), max(1, len(points) // 8)):
        x = left + wide * k / max(1, len(points) - 1)
        parts.append(
            f'<text x="{x:.1f}" y="{top + high + 18}" text-anchor="middle">{points[k][0]:.3g}</text>'
        )
    if limit is not None and points:
        k = sum(point[0] < limit for point in points)
        x = left + wide * min(k, len(points) - 1) / max(1, len(points) - 1)
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{top + high}" stroke="#555" '
            f'stroke-dasharray="4 3"/>'
            f'<text x="{x + 4:.1f}" y="{top + 12}" fill="#555">limit {limit:g}</text>'
        )
    return "".join(parts) + "</svg>\n"


def get_limit(curve: Curve, config: Any) -> float | None:
    """Where the recipe's limit stands."""
    if curve.limit is not None:
        return curve.limit
    section, _, name = curve.setting.partition(".")
    return float(getattr(getattr(config, section), name))


def write_curves(found: dict[str, Lines], truth: dict[str, Truth], config: Any, out: Path) -> list[str]:
    """Write an SVG per curve; Markdown rows: limit, what it is worth, and limits that reach 0.95."""
    rows = []
    for curve in CURVES:
        caught, left = list_measures(curve, found.get(curve.rule, {}), truth)
        limit = get_limit(curve, config)
        points = trace(curve, caught, left, limit)
        if not points:
            continue
        (out / f"curve_{curve.rule}_{curve.number}.svg").write_text(draw_curve(curve, points, limit))
        good = [p[0] for p in points if min(p[1], p[2]) >= 0.95]
        best = max(points, key=lambda p: min(p[1], p[2]))
        rows.append(
            f"| {curve.setting} | {limit:g} | {len(caught)} / {len(left)} | "
            f"{' / '.join(f'{v:.3f}' for p in points if p[0] == limit for v in p[1:])} | "
            f"{f'{min(good):.3g} … {max(good):.3g}' if good else 'none'} | "
            f"{best[0]:.3g}: {best[1]:.3f} / {best[2]:.3f} |"
        )
    return rows


def format_table(rows: Iterable[str], *columns: str) -> list[str]:
    """A Markdown table."""
    return [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|", *rows]


def format_scores(found: dict[str, Lines], truth: dict[str, Truth]) -> list[str]:
    """Markdown: precision and recall per rule."""
    rows = []
    for rule in (*SET_RULES, *IMAGE_RULES, "watermark"):
        lines = found.get(rule, {})
        if not lines or rule in ("licence", "category"):
            continue
        note = "by the rule for text" if rule == "watermark" else ""
        score = score_rule(rule, lines, truth)
        if rule == "duplicates":
            score, kept = score_groups(lines, truth)
            note = f"the original kept in {kept} of {score.right} pairs"
        planted, clean = score.right + score.missed, score.wrong + score.quiet
        rows.append(
            f"| {rule} | {planted} / {clean} | {score.precision} | {score.recall} | "
            f"{score.wrong} / {score.missed} | {note} |"
        )
    return format_table(rows, "rule", "planted / clean", "precision", "recall", "false / missed", "")


def format_kinds(found: dict[str, Lines], truth: dict[str, Truth]) -> list[str]:
    """Markdown: per rule, which kinds fire although they should not, or do not though they should."""
    rows = []
    for rule in IMAGE_RULES + SET_RULES:
        for kind, (fired, total, verdicts) in sorted(score_kinds(rule, found.get(rule, {}), truth).items()):
            sample = next(t for t in truth.values() if t["kind"] == kind)
            due = should_fire(rule, sample)
            if not due and not fired:
                continue
            word = {True: "must", False: "must not", None: "may"}[due]
            counts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items()))
            rows.append(f"| {rule} | {kind} | {word} | {format_rate(fired, total)} of {total} | {counts} |")
    return format_table(rows, "rule", "kind", "fires", "fired", "verdicts")
