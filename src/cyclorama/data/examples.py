"""Which images does a training run see? Shards, any table or a published set, as examples by index (pixels,
product mask and labels at the training size), or written as shards.
"""

from __future__ import annotations

import hashlib
import io
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from PIL import Image
from pydantic import Field, model_validator

from cyclorama.config import Settings
from cyclorama.data.addresses import read_stamp
from cyclorama.data.bg60k import Bg60kSettings, load_bg60k
from cyclorama.data.columns import MaskMeans
from cyclorama.data.decode import decode_example, open_image, read_mask
from cyclorama.data.records import FIELDS, DataRecord, Place, load_records, read_place
from cyclorama.data.shards import IMAGE_MEMBERS, MASK_MEMBERS, Sample, ShardEntry, build_index, load_done_mark
from cyclorama.errors import ConfigError, DataError
from cyclorama.seeding import compute_seed

if TYPE_CHECKING:
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
    texts = {name: str(meta[name]) for name in FIELDS if meta.get(name) is not None}
    labels: dict[str, Any] = {
        name: texts.get(name) for name in ("category", "brand", "product_id", "split", "licence")
    }
    address = None if mask is None else entry.members[mask]
    return DataRecord(texts.get("id") or entry.key, entry.members[image], address, "product", **labels)


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


_STORED = {"PNG": "png", "JPEG": "jpg", "WEBP": "webp"}
_ORIENTATION = 0x0112
Side = Annotated[int, Field(ge=8, le=8192)]


class ExampleConfig(Settings):
    """Size and geometry of the examples."""

    height: Side = 512
    """Pixels."""
    width: Side = 512
    """Pixels."""
    fit: Literal["crop", "pad"] = "crop"
    """``crop``: short side to size, centre crop. ``pad``: long side to size, border pixels repeated."""
    flip: bool = False
    """Mirror left to right with probability 1/2; off where packs carry text."""
    seed: int = 0
    """Of the flips."""

    @property
    def size(self) -> Size:
        """(height, width) in pixels."""
        return (self.height, self.width)


@dataclass(frozen=True)
class ItemInfo:
    """What is known about an image without decoding it."""

    id: str
    category: str
    brand: str | None = None
    product_id: str | None = None
    split: str | None = None


@dataclass(frozen=True, eq=False)
class Example:
    """One training image: the whole advertisement and where its product is."""

    pixels: Pixels
    """uint8 (H, W, 3), sRGB; not multiplied by the mask."""
    product_mask: Matte
    """float32 (H, W) in [0, 1], 1 = product."""
    category: str
    brand: str | None
    id: str
    flipped: bool = False

    def flip(self) -> Example:
        """The mirror image (left to right)."""
        pixels, mask = self.pixels[:, ::-1].copy(), self.product_mask[:, ::-1].copy()
        return replace(self, pixels=pixels, product_mask=mask, flipped=not self.flipped)


def decide_flip(config: ExampleConfig, item_id: str, draw: int) -> bool:
    """Whether the ``draw``-th showing of an image is mirrored: a pure function of (seed, id, draw)."""
    return config.flip and compute_seed(config.seed, f"{item_id}#{draw}", "flip") % 2 == 1


class Examples(ABC):
    """The images of a training set by index; decoded on the fly or packed."""

    config: ExampleConfig
    infos: Sequence[ItemInfo]

    def __len__(self) -> int:
        return len(self.infos)

    @abstractmethod
    def __getitem__(self, index: int) -> Example:
        """The image as it is, never mirrored. Raises DataError naming it."""

    def load(self, index: int, draw: int) -> Example:
        """The ``draw``-th showing of image ``index``, mirrored if the config and its seed say so."""
        example = self[index]
        return example.flip() if decide_flip(self.config, example.id, draw) else example

    @abstractmethod
    def compute_fingerprint(self) -> str:
        """A short hash that changes when the contents may have changed."""


