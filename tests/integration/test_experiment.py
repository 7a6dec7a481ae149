"""A whole experiment on tiny models: table, sheet, resume, sharing, missing models."""

from __future__ import annotations

import csv
import json
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from _training import save_tiny_model
from PIL import Image

from cyclorama import cli
from cyclorama.errors import DataError, ModelNotFoundError, SettingsError
from cyclorama.evaluation.feature_network import FeatureNetwork, FeatureNetworkConfig, save_network
from cyclorama.evaluation.preservation import compute_truth
from cyclorama.evaluation.reading import open_images
from cyclorama.jobs.job import Hooks, Job
from cyclorama.jobs.run import Totals, run_shards
from cyclorama.lab.experiments import run as run_module
from cyclorama.lab.experiments.recipe import ExperimentConfig, MethodConfig, RunOptions
from cyclorama.lab.experiments.run import run_experiment

SIDE = 64


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model, a feature network, and four pairs laid out as `cyclorama lab render --unpack` does it."""
    folder = tmp_path_factory.mktemp("world")
    save_tiny_model(folder / "model")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        save_network(FeatureNetwork(FeatureNetworkConfig(categories=("fruit", "perfume"))), folder / "net")
    rows = []
    data = folder / "set"
    for name in ("truth", "mask", "product", "reference", "reference_mask"):
        (data / name).mkdir(parents=True)
    for n in range(4):
        random = np.random.default_rng(n)
        coarse = random.integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
        truth, reference, product = coarse.repeat(SIDE // 8, axis=1).repeat(SIDE // 8, axis=2)
        masks = np.zeros((2, SIDE, SIDE), np.uint8)
        for mask, left in zip(masks, (8, 34), strict=True):
            mask[15:53, left - 1 : left + 23] = 128  # coverage at the rim, as a renderer gives it
            mask[16:52, left : left + 22] = 255
        images = {
            "truth": truth,
            "mask": masks[0],
            "product": np.dstack([product, masks[0]]),
            "reference": reference,
            "reference_mask": masks[1],
        }
        for name, pixels in images.items():
            Image.fromarray(pixels).save(data / name / f"k{n}.png")
        files = {name: f"{name}/k{n}.png" for name in images}
        rows.append(
            {
                **files, "id": f"k{n}", "image": files["product"], "mask_means": "product",
                "category": ("fruit", "perfume")[n % 2], "product_id": f"p{n}", "seed": n,
            }
        )  # fmt: skip
    with (data / "manifest.csv").open("w", newline="") as stream:
        table = csv.DictWriter(stream, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    return folder


def build(world: Path, **changes: Any) -> ExperimentConfig:
    values: dict[str, Any] = {
        "title": "Tiny | table",
        "data": world / "set",
        "models": {"ours": str(world / "model"), "gone": str(world / "gone")},
        "methods": (
            MethodConfig(name="no PG", model="ours", reference_strength=0.0),
            MethodConfig(name="all", model="ours"),
        ),
        "conditions": ("pair",),
        "seeds": (0, 1),
        "steps": 2,
        "batch_size": 2,
        "device": "cpu",
        "features": f"cyclorama={world / 'net'}",
        "columns": ("similarity_truth", "psnr", "fid", "kid", "palette_percentile", "product_max_difference"),
        "sheet_rows": 2,
        **changes,
    }
    return ExperimentConfig(**values)


def read(out: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((out / "result.json").read_text())
    for result in values["results"]:
        del result["seconds_per_image"]
    return values


@pytest.fixture(scope="module")
def done(world: Path) -> Path:
    """An undisturbed run of both methods under both conditions."""
    config = build(world, conditions=("pair", "self"))
    lines: list[str] = []
    hooks = Hooks(noted=lines.append)
    assert run_experiment(config, RunOptions(out=world / "runs" / "whole"), hooks) is not None
    assert len(lines) == 8 and sum("all, self, seed 1: 4 images" in line for line in lines) == 1
    return world / "runs" / "whole"


def test_the_outputs_hold_every_method_condition_and_seed(done: Path):
    values = read(done)
    found = {(r["method"], r["condition"]): r["values"] for r in values["results"]}
    assert set(found) == {(m, c) for m in ("no PG", "all") for c in ("pair", "self")}
    for value in found.values():
        assert value["product_max_difference"]["mean"] == 0  # the product given comes back bit for bit
        assert len(value["fid"]["by_seed"]) == 2 and value["fid"]["low"] is None
        assert value["psnr"]["low"] <= value["psnr"]["mean"] <= value["psnr"]["high"]
    assert found["all", "pair"]["psnr"] != found["no PG", "pair"]["psnr"]
    assert found["all", "pair"]["psnr"]["by_seed"][0] != found["all", "pair"]["psnr"]["by_seed"][1]
    assert [(w["chief"], w["other"], w["condition"]) for w in values["wins"]] == [
        ("all", "no PG", "pair"),
        ("all", "no PG", "self"),
    ]
    table = (done / "table.md").read_text()
    assert "| all | " in table and " ± " in table and "all against no PG (pair)" in table
    page = (done / "index.html").read_text()
    assert "<strong>" in page and page.count("<img") == page.count("alt=") == 2 and "http" not in page
    with Image.open(done / "sheet-pair.jpg") as sheet:
        assert sheet.format == "JPEG" and sheet.width > 5 * 192  # product, truth, reference, two methods
    assert json.loads((done / "done.json").read_text())["trials"] == 8


def test_a_figure_is_the_mean_of_the_images_in_the_store(world: Path, done: Path):
    found = next(r for r in read(done)["results"] if r["method"] == "all" and r["condition"] == "pair")
    truth = open_images(world / "set" / "truth")
    masks = open_images(world / "set" / "mask")
    means = []
    for folder in sorted((done.parent / "store" / "images").glob("*-pair-s*")):
        rows = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
        if rows[0]["settings"]["reference_strength"] == 1:
            scores = []
            for row in rows:
                pixels = np.asarray(Image.open(folder / row["output"]))
                mask = masks.load(row["id"]).pixels[..., 0] / np.float32(255)
                scores.append(compute_truth(pixels, truth.load(row["id"]).pixels, mask)[0])
            means.append(statistics.fmean(scores))
    assert sorted(found["values"]["psnr"]["by_seed"]) == pytest.approx(sorted(means), rel=1e-9)


def test_another_experiment_takes_the_same_images_and_a_image_made_anew_is_scored_anew(
    world: Path, done: Path
):
    images = sorted((done.parent / "store" / "images").rglob("*.png"))
    before = {path: path.stat().st_mtime_ns for path in images}
    twins = (
        MethodConfig(name="its twin", model="ours", steps=2),
        MethodConfig(name="the whole", model="ours"),
    )
    config = build(world, methods=twins, seeds=(1,), sheet_rows=0)
    assert run_experiment(config, RunOptions(out=done.parent / "again")) is not None
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(list((done.parent / "store" / "images").iterdir())) == 8
    twin, again = read(done.parent / "again")["results"]
    assert twin["values"] == again["values"]
    whole = next(r for r in read(done)["results"] if r["method"] == "all" and r["condition"] == "pair")
    assert again["values"]["psnr"]["mean"] == whole["values"]["psnr"]["by_seed"][1]
    assert not list((done.parent / "again").glob("*.jpg"))


def test_a_stopped_run_goes_on_to_the_same_figures(
    world: Path, done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Two processes are asked for; that they make the bytes of one is tested where the engine is."""
    made, engines = 0, []

    def advance(count: int) -> None:
        nonlocal made
        made += count

    config = build(world)  # one of the two conditions
    options = RunOptions(out=tmp_path / "out", store=tmp_path / "store")
    hooks = Hooks(advanced=advance, stopping=lambda: made >= 6)
    assert run_experiment(config, options, hooks) is None
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "store" / "images").rglob("k*.png")}
    assert 6 <= len(kept) < 16 and not (tmp_path / "out" / "done.json").exists()
    options, made = options.replace(workers=2), 0

    def run_here(job: Job, items: dict[int, int], hooks: Hooks) -> Totals:
        engines.append(job.engine)
        return run_shards(replace(job, engine=job.engine.replace(workers=1)), items, hooks)

    monkeypatch.setattr(run_module, "run_shards", run_here)
    assert run_experiment(config, options, Hooks(advanced=advance)) is not None
    assert made == 16
    assert [engine.workers for engine in engines] == [2]
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    found, whole = read(tmp_path / "out"), read(done)
    for part in ("results", "wins"):
        assert found[part] == [row for row in whole[part] if row["condition"] == "pair"]
    assert len(found["results"]) == 2 and len(found["wins"]) == 1


