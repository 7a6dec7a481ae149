"""From an input of any kind to rows: what :func:`cyclorama.data.table.open_table` reads, or a published set.

Every row of a table and every image of a folder becomes one row, also if it cannot be used; the reason
stands in the row. All texts of a row can be written as UTF-8.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from pathlib import Path, PurePosixPath
from typing import Any

from cyclorama.curate.config import ReadingSettings
from cyclorama.curate.records import Record
from cyclorama.data.addresses import is_remote, is_url, open_system
from cyclorama.data.folders import IMAGE_FOLDERS
from cyclorama.data.table import Row, Table, open_table
from cyclorama.errors import ManifestError

PUBLISHED = ("bg60k", "bg1k", "bgpair")
_FIELDS = {field.name for field in fields(Record)} - {"key", "extra"}
_OTHERS = {"id", "folder", "image_number", "mask_note"}
"""What a table's row holds beside columns."""


@dataclass(frozen=True)
class InputRow:
    """One row of the input, and why it cannot be used, if so."""

    record: Record
    problem: str = ""


@dataclass(frozen=True)
class Input:
    """All rows of an input and what was found out about it."""

    kind: str
    rows: list[InputRow]
    notes: tuple[str, ...] = ()
    """What was detected, for the report."""


def read_input(source: str, settings: ReadingSettings, keep: Callable[[bytes], str] | None = None) -> Input:
    """The rows of ``source``: a table, feed, folder or published set, here or at an fsspec address.

    ``keep`` gives the address of an embedded file. Keys are unique: one that comes again gets a number.
    Raises ManifestError (nothing there, no column for the image, no rows), DataError (a published set that
    cannot be made out).
    """
    there = [name for name in PUBLISHED if (Path(source) / f"{name}_info.txt").is_file()]
    if settings.kind == "table" or (settings.kind == "auto" and (not there or is_remote(source))):
        table = open_table(source, columns=settings.columns, encoding=settings.encoding, urls=settings.urls)
        rows = [_read_row(row, table, settings, keep) for row in table]
        return Input(table.kind, _complete(rows, settings), tuple(table.notes))
    if is_remote(source):
        raise ManifestError(f"{source}: the published sets are read from folders of this machine; copy it")
    wanted = [settings.kind] if settings.kind != "auto" else [n for n in there if n != "bgpair"] or ["bgpair"]
    notes: list[str] = []
    rows = [row for name in wanted for row in _read_published(source, name, settings, notes)]
    if not rows:
        raise ManifestError(f"{source} holds no images; give a folder of images or a table")
    return Input(wanted[0], _complete(rows, settings), tuple(notes))


def _read_row(
    row: Row, table: Table, settings: ReadingSettings, keep: Callable[[bytes], str] | None
) -> InputRow:
    values = dict(row.values)
    named = values.get("id") if "id" in table.map.fields else None  # an id that is none of a product's
    key = str(named or row.name or f"row-{row.number}")
    if row.error is not None:
        return InputRow(Record(key, str(values.get("image", ""))), f"{row.place}: {row.error}")
    for name in ("image", "mask"):
        if isinstance(values.get(name), bytes):
            if keep is None:
                return InputRow(Record(key, ""), f"{row.place}: an embedded {name} cannot be kept")
            values[name] = keep(values[name])
    folder = PurePosixPath(values.get("folder", "")).name
    if settings.folder_category and "category" not in values and folder not in ("", *IMAGE_FOLDERS):
        values["category"] = folder
    extra = {name: _to_text(v) for name, v in values.items() if name not in _FIELDS | _OTHERS}
    if "mask_note" in values:
        extra["mask"] = values["mask_note"]
    known = {name: value for name, value in values.items() if name in _FIELDS}
    return InputRow(Record(key, **known, extra=extra))


def _to_text(value: Any) -> str:
    """Trimmed text; lists, mappings and truth values as JSON."""
    if isinstance(value, bool | list | dict | tuple):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


