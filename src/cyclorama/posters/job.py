"""Posters of many products as a job: a row per input, of which every canvas is made in all languages."""

from __future__ import annotations

import hashlib
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

from cyclorama.errors import CycloramaError, OutputError
from cyclorama.generation.items import Failure
from cyclorama.generation.job import (
    ImageRun,
    ReferenceCache,
    hash_file,
    inspect_row,
    load_product,
    load_style,
    rename_paths,
)
from cyclorama.generation.plan import PlanRow
from cyclorama.generation.results import build_mark
from cyclorama.generation.shard import RowState
from cyclorama.generation.sheet import SHOWN_ROWS, name_thumbnails, write_thumbnail
from cyclorama.generation.styles import FittedStyle
from cyclorama.generation.writers import has_size
from cyclorama.imaging.product import Product, Reference
from cyclorama.jobs.job import Hooks, ShardReport
from cyclorama.jobs.store import Journal, ShardStore, compute_key
from cyclorama.layout.elements import ENDING
from cyclorama.models.registry import Category
from cyclorama.posters.files import Poster, PosterLayers, write_poster
from cyclorama.posters.maker import PosterMaker, PosterSettings
from cyclorama.posters.words import PosterBrand, Wording, merge_words
from cyclorama.types import Size

FORMAT = 1
"""Raised when equal inputs give other posters for another reason than the version of the sets."""
FOLDER = "posters"
TRIALS = 8
"""Rows that an estimate tries at most."""
Subject: TypeAlias = tuple[Product, Category, Reference | None, FittedStyle | None]


@dataclass(frozen=True)
class PosterJob(ImageRun):
    """A run of posters. All fields can be pickled."""

    wordings: Mapping[str, Wording] = field(default_factory=dict)
    """Language to role to words, of all rows that say nothing else."""
    languages: tuple[str, ...] = ()
    """Of every row's posters, in order."""
    canvases: Mapping[str, Size] = field(default_factory=dict)
    """Name, as it stands in files' names, to (height, width)."""
    brand: PosterBrand = field(default_factory=PosterBrand)
    posters: PosterSettings = field(default_factory=PosterSettings)
    layers: PosterLayers | None = None

    @property
    def parallel_steps(self) -> bool:
        """All is done by the worker itself."""
        return False

    @property
    def images_per_row(self) -> int:
        """Canvases in all languages."""
        return len(self.canvases) * len(self.languages)

    def name_ending(self, canvas: str, language: str) -> str:
        """What follows an input's own name in that of a poster, suffix apart."""
        return f".{canvas}" + (f".{language}" if len(self.languages) > 1 else "")

    def locate_images(self, shard: int, row: int, stem: str) -> list[str]:
        """The addresses below the output folder of the posters of a ``row`` with the path ``stem``."""
        endings = [self.name_ending(canvas, spoken) for canvas in self.canvases for spoken in self.languages]
        return [f"{FOLDER}/{stem}{ending}.png" for ending in endings]

    def read_words(self, row: PlanRow) -> dict[str, Wording]:
        """Language to what a row's posters say. Raises SettingsError."""
        return merge_words(self.wordings, row.words, self.languages, f"row {row.row + 1}")

    @cached_property
    def _brand(self) -> dict[str, Any]:
        """The brand with its files by their content, so that it is the same wherever they lie."""
        values: dict[str, Any] = self.brand.model_dump(mode="json")
        for name in ("fonts", "headline_fonts"):
            values[name] = [_digest(Path(font)) for font in values[name]]
        for name in ("logo", "style"):
            values[name] = None if values[name] is None else _digest(Path(values[name]))
        return values

    def describe_settings(self, referenced: bool = False) -> dict[str, Any]:
        """The settings that change a poster."""
        layers = {} if self.layers is None else {"layers": self.layers}
        return self.posters.model_dump(mode="json") | layers

    def describe(self) -> dict[str, Any]:
        """All that posters depend on beside their rows."""
        return {
            "posters": FORMAT,
            "settings": self.describe_settings(),
            "wordings": {language: list(words.items()) for language, words in self.wordings.items()},
            "canvases": {name: list(size) for name, size in self.canvases.items()},
            **({} if self.languages == tuple(self.wordings) else {"languages": self.languages}),
            "brand": self._brand,
            "seed": self.config.run.seed,
            "model": self.model.hash,
        }

    def open_maker(self, device: str) -> PosterMaker:
        """The model on ``device`` with the brand. Raises ModelError."""
        return PosterMaker(self.open_model(device), self.model.find_here(), self.brand, self.posters)

    def open_worker(self, device: str, pool: Executor | None = None) -> PosterWorker:
        """A worker in this process."""
        return PosterWorker(self, device)


