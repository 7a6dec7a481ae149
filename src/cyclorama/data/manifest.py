"""Manifests: lists of images as CSV, JSONL or Parquet, read row by row and written atomically.

The same format feeds ``generate`` (image, mask, category, reference, reference_mask, seed) and training.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, overload

from cyclorama.data.schema import COLUMNS, Record, RejectedRow, check_columns, parse_row
from cyclorama.data.tables import RawRow, detect_format, load_table
from cyclorama.errors import ManifestError, MissingDependencyError
from cyclorama.files import write_atomic


@overload
def load_manifest(
    path: str | Path, on_error: Literal["raise"] = "raise", required: Sequence[str] = ("image",)
) -> list[Record]: ...


@overload
def load_manifest(
    path: str | Path, on_error: Literal["collect"], required: Sequence[str] = ("image",)
) -> tuple[list[Record], list[RejectedRow]]: ...


def load_manifest(
    path: str | Path, on_error: Literal["raise", "collect"] = "raise", required: Sequence[str] = ("image",)
) -> list[Record] | tuple[list[Record], list[RejectedRow]]:
    """The records of a manifest; with ``on_error="collect"`` also the rows that are none, with reasons.

    Relative paths count from the manifest's folder. A row without ``id`` is named after its image
    (path without suffix; a second one of that name gets ``-2``). An ``id`` given twice is a bad row.
    Ids are compared without regard to case, since they become file names.

    Invariant: with ``collect``, rows in = records + rejected.

    Raises ManifestError: unreadable file, missing column (naming those found), or, with ``raise``, the
    first bad row with its number and line.
    """
    path = Path(path)
    table = load_table(path)
    check_columns(table.columns, required, str(path))
    parsed: list[tuple[RawRow, Record]] = []
    rejected: list[RejectedRow] = []

    def reject(row: RawRow, reason: str) -> None:
        if on_error == "raise":
            line = f" (line {row.line})" if row.line is not None else ""
            raise ManifestError(f"{path}, row {row.number}{line}: {reason}")
        rejected.append(RejectedRow(row.number, reason, row.values))

    taken: dict[str, int] = {}
    for row in table.rows:
        try:
            if row.problem is not None:
                raise ManifestError(row.problem)
            record = parse_row(row.values, path.parent, required)
            first = taken.get(record.id.casefold()) if record.id else None
            if first is not None:
                raise ManifestError(f"id {record.id!r} is already used by row {first}")
        except ManifestError as error:
            reject(row, str(error))
            continue
        if record.id:
            taken[record.id.casefold()] = row.number
        parsed.append((row, record))
    records = [record if record.id else _name(record, row, path.parent, taken) for row, record in parsed]
    if on_error == "raise":
        return records
    return records, rejected


def _name(record: Record, row: RawRow, folder: Path, taken: dict[str, int]) -> Record:
    """The record with a free id made from its image's path."""
    inside = Path(_to_relative(record.image, folder))
    stem = inside.stem if inside.is_absolute() else inside.with_suffix("").as_posix()
    name, count = stem, 1
    while name.casefold() in taken:
        count += 1
        name = f"{stem}-{count}"
    taken[name.casefold()] = row.number
    return replace(record, id=name)


def save_manifest(records: Sequence[Record], path: str | Path) -> None:
    """Write ``records`` as CSV, JSONL or Parquet by the suffix; the file appears whole or not at all.

    Paths inside the manifest's folder are written relative to it. CSV turns extra values that are not
    text into JSON text. Invariant: ``load_manifest`` of a saved JSONL file gives equal records.

    Raises ManifestError (unknown suffix, an extra column that shadows a known one), OutputError.
    """
    path = Path(path)
    kind = detect_format(path)
    rows = [_to_row(record, path.parent) for record in records]
    used = [name for name in COLUMNS if name in ("id", "image") or any(name in row for row in rows)]
    used += sorted({name for row in rows for name in row} - set(COLUMNS))
    if kind == "jsonl":
        data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    elif kind == "csv":
        data = _encode_csv(rows, used, "\t" if path.suffix.lower() == ".tsv" else ",")
    else:
        data = _encode_parquet(rows, used)
    write_atomic(path, data)


def _to_row(record: Record, folder: Path) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name in COLUMNS:
        value = getattr(record, name)
        if value is not None:
            row[name] = _to_relative(value, folder) if isinstance(value, Path) else value
    for name, value in record.extra.items():
        if name in COLUMNS and not (name == "mask" and record.mask is None):
            raise ManifestError(f"record {record.id!r}: extra column {name!r} shadows a known column")
        row[name] = value
    return row


def _to_relative(path: Path, folder: Path) -> str:
    """The path counted from ``folder`` if it lies inside (links are not followed), else the absolute path."""
    absolute, start = os.path.normpath(path.absolute()), os.path.normpath(folder.absolute())
    inside = absolute.startswith(start + os.sep)
    return Path(absolute[len(start) + 1 :] if inside else absolute).as_posix()


def _encode_csv(rows: list[dict[str, Any]], columns: list[str], separator: str) -> bytes:
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, delimiter=separator, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        cells = [row.get(name) for name in columns]
        writer.writerow(
            [
                "" if c is None else c if isinstance(c, str) else json.dumps(c, ensure_ascii=False)
                for c in cells
            ]
        )
    return stream.getvalue().encode()


def _encode_parquet(rows: list[dict[str, Any]], columns: list[str]) -> bytes:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingDependencyError("writing Parquet needs pyarrow: pip install pyarrow") from error
    sink = io.BytesIO()
    try:
        table = pa.table({name: [row.get(name) for row in rows] for name in columns})
    except pa.ArrowException as error:
        raise ManifestError(f"an extra column mixes types, which Parquet cannot hold: {error}") from error
    pq.write_table(table, sink)
    return sink.getvalue()
