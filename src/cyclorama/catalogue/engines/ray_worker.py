"""What runs on the cluster's machines: a model in an actor, and the steps beside it in tasks on any CPU."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import ray

from cyclorama import __version__
from cyclorama.catalogue.engines.in_process import set_threads
from cyclorama.catalogue.engines.work import Work, open_worker
from cyclorama.catalogue.job import Job
from cyclorama.catalogue.measuring import measure_model
from cyclorama.catalogue.protocols import EngineHooks, Measurement, ShardReport, ShardWorker
from cyclorama.catalogue.worker import Worker, build_network
from cyclorama.errors import CycloramaError, InputError, ModelError, OutputError
from cyclorama.generation.model import BUNDLED, ModelHandle, get_bundled_folder, open_model

TASK_RETRIES = 3
"""How often a step is tried again whose process or machine was lost."""


@dataclass(frozen=True)
class Setting:
    """What a worker must know of the run beside its job."""

    folder: Path
    """The run's working directory, which relative paths count from."""
    probe: Path | None
    """A file just written into the output folder: who does not see it does not share the disk."""
    threads: int
    """Threads of the model's arithmetic."""
    stage_tasks: bool
    """Whether the steps beside the model are tasks of their own, or threads of the worker."""
    version: str = __version__


@dataclass(frozen=True)
class _NetworkName:
    """Stands for a cut-out network, which cannot travel; every process loads its own."""

    name: str | None


def find_model(handle: ModelHandle) -> ModelHandle:
    """``handle`` with the folder that its model has on this machine. Raises ModelError if it has not."""
    bundled = handle.name == BUNDLED
    if handle.folder.exists() and not (bundled and handle.folder != get_bundled_folder()):
        return handle
    here = open_model(None if bundled else handle.name)
    if here.hash != handle.hash:
        raise ModelError(
            f"model {handle.name!r} is another one on machine {_get_machine()} ({here.hash}) than where the "
            f"run was started ({handle.hash}); install the same release, or share the model's folder"
        )
    return replace(handle, folder=here.folder)


def measure_on_worker(job: Job, setting: Setting) -> Measurement:
    """The trial of the job's model on this machine. Raises ModelError."""
    _enter(setting.folder)
    set_threads(setting.threads)
    device = _get_device(job)
    model = job.load_model(find_model(job.model), device, job.config.dtype)
    return measure_model(model, job.config.settings, device)


class ModelWorker:
    """A worker as an actor: one model, a few shards at a time; counts and stops while it works."""

    def __init__(self, job: Work, setting: Setting) -> None:
        self._job = job
        self._setting = setting
        self._stopping = threading.Event()
        self._counting = threading.Lock()
        self._done = 0
        self._worker: ShardWorker | None = None

    def load(self) -> None:
        """Load the model. Raises OutputError (disk not shared), ModelError, MissingDependencyError."""
        job, setting = self._job, self._setting
        _enter(setting.folder)
        if setting.version != __version__:
            raise ModelError(
                f"machine {_get_machine()} has cyclorama {__version__}, the run was started with "
                f"{setting.version}; install the same version on all machines"
            )
        if setting.probe is not None and not setting.probe.exists():
            raise OutputError(
                f"machine {_get_machine()} does not see what was written to {job.out}; the output folder "
                f"must be on a disk that all machines share, under one path"
            )
        set_threads(setting.threads)
        if isinstance(job, Job):
            job = replace(job, model=find_model(job.model))
        if not (isinstance(job, Job) and setting.stage_tasks):
            self._worker = open_worker(job, _get_device(job))
            return
        pool = StagePool(setting.folder)
        worker = Worker(job, _get_device(job), pool)
        pool.share(job.plan, job.toolkit)
        pool.exchange(worker.network, _NetworkName(job.config.cutout))
        self._worker = worker

    @ray.method(concurrency_group="shards")
    def process(self, shard: int) -> tuple[ShardReport, int]:
        """The report on ``shard``, and :meth:`count`. Raises OutputError, ModelError."""
        assert self._worker is not None
        report = self._worker.process(shard, EngineHooks(self._advance, self._stopping.is_set))
        return report, self._done

    @ray.method(concurrency_group="control")
    def count(self) -> int:
        """How many images this worker has dealt with so far."""
        return self._done

    @ray.method(concurrency_group="control")
    def stop(self) -> None:
        """End after the batches in hand."""
        self._stopping.set()

    def _advance(self, count: int) -> None:
        with self._counting:
            self._done += count


class StagePool(Executor):
    """Runs functions as Ray tasks of one CPU each, wherever the cluster has one.

    Arguments and results travel through Ray's object store; :meth:`share` puts those there once that are
    always the same. A task that is lost with its process or machine is tried again; what fails every time
    becomes an InputError of the row it was for.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._exchanges: list[tuple[Any, Any]] = []
        self._task = ray.remote(_run_stage).options(num_cpus=1, max_retries=TASK_RETRIES)

    def share(self, *values: Any) -> None:
        """Send ``values`` once, not with every call that has them among its arguments."""
        for value in values:
            self.exchange(value, ray.put(value))

    def exchange(self, value: Any, stand_in: Any) -> None:
        """Send ``stand_in`` wherever ``value``, if it is not None, is an argument."""
        if value is not None:
            self._exchanges.append((value, stand_in))

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """A future of ``fn(*args)``; keyword arguments are bound into ``fn`` by the caller."""
        if kwargs:
            raise TypeError("StagePool takes positional arguments only")
        reference = self._task.remote(self._folder, fn, *map(self._replace, args))
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        reference.future().add_done_callback(lambda done: _settle(future, done))
        return future

    def _replace(self, argument: Any) -> Any:
        for value, stand_in in self._exchanges:
            if value is argument:
                return stand_in
        return argument


def _settle(future: Future[Any], done: Future[Any]) -> None:
    try:
        value, error = done.result()
    except Exception as lost:  # raised by Ray itself: what the function raises comes as a value
        reason = str(lost).strip().splitlines()[-1:] or [type(lost).__name__]
        future.set_exception(
            InputError(
                f"the process at this image was lost {1 + TASK_RETRIES} times ({type(lost).__name__}: "
                f"{reason[0]}); is it too large for the machine's memory?"
            )
        )
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)


def _run_stage(folder: Path, function: Callable[..., Any], *arguments: Any) -> tuple[Any, Exception | None]:
    """What ``function`` returns or raises; Ray would change an error's type, which result rows state."""
    _enter(folder)
    try:
        return function(*map(_open_network, arguments)), None
    except CycloramaError as error:
        return None, type(error)(*error.args)
    except Exception as error:
        return None, error.with_traceback(None)


def _open_network(argument: Any) -> Any:
    return _load_network(argument.name) if isinstance(argument, _NetworkName) else argument


@lru_cache(1)
def _load_network(name: str | None) -> Any:
    return build_network(name)


def _enter(folder: Path) -> None:
    """Let relative paths mean what they mean where the run was started; with absolute ones it need not be
    there."""
    with suppress(OSError):
        os.chdir(folder)


def _get_device(job: Work) -> str:
    """Ray shows a worker its own GPU only, as the first one."""
    return "cuda:0" if job.config.device == "cuda" else job.config.device


def _get_machine() -> str:
    return socket.gethostname()
