"""What kind of list lies at an address, told by its content, and how are its rows read?"""

from __future__ import annotations

import csv
import io
import json
import lzma
import re
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import unquote

from cyclorama.data import shards, structured, text
from cyclorama.data.addresses import (
    get_folder,
    is_folder,
    is_remote,
    is_url,
    open_file,
)
from cyclorama.data.columns import has_image_column
from cyclorama.data.fetch import UrlPolicy, fetch
from cyclorama.data.folders import Listing, is_image, is_image_name, read_folder, read_start
from cyclorama.data.structured import RawRow
from cyclorama.errors import InputError, ManifestError

_FIXED = re.compile(r"(?:^|(?<=/))([^/=]+)=([^/]*)(?=/)")
"""A folder of parts whose name is a column's value: ``category=perfume``."""
_TEXT_PART = r"part-[^/]*\.(?:csv|tsv|txt|json|jsonl)(?:\.[a-z0-9]+)?"
_HEAD_LINES = 200
_OTHER_FILES = {
    b"\xd0\xcf\x11\xe0": "an old Excel workbook (.xls); save it as .xlsx or CSV",
    b"%PDF": "a PDF; give a table or a folder of images",
    b"SQLite format 3": "a SQLite database; export the table as CSV",
    b"ARROW1": "an Arrow file (Feather); save the table as Parquet",
    b"\xff\xff\xff\xff": "an Arrow stream; save the table as Parquet",
    b"Rar!": "a RAR archive; unpack it",
    b"7z\xbc\xaf": "a 7-Zip archive; unpack it",
}


class Source(NamedTuple):
    """A table whose columns are still the file's own."""

    kind: str
    folder: str
    rows: Callable[[Callable[[str], bool]], Iterator[RawRow]]
    """Rows, given which columns have a meaning."""
    columns: Sequence[str] | None = None
    """None: the union of the first rows' columns."""
    notes: tuple[str, ...] = ()
    skipped: Callable[[], Counter[str]] = Counter


class Options(NamedTuple):
    """How a table is read; see :func:`cyclorama.data.table.open_table`."""

    columns: Mapping[str, str] = {}
    urls: UrlPolicy | None = None
    required: Sequence[str] = ("image",)
    encoding: str | None = None
    separator: str | None = None
    left_out: Collection[str | Path] = ()
    pair: bool = True
    check_files: bool = True
    inside: bool = False
    words: bool = False


def open_source(address: str, options: Options) -> Source:
    """The list at ``address``. Raises ManifestError, MissingDependencyError."""
    with named_errors(address):
        return _open_folder(address, options) if is_folder(address) else _open_file(address, options)


@contextmanager
def named_errors(name: str) -> Iterator[None]:
    """Errors of reading under the table's name."""
    try:
        yield
    except InputError:
        raise
    except (EOFError, zlib.error, lzma.LZMAError, UnicodeError, csv.Error) as error:
        raise ManifestError(f"{name} is damaged or cut off: {error}; save it anew") from error
    except OSError as error:
        raise ManifestError(f"cannot read {name}: {error.strerror or error}") from error


def _open_folder(address: str, options: Options) -> Source:
    listing = Listing(address, options.left_out)
    folder = address if is_remote(address) else str(Path(address).absolute())
    if not any(map(is_image_name, listing.files)):
        for ending, open_parts in (
            (r"[^/]*\.parquet", _open_parquet),
            (_TEXT_PART, partial(_open_texts, options)),
        ):
            parts = [
                (f"{address.rstrip('/')}/{name}", dict(_FIXED.findall(unquote(name))))
                for name in listing.files
                if re.fullmatch(rf"([^_/][^/]*/)*(?!_){ending}", name)
            ]
            if parts:
                return open_parts(parts, get_folder(address.rstrip("/")))  # the folder stands for one file
        tars = [f"{folder}/{name}" for name in listing.files if name.endswith(".tar")]
        if tars:
            return Source("shards", folder, lambda _: shards.read_rows(tars), None, (f"{len(tars)} shards",))
    rows = partial(read_folder, listing, options.pair)
    return Source("folder", folder, lambda _: rows(), skipped=lambda: listing.skipped)


def _open_parquet(parts: list[tuple[str, dict[str, str]]], folder: str) -> Source:
    openers = [(_get_opener(path, None), fixed) for path, fixed in parts]
    with structured.open_parquet(openers[0][0]) as file:
        names = [*file.schema_arrow.names, *parts[0][1]]
    notes = (f"{len(parts)} files",) if len(parts) > 1 else ()
    return Source("Parquet", folder, lambda _: structured.read_parquet(openers), names, notes)


def _open_texts(options: Options, parts: list[tuple[str, dict[str, str]]], folder: str) -> Source:
    """The parts of one table as Spark writes it, as CSV or JSON; some may be empty."""
    filled = [part for part in parts if read_start(part[0])] or parts
    sources = [(_open_file(path, options), fixed) for path, fixed in filled]
    first, fixed = sources[0]

    def read(mapped: Callable[[str], bool]) -> Iterator[RawRow]:
        for source, fixed in sources:
            for line, cells, problem in source.rows(mapped):
                yield line, {**cells, **fixed}, problem

    return first._replace(
        folder=folder,
        rows=read,
        columns=None if first.columns is None else [*first.columns, *fixed],
        notes=(*first.notes, f"{len(sources)} files"),
        skipped=lambda: sum((source.skipped() for source, _ in sources), Counter()),
    )


