"""``cyclorama evaluate`` from folders to JSON and pages; refusals before any work."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cyclorama import cli
from cyclorama.evaluation.feature_network import FeatureNetwork, FeatureNetworkConfig, save_network


def run(*arguments: object) -> int:
    return cli.main(["evaluate", *map(str, arguments)])


def paint(seed: int) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return np.array(Image.fromarray(small).resize((64, 64), Image.Resampling.BICUBIC))


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """Eight true images with masks and references; a faithful set ``a`` and a worse one ``b``."""
    torch.manual_seed(0)
    save_network(FeatureNetwork(FeatureNetworkConfig(categories=("soap", "tea"))), tmp_path / "net")
    mask = np.zeros((64, 64), np.uint8)
    mask[20:50, 10:30] = 255
    inside = mask[..., None] > 0
    for name in ("truth", "a", "b", "masks", "references"):
        (tmp_path / name).mkdir()
    for n in range(8):
        truth = paint(n)
        noise = np.random.default_rng(n).normal(0, 8, truth.shape)
        near = np.clip(truth + noise, 0, 255).astype(np.uint8)
        images = {
            "truth": truth,
            "a": np.where(inside, truth, near),
            "b": np.where(inside, truth // 2, paint(n + 50)),
            "masks": mask,
            "references": paint(n + 100),
        }
        for name, pixels in images.items():
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / name / f"p{n}.png")
    return tmp_path


def test_one_set_is_scored_and_its_statistics_are_kept(world: Path, capsys: pytest.CaptureFixture[str]):
    arguments = [world / "a", "--against", world / "truth", "--masks", world / "masks", "--quiet"]
    arguments += ["--references", world / "references", "--features", f"cyclorama={world / 'net'}"]
    arguments += ["--statistics", world / "kept"]
    assert run(*arguments, "--out", world / "out") == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    result = json.loads(printed.out)
    scored = result["sets"][0]
    assert scored["count"] == 8 and scored["metrics"]["product_max_difference"]["value"] == 0
    assert 20 < scored["metrics"]["psnr"]["value"] < 40
    assert result["calibration"][0]["name"] == "itself"
    assert {d["region"] for d in scored["distances"]} == {"image", "background"}
    for name in ("report.json", "report.md", "report.html"):
        assert (world / "out" / name).stat().st_size > 1000
    assert "rows" in json.loads((world / "out" / "report.json").read_text())["sets"][0]
    files = sorted((world / "kept").glob("cyclorama-*.npz"))
    assert len(files) == 2
    assert run(*arguments) == 0
    assert json.loads(capsys.readouterr().out) == result
    image_file = next(file for file in files if "-image-" in file.name)
    assert run(world / "a", "--against", image_file, "--quiet", *arguments[-4:-2]) == 0
    again = json.loads(capsys.readouterr().out)["sets"][0]["distances"]
    assert again == [d for d in scored["distances"] if d["region"] == "image"]


def test_two_sets_are_compared(world: Path, capsys: pytest.CaptureFixture[str]):
    network = f"cyclorama={world / 'net'}"
    arguments = ["--compare", world / "a", world / "b", "--against", world / "truth"]
    assert run(*arguments, "--masks", world / "masks", "--features", network, "--no-calibration") == 0
    printed = capsys.readouterr()
    found = {d["metric"]: d for d in json.loads(printed.out)["differences"]}
    for name in ("psnr", "ssim", "perceptual", "product_max_difference", "rim_delta_e"):
        assert found[name]["verdict"] == "first" and found[name]["first_wins"] == 8
    assert "images are few" in printed.err
    rows = "".join(f"p{n},truth/p{n}.png,one\n" for n in range(8))  # all of one product: nothing about others
    (world / "truth.csv").write_text(f"id,image,product_id\n{rows}")
    arguments[-1] = world / "truth.csv"
    assert run(*arguments, "--masks", world / "masks", "--features", network, "--metrics", "truth") == 0
    found = {d["metric"]: d for d in json.loads(capsys.readouterr().out)["differences"]}
    assert (found["psnr"]["verdict"], found["psnr"]["first_wins"]) == ("open", 8)


def test_metrics_with_nothing_to_compare_are_named(world: Path, capsys: pytest.CaptureFixture[str]):
    arguments = [world / "a", "--features", f"cyclorama={world / 'net'}", "--metrics", "truth,leak,distance"]
    assert run(*arguments) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["sets"][0]["metrics"] == {}
    assert "no true set: distance not scored" in printed.err
    assert "no references: leak not scored" in printed.err
    assert "no true images of the same keys: truth not scored" in printed.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "SettingsError: give one set of images, or two with --compare"),
        (["a", "--compare", "a", "b"], "not both"),
        (["a", "--metrics", "beauty"], "no metric group 'beauty'; choose from distance"),
        (["a", "--seed", "-1"], "seed: must be from 0 to 9223372036854775807, got '-1'"),
        (["a", "--out", "a/p0.png"], "OutputError: output a/p0.png is a file; give a folder with --out"),
        (["nowhere"], "no images at"),
        (["a", "--features", "vgg"], "no feature network 'vgg'"),
    ],
)
def test_bad_commands_are_refused(world: Path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(world)
    assert run(*arguments) == 2
    printed = capsys.readouterr()
    assert words in printed.err and printed.out == ""


def test_lost_and_resized_images_are_named(world: Path, capsys: pytest.CaptureFixture[str]):
    network = ["--features", f"cyclorama={world / 'net'}", "--quiet", "--no-calibration"]
    (world / "truth" / "p3.png").unlink()
    assert run(world / "a", "--against", world / "truth", *network) == 2
    assert re.search("MissingImageError: 1 of 8 images .* have no partner .*'p3'", capsys.readouterr().err)
    assert run(world / "a", "--against", world / "truth", "--allow-missing", *network) == 0
    assert json.loads(capsys.readouterr().out)["sets"][0]["count"] == 7
    Image.fromarray(paint(1)[:40]).save(world / "a" / "p1.png")
    assert run(world / "a", "--against", world / "truth", "--allow-missing", *network) == 2
    assert "ImageSizeError: image is 64 x 40, truth 64 x 64" in capsys.readouterr().err
