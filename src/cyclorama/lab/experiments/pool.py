"""Cells over several processes: each works on one cell at a time, a killed parent takes them along."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Protocol

from cyclorama.errors import ModelError
from cyclorama.jobs.job import Hooks
from cyclorama.lab.experiments.cells import Trial
from cyclorama.lab.experiments.scoring import CellScore

_POLL = 0.5


class Worker(Protocol):
    """What works on a cell; it must pickle as long as it has not worked yet."""

    def work(self, cell: Trial, hooks: Hooks) -> CellScore | None:
        """The score of ``cell``; None if it was stopped before its end."""


def run_cells(
    worker: Worker, cells: Sequence[Trial], workers: int, hooks: Hooks
) -> Iterator[tuple[Trial, CellScore | None]]:
    """Each cell with its score as they finish; None for a cell that was stopped (hooks.stopping).

    One worker works here; more are processes of their own with an equal share of the cores. Raises the
    errors of the work; ModelError if a process dies.
    """
    if workers == 1 or len(cells) == 1:
        for cell in cells:
            yield cell, None if hooks.stopping() else worker.work(cell, hooks)
        return
    context = multiprocessing.get_context("spawn")
    stop, made = context.Event(), context.Value("q", 0)
    threads = max(1, (os.cpu_count() or 1) // workers)
    setup = (worker, stop, made, threads, os.getpid())
    shown = 0
    with ProcessPoolExecutor(min(workers, len(cells)), context, _set_up, setup) as pool:
        waiting: dict[Future[CellScore | None], Trial] = {pool.submit(_work, cell): cell for cell in cells}
        try:
            while waiting:
                done, _ = wait(waiting, _POLL, FIRST_COMPLETED)
                if hooks.stopping():
                    stop.set()
                now = int(made.value)
                hooks.advanced(now - shown)
                shown = now
                for future in done:
                    yield waiting.pop(future), future.result()
            hooks.advanced(int(made.value) - shown)
        except BrokenProcessPool as error:
            raise ModelError(
                "a worker process died (out of memory?); finished images are kept. Run again with "
                "--workers 1 or a smaller batch_size to go on"
            ) from error
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)


_here: dict[str, Any] = {}
"""What this worker process was set up with."""


def _set_up(worker: Worker, stop: Any, made: Any, threads: int, parent: int) -> None:
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    torch.set_num_threads(threads)
    _here.update(worker=worker, stop=stop, made=made)
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    """End with the parent, lest an orphan keeps the folder's lock."""
    while os.getppid() == parent:
        time.sleep(_POLL)
    os._exit(1)


def _work(cell: Trial) -> CellScore | None:
    def advance(count: int) -> None:
        with _here["made"].get_lock():
            _here["made"].value += count

    score: CellScore | None = _here["worker"].work(
        cell, Hooks(advanced=advance, stopping=_here["stop"].is_set)
    )
    return score
