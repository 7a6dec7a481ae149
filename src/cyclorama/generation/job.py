"""A run of images: everything a worker needs to know, as plain values that travel to other machines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from cyclorama.generation.engine import Pipeline
from cyclorama.generation.model import ModelHandle
from cyclorama.generation.plan import Plan
from cyclorama.generation.settings import RunConfig
from cyclorama.generation.writers import FileWriter, TarWriter
from cyclorama.imaging.layout import CanvasLayout
from cyclorama.jobs.job import EngineSettings

if TYPE_CHECKING:
    from cyclorama.generation.gates import GateVerdict

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
    load_model: LoadModel | None = None
    """None loads the handle's own pipeline, tuned as the settings ask."""
    gate: Callable[..., GateVerdict] | None = None
    retry: frozenset[int] = field(default_factory=frozenset)
    """Shards whose failed rows are tried again."""

    def __post_init__(self) -> None:
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
    def writer(self) -> FileWriter:
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
        handle, run = self.model.find_here(), self.config.run
        if self.load_model is not None:
            return self.load_model(handle, device, run.dtype)
        pipeline = handle.load(device, run.dtype)
        if run.channels_last or run.compile:
            pipeline.tune(channels_last=run.channels_last, compile=run.compile)
        return pipeline

    def replace(self, **changes: Any) -> Self:
        """A copy with other values."""
        return replace(self, **changes)
