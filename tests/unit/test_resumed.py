"""Runs that go on where an earlier one ended: when they stop, what is tried again, what is kept,
and in how much memory."""

from __future__ import annotations

import json
import time
import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cyclorama.errors import OutputError
from cyclorama.generation import worker
from cyclorama.generation.run import note_moved_rows
from cyclorama.jobs.job import Hooks
from cyclorama.jobs.store import ShardStore, name_moved
from stand_in import count_held_marks, read_stable, run, write_manifest
from stand_in import shop as shop


def write_rows(folder: Path, numbers: Any) -> None:
    write_manifest(folder, [{"image": f"p{i}.png"} for i in numbers])


# --- failed rows ---


@pytest.fixture(name="away")
def refuse_products(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names of inputs that cannot be loaded as long as they are in here."""
    away: set[str] = set()
    load = worker.load_product

    def refuse(job: Any, row: Any, files: Any) -> Any:
        if row.name in away:
            raise OSError("the network drive was away")
        return load(job, row, files)

    monkeypatch.setattr(worker, "load_product", refuse)
    return away


@pytest.mark.parametrize("change", ["row appended", "row changed", "image gone", "shard size", "nothing"])
def test_failed_rows_are_tried_again_whatever_else_has_changed(
    folder: Path, away: set[str], change: str
) -> None:
    one: dict[str, Any] = {"settings": {"batch_size": 1}}
    write_rows(folder, range(3))
    away.add("p1.png")
    first, _ = run(folder, **one)
    assert (first.done, first.failed) == (2, 1)
    away.clear()
    if change == "row appended":
        write_rows(folder, range(4))
    elif change == "row changed":
        write_manifest(folder, [{"image": f"p{i}.png", **({"seed": 5} if i == 2 else {})} for i in range(3)])
    elif change == "image gone":
        (folder / "out/images/p2.png").unlink()
    values = one | ({"shard_size": 2} if change == "shard size" else {})
    again, _ = run(folder, retry="failed", **values)
    assert (again.failed, again.finished) == (0, True)
    run(folder, "fresh", **values)
    assert read_stable(folder / "out") == read_stable(folder / "fresh")


def test_an_interrupted_run_that_goes_on_tries_its_failed_rows_again(folder: Path, away: set[str]) -> None:
    away.add("p0.png")
    seen: list[int] = []
    hooks = Hooks(advanced=seen.append, stopping=lambda: sum(seen) >= 2)
    values: dict[str, Any] = {"settings": {"batch_size": 1}, "shard_size": 7}
    broken, _ = run(folder, hooks=hooks, **values)
    assert (broken.finished, broken.failed) == (False, 1)
    away.clear()
    again, _ = run(folder, retry="failed", **values)
    assert (again.finished, again.done, again.failed) == (True, 7, 0)
    run(folder, "fresh", **values)
    assert read_stable(folder / "out") == read_stable(folder / "fresh")


# --- rows that other shards have ---


def count_moved(folder: Path) -> dict[str, int]:
    files = sorted((folder / "out/journal/work").glob("moved*"))
    return {path.name: len(json.loads(path.read_text())["rows"]) for path in files}


def test_moved_rows_are_noted_once_however_often_a_run_starts(folder: Path) -> None:
    run(folder, shard_size=7)
    for _ in range(4):
        result, _ = run(folder, shard_size=2, hooks=Hooks(stopping=lambda: True))
        assert result.made == 0
        assert count_moved(folder) == {"moved-000001.json": 2, "moved-000002.json": 2, "moved-000003.json": 1}
    result, model = run(folder, shard_size=2)
    assert (result.finished, result.made, model.calls) == (True, 0, [])


def test_a_start_killed_while_it_notes_rows_costs_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(folder, shard_size=7)
    save = ShardStore.save_values

    def die(self: ShardStore, values: Any, name: str = "run.json") -> None:
        if name == name_moved(2):
            raise KeyboardInterrupt
        save(self, values, name)

    monkeypatch.setattr(ShardStore, "save_values", die)
    with pytest.raises(KeyboardInterrupt):
        run(folder, shard_size=2)
    monkeypatch.undo()
    result, model = run(folder, shard_size=2)
    assert (result.finished, result.made, model.calls) == (True, 0, [])
    assert not (folder / "out/journal/moving").exists()


def test_rows_are_told_apart_by_canvas_and_language(tmp_path: Path) -> None:
    store, plan = ShardStore(tmp_path), SimpleNamespace(read_keys=lambda shard: ["a"] if shard == 1 else [])
    rows = [{"plan_key": "a", "size": size, "language": said} for size in ("s", "l") for said in ("en", "de")]
    store.save_shard(0, "k", rows, {})
    for _ in "ab":
        note_moved_rows(store, plan, [0, 1], set())  # type: ignore[arg-type]
        assert store.load_values(name_moved(1)) == {"rows": rows}


def measure_notes(out: Path, shards: int) -> int:
    """Bytes held at most while half of all rows are noted, twice."""
    store, size = ShardStore(out), 16
    keys = [f"{row:032x}" for row in range(shards * size)]
    for shard in range(shards):
        own = keys[shard * size : (shard + 1) * size]
        store.save_shard(shard, "k", [{"plan_key": key, "long": ["x"] * 1000} for key in own], {})
    order = keys[-size // 2 :] + keys[: -size // 2]
    plan: Any = SimpleNamespace(read_keys=lambda shard: order[shard * size : (shard + 1) * size])
    tracemalloc.start()
    for _ in "ab":
        note_moved_rows(store, plan, range(shards), set())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    moved = [store.load_values(name_moved(shard))["rows"] for shard in range(shards)]
    assert [row["plan_key"] for rows in moved for row in rows] == [
        key for shard in range(shards) for key in order[shard * size :][: size // 2]
    ]
    return peak


def test_no_more_than_a_shard_of_moved_rows_is_held(tmp_path: Path) -> None:
    assert measure_notes(tmp_path / "many", 48) < 1.5 * measure_notes(tmp_path / "few", 8)


def test_marks_are_read_one_by_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = count_held_marks(monkeypatch)
    result, _ = run(folder, shard_size=1)
    assert (result.done, result.finished) == (7, True)
    assert len(held) >= 14 and max(held) <= 1


# --- stops ---


def test_a_stop_ends_the_fetching_of_inputs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_rows(folder, [i % 7 for i in range(64)])
    inspect, seen = worker.inspect_row, list[int]()

    def look(job: Any, row: Any, scratch: Path) -> Any:
        seen.append(row.row)
        time.sleep(0.02)
        return inspect(job, row, scratch)

    monkeypatch.setattr(worker, "inspect_row", look)
    hooks = Hooks(stopping=lambda: len(seen) >= 8)
    result, model = run(folder, shard_size=64, hooks=hooks, loaders=2)
    assert (result.finished, result.made, model.calls) == (False, 0, [])
    assert len(seen) < 32
    monkeypatch.undo()
    run(folder, shard_size=64)
    run(folder, "fresh", shard_size=64)
    assert read_stable(folder / "out") == read_stable(folder / "fresh")


def test_a_disk_that_refuses_ends_the_fetching_of_inputs(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_rows(folder, [i % 7 for i in range(64)])
    seen: list[int] = []

    def look(job: Any, row: Any, scratch: Path) -> Any:
        seen.append(row.row)
        time.sleep(0.02)
        raise OutputError("disk full")

    monkeypatch.setattr(worker, "inspect_row", look)
    with pytest.raises(OutputError, match="disk full"):
        run(folder, shard_size=64, loaders=2)
    assert len(seen) < 32
