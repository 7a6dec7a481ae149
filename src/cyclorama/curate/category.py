"""Which category does a row belong to, and which identifier does that category keep for good?

Names are brought to one spelling (Unicode form, case, spaces, a safe English plural), then through the
aliases; a path such as ``Beauty > Perfume`` gives its last level and remembers the one above. Names of
different languages stay different categories unless an alias joins them.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import PositiveInt

from cyclorama.config import Settings, load_names
from cyclorama.curate.records import Finding, Record, Summary, Verdict
from cyclorama.errors import ConfigError
from cyclorama.models.registry import Category, CategoryRegistry
from cyclorama.prompts import GENERAL

Small = Literal["keep", "parent", "review", "drop"]
_LEVELS = re.compile(r"\s*[>|›»/]\s*")
_DIFFERENT_IN_PLURAL = {"glasses", "spirits", "arms", "customs", "goods", "irons", "papers", "greens"}
"""English words whose plural means another thing than their singular."""


class CategorySettings(Settings):
    """How names become categories."""

    aliases: Path | None = None
    """YAML or JSON file: category to a list of other names of it, in any language."""
    parents: Path | None = None
    """YAML or JSON file: category to the name of the category above it."""
    paths: bool = True
    """Whether a name with ``>``, ``/`` or ``|`` is a path from the most general level to the category."""
    plurals: bool = True
    """Whether an English plural is the same category as its singular."""
    missing: Literal["general", "review", "drop"] = "general"
    """For rows that name no category; ``general`` puts them into that of the general studio."""
    small: Small = "keep"
    """For categories with fewer than ``minimum_images``; ``parent`` moves their rows to the one above."""
    minimum_images: PositiveInt = 1
    """Rows from which a category stands on its own."""
    longest: PositiveInt = 80
    """Longest name, in characters; a longer one is a title rather than a category and goes to review."""


@dataclass(frozen=True)
class Placed:
    """A row's category: its key, the name as written, the key of the level above."""

    key: str
    name: str
    parent: str | None = None


def normalise_name(name: str) -> str:
    """``name`` in Unicode's NFKC form, without control characters and outer punctuation, single spaces.

    Case and inner hyphens stay. Invariant: normalising twice changes nothing more.
    """
    text = unicodedata.normalize("NFKC", name.replace("_", " "))
    kept = "".join(" " if unicodedata.category(c) in ("Zs", "Cc") else c for c in text)
    visible = "".join(c for c in kept if unicodedata.category(c) != "Cf")
    return " ".join(visible.split()).strip(" .,;:!\"'*#")


def fold_name(name: str, plurals: bool = True) -> str:
    """The key under which spellings of one name meet.

    Case, hyphens, spaces and Unicode variants do not matter, nor, with ``plurals``, a regular English plural
    of the last word; words whose plural means another thing keep it.

    >>> fold_name("Coffee  MUGS"), fold_name("wine-glasses"), fold_name("Dress")
    ('coffee mug', 'wine glasses', 'dress')
    """
    words = normalise_name(normalise_name(name).casefold().replace("-", " ")).split()
    if plurals and words:
        words[-1] = _make_singular(words[-1])
    return " ".join(words)


def _make_singular(word: str) -> str:
    if not (word.isascii() and word.isalpha()) or len(word) < 4 or word in _DIFFERENT_IN_PLURAL:
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "shes", "ches", "xes")):
        return word[:-2]
    return word if word.endswith(("ss", "us", "is")) else word.removesuffix("s")


