"""A whole curating run: read the input, ask the set rules, have an engine do the images, settle, write."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cyclorama.config import to_plain
from cyclorama.curate.cache import ImageCache
from cyclorama.curate.category import CategoryRule
from cyclorama.curate.config import DEFAULT_ENGINE, CurateConfig
from cyclorama.curate.decisions import FILE_NAME, Decision, load_decisions
from cyclorama.curate.files import read_stamps
from cyclorama.curate.judging import READING
from cyclorama.curate.outputs import write_outputs
from cyclorama.curate.reading import Input, read_input
from cyclorama.curate.records import Finding, SetRule, Verdict
from cyclorama.curate.rules import Rules, build_rules
from cyclorama.curate.settling import Row, settle_rows
from cyclorama.curate.store import DONE_FILE, RUN_FILE, TIMINGS_FILE, Store
from cyclorama.curate.worker import CurateJob, record_to_plain
from cyclorama.errors import CycloramaError
from cyclorama.files import write_atomic
from cyclorama.jobs.job import Engine, EngineSettings, Hooks, build_engine
from cyclorama.jobs.store import compute_key
from cyclorama.models.registry import FILE_NAME as REGISTRY
from cyclorama.models.registry import CategoryRegistry, load_registry, save_registry

FORMAT = 1


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
    engine = engine or build_engine(settings)
    store = Store(out)
    with store.lock():
        rules = build(config)
        found = read_input(source, config.reading)
        store.save_values(
            RUN_FILE, {"format": FORMAT, "input": source, "kind": found.kind, "recipe": to_plain(config)}
        )
        decisions = load_decisions(out / FILE_NAME)
        registered = with_registry(rules.before, load_registry(out))
        before = judge_records(found, registered, decisions)
        plans = _plan(found, before, decisions, settings.shard_size)
        keys = _build_keys(plans, rules)
        open_shards = [shard for shard, key in enumerate(keys) if store.load_key(shard) != key]
        looked_at = _judge_images(
            store, plans, open_shards, CurateJob(out, settings, config, build, tuple(keys)), engine, hooks
        )
        if any(store.load_key(shard) != key for shard, key in enumerate(keys)):
            return CurateResult(len(found.rows), looked_at=looked_at)
        store.drop_shards_from(len(plans))
        rows = _gather(store, found, before, len(plans))
        settle_rows(rows, rules.after, decisions)
        hooks.noted("writing the training set and the report")
        (out / DONE_FILE).unlink(missing_ok=True)
        save_categories(store, registered)
        shards = write_outputs(store, found, rows, config, rules, decisions)
        _conclude(store, len(plans))
    return _count(rows, looked_at, shards)


def with_registry(rules: Sequence[SetRule], registry: CategoryRegistry) -> list[SetRule]:
    """``rules`` with the identifiers of earlier runs, so that no category ever changes its own."""
    return [
        CategoryRule(rule.settings, registry) if isinstance(rule, CategoryRule) else rule for rule in rules
    ]


def save_categories(store: Store, rules: Sequence[SetRule]) -> None:
    """Write ``categories.json``, the registry of all categories met so far. Raises OutputError."""
    for rule in rules:
        if isinstance(rule, CategoryRule):
            with tempfile.TemporaryDirectory() as folder:
                save_registry(rule.registry, folder)
                write_atomic(store.out / REGISTRY, (Path(folder) / REGISTRY).read_bytes())


def judge_records(
    found: Input, rules: Sequence[SetRule], decisions: dict[str, Decision]
) -> list[tuple[Finding, ...]]:
    """What the rules that need no images say, row for row; a dropped row is not shown to the next rule.

    A row that a person has accepted is shown to all of them.
    """
    findings: list[list[Finding]] = []
    for row in found.rows:
        findings.append([Finding(READING, Verdict.DROP, row.problem)] if row.problem else [])
    accepted = {key for key, decision in decisions.items() if decision.choice == "accept"}
    for rule in rules:
        shown = [
            place
            for place, row in enumerate(found.rows)
            if not row.problem
            and (
                row.record.key in accepted
                or not any(finding.verdict == Verdict.DROP for finding in findings[place])
            )
        ]
        answers = ask_set_rule(rule, [found.rows[place].record for place in shown])
        for place, answer in zip(shown, answers, strict=True):
            findings[place].append(answer)
    return [tuple(row) for row in findings]


def ask_set_rule(rule: SetRule, rows: Sequence[Any]) -> list[Finding]:
    """The rule's findings under its own name, one per row. Raises CycloramaError for another number."""
    answers = rule.judge_all(rows) if rows else []
    if len(answers) != len(rows):
        raise CycloramaError(f"rule {rule.name!r} gave {len(answers)} findings for {len(rows)} rows")
    return [replace(answer, rule=rule.name, repaired=None) for answer in answers]


