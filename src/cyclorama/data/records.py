"""One image of a data set: where its files are and what is known about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from cyclorama.data.addresses import is_remote, read_bytes
from cyclorama.data.columns import MaskMeans
from cyclorama.data.fetch import UrlPolicy
from cyclorama.data.table import Row, open_table
from cyclorama.errors import ManifestError

Place = Path | str | bytes
"""A file of this machine, another address for :func:`cyclorama.data.addresses.open_file`, or the bytes."""


@dataclass(frozen=True)
class DataRecord:
    """One image of a data set: where its files are and what is known about them.

    ``mask_means`` None means that nobody said; readers then take a used alpha channel, else bright = product.
    ``extra`` holds unknown columns unchanged, and a mask cell that is a note instead of a path.
    """

    id: str
    image: Place
    mask: Place | None = None
    mask_means: MaskMeans | None = None
    category: str | None = None
    brand: str | None = None
    product_id: str | None = None
    reference: Place | None = None
    reference_mask: Place | None = None
    seed: int | None = None
    split: str | None = None
    licence: str | None = None
    extra: dict[str, Any] = field(default_factory=dict, hash=False)


FIELDS = tuple(name for name in DataRecord.__dataclass_fields__ if name != "extra")
_FILES = ("image", "mask", "reference", "reference_mask")


@dataclass(frozen=True)
class RejectedRow:
    """A row that did not become a record: its number (from 1, header not counted), values and reason."""

    row: int
    reason: str
    values: dict[str, Any] = field(default_factory=dict, hash=False)


def load_records(
    source: str | Path, required: Sequence[str] = ("image",), urls: UrlPolicy | None = None
) -> list[DataRecord]:
    """A record for each row of whatever :func:`cyclorama.data.table.open_table` reads.

    A row without ``id`` is named after its image (path without suffix). Ids are compared without regard to
    case, since they become file names; one that comes again gets ``-2``.

    Raises ManifestError: unreadable file, missing column, or the first bad row with its number and line.
    """
    records: list[DataRecord] = []
    rows: list[Row] = []
    for row in open_table(source, required=required, urls=urls):
        if row.error is not None:
            raise ManifestError(f"{source}, {row.place}: {row.error}")
        rows.append(row)
    taken = {str(row.values["id"]).casefold() for row in rows if "id" in row.values}
    given: set[str] = set()
    for row in rows:
        values = dict(row.values)
        name = str(values.pop("id", "")) or str(PurePosixPath(row.name).with_suffix(""))
        fresh = "id" in row.values and name.casefold() not in given
        if fresh:
            given.add(name.casefold())
        else:
            name = _number(name, taken)
        taken.add(name.casefold())
        known = {key: values.pop(key) for key in FIELDS if key in values}
        known |= {key: _locate(known[key]) for key in _FILES if key in known}
        if "mask_note" in values:
            values["mask"] = values.pop("mask_note")
        values.pop("folder", None)
        records.append(DataRecord(name, **known, extra=values))
    return records


def _number(name: str, taken: set[str]) -> str:
    number, free = 1, name
    while free.casefold() in taken:
        number += 1
        free = f"{name}-{number}"
    return free


def _locate(address: str | bytes) -> Place:
    if isinstance(address, bytes) or is_remote(address) or "::" in address:
        return address
    return Path(address)


def read_place(place: Place) -> bytes:
    """The file's content. Raises DataError naming the file."""
    return read_bytes(str(place) if isinstance(place, Path) else place)
