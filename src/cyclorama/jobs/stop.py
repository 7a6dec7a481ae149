"""Ctrl-C and SIGTERM stop a run after the items in hand; a second Ctrl-C stops at once."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


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
