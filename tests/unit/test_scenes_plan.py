"""Proves what the items of a rendered set are, before anything is rendered."""

from __future__ import annotations

import colorsys
import itertools
from collections import Counter

import numpy as np
import pytest

from cyclorama.errors import SettingsError
from cyclorama.scenes.compose import ItemPlan, build_product, build_stage, derive, plan_item, select_split
from cyclorama.scenes.grammar.reader import NAMES, load_category
from cyclorama.scenes.items import RenderConfig, describe_item, name_item
from cyclorama.scenes.render import tone_map
from cyclorama.scenes.runner import list_products
from cyclorama.scenes.stage import compute_bounds, project

CATEGORIES = tuple(load_category(name) for name in NAMES)


def test_an_item_depends_on_seed_and_index_alone() -> None:
    forwards = [plan_item(3, i, CATEGORIES) for i in range(40)]
    assert [plan_item(3, i, CATEGORIES) for i in reversed(range(40))] == forwards[::-1]
    other = [plan_item(4, i, CATEGORIES) for i in range(40)]
    assert all(a.scene_seed != b.scene_seed for a, b in zip(forwards, other, strict=True))


def test_splits_share_no_product_and_have_their_shares() -> None:
    plans = [plan_item(1, i, CATEGORIES) for i in range(6000)]
    products: dict[str, set[str]] = {"train": set(), "test": set()}
    for plan in plans:
        products[plan.split].add(plan.product_id)
    assert not products["train"] & products["test"]
    assert Counter(p.split for p in plans)["test"] / len(plans) == pytest.approx(0.08, abs=0.02)


def test_a_product_is_held_out_below_eight_in_a_hundred_alone() -> None:
    last, first = (
        next(f"p{k}" for k in range(10**6) if derive("split", f"p{k}") % 10_000 == n) for n in (799, 800)
    )
    assert (select_split(last), select_split(first)) == ("test", "train")


def test_an_item_is_described_in_full() -> None:
    plan = ItemPlan(12, load_category("milk carton"), 1, 7, 255)
    palette = ((1.0, 0.5, 0.0), (0.2, 0.4, 0.6), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    assert describe_item(plan, RenderConfig(seed=3), palette) == {
        "id": "3-000012",
        "category": "milk carton",
        "brand": "milk-carton-brand-b",
        "product_id": "milk-carton-p0007",
        "scene_id": "milk-carton-b-00000000000000ff",
        "seed": 3,
        "split": "train",
        "renderer": "cyclorama-synth/8",
        "licence": "CC0-1.0",
        "palette": ["#ff8000", "#336699", "#000000", "#ffffff"],
    }
    assert name_item(RenderConfig(seed=3, kind="bg1k"), 12) == "bg1k-3-000012"


def test_categories_are_balanced_and_about_six_of_ten_items_are_branded() -> None:
    plans = [plan_item(1, i, CATEGORIES) for i in range(70 * len(CATEGORIES))]
    assert set(Counter(p.category.name for p in plans).values()) == {70}
    brands = Counter(p.brand_name for p in plans)
    assert brands[None] / len(plans) == pytest.approx(0.4, abs=0.04)
    assert len(brands) == 1 + 3 * len(CATEGORIES)


@pytest.mark.parametrize("category", CATEGORIES, ids=lambda c: c.name)
def test_products_stand_on_the_ground_with_larger_side_one(category) -> None:
    for number in range(3):
        low, high = compute_bounds(build_product(category, number))
        size = high - low
        assert max(size[2], 0.8 * size[0]) == pytest.approx(1.0, abs=1e-5)
        assert low[2] == pytest.approx(0.0, abs=1e-5)
        assert low[0] + high[0] == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize("category", CATEGORIES, ids=lambda c: c.name)
def test_products_lie_inside_the_image_at_the_stated_size(category) -> None:
    for number in range(3):
        stage, _ = build_stage(ItemPlan(0, category, None, number, 1000 + number))
        seen = project(np.concatenate([p.mesh.vertices for p in stage.product]), stage.camera)
        assert seen.min() > 0.0
        assert seen.max() < 1.0
        extent = np.ptp(seen, axis=0)
        assert 0.38 < max(extent) < 0.85


@pytest.mark.parametrize("category", CATEGORIES, ids=lambda c: c.name)
def test_brands_differ_in_hue_or_value_and_in_elements(category) -> None:
    for a, b in itertools.combinations(category.brands, 2):
        assert set(a.elements) != set(b.elements)
        reach = max(
            np.abs(np.array(p) - np.array(q)).max() for p, q in zip(a.palette, b.palette, strict=True)
        )
        assert reach > 0.12


def test_a_brand_varies_less_than_the_unbranded_rest() -> None:
    for category in CATEGORIES:
        rng = np.random.default_rng(5)
        branded = np.array([category.brands[0].varied(rng).palette for _ in range(30)])
        free = np.array([category.sample_style(rng).palette for _ in range(30)])
        assert branded.std(0).mean() < 0.8 * free.std(0).mean(), category.name


def test_palettes_stay_in_the_unit_cube_and_are_one_hue_family_for_perfume() -> None:
    perfume = CATEGORIES[0]
    for seed in range(30):
        style = perfume.sample_style(np.random.default_rng(seed))
        assert all(0 <= v <= 1 for colour in style.palette for v in colour)
        wall, floor = (colorsys.rgb_to_hsv(*c)[0] * 360 for c in style.palette[:2])
        assert abs((wall - floor + 180) % 360 - 180) <= 8.01


def test_tone_map_keeps_order_and_ends_at_white() -> None:
    ramp = np.linspace(0, 20, 400, dtype=np.float32)[None, :, None].repeat(3, 2)
    out = tone_map(ramp, 1.0)[0, :, 0].astype(int)
    assert (np.diff(out) >= 0).all()
    assert out[0] == 0
    assert out[-1] == 255
    assert tone_map(np.full((1, 1, 3), 0.5, np.float32), 1.0)[0, 0, 0] == 188  # sRGB of 0.5


def test_cutouts_start_with_products_never_trained_on() -> None:
    count = 3 * len(NAMES)
    chosen = list_products(RenderConfig(seed=0), count)
    assert [c for c, _ in chosen] == 3 * list(NAMES)
    assert len(set(chosen)) == count
    by_name = {c.name: c for c in CATEGORIES}
    assert {ItemPlan(0, by_name[c], None, n, 0).split for c, n in chosen} == {"test"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"size": 8}, "size: must be from 16 to 2048, got 8"),
        ({"samples": 5}, "a square number: 1, 4, 9, 16, 25, 36 or 64, got 5"),
        ({"seed": -1}, "got -1"),
        ({"categories": ()}, "no category"),
        ({"categories": ("fruit", "fruit")}, "named twice"),
        ({"categories": ("submarine",)}, "'submarine'.*known: perfume"),
        ({"kind": "bg60k"}, "kind: must be 'train', 'general', 'bg1k', 'bgpair' or 'poster', got 'bg60k'"),
    ],
)
def test_a_wrong_setting_is_named(changes: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        RenderConfig(**{"seed": 0, **changes})  # type: ignore[arg-type]


def test_more_cutouts_than_products_is_an_error() -> None:
    with pytest.raises(SettingsError, match="above the 512 products of 1 categories"):
        list_products(RenderConfig(seed=0, categories=("fruit",)), 513)
