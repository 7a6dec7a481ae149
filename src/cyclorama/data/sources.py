"""Where training images come from: shards, any table or a published set, under one face.

A source knows what images there are and hands out their encoded bytes; ``examples`` turns those into
arrays.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol, Self

from pydantic import model_validator

from cyclorama.config import Settings
from cyclorama.data.addresses import read_stamp
from cyclorama.data.bg60k import Bg60kSettings, Subset, load_bg60k
from cyclorama.data.columns import MaskMeans
from cyclorama.data.records import Place, Record, load_records, read_place
from cyclorama.data.shards import build_index, load_done_mark
from cyclorama.data.tars import IMAGE_MEMBERS, MASK_MEMBERS, Entry
from cyclorama.errors import ConfigError, DataError


class SourceConfig(Settings):
    """Which images to train on."""

    path: Path
    """Shards: a folder, a tar or a glob pattern. Table: whatever :func:`open_table` reads. Published: the
    folder of the info file."""
    kind: Literal["shards", "table", "bg60k", "bg1k", "bgpair"] = "shards"
    split: str | None = None
    """Only images of this split; None takes all."""
    require_done: bool = True
    """Leave out shards without a done mark."""
    mask_means: MaskMeans | None = None
    """What bright marks in the masks; None takes the table's word, or detects it in a published set."""

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        if self.mask_means is not None and self.kind == "shards":
            raise ConfigError("mask_means does not apply to shards: bright always marks the product there")
        return self


@dataclass(frozen=True)
class ItemInfo:
    """What is known about an image without decoding it."""

    id: str
    category: str
    brand: str | None = None
    product_id: str | None = None
    split: str | None = None


@dataclass(frozen=True)
class EncodedItem:
    """The bytes of an image and of its mask (None: the image's own alpha, ``mask_means`` "alpha")."""

    image: bytes
    mask: bytes | None
    mask_means: MaskMeans | None


class Source(Protocol):
    """Images by index."""

    @property
    def infos(self) -> Sequence[ItemInfo]:
        """One per image, in a fixed order."""

    def read(self, index: int) -> EncodedItem:
        """The encoded image. Raises DataError if it has gone or is cut off."""

    def compute_fingerprint(self) -> str:
        """A short hash that changes when any image, mask or label may have changed."""


class ShardSource:
    """The images of WebDataset shards."""

    def __init__(self, index: Mapping[str, Entry], split: str | None = None) -> None:
        metas = [entry.meta or {} for entry in index.values()]
        self._entries = [
            entry for entry, meta in zip(index.values(), metas) if split in (None, meta.get("split"))
        ]
        self._shards = dict.fromkeys(entry.shard for entry in index.values())
        _check_any(len(self._entries), len(index), split, (str(meta.get("split")) for meta in metas))
        self.infos: Sequence[ItemInfo] = [_describe_entry(entry) for entry in self._entries]

    def read(self, index: int) -> EncodedItem:
        """The encoded image."""
        entry = self._entries[index]
        image, mask = entry.find(IMAGE_MEMBERS), entry.find(MASK_MEMBERS)
        assert image is not None
        assert mask is not None
        return EncodedItem(entry.read(image), entry.read(mask), "product")

    def compute_fingerprint(self) -> str:
        """A hash over the shards (their done marks' sha256, else size and time) and the keys used."""
        parts: list[Any] = []
        for shard in map(Path, self._shards):
            mark = load_done_mark(shard) or {}
            found = shard.stat()
            parts.append((shard.name, found.st_size, mark.get("sha256") or found.st_mtime_ns))
        return _hash([*parts, *(entry.key for entry in self._entries)])


class RecordSource:
    """The images of records, each in files of its own."""

    def __init__(self, records: Sequence[Record], split: str | None = None) -> None:
        chosen = [record for record in records if split is None or record.split == split]
        _check_any(len(chosen), len(records), split, (str(record.split) for record in records))
        self._records = chosen
        self.infos: Sequence[ItemInfo] = [_describe_record(record) for record in chosen]

    def read(self, index: int) -> EncodedItem:
        """The encoded image."""
        record = self._records[index]
        try:
            mask = None if record.mask is None else read_place(record.mask)
            return EncodedItem(read_place(record.image), mask, record.mask_means)
        except DataError as error:
            raise DataError(f"record {record.id!r}: {error}") from error

    def compute_fingerprint(self) -> str:
        """A hash over every file's path, size and time, and over the labels."""
        parts: list[Any] = []
        for record, info in zip(self._records, self.infos, strict=True):
            places = [_stat(place) for place in (record.image, record.mask) if place is not None]
            parts.append((info, record.mask_means, places))
        return _hash(parts)


def open_source(config: SourceConfig) -> Source:
    """The source that ``config`` describes.

    Raises ManifestError, DataError: nothing there, a record without category or mask, an unknown split.
    """
    if config.kind == "shards":
        return ShardSource(build_index(config.path, config.require_done), config.split)
    if config.kind == "table":
        records = load_records(config.path, required=("image", "category"))
        if config.mask_means is not None:
            records = [replace(record, mask_means=config.mask_means) for record in records]
        return RecordSource(records, config.split)
    subset: Subset = config.kind
    found = load_bg60k(config.path, subset, Bg60kSettings(mask_means=config.mask_means))
    return RecordSource(found.records, config.split)


def _check_any(chosen: int, total: int, split: str | None, splits: Iterable[str]) -> None:
    if chosen == 0:
        known = sorted(set(splits))
        raise DataError(f"none of {total} images is in split {split!r}; splits found: {known}")


def _describe_entry(entry: Entry) -> ItemInfo:
    meta = entry.meta or {}
    category = meta.get("category")
    if not isinstance(category, str) or not category:
        raise DataError(f"{entry.shard}: key {entry.key!r} has no category in its json member")
    if entry.find(MASK_MEMBERS) is None:
        raise DataError(f"{entry.shard}: key {entry.key!r} has no member {MASK_MEMBERS[0]}")
    return ItemInfo(
        id=str(meta.get("id") or entry.key),
        category=category,
        brand=_text(meta.get("brand")),
        product_id=_text(meta.get("product_id")),
        split=_text(meta.get("split")),
    )


def _describe_record(record: Record) -> ItemInfo:
    if not record.category:
        raise DataError(f"record {record.id!r} has no category")
    if record.mask is None and record.mask_means != "alpha":
        raise DataError(
            f"record {record.id!r} has no mask file; training needs one, or mask_means 'alpha' to take the "
            "image's own alpha channel"
        )
    return ItemInfo(record.id, record.category, record.brand, record.product_id, record.split)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _stat(place: Place) -> tuple[str, str]:
    address = place.as_posix() if isinstance(place, Path) else place
    stamp = read_stamp(address)
    if not stamp and isinstance(place, Path):
        raise DataError(f"cannot read {place}: no such file")
    return ("" if isinstance(address, bytes) else address, stamp)


def _hash(parts: Sequence[Any]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(repr(part).encode())
        digest.update(b"\n")
    return digest.hexdigest()[:16]
