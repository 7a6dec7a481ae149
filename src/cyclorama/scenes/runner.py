"""How is a whole run rendered?  Tasks over worker processes, with a running count."""

from __future__ import annotations

import itertools
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import Any

from cyclorama.config import to_plain
from cyclorama.scenes.items import RunConfig
from cyclorama.scenes.render import load_mitsuba
from cyclorama.scenes.shards import claim_folder, is_done, write_shard

Progress = Callable[[int], None]
"""Called about once a second, or for each image, with the number made so far."""

_REPORT: list[Callable[[], None]] = []


def count_one() -> None:
    """Report that this process has made one more image."""
    _REPORT[0]()


def _start_worker(counter: Any, parent: int) -> None:
    def report() -> None:
        if os.getppid() != parent:  # the run was killed: leave nothing behind that renders on
            os._exit(1)
        with counter.get_lock():
            counter.value += 1

    _REPORT[:] = [report]
    load_mitsuba()


def run_tasks(tasks: Sequence[Callable[[], None]], workers: int, progress: Progress | None) -> None:
    """Run picklable ``tasks`` here (one worker) or in processes of their own; the first error ends it."""
    if workers == 1:
        made = itertools.count(1)
        _REPORT[:] = [lambda: progress(next(made)) if progress is not None else None]
        for task in tasks:
            task()
        return
    if not tasks:
        return
    context = multiprocessing.get_context("spawn")
    counter = context.Value("q", 0)
    pool = ProcessPoolExecutor(min(workers, len(tasks)), context, _start_worker, (counter, os.getpid()))
    try:
        pending = {pool.submit(task) for task in tasks}
        while pending:
            done, pending = wait(pending, timeout=1.0, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
            if progress is not None:
                progress(int(counter.value))
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


def list_open_shards(folder: Path, config: RunConfig, count: int) -> list[tuple[int, int]]:
    """(number, items) of every shard of the first ``count`` items that is still to be rendered."""
    size = config.shard_size
    shards = [(k, min(size, count - k * size)) for k in range((count + size - 1) // size)]
    return [(k, n) for k, n in shards if not is_done(folder, k, n)]


def render_set(
    folder: Path, config: RunConfig, count: int, workers: int = 1, progress: Progress | None = None
) -> int:
    """Render what is missing of the first ``count`` items into ``folder``; the number of items rendered now.

    The shards' bytes depend on ``config`` and ``count`` alone, not on ``workers`` nor on interruptions. A
    larger ``count`` later adds to the folder.

    Raises:
        OutputError: if the folder holds a run with another config or cannot be written.
        MissingDependencyError: if the renderer is not installed.
    """
    load_mitsuba()
    claim_folder(folder, to_plain(config))
    todo = list_open_shards(folder, config, count)
    run_tasks([partial(write_shard, folder, config, k, n, count_one) for k, n in todo], workers, progress)
    return sum(n for _, n in todo)
