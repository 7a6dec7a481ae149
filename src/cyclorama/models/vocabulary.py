"""What shops call the known categories: their words in ten languages, and nouns by their parents in WordNet.

``weights/words/categories.yaml`` is written by hand; ``nouns.txt.gz`` beside it is compiled from WordNet 3.0.
"""

from __future__ import annotations

import gzip
import unicodedata
from collections import deque
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from cyclorama.models.registry import list_singulars, normalise_name

FOLDER = Path(__file__).parents[1] / "weights" / "words"
LANGUAGES = ("en", "de", "es", "fr", "it", "pt", "nl", "pl", "ja", "zh")


class Word(NamedTuple):
    """What a word stands for."""

    category: str
    source: str
    """``name``, ``alias``, ``plural``, a language's code, or ``noun``."""


@cache
def load_categories() -> Mapping[str, Mapping[str, Any]]:
    """Category to its words by language, its nouns and its nearest categories."""
    text = (FOLDER / "categories.yaml").read_text(encoding="utf-8")
    return dict(yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)))  # plain values


def get_words(category: str, language: str = "en") -> tuple[str, ...]:
    """Other words for ``category`` in ``language``; none for one that is not known."""
    return tuple(load_categories().get(category, {}).get(language, ()))


def list_nearest(category: str) -> Iterator[str]:
    """``category``, then those whose set comes nearest to its own, and theirs."""
    waiting, seen = deque([category]), {category}
    while waiting:
        yield (one := waiting.popleft())
        near = [name for name in load_categories().get(one, {}).get("near", ()) if name not in seen]
        seen.update(near)
        waiting.extend(near)


def look_up_word(text: str) -> Word | None:
    """What ``text`` stands for as a category's name or word in any language, or a plural of one."""
    key = normalise_name(text)
    words, plurals = _index()
    found = words.get(key) or words.get(_strip_accents(key))
    if found is not None:
        return found
    meant = {word.category for single in list_singulars(key) for word in plurals.get(single, ())}
    return Word(meant.pop(), "plural") if len(meant) == 1 else None


def look_up_noun(text: str) -> Word | None:
    """What the English noun ``text``, or its singular, is a kind of."""
    key, nouns = normalise_name(text), _load_nouns()
    forms = [key, *sorted(list_singulars(key) - {key}, key=len)] if len(key) > 1 else []  # no vitamin of N/A
    return next((Word(nouns[form], "noun") for form in forms if form in nouns), None)


def look_up_ending(text: str) -> Word | None:
    """What the longest word of a language that writes compounds in one stands for, of those that end ``text``
    (``Damenhandtasche``)."""
    key = normalise_name(text)
    ends = [word for word in _list_compounding() if key.endswith(word)]
    return _index()[0][max(ends, key=len)] if ends else None


def _strip_accents(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))


@cache
def _index() -> tuple[dict[str, Word], dict[str, list[Word]]]:
    """Every written form to what it stands for, and every singular likewise."""
    words = {normalise_name(name): Word(name, "name") for name in load_categories()}
    for language in LANGUAGES:
        for name in load_categories():
            for text in get_words(name, language):
                found = Word(name, "alias" if language == "en" else language)
                words.setdefault(normalise_name(text), found)
    plurals: dict[str, list[Word]] = {}
    for key, word in words.items():
        for single in list_singulars(key):
            plurals.setdefault(single, []).append(word)
    for key, word in list(words.items()):
        words.setdefault(_strip_accents(key), word)
    return words, plurals


@cache
def _list_compounding() -> tuple[str, ...]:
    least = {"de": 4, "nl": 5, "ja": 2, "zh": 2}
    return tuple(k for k, word in _index()[0].items() if len(k) >= least.get(word.source, len(k) + 1))


@cache
def _load_nouns() -> dict[str, str]:
    lines = gzip.decompress((FOLDER / "nouns.txt.gz").read_bytes()).decode().splitlines()
    rows = (line.split("\t") for line in lines)
    return {noun: category for category, nouns in rows for noun in nouns.split(",")}
