"""Which of the model's categories stands for what a row calls its product, and how was that found?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from cyclorama.errors import InputError
from cyclorama.generation.categories import CategoryRules
from cyclorama.generation.items import Failure
from cyclorama.models.registry import Category, CategoryRegistry

How = Literal["name", "alias", "map", "parent", "default"]
"""``name``: the category's own; ``alias``: one of the model's; ``map``: one of the run's; ``parent``: a
higher level of a path such as ``Beauty > Perfume > Eau de toilette``; ``default``: the run's for unknown
names."""

_LEVELS = re.compile(r"\s*[>/|›»]\s*")


@dataclass(frozen=True)
class Choice:
    """A category and how it was found."""

    category: Category
    how: How
    matched: str
    """The part of the given name that decided; empty for the default."""


class CategoryChooser:
    """Choices for given names, each settled once however many rows share it."""

    def __init__(self, rules: CategoryRules, registry: CategoryRegistry) -> None:
        """Raises UnknownCategoryError if the default or an alias' target is unknown to the model."""
        rules.check(registry)
        self._rules = rules
        self._registry = registry
        self._settled: dict[str | None, Choice | Failure] = {}

    def choose(self, given: str | None) -> Choice | Failure:
        """The choice for a ``given`` name, or why there is none (naming the nearest known ones).

        In this order: the name itself (mapped, known, alias), the levels of a category path from the most
        special to the most general, the run's default.
        """
        if given not in self._settled:
            self._settled[given] = self._choose(given)
        return self._settled[given]

    def _choose(self, given: str | None) -> Choice | Failure:
        if given is not None:
            if self._rules.knows(given, self._registry):
                return self._describe(given)
            levels = [level for level in reversed(_LEVELS.split(given)) if level]
            for level in levels if len(levels) > 1 else []:
                if self._rules.knows(level, self._registry):
                    found = self._describe(level)
                    return Choice(found.category, "parent", level)
        try:
            return Choice(self._rules.resolve(given, self._registry), "default", "")
        except InputError as error:
            return Failure.of(error)

    def _describe(self, name: str) -> Choice:
        category = self._rules.resolve(name, self._registry)
        if any(_is_same(name, given) for given in self._rules.mapping):
            return Choice(category, "map", name)
        return Choice(category, "name" if _is_same(name, category.name) else "alias", name)


def _is_same(one: str, other: str) -> bool:
    """Whether a registry takes both for one name."""
    return CategoryRules().knows(one, CategoryRegistry([Category(other, 0)]))
