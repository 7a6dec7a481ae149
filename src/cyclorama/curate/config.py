"""What holds for a curating run: the recipe, one section per rule, and the machine it runs on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from cyclorama.config import Settings
from cyclorama.curate.blank import BlankSettings
from cyclorama.curate.category import CategorySettings
from cyclorama.curate.clicks import ClicksSettings
from cyclorama.curate.duplicates import DuplicatesSettings
from cyclorama.curate.licence import LicenceSettings
from cyclorama.curate.mask import MaskSettings
from cyclorama.curate.people import PeopleSettings
from cyclorama.curate.quality import QualitySettings, SizeSettings
from cyclorama.curate.splits import PairsSettings, SplitSettings
from cyclorama.curate.text import TextSettings
from cyclorama.data.columns import MaskMeans
from cyclorama.data.fetch import UrlPolicy
from cyclorama.errors import ConfigError
from cyclorama.jobs.job import EngineSettings


class ReadingSettings(Settings):
    """What the input is and how its files are opened."""

    kind: Literal["auto", "table", "bg60k", "bg1k", "bgpair"] = "auto"
    """``auto`` tells the published sets from tables, feeds and folders by their files."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Field to column (``{product_id: goods_no}``) where a table's own names are not understood."""
    encoding: str | None = None
    """Encoding of a text table where it cannot be told (cp1251, shift_jis, big5)."""
    urls: UrlPolicy | None = None
    """Which web addresses may be read as images (``{hosts: [cdn.shop.example]}``); None: none."""
    licence: str | None = None
    """Licence of rows that state none."""
    language: str | None = None
    """Language of the category names of rows that state none (``en``, ``zh`` …)."""
    mask_means: MaskMeans | None = None
    """What bright marks in the masks: product, background, or alpha; None: as the row says, else product."""
    folder_category: bool = True
    """In a folder without other word, the name of an image's own subfolder is its category."""
    pixels: PositiveInt = 100_000_000
    """Largest image, width times height."""
    file_bytes: PositiveInt = 64 * 2**20
    """Largest file, in bytes."""


class EraseSettings(Settings):
    """The network that fills what the text rule takes away."""

    weights: Path | None = None
    """Published big-lama weights (file or folder); None takes the bundled small LaMa."""
    max_side: Annotated[int, Field(ge=32)] | None = None
    """Longest side, in pixels, that the network sees; larger places are worked on reduced. None: twice that
    of the images it was trained on."""
    context: NonNegativeFloat = 1.0
    """Image around a hole that the network sees, as a share of the hole's longer side."""


class OutputSettings(Settings):
    """What is written at the end."""

    shard_size: PositiveInt = 512
    """Images per shard of the training set."""
    features: str = "cyclorama"
    """Feature network of the embeddings that duplicates are told by."""
    samples: NonNegativeInt = 8
    """Images shown in the report per rule and verdict."""
    seed: NonNegativeInt = 0
    """Decides which products go into which split."""


class CurateConfig(Settings):
    """A recipe. A rule that is None is left out."""

    reading: ReadingSettings = ReadingSettings()
    licence: LicenceSettings | None = LicenceSettings()
    clicks: ClicksSettings | None = ClicksSettings()
    category: CategorySettings | None = CategorySettings()
    size: SizeSettings | None = SizeSettings()
    quality: QualitySettings | None = QualitySettings()
    mask: MaskSettings | None = MaskSettings()
    blank: BlankSettings | None = BlankSettings()
    people: PeopleSettings | None = PeopleSettings()
    text: TextSettings | None = TextSettings()
    erase: EraseSettings | None = EraseSettings()
    """None erases nothing: what would be erased is put to review."""
    duplicates: DuplicatesSettings | None = DuplicatesSettings()
    splits: SplitSettings = SplitSettings()
    pairs: PairsSettings | None = PairsSettings()
    output: OutputSettings = OutputSettings()
    further: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Rules of other packages (entry points ``cyclorama.curate_rules``) by name, with their settings."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        taken = sorted(set(self.further) & set(type(self).model_fields))
        if taken:
            raise ConfigError(f"further: {taken[0]!r} is a section of its own; name the rule otherwise")
        return self


DEFAULT_ENGINE = EngineSettings(device="cpu", threads=1, shard_size=64, loaders=1)
"""Where images are judged if nobody says otherwise; networks of the rules run on the CPU."""
