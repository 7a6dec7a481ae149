"""A whole curating run: read the input, ask the set rules, have an engine do the images, settle, write."""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from cyclorama.config import to_plain
from cyclorama.curate.category import CategoryRule
from cyclorama.curate.config import DEFAULT_ENGINE, CurateConfig, Rules, build_rules
from cyclorama.curate.judging import READING, CurateJob, find_worst
from cyclorama.curate.outputs import write_rejects, write_results, write_training_set
from cyclorama.curate.reading import Input, read_input, read_stamps
from cyclorama.curate.records import Finding, SetRule, Verdict
from cyclorama.curate.report import write_report
from cyclorama.curate.review import FILE_NAME, Decision, load_decisions
from cyclorama.curate.reviewing import write_review
from cyclorama.curate.settling import JudgedRow, ask_set_rule, settle_rows
from cyclorama.curate.splits import assign_set_splits
from cyclorama.curate.store import FORMAT, TIMINGS_FILE, CurateStore, ImageCache
from cyclorama.files import Written, write_atomic
from cyclorama.jobs.job import Engine, EngineSettings, Hooks
from cyclorama.jobs.run import run_shards
from cyclorama.jobs.store import compute_key
from cyclorama.models.registry import FILE_NAME as REGISTRY
from cyclorama.models.registry import load_registry, save_registry

WRITTEN = ("set", "rejects", "review", "journal")
"""Below its output folder, where a run writes over and removes files; not the cache, which only grows."""


@dataclass(frozen=True)
class CurateResult:
    """What a run has done, and what came of every row."""

    rows: int
    verdicts: dict[str, int] = field(default_factory=dict)
    """Rows per verdict; empty if the run was stopped."""
    reasons: dict[str, int] = field(default_factory=dict)
    """Dropped rows per rule."""
    looked_at: int = 0
    """Rows that went through the image rules now, or had what is known of them taken over."""
    shards: int = 0
    """Shards of the training set."""
    finished: bool = False


