"""``cyclorama lab baseline`` from end to end on tiny models: images, rows, resume, failures, raw output."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cyclopts import CycloptsError
from PIL import Image

from cyclorama import cli
from cyclorama.errors import ModelFormatError, SettingsError
from cyclorama.evaluation.published import load_features
from cyclorama.generation.result import load_metadata
from cyclorama.lab.baselines.inpaint import widen_unet
from cyclorama.lab.baselines.options import BASELINES
from cyclorama.lab.baselines.paint_by_example import FeatureEncoder
from cyclorama.lab.baselines.protocol import open_baseline
from cyclorama.models.base import save_base
from cyclorama.models.generators import Branch
from cyclorama.models.registry import CategoryRegistry, save_registry
from tiny_models import build_tiny_base


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny models: ``base``, ``inpaint``, ``controlnet`` and ``paint-by-example``."""
    folder = tmp_path_factory.mktemp("models")
    registry = CategoryRegistry()
    registry.add("perfume")
    plain = build_tiny_base()
    wide = build_tiny_base()
    wide.unet = widen_unet(plain.unet, 5)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        torch.nn.init.normal_(wide.unet.conv_in.weight, std=0.2)
        features = load_features("cyclorama")
        encoder = FeatureEncoder(features.dimensions, 16, features.weights_hash)
    for name, base in (
        ("base", plain),
        ("controlnet", plain),
        ("inpaint", wide),
        ("paint-by-example", wide),
    ):
        save_base(base, folder / name)
        save_registry(registry, folder / name)
    encoder.save_pretrained(folder / "paint-by-example" / "image_encoder")
    Branch.from_base(plain.unet, 8).save_pretrained(folder / "controlnet" / "controlnet")
    return folder


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two products on transparency, a manifest in which the second has a reference, a reference."""
    folder = tmp_path_factory.mktemp("shop")
    for number in range(2):
        rows, columns = np.mgrid[:72, :64]
        distance = np.hypot((rows - 36) / 22, (columns - 32) / 19)
        alpha = np.clip((1.05 - distance) * 12, 0, 1)
        pixels = np.random.default_rng(number).integers(0, 256, (72, 64, 3))
        rgba = np.dstack([pixels, np.rint(alpha * 255)]).astype(np.uint8)
        Image.fromarray(rgba).save(folder / f"p{number}.png")
    noise = np.random.default_rng(9).integers(0, 256, (80, 100, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "reference.png")
    rows = [
        {"image": "p0.png", "category": "perfume"},
        {"image": "p1.png", "category": "lamp", "reference": "reference.png"},
    ]
    (folder / "list.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def run(*arguments: object) -> int:
    return cli.main(["--debug", "lab", "baseline", *map(str, arguments), "--steps", "2", "--device", "cpu"])


def read_rows(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]


def load(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_rows_images_and_sheet_are_those_of_generate(models, shop, tmp_path, capsys):
    out = tmp_path / "out"
    assert run("inpaint", shop / "list.jsonl", "--model", models / "inpaint", "--out", out) == 0
    rows = read_rows(out)
    assert [row["status"] for row in rows] == ["done", "done"]
    assert [row["category"] for row in rows] == ["perfume", "lamp"]  # lamp is no category of the model
    assert [row["identifier"] for row in rows] == ["sks 0", ""]
    for number, row in enumerate(rows):
        assert row["model"] == "inpaint:inpaint" and row["settings"]["method"] == "inpaint"
        assert "reference_strength" not in row["settings"]
        assert row["exact"] and row["opaque_pixels"] > 100
        made = load(out / row["output"])
        given = np.asarray(Image.open(shop / f"p{number}.png"))
        opaque = given[..., 3] == 255
        np.testing.assert_array_equal(made[opaque], given[opaque][:, :3])
        assert float(made[~opaque].std()) > 1
    assert load_metadata(out / rows[1]["output"])["settings"]["method"] == "inpaint"
    assert (out / "index.html").is_file()
    assert "2 images made" in capsys.readouterr().out


def test_a_run_goes_on_and_another_methods_images_are_not_taken_for_its_own(models, shop, tmp_path, capsys):
    arguments = [shop / "p0.png", "--category", "perfume", "--reference", shop / "reference.png"]
    out = tmp_path / "out"
    assert run("inpaint", *arguments, "--model", models / "inpaint", "--out", out) == 0
    (first,) = read_rows(out)
    before = (out / first["output"]).read_bytes()
    assert run("inpaint", *arguments, "--model", models / "inpaint", "--out", out) == 0
    assert "0 images made, 1 kept from before" in capsys.readouterr().out
    (again,) = read_rows(out)
    assert (out / again["output"]).read_bytes() == before
    other = tmp_path / "other"
    assert (
        run("inpaint", *arguments, "--model", models / "inpaint", "--out", other, "--prompt", "a {category}")
        == 0
    )
    (prompted,) = read_rows(other)
    assert prompted["settings"]["prompt"] == "a {category}"
    assert (other / prompted["output"]).read_bytes() != before


def test_raw_keeps_what_the_method_painted(models, shop, tmp_path):
    arguments = [shop / "p0.png", "--category", "perfume", "--model", models / "controlnet"]
    assert run("controlnet", *arguments, "--out", tmp_path / "out", "--raw") == 0
    (row,) = read_rows(tmp_path / "out")
    assert row["settings"]["hint_fill"] == 0.0
    (raw,) = [f["name"] for f in row["images"][0]["files"] if f["name"].endswith(".background.png")]
    raw, made = load(tmp_path / "out" / raw), load(tmp_path / "out" / row["output"])
    alpha = np.asarray(Image.open(shop / "p0.png"))[..., 3]
    np.testing.assert_array_equal(raw[alpha == 0], made[alpha == 0])
    assert float(np.abs(raw[alpha == 255].astype(int) - made[alpha == 255]).mean()) > 10


def test_paint_by_example_fails_rows_without_a_reference_and_makes_the_others(models, shop, tmp_path, capsys):
    out, model = tmp_path / "out", models / "paint-by-example"
    assert run("paint-by-example", shop / "list.jsonl", "--model", model, "--out", out) == 1
    first, second = read_rows(out)
    assert (first["status"], first["error"]) == ("failed", "SettingsError")
    assert "give one with --reference" in first["reason"] and second["status"] == "done"
    assert (out / second["output"]).is_file()
    capsys.readouterr()
    lonely = tmp_path / "lonely"
    assert (
        run("paint-by-example", shop / "p0.png", "--category", "lamp", "--model", model, "--out", lonely) == 2
    )


def test_blended_diffusion_runs_on_a_plain_base(models, shop, tmp_path):
    arguments = [shop / "p1.png", "--category", "lamp", "--model", models / "base"]
    arguments += ["--reference", shop / "reference.png", "--guide-strength", "20"]
    assert run("blended", *arguments, "--out", tmp_path / "out") == 0
    (row,) = read_rows(tmp_path / "out")
    assert row["settings"]["guide_strength"] == 20.0
    assert row["settings"]["features"].startswith("cyclorama-") and row["exact"]


def test_nothing_starts_with_wrong_weights_or_settings(models, shop, tmp_path):
    arguments = [shop / "p0.png", "--category", "perfume", "--out", tmp_path / "out"]
    with pytest.raises(ModelFormatError, match="takes 4 channels"):
        run("inpaint", *arguments, "--model", models / "base")
    with pytest.raises(CycloptsError, match="hint_fill must be -1 or 0, got 2"):
        run("controlnet", *arguments, "--model", models / "controlnet", "--hint-fill", "2")
    with pytest.raises(SettingsError, match="no category is given"):
        assert (
            run(
                "inpaint",
                shop / "p0.png",
                "--strict-category",
                "--model",
                models / "inpaint",
                "--out",
                tmp_path / "out",
            )
            == 2
        )
        (row,) = read_rows(tmp_path / "out")
        raise SettingsError(row["reason"])
    assert not (tmp_path / "out" / "images").exists()


def test_the_command_names_all_baselines(capsys):
    assert cli.main(["lab", "baseline", "--help"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in BASELINES)
    with pytest.raises(SettingsError, match="no baseline 'dream'; known: lama, inpaint"):
        open_baseline("dream")  # type: ignore[arg-type]
