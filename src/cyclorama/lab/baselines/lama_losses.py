"""What tells LaMa's generator how good its fill is (arXiv 2109.07161, section 2.2 and Eq. 1 to 6).

Differs from the paper: features come from this package's own feature network instead of a segmentation
network, because that one works offline and was made for such images; the discriminator is small and
has no normalisation; both sides share one optimiser (see :mod:`cyclorama.models.discriminator`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from cyclorama.config import Settings
from cyclorama.erasing.network import LamaGenerator, predict_fill
from cyclorama.errors import ConfigError
from cyclorama.evaluation.feature_network import INPUT_SIDE, FeatureNetwork
from cyclorama.models.discriminator import (
    compute_discriminator_loss,
    compute_generator_loss,
    compute_map_distance,
)

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
    """Mean absolute error over all pixels, weighted ``known`` outside and ``missing`` inside the hole.

    Images are (B, 3, H, W) in [-1, 1]; the error counts in [0, 1] as in the published training.
    """
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
