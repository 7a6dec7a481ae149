"""From products at any size to finished images: one call samples one batch of one model shape.

A worker's :class:`Sampler` asks for one batch at a time, times it, and takes smaller ones when memory runs
out.
"""

from __future__ import annotations

import gc
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from cyclorama.errors import ModelError
from cyclorama.generation.result import Generated
from cyclorama.generation.scenes import SceneModel
from cyclorama.generation.settings import GenerateConfig
from cyclorama.generation.task import Model, Task
from cyclorama.imaging.colour import from_srgb
from cyclorama.imaging.compositing import (
    apply_shadow,
    composite,
    compute_contact_shadow,
    compute_product_report,
)
from cyclorama.imaging.layout import place_product as place_product
from cyclorama.imaging.product import Product
from cyclorama.types import Pixels

_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory")
_DEVICE_LOST = ("cuda error", "device-side assert", "hip error")


def _apply(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return function(*args, **kwargs)


def sample_images(
    pipeline: Model,
    tasks: Sequence[Task],
    settings: GenerateConfig,
    batch_shape: int | None = None,
    call: Callable[..., Any] = _apply,
) -> list[Generated | ModelError]:
    """A finished image per task, of the size of its product's canvas; ``settings.size`` is applied if set.

    All tasks must share one model shape, and either all have a reference or none has. ``batch_shape``
    repeats the last task up to that many, so that a smaller batch runs through the same arithmetic as a
    full one. An image that came out as not-a-number is an error in its place. ``call`` runs what it is given,
    a function and its arguments, in the caller's own way.

    Raises SettingsError, UnknownCategoryError.
    """
    start = time.perf_counter()
    placed = [place_product(task.product, settings.canvas_size) for task in tasks]
    learned = not isinstance(pipeline, SceneModel)
    styles: list[str | None] = []
    empties: list[Pixels | None] = [None] * len(tasks)
    if isinstance(pipeline, SceneModel):
        drawn: list[Any] = []
        for task, product in zip(tasks, placed, strict=True):
            style, values = _choose_set(pipeline, task, product, settings, call)
            styles.append(style)
            shared = settings.shared_sets or settings.layers is not None
            drawn.append(call(pipeline.draw, *values, shared=shared, calm=task.calm))
            if settings.layers is not None:
                empties[len(drawn) - 1] = _to_profile(call(pipeline.draw_empty, *values), product)
    else:
        from cyclorama.generation.learned import draw_grounds

        drawn = draw_grounds(pipeline, tasks, placed, settings, batch_shape, call)
        styles = [None] * len(tasks)
    sampled = (time.perf_counter() - start) / len(tasks)
    return [
        background
        if isinstance(background, ModelError)
        else replace(_finish(task, product, background, settings, learned, sampled), style=style, empty=empty)
        for task, product, background, style, empty in zip(tasks, placed, drawn, styles, empties, strict=True)
    ]


def draw_empty(
    pipeline: Model, task: Task, settings: GenerateConfig, call: Callable[..., Any] = _apply
) -> Pixels | None:
    """The set of ``task`` without its product, uint8 (H, W, 3) of its canvas in its colours; None of a
    learned model, whose ground is painted with the product. Raises SettingsError, UnknownCategoryError."""
    if not isinstance(pipeline, SceneModel):
        return None
    _, values = _choose_set(pipeline, task, task.product, settings, call)
    return _to_profile(call(pipeline.draw_empty, *values), task.product)


def _choose_set(
    pipeline: SceneModel, task: Task, product: Product, settings: GenerateConfig, call: Callable[..., Any]
) -> tuple[str | None, tuple[Any, ...]]:
    """The name of the style of a task's set, and what the set is drawn from."""
    style = task.style
    if style is None and task.reference is not None and settings.reference_strength > 0:
        style = call(pipeline.styles.find, task.reference, task.category.name)
    values = (product, task.category.name, task.seed, settings.preset)
    return (None, (*values, None)) if style is None else (style.name, (*values, style.brand))


def _to_profile(drawn: npt.NDArray[Any], product: Product) -> Pixels:
    """Levels of sRGB in the product's colours, uint8."""
    levels: Pixels = np.rint(from_srgb(drawn, product.icc_profile)).astype(np.uint8)
    return levels


def _finish(
    task: Task,
    product: Product,
    drawn: npt.NDArray[Any],
    settings: GenerateConfig,
    learned: bool,
    sampled: float,
) -> Generated:
    """The image at its final size with the product composited on it (method, 10)."""
    start = time.perf_counter()
    background = from_srgb(drawn, product.icc_profile)
    ground = background
    if settings.contact_shadow:
        ground = apply_shadow(background, compute_contact_shadow(product.matte, settings.contact_shadow))
    pixels = composite(ground, product)
    return Generated(
        pixels=pixels,
        background=np.rint(background).astype(np.uint8),
        report=compute_product_report(pixels, product),
        category=task.category.name,
        identifier=task.category.identifier,
        seed=task.seed,
        seconds=sampled + time.perf_counter() - start,
        settings=settings.describe(learned, task.reference is not None),
        name=task.name,
        icc_profile=product.icc_profile,
        metadata=product.metadata,
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether ``error`` says that a batch was too large for the device."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error).lower() for text in _OUT_OF_MEMORY)


class Sampler:
    """Samples batches from any thread; the model itself runs in one thread of its own, in the order of calls.

    A batch is prepared and composited in its caller's thread, while the model works on another one.
    """

    def __init__(self, model: Model, settings: GenerateConfig, largest: int) -> None:
        """``largest``: places of a full batch. ``settings.size`` is not used: products come on their
        canvas."""
        self.model = model
        self.busy_seconds = 0.0
        """Time the model has worked."""
        self.largest = largest
        """Places of the largest batch that is still tried; smaller after a device ran out of memory."""
        self._settings = settings.replace(size="source")
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="cyclorama-model")
        self._lock = threading.Lock()

    def close(self) -> None:
        """End the model's thread."""
        self._thread.shutdown()

    def sample(self, tasks: Sequence[Task], places: int) -> list[tuple[Generated | Exception, int, float]]:
        """Per task its image or its error, the places of its batch and its share of the model's seconds.

        All tasks must share one model shape, and either all or none have a reference. A batch that does not
        fit into memory is halved, one that breaks otherwise is tried image by image, so that one does not
        take the others along. Raises ModelError if the device is lost.
        """
        if places > self.largest > 0:
            return self._sample_in_parts(tasks, self.largest)
        seconds = 0.0

        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal seconds
            answer, spent = self._thread.submit(self._ask, args, kwargs).result()
            seconds += spent
            return answer

        try:
            results = sample_images(self.model, tasks, self._settings, places, call)
        except Exception as error:  # whatever an unusual scheduler or input does is this batch's failure
            error.__traceback__ = None  # its frames would keep the batch in the device's memory
            text = str(error)
            if is_out_of_memory(error) and places > 1:
                _free_memory()
                with self._lock:
                    self.largest = min(self.largest, max(1, places // 2))
                return self._sample_in_parts(tasks, max(1, places // 2))
            if any(mark in text.lower() for mark in _DEVICE_LOST) and not is_out_of_memory(error):
                raise ModelError(f"the device failed ({text.splitlines()[0]}); run again to go on") from error
            if len(tasks) == 1:
                return [(error, places, seconds)]
            return self._sample_in_parts(tasks, places, 1)
        share = seconds / len(tasks)
        return [(result, places, share) for result in results]

    def _sample_in_parts(
        self, tasks: Sequence[Task], places: int, step: int = 0
    ) -> list[tuple[Generated | Exception, int, float]]:
        step = step or places
        parts = [tasks[start : start + step] for start in range(0, len(tasks), step)]
        return [result for part in parts for result in self.sample(part, places)]

    def _ask(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, float]:
        """The model's answer once the device has it, and the seconds that took."""
        start = time.perf_counter()
        try:
            answer = _apply(*args, **kwargs)
            if getattr(answer, "is_cuda", False):
                answer = answer.cpu()  # without waiting, the model's seconds would be counted elsewhere
            return answer, time.perf_counter() - start
        finally:
            self.busy_seconds += time.perf_counter() - start


def _free_memory() -> None:
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
