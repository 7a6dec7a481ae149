"""What the catalogue's parts ask of one another, so that each can be exchanged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from cyclorama.generation.engine import Pipeline
from cyclorama.generation.result import Generated
from cyclorama.imaging.product import Product, Reference
from cyclorama.types import Size

PixelModel: TypeAlias = Pipeline
"""A batch of prepared tensors in, images (B, 3, H, W) in [-1, 1] out: a CycloramaPipeline, or a stand-in
with ``registry``, ``image_size``, ``image_multiple`` and ``__call__``."""

EncodedFiles: TypeAlias = Mapping[str, bytes]
"""Files of one image by suffix (``.png``); the first is the image, others are extras such as layers."""


class Encoder(Protocol):
    """Turns a finished image into files."""

    def __call__(self, made: Generated, product: Product, recipe: dict[str, Any]) -> EncodedFiles:
        """The files of one image; ``recipe`` is what the image should say about itself.

        ``product`` is on the image's canvas. Invariant: equal arguments give equal bytes.
        """
        ...

    def measure(self, files: EncodedFiles, product: Product) -> dict[str, Any]:
        """What the files' format did to the product, for the image's report; empty for nothing."""
        ...

    def describe(self) -> dict[str, Any]:
        """The settings that change the bytes."""
        ...


class Layout(Protocol):
    """How a product is placed on the canvas of one image."""

    @property
    def name(self) -> str:
        """Ending of the file's name (``16x9``); empty for none."""
        ...

    def compute_size(self, size: Size) -> Size:
        """(height, width) of the canvas for an input of ``size``, known before the input is decoded."""
        ...

    def place(self, product: Product) -> Product:
        """``product`` on its canvas, of exactly :meth:`compute_size`."""
        ...

    @property
    def is_plain(self) -> bool:
        """Whether there is nothing to say about where the product stands."""
        ...

    def compute_placement(self, product: Product) -> Any:
        """Where :meth:`place` puts ``product``; its ``describe()`` gives plain values."""
        ...

    def describe(self) -> dict[str, Any]:
        """The settings that change the image."""
        ...


@dataclass(frozen=True)
class Verdict:
    """What a gate says of one image."""

    passed: bool
    score: float
    """Higher is better; decides which candidate is kept."""
    values: dict[str, Any] = field(default_factory=dict, hash=False)
    """The measurements behind it, plain values; must not depend on time or machine."""
    reason: str = ""
    """Which limits were broken; empty if it passed."""


class Gate(Protocol):
    """Judges finished images; called in several threads at once."""

    def __call__(self, made: Generated, product: Product, reference: Reference | None) -> Verdict:
        """The verdict on ``made``; ``product`` is on the image's canvas."""
        ...

    def describe(self) -> dict[str, Any]:
        """Thresholds and versions, as far as they decide which image is kept."""
        ...


@dataclass(frozen=True)
class StagedFile:
    """A file that lies in a shard's staging folder, complete."""

    staged: Path
    name: str
    """As :meth:`Writer.build_names` gave it."""
    bytes: int
    sha256: str


class Writer(Protocol):
    """Where finished images go. Every step may be repeated after a kill without harm."""

    def build_names(self, row: int, stem: str, ending: str, suffixes: Sequence[str]) -> list[str]:
        """The names of one image's files, that of the image first, as :meth:`publish` takes them.

        ``stem`` is the path without suffix of all images of ``row``; ``ending`` names layout and candidate.
        """
        ...

    def locate(self, shard: int, name: str) -> str:
        """The address of file ``name`` of ``shard`` as result rows state it, relative to the output
        folder."""
        ...

    def publish(self, shard: int, files: Sequence[StagedFile]) -> None:
        """Put a finished row's files into their places. Raises OutputError."""
        ...

    def restore(self, shard: int, files: Sequence[tuple[str, int]]) -> bool:
        """Whether an earlier run's files, (name, bytes), are in place for ``shard``, brought back if need
        be."""
        ...

    def close_shard(self, shard: int, rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        """Finish ``shard``, whose result ``rows`` are given in order; name to sha256 of files made for all
        of it.

        Raises OutputError.
        """
        ...

    def is_complete(self, shard: int, images: Sequence[str], sizes: Sequence[int]) -> bool:
        """Whether a finished shard's images (addresses, bytes) are still there, without reading them."""
        ...


@dataclass(frozen=True)
class Measurement:
    """What a short trial of the model on its device has shown."""

    batch_size: int
    """Places of the batch that gives most images a second."""
    image_seconds: float
    """The model's seconds per image in such batches, at its native size."""
