"""LaMa in the package's one training loop: what is trained, by which losses, and what is saved.

arXiv 2109.07161, section 2.2 and Eq. 1 to 6. Differs from the paper: features come from this package's own
feature network instead of a segmentation network, because that one works offline and was made for such
images; the discriminator is small and has no normalisation; both sides share one optimiser (see
:mod:`cyclorama.models.discriminator`). Settings of its own stand under ``method`` in the recipe; the base
that the loop loads is not used.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

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
from cyclorama.erasing.network import SMALL_LAMA, LamaGenerator, LamaShape, count_parameters, predict_fill
from cyclorama.errors import ConfigError
from cyclorama.evaluation.feature_network import INPUT_SIDE, FeatureNetwork, load_network
from cyclorama.evaluation.features import find_bundled_features
from cyclorama.lab.baselines.lama import LamaBaseline
from cyclorama.lab.baselines.lama_holes import HoleConfig, sample_hole
from cyclorama.models.base import BaseModel
from cyclorama.models.discriminator import (
    PatchDiscriminator,
    compute_discriminator_loss,
    compute_generator_loss,
    compute_map_distance,
)
from cyclorama.seeding import build_numpy_generator, compute_seed
from cyclorama.training.batch import BatchNeeds, TrainBatch
from cyclorama.training.stage import StageNetworks, Start, TrainStage
from cyclorama.training.stages import show_generated

SMALLEST_SEEN = 32
"""Shortest side in pixels that the feature network can halve as often as it does."""


Weight = Annotated[float, Field(ge=0)]


class LossConfig(Settings):
    """Weights of the parts; 0 leaves a part out. The defaults are those of the published training."""

    l1_known: Weight = 10.0
    """Mean absolute error of known pixels, colours in [0, 1]."""
    l1_missing: Weight = 0.0
    """The same of missing pixels; above 0 for short trainings."""
    perceptual: Weight = 30.0
    """Squared distance of the feature network's maps (in place of Eq. 1)."""
    adversarial: Weight = 10.0
    """Non-saturating adversarial loss (Eq. 2 to 4); 0 trains without discriminator."""
    feature_matching: Weight = 100.0
    """Squared distance of the discriminator's own maps."""
    r1: Weight = 0.001
    """Gradient penalty of the discriminator on true images."""
    discriminator_widths: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = (
        32, 64, 128,
    )  # fmt: skip
    """Channels of the discriminator's layers; each halves the sides."""
    discriminator_rate: Annotated[float, Field(gt=0, le=1)] = 0.1
    """The discriminator's learning rate as a share of the generator's."""
    features: Path | None = None
    """Folder of the feature network; None takes the bundled one."""

    @model_validator(mode="after")
    def _check_teaching(self) -> Self:
        if not self.l1_missing and not self.perceptual and not self.adversarial:
            raise ConfigError(
                "losses: l1_missing, perceptual and adversarial are 0; nothing would teach the fill"
            )
        return self


class LamaObjective(nn.Module):
    """The whole loss of one batch. Holds the feature network and no parameter that moves."""

    def __init__(self, config: LossConfig, features: FeatureNetwork | None, image_size: int) -> None:
        super().__init__()
        if config.perceptual and features is None:
            raise ConfigError("losses.perceptual needs a feature network; set it to 0 or give one")
        if config.perceptual and image_size < SMALLEST_SEEN:
            raise ConfigError(
                f"losses.perceptual needs images of {SMALLEST_SEEN} pixels or more, got {image_size}; "
                f"set it to 0"
            )
        self.config = config
        self.features = features
        self.image_size = image_size
        """Side in pixels of the images trained on; goes into the model's card."""

    def forward(
        self, generator: LamaGenerator, discriminator: nn.Module | None, image: Tensor, hole: Tensor
    ) -> Tensor:
        """The loss () of filling ``hole`` (B, 1, H, W; 0 or 1) in ``image`` (B, 3, H, W) in [-1, 1].

        It is the generator's and the discriminator's together: neither's gradient reaches the other.
        """
        config = self.config
        predicted = predict_fill(generator, image, hole)
        loss = compute_masked_l1(predicted, image, hole, config.l1_known, config.l1_missing)
        if config.perceptual and self.features is not None:
            loss = loss + config.perceptual * compute_feature_distance(self.features, predicted, image)
        if discriminator is not None:
            loss = loss + compute_discriminator_loss(discriminator, predicted, image, hole, config.r1)
            loss = loss + compute_generator_loss(
                discriminator, predicted, image, config.adversarial, config.feature_matching
            )
        return loss


def compute_masked_l1(predicted: Tensor, image: Tensor, hole: Tensor, known: float, missing: float) -> Tensor:
    """Mean absolute error of colours in [0, 1], weighted ``known`` outside, ``missing`` inside the hole."""
    weight = known * (1 - hole) + missing * hole
    return ((predicted - image).abs() / 2 * weight).mean()


def compute_feature_distance(features: FeatureNetwork, predicted: Tensor, image: Tensor) -> Tensor:
    """Mean over the network's five maps of their mean squared difference; the target gets no gradient.

    Images above the network's own input size are brought to it by area.
    """
    if max(image.shape[-2:]) > INPUT_SIDE:
        size = (INPUT_SIDE, INPUT_SIDE)
        predicted, image = (F.interpolate(values, size, mode="area") for values in (predicted, image))
    with torch.no_grad():
        wanted = features.compute_maps(image)
    return compute_map_distance(features.compute_maps(predicted), wanted)


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
    losses = own.losses
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(compute_seed(config.seed, 0, "lama weights"))
        generator = LamaGenerator(own.shape)
        discriminator = PatchDiscriminator(losses.discriminator_widths, losses.discriminator_rate)
    file = start.folder / WEIGHTS_NAME if own.start is None else find_lama(own.start)
    if own.start is not None or (file.is_file() and not config.model.fresh):
        load_generator(generator, select_generator(read_tensors(file), file), file)
        if own.shape.prefilled and not is_prefilled(file):
            generator.add_nothing()
    trained: dict[str, nn.Module] = {"generator": generator}
    if losses.adversarial:
        trained["discriminator"] = discriminator
    for network in trained.values():
        network.requires_grad_(True)  # the normalisations' statistics are parameters, too: part of the state
    features = load_network(losses.features or find_bundled_features())[0] if losses.perceptual else None
    objective = LamaObjective(losses, features, config.data.image_size)
    return trained, {"objective": objective}


def compute_loss(networks: StageNetworks, batch: TrainBatch) -> Tensor:
    """The loss () of ``batch``, whose holes are a function of (seed, sample number) alone."""
    config = networks.start.config
    assert batch.product_mask is not None
    hole = sample_holes(batch.numbers, batch.product_mask, read_settings(config).holes, config.seed)
    discriminator = getattr(networks.trained, "discriminator", None)
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
    """Holes float32 (B, 1, H, W), 1 = to invent, for samples ``numbers`` with masks (B, 1, H, W)."""
    masks = product_mask[:, 0].float().cpu().numpy()
    holes = [
        sample_hole(mask, config, build_numpy_generator(seed, number, "lama hole"))
        for number, mask in zip(numbers, masks)
    ]
    return torch.from_numpy(np.stack(holes).astype(np.float32))[:, None].to(product_mask.device)
