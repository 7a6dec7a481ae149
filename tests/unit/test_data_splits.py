"""Splits by product and the order of samples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cyclorama.data.order import assign_split, sample_indices, sample_order
from cyclorama.errors import DataError, SettingsError


def test_fractions_are_met_and_stored_values_hold() -> None:
    splits = [assign_split(f"product-{i}", seed=0) for i in range(4000)]
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


@pytest.mark.parametrize("fractions", [{}, {"a": 0.5}, {"a": 1.5, "b": -0.5}])
def test_fractions_must_make_sense(fractions: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match="sum to 1"):
        assign_split("p", 0, fractions)


def test_an_epoch_shows_every_image_once_and_orders_differ() -> None:
    orders = [sample_order(50, epoch, seed=3) for epoch in range(3)]
    for order in orders:
        assert sorted(order.tolist()) == list(range(50))
    assert orders[0].tolist() != orders[1].tolist()
    assert sample_order(50, 0, seed=4).tolist() != orders[0].tolist()
    assert sample_order(8, 0, seed=0).tolist() == [6, 0, 3, 7, 1, 2, 5, 4]


@given(
    count=st.integers(1, 23),
    start=st.integers(0, 70),
    n=st.integers(0, 40),
    world=st.integers(1, 4),
    seed=st.integers(0, 9),
)
@settings(max_examples=60, deadline=None)
def test_sample_k_is_a_pure_function_of_seed_and_k(
    count: int, start: int, n: int, world: int, seed: int
) -> None:
    n -= n % world
    every = np.concatenate([sample_order(count, epoch, seed) for epoch in range((start + n) // count + 1)])
    whole = sample_indices(count, seed, start, n)
    assert whole.tolist() == every[start : start + n].tolist()
    shares = [sample_indices(count, seed, start, n, rank, world) for rank in range(world)]
    assert np.stack(shares, axis=1).reshape(-1).tolist() == whole.tolist()


def test_impossible_requests_are_refused() -> None:
    for arguments, message in [
        ((4, 0, -1, 2), "must not be negative"),
        ((4, 0, 0, 3, 0, 2), "3 samples do not divide among 2"),
        ((4, 0, 0, 2, 2, 2), "rank 2 is outside a world of 2"),
    ]:
        with pytest.raises(SettingsError, match=message):
            sample_indices(*arguments)
    with pytest.raises(DataError, match="set of 0 images"):
        sample_indices(0, 0, 0, 2)
    with pytest.raises(DataError, match="set of 0 images"):
        sample_order(0, 0, 0)
