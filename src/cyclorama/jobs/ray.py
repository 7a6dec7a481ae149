"""The engine for many machines: workers in Ray actors, the steps beside their arithmetic in Ray tasks.

An actor has at most two shards in work, so that it has something to do between them. Results and journals
go to the shared output folder; only small reports travel back. An actor that is lost with its process or
machine is replaced, and its shards are given again: what was finished is in their journals.

Ray Data is not used: its blocks, shuffles and own notion of progress would do again what the plan and the
journals do, and more slowly.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import ray

from cyclorama.errors import CycloramaError, ModelError, OutputError
from cyclorama.files import write_atomic
from cyclorama.jobs.job import DEATHS, SHARDS_AT_A_TIME, EngineSettings, Hooks, Job, ShardReport
from cyclorama.jobs.ray_cluster import (
    Cluster,
    ClusterWorker,
    Surroundings,
    call_here,
    count_places,
    get_worker_cpus,
    is_local,
    join_cluster,
    measure_cluster,
    shorten,
)
from cyclorama.processes import count_threads, set_threads

START_SECONDS = 600.0
"""How long to wait for the first worker; a cluster that grows on demand needs minutes."""
REST_SECONDS = 2.0
"""How long a lost worker's shard rests, while steps that the worker had under way come to their end."""
DISMISSAL_SECONDS = 10.0
_POLL = 0.2
_COUNT_SECONDS = 0.5

StepPlace = Literal["auto", "tasks", "threads"]


class RayEngine:
    """Workers on a Ray cluster: that of ``settings.address``, or one on this machine for the run's time."""

    def __init__(self, steps: StepPlace = "auto") -> None:
        """``steps``: where the steps beside the arithmetic run, in tasks on any CPU or in threads of the
        worker.

        ``auto`` takes tasks if the cluster has at least one CPU per worker beside what workers hold.
        """
        self._steps = steps

    def settle(self, settings: EngineSettings) -> EngineSettings:
        """``settings`` with as many workers as the cluster has room for, of one thread each on CPUs, if no
        number is given."""
        if settings.workers is not None:
            return settings
        if settings.device == "cpu":  # each with all the machine's threads, they would be in each other's way
            settings = settings.replace(threads=settings.threads or 1)
        return settings.replace(workers=count_places(settings))

    def call(self, settings: EngineSettings, function: Callable[..., Any], *arguments: Any) -> Any:
        """``function(*arguments)`` on one of the cluster's machines; here, where the cluster is this
        machine."""
        if is_local(settings):
            set_threads(settings.threads)
            return function(*arguments)
        with join_cluster(settings) as cluster:
            gpus = 1 if cluster.gpus and not settings.device.startswith(("cpu", "mps")) else 0
            place = Surroundings(Path.cwd(), None, _count_threads(settings), parallel_steps=False)
            task: Any = ray.remote(call_here)
            options = {"num_cpus": get_worker_cpus(settings) if gpus == 0 else 0, "num_gpus": gpus}
            try:
                answer = task.options(**options).remote(place, function, *arguments)
                return ray.get(answer, timeout=START_SECONDS)
            except ray.exceptions.RayTaskError as error:
                raise _unwrap(error) from None
            except ray.exceptions.RayError as error:
                raise ModelError(
                    f"the cluster gave no answer ({shorten(error)}); see `ray status` for free CPUs and GPUs"
                ) from error

    def run(self, job: Job, shards: Sequence[int], hooks: Hooks) -> Iterator[ShardReport]:
        """A report per shard as they finish.

        Raises OutputError (disk, not shared), ModelError (model, a shard that kills its workers, cluster
        lost), SettingsError (no cluster at the address).
        """
        if not shards or hooks.stopping():
            return
        settings = self.settle(job.engine)
        with join_cluster(settings) as cluster, _write_probe(job.out) as probe:
            place = Surroundings(
                Path.cwd(), probe, _count_threads(settings), self._uses_tasks(job, settings, cluster)
            )
            try:
                yield from _Actors(job, place, settings, min(settings.workers or 1, len(shards)), hooks).run(
                    shards
                )
            except ray.exceptions.RayTaskError:
                raise
            except ray.exceptions.RayError as error:
                said = shorten(error)
                raise ModelError(f"the Ray cluster was lost ({said}); run again to go on") from error

    def _uses_tasks(self, job: Job, settings: EngineSettings, cluster: Cluster) -> bool:
        if not job.parallel_steps:
            return False
        if self._steps != "auto":
            return self._steps == "tasks"
        workers = settings.workers or 1
        return cluster.cpus - workers * get_worker_cpus(settings) >= workers


@dataclass
class _Actor:
    actor: Any
    loading: Any
    """The opening of its worker; None once that is done."""
    shards: dict[Any, int] = field(default_factory=dict)
    """Task to the shard it is at."""
    count: Any = None
    """A question under way: how many items?"""
    counted: int = 0

    def list_references(self) -> list[Any]:
        """All answers that are awaited."""
        return [*self.shards, *(r for r in (self.loading, self.count) if r is not None)]


