"""Proposed pairs: same brand before same category, similar shapes, never the same product."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from cyclorama.curate.records import SHAPE_SIDE, Record, Summary
from cyclorama.curate.review import Choice, find_pair, pair_key
from cyclorama.curate.splits import PairsSettings, build_proposal, compute_shape_similarity, propose_pairs
from cyclorama.errors import ConfigError


def box(height: int, width: int) -> npt.NDArray[np.float32]:
    shape = np.zeros((SHAPE_SIDE, SHAPE_SIDE), np.float32)
    top, left = (SHAPE_SIDE - height) // 2, (SHAPE_SIDE - width) // 2
    shape[top : top + height, left : left + width] = 1
    return shape


def summary(
    key: str, product: str | None, brand: str | None, shape: npt.NDArray[np.float32] | None
) -> Summary:
    record = Record(key, f"{key}.png", product_id=product, brand=brand)
    return Summary(record, (), np.ones(4, np.float32) / 2, {}, shape)


def test_shape_similarity_is_intersection_over_union() -> None:
    shapes = np.stack([box(32, 16), box(16, 32), box(32, 32)])
    found = compute_shape_similarity(shapes, shapes)
    assert found == pytest.approx(np.array([[1, 1 / 3, 0.5], [1 / 3, 1, 0.5], [0.5, 0.5, 1]]))


def test_brand_goes_before_category_and_shape_before_chance() -> None:
    rows = [
        summary("a", "p1", "Acme", box(32, 16)),
        summary("b", "p2", "acme ", box(32, 12)),  # same brand, similar
        summary("c", "p3", "Other", box(32, 16)),  # other brand, equal shape
        summary("d", "p4", "Acme", box(16, 32)),  # same brand, another shape
        summary("e", "p1", "Acme", box(32, 16)),  # the same product
        summary("f", "p5", None, None),  # no mask
    ]
    settings = PairsSettings(per_product=2, per_reference=9)
    proposals = propose_pairs(rows, ["perfume"] * 6, settings)
    found: dict[str, list[str]] = {}
    for proposal in proposals:
        found.setdefault(proposal.product_key, []).append(proposal.reference_key)
    assert found["a"] == ["b", "c"]
    assert found["c"] in (["a", "e"], ["e", "a"])
    assert "d" not in found and "f" not in found
    first = next(p for p in proposals if p.key == pair_key("a", "b"))
    assert first.numbers == pytest.approx({"shape_similarity": 0.75, "same_brand": 1})
    assert first.reason == "same brand Acme; outlines overlap by 75%"
    branded = propose_pairs(rows, ["perfume"] * 6, PairsSettings(same_category=False, per_reference=9))
    assert {p.product_key for p in branded} == {"a", "b", "e"}


def test_a_reference_serves_only_so_many_and_order_does_not_matter() -> None:
    rows = [summary(f"k{n}", f"p{n}", None, box(32, 10 + n % 5)) for n in range(30)]
    settings = PairsSettings(per_reference=2, shape_similarity=0.5)
    proposals = propose_pairs(rows, ["mug"] * 30, settings)
    used = [p.reference_key for p in proposals]
    assert len(proposals) == 30
    assert max(used.count(key) for key in used) <= 2
    assert all(p.product_key != p.reference_key for p in proposals)
    shuffled = random.Random(3).sample(rows, 30)
    assert propose_pairs(shuffled, ["mug"] * 30, settings) == proposals


def test_equal_outlines_all_get_a_pair() -> None:
    rows = [summary(f"k{n:03d}", f"p{n}", None, box(32, 16)) for n in range(100)]
    proposals = propose_pairs(rows, ["book"] * 100, PairsSettings())
    assert len({p.product_key for p in proposals}) == len(proposals) == 100
    assert max(Counter(p.reference_key for p in proposals).values()) <= 3


def test_accepted_pairs_are_taken_and_rejected_ones_make_room_for_the_next_best() -> None:
    rows = [summary(key, f"p{key}", None, box(32, width)) for key, width in zip("abcd", (16, 16, 15, 12))]
    settings = PairsSettings(per_reference=1)
    free = {(p.product_key, p.reference_key) for p in propose_pairs(rows, ["mug"] * 4, settings)}
    assert free == {("a", "b"), ("b", "a"), ("c", "d"), ("d", "c")}
    decided: dict[tuple[str, str], Choice] = {("a", "d"): "accept", ("b", "a"): "reject"}
    found = [(p.product_key, p.reference_key) for p in propose_pairs(rows, ["mug"] * 4, settings, decided)]
    assert found == [("b", "c"), ("c", "a"), ("d", "b")]  # a has its own; d is used up; b's best is refused


def test_more_rejections_than_are_looked_at_leave_the_next_best() -> None:
    rows = [summary(f"k{n:02d}", f"p{n}", None, box(32, 16)) for n in range(30)]
    decided: dict[tuple[str, str], Choice] = {("k00", f"k{n:02d}"): "reject" for n in range(1, 29)}
    found = {
        p.product_key: p.reference_key for p in propose_pairs(rows, ["mug"] * 30, PairsSettings(), decided)
    }
    assert found["k00"] == "k29"


def test_beyond_the_limit_a_new_row_changes_few_pairs() -> None:
    widths = random.Random(1)
    rows = [summary(f"k{n:02d}", f"p{n}", None, box(32, widths.randint(10, 32))) for n in range(60)]
    settings = PairsSettings(group_limit=30, shape_similarity=0.3)
    before = {p.product_key for p in propose_pairs(rows, ["mug"] * 60, settings)}
    more = [summary("a", "p", None, box(32, 20)), *rows]
    after = {p.product_key for p in propose_pairs(more, ["mug"] * 61, settings)}
    assert len(before) == len(after) == 30 and len(before & after) >= 29


def test_a_pair_is_described_by_what_its_rows_share() -> None:
    one, other = summary("a", "p1", "Acme", box(32, 16)), summary("b", "p2", "acme ", box(32, 12))
    branded = build_proposal(one, other, ("mug", "cup"))
    assert branded is not None and branded.reason == "same brand Acme; outlines overlap by 75%"
    blank = replace(other, record=replace(other.record, brand=" "))
    same = build_proposal(one, blank, ("mug", "Mug"))
    assert same is not None and (same.reason, same.numbers["same_brand"]) == (
        "same category; outlines overlap by 75%",
        0,
    )
    assert build_proposal(one, blank, ("mug", "cup")) is None
    assert build_proposal(one, summary("c", "p1", "Acme", box(32, 16)), ("mug", "mug")) is None
    assert build_proposal(one, summary("c", "p2", "Acme", None), ("mug", "mug")) is None


def test_a_pairs_rows_are_found_by_its_key() -> None:
    assert find_pair(pair_key("a", "b"), {"a", "b"}) == ("a", "b")
    assert find_pair(pair_key("a|b", "c"), {"a|b", "c"}) == ("a|b", "c")
    assert find_pair(pair_key("a", "b"), {"a"}) is find_pair("a|b", {"a", "b"}) is None


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="shape_similarity"):
        PairsSettings(shape_similarity=1.5)
    with pytest.raises(ConfigError, match="per_product"):
        PairsSettings(per_product=0)
