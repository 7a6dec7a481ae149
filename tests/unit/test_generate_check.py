"""Before a run: what `check` finds wrong with the inputs, and what `--dry-run` says is ahead."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cyclorama.generation import check
from cyclorama.generation.items import ItemSource
from cyclorama.generation.model import ModelHandle
from drawn import save_product
from stand_in import StandIn, build_config, build_job, run, write_manifest
from stand_in import shop as shop


def open_handle(folder: Path) -> ModelHandle:
    registry = StandIn().registry
    registry.add("perfume", ["scent"])
    (folder / "README.md").write_text("licence: cc-by-nc-4.0\n")
    return ModelHandle("stand-in", folder, "0" * 12, registry)


@pytest.mark.parametrize(("examine", "opened"), [(0, 7), (2, 3), (7, 7), (100, 7)])
def test_so_many_rows_are_opened_evenly_spread(folder: Path, examine: int, opened: int) -> None:
    report = check.check_inputs(ItemSource(folder / "m.jsonl"), open_handle(folder), examine=examine)
    assert (report["examined"], report["problems"], report["duplicates"]) == (opened, 0, [])


def test_no_more_than_twenty_lines_and_examples_of_a_kind(folder: Path) -> None:
    write_manifest(folder, [{"image": "p0.png", "category": f"wonder {n}"} for n in range(25)])
    report = check.check_inputs(ItemSource(folder / "m.jsonl"), open_handle(folder))
    (fault,) = report["faults"].values()
    assert (fault["count"], len(fault["examples"])) == (25, check.SHOWN)
    assert check.format_report(report).count("unknown") - check.format_report(report).count("unknown c") == 20
    many = report | {"categories": [{"given": None, "used": "fruit", "source": "default", "rows": 1}] * 23}
    assert "           and 3 more" in check.format_report(many).splitlines()


# --- what is ahead ---


def estimate(folder: Path, **values: Any) -> list[str]:
    model = StandIn(seconds=0.01)
    handle = ModelHandle("stand-in", Path(), "0" * 12, model.registry)
    text = check.estimate_run(
        ItemSource(folder / "m.jsonl"), folder / "out", handle, build_config(**values), lambda *_: model
    )
    return text.splitlines()


def test_what_is_ahead_is_counted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_manifest(folder, [{"image": f"p{i}.png"} for i in range(7)] + [{"image": "gone.png"}])
    disk = SimpleNamespace(free=10**9)
    monkeypatch.setattr(check.shutil, "disk_usage", lambda path: disk)
    lines = estimate(folder, settings={"batch_size": 2, "candidates": 3})
    assert lines[0] == "8 rows: 0 in finished shards, 1 cannot be used (see `cyclorama check`)"
    assert lines[1] == "21 images to make in 2 shards"
    assert lines[2].startswith("about 0:00:")
    assert lines[2].endswith(" s an image, from a short trial)")
    assert lines[3].endswith("; 1.00 GB are free")
    assert len(lines) == 4
    assert not (folder / "out").exists()
    disk.free = 1000
    assert estimate(folder)[4:] == [
        "the disk is too small: the run would stop when it is full, and go on with more room"
    ]


def test_finished_shards_tell_the_time_and_bytes_of_the_rest(folder: Path) -> None:
    run(folder, settings={"batch_size": 2})
    store = folder / "out/journal/shards"
    mark = json.loads((store / "shard-000000.done.json").read_text())
    other = json.loads((store / "shard-000001.done.json").read_text())
    whole = estimate(folder)
    assert whole[0].startswith("7 rows: 7 in finished shards, 0 cannot be used")
    assert whole[1:3] == ["0 images to make in 0 shards", whole[2]]
    for values, seconds in ((mark, 6000.0), (other, 1000.0)):
        values["model_seconds"] = seconds
    (store / "shard-000000.done.json").write_text(json.dumps(mark))
    (store / "shard-000001.done.json").write_text(json.dumps(other))
    save_product(folder / "p9.png", 9)
    write_manifest(folder, [{"image": f"p{i}.png"} for i in (0, 1, 2, 3, 4, 5, 6, 9)])
    lines = estimate(folder)
    size = sum(count for values in (mark, other) for _, count in values["files"])
    assert lines[0].startswith("8 rows: 4 in finished shards, 0 cannot")
    assert lines[1] == "1 images to make in 1 shards"  # the other three rows of that shard stay
    assert lines[2] == "about 0:16:40 (1e+03 s an image, from 7 finished rows)"
    assert lines[3].startswith(f"about {size / 7 / 1e6:.2f} MB of disk")


def test_bytes_are_those_of_composites_on_every_canvas(folder: Path) -> None:
    def measure(**settings: Any) -> float:
        config = build_config({"batch_size": 2, **settings})
        job = build_job(folder, config)
        job, _ = check.plan_job(ItemSource(folder / "m.jsonl"), job, folder / "plan")
        return check.try_encoding(job)

    png = measure()
    assert 64 * 64 * 2 < png < 64 * 128 * 4
    both = measure(outputs=("source", "256x256"))
    assert both > png  # the mean of both canvases
    assert measure(format="jpeg") < png
    assert measure(layers="png") > 2 * png
    write_manifest(folder, [{"image": "https://shop.example/a.png"}, {"image": "gone.png"}])
    assert measure() == 2 * 1024 * 1024


def test_bytes_are_in_megabytes_below_one_gigabyte() -> None:
    assert check.format_bytes(999_000_000) == "999.00 MB"
    assert check.format_bytes(1e9) == "1.00 GB"
