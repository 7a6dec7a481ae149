"""From a stage's trained networks to a model folder that `cyclorama generate` reads."""

from __future__ import annotations

import shutil
from pathlib import Path

from cyclorama.data.licences import mark_model
from cyclorama.errors import OutputError
from cyclorama.training.stage import StageNetworks


def export_model(networks: StageNetworks, folder: Path) -> Path:
    """Write the model folder ``folder``: the start's parts with the stage's networks as they are now.

    An older folder of that name is replaced in one step. The licences of the images, and of the model
    started from, go along. Raises OutputError if the disk is full.
    """
    partial, old = folder.parent / f".partial-{folder.name}", folder.parent / f".old-{folder.name}"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        networks.stage.save(networks, partial)
        mark_model(partial, networks.start.folder, networks.start.config.data.source)
        shutil.rmtree(old, ignore_errors=True)
        if folder.exists():
            folder.replace(old)
        partial.replace(folder)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise OutputError(f"cannot write the model to {folder}: {error.strerror or error}") from error
    return folder
