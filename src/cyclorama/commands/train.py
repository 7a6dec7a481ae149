"""``cyclorama train STAGE``: run one stage of training from a YAML recipe."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from cyclorama.config import Settings

if TYPE_CHECKING:
    from cyclorama.training.config import TrainConfig
    from cyclorama.training.stage import TrainStage

StageName = Literal["autoencoder", "base", "category", "personality", "joint"]


class RunArguments(Settings):
    """What a training run is told on the command line."""

    config: Path
    """YAML recipe."""
    out: Path
    """Folder of the run: checkpoints/, model/ (at the end), validation/, metrics.jsonl, tensorboard/. Ctrl-C
    or SIGTERM ends the step at hand and saves."""
    resume: bool = False
    """Go on exactly where the newest checkpoint in the folder was made, if there is one."""
    steps: int | None = None
    """Optimiser steps of the whole run."""
    overrides: Annotated[tuple[str, ...], Parameter(name="--set", negative="", consume_multiple=False)] = ()
    """KEY=VALUE over a setting of the recipe, e.g. --set optimiser.learning_rate=1e-4; may be repeated."""


Run = Annotated[RunArguments, Parameter(name="*")]


def train(stage: StageName, /, *, run: Run) -> int:
    """Train one stage. Several GPUs: accelerate launch -m cyclorama train STAGE --config FILE --out DIR.

    Parameters
    ----------
    stage
        What is trained.
    """
    recipe = load_train_config(run.config, run.overrides, run.steps)
    from cyclorama.training.stages import STAGES

    return run_stage(STAGES[stage], recipe, run)


def run_stage(stage: TrainStage, config: TrainConfig, run: RunArguments) -> int:
    """Train; 0 when finished, 128 + signal number (130, 143) when stopped by a signal."""
    from cyclorama.training import loop

    result = loop.train(stage, config, run.out, resume=run.resume)
    if result.stopped_by is not None:
        name = signal.Signals(result.stopped_by).name
        print(
            f"stopped by {name} after step {result.step} ({result.images_seen} images); the state is "
            f"saved. Go on with the same command and --resume",
            file=sys.stderr,
        )
        return 128 + result.stopped_by
    if result.model is not None:
        print(f"{stage.name} finished after step {result.step}: {result.model}")
    return 0


def load_train_config(path: Path, overrides: Sequence[str] = (), steps: int | None = None) -> TrainConfig:
    """The recipe in ``path`` with ``KEY=VALUE`` settings and ``steps`` put over it. Raises ConfigError."""
    from cyclorama.config import load_config
    from cyclorama.training.config import TrainConfig

    if steps is not None:
        overrides = [*overrides, "epochs=null", f"steps={steps}"]
    return load_config(TrainConfig, path, overrides)
