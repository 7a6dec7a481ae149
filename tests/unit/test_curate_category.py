"""Names to categories: spellings, aliases, parents, languages, and identifiers that stay."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cyclorama.curate.category import CategoryRule, CategorySettings, fold_name, normalise_name
from cyclorama.curate.records import Record, Verdict
from cyclorama.errors import ConfigError


def rows(*names: str | None, language: str | None = None) -> list[Record]:
    return [Record(f"r{n}", f"{n}.png", category=name, language=language) for n, name in enumerate(names)]


def settle(rule: CategoryRule, *names: str | None) -> list[tuple[str, str]]:
    return [(f.values["category"], f.values["identifier"]) for f in rule.judge_all(rows(*names))]


@settings(deadline=None, max_examples=50)
@given(st.text(max_size=40))
@example("-#0")
def test_normalising_and_folding_twice_change_nothing_more(text: str) -> None:
    once = normalise_name(text)
    assert normalise_name(once) == once
    assert fold_name(fold_name(text, plurals=False), plurals=False) == fold_name(text, plurals=False)


def test_spellings_of_one_name_are_one_category() -> None:
    names = [
        "Coffee Mug",
        "coffee  mugs",
        "ＣＯＦＦＥＥ ＭＵＧ",
        "coffee-mug",
        "coffee_mug ",
        "Cof\u00adfee Mug",
    ]
    assert set(settle(CategoryRule(), *names)) == {("Coffee Mug", "sks 0")}


def test_only_safe_plurals_fold() -> None:
    assert fold_name("batteries") == "battery"
    assert fold_name("brushes") == "brush"
    assert fold_name("watches") == "watch"
    assert [fold_name(w) for w in ("glasses", "dress", "cactus", "chassis", "gas")] == [
        "glasses", "dress", "cactus", "chassis", "gas"
    ]  # fmt: skip
    assert fold_name("тапки") == "тапки"
    assert [fold_name(w) for w in ("ties", "pies", "skies")] == ["tie", "pie", "sky"]
    assert [fold_name(w) for w in ("mugs", "ses", "bus", "box", "boxes")] == [
        "mug",
        "ses",
        "bus",
        "box",
        "box",
    ]
    assert len(set(settle(CategoryRule(), "glass", "glasses"))) == 2
    assert len(set(settle(CategoryRule(CategorySettings(plurals=False)), "mug", "mugs"))) == 2


def test_limits_of_categories_hold_at_the_bound() -> None:
    long = CategoryRule(CategorySettings(longest=6)).judge_all(rows("kettle", "kettles", "teapots"))
    assert [f.verdict for f in long] == [Verdict.KEEP, Verdict.KEEP, Verdict.REVIEW]
    assert long[2].reason == (
        "category name has 7 characters, at most 6; it looks like a title: map it in the aliases"
    )
    names = ("mug", "mug", "cup")
    for small, verdict in (("review", Verdict.REVIEW), ("drop", Verdict.DROP), ("keep", Verdict.KEEP)):
        found = CategoryRule(CategorySettings(small=small, minimum_images=2)).judge_all(rows(*names))
        assert [f.verdict for f in found] == [Verdict.KEEP, Verdict.KEEP, verdict]
        assert [f.numbers["images"] for f in found] == [2, 2, 1]
    few = CategoryRule(CategorySettings(small="drop", minimum_images=2)).judge_all(rows(*names))[2]
    assert few.reason == "category 'cup' has 1 images, at least 2"

    paths = ("Home > Mug", "Home > Mug", "Home > Cup", "Cup")
    lifted = CategoryRule(CategorySettings(small="parent", minimum_images=3)).judge_all(rows(*paths))
    assert [f.values["category"] for f in lifted] == ["Home", "Home", "Home", "Cup"]
    kept = CategoryRule(CategorySettings(small="parent", minimum_images=2)).judge_all(rows(*paths))
    assert [f.values["category"] for f in kept] == ["Mug", "Mug", "Cup", "Cup"]
    stay = CategoryRule(CategorySettings(minimum_images=3)).judge_all(rows(*paths))
    assert [(f.values["category"], f.values.get("parent")) for f in stay] == [
        ("Mug", "Home"), ("Mug", "Home"), ("Cup", "Home"), ("Cup", None)
    ]  # fmt: skip


def test_identifiers_survive_added_removed_and_reordered_rows() -> None:
    first = CategoryRule()
    old = dict(settle(first, "perfume", "kettle", "mug"))
    second = CategoryRule(registry=first.registry)
    new = dict(settle(second, "armchair", "mugs", "perfume", "kettle"))
    assert {name: new[name] for name in old} == old
    assert new["armchair"] == "sks 3"
    third = CategoryRule(registry=second.registry)  # without a row of most
    assert dict(settle(third, "kettle")) == {"kettle": old["kettle"]}
    assert third.registry.names == second.registry.names
    appended = dict(settle(CategoryRule(), "perfume", "kettle", "mug", "armchair"))
    assert appended == new  # rows added at the end do not need the registry


def test_the_registry_given_is_not_changed() -> None:
    first = CategoryRule()
    settle(first, "perfume")
    settle(CategoryRule(registry=first.registry), "kettle")
    assert first.registry.names == ["perfume"]


def test_aliases_join_languages_which_otherwise_stay_apart(tmp_path: Path) -> None:
    assert len(set(settle(CategoryRule(), "lipstick", "口红", "Lippenstift"))) == 3
    path = tmp_path / "aliases.yaml"
    path.write_text("lipstick: [口红, Lippenstifte, lip colour]\n", encoding="utf-8")
    rule = CategoryRule(CategorySettings(aliases=path))
    assert set(settle(rule, "口红", "LIP COLOUR", "lipsticks")) == {("lipstick", "sks 0")}
    finding = rule.judge_all(rows("口红", language="zh"))[0]
    assert (finding.values["language"], finding.values["category_given"]) == ("zh", "口红")


def test_paths_give_their_last_level_and_remember_the_one_above(tmp_path: Path) -> None:
    finding, plain = CategoryRule().judge_all(rows("Beauty > Perfume", "perfume"))
    assert (finding.values["category"], finding.values["parent"]) == ("Perfume", "Beauty")
    assert plain.values["identifier"] == finding.values["identifier"]
    parents = tmp_path / "parents.json"
    parents.write_text(json.dumps({"eau de toilette": "perfume"}))
    small = CategorySettings(parents=parents, small="parent", minimum_images=2)
    lifted = settle(CategoryRule(small), "perfume", "perfume", "Eau de Toilette", "kettle")
    assert lifted == [("perfume", "sks 0")] * 3 + [("kettle", "sks 1")]


def test_small_missing_and_overlong_categories() -> None:
    settings = CategorySettings(small="drop", minimum_images=2, missing="drop", longest=20)
    title = "super offer lipstick for you today"
    found = CategoryRule(settings).judge_all(rows("mug", "mug", "kettle", None, "  ", title, title))
    assert [f.verdict.value for f in found] == ["keep", "keep", "drop", "drop", "drop", "review", "review"]
    assert "1 images, at least 2" in found[2].reason
    assert found[0].numbers == {"images": 2.0}
    asked = CategoryRule(CategorySettings(missing="review"))
    assert asked.judge_all(rows(None))[0].verdict == Verdict.REVIEW


def test_rows_that_name_none_are_of_the_general_studio() -> None:
    found = CategoryRule().judge_all(rows(None, "mug", "  "))
    assert [f.verdict for f in found] == [Verdict.KEEP] * 3
    assert [f.values["category"] for f in found] == ["studio", "mug", "studio"]
    assert found[0].numbers == {"images": 2.0}


def test_contradicting_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "names.yaml"
    path.write_text("mug: [cup]\nbowl: [Cups]\n")
    with pytest.raises(ConfigError, match="alias of both"):
        CategoryRule(CategorySettings(aliases=path))
    path.write_text("mug: cup\ncup: mug\n")
    with pytest.raises(ConfigError, match="lies above itself"):
        CategoryRule(CategorySettings(parents=path))
    path.write_text("- mug\n")
    with pytest.raises(ConfigError, match="must map"):
        CategoryRule(CategorySettings(aliases=path))
