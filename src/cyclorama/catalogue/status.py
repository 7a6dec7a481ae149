"""How far is a run, how fast was it, and why have rows failed? Read from its folder, also while it is at
work."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from cyclorama.catalogue.disk import count_bytes
from cyclorama.catalogue.plan import Plan, load_plan
from cyclorama.catalogue.results import read_table
from cyclorama.catalogue.store import Store
from cyclorama.errors import InputError

SHOWN = 5


def read_status(out: Path) -> dict[str, Any]:
    """Counts of rows and shards, seconds per row, bytes and the commonest failures, as plain values.

    Raises InputError (no such folder), OutputError (no catalogue run in it).
    """
    if not out.is_dir():
        raise InputError(f"no folder at {out}; give the --out of a catalogue run")
    store = Store(out)
    plan = load_plan(store.plan_folder)
    counts: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    examples: dict[str, str] = {}
    seconds, timed, size = 0.0, 0, 0
    for shard, key in enumerate(plan.keys):
        mark = store.load_mark(shard) if store.load_key(shard) == key else None
        if mark is None:
            counts["in work"] += _count_journal(store.get_journal(shard))
            continue
        counts.update({"shards": 1, "done": mark.done, "failed": mark.failed, "images": mark.images})
        rows, spent = measure_shard(store, shard)
        timed, seconds, size = timed + rows, seconds + spent, size + count_bytes(store, [shard])[1]
        if mark.failed:
            _add_failures(store, shard, failures, examples)
    run = store.load_run()
    return {
        "out": str(out),
        "manifest": run.get("manifest"),
        "model": run.get("model"),
        "rows": plan.rows,
        "done": counts["done"],
        "failed": counts["failed"],
        "finished_in_open_shards": counts["in work"],
        "pending": plan.rows - counts["done"] - counts["failed"],
        "images": counts["images"],
        "shards": len(plan.keys),
        "finished_shards": counts["shards"],
        "bytes": size,
        "seconds_per_row": seconds / timed if timed else None,
        "failures": [
            {"error": error, "count": count, "example": examples[error]}
            for error, count in failures.most_common()
        ],
    }


def measure_shard(store: Store, shard: int) -> tuple[int, float]:
    """Of a finished shard: rows with timings, and their model seconds in all."""
    try:
        timings = read_table(store.get_timings(shard), columns=["model_seconds"]).drop_null()
    except (OSError, pa.ArrowException):
        return 0, 0.0
    spent = pc.sum(timings.column("model_seconds")).as_py() or 0.0
    return len(timings), float(spent)


def count_finished_rows(store: Store, plan: Plan) -> int:
    """Rows in shards that are finished under ``plan``."""
    finished = (s for s, key in enumerate(plan.keys) if store.load_key(s) == key)
    return sum(mark.rows for shard in finished if (mark := store.load_mark(shard)) is not None)


def format_status(status: dict[str, Any]) -> str:
    """``status`` as lines of text."""
    percent = 100 * (status["done"] + status["failed"]) / max(1, status["rows"])
    lines = [
        f"{status['manifest']} -> {status['out']}, model {status['model']}",
        f"{status['done']} of {status['rows']} rows done, {status['failed']} failed, "
        f"{status['pending']} pending ({percent:.1f}%)",
        f"{status['finished_shards']} of {status['shards']} shards finished, "
        f"{status['finished_in_open_shards']} rows finished in open ones",
        f"{status['images']} images, {status['bytes'] / 1e6:.1f} MB",
    ]
    if status["seconds_per_row"] is not None:
        lines.append(f"{status['seconds_per_row']:.2f} s of the model per row")
    for failure in status["failures"][:SHOWN]:
        lines.append(f"{failure['count']:>8} {failure['error']}: {failure['example']}")
    return "\n".join(lines)


def _count_journal(path: Path) -> int:
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return 0
    rows = set()
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:  # the line being written
            continue
        if isinstance(entry, dict) and "result" in entry:
            rows.add(entry.get("row"))
    return len(rows)


def _add_failures(store: Store, shard: int, failures: Counter[str], examples: dict[str, str]) -> None:
    try:
        table = read_table(store.get_results(shard), columns=["error", "reason", "name"])
    except (OSError, pa.ArrowException):
        return
    for row in table.filter(pc.is_valid(table.column("error"))).to_pylist():
        failures[row["error"]] += 1
        examples.setdefault(row["error"], f"{row['name']}: {row['reason']}")
