"""A whole experiment: check everything, make and score every trial, write the table and the sheet."""

from __future__ import annotations

import json
import os
import threading
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path

from cyclorama import __version__
from cyclorama.config import to_plain
from cyclorama.errors import SettingsError
from cyclorama.files import write_atomic
from cyclorama.generation.learned import choose_device
from cyclorama.jobs.job import EngineSettings, Hooks, ShardReport
from cyclorama.jobs.run import run_shards
from cyclorama.lab.experiments.held_out import open_held_out
from cyclorama.lab.experiments.recipe import ExperimentConfig, RunOptions
from cyclorama.lab.experiments.scoring import (
    MethodResult,
    Scorer,
    TrialScore,
    Wins,
    aggregate,
    compute_wins,
)
from cyclorama.lab.experiments.table import (
    ExperimentResult,
    format_json,
    format_markdown,
    format_page,
    write_sheet,
)
from cyclorama.lab.experiments.trials import (
    ModelCache,
    OpenedMethod,
    Trial,
    compare_decoders,
    find_folder,
    make_trial,
    open_methods,
)

DONE = "done.json"
TABLE, RESULT, PAGE = "table.md", "result.json", "index.html"


class Bench:
    """What one process works with: the set, the methods, the trials and the scorer.

    Building it raises the errors of recipe, set and models.
    """

    def __init__(
        self, config: ExperimentConfig, store: Path, machine: tuple[str, str], skip_missing: bool
    ) -> None:
        self.config, self.store, self.machine = config, store, machine
        self.held_out = open_held_out(config)
        categories = [item.category for item in self.held_out.items]
        self.methods, self.missing = open_methods(config, categories, skip_missing)
        self.scorer = Scorer(config, self.held_out, store, machine[0])
        self.models, self._lock = ModelCache(), threading.Lock()

    @cached_property
    def trials(self) -> dict[Trial, Path]:
        """Every trial with the folder of its images, those of one method together."""
        rows = product(self.config.conditions, self.config.seeds)
        trials = [
            Trial(name, condition, seed, model)
            for (name, models), (condition, seed) in product(self.methods.items(), rows)
            for model in range(len(models))
        ]
        return {
            trial: find_folder(self.store, trial, self.get_method(trial), self.held_out, *self.machine)
            for trial in trials
        }

    def get_method(self, trial: Trial) -> OpenedMethod:
        """The method of ``trial`` with its model."""
        return self.methods[trial.method][trial.model]

    @cached_property
    def work(self) -> list[Trial]:
        """The trials to do: two rows of the recipe may ask for the same images."""
        return list({folder: trial for trial, folder in reversed(self.trials.items())}.values())[::-1]

    def score(self, trial: Trial, hooks: Hooks | None = None) -> TrialScore | None:
        """Make what ``trial`` lacks and score it; None if it was stopped before its end. Without ``hooks``
        what has failed is not tried again."""
        method, folder = self.get_method(trial), self.trials[trial]
        made = make_trial(trial, method, self.held_out, folder, self.machine, self.models, hooks)
        if not made.finished or (hooks is not None and hooks.stopping()):
            return None
        if len(made.images) < 2:
            reason = next(iter(made.failures.values()), "")
            raise SettingsError(f"{trial.label}: {len(made.images)} images could be made: {reason}")
        return self.scorer.score(trial, made)

    def process(self, shard: int, hooks: Hooks) -> ShardReport:
        """Make and score trial ``shard``, one at a time; its score is kept in the store."""
        advanced = 0

        def advance(count: int) -> None:
            nonlocal advanced
            advanced += count
            hooks.advanced(count)

        with self._lock:
            trial, score = self.work[shard], None
            if not hooks.stopping():
                score = self.score(trial, Hooks(advanced=advance, stopping=hooks.stopping))
        if score is None:
            return ShardReport(shard, advanced=advanced, finished=False)
        return ShardReport(shard, done=1, advanced=advanced, notes=(describe_trial(trial, score),))

    def close(self) -> None:
        """Nothing to let go of."""


@dataclass(frozen=True)
class ExperimentJob:
    """The trials of an experiment as a job: a trial is a shard."""

    config: ExperimentConfig
    out: Path
    machine: tuple[str, str]
    skip_missing: bool
    engine: EngineSettings
    parallel_steps: bool = False

    def open_worker(self, device: str, pool: Executor | None = None) -> Bench:
        """A worker that opens set and models itself."""
        return Bench(self.config, self.out, self.machine, self.skip_missing)


