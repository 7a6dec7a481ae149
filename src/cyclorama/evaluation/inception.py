"""Inception-v3 as the Fréchet inception distance wants it: pool features of the 2015 weights.

Architecture: arXiv 1512.00567. The 2015 graph behind FID (arXiv 1706.08500) differs from torchvision's
(average pools leave the border out, the last block pools by maximum), so the network is here, its blocks as
data; parameter names are those of the published PyTorch conversion.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from cyclorama.errors import ModelFormatError, ModelNotFoundError

FILE_NAME = "pt_inception-2015-12-05-6726825d.pth"

Layer = tuple[str, int, int | tuple[int, int]]
"""(name, channels, kernel); a name that ends in ``/2`` halves the sides."""


class Convolution(nn.Module):
    """Convolution without bias, normalisation and ReLU."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int | tuple[int, int], stride: int = 1, padding: bool = True
    ) -> None:
        super().__init__()
        sides = (kernel, kernel) if isinstance(kernel, int) else kernel
        border = (sides[0] // 2, sides[1] // 2) if padding else 0
        self.conv = nn.Conv2d(inputs, outputs, sides, stride, border, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """(B, outputs, H', W')."""
        return torch.relu(self.bn(self.conv(values)))


class Mixed(nn.Module):
    """Paths of convolutions side by side, their ends joined; paths may share their first layers.

    ``pool``: what the path ``branch_pool`` begins with, or (``halve``) the last path itself.
    """

    def __init__(self, inputs: int, paths: Sequence[Sequence[Layer]], pool: str = "average") -> None:
        super().__init__()
        self.pool = pool
        self.paths = [[name.removesuffix("/2") for name, _, _ in path] for path in paths]
        for path in paths:
            width = inputs
            for name, outputs, kernel in path:
                plain = name.removesuffix("/2")
                if not hasattr(self, plain):
                    halves = plain != name
                    self.add_module(
                        plain, Convolution(width, outputs, kernel, 2 if halves else 1, not halves)
                    )
                width = outputs

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """(B, sum of the paths' channels, H', W')."""
        made: dict[str, torch.Tensor] = {}
        for path in self.paths:
            end = self._pool(values) if path[0] == "branch_pool" else values
            for name in path:
                if name not in made:
                    made[name] = getattr(self, name)(end)
                end = made[name]
        ends = [made[path[-1]] for path in self.paths]
        if self.pool == "halve":
            ends.append(nn.functional.max_pool2d(values, 3, 2))
        return torch.cat(ends, 1)

    def _pool(self, values: torch.Tensor) -> torch.Tensor:
        if self.pool == "maximum":
            return nn.functional.max_pool2d(values, 3, 1, 1)
        return nn.functional.avg_pool2d(values, 3, 1, 1, count_include_pad=False)


def _build_a(inputs: int, pooled: int) -> Mixed:
    """Mixed_5b to 5d, at 35 x 35."""
    double: list[Layer] = [("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3)]
    wide: list[Layer] = [("branch5x5_1", 48, 1), ("branch5x5_2", 64, 5)]
    return Mixed(inputs, [[("branch1x1", 64, 1)], wide, double, [("branch_pool", pooled, 1)]])


def _build_b(inputs: int) -> Mixed:
    """Mixed_6a: from 35 x 35 to 17 x 17."""
    double: list[Layer] = [("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3/2", 96, 3)]
    return Mixed(inputs, [[("branch3x3/2", 384, 3)], double], "halve")


def _build_c(inputs: int, middle: int) -> Mixed:
    """Mixed_6b to 6e: 7 x 7 kernels split into rows and columns, at 17 x 17."""
    row, column = (1, 7), (7, 1)
    single: list[Layer] = [
        ("branch7x7_1", middle, 1),
        ("branch7x7_2", middle, row),
        ("branch7x7_3", 192, column),
    ]
    double: list[Layer] = [("branch7x7dbl_1", middle, 1)]
    for number, (width, kernel) in enumerate(zip((middle, middle, middle, 192), (column, row) * 2), start=2):
        double.append((f"branch7x7dbl_{number}", width, kernel))
    return Mixed(inputs, [[("branch1x1", 192, 1)], single, double, [("branch_pool", 192, 1)]])


def _build_d(inputs: int) -> Mixed:
    """Mixed_7a: from 17 x 17 to 8 x 8."""
    split: list[Layer] = [
        ("branch7x7x3_1", 192, 1),
        ("branch7x7x3_2", 192, (1, 7)),
        ("branch7x7x3_3", 192, (7, 1)),
        ("branch7x7x3_4/2", 192, 3),
    ]
    return Mixed(inputs, [[("branch3x3_1", 192, 1), ("branch3x3_2/2", 320, 3)], split], "halve")


def _build_e(inputs: int, pool: str) -> Mixed:
    """Mixed_7b and 7c: paths that end in a row and a column, at 8 x 8."""
    paths: list[list[Layer]] = [[("branch1x1", 320, 1)]]
    for first in ([("branch3x3_1", 384, 1)], [("branch3x3dbl_1", 448, 1), ("branch3x3dbl_2", 384, 3)]):
        stem = first[-1][0][:-1] + str(int(first[-1][0][-1]) + 1)
        paths += [[*first, (f"{stem}a", 384, (1, 3))], [*first, (f"{stem}b", 384, (3, 1))]]
    return Mixed(inputs, [*paths, [("branch_pool", 192, 1)]], pool)


class Inception(nn.Module):
    """The trunk up to the last pool: (B, 2048) of ``image`` (B, 3, 299, 299) in [-1, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Convolution(3, 32, 3, 2, padding=False)
        self.Conv2d_2a_3x3 = Convolution(32, 32, 3, padding=False)
        self.Conv2d_2b_3x3 = Convolution(32, 64, 3)
        self.Conv2d_3b_1x1 = Convolution(64, 80, 1)
        self.Conv2d_4a_3x3 = Convolution(80, 192, 3, padding=False)
        blocks = {
            "5b": _build_a(192, 32), "5c": _build_a(256, 64), "5d": _build_a(288, 64), "6a": _build_b(288),
            "6b": _build_c(768, 128), "6c": _build_c(768, 160), "6d": _build_c(768, 160),
            "6e": _build_c(768, 192), "7a": _build_d(768), "7b": _build_e(1280, "average"),
            "7c": _build_e(2048, "maximum"),
        }  # fmt: skip
        self.blocks = list(blocks)
        for name, block in blocks.items():
            self.add_module(f"Mixed_{name}", block)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Pool features (B, 2048), 0 or more."""
        values = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(image)))
        values = nn.functional.max_pool2d(values, 3, 2)
        values = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(values))
        values = nn.functional.max_pool2d(values, 3, 2)
        for name in self.blocks:
            values = getattr(self, f"Mixed_{name}")(values)
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
    return network.eval().requires_grad_(False), used
