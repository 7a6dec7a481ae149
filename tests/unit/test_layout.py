"""Planned layouts keep every constraint, whatever is asked; what cannot be planned is refused by name."""

from __future__ import annotations

import math
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cyclorama.errors import LayoutError
from cyclorama.layout.elements import Element, PosterLayout, intersect
from cyclorama.layout.energy import WEIGHTS, compute_energy, measure_terms
from cyclorama.layout.grammar import PARAMETERS, build_layout, load_families
from cyclorama.layout.planners import plan_by_rules, plan_fixed, plan_random
from cyclorama.layout.settle import settle
from cyclorama.layout.task import MARGIN, LayoutTask, TextShape

HEADLINE = TextShape("headline", "headline", (9.2, 5.1, 4.0))
SUBLINE = TextShape("subline", "subline", (16.0, 8.5, 6.1))
PRICE = TextShape("price", "price", (2.6,))
LEGAL = TextShape("legal", "legal", (22.0, 11.5, 8.0))
ROWS, COLUMNS = np.mgrid[:32, :32]
DISC = ((COLUMNS - 15.5) ** 2 + (ROWS - 15.5) ** 2) < 16**2


def make_task(height: int = 1350, width: int = 1080, **values: Any) -> LayoutTask:
    task = {
        "product_aspect": 0.6,
        "texts": (HEADLINE, SUBLINE, PRICE),
        "silhouette": DISC,
        "logo_aspect": 2.5,
    }
    return LayoutTask(height, width, **{**task, **values})


def check_kept(layout: PosterLayout, task: LayoutTask) -> None:
    """Every promise, found anew from the boxes' pixels."""
    boxes = {
        element.id: [
            value * side for value, side in zip(element.box, (task.width, task.height) * 2, strict=True)
        ]
        for element in layout.elements
    }
    parts = [element for element in layout.elements if element.kind in ("text", "logo")]
    margin = MARGIN * min(task.height, task.width)
    for one, other in combinations(parts, 2):
        a, b = boxes[one.id], boxes[other.id]
        apart = a[2] <= b[0] + 1e-6 or b[2] <= a[0] + 1e-6 or a[3] <= b[1] + 1e-6 or b[3] <= a[1] + 1e-6
        assert apart, (one, other)
    for element in parts:
        left, top, right, bottom = boxes[element.id]
        if not element.locked:
            assert min(left, top, task.width - right, task.height - bottom) >= margin - 1e-2
        if element.kind == "text":
            widths = next(text.widths for text in task.texts if text.id == element.id)
            leading = {"headline": 1.08, "action": 1.8}.get(element.role or "", 1.2)
            em = (bottom - top) / (leading * element.lines)
            if not element.locked:
                assert right - left == pytest.approx(widths[element.lines - 1] * em, rel=1e-6)
                least = 0.014 if element.role == "legal" else 0.022
                assert em >= least * min(task.height, task.width) * (1 - 1e-5)
        if not task.allow_occlude:
            product = boxes["product"]
            assert find_cover(product, boxes[element.id], task) == 0, element
    assert {text.id for text in task.texts} <= set(boxes)
    assert math.isfinite(layout.energy or math.nan) and layout.settled


def find_cover(product: list[float], box: list[float], task: LayoutTask) -> int:
    """Cells of the silhouette whose middle lies under the box."""
    grid = np.ones((32, 32), bool) if task.silhouette is None else task.silhouette
    x = product[0] + (np.arange(32) + 0.5) / 32 * (product[2] - product[0])
    y = product[1] + (np.arange(32) + 0.5) / 32 * (product[3] - product[1])
    inside = ((y > box[1]) & (y < box[3]))[:, None] & ((x > box[0]) & (x < box[2]))[None]
    return int((inside & grid).sum())


