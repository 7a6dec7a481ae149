"""One trial of an experiment: one method, one condition, one seed; its images are made here, once.

The images lie in a store that experiments share, in a folder named by method, weights and settings, set,
condition and seed. Each image is recorded as `cyclorama generate` does it, so a killed run goes on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from cyclorama.errors import OutputError
from cyclorama.evaluation.reading import ImageItem, ImageSet
from cyclorama.generation.categories import CategoryRules
from cyclorama.generation.model import ModelHandle
from cyclorama.generation.run import iterate_rows, run_images
from cyclorama.generation.settings import RunConfig, RunSettings
from cyclorama.jobs.job import EngineSettings, Hooks
from cyclorama.lab.experiments.held_out import HeldOutSet
from cyclorama.lab.experiments.methods import ANY_CATEGORY, OpenedMethod
from cyclorama.lab.experiments.recipe import Condition

IMAGES = "images"


@dataclass(frozen=True)
class Trial:
    """One method under one condition from one seed."""

    method: str
    condition: Condition
    seed: int

    @property
    def label(self) -> str:
        """For people: ``ours, pair, seed 0``."""
        return f"{self.method}, {self.condition}, seed {self.seed}"


@dataclass(frozen=True, eq=False)
class MadeTrial:
    """The images of a trial as a set that can be scored, and what became of the inputs without one."""

    images: ImageSet
    """Keys and masks of the products; inputs that failed are not in it."""
    failures: Mapping[str, str]
    """Key to reason."""
    seconds_per_image: float | None
    """Median over the images that this or an earlier run made; None without images."""
    finished: bool
    """False if the run was stopped before the last image."""


def find_folder(
    store: Path, trial: Trial, method: OpenedMethod, held_out: HeldOutSet, device: str, dtype: str
) -> Path:
    """Where the trial's images lie below ``store``; equal for equal images, whatever the experiment."""
    kind = re.sub(r"[^a-z0-9]+", "-", method.config.kind)
    machine = device.partition(":")[0]
    parts = (kind, method.digest, machine, dtype, held_out.digest, trial.condition, f"s{trial.seed}")
    return store / IMAGES / "-".join(parts)


def make_trial(
    trial: Trial,
    method: OpenedMethod,
    held_out: HeldOutSet,
    folder: Path,
    machine: tuple[str, str],
    models: ModelCache,
    hooks: Hooks | None = None,
) -> MadeTrial:
    """Make the images of ``trial`` that ``folder`` lacks. ``machine`` is (device, dtype).

    A failing input is in ``failures``. Raises OutputError (another run is at work in the folder, full disk),
    ModelError.
    """
    default = None if method.uses_reference else ANY_CATEGORY
    config = RunConfig(
        method.settings,
        RunSettings(seed=trial.seed, dtype=machine[1]),  # type: ignore[arg-type]
        EngineSettings(device=machine[0]),
        CategoryRules(default=default),
    )
    load, inputs = partial(models.load, method), held_out.build_inputs(trial.condition)
    try:
        result = run_images(inputs, folder, method.model, config, hooks, load_model=load)
    except OutputError as error:
        raise OutputError(f"{trial.label}: {error}") from error
    return _collect(trial, result.finished, held_out, folder)


def _collect(trial: Trial, finished: bool, held_out: HeldOutSet, folder: Path) -> MadeTrial:
    items: dict[str, ImageItem] = {}
    failures: dict[str, str] = {}
    seconds = []
    for row in iterate_rows(folder):
        key = str(row["id"])
        if row["status"] == "failed":
            failures[key] = row["reason"]
        else:
            product = held_out.products.items[key]
            items[key] = ImageItem(folder / row["output"], product.mask, product.category, key, product.meta)
            seconds.append(row["seconds"])
    median = sorted(seconds)[len(seconds) // 2] if seconds else None
    return MadeTrial(ImageSet(trial.method, items), failures, median, finished)


class ModelCache:
    """Keeps the model that was loaded last: trials of one method follow each other."""

    def __init__(self) -> None:
        self._key: tuple[str, str, str] | None = None
        self._loaded: Any = None

    def load(self, method: OpenedMethod, model: ModelHandle, device: str, dtype: str) -> Any:
        """The method's ``model`` on ``device``, at hand if it was the last one. Raises ModelFormatError."""
        key = (method.load_key, device, dtype)
        if self._key != key:
            self._loaded = self._key = None  # lets go of the old one before the new one takes its room
            self._loaded, self._key = model.load(device, dtype), key
        return self._loaded
