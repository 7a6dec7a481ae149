"""One trial of an experiment: one method, one condition, one seed; its images are made here, once.

Whatever a method lacks is known before anything runs. The images lie in a store that experiments share, in a
folder named by method, weights and settings, set, condition and seed. Each image is recorded as `cyclorama
generate` does it, so a killed run goes on.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from cyclorama.errors import (
    ModelError,
    ModelNotFoundError,
    OutputError,
    SettingsError,
    UnknownCategoryError,
)
from cyclorama.evaluation.reading import ImageItem, ImageSet
from cyclorama.generation.model import BUNDLED, ModelHandle, open_model
from cyclorama.generation.run import iterate_rows, run_images
from cyclorama.generation.settings import GenerateConfig, RunConfig, RunSettings
from cyclorama.jobs.job import EngineSettings, Hooks
from cyclorama.lab.baselines.options import ANY_CATEGORY, BaselineOptions
from cyclorama.lab.experiments.held_out import HeldOutSet
from cyclorama.lab.experiments.recipe import Condition, ExperimentConfig, MethodConfig
from cyclorama.models.words import CategoryRules


@dataclass(frozen=True)
class OpenedMethod:
    """A method whose weights were found; nothing is loaded yet."""

    config: MethodConfig
    model: ModelHandle
    settings: GenerateConfig
    needs_reference: bool = False
    uses_reference: bool = True

    @property
    def load_key(self) -> str:
        """Equal for methods that can share one loaded model; a baseline carries its options with it."""
        return (
            f"ours {self.model.hash}" if self.config.kind == "ours" else f"{self.config.kind} {self.digest}"
        )

    def choose_machine(self, device: str, dtype: str) -> tuple[str, str]:
        """Where it runs and in which numbers, given those of the learned; sets are rendered on the CPU."""
        return (device, dtype) if self.model.learned else ("cpu", "float32")

    @property
    def digest(self) -> str:
        """10 hex digits over weights and settings."""
        text = json.dumps([self.model.hash, self.settings.describe()], sort_keys=True, default=str)
        return hashlib.blake2b(text.encode(), digest_size=5).hexdigest()


def open_methods(
    config: ExperimentConfig, categories: Sequence[str | None], skip_missing: bool = False
) -> tuple[dict[str, tuple[OpenedMethod, ...]], dict[str, str]]:
    """(methods by name, one a model; reasons of those missing by name), in the recipe's order.

    ``categories`` are those of the held-out set. Raises ModelError for the first method without its model,
    unless ``skip_missing``; SettingsError (a method that cannot do without a reference under the condition
    ``none``, categories that a model does not know, a setting outside its range), ModelNotFoundError
    (nothing is left).
    """
    opened: dict[str, tuple[OpenedMethod, ...]] = {}
    missing: dict[str, str] = {}
    for method in config.methods:
        try:
            opened[method.name] = tuple(open_method(method, config, name) for name in method.models)
        except ModelError as error:
            if not skip_missing:
                raise type(error)(
                    f"method {method.name!r}: {error}. Nothing was started; train it, say where it is with "
                    f"--set models.{method.models[0] or 'NAME'}=FOLDER, or leave it out with --skip-missing"
                ) from error
            missing[method.name] = " ".join(str(error).split())
    if not opened:
        first = next(iter(missing.values()))
        raise ModelNotFoundError(f"no method of {config.title!r} has its model: {first}")
    for name, found in ((name, found) for name, several in opened.items() for found in several):
        if found.needs_reference and "none" in config.conditions:
            raise SettingsError(
                f"method {name!r} ({found.config.kind}) paints after a reference alone, but the experiment "
                f"has the condition 'none'; leave it out, or --set conditions=[pair]"
            )
        _check_categories(name, found, categories)
    return opened, missing


def open_method(method: MethodConfig, config: ExperimentConfig, name: str | None) -> OpenedMethod:
    """The method with the weights of model ``name`` found and hashed. Raises ModelError, SettingsError."""
    settings = GenerateConfig(
        num_inference_steps=method.steps or config.steps,
        guidance_scale=config.guidance if method.guidance is None else method.guidance,
        encoder_every=method.encoder_every,
        eta=method.eta,
        scheduler=method.scheduler or config.scheduler,
        reference_strength=method.reference_strength,
        category_strength=method.category_strength,
        initial_latent=method.initial_latent,
        batch_size=config.batch_size,
    )
    settings.build_sampling()
    model = config.find_model(name)
    if method.kind == "ours":
        return OpenedMethod(method, open_model(BUNDLED if model is None else model), settings)
    from cyclorama.lab.baselines.protocol import BaselineRunSettings, open_baseline

    stated = {name: getattr(method, name) for name in BaselineOptions.model_fields}
    options = BaselineOptions(**stated | {"weights": config.find_model(method.weights)})
    handle = open_baseline(method.kind, model, options)
    own = BaselineRunSettings.of(settings, handle)
    return OpenedMethod(method, handle, own, handle.needs_reference, handle.uses_reference)


def compare_decoders(methods: Mapping[str, Sequence[OpenedMethod]]) -> list[str]:
    """A note if the methods' images come from different autoencoders."""
    from cyclorama.lab.baselines.folders import compute_weights_hash

    found: dict[str, list[str]] = {}
    for name, several in methods.items():
        for vae in {method.model.folder / "vae" for method in several}:
            if vae.is_dir():
                found.setdefault(compute_weights_hash(vae), []).append(name)
    if len(found) < 2:
        return []
    groups = "; ".join(f"{digest}: {', '.join(names)}" for digest, names in found.items())
    return [f"autoencoders differ ({groups}), so the table compares them, too; let all have one decoder"]


