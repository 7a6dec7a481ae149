"""One image of a data set: where its files are and what is known about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from cyclorama.data.addresses import is_remote
from cyclorama.data.columns import FILES, MaskMeans
from cyclorama.data.fetch import UrlPolicy
from cyclorama.data.table import open_table
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


_FIELDS = tuple(name for name in DataRecord.__dataclass_fields__ if name != "extra")


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
    rows = list(open_table(source, required=required, urls=urls))
    for row in rows:
        if row.error is not None:
            raise ManifestError(f"{source}, {row.place}: {row.error}")
    records: list[DataRecord] = []
    taken = {str(row.values["id"]).casefold() for row in rows if "id" in row.values}
    given: set[str] = set()
    for row in rows:
        values = dict(row.values)
        first = name = str(values.pop("id", "")) or str(PurePosixPath(row.name).with_suffix(""))
        number = 1
        if "id" in row.values and first.casefold() not in given:
            given.add(first.casefold())
        else:
            while name.casefold() in taken:
                number += 1
                name = f"{first}-{number}"
        taken.add(name.casefold())
        known = {key: values.pop(key) for key in _FIELDS if key in values}
        known |= {key: locate(known[key]) for key in FILES if key in known}
        if "mask_note" in values:
            values["mask"] = values.pop("mask_note")
        values.pop("folder", None)
        records.append(DataRecord(name, **known, extra=values))
    return records


def locate(address: str | bytes) -> Place:
    """A path for a file of this machine, so that its name counts when it is decoded."""
    if isinstance(address, bytes) or is_remote(address) or "::" in address:
        return address
    return Path(address)
