"""Run the shards of a job that are not finished, tell how far it is, and sum up."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from cyclorama.errors import import_optional
from cyclorama.jobs.in_process import InProcessEngine
from cyclorama.jobs.job import Engine, EngineSettings, Hooks, Job


@dataclass
class Totals:
    """What a run of shards has done."""

    done: int = 0
    failed: int = 0
    reused: int = 0
    made: int = 0
    wall_seconds: float = 0.0
    """From the first shard's start to the last one's end."""
    worker_seconds: float = 0.0
    busy_seconds: float = 0.0
    notes: list[str] = field(default_factory=list)

    @property
    def idle_share(self) -> float:
        """Share of the workers' time in which their arithmetic did not work, 0 to 1."""
        return max(0.0, 1 - self.busy_seconds / self.worker_seconds) if self.worker_seconds > 0 else 0.0


def build_engine(settings: EngineSettings) -> Engine:
    """The engine that ``settings`` name. Raises MissingDependencyError if its package is not installed."""
    if settings.engine == "in-process":
        return InProcessEngine()
    import_optional("ray", "engine 'ray' needs a further package: pip install 'cyclorama[ray]'")
    from cyclorama.jobs.ray import RayEngine

    return RayEngine()


def run_shards(job: Job, items: Mapping[int, int], hooks: Hooks, engine: Engine | None = None) -> Totals:
    """Have an engine do the shards in ``items`` (number to the items that each has).

    ``hooks`` are told of every item once: shards that lost their worker are begun again. Raises what the
    engine raises.
    """
    totals, left, lock = Totals(), [sum(items.values())], threading.Lock()
    hooks.started(left[0])

    def advance(count: int) -> None:
        with lock:
            count = min(count, left[0])
            left[0] -= count
            if count > 0:
                hooks.advanced(count)

    start = time.perf_counter()
    watched = Hooks(advanced=advance, stopping=hooks.stopping, noted=hooks.noted)
    for report in (engine or build_engine(job.engine)).run(job, list(items), watched):
        if report.finished:  # what was reused, or failed before it was begun, is dealt with too
            advance(items[report.shard] - report.advanced)
        for name in ("done", "failed", "reused", "made"):
            setattr(totals, name, getattr(totals, name) + getattr(report, name))
        totals.worker_seconds += report.wall_seconds
        totals.busy_seconds += report.busy_seconds
        for note in report.notes:
            if note not in totals.notes:
                totals.notes.append(note)
                hooks.noted(note)
    totals.wall_seconds = time.perf_counter() - start
    return totals
