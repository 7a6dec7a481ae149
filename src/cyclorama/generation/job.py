"""A run of images: everything a worker needs to know, as plain values that travel to other machines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from cyclorama.generation.engine import Pipeline
from cyclorama.generation.model import ModelHandle
from cyclorama.generation.settings import RunConfig
from cyclorama.generation.writers import FileWriter, TarWriter, Writer
from cyclorama.jobs.job import EngineSettings

if TYPE_CHECKING:
    from cyclorama.generation.gates import GateVerdict
    from cyclorama.generation.plan import Plan
    from cyclorama.imaging.layout import CanvasLayout

LoadModel = Callable[[ModelHandle, str, str], Pipeline]
"""Gives the model of a handle on a device in a dtype."""


@dataclass(frozen=True)
class ImageRun:
    """A planned run. All fields can be pickled; :class:`cyclorama.generation.worker.ImageJob` is its job."""

    out: Path
    config: RunConfig
    model: ModelHandle
    plan: Plan = None  # type: ignore[assignment]
    batch_size: int = 1
    """Places of a full batch; part of the run, since it decides the images' last bits."""
    load_model: LoadModel = None  # type: ignore[assignment]
    """None loads the handle's own pipeline, tuned as the settings ask."""
    gate: Callable[..., GateVerdict] | None = None
    retry: frozenset[int] = field(default_factory=frozenset)
    """Shards whose failed rows are tried again."""

    def __post_init__(self) -> None:
        if self.load_model is None:
            run = self.config.run
            load = partial(load_pipeline, channels_last=run.channels_last, compile=run.compile)
            object.__setattr__(self, "load_model", load)
        if self.gate is None and self.config.gate is not None:
            from cyclorama.generation.gates import build_gate

            object.__setattr__(self, "gate", build_gate(self.config.gate))

    @property
    def engine(self) -> EngineSettings:
        """Where it runs."""
        return self.config.engine

    @property
    def parallel_steps(self) -> bool:
        """Decoding, cutting out and encoding may be done in other processes."""
        return True

    @cached_property
    def layouts(self) -> tuple[CanvasLayout, ...]:
        """The canvases of every input."""
        return self.config.settings.build_layouts()

    @cached_property
    def writer(self) -> Writer:
        """Where finished images go."""
        return TarWriter(self.out) if self.config.run.storage == "webdataset" else FileWriter(self.out)

    @property
    def images_per_row(self) -> int:
        """Candidates of all canvases."""
        return self.config.settings.candidates * len(self.layouts)

    def describe(self) -> dict[str, Any]:
        """All that images depend on beside their rows."""
        judge: Any = self.gate
        gate = None if judge is None else judge.describe()
        return {"config": self.config.describe(), "gate": gate, "model": self.model.hash}

    def open_model(self, device: str) -> Pipeline:
        """The model on ``device``, from where this machine has it. Raises ModelError."""
        return self.load_model(self.model.find_here(), device, self.config.run.dtype)

    def replace(self, **changes: Any) -> Self:
        """A copy with other values."""
        return replace(self, **changes)


def load_pipeline(
    handle: ModelHandle, device: str, dtype: str, *, channels_last: bool = False, compile: bool = False
) -> Pipeline:
    """The handle's own pipeline."""
    pipeline = handle.load(device, dtype)
    if channels_last or compile:
        pipeline.tune(channels_last=channels_last, compile=compile)
    return pipeline
