"""Which images are sampled together, so that neither order nor a restart changes a bit of them, and how many.

The number is part of a run; on an accelerator a short trial finds it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from cyclorama.errors import ImageError, ModelError
from cyclorama.generation.engine import is_out_of_memory, sample_images
from cyclorama.generation.job import ImageRun, read_size
from cyclorama.generation.settings import GenerateConfig
from cyclorama.generation.task import Model, Task
from cyclorama.imaging.product import Product
from cyclorama.jobs.job import Engine
from cyclorama.models.registry import Category
from cyclorama.seeding import compute_seed
from cyclorama.types import Size

CPU_BATCH = 1
ACCELERATOR_BATCH = 8
CPU_POSITIONS = 2048
"""Latent positions of a full batch on a CPU: 8 images of the bundled model (16 × 16), one of Stable
Diffusion (64 × 64)."""
FEW_IMAGES = 64
"""So few images are made in batches of the usual size: of one on a CPU, where an image then has the bits that
it has alone; on a GPU a trial would take longer than it saves."""
LARGEST = 64
GAIN = 1.03
"""A larger batch is only taken if it is faster by this factor."""
_SHORT, _LONG = 1, 3


T = TypeVar("T")


@dataclass(frozen=True)
class Batch(Generic[T]):
    """The images in one batch, and how many places it has (the rest is padding)."""

    members: tuple[T, ...]
    places: int


def build_batches(shapes: Sequence[Hashable], batch_size: int) -> list[Batch[int]]:
    """Batches of at most ``batch_size`` images with equal ``shapes``, in the order of their first members.

    A shape with more images than one batch holds has ``batch_size`` places in every batch, the last too,
    so all its images pass through the same arithmetic whatever their order.
    """
    groups: dict[Hashable, list[int]] = {}
    for index, shape in enumerate(shapes):
        groups.setdefault(shape, []).append(index)
    batches = [
        Batch(tuple(members[start : start + batch_size]), min(batch_size, len(members)))
        for members in groups.values()
        for start in range(0, len(members), batch_size)
    ]
    return sorted(batches, key=lambda batch: batch.members[0])


def choose_usual_size(batch_size: int | None, device: str) -> int:
    """``batch_size``, or 1 on a CPU (where larger batches gain nothing) and 8 on an accelerator."""
    if batch_size is not None:
        return batch_size
    return CPU_BATCH if device.startswith("cpu") else ACCELERATOR_BATCH


def compute_item_seeds(run_seed: int, name: str, own_seed: int | None, candidates: int) -> list[int]:
    """The seed of each candidate of one input; no other input has any influence on them.

    An input's ``own_seed`` is its first candidate's seed as it stands, so that the seed in a manifest row or
    an image makes that image again.
    """
    base = run_seed if own_seed is None else own_seed
    seeds = [compute_seed(base, name, f"candidate {k + 1}") for k in range(candidates)]
    if own_seed is not None:
        seeds[0] = own_seed
    return seeds


def compute_cpu_batch(folder: Path) -> int:
    """Images of a batch on a CPU for the model in ``folder``, from its configuration alone: 1 to 8.

    A batch pays while the model's feature maps are small; a trial would make the last bits of images depend
    on how busy the machine was. Invariant: equal models give equal sizes on every machine.
    """
    try:
        side = int(json.loads((folder / "unet" / "config.json").read_text(encoding="utf-8"))["sample_size"])
    except (OSError, ValueError, KeyError, TypeError):
        return 1
    return max(1, min(ACCELERATOR_BATCH, CPU_POSITIONS // max(1, side * side)))


def choose_batch_size(job: ImageRun, engine: Engine, earlier: dict[str, Any], images: int) -> int:
    """As asked for, else as this folder's run has had it, else the usual one for few images, the model's own
    on a CPU, else measured.

    ``earlier``: what ``run.json`` holds. ``images``: those of the whole run, 0 if there is nothing to make.
    """
    asked, size = job.config.settings.batch_size, earlier.get("batch_size")
    if asked is not None:
        return asked
    same = earlier.get("model_hash") == job.model.hash and earlier.get("device") == job.engine.device
    if same and isinstance(size, int) and size > 0:
        return size
    if images <= FEW_IMAGES:
        return choose_usual_size(None, job.engine.device)
    if job.engine.device.startswith("cpu"):
        return compute_cpu_batch(job.model.folder)
    measured: int = engine.call(job.engine, measure_job, job)[0]
    return measured


def measure_job(job: ImageRun) -> tuple[int, float]:
    """As :func:`measure_model`, of the job's model on this machine; sets are rendered on its own canvas.

    Raises ModelError.
    """
    device = "cuda:0" if job.engine.device == "cuda" else job.engine.device
    model, settings = job.open_model(device), job.config.settings
    if job.model.learned:
        return measure_model(model, settings, device)
    task, seconds = _build_task(model, _find_canvas(job)), 0.0
    for _ in "ab":  # the first also starts the renderer, and makes the empty set that products share
        start = time.perf_counter()
        sample_images(model, [task], settings.replace(size="source", candidates=1), 1)
        seconds = time.perf_counter() - start
    return settings.batch_size or 1, seconds


def _find_canvas(job: ImageRun) -> Size | None:
    """The first canvas of the first input whose size can be read."""
    for row in job.plan.read_shard(0) if job.plan.keys else ():
        if row.failure is None and row.image is not None and Path(row.image).is_file():
            with suppress(ImageError, OSError):
                return job.layouts[0].compute_size(read_size(Path(row.image)))
    return None


def measure_model(model: Model, settings: GenerateConfig, device: str) -> tuple[int, float]:
    """The best batch size on ``device``, and seconds per image of native size in such batches.

    Batches are doubled until an image gets no faster or memory runs out. A size that the settings name is
    tried alone, on a CPU that of one image if they name none; there the model alone
    decides. Raises ModelError if not even one image fits.
    """
    task = _build_task(model)
    best, best_seconds = 0, float("inf")
    asked = settings.batch_size
    size = asked or 1
    while asked or size <= LARGEST:
        try:
            seconds = _time_image(model, task, settings, size)
        except Exception as error:
            if asked and size > 1 and is_out_of_memory(error):
                size //= 2
                continue
            if best or not is_out_of_memory(error):
                break
            raise ModelError(
                f"one image does not fit into the memory of {device}; use half precision (--dtype)"
            ) from error
        if seconds * GAIN > best_seconds:
            break
        best, best_seconds = size, seconds
        if asked or device.startswith("cpu"):
            break
        size *= 2
    if not best:
        raise ModelError(
            f"the model fails on {device} even on a plain image; try it with `cyclorama generate`"
        )
    return best, best_seconds


def _build_task(model: Model, size: Size | None = None) -> Task:
    height, width = size or (model.image_size, model.image_size)
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    matte = np.zeros((height, width), dtype=np.float32)
    matte[height // 4 : -height // 4, width // 4 : -width // 4] = 1
    known = model.registry.categories
    return Task(Product(pixels, matte, pixels), known[0] if known else Category("thing", 0), seed=0)


def _time_image(model: Model, task: Task, settings: GenerateConfig, size: int) -> float:
    """Seconds per image with all steps, from the slope between a run of one step and one of three."""
    times = []
    for steps in (_SHORT, _SHORT, _LONG):  # the first call also compiles and fills caches
        trial = settings.replace(num_inference_steps=steps, size="source", candidates=1)
        start = time.perf_counter()
        sample_images(model, [task] * size, trial, size)
        times.append(time.perf_counter() - start)
    step = max(0.0, (times[2] - times[1]) / (_LONG - _SHORT))
    return (times[1] + step * (settings.steps - _SHORT)) / size
