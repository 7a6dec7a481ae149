"""LaMa's generator: a residual network of fast Fourier convolutions (arXiv 2109.07161, section 2.1).

Parameter names are those of the published checkpoints (``model.N.ffc.convl2l.weight`` and so on), so that
these load as they are. A signal has a local part, worked on by plain convolutions, and a global part, worked
on in the frequency domain, where every output value depends on the whole image from the first layer on.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, ClassVar, Literal, NamedTuple, Self

import torch
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from cyclorama.config import Order, Settings
from cyclorama.errors import ConfigError

INPUTS = 4
"""Three colours with the hole set to 0, and the hole itself."""
RELAXATIONS = 8
"""Rounds of smoothing at each level."""


class Channels(NamedTuple):
    """Channels of the two parts of a signal; 0 where there is no such part."""

    local: int
    wide: int


class Signal(NamedTuple):
    """The two parts of a signal, each (B, C, H, W)."""

    local: Tensor
    wide: Tensor | None


class LamaShape(Settings):
    """What fixes the generator's layers. The defaults are those of the published big-lama."""

    ordered: ClassVar[Order] = (("width", "max_width"),)
    width: PositiveInt = 64
    """Channels at the image's own resolution; they double with each halving."""
    downsamplings: PositiveInt = 3
    """Halvings before the residual blocks."""
    blocks: PositiveInt = 18
    """Residual blocks of two Fourier convolutions."""
    global_share: Annotated[float, Field(gt=0, lt=1)] = 0.75
    """Share of the blocks' channels that is global."""
    max_width: PositiveInt = 1024
    """Most channels that a layer may have."""
    prefilled: bool = False
    """Whether the hole is shown filled from its surroundings (:func:`spread_known`) and the output is what is
    added to that: such a generator begins as good as its surroundings are. Published ones are not."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.split(self.compute_width(self.downsamplings)).wide < 2:
            raise ConfigError(f"global_share {self.global_share} must leave 2 global channels; raise it")
        return self

    @property
    def multiple(self) -> int:
        """Heights and widths of inputs must be multiples of this many pixels."""
        return int(2**self.downsamplings)

    def compute_width(self, level: int) -> int:
        """Channels after ``level`` halvings."""
        return int(min(self.max_width, self.width * 2**level))

    def split(self, channels: int) -> Channels:
        """``channels`` divided into local and global ones."""
        wide = int(channels * self.global_share + 1e-6)  # a share read off a file may fall short by rounding
        return Channels(channels - wide, wide)


BIG_LAMA = LamaShape()
SMALL_LAMA = LamaShape(width=24, blocks=6)
"""2.7 million parameters, for images of 256 pixels."""


class Normalisation(nn.BatchNorm2d):
    """Batch normalisation whose running statistics are parameters (without gradient) instead of buffers.

    So checkpoints and the moving average of a training run, which hold parameters, hold them as well. Names
    and results are those of ``nn.BatchNorm2d``.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        for name in ("running_mean", "running_var"):
            statistics = self._buffers.pop(name)
            assert statistics is not None
            self.register_parameter(name, nn.Parameter(statistics, requires_grad=False))

    def forward(self, values: Tensor) -> Tensor:
        """(B, C, H, W), normalised over the batch in training, by the running statistics otherwise."""
        assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
        statistics = self.running_mean.detach(), self.running_var.detach()
        affine = self.weight, self.bias
        return F.batch_norm(values, *statistics, *affine, self.training, self.momentum, self.eps)


