"""The categories a model knows by name; what other words stand for says :mod:`cyclorama.models.words`."""

from __future__ import annotations

import difflib
import json
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from cyclorama.errors import ModelFormatError, UnknownCategoryError
from cyclorama.prompts import Prompts, build_identifier, build_prompts

FILE_NAME = "categories.json"
Found: TypeAlias = Literal["name", "alias", "plural"]
"""What a word was to the category it stands for."""
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


@dataclass
class CategoryRegistry:
    """All categories of a model. Adding one never changes another's id."""

    categories: list[Category] = field(default_factory=list)
    general: str | None = None
    """Name of the category of products that have none of their own; None: there is none."""

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
        """The category called ``name``, by its own name or alias, their plural or singular.

        Raises UnknownCategoryError naming the nearest names.
        """
        found = self.look_up(name) if isinstance(name, str) else None
        if found is not None:
            return found[0]
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

    def look_up(self, word: str) -> tuple[Category, Found] | None:
        """The category whose name or alias ``word`` is, and as what; None where it is none's, or two's."""
        key = normalise_name(word)
        category = self._by_name.get(key)
        if category is not None:
            return category, "name" if key == normalise_name(category.name) else "alias"
        found = {c.id: c for single in list_singulars(key) for c in self._by_singular.get(single, ())}
        return (next(iter(found.values())), "plural") if len(found) == 1 else None

    def add(self, name: str, aliases: Iterable[str] = ()) -> Category:
        """Add a category with the next free id and return it.

        Raises ModelFormatError if the name or an alias is taken, or the aliases are one text.
        """
        if isinstance(aliases, str):
            raise ModelFormatError(f"aliases of category {name!r} are the text {aliases!r}; give a list")
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
            for single in list_singulars(key):
                self._by_singular.setdefault(single, []).append(category)


def normalise_name(name: str) -> str:
    """``name`` as categories are compared: NFKC, lower case, one space for spaces, ``-`` and ``_``."""
    text = unicodedata.normalize("NFKC", name).replace("_", " ").replace("-", " ")
    return " ".join(text.casefold().split())


def list_singulars(key: str) -> set[str]:
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
        for row in rows:
            if isinstance(row["aliases"], str):
                raise TypeError(f"aliases of {row['name']!r} are the text {row['aliases']!r}, not a list")
        return CategoryRegistry([Category(r["name"], int(r["id"]), tuple(r["aliases"])) for r in rows])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelFormatError(f"{path} is not a category registry: {error}") from error


def save_registry(registry: CategoryRegistry, folder: str | Path) -> None:
    """Write ``categories.json`` into ``folder``."""
    rows = [{"name": c.name, "id": c.id, "aliases": list(c.aliases)} for c in registry.categories]
    text = json.dumps({"version": 1, "categories": rows}, indent=2, ensure_ascii=False)
    (Path(folder) / FILE_NAME).write_text(text + "\n", encoding="utf-8")
