"""From a stage's trained networks to a model folder that `cyclorama generate` reads."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from cyclorama.data.licences import mark_model
from cyclorama.errors import OutputError
from cyclorama.models.base import compute_vae_scale, load_base, save_base
from cyclorama.models.generators import GENERATORS
from cyclorama.models.pipeline import CycloramaPipeline
from cyclorama.models.registry import save_registry
from cyclorama.training.config import TrainConfig
from cyclorama.training.prepare import Prepared, load_or_build_generator
from cyclorama.training.stages import MethodStage


def export_model(prepared: Prepared, config: TrainConfig, folder: Path) -> Path:
    """Write the model folder ``folder``: the start's parts with the stage's networks as they are now.

    An older folder of that name is replaced in one step. The licences of the images, and of the model
    started from, go along. Raises OutputError if the disk is full.
    """
    partial = folder.parent / f".partial-{folder.name}"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        _save(prepared, config, partial)
        mark_model(partial, prepared.start, config.data.source)
        old = folder.parent / f".old-{folder.name}"
        shutil.rmtree(old, ignore_errors=True)
        if folder.exists():
            folder.replace(old)
        partial.replace(folder)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise OutputError(f"cannot write the model to {folder}: {error.strerror or error}") from error
    return folder


def _save(prepared: Prepared, config: TrainConfig, folder: Path) -> None:
    stage = prepared.stage
    if isinstance(stage, MethodStage):
        folder.mkdir(parents=True)
        networks = dict(stage.trained.items()), dict(stage.frozen.items())
        stage.method.save_model(*networks, prepared.start, prepared.registry, folder)
        return
    trained: Any = prepared.stage.trained
    if "vae" in trained or "unet" in trained:
        base = load_base(prepared.start)
        for name in trained:
            if name != "discriminator":  # it only teaches; it stays behind in the run's checkpoints
                setattr(base, name, trained[name])
        save_base(base, folder)
        save_registry(prepared.registry, folder)
        return
    pipeline = build_validation_pipeline(prepared, config)
    pipeline.save_pretrained(folder)
    prepared.stage.train()


def build_validation_pipeline(prepared: Prepared, config: TrainConfig) -> Any:
    """The whole pipeline around a generator stage's networks (shared, not copied), evaluation mode.

    A CycloramaPipeline, or what a registered method samples with, which is called the same way.
    """
    stage = prepared.stage
    if isinstance(stage, MethodStage):
        trained, frozen = dict(stage.trained.items()), dict(stage.frozen.items())
        return stage.method.build_pipeline(trained, frozen, prepared.start, prepared.registry, config)
    base = load_base(prepared.start)
    networks: dict[str, Any] = {**prepared.stage.frozen, **prepared.stage.trained}
    device = next(prepared.stage.parameters()).device
    scale = compute_vae_scale(base.vae)
    generators = {
        part: networks[part]
        if part in networks
        else load_or_build_generator(part, prepared.start, base.unet, scale, config, fresh=False)
        for part in GENERATORS
    }
    base.unet = networks["unet"]
    pipeline = CycloramaPipeline.from_parts(base, prepared.registry, **generators)
    moved: CycloramaPipeline = pipeline.to(device)
    return moved
