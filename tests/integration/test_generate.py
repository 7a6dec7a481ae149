"""The facade and the command from end to end on a tiny model: images, rows, sheet, kills."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cyclorama import cli
from cyclorama.generate import BackgroundGenerator
from cyclorama.generation import engine, job
from cyclorama.generation.result import load_metadata
from cyclorama.generation.results import read_status
from cyclorama.generation.settings import GenerateConfig
from drawn import draw_product, draw_reference
from stops import ask_to_stop
from tiny_models import build_tiny_pipeline

QUICK = GenerateConfig(num_inference_steps=2)


@pytest.fixture(scope="module")
def generator(model: Path) -> BackgroundGenerator:
    return BackgroundGenerator.from_pretrained(model, device="cpu")


def run_command(*arguments: object) -> int:
    return cli.main(["generate", *map(str, arguments), "--steps", "2", "--device", "cpu"])


def read_rows(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]


def read_images(out: Path) -> dict[str, bytes]:
    folder = out / "images"
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }


# --- the command ------------------------------------------------------------------------------------------


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    """A folder of images in sub-folders named like categories, two of them with one stem, one broken."""
    folder = tmp_path / "in"
    for name in ("perfume/a.png", "perfume/a.webp", "fruit/deep/b <&>.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        draw_product(seed=len(name)).save(folder / name, lossless=True)
    (folder / "fruit/broken.png").write_bytes(b"\x89PNG not really")
    (folder / "fruit/notes.txt").write_text("no image")
    return folder


def test_folder_run(catalogue: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = catalogue / "results"
    assert run_command(catalogue, "--out", out, "--model", model, "--seed", 9) == 1
    rows = read_rows(out)
    assert [row["name"] for row in rows] == [
        "fruit/broken.png",
        "fruit/deep/b <&>.png",
        "perfume/a.png",
        "perfume/a.webp",
    ]
    assert [row["status"] for row in rows] == ["failed", "done", "done", "done"]
    assert rows[0]["error"] == "UnreadableImageError"
    assert [row["category"] for row in rows[1:]] == ["fruit", "perfume", "perfume"]
    assert list(read_images(out)) == ["fruit/deep/b _&_.png", "perfume/a-png.png", "perfume/a-webp.png"]
    for row in rows[1:]:
        recipe = load_metadata(out / row["output"])
        assert (recipe["seed"], recipe["model_hash"]) == (row["seed"], row["model_hash"])
        assert recipe["settings"]["steps"] == row["settings"]["steps"] == 2
        rgba = np.asarray(Image.open(catalogue / row["name"]).convert("RGBA"))
        pixels = np.asarray(Image.open(out / row["output"]))
        assert np.array_equal(pixels[rgba[..., 3] == 255], rgba[rgba[..., 3] == 255][:, :3])
        assert row["exact"] is True
    page = (out / "index.html").read_text()
    assert "b &lt;&amp;&gt;.png" in page
    assert "UnreadableImageError" in page
    assert "broken.png" in capsys.readouterr().err
    # the results inside the input folder are no inputs of the next run, and nothing is made twice
    before = read_images(out)
    assert run_command(catalogue, "--out", out, "--model", model, "--seed", 9) == 1
    assert read_images(out) == before
    assert read_rows(out) == rows
    assert "0 images made, 3 kept" in capsys.readouterr().out


def test_manifest_run_has_a_row_per_row(model: Path, tmp_path: Path) -> None:
    for i in range(2):
        draw_product(seed=i).save(tmp_path / f"p{i}.png")
    Image.fromarray(draw_reference()).save(tmp_path / "ref.png")
    with (tmp_path / "list.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "category", "reference", "seed", "mask"])
        writer.writerow(["p0.png", "perfume", "ref.png", "11", "alpha channel"])
        writer.writerow(["gone.png", "perfume", "", "", ""])
        writer.writerow(["p1.png", "gadget", "", "", ""])
        writer.writerow(["p1.png", "lamp", "", "", ""])
        writer.writerow(["p0.png", "perfume", "", "11", ""])
    out = tmp_path / "out"
    assert run_command(tmp_path / "list.csv", "--out", out, "--model", model, "--alias", "Gadget=fruit") == 1
    rows = read_rows(out)
    assert [row["row"] for row in rows] == list(range(5))
    assert [row["status"] for row in rows] == ["done", "failed", "done", "failed", "done"]
    assert [row.get("error") for row in rows] == [None, "ManifestError", None, "UnknownCategoryError", None]
    assert (rows[2]["category_given"], rows[2]["category"]) == ("gadget", "fruit")
    assert rows[0]["seed"] == rows[4]["seed"] == 11
    assert rows[0]["output"] == "images/p0.png"
    assert rows[4]["output"] == "images/p0-2.png"
    assert (rows[0]["reference"], rows[4].get("reference")) == ("ref.png", None)
    images = read_images(out)
    assert images["p0.png"] != images["p0-2.png"]


def test_candidates_size_reference_and_mask(model: Path, tmp_path: Path) -> None:
    drawn = draw_product((96, 96))
    drawn.convert("RGB").save(tmp_path / "photo.png")
    Image.fromarray(255 - np.asarray(drawn)[..., 3]).save(tmp_path / "mask.png")
    Image.fromarray(draw_reference()).save(tmp_path / "ref.png")
    arguments: list[object] = [tmp_path / "photo.png", "--out", tmp_path / "out", "--model", model]
    arguments += ["--mask", tmp_path / "mask.png", "--mask-means", "background", "--category", "fruit"]
    arguments += [
        "--reference",
        tmp_path / "ref.png",
        "--candidates",
        2,
        "--size",
        "128x96",
        "--batch-size",
        2,
    ]
    assert run_command(*arguments) == 0
    (row,) = read_rows(tmp_path / "out")
    assert [c["output"] for c in row["images"]] == ["images/photo-c1.png", "images/photo-c2.png"]
    assert len({c["seed"] for c in row["images"]}) == 2
    assert (row["height"], row["width"], row["mask_source"]) == (96, 128, "mask")
    assert row["settings"]["size"] == "128x96"
    with Image.open(tmp_path / "out/images/photo-c2.png") as image:
        assert image.size == (128, 96)
    assert (tmp_path / "out/index.html").read_text().count("<img") == 4


def test_changed_settings_redo_and_foreign_images_stay(model: Path, tmp_path: Path) -> None:
    draw_product().save(tmp_path / "a.png")
    out = tmp_path / "out"
    base: list[object] = [tmp_path / "a.png", "--out", out, "--model", model, "--category", "fruit"]
    assert run_command(*base) == 0
    first = read_images(out)
    assert run_command(*base, "--guidance", 3) == 0
    assert read_images(out) != first
    assert read_rows(out)[0]["settings"]["guidance"] == 3
    assert run_command(*base) == 0
    assert read_images(out) == first
    shutil.rmtree(out / "journal")
    assert run_command(*base) == 2
    assert run_command(*base, "--overwrite") == 0
    assert read_images(out) == first


def test_single_image_equals_the_facades(model: Path, generator: BackgroundGenerator, tmp_path: Path) -> None:
    draw_product().save(tmp_path / "a.png")
    run_command(
        tmp_path / "a.png", "--out", tmp_path / "out", "--model", model, "--category", "fruit", "--seed", 4
    )
    made = generator(tmp_path / "a.png", category="fruit", seed=4, settings=QUICK)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out/images/a.png")), made.pixels)


def test_quiet_prints_nothing_but_errors(model: Path, tmp_path: Path) -> None:
    """No loading bar of any library either, which only a process of its own shows."""
    (tmp_path / "in").mkdir()
    draw_product().save(tmp_path / "in/a.png")
    (tmp_path / "in/notes.txt").write_text("no image")
    command = [sys.executable, "-m", "cyclorama", "generate", str(tmp_path / "in"), "--model", str(model)]
    command += ["--out", str(tmp_path / "out"), "--category", "fruit", "--steps", "1", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_full_disk_stops_the_run_and_a_second_one_goes_on(
    catalogue: Path,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole = tmp_path / "whole"
    run_command(catalogue, "--out", whole, "--model", model)
    original, written = job.write_atomic, []

    def fill(path: Path, data: bytes) -> None:
        if len(written) == 1:
            from cyclorama.files import refuse

            raise refuse(path, OSError(28, "No space left on device"))
        written.append(path)
        original(path, data)

    out = tmp_path / "out"
    monkeypatch.setattr(job, "write_atomic", fill)
    assert run_command(catalogue, "--out", out, "--model", model) == 2
    assert "OutputError" in capsys.readouterr().err
    assert len(read_images(out)) <= 1
    monkeypatch.undo()
    run_command(catalogue, "--out", out, "--model", model)
    assert read_images(out) == read_images(whole)


def test_not_a_number_is_a_failed_row(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(2):
        (tmp_path / "in").mkdir(exist_ok=True)
        draw_product(seed=i).save(tmp_path / f"in/p{i}.png")
    original = engine.sample_images

    def spoil(pipeline: Any, tasks: Any, settings: Any, places: int, call: Any) -> Any:
        def spoiled(*args: Any, **kwargs: Any) -> torch.Tensor:
            images = call(*args, **kwargs)
            return images * float("nan") if tasks[0].name == "p0.png" else images

        return original(pipeline, tasks, settings, places, spoiled)

    monkeypatch.setattr(engine, "sample_images", spoil)
    out = tmp_path / "out"
    assert run_command(tmp_path / "in", "--out", out, "--model", model, "--category", "fruit") == 1
    assert [(r["status"], r.get("error")) for r in read_rows(out)] == [
        ("failed", "ModelError"),
        ("done", None),
    ]


def test_a_stop_ends_after_the_batches_in_hand(
    catalogue: Path,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    run_command(catalogue, "--out", whole, "--model", model)
    original = engine.sample_images

    sent: list[int] = []

    def interrupted(*arguments: Any) -> Any:
        if not sent:
            sent.append(1)
            ask_to_stop(signal.SIGINT)
        return original(*arguments)

    monkeypatch.setattr(engine, "sample_images", interrupted)
    assert run_command(catalogue, "--out", out, "--model", model) == 130
    status = read_status(out)
    assert status["rows"] == 4
    assert 0 < status["done"] + status["failed"] == status["finished_in_open_shards"] < 4
    assert not (out / "results.jsonl").exists()
    assert "same command again" in capsys.readouterr().err
    monkeypatch.undo()
    assert run_command(catalogue, "--out", out, "--model", model) == 1
    assert read_images(out) == read_images(whole)


# --- models and demo --------------------------------------------------------------------------------------


def test_models_show_tells_the_truth(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models", "show", "--model", str(model), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    pipeline = build_tiny_pipeline()
    for name in ("unet", "vae", "text_encoder", "category_generator", "personality_generator"):
        counted = sum(p.numel() for p in getattr(pipeline, name).parameters())
        assert shown["components"][name]["parameters"] == counted
        assert shown["components"][name]["dtype"] == "F32"
    assert (shown["image_size"], shown["prediction_type"]) == (
        pipeline.image_size,
        pipeline.scheduler.config.prediction_type,
    )
    assert [c["name"] for c in shown["categories"]] == ["perfume", "fruit"]
    assert cli.main(["models", "show", "--model", str(model)]) == 0
    assert f"{shown['parameters']:,}" in capsys.readouterr().out


def test_added_category_leaves_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "model"
    build_tiny_pipeline().save_pretrained(folder)
    before = json.loads((folder / "categories.json").read_text())["categories"]
    add = ["models", "add-category", "--model", str(folder), "--name", "sofa", "--alias", "couch"]
    assert cli.main(add) == 0
    after = json.loads((folder / "categories.json").read_text())["categories"]
    assert after == [*before, {"name": "sofa", "id": 2, "aliases": ["couch"]}]
    assert cli.main(add) == 2
    assert "sofa" in capsys.readouterr().err


def test_demo_makes_one_card_per_product(model: Path, tmp_path: Path) -> None:
    entries = []
    for number, category in enumerate(("perfume", "fruit")):
        entry = {"product": f"products/{category}/01.png", "reference": f"references/{category}.png"}
        for name in entry.values():
            (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        draw_product().save(tmp_path / "set" / entry["product"])
        Image.fromarray(draw_reference(number)).save(tmp_path / "set" / entry["reference"])
        entries.append(entry | {"category": category})
    (tmp_path / "set/demo.json").write_text(json.dumps({"version": 2, "entries": entries}))
    out = tmp_path / "out"
    arguments = ["demo", "--out", str(out), "--images", str(tmp_path / "set"), "--model", str(model)]
    assert cli.main([*arguments, "--steps", "2", "--device", "cpu", "--quiet"]) == 0
    rows = read_rows(out / "images")
    assert len(rows) == 4
    assert list(read_images(out / "images")) == [
        f"{folder}/{category}/01.png"
        for folder in ("no-reference", "reference")
        for category in ("fruit", "perfume")
    ]
    assert len({row["seed"] for row in rows if row["category"] == "fruit"}) == 1
    page = (out / "index.html").read_text()
    assert page.count("<article") == 2
    captions = [part.split("<")[0].split(",")[0] for part in page.split("<figcaption>")[1:]]
    assert captions == ["product", "no reference", "reference", "result"] * 2
    with Image.open(out / "sheet.png") as sheet:
        assert sheet.size == (4 * 200 + 8, 2 * 200 + 8 + 22)
    entries[1]["truth"] = "truth.png"
    slope = np.linspace(0, 255, 120, dtype=np.uint8)[None, :, None]
    Image.fromarray(np.broadcast_to(slope, (90, 120, 3)) // np.array([1, 2, 4], np.uint8)).save(
        tmp_path / "set/truth.png"
    )
    (tmp_path / "set/demo.json").write_text(json.dumps({"version": 2, "entries": entries}))
    assert cli.main([*arguments, "--steps", "2", "--device", "cpu", "--quiet"]) == 0
    page = (out / "index.html").read_text()
    captions = [part.split("<")[0].split(",")[0] for part in page.split("<figcaption>")[1:]]
    assert captions == ["product", "no reference", "reference", "result"] * 2 + ["truth"]
    with Image.open(out / "sheet.png") as sheet, Image.open(tmp_path / "set/truth.png") as truth:
        assert sheet.size == (5 * 200 + 8, 2 * 200 + 8 + 22)
        assert max(truth.size) <= 192  # small enough to be shown at its own size, in the middle of its cell
        left = 4 * 200 + 8 + (192 - truth.width) // 2
        top = 200 + 8 + 22 + (192 - truth.height) // 2
        cell = sheet.convert("RGB").crop((left, top, left + truth.width, top + truth.height))
        difference = np.asarray(cell, np.float64) - np.asarray(truth.convert("RGB"), np.float64)
        assert np.abs(difference).max() < 16