@settings(max_examples=40, deadline=None)
@given(
    size=st.sampled_from([(1080, 1080), (1350, 1080), (1920, 1080), (628, 1200), (300, 250)]),
    aspect=st.floats(0.15, 5),
    texts=st.sampled_from([(), (HEADLINE,), (HEADLINE, PRICE), (HEADLINE, SUBLINE, PRICE, LEGAL)]),
    logo=st.sampled_from([None, 0.5, 3.0]),
    full=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_rules_keep_every_constraint(
    size: tuple[int, int],
    aspect: float,
    texts: tuple[TextShape, ...],
    logo: float | None,
    full: bool,
    seed: int,
) -> None:
    values = {"product_aspect": aspect, "texts": texts, "logo_aspect": logo}
    task = make_task(*size, **values, silhouette=None if full else DISC)
    layouts = plan_by_rules(task, 3, seed)
    assert [layout.energy for layout in layouts] == sorted(layout.energy or 0 for layout in layouts)
    assert len({layout.family for layout in layouts}) == len(layouts)
    for layout in layouts:
        check_kept(layout, task)
        assert layout.energy == pytest.approx(compute_energy(layout, task))
    assert PosterLayout(**layouts[0].describe()) == layouts[0]


def test_the_same_seed_gives_the_same_layouts_and_another_one_others() -> None:
    first, again, other = (plan_by_rules(make_task(), 2, seed) for seed in (3, 3, 4))
    assert first == again
    assert first != other


@pytest.mark.parametrize("plan", [plan_by_rules, plan_fixed, plan_random])
def test_locks_stay_and_the_rest_makes_room(plan: Any) -> None:
    locks = {"price": (0.7, 0.8, 0.92, 0.9), "product": (0.3, 0.42, 0.6, 0.78)}
    task = make_task(locks=locks)
    found = plan(task)
    layout = found[0] if isinstance(found, list) else found
    check_kept(layout, task)
    boxes = {element.id: element.box for element in layout.elements}
    assert {name: boxes[name] for name in locks} == locks


def test_the_brands_corner_is_kept() -> None:
    for layout in plan_by_rules(make_task(logo_corner="bottom-left"), 4):
        [logo] = layout.select("logo")
        assert logo.box[0] < 0.5 < logo.box[1]


def test_rules_cost_less_than_the_baselines() -> None:
    tasks = [
        make_task(height, 1080, product_aspect=aspect) for height in (1080, 1920) for aspect in (0.4, 1.6)
    ]
    for task in tasks:
        rules = plan_by_rules(task)[0].energy or 0
        assert rules < 0.6 * (plan_fixed(task).energy or 0)
        assert rules < 0.3 * (plan_random(task).energy or 0)


def test_texts_keep_off_what_is_busy() -> None:
    busy = np.zeros((32, 32), np.float32)
    busy[:16] = 1
    task = make_task(busy=busy)
    layout = plan_by_rules(task)[0]
    assert measure_terms(layout, task)["busy"] < 0.1
    assert min(element.box[1] for element in layout.select("text")) > 0.4


def test_settling_frees_what_overlaps_and_moves_nothing_else() -> None:
    task = make_task(texts=(HEADLINE, PRICE), logo_aspect=None)
    headline = Element(id="headline", kind="text", role="headline", box=(0.1, 0.1, 0.7816, 0.1711), layer=3)
    price = Element(id="price", kind="text", role="price", box=(0.1, 0.14, 0.2926, 0.2111), layer=3)
    product = Element(id="product", kind="product", box=(0.4, 0.5, 0.64, 0.82))
    raw = PosterLayout(height=1350, width=1080, family="x", elements=(product, headline, price))
    with pytest.raises(AssertionError):
        check_kept(raw.model_copy(update={"settled": True, "energy": 1.0}), task)
    settled = settle(raw, task)
    boxes = {element.id: element.box for element in settled.elements}
    assert boxes["headline"] == headline.box and boxes["product"] == product.box
    assert intersect(boxes["price"], boxes["headline"]) == 0
    assert settle(settled, task) == settled


def draw_boxes(least: float) -> Any:
    """Boxes in the unit square, their sides at least ``least``."""
    sides = st.tuples(st.floats(least, 1), st.floats(0, 1)).map(lambda s: (s[1] * (1 - s[0]), s[0]))
    return st.tuples(sides, sides).map(
        lambda s: (s[0][0], s[1][0], min(1.0, s[0][0] + s[0][1]), min(1.0, s[1][0] + s[1][1]))
    )


@given(draw_boxes(0.001), draw_boxes(0.0101))
def test_the_share_that_is_covered_is_one_of_cells(box: Any, product: Any) -> None:
    task = make_task()
    share = task.find_cover(product, box)
    rows, columns = np.linspace(product[1], product[3], 33), np.linspace(product[0], product[2], 33)
    high = np.clip(np.minimum(rows[1:], box[3]) - np.maximum(rows[:-1], box[1]), 0, None) / np.diff(rows)
    wide = np.clip(np.minimum(columns[1:], box[2]) - np.maximum(columns[:-1], box[0]), 0, None) / np.diff(
        columns
    )
    assert share >= 0
    assert share == pytest.approx((high[:, None] * wide[None] * DISC).sum() / DISC.sum(), abs=1e-6)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"texts": (TextShape("headline", "headline", (90.0, 60.0)),)}, "no room for the texts"),
        ({"locks": {"price": (0.5, 0.5, 0.7, 0.6), "headline": (0.55, 0.5, 0.9, 0.7)}}, "headline and price"),
        ({"locks": {"pirce": (0.5, 0.5, 0.7, 0.6)}}, "pirce"),
        ({"product_aspect": 99.0}, "1/30 to 30"),
        ({"height": 20}, "20"),
        ({"silhouette": np.zeros((32, 32), bool)}, "empty"),
        ({"busy": np.zeros((8, 8), np.float32)}, r"\(8, 8\)"),
        ({"texts": (HEADLINE, HEADLINE)}, "stand once"),
    ],
)  # fmt: skip
def test_what_cannot_be_planned_is_refused_by_name(values: dict[str, Any], words: str) -> None:
    with pytest.raises(LayoutError, match=words):
        plan_by_rules(make_task(**values))


