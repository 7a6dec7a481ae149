"""Precision and recall of each rule on the planted set, with Wilson's intervals, as Markdown; in curves.csv
what other limits would give."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cyclorama.curate.config import CurateConfig
from cyclorama.curate.stated import compute_lower_bound
from cyclorama.evaluation.tables import ReportTable, ReportText, format_markdown
from cyclorama.lab.planted.measure import IMAGE_RULES, SET_RULES, Line, Truth

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
    return compute_lower_bound(hits, total), 1 - compute_lower_bound(total - hits, total)


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


Rows = list[Sequence[str]]


def write_report(
    found: dict[str, Lines], truth: dict[str, Truth], config: CurateConfig, folder: Path, out: Path
) -> str:
    """All tables of the answers ``found`` by rule, as Markdown; the curves lie in ``out``, curves.csv."""
    found = found | {"watermark": found.get("text", {})}
    asked = ", ".join(f"{rule} {len(lines)}" for rule, lines in sorted(found.items()))
    facts = json.loads((folder / "settings.json").read_text())
    kinds = len({row["kind"] for row in truth.values()})
    tables = (
        tabulate_scores(found, truth),
        tabulate_limits(found, truth, config, out),
        tabulate_erasing(found.get("text", {}), truth),
        tabulate_kinds(found, truth),
        tabulate_speed(found),
    )
    text = ReportText(
        "Rules on planted faults",
        [f"{facts['rows']} rows of {kinds} kinds, seed {facts['seed']}", f"rows asked: {asked}"],
        ["Intervals: Wilson, 95 %. A row counts as caught when the rule does not simply keep it."],
        [table for table in tables if table.rows],
        {"Words and masks": describe_words(found, truth)},
    )
    return format_markdown(text)


def tabulate_scores(found: dict[str, Lines], truth: dict[str, Truth]) -> ReportTable:
    """Precision and recall per rule."""
    rows: Rows = []
    for rule in ("clicks", "duplicates", *IMAGE_RULES, "watermark"):
        lines = found.get(rule, {})
        if not lines:
            continue
        score, note = score_rule(rule, lines, truth), "by the rule for text" if rule == "watermark" else ""
        if rule == "duplicates":
            score, kept = score_groups(lines, truth)
            note = f"the original kept in {kept} of {score.right} pairs"
        counts = f"{score.right + score.missed} / {score.wrong + score.quiet}"
        rows.append((rule, counts, score.precision, score.recall, f"{score.wrong} / {score.missed}", note))
    heads = ("rule", "planted / clean", "precision", "recall", "false / missed", "")
    return ReportTable("Precision and recall", heads, rows)


def tabulate_limits(
    found: dict[str, Lines], truth: dict[str, Truth], config: CurateConfig, out: Path
) -> ReportTable:
    """What each limit is worth, and limits that reach 0.95, over the kinds that it is for."""
    rows: Rows = []
    traced = ["setting,limit,precision,recall"]
    for curve in CURVES:
        section, _, name = curve.setting.partition(".")
        limit = float(getattr(getattr(config, section), name)) if curve.limit is None else curve.limit
        caught, left = list_measures(curve, found.get(curve.rule, {}), truth)
        points = trace(curve, caught, left, limit)
        if not points:
            continue
        traced += [f"{curve.setting},{p.limit:.6g},{p.precision:.4f},{p.recall:.4f}" for p in points]
        good = [p.limit for p in points if min(p.precision, p.recall) >= 0.95]
        best = max(points, key=lambda p: min(p.precision, p.recall))
        there = " / ".join(f"{p.precision:.3f} / {p.recall:.3f}" for p in points if p.limit == limit)
        span = f"{min(good):.3g} … {max(good):.3g}" if good else "none"
        peak = f"{best.limit:.3g}: {best.precision:.3f} / {best.recall:.3f}"
        rows.append((curve.setting, f"{limit:g}", f"{len(caught)} / {len(left)}", there, span, peak))
    (out / "curves.csv").write_text("\n".join(traced) + "\n", encoding="utf-8")
    heads = (
        "limit", "set to", "planted / clean", "precision / recall there", "both ≥ 0.95 from … to",
        "best limit: precision / recall",
    )  # fmt: skip
    return ReportTable("Limits", heads, rows)


def tabulate_erasing(lines: Lines, truth: dict[str, Truth]) -> ReportTable:
    """What is left of planted texts after the text rule."""
    planted: dict[str, list[Line]] = defaultdict(list)
    for key, line in lines.items():
        if key in truth and (kind := truth[key]["kind"]).startswith(("text_", "logo_word")):
            planted[kind].append(line)
            planted[" all planted texts"].append(line)
    rows: Rows = []
    for name, some in sorted(planted.items()):
        verdicts = Counter(line["verdict"] for line in some)
        checks = [line["check"] for line in some if "check" in line]
        gone = sum(not check["left"] for check in checks)
        stopped = sum(
            line["verdict"] in ("review", "drop") for line in some if line.get("check", {"left": 1})["left"]
        )
        counts = " / ".join(str(verdicts[v]) for v in ("repair", "review", "drop", "keep"))
        silent = sum(not check["touching"] for check in checks)
        shares = ((silent, checks), (gone, checks), (gone, some), (gone + stopped, some))
        changed = str(sum(check["changed_outside"] for check in checks))
        error = f"{np.mean([check['error'] for check in checks]):.1f}" if checks else "–"
        rates = [format_rate(hits, len(total)) for hits, total in shares]
        rows.append((name.strip(), str(len(some)), counts, *rates, changed, error))
    heads = (
        "planted", "rows", "repaired / review / drop / kept", "OCR finds nothing there, of repaired",
        "OCR finds nothing of it, of repaired", "of all planted", "gone or stopped",
        "pixels changed outside the erase mask", "mean error in the hole (levels)",
    )  # fmt: skip
    return ReportTable("After erasing", heads, rows)


def tabulate_kinds(found: dict[str, Lines], truth: dict[str, Truth]) -> ReportTable:
    """Per rule, which kinds fire although they should not, or do not though they should."""
    samples = {row["kind"]: row for row in truth.values()}
    rows: Rows = []
    for rule in IMAGE_RULES + SET_RULES:
        kinds: dict[str, Counter[str]] = defaultdict(Counter)
        for key, line in found.get(rule, {}).items():
            if key in truth and line["verdict"] != "unread":
                kinds[truth[key]["kind"]][line["verdict"]] += 1
        for kind, verdicts in sorted(kinds.items()):
            due, total = should_fire(rule, samples[kind]), verdicts.total()
            fired = total - verdicts["keep"]
            if due or fired:
                word = {True: "must", False: "must not", None: "may"}[due]
                counts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items()))
                rows.append((rule, kind, word, f"{format_rate(fired, total)} of {total}", counts))
    return ReportTable("What fires, by kind", ("rule", "kind", "fires", "fired", "verdicts"), rows)


def tabulate_speed(found: dict[str, Lines]) -> ReportTable:
    """Images a second and core per rule, and of all image rules together."""
    times = {"decoding": [line["decoding"] for line in found.get("size", {}).values() if "decoding" in line]}
    for name in (*IMAGE_RULES, "summary"):
        lines = found.get(name, {}).values()
        times[name] = [line["seconds"] for line in lines if line["verdict"] != "unread"]
    means = {name: max(1e-9, float(np.mean(seconds))) for name, seconds in times.items() if seconds}
    rows: Rows = []
    for name, mean in means.items():
        slow = f"{1000 * np.percentile(times[name], 95):.0f}"
        rows.append((name, f"{1 / mean:.1f}", f"{1000 * mean:.0f}", slow, str(len(times[name]))))
    if means:
        total = sum(means.values())
        rows.append(("all together", f"{1 / total:.2f}", f"{1000 * total:.0f}", "", ""))
    heads = ("step", "images/s/core", "mean ms", "95 % ms", "images")
    return ReportTable("Speed, one core (processor time)", heads, rows)


def describe_words(found: dict[str, Lines], truth: dict[str, Truth]) -> list[str]:
    """Category names, licences and masks: whether each row got the right one."""
    said = []
    if licences := found.get("licence", {}):
        right = sum(
            v["values"].get("commercial_use") == truth[k]["commercial_use"] for k, v in licences.items()
        )
        said.append(f"licence: {right} of {len(licences)} rows marked rightly (allowed, forbidden, unstated)")
    if categories := found.get("category", {}):
        names: dict[str, set[str]] = {}
        for key, line in categories.items():
            names.setdefault(truth[key]["category"], set()).add(line["values"].get("category", ""))
        single = sum(len(group) == 1 for group in names.values())
        said.append(f"category: {single} of {len(names)} came together under one name from five spellings")
    if masks := [line["iou"] for line in found.get("mask", {}).values() if "iou" in line]:
        said.append(
            f"masks made where the row has none ({len(masks)} cut-outs and products on white): median "
            f"overlap with the truth {np.median(masks):.4f}, least {min(masks):.4f}"
        )
    return said
