"""Splits by product, the same for a product whatever else is in the set."""

from __future__ import annotations

from collections import Counter

import pytest

from cyclorama.curate import splits as splits_module
from cyclorama.curate.records import Record
from cyclorama.curate.splits import SplitSettings, assign_set_splits, find_unseen_categories
from cyclorama.errors import ConfigError
from cyclorama.seeding import MAX_SEED


def test_shares_are_met_and_products_stay_together() -> None:
    records = [Record(f"k{n}", "x.png", product_id=f"p{n // 2}") for n in range(8000)]
    settings = SplitSettings(bg1k=0.1, bgpair=0.2)
    splits = assign_set_splits(records, 0, settings)
    counts = Counter(splits)
    assert counts["bg1k"] / 8000 == pytest.approx(0.1, abs=0.015)
    assert counts["bgpair"] / 8000 == pytest.approx(0.2, abs=0.02)
    assert splits[::2] == splits[1::2]
    assert assign_set_splits(records, 1, settings) != splits


def test_a_split_depends_on_the_product_alone() -> None:
    settings = SplitSettings(bg1k=0.3, bgpair=0.3)
    records = [Record(f"k{n}", "x.png", product_id=f"p{n}") for n in range(50)]
    keys = [record.key for record in records]
    splits = dict(zip(keys, assign_set_splits(records, 7, settings), strict=True))
    assert set(splits.values()) == {"train", "bg1k", "bgpair"}
    for chosen in (records[::3], records[::-1], [*records, Record("new", "x.png", product_id="new")]):
        found = assign_set_splits(chosen, 7, settings)
        assert [splits.get(r.key, split) for r, split in zip(chosen, found, strict=True)] == found
    alone = Record("p3", "other.png")  # no product id: its key stands for the product
    assert assign_set_splits([alone], 7, settings) == [splits["k3"]]


def test_categories_that_no_image_trains_are_named() -> None:
    found = find_unseen_categories(
        ["mug", "mug", "rare", "rare", None], ["train", "bg1k", "bg1k", "bgpair", "bg1k"]
    )
    assert found == {"rare": 2}


@pytest.mark.parametrize("values", [{"bg1k": -0.1}, {"bg1k": 0.6, "bgpair": 0.4}])
def test_shares_must_leave_something_to_train(values: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="bg1k"):
        SplitSettings(**values)


def test_a_point_on_a_bound_is_in_the_next_split(monkeypatch: pytest.MonkeyPatch) -> None:
    shares = {"a": 0.25, "b": 0.5, "c": 0.25, "d": 0.0}
    for point, split in ((0.0, "a"), (0.25, "b"), (0.5, "b"), (0.75, "c"), (1.0, "c")):
        monkeypatch.setattr(splits_module, "compute_seed", lambda *_, p=point: p * (MAX_SEED + 1))
        assert splits_module.assign_split("p", 0, shares) == split
