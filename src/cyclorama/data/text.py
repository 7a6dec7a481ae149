"""Lines and cells of a text table, whatever program wrote it: encoding, separator, quotation marks.

What was detected is said; nothing is guessed silently. Line ends are LF, CR LF and CR only, so that the
line separators of Unicode may stand in cells.
"""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import lzma
import re
import zipfile
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import Any, BinaryIO, NamedTuple

from cyclorama.errors import ManifestError

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_MARKS = {
    codecs.BOM_UTF8: ("utf-8-sig", "UTF-8 with a byte-order mark"),
    codecs.BOM_UTF32_LE: ("utf-32", "UTF-32"),
    codecs.BOM_UTF16_LE: ("utf-16", "UTF-16 (little-endian)"),
    codecs.BOM_UTF16_BE: ("utf-16", "UTF-16 (big-endian)"),
}
_OTHER_ZIPS = {
    "content.xml": "an OpenDocument file",
    "Index/": "an Apple Numbers document",
    "word/": "a Word document",
}
_LOOKED_AT = 2**16
_NOT_1252 = b"\x81\x8d\x8f\x90\x9d"
_LONGEST_CELL = 1000
"""Lines that a quoted cell may span."""
csv.field_size_limit(max(csv.field_size_limit(), 2**24))


class Opener(NamedTuple):
    """Opens a file as often as needed, unpacked if it is compressed; says how in ``note``."""

    open: Callable[[], BinaryIO]
    note: str
    name: str
    """For messages."""


def unpack(opener: Opener) -> Opener:
    """``opener`` with gzip, bzip2, xz, Zstandard and a zip of one file undone, known by their first bytes.

    Raises ManifestError (a zip of several files).
    """
    with opener.open() as stream:
        head = stream.read(6)
    for mark, (name, unpacker) in _PACKED.items():
        if head.startswith(mark):
            return opener._replace(open=partial(_Unpacked, unpacker, opener), note=name)
    return _unpack_zip(opener) if head.startswith(b"PK\x03\x04") else opener


def _open_zstandard(packed: BinaryIO) -> Any:
    import pyarrow as pa

    return pa.CompressedInputStream(packed, "zstd")


_PACKED: dict[bytes, tuple[str, Callable[[BinaryIO], Any]]] = {
    b"\x1f\x8b": ("gzip", lambda packed: gzip.GzipFile(fileobj=packed)),
    b"BZh": ("bzip2", bz2.BZ2File),
    b"\xfd7zXZ\x00": ("xz", lzma.LZMAFile),
    b"\x28\xb5\x2f\xfd": ("Zstandard", _open_zstandard),
}


class _Unpacked(io.BufferedReader):
    """What a compressed file holds; closes that file, too."""

    def __init__(self, unpacker: Callable[[BinaryIO], Any], opener: Opener) -> None:
        self._packed = opener.open()
        super().__init__(unpacker(self._packed))

    def close(self) -> None:
        super().close()
        self._packed.close()


def _unpack_zip(opener: Opener) -> Opener:
    """A zip that holds one table; a workbook stays as it is."""
    try:
        with opener.open() as stream, zipfile.ZipFile(stream) as packed:
            names = [name for name in packed.namelist() if not name.endswith("/")]
    except (zipfile.BadZipFile, OSError) as error:
        raise ManifestError(
            f"{opener.name} is a damaged workbook or zip file: {error}; save it anew"
        ) from None
    if any(name.startswith("xl/") for name in names):
        return opener
    for start, kind in _OTHER_ZIPS.items():
        if any(name.startswith(start) for name in names):
            raise ManifestError(f"{opener.name} is {kind}; save the table as .xlsx or CSV")
    names = [name for name in names if not name.startswith("__MACOSX/")]
    if len(names) != 1:
        raise ManifestError(f"{opener.name} is a zip of {len(names)} files; unpack it and give the folder")
    return opener._replace(
        open=lambda: _Unpacked(lambda packed: zipfile.ZipFile(packed).open(names[0]), opener), note="zip"
    )


