"""The published sets' layout, built in miniature with every variant that the publication leaves open."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image

from cyclorama.data.bg60k import (
    LICENCE,
    Bg60kSettings,
    detect_encoding,
    detect_mask_means,
    detect_separator,
    load_bg60k,
)
from cyclorama.data.examples import ExampleConfig, ExampleSource, SourceConfig
from cyclorama.errors import DataError

CATEGORIES = ["plate or dish", "电饭煲", "red wine, dry", "rice cooker"]
MaskStyle = Literal["alpha", "product", "background"]


def product_box(i: int) -> tuple[slice, slice]:
    return slice(8 + i % 3, 24), slice(9, 22 + i % 4)


def save_pair(folder: Path, i: int, style: MaskStyle, image: str, mask: str) -> None:
    pixels = np.full((32, 32, 3), 40 + i, np.uint8)
    product = np.zeros((32, 32), np.uint8)
    product[product_box(i)] = 255
    pixels[product > 0] = (200, 30, 60)
    Path(folder, image).parent.mkdir(parents=True, exist_ok=True)
    Path(folder, mask).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(folder / image)
    if style == "alpha":
        levels = np.dstack([np.where(product[..., None] > 0, pixels, 0), product])
    else:
        levels = product if style == "product" else 255 - product
    Image.fromarray(levels).save(folder / mask)


def build_set(
    folder: Path,
    *,
    subset: str = "bg60k",
    count: int = 12,
    separator: str = "\t",
    style: MaskStyle = "alpha",
    mask: str = "{stem}_mask.png",
    suffix: str = ".png",
    encoding: str = "utf-8",
    named_with_suffix: bool = True,
) -> Path:
    lines = []
    for i in range(count):
        part = "" if subset == "bg1k" else f"_{i % 10}"
        save_pair(
            folder,
            i,
            style,
            f"{subset}_imgs{part}/{i}{suffix}",
            f"{subset}_masks{part}/{mask.format(stem=i)}",
        )
        lines.append(f"{i}{suffix if named_with_suffix else ''}{separator}{CATEGORIES[i % 4]}")
    (folder / f"{subset}_info.txt").write_bytes(("\n".join(lines) + "\n").encode(encoding))
    return folder


def test_the_layout_that_users_of_the_set_describe(tmp_path: Path) -> None:
    """Tab-separated, images N.png in part N mod 10, cut-outs N_mask.png with the product in alpha."""
    found = load_bg60k(build_set(tmp_path))
    assert len(found.records) == 12
    assert found.rejected == []
    record = found.records[11]
    assert (record.id, record.category, record.mask_means) == ("bg60k/11", "rice cooker", "alpha")
    assert record.image == tmp_path / "bg60k_imgs_1/11.png"
    assert record.mask == tmp_path / "bg60k_masks_1/11_mask.png"
    assert (record.product_id, record.licence) == ("bg60k/11", LICENCE)
    assert found.separator.value == "\t"
    assert found.mask_pattern.value == "{stem}_mask.png"
    assert found.mask_means.value == "alpha"
    assert found.mask_means.evidence.startswith("by alpha: 12 of 12 masks are brighter in the middle")
    assert found.category_script.value == "mixed"
    assert found.image_folders == tuple(f"bg60k_imgs_{i}" for i in range(10))
    text = found.describe()
    assert "12 lines, 12 records, 4 categories" in text
    assert "left out: 0 without image, 0 without mask, 0 unreadable lines" in text


@pytest.mark.parametrize("separator", ["\t", ",", " ", "|", ";", ", "])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_separator_and_encoding_are_detected(tmp_path: Path, separator: str, encoding: str) -> None:
    found = load_bg60k(build_set(tmp_path, count=4, separator=separator, encoding=encoding))
    assert [r.category for r in found.records] == CATEGORIES
    assert found.encoding.value == encoding
    assert found.separator.value == ("," if separator == ", " else separator)


@pytest.mark.parametrize(
    ("style", "mask", "suffix"),
    [
        ("alpha", "{stem}.png", ".jpg"),
        ("alpha", "{stem}_mask.png", ".png"),
        ("product", "{stem}.png", ".jpg"),
        ("product", "{stem}.jpg", ".jpg"),
        ("background", "{stem}_mask.png", ".png"),
        ("background", "{stem}-mask.jpg", ".jpg"),
    ],
)
def test_mask_names_and_polarity_are_detected(
    tmp_path: Path, style: MaskStyle, mask: str, suffix: str
) -> None:
    found = load_bg60k(build_set(tmp_path, style=style, mask=mask, suffix=suffix))
    assert found.mask_pattern.value == mask
    assert {r.mask_means for r in found.records} == {style}
    assert f": 12 {suffix}\n" in found.describe()
    source = ExampleSource(found.records, ExampleConfig(height=32, width=32))
    for i in (0, 5, 11):
        expected = np.zeros((32, 32), bool)
        expected[product_box(i)] = True
        assert np.array_equal(source.load(i)[1] >= 0.5, expected)


def test_names_without_suffix_and_nested_folders(tmp_path: Path) -> None:
    build_set(tmp_path, subset="bg1k", named_with_suffix=False)
    (tmp_path / "bg1k_imgs").rename(tmp_path / "inner")
    (tmp_path / "bg1k_imgs").mkdir()
    (tmp_path / "inner").rename(tmp_path / "bg1k_imgs/bg1k_imgs")
    found = load_bg60k(tmp_path, "bg1k")
    assert [r.id for r in found.records] == [f"bg1k/{i}" for i in range(12)]
    assert found.image_folders == ("bg1k_imgs",)


def test_every_line_is_a_record_or_a_reason(tmp_path: Path) -> None:
    build_set(tmp_path)
    (tmp_path / "bg60k_imgs_3/3.png").unlink()
    (tmp_path / "bg60k_masks_4/4_mask.png").unlink()
    with (tmp_path / "bg60k_info.txt").open("a", encoding="utf-8") as stream:
        stream.write("77.png\twine\nnonsense\n5.png\tagain\n")
    found = load_bg60k(tmp_path)
    assert len(found.records) + len(found.rejected) == 15
    assert [(r.row, r.reason) for r in found.rejected] == [
        (4, "no image '3.png'"),
        (5, "no mask '4_mask.png'"),
        (13, "no image '77.png'"),
        (14, "does not hold 2 fields"),
        (15, "repeats line 6"),
    ]
    text = found.describe()
    assert "15 lines, 10 records, 4 categories" in text
    assert "left out: 2 without image, 1 without mask, 2 unreadable lines" in text


def test_pairs_find_their_references_and_masks(tmp_path: Path) -> None:
    build_set(tmp_path, subset="bgpair", count=3)
    build_set(tmp_path, subset="bg1k", count=8)
    lines = ["0.png\t1.png\tplate or dish", "2.png\t7.png\t电饭煲", "1.png\t99.png\twine"]
    (tmp_path / "bgpair_info.txt").write_text("\n".join(lines), encoding="utf-8")
    found = load_bg60k(tmp_path, "bgpair")
    first, second = found.records
    assert (first.id, first.reference) == ("bgpair/0-1", tmp_path / "bgpair_imgs_1/1.png")
    assert first.reference_mask == tmp_path / "bgpair_masks_1/1_mask.png"
    assert (second.category, second.reference) == ("电饭煲", tmp_path / "bg1k_imgs/7.png")
    assert second.reference_mask == tmp_path / "bg1k_masks/7_mask.png"
    assert [r.reason for r in found.rejected] == ["no reference '99.png'"]


def test_ambiguous_polarity_asks_for_the_setting(tmp_path: Path) -> None:
    build_set(tmp_path, style="product", mask="{stem}.png")
    for i in range(0, 12, 2):
        path = tmp_path / f"bg60k_masks_{i % 10}/{i}.png"
        Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    with pytest.raises(DataError, match=r"polarity is ambiguous .*6 of 12 .* 6 darker.*'mask_means'"):
        load_bg60k(tmp_path)
    found = load_bg60k(tmp_path, settings=Bg60kSettings(mask_means="background"))
    assert {r.mask_means for r in found.records} == {"background"}
    assert found.mask_means.evidence == "setting"


def test_masks_that_mark_nothing_are_refused(tmp_path: Path) -> None:
    build_set(tmp_path)
    for i in range(12):
        path = tmp_path / f"bg60k_masks_{i % 10}/{i}_mask.png"
        image = np.array(Image.open(path))
        Image.fromarray(image[..., :3]).save(path)
    with pytest.raises(DataError, match="colour images without an alpha channel"):
        load_bg60k(tmp_path)
    for i in range(12):
        flat = np.zeros((32, 32), np.uint8)
        Image.fromarray(flat).save(tmp_path / f"bg60k_masks_{i % 10}/{i}_mask.png")
    with pytest.raises(DataError, match="12 undecided"):
        load_bg60k(tmp_path)


def test_transparent_products_are_refused(tmp_path: Path) -> None:
    build_set(tmp_path)
    for i in range(12):
        path = tmp_path / f"bg60k_masks_{i % 10}/{i}_mask.png"
        image = np.array(Image.open(path))
        image[..., 3] = 255 - image[..., 3]
        Image.fromarray(image).save(path)
    with pytest.raises(DataError, match="transparent in the middle"):
        load_bg60k(tmp_path)


def test_given_settings_are_not_detected_again(tmp_path: Path) -> None:
    build_set(tmp_path, count=4)
    settings = Bg60kSettings(
        encoding="utf-8", separator="\t", mask_pattern="{stem}_mask.png", mask_means="alpha"
    )
    found = load_bg60k(tmp_path, settings=settings)
    assert found.records == load_bg60k(tmp_path).records
    assert found.separator.evidence == found.encoding.evidence == "setting"
    for change, message in [
        ({"separator": "|"}, "no line names an image that exists under the separator '|'"),
        ({"encoding": "ascii"}, "cannot decode as 'ascii'"),
        ({"encoding": "klingon"}, "cannot decode as 'klingon'"),
        ({"mask_pattern": "{stem}.gif", "mask_means": None}, "no masks named '{stem}.gif'"),
    ]:
        with pytest.raises(DataError, match=message):
            load_bg60k(tmp_path, settings=settings.replace(**change))


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no bg60k_info.txt in"):
        load_bg60k(tmp_path)
    with pytest.raises(DataError, match="subset is 'bg2k'"):
        load_bg60k(tmp_path, "bg2k")  # type: ignore[arg-type]
    (tmp_path / "bg60k_info.txt").write_text("0.png\twine\n")
    (tmp_path / "bg60k_imgs_0.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"unpack bg60k_imgs_0.zip first"):
        load_bg60k(tmp_path)
    build_set(tmp_path)
    (tmp_path / "bg60k_info.txt").write_text("x.png\twine\n")
    with pytest.raises(DataError, match=r"no line reads as 'image category' .*first line: 'x.png"):
        load_bg60k(tmp_path)
    (tmp_path / "bg60k_info.txt").write_text("\n")
    with pytest.raises(DataError, match="is empty"):
        load_bg60k(tmp_path)
    build_set(tmp_path)
    for i in range(12):
        path = tmp_path / f"bg60k_masks_{i % 10}/{i}_mask.png"
        path.rename(path.with_name(f"mask{i}.png"))
    with pytest.raises(DataError, match=r"no mask found for '0' under any of .*'mask_pattern'"):
        load_bg60k(tmp_path)


def test_one_name_in_two_parts_is_ambiguous(tmp_path: Path) -> None:
    build_set(tmp_path)
    (tmp_path / "bg60k_imgs_7/0.png").write_bytes((tmp_path / "bg60k_imgs_0/0.png").read_bytes())
    with pytest.raises(DataError, match=r"'0\.png' is ambiguous: .*imgs_0/0\.png, .*imgs_7/0\.png"):
        load_bg60k(tmp_path)


def test_a_training_source_opens_the_published_set(tmp_path: Path) -> None:
    build_set(tmp_path, style="background", mask="{stem}.png")
    source = ExampleSource.open(SourceConfig(path=tmp_path, kind="bg60k"), ExampleConfig(height=16, width=16))
    assert len(source) == 12
    assert source.category(1) == "电饭煲"
    assert source.load(1)[1][8, 8] == 1
    assert source.load(1)[1][0, 0] == 0


def test_undecidable_text_and_separators_ask_for_the_setting() -> None:
    with pytest.raises(DataError, match="neither UTF-8 nor GB18030; name it with the setting 'encoding'"):
        detect_encoding(b"0.png\t\xff\xff\n", "info")
    with pytest.raises(DataError, match="separator may be any of tab, bar; give the setting 'separator'"):
        detect_separator(["0.png\twine", "1.png|wine"], 2, {"0.png", "1.png"}.__contains__, "info")
    with pytest.raises(DataError, match="2 undecided"):
        detect_mask_means([Image.new("L", (2, 9), 255)] * 2, "info")


def draw_mask(middle: int, border: int, size: int = 30) -> Image.Image:
    levels = np.full((size, size), border, np.uint8)
    levels[1:-1, 1:-1] = middle  # the ring is one pixel wide
    return Image.fromarray(levels)


BRIGHT, DARK, FLAT = draw_mask(255, 0), draw_mask(0, 255), draw_mask(9, 9)


@pytest.mark.parametrize(
    ("masks", "means"),
    [
        ([BRIGHT] * 8 + [DARK] * 2, "product"),
        ([BRIGHT] * 2 + [DARK] * 8, "background"),
        ([BRIGHT] * 7 + [DARK] * 3, None),
        ([BRIGHT] * 2 + [FLAT] * 6, "product"),  # a quarter decides
        ([BRIGHT] * 2 + [FLAT] * 7, None),
        ([draw_mask(36, 10)], "product"),
        ([draw_mask(35, 10)], None),  # a difference of less than 0.1
        ([draw_mask(255, 0, 3)], "product"),
        ([draw_mask(255, 0, 2)], None),
    ],
)
def test_polarity_is_voted_on_within_stated_limits(masks: list[Image.Image], means: str | None) -> None:
    if means is None:
        with pytest.raises(DataError, match="polarity is ambiguous"):
            detect_mask_means(masks, "info")
    else:
        found = detect_mask_means(masks, "info")
        assert found.value == means and f"{len(masks)} masks" in found.evidence


def test_alpha_and_colour_need_more_than_half_of_the_masks() -> None:
    cutout = BRIGHT.convert("RGBA")
    cutout.putalpha(BRIGHT)
    found = detect_mask_means([cutout, cutout, BRIGHT, BRIGHT], "info")
    assert (found.value, found.evidence[:18]) == ("product", "by grey level: 4 o")
    assert detect_mask_means([cutout, cutout, BRIGHT], "info").value == "alpha"
    colour = np.asarray(BRIGHT.convert("RGB")).copy()
    colour[:2, :9, 0] = 25  # 18 of 900 pixels, 2 %
    colour[:2, :9, 1:] = 0
    few = Image.fromarray(colour)
    assert detect_mask_means([few], "info").value == "product"
    colour[2, 0] = (25, 0, 0)
    with pytest.raises(DataError, match="colour images"):
        detect_mask_means([Image.fromarray(colour)], "info")
    assert detect_mask_means([Image.fromarray(colour), BRIGHT], "info").value == "product"
    colour[colour == 25] = 24
    assert detect_mask_means([Image.fromarray(colour)], "info").value == "product"
