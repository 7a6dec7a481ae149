"""Rows of files whose cells have types: JSON lines, JSON, Parquet (a file or a folder of parts), Excel."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from cyclorama.data.columns import has_image_column
from cyclorama.data.text import Grid, Opener, fill_grid
from cyclorama.errors import ManifestError, MissingDependencyError

RawRow = tuple[int | None, Mapping[str, Any], str | None]
"""(line or None, cells by the table's own column names, why the row cannot be read)."""
_BATCH = 1024
_LARGEST_VALUE = 2**26
_SCALAR = r"\s*\"([^\"]*)\"\s*:\s*(?:\"[^\"]*\"|[\d.eE+-]+|true|false|null)\s*,"
_WRAPPED = re.compile(rf"\s*\{{(?:{_SCALAR})*\s*\"[^\"]*\"\s*:\s*(?=\[\s*\{{)")


def read_json_lines(lines: Iterator[str]) -> Iterator[RawRow]:
    """A row for each line that is not empty."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _parse_line(line, number)


def _parse_line(line: str, number: int) -> RawRow:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        return number, {}, f"not valid JSON: {error}"
    if not isinstance(value, dict):
        return number, {}, f"expected a JSON object, got {line.strip()[:60]!r}"
    return number, value, None


def read_json(read: Callable[[int], str], name: str) -> Iterator[RawRow]:
    """A row for each object of a JSON array (``[…]`` or ``{"products": […]}``) or of objects in a sequence.

    Raises ManifestError where the text is no JSON any more.
    """
    decoder, text, number = json.JSONDecoder(), read(2**16), 0
    wrapped = _WRAPPED.match(text)
    if wrapped and has_image_column(re.findall(_SCALAR, wrapped[0]), {}):
        wrapped = None  # one product, with a list in it
    text = text[wrapped.end() :] if wrapped else text
    text = text.lstrip().removeprefix("[")
    while True:
        text = text.lstrip(" \t\r\n,")
        if text.startswith("]"):
            return
        try:
            value, end = decoder.raw_decode(text)
            if end == len(text) and (more := read(2**16)):  # a number may go on
                text += more
                continue
        except (ValueError, RecursionError) as error:
            more = read(max(2**16, len(text))) if len(text) < _LARGEST_VALUE else ""
            if more:
                text += more
                continue
            if not text.strip():
                return
            raise ManifestError(f"{name}: not valid JSON after {number} objects: {error}") from None
        number, text = number + 1, text[end:]
        problem = None if isinstance(value, dict) else f"expected a JSON object, got {str(value)[:60]!r}"
        yield None, value if isinstance(value, dict) else {}, problem


@contextmanager
def _parquet_errors(name: str) -> Iterator[None]:
    try:
        import pyarrow as pa
    except ImportError as error:
        raise MissingDependencyError(f"reading {name} needs pyarrow: pip install pyarrow") from error
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise ManifestError(f"{name} is not a readable Parquet file: {error}") from error


def load_parquet_columns(part: Opener) -> list[str]:
    """The columns of a Parquet file. Raises ManifestError."""
    with _parquet_errors(part.name):
        import pyarrow.parquet as pq

        with part.open() as stream:
            return list(pq.ParquetFile(stream).schema_arrow.names)


def read_parquet(parts: Sequence[tuple[Opener, Mapping[str, str]]]) -> Iterator[RawRow]:
    """The rows of Parquet files, one after the other; each with the values its folders' names give."""
    for part, fixed in parts:
        with _parquet_errors(part.name):
            import pyarrow.parquet as pq

            with part.open() as stream:
                file = pq.ParquetFile(stream)
                embedded = any(str(kind).find("binary") >= 0 for kind in file.schema_arrow.types)
                for batch in file.iter_batches(batch_size=64 if embedded else _BATCH):
                    for values in batch.to_pylist():
                        yield None, {**values, **fixed}, None


class Workbook:
    """The sheet of an Excel file that has an image column, else the first one."""

    def __init__(self, opener: Opener, find: Callable[[list[list[Any]]], Grid]) -> None:
        self._opener = opener
        names = [name for name, _ in self._iterate_sheets()]
        found: tuple[str, Grid] | None = None
        for name, rows in self._iterate_sheets():
            head = [cells for _, cells in _take(rows, 30)]
            grid = find(head)
            if head and (found is None or (grid.score and not found[1].score)):
                found = (name, grid)
        if found is None:
            raise ManifestError(f"{opener.name} is empty")
        self.sheet, self.grid = found
        others = [name for name in names if name != self.sheet]
        self.note = f"Excel, sheet {self.sheet!r}" + (f"; left out: {', '.join(others)}" if others else "")

    def _iterate_sheets(self) -> Iterator[tuple[str, Iterator[tuple[int, list[Any]]]]]:
        try:
            import openpyxl
        except ImportError as error:
            raise MissingDependencyError(
                f"reading {self._opener.name} needs openpyxl: pip install 'cyclorama[excel]'"
            ) from error
        try:
            with self._opener.open() as stream:
                book = openpyxl.load_workbook(stream, read_only=True, data_only=True)
                for sheet in book.worksheets:
                    sheet.reset_dimensions()
                    yield sheet.title, _read_sheet(sheet)
        except ManifestError:
            raise
        except Exception as error:
            raise ManifestError(f"{self._opener.name} is no readable Excel workbook: {error}") from error

    def read(self, mapped: Callable[[str], bool]) -> Iterator[RawRow]:
        """The rows below the header."""
        for name, rows in self._iterate_sheets():
            if name == self.sheet:
                yield from fill_grid(rows, self.grid, mapped)


def _read_sheet(sheet: Any) -> Iterator[tuple[int, list[Any]]]:
    for number, cells in enumerate(sheet.iter_rows(values_only=True), 1):
        values = [None if isinstance(cell, str) and cell.startswith("#N") else cell for cell in cells]
        while values and values[-1] is None:
            values.pop()
        if any(str(cell).strip() for cell in values if cell is not None):
            yield number, values


def _take(rows: Iterator[tuple[int, list[Any]]], count: int) -> list[tuple[int, list[Any]]]:
    return [row for row, _ in zip(rows, range(count))]
