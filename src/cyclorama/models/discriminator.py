"""A small patch discriminator: which parts of an image look true?

Used with one optimiser for both sides: the discriminator's loss and the generator's are one sum, and
neither's gradient reaches the other. Source: LaMa (arXiv 2109.07161, Eq. 2 to 6); differs from it: small,
without normalisation, and see :class:`ScaledConvolution`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F


class ScaledConvolution(nn.Module):
    """A 3 × 3 convolution whose parameters are stored divided by ``scale``.

    Under Adam, whose steps do not depend on the gradient's size, what the layer does changes ``scale`` times
    as fast as other layers': a learning rate of its own without an optimiser of its own.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, scale: float) -> None:
        super().__init__()
        plain = nn.Conv2d(inputs, outputs, 3, stride, 1)
        assert plain.bias is not None
        self.weight = nn.Parameter(plain.weight.detach() / scale)
        self.bias = nn.Parameter(plain.bias.detach() / scale)
        self.stride, self.scale = stride, scale

    def forward(self, values: Tensor) -> Tensor:
        """(B, outputs, H / stride, W / stride)."""
        return F.conv2d(values, self.weight * self.scale, self.bias * self.scale, self.stride, 1)


DETAIL_GAIN = 5.0
"""How much an image's detail is amplified before the discriminator sees it."""


def split_detail(image: Tensor) -> Tensor:
    """(B, 6, H, W): ``image`` (B, 3, H, W), and its amplified difference to the mean of 5 × 5 pixels.

    What tells a blurred image from a sharp one is small beside what they share; without this the
    discriminator needs hundreds of steps to see it.
    """
    smooth = F.avg_pool2d(image, 5, stride=1, padding=2, count_include_pad=False)
    return torch.cat([image, DETAIL_GAIN * (image - smooth)], dim=1)


class PatchDiscriminator(nn.Module):
    """Logits that a patch is from a true image, and the maps on the way to them."""

    def __init__(self, widths: tuple[int, ...], rate: float) -> None:
        super().__init__()
        inputs = (6, *widths[:-1])
        self.layers = nn.ModuleList(ScaledConvolution(i, o, 2, rate) for i, o in zip(inputs, widths))
        self.last = ScaledConvolution(widths[-1], 1, 1, rate)

    def forward(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Logits (B, 1, h, w) of ``image`` (B, 3, H, W) in [-1, 1], and the layers' maps."""
        maps: list[Tensor] = []
        for layer in self.layers:
            maps.append(F.leaky_relu(layer(maps[-1] if maps else split_detail(image)), 0.2))
        return self.last(maps[-1]), maps


def compute_map_distance(maps: list[Tensor], wanted: list[Tensor]) -> Tensor:
    """Mean over the maps of their mean squared difference."""
    return torch.stack([F.mse_loss(one, other) for one, other in zip(maps, wanted)]).mean()


def compute_discriminator_loss(
    discriminator: nn.Module, predicted: Tensor, image: Tensor, hole: Tensor, r1: float
) -> Tensor:
    """LaMa's Eq. 2: patches of ``image`` are true; of ``predicted``, those that touch the hole are false.

    Its other patches count as true. With R1, the squared gradient norm on true images, times ``r1``.
    ``predicted`` gets no gradient.
    """
    true_image = image.detach().requires_grad_(r1 > 0)
    true_logits, _ = discriminator(true_image)
    logits, _ = discriminator(predicted.detach())
    touched = F.adaptive_max_pool2d(hole, logits.shape[-2:])
    false = (F.softplus(logits) * touched + F.softplus(-logits) * (1 - touched)).mean()
    loss = F.softplus(-true_logits).mean() + false
    if r1 > 0:
        (gradient,) = torch.autograd.grad(true_logits.sum(), true_image, create_graph=True)
        loss = loss + r1 * gradient.square().sum(dim=(1, 2, 3)).mean()
    return loss


def compute_generator_loss(
    discriminator: nn.Module, predicted: Tensor, image: Tensor, adversarial: float, feature_matching: float
) -> Tensor:
    """What ``predicted`` must do to pass for true; ``discriminator``'s own parameters get no gradient.

    Non-saturating adversarial loss plus the distance of the discriminator's maps to those of ``image``.
    """
    fixed = {name: value.detach() for name, value in discriminator.named_parameters()}
    logits, maps = functional_call(discriminator, fixed, (predicted,))
    with torch.no_grad():
        _, true_maps = discriminator(image)
    loss: Tensor = adversarial * F.softplus(-logits).mean()
    return loss + feature_matching * compute_map_distance(maps, true_maps)
