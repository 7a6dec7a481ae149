"""A worker of a curating run: a range of rows in, what the image rules say of them out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cyclorama.curate.cache import ImageCache
from cyclorama.curate.config import CurateConfig
from cyclorama.curate.judging import Clock, Judge, Judged
from cyclorama.curate.records import Record
from cyclorama.curate.rules import Rules
from cyclorama.curate.store import Store
from cyclorama.imaging.loading import LoadLimits
from cyclorama.jobs.job import EngineSettings, Hooks, ShardReport


@dataclass(frozen=True)
class CurateJob:
    """What every worker must know; all fields can be pickled."""

    out: Path
    engine: EngineSettings
    recipe: CurateConfig
    build_rules: Callable[[CurateConfig], Rules]
    keys: tuple[str, ...]
    """Of every shard: what it is finished under."""

    @property
    def parallel_steps(self) -> bool:
        """Rules keep their models; nothing is done elsewhere."""
        return False

    def open_worker(self, device: str, pool: Executor | None = None) -> CurateWorker:
        """A worker in this process; the rules' models run on the CPU."""
        return CurateWorker(self)


class CurateWorker:
    """The rules of one process. Shards may be asked for from several threads; they are done in turn."""

    def __init__(self, job: CurateJob) -> None:
        self._job = job
        self._store = Store(job.out)
        self._judge = Judge(
            job.build_rules(job.recipe), ImageCache(self._store.cache), get_limits(job.recipe)
        )
        self._turn = threading.Lock()

    def process(self, shard: int, hooks: Hooks) -> ShardReport:
        """Judge the rows of ``shard``, or as many as there were before a stop was asked for.

        What is judged is kept row by row, so that nothing of it is done again. Raises OutputError,
        ModelError, MissingDependencyError, ConfigError.
        """
        with self._turn:
            start, results = time.perf_counter(), []
            self._judge.clock = Clock()
            for row in self._store.load_plan(shard):
                if hooks.stopping():
                    return ShardReport(shard, finished=False)
                results.append(self._judge_row(row))
                hooks.advanced(1)
            key = self._job.keys[shard]
            self._store.save_shard(shard, key, results, asdict(self._judge.clock))
        return ShardReport(
            shard, done=len(results), made=len(results), wall_seconds=time.perf_counter() - start
        )

    def close(self) -> None:
        """Nothing is left open."""

    def _judge_row(self, row: dict[str, Any]) -> dict[str, Any]:
        record = record_from_plain(row["record"])
        if row["skip"]:
            return {"key": record.key} | Judged((), {}).to_plain()
        return {"key": record.key} | self._judge.judge(record, row["accepted"]).to_plain()


def get_limits(recipe: CurateConfig) -> LoadLimits:
    """What is refused before it is decoded."""
    return LoadLimits(pixels=recipe.reading.pixels, file_bytes=recipe.reading.file_bytes)


def record_to_plain(record: Record) -> dict[str, Any]:
    """Values for JSON."""
    return asdict(record) | {"extra": dict(record.extra)}


def record_from_plain(values: dict[str, Any]) -> Record:
    """What :func:`record_to_plain` was given."""
    return Record(**values)
