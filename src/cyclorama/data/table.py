"""The one reader of lists of images, for every command: any table, feed, folder or shard becomes rows.

::

    table = open_table("feed.xml", urls=UrlPolicy(hosts=("cdn.shop.example",)))
    print("\\n".join(table.notes))             # what was detected, mapped and left out
    for row in table:                          # streams; may be iterated again
        if row.error is not None:
            ...                                # the reason; the row still counts: rows in = rows out
        else:
            with open_file(row.values["image"], urls) as stream: ...

``row.values`` holds the fields of :data:`cyclorama.data.columns.SPELLINGS` that the row has: ``image``,
``mask``, ``reference`` and ``reference_mask`` as addresses for :func:`open_file` (text, or bytes of an
embedded file), ``seed`` and counts as int, the others as text; further columns under their own names;
``folder``, the sub-folder of a folder's image; ``image_number`` (from 1) where a product has several images;
``mask_note``, a mask cell that is no file. ``row.name`` is the image's path relative to the table, the same
wherever the command was started; it is not unique, since an image may come twice.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import unquote

from cyclorama.data.addresses import check_inside, find_file, is_remote, is_url, normalise_address, open_file
from cyclorama.data.columns import (
    FILES,
    PARSERS,
    fold,
    is_list,
    match_columns,
    parse_text,
    split_images,
)
from cyclorama.data.fetch import UrlPolicy, check_url
from cyclorama.data.folders import is_image_name
from cyclorama.data.opening import Options, Source, named_errors, open_source
from cyclorama.errors import InputError, ManifestError

__all__ = ["Row", "Table", "UrlPolicy", "open_file", "open_table"]

_PEEKED = 1000
_USUAL = re.compile(r"[\w-]+(?:[ ./][\w-]+)*")
"""A relative path that means what it says; the quick way of a million rows."""


class Row(NamedTuple):
    """One image of a table, or the reason why there is none."""

    number: int
    """From 1, over all rows that the table gives."""
    name: str
    values: dict[str, Any]
    error: str | None = None
    line: int | None = None
    """Line of the file where the row ends, or of the sheet; None where there are no lines."""
    columns: Mapping[str, str] = MappingProxyType({})
    """Field of a file -> the table's column that names it in this row."""

    @property
    def place(self) -> str:
        """The row in words: ``row 3 (line 4)``."""
        return f"row {self.number}" + (f" (line {self.line})" if self.line is not None else "")


