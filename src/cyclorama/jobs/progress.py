"""How far a run is: a bar on a terminal, plain lines elsewhere, silence on request."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_PATIENCE = 2.0
_LINE_EVERY = 10.0


class ProgressReport:
    """Images finished, images per second and time left, shown once a run takes over two seconds.

    A context manager. On a terminal it is a bar; otherwise a line every ten seconds on ``stream``.
    """

    def __init__(self, total: int = 0, *, quiet: bool = False, stream: TextIO | None = None) -> None:
        self.total = total
        self.done = 0
        self._quiet = quiet
        self._stream = sys.stderr if stream is None else stream
        self._start = time.monotonic()
        self._last_line = self._start - _LINE_EVERY + _PATIENCE
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
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

        if self._bar is None:
            self._bar = Progress(
                TextColumn("images"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]:.2f}/s"),
                TimeRemainingColumn(),
                console=Console(file=self._stream),
            )
            self._task = self._bar.add_task("images", total=self.total, rate=0.0)
            self._bar.start()
        assert self._task is not None
        rate = self.done / max(time.monotonic() - self._start, 1e-9)
        self._bar.update(self._task, completed=self.done, rate=rate)