class ExampleSource(Examples):
    """Examples decoded from their files whenever they are asked for.

    ``source[i]`` is the unflipped image; ``load(i, draw)`` mirrors it if the config says so, and depends
    on its arguments only. Invariant: equal files and config give equal arrays, in any order or process.
    """

    def __init__(self, records: Sequence[DataRecord], config: ExampleConfig) -> None:
        self._records = records
        self.config = config
        self.infos: Sequence[ItemInfo] = [
            ItemInfo(record.id, record.category or "", record.brand, record.product_id, record.split)
            for record in records
        ]

    @classmethod
    def open(cls, source: SourceConfig, config: ExampleConfig) -> ExampleSource:
        """The examples of shards, a table or a published set. Raises DataError, ManifestError."""
        return cls(load_source(source), config)

    @classmethod
    def from_records(
        cls, records: Sequence[DataRecord], config: ExampleConfig, split: str | None = None
    ) -> ExampleSource:
        """The examples of records. Raises DataError if one lacks category or mask."""
        return cls(select_records(records, split), config)

    def __getitem__(self, index: int) -> Example:
        record = self._records[index]
        try:
            image = read_place(record.image)
            mask = None if record.mask is None else read_place(record.mask)
        except DataError as error:
            raise DataError(f"record {record.id!r}: {error}") from error
        pixels, product_mask = decode_example(
            image, mask, record.mask_means, self.config.size, self.config.fit, f"image {record.id!r}"
        )
        return Example(pixels, product_mask, record.category or "", record.brand, record.id)

    def compute_fingerprint(self) -> str:
        """A short hash that changes when any image, mask or label may have changed.

        Files count by path, size and time; shards by name and their done mark's sha256 (else size and time).
        """
        stamps: dict[str, tuple[str, str]] = {}
        digest = hashlib.sha256()
        for record in self._records:
            labels = (record.id, record.category, record.brand, record.product_id, record.split)
            places = [_stamp(place, stamps) for place in (record.image, record.mask) if place is not None]
            digest.update(f"{labels} {record.mask_means} {places}\n".encode())
        return digest.hexdigest()[:16]


def encode_samples(records: Iterable[DataRecord]) -> Iterator[Sample]:
    """One sample per record, in order, with keys made from the ids ("a/b.c" becomes "a_b_c").

    RGB files that need no rotation keep their bytes; all others become PNG. Masks become mode L,
    255 = product, whatever they meant before.

    Raises DataError: unreadable file, or a record without a mask.
    """
    taken: set[str] = set()
    for record in records:
        stem = re.sub(r"[./\s\x00-\x1f]", "_", record.id) or "image"
        key, count = stem, 1
        while key in taken:
            count += 1
            key = f"{stem}-{count}"
        taken.add(key)
        yield _encode(record, key)


def _encode(record: DataRecord, key: str) -> Sample:
    where = f"record {record.id!r}"
    try:
        data = read_place(record.image)
        mask_data = None if record.mask is None else read_place(record.mask)
    except DataError as error:
        raise DataError(f"{where}: {error}") from error
    if mask_data is None and record.mask_means != "alpha":
        raise DataError(f"{where}: no mask; shards hold one for every image")
    image = open_image(data, where)
    marks = image if mask_data is None else open_image(mask_data, f"{where} (mask)")
    mask = read_mask(marks, record.mask_means, where)
    labels = ("id", "category", "brand", "product_id", "seed", "split", "licence")
    meta = {name: getattr(record, name) for name in labels}
    meta = record.extra | meta | {"product_id": record.product_id or record.id}
    suffix = None  # the one under which the bytes can stay as they are
    with Image.open(io.BytesIO(data)) as opened:
        if opened.mode == "RGB" and opened.getexif().get(_ORIENTATION, 1) == 1:
            suffix = _STORED.get(opened.format or "")
    stored = data if suffix else _encode_png(image.convert("RGB"))
    return Sample(key, stored, _encode_png(mask), meta, suffix or "png")


def _encode_png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()