class FourierUnit(nn.Module):
    """A 1 × 1 convolution with normalisation and ReLU on the spectrum of each channel.

    Real and imaginary part of channel c are channels 2c and 2c + 1 of the convolution; the transform is
    orthonormal. Invariant: the output is real and has the input's size, odd sizes included.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_layer = nn.Conv2d(2 * channels, 2 * channels, 1, bias=False)
        self.bn = Normalisation(2 * channels)

    def forward(self, values: Tensor) -> Tensor:
        """(B, C, H, W) of (B, C, H, W)."""
        exact = torch.promote_types(values.dtype, torch.float32)  # no transform in half precision
        spectrum = torch.view_as_real(torch.fft.rfft2(values.to(exact), norm="ortho"))
        planes = spectrum.permute(0, 1, 4, 2, 3).flatten(1, 2)
        planes = torch.relu(self.bn(self.conv_layer(planes)))
        pairs = planes.reshape(planes.shape[0], -1, 2, *planes.shape[-2:]).permute(0, 1, 3, 4, 2)
        mixed = torch.view_as_complex(pairs.to(exact).contiguous())
        output: Tensor = torch.fft.irfft2(mixed, s=values.shape[-2:], norm="ortho")
        return output


class SpectralTransform(nn.Module):
    """The way from global to global channels: narrow to half, Fourier unit beside a short cut, widen.

    Differs from the first paper on Fourier convolutions as LaMa does: no local Fourier unit.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        half = outputs // 2
        self.conv1 = nn.Sequential(nn.Conv2d(inputs, half, 1, bias=False), Normalisation(half), nn.ReLU())
        self.fu = FourierUnit(half)
        self.conv2 = nn.Conv2d(half, outputs, 1, bias=False)

    def forward(self, values: Tensor) -> Tensor:
        """(B, outputs, H, W) of (B, inputs, H, W)."""
        narrow = self.conv1(values)
        widened: Tensor = self.conv2(narrow + self.fu(narrow))
        return widened


class FourierConvolution(nn.Module):
    """A fast Fourier convolution: each output part is the sum of what both input parts give (Fig. 2).

    Local to local, local to global and global to local are plain convolutions with reflected borders;
    global to global is the spectral transform.
    """

    def __init__(self, inputs: Channels, outputs: Channels, kernel: int, stride: int, padding: int) -> None:
        super().__init__()
        if inputs.wide and stride != 1:
            raise ConfigError("a Fourier convolution with global inputs has stride 1 only")

        def build(source: int, target: int) -> nn.Conv2d | None:
            if not source or not target:
                return None
            mode: Literal["reflect", "zeros"] = "reflect" if padding else "zeros"
            return nn.Conv2d(source, target, kernel, stride, padding, bias=False, padding_mode=mode)

        self.convl2l = build(inputs.local, outputs.local)
        self.convl2g = build(inputs.local, outputs.wide)
        self.convg2l = build(inputs.wide, outputs.local)
        self.convg2g = SpectralTransform(inputs.wide, outputs.wide) if inputs.wide and outputs.wide else None

    def forward(self, signal: Signal) -> Signal:
        """Both parts of the result."""
        assert self.convl2l is not None
        local = self.convl2l(signal.local)
        wide = None if self.convl2g is None else self.convl2g(signal.local)
        if signal.wide is not None:
            assert self.convg2l is not None and self.convg2g is not None and wide is not None
            local = local + self.convg2l(signal.wide)
            wide = wide + self.convg2g(signal.wide)
        return Signal(local, wide)


class NormalisedConvolution(nn.Module):
    """A Fourier convolution, then normalisation and ReLU on each part."""

    def __init__(self, inputs: Channels, outputs: Channels, kernel: int, stride: int, padding: int) -> None:
        super().__init__()
        self.ffc = FourierConvolution(inputs, outputs, kernel, stride, padding)
        self.bn_l = Normalisation(outputs.local)
        self.bn_g = Normalisation(outputs.wide) if outputs.wide else None

    def forward(self, signal: Signal | Tensor) -> Signal:
        """Both parts of the result; a plain tensor is a signal without global part."""
        signal = Signal(signal, None) if isinstance(signal, Tensor) else signal
        local, wide = self.ffc(signal)
        wide = None if self.bn_g is None else torch.relu(self.bn_g(wide))
        return Signal(torch.relu(self.bn_l(local)), wide)


class ResidualBlock(nn.Module):
    """Two normalised Fourier convolutions, added to the input."""

    def __init__(self, channels: Channels) -> None:
        super().__init__()
        self.conv1 = NormalisedConvolution(channels, channels, 3, 1, 1)
        self.conv2 = NormalisedConvolution(channels, channels, 3, 1, 1)

    def forward(self, signal: Signal) -> Signal:
        """Both parts of the result."""
        local, wide = self.conv2(self.conv1(signal))
        return Signal(signal.local + local, signal.wide + wide)


class Join(nn.Module):
    """Local and global channels as one tensor, local first."""

    def forward(self, signal: Signal) -> Tensor:
        """(B, local + global, H, W)."""
        assert signal.wide is not None
        return torch.cat([signal.local, signal.wide], dim=1)


