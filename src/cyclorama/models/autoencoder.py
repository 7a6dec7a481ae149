"""A compact autoencoder for small machines: linear patch encoder, convolutional decoder.

The encoder is the principal-component analysis of image patches, wholly or partly whitened; it needs no
training. The decoder is the transposed analysis plus a small convolutional network that removes the patch
grid and sharpens. It follows the interface of diffusers' autoencoders.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.autoencoders.vae import DecoderOutput, IdentityDistribution
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from diffusers.models.modeling_utils import ModelMixin
from diffusers.utils.accelerate_utils import apply_forward_hook
from torch import Tensor, nn


@torch.no_grad()
def _set(layer: nn.Conv2d | nn.ConvTranspose2d, weight: Tensor | float, bias: Tensor | float) -> None:
    assert layer.bias is not None
    layer.weight[:] = weight
    layer.bias[:] = bias


class _Block(nn.Module):
    """Two 3×3 convolutions with group norm, added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        _set(self.conv2, 0, 0)  # adds nothing until it is trained

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.conv2(F.silu(self.conv1(F.silu(self.norm(x)))))
        return out


class PatchAutoencoder(ModelMixin, ConfigMixin):
    """Images (B, 3, H, W) in [-1, 1] to latents (B, c, H / patch, W / patch) and back.

    ``patch`` must be a power of two; H and W multiples of it. ``widths`` are the decoder's channels
    at patch-grid resolution, then at each doubling; a last pixel shuffle makes the remaining ones.
    Invariant: without the refiner the decoded patch is the orthogonal projection onto the
    principal components.

    ``whitening`` in [0, 1] is the share of the spectrum that :meth:`fit` levels: 1 gives every component
    unit variance, 0 keeps the image's own spectrum. A diffusion model's errors weigh equally in all
    components, so full whitening lets a patch's mean colour err as much as its finest detail.
    """

    _supports_gradient_checkpointing = False

    @register_to_config
    def __init__(
        self,
        patch: int = 16,
        latent_channels: int = 8,
        widths: tuple[int, ...] = (192, 128, 96, 48),
        blocks: tuple[int, ...] = (3, 2, 2, 1),
        scaling_factor: float = 1.0,
        whitening: float = 1.0,
    ) -> None:
        super().__init__()
        self.analysis = nn.Conv2d(3, latent_channels, patch, stride=patch)
        self.synthesis = nn.ConvTranspose2d(latent_channels, 3, patch, stride=patch)
        shuffle = patch // 2 ** (len(widths) - 1)
        layers: list[nn.Module] = [nn.Conv2d(latent_channels, widths[0], 3, padding=1)]
        for i, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            if i > 0:
                layers += [nn.Upsample(scale_factor=2), nn.Conv2d(widths[i - 1], width, 3, padding=1)]
            layers += [_Block(width) for _ in range(count)]
        last = nn.Conv2d(widths[-1], 3 * shuffle**2, 3, padding=1)
        _set(last, 0, 0)
        layers += [nn.GroupNorm(8, widths[-1]), nn.SiLU(), last, nn.PixelShuffle(shuffle)]
        self.refiner = nn.Sequential(*layers)

    @apply_forward_hook
    def encode(self, image: Tensor) -> AutoencoderKLOutput:
        """Latents of ``image`` (B, 3, H, W) in [-1, 1]; scaled on the data the analysis was fitted to."""
        return AutoencoderKLOutput(IdentityDistribution(self.analysis(image)))

    @apply_forward_hook
    def decode(self, latents: Tensor, return_dict: bool = True, generator: Any = None) -> Any:
        """Image (B, 3, H, W), about [-1, 1], of latents (B, c, h, w), as diffusers' autoencoders give it."""
        sample = self.decode_linear(latents) + self.refiner(latents)
        return DecoderOutput(sample) if return_dict else (sample,)

    def decode_linear(self, latents: Tensor) -> Tensor:
        """The image without the refiner: each patch its principal components only."""
        out: Tensor = self.synthesis(latents)
        return out

    def forward(self, image: Tensor) -> Tensor:
        """Encode and decode."""
        decoded: Tensor = self.decode(self.encode(image).latent_dist.mode()).sample
        return decoded

    def fit(self, images: Tensor) -> Tensor:
        """Fit analysis and synthesis to ``images`` (N, 3, H, W) in [-1, 1]; returns the spectrum.

        Principal-component analysis of all patches about their mean colour. Component k's standard
        deviation becomes ``σ_k ** (1 - whitening)`` times one factor for all, which makes the mean
        variance 1. The sign of a component is fixed (its largest weight is positive), so the result
        is reproducible.
        """
        patch = int(self.config.patch)
        channels = int(self.config.latent_channels)
        size = 3 * patch * patch
        total = torch.zeros(size, dtype=torch.float64)
        moment = torch.zeros(size, size, dtype=torch.float64)
        count = 0
        for first in range(0, images.shape[0], 64):
            chunk = images[first : first + 64]
            rows = F.unfold(chunk.float(), patch, stride=patch).transpose(1, 2).reshape(-1, size)
            total += rows.double().sum(0)
            moment += (rows.T @ rows).double()
            count += rows.shape[0]
        mean = total / count
        centre = mean.reshape(3, -1).mean(1).repeat_interleave(patch * patch)
        cross = mean.outer(centre)
        values, vectors = torch.linalg.eigh(moment / count - cross - cross.T + centre.outer(centre))
        spectrum: Tensor = values.flip(0).clamp_min(0)
        basis = vectors.flip(1)[:, :channels].T
        largest = basis.gather(1, basis.abs().argmax(1, keepdim=True))
        basis = basis * largest.sign()
        kept = spectrum[:channels].clamp_min(1e-12)
        whitening = float(self.config.whitening)
        scale = (kept**whitening * (kept ** (1 - whitening)).mean()).sqrt()[:, None]
        shape = (channels, 3, patch, patch)
        _set(self.analysis, (basis / scale).reshape(shape), -(basis / scale) @ centre)
        _set(self.synthesis, (basis * scale).reshape(shape), centre[:: patch * patch])
        return spectrum
