"""The package's EfficientNet-Lite0 as a torch module, read from its ONNX files: gradients pass through it.

Trained on ImageNet by others; onnxruntime runs the same files where torch is not installed. ``TRUNK`` is stem
and first eleven blocks, ``HEAD`` the rest, pool and classifier included.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cyclorama.errors import MissingDependencyError

_FOLDER = Path(__file__).parent / "weights"
TRUNK, HEAD = _FOLDER / "references" / "network.onnx", _FOLDER / "words" / "classes.onnx"
VALUES = {"block4": 40, "block7": 80, "block10": 112, "vector": 1280}
"""What the files call their values, and channels: maps after three blocks, features after the pool."""


class PretrainedNetwork(nn.Module):
    """The values ``names`` (keys of ``VALUES``) of images; parts that none of them needs are left out.

    Raises MissingDependencyError: onnx, which reads the files, is not there.
    """

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        try:
            import onnx
            from onnx import numpy_helper
        except ImportError as error:
            raise MissingDependencyError(
                'EfficientNet-Lite0 needs onnx: pip install "cyclorama[train]"'
            ) from error
        self.names, wanted = tuple(names), set(names)
        known: dict[str, Tensor] = {}
        operations: list[tuple[str, list[str], str, dict[str, Any]]] = []
        for path in (TRUNK, HEAD):
            graph = onnx.load(path).graph
            for value in graph.initializer:
                known[value.name] = torch.tensor(numpy_helper.to_array(value)).float()
            for node in graph.node:
                options = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
                if known.keys() >= set(node.input):  # weights alone: once and for all
                    known[node.output[0]] = _apply(node.op_type, [known[n] for n in node.input], options)
                else:
                    operations.append((node.op_type, list(node.input), node.output[0], options))
        self.operations: list[tuple[str, list[str], str, dict[str, Any]]] = []
        for operation in reversed(operations):
            if operation[2] in wanted:
                wanted.update(operation[1])
                self.operations.insert(0, operation)
        for name in wanted & known.keys():
            self.register_buffer(_name(name), known[name])

    def forward(self, image: Tensor) -> list[Tensor]:
        """The values of ``image`` (B, 3, H, W) in [-1, 1]: maps (B, C, H', W'), ``vector`` (B, 1280)."""
        values: dict[str, Tensor] = {"image": (image * 0.5 + 0.5) * (255 / 128) - 127 / 128}
        for kind, names, output, options in self.operations:
            given = [values[n] if n in values else self.get_buffer(_name(n)) for n in names]
            values[output] = _apply(kind, given, options)
        return [values[name] for name in self.names]


def _name(text: str) -> str:
    return "_" + text.replace(".", "_")


def _apply(kind: str, values: list[Tensor], options: dict[str, Any]) -> Tensor:
    if kind == "Conv":
        return _convolve(values, options)
    if kind == "Clip":
        return values[0].clamp(0, 6)
    if kind == "Add":
        return values[0] + values[1]
    if kind == "DequantizeLinear":  # a factor for each channel of the output
        return values[0] * values[1].reshape(-1, *(1,) * (values[0].ndim - 1))
    if kind == "GlobalAveragePool":
        return values[0].mean((2, 3), keepdim=True)
    if kind == "Flatten":
        return values[0].flatten(1)
    if kind in ("Cast", "Identity"):
        return values[0]
    raise ValueError(f"EfficientNet-Lite0's files hold an operation that is not known here: {kind}")


def _convolve(values: list[Tensor], options: dict[str, Any]) -> Tensor:
    """ONNX's convolution with padding ``SAME_UPPER`` or none."""
    x, weight, bias = values
    stride, groups = int(options.get("strides", [1])[0]), int(options.get("group", 1))
    if options.get("auto_pad", b"NOTSET") == b"SAME_UPPER":
        size = weight.shape[-1]
        sides = [max((-(-n // stride) - 1) * stride + size - n, 0) for n in x.shape[-2:]]
        x = F.pad(x, (sides[1] // 2, sides[1] - sides[1] // 2, sides[0] // 2, sides[0] - sides[0] // 2))
    return F.conv2d(x, weight, bias, stride, groups=groups)
