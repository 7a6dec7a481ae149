"""Proves which products and scenes held-out items show, and that a pair shares its scene."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from cyclorama.scenes.compose import (
    ItemPlan,
    build_neutral,
    build_stage,
    build_stages,
    list_held_out,
    name_product,
    plan_item,
    select_split,
)
from cyclorama.scenes.grammar.reader import NAMES, load_category
from cyclorama.scenes.items import RenderConfig, name_item, plan_held_out
from cyclorama.scenes.stage import Part, SceneCategory, Stage, project
from cyclorama.scenes.surface import Surface

CATEGORIES = tuple(load_category(name) for name in NAMES)
KINDS = ("bg1k", "bgpair")
ITEMS = 4 * len(CATEGORIES)


def plan_all(kind: str, seed: int = 1, count: int = ITEMS) -> list[ItemPlan]:
    config = RenderConfig(seed=seed, kind=kind)  # type: ignore[arg-type]
    return [plan_held_out(config, i) for i in range(count)]


@pytest.mark.parametrize("kind", KINDS)
def test_an_item_depends_on_kind_seed_and_index_alone(kind: str) -> None:
    forwards = plan_all(kind)
    config = RenderConfig(seed=1, kind=kind)  # type: ignore[arg-type]
    assert [plan_held_out(config, i) for i in reversed(range(ITEMS))] == forwards[::-1]
    other = plan_all(kind, 2)
    assert all(a.scene_seed != b.scene_seed for a, b in zip(forwards, other, strict=True))
    assert sum(a.product == b.product for a, b in zip(forwards, other, strict=True)) < ITEMS / 4


@pytest.mark.parametrize("kind", KINDS)
def test_no_product_or_scene_is_one_of_the_training_split(kind: str) -> None:
    training = [p for p in (plan_item(1, i, CATEGORIES) for i in range(6000)) if p.split == "train"]
    products, scenes = {p.product_id for p in training}, {p.scene_seed for p in training}
    for plan in plan_all(kind):
        names = [name_product(plan.category.name, n) for n in plan.products]
        assert not products & set(names)
        assert [select_split(n) for n in names] == ["test"] * len(names)
        assert plan.scene_seed not in scenes
        assert plan.split == "test"


def test_kinds_share_no_scene_and_no_key() -> None:
    one, two = ({p.scene_seed for p in plan_all(kind)} for kind in KINDS)
    assert not one & two
    assert name_item(RenderConfig(seed=7, kind="bg1k"), 12) == "bg1k-7-000012"


def test_pairs_are_branded_and_name_another_product() -> None:
    pairs, singles = plan_all("bgpair", count=540), plan_all("bg1k", count=540)
    assert all(p.reference is not None and p.reference != p.product for p in pairs)
    assert set(Counter(p.brand for p in pairs)) == {0, 1, 2}
    assert {p.reference for p in singles} == {None}
    branded = sum(p.brand is not None for p in singles) / len(singles)
    assert branded == pytest.approx(0.6, abs=0.06)


@pytest.mark.parametrize("kind", KINDS)
def test_every_held_out_product_comes_once_before_any_comes_twice(kind: str) -> None:
    held_out = list_held_out("mug")
    config = RenderConfig(seed=4, categories=("mug",), kind=kind)  # type: ignore[arg-type]
    shown = [plan_held_out(config, i).product for i in range(2 * len(held_out))]
    assert sorted(shown[: len(held_out)]) == list(held_out)
    assert shown[len(held_out) :] == shown[: len(held_out)]


def is_same_surface(a: Surface, b: Surface) -> bool:
    rest = (a.kind, a.roughness, a.glow, a.tiles) == (b.kind, b.roughness, b.glow, b.tiles)
    return rest and np.array_equal(a.colour, b.colour)


def are_same_parts(a: list[Part], b: list[Part]) -> bool:
    return len(a) == len(b) and all(
        np.array_equal(p.mesh.vertices, q.mesh.vertices)
        and np.array_equal(p.mesh.faces, q.mesh.faces)
        and is_same_surface(p.surface, q.surface)
        for p, q in zip(a, b, strict=True)
    )


def describe_air(stage: Stage) -> tuple[object, ...]:
    return (stage.lights, stage.sky, stage.exposure, stage.camera)


@pytest.mark.parametrize("category", CATEGORIES, ids=lambda c: c.name)
def test_a_pair_shares_all_but_the_product_and_both_fit_the_image(category: SceneCategory) -> None:
    numbers = list_held_out(category.name)[:2]
    (target, reference), style = build_stages(ItemPlan(0, category, 1, numbers[0], 77), numbers)
    assert are_same_parts(target.parts, reference.parts)
    assert describe_air(target) == describe_air(reference)
    assert not are_same_parts(target.product, reference.product)
    for stage in (target, reference):
        seen = project(np.concatenate([p.mesh.vertices for p in stage.product]), stage.camera)
        assert seen.min() > 0.0
        assert seen.max() < 1.0
    # what is drawn for the scene is not moved by the product: alone, either meets the same things
    alone, same_style = build_stage(ItemPlan(0, category, 1, numbers[1], 77))
    assert same_style == style
    assert len(alone.parts) == len(target.parts)
    assert all(is_same_surface(p.surface, q.surface) for p, q in zip(alone.parts, target.parts, strict=True))
    assert describe_air(alone)[:3] == describe_air(target)[:3]


def test_one_product_alone_gives_the_stage_of_its_plan() -> None:
    plan = ItemPlan(0, CATEGORIES[0], 0, 5, 31)
    (one,), style = build_stages(plan, (5,))
    other, same_style = build_stage(plan)
    assert are_same_parts(one.parts, other.parts)
    assert are_same_parts(one.product, other.product)
    assert describe_air(one) == describe_air(other)
    assert style == same_style


def test_stages_of_a_pair_do_not_share_their_lists() -> None:
    (a, b), _ = build_stages(ItemPlan(0, CATEGORIES[0], 0, 5, 31), (5, 6))
    count = len(b.parts)
    a.parts.clear()
    a.lights.clear()
    assert len(b.parts) == count
    assert b.lights


def test_neutral_light_keeps_product_and_camera_and_drops_the_scene() -> None:
    stage, _ = build_stage(ItemPlan(0, CATEGORIES[0], 0, 5, 31))
    neutral = build_neutral(stage)
    assert neutral.product is stage.product
    assert neutral.camera == stage.camera
    assert neutral.parts == []
    for lamp in neutral.lights:
        assert len(set(lamp.radiance)) == 1  # white
    assert neutral.sky[0] == pytest.approx(neutral.sky[2])
