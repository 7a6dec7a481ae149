"""Which images does a training run see? Shards, any table or a published set, all as records."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import model_validator

from cyclorama.config import Settings
from cyclorama.data.addresses import read_stamp
from cyclorama.data.bg60k import Bg60kSettings, load_bg60k
from cyclorama.data.columns import MaskMeans
from cyclorama.data.records import FIELDS, DataRecord, Place, load_records
from cyclorama.data.shards import build_index, load_done_mark
from cyclorama.data.tars import IMAGE_MEMBERS, MASK_MEMBERS, ShardEntry
from cyclorama.errors import ConfigError, DataError


class SourceConfig(Settings):
    """Which images to train on."""

    path: Path
    """Shards: a folder, a tar or a glob pattern. Table: whatever ``open_table`` reads. Published: the folder
    of the info file."""
    kind: Literal["shards", "table", "bg60k", "bg1k", "bgpair"] = "shards"
    split: str | None = None
    """Only images of this split; None takes all."""
    require_done: bool = True
    """Leave out shards without a done mark."""
    mask_means: MaskMeans | None = None
    """What bright marks in the masks; None takes the table's word, or detects it in a published set."""

    @model_validator(mode="after")
    def _check_mask_means(self) -> Self:
        if self.mask_means is not None and self.kind == "shards":
            raise ConfigError("mask_means does not apply to shards: bright always marks the product there")
        return self


def load_source(config: SourceConfig) -> list[DataRecord]:
    """The records that ``config`` describes, each with category and mask.

    Raises ManifestError, DataError: nothing there, a record without category or mask, an unknown split.
    """
    if config.kind == "shards":
        records = [_read_entry(entry) for entry in build_index(config.path, config.require_done).values()]
    elif config.kind == "table":
        records = load_records(config.path, required=("image", "category"))
        if config.mask_means is not None:
            records = [replace(record, mask_means=config.mask_means) for record in records]
    else:
        records = load_bg60k(config.path, config.kind, Bg60kSettings(mask_means=config.mask_means)).records
    return select_records(records, config.split)


def select_records(records: Sequence[DataRecord], split: str | None) -> list[DataRecord]:
    """The records of ``split`` (None: all), fit for training.

    Raises DataError: none of that split, one without category or mask.
    """
    chosen = [record for record in records if split in (None, record.split)]
    if not chosen:
        known = sorted({str(record.split) for record in records})
        raise DataError(f"none of {len(records)} images is in split {split!r}; splits found: {known}")
    for record in chosen:
        if not record.category:
            raise DataError(f"record {record.id!r} has no category")
        if record.mask is None and record.mask_means != "alpha":
            raise DataError(
                f"record {record.id!r} has no mask file (in shards: member {MASK_MEMBERS[0]}); training "
                "needs one, or mask_means 'alpha' to take the image's own alpha channel"
            )
    return chosen


def _read_entry(entry: ShardEntry) -> DataRecord:
    meta: dict[str, Any] = entry.meta or {}
    image, mask = entry.find(IMAGE_MEMBERS), entry.find(MASK_MEMBERS)
    assert image is not None
    texts = {name: str(meta[name]) for name in FIELDS if meta.get(name) is not None}
    values: dict[str, Any] = {
        name: texts.get(name) for name in ("category", "brand", "product_id", "split", "licence")
    }
    return DataRecord(
        texts.get("id") or entry.key,
        entry.members[image],
        None if mask is None else entry.members[mask],
        "product",
        **values,
    )


def compute_fingerprint(records: Sequence[DataRecord]) -> str:
    """A short hash that changes when any image, mask or label may have changed.

    Files count by path, size and time; shards by name and their done mark's sha256 (else size and time).
    """
    stamps: dict[str, tuple[str, str]] = {}
    digest = hashlib.sha256()
    for record in records:
        labels = (record.id, record.category, record.brand, record.product_id, record.split)
        places = [_stamp(place, stamps) for place in (record.image, record.mask) if place is not None]
        digest.update(f"{labels} {record.mask_means} {places}\n".encode())
    return digest.hexdigest()[:16]


def _stamp(place: Place, stamps: dict[str, tuple[str, str]]) -> tuple[str, ...]:
    if isinstance(place, bytes):
        return (read_stamp(place),)
    address = place.as_posix() if isinstance(place, Path) else place
    shard, _, span = address.rpartition("::")
    if not shard:
        stamp = read_stamp(address)
        if not stamp and isinstance(place, Path):
            raise DataError(f"cannot read {place}: no such file")
        return (address, stamp)
    if shard not in stamps:
        path = Path(shard)
        stamps[shard] = path.name, (load_done_mark(path) or {}).get("sha256") or read_stamp(shard)
    return (*stamps[shard], span)
