"""The default engine: this process, or several of this machine, without any server."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import signal
import threading
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for_futures
from dataclasses import dataclass, field
from itertools import cycle, islice
from multiprocessing.connection import Connection, wait
from typing import Any

from cyclorama.errors import CycloramaError, ModelError
from cyclorama.jobs.job import DEATHS, SHARDS_AT_A_TIME, EngineSettings, Hooks, Job, ShardReport, Worker
from cyclorama.processes import count_gpus, set_threads

_POLL = 0.2
_DISMISSAL = 10.0
"""Seconds that workers have in all to finish the batch in hand, once the run is over."""


def _list_devices(device: str) -> list[str]:
    """The devices that workers share: with ``cuda`` all CUDA devices."""
    if device != "cuda":
        return [device]
    return [f"cuda:{number}" for number in range(max(1, count_gpus()))]


class InProcessEngine:
    """One worker in this process, or several in processes of their own."""

    def settle(self, settings: EngineSettings) -> EngineSettings:
        """``settings`` with one worker per CUDA device, or one, if no number is given."""
        return settings.replace(workers=settings.workers or len(_list_devices(settings.device)))

    def call(self, settings: EngineSettings, function: Callable[..., Any], *arguments: Any) -> Any:
        """``function(*arguments)`` in this process, with the settings' threads."""
        set_threads(settings.threads)
        return function(*arguments)

    def run(self, job: Job, shards: Sequence[int], hooks: Hooks) -> Iterator[ShardReport]:
        """A report per shard as they finish."""
        workers = min(self.settle(job.engine).workers or 1, len(shards))
        if workers > 1:
            yield from _Team(job, workers, hooks).run(shards)
            return
        if not shards or hooks.stopping():
            return
        set_threads(job.engine.threads)
        worker = job.open_worker(_list_devices(job.engine.device)[0])
        try:
            yield from _work_overlapping(worker, shards, hooks)
        finally:
            worker.close()


