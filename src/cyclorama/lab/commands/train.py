"""``cyclorama lab train METHOD``: train a method to compare with, by the product's own loop."""

from __future__ import annotations

from typing import Literal

from cyclorama.commands.train import Run, load_train_config, run_stage

MethodName = Literal["inpaint", "controlnet", "paint-by-example", "lama"]


def train(method: MethodName, /, *, run: Run) -> int:
    """Train a method to compare with, as `cyclorama train` trains a stage.

    Parameters
    ----------
    method
        What is trained.
    """
    recipe = load_train_config(run.config, run.overrides, run.steps)
    from cyclorama.lab.baselines.stages import STAGES

    return run_stage(STAGES[method], recipe, run)
