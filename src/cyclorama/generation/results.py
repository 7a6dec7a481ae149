"""The results: one row per input row, failures included, as ``results.jsonl`` and ``results.parquet``.

Both hold what a run has made and why, and are byte-stable: equal inputs and settings give equal bytes,
whatever was killed, resumed or shared out in between. In JSON an absent value is null; what is nested there
is JSON text in Parquet. Seconds and keys that hold file times differ between equal runs; they stay in
``journal/shards/``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cyclorama.errors import InputError
from cyclorama.files import refuse
from cyclorama.generation.plan import Plan, load_plan
from cyclorama.jobs.store import ShardStore

JSON_FILE, TABLE_FILE = "results.jsonl", "results.parquet"
RESULT_SCHEMA = pa.schema(
    [
        ("row", pa.int64()),  # number of the input, from 0
        ("name", pa.string()),
        ("id", pa.string()),
        ("status", pa.string()),  # done or failed
        ("error", pa.string()),  # class of the failure
        ("reason", pa.string()),
        ("category_given", pa.string()),
        ("category", pa.string()),
        ("identifier", pa.string()),
        ("category_source", pa.string()),  # how it was found: docs/categories.md
        ("category_match", pa.string()),  # the part of the given name, or the image's class, that decided
        ("category_sure", pa.float64()),  # from 0, the general one, to 1, a name of the category's own
        ("reference", pa.string()),  # its file name
        (
            "style",
            pa.string(),
        ),  # of a set: a style file, a backdrop, or a style in styles/ fitted to the reference
        ("mask_source", pa.string()),
        ("mask_confidence", pa.float64()),  # of the bundled network, 0-1; null where it found no mask
        ("content_sha256", pa.string()),  # of the input image
        ("key", pa.string()),  # digest of contents and settings: equal keys, equal images
        ("input_height", pa.int32()),
        ("input_width", pa.int32()),
        ("output", pa.string()),  # address below the output folder; of several, the first
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("bytes", pa.int64()),
        ("image_sha256", pa.string()),
        ("seed", pa.int64()),
        ("batch_places", pa.int32()),  # images in the batch it went through, padding included
        ("exact", pa.bool_()),  # every opaque product pixel is the input's own; null: none to prove
        ("opaque_pixels", pa.int64()),
        ("soft_pixels", pa.int64()),
        ("max_difference", pa.int32()),
        ("mean_difference", pa.float64()),
        ("file_max_difference", pa.int32()),  # of a lossy file, where the product is opaque
        ("file_mean_difference", pa.float64()),
        ("gate_passed", pa.bool_()),
        ("gate_score", pa.float64()),
        ("gate", pa.string()),  # the gate's measurements and reasons
        ("attempts", pa.int32()),  # images sampled for this row
        ("images", pa.string()),  # all kept images with seed, report, placement and files
        ("notes", pa.string()),  # remarks about the input and its images
        ("run_seed", pa.int64()),
        ("model", pa.string()),
        ("model_hash", pa.string()),
        ("settings", pa.string()),
    ]
)
_GROUP = 8192


def merge_results(
    store: ShardStore, shards: int, schema: pa.Schema = RESULT_SCHEMA
) -> Iterator[dict[str, Any]]:
    """Write both files from the rows of all finished shards, in one step each, and give every row on the way.

    ``schema``: which columns of rows are written. To be exhausted. Holds one row group. Raises OutputError.
    """
    json_part, table_part = (store.out / f".{name}.part" for name in (JSON_FILE, TABLE_FILE))
    try:
        with (
            json_part.open("wb") as lines,
            pq.ParquetWriter(table_part, schema, compression="zstd") as writer,
        ):
            waiting: list[dict[str, Any]] = []
            for shard in range(shards):
                for row in store.load_rows(shard):
                    yield row
                    stated = {n: row[n] for n in schema.names if row.get(n) is not None}
                    text = json.dumps(stated, ensure_ascii=False, allow_nan=False) + "\n"
                    lines.write(text.encode("utf-8", "backslashreplace"))
                    waiting.append(stated)
                if len(waiting) >= _GROUP:
                    writer.write_table(_build_table(waiting, schema))
                    waiting = []
            if waiting:
                writer.write_table(_build_table(waiting, schema))
        json_part.replace(store.out / JSON_FILE)
        table_part.replace(store.out / TABLE_FILE)
    except OSError as error:
        raise refuse(store.out / TABLE_FILE, error) from error
    finally:
        json_part.unlink(missing_ok=True)
        table_part.unlink(missing_ok=True)


def _build_table(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    columns = {name: [_flatten(row.get(name)) for row in rows] for name in schema.names}
    return pa.table(columns, schema=schema)


def _flatten(value: Any) -> Any:
    """Lists and mappings as JSON."""
    nested = isinstance(value, dict | list | tuple)
    return json.dumps(value, sort_keys=True, ensure_ascii=False) if nested else value


def build_mark(rows: Iterable[Mapping[str, Any]], per_input: int = 1) -> dict[str, Any]:
    """What a shard's mark says, so that nobody has to read its ``rows``: inputs done and failed, images,
    times, files, failures.

    An input counts once ``per_input`` of its rows are there, as failed if one of them is.
    """
    failures: dict[str, list[Any]] = {}
    inputs: dict[int, list[Mapping[str, Any]]] = {}
    files: list[tuple[str, int]] = []
    seconds, images = 0.0, 0
    for row in rows:
        inputs.setdefault(row["row"], []).append(row)
        seconds += row.get("model_seconds", row.get("seconds")) or 0.0
        for image in list_images(row):
            images += 1
            files += [_name_file(file) for file in image["files"]]
        if row["status"] == "failed":
            found = failures.setdefault(row["error"], [0, f"{row['name']}: {row['reason']}"])
            found[0] += 1
    whole = [group for group in inputs.values() if len(group) == per_input]
    failed = [[row for row in group if row["status"] == "failed"] for group in whole]
    return {
        "rows": len(whole),
        "done": sum(not group for group in failed),
        "failed": sum(bool(group) for group in failed),
        "refused": sum(any(not row["key"] for row in group) for group in failed),
        "images": images,
        "model_seconds": seconds,
        "files": files,
        "failures": failures,
    }


def list_images(row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The images of a result ``row``, each with its files; a poster's row is its own image."""
    if "images" in row:
        return row["images"] or []
    return [row] if row.get("output") else []


