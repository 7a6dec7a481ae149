"""What a caller's words stand for: names, aliases, languages, paths, nouns; held-back nouns counted."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from cyclorama.errors import UnknownCategoryError
from cyclorama.generation.scenes import build_registry
from cyclorama.models import words
from cyclorama.models.registry import Category, CategoryRegistry, normalise_name
from cyclorama.models.vocabulary import LANGUAGES, get_words, list_nearest, load_categories
from cyclorama.models.words import CategoryRules, match_word
from cyclorama.scenes.grammar.reader import list_scenes

CASES = Path(__file__).parents[1] / "cases" / "words"
DOCUMENT = Path(__file__).parents[2] / "docs" / "categories.md"


def read_cases(name: str) -> list[dict[str, str]]:
    with (CASES / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("half", ["built with", "held back"])
def test_nouns_of_all_departments_find_their_category(half: str) -> None:
    """396 nouns over Google's taxonomy; a label may name several categories. Those held back were looked at
    once, half-way through the making of the tables."""
    rules, registry = CategoryRules(), build_registry()
    rows = [row for row in read_cases("nouns.csv") if row["half"] == half]
    found = [rules.choose(row["noun"], registry).category.name for row in rows]
    right = sum(name in row["category"].split("|") for name, row in zip(found, rows, strict=True))
    wrong = [
        (row["noun"], name)
        for name, row in zip(found, rows, strict=True)
        if name not in {*row["category"].split("|"), "studio"}
    ]
    assert len(rows) >= 190 and right >= 0.9 * len(rows)
    assert len(wrong) <= 0.03 * len(rows), wrong
    told = f"| {len(rows)} | {right / len(rows):.0%} | {len(wrong) / len(rows):.1%} |".replace("%", " %")
    assert told in DOCUMENT.read_text(encoding="utf-8")


def test_names_in_ten_languages_find_their_category() -> None:
    rules, registry = CategoryRules(), build_registry()
    rows = read_cases("names.csv")
    assert (len(rows), {row["language"] for row in rows}) == (60, set(LANGUAGES))
    found = {row["given"]: rules.choose(row["given"], registry).category.name for row in rows}
    missed = {row["given"]: found[row["given"]] for row in rows if found[row["given"]] != row["category"]}
    assert missed == {"leren damestas": "studio"}


def test_paths_of_a_taxonomy_find_their_category() -> None:
    rules, registry = CategoryRules(), build_registry()
    rows = read_cases("paths.csv")
    found = [rules.choose(row["given"], registry).category.name for row in rows]
    assert len(rows) == 40 and found == [row["category"] for row in rows]


def test_the_vocabulary_knows_the_built_in_categories_and_gives_no_word_two_meanings() -> None:
    assert set(load_categories()) == set(list_scenes())
    meant: dict[str, set[str]] = {}
    for name in load_categories():
        for language in LANGUAGES:
            assert get_words(name, language), (name, language)
            for word in get_words(name, language):
                meant.setdefault(word.casefold(), set()).add(name)
    assert {word: names for word, names in meant.items() if len(names) > 1} == {}
    assert next(iter(list_nearest("wine"))) == "wine"


def test_a_model_without_a_category_takes_the_nearest_it_has_and_says_so() -> None:
    registry = CategoryRegistry([Category("whisky", 0), Category("cabinet", 1)])
    found = match_word("chardonnay", registry)
    assert found is not None
    assert (found.category.name, found.source, found.sure) == ("whisky", "noun, near", 0.27)
    assert match_word("screwdriver", registry) is None


@pytest.mark.parametrize(
    ("given", "source", "sure"),
    [
        ("perfume", "name", 1.0), ("Parfüm", "de", 1.0), ("Beauty > Perfumes", "path, plural", 1.0),
        ("moccasin", "noun", 0.9), ("suede moccasin", "head, noun", 0.63),
        ("Shoes > Gizmos", "parent, name", 0.7),
        ("Damenhandtasche", "ending, de", 0.9), ("zapatos de mujer", "head, es", 0.7),
        ("moped", "general", 0.0),
    ],
)  # fmt: skip
def test_how_sure_a_category_is_follows_from_how_it_was_found(given: str, source: str, sure: float) -> None:
    found = CategoryRules().choose(given, build_registry())
    assert (found.source, found.sure) == (source, pytest.approx(sure, abs=0.011))
    if sure < 1:
        with pytest.raises(UnknownCategoryError, match=given):
            CategoryRules(strict=True).choose(given, build_registry())
    else:
        assert CategoryRules(strict=True).choose(given, build_registry()) == found


@pytest.mark.parametrize("given", ["Batteries", "Electronics > Batteries", "N/A", "Sizes > A"])
def test_a_word_that_only_looks_like_a_category_is_none(given: str) -> None:
    """French drums, and WordNet's vitamins of one letter."""
    assert match_word(given, build_registry()) is None


def test_labels_of_classes_are_read_word_by_word() -> None:
    match = match_word("new_rice_cooker", _shop())
    assert match is not None and match.category.name == "rice cooker"


