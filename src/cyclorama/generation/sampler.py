"""The model's side of a worker: one call at a time, timed, with smaller batches when memory runs out."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from cyclorama.errors import ModelError
from cyclorama.generation.engine import Pipeline, Task, sample_images
from cyclorama.generation.result import Generated
from cyclorama.generation.settings import GenerateConfig

_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory")
_DEVICE_LOST = ("cuda error", "device-side assert", "hip error")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether ``error`` says that a batch was too large for the device."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error).lower() for text in _OUT_OF_MEMORY)


class Sampler:
    """Samples batches from any thread; the model itself runs in one thread of its own, in the order of calls.

    A batch is prepared and composited in its caller's thread, while the model works on another one.
    """

    def __init__(self, model: Pipeline, settings: GenerateConfig, largest: int) -> None:
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
        call = _Call(self)
        try:
            results = sample_images(call, tasks, self._settings, places)
        except Exception as error:  # whatever an unusual scheduler or input does is this batch's failure
            call.forget()
            text = str(error)
            if is_out_of_memory(error) and places > 1:
                _free_memory()
                with self._lock:
                    self.largest = min(self.largest, max(1, places // 2))
                return self._sample_in_parts(tasks, max(1, places // 2))
            if any(mark in text.lower() for mark in _DEVICE_LOST) and not is_out_of_memory(error):
                raise ModelError(f"the device failed ({text.splitlines()[0]}); run again to go on") from error
            if len(tasks) == 1:
                return [(error, places, call.seconds)]
            return [result for task in tasks for result in self.sample([task], places)]
        share = call.seconds / len(tasks)
        return [(result, places, share) for result in results]

    def _sample_in_parts(
        self, tasks: Sequence[Task], places: int
    ) -> list[tuple[Generated | Exception, int, float]]:
        return [
            result
            for start in range(0, len(tasks), places)
            for result in self.sample(tasks[start : start + places], places)
        ]

    def run(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, float]:
        """The model's answer and the seconds it took, from the model's own thread."""

        def call() -> tuple[Any, float]:
            start = time.perf_counter()
            try:
                answer = self.model(*args, **kwargs)
                return _settle(answer), time.perf_counter() - start
            finally:
                self.busy_seconds += time.perf_counter() - start

        return self._thread.submit(call).result()


class _Call:
    """The model as :func:`sample_images` sees it for one batch; notes how long it worked."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler: Sampler | None = sampler
        self.registry = sampler.model.registry
        self.seconds = 0.0

    @property
    def image_size(self) -> int:
        assert self._sampler is not None
        return self._sampler.model.image_size

    @property
    def image_multiple(self) -> int:
        assert self._sampler is not None
        return self._sampler.model.image_multiple

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        assert self._sampler is not None
        answer, self.seconds = self._sampler.run(args, kwargs)
        return answer

    def forget(self) -> None:
        """Let go of the model, so that an error's traceback does not keep its memory."""
        self._sampler = None


def _settle(answer: Any) -> Any:
    """The answer once the device has it: without waiting, the model's seconds would be counted elsewhere."""
    return answer.cpu() if getattr(answer, "is_cuda", False) else answer


def _free_memory() -> None:
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
