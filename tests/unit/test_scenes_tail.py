"""Proves which category an item shows: all in turn, or by the long-tailed law."""

from __future__ import annotations

import bisect
import hashlib
import itertools
from collections import Counter

import numpy as np
import pytest

from cyclorama.errors import SettingsError
from cyclorama.scenes.grammar.reader import NAMES
from cyclorama.scenes.items import RenderConfig, compute_tail_shares, place_item, select_category

CATEGORY_COUNT = 27


def count_places(seed: int, items: int, long_tail: bool = True) -> list[int]:
    places = Counter(place_item(seed, i, CATEGORY_COUNT, long_tail)[0] for i in range(items))
    return [places[k] for k in range(CATEGORY_COUNT)]


def test_shares_follow_a_power_law_and_sum_to_one() -> None:
    shares = compute_tail_shares(CATEGORY_COUNT)
    assert shares.sum() == pytest.approx(1.0)
    slope = np.diff(np.log(shares)) / np.diff(np.log(np.arange(1, CATEGORY_COUNT + 1)))
    assert slope == pytest.approx(-1.5)
    assert compute_tail_shares(1).tolist() == [1.0]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_at_the_papers_mean_count_its_shares_of_large_and_small_categories_appear(seed: int) -> None:
    counts = count_places(seed, 31 * CATEGORY_COUNT)
    assert counts == pytest.approx(31 * CATEGORY_COUNT * compute_tail_shares(CATEGORY_COUNT), abs=3)
    assert sum(n > 100 for n in counts) == 2  # 7 % of 27; the paper: about 6 %
    assert 0.5 < sum(n < 10 for n in counts) / CATEGORY_COUNT < 0.7  # the paper: over half
    assert min(counts) >= 1


def test_every_stretch_of_a_run_keeps_the_law() -> None:
    first, more = count_places(5, 400), count_places(5, 800)
    later = np.array(more) - np.array(first)
    assert later == pytest.approx(400 * compute_tail_shares(CATEGORY_COUNT), abs=3)


@pytest.mark.parametrize("long_tail", [False, True])
def test_the_turn_counts_the_earlier_items_of_the_category(long_tail: bool) -> None:
    seen: Counter[int] = Counter()
    for index in range(300):
        place, turn = place_item(9, index, CATEGORY_COUNT, long_tail)
        assert turn == seen[place]
        seen[place] += 1


def test_without_a_long_tail_all_categories_take_turns() -> None:
    assert count_places(3, 2 * CATEGORY_COUNT, long_tail=False) == [2] * CATEGORY_COUNT
    names = [select_category(RenderConfig(seed=3), i)[0].name for i in range(len(NAMES))]
    assert names == list(NAMES)


def test_the_list_of_categories_is_the_order_of_frequency() -> None:
    config = RenderConfig(seed=0, categories=("mug", "fruit", "camera"), long_tail=True)
    counts = Counter(select_category(config, i)[0].name for i in range(100))
    assert [name for name, _ in counts.most_common()] == ["mug", "fruit", "camera"]
    with pytest.raises(SettingsError, match="no category 'tank'"):
        RenderConfig(seed=0, categories=("tank",), long_tail=True)


def test_places_are_those_of_the_golden_ratio_sequence() -> None:
    start = int.from_bytes(hashlib.sha256(b"tail\x1f4").digest()[:8], "big") // 2 / 2**63
    weights = [place**-1.5 for place in range(1, CATEGORY_COUNT + 1)]
    ends = list(itertools.accumulate(w / sum(weights) for w in weights))
    seen: Counter[int] = Counter()
    for index in range(200):
        place = bisect.bisect(ends, (start + (5**0.5 - 1) / 2 * index) % 1)
        assert place_item(4, index, CATEGORY_COUNT, True) == (place, seen[place])
        seen[place] += 1
