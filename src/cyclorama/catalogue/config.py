"""What holds for a whole catalogue run, checked before anything starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from cyclorama.catalogue.gate_settings import GateThresholds
from cyclorama.data.schema import MaskMeans
from cyclorama.errors import InputError, SettingsError
from cyclorama.generation.categories import CategoryRules
from cyclorama.generation.settings import GenerateConfig
from cyclorama.jobs.job import EngineSettings
from cyclorama.seeding import MAX_SEED

Storage = Literal["files", "webdataset"]
EngineName = Literal["in-process", "ray"]
Keep = Literal["all", "best"]

MAX_SHARD = 65_536
MAX_WORKERS = 1024
MAX_THREADS = 256


@dataclass(frozen=True)
class CatalogueConfig:
    """Settings of a catalogue run; plain values, so that they travel to any worker.

    Raises SettingsError for a value outside its range, InputError for a missing reference file.
    """

    settings: GenerateConfig = field(default_factory=GenerateConfig)
    rules: CategoryRules = field(default_factory=CategoryRules)
    seed: int = 0
    """Seed of the run, 0 to 2**63 - 1."""
    device: str = "cpu"
    dtype: str = "float32"
    channels_last: bool = False
    """Convolutions in channels-last memory; changes rounding, and so is stated in every row."""
    compile: bool = False
    """Blocks of the networks compiled with ``torch.compile``; as above."""
    mask_means: MaskMeans | None = None
    """What white marks in the mask files of rows that do not say so themselves."""
    reference: Path | None = None
    """Reference of every row without its own."""
    reference_mask: Path | None = None
    cutout: str | None = None
    """rembg network for photos with neither mask nor alpha nor a plain background."""
    shard_size: int = 256
    """Rows per shard: the unit of work, of retry and of resume."""
    storage: Storage = "files"
    """Images as files in ``images/``, or as one tar per shard in ``webdataset/``."""
    keep: Keep = "all"
    """Keep every candidate, or per row and layout the one the gate scores best."""
    gate: GateThresholds | None = None
    """Limits that every finished image is held against; None judges none."""
    attempts: int = 0
    """Further seeds tried for an image whose candidates all fail the gate, 0-16."""
    retry_failed: bool = False
    """Try rows again that failed in an earlier run though nothing about them has changed."""
    engine: EngineName = "in-process"
    address: str | None = None
    """Address of a cluster, for engines that have one."""
    workers: int = 1
    """Workers, one model each; the in-process engine starts processes only for two and more."""
    threads: int | None = None
    """Threads of the model's arithmetic per worker; None leaves torch's own number. Bit-equality on a CPU
    is for equal numbers."""
    loaders: int = 4
    """Threads per worker that decode, cut out, encode and write."""
    in_flight: int = 2
    """Batches per shard in work between the first file read and the last file written."""

    def __post_init__(self) -> None:
        if not 0 <= self.seed <= MAX_SEED:
            raise SettingsError(f"seed must be a whole number from 0 to 2**63 - 1, got {self.seed}")
        for name, value, low, high in (
            ("shard size", self.shard_size, 1, MAX_SHARD),
            ("attempts", self.attempts, 0, 16),
            ("workers", self.workers, 1, MAX_WORKERS),
            ("loaders", self.loaders, 1, MAX_THREADS),
            ("batches in flight", self.in_flight, 1, 16),
            ("threads", self.threads, 1, MAX_THREADS),
        ):
            if value is not None and not low <= value <= high:
                raise SettingsError(f"{name} must be a whole number from {low} to {high}, got {value}")
        for name, chosen, allowed in (
            ("storage", self.storage, get_args(Storage)),
            ("engine", self.engine, get_args(EngineName)),
            ("keep", self.keep, get_args(Keep)),
        ):
            if chosen not in allowed:
                raise SettingsError(f"{name} must be one of {', '.join(allowed)}, got {chosen!r}")
        if self.address is not None and self.engine == "in-process":
            raise SettingsError("--address is for --engine ray; the in-process engine has no cluster")
        if self.reference_mask is not None and self.reference is None:
            raise SettingsError("--reference-mask is given without --reference; give both")
        for option, file in (("--reference", self.reference), ("--reference-mask", self.reference_mask)):
            if file is not None and not file.is_file():
                raise InputError(f"no such file for {option}: {file}")

    @property
    def engine_settings(self) -> EngineSettings:
        """Where the run's work is done."""
        return EngineSettings(
            engine=self.engine, address=self.address, workers=self.workers, threads=self.threads,
            device=self.device, loaders=self.loaders, shard_size=self.shard_size,
        )  # fmt: skip

    def describe_settings(self) -> dict[str, Any]:
        """The settings that change an image, as rows and images state them."""
        values = self.settings.describe() | {"dtype": self.dtype}
        tuning = {"channels_last": self.channels_last, "compile": self.compile}
        return values | {name: True for name, chosen in tuning.items() if chosen}

    def describe(self) -> dict[str, Any]:
        """The settings that change an image or its place, as plain values."""
        return self.describe_settings() | {
            "run_seed": self.seed,
            "candidates": self.settings.candidates,
            "cutout": self.cutout,
            "storage": self.storage,
            "keep": self.keep,
            "attempts": self.attempts,
        }