def _get_opener(address: str, urls: UrlPolicy | None) -> text.Opener:
    if is_url(address):
        data = fetch(address, urls)
        return text.Opener(lambda: io.BytesIO(data), "", address)
    return text.Opener(lambda: open_file(address), "", address)


def _open_file(address: str, options: Options) -> Source:
    if not is_remote(address) and not Path(address).exists():
        raise ManifestError(f"no such file or folder: {address}")
    folder = get_folder(address)
    last = PurePosixPath(address).name
    if is_image_name(last) or (not is_url(address) and is_image(address)):
        return Source("image", folder, lambda _: iter([(None, {"image": address}, None)]), ["image"])
    opener = text.unpack(_get_opener(address, options.urls))
    with opener.open() as stream:
        head = stream.read(512)
    if not head:
        raise ManifestError(f"{address} is empty")
    for start, kind in _OTHER_FILES.items():
        if head.startswith(start):
            raise ManifestError(f"{address} is {kind}")
    if head[257:262] == b"ustar" or last.endswith(".tar"):
        if opener.note:
            raise ManifestError(f"{address} is a compressed tar; unpack it, or give the .tar")
        return Source("shards", folder, lambda _: shards.read_rows([address]))
    if head.startswith(b"PAR1") or last.endswith(".parquet"):
        return _open_parquet([(address, {})], folder)
    if head.startswith(b"PK\x03\x04"):
        book = structured.Workbook(opener, _find_grid(options))
        names = [name for name in book.grid.columns if name]
        return Source("Excel", folder, book.read, names, (book.note, *book.grid.notes))
    return _open_text(opener, folder, last, options)


def _find_grid(options: Options) -> Callable[[list[list[Any]]], text.Grid]:
    def looks_like_image(cell: Any) -> bool:
        return isinstance(cell, str) and ("://" in cell or is_image_name(cell.strip().split("?")[0]))

    return lambda records: text.find_grid(
        records, lambda cells: has_image_column(cells, options.columns), looks_like_image
    )


def _open_text(opener: text.Opener, folder: str, last: str, options: Options) -> Source:
    codec, words = (options.encoding,) * 2 if options.encoding else text.detect_encoding(opener)
    assert codec is not None
    try:
        "".encode(codec)
    except LookupError:
        raise ManifestError(
            f"encoding {codec!r} is not known; give utf-8, cp1252, utf-16 or the like"
        ) from None
    head = list(islice(text.open_lines(opener, codec), _HEAD_LINES))
    start = "\n".join(head).lstrip("\ufeff \t\n")
    packed = (f"unpacked from {opener.note}",) if opener.note else ()
    if not start:
        raise ManifestError(f"{opener.name} is empty")
    if start.startswith("<"):
        if start[:200].lower().startswith(("<!doctype html", "<html")):
            raise ManifestError(
                f"{opener.name} is a web page, not a feed; export the table (did a login expire?)"
            )
        if "urn:schemas-microsoft-com:office:spreadsheet" in start:
            raise ManifestError(f"{opener.name} is an XML workbook of Excel 2003; save it as .xlsx or CSV")
        return Source("XML feed", folder, lambda _: structured.read_feed(opener), None, packed)
    notes = (f"text in {words}", *packed)
    kind = _detect_json(start, last, options)
    if kind == "JSON lines":
        return Source(
            kind, folder, lambda _: structured.read_json_lines(text.open_lines(opener, codec)), None, notes
        )
    if kind == "JSON":
        return Source(kind, folder, lambda _: _read_json(opener, codec), None, notes)
    separator, stated, grid = text.detect_separator(head, options.separator, _find_grid(options))
    odd: Counter[str] = Counter()

    def read(mapped: Callable[[str], bool]) -> Iterator[RawRow]:
        odd.clear()
        lines = text.open_lines(opener, codec)
        records = text.read_records(islice(lines, int(stated), None), separator, odd, int(stated))
        return text.fill_grid(records, grid, mapped, odd)

    how = f"separated by {text.SEPARATORS.get(separator, repr(separator))}" + " (sep= line)" * stated
    return Source(
        "CSV",
        folder,
        read,
        [name for name in grid.columns if name],
        (*notes, how, *grid.notes),
        lambda: odd,
    )


def _read_json(opener: text.Opener, codec: str) -> Iterator[RawRow]:
    with io.TextIOWrapper(opener.open(), encoding=codec, errors="replace") as stream:
        yield from structured.read_json(stream.read, opener.name)


def _detect_json(start: str, last: str, options: Options) -> str:
    if start.startswith("["):
        return "JSON"
    if last.lower().endswith((".jsonl", ".ndjson")):
        return "JSON lines"
    if not start.startswith("{"):
        return ""
    try:
        first = json.loads(start.split("\n", 1)[0])
    except ValueError:
        return "JSON"
    return "JSON lines" if has_image_column(first, options.columns) or "\n{" in start else "JSON"
