"""What kind of list lies at an address, told by its content, and how are its rows read?

In a folder every image is a row, whatever its name ends in: a file with another ending is known by its first
bytes. Links to folders are followed, each real folder once. Folders and files that systems leave behind are
skipped and counted. Beside ``cup.jpg`` may stand its mask (``cup.mask.png``, ``cup_mask.png``, or
``masks/cup.png`` beside ``images/cup.jpg``) and what is known about it (``cup.json``).
"""

from __future__ import annotations

import csv
import io
import json
import lzma
import os
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
    open_system,
    read_bytes,
    resolve_address,
)
from cyclorama.data.columns import has_image_column
from cyclorama.data.fetch import UrlPolicy, fetch
from cyclorama.data.structured import RawRow
from cyclorama.errors import CycloramaError, InputError, ManifestError

_SUFFIXES = """.png .apng .jpg .jpeg .jpe .jfif .mpo .webp .bmp .dib .tif .tiff .gif .avif .heic .heif .jp2
    .j2k .jpf .jpx .jxl .psd .ppm .pgm .pbm .pnm"""
IMAGE_SUFFIXES = frozenset(_SUFFIXES.split())
"""Endings of image files. Which of them can be read is decided when they are."""
_CONTENT = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n|GIF8|RIFF....WEBP|BM....\0\0\0\0|II\*\0|MM\0\*|8BPS"
    rb"|....ftyp(avif|avis|hei|hev|mif1|msf1)|\0\0\0\x0cjP  |\xff\x4f\xff\x51|\0\0\0\x0cJXL |\xff\x0a",
    re.DOTALL,
)
_SYSTEM_FOLDERS = re.compile(
    r"@eaDir|__MACOSX|#recycle|#snapshot|\$RECYCLE\.BIN|System Volume Information|@Recycle|lost\+found"
    r"|\.AppleDouble|\.Trash.*|@tmp",
    re.IGNORECASE,
)
_SYSTEM_FILES = re.compile(r"thumbs\.db|ehthumbs\.db|desktop\.ini|\._.*|\.ds_store|icon\r", re.IGNORECASE)
MASK_ENDINGS = (".mask", "_mask", "-mask")
IMAGE_FOLDERS = ("images", "imgs", "ori_imgs")
_LARGEST_NOTE = 2**20
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
    listing = Listing(address, options.left_out)
    folder = address if is_remote(address) else str(Path(address).absolute())
    if not any(map(is_image_name, listing.files)):
        found = []
        for name in listing.files:
            parents = name.split("/")
            if name.endswith(".parquet") and not any(part.startswith("_") for part in parents):
                pairs = [part.split("=", 1) for part in parents[:-1] if "=" in part]  # category=perfume
                fixed = {key: unquote(value) for key, value in pairs}
                found.append((f"{address.rstrip('/')}/{name}", fixed))
        if found:
            return _open_parquet(found, get_folder(address.rstrip("/")))  # the folder stands for one file
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
        return text.fill_grid(records, grid, mapped)

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


def is_image_name(name: str) -> bool:
    """Whether a file's name ends as an image's does."""
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES  # noqa: PTH122 - a million times


def is_image(address: str) -> bool:
    """Whether the file at ``address`` begins as an image does."""
    try:
        with open_file(address) as stream:
            return _CONTENT.match(stream.read(32)) is not None
    except (CycloramaError, OSError):
        return False


