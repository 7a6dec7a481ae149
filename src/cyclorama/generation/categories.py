"""Which of the model's categories an input belongs to, from what its owner calls it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cyclorama.errors import SettingsError, UnknownCategoryError
from cyclorama.models.registry import Category, CategoryRegistry

CATCH_ALL = "*"


@dataclass(frozen=True)
class CategoryRules:
    """How given names become categories.

    ``mapping`` sends a given name (case, ``-`` and ``_`` do not matter) to a category or alias; the
    name ``*`` stands for every name that is neither mapped nor known. ``default`` serves inputs without
    a name, and those whose name stays unknown.
    """

    mapping: Mapping[str, str] = field(default_factory=dict)
    default: str | None = None

    def check(self, registry: CategoryRegistry) -> None:
        """Raise UnknownCategoryError if the default or a mapping's target is unknown."""
        for name in (*self.mapping.values(), self.default):
            if name is not None:
                registry.resolve(name)

    def resolve(self, given: str | None, registry: CategoryRegistry) -> Category:
        """The category for the ``given`` name.

        Raises UnknownCategoryError (naming the nearest), SettingsError (no name and no default).
        """
        if given is None:
            if self.default is None:
                raise SettingsError(
                    f"no category is given; name one with --category. This model knows: "
                    f"{', '.join(registry.names) or 'none'}"
                )
            return registry.resolve(self.default)
        normal = {_normalise(name): target for name, target in self.mapping.items()}
        mapped = normal.get(_normalise(given))
        if mapped is not None:
            return registry.resolve(mapped)
        try:
            return registry.resolve(given)
        except UnknownCategoryError:
            fallback = normal.get(CATCH_ALL, self.default)
            if fallback is None:
                raise
            return registry.resolve(fallback)

    def knows(self, name: str, registry: CategoryRegistry) -> bool:
        """Whether ``name`` itself is mapped or known, without catch-all and default."""
        try:
            CategoryRules({k: v for k, v in self.mapping.items() if k != CATCH_ALL}).resolve(name, registry)
        except UnknownCategoryError:
            return False
        return True


def load_category_rules(
    map_file: str | Path | None = None, aliases: Iterable[str] = (), default: str | None = None
) -> CategoryRules:
    """Rules from a JSON or YAML file of ``given: category`` pairs, then ``given=category`` texts.

    Raises SettingsError (unreadable file, not a mapping of names, a text without ``=``).
    """
    mapping: dict[str, str] = {}
    if map_file is not None:
        mapping.update(_load_map(Path(map_file)))
    for text in aliases:
        given, separator, target = text.partition("=")
        if not (separator and given.strip() and target.strip()):
            raise SettingsError(
                f"alias {text!r} is not understood: write it as given=category, such as 'lipstick=perfume'"
            )
        mapping[given.strip()] = target.strip()
    return CategoryRules(mapping, default)


def _load_map(path: Path) -> dict[str, str]:
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
        values = json.loads(text) if path.suffix.lower() == ".json" else yaml.safe_load(text)
    except OSError as error:
        raise SettingsError(f"cannot read category map {path}: {error.strerror or error}") from error
    except (ValueError, yaml.YAMLError) as error:
        raise SettingsError(f"category map {path} is not valid JSON or YAML: {error}") from error
    usable = isinstance(values, dict) and all(
        isinstance(key, str) and isinstance(value, str) for key, value in values.items()
    )
    if not usable:
        raise SettingsError(f"category map {path} must hold pairs 'given name: category', both text")
    return dict(values)


def _normalise(name: str) -> str:
    return " ".join(name.replace("_", " ").replace("-", " ").lower().split())
