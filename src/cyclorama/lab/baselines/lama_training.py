"""LaMa in the package's one training loop: what is trained, on which holes, and what is saved.

Settings of its own stand under ``method`` in the recipe. The loop trains one loss with one optimiser; how
the discriminator fits in, see :mod:`cyclorama.models.discriminator`. The base that the loop loads is not
used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cyclorama.config import build_config
from cyclorama.erasing.files import (
    WEIGHTS_NAME,
    LamaModel,
    find_lama,
    is_prefilled,
    load_generator,
    read_tensors,
    save_lama,
    select_generator,
)
from cyclorama.erasing.masks import HoleConfig, sample_hole
from cyclorama.erasing.network import SMALL_LAMA, LamaGenerator, LamaShape, count_parameters
from cyclorama.lab.baselines.lama import LamaBaseline
from cyclorama.lab.baselines.lama_losses import LamaObjective, LossConfig
from cyclorama.models.discriminator import PatchDiscriminator
from cyclorama.seeding import build_numpy_generator, compute_seed


@dataclass(frozen=True)
class LamaTraining:
    """LaMa's own part of a recipe."""

    shape: LamaShape = SMALL_LAMA
    holes: HoleConfig = field(default_factory=HoleConfig)
    losses: LossConfig = field(default_factory=LossConfig)
    start: Path | None = None
    """LaMa weights to go on from (a file, or ``OUT/model`` of an earlier training); None starts anew."""


class LamaMethod:
    """LaMa as a method that the training loop can be given."""

    name = "lama"
    needs_reference = False

    def build_networks(
        self, start: Path, base: Any, config: Any
    ) -> tuple[dict[str, nn.Module], dict[str, nn.Module]]:
        """Generator and discriminator to train, the objective to hold still.

        The generator goes on from ``method.start``, or from ``start`` if that folder holds one and
        ``config.model.fresh`` is not set; else its weights are a function of ``config.seed``.
        Raises ConfigError, ModelError.
        """
        own = read_settings(config)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(compute_seed(config.seed, 0, "lama weights"))
            generator = LamaGenerator(own.shape)
            losses = own.losses
            discriminator = PatchDiscriminator(losses.discriminator_widths, losses.discriminator_rate)
        file = start / WEIGHTS_NAME if own.start is None else find_lama(own.start)
        if own.start is not None or (file.is_file() and not config.model.fresh):
            load_generator(generator, select_generator(read_tensors(file), file), file)
            if own.shape.prefilled and not is_prefilled(file):
                generator.add_nothing()
        trained: dict[str, nn.Module] = {"generator": generator}
        if own.losses.adversarial:
            trained["discriminator"] = discriminator
        objective = LamaObjective(own.losses, _load_features(own.losses), config.data.image_size)
        return trained, {"objective": objective}

    def compute_loss(
        self, trained: Mapping[str, Any], frozen: Mapping[str, Any], batch: Any, config: Any
    ) -> Tensor:
        """The loss () of ``batch``, whose holes are a function of (seed, sample number) alone."""
        hole = sample_holes(batch.numbers, batch.product_mask, read_settings(config).holes, config.seed)
        discriminator = trained.get("discriminator")
        loss: Tensor = frozen["objective"](trained["generator"], discriminator, batch.image, hole)
        return loss

    def save_model(
        self,
        trained: Mapping[str, Any],
        frozen: Mapping[str, Any],
        start: Path,
        registry: Any,
        folder: Path,
    ) -> None:
        """Write the generator and its card; the discriminator stays behind in the run's checkpoints."""
        generator, objective = trained["generator"], frozen["objective"]
        losses = {name: value for name, value in asdict(objective.config).items() if name != "features"}
        notes = {
            "image_size": objective.image_size,
            "parameters": count_parameters(generator),
            "training": {"losses": losses},
        }
        save_lama(generator, folder, notes)

    def build_pipeline(
        self,
        trained: Mapping[str, Any],
        frozen: Mapping[str, Any],
        start: Path,
        registry: Any,
        config: Any,
    ) -> LamaBaseline:
        """The baseline around the generator as it is now (shared, not copied)."""
        return LamaBaseline(LamaModel(trained["generator"], start, "in training", config.data.image_size))


def read_settings(config: Any) -> LamaTraining:
    """LaMa's own settings in a training config. Raises ConfigError naming the key."""
    return build_config(LamaTraining, config.method or {}, where="method")


def sample_holes(numbers: tuple[int, ...], product_mask: Tensor, config: HoleConfig, seed: int) -> Tensor:
    """Holes float32 (B, 1, H, W), 1 = to invent, for samples ``numbers``.

    ``product_mask`` is (B, 1, H, W), 1 = product.
    """
    masks = product_mask[:, 0].float().cpu().numpy()
    holes = [
        sample_hole(mask, config, build_numpy_generator(seed, number, "lama hole"))
        for number, mask in zip(numbers, masks)
    ]
    return torch.from_numpy(np.stack(holes).astype(np.float32))[:, None].to(product_mask.device)


def _load_features(losses: LossConfig) -> Any:
    if not losses.perceptual:
        return None
    from cyclorama.evaluation.feature_network import load_network
    from cyclorama.evaluation.features import find_bundled_features

    return load_network(losses.features or find_bundled_features())[0]
