"""A stop asked for in the middle of a run."""

from __future__ import annotations

import inspect
import os
import signal
import time


def ask_to_stop(number: int) -> None:
    """Sends this process ``number`` from any thread, and returns once its run knows: a busy main thread may
    take long to hear of a signal, while the run goes on."""
    stop = inspect.getclosurevars(signal.getsignal(number)).nonlocals["stop"]
    os.kill(os.getpid(), number)
    deadline = time.monotonic() + 60
    while not stop():
        assert time.monotonic() < deadline, f"nobody heard of signal {number}"
        time.sleep(0.01)
