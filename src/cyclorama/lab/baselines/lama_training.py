"""LaMa in the package's one training loop: what is trained, on which holes, and what is saved.

Settings of its own stand under ``method`` in the recipe. The loop trains one loss with one optimiser; how
the discriminator fits in, see :mod:`cyclorama.models.discriminator`. The base that the loop loads is not
used.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cyclorama.config import Settings, build_config, to_plain
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
from cyclorama.erasing.network import SMALL_LAMA, LamaGenerator, LamaShape, count_parameters
from cyclorama.lab.baselines.lama import LamaBaseline
from cyclorama.lab.baselines.lama_holes import HoleConfig, sample_hole
from cyclorama.lab.baselines.lama_losses import LamaObjective, LossConfig
from cyclorama.models.base import BaseModel
from cyclorama.models.discriminator import PatchDiscriminator
from cyclorama.seeding import build_numpy_generator, compute_seed
from cyclorama.training.batch import BatchNeeds, TrainBatch
from cyclorama.training.stage import StageNetworks, Start, TrainStage
from cyclorama.training.validation import show_generated


class LamaTraining(Settings):
    """LaMa's own part of a recipe."""

    shape: LamaShape = SMALL_LAMA
    holes: HoleConfig = HoleConfig()
    losses: LossConfig = LossConfig()
    start: Path | None = None
    """LaMa weights to go on from (a file, or ``OUT/model`` of an earlier training); None starts anew."""


def build_networks(start: Start, base: BaseModel | None) -> tuple[dict[str, nn.Module], dict[str, nn.Module]]:
    """Generator and discriminator to train, the objective to hold still.

    The generator goes on from ``method.start``, or from the start's folder if that holds one and
    ``model.fresh`` is not set; else its weights are a function of the seed. Raises ConfigError, ModelError.
    """
    config = start.config
    own = read_settings(config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(compute_seed(config.seed, 0, "lama weights"))
        generator = LamaGenerator(own.shape)
        losses = own.losses
        discriminator = PatchDiscriminator(losses.discriminator_widths, losses.discriminator_rate)
    file = start.folder / WEIGHTS_NAME if own.start is None else find_lama(own.start)
    if own.start is not None or (file.is_file() and not config.model.fresh):
        load_generator(generator, select_generator(read_tensors(file), file), file)
        if own.shape.prefilled and not is_prefilled(file):
            generator.add_nothing()
    trained: dict[str, nn.Module] = {"generator": generator}
    if own.losses.adversarial:
        trained["discriminator"] = discriminator
    for network in trained.values():
        network.requires_grad_(True)  # the normalisations' statistics are parameters, too: part of the state
    objective = LamaObjective(own.losses, _load_features(own.losses), config.data.image_size)
    return trained, {"objective": objective}


def compute_loss(networks: StageNetworks, batch: TrainBatch) -> Tensor:
    """The loss () of ``batch``, whose holes are a function of (seed, sample number) alone."""
    config = networks.start.config
    assert batch.product_mask is not None
    hole = sample_holes(batch.numbers, batch.product_mask, read_settings(config).holes, config.seed)
    discriminator = networks.get("discriminator")
    loss: Tensor = networks["objective"](networks["generator"], discriminator, batch.image, hole)
    return loss


def save_model(networks: StageNetworks, folder: Path) -> None:
    """Write the generator and its card; the discriminator stays behind in the run's checkpoints."""
    generator, objective = networks["generator"], networks["objective"]
    losses = {name: value for name, value in to_plain(objective.config).items() if name != "features"}
    notes = {
        "image_size": objective.image_size,
        "parameters": count_parameters(generator),
        "training": {"losses": losses},
    }
    folder.mkdir(parents=True, exist_ok=True)
    save_lama(generator, folder, notes)


def show(networks: StageNetworks, batch: TrainBatch) -> tuple[list[Tensor], dict[str, float]]:
    """What the generator fills, beside the truth."""
    start = networks.start
    model = LamaModel(networks["generator"], start.folder, "in training", start.config.data.image_size)
    return show_generated(networks, batch, LamaBaseline(model))


LAMA = TrainStage("lama", build_networks, compute_loss, save_model, show, BatchNeeds(product=True, hint=True))


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
