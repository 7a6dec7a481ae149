"""``cyclorama lab train METHOD``: train a method to compare with, by the product's own loop."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from cyclorama.commands.train import Overrides, load_train_config, run_stage

MethodName = Literal["inpaint", "controlnet", "paint-by-example", "lama"]


def train(
    method: MethodName,
    /,
    *,
    config: Path,
    out: Path,
    resume: bool = False,
    steps: int | None = None,
    overrides: Overrides = (),
) -> int:
    """Train a method to compare with, as `cyclorama train` trains a stage.

    Parameters
    ----------
    method
        What is trained.
    config
        YAML recipe.
    out
        Folder of the run.
    resume
        Go on from DIR's newest checkpoint, if any.
    steps
        Optimiser steps of the whole run.
    overrides
        KEY=VALUE over a setting of the recipe, e.g. --set optimiser.learning_rate=1e-4; may be repeated.
    """
    recipe = load_train_config(config, overrides, steps)
    from cyclorama.lab.baselines.stages import STAGES

    return run_stage(STAGES[method], recipe, out, resume)
