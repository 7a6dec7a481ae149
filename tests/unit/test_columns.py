"""Which column is which field, and what a cell says: cyclorama.data.columns by its values."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cyclorama.data.columns import (
    PARSERS,
    _find_shop,
    fold,
    has_image_column,
    match_columns,
    parse_seed,
    parse_text,
    split_images,
)
from cyclorama.data.table import open_table
from cyclorama.errors import ManifestError


@pytest.mark.parametrize(
    ("names", "given", "count"),
    [
        (["Image Src", "Title", "x"], {}, 2),
        (["g:image_link"], {}, 1),
        (["image 2"], {}, 1),  # numbered: no spelling, but for the image
        (["image 2", "Title", "brand"], {}, 2),
        (["Title", "brand"], {}, 0),
        ([None, "Bild"], {}, 1),
        (["front", "Title", "brand"], {"image": "Front"}, 3),
        (["front"], {"image": "front"}, 1),
        (["image", "Title"], {"image": "front"}, 0),
        ([], {}, 0),
    ],
)
def test_a_header_is_known_by_its_columns(names: list[Any], given: dict[str, str], count: int) -> None:
    assert has_image_column(names, given) == count


@pytest.mark.parametrize(
    ("columns", "shop"),
    [
        (["handle", "imagesrc"], "Shopify"),
        (["handle", "imagesrc", "type"], "Shopify"),
        (["urlhandle", "productimageurl"], "Shopify"),
        (["handle", "productimageurl"], ""),
        (["images", "categories", "sku"], "WooCommerce"),
        (["bilder", "kategorien", "name"], "WooCommerce"),
        (["images", "categories"], ""),
        (["images", "sku"], ""),
    ],
)
def test_shops_are_known_by_the_columns_that_only_they_have(columns: list[str], shop: str) -> None:
    assert _find_shop(columns) == shop


def test_each_column_has_one_meaning() -> None:
    found = match_columns(["Image", "photo 2", "photo 10", "gallery", "Category", "SKU", "x"], {}, (), "t")
    assert found.images == ("Image", "gallery", "photo 2", "photo 10")
    assert found.fields == {"category": ("Category",), "product_id": ("SKU",)}
    assert (found.rest, found.shop) == (("x",), "")
    assert found.describe() == (
        "columns: image from 'Image', category from 'Category', product_id from 'SKU', "
        "further images from 'gallery', 'photo 2', 'photo 10'"
    )
    one = match_columns(["Image", "IMAGE", "name"], {}, ("image",), "t")
    assert one.images == ("Image", "IMAGE") and one.fields == {"title": ("name",)}
    assert one.describe() == "columns: image from 'Image', title from 'name', further images from 'IMAGE'"


def test_what_the_user_names_goes_first() -> None:
    found = match_columns(["image", "front", "Type"], {"image": "FRONT", "title": "Type"}, ("image",), "t")
    assert (found.images, found.fields, found.rest) == (("front",), {"title": ("Type",)}, ("image",))
    with pytest.raises(ManifestError, match="columns names 'colour', which is no field"):
        match_columns(["image"], {"colour": "x"}, (), "t")
    with pytest.raises(ManifestError, match=r"t: mask is to come from column 'm', .*found: 'image'"):
        match_columns(["image"], {"mask": "m"}, (), "t")


def test_a_numbered_image_that_is_named_another_field_is_no_product(tmp_path: Path) -> None:
    for name in ("a", "b", "am", "bm", "a3"):
        Image.new("RGB", (32, 32)).save(tmp_path / f"{name}.png")
    lines = ["image,image_2,image_3,gallery", "a.png,am.png,a3.png,", "b.png,bm.png,,"]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    table = open_table(tmp_path / "t.csv", columns={"mask": "image_2", "reference": "gallery"})
    assert table.map.images == ("image", "image_3")
    assert [Path(row.values["image"]).name for row in table] == ["a.png", "a3.png", "b.png"]
    assert [Path(row.values["mask"]).name for row in table] == ["am.png", "am.png", "bm.png"]
    with pytest.raises(ManifestError, match="missing column 'image'"):
        match_columns(["image_2"], {"mask": "image_2"}, ("image",), "t")


def test_type_is_a_category_in_one_shop_and_another_thing_in_the_other() -> None:
    shopify = match_columns(["Handle", "Image Src", "Type", "Product Category", "Variant SKU"], {}, (), "t")
    assert shopify.shop == "Shopify"
    assert shopify.fields["category"] == ("Type", "Product Category")
    assert shopify.fields["product_id"] == ("Handle",)
    assert shopify.describe().startswith("Shopify product table; columns: image from 'Image Src', ")
    woo = match_columns(["SKU", "Type", "Images", "Categories"], {}, (), "t")
    assert woo.fields["category"] == ("Categories",) and woo.rest == ("Type",)
    assert match_columns(["image", "type"], {}, (), "t").fields == {"category": ("type",)}
    both = match_columns(["image", "type", "class", "kategorie"], {}, (), "t")
    assert both.fields["category"] == ("class", "kategorie") and both.rest == ("type",)
    other = match_columns(["image", "sku", "handle"], {}, (), "t")
    assert other.fields == {"product_id": ("sku",)} and other.rest == ("handle",)


def test_missing_columns_are_named() -> None:
    with pytest.raises(ManifestError, match=r"t: missing column 'mask'; columns found: 'image'"):
        match_columns(["image"], {}, ("image", "mask"), "t")
    with pytest.raises(ManifestError, match=r"missing columns 'image', 'mask'; columns found: none"):
        match_columns([], {}, ("image", "mask"), "t")


@pytest.mark.parametrize(
    ("cell", "several", "images"),
    [
        (None, True, []),
        (float("nan"), True, []),
        ("", True, []),
        ("N/A", True, []),
        (b"\xff", False, [b"\xff"]),
        (7, False, [7]),
        ({"bytes": b"x", "path": "a.png"}, False, [b"x"]),
        ({"bytes": None, "path": "a.png"}, False, ["a.png"]),
        ({"alt": "a.png"}, False, []),
        (["a.png", None, {"src": "b.png"}], False, ["a.png", "b.png"]),
        ('["a.png", "b.png"]', True, ["a.png", "b.png"]),
        ('["a.png"', True, ['["a.png']),
        ("a,b", False, ["a,b"]),
        ("a,b", True, ["a", "b"]),
        ("a.png;b.jpg", False, ["a.png", "b.jpg"]),
        ("a.png|b.jpg", False, ["a.png", "b.jpg"]),
        ("a.png, b.txt", False, ["a.png, b.txt"]),
        ("https://x.example/a,b.jpg", True, ["https://x.example/a,b.jpg"]),
        ("https://x.example/a,b.jpg", False, ["https://x.example/a,b.jpg"]),
        ("https://x.example/a.jpg, https://x.example/b.jpg?v=1", False,
         ["https://x.example/a.jpg", "https://x.example/b.jpg?v=1"]),
        ("https://x.example/a https://x.example/b", True, ["https://x.example/a", "https://x.example/b"]),
    ],
)  # fmt: skip
def test_the_images_of_a_cell(cell: Any, several: bool, images: list[Any]) -> None:
    assert split_images(cell, several) == images


@pytest.mark.parametrize(
    ("value", "column", "text"),
    [
        (" a ", "category", "a"),
        ("None", "category", None),
        ("None", "title", "None"),
        (" ", "text", None),
        ("7.00", "id", "7"),
        ("7.00", "product_id", "7"),
        ("7.00", "category", "7.00"),
        ("7.50", "id", "7.50"),
        (7.0, "id", "7"),
        (7.5, "id", "7.5"),
        (Decimal("8.0"), "id", "8"),
        (float("nan"), "id", None),
        (float("inf"), "id", "inf"),
        (None, "id", None),
        ([{"name": "Wine"}], "category", "Wine"),
        ({"name": "Wine"}, "category", "Wine"),
    ],
)
def test_the_text_of_a_cell(value: Any, column: str, text: str | None) -> None:
    assert parse_text(value, column) == text


@pytest.mark.parametrize("value", [True, [], ["a"], {}, {"name": 1}, b"a"])
def test_what_is_no_text_is_refused(value: Any) -> None:
    with pytest.raises(ManifestError, match="column 'title' must be text, got"):
        parse_text(value, "title")


def test_seeds_and_counts_have_their_ends() -> None:
    assert [parse_seed(v) for v in (0, "0", 2**63 - 1, str(2**63 - 1), "12.0", "", None)] == [
        0,
        0,
        2**63 - 1,
        2**63 - 1,
        12,
        None,
        None,
    ]
    for value in (-1, 2**63, "x", 1.5, True):
        with pytest.raises(ManifestError, match=r"column 'seed': got .*, need a whole number from 0 to 2"):
            parse_seed(value)
    count = PARSERS["clicks"]
    assert [count(v, "clicks") for v in ("1,234", "1 234", "5.0", 0, "")] == [1234, 1234, 5, 0, None]
    for value in ("-1", "1.5", "many"):
        with pytest.raises(ManifestError, match=f"column 'clicks': got '{value}', need a whole number"):
            count(value, "clicks")
    means = PARSERS["mask_means"]
    assert [means(v, "mask_means") for v in ("Product", "BACKGROUND", "alpha", "")] == [
        "product",
        "background",
        "alpha",
        None,
    ]
    with pytest.raises(ManifestError, match=r"column 'mask_means': got 'white', allowed: 'product', 'back"):
        means("white", "mask_means")


def test_names_are_compared_without_case_spaces_and_prefix() -> None:
    assert [fold(n) for n in (" Image Src ", "g:id", "{http://x/ns}image_link", "\ufeffBild-URL")] == [
        "imagesrc",
        "id",
        "imagelink",
        "bildurl",
    ]
