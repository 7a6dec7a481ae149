"""How unlike do two images look?  Distance of a pretrained network's features, for training decoders.

The network is the one that describes references (the stem and first eleven blocks of EfficientNet-Lite0),
read from its ONNX file into torch, where gradients pass through it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cyclorama.errors import MissingDependencyError

_NETWORK = Path(__file__).parents[1] / "weights" / "references" / "network.onnx"


class PerceptualDistance(nn.Module):
    """Mean squared distance of features of unit length, summed over three depths, as LPIPS has it
    (arXiv 1801.03924) but without learned weights.  Nothing in it is trained.

    Raises MissingDependencyError: onnx, which reads the file, is not there.
    """

    def __init__(self, path: Path = _NETWORK) -> None:
        super().__init__()
        try:
            import onnx
            from onnx import numpy_helper
        except ImportError as error:
            raise MissingDependencyError(
                'the perceptual loss needs onnx: pip install "cyclorama[train]"'
            ) from error
        graph = onnx.load(path).graph
        self.outputs = [output.name for output in graph.output]
        self.operations: list[tuple[str, list[str], str, dict[str, Any]]] = []
        for value in graph.initializer:
            self.register_buffer(_name(value.name), torch.tensor(numpy_helper.to_array(value)).float())
        for node in graph.node:
            options = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            self.operations.append((node.op_type, list(node.input), node.output[0], options))

    def describe(self, image: Tensor) -> list[Tensor]:
        """Three maps of features of ``image`` (B, 3, H, W) in [-1, 1]."""
        values: dict[str, Tensor] = {"image": (image * 0.5 + 0.5) * (255 / 128) - 127 / 128}
        for kind, names, output, options in self.operations:
            given = [values[n] if n in values else self.get_buffer(_name(n)) for n in names]
            values[output] = _apply(kind, given, options)
        return [values[name] for name in self.outputs]

    def forward(self, image: Tensor, other: Tensor) -> Tensor:
        """The distance () of two batches (B, 3, H, W) in [-1, 1], 0 where they are equal."""
        distance = image.new_zeros(())
        for a, b in zip(self.describe(image), self.describe(other), strict=True):
            distance = distance + (F.normalize(a, dim=1) - F.normalize(b, dim=1)).square().sum(1).mean()
        return distance


def _name(text: str) -> str:
    return "_" + text.replace(".", "_")


def _apply(kind: str, values: list[Tensor], options: dict[str, Any]) -> Tensor:
    if kind == "Conv":
        return _convolve(values, options)
    if kind == "Clip":
        return values[0].clamp(0, 6)
    if kind == "Add":
        return values[0] + values[1]
    if kind in ("Cast", "Identity"):
        return values[0]
    raise ValueError(f"{_NETWORK.name} holds an operation that is not known here: {kind}")


def _convolve(values: list[Tensor], options: dict[str, Any]) -> Tensor:
    """ONNX's convolution with padding ``SAME_UPPER`` or none."""
    x, weight, bias = values
    stride, groups = int(options.get("strides", [1])[0]), int(options.get("group", 1))
    if options.get("auto_pad", b"NOTSET") == b"SAME_UPPER":
        size = weight.shape[-1]
        sides = [max((-(-n // stride) - 1) * stride + size - n, 0) for n in x.shape[-2:]]
        x = F.pad(x, (sides[1] // 2, sides[1] - sides[1] // 2, sides[0] // 2, sides[0] - sides[0] // 2))
    return F.conv2d(x, weight, bias, stride, groups=groups)