class Table:
    """The rows of a table; made by :func:`open_table`."""

    def __init__(self, name: str, source: Source, options: Options) -> None:
        self.name = name
        self.kind = source.kind
        self.folder = source.folder
        """The folder or address that relative paths count from."""
        self._source, self._options = source, options
        here = self.folder and not is_remote(self.folder) and self.kind != "shards"
        self._below = f"{self.folder.rstrip('/')}/" if here and not options.check_files else None
        self._skipped: Counter[str] = Counter()
        names = source.columns
        if names is None:
            with named_errors(name):
                head = list(islice(source.rows(lambda _: True), _PEEKED))
            if not head:
                raise ManifestError(f"{name} has no rows; give one with images" + self._hint())
            names = [column for _, cells, _ in head for column in cells]
            names = names or ["image"]  # no row can be read; each says why
        self.columns: list[str] = []
        self._match(names)
        if next(iter(self), None) is None:
            raise ManifestError(f"{name} has no rows; give a table with an image in each row" + self._hint())

    def _hint(self) -> str:
        skipped = self._source.skipped()
        return f" (skipped: {_count(skipped)})" if skipped else ""

    @property
    def notes(self) -> list[str]:
        """What was detected, mapped and skipped, in sentences; complete after the last row."""
        notes = [f"{self.name}: {self.kind}", *self._source.notes]
        if self.kind not in ("folder", "image"):
            notes.append(self.map.describe())
            if self._options.words:
                notes.append(self.map.describe_words())
        skipped = self._skipped + self._source.skipped()
        return notes + ([f"skipped or mended: {_count(skipped)}"] if skipped else [])

    def __iter__(self) -> Iterator[Row]:
        self._skipped.clear()
        number = 0
        group = _Group(self._skipped)
        with named_errors(self.name):
            for line, cells, problem in self._source.rows(lambda column: column not in self.map.rest):
                if not self._known.issuperset(cells):
                    self._match(cells)
                for place, values, reason, named in self._expand(cells, problem, group):
                    number += 1
                    yield Row(number, place or f"row-{number}", values, reason, line, named)

    def _match(self, names: Iterable[str]) -> None:
        """Find the fields of the columns, ``names`` among them."""
        self.columns = list(dict.fromkeys([*self.columns, *names]))
        self._known = set(self.columns)
        self.map = match_columns(self.columns, self._options.columns, self._options.required, self.name)
        self._images = [(column, is_list(column)) for column in self.map.images]
        fields = self.map.fields.items()
        self._files = [(f, columns) for f, columns in fields if f in FILES]
        self._texts = [(f, PARSERS[f], columns) for f, columns in fields if f not in FILES]

    def _expand(
        self, cells: Mapping[str, Any], problem: str | None, group: _Group
    ) -> list[tuple[str, dict[str, Any], str | None, dict[str, str]]]:
        """(name, values, error, columns) for each image of a record; nothing for one that only tells of a
        variant.
        """
        images: list[Any] = []
        for column, several in self._images:
            cell = cells.get(column)
            if cell:
                images += split_images(cell, several)
        if images[1:]:
            images = list(dict.fromkeys(images))
        values: dict[str, Any] = {}
        named: dict[str, str] = {}
        try:
            self._read_values(cells, values, named)
        except ManifestError as error:
            problem = problem or str(error)
        if self.map.shop and not group.add(self.map.shop, cells, values, images):
            return []
        if problem is None and not images:
            problem = f"column {self.map.images[0]!r} is empty"
        if problem is not None:
            name = str(images[0]) if images and isinstance(images[0], str) else ""
            return [(name, {**values, "image": name} if name else values, problem, named)]
        rows = []
        for place, image in enumerate(images, 1):
            row, reason = values if len(images) == 1 else dict(values), None
            column = self._find_column(cells, image)
            if len(images) > 1 or self.map.shop == "Shopify":
                row["image_number"] = group.number + place
            if self._below is not None and isinstance(image, str) and _USUAL.fullmatch(image):
                row["image"], name = self._below + image, image
            else:
                try:
                    row["image"] = self._find(image, column)
                except InputError as error:
                    reason = str(error)
                    row["image"] = image if isinstance(image, str) else ""
                name = self._name(image, cells, values)
            rows.append((name, row, reason, {**named, "image": column}))
        if self.map.shop == "Shopify":
            group.number += len(images)
        return rows

    def _find_column(self, cells: Mapping[str, Any], image: Any) -> str:
        """The column of images that ``image`` stands in."""
        if len(self._images) == 1:
            return self._images[0][0]
        return next(name for name, several in self._images if image in split_images(cells.get(name), several))

    def _read_values(self, cells: Mapping[str, Any], values: dict[str, Any], named: dict[str, str]) -> None:
        """Fill ``values``, and ``named`` with the columns of files, up to the first bad cell.

        Raises ManifestError.
        """
        for column in self.map.rest:
            cell = cells.get(column)
            cell = cell.strip() if isinstance(cell, str) else cell
            if cell is not None and cell != "" and not (isinstance(cell, float) and cell != cell):
                values[column] = cell
        for field, parse, columns in self._texts:
            for column in columns:
                value = parse(cells.get(column), field, column)
                if value is not None:
                    values[field] = value
                    break
        if "product_id" in values and "id" not in self.map.fields:
            values["id"] = values["product_id"]
        if self._options.words and (words := self._read_words(cells)):
            values["words"] = words
        for field, columns in self._files:
            for column in columns:
                if found := split_images(cells.get(column), False):
                    named[field] = column
                    self._read_file(field, found[0], column, values)
                    break
        for field in self._options.required:
            if field != "image" and field not in values:
                raise ManifestError(f"column {self.map.fields[field][0]!r} is empty")

    def _read_words(self, cells: Mapping[str, Any]) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = {}
        for language, roles in self.map.words.items():
            for role, columns in roles.items():
                said = (parse_text(cells.get(column), column) for column in columns)
                if (words := next((one for one in said if one), None)) is not None:
                    found.setdefault(language, {})[role] = words
        return found

    def _read_file(self, field: str, cell: Any, column: str, values: dict[str, Any]) -> None:
        if field == "mask" and isinstance(cell, str) and not is_image_name(cell.split("?")[0]):
            try:  # a file of another name, or a remark such as "white background"
                values["mask"] = self._locate(cell, column, True)
            except ManifestError:
                values["mask_note"] = cell
            return
        values[field] = self._find(cell, column)

    def _find(self, cell: Any, column: str) -> str | bytes:
        """The address in a cell. Raises ManifestError (no such file, no path, an address that is refused)."""
        if isinstance(cell, bytes):
            return cell
        if not isinstance(cell, str):
            raise ManifestError(f"column {column!r} must be a file path, got {cell!r:.80}")
        address = self._locate(cell, column, self._options.check_files)
        if is_url(address):
            try:
                check_url(address, self._options.urls)
            except InputError as error:
                raise ManifestError(f"column {column!r}: {error}") from None
        return address

    def _locate(self, cell: str, column: str, check: bool) -> str:
        if self._options.inside:
            check_inside(self.folder, cell, column)
        return find_file(self.folder, cell, column, check)

    def _name(self, image: Any, cells: Mapping[str, Any], values: Mapping[str, Any]) -> str:
        if not isinstance(image, str):
            cell = cells.get(self.map.images[0])
            path = cell.get("path") if isinstance(cell, Mapping) else None
            return str(path or values.get("id") or "")
        if self.kind == "shards":
            return f"{cells['shard_key']}.png"
        path = normalise_address(image).replace("\\", "/")
        if is_remote(path):
            inside = path.removeprefix(f"{self.folder}/")
            last = re.split("[?#]", path)[0].rpartition("/")[2]
            return unquote(last) if is_remote(inside) else inside
        if path.startswith("/"):
            inside = path.removeprefix(f"{self.folder}/")
            return inside if not inside.startswith("/") else PurePosixPath(path).name
        if "./" not in path and "//" not in path:
            return path
        plain = str(PurePosixPath(path))
        return PurePosixPath(path).name if ".." in plain.split("/") else plain


