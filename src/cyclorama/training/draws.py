"""The chance in training: every draw is a function of (run seed, global sample number) and nothing else.

The global sample number counts the samples of a run from 0, whatever the number of processes,
accumulation steps or interruptions. So a resumed run needs no saved generator states.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cyclorama.seeding import build_numpy_generator


@dataclass(frozen=True, eq=False)
class Draws:
    """What chance decides for one sample."""

    number: int
    """Global sample number of the run."""
    index: int
    """Image of the training set."""
    flip: bool
    drop_prompt: bool
    timestep: int
    noise: npt.NDArray[np.float32]
    """Standard normal, (c, h, w)."""


@dataclass(frozen=True)
class DrawSettings:
    """What the draws of a run depend on besides the sample number."""

    seed: int
    latent_shape: tuple[int, int, int]
    """(c, h, w)."""
    num_timesteps: int
    flip: bool
    prompt_dropout: float


def sample_draws(number: int, index: int, settings: DrawSettings) -> Draws:
    """The draws of global sample ``number``, which shows image ``index``.

    All draws are made in a fixed order and always, so that switching one off leaves the others as they were.
    """
    generator = build_numpy_generator(settings.seed, number, "training")
    flip = generator.random() < 0.5
    drop = generator.random() < settings.prompt_dropout
    timestep = int(generator.integers(settings.num_timesteps))
    noise = generator.standard_normal(settings.latent_shape, dtype=np.float32)
    return Draws(number, index, bool(flip and settings.flip), bool(drop), timestep, noise)


def list_sample_numbers(step: int, part: int, *, batch_size: int, parts: int, rank: int, world: int) -> range:
    """Global sample numbers of one process in one part of optimiser step ``step`` (0-based).

    A step covers ``[step * batch_size, (step + 1) * batch_size)``. Invariant: over all ``parts``
    (accumulation) and ranks each number occurs once, so the step's gradient does not depend on the split.
    """
    share = batch_size // (parts * world)
    start = step * batch_size + (part * world + rank) * share
    return range(start, start + share)
