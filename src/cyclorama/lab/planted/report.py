"""The measured figures as Markdown, with a curve per limit beside them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cyclorama.curate.config import CurateConfig
from cyclorama.evaluation.tables import ReportTable, ReportText, format_markdown
from cyclorama.lab.planted.measure import IMAGE_RULES, SET_RULES, Truth
from cyclorama.lab.planted.scores import (
    CURVES,
    Lines,
    draw_curve,
    format_rate,
    list_measures,
    score_groups,
    score_kinds,
    score_rule,
    should_fire,
    trace,
)

Rows = list[Sequence[str]]


def write_report(
    found: dict[str, Lines], truth: dict[str, Truth], config: CurateConfig, folder: Path, out: Path
) -> str:
    """All tables of the answers ``found`` by rule, as Markdown; the curves lie in ``out`` as SVG."""
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
        note = "by the rule for text" if rule == "watermark" else ""
        score = score_rule(rule, lines, truth)
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
    for curve in CURVES:
        section, _, name = curve.setting.partition(".")
        limit = float(getattr(getattr(config, section), name)) if curve.limit is None else curve.limit
        caught, left = list_measures(curve, found.get(curve.rule, {}), truth)
        points = trace(curve, caught, left, limit)
        if not points:
            continue
        (out / f"curve_{curve.rule}_{curve.number}.svg").write_text(draw_curve(curve, points, limit))
        good = [p.limit for p in points if min(p.precision, p.recall) >= 0.95]
        best = max(points, key=lambda p: min(p.precision, p.recall))
        there = " / ".join(f"{p.precision:.3f} / {p.recall:.3f}" for p in points if p.limit == limit)
        rows.append(
            (
                curve.setting,
                f"{limit:g}",
                f"{len(caught)} / {len(left)}",
                there,
                f"{min(good):.3g} … {max(good):.3g}" if good else "none",
                f"{best.limit:.3g}: {best.precision:.3f} / {best.recall:.3f}",
            )
        )
    heads = (
        "limit", "set to", "planted / clean", "precision / recall there", "both ≥ 0.95 from … to",
        "best limit: precision / recall",
    )  # fmt: skip
    return ReportTable("Limits", heads, rows)


def tabulate_erasing(lines: Lines, truth: dict[str, Truth]) -> ReportTable:
    """What is left of planted texts after the text rule."""
    planted = {
        key: (truth[key]["kind"], line)
        for key, line in lines.items()
        if key in truth and truth[key]["kind"].startswith(("text_", "logo_word"))
    }
    kinds = sorted({kind for kind, _ in planted.values()})
    rows: Rows = []
    for name in ["all planted texts", *kinds]:
        some = [line for kind, line in planted.values() if name in (kind, "all planted texts")]
        if not some:
            continue
        verdicts = Counter(line["verdict"] for line in some)
        checks = [line["check"] for line in some if "check" in line]
        gone = sum(not check["left"] for check in checks)
        stopped = sum(
            line["verdict"] in ("review", "drop") for line in some if line.get("check", {"left": 1})["left"]
        )
        rows.append(
            (
                name,
                str(len(some)),
                " / ".join(str(verdicts[v]) for v in ("repair", "review", "drop", "keep")),
                format_rate(sum(not check["touching"] for check in checks), len(checks)),
                format_rate(gone, len(checks)),
                format_rate(gone, len(some)),
                format_rate(gone + stopped, len(some)),
                str(sum(check["changed_outside"] for check in checks)),
                f"{np.mean([check['error'] for check in checks]):.1f}" if checks else "–",
            )
        )
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
        for kind, verdicts in score_kinds(found.get(rule, {}), truth).items():
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
    rows: Rows = [
        (
            name,
            f"{1 / mean:.1f}",
            f"{1000 * mean:.0f}",
            f"{1000 * np.percentile(times[name], 95):.0f}",
            str(len(times[name])),
        )
        for name, mean in means.items()
    ]
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
