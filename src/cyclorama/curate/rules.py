"""The rules of a run, built from its recipe, each with an identity that its results are kept under."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cyclorama.config import to_plain
from cyclorama.curate.blank import BlankRule
from cyclorama.curate.category import CategoryRule
from cyclorama.curate.clicks import ClicksRule
from cyclorama.curate.config import CurateConfig, EraseSettings
from cyclorama.curate.duplicates import DuplicatesRule
from cyclorama.curate.licence import LicenceRule
from cyclorama.curate.mask import MaskRule
from cyclorama.curate.people import PeopleRule
from cyclorama.curate.quality import QualityRule, SizeRule
from cyclorama.curate.records import ImageRule, SetRule
from cyclorama.curate.summary import Embedder
from cyclorama.curate.text import TextRule
from cyclorama.errors import ConfigError, ModelNotFoundError
from cyclorama.jobs.store import compute_key
from cyclorama.types import Pixels

GROUP = "cyclorama.curate_rules"
"""Entry points of this group are factories: a mapping of settings in, a rule out."""
OWN: tuple[Any, ...] = (
    LicenceRule, ClicksRule, CategoryRule, SizeRule, QualityRule, MaskRule, BlankRule, PeopleRule, TextRule,
    DuplicatesRule,
)  # fmt: skip
"""The rules of this package, in the order in which they are asked."""
SUMMARY_VERSION = "3"


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

    Raises ConfigError (a further rule that is not installed, or two of one name), ModelNotFoundError
    (LaMa's weights).
    """
    erase = None if config.erase is None else Eraser(config.erase)
    options = {"text": {"erase": erase}}
    settings = {rule.name: getattr(config, rule.name) for rule in OWN} | config.further
    asked = [rule for rule in OWN if settings[rule.name] is not None]
    rules: list[Any] = [rule(settings[rule.name], **options.get(rule.name, {})) for rule in asked]
    rules += [load_rule(name, values) for name, values in config.further.items()]
    names = [rule.name for rule in rules]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"two rules are called {twice[0]!r}; names must differ")
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
        compute_embedding=Embedder(config.output.features).compute_one,
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
    """The feature network's name and the digest of its weights. Raises ModelNotFoundError."""
    if choice != "cyclorama":
        return str(_with_file_digests(choice))
    from cyclorama.evaluation.feature_network import load_card
    from cyclorama.evaluation.features import find_bundled_features

    return f"{choice} {load_card(find_bundled_features())['weights_hash']}"


class Eraser:
    """Fills a hole (H, W) in pixels with LaMa, which is loaded at the first hole."""

    def __init__(self, settings: EraseSettings) -> None:
        self._settings = settings
        self._model: Any = None

    def __call__(self, pixels: Pixels, hole: npt.NDArray[np.bool_]) -> Pixels:
        """``pixels`` with ``hole`` filled; the same bit for bit elsewhere. Raises ModelError."""
        from cyclorama.erasing.erase import EraseConfig, erase
        from cyclorama.erasing.files import load_lama

        if self._model is None:
            self._model = load_lama(self._settings.weights)
        config = EraseConfig(max_side=self._settings.max_side, context=self._settings.context)
        return erase(pixels, hole, self._model, config)


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
