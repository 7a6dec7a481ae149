"""One shard from files to finished rows: read, cut out, sample, composite, judge, write, all at once.

Batches follow from the shard's rows alone (see :mod:`cyclorama.generation.plan`); threads only decide when a
step is done, never what comes out. A bounded number of batches is under way at a time, so memory does not
depend on the shard's size.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from cyclorama.errors import OutputError
from cyclorama.generation.batches import Batch
from cyclorama.generation.engine import Sampler
from cyclorama.generation.items import Failure
from cyclorama.generation.job import (
    ImageRun,
    ReferenceCache,
    finish_image,
    inspect_row,
    load_product,
    open_network,
    rename_paths,
)
from cyclorama.generation.rows import describe_recipe, prepare_image
from cyclorama.generation.shard import RowState, ShardState, Spot
from cyclorama.generation.sheet import SHOWN_ROWS, name_thumbnails
from cyclorama.generation.task import Task
from cyclorama.generation.writers import build_ending
from cyclorama.imaging.product import Product
from cyclorama.jobs.job import SHARDS_AT_A_TIME, Hooks, ShardReport
from cyclorama.jobs.store import Journal, ShardStore

T = TypeVar("T")
_Made = list[tuple[Spot, dict[str, Any] | Exception]]
"""An image's entry, or why there is none."""


class ImageWorker:
    """A loaded model and the threads around it; may be asked for several shards at a time, from threads."""

    def __init__(self, job: ImageRun, device: str, pool: Executor | None = None) -> None:
        """``pool`` runs the steps before and after the model, which is loaded on ``device`` when there is
        something to make.

        Raises MissingDependencyError (no rembg).
        """
        self.job = job
        self.store = ShardStore(job.out)
        open_network(job.config.run.cutout)
        self._device = device
        self._sampler: Sampler | None = None
        self.pool = pool or ThreadPoolExecutor(job.engine.loaders, thread_name_prefix="cyclorama-step")
        flying = SHARDS_AT_A_TIME * job.config.run.in_flight
        self.batches = ThreadPoolExecutor(flying, thread_name_prefix="cyclorama-batch")
        self.references = ReferenceCache()
        self._lock, self._loading = threading.Lock(), threading.Lock()
        self._active = 0
        self._since = (0.0, 0.0)

    @property
    def sampler(self) -> Sampler:
        """The model, loaded. Raises ModelError."""
        with self._loading:
            if self._sampler is None:
                model = self.job.open_model(self._device)
                self._sampler = Sampler(model, self.job.config.settings, self.job.batch_size)
            return self._sampler

    @property
    def busy_seconds(self) -> float:
        """Time the model has worked."""
        return 0.0 if self._sampler is None else self._sampler.busy_seconds

    def close(self) -> None:
        """End all threads."""
        self.batches.shutdown()
        self.pool.shutdown()
        if self._sampler is not None:
            self._sampler.close()

    def process(self, shard: int, hooks: Hooks) -> ShardReport:
        """Finish ``shard``, or as many of its batches as there were before the run was stopped.

        Raises OutputError (disk), ModelError (device lost).
        """
        with self._lock:
            if self._active == 0:
                self._since = (time.perf_counter(), self.busy_seconds)
            self._active += 1
        try:
            with self.store.open_journal(shard) as journal:
                report = _ShardRun(self, shard, journal, hooks).work()
        finally:
            with self._lock:  # times count from the report before, since shards overlap
                before, self._since = self._since, (time.perf_counter(), self.busy_seconds)
                now = self._since
                self._active -= 1
        return replace(report, wall_seconds=now[0] - before[0], busy_seconds=now[1] - before[1])


class ImageJob(ImageRun):
    """The run as engines take it."""

    def open_worker(self, device: str, pool: Executor | None = None) -> ImageWorker:
        """A worker in this process. Raises MissingDependencyError."""
        return ImageWorker(self, device, pool)


