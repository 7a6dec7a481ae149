"""A trained model made ready to ship: its final autoencoder, aliases, half precision, small shards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from cyclorama.errors import ModelFormatError
from cyclorama.models.autoencoder import PatchAutoencoder
from cyclorama.models.base import load_vae
from cyclorama.models.files import find_model
from cyclorama.models.pipeline import CycloramaPipeline
from cyclorama.models.registry import Category, CategoryRegistry

SHARD_SIZE = "14MB"
"""Largest file of a shipped model."""


def bundle_model(
    model: str | Path, autoencoder: str | Path | None, aliases: Mapping[str, Sequence[str]]
) -> CycloramaPipeline:
    """The pipeline of ``model`` in half precision, with the decoder of ``autoencoder`` and with ``aliases``.

    A decoder may be trained while the other stages already use its fixed encoder; only one with the same
    encoder fits. Raises ModelFormatError otherwise, UnknownCategoryError for aliases of no category.
    """
    pipeline = CycloramaPipeline.from_pretrained(model)
    if autoencoder is not None:
        trained = load_vae(find_model(autoencoder) / "vae", torch.float32)
        _check_same_encoder(pipeline.vae, trained)
        pipeline.register_modules(vae=trained)
    pipeline.registry = add_aliases(pipeline.registry, aliases)
    for name in ("unet", "vae", "text_encoder", "category_generator", "personality_generator"):
        getattr(pipeline, name).half()
    return pipeline


def add_aliases(registry: CategoryRegistry, aliases: Mapping[str, Sequence[str]]) -> CategoryRegistry:
    """A registry with the same names and ids, and ``aliases`` (by category name) added."""
    extra = {registry.resolve(name).name: tuple(names) for name, names in aliases.items()}
    return CategoryRegistry(
        [Category(c.name, c.id, (*c.aliases, *extra.get(c.name, ()))) for c in registry.categories]
    )


def _check_same_encoder(old: object, new: object) -> None:
    if not (isinstance(old, PatchAutoencoder) and isinstance(new, PatchAutoencoder)):
        raise ModelFormatError("only a PatchAutoencoder's decoder can be exchanged")
    if not torch.equal(old.analysis.weight, new.analysis.weight):  # False also for other shapes
        raise ModelFormatError("the autoencoder's encoder is not the one this model was trained with")
