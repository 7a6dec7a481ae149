"""A job of plain numbers: every shard once, whatever dies, stops or tears, with one worker or several."""

from __future__ import annotations

import os
import signal
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cyclorama.errors import ModelError, OutputError, SettingsError
from cyclorama.jobs.job import EngineSettings, Hooks, ShardReport
from cyclorama.jobs.run import run_shards
from cyclorama.jobs.store import ShardStore, compute_key, parse_entries

ITEMS = 4


@dataclass
class Counting:
    """Squares numbers, item by item; dies once at the item that ``deadly`` names."""

    job: SquareJob

    def process(self, shard: int, hooks: Hooks) -> ShardReport:
        store, made = ShardStore(self.job.out), 0
        with store.open_journal(shard) as journal:
            known = {entry["item"]: entry["square"] for entry in journal.entries}
            for item in range(shard * ITEMS, (shard + 1) * ITEMS):
                if hooks.stopping():
                    return ShardReport(shard, made=made, advanced=made, finished=False)
                if item in self.job.deadly and not (self.job.out / f"dead-{item}").exists():
                    (self.job.out / f"dead-{item}").touch()
                    os.kill(os.getpid(), signal.SIGKILL)
                if item in self.job.broken:
                    raise ModelError(f"no square of {item}")
                if item not in known:
                    journal.append({"item": item, "square": item * item})
                    known[item] = item * item
                    made += 1
                    hooks.advanced(1)
            rows = [{"item": item, "square": square} for item, square in sorted(known.items())]
            store.save_shard(shard, "k", rows, {"rows": ITEMS})
        return ShardReport(shard, done=ITEMS, reused=ITEMS - made, made=made, advanced=made)

    def close(self) -> None:
        (self.job.out / f"closed-{os.getpid()}").touch()


@dataclass(frozen=True)
class SquareJob:
    out: Path
    engine: EngineSettings = field(default_factory=EngineSettings)
    deadly: tuple[int, ...] = ()
    broken: tuple[int, ...] = ()
    parallel_steps: bool = False

    def open_worker(self, device: str, pool: Executor | None = None) -> Counting:
        return Counting(self)


def read(out: Path, shards: int) -> list[int]:
    return [row["square"] for shard in range(shards) for row in ShardStore(out).load_rows(shard)]


@pytest.mark.parametrize("workers", [1, 2])
def test_every_shard_is_done_once(tmp_path: Path, workers: int) -> None:
    job = SquareJob(tmp_path, EngineSettings(workers=workers))
    counts: list[int] = []
    totals: list[int] = []
    done = run_shards(job, dict.fromkeys(range(5), ITEMS), Hooks(totals.append, counts.append))
    assert (done.done, done.made, done.reused, totals, sum(counts)) == (20, 20, 0, [20], 20)
    assert read(tmp_path, 5) == [n * n for n in range(20)]
    assert len(list(tmp_path.glob("closed-*"))) == workers


def test_a_killed_worker_costs_nothing(tmp_path: Path) -> None:
    job = SquareJob(tmp_path, EngineSettings(workers=2), deadly=(6, 9))
    counts: list[int] = []
    done = run_shards(job, dict.fromkeys(range(4), ITEMS), Hooks(advanced=counts.append))
    assert (done.done, sum(counts)) == (16, 16)
    assert read(tmp_path, 4) == [n * n for n in range(16)]
    assert {path.name for path in tmp_path.glob("dead-*")} == {"dead-6", "dead-9"}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_named_error_ends_the_run_and_keeps_its_type(tmp_path: Path, workers: int) -> None:
    job = SquareJob(tmp_path, EngineSettings(workers=workers), broken=(5,))
    with pytest.raises(ModelError, match="no square of 5"):
        run_shards(job, dict.fromkeys(range(3), ITEMS), Hooks())