class _ShardRun:
    def __init__(self, worker: ImageWorker, shard: int, journal: Journal, hooks: Hooks) -> None:
        self.worker = worker
        self.job = worker.job
        self.shard = shard
        self.journal = journal
        self.hooks = hooks
        self.folder = worker.store.get_work(shard)
        self.state = ShardState(self.job, shard, worker.store, journal.entries)
        self.loads: dict[int, Future[tuple[Product, float]]] = {}
        self.uses: Counter[int] = Counter()
        self.advanced = 0
        self.notes: tuple[str, ...] = ()

    def work(self) -> ShardReport:
        """Finish the shard, write its rows and mark, and clear its work folder; or end early if the run is
        stopped."""
        finished = self._inspect() and (all(row.settled for row in self.state.rows) or self._make())
        results = [row.result for row in self.state.rows if row.result is not None]
        if finished:
            self.job.writer.close_shard(self.shard, results)
            key = self.job.plan.keys[self.shard]
            self.worker.store.save_shard(self.shard, key, results, self.state.build_mark())
        done = sum(result["status"] == "done" for result in results)
        return ShardReport(
            shard=self.shard,
            done=done,
            failed=len(results) - done,
            reused=sum(row.reused for row in self.state.rows),
            made=self.state.sampled,
            advanced=self.advanced,
            finished=finished,
            notes=self.notes,
        )

    def _make(self) -> bool:
        """Whether everything is made; False if the run was stopped before."""
        last = self.job.config.run.attempts
        for number in range(1 + last):
            if not self._run(self.state.build_batches(self.worker.sampler.model, number)):
                return False
            for row in self.state.rows:
                self._settle(row, last=number == last)
        return True

    def _inspect(self) -> bool:
        """Headers and digests of all rows that are not finished; what is finished under equal contents is
        kept. False if the run was stopped before."""
        scratch = self.folder / "inputs"
        todo = [row for row in self.state.rows if not row.settled]
        futures = [self.worker.pool.submit(inspect_row, self.job, row.plan, scratch) for row in todo]
        try:
            for row, future in zip(todo, futures, strict=True):
                if self.hooks.stopping():
                    return False
                files = _try(future.result)
                if isinstance(files, Exception):
                    self._fail(row, files)
                    continue
                row.files = files
                self.state.reuse_by_content(row)
        finally:  # what nobody waits for any more is not begun
            for future in futures:
                future.cancel()
        return True

    def _run(self, batches: Sequence[Batch[Spot]]) -> bool:
        flying: deque[tuple[Batch[Spot], Future[_Made]]] = deque()
        for batch in batches:
            self.uses.update({spot.row for spot in batch.members})
        try:
            for batch in batches:
                if len(flying) >= self.job.config.run.in_flight:
                    self._collect(*flying.popleft())
                if self.hooks.stopping():
                    return False
                for spot in batch.members:
                    row = self.state.rows[spot.row]
                    if spot.row not in self.loads and row.files is not None:
                        load = self.worker.pool.submit(load_product, self.job, row.plan, row.files)
                        self.loads[spot.row] = load
                flying.append((batch, self.worker.batches.submit(self._make_batch, batch)))
            while flying:
                self._collect(*flying.popleft())
        finally:
            # Also when stopping: the batches in hand are finished and recorded.
            while flying:
                with suppress(OutputError):
                    self._collect(*flying.popleft())
        return True

    def _make_batch(self, batch: Batch[Spot]) -> _Made:
        """An entry or an error per spot; in a thread of its own."""
        results: _Made = []
        ready: list[tuple[Spot, Task, dict[str, Any]]] = []
        for spot in batch.members:
            prepared = _try(self._prepare, spot)
            if isinstance(prepared, Exception):
                results.append((spot, prepared))
            else:
                ready.append((spot, *prepared))
        if not ready:
            return results
        finishing: list[tuple[Spot, Future[dict[str, Any]], dict[str, Any]]] = []
        sampled = self.worker.sampler.sample([task for _, task, _ in ready], batch.places)
        for (spot, task, known), (made, places, share) in zip(ready, sampled, strict=True):
            if isinstance(made, Exception):
                results.append((spot, made))
                continue
            files = self._describe(spot, task.product)
            values = (made, task.product, task.reference, *files)
            future = self.worker.pool.submit(finish_image, self.job, *values)
            finishing.append((spot, future, known | {"model_seconds": share, "places": places}))
        for spot, future, known in finishing:
            entry = _try(future.result)
            results.append((spot, entry if isinstance(entry, Exception) else entry | known))
        return results

    def _prepare(self, spot: Spot) -> tuple[Task, dict[str, Any]]:
        """What the model is asked for, and what the image's entry says of it."""
        row = self.state.rows[spot.row]
        product, seconds = self.loads[spot.row].result()
        values = (product, self.worker.references, self.worker.sampler.model.registry)
        task, placement = prepare_image(row, spot.layout, spot.candidate, *values)
        known = {"load_seconds": seconds, "placement": placement, "recognised": row.recognition}
        return task, known

    def _describe(self, spot: Spot, product: Product) -> tuple[dict[str, Any], Path, dict[str, str]]:
        """What goes with an image into its files, where these are staged, and its thumbnails' names."""
        state, settings = self.state.rows[spot.row], self.job.config.settings
        row, layout = state.plan, self.job.layouts[spot.layout]
        recipe = describe_recipe(state, spot.layout, spot.candidate, product)
        names: dict[str, str] = {}
        if row.row < SHOWN_ROWS:
            ending = build_ending(layout.name, spot.candidate + 1, settings.candidates)
            digest = None if state.files is None else state.files.digests.get("reference")
            names = name_thumbnails(row.output, ending, spot.layout == spot.candidate == 0, digest)
        target = self.folder / f"{row.key}-{spot.layout}-{spot.candidate}"
        return recipe, target, names

    def _collect(self, batch: Batch[Spot], future: Future[_Made]) -> None:
        """Record a batch's images, and the rows that are complete with them."""
        for spot, result in future.result():
            row = self.state.rows[spot.row]
            if isinstance(result, Exception):
                self._fail(row, result)
            else:
                entry = {"row": row.plan.row, "key": row.plan.key, "spot": [spot.layout, spot.candidate]}
                self.journal.append(entry | result)
                row.images[spot.layout, spot.candidate] = result
                self.state.sampled += 1
        for number in {spot.row for spot in batch.members}:
            self.uses[number] -= 1
            if self.uses[number] <= 0:
                self.loads.pop(number, None)
            self._settle(self.state.rows[number], last=self.job.config.run.attempts == 0)
        if all(spot.candidate < self.job.config.settings.candidates for spot in batch.members):
            self.advanced += len(batch.members)
            self.hooks.advanced(len(batch.members))
        smaller = self.worker.sampler.largest
        if smaller < self.job.batch_size and not self.notes:
            self.notes = (f"memory ran out: batches of {smaller} instead of {self.job.batch_size}",)

    def _settle(self, row: RowState, last: bool) -> None:
        """Publish a row whose images are all there."""
        if row.settled or not row.is_complete(last):
            return
        result, files = row.conclude()
        self.job.writer.publish(self.shard, self.folder, files)
        row.result = result
        self.journal.append({"row": row.plan.row, "key": row.plan.key, "result": row.result})

    def _fail(self, row: RowState, error: Exception) -> None:
        if row.settled:
            return
        failure = Failure.of(error)
        failure = replace(failure, reason=rename_paths(row.plan, row.files, failure.reason))
        row.fail(failure)
        self.journal.append({"row": row.plan.row, "key": row.plan.key, "result": row.result})


def _try(function: Callable[..., T], *arguments: Any) -> T | Exception:
    """What ``function`` returns or raises: whatever a file, encoder or gate does to us is this row's failure,
    not the run's; a disk that refuses is the run's."""
    try:
        return function(*arguments)
    except OutputError:
        raise
    except Exception as error:
        return error
