"""A manifest of any length, read in chunks of Arrow columns: CSV, JSONL or Parquet, here or at an fsspec
address.

It understands what :mod:`cyclorama.data.tables` does, and holds one chunk at a time.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cyclorama.data.schema import check_columns, normalise_column, parse_row
from cyclorama.data.tables import detect_format, detect_separator
from cyclorama.errors import ManifestError, MissingDependencyError

CHUNK = 65_536
"""Rows held at a time."""
USED = ("id", "image", "mask", "mask_means", "category", "reference", "reference_mask", "seed", "licence")
"""Columns a catalogue looks at; all others are left alone."""
_WHOLE_NUMBERS = {"id", "category", "seed"}


@dataclass(frozen=True)
class Chunk:
    """Consecutive rows. Columns are trimmed text; null where a cell is empty or its column missing."""

    first: int
    """Number of the first row, from 0."""
    columns: dict[str, pa.Array]
    problems: dict[int, str] = field(default_factory=dict)
    """Place in the chunk to the reason why the row cannot be read."""

    def __len__(self) -> int:
        return len(self.columns["image"])


def is_remote(address: str) -> bool:
    """Whether ``address`` is one for fsspec (``s3://bucket/key``) and no path of this machine."""
    return "://" in address


def get_folder(manifest: str) -> str:
    """The folder a manifest's relative paths count from."""
    if is_remote(manifest):
        return manifest.rpartition("/")[0]
    return str(Path(manifest).absolute().parent)


def read_chunks(manifest: str, size: int = CHUNK) -> Iterator[Chunk]:
    """The rows of ``manifest`` in order.

    Raises ManifestError: no such file, unknown suffix, no column ``image``, no rows, not UTF-8, broken CSV.
    Invariant: every row is in exactly one chunk, whatever is wrong with it.
    """
    kind = detect_format(Path(PurePosixPath(manifest).name) if is_remote(manifest) else Path(manifest))
    count = 0
    with _open(manifest) as stream:
        rows = {"csv": _read_csv, "jsonl": _read_jsonl, "parquet": _read_parquet}[kind]
        for chunk in rows(stream, manifest, size):
            count += len(chunk)
            yield chunk
    if count == 0:
        raise ManifestError(f"{manifest} has no rows")


@contextmanager
def _open(manifest: str) -> Iterator[IO[bytes]]:
    if not is_remote(manifest):
        if not Path(manifest).is_file():
            raise ManifestError(f"no manifest at {manifest}")
        with Path(manifest).open("rb") as stream:
            yield stream
        return
    with open_remote(manifest) as stream:
        yield stream


@contextmanager
def open_remote(address: str) -> Iterator[IO[bytes]]:
    """The bytes at an fsspec ``address``. Raises MissingDependencyError, ManifestError."""
    try:
        import fsspec  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingDependencyError(f"reading {address} needs fsspec: pip install fsspec") from error
    try:
        opened = fsspec.open(address, "rb").open()
    except ImportError as error:
        raise MissingDependencyError(f"reading {address} needs a further package: {error}") from error
    except (OSError, ValueError) as error:
        raise ManifestError(f"cannot read {address}: {error}") from error
    with opened as stream:
        yield stream


def _decode(stream: IO[bytes], manifest: str) -> io.TextIOWrapper:
    head = stream.read(4)
    stream.seek(0)
    if not head:
        raise ManifestError(f"{manifest} is empty")
    wide = head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    return io.TextIOWrapper(stream, encoding="utf-16" if wide else "utf-8-sig", newline="")


@contextmanager
def _named(manifest: str) -> Iterator[None]:
    """Errors of the text itself under the manifest's name."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise ManifestError(
            f"{manifest} is not UTF-8 text (byte {error.object[error.start]:#04x}); save it as UTF-8"
        ) from error


def _read_csv(stream: IO[bytes], manifest: str, size: int) -> Iterator[Chunk]:
    with _named(manifest), _decode(stream, manifest) as text:
        header = next((line for line in text if line.strip()), None)
        if header is None:
            raise ManifestError(f"{manifest} is empty")
        separator = detect_separator(header)
        columns = [
            normalise_column(name) or f"column {number}"
            for number, name in enumerate(next(csv.reader([header], delimiter=separator)), 1)
        ]
        twice = sorted({name for name in columns if columns.count(name) > 1})
        if twice:
            raise ManifestError(f"{manifest}: column {twice[0]!r} appears more than once; columns: {columns}")
        check_columns(columns, ("image",), manifest)
        reader = csv.reader(text, delimiter=separator, strict=True)
        filled = (cells for cells in reader if any(cell.strip() for cell in cells))
        first, width = 0, len(columns)
        try:
            while rows := list(islice(filled, size)):
                problems = {}
                for place, cells in enumerate(rows):
                    if len(cells) != width:
                        problems[place] = (
                            f"{len(cells)} cells under {width} columns; quote a cell that holds the "
                            "separator, and keep empty cells"
                        )
                        rows[place] = (cells + [""] * width)[:width]
                cells_of = dict(zip(columns, zip(*rows)))
                yield _build(first, len(rows), cells_of, problems)
                first += len(rows)
        except csv.Error as error:
            raise ManifestError(f"{manifest}, line {reader.line_num + 1}: not valid CSV: {error}") from error


def _read_jsonl(stream: IO[bytes], manifest: str, size: int) -> Iterator[Chunk]:
    folder = Path(get_folder(manifest))
    seen: dict[str, None] = {}
    with _named(manifest), _decode(stream, manifest) as text:
        lines = (line for line in text if line.strip())
        first, checked = 0, False
        while block := list(islice(lines, size)):
            rows: list[dict[str, Any]] = []
            problems: dict[int, str] = {}
            for place, line in enumerate(block):
                values, problem = _parse_line(line, folder)
                rows.append(values)
                if problem:
                    problems[place] = problem
            if not checked:
                seen = dict.fromkeys(name for row in rows for name in row)
                if len(problems) < len(rows):
                    check_columns(tuple(seen), ("image",), manifest)
                    checked = True
            yield _build(first, len(rows), {n: [row.get(n) for row in rows] for n in USED}, problems)
            first += len(rows)


def _parse_line(line: str, folder: Path) -> tuple[dict[str, Any], str]:
    try:
        value = json.loads(line)
    except ValueError as error:
        return {}, f"not valid JSON: {error}"
    if not isinstance(value, dict):
        return {}, f"expected a JSON object, got {line.strip()[:60]!r}"
    values = {normalise_column(str(name)): cell for name, cell in value.items()}
    return _to_text(values, folder)


def _to_text(values: dict[str, Any], folder: Path) -> tuple[dict[str, Any], str]:
    """The used cells as text, and what is wrong with those that are none."""
    cells: dict[str, Any] = {}
    for name in USED:
        cell = values.get(name)
        if cell is None or isinstance(cell, str):
            cells[name] = cell
        elif isinstance(cell, int) and not isinstance(cell, bool) and name in _WHOLE_NUMBERS:
            cells[name] = str(cell)
        elif isinstance(cell, float) and (cell != cell or (name == "seed" and cell.is_integer())):
            cells[name] = None if cell != cell else str(int(cell))
        else:
            try:
                parse_row(values, folder)
            except ManifestError as error:
                return {"image": str(values.get("image") or "")}, str(error)
            return {"image": str(values.get("image") or "")}, f"column {name!r} must be text, got {cell!r}"
    return cells, ""


def _read_parquet(stream: IO[bytes], manifest: str, size: int) -> Iterator[Chunk]:
    folder = Path(get_folder(manifest))
    try:
        file = pq.ParquetFile(stream)
        columns = {normalise_column(name): name for name in file.schema_arrow.names}
        check_columns(tuple(columns), ("image",), manifest)
        used = [columns[name] for name in USED if name in columns]
        first = 0
        for batch in file.iter_batches(batch_size=size, columns=used):
            if not len(batch):
                continue
            arrays = {name: batch.column(columns[name]) for name in USED if name in columns}
            if all(_is_text(array) for array in arrays.values()):
                yield _build(first, len(batch), arrays, {})
            else:
                pairs = [
                    _to_text(dict(zip(arrays, row.values())), folder)
                    for row in batch.select([columns[name] for name in arrays]).to_pylist()
                ]
                cells = {name: [row.get(name) for row, _ in pairs] for name in USED}
                problems = {place: problem for place, (_, problem) in enumerate(pairs) if problem}
                yield _build(first, len(batch), cells, problems)
            first += len(batch)
    except (pa.ArrowException, OSError) as error:
        raise ManifestError(f"{manifest} is not a readable Parquet file: {error}") from error


def _is_text(array: pa.Array) -> bool:
    kind = array.type.value_type if pa.types.is_dictionary(array.type) else array.type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind))


def _build(first: int, count: int, cells: Mapping[str, Iterable[Any]], problems: dict[int, str]) -> Chunk:
    columns = {}
    for name in USED:
        values = cells.get(name)
        if values is None:
            columns[name] = pa.nulls(count, pa.string())
            continue
        array = values if isinstance(values, pa.Array) else _to_array(values)
        text = pc.utf8_trim_whitespace(array.cast(pa.string()))
        columns[name] = pc.if_else(pc.equal(text, ""), None, text)
    return Chunk(first, columns, problems)


def _to_array(values: Iterable[Any]) -> pa.Array:
    cells = list(values)
    try:
        return pa.array(cells, pa.string())
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can spell but UTF-8 cannot
        clean = [None if c is None else c.encode("utf-8", "replace").decode("utf-8") for c in cells]
        return pa.array(clean, pa.string())
