"""Proves counts, contact sheet and single files of a set, from shards written by hand."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cyclorama.data.records import load_records
from cyclorama.files import write_atomic
from cyclorama.generation.items import ItemSource
from cyclorama.scenes import shards
from cyclorama.scenes.items import RenderedItem
from cyclorama.scenes.shards import MANIFEST_NAME, unpack_set
from cyclorama.scenes.statistics import compute_share, write_summary


def encode(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def make_item(key: str, category: str, brand: str | None, split: str, pair: bool = False) -> RenderedItem:
    shade = len(key) + len(category)
    image = encode(np.full((8, 8, 3), shade, np.uint8))
    mask = encode(np.pad(np.full((4, 4), 255, np.uint8), 2))
    slug = category.replace(" ", "-")
    data = {
        "id": key,
        "category": category,
        "brand": None if brand is None else f"{slug}-brand-{brand}",
        "product_id": f"{slug}-p{split}",
        "scene_id": f"{slug}-s",
        "seed": 4,
        "split": split,
        "licence": "CC0-1.0",
        "palette": ["#ffffff"] * 4,
    }
    members = {"png": image, "mask.png": mask}
    if pair:
        data["reference_product_id"] = f"{slug}-p-other"
        cutout = encode(np.full((8, 8, 4), shade + 1, np.uint8))
        members |= {"product.png": cutout, "reference.png": image, "reference_mask.png": mask}
    return RenderedItem(key, data, members)


def store(folder: Path, items: list[RenderedItem]) -> Path:
    write_atomic(shards.shard_path(folder, 0), shards.pack_items(items))
    write_atomic(shards.done_path(folder, 0), b"{}")
    return folder


TRAINING = [
    *(make_item(f"a{k}", "milk carton", "b", "train") for k in range(11)),
    make_item("b0", "milk carton", None, "test"),
    make_item("c0", "mug", "a", "train"),
]


def test_counts_by_category_brand_and_split(tmp_path: Path) -> None:
    found = write_summary(store(tmp_path, TRAINING))
    assert found == json.loads((tmp_path / "statistics.json").read_text())
    assert found["images"] == 13
    assert found["images_per_category"] == {"milk carton": 12, "mug": 1}
    assert found["images_per_brand"] == {
        "milk carton: unbranded": 1,
        "milk-carton-brand-b": 11,
        "mug-brand-a": 1,
    }
    assert found["images_per_split"] == {"test": 1, "train": 12}
    assert found["products_per_category"] == {"milk carton": 2, "mug": 1}
    assert found["share_of_categories_above_100"] == 0.0
    assert found["share_of_categories_below_10"] == 0.5
    assert found["per_split"] == {
        "test": {
            "images": 1,
            "images_per_category": {"milk carton": 1},
            "images_per_brand": {"milk carton: unbranded": 1},
            "products_per_category": {"milk carton": 1},
        },
        "train": {
            "images": 12,
            "images_per_category": {"milk carton": 11, "mug": 1},
            "images_per_brand": {"milk-carton-brand-b": 11, "mug-brand-a": 1},
            "products_per_category": {"milk carton": 1, "mug": 1},
        },
    }


def test_the_sheet_has_a_row_a_category_and_a_column_a_brand(tmp_path: Path) -> None:
    write_summary(store(tmp_path, TRAINING))
    page = (tmp_path / "index.html").read_text()
    assert "Rendered set: 13 images" in page
    assert "<th>brand a</th><th>brand b</th><th>unbranded</th>" in page
    milk = page[page.index("<th>milk carton<small>12</small></th>") : page.index("<th>mug<small>1</small>")]
    assert [cell.partition("</small>")[0] for cell in milk.split("<td><small>")[1:]] == ["0", "11", "1"]
    assert milk.count("data:image/jpeg;base64,") == 4 + 1  # at most four of a cell are shown


def test_the_limits_of_many_and_few_do_not_count_as_beyond(tmp_path: Path) -> None:
    counts = {"mug": 101, "fruit": 100, "phone": 10, "sauce": 9}
    items = [make_item(f"{c}{k}", c, "a", "train") for c, n in counts.items() for k in range(n)]
    found = write_summary(store(tmp_path, items))
    assert found["share_of_categories_above_100"] == 0.25
    assert found["share_of_categories_below_10"] == 0.25
    assert (tmp_path / "index.html").read_text().count("<div>") == 4 * 2  # four images, two in a line


def test_a_pair_is_shown_as_product_reference_and_truth(tmp_path: Path) -> None:
    write_summary(store(tmp_path, [make_item("p", "mug", "a", "test", pair=True)]))
    page = (tmp_path / "index.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 3
    assert page.count("<div>") == 1


def test_share_of_nothing_is_zero() -> None:
    assert compute_share([]) == 0.0
    assert compute_share([True, False, False]) == pytest.approx(0.3333)


def test_unpacked_pairs_are_files_that_generate_takes(tmp_path: Path) -> None:
    items = [make_item(f"p{k}", "milk carton", "a", "test", pair=True) for k in range(2)]
    assert unpack_set(store(tmp_path, items)) == 2
    expected = {
        "truth": items[1].members["png"],
        "mask": items[1].members["mask.png"],
        "product": items[1].members["product.png"],
        "reference": items[1].members["reference.png"],
        "reference_mask": items[1].members["reference_mask.png"],
    }
    for folder, data in expected.items():
        assert (tmp_path / folder / "p1.png").read_bytes() == data
    found = list(ItemSource(tmp_path / MANIFEST_NAME).iterate(tmp_path))
    assert [i.failure for i in found] == [None, None]
    assert [i.id for i in found] == ["p0", "p1"]
    assert found[1].image == str(tmp_path / "product" / "p1.png")
    assert found[1].mask == str(tmp_path / "mask" / "p1.png")
    assert found[1].mask_means == "product"
    assert found[1].category == "milk carton"
    assert found[1].reference == str(tmp_path / "reference" / "p1.png")
    assert found[1].reference_mask == str(tmp_path / "reference_mask" / "p1.png")
    assert found[0].seed != found[1].seed
    record = load_records(tmp_path / MANIFEST_NAME)[0]
    assert (record.brand, record.split, record.licence) == ("milk-carton-brand-a", "test", "CC0-1.0")
    assert record.extra["truth"] == "truth/p0.png"
    assert record.extra["reference_product_id"] == "milk-carton-p-other"


def test_without_a_reference_the_product_is_taken_from_the_truth(tmp_path: Path) -> None:
    unpack_set(store(tmp_path, TRAINING))
    record = load_records(tmp_path / MANIFEST_NAME)[0]
    assert record.image == tmp_path / "truth" / "a0.png"
    assert record.reference is None
    header = (tmp_path / MANIFEST_NAME).read_text().splitlines()[0]
    assert "reference" not in header
    assert "product," not in header


def test_unpacking_again_keeps_files_and_gives_the_same_table(tmp_path: Path) -> None:
    unpack_set(store(tmp_path, TRAINING))
    table = (tmp_path / MANIFEST_NAME).read_bytes()
    stamp = (tmp_path / "truth" / "a0.png").stat().st_mtime_ns
    (tmp_path / "truth" / "a1.png").unlink()
    assert unpack_set(tmp_path) == len(TRAINING)
    assert (tmp_path / "truth" / "a0.png").stat().st_mtime_ns == stamp
    assert (tmp_path / "truth" / "a1.png").read_bytes() == TRAINING[1].members["png"]
    assert (tmp_path / MANIFEST_NAME).read_bytes() == table
