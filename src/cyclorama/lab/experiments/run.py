"""A whole experiment: check everything, make and score every cell, write the table and the sheet."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from cyclorama import __version__
from cyclorama.config import Settings, to_plain
from cyclorama.errors import OutputError, SettingsError
from cyclorama.files import write_atomic
from cyclorama.generation.model import choose_device, silence_loading
from cyclorama.jobs.job import Hooks
from cyclorama.lab.experiments.aggregate import MethodResult, Wins, aggregate, compute_wins
from cyclorama.lab.experiments.cells import ModelCache, Trial, find_folder, make_cell
from cyclorama.lab.experiments.held_out import HeldOutSet, open_held_out
from cyclorama.lab.experiments.methods import OpenedMethod, open_methods
from cyclorama.lab.experiments.pool import run_cells
from cyclorama.lab.experiments.recipe import ExperimentConfig
from cyclorama.lab.experiments.scoring import CellScore, Scorer
from cyclorama.lab.experiments.sheet import write_sheet
from cyclorama.lab.experiments.table import ExperimentResult, format_json, format_markdown, format_page

DONE = "done.json"
TABLE, RESULT, PAGE = "table.md", "result.json", "index.html"


class RunOptions(Settings):
    """What a run is told beside its recipe."""

    error_type: ClassVar[type[SettingsError]] = SettingsError

    out: Path
    store: Path | None = None
    """Folder of images, features and scores that experiments share; None: ``store`` beside ``out``."""
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    skip_missing: bool = False
    """Show a method without its model as a row "not trained" instead of refusing to start."""

    @model_validator(mode="after")
    def _check_folders(self) -> Self:
        for name, folder in (("output", self.out), ("store", self.store)):
            if folder is not None and folder.exists() and not folder.is_dir():
                raise OutputError(f"{name} {folder} is a file; give a folder")
        return self

    def find_store(self) -> Path:
        """The store's folder."""
        return self.out.resolve().parent / "store" if self.store is None else self.store.resolve()


@dataclass(frozen=True, eq=False)
class Bench:
    """What one process works with."""

    held_out: HeldOutSet
    methods: dict[str, OpenedMethod]
    missing: dict[str, str]
    """Methods without a model, and why."""
    scorer: Scorer
    models: ModelCache


@dataclass
class CellWorker:
    """Makes and scores cells; what it opens and loads stays in its process."""

    config: ExperimentConfig
    store: Path
    machine: tuple[str, str]
    skip_missing: bool
    _bench: Bench | None = field(default=None, repr=False)

    def open(self) -> Bench:
        """What this process works with; opened once. Raises the errors of set and models."""
        if self._bench is None:
            silence_loading()
            held_out = open_held_out(self.config)
            categories = [item.category for item in held_out.items]
            methods, missing = open_methods(self.config, categories, self.skip_missing)
            scorer = Scorer(self.config, held_out, self.store, self.machine[0])
            self._bench = Bench(held_out, methods, missing, scorer, ModelCache())
        return self._bench

    def find_folder(self, cell: Trial) -> Path:
        """Where the images of ``cell`` lie."""
        bench = self.open()
        return find_folder(self.store, cell, bench.methods[cell.method], bench.held_out, *self.machine)

    def work(self, cell: Trial, hooks: Hooks) -> CellScore | None:
        """The score of ``cell``; None if it was stopped before its end."""
        bench = self.open()
        count = len(bench.held_out.items)

        def start(missing: int) -> None:
            hooks.advanced(count - missing)

        inner = Hooks(start, hooks.advanced, hooks.stopping)
        made = make_cell(
            cell,
            bench.methods[cell.method],
            bench.held_out,
            self.find_folder(cell),
            self.machine,
            inner,
            bench.models,
        )
        if not made.finished or hooks.stopping():
            return None
        if len(made.images) < 2:
            reason = next(iter(made.failures.values()), "")
            raise SettingsError(f"{cell.label}: {len(made.images)} images could be made: {reason}")
        return bench.scorer.score(cell, made)


def list_cells(config: ExperimentConfig, methods: dict[str, OpenedMethod]) -> list[Trial]:
    """All cells, those of one method together."""
    return [
        Trial(name, condition, seed)
        for name in methods
        for condition in config.conditions
        for seed in config.seeds
    ]


