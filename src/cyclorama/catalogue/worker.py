"""One shard from files to finished rows: read, cut out, sample, composite, judge, write, all at once.

Batches follow from the shard's rows alone (see :mod:`cyclorama.catalogue.plan`); threads only decide when a
step is done, never what comes out. A bounded number of batches is under way at a time, so memory does not
depend on the shard's size.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from cyclorama.catalogue.job import Job
from cyclorama.catalogue.references import ReferenceCache
from cyclorama.catalogue.sampler import Sampler
from cyclorama.catalogue.shard import Batch, RowState, ShardState, Spot
from cyclorama.catalogue.stages import build_network, finish_image, inspect_row, load_product
from cyclorama.catalogue.store import Store
from cyclorama.errors import OutputError
from cyclorama.generation.engine import Task
from cyclorama.generation.items import Failure
from cyclorama.generation.model import find_here
from cyclorama.generation.recipe import ImageSource, describe_image
from cyclorama.imaging.product import Product, Reference
from cyclorama.jobs.job import LANES, Hooks, ShardReport
from cyclorama.jobs.journal import Journal
from cyclorama.models.registry import Category


class ImageWorker:
    """A loaded model and the threads around it; may be asked for several shards at a time, from threads."""

    def __init__(self, job: Job, device: str, pool: Executor | None = None) -> None:
        """Load the job's model on ``device``. ``pool`` runs the steps before and after the model.

        Raises ModelFormatError, MissingDependencyError (no rembg).
        """
        self.job = job
        self.store = Store(job.out)
        build_network(job.config.cutout)
        self.sampler = Sampler(
            job.load_model(find_here(job.model), device, job.config.dtype),
            job.config.settings,
            job.batch_size,
        )
        self.pool = pool or ThreadPoolExecutor(job.config.loaders, thread_name_prefix="cyclorama-stage")
        self.batches = ThreadPoolExecutor(LANES * job.config.in_flight, thread_name_prefix="cyclorama-batch")
        self.references = ReferenceCache()
        self._lock = threading.Lock()
        self._active = 0
        self._since = (0.0, 0.0)

    def close(self) -> None:
        """End all threads."""
        self.batches.shutdown()
        self.pool.shutdown()
        self.sampler.close()

    def process(self, shard: int, hooks: Hooks) -> ShardReport:
        """Finish ``shard``, or as many of its batches as there were before a stop was wished.

        Raises OutputError (disk), ModelError (device lost).
        """
        with self._lock:
            if self._active == 0:
                self._since = (time.perf_counter(), self.sampler.busy_seconds)
            self._active += 1
        try:
            return self._process(shard, hooks)
        finally:
            with self._lock:
                self._active -= 1

    def _process(self, shard: int, hooks: Hooks) -> ShardReport:
        with self.store.open_journal(shard) as journal:
            run = _ShardRun(self, shard, journal, hooks)
            finished = run.work()
            report = run.state.report(finished)
            if finished:
                run.close()
        with self._lock:  # times count from the report before, since shards overlap
            before, now = self._since, (time.perf_counter(), self.sampler.busy_seconds)
            self._since = now
        return replace(
            report,
            wall_seconds=now[0] - before[0],
            busy_seconds=now[1] - before[1],
            advanced=run.advanced,
            notes=run.notes,
        )


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

    def work(self) -> bool:
        """Whether the shard is finished; False if a stop was wished before."""
        self._inspect()
        for number in range(1 + self.job.config.attempts):
            if not self._run(self.state.build_batches(self.worker.sampler.model, number)):
                return False
            for row in self.state.rows:
                self._settle(row, last=number == self.job.config.attempts)
        return True

    def close(self) -> None:
        """Write the shard's tables and mark, and clear its work folder."""
        rows = [row.build_result() for row in self.state.rows]
        writer = self.job.toolkit.writer
        files = writer.close_shard(self.shard, rows)
        kept = sum(row.count_kept() for row in self.state.rows)
        self.worker.store.save_shard(self.shard, self.job.plan.keys[self.shard], rows, files, kept)
        self.worker.store.close_work(self.shard)

    def _inspect(self) -> None:
        """Headers and digests of all rows that are not finished; what is finished under equal contents is
        kept."""
        scratch = self.folder / "inputs"
        todo = [row for row in self.state.rows if not row.settled]
        futures = [
            self.worker.pool.submit(
                inspect_row, self.job.plan, row.plan, self.state.run_values, scratch, self.job.config.settings
            )
            for row in todo
        ]
        for row, future in zip(todo, futures, strict=True):
            try:
                row.files = future.result()
            except OutputError:
                raise
            except Exception as error:  # whatever a file does to us is this row's failure, not the run's
                self._fail(row, error)
                continue
            self.state.reuse_by_content(row)

    def _run(self, batches: Sequence[Batch]) -> bool:
        flying: deque[tuple[Batch, Future[list[tuple[Spot, dict[str, Any] | Exception]]]]] = deque()
        for batch in batches:
            self.uses.update({spot.row for spot in batch.spots})
        try:
            for batch in batches:
                if self.hooks.stopping():
                    return False
                if len(flying) >= self.job.config.in_flight:
                    self._collect(*flying.popleft())
                for spot in batch.spots:
                    self._start_load(spot.row)
                flying.append((batch, self.worker.batches.submit(self._make_batch, batch)))
            while flying:
                self._collect(*flying.popleft())
        finally:
            # Also when stopping: the batches in hand are finished and recorded.
            while flying:
                with suppress(OutputError):
                    self._collect(*flying.popleft())
        return True

    def _start_load(self, number: int) -> None:
        row = self.state.rows[number]
        if number not in self.loads and row.files is not None:
            self.loads[number] = self.worker.pool.submit(
                load_product, row.plan, row.files, self.job.config.cutout
            )

    def _make_batch(self, batch: Batch) -> list[tuple[Spot, dict[str, Any] | Exception]]:
        """An entry or an error per spot; in a thread of its own."""
        results: list[tuple[Spot, dict[str, Any] | Exception]] = []
        ready: list[tuple[Spot, Product, Reference | None, dict[str, Any]]] = []
        for spot in batch.spots:
            row = self.state.rows[spot.row]
            try:
                product, seconds = self.loads[spot.row].result()
                layout = self.job.toolkit.layouts[spot.layout]
                placed = layout.place(product)
                placement = {} if layout.is_plain else layout.compute_placement(product).describe()
                reference = None if row.files is None else self.worker.references.load(row.plan, row.files)
                ready.append((spot, placed, reference, {"load_seconds": seconds, "placement": placement}))
            except OutputError:
                raise
            except Exception as error:  # as above
                results.append((spot, error))
        if not ready:
            return results
        tasks = [self._build_task(spot, product, reference) for spot, product, reference, _ in ready]
        finishing: list[tuple[Spot, Future[dict[str, Any]], dict[str, Any]]] = []
        sampled = self.worker.sampler.sample(tasks, batch.places)
        for (spot, product, reference, known), (made, places, share) in zip(ready, sampled, strict=True):
            if isinstance(made, Exception):
                results.append((spot, made))
                continue
            row = self.state.rows[spot.row]
            recipe = self._describe(spot, product, made.seed)
            target = self.folder / f"{row.plan.key}-{spot.layout}-{spot.candidate}"
            future = self.worker.pool.submit(
                finish_image, made, product, reference, recipe, self.job.toolkit, target
            )
            finishing.append((spot, future, known | {"model_seconds": share, "places": places}))
        for spot, future, known in finishing:
            try:
                results.append((spot, future.result() | known))
            except OutputError:
                raise
            except Exception as error:  # an encoder or gate that does not take this image
                results.append((spot, error))
        return results

    def _describe(self, spot: Spot, product: Product, seed: int) -> dict[str, Any]:
        """The recipe that goes into the image's file."""
        row = self.state.rows[spot.row].plan
        source = ImageSource(
            name=row.name,
            seed=seed,
            category=row.category,
            identifier=row.identifier,
            reference=None if row.reference is None else PurePosixPath(row.reference).name,
            mask_source=product.mask_source,
        )
        layout = self.job.toolkit.layouts[spot.layout]
        return describe_image(source, self.job.model, self.job.config.describe_settings(), layout)

    def _build_task(self, spot: Spot, product: Product, reference: Reference | None) -> Task:
        row = self.state.rows[spot.row]
        category = self.worker.sampler.model.registry.resolve(row.plan.category or "")
        assert isinstance(category, Category)
        return Task(product, category, row.seeds[spot.candidate], reference, row.plan.name)

    def _collect(self, batch: Batch, future: Future[list[tuple[Spot, dict[str, Any] | Exception]]]) -> None:
        """Record a batch's images, and the rows that are complete with them."""
        for spot, result in future.result():
            row = self.state.rows[spot.row]
            if isinstance(result, Exception):
                self._fail(row, result)
            else:
                entry = {"row": row.plan.row, "key": row.plan.key, "spot": [spot.layout, spot.candidate]}
                self.journal.append(entry | result)
                row.add_image(spot, result)
                self.state.sampled += 1
        for number in {spot.row for spot in batch.spots}:
            self.uses[number] -= 1
            if self.uses[number] <= 0:
                self.loads.pop(number, None)
            self._settle(self.state.rows[number], last=self.job.config.attempts == 0)
        if all(spot.candidate < self.job.config.settings.candidates for spot in batch.spots):
            self.advanced += len(batch.spots)
            self.hooks.advanced(len(batch.spots))
        smaller = self.worker.sampler.largest
        if smaller < self.job.batch_size and not self.notes:
            self.notes = (f"memory ran out: batches of {smaller} instead of {self.job.batch_size}",)

    def _settle(self, row: RowState, last: bool) -> None:
        """Publish a row whose images are all there."""
        if row.settled or not row.is_complete(last):
            return
        files = row.select(self.folder)
        self.job.toolkit.writer.publish(self.shard, files)
        row.finish()
        self.journal.append({"row": row.plan.row, "key": row.plan.key, "result": row.build_result()})

    def _fail(self, row: RowState, error: Exception) -> None:
        if row.settled:
            return
        failure = Failure.of(error)
        for column, path in ({} if row.files is None else row.files.paths).items():
            address = self.job.plan.resolve(getattr(row.plan, column))
            if address and str(path) != address:
                failure = replace(failure, reason=failure.reason.replace(str(path), address))
        row.fail(failure)
        self.journal.append({"row": row.plan.row, "key": row.plan.key, "result": row.build_result()})
