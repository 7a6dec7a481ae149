"""What a job is to the engines: work in numbered shards, which any number of workers may take.

To write one: a picklable class with ``out``, ``engine``, ``parallel_steps`` and ``open_worker``. The worker
does a shard whenever it is asked, keeps what it has finished in the shard's journal
(:mod:`cyclorama.jobs.store`), and so can be killed at any moment. :func:`cyclorama.jobs.run.run_shards`
runs the shards that are not finished.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Protocol, Self

from pydantic import Field, model_validator

from cyclorama.config import Settings
from cyclorama.errors import CycloramaError, SettingsError

SHARDS_AT_A_TIME = 2
"""Of one worker: while one reads or writes files, the other one calculates."""
DEATHS = 3
"""A shard that has killed so many workers is not tried again."""
MAX_WORKERS = 1024


class EngineSettings(Settings):
    """Where a job runs and how its work is divided; changes nothing of what comes out."""

    error_type: ClassVar[type[CycloramaError]] = SettingsError

    engine: Literal["in-process", "ray"] = "in-process"
    """Processes of this machine, or a Ray cluster."""
    address: str | None = None
    """Address of a Ray cluster (HOST:6379, ray://HOST:10001, auto); None starts one on this machine."""
    workers: Annotated[int | None, Field(ge=1, le=MAX_WORKERS)] = None
    """Workers, a process each. None: one per CUDA device, here or of the cluster; without any, one here and
    one per CPU of a Ray cluster, with one thread each."""
    threads: Annotated[int | None, Field(ge=1, le=256)] = None
    """Threads of a worker's arithmetic; None leaves torch's own number. Equal bytes are for equal numbers."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 or mps; ``cuda`` gives every worker a device of its own."""
    loaders: Annotated[int, Field(ge=1, le=256)] = 4
    """Threads per worker that read and write files."""
    shard_size: Annotated[int, Field(ge=1, le=65_536)] = 256
    """Rows per shard: the unit of work, of retry and of resume."""

    @model_validator(mode="after")
    def _check_address(self) -> Self:
        if self.address is not None and self.engine == "in-process":
            raise SettingsError("--address is for --engine ray; the in-process engine has no cluster")
        if self.engine == "ray" and self.device.startswith("cuda:"):
            raise SettingsError(
                f"--device {self.device} names one GPU, but Ray gives every worker its own; use --device cuda"
            )
        return self


@dataclass(frozen=True)
class Hooks:
    """How a run is watched and stopped."""

    started: Callable[[int], None] = lambda total: None
    """Called with the number of items to deal with."""
    advanced: Callable[[int], None] = lambda count: None
    """Called with the number of items dealt with since the last call."""
    stopping: Callable[[], bool] = lambda: False
    """True once the run shall end after the items in hand."""
    noted: Callable[[str], None] = lambda text: None
    """Called with what the user should know."""


@dataclass(frozen=True)
class ShardReport:
    """What became of one shard."""

    shard: int
    done: int = 0
    failed: int = 0
    reused: int = 0
    """Rows taken from an earlier run."""
    made: int = 0
    """Items made now."""
    advanced: int = 0
    """Items that :attr:`Hooks.advanced` has been told of."""
    finished: bool = True
    """False if the work was stopped; finished rows are in the shard's journal."""
    wall_seconds: float = 0.0
    busy_seconds: float = 0.0
    """Of these, the seconds in which the worker's arithmetic was at work."""
    notes: tuple[str, ...] = ()


class Worker(Protocol):
    """Works on shards, also on two at a time from two threads."""

    def process(self, shard: int, hooks: Hooks) -> ShardReport:
        """Finish ``shard``, or end early once ``hooks.stopping()``."""

    def close(self) -> None:
        """Let go of what is open."""


class Job(Protocol):
    """Work in shards; can be pickled."""

    @property
    def out(self) -> Path:
        """The folder that all workers write to."""

    @property
    def engine(self) -> EngineSettings:
        """Where it runs."""

    @property
    def parallel_steps(self) -> bool:
        """Whether a worker can run steps in the pool it is given, with the job itself among the arguments."""

    def open_worker(self, device: str, pool: Executor | None = None) -> Worker:
        """A worker in this process. Raises ModelError, MissingDependencyError, ConfigError."""


class Engine(Protocol):
    """Has workers work on shards, somewhere."""

    def settle(self, settings: EngineSettings) -> EngineSettings:
        """``settings`` with the number of workers chosen."""

    def call(self, settings: EngineSettings, function: Callable[..., Any], *arguments: Any) -> Any:
        """``function(*arguments)``, on a machine where workers run; named errors keep their type."""

    def run(self, job: Job, shards: Sequence[int], hooks: Hooks) -> Iterator[ShardReport]:
        """A report per shard, in any order, as they finish; ends early once ``hooks.stopping()``.

        Raises OutputError (disk), ModelError (model cannot be loaded, or fails on everything).
        """
