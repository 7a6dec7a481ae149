"""Is this process one in which models can run?

Thread pools of torch and numba do not survive ``os.fork``: a child that uses them
after its parent did waits for ever. The first use is remembered, so that such a child gets an error instead.
"""

from __future__ import annotations

import os

from cyclorama.errors import ForkedProcessError

_used_in: list[int] = []


def check_process() -> None:
    """Remember the first process that calls this. Raises ForkedProcessError in a process forked from it."""
    if not _used_in:
        _used_in.append(os.getpid())
    elif _used_in[0] != os.getpid():
        raise ForkedProcessError(
            f"process {os.getpid()} was forked from process {_used_in[0]}, which already used cyclorama; "
            "models cannot run here. Start processes with multiprocessing.get_context('spawn') and load the "
            "model in each"
        )
