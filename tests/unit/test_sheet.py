"""The contact sheet's arithmetic: sizes and places of thumbnails and cells, what is counted and linked."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from cyclorama.generation.sheet import (
    build_sheet,
    build_sheet_row,
    encode_overview,
    encode_thumbnail,
    name_thumbnails,
)

COLOURS = [(255, 0, 0), (0, 0, 255), (0, 128, 0), (255, 0, 255), (0, 255, 255), (128, 64, 0)]
SIZES = [(300, 300), (100, 50), (192, 96), (30, 191), (192, 193), (400, 100)]
PLACES = [(192, 192), (100, 50), (192, 96), (30, 191), (191, 192), (192, 48)]
"""What of each size is shown in a cell of 192 pixels."""


def open_overview(rows: list[list[Path | None]], labels: list[str]) -> np.ndarray[Any, Any]:
    with Image.open(io.BytesIO(encode_overview(rows, labels))) as sheet:
        assert sheet.mode == "RGB"
        return np.asarray(sheet)


def test_an_overview_is_cells_of_192_pixels_with_8_between_below_a_line_of_22(tmp_path: Path) -> None:
    paths = [tmp_path / f"{k}.png" for k in range(6)]
    for path, colour, size in zip(paths, COLOURS, SIZES, strict=True):
        Image.new("RGB", size, colour).save(path)
    pixels = open_overview([paths[:3], paths[3:], [None] * 3], ["", "", ""])
    expected = Image.new("RGB", (608, 630), (246, 245, 242))
    for k, (colour, (width, height)) in enumerate(zip(COLOURS, PLACES, strict=True)):
        left, top = (8, 208, 408)[k % 3] + (192 - width) // 2, (30, 230)[k // 3] + (192 - height) // 2
        expected.paste(colour, (left, top, left + width, top + height))
    assert np.array_equal(pixels, np.asarray(expected))


@pytest.mark.parametrize(("rows", "labels", "size"), [(0, 0, (30, 8)), (0, 1, (30, 208)), (1, 2, (230, 408))])
def test_an_overview_has_room_for_its_rows_and_labels(rows: int, labels: int, size: tuple[int, int]) -> None:
    assert open_overview([[None] * labels] * rows, [""] * labels).shape[:2] == size


def test_labels_stand_above_their_columns() -> None:
    expected = Image.new("RGB", (608, 30), (246, 245, 242))
    draw, font = ImageDraw.Draw(expected), ImageFont.load_default(size=14)
    for left, label in ((8, "product"), (208, "A"), (408, "B")):
        draw.text((left, 4), label, fill=(35, 33, 29), font=font)
    assert np.array_equal(open_overview([], ["product", "A", "B"]), np.asarray(expected))


def test_transparent_parts_show_paper(tmp_path: Path) -> None:
    Image.new("RGBA", (192, 192), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert (open_overview([[tmp_path / "clear.png"]], [""]) == (246, 245, 242)).all()


@pytest.mark.parametrize(
    ("shape", "size"), [((320, 320), (320, 320)), ((321, 100), (100, 320)), ((10, 640), (320, 5))]
)
def test_thumbnails_are_at_most_320_pixels(shape: tuple[int, int], size: tuple[int, int]) -> None:
    with Image.open(io.BytesIO(encode_thumbnail(np.full((*shape, 3), 90, np.uint8)))) as image:
        assert (image.size, image.mode, image.format) == (size, "RGB", "WEBP")


def test_a_thumbnails_alpha_is_the_matte() -> None:
    matte = np.repeat(np.float32([[0.0, 0.25, 0.5, 1.0]]), 32, 0).repeat(8, 1)
    with Image.open(io.BytesIO(encode_thumbnail(np.full((32, 32, 3), 90, np.uint8), matte))) as image:
        alpha = np.asarray(image)[..., 3]
    assert alpha[16, [4, 12, 20, 28]].tolist() == [0, 64, 128, 255]


def test_thumbnails_are_named_by_output_and_reference() -> None:
    folder = "journal/thumbs"
    assert name_thumbnails("b/a", ".1x1-c2", False, None) == {"result": f"{folder}/results/b/a.1x1-c2.webp"}
    assert name_thumbnails("a", "", True, "0123456789abcdef0") == {
        "result": f"{folder}/results/a.webp",
        "product": f"{folder}/products/a.webp",
        "second": f"{folder}/seconds/a.webp",
        "reference": f"{folder}/references/0123456789abcdef.webp",
    }


@pytest.mark.parametrize(
    ("layouts", "candidates", "captions"),
    [
        ([""], 1, ["result, seed 1"]),
        ([""], 2, ["result, seed 1"]),  # the best of two
        (["", ""], 1, ["result, seed 1", "result, seed 2"]),
        (["1x1", "4x5"], 1, ["1x1, seed 1", "4x5, seed 2"]),
        (["", ""], 2, ["candidate 1, seed 1", "candidate 2, seed 2"]),
    ],
)
def test_candidates_are_numbered_where_there_are_several(
    tmp_path: Path, layouts: list[str], candidates: int, captions: list[str]
) -> None:
    images = [
        {
            "output": f"images/{k}.png", "layout_name": name or None, "candidate": k, "seed": k, "width": 3,
            "height": 2, "report": {"exact": True},
        }
        for k, name in enumerate(layouts, 1)
    ]  # fmt: skip
    row = {"name": "a.png", "stem": "a", "category": "fruit", "category_source": "name", "images": images}
    card = build_sheet_row(tmp_path, row, candidates)
    assert [cell.caption for cell in card.cells] == captions
    assert [cell.output for cell in card.cells] == [image["output"] for image in images]
    assert card.note == "fruit (name) · 3 × 2 px, product exact"


def test_failed_rows_are_listed_with_their_reasons() -> None:
    failed = [{"name": f"{k}.png", "error": "ImageError", "reason": "torn"} for k in range(2)]
    page = build_sheet("title", ["summary"], [], failed)
    assert "Failed (2)" in page and "0.png: ImageError: torn" in page and "1.png: ImageError: torn" in page
