"""A style file for a run, for a row and through the API: used, stated, part of what a run is resumed by."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cyclorama import cli
from cyclorama.errors import ConfigError, SettingsError
from cyclorama.generate import BackgroundGenerator
from cyclorama.generation.result import load_metadata
from cyclorama.scenes.brand import read_brand
from cyclorama.scenes.library import write_starter
from drawn import save_product

STYLE = """\
arrangement: 2
wall: '#d02030'
floor: '#802018'
props: '#a03020'
accent: gold
elements: [arch]
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Two products, two styles and a folder of scenes."""
    for i in range(2):
        save_product(tmp_path / f"p{i}.png", i, (64, 64))
    (tmp_path / "red.yaml").write_text(STYLE)
    (tmp_path / "blue.yaml").write_text(STYLE.replace("d02030", "2030d0").replace("802018", "182080"))
    write_starter("yoga mat", tmp_path / "sets" / "mat.yaml")
    return tmp_path


def run(shop: Path, *arguments: str, code: int = 0) -> list[dict[str, Any]]:
    out = shop / "out"
    common = ["--scenes", str(shop / "sets"), "--preset", "fast", "--size", "64x64", "--quiet"]
    found = cli.main(["generate", str(shop / "m.jsonl"), "--out", str(out), *common, *arguments])
    assert found == code
    if not (out / "results.jsonl").exists():
        return []
    return [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]


def write_rows(shop: Path, *rows: dict[str, Any]) -> None:
    lines = [json.dumps({"image": f"p{i}.png", "category": "yoga mat"} | row) for i, row in enumerate(rows)]
    (shop / "m.jsonl").write_text("\n".join(lines))


def read_mean(shop: Path, row: dict[str, Any]) -> np.ndarray:
    pixels = np.asarray(Image.open(shop / "out" / row["output"]).convert("RGB"), np.float64)
    return np.asarray(pixels[:12].mean((0, 1)))  # the wall


def test_a_rows_own_style_goes_before_the_runs_and_a_change_of_it_is_noticed(shop: Path) -> None:
    write_rows(shop, {}, {"style_file": "blue.yaml"})
    first, second = run(shop, "--style", str(shop / "red.yaml"))
    assert first["style"].startswith("red-") and second["style"].startswith("blue-")
    red, blue = read_mean(shop, first), read_mean(shop, second)
    assert red[0] > red[2] + 30 and blue[2] > blue[0] + 30
    assert first["exact"] is second["exact"] is True
    again = run(shop, "--style", str(shop / "red.yaml"))
    assert [r["image_sha256"] for r in again] == [first["image_sha256"], second["image_sha256"]]
    (shop / "red.yaml").write_text(STYLE.replace("d02030", "20c030"))
    third, fourth = run(shop, "--style", str(shop / "red.yaml"))
    assert third["style"] != first["style"] and fourth["image_sha256"] == second["image_sha256"]
    green = read_mean(shop, third)
    assert green[1] > green[0] + 30


def test_a_single_photo_in_a_style_is_rendered_whole_and_says_so(shop: Path) -> None:
    write_rows(shop, {})
    (shared,) = run(shop, "--style", str(shop / "red.yaml"))
    common = ["--category", "yoga mat", "--scenes", str(shop / "sets"), "--preset", "fast", "--size", "64x64"]
    arguments = [str(shop / "p0.png"), "--style", str(shop / "red.yaml"), *common, "--quiet"]
    assert cli.main(["generate", *arguments, "--out", str(shop / "out")]) == 0
    alone = json.loads((shop / "out" / "results.jsonl").read_text())
    assert "shared_sets" not in shared["settings"] and alone["settings"]["shared_sets"] is False
    assert alone["seed"] == shared["seed"] and alone["image_sha256"] != shared["image_sha256"]
    make = BackgroundGenerator.from_pretrained(scenes=shop / "sets")
    recipe = load_metadata(shop / "out" / alone["output"])
    again = make.again(recipe, shop / "p0.png", style=shop / "red.yaml")
    assert np.array_equal(again.pixels, np.asarray(Image.open(shop / "out" / alone["output"]).convert("RGB")))


def test_faults_of_a_style_are_told_before_the_run_or_in_its_row(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (shop / "bad.yaml").write_text(STYLE.replace("wall", "wal"))
    write_rows(shop, {}, {})
    assert run(shop, "--style", str(shop / "bad.yaml"), code=2) == []
    assert "ConfigError: bad.yaml:2: file: unknown key 'wal'; did you mean wall?" in capsys.readouterr().err
    write_rows(shop, {"style_file": "bad.yaml"}, {"style_file": "red.yaml", "reference": "p0.png"})
    first, second = run(shop, code=2)
    assert first["reason"] == "bad.yaml:2: file: unknown key 'wal'; did you mean wall?"
    assert second["reason"].endswith("it has a reference and a style file; keep one of them")
    both = ("--style", str(shop / "red.yaml"), "--reference", str(shop / "p0.png"))
    run(shop, *both, code=2)
    assert "--style and --reference are given together" in capsys.readouterr().err


def test_styles_are_for_rendered_sets(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_rows(shop, {})
    arguments = ["--out", str(shop / "o"), "--model", "bundled", "--style", str(shop / "red.yaml")]
    assert cli.main(["generate", str(shop / "m.jsonl"), *arguments]) == 2
    assert "red.yaml goes with the rendered sets, not with model bundled" in capsys.readouterr().err


def test_a_style_through_the_api_and_its_scene_must_exist(shop: Path) -> None:
    make = BackgroundGenerator.from_pretrained(scenes=shop / "sets")
    chosen = {"category": "yoga mat", "size": "64x64", "preset": "fast"}
    path = shop / "red.yaml"
    one = make(shop / "p0.png", style=path, **chosen)
    two = make([shop / "p0.png"], style=[read_brand(path)], **chosen)[0]
    assert np.array_equal(one.pixels, two.pixels) and one.style == "red"
    assert np.array_equal(make.again(one.recipe, shop / "p0.png", style=path).pixels, one.pixels)
    with pytest.raises(SettingsError, match=r"the recipe's style is red.yaml; give it"):
        make.again(one.recipe, shop / "p0.png")
    assert not np.array_equal(make(shop / "p0.png", **chosen).pixels, one.pixels)
    with pytest.raises(SettingsError, match="a style and a reference"):
        make(shop / "p0.png", style=path, reference=shop / "p0.png", **chosen)
    path.write_text(f"scene: yoga mat\n{STYLE}")
    assert make.model.read_style(path).scene == "yoga mat"
    with pytest.raises(ConfigError, match=r"red.yaml:1: scene: unknown category 'yoga mat'"):
        read_brand(path)


@pytest.mark.parametrize("look", ["reference", "style"])
def test_a_generator_that_has_drawn_in_a_style_can_be_pickled(shop: Path, look: str) -> None:
    generator = BackgroundGenerator.from_pretrained(scenes=shop / "sets")
    chosen: dict[str, Any] = {"category": "yoga mat", "size": "64x64", "preset": "fast"}
    chosen[look] = {"reference": shop / "p1.png", "style": shop / "red.yaml"}[look]
    products = [shop / "p0.png", shop / "p0.png"]  # two share a set, whose plate is kept
    made = generator(products, **chosen)
    again = pickle.loads(pickle.dumps(generator))(products, **chosen)
    for one, other in zip(made, again, strict=True):
        assert np.array_equal(one.pixels, other.pixels) and one.style == other.style
