"""How many images should be sampled together, and how long does one take? A short trial tells."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from cyclorama.errors import ModelError
from cyclorama.generation.engine import Pipeline, Task, sample_images
from cyclorama.generation.job import ImageRun
from cyclorama.generation.sampler import is_out_of_memory
from cyclorama.generation.settings import GenerateConfig
from cyclorama.imaging.product import Product
from cyclorama.models.registry import Category

LARGEST = 64
GAIN = 1.03
"""A larger batch is only taken if it is faster by this factor."""
_SHORT, _LONG = 1, 3


@dataclass(frozen=True)
class Measurement:
    """What a short trial of the model on its device has shown."""

    batch_size: int
    """Places of the batch that gives most images a second."""
    image_seconds: float
    """The model's seconds per image in such batches, at its native size."""


def measure_job(job: ImageRun) -> Measurement:
    """The trial of the job's model on this machine. Raises ModelError."""
    device = "cuda:0" if job.engine.device == "cuda" else job.engine.device
    return measure_model(job.open_model(device), job.config.settings, device)


def measure_model(model: Pipeline, settings: GenerateConfig, device: str) -> Measurement:
    """The best batch size on ``device`` and seconds per image in such batches.

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
    return Measurement(best, best_seconds)


def _build_task(model: Pipeline) -> Task:
    side = model.image_size
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    matte = np.zeros((side, side), dtype=np.float32)
    matte[side // 4 : -side // 4, side // 4 : -side // 4] = 1
    known = model.registry.categories
    return Task(Product(pixels, matte, pixels), known[0] if known else Category("thing", 0), seed=0)


def _time_image(model: Pipeline, task: Task, settings: GenerateConfig, size: int) -> float:
    """Seconds per image with all steps, from the slope between a run of one step and one of three."""
    times = []
    for steps in (_SHORT, _SHORT, _LONG):  # the first call also compiles and fills caches
        trial = settings.replace(num_inference_steps=steps, size="source", candidates=1)
        start = time.perf_counter()
        sample_images(model, [task] * size, trial, size)
        times.append(time.perf_counter() - start)
    step = max(0.0, (times[2] - times[1]) / (_LONG - _SHORT))
    return (times[1] + step * (settings.steps - _SHORT)) / size