def test_a_missing_model_stops_all_or_is_a_row(world: Path, tmp_path: Path):
    methods = (
        MethodConfig(name="ControlNet", kind="controlnet", model="gone"),
        MethodConfig(name="all", model="ours"),
    )
    config = build(world, methods=methods, seeds=(0,), sheet_rows=0)
    with pytest.raises(
        ModelNotFoundError, match=r"method 'ControlNet': .*--set models.gone=FOLDER.*--skip-missing"
    ):
        run_experiment(config, RunOptions(out=tmp_path / "out"))
    assert not (tmp_path / "store").exists() and not (tmp_path / "out").exists()
    options = RunOptions(out=tmp_path / "out", store=world / "runs" / "store", skip_missing=True)
    assert run_experiment(config, options) is not None
    assert "| ControlNet | not trained | –" in (tmp_path / "out" / "table.md").read_text()
    with pytest.raises(ModelNotFoundError, match="no method of 'Tiny | table' has its model"):
        run_experiment(build(world, methods=methods[:1]), options)


def test_what_cannot_work_is_refused_before_anything_is_made(world: Path, tmp_path: Path):
    options = RunOptions(out=tmp_path / "out")
    with pytest.raises(DataError, match="no held-out set at .*cyclorama lab render --kind bg1k --unpack"):
        run_experiment(build(world, data=tmp_path / "none"), options)
    with pytest.raises(SettingsError, match="has no category 'lamp'; it has fruit, perfume"):
        run_experiment(build(world, categories=("lamp",)), options)
    with pytest.raises(SettingsError, match="1 images are left"):
        rows = (world / "set" / "manifest.csv").read_text().splitlines()[:2]
        (world / "set" / "one.csv").write_text("\n".join(rows) + "\n")
        run_experiment(build(world, data=world / "set" / "one.csv"), options)
    lines = (world / "set" / "manifest.csv").read_text().replace("fruit", "tractor")
    (world / "set" / "unknown.csv").write_text(lines)
    with pytest.raises(
        SettingsError,
        match=r"does not know 1 categories of the set \(tractor\).*--set .categories=\[perfume\]",
    ):
        run_experiment(build(world, data=world / "set" / "unknown.csv"), options)
    with pytest.raises(SettingsError, match="workers: must be from 1 to 64, got 0"):
        RunOptions(out=tmp_path / "out", workers=0)
    assert not (tmp_path / "store").exists()


