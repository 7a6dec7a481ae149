"""What kind of list lies at an address, told by its content, and how are its rows read?"""

from __future__ import annotations

import csv
import io
import json
import lzma
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import unquote

from cyclorama.data import feeds, folders, structured, tars, text
from cyclorama.data.addresses import get_folder, is_folder, is_remote, is_url, open_file
from cyclorama.data.columns import has_image_column
from cyclorama.data.fetch import UrlPolicy, fetch
from cyclorama.data.structured import RawRow
from cyclorama.errors import InputError, ManifestError

_HEAD_LINES = 200
_OTHER_FILES = {
    b"\xd0\xcf\x11\xe0": "an old Excel workbook (.xls); save it as .xlsx or CSV",
    b"%PDF": "a PDF; give a table or a folder of images",
    b"SQLite format 3": "a SQLite database; export the table as CSV",
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
    listing = folders.Listing(address, options.left_out)
    folder = address if is_remote(address) else str(Path(address).absolute())
    if not any(map(folders.is_image_name, listing.files)):
        parts = [name for name in listing.files if name.endswith(".parquet") and not _is_aside(name)]
        if parts:
            found = [(f"{address.rstrip('/')}/{name}", _read_parts(name)) for name in parts]
            return _open_parquet(found, get_folder(address.rstrip("/")))  # the folder stands for one file
        shards = [f"{folder}/{name}" for name in listing.files if name.endswith(".tar")]
        if shards:
            return Source(
                "shards", folder, lambda _: tars.read_shards(shards), None, (f"{len(shards)} shards",)
            )
    return Source(
        "folder",
        folder,
        lambda _: folders.read_folder(listing, options.pair),
        None,
        (),
        lambda: listing.skipped,
    )


def _is_aside(name: str) -> bool:
    return any(part.startswith("_") for part in name.split("/"))


def _read_parts(name: str) -> dict[str, str]:
    """The values in the names of a partitioned table's folders (``category=perfume``)."""
    pairs = [part.split("=", 1) for part in name.split("/")[:-1] if "=" in part]
    return {key: unquote(value) for key, value in pairs}


def _open_parquet(parts: list[tuple[str, dict[str, str]]], folder: str) -> Source:
    openers = [(_get_opener(path, None), fixed) for path, fixed in parts]
    names = [*structured.load_parquet_columns(openers[0][0]), *parts[0][1]]
    notes = (f"{len(parts)} files",) if len(parts) > 1 else ()
    return Source("Parquet", folder, lambda _: structured.read_parquet(openers), names, notes)


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
    if folders.is_image_name(last) or (not is_url(address) and folders.is_image(address)):
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
        return Source("shards", folder, lambda _: tars.read_shards([address]))
    if head.startswith(b"PAR1") or last.endswith(".parquet"):
        return _open_parquet([(address, {})], folder)
    if head.startswith(b"PK\x03\x04"):
        book = structured.Workbook(opener, _find_grid(options))
        names = [name for name in book.grid.columns if name]
        return Source("Excel", folder, book.read, names, (book.note, *book.grid.notes))
    return _open_text(opener, folder, last, options)


def _find_grid(options: Options) -> Callable[[list[list[Any]]], text.Grid]:
    def looks_like_image(cell: Any) -> bool:
        return isinstance(cell, str) and ("://" in cell or folders.is_image_name(cell.strip().split("?")[0]))

    return lambda records: text.find_grid(
        records, lambda cells: has_image_column(cells, options.columns), looks_like_image
    )


def _open_text(opener: text.Opener, folder: str, last: str, options: Options) -> Source:
    codec, words = (options.encoding,) * 2 if options.encoding else text.detect_encoding(opener)
    assert codec is not None
    try:
        head = list(islice(text.open_lines(opener, codec), _HEAD_LINES))
    except LookupError:
        raise ManifestError(
            f"encoding {codec!r} is not known; give utf-8, cp1252, utf-16 or the like"
        ) from None
    start = "\n".join(head).lstrip("\ufeff \t\n")
    packed = (f"unpacked from {opener.note}",) if opener.note else ()
    if not start:
        raise ManifestError(f"{opener.name} is empty")
    if start.startswith("<"):
        if start[:200].lower().startswith(("<!doctype html", "<html")):
            raise ManifestError(
                f"{opener.name} is a web page, not a feed; export the table (did a login expire?)"
            )
        return Source("XML feed", folder, lambda _: _read_feed(opener), None, packed)
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
        for row in text.fill_grid(
            text.read_records(islice(lines, int(stated), None), separator, odd), grid, mapped
        ):
            yield (row[0] + stated, *row[1:])

    how = f"separated by {text.SEPARATORS.get(separator, repr(separator))}" + " (sep= line)" * stated
    return Source(
        "CSV",
        folder,
        read,
        [name for name in grid.columns if name],
        (*notes, how, *grid.notes),
        lambda: odd,
    )


def _read_feed(opener: text.Opener) -> Iterator[RawRow]:
    with opener.open() as stream:
        yield from feeds.read_feed(stream, opener.name)


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