def _read_published(
    source: str, name: str, settings: ReadingSettings, notes: list[str]
) -> Iterator[InputRow]:
    """The rows of a published set; what was detected goes into ``notes``."""
    from cyclorama.data.bg60k import Bg60kSettings, load_bg60k

    found = load_bg60k(source, name, Bg60kSettings(mask_means=settings.mask_means))  # type: ignore[arg-type]
    notes.append(found.describe())
    language = {"chinese": "zh"}.get(found.category_script.value)
    for record in found.records:
        others = {"mask_means": record.mask_means, "reference": record.reference}
        extra = {"subset": name} | {k: str(value) for k, value in others.items() if value is not None}
        mask = None if record.mask is None else str(record.mask)
        same = {field: getattr(record, field) for field in ("product_id", "category", "licence")}
        yield InputRow(
            Record(record.id, str(record.image), mask=mask, language=language, extra=extra, **same)
        )
    for line in found.rejected:
        row = Record(f"{name}/line-{line.row}", "", extra={"subset": name, **line.values})
        yield InputRow(row, f"{name}_info.txt, line {line.row}: {line.reason}")


def _complete(rows: Iterable[InputRow], settings: ReadingSettings) -> list[InputRow]:
    """Texts that can be written, unique keys, and the recipe's word where a row has none."""
    taken: dict[str, int] = {}
    names = set()
    done = []
    for row in map(_clean_row, rows):
        record, key = row.record, row.record.key
        while key in names:
            taken[record.key] = taken.get(record.key, 1) + 1
            key = f"{record.key}-{taken[record.key]}"
        names.add(key)
        extra = dict(record.extra)
        if settings.mask_means is not None:
            extra.setdefault("mask_means", settings.mask_means)
        licence, language = record.licence or settings.licence, record.language or settings.language
        record = replace(record, key=key, licence=licence, language=language, extra=extra)
        done.append(replace(row, record=record))
    return done


def _clean_row(row: InputRow) -> InputRow:
    """``row`` in texts that UTF-8 can write; a problem in it if the name of its file is none of them."""
    record, problem = row.record, row.problem
    texts: dict[str, Any] = {
        name: _clean(text) for name, text in vars(record).items() if isinstance(text, str)
    }
    for name in ("image", "mask"):
        address = getattr(record, name)
        if texts.get(name) != address:
            problem = problem or f"the name of its {name} is no valid Unicode: {address!r}; rename the file"
    extra = {_clean(name): _clean(text) for name, text in record.extra.items()}
    return InputRow(replace(record, **texts, extra=extra), _clean(problem))


def _clean(text: str) -> str:
    """``text`` with a question mark for every half of a surrogate pair."""
    return text.encode("utf-8", "replace").decode()


REMOTE_THREADS = 16
"""Remote files asked for their state at a time."""


def read_stamps(addresses: Iterable[str]) -> list[str]:
    """For each address a text that changes when the file may have changed; empty where there is none.

    Local files: size and time of change. Remote ones: whatever their file system tells of them. Files of web
    servers are read once and have no stamp.
    """
    wanted = list(addresses)
    remote = sorted(filter(is_remote, set(wanted)))
    with ThreadPoolExecutor(REMOTE_THREADS) as pool:  # starts no thread without work
        known = dict(zip(remote, pool.map(_read_remote_stamp, remote), strict=True))
    return [known[address] if address in known else _read_local_stamp(address) for address in wanted]


def _read_local_stamp(address: str) -> str:
    try:
        found = os.stat(address)  # noqa: PTH116 - a Path per file costs more than the call itself
    except (OSError, ValueError):
        return ""
    return f"{found.st_size}:{found.st_mtime_ns}"


def _read_remote_stamp(address: str) -> str:
    if is_url(address):
        return ""
    try:
        system, path = open_system(address)
        return str(system.ukey(path))
    except (OSError, ValueError, NotImplementedError, ManifestError):
        return ""
