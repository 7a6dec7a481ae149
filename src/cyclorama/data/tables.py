"""Plain rows out of CSV, JSONL and Parquet files, before any cell is understood.

Detected for CSV: byte-order mark, separator (comma, semicolon, tab, bar), quoting. Not guessed: a text
encoding other than UTF-8 (UTF-16 only with its mark) is an error that says so.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cyclorama.data.schema import COLUMNS, normalise_column
from cyclorama.errors import ManifestError, MissingDependencyError

SEPARATORS = (",", ";", "\t", "|")
SUFFIXES = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}


@dataclass(frozen=True)
class RawRow:
    """Cells of one row under normalised column names, or the reason why the row has none."""

    number: int
    """From 1; the header and blank lines do not count."""
    line: int | None
    """Line of the file where the row ends, from 1; None for Parquet."""
    values: dict[str, Any] = field(default_factory=dict)
    problem: str | None = None


@dataclass(frozen=True)
class Table:
    """All rows of a file and the union of their columns."""

    columns: tuple[str, ...]
    rows: list[RawRow]


def detect_format(path: Path) -> str:
    """``csv``, ``jsonl`` or ``parquet``, from the file's suffix.

    Raises ManifestError naming the suffixes that are read.
    """
    try:
        return SUFFIXES[path.suffix.lower()]
    except KeyError:
        known = ", ".join(SUFFIXES)
        raise ManifestError(f"{path}: suffix {path.suffix!r} is no manifest; known: {known}") from None


def load_table(path: Path) -> Table:
    """Every row of the file. Raises ManifestError if the file as a whole cannot be read."""
    kind = detect_format(path)
    if not path.is_file():
        raise ManifestError(f"no manifest at {path}")
    if kind == "parquet":
        return _load_parquet(path)
    text = _decode_text(path)
    if not text.strip():
        raise ManifestError(f"{path} is empty")
    return _load_csv(path, text) if kind == "csv" else _load_jsonl(path, text)


def _decode_text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ManifestError(f"cannot read {path}: {error.strerror or error}") from error
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise ManifestError(
            f"{path} is not UTF-8 text (byte {data[error.start]:#04x} at {error.start}); save it as UTF-8"
        ) from error


def _unique_columns(names: list[str], path: Path) -> list[str]:
    columns = [normalise_column(name) or f"column {i}" for i, name in enumerate(names, 1)]
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise ManifestError(f"{path}: column {twice[0]!r} appears more than once; columns found: {columns}")
    return columns


def detect_separator(header: str) -> str:
    """The separator under which the header line holds most known columns, then most columns."""

    def score(separator: str) -> tuple[int, int]:
        names = next(csv.reader([header], delimiter=separator), [])
        return sum(normalise_column(name) in COLUMNS for name in names), len(names)

    return max(SEPARATORS, key=score)


def _load_csv(path: Path, text: str) -> Table:
    header = next(line for line in text.splitlines() if line.strip())
    reader = csv.reader(text.splitlines(keepends=True), delimiter=detect_separator(header), strict=True)
    columns: list[str] = []
    rows: list[RawRow] = []
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if not columns:
                columns = _unique_columns(cells, path)
                continue
            number, problem = len(rows) + 1, None
            if len(cells) != len(columns):
                problem = (
                    f"{len(cells)} cells under {len(columns)} columns; "
                    "quote a cell that holds the separator, and keep empty cells"
                )
            rows.append(RawRow(number, reader.line_num, dict(zip(columns, cells, strict=False)), problem))
    except csv.Error as error:
        raise ManifestError(f"{path}, line {reader.line_num}: not valid CSV: {error}") from error
    return Table(tuple(columns), rows)


def _load_jsonl(path: Path, text: str) -> Table:
    columns: dict[str, None] = {}
    rows: list[RawRow] = []
    for line, content in enumerate(text.split("\n"), 1):
        if not content.strip():
            continue
        number = len(rows) + 1
        try:
            value = json.loads(content)
        except ValueError as error:
            rows.append(RawRow(number, line, problem=f"not valid JSON: {error}"))
            continue
        if not isinstance(value, dict):
            rows.append(RawRow(number, line, problem=f"expected a JSON object, got {content.strip()[:60]!r}"))
            continue
        values = {normalise_column(str(name)): cell for name, cell in value.items()}
        columns.update(dict.fromkeys(values))
        rows.append(RawRow(number, line, values))
    return Table(tuple(columns), rows)


def _load_parquet(path: Path) -> Table:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingDependencyError(f"reading {path} needs pyarrow: pip install pyarrow") from error
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise ManifestError(f"{path} is not a readable Parquet file: {error}") from error
    columns = _unique_columns(list(table.column_names), path)
    rows = [
        RawRow(number, None, dict(zip(columns, values.values(), strict=True)))
        for number, values in enumerate(table.to_pylist(), 1)
    ]
    return Table(tuple(columns), rows)
