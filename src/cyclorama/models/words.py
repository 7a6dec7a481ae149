"""Which category does a caller's word mean?  One way for all models, commands and tables.

A word is looked up as the model's own name or alias, then as a known category's word in ten languages, or
a plural. Of a path such as ``Beauty > Perfume & Cologne`` the last level goes first: as a whole, its parts,
then as a noun by its parents in WordNet or by its last words; then each level above. A known category that
the model lacks stands for the nearest one that it has.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from cyclorama.config import load_mapping, read_pairs
from cyclorama.errors import SettingsError, UnknownCategoryError
from cyclorama.models.registry import Category, CategoryRegistry, normalise_name
from cyclorama.models.vocabulary import (
    Word,
    list_nearest,
    look_up_ending,
    look_up_noun,
    look_up_word,
)
from cyclorama.prompts import GENERAL

CATCH_ALL = "*"
AUTO = "auto"
"""Name of the category that is told from the image."""
SURE = {"part": 0.95, "noun": 0.9, "ending": 0.9, "head": 0.7, "parent": 0.7, "near": 0.3, "general": 0.0}
"""How sure each step on the way to a category leaves it; the others leave it as sure as a name. Nouns and
heads: the shares of those in ``tests/cases/words`` that were right, rounded down; others are set by hand."""
_LEVELS = re.compile(r"\s*[>/|›»\\]+\s*|\s*::\s*")
_PARTS = re.compile(r"\s*[&,;+、，]\s*|\s+(?:and|und|et|y|e|or|en|i)\s+", re.IGNORECASE)
_AFTER = re.compile(r"\s+(?:for|with|without|in|from|by|to|on)\s+.*", re.IGNORECASE)
_MEASURED = re.compile(
    r"^.*\b(?:bottle|box|bag|pack|set|pair|jar|can|case|tin|tube|cup|piece|kind)s? of ", re.IGNORECASE
)
_HEAD_FIRST = ("es", "fr", "it", "pt", "pl")
"""Languages in which what a product is like follows its name."""


@dataclass(frozen=True)
class CategoryMatch:
    """A category and how it was found."""

    category: Category
    source: str
    """How: ``name``, ``alias``, ``plural``, ``map`` (one of the run's), a language's code, ``noun``,
    ``ending`` (of a compound), ``default``, ``image``, ``general``; before it, with commas, ``folder``,
    ``path`` (last level of a path), ``parent`` (a higher one), ``part`` (of ``A & B``), ``head`` (of several
    words); after it ``near``, where the model has only a category near the one found."""
    matched: str
    """The part of the given name that decided; empty for the default."""
    told: float = 1.0
    """How sure the image's own classes are."""

    @property
    def sure(self) -> float:
        """How sure the category is, in [0, 1]; 1 for its own names, in any language."""
        return compute_sure(self.source, self.told)


def compute_sure(source: str, told: float = 1.0) -> float:
    """How sure a category is that was found by ``source``, in [0, 1]."""
    for step in source.split(", "):
        told *= SURE.get(step, 1.0)
    return round(told, 2)


def match_word(
    given: str, registry: CategoryRegistry, mapping: Mapping[str, str] | None = None
) -> CategoryMatch | None:
    """The category of ``registry`` that ``given`` stands for, or None.

    ``mapping`` (normalised name to category) goes before all names. A level whose parts are of two categories
    stands for none.
    """
    mapping = mapping or {}
    whole = _look_up(given, registry, mapping)
    if whole is not None:
        return whole
    levels = [level for level in reversed(_LEVELS.split(given)) if level.strip()]
    for number, level in enumerate(levels):
        where = "" if len(levels) == 1 else "path, " if number == 0 else "parent, "
        found = _match_level(level, registry, mapping)
        if found is not None and found.category.name != registry.general:  # "Food > Other" is food
            return replace(found, source=where + found.source)
    return None


def match_known(name: str, registry: CategoryRegistry, source: str, matched: str) -> CategoryMatch | None:
    """The category of ``registry`` that is, or comes nearest to, the known one called ``name``."""
    for other in list_nearest(name):
        found = registry.look_up(other)
        if found is not None and found[1] == "name":
            return CategoryMatch(found[0], source if other == name else f"{source}, near", matched)
    return None


def _match_level(level: str, registry: CategoryRegistry, mapping: Mapping[str, str]) -> CategoryMatch | None:
    parts = [part for part in _PARTS.split(level) if part.strip()]
    found = _look_up(level, registry, mapping)
    if found is not None:
        return found
    if len(parts) > 1:
        known = [m for part in parts if (m := _match_words(part, registry, mapping)) is not None]
        if len({match.category.id for match in known}) == 1:
            return replace(known[0], source=f"part, {known[0].source}")
        return None
    return _match_words(level, registry, mapping)


def _match_words(text: str, registry: CategoryRegistry, mapping: Mapping[str, str]) -> CategoryMatch | None:
    """What one name of several words stands for: as a whole, then by its head."""
    text = text.replace("_", " ")
    for head in _list_heads(text):
        found, noun = _look_up(head, registry, mapping), look_up_noun(head)
        if found is None and noun is not None:
            if noun.category == GENERAL:
                return None
            found = _translate(noun, registry, head)
        if found is not None and head != text and found.source in _HEAD_FIRST:
            continue  # there the last word is what it is for or made of
        if found is not None:
            return found if head == text else replace(found, source=f"head, {found.source}")
    words = text.split()
    for count in range(len(words) - 1, 0, -1):
        start = " ".join(words[:count])
        word = look_up_word(start)
        if word is not None and word.source in _HEAD_FIRST:
            return _translate(word, registry, start, "head, ")
    return _translate(look_up_ending(text), registry, text, "ending, ")


def _list_heads(text: str) -> Iterator[str]:
    """``text``, then what is left of it without what follows its name, what measures it, and its first
    words."""
    yield text
    rest = _MEASURED.sub("", _AFTER.sub("", text)).split()
    if rest != text.split():
        yield " ".join(rest)
    for start in range(1, len(rest)):
        yield " ".join(rest[start:])


def _look_up(word: str, registry: CategoryRegistry, mapping: Mapping[str, str]) -> CategoryMatch | None:
    target = mapping.get(normalise_name(word))
    if target is not None:
        found = registry.look_up(target)
        return (
            match_known(target, registry, "map", word)
            if found is None
            else CategoryMatch(found[0], "map", word)
        )
    own = registry.look_up(word)
    if own is not None:
        return CategoryMatch(*own, word)
    return _translate(look_up_word(word), registry, word)


def _translate(
    word: Word | None, registry: CategoryRegistry, matched: str, where: str = ""
) -> CategoryMatch | None:
    if word is None:
        return None
    return match_known(word.category, registry, where + word.source, matched)


@dataclass(frozen=True)
class CategoryRules:
    """How given names become categories.

    ``mapping`` sends a given name (case, ``-`` and ``_`` do not matter) to a category or alias; the
    name ``*`` stands for every name that is neither mapped nor known. ``default`` serves inputs without
    a name, and those whose name stays unknown; without it, the model's general category does, if it has one.
    ``strict`` takes only names that are sure.
    """

    mapping: Mapping[str, str] = field(default_factory=dict)
    default: str | None = None
    strict: bool = False

    def check(self, registry: CategoryRegistry) -> None:
        """Raise UnknownCategoryError if the default or a mapping's target is unknown."""
        for name in (*self.mapping.values(), self.default):
            if name is not None and match_word(name, registry) is None:
                registry.resolve(name)

    @cached_property
    def _targets(self) -> tuple[dict[str, str], str | None]:
        """Normalised name to what it is mapped to, and what all other names are."""
        normal = {normalise_name(name): target for name, target in self.mapping.items()}
        fallback = normal.pop(CATCH_ALL, self.default)
        return normal, fallback

    def choose(
        self, given: str | None, registry: CategoryRegistry, folders: Sequence[str] = ()
    ) -> CategoryMatch | None:
        """The category for the ``given`` name; without one, and without a default, for the nearest of the
        ``folders`` that is one's name; None where the image has to tell.

        Raises UnknownCategoryError (naming the nearest; ``strict``), SettingsError (``strict``, no name).
        """
        normal, fallback = self._targets
        if given is not None and normalise_name(given) in ("", AUTO):
            given = None
        if given is None and self.default is None:
            for folder in folders:
                found = match_word(folder, registry, normal)
                named = found is not None and found.sure >= SURE["part"]  # not by a chance noun
                if found is not None and named and found.category.name != registry.general:
                    return replace(found, source=f"folder, {found.source}")
            if self.strict:
                raise SettingsError(
                    f"no category is given; name one with --category. This model knows: "
                    f"{', '.join(registry.names) or 'none'}"
                )
            return None
        found = None if given is None else match_word(given, registry, normal)
        if found is not None and (found.sure == 1 or not self.strict):
            return found
        if fallback is not None:
            found = match_word(fallback, registry)
            if found is not None:
                return replace(found, source="default, near" if "near" in found.source else "default")
        if found is None and registry.general is not None and not self.strict:
            return CategoryMatch(registry.resolve(registry.general), "general", "")
        if found is not None:
            raise UnknownCategoryError(
                f"category {given!r} is no name of {found.category.name!r}, only {found.source}; map it with "
                f"--alias, or leave out --strict-category"
            )
        registry.resolve(given or fallback or "")  # says what is near
        raise AssertionError


def load_category_rules(
    map_file: str | Path | None = None,
    aliases: Iterable[str] = (),
    default: str | None = None,
    strict: bool = False,
) -> CategoryRules:
    """Rules from a JSON or YAML file of ``given: category`` pairs, then ``given=category`` texts.

    A ``default`` of ``auto`` is none. Raises ConfigError (unreadable file), SettingsError (not a mapping of
    names, a text without ``=``).
    """
    mapping: dict[str, str] = {}
    if map_file is not None:
        values = load_mapping(map_file)
        if not isinstance(values, dict) or {str} != {*map(type, values), *map(type, values.values()), str}:
            raise SettingsError(f"category map {map_file} must hold pairs 'given name: category', both text")
        mapping.update(values)
    mapping.update(read_pairs(tuple(aliases), "given=category, such as 'lipstick=perfume'", "alias "))
    return CategoryRules(
        mapping, None if default is not None and normalise_name(default) == AUTO else default, strict
    )
