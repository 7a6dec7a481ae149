"""What does a background look like to a feature network, as a function that has gradients?

The same preparation as in :mod:`cyclorama.evaluation`: the product and a narrow rim filled with neutral grey,
the image squeezed to the network's square. Resampling is torch's antialiased bicubic: the values are near
those of the evaluation's (Pillow's) but not equal to them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cyclorama.errors import SettingsError
from cyclorama.evaluation.published import load_features
from cyclorama.imaging.masks import NEUTRAL, grow_mask


class BackgroundFeatures(nn.Module):
    """Features (B, D) of backgrounds by a frozen network."""

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        side: int,
        name: str,
        weights_hash: str,
        dimensions: int,
        mean: tuple[float, ...] = (0.5, 0.5, 0.5),
        std: tuple[float, ...] = (0.5, 0.5, 0.5),
    ) -> None:
        """``network`` takes (B, 3, side, side), ``(x − mean) / std`` of an image in [0, 1]."""
        super().__init__()
        self.network = network
        self.side, self.name, self.weights_hash, self.dimensions = side, name, weights_hash, dimensions
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)
        self.requires_grad_(False).eval()

    def forward(self, image: Tensor, product_mask: Tensor | None = None) -> Tensor:
        """float32 (B, D) of ``image`` (B, 3, H, W) in [-1, 1]; ``product_mask`` (B, 1, H, W), 1 = not seen.

        Invariant: what is inside the product has neither influence nor gradient.
        """
        shown = image.float()
        if product_mask is not None:
            masks = product_mask[:, 0].float().cpu().numpy()
            hidden = torch.from_numpy(np.stack([*map(grow_mask, masks)]))[:, None].to(image.device)
            shown = shown * (1 - hidden) + (NEUTRAL / 127.5 - 1) * hidden
        return self.compute(shown)

    def compute(self, image: Tensor) -> Tensor:
        """float32 (B, D) of ``image`` (B, 3, H, W) in [-1, 1] as it is."""
        square = image.float()
        if square.shape[-2:] != (self.side, self.side):
            square = nn.functional.interpolate(
                square, (self.side, self.side), mode="bicubic", antialias=True, align_corners=False
            )
        prepared = (square.clamp(-1, 1) * 0.5 + 0.5 - self.mean) / self.std
        features = self.network(prepared)
        values: Tensor = getattr(features, "image_embeds", features)
        return values.float()


def load_background_features(choice: str, device: str = "cpu") -> BackgroundFeatures:
    """The network of `cyclorama evaluate --features`: ``cyclorama``, ``cyclorama=FOLDER``, ``clip=…``.

    Raises SettingsError (another network), ModelNotFoundError, ModelFormatError.
    """
    name = choice.partition("=")[0]
    if name not in ("cyclorama", "clip"):
        raise SettingsError(
            f"features {choice!r} cannot guide: use cyclorama, cyclorama=FOLDER or clip=FOLDER_OR_HUB_ID"
        )
    found = load_features(choice, device)
    processor: Any = getattr(found, "processor", None)  # CLIP's; our own network has the default's range
    prepared = () if processor is None else (tuple(processor.image_mean), tuple(processor.image_std))
    features = BackgroundFeatures(
        found.network, found.side, name, found.weights_hash, found.dimensions, *prepared
    )
    return features.to(device)