class _Actors:
    """Actors and the shards they are at."""

    def __init__(
        self, job: Job, place: Surroundings, settings: EngineSettings, workers: int, hooks: Hooks
    ) -> None:
        self._job = ray.put(job)
        self._needs = {
            "num_cpus": get_worker_cpus(settings),
            "num_gpus": 1 if settings.device == "cuda" else 0,
        }
        self._place = place
        self._workers = workers
        self._hooks = hooks
        self._members: list[_Actor] = []
        self._waiting: deque[int] = deque()
        self._resting: dict[int, float] = {}
        self._deaths: Counter[int] = Counter()
        self._failed_starts = 0
        self._told = False
        self._last_count = 0.0
        self._deadline = time.monotonic() + START_SECONDS

    def run(self, shards: Sequence[int]) -> Iterator[ShardReport]:
        self._waiting.extend(shards)
        try:
            self._members = [self._start() for _ in range(self._workers)]
            while True:
                if not self._told and self._hooks.stopping():
                    self._told = True
                    for member in self._members:
                        if member.loading is None:
                            member.actor.stop.remote()
                self._hand_out()
                if not any(member.shards for member in self._members) and (self._told or not self._waiting):
                    return
                asked = [reference for member in self._members for reference in member.list_references()]
                if not asked:  # only resting shards are left
                    time.sleep(_POLL)
                for reference in ray.wait(asked, num_returns=1, timeout=_POLL)[0] if asked else ():
                    report = self._receive(reference)
                    if report is not None:
                        yield report
                self._ask_counts()
                self._check_start()
        finally:
            self._dismiss()

    def _start(self) -> _Actor:
        remote: Any = ray.remote
        groups = {"shards": SHARDS_AT_A_TIME, "control": 1}
        build = remote(concurrency_groups=groups, **self._needs)(ClusterWorker)
        actor = build.remote(self._job, self._place)
        return _Actor(actor, actor.load.remote())

    def _hand_out(self) -> None:
        if self._told:
            return
        now = time.monotonic()
        for most in range(SHARDS_AT_A_TIME):  # one to each first: nobody waits while another has two
            for member in self._members:
                if member.loading is not None or len(member.shards) > most:
                    continue
                shard = next((s for s in self._waiting if self._resting.get(s, 0.0) <= now), None)
                if shard is None:
                    return
                self._waiting.remove(shard)
                member.shards[member.actor.process.remote(shard)] = shard

    def _receive(self, reference: Any) -> ShardReport | None:
        member = next(m for m in self._members if reference in m.list_references())
        try:
            answer = ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            cause = _unwrap(error)
            if type(cause) is not ModelError or reference not in member.shards:
                raise cause from None
            self._replace(member, cause)  # a broken device, perhaps: other machines may have a sound one
            return None
        except (
            ray.exceptions.RayActorError,
            ray.exceptions.WorkerCrashedError,
            ray.exceptions.OutOfMemoryError,
            ray.exceptions.NodeDiedError,
        ) as error:
            self._replace(member, error)
            return None
        if reference == member.loading:
            member.loading = None
            self._failed_starts = 0
            return None
        if reference == member.count:
            member.count = None
            self._advance(member, answer)
            return None
        report, count = answer
        del member.shards[reference]
        self._advance(member, count)
        assert isinstance(report, ShardReport)
        return report

    def _advance(self, member: _Actor, count: int) -> None:
        if count > member.counted:
            self._hooks.advanced(count - member.counted)
            member.counted = count

    def _replace(self, member: _Actor, error: Exception) -> None:
        said = shorten(error)
        with suppress(ray.exceptions.RayError):  # it may live on behind a broken connection
            ray.kill(member.actor)
        self._members.remove(member)
        if member.loading is not None:
            self._failed_starts += 1
            if self._failed_starts >= DEATHS:
                raise ModelError(f"{DEATHS} workers in a row could not be started on the cluster: {said}")
        for shard in sorted(member.shards.values()):
            self._deaths[shard] += 1
            if self._deaths[shard] >= DEATHS:
                raise ModelError(
                    f"{DEATHS} workers have died at shard {shard} ({said}); give them more memory or a "
                    f"smaller --batch-size and run again to go on"
                )
            self._resting[shard] = time.monotonic() + REST_SECONDS
        self._waiting.extendleft(sorted(member.shards.values(), reverse=True))
        if not self._told:
            self._members.append(self._start())

    def _ask_counts(self) -> None:
        now = time.monotonic()
        if now - self._last_count < max(_COUNT_SECONDS, self._workers / 100):
            return
        self._last_count = now
        for member in self._members:
            if member.shards and member.count is None:
                member.count = member.actor.count.remote()

    def _check_start(self) -> None:
        """Raise ModelError if no worker has found a place in time; the rest may come when they can."""
        if any(member.loading is None for member in self._members):
            self._deadline = time.monotonic() + START_SECONDS
        elif time.monotonic() > self._deadline:
            needs, has = self._needs, measure_cluster()
            raise ModelError(
                f"no worker found a place within {START_SECONDS:g} s: each needs {needs['num_cpus']} CPUs "
                f"and {needs['num_gpus']} GPUs, and the cluster has {has.cpus:g} and {has.gpus:g}, some "
                f"perhaps in use; see `ray status`, use fewer --threads, or --device cpu"
            )

    def _dismiss(self) -> None:
        with suppress(ray.exceptions.RayError):
            tasks = [task for member in self._members for task in member.shards]
            for member in self._members:
                if member.shards:
                    member.actor.stop.remote()
            if tasks:
                ray.wait(tasks, num_returns=len(tasks), timeout=DISMISSAL_SECONDS)
        for member in self._members:
            with suppress(ray.exceptions.RayError):
                ray.kill(member.actor)


def _count_threads(settings: EngineSettings) -> int:
    """Threads of a worker's arithmetic: this process's own number if none is asked for, as in-process."""
    return settings.threads or count_threads()


def _unwrap(error: ray.exceptions.RayTaskError) -> Exception:
    """The error of this package that was raised on the cluster, or ``error`` with a foreign one's trace."""
    return error.cause if isinstance(error.cause, CycloramaError) else error


@contextmanager
def _write_probe(out: Path) -> Iterator[Path]:
    probe = out.absolute() / "journal" / f"probe-{uuid.uuid4().hex}"
    write_atomic(probe, b"")
    try:
        yield probe
    finally:
        with suppress(OSError, OutputError):
            probe.unlink(missing_ok=True)
