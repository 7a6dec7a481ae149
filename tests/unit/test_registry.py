"""Categories: lookup, aliases, nearest names, adding without touching the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from cyclorama.errors import ModelFormatError, UnknownCategoryError
from cyclorama.models.registry import Category, CategoryRegistry, load_registry, save_registry


def _registry() -> CategoryRegistry:
    return CategoryRegistry([Category("juice carton", 0, ("milk carton",)), Category("whisky", 4)])


@pytest.mark.parametrize("name", ["juice carton", "Juice_Carton", "  milk-carton ", "MILK CARTON"])
def test_names_and_aliases_are_found_however_written(name: str) -> None:
    assert _registry().resolve(name).name == "juice carton"


def test_prompts_follow_the_id() -> None:
    prompts = _registry().resolve("whisky").prompts
    assert prompts.product == "A photo of whisky"
    assert prompts.background == "in the background of sks 4"
    assert prompts.full == "A photo of whisky, in the background of sks 4"


def test_unknown_names_give_the_nearest() -> None:
    with pytest.raises(UnknownCategoryError, match="unknown category 'whiskey'; nearest: whisky"):
        _registry().resolve("whiskey")
    with pytest.raises(UnknownCategoryError, match="known: juice carton, whisky"):
        _registry().resolve("zzz")


def test_adding_a_category_leaves_the_others_and_takes_a_new_id(tmp_path: Path) -> None:
    registry = _registry()
    before = [registry.resolve(n) for n in ("juice carton", "whisky")]
    added = registry.add("tea", ["green tea"])
    assert added.id == 5
    assert [registry.resolve(n) for n in ("juice carton", "whisky")] == before
    save_registry(registry, tmp_path)
    loaded = load_registry(tmp_path)
    assert loaded.resolve("Green Tea") == added
    assert loaded.names == ["juice carton", "whisky", "tea"]


def test_taken_names_and_ids_are_refused() -> None:
    with pytest.raises(
        ModelFormatError, match="'milk carton' of category 'milk_carton' is taken by 'juice carton'"
    ):
        _registry().add("milk_carton")
    with pytest.raises(ModelFormatError, match="empty name"):
        _registry().add(" ")
    with pytest.raises(ModelFormatError, match="id 1 is used twice"):
        CategoryRegistry([Category("a", 1), Category("b", 1)])


def test_missing_registry_is_empty_and_a_broken_one_refused(tmp_path: Path) -> None:
    assert load_registry(tmp_path).names == []
    (tmp_path / "categories.json").write_text('{"categories": [{"name": "x"}]}')
    with pytest.raises(ModelFormatError, match="not a category registry"):
        load_registry(tmp_path)


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
        ("Beauty | Fragrance | Eau de toilette", "perfume", "parent, alias", "Fragrance"),
        ("Perfume & Cologne", "perfume", "part, name", "Perfume"),
        ("Scents and Perfumes", "perfume", "part, plural", "Perfumes"),
        ("Home, Knives", "knife", "part, plural", "Knives"),
        (
            "Health & Beauty > Personal Care > Cosmetics > Perfume & Cologne",
            "perfume", "path, part, name", "Perfume",
        ),
        ("Health & Beauty > Cosmetics > Nail polish", "lipstick", "parent, alias", "Cosmetics"),
        ("Kitchen › Rice cookers", "rice cooker", "path, plural", "Rice cookers"),
        ("Kitchen\\Dishes", "dish", "path, plural", "Dishes"),
        ("Kitchen >> Dishes >", "dish", "path, plural", "Dishes"),
    ],
)  # fmt: skip
def test_paths_plurals_and_parts_say_how_they_were_found(
    given: str, name: str, source: str, matched: str
) -> None:
    match = _shop().match(given)
    assert match is not None
    assert (match.category.name, match.source, match.matched) == (name, source, matched)
    assert _shop().resolve(given) == match.category


@pytest.mark.parametrize(
    "given",
    [
        "Perfume & Lipstick",
        "Knives and Boxes",
        "sofa",
        "Furniture > Sofas",
        "perfumery",
        "boss",
        "&",
        " > ",
        "dis",
    ],
)
def test_what_could_be_two_categories_or_none_is_refused(given: str) -> None:
    assert _shop().match(given) is None
    with pytest.raises(UnknownCategoryError):
        _shop().resolve(given)


def test_a_part_that_could_be_two_leaves_the_word_to_its_parents() -> None:
    match = _shop().match("Kitchen > Dishes > Knives & Boxes")
    assert match is not None
    assert (match.category.name, match.source) == ("dish", "parent, plural")


def test_a_runs_own_words_go_before_the_models() -> None:
    match = _shop().match("Beauty > Cosmetics", {"cosmetics": "perfume"})
    assert match is not None
    assert (match.category.name, match.source) == ("perfume", "path, map")


@pytest.mark.parametrize("given", ["", "  ", None, 3])
def test_an_empty_category_is_named(given: object) -> None:
    with pytest.raises(UnknownCategoryError, match="give the name of a category"):
        _shop().resolve(given)  # type: ignore[arg-type]
