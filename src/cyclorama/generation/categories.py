"""Which of the model's categories an input belongs to, from what its owner calls it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from cyclorama.config import load_mapping
from cyclorama.errors import SettingsError
from cyclorama.models.registry import CategoryMatch, CategoryRegistry, normalise_name

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

    def choose(
        self, given: str | None, registry: CategoryRegistry, folders: Sequence[str] = ()
    ) -> CategoryMatch:
        """The category for the ``given`` name; without one, and without a default, for the nearest of the
        ``folders`` that the model knows.

        Raises UnknownCategoryError (naming the nearest), SettingsError (no name and no default).
        """
        normal = {normalise_name(name): target for name, target in self.mapping.items()}
        fallback = normal.pop(CATCH_ALL, self.default)
        if given is None and self.default is None:
            for folder in folders:
                found = registry.match(folder, normal)
                if found is not None:
                    return replace(found, source=f"folder, {found.source}")
            raise SettingsError(
                f"no category is given; name one with --category. This model knows: "
                f"{', '.join(registry.names) or 'none'}"
            )
        found = None if given is None else registry.match(given, normal)
        if found is not None:
            return found
        if given is None or fallback is not None:
            return CategoryMatch(registry.resolve(fallback or self.default or ""), "default", "")
        return CategoryMatch(registry.resolve(given), "name", given)  # says what is near


def load_category_rules(
    map_file: str | Path | None = None, aliases: Iterable[str] = (), default: str | None = None
) -> CategoryRules:
    """Rules from a JSON or YAML file of ``given: category`` pairs, then ``given=category`` texts.

    Raises ConfigError (unreadable file), SettingsError (not a mapping of names, a text without ``=``).
    """
    mapping: dict[str, str] = {}
    if map_file is not None:
        values = load_mapping(map_file)
        if not isinstance(values, dict) or {str} != {*map(type, values), *map(type, values.values()), str}:
            raise SettingsError(f"category map {map_file} must hold pairs 'given name: category', both text")
        mapping.update(values)
    for text in aliases:
        given, separator, target = text.partition("=")
        if not (separator and given.strip() and target.strip()):
            raise SettingsError(
                f"alias {text!r} is not understood: write it as given=category, such as 'lipstick=perfume'"
            )
        mapping[given.strip()] = target.strip()
    return CategoryRules(mapping, default)
