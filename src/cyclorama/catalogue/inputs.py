"""From a manifest's cells to rows that can be planned: files looked up, categories chosen, faults named.

Nothing is decoded here. A local file is known by its size and time of change, a remote one by its address
alone.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cyclorama.catalogue.categories import CategoryChooser
from cyclorama.catalogue.manifest import Chunk, is_remote
from cyclorama.data.schema import IMAGE_SUFFIXES, MaskMeans, parse_row
from cyclorama.errors import ManifestError
from cyclorama.generation.items import Failure
from cyclorama.seeding import MAX_SEED

FILES = ("image", "mask", "reference", "reference_mask")
SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("name", pa.string()),
        ("id", pa.string()),
        *((name, pa.string()) for name in FILES),
        *((f"{name}_stamp", pa.string()) for name in FILES),
        ("mask_means", pa.string()),
        ("seed", pa.int64()),
        ("category_given", pa.string()),
        ("category", pa.string()),
        ("identifier", pa.string()),
        ("category_choice", pa.string()),
        ("error", pa.string()),
        ("reason", pa.string()),
    ]
)
"""One row per manifest row; ``error`` and ``reason`` are null where it can be worked on. Paths are as the
manifest gives them; a ``stamp`` is ``bytes:nanoseconds`` of a local file."""

_PLAIN = r"^[^/\\.~\x00][^\\\x00]*$"
_ODD_PATH = r"(^|/)\.{0,2}(/|$)"
_CACHED = 100_000


def resolve_path(folder: str, cell: str) -> str:
    """The path or address of a manifest's ``cell``."""
    if is_remote(cell):
        return cell
    if is_remote(folder):
        return f"{folder}/{cell}"
    return os.path.join(folder, cell)  # noqa: PTH118 - a million times; Path takes ten times as long


def read_stamp(path: str) -> str | None:
    """``bytes:nanoseconds`` of a regular file, empty for a remote address, None if there is no such file."""
    if is_remote(path):
        return ""
    try:
        found = os.stat(path)  # noqa: PTH116 - as above
    except (OSError, ValueError):
        return None
    return f"{found.st_size}:{found.st_mtime_ns}" if stat.S_ISREG(found.st_mode) else None


