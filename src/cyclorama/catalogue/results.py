"""The result table: one row per input row, failures included.

``results.parquet`` holds what a run has made and why, and is byte-stable: equal inputs and settings give
equal bytes, whatever was killed, resumed or shared out in between. What differs between equal runs (seconds,
keys that hold file times) is in ``timings.parquet``, row for row.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cyclorama.errors import OutputError
from cyclorama.files import write_atomic

RESULTS_FILE, TIMINGS_FILE = "results.parquet", "timings.parquet"
RESULT_SCHEMA = pa.schema(
    [
        ("row", pa.int64()),  # number of the manifest's row, from 0
        ("name", pa.string()),
        ("id", pa.string()),
        ("status", pa.string()),  # done or failed
        ("error", pa.string()),  # class of the failure
        ("reason", pa.string()),
        ("category_given", pa.string()),
        ("category", pa.string()),
        ("identifier", pa.string()),
        ("category_choice", pa.string()),  # name, alias, map, parent or default
        ("reference", pa.string()),
        ("mask_source", pa.string()),
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
        ("exact", pa.bool_()),  # whether every opaque product pixel is the input's own
        ("opaque_pixels", pa.int64()),
        ("soft_pixels", pa.int64()),
        ("max_difference", pa.int32()),
        ("mean_difference", pa.float64()),
        ("file_max_difference", pa.int32()),  # of a lossy file, where the product is opaque
        ("file_mean_difference", pa.float64()),
        ("gate_passed", pa.bool_()),
        ("gate_score", pa.float64()),
        ("gate", pa.string()),  # the gate's measurements and reasons, JSON
        ("attempts", pa.int32()),  # images sampled for this row
        ("images", pa.string()),  # all kept images with seed, report and extra files, JSON
        ("run_seed", pa.int64()),
        ("model", pa.string()),
        ("model_hash", pa.string()),
        ("settings", pa.string()),  # JSON
    ]
)
TIMING_SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("plan_key", pa.string()),  # digest of settings and of files by size and time
        ("seconds", pa.float64()),  # all work on the row
        ("load_seconds", pa.float64()),  # decoding and cutting out
        ("model_seconds", pa.float64()),  # the row's share of its batches in the model
        ("finish_seconds", pa.float64()),  # compositing, judging, encoding, writing
    ]
)
_GROUP = 65_536


def encode_table(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> bytes:
    """``rows`` as Parquet; missing columns are null. Equal rows give equal bytes."""
    table = pa.table({name: [row.get(name) for row in rows] for name in schema.names}, schema=schema)
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def read_table(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """The table at ``path``, read in this thread: for thousands of small files, waking others costs more.

    Raises OSError, pyarrow.ArrowException.
    """
    with pq.ParquetFile(path) as file:
        return file.read(columns=None if columns is None else list(columns), use_threads=False)


def load_rows(path: Path, schema: pa.Schema) -> list[dict[str, Any]]:
    """The rows of a shard's table; none if the file is missing, damaged or of another version."""
    try:
        table = read_table(path)
    except (OSError, pa.ArrowException):
        return []
    rows: list[dict[str, Any]] = table.to_pylist() if table.schema.equals(schema) else []
    return rows


def merge_tables(paths: Iterable[Path], target: Path, schema: pa.Schema) -> int:
    """Write the tables at ``paths`` one after the other into ``target``, in one step; the number of rows.

    Holds one row group. Raises OutputError.
    """
    temporary = target.with_name(f".{target.name}.part")
    count, held, waiting = 0, 0, []
    try:
        with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
            for path in paths:
                table = read_table(path)
                count += len(table)
                held += len(table)
                waiting.append(table)
                if held >= _GROUP:
                    writer.write_table(pa.concat_tables(waiting), row_group_size=_GROUP)
                    held, waiting = 0, []
            if waiting:
                writer.write_table(pa.concat_tables(waiting), row_group_size=_GROUP)
        temporary.replace(target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OutputError(f"cannot write {target}: {error.strerror or error}") from error
    return count


def write_table(path: Path, rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> bytes:
    """Write ``rows`` to ``path`` in one step and return the file's bytes. Raises OutputError."""
    data = encode_table(rows, schema)
    write_atomic(path, data)
    return data


def to_json(values: Any) -> str:
    """Plain values as JSON text, keys sorted, so that equal values are equal texts."""
    return json.dumps(values, sort_keys=True, ensure_ascii=False, allow_nan=False)