class PosterWorker:
    """A loaded model; shards asked for from several threads are done in turn."""

    def __init__(self, job: PosterJob, device: str) -> None:
        self.job = job
        self.store = ShardStore(job.out)
        self._device = device
        self._references = ReferenceCache()
        self._turn = threading.Lock()

    @cached_property
    def maker(self) -> PosterMaker:
        """What makes the posters, loaded when it is first needed. Raises ModelError."""
        return self.job.open_maker(self._device)

    def process(self, shard: int, hooks: Hooks) -> ShardReport:
        """Finish ``shard``, or as many canvases as there were before the run was stopped.

        Raises OutputError (disk), ModelError; whatever else goes wrong is a failure of its rows.
        """
        with self._turn, self.store.open_journal(shard) as journal:
            return _ShardWork(self, shard, journal, hooks).work()

    def close(self) -> None:
        """Nothing is left open."""

    def read_subject(self, state: RowState) -> Subject:
        """The product of a row with its category, reference and style. Raises what they are refused with."""
        assert state.files is not None
        product, _ = load_product(self.job, state.plan, state.files)
        product = product.derive(name=state.plan.name)
        reference = self._references.load(state.plan, state.files)
        style = load_style(self.job, state.files.paths)
        return product, state.find_category(product), reference, style

    def make(self, state: RowState, subject: Subject, canvas: str) -> dict[str, Poster]:
        """Language to poster on one canvas. Raises as :meth:`PosterMaker.make` does."""
        product, category, reference, style = subject
        seed = self.job.config.run.seed if state.plan.seed is None else state.plan.seed
        size, words = self.job.canvases[canvas], self.job.read_words(state.plan)
        return self.maker.make(product, category, words, size, seed, reference, style=style)


def try_poster(job: PosterJob) -> tuple[float, float]:
    """Seconds and bytes of a poster: of the first row that can be made, on the first canvas."""
    worker = PosterWorker(job, job.engine.device)
    usable = (row for row in job.plan.iterate() if row.failure is None)
    for row in islice(usable, TRIALS):
        with suppress(CycloramaError), tempfile.TemporaryDirectory(prefix="cyclorama-trial-") as name:
            state, scratch = RowState(row, job, 0), Path(name)
            state.files = inspect_row(job, row, scratch)
            subject, _ = worker.read_subject(state), worker.maker
            start = time.perf_counter()
            found = worker.make(state, subject, next(iter(job.canvases)))
            seconds = (time.perf_counter() - start) / len(found)
            files = write_poster(next(iter(found.values())), scratch, "trial", job.layers)
            return seconds, float(sum(file.stat().st_size for file in files))
    return 0.0, 0.0


