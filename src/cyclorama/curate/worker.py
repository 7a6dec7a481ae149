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
from cyclorama.curate.store import CurateStore
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
    parallel_steps: bool = False
    """Rules keep their models; nothing is done elsewhere."""

    def open_worker(self, device: str, pool: Executor | None = None) -> CurateWorker:
        """A worker in this process; the rules' models run on the CPU."""
        return CurateWorker(self)


class CurateWorker:
    """The rules of one process. Shards may be asked for from several threads; they are done in turn."""

    def __init__(self, job: CurateJob) -> None:
        self._job = job
        self._store = CurateStore(job.out)
        self._judge = Judge(job.build_rules(job.recipe), ImageCache(self._store.cache, job.recipe.reading))
        self._turn = threading.Lock()

    def process(self, shard: int, hooks: Hooks) -> ShardReport:
        """Judge the rows of ``shard``, or as many as there were before a stop was asked for.

        What is judged is kept row by row, so that nothing of it is done again. Raises OutputError,
        ModelError, MissingDependencyError, ConfigError.
        """
        with self._turn:
            start = time.perf_counter()
            results: list[dict[str, Any]] = []
            self._judge.clock = Clock()
            for row in self._store.load_plan(shard):
                if hooks.stopping():
                    return ShardReport(shard, advanced=len(results), finished=False)
                results.append(self._judge_row(row))
                hooks.advanced(1)
            self._store.save_shard(shard, self._job.keys[shard], results, asdict(self._judge.clock))
        count, seconds = len(results), time.perf_counter() - start
        return ShardReport(shard, done=count, made=count, advanced=count, wall_seconds=seconds)

    def close(self) -> None:
        """Nothing is left open."""

    def _judge_row(self, row: dict[str, Any]) -> dict[str, Any]:
        record = Record(**row["record"])
        judged = Judged((), {}) if row["skip"] else self._judge.judge(record, row["accepted"])
        return {"key": record.key} | asdict(judged)