def run_experiment(
    config: ExperimentConfig, options: RunOptions, hooks: Hooks | None = None
) -> ExperimentResult | None:
    """Run ``config`` and write table.md, result.json, index.html and sheets, done.json last; None if stopped.

    ``hooks.started`` is told the number of images, those at hand included; ``hooks.noted`` gets a line per
    finished trial. Raises the errors of recipe, set and models before anything is made.
    """
    hooks = hooks or Hooks()
    machine, store = choose_device(config.device, config.dtype), options.store_folder
    bench = Bench(config, store, machine, options.skip_missing)
    (options.out / DONE).unlink(missing_ok=True)
    threads = None if options.workers == 1 else max(1, (os.cpu_count() or 1) // options.workers)
    engine = EngineSettings(workers=options.workers, threads=threads, device=machine[0])
    job = ExperimentJob(config, store, machine, options.skip_missing, engine)
    done = run_shards(job, dict.fromkeys(range(len(bench.work)), len(bench.held_out.items)), hooks).done
    if done < len(bench.work):
        return None
    scores = {trial: bench.score(trial) for trial in bench.trials}
    found = {trial: score for trial, score in scores.items() if score is not None}
    result = build_result(bench, found)
    sheets = write_sheets(bench, options.out)
    write_atomic(options.out / RESULT, format_json(result).encode())
    write_atomic(options.out / TABLE, format_markdown(result, sheets).encode())
    write_atomic(options.out / PAGE, format_page(result, sheets).encode())
    mark = {"cyclorama": __version__, "title": config.title, "trials": len(bench.trials)}
    write_atomic(options.out / DONE, (json.dumps(mark, ensure_ascii=False) + "\n").encode())
    return result


def describe_trial(trial: Trial, score: TrialScore) -> str:
    """``ours, pair, seed 0: 108 images, 0.41 s an image, FID 12.3``."""
    parts = [f"{len(score.rows)} images"]
    if score.failures:
        parts.append(f"{len(score.failures)} failed")
    if score.seconds_per_image is not None:
        parts.append(f"{score.seconds_per_image:.2f} s an image")
    if "fid" in score.distances:
        parts.append(f"FID {score.distances['fid']:.2f}")
    return f"{trial.label}: {', '.join(parts)}"


def build_result(bench: Bench, scores: dict[Trial, TrialScore]) -> ExperimentResult:
    """Everything the outputs show, from the scores of all trials."""
    config, held_out, methods = bench.config, bench.held_out, bench.methods
    products = {key: str(item.meta.get("product_id") or key) for key, item in held_out.products.items.items()}
    results, wins = list[MethodResult](), list[Wins]()
    for condition in config.conditions:
        by_method: dict[str, dict[tuple[int, int], TrialScore]] = {name: {} for name in methods}
        for trial, score in scores.items():
            if trial.condition == condition:
                by_method[trial.method][trial.model, trial.seed] = score
        results += [aggregate(name, condition, found, products) for name, found in by_method.items()]
        if config.chief in by_method:
            chief = (config.chief, by_method[config.chief])
            wins += [
                compute_wins(condition, chief, (name, found), products)
                for name, found in by_method.items()
                if name != config.chief
            ]
    notes = dict.fromkeys(note for score in scores.values() for note in score.notes)
    notes |= dict.fromkeys(compare_decoders(methods))
    biases = [s.distances["fid_bias"] for s in scores.values() if "fid_bias" in s.distances]
    if biases:
        note = (
            f"FID of {len(held_out.items)} images is too high: by subsampling, {min(biases):.3g} to "
            f"{max(biases):.3g} of it (whole image) is for want of images; compare it within this table "
            "only, and look at KID"
        )
        notes[note] = None
    used = {what: name for score in scores.values() for what, name in score.used.items()}
    return ExperimentResult(
        title=config.title,
        recipe=to_plain(config),
        data=f"{len(held_out.items)} products of {held_out.folder.name} (manifest {held_out.digest})",
        machine=", ".join(bench.machine),
        methods={
            name: {
                "model": ", ".join(m.model.name for m in several),
                "hash": ", ".join(m.model.hash for m in several),
                "settings": several[0].settings.describe(),
            }
            for name, several in methods.items()
        },
        missing=bench.missing,
        results=tuple(results),
        wins=tuple(wins),
        used=used,
        notes=tuple(notes),
    )


def write_sheets(bench: Bench, out: Path) -> dict[str, str]:
    """Condition to the name of its sheet below ``out``; empty if the recipe wants none."""
    config, names = bench.config, dict[str, str]()
    for condition in config.conditions if config.sheet_rows else ():
        folders = {name: bench.trials[Trial(name, condition, config.seeds[0])] for name in bench.methods}
        names[condition] = "sheet.jpg" if len(config.conditions) == 1 else f"sheet-{condition}.jpg"
        write_sheet(out / names[condition], bench.held_out, condition, folders, config.sheet_rows)
    return names
