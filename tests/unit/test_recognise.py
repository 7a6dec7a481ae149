"""The category that an image tells: what is clear is named, what is not is general."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import cyclorama
from cyclorama.errors import UnknownCategoryError
from cyclorama.generation.recognise import LEAST, look, recognise
from cyclorama.generation.scenes import build_registry
from cyclorama.imaging.product import Product
from cyclorama.models.registry import Category, CategoryRegistry
from cyclorama.models.vocabulary import FOLDER, load_categories

DEMO = Path(cyclorama.__file__).parent / "weights" / "demo"


@pytest.fixture(scope="module")
def banana() -> Product:
    return Product.from_image(DEMO / "products" / "fruit" / "01.webp")


def test_every_class_has_a_known_category() -> None:
    lines = (FOLDER / "classes.txt").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1000
    assert {line.split("\t")[1] for line in lines} <= set(load_categories())


def test_a_clear_product_is_named_with_its_class_and_how_sure_that_is(banana: Product) -> None:
    found = recognise(banana, build_registry())
    assert (found.category.name, found.source, found.matched) == ("fruit", "image", "banana")
    assert found.sure == pytest.approx(look(banana).probability, abs=0.005) and found.sure > 0.9


def test_place_and_background_do_not_matter(banana: Product) -> None:
    pad = ((150, 20), (10, 90))
    moved = banana.derive(
        pixels=np.pad(banana.pixels, (*pad, (0, 0))),
        foreground=np.pad(banana.foreground, (*pad, (0, 0))),
        matte=np.pad(banana.matte, pad),
    )
    assert look(moved) == look(banana)
    sides = ("pixels", "foreground", "matte")
    mirrored = banana.derive(**{name: np.ascontiguousarray(getattr(banana, name)[:, ::-1]) for name in sides})
    assert look(mirrored).category == "fruit"
    assert look(mirrored).probability == pytest.approx(look(banana).probability, abs=0.01)


def test_what_looks_like_almost_anything_tells_nothing_and_what_shops_call_otherwise_is_mapped() -> None:
    lines = (FOLDER / "classes.txt").read_text(encoding="utf-8").splitlines()
    means = dict(line.split("\t") for line in lines)
    assert {means[name] for name in ("lotion", "sunscreen", "water jug", "plastic bag", "digital clock")} == {
        "studio"
    }
    named = {name: means[name] for name in ("television", "cup", "pill bottle", "wine bottle", "Dutch oven")}
    assert list(named.values()) == ["television", "mug", "supplement jar", "wine", "pan"]


def test_what_is_not_clear_is_general_or_refused_by_name() -> None:
    grey = np.full((64, 64, 3), 128, np.uint8)
    matte = np.zeros((64, 64), np.float32)
    matte[16:48, 16:48] = 1
    product = Product(pixels=grey, matte=matte, foreground=grey)
    assert look(product).probability < LEAST
    found = recognise(product, build_registry())
    assert (found.category.name, found.source, found.sure) == ("studio", "general", 0.0)
    with pytest.raises(UnknownCategoryError, match="name one with --category"):
        recognise(product, CategoryRegistry([Category("whisky", 0)]))


def test_a_learned_model_takes_the_nearest_of_its_own(banana: Product) -> None:
    found = recognise(banana, CategoryRegistry([Category("vegetables", 0)]))
    assert (found.category.name, found.source) == ("vegetables", "image, near")
    assert found.sure == pytest.approx(0.3 * look(banana).probability, abs=0.01)


def test_of_the_demos_products_none_is_called_by_a_wrong_name() -> None:
    entries = json.loads((DEMO / "demo.json").read_text())["entries"]
    told = {e["category"]: look(Product.from_image(DEMO / e["product"])) for e in entries}
    named = {category: one for category, one in told.items() if one.probability >= LEAST}
    assert {category: one.category for category, one in named.items() if one.category != category} == {}
    assert len(named) >= 7
