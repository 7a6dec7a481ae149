"""A product in a rendered set: through the API and the command, with no weights."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cyclorama import cli
from cyclorama.errors import UnknownCategoryError
from cyclorama.generate import BackgroundGenerator
from cyclorama.generation.model import open_model
from cyclorama.generation.scenes import SceneModel, build_registry, draw_reference
from cyclorama.generation.styles import FittedStyles
from cyclorama.imaging.layout import find_box
from cyclorama.imaging.product import Product, Reference
from cyclorama.models.words import CategoryRules
from cyclorama.scenes.body import measure_body
from cyclorama.scenes.brand import Brand, read_brand
from cyclorama.scenes.grammar.reader import list_scenes, load_category
from cyclorama.scenes.model import CutOut, set_stage
from cyclorama.scenes.plate import choose_set
from cyclorama.scenes.render import render_mask
from cyclorama.scenes.stage import SceneCategory


def draw_bottle(size: tuple[int, int] = (96, 96), colour: tuple[int, int, int] = (40, 90, 160)) -> Product:
    """A plain bottle with a label, 57 pixels high, on a canvas of ``size``."""
    y, x = np.mgrid[: size[0], : size[1]]
    u, v = (x + 0.5 - size[1] / 2) / 13, (y - (size[0] - 57) // 2) / 57
    matte = ((np.abs(u) <= np.where(v < 0.3, 0.4, 1.0)) & (v >= 0) & (v < 1)).astype(np.float32)
    pixels = np.full((*size, 3), 250, np.uint8)
    pixels[matte > 0] = colour
    pixels[(matte > 0) & (v > 0.5) & (v < 0.8)] = (240, 235, 220)
    return Product(pixels, matte, pixels, "bottle")


@pytest.fixture(scope="module")
def model() -> SceneModel:
    return SceneModel()


def test_at_least_forty_categories_read_and_no_word_stands_for_two() -> None:
    registry = build_registry()  # which refuses a word that is taken
    assert len(registry.categories) >= 40
    assert registry.general == "studio"
    for name in list_scenes():
        category = load_category(name)
        assert category.name == name
        low, high = category.framing.share
        assert registry.resolve(name).share == pytest.approx((low + high) / 2)


@pytest.mark.parametrize(
    ("given", "category", "source"),
    [
        ("perfume", "perfume", "name"),
        ("Perfumes", "perfume", "plural"),
        ("Beauty > Perfume & Cologne", "perfume", "path, part, name"),
        ("apple", "fruit", "alias"),
        ("Tomato", "vegetables", "alias"),
        ("sneakers", "shoes", "alias"),
        ("moped", "studio", "general"),
        ("screwdriver", "studio", "general"),
        ("moccasin", "shoes", "noun"),
    ],
)
def test_every_noun_gets_a_set(given: str | None, category: str, source: str) -> None:
    found = CategoryRules().choose(given, build_registry())
    assert (found.category.name, found.source) == (category, source)


def test_strict_categories_are_an_error() -> None:
    with pytest.raises(UnknownCategoryError, match="moped"):
        CategoryRules(strict=True).choose("moped", build_registry())


def test_the_ground_is_the_canvas_size_and_the_same_again(model: SceneModel) -> None:
    product = draw_bottle()
    ground = model.draw(product, "perfume", 7, "fast")
    assert (ground.shape, ground.dtype) == ((96, 96, 3), np.uint8)
    assert np.array_equal(model.draw(product, "perfume", 7, "fast"), ground)
    other = model.draw(product, "perfume", 8, "fast")
    assert np.abs(other.astype(int) - ground).mean() > 5
    assert ground.std() > 10  # something is there


def test_large_canvases_are_rendered_smaller_and_scaled_up(
    model: SceneModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules["cyclorama.generation.scenes"].PRESETS, "fast", (48, 4))
    ground = model.draw(draw_bottle((96, 120)), "perfume", 7, "fast")
    assert ground.shape == (96, 120, 3)


def test_product_casts_its_shadow_and_stands_where_it_is(model: SceneModel) -> None:
    """Rendered coverage of the card is the matte; the ground at its foot is darker than without it."""
    product = draw_bottle((128, 128))
    box = find_box(product.matte)
    cutout = CutOut(product.foreground, product.matte, (box.top, box.left, box.height, box.width))
    stage = set_stage(cutout, load_category("perfume"), 3).stage
    mask = render_mask(stage, 128, 16, 0) > 127
    solid = product.matte > 0.5
    assert (mask & solid).sum() / (mask | solid).sum() >= 0.98


def test_body_follows_from_the_products_of_a_category() -> None:
    assert measure_body(load_category("phone")).depth < 0.3
    assert measure_body(load_category("whisky")).depth > 0.4
    assert measure_body(load_category("jewellery")).lies


def split(top: tuple[int, int, int], bottom: tuple[int, int, int]) -> NDArray[np.uint8]:
    image = np.zeros((100, 100, 3), np.uint8)
    image[:66], image[66:] = top, bottom
    return image


def test_a_brand_changes_colours_set_and_camera(model: SceneModel) -> None:
    blue, red = (
        Brand(wall=wall, floor=wall, props=wall, accent=wall, arrangement=1)
        for wall in ((0.12, 0.24, 0.55), (0.6, 0.16, 0.12))
    )
    grounds = [model.draw(draw_bottle(), "perfume", 7, "fast", brand) for brand in (blue, red)]
    means = [g[:30].reshape(-1, 3).mean(0) for g in grounds]
    assert means[0][2] > means[0][0] + 20
    assert means[1][0] > means[1][2] + 20
    product = draw_bottle()
    box = find_box(product.matte)
    cutout = CutOut(product.foreground, product.matte, (box.top, box.left, box.height, box.width))
    perfume, whisky = load_category("perfume"), load_category("whisky")
    own = choose_set(cutout, perfume, perfume, 1, blue.style).build()
    other = choose_set(cutout, perfume, whisky, 1, blue.style, 3.0).build()
    assert len(own.parts) != len(other.parts)
    _, y, z = np.subtract(other.camera.origin, other.camera.target)
    assert np.rad2deg(np.arctan2(z, -y)) == pytest.approx(3.0)


def test_a_reference_is_fitted_once_and_its_style_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def fit(category: SceneCategory, pixels: NDArray[np.uint8], mask: None) -> Brand:
        calls.append(category.name)
        blue = (0.2, 0.3, 1 / 3)
        return Brand(scene="whisky", arrangement=2, wall=blue, floor=blue, props=blue, accent=blue)

    monkeypatch.setattr("cyclorama.generation.styles.fit_style", fit)
    reference = Reference(split((30, 60, 140), (90, 110, 170)))
    styles = FittedStyles(tmp_path)
    found = styles.find(reference, "juice carton")
    assert styles.find(Reference(reference.pixels.copy()), "juice carton") == found
    assert calls == ["juice carton"]
    assert found.name.startswith("juice-carton-")
    assert read_brand(tmp_path / f"{found.name}.yaml") == found.brand
    assert FittedStyles(tmp_path).find(reference, "juice carton") == found  # another worker
    assert calls == ["juice carton"]
    assert FittedStyles().find(reference, "juice carton") == found  # without a run's folder
    styles.find(Reference(split((30, 60, 141), (90, 110, 170))), "juice carton")
    mask = np.zeros((100, 100), np.float32)
    mask[40:80, 40:60] = 1
    styles.find(Reference(reference.pixels, mask), "juice carton")
    styles.find(reference, "whisky")
    assert len(list(tmp_path.iterdir())) == 4 and len(calls) == 5


def test_a_set_is_the_reference_of_a_learned_model() -> None:
    product = draw_bottle()
    reference = draw_reference(product, "moped", 3)  # no set of its own
    opaque = product.matte == 1
    assert np.array_equal(reference.pixels[opaque], product.pixels[opaque])
    assert reference.product_mask is not None and np.array_equal(reference.product_mask, product.matte)
    ground = SceneModel().draw(product, "studio", 3, "fast")
    assert np.array_equal(reference.pixels[product.matte == 0], ground[product.matte == 0])


def test_the_command_starts_a_learned_model_from_the_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    product = draw_bottle()
    rgba = np.dstack([product.pixels, np.rint(product.matte * 255).astype(np.uint8)])
    Image.fromarray(rgba).save(tmp_path / "a.png")
    command = [
        "generate",
        str(tmp_path / "a.png"),
        "--category",
        "perfume",
        "--reference",
        "scene",
        "--quiet",
    ]
    learned = [*command, "--model", "bundled", "--steps", "1", "--size", "64x64", "--out"]
    assert cli.main([*learned, str(tmp_path / "learned")]) == 0
    (row,) = [json.loads(line) for line in (tmp_path / "learned" / "results.jsonl").read_text().splitlines()]
    assert (row["status"], row["reference"]) == ("done", "scene")
    assert cli.main([*command, "--out", str(tmp_path / "sets")]) == 2
    assert "--reference scene is for learned models" in capsys.readouterr().err


def test_one_call_makes_a_finished_image() -> None:
    generator = BackgroundGenerator.from_pretrained()
    product = draw_bottle()
    made = generator(product, category="perfume", seed=3, preset="fast", placement="keep")
    assert generator.model.name == "scenes"
    assert made.report.exact
    box = find_box(product.matte)
    assert made.pixels.shape == (96, 96, 3)
    opaque = product.matte == 1
    assert np.array_equal(made.pixels[opaque], product.pixels[opaque])
    assert made.recipe["settings"] == {"preset": "fast", "size": "source", "placement": "keep"}
    again = generator.again(made.recipe, product)
    assert np.array_equal(again.pixels, made.pixels)
    assert box.height == 57
    handle = open_model()
    assert (handle.name, handle.learned, handle.hash) == ("scenes", False, made.recipe["model_hash"])


def test_the_command_takes_scenes_by_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    product = draw_bottle()
    rgba = np.dstack([product.pixels, np.rint(product.matte * 255).astype(np.uint8)])
    Image.fromarray(rgba).crop((30, 15, 66, 80)).save(tmp_path / "a.png")  # it fills its photo
    (tmp_path / "t.csv").write_text("image,category\na.png,perfume\na.png,moped\n")
    out = tmp_path / "out"
    command = ["generate", tmp_path / "t.csv", "--out", out, "--preset", "fast"]
    assert cli.main([*map(str, command)]) == 0
    assert "model: scenes" in capsys.readouterr().err.splitlines()[0]
    rows = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert [(r["model"], r["category"], r["category_source"]) for r in rows] == [
        ("scenes", "perfume", "name"), ("scenes", "studio", "general"),
    ]  # fmt: skip
    with Image.open(out / rows[0]["output"]) as image:
        made = np.asarray(image)
    box = rows[0]["images"][0]["placement"]["box"]
    share = max(box[2] / made.shape[0], 0.8 * box[3] / made.shape[1])
    low, high = load_category("perfume").framing.share
    assert share == pytest.approx((low + high) / 2, abs=0.03)
    before = {p.name: p.read_bytes() for p in (out / "images").iterdir()}
    assert cli.main([*map(str, command), "--overwrite"]) == 0
    assert {p.name: p.read_bytes() for p in (out / "images").iterdir()} == before
    assert cli.main([*map(str, command[:-2]), "--strict-category", "--preset", "fast", "--quiet"]) == 1


def test_layers_of_a_set_are_the_empty_set_the_shadow_and_the_product(
    model: SceneModel, tmp_path: Path
) -> None:
    product = draw_bottle()
    rgba = np.dstack([product.pixels, np.rint(product.matte * 255).astype(np.uint8)])
    Image.fromarray(rgba).save(tmp_path / "a.png")
    command = ["generate", tmp_path / "a.png", "--out", tmp_path / "out", "--category", "perfume", "--quiet"]
    options = ["--preset", "fast", "--placement", "keep", "--seed", 7, "--layers", "png"]
    assert cli.main([*map(str, [*command, *options])]) == 0
    (row,) = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    parts = {}
    for file in row["images"][0]["files"]:
        with Image.open(tmp_path / "out" / file["name"]) as image:
            parts[".".join(file["name"].split(".")[1:])] = np.asarray(image).astype(np.float64)
    alpha, dark = parts["product.png"][..., 3:] / 255, parts["shadow.png"][..., 3:] / 255
    under = (1 - alpha) * (1 - dark)
    made = np.rint(alpha * parts["product.png"][..., :3] + under * parts["background.png"][..., :3])
    assert np.array_equal(made, parts["png"][..., :3])
    empty = model.draw_empty(product, "perfume", row["images"][0]["seed"], "fast")
    seen = product.matte == 0
    assert np.abs(parts["background.png"][..., :3] - empty)[seen].mean() < 4
    assert dark[seen].max() > 0.2  # its foot takes light from the ground
