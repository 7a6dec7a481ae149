"""Inception-v3 as the Fréchet inception distance wants it: pool features of the 2015 weights.

Architecture: Szegedy et al., arXiv 1512.00567; the 2015 TensorFlow graph behind FID (arXiv 1706.08500)
differs from the usual one in that average pools do not count the padding and the last block pools by
maximum. Parameter names are those of the published PyTorch conversion of these weights.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from cyclorama.errors import ModelFormatError, ModelNotFoundError

FILE_NAME = "pt_inception-2015-12-05-6726825d.pth"
"""The published file (pytorch-fid, release fid_weights); torch-fidelity's copy and .safetensors work too."""
INPUT_SIDE = 299
DIMENSIONS = 2048


class Convolution(nn.Module):
    """Convolution without bias, normalisation (epsilon 0.001), ReLU."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int | tuple[int, int],
        stride: int = 1,
        padding: int | tuple[int, int] = 0,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """(B, outputs, H', W')."""
        return torch.relu(self.bn(self.conv(values)))


def _average(values: torch.Tensor) -> torch.Tensor:
    return nn.functional.avg_pool2d(values, 3, 1, 1, count_include_pad=False)


class MixedA(nn.Module):
    """Mixed_5b to 5d: 1 × 1, 5 × 5 and double 3 × 3 branches and a pool, at 35 × 35."""

    def __init__(self, inputs: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = Convolution(inputs, 64, 1)
        self.branch5x5_1 = Convolution(inputs, 48, 1)
        self.branch5x5_2 = Convolution(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = Convolution(inputs, 64, 1)
        self.branch3x3dbl_2 = Convolution(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = Convolution(96, 96, 3, padding=1)
        self.branch_pool = Convolution(inputs, pooled, 1)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """(B, 224 + pooled, 35, 35)."""
        wide = self.branch5x5_2(self.branch5x5_1(values))
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(values)))
        return torch.cat([self.branch1x1(values), wide, double, self.branch_pool(_average(values))], 1)


class MixedB(nn.Module):
    """Mixed_6a: from 35 × 35 to 17 × 17."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3 = Convolution(inputs, 384, 3, stride=2)
        self.branch3x3dbl_1 = Convolution(inputs, 64, 1)
        self.branch3x3dbl_2 = Convolution(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = Convolution(96, 96, 3, stride=2)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """(B, 480 + inputs, 17, 17)."""
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(values)))
        return torch.cat([self.branch3x3(values), double, nn.functional.max_pool2d(values, 3, 2)], 1)


class MixedC(nn.Module):
    """Mixed_6b to 6e: 7 × 7 kernels split into rows and columns, at 17 × 17."""

    def __init__(self, inputs: int, middle: int) -> None:
        super().__init__()
        row, column = {"kernel": (1, 7), "padding": (0, 3)}, {"kernel": (7, 1), "padding": (3, 0)}
        self.branch1x1 = Convolution(inputs, 192, 1)
        self.branch7x7_1 = Convolution(inputs, middle, 1)
        self.branch7x7_2 = Convolution(middle, middle, **row)  # type: ignore[arg-type]
        self.branch7x7_3 = Convolution(middle, 192, **column)  # type: ignore[arg-type]
        self.branch7x7dbl_1 = Convolution(inputs, middle, 1)
        self.branch7x7dbl_2 = Convolution(middle, middle, **column)  # type: ignore[arg-type]
        self.branch7x7dbl_3 = Convolution(middle, middle, **row)  # type: ignore[arg-type]
        self.branch7x7dbl_4 = Convolution(middle, middle, **column)  # type: ignore[arg-type]
        self.branch7x7dbl_5 = Convolution(middle, 192, **row)  # type: ignore[arg-type]
        self.branch_pool = Convolution(inputs, 192, 1)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """(B, 768, 17, 17)."""
        single = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(values)))
        double = self.branch7x7dbl_2(self.branch7x7dbl_1(values))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(self.branch7x7dbl_3(double)))
        return torch.cat([self.branch1x1(values), single, double, self.branch_pool(_average(values))], 1)


