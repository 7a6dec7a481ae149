"""A whole catalogue run: plan, tell finished shards from open ones, have an engine do these, merge the
tables."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa

from cyclorama import __version__
from cyclorama.catalogue.batching import choose_batch_size
from cyclorama.catalogue.config import CatalogueConfig
from cyclorama.catalogue.job import Job, LoadModel, Toolkit, build_loader, build_toolkit
from cyclorama.catalogue.moving import note_moved_rows
from cyclorama.catalogue.plan import FORMAT, Plan, build_plan
from cyclorama.catalogue.results import read_table
from cyclorama.catalogue.shard import build_run_values
from cyclorama.catalogue.store import Store
from cyclorama.generation.model import ModelHandle
from cyclorama.jobs.job import Engine, Hooks, build_engine
from cyclorama.jobs.run import run_shards


@dataclass
class CatalogueResult:
    """What a run has done, and what the catalogue looks like after it."""

    rows: int
    done: int = 0
    failed: int = 0
    sampled: int = 0
    """Images made now."""
    shards: int = 0
    open_shards: int = 0
    """Shards that were not finished when the run began."""
    finished: bool = False
    plan_seconds: float = 0.0
    wall_seconds: float = 0.0
    """Of the engine, from the first shard's start to the last one's end."""
    worker_seconds: float = 0.0
    model_seconds: float = 0.0
    notes: list[str] = field(default_factory=list)

    @property
    def outside_model(self) -> float:
        """Share of the workers' wall time in which the model did not work, 0-1."""
        return 0.0 if self.worker_seconds <= 0 else max(0.0, 1 - self.model_seconds / self.worker_seconds)


def run_catalogue(
    manifest: str,
    out: Path,
    model: ModelHandle,
    config: CatalogueConfig,
    hooks: Hooks | None = None,
    *,
    engine: Engine | None = None,
    toolkit: Toolkit | None = None,
    load_model: LoadModel | None = None,
) -> CatalogueResult:
    """Make every image of ``manifest`` that ``out`` does not hold yet; one row in, one row out.

    Invariant: however often it is killed and run again, with any number of workers, ``out`` ends with the
    same images and the same ``results.parquet``, byte for byte (on a CPU in float32 with equal
    ``threads``).

    Raises ManifestError, UnknownCategoryError, OutputError (disk, another run), ModelError.
    """
    hooks = hooks or Hooks()
    engine = engine or build_engine(config.engine_settings)
    toolkit = toolkit or build_toolkit(config, out)
    load_model = load_model or build_loader(config)
    store = Store(out)
    with store.lock():
        start = time.perf_counter()
        job, finished = prepare_job(manifest, store, model, config, engine, toolkit, load_model)
        plan = job.plan
        open_shards = [shard for shard in range(len(plan.keys)) if shard not in finished]
        result = CatalogueResult(plan.rows, shards=len(plan.keys), open_shards=len(open_shards))
        result.plan_seconds = time.perf_counter() - start
        if open_shards:
            store.unmerge()
            note_moved_rows(store, plan, open_shards, finished)
            _work(job, engine, open_shards, hooks, result)
        _conclude(store, plan, result)
    return result


def prepare_job(
    manifest: str,
    store: Store,
    model: ModelHandle,
    config: CatalogueConfig,
    engine: Engine,
    toolkit: Toolkit,
    load_model: LoadModel,
) -> tuple[Job, set[int]]:
    """The job for ``manifest`` and the shards that are finished. Raises as :func:`run_catalogue`."""
    values = build_run_values(config.describe(), toolkit.describe(), model.hash)
    plan = build_plan(manifest, store.plan_folder, config, model.registry, values)
    finished, with_failures = find_finished(store, plan, toolkit)
    retry = frozenset(with_failures) if config.retry_failed else frozenset()
    job = Job(store.out, plan, config, model, 0, load_model, toolkit, retry)
    earlier = store.load_run()
    size = choose_batch_size(job, engine, earlier, needed=len(finished - retry) < len(plan.keys))
    store.save_run(
        {
            "format": FORMAT,
            "cyclorama": __version__,
            "manifest": manifest,
            "model": model.name,
            "settings": values,
            "device": config.device,
            "threads": config.threads,
            "shard_size": config.shard_size,
            "batch_size": size,
        }
    )
    return replace(job, batch_size=size), finished - retry


def find_finished(store: Store, plan: Plan, toolkit: Toolkit) -> tuple[set[int], set[int]]:
    """Shards whose mark fits the plan and whose images are there; and those of them with failed rows."""
    finished, with_failures = set(), set()
    for shard, key in enumerate(plan.keys):
        if store.load_key(shard) != key:
            continue
        mark = store.load_mark(shard)
        if mark is None or not _has_images(store, shard, toolkit):
            continue
        finished.add(shard)
        if mark.failed:
            with_failures.add(shard)
    return finished, with_failures


def _has_images(store: Store, shard: int, toolkit: Toolkit) -> bool:
    try:
        table = read_table(store.get_results(shard), columns=["output", "bytes"])
    except (OSError, pa.ArrowException):
        return False
    images, sizes = (table.column(name).drop_null().to_pylist() for name in ("output", "bytes"))
    return toolkit.writer.is_complete(shard, images, sizes)


def _work(job: Job, engine: Engine, shards: Sequence[int], hooks: Hooks, result: CatalogueResult) -> None:
    per_row = job.config.settings.candidates * len(job.toolkit.layouts)
    size, rows = job.plan.shard_size, job.plan.rows
    expected = {shard: per_row * min(size, rows - shard * size) for shard in shards}
    totals = run_shards(job, expected, hooks, engine)
    result.sampled, result.notes = totals.made, totals.notes
    result.wall_seconds, result.worker_seconds = totals.wall_seconds, totals.worker_seconds
    result.model_seconds = totals.busy_seconds


def _conclude(store: Store, plan: Plan, result: CatalogueResult) -> None:
    """Count what stands; with every shard finished, merge the tables and drop shards the plan no longer
    has."""
    complete = True
    for shard, key in enumerate(plan.keys):
        mark = store.load_mark(shard) if store.load_key(shard) == key else None
        if mark is None:
            complete = False
            continue
        result.done += mark.done
        result.failed += mark.failed
    result.finished = complete
    if not complete:
        return
    for shard in store.list_shards():
        if shard >= len(plan.keys):
            store.remove_shard(shard)
    if result.open_shards or not store.is_merged():
        store.merge(len(plan.keys))
    store.clear_work()
