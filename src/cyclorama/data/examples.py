"""Which images does a training run see? Shards, any table or a published set, at the training size: decoded
when asked for, or once into memory-mapped arrays.

A packed folder holds ``pixels.npy`` uint8 (N, H, W, 3), ``masks.npy`` uint8 (N, H, W, 255 = product),
``meta.jsonl`` (a line per image) and, written last, ``done.json`` with the hash of source and geometry. A
folder without ``done.json`` was interrupted and is built anew.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from cyclorama.config import Settings
from cyclorama.data.addresses import read_bytes, read_end, read_stamp
from cyclorama.data.bg60k import Bg60kSettings, load_bg60k
from cyclorama.data.columns import MaskMeans
from cyclorama.data.decode import decode_example
from cyclorama.data.records import DataRecord, Place, load_records
from cyclorama.data.shards import (
    IMAGE_MEMBERS,
    MASK_MEMBERS,
    ShardEntry,
    build_index,
    load_done_mark,
)
from cyclorama.errors import ConfigError, DataError, OutputError
from cyclorama.files import open_locked, write_atomic
from cyclorama.types import Matte, Pixels, Size


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
    names = ("id", "category", "brand", "product_id", "split", "licence")
    labels: dict[str, Any] = {name: str(meta[name]) for name in names if meta.get(name) is not None}
    address = None if mask is None else entry.members[mask]
    name = labels.pop("id", "") or entry.key
    return DataRecord(name, entry.members[image], address, "product", **labels)


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


Side = Annotated[int, Field(ge=8, le=8192)]


class ExampleConfig(Settings):
    """Size and geometry of the examples."""

    height: Side = 512
    """Pixels."""
    width: Side = 512
    """Pixels."""
    fit: Literal["crop", "pad"] = "crop"
    """``crop``: short side to size, centre crop. ``pad``: long side to size, border pixels repeated."""

    @property
    def size(self) -> Size:
        """(height, width) in pixels."""
        return (self.height, self.width)


class ExampleSource:
    """Images decoded from their files whenever they are asked for.

    Invariant: equal files and config give equal arrays, in any order or process.
    """

    def __init__(self, records: Sequence[DataRecord], config: ExampleConfig) -> None:
        self.records, self.config = records, config

    @classmethod
    def open(cls, source: SourceConfig, config: ExampleConfig, limit: int | None = None) -> ExampleSource:
        """The (first ``limit``) images of shards, a table or a published set.

        Raises DataError, ManifestError.
        """
        return cls(load_source(source)[:limit], config)

    def __len__(self) -> int:
        return len(self.records)

    def category(self, index: int) -> str:
        """Category name, without decoding anything."""
        return self.records[index].category or ""

    def load(self, index: int) -> tuple[Pixels, Matte]:
        """Pixels uint8 (H, W, 3), sRGB, and product mask float32 (H, W) in [0, 1], 1 = product.

        Raises DataError naming the image.
        """
        record = self.records[index]
        try:
            image = read_bytes(record.image)
            mask = None if record.mask is None else read_bytes(record.mask)
        except DataError as error:
            raise DataError(f"record {record.id!r}: {error}") from error
        return decode_example(
            image, mask, record.mask_means, self.config.size, self.config.fit, f"image {record.id!r}"
        )

    def compute_fingerprint(self) -> str:
        """A short hash that changes when any image, mask or label, as decoded here, may have changed.

        Files count by path, size and time; shards by name and their done mark's sha256 (else size and time).
        """
        stamps: dict[str, tuple[str, str]] = {}
        digest = hashlib.sha256(f"{VERSION}\n".encode())
        for record in self.records:
            labels = (record.id, record.category, record.brand, record.product_id, record.split)
            places = [_stamp(place, stamps) for place in (record.image, record.mask) if place is not None]
            digest.update(f"{labels} {record.mask_means} {places}\n".encode())
        return digest.hexdigest()[:16]

    def compute_content_hash(self) -> str:
        """16 hex digits that change with the images, masks and categories, wherever the files lie.

        Sees each file's size and last 4 KiB, where PNG has the checksum of all pixels; of a shard its done
        mark's sha256. So it costs about a 500th of decoding the set, and misses a change that alters neither,
        as in a file that is not compressed.
        Raises DataError.
        """
        shards: dict[str, str] = {}
        digest = hashlib.blake2b(digest_size=8)
        for record in self.records:
            digest.update(f"{record.category}\n{record.mask_means}\n".encode())
            for place in (record.image, record.mask):
                shard, _, span = str(place).rpartition("::") if isinstance(place, str) else ("", "", "")
                if shard and shard not in shards:
                    shards[shard] = (load_done_mark(Path(shard)) or {}).get("sha256") or ""
                if place is None:
                    digest.update(b"none\n")
                elif shards.get(shard):
                    digest.update(f"{shards[shard]} {span}\n".encode())
                else:
                    size, end = read_end(place)
                    digest.update(f"{size}\n".encode() + end)
        return digest.hexdigest()


VERSION = 3
"""Of the layout and of the decoding; part of the fingerprint."""


def compute_pack_hash(examples: ExampleSource) -> str:
    """A short hash of the source's contents and the geometry."""
    config = examples.config
    text = repr((examples.compute_fingerprint(), config.height, config.width, config.fit))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class PackedExamples:
    """Images read from a packed folder.

    Invariant: pixels equal the source's bit for bit, and so do the masks (their levels are k / 255).
    """

    def __init__(self, folder: Path, config: ExampleConfig) -> None:
        """Open a finished folder. Raises DataError: not finished, damaged, or of another size."""
        _load_hash(folder)
        meta = folder / "meta.jsonl"
        try:
            lines = meta.read_text(encoding="utf-8").splitlines()
            self._categories = [str(json.loads(line)["category"]) for line in lines]
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"{meta} is damaged: {error}; delete the folder to pack anew") from error
        shape = (len(lines), config.height, config.width)
        self._pixels = _map_array(folder / "pixels.npy", (*shape, 3))
        self._masks = _map_array(folder / "masks.npy", shape)

    @classmethod
    def prepare(cls, examples: ExampleSource, folder: Path) -> PackedExamples:
        """The packed form of ``examples`` in ``folder``, built if it is not there or no longer fits.

        Of several runs that share the folder one packs and the others wait; of several processes of a run,
        let one prepare and the others open. Progress is shown while packing.
        Raises DataError (a bad image), OutputError (not enough room, disk full).
        """
        wanted = compute_pack_hash(examples)
        if not _holds(folder, wanted):
            try:
                with open_locked(folder / ".lock", math.inf, partial(print, file=sys.stderr)):
                    if not _holds(folder, wanted):
                        _pack(examples, folder, wanted)
            except OutputError:
                raise
            except OSError as error:
                raise OutputError(f"cannot pack into {folder}: {error.strerror or error}") from error
        return cls(folder, examples.config)

    def __len__(self) -> int:
        return len(self._categories)

    def category(self, index: int) -> str:
        """Category name."""
        return self._categories[index]

    def load(self, index: int) -> tuple[Pixels, Matte]:
        """Copies of pixels and product mask, as :meth:`ExampleSource.load` gives them."""
        return np.array(self._pixels[index]), self._masks[index].astype(np.float32) / np.float32(255)


