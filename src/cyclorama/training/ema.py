"""A moving average of the trained weights; it is what a stage exports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor


def compute_ema_decay(step: int, decay: float) -> float:
    """The decay used after optimiser step ``step`` (1-based): ``min(decay, (1 + step) / (10 + step))``.

    The warm-up keeps the random start from lingering in the average. It depends on the step alone.
    """
    return min(decay, (1.0 + step) / (10.0 + step))


class EmaWeights:
    """Exponential moving average of named parameters, float32 on the parameters' device.

    Invariant: a pure function of the sequence of weights, so saved and reloaded averages go on bit-equal.
    """

    def __init__(self, parameters: Mapping[str, Tensor], decay: float) -> None:
        self.decay = decay
        self._parameters = dict(parameters)
        self.values: dict[str, Tensor] = {
            name: value.detach().clone().float() for name, value in self._parameters.items()
        }

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights as they are after optimiser step ``step`` (1-based)."""
        weight = 1.0 - compute_ema_decay(step, self.decay)
        current = [value.detach().float() for value in self._parameters.values()]
        torch._foreach_lerp_(list(self.values.values()), current, weight)

    @torch.no_grad()
    def load(self, values: Mapping[str, Tensor]) -> None:
        """Replace the averages by ``values`` (same names and shapes)."""
        for name, value in self.values.items():
            value.copy_(values[name])

    @contextmanager
    def applied(self) -> Iterator[None]:
        """While open, the parameters hold the averages; afterwards their own values again, bit for bit."""
        own = {name: value.detach().clone() for name, value in self._parameters.items()}
        try:
            with torch.no_grad():
                for name, value in self._parameters.items():
                    value.copy_(self.values[name])
            yield
        finally:
            with torch.no_grad():
                for name, value in self._parameters.items():
                    value.copy_(own[name])