def run_experiment(
    config: ExperimentConfig,
    options: RunOptions,
    hooks: Hooks | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> ExperimentResult | None:
    """Run ``config`` and write table.md, result.json, index.html and sheets, done.json last; None if stopped.

    ``hooks.started`` is told the number of images, those at hand included. ``tell`` gets a line per
    finished cell. Raises the errors of recipe, set and models before anything is made.
    """
    hooks = hooks or Hooks()
    machine = choose_device(config.device, config.dtype)
    worker = CellWorker(config, options.find_store(), machine, options.skip_missing)
    bench = worker.open()
    cells = list_cells(config, bench.methods)
    (options.out / DONE).unlink(missing_ok=True)
    owners: dict[Path, Trial] = {}
    for cell in cells:  # two rows of the recipe may ask for the same images
        owners.setdefault(worker.find_folder(cell), cell)
    hooks.started(len(owners) * len(bench.held_out.items))
    fresh = CellWorker(config, options.find_store(), machine, options.skip_missing)
    chosen = worker if options.workers == 1 else fresh
    scores: dict[Trial, CellScore] = {}
    for cell, score in run_cells(chosen, list(owners.values()), options.workers, hooks):
        if score is None:
            continue
        scores[cell] = score
        tell(describe_cell(cell, score))
    if len(scores) < len(owners):
        return None
    scores = {cell: scores[owners[worker.find_folder(cell)]] for cell in cells}
    result = build_result(config, bench, scores, machine)
    sheets = write_sheets(config, options.out, worker)
    write_atomic(options.out / RESULT, format_json(result).encode())
    write_atomic(options.out / TABLE, format_markdown(result, sheets).encode())
    write_atomic(options.out / PAGE, format_page(result, sheets).encode())
    mark = {"cyclorama": __version__, "title": config.title, "cells": len(cells)}
    write_atomic(options.out / DONE, (json.dumps(mark, ensure_ascii=False) + "\n").encode())
    return result


def describe_cell(cell: Trial, score: CellScore) -> str:
    """``ours, pair, seed 0: 108 images, 0.41 s an image, FID 12.3``."""
    parts = [f"{len(score.rows)} images"]
    if score.failures:
        parts.append(f"{len(score.failures)} failed")
    if score.seconds_per_image is not None:
        parts.append(f"{score.seconds_per_image:.2f} s an image")
    if "fid" in score.distances:
        parts.append(f"FID {score.distances['fid']:.2f}")
    return f"{cell.label}: {', '.join(parts)}"


def build_result(
    config: ExperimentConfig, bench: Bench, scores: dict[Trial, CellScore], machine: tuple[str, str]
) -> ExperimentResult:
    """Everything the outputs show, from the scores of all cells."""
    held_out, methods = bench.held_out, bench.methods
    products = {key: str(item.meta.get("product_id") or key) for key, item in held_out.products.items.items()}
    results: list[MethodResult] = []
    wins: list[Wins] = []
    for condition in config.conditions:
        by_method = {
            name: {seed: scores[Trial(name, condition, seed)] for seed in config.seeds} for name in methods
        }
        results += [aggregate(name, condition, found, products) for name, found in by_method.items()]
        if config.chief in by_method:
            chief = (config.chief, by_method[config.chief])
            wins += [
                compute_wins(condition, chief, (name, found))
                for name, found in by_method.items()
                if name != config.chief
            ]
    notes = dict.fromkeys(note for score in scores.values() for note in score.notes)
    biases = [s.distances["fid_bias"] for s in scores.values() if "fid_bias" in s.distances]
    if biases:
        notes |= dict.fromkeys([describe_bias(biases, len(held_out.items))])
    used = {what: name for score in scores.values() for what, name in score.used.items()}
    return ExperimentResult(
        title=config.title,
        recipe=to_plain(config),
        data=f"{len(held_out.items)} products of {held_out.folder.name} (manifest {held_out.digest})",
        machine=f"{machine[0]}, {machine[1]}",
        methods={
            name: {"model": m.model.name, "hash": m.model.hash, "settings": m.settings.describe()}
            for name, m in methods.items()
        },
        missing=bench.missing,
        results=tuple(results),
        wins=tuple(wins),
        used=used,
        notes=tuple(notes),
    )


def describe_bias(biases: Sequence[float], count: int) -> str:
    """What to think of FIDs with these biases, in words."""
    low, high = min(biases), max(biases)
    return (
        f"FID of {count} images is too high: by subsampling, {low:.3g} to {high:.3g} of it (whole image) "
        "is for want of images; compare it within this table only, and look at KID"
    )


def write_sheets(config: ExperimentConfig, out: Path, worker: CellWorker) -> dict[str, str]:
    """Condition to the name of its sheet below ``out``; empty if the recipe wants none."""
    if config.sheet_rows == 0:
        return {}
    bench = worker.open()
    names: dict[str, str] = {}
    for condition in config.conditions:
        folders = {
            name: worker.find_folder(Trial(name, condition, config.seeds[0])) for name in bench.methods
        }
        name = "sheet.jpg" if len(config.conditions) == 1 else f"sheet-{condition}.jpg"
        write_sheet(out / name, bench.held_out, condition, folders, config.sheet_rows)
        names[condition] = name
    return names