class _ShardWork:
    """One shard from rows to posters."""

    def __init__(self, worker: PosterWorker, shard: int, journal: Journal, hooks: Hooks) -> None:
        self.worker, self.job, self.shard = worker, worker.job, shard
        self.journal, self.hooks = journal, hooks
        store = worker.store
        self.scratch = store.get_work(shard) / "inputs"
        self.earlier = self._group(store.read_rows(shard))
        self.results: list[dict[str, Any]] = []
        self.states: list[RowState] = []
        self.advanced = self.made = self.reused = 0

    def work(self) -> ShardReport:
        """Finish the shard and write its rows and mark; or end early once the run is stopped."""
        start, finished = time.perf_counter(), True
        for row in self.job.plan.read_shard(self.shard):
            if self.hooks.stopping() or not self._work_on(row):
                finished = False
                break
        if finished:
            mark = build_mark(self.results, self.job.images_per_row)
            self.worker.store.save_shard(self.shard, self.job.plan.keys[self.shard], self.results, mark)
        failed = sum(row["status"] == "failed" for row in self.results)
        seconds = time.perf_counter() - start
        return ShardReport(
            self.shard,
            done=len(self.results) - failed,
            failed=failed,
            reused=self.reused,
            made=self.made,
            advanced=self.advanced,
            finished=finished,
            wall_seconds=seconds,
            busy_seconds=seconds,
        )

    def _work_on(self, row: PlanRow) -> bool:
        """Whether all canvases of a row are dealt with; False if the run was stopped before."""
        state, subject, failure = RowState(row, self.job, self.shard), None, row.failure
        if failure is None:
            try:
                self.job.read_words(row)
                state.files = inspect_row(self.job, row, self.scratch)
            except OutputError:
                raise
            except Exception as error:  # whatever a file does to us is its rows' failure, not the run's
                failure = self._fail(state, error)
        for canvas in self.job.canvases:
            if self.hooks.stopping():
                return False
            key = self._compute_key(state, canvas)
            rows = None if key is None else self.earlier.get(key)
            if rows is None and key is not None and failure is None:
                try:
                    subject = subject or self.worker.read_subject(state)
                    rows = self._make(state, subject, canvas, key)
                except OutputError:
                    raise
                except Exception as error:
                    refused = self._fail(state, error)
                    rows = self._refuse(state, canvas, key, refused)
                    failure = refused if subject is None else None
                self.journal.append({"key": key, "rows": rows})
            elif rows is None:
                assert failure is not None
                rows = self._refuse(state, canvas, key, failure)
            else:
                self.reused += len(rows)
                rows = [dict(old) | _state_plan(state) for old in rows]
            self.results += rows
            self.advanced += len(rows)
            self.hooks.advanced(len(rows))
        return True

    def _make(self, state: RowState, subject: Subject, canvas: str, key: str) -> list[dict[str, Any]]:
        """The rows of one canvas, its posters written."""
        start, job, plan = time.perf_counter(), self.job, state.plan
        product, _, reference, style = subject
        found = self.worker.make(state, subject, canvas)
        seconds = (time.perf_counter() - start) / len(found)
        rows = []
        for language, poster in found.items():
            ending = job.name_ending(canvas, language)
            stem = job.out / FOLDER / (plan.output + ending)
            stem.parent.mkdir(parents=True, exist_ok=True)
            files = write_poster(poster, stem.parent, stem.name, job.layers)
            if plan.row < SHOWN_ROWS:
                self._show(plan, ending, poster, product, reference, state)
            content = files[0].read_bytes()
            record, report = poster.record, poster.drawn.report.describe()
            notes = [*report.pop("notes", ()), *product.notes]
            rows.append(
                state.begin("done" if record.verdict.accepted else "marked")
                | (state.recognition or {})
                | {
                    "size": canvas,
                    "language": language,
                    "faults": record.verdict.faults or None,
                    "style": None if style is None else style.name,
                    "mask_source": product.mask_source,
                    "mask_confidence": product.mask_confidence,
                    "key": key,
                    "output": files[0].relative_to(job.out).as_posix(),
                    "record": f"{stem.relative_to(job.out).as_posix()}{ENDING}",
                    "height": job.canvases[canvas][0],
                    "width": job.canvases[canvas][1],
                    "bytes": len(content),
                    "image_sha256": hashlib.sha256(content).hexdigest(),
                    "seed": record.seed,
                    "attempts": record.attempt,
                    "family": record.layout.family,
                    "energy": record.layout.energy,
                    "contrast_margin": record.verdict.values.get("contrast_margin"),
                    **report,
                    "notes": list(dict.fromkeys(notes)) or None,
                    "seconds": seconds,
                    "files": [[file.relative_to(job.out).as_posix(), file.stat().st_size] for file in files],
                }
            )
            self.made += 1
        return rows

    def _show(
        self,
        plan: PlanRow,
        ending: str,
        poster: Poster,
        product: Product,
        reference: Reference | None,
        state: RowState,
    ) -> None:
        digest = None if state.files is None else state.files.digests.get("reference")
        names = name_thumbnails(plan.output, ending, True, digest)
        write_thumbnail(self.job.out, names["result"], poster.drawn.pixels)
        write_thumbnail(self.job.out, names["product"], product.pixels, product.matte)
        if reference is not None and "reference" in names:
            write_thumbnail(self.job.out, names["reference"], reference.pixels)

    def _refuse(
        self, state: RowState, canvas: str, key: str | None, failure: Failure
    ) -> list[dict[str, Any]]:
        height, width = self.job.canvases[canvas]
        stated = {"size": canvas, "height": height, "width": width, "key": key, "files": []}
        return [
            state.begin("failed")
            | stated
            | {"language": language, "error": failure.error, "reason": failure.reason}
            for language in self.job.languages
        ]

    def _fail(self, state: RowState, error: Exception) -> Failure:
        failure = Failure.of(error)
        return replace(failure, reason=rename_paths(state.plan, state.files, failure.reason))

    def _compute_key(self, state: RowState, canvas: str) -> str | None:
        """Digest of all that the posters of one canvas depend on: equal keys, equal posters."""
        if state.files is None:
            return None
        run = self.job.describe() | {"canvases": {canvas: list(self.job.canvases[canvas])}}
        plan = state.plan
        stated = [plan.mask_means, plan.category, plan.identifier, plan.name, plan.output, plan.seed]
        stated += [plan.words] if plan.words else []
        return compute_key({"files": state.files.digests, "row": stated, "run": run})

    def _group(self, rows: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
        """Finished canvases by key: those with a row for every language and all files in place."""
        found: dict[str, dict[str, dict[str, Any]]] = {}
        for row in rows:
            if row.get("key"):
                found.setdefault(row["key"], {})[row["language"]] = row
        retry = self.job.config.run.retry == "failed"
        out, languages = self.job.out, list(self.job.languages)
        return {
            key: [group[language] for language in languages]
            for key, group in found.items()
            if set(group) == set(languages)
            and not (retry and any(row["status"] == "failed" for row in group.values()))
            and all(has_size(out / name, size) for row in group.values() for name, size in row["files"])
        }


def _state_plan(state: RowState) -> dict[str, Any]:
    """What a kept row says of the plan it is in now."""
    plan = state.plan
    return {
        "row": plan.row,
        "id": plan.id,
        "category_given": plan.category_given,
        "plan_key": plan.key,
        "stem": plan.output,
    }


def _digest(path: Path) -> str:
    """A file's content; any other word, such as ``sans`` or a folder of fonts, as it is."""
    return hash_file(path) if path.is_file() else str(path)