def _name_file(file: Any) -> tuple[str, int]:
    return (file["name"], file["bytes"]) if isinstance(file, dict) else tuple(file)


def read_settled(store: ShardStore, plan: Plan, shard: int, per_input: int = 1) -> list[dict[str, Any]]:
    """The rows of a ``shard`` without a mark on which nothing is left to do: what its journal holds, what is
    taken over from earlier runs, and inputs that cannot be used."""
    rows = []
    if any(plan.read_column(shard, "error")):
        for row in plan.read_shard(shard):
            if (failure := row.failure) is not None:
                stated = {"row": row.row, "name": row.name, "key": None, "status": "failed"}
                rows += [stated | {"error": failure.error, "reason": failure.reason}] * per_input
    found = store.read_rows(shard)
    if found:
        start = shard * plan.shard_size
        numbers = {key: start + place for place, key in enumerate(plan.read_column(shard, "key"))}
        latest = {(row.get("plan_key"), row.get("size"), row.get("language")): row for row in found}
        rows += [row | {"row": numbers[key]} for (key, *_), row in latest.items() if key in numbers]
    return rows


SHOWN = 5


def read_status(out: Path) -> dict[str, Any]:
    """Counts of rows and shards, seconds per row, bytes and the commonest failures, as plain values.

    Rows count as soon as they are finished, also where their shard is not.

    Raises InputError (no such folder), OutputError (no run in it).
    """
    if not out.is_dir():
        raise InputError(f"no folder at {out}; give the --out of a run")
    store = ShardStore(out)
    plan, run = load_plan(store.plan_folder), store.load_values()
    per_input = run.get("rows_per_input", 1)
    counts: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    examples: dict[str, str] = {}
    seconds = 0.0
    for shard, key in enumerate(plan.keys):
        mark = store.load_mark(shard, key)
        if mark is None:
            mark = build_mark(read_settled(store, plan, shard, per_input), per_input)
            counts["in work"] += mark["done"] + mark["failed"]
            counts["failed in work"] += mark["failed"]
        else:
            counts["shards"] += 1
        counts.update(done=mark["done"], failed=mark["failed"], images=mark["images"])
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
        "failed_in_open_shards": counts["failed in work"],
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