@pytest.mark.parametrize("given", ["guinea pig", "Guinea pigs"])
def test_a_compound_that_wordnet_knows_is_not_cut_to_its_last_word(given: str) -> None:
    assert CategoryRules().choose(given, build_registry()).source == "general"


def _shop() -> CategoryRegistry:
    registry = CategoryRegistry()
    for name, aliases in (
        ("perfume", ["fragrance", "cologne"]),
        ("lipstick", ["cosmetics"]),
        ("knife", []),
        ("box", []),
        ("dish", []),
        ("berry", []),
        ("headphones", []),
        ("rice cooker", []),
        ("glass", []),
        ("glasses case", []),
        ("rock/pop", []),
        ("shelf", []),
        ("toy for woman", []),
        ("potato", []),
        ("chassis", []),
    ):
        registry.add(name, aliases)
    return registry


@pytest.mark.parametrize(
    ("given", "name", "source", "matched"),
    [
        ("Perfume", "perfume", "name", "Perfume"),
        ("fragrance", "perfume", "alias", "fragrance"),
        ("Perfumes", "perfume", "plural", "Perfumes"),
        ("Fragrances", "perfume", "plural", "Fragrances"),
        ("Knives", "knife", "plural", "Knives"),
        ("Boxes", "box", "plural", "Boxes"),
        ("Dishes", "dish", "plural", "Dishes"),
        ("Berries", "berry", "plural", "Berries"),
        ("headphone", "headphones", "plural", "headphone"),
        ("Rice-Cookers", "rice cooker", "plural", "Rice-Cookers"),
        ("Glasses", "glass", "plural", "Glasses"),
        ("Shelves", "shelf", "plural", "Shelves"),
        ("Toy for women", "toy for woman", "plural", "Toy for women"),
        ("Potatoes", "potato", "plural", "Potatoes"),
        ("rock/pop", "rock/pop", "name", "rock/pop"),
        ("Beauty > Perfume", "perfume", "path, name", "Perfume"),
        ("Beauty/Perfumes", "perfume", "path, plural", "Perfumes"),
        ("Beauty | Fragrance | Gizmos", "perfume", "parent, alias", "Fragrance"),
        ("Perfume & Cologne", "perfume", "part, name", "Perfume"),
        ("Scents and Perfumes", "perfume", "part, plural", "Perfumes"),
        ("Home, Knives", "knife", "part, plural", "Knives"),
        (
            "Health & Beauty > Personal Care > Cosmetics > Perfume & Cologne",
            "perfume", "path, part, name", "Perfume",
        ),
        ("Health & Beauty > Cosmetics > Gizmos", "lipstick", "parent, alias", "Cosmetics"),
        ("Kitchen › Rice cookers", "rice cooker", "path, plural", "Rice cookers"),
        ("Kitchen\\Dishes", "dish", "path, plural", "Dishes"),
        ("Kitchen >> Dishes >", "dish", "path, plural", "Dishes"),
    ],
)  # fmt: skip
def test_paths_plurals_and_parts_say_how_they_were_found(
    given: str, name: str, source: str, matched: str
) -> None:
    match = match_word(given, _shop())
    assert match is not None
    assert (match.category.name, match.source, match.matched) == (name, source, matched)


@pytest.mark.parametrize(
    "given",
    [
        "Perfume & Lipstick",
        "Knives and Boxes",
        "sofa",
        "Furniture > Sofas",
        "boss",
        "&",
        " > ",
        "dis",
    ],
)
def test_what_could_be_two_categories_or_none_is_refused(given: str) -> None:
    assert match_word(given, _shop()) is None
    with pytest.raises(UnknownCategoryError):
        CategoryRules().choose(given, _shop())


def test_a_part_that_could_be_two_leaves_the_word_to_its_parents() -> None:
    match = match_word("Kitchen > Dishes > Knives & Boxes", _shop())
    assert match is not None
    assert (match.category.name, match.source) == ("dish", "parent, plural")


def test_a_runs_own_words_go_before_the_models() -> None:
    match = match_word("Beauty > Cosmetics", _shop(), {"cosmetics": "perfume"})
    assert match is not None
    assert (match.category.name, match.source) == ("perfume", "path, map")


def test_a_map_is_made_ready_once_for_all_names(monkeypatch: pytest.MonkeyPatch) -> None:
    registry, seen = CategoryRegistry(), list[str]()
    registry.add("fruit")
    registry.add("perfume")

    def count(name: str) -> str:
        seen.append(name)
        return normalise_name(name)

    monkeypatch.setattr(words, "normalise_name", count)
    names = [f"Shop > Level {number} > Kind {number}" for number in range(50)]
    rules = CategoryRules(dict.fromkeys(names, "fruit") | {"*": "perfume"})
    found = [rules.choose(name, registry) for name in (*names, "Qwrtz")]
    assert [one and (one.category.name, one.source) for one in found] == [
        *[("fruit", "map")] * 50,
        ("perfume", "default"),
    ]
    assert len(seen) < 6 * len(names), "50 * 50 where it is made for each name"
