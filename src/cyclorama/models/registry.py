"""The categories a model knows, and which of them stands for what a caller calls a product.

Looked up in this order: the name itself (case, spaces, ``-`` and ``_`` do not matter), an alias, a plural
or singular of them; then, of a path such as ``Beauty > Perfume & Cologne``, the last level as a whole, its
parts, and the same for each level above.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from cyclorama.config import load_mapping
from cyclorama.errors import ModelFormatError, SettingsError, UnknownCategoryError
from cyclorama.prompts import Prompts, build_identifier, build_prompts

FILE_NAME = "categories.json"
CATCH_ALL = "*"
_LEVELS = re.compile(r"\s*[>/|›»\\]+\s*|\s*::\s*")
_PARTS = re.compile(r"\s*[&,;+]\s*|\s+(?:and|und|et|y|or)\s+", re.IGNORECASE)
_IRREGULAR = {
    "knives": "knife", "wives": "wife", "lives": "life", "children": "child", "people": "person",
    "feet": "foot", "teeth": "tooth", "mice": "mouse", "geese": "goose",
}  # fmt: skip


@dataclass(frozen=True)
class Category:
    """One category; ``id`` is stable for the life of a model and written into its identifier."""

    name: str
    id: int
    aliases: tuple[str, ...] = ()
    share: float | None = None
    """Share of the image that its products usually take; None where nothing is known."""

    @property
    def identifier(self) -> str:
        """``sks {id}``."""
        return build_identifier(self.id)

    @property
    def prompts(self) -> Prompts:
        """The category's product, background and full prompt."""
        return build_prompts(self.name, self.identifier)


@dataclass(frozen=True)
class CategoryMatch:
    """A category and how it was found."""

    category: Category
    source: str
    """``name``, ``alias``, ``map`` (one of the run's), ``plural``, ``default``, ``general``; before it, with
    a comma, ``path`` (last level of a path), ``parent`` (a higher one), ``part`` (of ``A & B``)."""
    matched: str
    """The part of the given name that decided; empty for the default."""


@dataclass
class CategoryRegistry:
    """All categories of a model. Adding one never changes another's id."""

    categories: list[Category] = field(default_factory=list)
    general: str | None = None
    """The category of products that have none of their own; None: an unknown name is an error."""

    def __post_init__(self) -> None:
        self._by_name: dict[str, Category] = {}
        self._by_singular: dict[str, list[Category]] = {}
        ids: set[int] = set()
        for category in self.categories:
            if category.id in ids:
                raise ModelFormatError(f"category id {category.id} is used twice ({category.name!r})")
            ids.add(category.id)
            self._index(category)

    @property
    def names(self) -> list[str]:
        """Category names in the order of their ids."""
        return [c.name for c in sorted(self.categories, key=lambda c: c.id)]

    def resolve(self, name: str) -> Category:
        """The category that ``name`` stands for, the general one where nothing does.

        Raises UnknownCategoryError naming the nearest names.
        """
        found = self.match(name) if isinstance(name, str) else None
        if found is not None:
            return found.category
        if self.general is not None and isinstance(name, str):
            return self._by_name[normalise_name(self.general)]
        if not isinstance(name, str) or not name.strip():
            raise UnknownCategoryError(
                f"category is {name!r}; give the name of a category. Known: {', '.join(self.names) or 'none'}"
            )
        near = difflib.get_close_matches(normalise_name(name), list(self._by_name), n=3, cutoff=0.5)
        hint = f"nearest: {', '.join(near)}" if near else f"known: {', '.join(self.names)}"
        raise UnknownCategoryError(
            f"unknown category {name!r}; {hint}. Name one with --category, map it with --alias, "
            f"or add it with `cyclorama models add-category`"
        )

    def without_general(self) -> CategoryRegistry:
        """These categories with no general one, so that an unknown name is an error."""
        return self if self.general is None else CategoryRegistry(self.categories)

    def match(self, given: str, mapping: Mapping[str, str] | None = None) -> CategoryMatch | None:
        """The category that ``given`` stands for, or None.

        ``mapping`` (normalised name to category) goes before the model's own names. A part that could stand
        for two categories stands for none.
        """
        mapping = mapping or {}
        levels = [level for level in reversed(_LEVELS.split(given)) if level.strip()]
        whole = self._look_up(given, mapping)
        if whole is not None:
            return whole
        for number, level in enumerate(levels):
            where = "" if len(levels) == 1 else "path, " if number == 0 else "parent, "
            found = self._look_up(level, mapping)
            if found is not None:
                return replace(found, source=where + found.source)
            parts = [self._look_up(part, mapping) for part in _PARTS.split(level) if part.strip()]
            known = [part for part in parts if part is not None]
            if known and len({part.category.id for part in known}) == 1:
                return replace(known[0], source=f"{where}part, {known[0].source}")
        return None

    def _look_up(self, word: str, mapping: Mapping[str, str]) -> CategoryMatch | None:
        key = normalise_name(word)
        if key in mapping:
            return CategoryMatch(self.resolve(mapping[key]), "map", word)
        category = self._by_name.get(key)
        if category is not None:
            return CategoryMatch(category, "name" if key == normalise_name(category.name) else "alias", word)
        found = {c.id: c for single in _list_singulars(key) for c in self._by_singular.get(single, ())}
        if len(found) == 1:
            return CategoryMatch(next(iter(found.values())), "plural", word)
        return None

    def add(self, name: str, aliases: Iterable[str] = ()) -> Category:
        """Add a category with the next free id and return it.

        Raises ModelFormatError if the name or an alias is taken.
        """
        next_id = max((c.id for c in self.categories), default=-1) + 1
        category = Category(name, next_id, tuple(aliases))
        self._index(category)
        self.categories.append(category)
        return category

    def _index(self, category: Category) -> None:
        keys = list(dict.fromkeys(normalise_name(n) for n in (category.name, *category.aliases)))
        for key in keys:
            if not key:
                raise ModelFormatError(f"category {category.name!r} has an empty name or alias")
            if key in self._by_name:
                raise ModelFormatError(
                    f"{key!r} of category {category.name!r} is taken by {self._by_name[key].name!r}"
                )
        self._by_name.update(dict.fromkeys(keys, category))
        for key in keys:
            for single in _list_singulars(key):
                self._by_singular.setdefault(single, []).append(category)


