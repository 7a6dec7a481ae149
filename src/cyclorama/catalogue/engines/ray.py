"""The engine for many machines: models in Ray actors, the steps beside them in Ray tasks.

An actor has at most two shards in work, so that its model has something to do between them. Images, tables
and journals go to the shared output folder; only small reports travel back. An actor that is lost with its
process or machine is replaced, and its shards are given again: what was finished is in their journals.

Ray Data is not used: its blocks, shuffles and own notion of progress would do again what the plan and the
journals do, and more slowly.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import ray

from cyclorama.catalogue.engines.in_process import DEATHS
from cyclorama.catalogue.engines.ray_cluster import (
    Cluster,
    get_worker_cpus,
    is_local,
    join_cluster,
    measure_cluster,
)
from cyclorama.catalogue.engines.ray_worker import ModelWorker, Setting, measure_on_worker
from cyclorama.catalogue.engines.work import Work
from cyclorama.catalogue.job import Job
from cyclorama.catalogue.protocols import EngineConfig, EngineHooks, Measurement, ShardReport
from cyclorama.catalogue.worker import LANES
from cyclorama.errors import CycloramaError, ModelError, OutputError, SettingsError
from cyclorama.files import write_atomic
from cyclorama.generation.model import choose_device

START_SECONDS = 600.0
"""How long to wait for the first worker; a cluster that grows on demand needs minutes."""
REST_SECONDS = 2.0
"""How long a lost worker's shard rests, while steps that the worker had under way come to their end."""
DISMISSAL_SECONDS = 10.0
_POLL = 0.2
_COUNT_SECONDS = 0.5

StagePlace = Literal["auto", "tasks", "threads"]


def build_engine(config: EngineConfig) -> RayEngine:
    """The engine for ``config``. Raises SettingsError for a device that Ray would have to choose itself."""
    if config.device.startswith("cuda:"):
        raise SettingsError(
            f"--device {config.device} names one GPU, but Ray gives every worker its own; use --device cuda"
        )
    return RayEngine()


def choose_cluster_device(config: EngineConfig, device: str, dtype: str) -> tuple[str, str]:
    """As :func:`cyclorama.generation.model.choose_device`, on a machine of the cluster: with a GPU if there
    is one.

    Raises SettingsError (also if nobody answers at the address).
    """
    if is_local(config):
        return choose_device(device, dtype)
    with join_cluster(config) as cluster:
        gpus = 1 if cluster.gpus and not device.startswith(("cpu", "mps")) else 0
        task: Any = ray.remote(choose_device)
        chosen = task.options(num_gpus=gpus, num_cpus=0).remote(device, dtype)
        answer: tuple[str, str] = _get(chosen, START_SECONDS)
        return answer


class RayEngine:
    """Workers on a Ray cluster: that of ``config.address``, or one on this machine for the run's time."""

    def __init__(self, stages: StagePlace = "auto") -> None:
        """``stages``: where the steps beside the model run, in tasks on any CPU or in threads of the worker.

        ``auto`` takes tasks if the cluster has at least one CPU per worker beside what workers hold.
        """
        self._stages = stages

    def measure(self, job: Job) -> Measurement:
        """A trial on one of the cluster's machines."""
        with join_cluster(job.config):
            setting = Setting(Path.cwd(), None, _count_threads(job.config), stage_tasks=False)
            task = ray.remote(measure_on_worker).options(**_build_options(job.config))
            measured: Measurement = _get(task.remote(job, setting), START_SECONDS)
            return measured

    def run(self, job: Work, shards: Sequence[int], hooks: EngineHooks) -> Iterator[ShardReport]:
        """A report per shard as they finish.

        Raises OutputError (disk, not shared), ModelError (model, a shard that kills its workers, cluster
        lost), SettingsError (no cluster at the address).
        """
        if not shards or hooks.stopping():
            return
        with join_cluster(job.config) as cluster, _write_probe(job.out) as probe:
            threads = _count_threads(job.config)
            setting = Setting(Path.cwd(), probe, threads, self._uses_tasks(job, cluster))
            try:
                yield from _Team(job, setting, min(job.config.workers, len(shards)), hooks).run(shards)
            except ray.exceptions.RayTaskError:
                raise
            except ray.exceptions.RayError as error:
                said = " ".join(str(error).split())[:300]
                raise ModelError(f"the Ray cluster was lost ({said}); run again to go on") from error

    def _uses_tasks(self, job: Work, cluster: Cluster) -> bool:
        if not isinstance(job, Job):
            return False
        if self._stages != "auto":
            return self._stages == "tasks"
        return cluster.cpus - job.config.workers * get_worker_cpus(job.config) >= job.config.workers