class Listing:
    """The files below a folder, relative to it, sorted; and how many were skipped for which reason."""

    def __init__(self, folder: str, left_out: Collection[str | Path] = ()) -> None:
        self.folder = folder
        self.walked: Counter[str] = Counter()
        self._left_out = {os.path.realpath(path) for path in left_out}
        if is_remote(folder):
            system, start = open_system(folder)
            names = (str(path).removeprefix(start).lstrip("/") for path in sorted(system.find(start)))
            self.files = [name for name in names if self._keep_remote(name)]
        else:
            self.files = sorted(self._walk(folder, "", {os.path.realpath(folder)}))
        self.skipped = self.walked

    def _walk(self, folder: str, below: str, seen: set[str]) -> Iterator[str]:
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: (entry.is_symlink(), entry.name))
        except OSError as error:
            if not below:
                raise ManifestError(f"cannot read the folder {folder}: {error.strerror}") from error
            self.walked[f"folder that cannot be read ({error.strerror})"] += 1
            return
        for entry in entries:
            if entry.is_dir():
                real = os.path.realpath(entry.path)
                if real in self._left_out:
                    self.walked["folder of the output or of masks"] += 1
                elif _SYSTEM_FOLDERS.fullmatch(entry.name):
                    self.walked["system folder"] += 1
                elif entry.name.startswith("."):
                    self.walked["hidden folder"] += 1
                elif real in seen:
                    self.walked["link to a folder that is read already"] += 1
                else:
                    seen.add(real)
                    yield from self._walk(entry.path, f"{below}{entry.name}/", seen)
            elif self._keep_file(entry.name):
                yield below + entry.name

    def _keep_file(self, name: str) -> bool:
        if _SYSTEM_FILES.fullmatch(name):
            self.walked["system file"] += 1
        elif name.startswith("."):
            self.walked["hidden file"] += 1
        else:
            return True
        return False

    def _keep_remote(self, name: str) -> bool:
        *parents, last = PurePosixPath(name).parts
        if any(part.startswith(".") or _SYSTEM_FOLDERS.fullmatch(part) for part in parents):
            self.walked["file in a system or hidden folder"] += 1
            return False
        return self._keep_file(last)


def read_folder(listing: Listing, pair: bool = True) -> Iterator[RawRow]:
    """A row for each image in ``listing``; with ``pair``, masks and notes beside images are theirs."""
    by_stem: dict[str, str] = {}
    images, notes, skipped = [], {}, Counter[str]()
    for name in listing.files:
        stem, suffix = os.path.splitext(name)  # noqa: PTH122 - a million times
        if suffix.lower() in IMAGE_SUFFIXES or is_image(resolve_address(listing.folder, name)):
            images.append(name)
            by_stem.setdefault(stem, name)
        elif pair and suffix == ".json":
            notes[stem] = name
        else:
            skipped[f"no image ({suffix.lower() or 'without an ending'})"] += 1
    masks = {name: mask for name in images if pair and (mask := _find_mask(name, by_stem))}
    taken = set(masks.values())
    for name in images:
        if name in taken:
            skipped["mask of an image"] += 1
            continue
        stem = os.path.splitext(name)[0]  # noqa: PTH122 - a million times
        note = notes.pop(stem, None)
        row = {} if note is None else _read_note(resolve_address(listing.folder, note))
        row |= {"image": name, "folder": name.rpartition("/")[0]}
        if name in masks:
            row["mask"] = masks[name]
        yield None, row, None
    skipped["no image (.json)"] += len(notes)
    listing.skipped = listing.walked + skipped


def _find_mask(name: str, by_stem: Mapping[str, str]) -> str | None:
    """The mask of the image at ``name``, if there is one."""
    path = PurePosixPath(name)
    stem, parts = str(path.with_suffix("")), path.parts
    wanted = [f"{stem}{ending}" for ending in MASK_ENDINGS]
    for place, part in enumerate(parts[:-1]):
        if part in IMAGE_FOLDERS:
            other = str(PurePosixPath(*parts[:place], "masks", *parts[place + 1 :]).with_suffix(""))
            wanted += [other, *(f"{other}{ending}" for ending in MASK_ENDINGS)]
    return next((by_stem[candidate] for candidate in wanted if candidate in by_stem), None)


def _read_note(address: str) -> dict[str, Any]:
    """What the JSON file beside an image says; nothing if it is no JSON object."""
    try:
        values = json.loads(read_bytes(address, _LARGEST_NOTE))
    except (CycloramaError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}