def _work_overlapping(worker: Worker, shards: Sequence[int], hooks: Hooks) -> Iterator[ShardReport]:
    """Reports of ``shards`` as they finish, two in work at a time, until the run is stopped."""
    waiting, broken, lock = deque(shards), threading.Event(), threading.Lock()

    def advance(count: int) -> None:
        with lock:
            hooks.advanced(count)

    inner = Hooks(advanced=advance, stopping=lambda: broken.is_set() or hooks.stopping())
    with ThreadPoolExecutor(SHARDS_AT_A_TIME, thread_name_prefix="cyclorama-shard") as pool:
        flying: set[Future[ShardReport]] = set()
        try:
            while True:
                while waiting and len(flying) < SHARDS_AT_A_TIME and not inner.stopping():
                    flying.add(pool.submit(worker.process, waiting.popleft(), inner))
                if not flying:
                    return
                # Woken now and then, so that signals reach the main thread.
                done, flying = wait_for_futures(flying, timeout=_POLL, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        except BaseException:
            broken.set()
            raise


@dataclass
class _Member:
    process: Any
    connection: Connection
    device: str
    shards: set[int] = field(default_factory=set)


class _Team:
    """Worker processes and the shards they are at; a worker that dies is replaced and its shard given
    again."""

    def __init__(self, job: Job, workers: int, hooks: Hooks) -> None:
        self._job = job
        self._hooks = hooks
        self._context = multiprocessing.get_context("spawn")
        self._devices = list(islice(cycle(_list_devices(job.engine.device)), workers))
        self._members: list[_Member] = []
        self._waiting: deque[int] = deque()
        self._deaths: Counter[int] = Counter()
        self._told = False

    def run(self, shards: Sequence[int]) -> Iterator[ShardReport]:
        self._waiting.extend(shards)
        try:
            self._members = [self._start(device) for device in self._devices]
            while True:
                if self._hooks.stopping() and not self._told:
                    self._told = True
                    for member in self._members:
                        _send(member, ("stop",))
                for _ in range(SHARDS_AT_A_TIME):  # one to each first: nobody waits while another has two
                    for member in sorted(self._members, key=lambda m: len(m.shards)):
                        if len(member.shards) < SHARDS_AT_A_TIME and self._waiting and not self._told:
                            shard = self._waiting.popleft()
                            member.shards.add(shard)
                            _send(member, ("shard", shard))
                if not any(member.shards for member in self._members):
                    return
                ready = wait([member.connection for member in self._members], timeout=_POLL)
                for member in [m for m in self._members if m.connection in ready]:
                    report = self._receive(member)
                    if report is not None:
                        yield report
        finally:
            self._dismiss()

    def _receive(self, member: _Member) -> ShardReport | None:
        try:
            kind, value = member.connection.recv()
        except (EOFError, OSError):
            self._replace(member)
            return None
        if kind == "error":
            raise value
        if kind == "advanced":
            self._hooks.advanced(value)
            return None
        assert isinstance(value, ShardReport)
        member.shards.discard(value.shard)
        return value

    def _replace(self, member: _Member) -> None:
        member.process.join()
        code = member.process.exitcode
        for shard in sorted(member.shards, reverse=True):
            self._deaths[shard] += 1
            if self._deaths[shard] >= DEATHS:
                raise ModelError(
                    f"{DEATHS} workers have died at shard {shard} (exit code {code}); give them more memory "
                    f"or a smaller --batch-size and run again to go on"
                )
            self._waiting.appendleft(shard)
        fresh = self._start(member.device)
        member.process, member.connection, member.shards = fresh.process, fresh.connection, set()
        if self._told:
            _send(member, ("stop",))

    def _start(self, device: str) -> _Member:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(self._job, device, theirs), daemon=True)
        process.start()
        theirs.close()
        return _Member(process, ours, device)

    def _dismiss(self) -> None:
        for member in self._members:
            _send(member, ("stop",))
            _send(member, ("end",))
        deadline = time.monotonic() + _DISMISSAL
        for member in self._members:
            member.process.join(timeout=max(0.0, deadline - time.monotonic()))
            if member.process.is_alive():
                member.process.terminate()
                member.process.join()
            member.connection.close()


def _send(member: _Member, message: tuple[Any, ...]) -> None:
    with contextlib.suppress(OSError):  # a worker that has just died is noticed when it is read from
        member.connection.send(message)


def _serve(job: Job, device: str, connection: Connection) -> None:
    """A worker process: shards in, reports out, until told to end or left alone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    stopping, orders = threading.Event(), queue.SimpleQueue[int | None]()
    sending = threading.Lock()

    def listen() -> None:
        while True:
            try:
                kind, *rest = connection.recv()
            except (EOFError, OSError):
                os._exit(1)  # the parent was killed: end at once, so that no two runs write to one folder
            if kind == "shard":
                orders.put(rest[0])
            elif kind == "stop":
                stopping.set()
            else:
                orders.put(None)
                return

    def tell(kind: str, value: Any) -> None:
        with sending:
            connection.send((kind, value))

    def work(worker: Worker) -> None:
        try:
            while (shard := orders.get()) is not None:
                stopped = ShardReport(shard, finished=False)
                tell("report", stopped if stopping.is_set() else worker.process(shard, hooks))
            orders.put(None)
        except CycloramaError as error:  # ends the run, in the parent
            tell("error", type(error)(*error.args))
        except BaseException:  # the parent takes it for a death
            traceback.print_exc()
            os._exit(1)

    threading.Thread(target=listen, daemon=True).start()
    hooks = Hooks(advanced=lambda count: tell("advanced", count), stopping=stopping.is_set)
    try:
        set_threads(job.engine.threads)
        worker = job.open_worker(device)
        try:
            with ThreadPoolExecutor(SHARDS_AT_A_TIME, thread_name_prefix="cyclorama-shard") as pool:
                list(pool.map(work, [worker] * SHARDS_AT_A_TIME))
        finally:
            worker.close()
    except CycloramaError as error:
        tell("error", type(error)(*error.args))
