"""Proves how a run goes through its tasks: counts, open shards, cut-outs and their table, orphans."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest

from cyclorama.errors import OutputError, SettingsError
from cyclorama.scenes import runner, shards
from cyclorama.scenes.compose import list_held_out
from cyclorama.scenes.items import RenderConfig, RenderedItem
from cyclorama.scenes.runner import count_one, list_open_shards, list_products, run_tasks, write_cutouts


@pytest.fixture(autouse=True)
def no_renderer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_REPORT", [])
    monkeypatch.setattr(runner, "load_mitsuba", lambda: None)


def test_tasks_in_this_process_are_counted_one_by_one() -> None:
    seen: list[int] = []
    run_tasks([count_one, count_one, count_one], 1, seen.append)
    assert seen == [1, 2, 3]
    run_tasks([count_one], 1, None)
    run_tasks([], 2, seen.append)  # nothing to do: no process is started
    assert seen == [1, 2, 3]


def test_a_worker_counts_for_its_run_and_ends_when_the_run_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(code: int) -> None:
        raise SystemExit(code)

    monkeypatch.setattr(os, "_exit", stop)
    counter = multiprocessing.get_context("spawn").Value("q", 0)
    runner._start_worker(counter, os.getppid())
    count_one()
    count_one()
    assert counter.value == 2
    runner._start_worker(counter, os.getppid() + 1)
    with pytest.raises(SystemExit, match="1"):
        count_one()
    assert counter.value == 2


def test_open_shards_are_those_without_all_their_items(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(shards, "render_item", lambda config, index: RenderedItem(f"k{index}", {}, {}))
    config = RenderConfig(seed=0, shard_size=2)
    assert list_open_shards(tmp_path, config, 5) == [(0, 2), (1, 2), (2, 1)]
    assert list_open_shards(tmp_path, config, 4) == [(0, 2), (1, 2)]
    assert list_open_shards(tmp_path, config, 1) == [(0, 1)]
    seen: list[int] = []
    assert runner.render_set(tmp_path, config, 3, 1, seen.append) == 3
    assert seen == [1, 2, 3]
    assert [item.key for item in shards.read_items(tmp_path)] == ["k0", "k1", "k2"]
    assert list_open_shards(tmp_path, config, 5) == [(1, 2), (2, 1)]
    assert runner.render_set(tmp_path, config, 3) == 0


def test_products_never_trained_on_come_first_and_all_may_be_asked_for() -> None:
    config = RenderConfig(seed=0, categories=("fruit", "mug"))
    chosen = list_products(config, 1024)
    assert len(set(chosen)) == 1024
    held_out = list_held_out("mug")
    assert [n for name, n in chosen if name == "mug"][: len(held_out)] == list(held_out)
    with pytest.raises(SettingsError, match="--count 1025 is above the 1024 products of 2 categories"):
        list_products(config, 1025)


def test_cutouts_are_written_once_and_listed(tmp_path: Path, monkeypatch) -> None:
    made: list[tuple[str, int, int, int]] = []

    def render(category, number: int, size: int, samples: int) -> bytes:
        made.append((category.name, number, size, samples))
        return b"png%d" % number

    monkeypatch.setattr(runner, "render_cutout", render)
    config = RenderConfig(seed=0, size=32, samples=9, categories=("milk carton", "mug"))
    first, second = list_held_out("milk carton")[0], list_held_out("mug")[0]
    third = list_held_out("milk carton")[1]
    assert write_cutouts(tmp_path, config, 2) == 2
    assert made == [("milk carton", first, 32, 9), ("mug", second, 32, 9)]
    seen: list[int] = []
    assert write_cutouts(tmp_path, config, 3, 1, seen.append) == 1
    assert seen == [1]
    names = [f"milk-carton/milk-carton-p{first:04d}.png", f"mug/mug-p{second:04d}.png"]
    names.append(f"milk-carton/milk-carton-p{third:04d}.png")
    kinds = ["milk carton", "mug", "milk carton"]
    rows = [f"{name},{kind}\n" for name, kind in zip(names, kinds, strict=True)]
    assert (tmp_path / "products.csv").read_text() == "image,category\n" + "".join(rows)
    assert (tmp_path / names[2]).read_bytes() == b"png%d" % third
    with pytest.raises(OutputError, match="products_only: True there, None asked"):
        runner.render_set(tmp_path, config, 1)