class CategoryRule:
    """Gives every row its category.

    Values: ``category``, ``identifier``, ``category_id``, ``category_given``, ``parent``, ``language``.

    ``registry`` starts with the categories given and grows by those met, in the order of their first row:
    giving it to the next run keeps every identifier, whatever rows come or go.
    """

    name = "category"
    needs_images = False

    def __init__(
        self, settings: CategorySettings | None = None, registry: CategoryRegistry | None = None
    ) -> None:
        """Raises ConfigError (an unreadable file of aliases or parents, a name with two meanings)."""
        self.settings = settings or CategorySettings()
        self.registry = CategoryRegistry([replace(c) for c in registry.categories] if registry else [])
        self._spelling: dict[str, str] = {}
        self._aliases = self._load_aliases(self.settings.aliases)
        self._parents = self._load_parents(self.settings.parents)
        self._by_key: dict[str, Category] = {}
        for category in self.registry.categories:
            for name in (category.name, *category.aliases):
                self._by_key.setdefault(self._fold(name), category)

    def judge_all(self, rows: Sequence[Record | Summary]) -> list[Finding]:
        """One finding per row."""
        records = [row if isinstance(row, Record) else row.record for row in rows]
        general = Placed(*self._resolve(GENERAL)) if self.settings.missing == "general" else None
        placed = [self._place(record.category) or general for record in records]
        counts = Counter(place.key for place in placed if place is not None)
        if self.settings.small == "parent":
            placed = [self._lift(place, counts) for place in placed]
        for place in placed:  # a new category stands under the spelling its first row has
            if place is not None and place.key not in self._by_key:
                self._by_key[place.key] = self.registry.add(place.name)
        return [self._judge(record, place, counts) for record, place in zip(records, placed, strict=True)]

    def _place(self, given: str | None) -> Placed | None:
        """The category that ``given`` names; None if it names none."""
        if given is None:
            return None
        levels = [*filter(None, map(normalise_name, _LEVELS.split(given) if self.settings.paths else ()))]
        whole = normalise_name(given)
        if self._fold(whole) in self._aliases or len(levels) < 2:
            levels = [whole]
        if not levels[-1]:
            return None
        key, name = self._resolve(levels[-1])
        above = self._resolve(levels[-2])[0] if len(levels) > 1 else None
        return Placed(key, name, self._parents.get(key, above))

    def _resolve(self, name: str) -> tuple[str, str]:
        """(key, name to show) of a normalised name, through the aliases."""
        shown = self._aliases.get(self._fold(name), name)
        key = self._fold(shown)
        self._spelling.setdefault(key, shown)
        return key, shown

    def _lift(self, place: Placed | None, counts: Mapping[str, int]) -> Placed | None:
        """The place itself if its category is large enough, else that of the category above."""
        if place is None or counts[place.key] >= self.settings.minimum_images or place.parent is None:
            return place
        return Placed(place.parent, self._spelling[place.parent], self._parents.get(place.parent))

    def _judge(self, record: Record, place: Placed | None, counts: Mapping[str, int]) -> Finding:
        if place is None:
            reason = "names no category; fill the column, or name the image's folder after it"
            return Finding(self.name, Verdict(self.settings.missing), reason)
        category = self._by_key[place.key]
        values = {
            "category": category.name,
            "identifier": category.identifier,
            "category_id": str(category.id),
            "category_given": record.category or "",
        }
        if place.parent is not None:
            values["parent"] = self._spelling[place.parent]
        if record.language:
            values["language"] = record.language
        size = counts[place.key]
        numbers = {"images": float(size)}
        if len(category.name) > self.settings.longest:
            reason = f"category name has {len(category.name)} characters, at most {self.settings.longest}"
            reason += "; it looks like a title: map it in the aliases"
            return Finding(self.name, Verdict.REVIEW, reason, numbers, values=values)
        if self.settings.small in ("review", "drop") and size < self.settings.minimum_images:
            reason = f"category {category.name!r} has {size} images, at least {self.settings.minimum_images}"
            return Finding(self.name, Verdict(self.settings.small), reason, numbers, values=values)
        return Finding(self.name, Verdict.KEEP, numbers=numbers, values=values)

    def _fold(self, name: str) -> str:
        return fold_name(name, self.settings.plurals)

    def _load_aliases(self, path: Path | None) -> dict[str, str]:
        """Key of every name in the file to the category it stands for."""
        aliases: dict[str, str] = {}
        for category, names in load_names(path, "aliases").items():
            for name in (category, *names):
                target = normalise_name(category)
                taken = aliases.setdefault(self._fold(name), target)
                if taken != target:
                    raise ConfigError(f"{path}: {name!r} is an alias of both {taken!r} and {target!r}")
        return aliases

    def _load_parents(self, path: Path | None) -> dict[str, str]:
        """Key of every category in the file to the key of the one above; no category lies above itself."""
        parents = {
            self._resolve(normalise_name(category))[0]: self._resolve(normalise_name(above[0]))[0]
            for category, above in load_names(path, "parents").items()
            if above
        }
        for start in parents:
            seen, at = {start}, start
            while at in parents:
                at = parents[at]
                if at in seen:
                    raise ConfigError(f"{path}: category {start!r} lies above itself; mend the circle")
                seen.add(at)
        return parents
