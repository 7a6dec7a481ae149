"""How many images go through the model together? The same for a run and whatever goes on with it.

On a GPU a short trial decides, since memory and speed differ from card to card. On a CPU it would make
the last bits of images depend on how busy the machine was, so there the model alone decides: a batch pays
while its feature maps are small, and gains nothing once one image keeps the processor busy.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cyclorama.catalogue.job import Job
from cyclorama.catalogue.measuring import measure_job
from cyclorama.jobs.job import Engine

CPU_POSITIONS = 2048
"""Latent positions of a full batch on a CPU: 8 images of the bundled model (16 × 16), one of Stable
Diffusion (64 × 64)."""
CPU_LARGEST = 8


def choose_batch_size(job: Job, engine: Engine, earlier: dict[str, Any], *, needed: bool) -> int:
    """As asked for, else as this folder's run has had it, else the model's own on a CPU, else measured.

    ``earlier``: what ``run.json`` holds. ``needed``: whether there is anything to make.
    """
    asked = job.config.settings.batch_size
    if asked is not None:
        return asked
    values, size = earlier.get("settings"), earlier.get("batch_size")
    same_model = isinstance(values, dict) and values.get("model") == job.model.hash
    if same_model and earlier.get("device") == job.config.device and isinstance(size, int) and size > 0:
        return size
    if job.config.device.startswith("cpu"):
        return compute_cpu_batch(job.model.folder)
    return engine.call(job.engine, measure_job, job).batch_size if needed else 1


def compute_cpu_batch(folder: Path) -> int:
    """Images of a batch on a CPU for the model in ``folder``, from its configuration alone: 1 to 8.

    Invariant: equal models give equal sizes on every machine.
    """
    try:
        side = int(json.loads((folder / "unet" / "config.json").read_text(encoding="utf-8"))["sample_size"])
    except (OSError, ValueError, KeyError, TypeError):
        return 1
    return max(1, min(CPU_LARGEST, CPU_POSITIONS // max(1, side * side)))
