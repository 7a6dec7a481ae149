"""What training asks of a data set, and the data room's examples in that form."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from cyclorama.data.examples import ExampleConfig, Examples, ExampleSource
from cyclorama.data.packed import PackedExamples
from cyclorama.data.sources import SourceConfig
from cyclorama.training.config import DataConfig

if TYPE_CHECKING:
    from cyclorama.types import Matte, Pixels


class TrainingData(Protocol):
    """Images of one size with product mask and category, by index."""

    def __len__(self) -> int:
        """Number of images."""
        ...

    def load(self, index: int) -> tuple[Pixels, Matte]:
        """Pixels uint8 (H, W, 3) and product mask float32 (H, W), 1 = product, unflipped."""
        ...

    def category(self, index: int) -> str:
        """Category name, without decoding anything."""
        ...


@dataclass(frozen=True)
class ExampleData:
    """The first ``limit`` of a data room's examples as :class:`TrainingData`."""

    examples: Examples
    limit: int | None = None

    def __len__(self) -> int:
        return min(len(self.examples), self.limit or len(self.examples))

    def load(self, index: int) -> tuple[Pixels, Matte]:
        """Pixels and product mask. Raises DataError for an image that cannot be read."""
        example = self.examples[index]
        return example.pixels, example.product_mask

    def category(self, index: int) -> str:
        """Category name."""
        return self.examples.infos[index].category


class PickedData:
    """Some images of a data set, decoded once and kept."""

    def __init__(self, data: TrainingData, chosen: Sequence[int]) -> None:
        self._images = [(data.load(index), data.category(index)) for index in chosen]

    def __len__(self) -> int:
        return len(self._images)

    def load(self, index: int) -> tuple[Pixels, Matte]:
        """Pixels and product mask."""
        return self._images[index][0]

    def category(self, index: int) -> str:
        """Category name."""
        return self._images[index][1]


def open_data(config: DataConfig, out: Path, *, main: bool, wait: Callable[[], None]) -> ExampleData:
    """The images that ``config`` names, packed first if it says so (by the main process).

    Raises DataError, ManifestError, OutputError.
    """
    opened = open_split(config, config.source)
    if not config.pack:
        return ExampleData(opened.examples, config.limit)
    folder = config.packed or out / "packed"
    if main:
        PackedExamples.prepare(opened.examples, folder)
    wait()
    return ExampleData(PackedExamples(folder, opened.examples.config), config.limit)


def open_split(config: DataConfig, source: SourceConfig) -> ExampleData:
    """The images of ``source`` at ``config``'s size, decoded when asked for. Raises DataError."""
    geometry = ExampleConfig(height=config.image_size, width=config.image_size, fit=config.fit)
    return ExampleData(ExampleSource.open(source, geometry))


def choose_images(data: TrainingData, count: int, categories: Collection[str]) -> list[int]:
    """Up to ``count`` images of ``categories``, the categories taking turns, so that all come into view."""
    by_category: dict[str, list[int]] = {name: [] for name in sorted(categories)}
    for index in range(len(data)):
        if data.category(index) in by_category:
            by_category[data.category(index)].append(index)
    rounds = zip_longest(*by_category.values())
    return [index for chosen in rounds for index in chosen if index is not None][:count]


def list_categories(data: TrainingData) -> list[str]:
    """The distinct category names, sorted."""
    return sorted({data.category(index) for index in range(len(data))})


def compute_fingerprint(data: TrainingData, probes: int = 64) -> str:
    """16 hex digits that tell one training set from another.

    Covers the number of images, all categories in order, and pixels and masks of up to ``probes``
    images spread evenly over the set.
    """
    digest = hashlib.blake2b(digest_size=8)
    count = len(data)
    digest.update(f"{count}\n".encode())
    for index in range(count):
        digest.update(data.category(index).encode() + b"\n")
    for index in sorted({int(i) for i in np.linspace(0, count - 1, min(probes, count))}):
        for array in data.load(index):
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
