"""What a call of the generator takes and gives, on a stand-in model: one or many, seeds, names, recipes."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cyclorama import load_metadata
from cyclorama.errors import ImageError, SettingsError
from cyclorama.generate import BackgroundGenerator, Generated, ModelHandle
from cyclorama.generation.model import open_scenes
from cyclorama.scenes.brand import Brand
from cyclorama.scenes.model import draw_style
from drawn import save_product
from flat_scenes import FlatScenes
from stand_in import StandIn


@pytest.fixture
def generator() -> BackgroundGenerator:
    model = StandIn()
    return BackgroundGenerator(model, ModelHandle("m", Path(), "abc", model.registry))  # type: ignore[arg-type]


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    found = [tmp_path / f"p{i}.png" for i in range(3)]
    for i, path in enumerate(found):
        save_product(path, i, (64, 64))
    return found


def test_one_product_gives_its_image_and_more_give_a_list(generator: Any, paths: list[Path]) -> None:
    one = generator(paths[0], category="fruit")
    assert isinstance(one, Generated) and one.name == "p0.png"
    assert one.pixels.shape == (64, 64, 3) and one.report.exact
    listed = generator([paths[0]], category="fruit")
    assert isinstance(listed, list) and [made.seed for made in listed] == [one.seed]
    assert np.array_equal(listed[0].pixels, one.pixels)
    several = generator(iter(paths), category=["fruit"] * 3)
    assert [made.name for made in several] == ["p0.png", "p1.png", "p2.png"]
    assert several[0].seed == one.seed
    candidates = generator(paths[0], category="fruit", candidates=2)
    assert [made.seed == one.seed for made in candidates] == [True, False]


def test_products_come_before_outputs_before_candidates(generator: Any, paths: list[Path]) -> None:
    made = generator(paths[:2], category="fruit", outputs=("64x64", "128x64"), candidates=2)
    found = [(image.name, image.pixels.shape[1], image.recipe["layout"]) for image in made]
    canvases = [(64, "64x64")] * 2 + [(128, "128x64")] * 2
    assert found == [(name, *canvas) for name in ("p0.png", "p1.png") for canvas in canvases]
    assert made[0].seed == made[2].seed != made[1].seed == made[3].seed


def test_a_product_that_cannot_be_read_is_named_by_its_place(
    generator: Any, paths: list[Path], tmp_path: Path
) -> None:
    torn = tmp_path / "torn.png"
    torn.write_bytes(b"torn")
    with pytest.raises(ImageError) as alone:
        generator(torn, category="fruit")
    assert "product 1" not in str(alone.value)
    with pytest.raises(ImageError) as listed:
        generator([torn], category="fruit")
    assert str(listed.value) == str(alone.value)
    with pytest.raises(ImageError) as second:
        generator([paths[0], torn], category="fruit")
    assert str(second.value) == f"product 2 of 2: {alone.value}"
    assert generator.pipeline.calls == []


@pytest.mark.parametrize(
    ("count", "values", "message"),
    [
        (2, {"category": ["fruit"]}, "1 values of category for 2 products; give one, or one per product"),
        (2, {"seed": [1, 2, 3]}, "3 values of seed for 2 products"),
        (1, {"reference": [None, None]}, "2 values of reference for 1 products"),
        (0, {}, "no products are given"),
        (1, {"category": " "}, "category is ' '; give the name of one, as text: fruit"),
        (2, {"category": ["fruit", 3]}, "category is 3"),
        (1, {"seed": -1}, r"seed must be a whole number from 0 to 2\*\*63 - 1, got -1"),
        (1, {"seed": 2**63}, "got 9223372036854775808"),
        (1, {"seed": True}, "got True"),
        (1, {"seed": 1.5}, "got 1.5"),
        (1, {"settings": 3}, "settings is int; give a GenerateConfig"),
    ],
)
def test_what_does_not_fit_is_named(
    generator: Any, paths: list[Path], count: int, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        generator(paths[:count], **{"category": "fruit"} | values)
    assert generator.pipeline.calls == []


@pytest.mark.parametrize("seed", [0, 5, 2**63 - 1, np.int64(5), np.array(5)])
def test_one_seed_is_the_runs(generator: Any, paths: list[Path], seed: Any) -> None:
    made = generator(paths[:2], category="fruit", seed=seed)
    same = generator(paths[:2], category="fruit", seed=int(seed))
    assert [image.seed for image in made] == [image.seed for image in same]
    assert made[0].seed != made[1].seed and int(seed) not in (made[0].seed, made[1].seed)


def test_listed_seeds_are_each_products_own(generator: Any, paths: list[Path]) -> None:
    made = generator(paths[:2], category="fruit", seed=np.array([7, 8]))
    assert [image.seed for image in made] == [7, 8]
    first, second = generator(paths[:2], category="fruit", seed=[7, None])
    plain = generator(paths[:2], category="fruit", seed=None)
    assert (first.seed, second.seed) == (7, plain[1].seed)


def test_a_recipe_gives_the_image_again(generator: Any, paths: list[Path]) -> None:
    made = generator(paths[0], category="fruit", seed=3, outputs=("128x64", "64x64"))[0]
    again = generator.again(made.recipe, paths[0])
    assert isinstance(again, Generated)
    assert np.array_equal(again.pixels, made.pixels)
    with pytest.raises(SettingsError, match=r"of model m \(xyz\), this one is m \(abc\); load that one"):
        generator.again(made.recipe | {"model_hash": "xyz"}, paths[0])
    for recipe, reference in ((made.recipe, paths[1]), (made.recipe | {"reference": "r.png"}, None)):
        with pytest.raises(SettingsError, match="the recipe's reference is"):
            generator.again(recipe, paths[0], reference=reference)
    plain = generator(paths[0], category="fruit", reference=paths[1])
    assert np.array_equal(generator.again(plain.recipe, paths[0], reference=paths[1]).pixels, plain.pixels)


@pytest.mark.parametrize("look", ["style", "backdrop"])
def test_a_recipe_says_whether_a_style_or_a_backdrop_was_given(
    look: str, paths: list[Path], tmp_path: Path
) -> None:
    generator = BackgroundGenerator(FlatScenes(), open_scenes())
    style = tmp_path / "red.yaml"
    style.write_text("arrangement: 2\nwall: '#d02030'\nfloor: '#802018'\nprops: '#a03020'\naccent: gold\n")
    Image.new("RGB", (96, 64), (90, 120, 90)).save(tmp_path / "plate.png")
    file = {"style": style, "backdrop": tmp_path / "plate.png"}[look]
    values: dict[str, Any] = {"category": "perfume", "seed": 3, "preset": "fast"}
    plain, made = generator(paths[0], **values), generator(paths[0], **values, **{look: file})
    assert set(made.recipe) - set(plain.recipe) == {look} and made.recipe[look] == file.name
    listed = generator(paths[:2], **values, **{look: [None, file]})
    assert [image.recipe.get(look) for image in listed] == [None, file.name]
    for recipe in (made.recipe, load_metadata(made.save(tmp_path / "made.png"))):
        assert np.array_equal(generator.again(recipe, paths[0], **{look: file}).pixels, made.pixels)
        with pytest.raises(SettingsError, match=rf"the recipe's {look} is {file.name}; give it, or none"):
            generator.again(recipe, paths[0])
        with pytest.raises(SettingsError, match="the recipe's reference is None"):
            generator.again(recipe, paths[0], reference=paths[1], **{look: file})
    with pytest.raises(SettingsError, match=f"the recipe's {look} is None; give it, or none for None"):
        generator.again(plain.recipe, paths[0], **{look: file})


def test_a_brand_that_is_given_as_an_object_is_said_in_the_recipe(paths: list[Path]) -> None:
    generator = BackgroundGenerator(FlatScenes(), open_scenes())
    brand = Brand.of(draw_style("perfume", 1))
    made = generator(paths[0], category="perfume", style=brand)
    assert made.recipe["style"] == "brand" and "backdrop" not in made.recipe
    assert np.array_equal(generator.again(made.recipe, paths[0], style=brand).pixels, made.pixels)


def test_a_generator_travels_with_a_lock_of_its_own(generator: Any) -> None:
    generator.pipeline = None
    other = pickle.loads(pickle.dumps(generator))
    assert vars(other).keys() == vars(generator).keys()
    assert other.model.name == "m" and other.lock is not generator.lock


def test_equal_images_without_a_name_get_equal_names(generator: Any, paths: list[Path]) -> None:
    data = [path.read_bytes() for path in paths]
    names = [made.name for made in generator([data[0], data[0], data[1]], category="fruit")]
    assert names[0] == names[1] != names[2] and names[0].startswith("product-")