class LamaGenerator(nn.Module):
    """Images with a hole to whole images; see :func:`predict_fill` for images in [-1, 1].

    ``model`` is one sequence, because the published names count its entries.
    """

    def __init__(self, shape: LamaShape = BIG_LAMA) -> None:
        super().__init__()
        self.shape = shape
        widths = [shape.compute_width(level) for level in range(shape.downsamplings + 1)]
        parts = [Channels(width, 0) for width in widths[:-1]] + [shape.split(widths[-1])]
        layers: list[nn.Module] = [
            nn.ReflectionPad2d(3),
            NormalisedConvolution(Channels(INPUTS, 0), parts[0], 7, 1, 0),
        ]
        for inputs, outputs in pairwise(parts):
            layers.append(NormalisedConvolution(inputs, outputs, 3, 2, 1))
        layers += [ResidualBlock(parts[-1]) for _ in range(shape.blocks)]
        layers.append(Join())
        for wide, narrow in zip(widths[:0:-1], widths[-2::-1]):
            grow = nn.ConvTranspose2d(wide, narrow, 3, 2, padding=1, output_padding=1)
            layers += [grow, Normalisation(narrow), nn.ReLU()]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(widths[0], 3, 7), nn.Sigmoid()]
        self.model = nn.Sequential(*layers)
        if shape.prefilled:
            self.add_nothing()

    def add_nothing(self) -> None:
        """Make all outputs 0.5: of a prefilled generator the surroundings alone."""
        head = self.model[-2]
        assert isinstance(head, nn.Conv2d) and head.bias is not None
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)

    def forward(self, inputs: Tensor) -> Tensor:
        """Values (B, 3, H, W) in [0, 1] of ``inputs`` (B, 4, H, W): colours with the hole 0 or prefilled, and
        the hole. They are colours, of a prefilled generator half of what is added to them, 0.5 for nothing.
        """
        predicted: Tensor = self.model(inputs)
        return predicted


def predict_fill(generator: LamaGenerator, image: Tensor, hole: Tensor) -> Tensor:
    """The generator's image (B, 3, H, W) in [-1, 1] for ``image`` (B, 3, H, W) in [-1, 1] with a hole.

    ``hole`` (B, 1, H, W) is 1 where the image is unknown, 0 where it is known; nothing between. Outside the
    hole the result is the network's own guess: put the known pixels back yourself. H and W are multiples of
    the shape's ``multiple``. Invariant: ``image`` inside the hole has no influence.
    """
    known = torch.where(hole > 0, 0.0, (image + 1) / 2)
    if not generator.shape.prefilled:
        colours: Tensor = generator(torch.cat([known, hole], dim=1))
        return colours * 2 - 1
    spread = spread_known(known, hole)
    added: Tensor = generator(torch.cat([spread, hole], dim=1)) * 2 - 1
    return (spread + added) * 2 - 1


def spread_known(values: Tensor, hole: Tensor) -> Tensor:
    """``values`` (B, C, H, W) with ``hole`` (B, 1, H, W; 1 = unknown) filled smoothly from around it.

    Invariants: known values stay; what is in the hole has no influence; no filled value exceeds the known
    ones. An image without anything known is 0.

    Known values are averaged down to ever coarser grids until none is unknown, then brought up again; at each
    level the hole is smoothed towards a membrane (Laplace's equation): the pull-push scheme of Gortler and
    others (1996) with relaxation, on batches.
    """
    known = 1 - hole
    values = torch.where(hole > 0, 0.0, values)
    if min(values.shape[-2:]) > 1 and bool((hole > 0).any()):
        weight = F.avg_pool2d(known, 2, ceil_mode=True, count_include_pad=False)
        total = F.avg_pool2d(values, 2, ceil_mode=True, count_include_pad=False)
        coarse = spread_known(total / weight.clamp_min(1e-6), (weight <= 0).to(hole.dtype))
        fine = F.interpolate(coarse, values.shape[-2:], mode="bilinear", align_corners=False)
        values = torch.where(hole > 0, fine, values)
        for _ in range(RELAXATIONS):
            near = F.pad(values, (1, 1, 1, 1), mode="replicate")
            mean = (
                near[..., :-2, 1:-1] + near[..., 2:, 1:-1] + near[..., 1:-1, :-2] + near[..., 1:-1, 2:]
            ) / 4
            values = torch.where(hole > 0, mean, values)
    return values


def count_parameters(generator: nn.Module) -> int:
    """Numbers that gradients move; the normalisations' statistics do not count."""
    return sum(value.numel() for name, value in generator.named_parameters() if ".running_" not in name)