def detect_encoding(opener: Opener) -> tuple[str, str]:
    """(codec, words) of a text file, all of which is looked at.

    A byte-order mark decides; then zero bytes (UTF-16); then whether it is valid UTF-8; then whether its
    other bytes come in the pairs of GB18030; else it is Windows-1252.
    """
    with opener.open() as stream:
        head = stream.read(_LOOKED_AT)
        for mark, found in _MARKS.items():
            if head.startswith(mark):
                return found
        even, odd = head[0::2].count(0), head[1::2].count(0)
        if max(even, odd) * 4 > len(head):
            order = "little" if odd > even else "big"
            return f"utf-16-{order[0]}e", f"UTF-16 ({order}-endian, no mark)"
        if b"\0" in head:
            raise ManifestError(f"{opener.name} is neither a table, a feed nor an image that is known")
        decoder, plain, part, following = codecs.getincrementaldecoder("utf-8")(), True, head, head
        try:
            while following:
                part, plain = following, plain and following.isascii()
                decoder.decode(part)
                following = stream.read(2**20)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return _detect_other(part, opener.name)
    return "utf-8", "ASCII" if plain else "UTF-8"


def _detect_other(part: bytes, name: str) -> tuple[str, str]:
    high = sum(byte >= 0x80 for byte in part)
    damaged = part.decode("utf-8", "replace").count("\ufffd")
    whole = sum(char >= "\x80" for char in part.decode("utf-8", "ignore"))
    if whole > 2 * damaged:
        return "utf-8", "UTF-8 with some invalid bytes, shown as \ufffd"
    if len(re.findall(rb"[\xa1-\xff]{2}", part)) * 2 >= 0.9 * high:
        return "gb18030", "GB18030"
    if any(byte in _NOT_1252 for byte in part):
        raise ManifestError(
            f"{name} is text in an encoding that cannot be told (no UTF-8, UTF-16, GB18030 or Windows-1252); "
            "save it as UTF-8, or name its encoding (--encoding cp1251)"
        )
    return "cp1252", "Windows-1252, since it is not valid UTF-8"


def open_lines(opener: Opener, codec: str) -> Iterator[str]:
    """The lines of a text file, without their ends."""
    with io.TextIOWrapper(opener.open(), encoding=codec, errors="replace") as text:
        for line in text:
            yield line.rstrip("\n")


def read_records(
    lines: Iterator[str], separator: str, odd: Counter[str], number: int = 0
) -> Iterator[tuple[int, list[str]]]:
    """(line number, cells) of each record that is not empty, with quotation marks as programs write them.
    ``number`` lines were read before.

    A quoted cell may span lines. A mark that is never closed, or stands in the middle of a cell (inches),
    is a character like others; ``odd`` counts such records.
    """
    held: deque[str] = deque()
    while True:
        line = held.popleft() if held else next(lines, None)
        if line is None:
            return
        number += 1
        if '"' not in line:
            cells = line.split(separator)
        else:
            cells, used = _parse_quoted(line, separator, held, lines, odd)
            number += used
        if any(map(str.strip, cells)):
            yield number, cells


def _parse_quoted(
    line: str, separator: str, held: deque[str], lines: Iterator[str], odd: Counter[str]
) -> tuple[list[str], int]:
    """Cells, and how many further lines they took."""
    more: list[str] = []
    closed = True
    while closed:
        try:
            reader = csv.reader(
                ["\n".join([line, *more])], delimiter=separator, strict=True, skipinitialspace=True
            )
            return next(reader), len(more)
        except csv.Error as error:
            if "unexpected end" not in str(error):
                break
        closed = False
        while not closed and len(more) < _LONGEST_CELL:  # the next line that may close the cell
            following = held.popleft() if held else next(lines, None)
            if following is None:
                break
            more.append(following)
            closed = '"' in following
    held.extendleft(reversed(more))
    if '\\"' in line:
        try:
            reader = csv.reader([line], delimiter=separator, strict=True, escapechar="\\", doublequote=False)
            return next(reader), 0
        except csv.Error:
            pass
    odd["quotation marks that belong to the text"] += 1
    return line.split(separator), 0


class Grid(NamedTuple):
    """Where the cells of a table begin: its header and how many records stand before the first row."""

    columns: tuple[str | None, ...]
    """A name per column; None for one that is left out."""
    skip: int
    notes: tuple[str, ...]
    score: int