def test_the_command_runs_a_recipe(
    world: Path, done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"title: One\ndata: {world / 'set'}\nmodels: {{ours: nowhere}}\nsteps: 2\n"
        f"batch_size: 2\ndevice: cpu\nfeatures: cyclorama={world / 'net'}\nconditions: [pair]\n"
        "seeds: [0, 1]\nmethods:\n  - {name: all, model: ours}\n  - {name: other, kind: blended}\n"
    )
    arguments = ["lab", "experiment", str(recipe), "--out", str(tmp_path / "out"), "--only", "all"]
    arguments += ["--set", f"models.ours={world / 'model'}", "--store", str(done.parent / "store")]
    assert cli.main(arguments) == 0
    printed = capsys.readouterr()
    assert "# One" in printed.out and "| all | " in printed.out and "index.html" in printed.err
    assert "all, pair, seed 1: 4 images" in printed.err


def test_two_models_make_one_row(world: Path, done: Path, tmp_path: Path):
    models = {"first": str(world / "model"), "second": str(tmp_path / "second")}
    save_tiny_model(tmp_path / "second", seed=2)
    methods = (
        MethodConfig(name="both", model=("first", "second")),
        MethodConfig(name="first", model="first"),
    )
    config = build(world, models=models, methods=methods, sheet_rows=0)
    result = run_experiment(config, RunOptions(out=tmp_path / "out", store=done.parent / "store"))
    assert result is not None
    both, first = result.results
    assert len(both.values["fid"].by_seed) == 4 and both.values["psnr"].count == 16
    assert both.values["psnr"].by_seed[:2] == first.values["psnr"].by_seed
    assert both.values["psnr"].by_seed[2] != both.values["psnr"].by_seed[0]
    assert result.methods["both"]["model"] == "model, second"
    assert result.methods["both"]["hash"].startswith(f"{result.methods['first']['hash']}, ")
    assert json.loads((tmp_path / "out" / "done.json").read_text())["trials"] == 6