def _holds(folder: Path, wanted: str) -> bool:
    try:
        return _load_hash(folder) == wanted
    except DataError:
        return False


def _pack(examples: ExampleSource, folder: Path, pack_hash: str) -> None:
    from rich.console import Console
    from rich.progress import track

    count, (height, width) = len(examples), examples.config.size
    (folder / "done.json").unlink(missing_ok=True)
    needed = count * height * width * 4
    arrays = [folder / "pixels.npy", folder / "masks.npy"]
    for path in arrays:
        path.unlink(missing_ok=True)  # another process may still have the old one mapped
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OutputError(
            f"packing {count} images of {height} x {width} needs {needed / 1e9:.1f} GB, {folder} has "
            f"{free / 1e9:.1f} GB free; choose another folder or train without packing"
        )
    shape = (count, height, width)
    pixels, masks = (
        np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=size)
        for path, size in zip(arrays, ((*shape, 3), shape), strict=True)
    )
    with (folder / "meta.jsonl").open("w", encoding="utf-8") as stream:
        console = Console(stderr=True)
        for row in track(range(count), "packing", console=console, disable=not console.is_terminal):
            pixels[row], mask = examples.load(row)
            masks[row] = np.rint(mask * 255).astype(np.uint8)
            line = {"id": examples.records[row].id, "category": examples.category(row)}
            stream.write(json.dumps(line, ensure_ascii=False) + "\n")
    pixels.flush()
    masks.flush()
    write_atomic(folder / "done.json", json.dumps({"hash": pack_hash, "images": count}).encode())


def _map_array(path: Path, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    try:
        array = np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is damaged: {error}; delete the folder to have it packed anew") from error
    if array.shape != shape or array.dtype != np.uint8:
        raise DataError(
            f"{path} holds {array.dtype} {array.shape}, expected uint8 {shape}; pack for this size"
        )
    return array  # type: ignore[no-any-return]


def _load_hash(folder: Path) -> str:
    try:
        done = json.loads((folder / "done.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{folder} holds no finished packed set (done.json): {error}") from error
    if not isinstance(done, dict) or "hash" not in done:
        raise DataError(f"{folder / 'done.json'} has no hash; delete the folder to have it packed anew")
    return str(done["hash"])