class _Group:
    """What the rows of one product share in Shopify's and WooCommerce's tables."""

    def __init__(self, skipped: Counter[str]) -> None:
        self.number = 0
        """Images that the product had so far."""
        self._skipped = skipped
        self._handle: Any = None
        self._seen: set[Any] = set()
        self._values: dict[str, Any] = {}

    def add(self, shop: str, cells: Mapping[str, Any], values: dict[str, Any], images: list[Any]) -> bool:
        """Leave only new images, fill up ``values``; False for a record that only tells of a variant."""
        if shop == "WooCommerce":
            kind = next((cell for name, cell in cells.items() if fold(name) in ("type", "typ")), "")
            variant = not images and str(kind).strip().lower() == "variation"
        else:
            handle = values.get("product_id")
            if handle != self._handle or not handle:
                self._handle, self.number, self._seen, self._values = handle, 0, set(images), dict(values)
                return True
            for name in ("id", "product_id", "category", "title", "brand", "licence", "words"):
                if name in self._values:
                    values.setdefault(name, self._values[name])
            images[:] = [image for image in images if image not in self._seen]
            self._seen.update(images)
            variant = not images
        self._skipped["variants without an image of their own"] += variant
        return not variant


def open_table(
    source: str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    urls: UrlPolicy | None = None,
    required: Sequence[str] = ("image",),
    encoding: str | None = None,
    separator: str | None = None,
    left_out: Collection[str | Path] = (),
    pair: bool = True,
    check_files: bool = True,
    inside: bool = False,
    words: bool = False,
) -> Table:
    """The rows of ``source``: a table, a feed, a folder, shards or one image, here or at an fsspec address.

    ``columns`` (field -> column) goes before the known spellings. Web addresses, of the table or in it, are
    read only with ``urls``; without, their rows carry the reason. ``required`` fields must have a column and
    a cell. ``left_out`` names folders inside ``source`` that are none of the input. ``pair`` takes masks and
    notes beside a folder's images as theirs. ``check_files`` looks whether local files are there. ``inside``
    takes no file from elsewhere than below the table's folder, web addresses apart. ``words`` gathers a
    poster's words (:data:`cyclorama.data.columns.WORDS`) as ``values["words"]``: language, empty where a
    column names none, to role to words.

    Raises ManifestError (nothing there, no format that is known, no column for the image, no rows),
    MissingDependencyError. Invariant: each record of the file, and each image of a record that has several,
    is exactly one row.
    """
    address = "" if source is None else str(source)
    if not address.strip():
        raise ManifestError("the input is empty; give a file or a folder (is a shell variable unset?)")
    address = normalise_address(address)
    options = Options(
        columns or {},
        urls,
        tuple(required),
        encoding,
        separator,
        tuple(left_out),
        pair,
        check_files,
        inside,
        words,
    )
    return Table(address, open_source(address, options), options)


def _count(skipped: Counter[str]) -> str:
    return ", ".join(f"{count} × {reason}" for reason, count in sorted(skipped.items()) if count)