@pytest.mark.parametrize("family", load_families())
def test_every_family_has_room_for_a_poster(family: str) -> None:
    task = make_task(texts=(HEADLINE, PRICE))
    layout = build_layout(task, family, [0.5] * len(PARAMETERS))
    assert layout is not None
    check_kept(settle(layout, task), task)
    for under in layout.select("underlay"):
        for text in layout.select("text"):
            (a, b, c, d), (left, top, right, bottom) = under.box, text.box
            across, down = task.margin
            assert min(left - a, c - right) >= across - 1e-9 and min(top - b, d - bottom) >= down - 1e-9, (
                "a whole margin to the panel's edges"
            )


@pytest.mark.parametrize(
    ("term", "change"),
    [
        ("overlap", {"price": (0.1, 0.1, 0.3, 0.17)}),
        ("occlusion", {"price": (0.45, 0.6, 0.6, 0.65)}),
        ("margin", {"price": (0.0, 0.3, 0.2, 0.37)}),
        ("hierarchy", {"price": (0.1, 0.2, 0.6, 0.4)}),
        ("balance", {"product": (0.05, 0.45, 0.35, 0.85)}),
        ("share", {"product": (0.45, 0.75, 0.55, 0.9)}),
        ("order", {"price": (0.1, 0.03, 0.25, 0.08)}),
        ("legible", {"price": (0.1, 0.3, 0.15, 0.316)}),
        ("ground", {"product": (0.35, 0.2, 0.65, 0.55)}),
    ],
)
def test_each_term_sees_its_own_fault(term: str, change: dict[str, Any]) -> None:
    boxes = {
        "product": (0.35, 0.42, 0.65, 0.85),
        "headline": (0.1, 0.1, 0.78, 0.17),
        "price": (0.1, 0.3, 0.25, 0.36),
    }
    roles = {"headline": "headline", "price": "price"}
    task = make_task(texts=(HEADLINE, PRICE), logo_aspect=None)

    def build(places: dict[str, Any]) -> PosterLayout:
        elements = tuple(
            Element(id=name, kind="text" if name in roles else "product", role=roles.get(name), box=box)
            for name, box in places.items()
        )
        return PosterLayout(height=1350, width=1080, family="x", elements=elements)

    good, bad = (measure_terms(build(places), task) for places in (boxes, boxes | change))
    assert bad[term] > good[term] + 0.05
    assert set(good) == set(WEIGHTS)


def test_half_empty_lines_of_a_headline_and_many_lines_cost() -> None:
    headline = TextShape("headline", "headline", (6.0, 5.0, 3.4, 3.0))
    body = TextShape("body", "body", (30.0, 16.0, 11.0, 8.0, 7.0))
    task = make_task(texts=(headline, body), logo_aspect=None)

    def measure(headline_lines: int, body_lines: int) -> float:
        elements = (
            Element(id="product", kind="product", box=(0.3, 0.5, 0.7, 0.9)),
            Element(
                id="headline", kind="text", role="headline", box=(0.1, 0.1, 0.5, 0.2), lines=headline_lines
            ),
            Element(id="body", kind="text", role="body", box=(0.1, 0.25, 0.5, 0.4), lines=body_lines),
        )
        layout = PosterLayout(height=1350, width=1080, family="x", elements=elements)
        return measure_terms(layout, task)["broken"]

    assert measure(1, 3) == 0
    assert measure(2, 3) == pytest.approx(0.8 - 6 / 10)
    assert measure(3, 3) == pytest.approx(0.8 - 6 / 10.2)
    assert measure(1, 5) == pytest.approx(0.6)
