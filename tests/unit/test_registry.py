"""Categories: lookup, aliases, nearest names, adding without touching the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from cyclorama.errors import ModelFormatError, UnknownCategoryError
from cyclorama.models.registry import (
    Category,
    CategoryRegistry,
    list_singulars,
    load_registry,
    save_registry,
)


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


def test_aliases_that_are_one_text_are_refused_and_not_taken_letter_by_letter(tmp_path: Path) -> None:
    registry = _registry()
    with pytest.raises(ModelFormatError, match="aliases of category 'tea' are the text 'cha'; give a list"):
        registry.add("tea", "cha")
    assert "tea" not in registry.names
    (tmp_path / "categories.json").write_text('{"categories": [{"name": "tea", "id": 1, "aliases": "cha"}]}')
    with pytest.raises(ModelFormatError, match=r"registry: aliases of 'tea' are the text 'cha', not a list"):
        load_registry(tmp_path)


def test_missing_registry_is_empty_and_a_broken_one_refused(tmp_path: Path) -> None:
    assert load_registry(tmp_path).names == []
    (tmp_path / "categories.json").write_text('{"categories": [{"name": "x"}]}')
    with pytest.raises(ModelFormatError, match="not a category registry"):
        load_registry(tmp_path)


@pytest.mark.parametrize("given", ["", "  ", None, 3])
def test_an_empty_category_is_named(given: object) -> None:
    with pytest.raises(UnknownCategoryError, match="give the name of a category"):
        _registry().resolve(given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("plural", "single"),
    [
        ("tea cups", "tea cup"),
        ("glasses", "glass"),
        ("berries", "berry"),
        ("scarves", "scarf"),
        ("knives", "knife"),
        ("snowmen", "snowman"),
    ],
)
def test_a_plural_is_found_as_one(plural: str, single: str) -> None:
    registry = CategoryRegistry([Category(single, 0, ("other",))])
    assert registry.look_up(plural) == (registry.resolve(single), "plural")
    assert registry.look_up(single) == (registry.resolve(single), "name")
    assert registry.look_up("Other") == (registry.resolve(single), "alias")


def test_short_words_and_those_that_end_in_s_alone_have_no_plural() -> None:
    assert list_singulars("gas") == {"gas"} and list_singulars("cups") == {"cups", "cup"}
    for word in ("glass", "cactus", "iris"):
        assert list_singulars(word) == {word}
