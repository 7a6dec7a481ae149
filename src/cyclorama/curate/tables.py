"""The result table and the reject logs: what became of every input row, and why."""

from __future__ import annotations

import io
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cyclorama.curate.cache import to_values
from cyclorama.curate.records import Finding, Verdict
from cyclorama.curate.settling import JudgedRow, format_time
from cyclorama.curate.store import CurateStore
from cyclorama.files import write_atomic
from cyclorama.jobs.store import encode_lines

RESULTS_FILE = "results.parquet"
RESULT_SCHEMA = pa.schema(
    [
        ("row", pa.int64()),  # number of the input's row, from 0
        ("key", pa.string()),
        ("image", pa.string()),
        ("product_id", pa.string()),
        ("verdict", pa.string()),  # keep, repair, review or drop
        ("rule", pa.string()),  # whose word it is; empty for a row kept as it came
        ("reason", pa.string()),
        ("category_given", pa.string()),
        ("category", pa.string()),
        ("identifier", pa.string()),
        ("brand", pa.string()),
        ("licence", pa.string()),
        ("split", pa.string()),
        ("set_key", pa.string()),  # key in the training set's shards
        ("sha256", pa.string()),  # of the file
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("repaired_pixels", pa.string()),  # below the output folder, if a rule changed the image
        ("product_mask", pa.string()),  # below the output folder, if a rule made or changed it
        ("decided", pa.string()),  # accept or reject, if a person's decision counts
        ("decided_by", pa.string()),
        ("decided_at", pa.string()),  # UTC
        ("findings", pa.string()),  # every rule's verdict, reason, numbers, boxes, values: JSON
    ]
)


def write_results(store: CurateStore, rows: Sequence[JudgedRow], set_keys: Mapping[int, str]) -> None:
    """Write ``results.parquet``, one row per input row. Raises OutputError."""
    values = [_describe(number, row, set_keys.get(number)) for number, row in enumerate(rows)]
    table = pa.Table.from_pylist(values, schema=RESULT_SCHEMA)
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    write_atomic(store.out / RESULTS_FILE, sink.getvalue())


def write_rejects(store: CurateStore, rows: Sequence[JudgedRow], names: Sequence[str]) -> None:
    """Write a log per rule of ``names`` and per further reason, one line per dropped row.

    Raises OutputError.
    """
    logs: dict[str, list[dict[str, Any]]] = defaultdict(list, {name: [] for name in names})
    for row in rows:
        if row.verdict == Verdict.DROP:
            logs[row.rule].append(_describe_reject(row))
    for name, lines in logs.items():
        write_atomic(store.rejects / f"{name}.jsonl", encode_lines(lines))
    for path in store.rejects.glob("*.jsonl"):
        if path.stem not in logs:
            path.unlink()


def _describe(number: int, row: JudgedRow, set_key: str | None) -> dict[str, Any]:
    record, numbers = row.record, row.summary.numbers if row.summary is not None else {}
    decision = row.decision
    return {
        "row": number,
        "key": record.key,
        "image": record.image,
        "product_id": record.product_id,
        "verdict": row.verdict.value,
        "rule": row.rule,
        "reason": row.reason,
        "category_given": record.category,
        "category": row.category,
        "identifier": row.values.get("identifier"),
        "brand": record.brand,
        "licence": record.licence,
        "split": row.split or None,
        "set_key": set_key,
        "sha256": row.digest or None,
        "height": int(numbers["height"]) if "height" in numbers else None,
        "width": int(numbers["width"]) if "width" in numbers else None,
        "repaired_pixels": _locate(row, "pixels"),
        "product_mask": _locate(row, "mask"),
        "decided": None if decision is None else decision.choice,
        "decided_by": None if decision is None else decision.who,
        "decided_at": None if decision is None else format_time(decision.when),
        "findings": json.dumps([_compress(f) for f in row.findings], sort_keys=True, ensure_ascii=False),
    }


def _compress(finding: Finding) -> dict[str, Any]:
    """A finding's values without those that are empty."""
    return {name: value for name, value in to_values(finding).items() if value not in ("", {}, [])}


def _locate(row: JudgedRow, layer: str) -> str | None:
    name = row.layers[layer]
    return None if name in ("file", "none") else f"cache/{name[:2]}/{name}.png"


def _describe_reject(row: JudgedRow) -> dict[str, Any]:
    blamed = next((f for f in row.findings if f.rule == row.rule and f.verdict == Verdict.DROP), None)
    values = {
        "key": row.record.key,
        "image": row.record.image,
        "product_id": row.record.product_id,
        "rule": row.rule,
        "reason": row.reason,
    }
    if blamed is not None:
        values |= {name: value for name, value in _compress(blamed).items() if name in ("numbers", "boxes")}
    if row.decision is not None:
        values |= {"decided_by": row.decision.who, "decided_at": format_time(row.decision.when)}
    return values
