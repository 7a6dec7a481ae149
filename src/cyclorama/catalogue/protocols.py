"""What the catalogue's parts ask of one another, so that each can be exchanged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from cyclorama.generation.engine import Pipeline
from cyclorama.generation.result import Generated
from cyclorama.imaging.product import Product, Reference
from cyclorama.types import Size

if TYPE_CHECKING:
    from cyclorama.catalogue.job import Job

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
class ShardReport:
    """What became of one shard."""

    shard: int
    done: int = 0
    failed: int = 0
    reused: int = 0
    """Rows taken from an earlier run."""
    images: int = 0
    """Images sampled now."""
    advanced: int = 0
    """Images that :attr:`EngineHooks.advanced` has been told of."""
    finished: bool = True
    """False if a stop wish ended the work; finished rows are in the shard's journal."""
    wall_seconds: float = 0.0
    model_seconds: float = 0.0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class EngineHooks:
    """How an engine is watched and stopped."""

    advanced: Callable[[int], None] = lambda count: None
    """Called with the number of images dealt with since the last call; a further attempt is none more."""
    stopping: Callable[[], bool] = lambda: False
    """True once the run shall end after the batches in hand."""


@dataclass(frozen=True)
class Measurement:
    """What a short trial of the model on its device has shown."""

    batch_size: int
    """Places of the batch that gives most images a second."""
    image_seconds: float
    """The model's seconds per image in such batches, at its native size."""


class EngineConfig(Protocol):
    """The settings that engines look at."""

    @property
    def engine(self) -> str:
        """Name of the engine."""

    @property
    def address(self) -> str | None:
        """Address of a cluster, for engines that have one."""

    @property
    def device(self) -> str:
        """Device of the workers' arithmetic; ``cuda`` gives every worker one of its own."""

    @property
    def workers(self) -> int:
        """Workers, a process each."""

    @property
    def threads(self) -> int | None:
        """Threads of a worker's arithmetic; None leaves torch's own number."""

    @property
    def loaders(self) -> int:
        """Threads per worker beside its arithmetic."""


class ShardWorker(Protocol):
    """Works on shards, also on two at a time from two threads."""

    def process(self, shard: int, hooks: EngineHooks) -> ShardReport:
        """Finish ``shard``, or end early once ``hooks.stopping()``."""

    def close(self) -> None:
        """Let go of what is open."""


class ShardedWork(Protocol):
    """Work of another room, in shards; can be pickled."""

    @property
    def out(self) -> Path:
        """The folder that all workers write to."""

    @property
    def config(self) -> EngineConfig:
        """The run's settings."""

    def open_worker(self, device: str) -> ShardWorker:
        """A worker in this process. Raises ModelError, MissingDependencyError, ConfigError."""


class Engine(Protocol):
    """Has workers work on shards, somewhere."""

    def measure(self, job: Job) -> Measurement:
        """A short trial of the job's model where it will run. Raises ModelError."""
        ...

    def run(self, job: Job | ShardedWork, shards: Sequence[int], hooks: EngineHooks) -> Iterator[ShardReport]:
        """A report per shard, in any order, as they finish; ends early once ``hooks.stopping()``.

        Raises OutputError (disk), ModelError (model cannot be loaded, or fails on everything).
        """
        ...
