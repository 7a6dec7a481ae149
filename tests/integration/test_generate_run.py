"""The command ``generate`` over a table, end to end on a tiny model: workers, kills, retries, check."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from cyclorama import cli
from cyclorama.generation import run as run_module
from cyclorama.generation import worker as worker_module
from cyclorama.generation.gate_settings import GateThresholds
from cyclorama.generation.results import read_status
from cyclorama.generation.run import RunResult
from cyclorama.generation.settings import RunConfig
from drawn import save_product
from quick_learned import run_quick
from stops import ask_to_stop

QUICK = Path(__file__).parents[1] / "quick_learned.py"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of products, some of them broken, and its manifest of 14 rows."""
    folder = tmp_path_factory.mktemp("shop")
    rows: list[dict[str, Any]] = []
    for i in range(6):
        save_product(folder / f"p{i}.png", i, (72, 64) if i % 2 else (64, 96))
        rows.append({"image": f"p{i}.png", "category": "fruit"})
    save_product(folder / "sub/p0.png", 10)
    save_product(folder / "grün/香水.png", 11)
    texture = np.random.default_rng(12).integers(0, 256, (80, 100, 3), dtype=np.uint8)
    Image.fromarray(texture).save(folder / "brand.jpg")
    whole = (folder / "p1.png").read_bytes()
    (folder / "truncated.png").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.png").write_bytes(b"")
    (folder / "wrong.jpg").write_bytes(whole)
    rows[2]["reference"] = rows[3]["reference"] = "brand.jpg"
    rows += [
        {"image": "sub/p0.png", "category": "perfume"},
        {"image": "grün/香水.png", "category": "Beauty > Perfume"},
        {"image": "truncated.png", "category": "fruit"},
        {"image": "empty.png", "category": "fruit"},
        {"image": "missing.png", "category": "fruit"},
        {"image": "p1.png", "category": "sofa"},
        {"image": "p1.png", "category": "fruit", "seed": 3},
        {"image": "wrong.jpg", "category": "fruit"},
    ]
    (folder / "m.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return folder


FAILED = {
    8: "UnreadableImageError", 9: "UnreadableImageError", 10: "ManifestError", 11: "UnknownCategoryError",
}  # fmt: skip


def call(*arguments: object) -> int:
    return cli.main([*map(str, arguments)])


def run(manifest: Path, out: Path, model: Path, *more: object) -> int:
    common = ["--model", model, "--steps", 2, "--device", "cpu", "--shard-size", 4, "--quiet", "--threads", 1]
    more = more if "--batch-size" in more else (*more, "--batch-size", 8)
    return call("generate", manifest, "--out", out, *common, *more)


def read_rows(out: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(out / "results.parquet").to_pylist()
    return rows


def read_stable(out: Path) -> dict[str, bytes]:
    files = [out / "results.parquet", out / "results.jsonl"]
    for part in ("images", "webdataset"):
        files += sorted(p for p in (out / part).rglob("*") if p.is_file())
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in files}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Equal bytes are promised for equal threads; the killed processes have one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def whole(shop: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of an undisturbed run with one worker."""
    out = tmp_path_factory.mktemp("whole") / "out"
    assert run(shop / "m.jsonl", out, model) == 1
    return out


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in is the model, whose images show what was drawn together."""
    monkeypatch.setattr(run_module, "run_images", run_quick)


@pytest.fixture(scope="module")
def quick_whole(shop: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of an undisturbed run of the stand-in with one worker."""
    out = tmp_path_factory.mktemp("quick") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_module, "run_images", run_quick)
        assert run(shop / "m.jsonl", out, model) == 1
    return out


def test_rows_in_are_rows_out(whole: Path, shop: Path) -> None:
    rows = read_rows(whole)
    assert [row["row"] for row in rows] == list(range(14))
    assert {row["row"]: row["error"] for row in rows if row["status"] == "failed"} == FAILED
    assert all(row["reason"] for row in rows if row["status"] == "failed")
    done = [row for row in rows if row["status"] == "done"]
    assert all(row["exact"] and row["max_difference"] == 0 and row["opaque_pixels"] > 100 for row in done)
    assert [row["output"] for row in done[5:]] == [
        "images/p5.png", "images/sub/p0.png", "images/grün/香水.png", "images/p1-3.png",
        "images/wrong.png",
    ]  # fmt: skip
    assert (rows[7]["category"], rows[7]["category_source"]) == ("perfume", "path, name")
    lines = [json.loads(line) for line in (whole / "results.jsonl").read_text().splitlines()]
    for line, row in zip(lines, rows, strict=True):
        nested = {
            name: json.loads(row[name]) for name in ("images", "settings", "notes") if row[name] is not None
        }
        assert line == {name: value for name, value in (row | nested).items() if value is not None}


def test_an_image_made_with_others_is_nearly_that_made_alone(
    whole: Path, shop: Path, model: Path, tmp_path: Path
) -> None:
    """Within 2 of 255; in batches of one, bit for bit."""
    one = tmp_path / "one"
    assert run(shop / "m.jsonl", one, model, "--batch-size", 1) == 1
    made = {p.relative_to(one): p for p in (one / "images").rglob("*.png")}
    assert {p.relative_to(whole) for p in (whole / "images").rglob("*.png")} == set(made)
    assert {row["batch_places"] for row in read_rows(one)} == {None, 1}
    assert max(row["batch_places"] or 0 for row in read_rows(whole)) > 1
    for name, path in made.items():
        with Image.open(path) as alone, Image.open(whole / name) as together:
            difference = np.asarray(alone, np.int16) - np.asarray(together, np.int16)
        assert np.abs(difference).max() <= 2, name
    single = tmp_path / "single"
    assert run(shop / "p0.png", single, model, "--batch-size", 1, "--category", "fruit") == 0
    assert (single / "images/p0.png").read_bytes() == (one / "images/p0.png").read_bytes()


def test_two_workers_make_the_same_bytes(
    quick: None, quick_whole: Path, shop: Path, model: Path, tmp_path: Path
) -> None:
    assert run(shop / "m.jsonl", tmp_path / "out", model, "--workers", 2) == 1
    assert read_stable(tmp_path / "out") == read_stable(quick_whole)


def test_finished_run_is_left_alone(whole: Path, shop: Path, model: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (whole / "images").rglob("*.png")}
    table = read_stable(whole)
    assert run(shop / "m.jsonl", whole, model) == 1
    assert {path: path.stat().st_mtime_ns for path in (whole / "images").rglob("*.png")} == before
    assert read_stable(whole) == table


def test_killed_at_any_moment_it_ends_with_the_same_bytes(
    quick: None, quick_whole: Path, shop: Path, model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    arguments = ["generate", shop / "m.jsonl", "--out", out, "--model", model, "--steps", 2]
    arguments += ["--device", "cpu", "--shard-size", 4, "--quiet", "--threads", 1, "--batch-size", 8]
    line = [sys.executable, str(QUICK), *map(str, arguments)]
    draws, kills, sizes = random.Random(4), 0, set()
    for _ in range(2):
        process = subprocess.Popen(line, env=os.environ | ONE_THREAD, stderr=subprocess.DEVNULL)
        wanted = _count_progress(out) + draws.randint(1, 5)
        deadline = time.monotonic() + 300
        while process.poll() is None and _count_progress(out) < wanted and time.monotonic() < deadline:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        killed = process.wait() == -signal.SIGKILL
        kills += killed
        sizes.add(_count_progress(out))
    assert (kills, len(sizes)) == (2, 2)
    kept = {path: path.stat().st_mtime_ns for path in _list_recorded(out)}
    assert kept
    assert run(shop / "m.jsonl", out, model) == 1
    assert {path: path.stat().st_mtime_ns for path in kept} == kept  # nothing recorded is made twice
    assert read_stable(out) == read_stable(quick_whole)
    assert not (out / "journal/work").exists()


def _list_recorded(out: Path) -> list[Path]:
    """Published images that a journal knows."""
    journals = (out / "journal").rglob("*.jsonl")
    text = "".join(path.read_text(errors="replace") for path in journals)
    images = (out / "images").rglob("*.png")
    return [path for path in images if f'"{path.relative_to(out).as_posix()}"' in text]


def _count_progress(out: Path) -> int:
    """Files of images, staged or published, and of results."""
    found = [
        *out.glob("journal/work/shard-*/*.png"),
        *(out / "images").rglob("*.png"),
        *out.glob("journal/shards/*"),
    ]
    return len(found)


def test_a_stop_finishes_the_batch_in_hand(
    whole: Path, shop: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = worker_module.finish_image
    made: list[int] = []

    def interrupted(*arguments: Any) -> Any:
        made.append(1)
        if len(made) == 2:
            ask_to_stop(signal.SIGTERM)
        return original(*arguments)

    monkeypatch.setattr(worker_module, "finish_image", interrupted)
    out = tmp_path / "out"
    assert run(shop / "m.jsonl", out, model) == 130
    status = read_status(out)
    assert 0 < status["done"] < 14
    assert not (out / "results.parquet").exists()
    monkeypatch.undo()
    assert run(shop / "m.jsonl", out, model) == 1
    assert read_stable(out) == read_stable(whole)


def test_failed_rows_are_tried_again_when_asked(shop: Path, model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    save_product(folder / "a.png", 1)
    save_product(folder / "b.png", 2)
    (folder / "m.csv").write_text("image,category\na.png,fruit\nb.png,fruit\n")
    out, original = tmp_path / "out", worker_module.load_product

    def refuse(job: Any, row: Any, files: Any) -> Any:
        if row.name == "b.png":
            raise OSError("the network drive was away")
        return original(job, row, files)

    worker_module.load_product = refuse
    try:
        assert run(folder / "m.csv", out, model) == 1
    finally:
        worker_module.load_product = original
    assert [row["error"] for row in read_rows(out)] == [None, "OSError"]
    stamp = (out / "images/a.png").stat().st_mtime_ns
    assert run(folder / "m.csv", out, model) == 1
    assert run(folder / "m.csv", out, model, "--retry", "failed") == 0
    assert [row["status"] for row in read_rows(out)] == ["done", "done"]
    assert (out / "images/a.png").stat().st_mtime_ns == stamp


def test_only_the_changed_row_is_made_again(shop: Path, model: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "shop", tmp_path / "out"
    for i in range(5):
        save_product(folder / f"p{i}.png", i)
    (folder / "m.csv").write_text("image,category\n" + "".join(f"p{i}.png,fruit\n" for i in range(5)))
    assert run(folder / "m.csv", out, model) == 0
    stamps = {p.name: p.stat().st_mtime_ns for p in (out / "images").iterdir()}
    save_product(folder / "p2.png", 20)
    (out / "images/p4.png").unlink()
    assert run(folder / "m.csv", out, model) == 0
    renewed = {p.name for p in (out / "images").iterdir() if stamps.get(p.name) != p.stat().st_mtime_ns}
    assert renewed == {"p2.png", "p4.png"}
    assert run(folder / "m.csv", tmp_path / "fresh", model) == 0
    assert read_stable(out) == read_stable(tmp_path / "fresh")


def test_dry_run_counts_and_writes_nothing(
    whole: Path, shop: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(shop / "m.jsonl", tmp_path / "out", model, "--dry-run") == 0
    told = capsys.readouterr().out
    assert "14 rows: 0 in finished shards, 2 cannot be used" in told
    assert "12 images to make in 4 shards" in told
    assert "a short trial" in told
    assert not (tmp_path / "out").exists()
    assert run(shop / "m.jsonl", whole, model, "--dry-run") == 0
    told = capsys.readouterr().out
    assert "0 images to make in 0 shards" in told
    assert "10 finished rows" in told


def test_dry_run_counts_every_file_of_a_image(
    shop: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The disk of several canvases with layers: told from photos within a factor, from images well."""
    for i in range(3):
        save_product(tmp_path / f"p{i}.png", i, (200, 160))
        with Image.open(tmp_path / f"p{i}.png") as image:  # as smooth as what a small model makes
            colour = image.convert("RGB").resize((40, 50)).resize(image.size, Image.Resampling.BICUBIC)
            colour.putalpha(image.getchannel("A"))
        colour.save(tmp_path / f"p{i}.png")
    (tmp_path / "m.csv").write_text("image,category\n" + "".join(f"p{i}.png,fruit\n" for i in range(3)))
    options = ["--outputs", "1:1,16:9", "--layers", "ora", "--format", "webp"]
    assert run(tmp_path / "m.csv", tmp_path / "out", model, *options, "--dry-run") == 0
    told = float(re.findall(r"about ([0-9.]+) MB of disk", capsys.readouterr().out)[0])
    assert run(tmp_path / "m.csv", tmp_path / "out", model, *options) == 0
    files = [p for part in ("images", "layers") for p in (tmp_path / "out" / part).rglob("*.*")]
    assert len(files) == 3 * 2 * 2
    stored = sum(path.stat().st_size for path in files) / 1e6
    assert 0.5 < told / stored < 2
    assert read_status(tmp_path / "out")["bytes"] == round(stored * 1e6)
    (tmp_path / "p3.png").write_bytes((tmp_path / "p0.png").read_bytes())
    with (tmp_path / "m.csv").open("a") as file:
        file.write("p3.png,fruit\n")
    assert run(tmp_path / "m.csv", tmp_path / "out", model, *options, "--dry-run") == 0
    again = capsys.readouterr().out
    assert "2 images to make" in again
    assert "3 finished rows" in again
    told = float(re.findall(r"about ([0-9.]+) MB of disk", again)[0])
    assert told == pytest.approx(stored / 6 * 2, rel=0.02)


@pytest.mark.parametrize("options", [("--keep", "best"), ("--attempts", 2), ("--gate",)])
def test_what_needs_a_judge_turns_the_gate_on(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[object, ...]
) -> None:
    config = read_config(monkeypatch, shop, tmp_path, *options)
    assert config.gate == GateThresholds()
    assert read_config(monkeypatch, shop, tmp_path).gate is None


def read_config(monkeypatch: pytest.MonkeyPatch, shop: Path, tmp_path: Path, *options: object) -> RunConfig:
    """What the command would run with."""
    seen: list[RunConfig] = []

    def note(source: Any, out: Path, model: Any, config: RunConfig, hooks: Any) -> RunResult:
        seen.append(config)
        return RunResult(rows=0, finished=True)

    monkeypatch.setattr(run_module, "run_images", note)
    common = ["--device", "cpu", "--quiet"]
    assert call("generate", shop / "m.jsonl", "--out", tmp_path / "o", *common, *options) == 0
    return seen[0]


def test_tuned_runs_say_so_and_make_the_same_images(
    whole: Path, shop: Path, model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert run(shop / "m.jsonl", out, model, "--channels-last") == 1
    done = [row for row in read_rows(out) if row["status"] == "done"]
    assert all(json.loads(row["settings"])["channels_last"] is True for row in done)
    assert all("channels_last" not in json.loads(row["settings"]) for row in read_rows(whole))
    for row in done:
        with Image.open(out / row["output"]) as ours, Image.open(whole / row["output"]) as plain:
            difference = np.asarray(ours, np.int16) - np.asarray(plain, np.int16)
            assert np.abs(difference).max() <= 2
            assert json.loads(ours.text["cyclorama"])["settings"]["channels_last"] is True
    assert {row["key"] for row in done}.isdisjoint(row["key"] for row in read_rows(whole))


def test_status_tells_counts_and_reasons(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("status", whole, "--json") == 0
    status = json.loads(capsys.readouterr().out)
    assert (status["rows"], status["done"], status["failed"], status["pending"]) == (14, 10, 4, 0)
    assert {f["error"]: f["count"] for f in status["failures"]} == {
        "UnreadableImageError": 2, "ManifestError": 1, "UnknownCategoryError": 1,
    }  # fmt: skip
    assert call("status", whole) == 0
    assert "10 of 14 rows done, 4 failed, 0 pending" in capsys.readouterr().out
    assert call("status", whole / "gone") == 2


def test_check_finds_every_planted_fault(
    shop: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "shop"
    for i in range(3):
        save_product(folder / f"p{i}.png", i)
    (folder / "copy.png").write_bytes((folder / "p0.png").read_bytes())
    (folder / "empty.png").write_bytes(b"")
    plain = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(plain).save(folder / "plain.png")
    inverted = np.full((64, 64), 255, np.uint8)
    inverted[16:48, 16:48] = 0
    Image.fromarray(inverted).save(folder / "inverted.png")
    speck = np.zeros((64, 64), np.uint8)
    speck[:3, :3] = 255
    Image.fromarray(speck).save(folder / "speck.png")
    rows = [
        ("p0.png", "", "fruit", "CC-BY-4.0"), ("copy.png", "", "fruit", "CC-BY-NC-4.0"),
        ("plain.png", "inverted.png", "fruit", ""), ("plain.png", "speck.png", "fruit", ""),
        ("plain.png", "", "fruit", ""), ("gone.png", "", "fruit", ""), ("empty.png", "", "fruit", ""),
        ("p1.png", "", "perfum", ""), ("p2.png", "", "food > fruit", ""),
    ]  # fmt: skip
    lines = "".join(",".join(row) + "\n" for row in rows)
    (folder / "m.csv").write_text("image,mask,category,licence\n" + lines)
    target = tmp_path / "report.json"
    assert call("check", folder / "m.csv", "--model", model, "--json", target) == 1
    report = json.loads(target.read_text())
    assert {name: [e["row"] for e in fault["examples"]] for name, fault in report["faults"].items()} == {
        "InvertedMaskError": [3], "ProductTooSmallError": [4], "MissingMaskError": [5], "ManifestError": [6],
        "UnreadableImageError": [7], "UnknownCategoryError": [8],
    }  # fmt: skip
    assert report["problems"] == 6
    assert report["unknown_categories"] == [{"given": "perfum", "rows": 1, "nearest": ["perfume"]}]
    assert [group["rows"] for group in report["duplicates"]] == [[1, 2]]
    assert {"given": "food > fruit", "used": "fruit", "source": "path, name", "rows": 1} in report[
        "categories"
    ]
    assert [(e["licence"], e["restricted"]) for e in report["data_licences"]] == [
        ("CC-BY-4.0", False), ("CC-BY-NC-4.0", True),
    ]  # fmt: skip
    told = capsys.readouterr().out
    assert "nearest: perfume" in told
    assert "does not allow commercial use" in told
    (folder / "m.csv").write_text("image,category\np1.png,fruit\n")
    assert call("check", folder / "m.csv", "--model", model) == 0