def _plan(
    found: Input, before: Sequence[Sequence[Finding]], decisions: dict[str, Decision], size: int
) -> list[list[dict[str, Any]]]:
    """Per shard, what its worker is told of every row."""
    rows = []
    for row, findings in zip(found.rows, before, strict=True):
        decision = decisions.get(row.record.key)
        accepted = decision is not None and decision.choice == "accept"
        dropped = any(finding.verdict == Verdict.DROP for finding in findings)
        rows.append(
            {
                "record": record_to_plain(row.record),
                "accepted": accepted,
                "skip": bool(row.problem) or (dropped and not accepted),
            }
        )
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def _build_keys(plans: Sequence[Sequence[dict[str, Any]]], rules: Rules) -> list[str]:
    """Per shard, a digest of all that its results depend on; files by their stamps."""
    addresses = sorted(
        {
            row["record"][name]
            for plan in plans
            for row in plan
            for name in ("image", "mask")
            if not row["skip"] and row["record"][name]
        }
    )
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


def _judge_images(
    store: Store,
    plans: Sequence[Sequence[dict[str, Any]]],
    shards: Sequence[int],
    job: CurateJob,
    engine: Engine,
    hooks: Hooks,
) -> int:
    """Have the engine finish ``shards``; how many rows it went through."""
    if not shards:
        return 0
    (store.out / DONE_FILE).unlink(missing_ok=True)
    for shard in shards:
        store.save_plan(shard, plans[shard])
    hooks.started(sum(len(plans[shard]) for shard in shards))
    done = 0
    for report in engine.run(job, shards, hooks):
        done += report.done
    return done


def _gather(store: Store, found: Input, before: Sequence[tuple[Finding, ...]], shards: int) -> list[Row]:
    """All rows of the input with what was said of them so far."""
    values = [row for shard in range(shards) for row in store.load_shard(shard)]
    rows = []
    for row, findings, judged in zip(found.rows, before, values, strict=True):
        assert judged["key"] == row.record.key
        rows.append(Row.build(row.record, findings, judged))
    return rows


def _conclude(store: Store, shards: int) -> None:
    """Sum up the timings, clear up, and write the run's own mark."""
    timings: dict[str, dict[str, float]] = {}
    for shard in range(shards):
        times = store.load_timings(shard)
        for name, seconds in times.get("seconds", {}).items():
            total = timings.setdefault(name, {"images": 0, "seconds": 0.0})
            total["images"] += times["counts"][name]
            total["seconds"] += seconds
    store.save_values(TIMINGS_FILE, timings)
    ImageCache(store.cache).sweep()
    store.clear_work()
    digests = {
        path.relative_to(store.out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in store.list_stable()
    }
    store.save_values(DONE_FILE, {"format": FORMAT, "files": digests})


def _count(rows: Sequence[Row], looked_at: int, shards: int) -> CurateResult:
    verdicts = {verdict.value: 0 for verdict in Verdict}
    reasons: dict[str, int] = {}
    for row in rows:
        verdicts[row.verdict.value] += 1
        if row.verdict == Verdict.DROP:
            reasons[row.rule] = reasons.get(row.rule, 0) + 1
    return CurateResult(len(rows), verdicts, dict(sorted(reasons.items())), looked_at, shards, finished=True)
