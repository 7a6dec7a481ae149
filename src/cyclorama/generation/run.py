"""A whole run into an output folder: sample what is missing, record it, tell what became of each input."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cyclorama.files import write_atomic
from cyclorama.generation import thumbs
from cyclorama.generation.batches import Batch, build_batches, choose_batch_size
from cyclorama.generation.embed import ImageEncoder
from cyclorama.generation.engine import Pipeline, Task, compute_model_shape, sample_images
from cyclorama.generation.items import Failure
from cyclorama.generation.journal import Entry, Journal, open_journal
from cyclorama.generation.model import ModelHandle
from cyclorama.generation.names import build_layer_name
from cyclorama.generation.plan import PlannedImage, PlannedItem, RunConfig, describe_settings
from cyclorama.generation.recipe import ImageSource, describe_image
from cyclorama.generation.result import Generated
from cyclorama.generation.rows import Outcome
from cyclorama.generation.sources import SourceLoader
from cyclorama.imaging.product import Product, Reference
from cyclorama.jobs.job import Hooks


@dataclass(frozen=True)
class RunResult:
    """One outcome per input, in order."""

    outcomes: list[Outcome]
    reused: int
    """Images that an earlier run had finished."""
    made: int
    nothing_started: bool = False
    """Whether every input had failed before the first image was tried."""

    def count(self, status: str) -> int:
        """How many inputs are ``done``, ``failed`` or ``pending``."""
        return sum(outcome.status == status for outcome in self.outcomes)


_Spot = tuple[int, int]
"""(index of the item, index of its image)."""

_Sources = tuple[Product, Reference | None]


@dataclass(frozen=True, eq=False)
class _Work:
    """One image in hand: its task, with the product on its canvas, and what goes with it."""

    spot: _Spot
    task: Task
    source: Product
    """The product as the input has it."""
    placement: dict[str, Any] = field(default_factory=dict)


def run_plan(
    plan: Sequence[PlannedItem],
    model: ModelHandle,
    config: RunConfig,
    out: Path,
    hooks: Hooks | None = None,
) -> RunResult:
    """Make every image of ``plan`` that ``out`` does not hold yet.

    A failing input never stops the others. Raises OutputError when ``out`` cannot be written, and
    ModelError when the model cannot be loaded.
    """
    hooks = hooks or Hooks()
    with open_journal(out, config.overwrite) as journal:
        run = _Run(plan, config, model, out, journal)
        missing = run.find_missing()
        hooks.started(len(missing))
        reused = sum(len(p.images) for p in plan if p.failure is None) - len(missing)
        if missing and not hooks.stopping():
            run.make(model.load(config.device, config.dtype), missing, hooks)
        hopeless = all(planned.failure is not None for planned in plan)
        return RunResult(run.list_outcomes(), reused, run.made, hopeless)


class _Run:
    """The state of one run: which images are recorded, which inputs have failed since the plan."""

    def __init__(
        self, plan: Sequence[PlannedItem], config: RunConfig, model: ModelHandle, out: Path, journal: Journal
    ) -> None:
        self.plan = list(plan)
        self.config = config
        self.model = model
        self.out = out
        self.journal = journal
        self.loader = SourceLoader(config.network)
        self.encoder = ImageEncoder.of(config.settings)
        self.recent: dict[int, _Sources | Exception] = {}
        self.made = 0

    def find_missing(self) -> set[_Spot]:
        return {
            (i, k)
            for i, planned in enumerate(self.plan)
            if planned.failure is None
            for k, image in enumerate(planned.images)
            if self.journal.find(image.key, image.path) is None
        }

    def list_outcomes(self) -> list[Outcome]:
        return [
            Outcome(planned, tuple(self.journal.find(p.key, p.path) for p in planned.images))
            for planned in self.plan
        ]

    def make(self, pipeline: Pipeline, missing: set[_Spot], hooks: Hooks) -> None:
        # Batches are laid out over the whole plan, finished images included, so that a run that goes on
        # samples each remaining image in the very batch it would have had.
        spots = [(i, k) for i, p in enumerate(self.plan) if p.failure is None for k in range(len(p.images))]
        shapes = [self._shape(pipeline, self.plan[i], k) for i, k in spots]
        size = choose_batch_size(self.config.settings.batch_size, self.config.device)
        batches = [b for b in build_batches(shapes, size) if any(spots[m] in missing for m in b.members)]
        for batch, loaded in _read_ahead(batches, lambda b: self._load([spots[m] for m in b.members])):
            members = [spots[m] for m in batch.members]
            wanted = [spot for spot in members if spot in missing]
            if hooks.stopping():
                return
            self._make_batch(pipeline, members, loaded, batch.places, missing)
            hooks.advanced(len(wanted))

    def _shape(self, pipeline: Pipeline, planned: PlannedItem, number: int) -> tuple[Any, ...]:
        canvas = planned.images[number].layout.compute_size(planned.size)
        shape = compute_model_shape(pipeline, canvas, self.config.settings)
        return (*shape, planned.item.reference is not None)

    def _load(self, members: Sequence[_Spot]) -> dict[int, _Sources | Exception]:
        """The sources of a batch; those of the one before are at hand, since an input's outputs come in
        turn."""
        loaded: dict[int, _Sources | Exception] = {}
        for i in dict.fromkeys(i for i, _ in members):
            if i in self.recent:
                loaded[i] = self.recent[i]
                continue
            try:
                loaded[i] = self.loader.load(self.plan[i].item)
            except Exception as error:  # whatever a file does to us is this row's failure, not the run's
                loaded[i] = error
        self.recent = loaded
        return loaded

    def _make_batch(
        self,
        pipeline: Pipeline,
        members: Sequence[_Spot],
        loaded: dict[int, _Sources | Exception],
        places: int,
        missing: set[_Spot],
    ) -> None:
        usable: list[_Work] = []
        for i, k in members:
            sources = loaded[i]
            if isinstance(sources, Exception):
                self._fail(i, sources)
            elif self.plan[i].failure is None:
                try:
                    usable.append(self._prepare((i, k), *sources))
                except Exception as error:  # a canvas that cannot be had fails its row
                    self._fail(i, error)
        if not any(work.spot in missing for work in usable):
            return
        results = self._sample(pipeline, [work.task for work in usable], places)
        for work, result in zip(usable, results, strict=True):
            if isinstance(result, Exception):
                self._fail(work.spot[0], result)
            elif work.spot in missing:
                self._record(work, result)

    def _prepare(self, spot: _Spot, product: Product, reference: Reference | None) -> _Work:
        planned = self.plan[spot[0]]
        image = planned.images[spot[1]]
        assert planned.category is not None
        placed = image.layout.place(product)
        placement = {} if image.layout.is_plain else image.layout.compute_placement(product).describe()
        task = Task(placed, planned.category, image.seed, reference, planned.item.name)
        return _Work(spot, task, product, placement)

    def _sample(self, pipeline: Pipeline, tasks: list[Task], places: int) -> list[Generated | Exception]:
        """A result per task; if the batch breaks, each is tried alone, lest one take the others along."""
        try:
            return list(sample_images(pipeline, tasks, self.config.settings, places))
        except Exception as error:  # out of memory, an unusual scheduler: these inputs fail, others may not
            if len(tasks) == 1:
                return [error]
            return [result for task in tasks for result in self._sample(pipeline, [task], places)]

    def _fail(self, index: int, error: Exception) -> None:
        if self.plan[index].failure is None:
            self.plan[index] = replace(self.plan[index], failure=Failure.of(error))

    def _record(self, work: _Work, result: Generated) -> None:
        planned = self.plan[work.spot[0]]
        image = planned.images[work.spot[1]]
        try:
            files = self.encoder(result, work.task.product, self._describe(planned, image, work.task))
            measured = self.encoder.measure(files, work.task.product)
        except Exception as error:  # a format that cannot hold the image fails its row
            self._fail(work.spot[0], error)
            return
        data, *extras = files.values()
        layers = {build_layer_name(image.path, s): d for s, d in zip([*files][1:], extras, strict=True)}
        for path, content in layers.items():
            write_atomic(self.out / path, content)
        write_atomic(self.out / image.path, data)
        self._write_thumbnails(planned, image, work, result)
        height, width = result.pixels.shape[:2]
        self.journal.append(
            Entry(
                key=image.key,
                output=image.path,
                bytes=len(data),
                seed=image.seed,
                seconds=result.seconds,
                size=(height, width),
                mask_source=work.source.mask_source,
                report=result.report.describe() | measured,
                placement=work.placement,
                layers={path: len(content) for path, content in layers.items()},
            )
        )
        self.made += 1

    def _write_thumbnails(
        self, planned: PlannedItem, image: PlannedImage, work: _Work, result: Generated
    ) -> None:
        reference = work.task.reference
        thumbs.write_thumbnail(self.out, thumbs.get_result_name(image.path), result.pixels)
        if image == planned.images[0]:
            name = thumbs.get_product_name(image.path)
            thumbs.write_thumbnail(self.out, name, work.source.pixels, work.source.matte)
        if reference is not None and planned.reference_digest is not None:
            name = thumbs.get_reference_name(planned.reference_digest)
            if not (self.out / name).exists():
                thumbs.write_thumbnail(self.out, name, reference.pixels)

    def _describe(self, planned: PlannedItem, image: PlannedImage, task: Task) -> dict[str, Any]:
        reference = planned.item.reference
        source = ImageSource(
            name=planned.item.name,
            seed=task.seed,
            category=task.category.name,
            identifier=task.category.identifier,
            reference=None if reference is None else reference.name,
            mask_source=task.product.mask_source,
        )
        return describe_image(source, self.model, describe_settings(self.config), image.layout)


def _read_ahead(batches: Sequence[Batch], load: Callable[[Batch], Any]) -> Iterator[tuple[Batch, Any]]:
    """Each batch with its files loaded, the next one's read while this one is sampled."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="cyclorama-load") as pool:
        following: Future[Any] | None = None
        for position, batch in enumerate(batches):
            current = pool.submit(load, batch) if following is None else following
            ahead = position + 1 < len(batches)
            result = current.result()
            following = pool.submit(load, batches[position + 1]) if ahead else None
            yield batch, result
