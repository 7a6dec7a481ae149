"""A Ray cluster: the connection to it, or to one that is started on this machine and ends with the run; and
what runs on its machines, a worker in an actor and the steps beside it in tasks on any CPU."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from cyclorama import __version__
from cyclorama.errors import CycloramaError, InputError, ModelError, OutputError, SettingsError
from cyclorama.jobs.job import MAX_WORKERS, EngineSettings, Hooks, Job, ShardReport, Worker
from cyclorama.processes import count_gpus, set_threads

CONNECT_SECONDS = 10.0
"""How long an address may take to answer."""
START_TRIES = 3
"""Ray gives up a start of its own after half a minute, which a machine under load can take."""
LOCAL = "local"
_CLIENT = "ray://"
_FRAME_HEADER, _SETTINGS_FRAME = 9, 4
_OBJECT_STORE_BYTES = 512 * 2**20
_LONGEST_FOLDER = 40
"""Ray puts sockets some 60 characters below its folder, and a socket's path may have 107."""
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # without it Ray warns that its default will change
}


@dataclass(frozen=True)
class Cluster:
    """What a cluster has when the run begins; autoscaling may add to it."""

    cpus: float
    gpus: float


def get_worker_cpus(settings: EngineSettings) -> int:
    """Processors that Ray sets aside for one worker."""
    return settings.threads or 1


def is_local(settings: EngineSettings) -> bool:
    """Whether the run would start a cluster of its own, on this machine."""
    return not ray.is_initialized() and _find_address(settings) == LOCAL


@contextmanager
def join_cluster(settings: EngineSettings) -> Iterator[Cluster]:
    """Be connected while the block runs; a connection that the caller already has is used and left as it is.

    The cluster is that of ``settings.address``, else of the variable RAY_ADDRESS, else one on this machine:
    without dashboard or usage statistics, as large as the workers need, and gone afterwards with its
    processes and files. Handlers of SIGTERM and SIGINT stay the caller's. Raises SettingsError (nobody
    answers at the address, other versions there), ModelError (Ray cannot be started here).
    """
    with ExitStack() as stack:
        if not ray.is_initialized():
            address = _find_address(settings)
            if address == LOCAL:
                folder = _make_folder()
                stack.callback(shutil.rmtree, folder, ignore_errors=True)
            else:
                _check_answers(address)
                folder = None
            stack.callback(_leave)
            _connect(address, {} if folder is None else _build_local_options(settings, folder))
        yield measure_cluster()


def count_places(settings: EngineSettings) -> int:
    """How many workers the cluster has room for: one per GPU if they use them, else as its CPUs allow.

    Of a cluster that the run would start itself: this machine's. Raises SettingsError (nobody answers).
    """
    if is_local(settings):
        gpus = count_gpus() if settings.device == "cuda" else 0
        cluster = Cluster(os.cpu_count() or 1, gpus)
    else:
        with join_cluster(settings) as cluster:
            pass
    places = cluster.gpus if settings.device == "cuda" else cluster.cpus // get_worker_cpus(settings)
    return max(1, min(int(places), MAX_WORKERS))


def _find_address(settings: EngineSettings) -> str:
    return settings.address or os.environ.get("RAY_ADDRESS") or LOCAL


def shorten(error: Exception) -> str:
    """What ``error`` says, in one line."""
    return " ".join(str(error).split())[:300]


def measure_cluster() -> Cluster:
    """What the cluster we are connected to has."""
    found: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return Cluster(found.get("CPU", 0.0), found.get("GPU", 0.0))


def _leave() -> None:
    with _keep_surroundings():
        ray.shutdown()


def _connect(address: str, options: dict[str, Any]) -> None:
    for tries_left in reversed(range(START_TRIES if address == LOCAL else 1)):
        try:
            with _keep_surroundings():
                ray.init(address, logging_level=logging.ERROR, log_to_driver=False, **options)
            return
        except Exception as error:  # Ray raises plain exceptions, too
            _end_half_started(error)
            if tries_left:
                continue
            said = shorten(error)
            if address == LOCAL:
                raise ModelError(
                    f"Ray cannot be started on this machine, in {START_TRIES} tries ({said}); use --engine "
                    f"in-process"
                ) from error
            raise SettingsError(
                f"no connection to the Ray cluster at {address!r} ({said}); check --address, and that Ray "
                f"and Python have the same versions there and here"
            ) from error


def _end_half_started(error: Exception) -> None:
    """End the processes of a start that failed; Ray would leave them until this process ends."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        node: Any = frame.f_locals.get("self")
        if hasattr(node, "kill_all_processes"):  # the only hold on them is in the frames of the failure
            with suppress(Exception):
                node.kill_all_processes(check_alive=False, allow_graceful=False)


def _check_answers(address: str) -> None:
    """Raise SettingsError unless somebody listens at ``address``; Ray itself would try for minutes."""
    if address == "auto":
        return
    host, _, port = address.removeprefix(_CLIENT).rpartition(":")
    if not host or not port.isdecimal():
        raise SettingsError(
            f"--address {address!r} is no address of a Ray cluster; give HOST:6379 (on a machine of the "
            f"cluster), ray://HOST:10001 (from outside), or auto"
        )
    try:
        with socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS) as connection:
            if not os.environ.get("RAY_USE_TLS") and not _speaks_http2(connection):
                raise SettingsError(f"what answers at {address!r} is not Ray; check --address and its port")
    except (OSError, OverflowError) as error:
        raise SettingsError(
            f"nothing answers at {address!r} within {CONNECT_SECONDS:g} s ({error}); check --address, the "
            f"firewall, and `ray status` on the cluster's head"
        ) from error


def _speaks_http2(connection: socket.socket) -> bool:
    """Whether the other side answers as every gRPC server does, Ray's among them (RFC 9113, 3.4)."""
    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0")
    header = b""
    while len(header) < _FRAME_HEADER:
        part = connection.recv(_FRAME_HEADER - len(header))
        if not part:
            return False
        header += part
    return header[3] == _SETTINGS_FRAME


def _build_local_options(settings: EngineSettings, folder: Path) -> dict[str, Any]:
    workers = settings.workers or 1
    cpus = workers * get_worker_cpus(settings)
    if settings.device.startswith("cuda"):  # what the GPUs leave idle may decode and encode
        cpus = max(cpus, min(os.cpu_count() or 1, cpus + workers * settings.loaders))
    return {
        "num_cpus": cpus,
        "include_dashboard": False,
        "object_store_memory": _OBJECT_STORE_BYTES,
        "_temp_dir": str(folder),
    }


def _make_folder() -> Path:
    """A folder for Ray's own files, with a path short enough for sockets below it."""
    usual = tempfile.gettempdir()
    parent = usual if len(usual) <= _LONGEST_FOLDER or not os.access("/tmp", os.W_OK) else "/tmp"
    return Path(tempfile.mkdtemp(prefix="cyc", dir=parent))


@contextmanager
def _keep_surroundings() -> Iterator[None]:
    """Give Ray its variables, and the caller his handlers back.

    Ray's own handler of SIGTERM would end the run without finishing the batch in hand.
    """
    missing = {name: value for name, value in _ENVIRONMENT.items() if name not in os.environ}
    os.environ.update(missing)
    in_main = threading.current_thread() is threading.main_thread()  # elsewhere Ray sets no handlers
    signals = (signal.SIGINT, signal.SIGTERM) if in_main else ()
    former = {number: signal.getsignal(number) for number in signals}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
        for name in missing:
            os.environ.pop(name, None)


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
