"""What runs on the cluster's machines: a worker in an actor, and the steps beside it in tasks on any CPU."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from cyclorama import __version__
from cyclorama.errors import CycloramaError, InputError, ModelError, OutputError
from cyclorama.jobs.in_process import set_threads
from cyclorama.jobs.job import Hooks, Job, ShardReport, Worker

TASK_RETRIES = 3
"""How often a step is tried again whose process or machine was lost."""


@dataclass(frozen=True)
class Surroundings:
    """What a worker must know of the run beside its job."""

    folder: Path
    """The run's working directory, which relative paths count from."""
    probe: Path | None
    """A file just written into the output folder: who does not see it does not share the disk."""
    threads: int
    """Threads of the worker's arithmetic."""
    parallel_steps: bool
    """Whether the steps beside the arithmetic are tasks of their own, or threads of the worker."""
    version: str = __version__


def call_here(place: Surroundings, function: Callable[..., Any], *arguments: Any) -> Any:
    """``function(*arguments)`` on this machine."""
    _enter(place.folder)
    set_threads(place.threads)
    return function(*arguments)


class ClusterWorker:
    """A worker as an actor: a few shards at a time; counts and stops while it works."""

    def __init__(self, job: Job, place: Surroundings) -> None:
        self._job = job
        self._place = place
        self._stopping = threading.Event()
        self._counting = threading.Lock()
        self._done = 0
        self._worker: Worker | None = None

    def load(self) -> None:
        """Open the worker. Raises OutputError (disk not shared), ModelError, MissingDependencyError."""
        job, place = self._job, self._place
        _enter(place.folder)
        if place.version != __version__:
            raise ModelError(
                f"machine {socket.gethostname()} has cyclorama {__version__}, the run was started with "
                f"{place.version}; install the same version on all machines"
            )
        if place.probe is not None and not place.probe.exists():
            raise OutputError(
                f"machine {socket.gethostname()} does not see what was written to {job.out}; the output "
                f"folder must be on a disk that all machines share, under one path"
            )
        set_threads(place.threads)
        # Ray shows a worker its own GPU only, as the first one.
        device = "cuda:0" if job.engine.device == "cuda" else job.engine.device
        self._worker = job.open_worker(device, StepPool(place.folder, job) if place.parallel_steps else None)

    @ray.method(concurrency_group="shards")
    def process(self, shard: int) -> tuple[ShardReport, int]:
        """The report on ``shard``, and :meth:`count`. Raises OutputError, ModelError."""
        assert self._worker is not None
        report = self._worker.process(shard, Hooks(advanced=self._advance, stopping=self._stopping.is_set))
        return report, self._done

    @ray.method(concurrency_group="control")
    def count(self) -> int:
        """How many items this worker has dealt with so far."""
        return self._done

    @ray.method(concurrency_group="control")
    def stop(self) -> None:
        """End after the items in hand."""
        self._stopping.set()

    def _advance(self, count: int) -> None:
        with self._counting:
            self._done += count


class StepPool(Executor):
    """Runs functions as Ray tasks of one CPU each, wherever the cluster has one.

    Arguments and results travel through Ray's object store; ``job`` is put there once. A task that is lost
    with its process or machine is tried again; what fails every time becomes an InputError of the row it was
    for.
    """

    def __init__(self, folder: Path, job: Any) -> None:
        self._folder = folder
        self._job, self._reference = job, ray.put(job)
        self._task = ray.remote(_run_step).options(num_cpus=1, max_retries=TASK_RETRIES)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """A future of ``fn(*args)``; keyword arguments are bound into ``fn`` by the caller."""
        if kwargs:
            raise TypeError("StepPool takes positional arguments only")
        sent = [self._reference if argument is self._job else argument for argument in args]
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        reference = self._task.remote(self._folder, fn, *sent)
        reference.future().add_done_callback(lambda done: _settle(future, done))
        return future


def _settle(future: Future[Any], done: Future[Any]) -> None:
    try:
        value, error = done.result()
    except Exception as lost:  # raised by Ray itself: what the function raises comes as a value
        reason = str(lost).strip().splitlines()[-1:] or [type(lost).__name__]
        future.set_exception(
            InputError(
                f"the process at this item was lost {1 + TASK_RETRIES} times ({type(lost).__name__}: "
                f"{reason[0]}); is it too large for the machine's memory?"
            )
        )
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)


def _run_step(folder: Path, function: Callable[..., Any], *arguments: Any) -> tuple[Any, Exception | None]:
    """What ``function`` returns or raises; Ray would change an error's type, which result rows state."""
    _enter(folder)
    try:
        return function(*arguments), None
    except CycloramaError as error:
        return None, type(error)(*error.args)
    except Exception as error:
        return None, error.with_traceback(None)


def _enter(folder: Path) -> None:
    """Let relative paths mean what they mean where the run was started; with absolute ones it need not be
    there."""
    with suppress(OSError):
        os.chdir(folder)
