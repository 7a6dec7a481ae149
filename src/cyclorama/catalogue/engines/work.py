"""Who works on the shards that an engine is given?"""

from __future__ import annotations

from concurrent.futures import Executor
from typing import TypeAlias

from cyclorama.catalogue.job import Job
from cyclorama.catalogue.protocols import ShardedWork, ShardWorker
from cyclorama.catalogue.worker import Worker

Work: TypeAlias = Job | ShardedWork
"""A catalogue's job, or that of another room."""


def open_worker(work: Work, device: str, pool: Executor | None = None) -> ShardWorker:
    """A worker for ``work`` in this process; ``pool`` runs the steps beside a catalogue's model."""
    if isinstance(work, Job):
        return Worker(work, device, pool)
    return work.open_worker(device)
