"""Rows of files that are no text tables: JSON lines, JSON, Parquet (a file or parts), Excel, product feeds.

Feeds are Google Merchant's as RSS or Atom and shops' own XML, read as a stream and safely: entities declared
in the file are refused, so that none can grow without limit; nothing outside the file is opened.
"""

from __future__ import annotations

import html
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any
from xml.parsers import expat

from cyclorama.data.columns import fold, has_image_column
from cyclorama.data.text import Grid, Opener, fill_grid
from cyclorama.errors import ManifestError, import_optional

RawRow = tuple[int | None, Mapping[str, Any], str | None]
"""(line or None, cells by the table's own column names, why the row cannot be read)."""
_BATCH = 1024
PRODUCTS = frozenset({"item", "entry", "product", "offer", "shopitem", "artikel", "produkt"})
"""Elements of a feed that are a product each."""
_LARGEST_TEXT = 2**20
_LARGEST_VALUE = 2**26
_SCALAR = r"\s*\"([^\"]*)\"\s*:\s*(?:\"[^\"]*\"|[\d.eE+-]+|true|false|null)\s*,"
_WRAPPED = re.compile(rf"\s*\{{(?:{_SCALAR})*\s*\"[^\"]*\"\s*:\s*(?=\[\s*\{{)")


def read_json_lines(lines: Iterator[str]) -> Iterator[RawRow]:
    """A row for each line that is not empty."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                for record in _list_records(json.loads(line), line.strip()):
                    yield number, *record
            except (ValueError, RecursionError) as error:
                yield number, {}, f"not valid JSON: {error}"


def _list_records(value: Any, text: str) -> Iterator[tuple[Mapping[str, Any], str | None]]:
    """(record, problem) of each record in ``value``: one, or those of a whole data frame."""
    if isinstance(value, str):
        yield {"image": value}, None
    elif not isinstance(value, dict):
        yield {}, f"expected a JSON object, got {text[:60]!r}"
    elif isinstance(value.get("columns"), list) and isinstance(value.get("data"), list):
        yield from ((dict(zip(value["columns"], cells, strict=False)), None) for cells in value["data"])
    elif value and all(isinstance(cells, dict) for cells in value.values()):
        rows = list(next(iter(value.values())))
        if rows and all(list(cells) == rows == [*map(str, range(len(rows)))] for cells in value.values()):
            yield from (({name: cells[row] for name, cells in value.items()}, None) for row in rows)
        elif has_image_column(rows, {}) and not has_image_column(value, {}):
            yield from ((cells, None) for cells in value.values())
        else:
            yield value, None
    else:
        yield value, None


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
        for record in _list_records(value, str(value)):
            yield None, *record


@contextmanager
def open_parquet(part: Opener) -> Iterator[Any]:
    """The ``pyarrow.parquet.ParquetFile``. Raises ManifestError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with part.open() as stream:
            yield pq.ParquetFile(stream)
    except (pa.ArrowException, OSError) as error:
        raise ManifestError(f"{part.name} is not a readable Parquet file: {error}") from error


def read_parquet(parts: Sequence[tuple[Opener, Mapping[str, str]]]) -> Iterator[RawRow]:
    """The rows of Parquet files, one after the other; each with the values its folders' names give."""
    for part, fixed in parts:
        with open_parquet(part) as file:
            embedded = any("binary" in str(kind) for kind in file.schema_arrow.types)
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
            head = [cells for _, cells in islice(rows, 30)]
            grid = find(head)
            if head and (found is None or (grid.score and not found[1].score)):
                found = (name, grid)
        if found is None:
            raise ManifestError(f"{opener.name} is empty")
        self.sheet, self.grid = found
        others = [name for name in names if name != self.sheet]
        self.note = f"Excel, sheet {self.sheet!r}" + (f"; left out: {', '.join(others)}" if others else "")

    def _iterate_sheets(self) -> Iterator[tuple[str, Iterator[tuple[int, list[Any]]]]]:
        openpyxl = import_optional(
            "openpyxl", f"reading {self._opener.name} needs openpyxl: pip install 'cyclorama[excel]'"
        )
        try:
            with self._opener.open() as stream:
                book = openpyxl.load_workbook(stream, read_only=True, data_only=True)
                for sheet in book.worksheets:
                    if sheet.sheet_state != "visible":
                        continue
                    sheet.reset_dimensions()
                    yield sheet.title, _read_sheet(sheet)
        except ManifestError:
            raise
        except Exception as error:
            raise ManifestError(f"{self._opener.name} is no readable Excel workbook: {error}") from error

    def read(self, mapped: Callable[[str], bool]) -> Iterator[RawRow]:
        """The rows below the header."""
        width = len(self.grid.columns)
        for name, rows in self._iterate_sheets():
            if name == self.sheet:
                padded = ((line, cells + [None] * (width - len(cells))) for line, cells in rows)
                yield from fill_grid(padded, self.grid, mapped, Counter())


