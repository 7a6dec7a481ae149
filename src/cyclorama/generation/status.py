"""How far is a run, how fast was it, and why have rows failed? Read from its folder, also while it is at
work."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from cyclorama.errors import InputError
from cyclorama.generation.plan import load_plan
from cyclorama.jobs.store import ShardStore, parse_entries

SHOWN = 5


def read_status(out: Path) -> dict[str, Any]:
    """Counts of rows and shards, seconds per row, bytes and the commonest failures, as plain values.

    Raises InputError (no such folder), OutputError (no run in it).
    """
    if not out.is_dir():
        raise InputError(f"no folder at {out}; give the --out of a run")
    store = ShardStore(out)
    plan, run = load_plan(store.plan_folder), store.load_values()
    counts: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    examples: dict[str, str] = {}
    seconds = 0.0
    for shard, key in enumerate(plan.keys):
        mark = store.load_mark(shard, key)
        if mark is None:
            with suppress(OSError):
                entries = parse_entries(store.get_journal(shard).read_bytes())
                counts["in work"] += len({entry["row"] for entry in entries if "result" in entry})
            continue
        counts.update(shards=1, done=mark["done"], failed=mark["failed"], images=mark["images"])
        counts["bytes"] += sum(size for _, size in mark["files"])
        seconds += mark["model_seconds"]
        for error, (count, example) in mark["failures"].items():
            failures[error] += count
            examples.setdefault(error, example)
    return {
        "out": str(out),
        "input": run.get("input"),
        "model": run.get("model"),
        "rows": plan.rows,
        "done": counts["done"],
        "failed": counts["failed"],
        "finished_in_open_shards": counts["in work"],
        "pending": plan.rows - counts["done"] - counts["failed"],
        "images": counts["images"],
        "shards": len(plan.keys),
        "finished_shards": counts["shards"],
        "bytes": counts["bytes"],
        "seconds_per_row": seconds / counts["done"] if counts["done"] else None,
        "failures": [
            {"error": error, "count": count, "example": examples[error]}
            for error, count in failures.most_common()
        ],
    }


def format_status(status: dict[str, Any]) -> str:
    """``status`` as lines of text."""
    percent = 100 * (status["done"] + status["failed"]) / max(1, status["rows"])
    lines = [
        f"{status['input']} -> {status['out']}, model {status['model']}",
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
