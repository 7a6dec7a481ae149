"""What holds for a curating run: the recipe, one section per rule, and the machine it runs on."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from cyclorama.config import to_plain
from cyclorama.curate.blank import BlankSettings
from cyclorama.curate.category import CategorySettings
from cyclorama.curate.clicks import ClicksSettings
from cyclorama.curate.duplicates import DuplicatesSettings
from cyclorama.curate.licence import LicenceSettings
from cyclorama.curate.mask import MaskSettings
from cyclorama.curate.pairs import PairsSettings
from cyclorama.curate.people import PeopleSettings
from cyclorama.curate.quality import QualitySettings
from cyclorama.curate.size import SizeSettings
from cyclorama.curate.splits import SplitSettings
from cyclorama.curate.text import TextSettings
from cyclorama.data.schema import MaskMeans
from cyclorama.errors import ConfigError, SettingsError

InputKind = Literal["auto", "folder", "manifest", "pita", "bg60k", "bg1k", "bgpair"]
EngineName = Literal["in-process", "ray"]
MAX_WORKERS = 1024


@dataclass(frozen=True)
class ReadingSettings:
    """What the input is and how its files are opened."""

    kind: InputKind = "auto"
    """``auto`` tells a manifest, the published sets and a plain folder apart by their files."""
    columns: dict[str, str] = field(default_factory=dict)
    """Field to column (``{product_id: goods_no}``) where a manifest's own names are not understood."""
    licence: str | None = None
    """Licence of rows that state none."""
    language: str | None = None
    """Language of the category names of rows that state none (``en``, ``zh`` …)."""
    mask_means: MaskMeans | None = None
    """What bright marks in the masks: product, background, or alpha; None: as the row says, else product."""
    folder_category: bool = True
    """In a folder without other word, the name of an image's own subfolder is its category."""
    pixels: int = 100_000_000
    """Largest image, width times height."""
    file_bytes: int = 64 * 2**20
    """Largest file, in bytes."""

    def __post_init__(self) -> None:
        for name in ("pixels", "file_bytes"):
            if getattr(self, name) < 1:
                raise ConfigError(f"reading.{name} is {getattr(self, name)}, must be at least 1")


@dataclass(frozen=True)
class EraseSettings:
    """The network that fills what the text rule takes away."""

    weights: Path | None = None
    """Published big-lama weights (file or folder); None takes the bundled small LaMa."""
    max_side: int | None = None
    """Longest side, in pixels, that the network sees; larger places are worked on reduced. None: twice that
    of the images it was trained on."""
    context: float = 1.0
    """Image around a hole that the network sees, as a share of the hole's longer side."""

    def __post_init__(self) -> None:
        if (self.max_side is not None and self.max_side < 32) or self.context < 0:
            raise ConfigError(
                f"erase: max_side {self.max_side} and context {self.context} must be at least 32 and 0"
            )


@dataclass(frozen=True)
class OutputSettings:
    """What is written at the end."""

    shard_size: int = 512
    """Images per shard of the training set."""
    features: str = "cyclorama"
    """Feature network of the embeddings that duplicates are told by."""
    samples: int = 8
    """Images shown in the report per rule and verdict."""
    seed: int = 0
    """Decides which products go into which split."""

    def __post_init__(self) -> None:
        if self.shard_size < 1 or self.samples < 0 or self.seed < 0:
            raise ConfigError(
                f"output: shard_size {self.shard_size}, samples {self.samples} and seed {self.seed} must be "
                f"at least 1, 0 and 0"
            )


@dataclass(frozen=True)
class CurateConfig:
    """A recipe. A rule that is None is left out."""

    reading: ReadingSettings = field(default_factory=ReadingSettings)
    licence: LicenceSettings | None = field(default_factory=LicenceSettings)
    clicks: ClicksSettings | None = field(default_factory=ClicksSettings)
    category: CategorySettings | None = field(default_factory=CategorySettings)
    size: SizeSettings | None = field(default_factory=SizeSettings)
    quality: QualitySettings | None = field(default_factory=QualitySettings)
    mask: MaskSettings | None = field(default_factory=MaskSettings)
    blank: BlankSettings | None = field(default_factory=BlankSettings)
    people: PeopleSettings | None = field(default_factory=PeopleSettings)
    text: TextSettings | None = field(default_factory=TextSettings)
    erase: EraseSettings | None = field(default_factory=EraseSettings)
    """None erases nothing: what would be erased is put to review."""
    duplicates: DuplicatesSettings | None = field(default_factory=DuplicatesSettings)
    splits: SplitSettings = field(default_factory=SplitSettings)
    pairs: PairsSettings | None = field(default_factory=PairsSettings)
    output: OutputSettings = field(default_factory=OutputSettings)
    further: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Rules of other packages (entry points ``cyclorama.curate_rules``) by name, with their settings."""

    def __post_init__(self) -> None:
        taken = sorted(set(self.further) & {f.name for f in fields(self)})
        if taken:
            raise ConfigError(f"further: {taken[0]!r} is a section of its own; name the rule otherwise")

    def describe(self) -> dict[str, Any]:
        """The recipe as plain values."""
        values: dict[str, Any] = to_plain(self)
        return values


@dataclass(frozen=True)
class EngineSettings:
    """Where a run's images are judged; changes nothing of what comes out."""

    engine: EngineName = "in-process"
    workers: int = 1
    """Processes; the in-process engine starts some of its own only for two and more."""
    address: str | None = None
    """Address of a Ray cluster; None starts one on this machine."""
    threads: int | None = 1
    """Threads of a worker's arithmetic."""
    shard_size: int = 64
    """Rows that a worker takes at a time."""
    device: str = "cpu"
    """Networks of the rules run on the CPU."""
    loaders: int = 1
    """Further CPUs that a worker's helpers would use; curating has none."""

    def __post_init__(self) -> None:
        if self.engine not in get_args(EngineName):
            raise SettingsError(
                f"--engine must be one of {', '.join(get_args(EngineName))}, got {self.engine!r}"
            )
        if not 1 <= self.workers <= MAX_WORKERS:
            raise SettingsError(f"--workers must be 1 to {MAX_WORKERS}, got {self.workers}")
        if self.shard_size < 1:
            raise SettingsError(f"shard_size must be at least 1, got {self.shard_size}")
        if self.address is not None and self.engine == "in-process":
            raise SettingsError("--address is for --engine ray; the in-process engine has no cluster")
