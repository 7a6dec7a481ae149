"""Work on files from others, each in a child process that may not hurt anybody.

A child has a limit of time and of memory. One that goes over it, or ends by itself, is replaced, and whoever
asked gets HeavyImageError.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from anyio import CapacityLimiter

from cyclorama.errors import CycloramaError, HeavyImageError, QueueFullError

T = TypeVar("T")
SECONDS = 20.0
"""For one task."""
MEMORY = 6 * 2**30
"""Bytes of address space of a child: what it has loaded, and an image of 40 megapixels several times."""
START_SECONDS = 180.0
"""For a child's start: matting is compiled once an installation, which takes about a minute."""
_WAIT_SECONDS = 30.0


@dataclass(eq=False)
class _ChildProcess:
    process: Any
    pipe: Connection
    ready: bool = False

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


class Children:
    """``count`` child processes that do one task each at a time. Threads may share it."""

    def __init__(
        self,
        count: int,
        prepare: Callable[[], object],
        seconds: float = SECONDS,
        memory: int = MEMORY,
    ) -> None:
        """``prepare`` is called once in each child, before its limits hold; it must be a module's function.

        Children start when they are first needed, or by :meth:`start`.
        """
        self.seconds, self.memory, self.prepare = seconds, memory, prepare
        self.entry = CapacityLimiter(2 * max(count, 1))
        """For threads that wait for a child, so that those of other requests stay free."""
        # the child that was free last comes first: it may still have the photo that is asked for next
        self._free: queue.LifoQueue[_ChildProcess | None] = queue.LifoQueue()
        self._all: set[_ChildProcess] = set()
        self._lock, self._closed = threading.Lock(), False
        self._starting = threading.Lock()  # one child at a time: what the first compiles, the others load
        for _ in range(count):
            self._free.put(None)

    def start(self) -> None:
        """Start one child, so that the first task need not wait for it."""
        with contextlib.suppress(queue.Empty, QueueFullError):
            child = self._free.get_nowait()
            try:
                child = child or self._launch()
            finally:
                self._free.put(child)

    def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """What ``function`` (a module's) gives for ``arguments``, done in a child.

        Raises the function's own CycloramaError, HeavyImageError (time, memory, a crash), QueueFullError (all
        children are busy for long, or the server has ended them).
        """
        child = self._take()
        try:
            if child is None or not child.ready:
                with self._starting, self._name_ends():
                    child = child or self._launch()
                    self._wait_for_start(child)
            with self._name_ends():
                kind, value = self._ask(child, function, arguments)
        except BaseException:
            if child is not None:
                self._end(child)
                child = None
            raise
        finally:
            self._free.put(child)
        if kind == "value":
            return value  # type: ignore[no-any-return]
        if isinstance(value, CycloramaError):
            raise value
        raise RuntimeError(f"a task failed in its child process:\n{value}")

    def close(self) -> None:
        """End all children, also those at work: whoever waits for one gets QueueFullError at once."""
        with self._lock:
            self._closed = True
            children = list(self._all)
        for child in children:
            child.process.kill()  # its pipe ends, which a thread that waits for it sees
        for child in children:
            child.process.join()

    def _take(self) -> _ChildProcess | None:
        """A free child, or leave to launch one; while children start, they are waited for.

        Raises QueueFullError.
        """
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                return self._free.get(timeout=_WAIT_SECONDS)
            except queue.Empty:
                with self._lock:
                    starting = any(not child.ready for child in self._all)
                if not starting or time.monotonic() > end:
                    raise QueueFullError(
                        f"all processes that read images were busy for {_WAIT_SECONDS:.0f} s; try again",
                        retry_after=10,
                    ) from None

    def _launch(self) -> _ChildProcess:
        context = multiprocessing.get_context("spawn")
        with self._lock:
            self._check_open()
            mine, theirs = context.Pipe()
            process = context.Process(
                target=_work, args=(theirs, self.prepare, self.memory), name="cyclorama-images", daemon=True
            )
            process.start()
            theirs.close()
            child = _ChildProcess(process, mine)
            self._all.add(child)
        return child

    def _end(self, child: _ChildProcess) -> None:
        with self._lock:
            self._all.discard(child)
        child.end()

    def _check_open(self) -> None:
        if self._closed:
            raise QueueFullError("the server shuts down; come again in a moment", retry_after=5)

    def _wait_for_start(self, child: _ChildProcess) -> None:
        if not child.pipe.poll(START_SECONDS):
            raise RuntimeError(f"a child process did not start within {START_SECONDS:.0f} s")
        child.pipe.recv()
        child.ready = True

    def _ask(self, child: _ChildProcess, function: Any, arguments: tuple[Any, ...]) -> tuple[str, Any]:
        child.pipe.send((function, arguments))
        if not child.pipe.poll(self.seconds):
            raise HeavyImageError(
                f"the image was not read and cut out within {self.seconds:g} s; save it smaller"
            )
        return child.pipe.recv()  # type: ignore[no-any-return]

    @contextlib.contextmanager
    def _name_ends(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, OSError):
            self._check_open()
            raise HeavyImageError(
                "reading the image ended the process that did it (its memory is limited to "
                f"{self.memory >> 20:,} MB): the file is damaged, or too large; save it again, smaller"
            ) from None


def _work(pipe: Connection, prepare: Callable[[], object], memory: int) -> None:
    """A child's life: until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which closes the pipe
    prepare()
    _limit_memory(memory)
    with contextlib.suppress(EOFError, BrokenPipeError):
        pipe.send("ready")
        while True:
            function, arguments = pipe.recv()
            pipe.send(_try(function, arguments, memory))


def _try(function: Callable[..., Any], arguments: tuple[Any, ...], memory: int) -> tuple[str, Any]:
    try:
        return "value", function(*arguments)
    except Exception as error:
        if isinstance(error, MemoryError) or isinstance(error.__cause__, MemoryError):
            said = (
                f"the image needs more than the {memory >> 20:,} MB allowed for reading it; save it smaller"
            )
            return "error", HeavyImageError(said)
        return "error", error if isinstance(error, CycloramaError) else traceback.format_exc()


def _limit_memory(memory: int) -> None:
    if sys.platform == "win32":
        return
    import resource

    with contextlib.suppress(ValueError, OSError):  # macOS refuses some limits
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