class RowReader:
    """Turns chunks of cells into rows of :data:`SCHEMA`."""

    def __init__(
        self,
        folder: str,
        chooser: CategoryChooser,
        mask_means: MaskMeans | None = None,
        reference: Path | None = None,
        reference_mask: Path | None = None,
    ) -> None:
        self._folder = folder
        self._choose = chooser.choose
        self._mask_means = mask_means
        self._reference = None if reference is None else str(reference.absolute())
        self._reference_mask = None if reference_mask is None else str(reference_mask.absolute())
        self._stamp = lru_cache(_CACHED)(read_stamp)

    def read(self, chunk: Chunk) -> pa.RecordBatch:
        """The rows of ``chunk``, as many as it has."""
        cells = dict(chunk.columns)
        failures = {place: Failure("ManifestError", text) for place, text in chunk.problems.items()}
        self._fill_reference(cells)
        stamps = {name: self._read_stamps(name, cells, failures, chunk) for name in FILES}
        seeds = self._read_seeds(cells, failures, chunk)
        means = self._read_mask_means(cells, failures, chunk)
        names = self._read_names(cells["image"], chunk.first)
        categories = self._read_categories(cells["category"], failures)
        columns = {
            "row": pa.array(np.arange(chunk.first, chunk.first + len(chunk))),
            "name": names,
            "id": cells["id"],
            "seed": seeds,
            "mask_means": means,
            "category_given": cells["category"],
            **{name: cells[name] for name in FILES},
            **{f"{name}_stamp": pa.array(values, pa.string()) for name, values in stamps.items()},
            **categories,
            "error": _scatter(len(chunk), {place: f.error for place, f in failures.items()}),
            "reason": _scatter(len(chunk), {p: _tell(f, chunk.first + p) for p, f in failures.items()}),
        }
        return pa.RecordBatch.from_pydict(columns, schema=SCHEMA)

    def _fill_reference(self, cells: dict[str, pa.Array]) -> None:
        if self._reference is None:
            return
        missing = pc.is_null(cells["reference"])
        cells["reference"] = pc.fill_null(cells["reference"], self._reference)
        if self._reference_mask is not None:
            cells["reference_mask"] = pc.if_else(missing, self._reference_mask, cells["reference_mask"])

    def _read_stamps(
        self, column: str, cells: dict[str, pa.Array], failures: dict[int, Failure], chunk: Chunk
    ) -> list[str | None]:
        look: Callable[[str], str | None] = self._stamp if column.startswith("reference") else read_stamp
        folder = self._folder
        given = cells[column]
        if given.null_count == len(given):
            if column == "image":
                failures |= {p: _explain(chunk, p, folder) for p in range(len(chunk)) if p not in failures}
            return [None] * len(given)
        paths = given.to_pylist()
        stamps = [None if path is None else look(resolve_path(folder, path)) for path in paths]
        notes = []
        for place, (path, stamp) in enumerate(zip(paths, stamps)):
            if stamp is not None or place in failures or (path is None and column != "image"):
                continue
            if column == "mask" and path is not None and Path(path).suffix.lower() not in IMAGE_SUFFIXES:
                notes.append(place)  # a remark such as "white background", as generate takes it
                continue
            if path is not None and "\\" in path:  # written on Windows
                turned = path.replace("\\", "/")
                stamps[place] = look(resolve_path(folder, turned))
                if stamps[place] is not None:
                    cells[column] = _set(cells[column], {place: turned})
                    continue
            failures[place] = _explain(chunk, place, folder, column)
        if notes:
            cells[column] = _set(cells[column], dict.fromkeys(notes))
        return stamps

    def _read_seeds(self, cells: dict[str, pa.Array], failures: dict[int, Failure], chunk: Chunk) -> pa.Array:
        given = cells["seed"]
        if given.null_count == len(given):
            return pa.nulls(len(given), pa.int64())
        plain = pc.fill_null(pc.match_substring_regex(given, r"^\d{1,18}$"), False)
        seeds = pc.if_else(plain, given, None).cast(pa.int64())
        odd = np.flatnonzero(pc.and_not(pc.is_valid(given), plain).to_numpy(zero_copy_only=False))
        mended = {}
        for place in map(int, odd):
            try:
                seed = int(given[place].as_py())
            except ValueError:
                seed = -1
            if 0 <= seed <= MAX_SEED:
                mended[place] = seed
            else:
                failures.setdefault(place, _explain(chunk, place, self._folder, "seed"))
        return _set(seeds, mended) if mended else seeds

    def _read_mask_means(
        self, cells: dict[str, pa.Array], failures: dict[int, Failure], chunk: Chunk
    ) -> pa.Array:
        given = pc.utf8_lower(cells["mask_means"])
        known = pc.is_in(given, pa.array(get_args(MaskMeans)))
        bad = pc.and_(pc.is_valid(given), pc.invert(known))
        for place in map(int, np.flatnonzero(bad.to_numpy(zero_copy_only=False))):
            failures.setdefault(place, _explain(chunk, place, self._folder, "mask_means"))
        return given if self._mask_means is None else pc.fill_null(given, self._mask_means)

    def _read_names(self, images: pa.Array, first: int) -> pa.Array:
        """Paths relative to the manifest's folder; of files elsewhere their own names."""
        plain = pc.and_(
            pc.match_substring_regex(images, _PLAIN), pc.invert(pc.match_substring_regex(images, _ODD_PATH))
        )
        plain = pc.and_(
            pc.fill_null(plain, False), pc.invert(pc.fill_null(pc.match_substring(images, "://"), True))
        )
        odd = map(int, np.flatnonzero(~plain.to_numpy(zero_copy_only=False)))
        return _set(images, {place: self._name(images[place].as_py(), first + place) for place in odd})

    def _name(self, image: str | None, row: int) -> str:
        if not image:
            return f"row-{row + 1}"
        if is_remote(image) or is_remote(self._folder):
            inside = image.removeprefix(f"{self._folder}/")
            return PurePosixPath(inside).as_posix() if not is_remote(inside) else PurePosixPath(inside).name
        try:
            return (Path(self._folder) / image).relative_to(self._folder).as_posix()
        except ValueError:
            return Path(image).name

    def _read_categories(self, given: pa.Array, failures: dict[int, Failure]) -> dict[str, pa.Array]:
        encoded = given.dictionary_encode(null_encoding="encode")
        choices = [self._choose(name) for name in encoded.dictionary.to_pylist()]
        codes = encoded.indices.to_numpy(zero_copy_only=False)
        bad = np.array([isinstance(choice, Failure) for choice in choices], dtype=bool)
        for place in map(int, np.flatnonzero(bad[codes])):
            choice = choices[codes[place]]
            assert isinstance(choice, Failure)
            failures.setdefault(place, choice)
        usable = [None if isinstance(choice, Failure) else choice for choice in choices]
        values: dict[str, list[Any]] = {
            "category": [c and c.category.name for c in usable],
            "identifier": [c and c.category.identifier for c in usable],
            "category_choice": [c and c.how for c in usable],
        }
        indices = pa.array(codes)
        return {name: pa.array(column, pa.string()).take(indices) for name, column in values.items()}


def _explain(chunk: Chunk, place: int, folder: str, column: str = "image") -> Failure:
    """The reason ``generate`` would give for this row."""
    values = {name: cells[place].as_py() for name, cells in chunk.columns.items()}
    try:
        parse_row(values, Path(folder) if not is_remote(folder) else Path())
    except ManifestError as error:
        return Failure.of(error)
    return Failure("ManifestError", f"column {column!r}: {values.get(column)!r} cannot be used; check it")


def _tell(failure: Failure, row: int) -> str:
    """The reason, with the row's number where it is about the manifest."""
    return f"row {row + 1}: {failure.reason}" if failure.error == "ManifestError" else failure.reason


def _scatter(count: int, values: dict[int, str]) -> pa.Array:
    return _set(pa.nulls(count, pa.string()), values)


def _set(column: pa.Array, values: dict[int, Any]) -> pa.Array:
    if not values:
        return column
    mask = np.zeros(len(column), dtype=bool)
    places = sorted(values)
    mask[places] = True
    return pc.replace_with_mask(column, pa.array(mask), pa.array([values[p] for p in places], column.type))
