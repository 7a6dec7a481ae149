"""The categories a model knows: name, id, aliases; names looked up without case and plural fuss."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from cyclorama.errors import ModelFormatError, UnknownCategoryError
from cyclorama.prompts import Prompts, build_identifier, build_prompts

FILE_NAME = "categories.json"


@dataclass(frozen=True)
class Category:
    """One category; ``id`` is stable for the life of a model and written into its identifier."""

    name: str
    id: int
    aliases: tuple[str, ...] = ()

    @property
    def identifier(self) -> str:
        """``sks {id}``."""
        return build_identifier(self.id)

    @property
    def prompts(self) -> Prompts:
        """The category's product, background and full prompt."""
        return build_prompts(self.name, self.identifier)


@dataclass
class CategoryRegistry:
    """All categories of a model. Adding one never changes another's id."""

    categories: list[Category] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._by_name: dict[str, Category] = {}
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
        """The category of that name or alias (case, spaces, ``-`` and ``_`` do not matter).

        Raises UnknownCategoryError naming the nearest names.
        """
        found = self._by_name.get(_normalise(name))
        if found is not None:
            return found
        near = difflib.get_close_matches(_normalise(name), list(self._by_name), n=3, cutoff=0.5)
        hint = f"nearest: {', '.join(near)}" if near else f"known: {', '.join(self.names)}"
        raise UnknownCategoryError(
            f"unknown category {name!r}; {hint}. Name one with --category, map it with --alias, "
            f"or add it with `cyclorama models add-category`"
        )

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
        keys = list(dict.fromkeys(_normalise(n) for n in (category.name, *category.aliases)))
        for key in keys:
            if not key:
                raise ModelFormatError(f"category {category.name!r} has an empty name or alias")
            if key in self._by_name:
                raise ModelFormatError(
                    f"{key!r} of category {category.name!r} is taken by {self._by_name[key].name!r}"
                )
        self._by_name.update(dict.fromkeys(keys, category))


def _normalise(name: str) -> str:
    return " ".join(name.replace("_", " ").replace("-", " ").lower().split())


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
