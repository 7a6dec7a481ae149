"""Splits by product and the order of samples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cyclorama.curate.splits import assign_split
from cyclorama.training.batch import sample_indices, sample_order

PARTS = {"train": 0.9, "validation": 0.05, "test": 0.05}


def test_fractions_are_met_and_stored_values_hold() -> None:
    splits = [assign_split(f"product-{i}", 0, PARTS) for i in range(4000)]
    shares = {name: splits.count(name) / 4000 for name in ("train", "validation", "test")}
    assert shares["train"] == pytest.approx(0.9, abs=0.02)
    assert shares["validation"] == pytest.approx(0.05, abs=0.015)
    assert shares["test"] == pytest.approx(0.05, abs=0.015)
    assert [assign_split(name, 1, {"a": 0.5, "b": 0.5}) for name in "pqrstuvw"] == list("aaabbaba")


def test_a_split_depends_on_seed_and_product_only() -> None:
    half = {"a": 0.5, "b": 0.5}
    by_seed = [[assign_split(f"p{i}", seed, half) for i in range(64)] for seed in (0, 1, 0)]
    assert by_seed[0] == by_seed[2]
    assert by_seed[0] != by_seed[1]
    wider = [assign_split(f"p{i}", 0, {"a": 0.7, "b": 0.3}) for i in range(64)]
    assert all(new == "a" for new, old in zip(wider, by_seed[0], strict=True) if old == "a")
    assert {assign_split(f"p{i}", 0, {"a": 0.0, "b": 1.0, "c": 0.0}) for i in range(64)} == {"b"}


def test_an_epoch_shows_every_image_once_and_orders_differ() -> None:
    orders = [sample_order(50, epoch, seed=3) for epoch in range(3)]
    for order in orders:
        assert sorted(order.tolist()) == list(range(50))
    assert orders[0].tolist() != orders[1].tolist()
    assert sample_order(50, 0, seed=4).tolist() != orders[0].tolist()
    assert sample_order(8, 0, seed=0).tolist() == [6, 0, 3, 7, 1, 2, 5, 4]


@given(count=st.integers(1, 23), start=st.integers(0, 70), n=st.integers(0, 40), seed=st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_sample_k_is_a_pure_function_of_seed_and_k(count: int, start: int, n: int, seed: int) -> None:
    every = np.concatenate([sample_order(count, epoch, seed) for epoch in range((start + n) // count + 1)])
    assert sample_indices(count, seed, start, n).tolist() == every[start : start + n].tolist()
