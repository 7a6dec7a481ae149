"""Everything a worker needs to know, as plain values that travel to other processes and machines."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from cyclorama.catalogue.config import CatalogueConfig
from cyclorama.catalogue.plan import Plan
from cyclorama.catalogue.protocols import Encoder, Gate, Layout, PixelModel, Writer
from cyclorama.catalogue.writers import FileWriter, TarWriter
from cyclorama.errors import SettingsError
from cyclorama.generation.embed import ImageEncoder
from cyclorama.generation.model import ModelHandle, silence_loading
from cyclorama.jobs.job import EngineSettings, Worker

LoadModel = Callable[[ModelHandle, str, str], PixelModel]
"""Gives the model of a handle on a device in a dtype."""


@dataclass(frozen=True)
class Toolkit:
    """The exchangeable parts of a run."""

    encoder: Encoder
    writer: Writer
    layouts: tuple[Layout, ...]
    gate: Gate | None = None

    def __post_init__(self) -> None:
        names = [layout.name for layout in self.layouts]
        if not names or len(set(names)) < len(names) or (len(names) > 1 and "" in names):
            raise SettingsError(f"layouts are named {names}; give one, or several with different names")

    def describe(self) -> dict[str, Any]:
        """What of the parts changes images or decides which are kept."""
        return {
            "encoder": self.encoder.describe(),
            "layouts": [[layout.name, layout.describe()] for layout in self.layouts],
            "gate": None if self.gate is None else self.gate.describe(),
        }


def build_toolkit(config: CatalogueConfig, out: Path) -> Toolkit:
    """The parts that ``config`` asks for.

    Raises SettingsError (attempts or best candidates without a gate), ModelFormatError (feature network).
    """
    writer: Writer = TarWriter(out) if config.storage == "webdataset" else FileWriter(out)
    settings = config.settings
    if config.gate is None:
        if config.attempts or config.keep == "best":
            raise SettingsError("attempts and keeping the best candidate need a gate to judge by; add --gate")
        return Toolkit(ImageEncoder.of(settings), writer, settings.build_layouts())
    from cyclorama.catalogue.gates import build_gate

    return Toolkit(ImageEncoder.of(settings), writer, settings.build_layouts(), build_gate(config.gate))


@dataclass(frozen=True)
class Job:
    """A planned run. All fields can be pickled."""

    out: Path
    plan: Plan
    config: CatalogueConfig
    model: ModelHandle
    batch_size: int
    """Places of a full batch; part of the run, since it decides the images' last bits."""
    load_model: LoadModel
    toolkit: Toolkit
    retry: frozenset[int] = frozenset()
    """Shards whose failed rows are tried again."""

    @property
    def engine(self) -> EngineSettings:
        """Where it runs."""
        return self.config.engine_settings

    @property
    def parallel_steps(self) -> bool:
        """Decoding, cutting out and encoding may be done in other processes."""
        return True

    def open_worker(self, device: str, pool: Executor | None = None) -> Worker:
        """A worker with the model loaded. Raises ModelError, MissingDependencyError."""
        from cyclorama.catalogue.worker import ImageWorker

        return ImageWorker(self, device, pool)


def build_loader(config: CatalogueConfig) -> LoadModel:
    """What loads the handle's own pipeline, tuned as ``config`` asks; can be pickled."""
    return partial(load_pipeline_model, channels_last=config.channels_last, compile=config.compile)


def load_pipeline_model(
    handle: ModelHandle, device: str, dtype: str, *, channels_last: bool = False, compile: bool = False
) -> PixelModel:
    """The handle's own pipeline."""
    silence_loading()
    pipeline = handle.load(device, dtype)
    pipeline.tune(channels_last=channels_last, compile=compile)
    return pipeline