def find_grid(
    records: list[list[Any]], count_known: Callable[[Any], int], looks_like_image: Callable[[Any], bool]
) -> Grid:
    """The header among the first ``records``: the first one with a known image column.

    A list without any header is one whose first record holds an image's name.
    """
    notes = []
    for place, cells in enumerate(records[:20]):
        score = count_known(cells)
        if score:
            below = records[place + 1 : place + 2]
            if score > 1 and below and count_known(below[0]) >= score:
                continue  # Amazon's files name columns twice: for people, then for programs
            if place:
                notes.append(f"{place} line{'s' * (place > 1)} before the header left out")
            columns = _name_columns(cells, records[place + 1 :], notes)
            return Grid(columns, place + 1, tuple(notes), score)
    first = records[0] if records else []
    found = next((place for place, cell in enumerate(first) if looks_like_image(cell)), None)
    if found is not None:
        names = [f"column {number}" for number in range(1, len(first) + 1)]
        names[found] = "image"
        notes.append(f"no header; column {found + 1} is taken for the image")
        return Grid(tuple(names), 0, tuple(notes), 0)
    return Grid(_name_columns(first, records[1:], notes), 1, tuple(notes), 0)


def _name_columns(cells: list[Any], below: list[list[Any]], notes: list[str]) -> tuple[str | None, ...]:
    names: list[str | None] = []
    for place, cell in enumerate(cells):
        name = "" if cell is None else str(cell).strip().lstrip("\ufeff")
        values = [str(row[place]).strip() for row in below if place < len(row) and row[place] is not None]
        if (not name or name.startswith("Unnamed: ")) and not any(values):
            names.append(None)
        elif (not name or name == "Unnamed: 0") and place == 0 and all(v.isdecimal() for v in values):
            notes.append("column 1 is a row index and left out")
            names.append(None)
        elif name and name in names:
            number = 2 + sum(other is not None and other.startswith(f"{name} ") for other in names)
            notes.append(f"column {name!r} comes again and is called {name + ' ' + str(number)!r}")
            names.append(f"{name} {number}")
        else:
            names.append(name or f"column {place + 1}")
    return tuple(names)


def fill_grid(
    records: Iterator[tuple[int, list[Any]]], grid: Grid, mapped: Callable[[str], bool], odd: Counter[str]
) -> Iterator[tuple[int, Mapping[str, Any], str | None]]:
    """(line, cells by column, problem) of each record below the header; ``odd`` counts headers among them."""
    width = len(grid.columns)
    kept = [(place, name) for place, name in enumerate(grid.columns) if name is not None]
    names = [name for _, name in kept]
    whole = len(kept) == width
    last = names[-1] if grid.skip and whole else object()
    least = 1 + max((place for place, name in kept if mapped(name)), default=0)
    for line, cells in islice(records, grid.skip, None):
        if cells[-1] == last and [str(cell).strip().lstrip("\ufeff") for cell in cells] == names:
            odd["header that comes again"] += 1
            continue
        problem = None
        if len(cells) != width:
            if any(str(cell).strip() for cell in cells[width:] if cell is not None) or len(cells) < least:
                problem = (
                    f"{len(cells)} cells under {width} columns; quote a cell that holds the separator, and "
                    "keep empty cells"
                )
            cells = (cells + [None] * width)[:width]
        yield line, dict(zip(names, cells if whole else [cells[place] for place, _ in kept])), problem


def detect_separator(
    head: list[str], given: str | None, find: Callable[[list[list[Any]]], Grid]
) -> tuple[str, bool, Grid]:
    """(separator, whether a line ``sep=`` names it, grid) under which the first lines make most sense."""
    first = head[0].strip().strip('"').lower() if head else ""
    stated = first.startswith("sep=") and len(head[0].strip().strip('"')) <= 5
    body = head[1:] if stated else head
    separator = given or (head[0].strip().strip('"')[4:] or "\t" if stated else None)
    best: tuple[tuple[int, int], str, Grid] | None = None
    for option in [separator] if separator else SEPARATORS:
        grid = find([cells for _, cells in read_records(iter(body), option, Counter())])
        score = (grid.score, len(grid.columns))
        if best is None or score > best[0]:
            best = (score, option, grid)
    assert best is not None
    return best[1], stated, best[2]
