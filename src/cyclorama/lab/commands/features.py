"""``cyclorama lab features SHARDS``: train the feature network that evaluation and the gate use."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter


def features(
    shards: Path,
    *,
    out: Path,
    steps: int | None = None,
    seconds: float | None = None,
    batch_size: int = 64,
    learning_rate: float = 2e-3,
    precision: Literal["float32", "bfloat16"] = "float32",
    seed: int = 0,
    quiet: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Train the feature network on rendered shards and print what it gets right on held-out images.

    The same command goes on where it was stopped. Accuracy on the products' outlines alone must stay low: a
    network that reads outlines would praise any background.

    Parameters
    ----------
    shards
        Shards with masks and splits, as `cyclorama lab render` makes them.
    out
        Folder for the network and the state of the training.
    steps
        Training steps.
    seconds
        Instead of steps: as many as fit, decided at the start.
    batch_size
        Images a step.
    learning_rate
        Highest rate, reached after 5 % of the steps.
    precision
        Of the network's sums.
    seed
        Seed of the run.
    quiet
        Print the report only.
    """
    from cyclorama.errors import SettingsError
    from cyclorama.evaluation.reading import open_images
    from cyclorama.jobs.progress import ProgressReport
    from cyclorama.lab.features.data import load_training_set
    from cyclorama.lab.features.training import (
        RUN_NAME,
        FeatureTraining,
        FeatureTrainingSettings,
        train_features,
    )

    if (steps is None) == (seconds is None):
        raise SettingsError("give --steps N or --seconds S, one of them")
    settings = FeatureTrainingSettings(
        steps=steps or 1, batch_size=batch_size, learning_rate=learning_rate, precision=precision, seed=seed
    )
    data = load_training_set(open_images(shards))
    if seconds is not None:
        path = out / RUN_NAME
        if path.exists():  # a resumed run keeps its schedule
            steps = json.loads(path.read_text(encoding="utf-8"))["config"]["steps"]
        else:
            trial = FeatureTraining(data, settings)
            trial.run_step()
            start = time.monotonic()
            for _ in range(5):
                trial.run_step()
            steps = max(20, int(seconds * 5 / (time.monotonic() - start)))
        settings = settings.replace(steps=steps)
    with ProgressReport(quiet=quiet) as progress:
        progress.start(settings.steps)
        report = train_features(data, settings, out, progress.advance)
    print(json.dumps(report, indent=1, ensure_ascii=False))
    return 0
