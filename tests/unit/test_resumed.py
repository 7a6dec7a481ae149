"""Runs that go on where an earlier one ended: what is tried again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cyclorama.generation import worker
from cyclorama.jobs.job import Hooks
from stand_in import read_stable, run, write_manifest
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