_ERRORS = {
    "#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NUM!", "#NULL!", "#SPILL!", "#CALC!", "#FIELD!",
    "#BLOCKED!", "#CONNECT!", "#UNKNOWN!", "#BUSY!", "#EXTERNAL!", "#PYTHON!", "#GETTING_DATA",
}  # fmt: skip
"""What Excel writes into a cell whose formula has no value."""


def _read_sheet(sheet: Any) -> Iterator[tuple[int, list[Any]]]:
    for number, cells in enumerate(sheet.iter_rows(values_only=True), 1):
        values = [None if cell in _ERRORS else cell for cell in cells]
        while values and values[-1] is None:
            values.pop()
        if any(str(cell).strip() for cell in values if cell is not None):
            yield number, values


class _Feed:
    """Collects the elements of each product as cells."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.done: list[RawRow] = []
        self._cells: dict[str, Any] | None = None
        self._line = 0
        self._text: list[str] = []
        self._path: list[str] = []
        """Of the elements that are open inside the product's."""
        self.parser = expat.ParserCreate()  # without namespaces: some feeds forget to declare "g"
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text.append
        self.parser.EntityDeclHandler = self._refuse
        self.parser.UseForeignDTD(True)  # a name such as &nbsp; is then told to us instead of an error
        self.parser.ExternalEntityRefHandler = lambda *_: 1
        self.parser.SkippedEntityHandler = lambda name, _: self._text.append(html.unescape(f"&{name};"))

    def _refuse(self, name: str, *_: Any) -> None:
        raise ManifestError(
            f"{self.name} declares the entity {name!r}; feeds with entities of their own are not read"
        )

    def _start(self, element: str, attributes: dict[str, str]) -> None:
        tag = element.rpartition(":")[2]
        self._text.clear()
        if self._cells is None and tag.lower() in PRODUCTS:
            self._cells, self._line = dict(attributes), self.parser.CurrentLineNumber
        elif self._cells is not None:
            self._path.append(tag)
            address = attributes.get("url") or attributes.get("src") or attributes.get("href")
            if address and tag in ("enclosure", "content", "thumbnail"):
                self._add("image", address)
            elif address and (tag != "link" or attributes.get("rel") == "enclosure"):
                self._add("image" if tag == "link" else tag, address)

    def _end(self, element: str) -> None:
        if self._cells is None:
            return
        text = "".join(self._text).strip()
        self._text.clear()
        if not self._path:
            self.done.append((self._line, self._cells, None))
            self._cells = None
            return
        tag = self._path.pop()
        if text and len(text) <= _LARGEST_TEXT:
            parent = self._path[-1] if self._path else ""
            tag = parent if parent and fold(tag) in ("url", "src", "image") else tag
            self._add(tag, text, first=element.startswith("g:"))

    def _add(self, name: str, text: str, first: bool = False) -> None:
        assert self._cells is not None
        before = self._cells.get(name)
        if before is None or (first and name in ("id", "title")):  # Atom's own id is another one
            self._cells[name] = text
        elif isinstance(before, list):
            before.append(text)
        elif fold(name) in ("category", "producttype", "googleproductcategory", "title", "id"):
            pass  # the first one counts
        else:
            self._cells[name] = [before, text]


def read_feed(opener: Opener) -> Iterator[RawRow]:
    """A row for each product of an XML file; elements that come again become a list.

    Raises ManifestError: not well-formed, entities of its own.
    """
    feed = _Feed(opener.name)
    try:
        with opener.open() as stream:
            part = stream.read(2**16).lstrip(b" \t\r\n")  # some programs write an empty line first
            final = False
            while not final:
                final = not part
                feed.parser.Parse(part, final)
                yield from feed.done
                feed.done.clear()
                part = stream.read(2**16)
    except expat.ExpatError as error:
        raise ManifestError(f"{opener.name} is not well-formed XML: {error}; save the feed anew") from error
