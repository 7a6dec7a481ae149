"""``cyclorama lab features SHARDS``: train the feature network that evaluation and the gate use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cyclorama.lab.commands import Quiet
from cyclorama.lab.features.settings import FeatureTrainingSettings


def features(
    shards: Path,
    /,
    *,
    out: Path,
    quiet: Quiet = False,
    settings: Annotated[FeatureTrainingSettings | None, Parameter(name="*")] = None,
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
    """
    from cyclorama.evaluation.reading import open_images
    from cyclorama.jobs.progress import ProgressReport
    from cyclorama.lab.features.data import load_training_set
    from cyclorama.lab.features.training import train_features

    settings = settings or FeatureTrainingSettings()
    data = load_training_set(open_images(shards))
    with ProgressReport(quiet=quiet) as progress:
        progress.start(settings.steps)
        report = train_features(data, settings, out, progress.advance)
    print(json.dumps(report, indent=1, ensure_ascii=False))
    return 0
