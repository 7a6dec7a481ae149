"""Before a run: what `check` finds wrong with the inputs, and what `--dry-run` says is ahead."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import cyclorama
from cyclorama.generation import check
from cyclorama.generation import estimate as estimates
from cyclorama.generation.items import ItemSource
from cyclorama.generation.model import ModelHandle
from cyclorama.generation.scenes import build_registry
from cyclorama.generation.settings import GenerateConfig, InputSettings, RunConfig
from cyclorama.jobs.store import ShardStore
from drawn import save_product
from stand_in import StandIn, build_config, build_job, read_rows, run, write_manifest
from stand_in import shop as shop


def open_handle(folder: Path) -> ModelHandle:
    registry = StandIn().registry
    registry.add("perfume", ["scent"])
    (folder / "README.md").write_text("licence: cc-by-nc-4.0\n")
    return ModelHandle("stand-in", folder, "0" * 12, registry)


def test_faults_are_counted_with_their_first_examples(folder: Path) -> None:
    shutil.copy(folder / "p0.png", folder / "again.png")
    (folder / "text.png").write_text("hello")
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(folder / "bare.png")
    Image.new("L", (64, 64), 0).save(folder / "black.png")
    write_manifest(
        folder,
        [
            {"image": "p0.png", "licence": "MIT"},
            {"image": "again.png", "category": "scents", "licence": "MIT"},
            {"image": "text.png"},
            {"image": "bare.png", "licence": "unknown"},
            {"image": "p1.png", "mask": "black.png"},
            {"image": "p2.png", "category": "perfum"},
            {"image": "p3.png", "category": "perfum"},
            {"image": "gone.png"},
            {"image": "https://shop.example/a.png"},
        ],
    )
    hosts = InputSettings(allow_urls=("shop.example",))
    report = check.check_inputs(ItemSource(folder / "m.jsonl", hosts), open_handle(folder), examine=0)
    assert [report[name] for name in ("rows", "examined", "not_fetched", "problems")] == [9, 5, 1, 6]
    faults = {n: (f["count"], [e["row"] for e in f["examples"]]) for n, f in report["faults"].items()}
    assert faults == {
        "EmptyMaskError": (1, [5]),
        "ManifestError": (1, [8]),
        "MissingMaskError": (1, [4]),
        "UnknownCategoryError": (2, [6, 7]),
        "UnreadableImageError": (1, [3]),
    }
    assert report["categories"] == [
        {"given": "fruit", "used": "fruit", "source": "name", "rows": 5},
        {"given": "scents", "used": "perfume", "source": "plural", "rows": 1},
    ]
    assert report["unknown_categories"] == [{"given": "perfum", "rows": 2, "nearest": ["perfume"]}]
    assert report["duplicates"] == [{"rows": [1, 2], "names": ["p0.png", "again.png"]}]
    assert (report["model"]["restricted"], report["model"]["stated"]) == (True, True)
    assert [(entry["licence"], entry["rows"]) for entry in report["data_licences"]] == [
        ("MIT", 2), ("unknown", 1),
    ]  # fmt: skip
    text = check.format_report(report).splitlines()
    start = text.index(
        "9 rows, 6 of those looked at would fail; files of 5 rows opened, 1 rows' files lie elsewhere and "
        "were not fetched"
    )
    assert [line.split() for line in text[start + 3 : start + 6]] == [
        ["5", "fruit", "fruit", "name"],
        ["1", "scents", "perfume", "plural"],
        ["2", "perfum", "unknown", "nearest:", "perfume"],
    ]
    assert text[start + 8] == "        2  UnknownCategoryError"
    assert text[start + 9].startswith("           row 6, p2.png: unknown category 'perfum'")
    assert "        2  same image: p0.png, again.png" in text
    assert text[-3] == "model stand-in: licence cc-by-nc-4.0  << does not allow commercial use"
    assert text[-2:] == [
        "data: licence MIT, 2 rows",
        "data: licence unknown, 1 rows  << find out before commercial use",
    ]


def test_check_says_row_by_row_what_a_run_then_does(folder: Path) -> None:
    banana = Path(cyclorama.__file__).parent / "weights" / "demo" / "products" / "fruit" / "01.webp"
    cut = Image.open(banana)
    white = Image.new("RGB", cut.size, "white")
    white.paste(cut, (0, 0), cut)
    white.save(folder / "white.jpg")
    shutil.copy(banana, folder / "cut.webp")
    (folder / "text.jpg").write_text("hello")
    (folder / "empty.jpg").write_bytes(b"")
    Image.new("RGBA", (64, 64)).save(folder / "nothing.png")
    Image.new("L", (64, 64), 0).save(folder / "black.png")
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(folder / "bare.png")
    Image.new("RGB", (9, 9), "white").save(folder / "tiny.png")
    cut.save(folder / "turning.gif", save_all=True, append_images=[cut.rotate(90)])
    names = "cut.webp white.jpg p0.png text.jpg empty.jpg nothing.png bare.png tiny.png turning.gif gone.png"
    rows = [{"image": name, "category": "auto"} for name in names.split()]
    write_manifest(folder, [*rows, {"image": "p1.png"}, {"image": "p2.png", "mask": "black.png"}])
    model = StandIn(registry=build_registry())
    report = check.check_inputs(
        ItemSource(folder / "m.jsonl"), ModelHandle("stand-in", Path(), "0" * 12, model.registry)
    )
    run(folder, model=model)
    told = ("row", "category", "category_source", "category_match", "category_sure", "mask_source")
    done = [row | {"row": row["row"] + 1} for row in read_rows(folder)]
    assert [[e[name] for name in told] for e in report["looked_at"]] == [
        [row[name] for name in told] for row in done if row["status"] == "done"
    ]
    assert [e["category"] for e in report["looked_at"]] == ["fruit", "fruit", "studio", "fruit"]
    assert sorted(
        (e["row"], error, e["reason"]) for error, fault in report["faults"].items() for e in fault["examples"]
    ) == [(row["row"], row["error"], row["reason"]) for row in done if row["status"] == "failed"]
    assert [(e["given"], e["used"], e["source"], e["rows"]) for e in report["categories"]] == [
        ("fruit", "fruit", "name", 2), ("auto", "fruit", "image", 2), ("auto", "studio", "general", 1),
    ]  # fmt: skip
    lines = check.format_report(report).splitlines()
    assert any(
        line.startswith("        1  cut.webp   ") and "sure; cut out by alpha" in line for line in lines
    )


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


def test_canvases_that_the_format_cannot_hold_are_found(folder: Path) -> None:
    save_product(folder / "p0.png", 0, (64, 16_400))
    report = check.check_inputs(
        ItemSource(folder / "m.jsonl"), open_handle(folder), RunConfig(GenerateConfig(format="webp"))
    )
    assert {name: fault["count"] for name, fault in report["faults"].items()} == {"SettingsError": 1}


# --- what is ahead ---


def estimate(folder: Path, **values: Any) -> list[str]:
    model = StandIn(seconds=0.01)
    handle = ModelHandle("stand-in", Path(), "0" * 12, model.registry)
    ahead = estimates.estimate_run(
        ItemSource(folder / "m.jsonl"), folder / "out", handle, build_config(**values), lambda *_: model
    )
    return ahead.describe().splitlines()


def test_what_is_ahead_is_counted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_manifest(folder, [{"image": f"p{i}.png"} for i in range(7)] + [{"image": "gone.png"}])
    disk = SimpleNamespace(free=10**9)
    monkeypatch.setattr(estimates.shutil, "disk_usage", lambda path: disk)
    lines = estimate(folder, settings={"batch_size": 2, "candidates": 3})
    assert lines[0] == "8 rows: 0 in finished shards, 1 cannot be used (see `cyclorama check`)"
    assert lines[1] == "21 images to make in 2 shards"
    assert lines[2].startswith("about 0:00:")
    assert lines[2].endswith(" s an image, from a short trial)")
    assert lines[3].endswith("; 1.00 GB are free")
    assert len(lines) == 4
    assert not (folder / "out").exists()
    write_manifest(folder, [{"image": "gone.png"}])
    assert estimate(folder)[1:3] == [
        "0 images to make in 1 shards",
        "about 0:00:00 (0 s an image, from nothing to make)",
    ]
    write_manifest(folder, [{"image": "p0.png"}])
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


def test_a_rows_time_is_shared_among_its_images() -> None:
    marks = [{"done": 3, "images": 6, "files": [["a", 30], ["b", 10]], "model_seconds": 20.0}, None]
    marks.append({"done": 2, "images": 4, "files": [["c", 60]], "model_seconds": 10.0})
    store: Any = SimpleNamespace(
        load_values=lambda: {"settings": "these"}, list_shards=lambda: range(3), load_mark=marks.__getitem__
    )
    job: Any = SimpleNamespace(describe=lambda: "these", images_per_row=2)
    assert estimates._measure(job, store, True, lambda job: (0.0, 0.0)) == (3.0, 10.0, "5 finished rows")


def test_bytes_are_those_of_composites_on_every_canvas(folder: Path) -> None:
    def measure(**settings: Any) -> float:
        config = build_config({"batch_size": 2, **settings})
        job = build_job(folder, config)
        job, _ = estimates.plan_job(ItemSource(folder / "m.jsonl"), job, folder / "plan")
        return estimates.try_encoding(job)

    png = measure()
    assert 64 * 64 * 2 < png < 64 * 128 * 4
    both = measure(outputs=("source", "256x256"))
    assert both > png  # the mean of both canvases
    assert measure(format="jpeg") < png
    assert measure(layers="png") > 2 * png
    write_manifest(folder, [{"image": "https://shop.example/a.png"}, {"image": "gone.png"}])
    assert measure() == 2 * 1024 * 1024


@pytest.mark.parametrize(("rows", "candidates", "asked"), [(64, 1, 1), (65, 1, 8), (33, 2, 8)])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_trial_asks_for_the_batch_that_the_run_will_have(
    folder: Path, monkeypatch: pytest.MonkeyPatch, rows: int, candidates: int, asked: int, overwrite: bool
) -> None:
    (folder / "unet").mkdir()
    (folder / "unet/config.json").write_text('{"sample_size": 16}')
    write_manifest(folder, [{"image": f"p{i % 7}.png"} for i in range(rows)])
    tried: list[int | None] = []

    def measure(job: Any) -> tuple[int, float]:
        tried.append(job.config.settings.batch_size)
        return 1, 0.5

    monkeypatch.setattr(estimates, "measure_job", measure)
    if overwrite:  # the earlier run's size goes with its records
        values = {"model_hash": "0" * 12, "device": "cpu", "batch_size": 3}
        ShardStore(folder / "out").save_values(values)
    config = build_config({"batch_size": None, "candidates": candidates}, overwrite=overwrite)
    handle = ModelHandle("stand-in", folder, "0" * 12, StandIn().registry)
    ahead = estimates.estimate_run(ItemSource(folder / "m.jsonl"), folder / "out", handle, config)
    assert (ahead.images, ahead.seconds_an_image, tried) == (rows * candidates, 0.5, [asked])


def test_bytes_are_in_megabytes_below_one_gigabyte() -> None:
    assert estimates.format_bytes(999_000_000) == "999.00 MB"
    assert estimates.format_bytes(1e9) == "1.00 GB"
