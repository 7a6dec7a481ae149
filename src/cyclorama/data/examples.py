"""Training examples by index: pixels, product mask and labels at the training size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, Protocol

from pydantic import Field

from cyclorama.config import Settings
from cyclorama.data.decode import decode_example
from cyclorama.data.records import DataRecord, read_place
from cyclorama.data.sources import SourceConfig, compute_fingerprint, load_source, select_records
from cyclorama.errors import DataError
from cyclorama.seeding import compute_seed

if TYPE_CHECKING:
    from cyclorama.types import Matte, Pixels, Size


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
        return Example(
            pixels=self.pixels[:, ::-1].copy(),
            product_mask=self.product_mask[:, ::-1].copy(),
            category=self.category,
            brand=self.brand,
            id=self.id,
            flipped=not self.flipped,
        )


class Examples(Protocol):
    """What a training loop needs to know of its data; decoded on the fly or packed."""

    config: ExampleConfig
    infos: Sequence[ItemInfo]

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Example: ...

    def load(self, index: int, draw: int) -> Example:
        """The ``draw``-th showing of image ``index``, mirrored if the config and its seed say so."""
        ...

    def compute_fingerprint(self) -> str:
        """A short hash that changes when the contents may have changed."""
        ...


def decide_flip(config: ExampleConfig, item_id: str, draw: int) -> bool:
    """Whether the ``draw``-th showing of an image is mirrored: a pure function of (seed, id, draw)."""
    return config.flip and compute_seed(config.seed, f"{item_id}#{draw}", "flip") % 2 == 1


class ExampleSource:
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

    def __len__(self) -> int:
        return len(self.infos)

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

    def load(self, index: int, draw: int) -> Example:
        """The ``draw``-th showing of image ``index``. Raises DataError naming the image."""
        example = self[index]
        return example.flip() if decide_flip(self.config, example.id, draw) else example

    def compute_fingerprint(self) -> str:
        """A short hash of the source's contents."""
        return compute_fingerprint(self._records)
