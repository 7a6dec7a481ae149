"""The measured figures as Markdown, ready for RESULTS.md."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from cyclorama.lab.planted.measure import IMAGE_RULES, Truth, read_lines
from cyclorama.lab.planted.scores import (
    Lines,
    format_kinds,
    format_rate,
    format_scores,
    format_table,
    write_curves,
)


def format_report(
    found: dict[str, Lines], truth: dict[str, Truth], config: Any, folder: Path, out: Path
) -> str:
    """All tables; writes the curves into ``out`` beside it."""
    found = found | {"watermark": found.get("text", {})}
    asked = {rule: len(lines) for rule, lines in found.items()}
    facts = json.loads((folder / "settings.json").read_text())
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    counts = Counter(t["kind"] for t in truth.values())
    parts = [
        f"Planted set: {facts['rows']} rows of {len(counts)} kinds, seed {facts['seed']}; commit "
        f"{commit.stdout.strip()}. Rows asked: "
        f"{', '.join(f'{rule} {n}' for rule, n in sorted(asked.items()))}. "
        "Intervals: Wilson, 95 %. A row counts as caught when the rule does not simply keep it.",
        "",
        *format_scores(found, truth),
        "",
        "Limits (precision / recall over the kinds that the limit is for; rows that may fire are left out):",
        "",
        *format_table(
            write_curves(found, truth, config, out),
            "limit", "set to", "planted / clean", "precision / recall there", "both ≥ 0.95 from … to",
            "best limit: precision / recall",
        ),
        "",
        "After erasing:",
        "",
        *format_erasing(found.get("text", {}), truth),
        "",
        "What fires, by kind:",
        "",
        *format_kinds(found, truth),
        "",
        "Speed, one core (processor time of the process, one thread):",
        "",
        *format_speed(found, out),
        "",
        *format_words(found, truth),
    ]  # fmt: skip
    runs = read_lines(out / "runs.jsonl")
    if runs:
        parts += ["", "The command itself:", "", *format_runs(runs)]
    return "\n".join(parts) + "\n"


def format_erasing(lines: Lines, truth: dict[str, Truth]) -> list[str]:
    """Markdown: what is left of planted texts after the text rule."""
    rows = []
    planted = {
        key: line
        for key, line in lines.items()
        if key in truth and truth[key]["kind"].startswith(("text_", "logo_word"))
    }
    groups = {"all planted texts": lambda kind: True, "logos with a word": lambda kind: kind == "logo_word"}
    groups |= {kind: (lambda k, kind=kind: k == kind) for kind in sorted({truth[k]["kind"] for k in planted})}
    for name, belongs in groups.items():
        some = [line for key, line in planted.items() if belongs(truth[key]["kind"])]
        if not some or name == "logo_word":
            continue
        verdicts = Counter(line["verdict"] for line in some)
        checks = [line["check"] for line in some if "check" in line]
        gone = sum(not check["left"] for check in checks)
        silent = sum(not check["touching"] for check in checks)
        stopped = sum(
            line["verdict"] in ("review", "drop") for line in some if line.get("check", {"left": 1})["left"]
        )
        held = gone + stopped
        rows.append(
            f"| {name} | {len(some)} | {verdicts['repair']} / {verdicts['review']} / {verdicts['drop']} / "
            f"{verdicts['keep']} | {format_rate(silent, len(checks))} | {format_rate(gone, len(checks))} | "
            f"{format_rate(gone, len(some))} | "
            f"{format_rate(held, len(some))} | {sum(c['changed_outside'] for c in checks)} | "
            f"{np.mean([c['error'] for c in checks]) if checks else float('nan'):.1f} |"
        )
    return format_table(
        rows, "planted", "rows", "repaired / review / drop / kept", "OCR finds nothing there, of repaired",
        "OCR finds nothing of it, of repaired", "of all planted", "gone or stopped",
        "pixels changed outside the erase mask",
        "mean error in the hole (levels)",
    )  # fmt: skip


def format_speed(found: dict[str, Lines], out: Path) -> list[str]:
    """Markdown: images a second and core per rule, and of all image rules together."""
    rows, total = [], 0.0
    decoding = [line["decoding"] for line in found.get("size", {}).values() if "decoding" in line]
    names = [*IMAGE_RULES, "summary"]
    times = {
        name: [line["seconds"] for line in found.get(name, {}).values() if line["verdict"] != "unread"]
        for name in names
    }
    times = {"decoding": decoding} | times
    for name, seconds in times.items():
        if seconds:
            total += float(np.mean(seconds))
            rows.append(
                f"| {name} | {1 / max(1e-9, np.mean(seconds)):.1f} | {1000 * np.mean(seconds):.0f} | "
                f"{1000 * np.percentile(seconds, 95):.0f} | {len(seconds)} |"
            )
    if total:
        rows.append(f"| all together | {1 / total:.2f} | {1000 * total:.0f} | | |")
    memory = out / "memory.json"
    table = format_table(rows, "step", "images/s/core", "mean ms", "95 % ms", "images")
    if memory.exists():
        table += [
            "",
            f"Peak memory of the measuring process: {json.loads(memory.read_text())['peak_mib']:.0f} MiB.",
        ]
    return table


def format_words(found: dict[str, Lines], truth: dict[str, Truth]) -> list[str]:
    """Category names and licences: whether each row got the right word."""
    said = []
    licences = found.get("licence", {})
    right = sum(
        line["values"].get("commercial_use") == truth[key]["commercial_use"] for key, line in licences.items()
    )
    if licences:
        said.append(
            f"Licence: {right} of {len(licences)} rows marked rightly (allowed, forbidden, unstated)."
        )
    categories = found.get("category", {})
    names: dict[str, set[str]] = {}
    for key, line in categories.items():
        names.setdefault(truth[key]["category"], set()).add(line["values"].get("category", ""))
    single = sum(len(found_names) == 1 for found_names in names.values())
    if categories:
        distinct = len({name for group in names.values() for name in group})
        said.append(
            f"Category: {single} of {len(names)} categories came together under one name from five "
            f"spellings; {distinct} names in all."
        )
    masks = [line["iou"] for line in found.get("mask", {}).values() if "iou" in line]
    if masks:
        said.append(
            f"Masks made where the row has none ({len(masks)} cut-outs and products on white): "
            f"median overlap with the truth {np.median(masks):.4f}, least {min(masks):.4f}."
        )
    return ["\n".join(said)] if said else []


def format_runs(runs: list[dict[str, Any]]) -> list[str]:
    """Markdown: the command's runs."""
    rows = [
        f"| {r['engine']}, {r['workers']} | {r['rows']} = {r['results']} | {r['kills']} | "
        f"{r['seconds']:.0f} | {r['rows'] / r['seconds']:.2f} | {r['peak_mib']:.0f} | "
        f"{r['verdicts']} | `{r['digest'][:12]}` |"
        for r in runs
    ]
    return format_table(
        rows, "engine, workers", "rows in = out", "killed", "seconds", "rows/s", "peak MiB, all processes",
        "verdicts", "digest",
    )  # fmt: skip


def describe_settings(config: Any) -> str:
    """The recipe in one line, for the record."""
    return json.dumps(asdict(config), default=str)
