"""What a curating run is asked to do: the recipe, one section per rule, and the rules built from it.

Each image rule has an identity that its results are kept under.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from cyclorama.bundled import find_bundled
from cyclorama.config import Settings, to_plain
from cyclorama.curate.category import CategoryRule, CategorySettings
from cyclorama.curate.duplicates import DuplicatesRule, DuplicatesSettings
from cyclorama.curate.mask import MaskRule, MaskSettings
from cyclorama.curate.people import PeopleRule, PeopleSettings
from cyclorama.curate.quality import (
    BlankRule,
    BlankSettings,
    QualityRule,
    QualitySettings,
    SizeRule,
    SizeSettings,
)
from cyclorama.curate.records import ImageRule, SetRule
from cyclorama.curate.splits import PairsSettings, SplitSettings
from cyclorama.curate.stated import ClicksRule, ClicksSettings, LicenceRule, LicenceSettings
from cyclorama.curate.summary import compute_embedding
from cyclorama.curate.text import TextRule, TextSettings
from cyclorama.data.columns import MaskMeans
from cyclorama.data.fetch import UrlPolicy
from cyclorama.errors import ConfigError, ModelNotFoundError
from cyclorama.jobs.job import EngineSettings
from cyclorama.jobs.store import compute_key
from cyclorama.types import Pixels


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

GROUP = "cyclorama.curate_rules"
"""Entry points of this group are factories: a mapping of settings in, a rule out."""
OWN: tuple[Any, ...] = (
    LicenceRule, ClicksRule, CategoryRule, SizeRule, QualityRule, MaskRule, BlankRule, PeopleRule, TextRule,
    DuplicatesRule,
)  # fmt: skip
"""The rules of this package, in the order in which they are asked."""
SUMMARY_VERSION = "4"


@dataclass(frozen=True)
class Rules:
    """All rules of a run, in the order in which they are asked."""

    before: tuple[SetRule, ...]
    """Set rules that need no images."""
    images: tuple[ImageRule, ...]
    after: tuple[SetRule, ...]
    """Set rules on summaries of the images."""
    identities: Mapping[str, str]
    """Image rule's name to the digest of everything its answer depends on beside the image."""
    summary: str
    """The same for what is kept of an image."""
    compute_embedding: Callable[[Pixels], Any]
    """float32 (D,) of an image, of unit length."""

    @property
    def names(self) -> tuple[str, ...]:
        """Every rule's name, in order."""
        rules: tuple[ImageRule | SetRule, ...] = (*self.before, *self.images, *self.after)
        return tuple(rule.name for rule in rules)


def build_rules(config: CurateConfig) -> Rules:
    """The rules that ``config`` asks for; their models are loaded when first used.

    Raises ConfigError (a further rule that is not installed), ModelNotFoundError (LaMa's weights).
    """
    erase = None if config.erase is None else partial(erase_hole, config.erase)
    options = {"text": {"erase": erase}}
    settings = {rule.name: getattr(config, rule.name) for rule in OWN} | config.further
    asked = [rule for rule in OWN if settings[rule.name] is not None]
    rules: list[Any] = [rule(settings[rule.name], **options.get(rule.name, {})) for rule in asked]
    rules += [load_rule(name, values) for name, values in config.further.items()]
    images = [rule for rule in rules if not isinstance(rule, SetRule)]
    sets = [rule for rule in rules if isinstance(rule, SetRule)]
    identities = {rule.name: identify(rule, settings[rule.name]) for rule in images}
    if "text" in identities:
        identities["text"] = compute_key({"text": identities["text"], "erase": identify_eraser(config.erase)})
    features = identify_features(config.output.features)
    return Rules(
        before=tuple(rule for rule in sets if not rule.needs_images),
        images=tuple(images),
        after=tuple(rule for rule in sets if rule.needs_images),
        identities=identities,
        summary=compute_key({"summary": SUMMARY_VERSION, "features": features}),
        compute_embedding=partial(compute_embedding, features=config.output.features),
    )


def load_rule(name: str, settings: Mapping[str, Any]) -> ImageRule | SetRule:
    """The installed rule called ``name``. Raises ConfigError."""
    found = {point.name: point for point in metadata.entry_points(group=GROUP)}
    if name not in found:
        there = ", ".join(sorted(found)) or "none"
        raise ConfigError(
            f"further: no installed package has a rule {name!r} (entry points {GROUP}); installed: {there}"
        )
    rule: ImageRule | SetRule = found[name].load()(dict(settings))
    if rule.name != name:
        other = f"gives a rule called {rule.name!r}"
        raise ConfigError(f"further: entry point {name!r} {other}; names must agree")
    if not isinstance(rule, ImageRule | SetRule):
        raise ConfigError(f"further: {name!r} gives a {type(rule).__name__} with neither judge nor judge_all")
    return rule


def identify(rule: ImageRule, settings: Any) -> str:
    """A digest of the rule's name, version and settings, and of files that the settings name."""
    version = str(getattr(rule, "version", "1"))
    values = _with_file_digests(to_plain(settings))
    return compute_key({"rule": rule.name, "version": version, "settings": values})


def identify_eraser(settings: EraseSettings | None) -> dict[str, Any]:
    """What the erasing network's images depend on. Raises ModelNotFoundError."""
    from cyclorama.erasing.files import find_lama

    if settings is None:
        return {}
    values: dict[str, Any] = to_plain(settings)
    try:
        return values | {"weights": _digest(find_lama(settings.weights))}
    except ModelNotFoundError as error:
        raise ModelNotFoundError(
            f"{error}. The recipe names it as erase.weights; with erase: null, images with text behind the "
            f"product go to review instead"
        ) from error


def identify_features(choice: str) -> str:
    """The feature network's name and the digest of its weights.

    Raises ModelNotFoundError, MissingDependencyError.
    """
    if choice != "cyclorama":
        return str(_with_file_digests(choice))
    from cyclorama.evaluation.feature_network import load_card

    return f"{choice} {load_card(find_bundled('features'))['weights_hash']}"


@cache
def _load_eraser(weights: Path | None) -> Any:
    from cyclorama.erasing.files import load_lama

    return load_lama(weights)


def erase_hole(settings: EraseSettings, pixels: Pixels, hole: npt.NDArray[np.bool_]) -> Pixels:
    """``pixels`` with ``hole`` (H, W) filled by LaMa, which is loaded at the first hole; the same elsewhere.

    Raises ModelError.
    """
    from cyclorama.erasing.erase import EraseConfig, erase

    config = EraseConfig(max_side=settings.max_side, context=settings.context)
    return erase(pixels, hole, _load_eraser(settings.weights), config)


def _with_file_digests(values: Any) -> Any:
    """Plain ``values`` with digests in place of every path of a file or folder that exists."""
    if isinstance(values, dict):
        return {name: _with_file_digests(value) for name, value in values.items()}
    if isinstance(values, list):
        return [_with_file_digests(value) for value in values]
    if isinstance(values, str) and "/" in values and Path(values).exists():
        path = Path(values)
        files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
        return [_digest(file) for file in files]
    return values


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
