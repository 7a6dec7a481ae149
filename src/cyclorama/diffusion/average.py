"""The moving average of trained weights, which a stage exports: diffusers' own, with names and a context."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from diffusers.training_utils import EMAModel
from torch import Tensor, nn


class WeightAverage(EMAModel):
    """Exponential moving average of named parameters, on their device.

    After update n the decay is ``min(decay, n / (9 + n))``, 0 at the first: the random start does not linger.
    Invariant: a function of the sequence of weights, so that loaded averages go on bit-equal.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], decay: float) -> None:
        super().__init__(parameters.values(), decay=decay, foreach=True)
        self.parameters = parameters

    def update(self) -> None:
        """Take in the weights as they are."""
        self.step(self.parameters.values())

    def get_values(self) -> dict[str, Tensor]:
        """The averages by name."""
        return dict(zip(self.parameters, self.shadow_params, strict=True))

    @torch.no_grad()
    def load(self, values: Mapping[str, Tensor], updates: int) -> None:
        """Replace the averages by ``values``, which took in ``updates`` updates."""
        self.optimization_step = updates
        for name, average in self.get_values().items():
            average.copy_(values[name])

    @contextmanager
    def applied(self) -> Iterator[None]:
        """While open, the parameters hold the averages; afterwards their own values again, bit for bit."""
        self.store(self.parameters.values())
        self.copy_to(self.parameters.values())
        try:
            yield
        finally:
            self.restore(self.parameters.values())