@dataclass
class _Member:
    actor: Any
    loading: Any
    """The loading of its model; None once that is done."""
    shards: dict[Any, int] = field(default_factory=dict)
    """Task to the shard it is at."""
    count: Any = None
    """A question under way: how many images?"""
    counted: int = 0

    def list_references(self) -> list[Any]:
        """All answers that are awaited."""
        return [*self.shards, *(r for r in (self.loading, self.count) if r is not None)]


class _Team:
    """Actors and the shards they are at."""

    def __init__(self, job: Work, setting: Setting, workers: int, hooks: EngineHooks) -> None:
        self._job = ray.put(job)
        self._config = job.config
        self._setting = setting
        self._workers = workers
        self._hooks = hooks
        self._members: list[_Member] = []
        self._waiting: deque[int] = deque()
        self._resting: dict[int, float] = {}
        self._deaths: Counter[int] = Counter()
        self._failed_starts = 0
        self._told = False
        self._last_count = 0.0
        self._deadline = 0.0

    def run(self, shards: Sequence[int]) -> Iterator[ShardReport]:
        self._waiting.extend(shards)
        self._deadline = time.monotonic() + START_SECONDS
        try:
            self._members = [self._start() for _ in range(self._workers)]
            while True:
                self._pass_on_stop()
                self._hand_out()
                if not self._has_work():
                    return
                for reference in self._wait():
                    report = self._receive(reference)
                    if report is not None:
                        yield report
                self._ask_counts()
                self._check_start()
        finally:
            self._dismiss()

    def _start(self) -> _Member:
        remote: Any = ray.remote
        groups = {"shards": LANES, "control": 1}
        build = remote(concurrency_groups=groups, **_build_options(self._config))(ModelWorker)
        actor = build.remote(self._job, self._setting)
        return _Member(actor, actor.load.remote())

    def _has_work(self) -> bool:
        return any(member.shards for member in self._members) or (bool(self._waiting) and not self._told)

    def _pass_on_stop(self) -> None:
        if self._told or not self._hooks.stopping():
            return
        self._told = True
        for member in self._members:
            if member.loading is None:
                member.actor.stop.remote()

    def _hand_out(self) -> None:
        if self._told:
            return
        now = time.monotonic()
        for lane in range(LANES):  # one to each first, lest the last ones wait for the first ones
            for member in self._members:
                if member.loading is not None or len(member.shards) > lane:
                    continue
                shard = next((s for s in self._waiting if self._resting.get(s, 0.0) <= now), None)
                if shard is None:
                    return
                self._waiting.remove(shard)
                member.shards[member.actor.process.remote(shard)] = shard

    def _wait(self) -> list[Any]:
        asked = [reference for member in self._members for reference in member.list_references()]
        if not asked:  # only resting shards are left
            time.sleep(_POLL)
            return []
        ready, _ = ray.wait(asked, num_returns=1, timeout=_POLL)
        return list(ready)

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

    def _advance(self, member: _Member, count: int) -> None:
        if count > member.counted:
            self._hooks.advanced(count - member.counted)
            member.counted = count

    def _replace(self, member: _Member, error: Exception) -> None:
        said = " ".join(str(error).split())[:300]
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
            raise _build_place_error(self._config)

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


def _build_options(config: EngineConfig) -> dict[str, Any]:
    """What Ray sets aside for a worker."""
    return {"num_cpus": get_worker_cpus(config), "num_gpus": 1 if config.device == "cuda" else 0}


def _build_place_error(config: EngineConfig) -> ModelError:
    needs, has = _build_options(config), measure_cluster()
    return ModelError(
        f"no worker found a place within {START_SECONDS:g} s: each needs {needs['num_cpus']} CPUs and "
        f"{needs['num_gpus']} GPUs, and the cluster has {has.cpus:g} and {has.gpus:g}, some perhaps in use; "
        f"see `ray status`, use fewer --threads, or --device cpu"
    )


def _count_threads(config: EngineConfig) -> int:
    """Threads of a worker's arithmetic: torch's own number here if none is asked for, as in-process."""
    import torch

    return config.threads or torch.get_num_threads()


def _get(reference: Any, seconds: float) -> Any:
    try:
        return ray.get(reference, timeout=seconds)
    except ray.exceptions.RayTaskError as error:
        raise _unwrap(error) from None
    except ray.exceptions.RayError as error:
        said = " ".join(str(error).split())[:300]
        raise ModelError(
            f"the cluster gave no answer ({said}); see `ray status` for free CPUs and GPUs"
        ) from error


def _unwrap(error: ray.exceptions.RayTaskError) -> Exception:
    """The error of this package that was raised on the cluster, or ``error`` with a foreign one's trace."""
    return error.cause if isinstance(error.cause, CycloramaError) else error


@contextmanager
def _write_probe(out: Path) -> Iterator[Path]:
    probe = out.absolute() / "work" / f"probe-{uuid.uuid4().hex}"
    write_atomic(probe, b"")
    try:
        yield probe
    finally:
        with suppress(OSError, OutputError):
            probe.unlink(missing_ok=True)