class MixedD(nn.Module):
    """Mixed_7a: from 17 × 17 to 8 × 8."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3_1 = Convolution(inputs, 192, 1)
        self.branch3x3_2 = Convolution(192, 320, 3, stride=2)
        self.branch7x7x3_1 = Convolution(inputs, 192, 1)
        self.branch7x7x3_2 = Convolution(192, 192, (1, 7), padding=(0, 3))
        self.branch7x7x3_3 = Convolution(192, 192, (7, 1), padding=(3, 0))
        self.branch7x7x3_4 = Convolution(192, 192, 3, stride=2)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """(B, 512 + inputs, 8, 8)."""
        single = self.branch3x3_2(self.branch3x3_1(values))
        split = self.branch7x7x3_2(self.branch7x7x3_1(values))
        split = self.branch7x7x3_4(self.branch7x7x3_3(split))
        return torch.cat([single, split, nn.functional.max_pool2d(values, 3, 2)], 1)


class MixedE(nn.Module):
    """Mixed_7b and 7c: branches that end in a row and a column, at 8 × 8."""

    def __init__(self, inputs: int, pool_by_maximum: bool) -> None:
        super().__init__()
        self.pool_by_maximum = pool_by_maximum
        self.branch1x1 = Convolution(inputs, 320, 1)
        self.branch3x3_1 = Convolution(inputs, 384, 1)
        self.branch3x3_2a = Convolution(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3_2b = Convolution(384, 384, (3, 1), padding=(1, 0))
        self.branch3x3dbl_1 = Convolution(inputs, 448, 1)
        self.branch3x3dbl_2 = Convolution(448, 384, 3, padding=1)
        self.branch3x3dbl_3a = Convolution(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3dbl_3b = Convolution(384, 384, (3, 1), padding=(1, 0))
        self.branch_pool = Convolution(inputs, 192, 1)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """(B, 2048, 8, 8)."""
        single = self.branch3x3_1(values)
        single = torch.cat([self.branch3x3_2a(single), self.branch3x3_2b(single)], 1)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(values))
        double = torch.cat([self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double)], 1)
        pooled = nn.functional.max_pool2d(values, 3, 1, 1) if self.pool_by_maximum else _average(values)
        return torch.cat([self.branch1x1(values), single, double, self.branch_pool(pooled)], 1)


class Inception(nn.Module):
    """The trunk up to the last pool: (B, 2048) of ``image`` (B, 3, 299, 299) in [-1, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Convolution(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = Convolution(32, 32, 3)
        self.Conv2d_2b_3x3 = Convolution(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = Convolution(64, 80, 1)
        self.Conv2d_4a_3x3 = Convolution(80, 192, 3)
        self.Mixed_5b = MixedA(192, 32)
        self.Mixed_5c = MixedA(256, 64)
        self.Mixed_5d = MixedA(288, 64)
        self.Mixed_6a = MixedB(288)
        self.Mixed_6b = MixedC(768, 128)
        self.Mixed_6c = MixedC(768, 160)
        self.Mixed_6d = MixedC(768, 160)
        self.Mixed_6e = MixedC(768, 192)
        self.Mixed_7a = MixedD(768)
        self.Mixed_7b = MixedE(1280, pool_by_maximum=False)
        self.Mixed_7c = MixedE(2048, pool_by_maximum=True)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Pool features (B, 2048), 0 or more."""
        values = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(image)))
        values = nn.functional.max_pool2d(values, 3, 2)
        values = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(values))
        values = nn.functional.max_pool2d(values, 3, 2)
        values = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(values)))
        values = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(values)))))
        values = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(values)))
        pooled: torch.Tensor = values.mean(dim=(2, 3))
        return pooled


def load_inception(path: Path) -> tuple[Inception, dict[str, torch.Tensor]]:
    """The trunk with the weights of ``path`` (.pth state dict or .safetensors), and the tensors it used.

    The classifier (``fc``) and auxiliary outputs in the file are left out. A pickled file is opened with
    ``weights_only``: nothing in it is run. Raises ModelNotFoundError, ModelFormatError.
    """
    if not path.is_file():
        raise ModelNotFoundError(
            f"no Inception weights at {path}: download {FILE_NAME} (pytorch-fid's release 'fid_weights', "
            f"about 92 MB) once and name it with --features inception=FILE"
        )
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            tensors = load_file(path)
        else:
            tensors = dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # unpickling fails in many ways
        raise ModelFormatError(
            f"{path} cannot be read as weights ({type(error).__name__}); download {FILE_NAME} again"
        ) from error
    network = Inception()
    wanted = set(network.state_dict())
    used = {name: value for name, value in tensors.items() if name in wanted}
    absent = {name for name in wanted - set(used) if not name.endswith("num_batches_tracked")}
    if absent:
        raise ModelFormatError(
            f"{path} lacks {len(absent)} of {len(wanted)} tensors, first {sorted(absent)[0]!r}; "
            f"use {FILE_NAME} or a copy with its names"
        )
    try:
        network.load_state_dict(used, strict=False)
    except RuntimeError as error:
        raise ModelFormatError(f"{path} has tensors of other shapes: {str(error)[:200]}") from error
    network.eval().requires_grad_(False)
    return network, used