def run_curate(
    source: str,
    out: Path,
    config: CurateConfig,
    engine_settings: EngineSettings | None = None,
    hooks: Hooks | None = None,
    *,
    engine: Engine | None = None,
    build: Callable[[CurateConfig], Rules] = build_rules,
) -> CurateResult:
    """Curate the images of ``source`` into ``out``; rows in = rows out.

    Invariant: however often it is killed and run again, with whatever engine and number of workers, what
    :mod:`cyclorama.curate.store` calls byte-stable is the same byte for byte.

    Raises ManifestError, DataError, ConfigError, ModelError, OutputError, before images are opened where
    that is possible.
    """
    hooks, settings = hooks or Hooks(), engine_settings or DEFAULT_ENGINE
    store = CurateStore(out)
    cache, written = ImageCache(store.cache, config.reading), Written(out, WRITTEN)
    written.check(os.path.abspath(source) if "://" not in source else source)  # noqa: PTH100
    with store.lock(noted=hooks.noted):
        rules = build(config)
        store.open_uncached()
        found = _refuse_written(read_input(source, config.reading, cache.keep), written)
        store.save_values({"input": source, "kind": found.kind, "recipe": to_plain(config)})
        decisions = load_decisions(out / FILE_NAME)
        # with the identifiers of earlier runs, so that no category ever changes its own
        known = [rule for rule in rules.before if isinstance(rule, CategoryRule)]
        categories = {rule.name: CategoryRule(rule.settings, load_registry(out)) for rule in known}
        before = judge_records(found, [categories.get(r.name, r) for r in rules.before], decisions)
        plans = _plan(found, before, decisions, settings.shard_size)
        keys = _build_keys(plans, rules)
        job = CurateJob(out, settings, config, build, tuple(keys))
        for shard in range(len(plans)):
            store.open_unread(shard)
        items = {n: len(plan) for n, plan in enumerate(plans) if not store.is_done(n, keys[n])}
        for shard in items:
            store.forget_outcome()
            store.save_plan(shard, plans[shard])
        looked_at = run_shards(job, items, hooks, engine).done if items else 0
        if not all(store.is_done(shard, key) for shard, key in enumerate(keys)):
            return CurateResult(len(found.rows), looked_at=looked_at)
        store.drop_shards_from(len(plans))
        judged = [row for shard in range(len(plans)) for row in store.load_rows(shard)]
        records = [row.record for row in found.rows]
        rows = [JudgedRow.build(*parts) for parts in zip(records, before, judged, strict=True)]
        settle_rows(rows, rules.after, decisions)
        hooks.noted("writing the training set and the report")
        store.forget_outcome()
        for rule in categories.values():
            with tempfile.TemporaryDirectory() as folder:
                save_registry(rule.registry, folder)
                write_atomic(out / REGISTRY, (Path(folder) / REGISTRY).read_bytes())
        kept = [row for row in rows if row.is_kept]
        splits = assign_set_splits([row.record for row in kept], config.output.seed, config.splits)
        for row, split in zip(kept, splits, strict=True):
            row.split = split
        # in an order that a kill at any moment does not harm
        set_keys = write_training_set(store, cache, rows, config.output.shard_size)
        write_results(store, rows, set_keys)
        write_rejects(store, rows, rules.names)
        write_review(store, cache, rows, config, decisions, set_keys)
        write_report(store, cache, rows, config, rules.names, found.notes)
        store.save_values(_sum_timings(store, len(plans)), TIMINGS_FILE)
        cache.sweep()
        store.save_outcome()
    verdicts = {verdict.value: 0 for verdict in Verdict} | Counter(row.verdict.value for row in rows)
    reasons = Counter(row.rule for row in rows if row.verdict == Verdict.DROP)
    shards = -(-len(kept) // config.output.shard_size)
    return CurateResult(len(rows), verdicts, dict(sorted(reasons.items())), looked_at, shards, finished=True)


def _refuse_written(found: Input, written: Written) -> Input:
    """``found`` with a problem in each row that has a file where the run writes."""
    files = [{"image": row.record.image, "mask": row.record.mask} for row in found.rows]
    faults = [row.problem or written.find_fault(own) for row, own in zip(found.rows, files, strict=True)]
    rows = [replace(row, problem=fault) for row, fault in zip(found.rows, faults, strict=True)]
    return replace(found, rows=rows)


def judge_records(
    found: Input, rules: Sequence[SetRule], decisions: Mapping[str, Decision]
) -> list[tuple[Finding, ...]]:
    """What the rules that need no images say, row for row; a dropped row is not shown to the next rule.

    A row that a person has accepted is shown to all of them.
    """
    findings: list[list[Finding]] = [
        [Finding(READING, Verdict.DROP, row.problem)] if row.problem else [] for row in found.rows
    ]
    accepted = {key for key, decision in decisions.items() if decision.choice == "accept"}
    for rule in rules:
        shown = [
            place
            for place, row in enumerate(found.rows)
            if not row.problem and (row.record.key in accepted or find_worst(findings[place]) != Verdict.DROP)
        ]
        answers = ask_set_rule(rule, [found.rows[place].record for place in shown])
        for place, answer in zip(shown, answers, strict=True):
            findings[place].append(answer)
    return [tuple(row) for row in findings]


def _plan(
    found: Input, before: Sequence[Sequence[Finding]], decisions: Mapping[str, Decision], size: int
) -> list[list[dict[str, Any]]]:
    """Per shard, what its worker is told of every row."""
    rows = []
    for row, findings in zip(found.rows, before, strict=True):
        decision = decisions.get(row.record.key)
        accepted = decision is not None and decision.choice == "accept"
        skip = bool(row.problem) or (find_worst(findings) == Verdict.DROP and not accepted)
        rows.append({"record": asdict(row.record), "accepted": accepted, "skip": skip})
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def _build_keys(plans: Sequence[Sequence[dict[str, Any]]], rules: Rules) -> list[str]:
    """Per shard, a digest of all that its results depend on; files by their stamps."""
    seen_rows = [row["record"] for plan in plans for row in plan if not row["skip"]]
    addresses = sorted({record[name] for record in seen_rows for name in ("image", "mask") if record[name]})
    stamps = dict(zip(addresses, read_stamps(addresses), strict=True))
    asked = {"format": FORMAT, "rules": [*rules.identities.items()], "summary": rules.summary}
    keys = []
    for plan in plans:
        lines = []
        for row in plan:
            seen = [stamps.get(row["record"][name] or "") for name in ("image", "mask")]
            lines.append(json.dumps([row if not row["skip"] else row["record"]["key"], seen], sort_keys=True))
        keys.append(compute_key(asked | {"rows": lines}))
    return keys


def _sum_timings(store: CurateStore, shards: int) -> dict[str, dict[str, float]]:
    """Images and seconds by rule."""
    timings: dict[str, dict[str, float]] = {}
    for shard in range(shards):
        times = store.load_mark(shard) or {}
        for name, seconds in times.get("seconds", {}).items():
            total = timings.setdefault(name, {"images": 0, "seconds": 0.0})
            total["images"] += times["counts"][name]
            total["seconds"] += seconds
    return timings
