"""Learned models: which device they run on, how one is loaded, how it draws; a run's border to torch."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from cyclorama.errors import ModelError, SettingsError
from cyclorama.generation.settings import GenerateConfig
from cyclorama.generation.task import Pipeline, Task, compute_model_shape
from cyclorama.imaging.colour import to_srgb
from cyclorama.imaging.masks import dilate
from cyclorama.imaging.product import Product
from cyclorama.imaging.transforms import fit_reference, fit_to_model
from cyclorama.processes import count_cpus
from cyclorama.tensors import to_image, to_mask_tensor
from cyclorama.types import Matte, Pixels, Size

if TYPE_CHECKING:
    from cyclorama.models.pipeline import CycloramaPipeline

HIDE_RADIUS = 25.0
"""How far round its own product a reference is hidden from PG, in pixels at 512 (half of a 50 px kernel)."""


def choose_device(device: str, dtype: str) -> tuple[str, str]:
    """(device, dtype) with ``auto`` settled: CUDA, Apple's GPU, else the CPU; half precision off the CPU.

    Raises SettingsError for a device this machine lacks.
    """
    if device == "auto":
        device = (
            "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        )
    else:
        try:
            torch.zeros(1, device=device)
        except (RuntimeError, AssertionError, ValueError, NotImplementedError) as error:
            reason = [*str(error).strip().splitlines(), type(error).__name__][0]
            raise SettingsError(
                f"device {device!r} cannot be used here ({reason}); use 'auto', 'cpu' or one that is present"
            ) from error
    if dtype == "auto":
        dtype = "float32" if device.startswith("cpu") else "float16"
        if device.startswith("cuda") and torch.cuda.is_bf16_supported():
            dtype = "bfloat16"
    return device, dtype


def load_pipeline(folder: Path, device: str, dtype: str) -> CycloramaPipeline:
    """The pipeline in ``folder`` on ``device``. Raises ModelFormatError."""
    from cyclorama.models.pipeline import CycloramaPipeline  # loads diffusers and transformers

    if device.startswith("cpu"):
        torch.set_num_threads(min(torch.get_num_threads(), count_cpus()))
    pipeline = CycloramaPipeline.from_pretrained(folder, getattr(torch, dtype), device)
    pipeline.set_progress_bar_config(disable=True)
    logging.getLogger("diffusers.schedulers").setLevel(logging.ERROR)  # they tell of steps they round
    return pipeline


def build_hidden_mask(product_mask: Matte) -> Matte:
    """What PG must not see of a reference (H, W): its own product and a rim, 1 = hidden."""
    radius = round(HIDE_RADIUS * math.sqrt(product_mask.shape[0] * product_mask.shape[1]) / 512)
    return dilate(product_mask > 0.02, radius).astype(np.float32)


def draw_grounds(
    pipeline: Pipeline,
    tasks: Sequence[Task],
    placed: Sequence[Product],
    settings: GenerateConfig,
    batch_shape: int | None,
    call: Callable[..., Any],
) -> list[npt.NDArray[Any] | ModelError]:
    """The pipeline's backgrounds at the sizes of the products ``placed``; it is shown and gives sRGB."""
    shape = compute_model_shape(pipeline, tasks[0].frame or placed[0].size, settings)
    fits = [fit_to_model(product.size, shape) for product in placed]
    extra = max(0, (batch_shape or 0) - len(tasks))
    order = [*range(len(tasks)), *[len(tasks) - 1] * extra]
    products = [
        fit.apply_rgba(to_srgb(product.foreground, product.icc_profile), product.matte)
        for fit, product in zip(fits, placed, strict=True)
    ]
    images = torch.cat([to_image(products[i][0]) for i in order])
    masks = torch.cat([to_mask_tensor(products[i][1]) for i in order])
    references = None if tasks[0].reference is None else _build_references([tasks[i] for i in order], shape)
    output = call(
        pipeline,
        images,
        masks,
        [tasks[i].category.name for i in order],
        [torch.Generator("cpu").manual_seed(tasks[i].seed) for i in order],
        reference_image=None if references is None else references[0],
        reference_mask=None if references is None else references[1],
        settings=settings.build_sampling(references is not None),
    )
    backgrounds: list[npt.NDArray[Any] | ModelError] = []
    for fit, image in zip(fits, output, strict=False):  # the repeated last ones are left out
        values = image.detach().to("cpu", torch.float32)
        if not bool(torch.isfinite(values).all()):
            error = ModelError("the model gave values that are not numbers; try --dtype float32")
            backgrounds.append(error)
            continue
        levels = ((values.clamp(-1, 1) + 1) * 127.5).permute(1, 2, 0).numpy()
        backgrounds.append(np.clip(fit.undo(np.ascontiguousarray(levels)), 0, 255))
    return backgrounds


def _build_references(tasks: Sequence[Task], shape: Size) -> tuple[torch.Tensor, torch.Tensor | None]:
    fitted: dict[int, tuple[Pixels, Matte | None]] = {}
    for task in tasks:
        assert task.reference is not None
        if id(task.reference) not in fitted:
            reference = task.reference
            fitted[id(reference)] = fit_reference(reference.pixels, reference.product_mask, shape)
    references = [fitted[id(task.reference)] for task in tasks]
    images = torch.cat([to_image(pixels) for pixels, _ in references])
    if all(mask is None for _, mask in references):
        return images, None
    empty = np.zeros(shape, dtype=np.float32)
    hidden = [empty if mask is None else build_hidden_mask(mask) for _, mask in references]
    return images, torch.cat([to_mask_tensor(mask) for mask in hidden])