def normalise_name(name: str) -> str:
    """``name`` as categories are compared: lower case, one space for spaces, ``-`` and ``_``."""
    return " ".join(name.replace("_", " ").replace("-", " ").casefold().split())


def _list_singulars(key: str) -> set[str]:
    """What the last word of ``key`` may be the plural of, itself included."""
    start, space, word = key.rpartition(" ")
    words = {word, _IRREGULAR.get(word, word)}
    if word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 3:
        words.add(word[:-1])
        if word.endswith(("ses", "xes", "zes", "ches", "shes", "oes")):
            words.add(word[:-2])
        if word.endswith("ies"):
            words.add(word[:-3] + "y")
        if word.endswith("ves"):
            words |= {word[:-3] + "f", word[:-3] + "fe"}
    if word.endswith("men"):
        words.add(word[:-3] + "man")
    return {start + space + single for single in words}


def load_registry(folder: str | Path) -> CategoryRegistry:
    """The registry in ``folder``; empty if the folder has none (a plain Stable Diffusion base).

    Raises ModelFormatError for a broken file.
    """
    path = Path(folder) / FILE_NAME
    if not path.exists():
        return CategoryRegistry()
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["categories"]
        return CategoryRegistry([Category(r["name"], int(r["id"]), tuple(r["aliases"])) for r in rows])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelFormatError(f"{path} is not a category registry: {error}") from error


def save_registry(registry: CategoryRegistry, folder: str | Path) -> None:
    """Write ``categories.json`` into ``folder``."""
    rows = [{"name": c.name, "id": c.id, "aliases": list(c.aliases)} for c in registry.categories]
    text = json.dumps({"version": 1, "categories": rows}, indent=2, ensure_ascii=False)
    (Path(folder) / FILE_NAME).write_text(text + "\n", encoding="utf-8")


@dataclass(frozen=True)
class CategoryRules:
    """How given names become categories.

    ``mapping`` sends a given name (case, ``-`` and ``_`` do not matter) to a category or alias; the
    name ``*`` stands for every name that is neither mapped nor known. ``default`` serves inputs without
    a name, and those whose name stays unknown; without it, the model's general category does, if it has one
    and ``strict`` does not forbid it.
    """

    mapping: Mapping[str, str] = field(default_factory=dict)
    default: str | None = None
    strict: bool = False

    def check(self, registry: CategoryRegistry) -> None:
        """Raise UnknownCategoryError if the default or a mapping's target is unknown."""
        known = registry.without_general()
        for name in (*self.mapping.values(), self.default):
            if name is not None:
                known.resolve(name)

    def choose(
        self, given: str | None, registry: CategoryRegistry, folders: Sequence[str] = ()
    ) -> CategoryMatch:
        """The category for the ``given`` name; without one, and without a default, for the nearest of the
        ``folders`` that the model knows.

        Raises UnknownCategoryError (naming the nearest), SettingsError (no name and no default).
        """
        normal = {normalise_name(name): target for name, target in self.mapping.items()}
        fallback = normal.pop(CATCH_ALL, self.default)
        general = None if self.strict else registry.general
        if given is None and self.default is None:
            for folder in folders:
                found = registry.match(folder, normal)
                if found is not None:
                    return replace(found, source=f"folder, {found.source}")
            if general is not None:
                return CategoryMatch(registry.resolve(general), "general", "")
            raise SettingsError(
                f"no category is given; name one with --category. This model knows: "
                f"{', '.join(registry.names) or 'none'}"
            )
        found = None if given is None else registry.match(given, normal)
        if found is not None:
            return found
        if given is None or fallback is not None:
            return CategoryMatch(registry.resolve(fallback or self.default or ""), "default", "")
        if general is not None:
            return CategoryMatch(registry.resolve(general), "general", "")
        return CategoryMatch(registry.without_general().resolve(given), "name", given)  # says what is near


def load_category_rules(
    map_file: str | Path | None = None,
    aliases: Iterable[str] = (),
    default: str | None = None,
    strict: bool = False,
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
    return CategoryRules(mapping, default, strict)
