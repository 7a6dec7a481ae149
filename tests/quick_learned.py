"""``cyclorama`` with a stand-in for a learned model: for tests of all but what the model draws."""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

import torch

from cyclorama.generation import run
from stand_in import StandIn


def mix(drawn: torch.Tensor) -> torch.Tensor:
    """Each image shows a little of all that were drawn with it, so that another batch gives other bytes."""
    return (drawn + drawn.mean(dim=0)) / 2


def load_quick(handle: Any, device: str, dtype: str) -> StandIn:
    """The model of a job, in any process."""
    return StandIn(handle.registry, seconds=0.05, spoil=mix)


run_quick = partial(run.run_images, load_model=load_quick)
"""In place of ``run_images``."""

if __name__ == "__main__":
    from cyclorama.cli import main

    run.run_images = run_quick  # type: ignore[assignment]
    sys.exit(main(sys.argv[1:]))
