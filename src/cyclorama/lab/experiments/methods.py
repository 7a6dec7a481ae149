"""From a row of the recipe to a model and settings; whatever is missing is known before anything runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from cyclorama.errors import ModelError, ModelNotFoundError, SettingsError, UnknownCategoryError
from cyclorama.generation.model import ModelHandle, open_model
from cyclorama.generation.settings import GenerateConfig
from cyclorama.lab.experiments.recipe import Condition, ExperimentConfig, MethodConfig

ANY_CATEGORY = "product"
"""What a product is called for a method that asks for no category."""


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

    @property
    def digest(self) -> str:
        """10 hex digits over weights and settings."""
        text = json.dumps([self.model.hash, self.settings.describe()], sort_keys=True, default=str)
        return hashlib.blake2b(text.encode(), digest_size=5).hexdigest()


def open_methods(
    config: ExperimentConfig, categories: Sequence[str | None], skip_missing: bool = False
) -> tuple[dict[str, OpenedMethod], dict[str, str]]:
    """(methods by name, reasons of those that are missing by name), each in the recipe's order.

    ``categories`` are those of the held-out set. Raises ModelError for the first method without its model,
    unless ``skip_missing``; SettingsError (a method that cannot do without a reference under the condition
    ``none``, categories that a model does not know, a setting outside its range), ModelNotFoundError
    (nothing is left).
    """
    opened: dict[str, OpenedMethod] = {}
    missing: dict[str, str] = {}
    for method in config.methods:
        try:
            opened[method.name] = open_method(method, config)
        except ModelError as error:
            if not skip_missing:
                raise type(error)(
                    f"method {method.name!r}: {error}. Nothing was started; train it, say where it is with "
                    f"--set models.{method.model or 'NAME'}=FOLDER, or leave it out with --skip-missing"
                ) from error
            missing[method.name] = " ".join(str(error).split())
    if not opened:
        first = next(iter(missing.values()))
        raise ModelNotFoundError(f"no method of {config.title!r} has its model: {first}")
    for name, found in opened.items():
        _check_conditions(name, found, config.conditions)
        _check_categories(name, found, categories)
    return opened, missing


def open_method(method: MethodConfig, config: ExperimentConfig) -> OpenedMethod:
    """The method with its weights found and hashed. Raises ModelError, SettingsError."""
    settings = GenerateConfig(
        num_inference_steps=method.steps or config.steps,
        guidance_scale=config.guidance if method.guidance is None else method.guidance,
        eta=method.eta,
        scheduler=method.scheduler or config.scheduler,
        reference_strength=method.reference_strength,
        category_strength=method.category_strength,
        initial_latent=method.initial_latent,
        batch_size=config.batch_size,
    )
    settings.build_sampling()
    model = config.find_model(method.model)
    if method.kind == "ours":
        return OpenedMethod(method, open_model(model), settings)
    from cyclorama.lab.baselines.opening import open_baseline
    from cyclorama.lab.baselines.options import BaselineOptions
    from cyclorama.lab.baselines.protocol import BaselineRunSettings

    options = BaselineOptions(
        weights=config.find_model(method.weights),
        features=method.guide_features,
        prompt=method.prompt,
        guide_strength=method.guide_strength,
    )
    handle = open_baseline(method.kind, model, options)
    own = BaselineRunSettings.of(settings, handle)
    return OpenedMethod(method, handle, own, handle.needs_reference, handle.uses_reference)


def _check_conditions(name: str, method: OpenedMethod, conditions: Sequence[Condition]) -> None:
    if method.needs_reference and "none" in conditions:
        raise SettingsError(
            f"method {name!r} ({method.config.kind}) paints after a reference alone, but the experiment has "
            f"the condition 'none'; leave it out, or --set conditions=[pair]"
        )


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
