"""How unlike do two images look?  Distance of a pretrained network's features, for training decoders."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from cyclorama.pretrained import PretrainedNetwork


class PerceptualDistance(nn.Module):
    """Mean squared distance of features of unit length, summed over three depths of EfficientNet-Lite0, as
    LPIPS has it (arXiv 1801.03924) but without learned weights.  Nothing in it is trained.

    Raises MissingDependencyError: onnx is not there.
    """

    def __init__(self) -> None:
        super().__init__()
        self.describe = PretrainedNetwork(("block4", "block7", "block10"))

    def forward(self, image: Tensor, other: Tensor) -> Tensor:
        """The distance () of two batches (B, 3, H, W) in [-1, 1], 0 where they are equal."""
        distance = image.new_zeros(())
        for a, b in zip(self.describe(image), self.describe(other), strict=True):
            distance = distance + (F.normalize(a, dim=1) - F.normalize(b, dim=1)).square().sum(1).mean()
        return distance