def test_a_stopped_run_goes_on_where_it_ended(tmp_path: Path) -> None:
    job, seen = SquareJob(tmp_path), [0]

    def count(number: int) -> None:
        seen[0] += number

    stopped = run_shards(
        job, dict.fromkeys(range(3), ITEMS), Hooks(advanced=count, stopping=lambda: seen[0] >= 6)
    )
    assert 6 <= stopped.made < 12
    open_shards = [shard for shard in range(3) if ShardStore(tmp_path).load_mark(shard) is None]
    assert open_shards
    rest = run_shards(job, dict.fromkeys(open_shards, ITEMS), Hooks())
    assert rest.made == 12 - stopped.made
    assert read(tmp_path, 3) == [n * n for n in range(12)]


@pytest.mark.parametrize("torn", ["last", "middle", "joined"])
def test_a_torn_journal_line_costs_one_item(tmp_path: Path, torn: str) -> None:
    store = ShardStore(tmp_path)
    path = store.get_journal(0)
    with store.open_journal(0) as journal:
        for row in (1, 2, 3):
            journal.append({"row": row})
    lines = path.read_bytes().splitlines(keepends=True)
    if torn == "last":
        lines[2] = lines[2][:-4]
    elif torn == "middle":
        lines[1] = lines[1][:5] + b"\n"
    else:  # half a line, and the next one behind it
        lines[1:] = [lines[1][:5] + lines[2]]
    path.write_bytes(b"".join(lines))
    expected = {"last": [1, 2], "middle": [1, 3], "joined": [1]}[torn]
    with store.open_journal(0) as journal:
        assert [entry["row"] for entry in journal.entries] == expected
        journal.append({"row": 9})
        with pytest.raises(OutputError, match="another run"), store.open_journal(0, patience=0.1):
            pass
    assert [entry["row"] for entry in parse_entries(path.read_bytes())] == [*expected, 9]


def test_a_shard_counts_as_finished_by_its_mark_and_key(tmp_path: Path) -> None:
    store = ShardStore(tmp_path)
    rows = [{"b": 1, "a": "ä"}, {"a": None}]
    with store.open_journal(2) as journal:
        journal.append({"row": 0})
        store.save_shard(2, "key", rows, {"failed": 1})
    assert store.load_mark(2) == {"key": "key", "failed": 1}
    assert store.load_mark(2, "key") == {"key": "key", "failed": 1}
    assert store.load_mark(2, "other") is None
    assert (store.load_rows(2), store.list_shards()) == (rows, [2])
    with store.open_journal(2):
        assert store.load_mark(2) is None  # in work again
    store.drop_shards_from(2)
    assert (store.load_rows(2), store.list_shards()) == ([], [])


def test_a_second_run_and_foreign_results_are_refused(tmp_path: Path) -> None:
    store = ShardStore(tmp_path / "out")
    with store.lock(("images",)), pytest.raises(OutputError, match="another run"), store.lock():
        pass
    (tmp_path / "out/images").mkdir()
    (tmp_path / "out/images/mine.png").touch()
    with pytest.raises(OutputError, match="holds files that no run recorded"), store.lock(("images",)):
        pass
    store.save_values({"a": 1})
    with store.lock(("images",)):
        assert store.load_values() == {"a": 1}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"workers": 0}, "workers: must be from 1 to 1024, got 0"),
        ({"engine": "slurm"}, "engine: must be 'in-process' or 'ray', got 'slurm'"),
        ({"address": "here:6379"}, "--address is for --engine ray"),
        ({"shard_size": 100_000}, "shard_size: must be from 1 to 65536, got 100000"),
    ],
)
def test_settings_outside_their_limits_are_named(values: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        EngineSettings(**values)


def test_keys_do_not_depend_on_the_order_of_their_parts() -> None:
    assert compute_key({"a": 1, "b": [2]}) == compute_key({"b": [2], "a": 1})
    assert compute_key({"a": 1}) != compute_key({"a": 2})
    assert len(compute_key({})) == 32
