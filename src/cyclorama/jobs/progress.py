"""How far a run is, and whether it shall stop.

Progress is a bar on a terminal, plain lines elsewhere, silence on request. Ctrl-C and SIGTERM stop a run
after the items in hand; a second Ctrl-C stops at once.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self, TextIO

_PATIENCE = 2.0
_LINE_EVERY = 10.0


class ProgressReport:
    """Images finished, images per second and time left, shown once a run takes over two seconds.

    A context manager. On a terminal it is a bar; otherwise a line every ten seconds on ``stream``.
    """

    def __init__(self, total: int = 0, *, quiet: bool = False, stream: TextIO | None = None) -> None:
        self.done = 0
        self._quiet = quiet
        self._stream = sys.stderr if stream is None else stream
        self._bar: Any = None
        self.start(total)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def start(self, total: int) -> None:
        """There are ``total`` images to make; the clock starts now."""
        self.total = total
        self._start = time.monotonic()
        self._last_line = self._start - _LINE_EVERY + _PATIENCE

    def advance(self, count: int = 1) -> None:
        """``count`` more images are finished."""
        self.done += count
        now = time.monotonic()
        if self._quiet or now - self._start < _PATIENCE:
            return
        if self._stream.isatty():
            self._show_bar()
        elif now - self._last_line >= _LINE_EVERY or self.done == self.total:
            self._last_line = now
            print(self.describe(now - self._start), file=self._stream, flush=True)

    def describe(self, seconds: float) -> str:
        """``12/300 images, 1.50/s, 3:12 left`` after ``seconds``."""
        rate = self.done / max(seconds, 1e-9)
        left = round((self.total - self.done) / rate) if rate > 0 else 0
        return f"{self.done}/{self.total} images, {rate:.2f}/s, {left // 60}:{left % 60:02d} left"

    def _show_bar(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        rate = self.done / max(time.monotonic() - self._start, 1e-9)
        if self._bar is None:
            speed = TextColumn("{task.fields[rate]:.2f}/s")
            columns = (TextColumn("images"), BarColumn(), MofNCompleteColumn(), speed, TimeRemainingColumn())
            self._bar = Progress(*columns, console=Console(file=self._stream))
            self._bar.add_task("images", total=self.total, rate=rate)
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=self.done, rate=rate)


class StopSignal:
    """Whether the run has been asked to stop."""

    number: int | None = None
    """The signal that asked."""

    def __call__(self) -> bool:
        """True once asked."""
        return self.number is not None


@contextmanager
def catch_stop(quiet: bool = False) -> Iterator[StopSignal]:
    """A signal that SIGINT and SIGTERM set while the block runs; their former handlers return afterwards.

    A second SIGINT raises KeyboardInterrupt. Off the main thread, where handlers cannot be set, it is never
    set.
    """
    stop = StopSignal()

    def handle(number: int, frame: FrameType | None) -> None:
        if stop() and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.number = stop.number or number
        if not quiet:
            print("stopping after the items in hand; press Ctrl-C again to stop at once", file=sys.stderr)

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    former = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
