"""A worker's shard on a stand-in model: thumbnails, times, threads, stops, notes and what is counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cyclorama.generation import worker
from cyclorama.generation.worker import SHOWN_ROWS, ImageWorker
from stand_in import StandIn, build_config, build_job, read_rows, run
from stand_in import shop as shop


def list_thumbnails(folder: Path, out: str = "out") -> dict[str, list[str]]:
    return {
        kind.name: sorted(path.name for path in kind.iterdir())
        for kind in sorted((folder / out / "journal/thumbs").iterdir())
    }


def test_every_candidate_has_its_thumbnail_and_every_row_one_of_its_product(folder: Path) -> None:
    run(folder, settings={"batch_size": 2, "candidates": 2, "outputs": ("64x64", "128x64")})
    endings = [f"{layout}-c{k}" for layout in ("128x64", "64x64") for k in (1, 2)]
    assert list_thumbnails(folder) == {
        "products": [f"p{i}.webp" for i in range(7)],
        "results": [f"p{i}.{ending}.webp" for i in range(7) for ending in endings],
    }
    assert (folder / "out/index.html").read_text().count("journal/thumbs/results/p0.64x64-c2.webp") == 1


@pytest.mark.parametrize(("shown", "count"), [(0, 0), (1, 1), (6, 6), (7, 7)])
def test_thumbnails_are_made_of_the_sheets_rows_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch, shown: int, count: int
) -> None:
    assert SHOWN_ROWS == 1000
    monkeypatch.setattr(worker, "SHOWN_ROWS", shown)
    run(folder)
    assert len(list((folder / "out").glob("journal/thumbs/results/*"))) == count


def test_threads_of_batches_follow_from_what_is_in_flight(folder: Path) -> None:
    for in_flight in (1, 3):
        made = ImageWorker(build_job(folder, build_config(in_flight=in_flight)), "cpu")
        assert made.batches._max_workers == worker.SHARDS_AT_A_TIME * in_flight
        assert made.busy_seconds == 0.0
        made.close()


class Run:
    """A shard of a run, all but its steps left out."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.clock, self.made = [100.0], ImageWorker(build_job(folder, build_config()), "cpu")
        monkeypatch.setattr(worker.time, "perf_counter", lambda: self.clock[0])
        monkeypatch.setattr(worker, "_ShardRun", lambda *given: self)
        monkeypatch.setattr(ImageWorker, "busy_seconds", property(lambda made: self.clock[0] / 4))

    def work(self) -> Any:
        self.clock[0] += 8.0
        return worker.ShardReport(0, done=1)

    def process(self) -> tuple[float, float]:
        report = self.made.process(0, worker.Hooks())
        return report.wall_seconds, report.busy_seconds


def test_a_shards_time_counts_from_its_begin(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shard = Run(monkeypatch, folder)
    assert shard.process() == (8.0, 2.0)
    shard.clock[0] += 50.0  # idle in between
    assert shard.process() == (8.0, 2.0)
    shard.made._active += 1  # another shard is at work since the last report
    shard.clock[0] += 4.0
    assert shard.process() == (12.0, 3.0)
    assert shard.made._active == 1
    shard.made.close()


def test_a_report_counts_rows_and_images(folder: Path) -> None:
    (folder / "p1.png").write_bytes(b"torn")
    (folder / "p2.png").unlink()
    result, model = run(folder, settings={"batch_size": 2, "candidates": 2})
    assert (result.done, result.failed, result.made) == (5, 2, 10)
    assert sum(model.calls) == 10
    assert [row["status"] for row in read_rows(folder)] == ["done", "failed", "failed", *["done"] * 4]


def test_a_lack_of_memory_is_noted_and_nothing_else(folder: Path) -> None:
    for room, said in ((2, []), (1, ["memory ran out: batches of 1 instead of 2"])):
        notes: list[str] = []
        run(folder, f"{room}", StandIn(room=room), worker.Hooks(noted=notes.append), shard_size=7)
        assert notes == said


def test_no_more_batches_fly_than_are_asked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flying, most = 0, [0]
    collect, make = worker._ShardRun._collect, worker.ThreadPoolExecutor.submit

    def submit(pool: Any, function: Any, *given: Any) -> Any:
        nonlocal flying
        if getattr(function, "__name__", "") == "_make_batch":
            flying += 1
            most.append(flying)
        return make(pool, function, *given)

    def count(shard: Any, *given: Any) -> None:
        nonlocal flying
        flying -= 1
        collect(shard, *given)

    monkeypatch.setattr(worker.ThreadPoolExecutor, "submit", submit)
    monkeypatch.setattr(worker._ShardRun, "_collect", count)
    for in_flight in (1, 2, 3):
        most.clear()
        run(folder, f"{in_flight}", settings={"batch_size": 1}, in_flight=in_flight, shard_size=7)
        assert max(most) == in_flight


def test_a_product_is_let_go_with_its_last_image(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[int] = []
    collect = worker._ShardRun._collect

    def watch(shard: Any, *given: Any) -> None:
        collect(shard, *given)
        kept.append(len(shard.loads))

    monkeypatch.setattr(worker._ShardRun, "_collect", watch)
    settings = {"batch_size": 1, "candidates": 2}
    run(folder, settings=settings, in_flight=1, shard_size=7)
    assert kept == [1, 0] * 7
