"""Shards in work (``cyclorama.jobs.in_process``): what is sent, told and left at a stop."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from cyclorama.jobs import in_process
from cyclorama.jobs.job import SHARDS_AT_A_TIME, EngineSettings, Hooks, ShardReport


def test_no_shard_waits_in_the_pool_when_a_run_is_stopped() -> None:
    stopped, seen = threading.Event(), []
    together = threading.Barrier(SHARDS_AT_A_TIME, timeout=10)

    def process(shard: int, hooks: Hooks) -> ShardReport:
        seen.append(shard)
        if shard < SHARDS_AT_A_TIME:
            together.wait()
            time.sleep(0.05)  # the run has handed out all it will
            stopped.set()
        return ShardReport(shard, done=1)

    worker: Any = SimpleNamespace(process=process)
    reports = list(in_process._work_overlapping(worker, range(5), Hooks(stopping=stopped.is_set)))
    assert sorted(seen) == sorted(report.shard for report in reports) == list(range(SHARDS_AT_A_TIME))


def test_what_a_worker_sends_is_counted_given_on_or_raised() -> None:
    counts: list[int] = []
    job: Any = SimpleNamespace(engine=EngineSettings(device="cpu"))
    team = in_process._Team(job, 1, Hooks(advanced=counts.append))
    report = ShardReport(7, done=2)
    sent = [("advanced", 3), ("report", report), ("error", ValueError("broken"))]
    connection: Any = SimpleNamespace(recv=lambda: sent.pop(0))
    member = in_process._Member(None, connection, "cpu", {7, 8})
    assert team._receive(member) is None and counts == [3] and member.shards == {7, 8}
    assert team._receive(member) is report and member.shards == {8}
    with pytest.raises(ValueError, match="broken"):
        team._receive(member)
    assert counts == [3]


@pytest.mark.parametrize("stop", [False, True])
def test_a_worker_answers_every_shard_it_is_sent(stop: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_process.signal, "signal", lambda *_: None)
    orders: list[tuple[Any, ...]] = [*([("stop",)] if stop else []), ("shard", 4), ("shard", 9), ("end",)]
    told: list[tuple[str, Any]] = []
    closed: list[bool] = []

    def process(shard: int, hooks: Hooks) -> ShardReport:
        hooks.advanced(shard)
        return ShardReport(shard, done=1)

    def open_worker(device: str) -> Any:
        return SimpleNamespace(process=process, close=lambda: closed.append(True))

    job: Any = SimpleNamespace(engine=EngineSettings(), open_worker=open_worker)
    connection: Any = SimpleNamespace(recv=lambda: orders.pop(0), send=told.append)
    in_process._serve(job, "cpu", connection)
    reports = [value for kind, value in told if kind == "report"]
    assert sorted((r.shard, r.finished) for r in reports) == [(4, not stop), (9, not stop)]
    assert sorted(value for kind, value in told if kind == "advanced") == ([] if stop else [4, 9])
    assert closed == [True]


def test_all_are_told_to_stop_before_any_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    now, said = [100.0], list[tuple[Any, ...]]()
    monkeypatch.setattr(in_process.time, "monotonic", lambda: now[0])

    def build_member(name: str, busy: bool) -> Any:
        living = [busy]

        def join(timeout: float | None = None) -> None:
            said.append((name, "join", timeout))
            now[0] += 6 if timeout and living[0] else 0

        process = SimpleNamespace(join=join, is_alive=lambda: living[0], terminate=lambda: living.clear())
        connection = SimpleNamespace(send=lambda order: said.append((name, *order)), close=lambda: None)
        return in_process._Member(process, connection, "cpu")  # type: ignore[arg-type]

    job: Any = SimpleNamespace(engine=EngineSettings(device="cpu"))
    team = in_process._Team(job, 1, Hooks())
    team._members = [build_member(name, name != "c") for name in "abcd"]
    team._dismiss()
    orders = [(name, order) for name in "abcd" for order in ("stop", "end")]
    assert said[:8] == orders
    waits = [(one[0], one[2]) for one in said[8:] if one[2] is not None]
    assert waits == [("a", 10.0), ("b", 4.0), ("c", 0.0), ("d", 0.0)]
