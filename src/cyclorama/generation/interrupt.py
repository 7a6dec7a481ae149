"""Ctrl-C as a wish to stop after the batch in hand; a second one stops at once."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopWish:
    """Whether somebody has asked the run to stop."""

    def __init__(self) -> None:
        self.asked = False

    def __call__(self) -> bool:
        """True once asked."""
        return self.asked


@contextmanager
def catch_stop(quiet: bool = False) -> Iterator[StopWish]:
    """A wish that SIGINT and SIGTERM set while the block runs; their former handlers return afterwards.

    A second SIGINT raises KeyboardInterrupt. Off the main thread, where handlers cannot be set, the wish
    stays as it is.
    """
    wish = StopWish()

    def handle(number: int, frame: FrameType | None) -> None:
        if wish.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        wish.asked = True
        if not quiet:
            print("stopping after the images in hand; press Ctrl-C again to stop at once", file=sys.stderr)

    if threading.current_thread() is not threading.main_thread():
        yield wish
        return
    former = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield wish
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