def _check_categories(name: str, method: OpenedMethod, categories: Sequence[str | None]) -> None:
    unknown = []
    for category in dict.fromkeys(categories):
        try:
            method.model.registry.resolve(category or ANY_CATEGORY)
        except UnknownCategoryError:
            unknown.append(str(category))
    if unknown:
        known = [str(c) for c in dict.fromkeys(categories) if str(c) not in unknown]
        raise SettingsError(
            f"the model of method {name!r} does not know {len(unknown)} categories of the set "
            f"({', '.join(unknown[:5])}); compare on those that all know: "
            f'--set "categories=[{", ".join(known)}]"'
        )


@dataclass(frozen=True)
class Trial:
    """One method under one condition from one seed with one of its models."""

    method: str
    condition: Condition
    seed: int
    model: int = 0

    @property
    def label(self) -> str:
        """For people: ``ours, pair, seed 0``; models after the first are numbered."""
        model = f", model {self.model + 1}" if self.model else ""
        return f"{self.method}, {self.condition}, seed {self.seed}{model}"


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
    machine, dtype = method.choose_machine(device.partition(":")[0], dtype)
    parts = (kind, method.digest, machine, dtype, held_out.digest, trial.condition, f"s{trial.seed}")
    return store / "images" / "-".join(parts)


def make_trial(
    trial: Trial,
    method: OpenedMethod,
    held_out: HeldOutSet,
    folder: Path,
    machine: tuple[str, str],
    models: ModelCache,
    hooks: Hooks | None = None,
) -> MadeTrial:
    """Make the images of ``trial`` that ``folder`` lacks; what failed before is tried again.

    ``machine`` is (device, dtype), ``hooks`` None only looks at what is there. What the folder has of other
    images of the set stays in it. A failing input is in ``failures``. Raises OutputError (another run is at
    work in the folder, full disk), ModelError.
    """
    default = None if method.uses_reference else ANY_CATEGORY
    device, dtype = method.choose_machine(*machine)
    retry: Any = None if hooks is None else "failed"
    config = RunConfig(
        method.settings,
        RunSettings(seed=trial.seed, dtype=dtype, retry=retry),  # type: ignore[arg-type]
        EngineSettings(device=device),
        CategoryRules(default=default),
    )
    made = {str(row["id"]) for row in iterate_rows(folder) if row["status"] == "done"}
    load, inputs = partial(models.load, method), held_out.build_inputs(trial.condition, made)
    try:
        result = run_images(inputs, folder, method.model, config, hooks, load_model=load)
    except OutputError as error:
        raise OutputError(f"{trial.label}: {error}") from error
    items: dict[str, ImageItem] = {}
    failures: dict[str, str] = {}
    seconds = []
    for row in iterate_rows(folder):
        key = str(row["id"])
        if key not in held_out.products.items:
            continue
        if row["status"] == "failed":
            failures[key] = row["reason"]
        else:
            product = held_out.products.items[key]
            items[key] = replace(product, image=folder / row["output"], reference=key)
            seconds.append(row["seconds"])
    median = sorted(seconds)[len(seconds) // 2] if seconds else None
    return MadeTrial(ImageSet(trial.method, items), failures, median, result.finished)


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
