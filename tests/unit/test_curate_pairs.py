"""Proposed pairs: same brand before same category, similar shapes, never the same product."""

from __future__ import annotations

import random

import numpy as np
import numpy.typing as npt
import pytest

from cyclorama.curate.records import SHAPE_SIDE, Record, Summary
from cyclorama.curate.review import pair_key
from cyclorama.curate.splits import PairsSettings, compute_shape_similarity, propose_pairs
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


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="shape_similarity"):
        PairsSettings(shape_similarity=1.5)
    with pytest.raises(ConfigError, match="per_product"):
        PairsSettings(per_product=0)
