"""Is this process one in which models can run, and on how many threads?

Thread pools of torch and numba do not survive ``os.fork``: a child that uses them
after its parent did waits for ever. The first use is remembered, so that such a child gets an error instead.
"""

from __future__ import annotations

import math
import os
import sys
from contextlib import suppress
from pathlib import Path

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


def count_cpus(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """CPUs that this process may keep busy: those it is bound to, within its container's share of time.

    Not fewer when others are busy: an image's bits depend on the number of threads.
    """
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):
        if (cgroup / "cpu.max").is_file():
            quota, period = (cgroup / "cpu.max").read_text().split()
        else:
            quota, period = ((cgroup / "cpu" / f"cpu.cfs_{n}_us").read_text() for n in ("quota", "period"))
        if quota != "max" and int(quota) > 0:
            return max(1, min(bound, math.ceil(int(quota) / int(period))))
    return bound


def set_threads(threads: int | None) -> None:
    """Let this process's arithmetic have so many threads, also that of libraries still to be loaded; None
    changes nothing."""
    if threads is None:
        return
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(threads)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(threads)


def count_threads() -> int:
    """Threads that this process's arithmetic has: torch's own number once it is loaded, else OMP_NUM_THREADS
    or a thread per CPU; never more than :func:`count_cpus`."""
    torch = sys.modules.get("torch")
    asked = os.environ.get("OMP_NUM_THREADS", "") if torch is None else str(torch.get_num_threads())
    return min(int(asked) if asked.isdecimal() and int(asked) else 256, count_cpus())


def count_gpus() -> int:
    """CUDA devices of this machine; 0 without torch, which finds them."""
    try:
        import torch
    except ImportError:
        return 0
    return torch.cuda.device_count()
