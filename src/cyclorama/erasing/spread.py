"""What does a hole look like if nothing but its surroundings is known?

Known values are averaged down to ever coarser grids until none is unknown, then brought up again; at each
level the hole is smoothed towards a membrane (Laplace's equation) over what is known there. This is the
pull-push scheme of Gortler and others (1996) with relaxation, on batches.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

RELAXATIONS = 8
"""Rounds of smoothing at each level."""


def spread_known(values: Tensor, hole: Tensor) -> Tensor:
    """``values`` (B, C, H, W) with ``hole`` (B, 1, H, W; 1 = unknown) filled smoothly from around it.

    Invariants: known values stay; what is in the hole has no influence; no filled value exceeds the known
    ones. An image without anything known is 0.
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
