"""Every kind of input becomes rows: manifests with anybody's columns, folders, published sets, addresses."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from _curating import SIDE, draw_image, encode

from cyclorama.curate.config import ReadingSettings
from cyclorama.curate.reading import InputRow, read_input, read_stamps
from cyclorama.curate.records import Record
from cyclorama.curate.store import ImageCache, decode_record
from cyclorama.data.addresses import read_bytes
from cyclorama.errors import DataError, ManifestError, MaskSizeError
from cyclorama.imaging.loading import LoadLimits

READING = ReadingSettings()
ROWS = [
    {"SKU-ID": "a1", "Image Path": "a.png", "Cate Name": "cup", "PV": 1000, "Click": 20, "Rights": "own"},
    {"SKU-ID": "a2", "Image Path": "b.png", "Cate Name": "vase", "PV": "2,000", "Click": "7", "Rights": ""},
]


def write_manifest(folder: Path, kind: str) -> Path:
    path = folder / f"shop.{kind}"
    for name in "ab":
        (folder / f"{name}.png").write_bytes(encode(draw_image(0)))
    if kind == "jsonl":
        path.write_text("\n".join(json.dumps(row) for row in ROWS), encoding="utf-8")
    elif kind == "parquet":
        pq.write_table(pa.Table.from_pylist([{k: str(v) for k, v in row.items()} for row in ROWS]), path)
    else:
        lines = [";".join(ROWS[0]), *(";".join(str(v) for v in row.values()) for row in ROWS)]
        path.write_text("\n".join(lines), encoding="utf-8-sig")
    return path


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_shops_own_columns_are_understood(kind, tmp_path):
    found = read_input(str(write_manifest(tmp_path, kind)), ReadingSettings(licence="shop", language="en"))
    assert [row.record for row in found.rows] == [
        Record(
            key="a.png", image=str(tmp_path / "a.png"), product_id="a1", category="cup", impressions=1000,
            clicks=20, licence="own", language="en",
        ),
        Record(
            key="b.png", image=str(tmp_path / "b.png"), product_id="a2", category="vase", impressions=2000,
            clicks=7, licence="shop", language="en",
        ),
    ]  # fmt: skip


def test_columns_can_be_named(tmp_path):
    (tmp_path / "a.png").write_bytes(encode(draw_image(0)))
    (tmp_path / "m.csv").write_text("url,goods,label\nhttps://x/1,a.png,cup\n")
    found = read_input(str(tmp_path / "m.csv"), ReadingSettings(columns={"image": "goods"}))
    assert found.rows[0].record == Record(
        "a.png", str(tmp_path / "a.png"), category="cup", extra={"url": "https://x/1"}
    )
    with pytest.raises(ManifestError, match="missing column 'image'; columns found: 'goods', 'label'"):
        (tmp_path / "n.csv").write_text("goods,label\na.png,cup\n")
        read_input(str(tmp_path / "n.csv"), READING)
    with pytest.raises(ManifestError, match="image is to come from column 'c', which is not there"):
        read_input(str(tmp_path / "m.csv"), ReadingSettings(columns={"image": "c"}))


def test_embedded_images_are_kept_and_web_images_need_their_host_allowed(tmp_path):
    data = encode(draw_image(3))
    rows = [{"image": {"bytes": data, "path": "x/one.png"}, "id": "one"}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "hf.parquet")
    cache = ImageCache(tmp_path / "cache", READING)
    row = read_input(str(tmp_path / "hf.parquet"), READING, cache.keep).rows[0]
    assert row.record.key == "one" and cache.read(row.record.image) == data
    assert "cannot be kept" in read_input(str(tmp_path / "hf.parquet"), READING).rows[0].problem
    (tmp_path / "web.csv").write_text("image,sku\nhttps://cdn.shop.example/a.png,1\n")
    refused = read_input(str(tmp_path / "web.csv"), READING).rows[0]
    assert refused.problem.startswith(
        "row 1 (line 2): column 'image': https://cdn.shop.example/a.png is a web address"
    )
    allowed = ReadingSettings(urls={"hosts": ["cdn.shop.example"]})
    row = read_input(str(tmp_path / "web.csv"), allowed).rows[0]
    assert (row.problem, row.record.image) == ("", "https://cdn.shop.example/a.png")


def test_a_web_image_is_fetched_once(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("cyclorama.data.addresses.fetch", lambda url, policy: asked.append(url) or b"data")
    for _ in range(2):  # also by the next run
        cache = ImageCache(tmp_path, ReadingSettings(urls={"hosts": ["*"]}))
        assert cache.read("https://cdn.shop.example/a.png") == b"data"
    assert asked == ["https://cdn.shop.example/a.png"]
    assert read_stamps(["https://cdn.shop.example/a.png"]) == [""]


def test_bad_rows_stay_rows_and_keys_stay_unique(tmp_path):
    manifest = tmp_path / "m.jsonl"
    lines = [
        '{"image": "a.png"}',
        '{"image": "a.png"}',
        '{"image": ""}',
        "nonsense",
        '{"image": "c", "pv": -1}',
    ]
    manifest.write_text("\n".join(lines))
    for name in ("a.png", "c"):
        (tmp_path / name).write_bytes(encode(draw_image(0)))
    rows = read_input(str(manifest), READING).rows
    assert [row.record.key for row in rows] == ["a.png", "a.png-2", "row-3", "row-4", "c"]
    assert [row.problem for row in rows[:2]] == ["", ""]
    assert rows[2].problem == "row 3 (line 3): column 'image' is empty"
    assert rows[3].problem.startswith("row 4 (line 4): not valid JSON")
    assert rows[4].problem == "row 5 (line 5): column 'pv': got '-1', need a whole number from 0"


def test_names_and_texts_that_are_no_unicode_are_cleaned(tmp_path):
    """A file's name in Latin-1, and half an emoji, as a shop's export cuts texts."""
    for name in (b"ok.png", b"sof\xe9.png", b"m\xe9.png"):
        (tmp_path / os.fsdecode(name)).write_bytes(encode(draw_image(0)))
    half = "\ud83d"
    lines = [
        {"image": "ok.png", "id": f"a{half}", "sku": f"b{half}", "category": f"c{half}", "brand": f"d{half}"},
        {"image": "ok.png", "licence": f"e{half}", "language": f"f{half}", f"g{half}": f"h{half}"},
        {"image": os.fsdecode(b"sof\xe9.png")},
        {"image": "ok.png", "mask": os.fsdecode(b"m\xe9.png")},
        {"image": f"x{half}.png"},
        {"image": f"x{half}.png", "pv": f"-1{half}"},
    ]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, lines)))
    rows = read_input(str(tmp_path / "m.jsonl"), READING).rows
    assert len(rows) == 6
    assert all(json.dumps([asdict(row.record), row.problem], ensure_ascii=False).encode() for row in rows)
    image = str(tmp_path / "ok.png")
    assert rows[0] == InputRow(Record("a?", image, product_id="b?", category="c?", brand="d?"))
    assert rows[1] == InputRow(Record("ok.png", image, licence="e?", language="f?", extra={"g?": "h?"}))
    assert rows[2] == InputRow(
        Record("sof?.png", str(tmp_path / "sof?.png")),
        f"the name of its image is no valid Unicode: '{tmp_path}/sof\\udce9.png'; rename the file",
    )
    assert (rows[3].record.key, rows[3].record.mask) == ("ok.png-2", str(tmp_path / "m?.png"))
    assert rows[3].problem.startswith("the name of its mask is no valid Unicode")
    assert [row.record.key for row in rows[4:]] == ["x?.png", "x?.png-2"] and rows[4].problem
    assert rows[5].problem.startswith("row 6 (line 6): column 'pv'")


def test_a_folder_gives_masks_notes_and_categories(tmp_path):
    for name in (
        "cup/a.png",
        "cup/a.mask.png",
        "b.png",
        "b_mask.png",
        "images/c.png",
        "masks/c.png",
        "masks.png",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"-")
    (tmp_path / ".hidden.png").write_bytes(b"-")
    (tmp_path / "b.json").write_text('{"id": "one", "category": "vase", "brand": "Nord", "scene_id": 7}')
    found = {row.record.key: row.record for row in read_input(str(tmp_path), READING).rows}
    assert set(found) == {"cup/a.png", "one", "images/c.png", "masks.png"}
    assert found["cup/a.png"].category == "cup"
    assert found["cup/a.png"].mask == str(tmp_path / "cup/a.mask.png")
    assert (found["one"].category, found["one"].brand, found["one"].extra) == (
        "vase",
        "Nord",
        {"scene_id": "7"},
    )
    assert found["one"].mask == str(tmp_path / "b_mask.png")
    assert found["images/c.png"].mask == str(tmp_path / "masks/c.png")
    assert (found["images/c.png"].category, found["masks.png"].mask) == (None, None)


def test_pita_lines_are_read_with_their_layouts_kept(tmp_path):
    line = {
        "img_path": "ori_imgs/train/1.png", "mask_path": "masks/train/1.png", "img_wh": [48, 48],
        "foreground prompt": "a cup", "background prompt": "on a table", "nongraphic_layout": [],
        "graphic_layout": [{"type": "Logo", "bbox": [0, 0, 0.5, 0.1]}], "allow_occlude": False,
    }  # fmt: skip
    (tmp_path / "train_data.jsonl").write_text(json.dumps(line))
    for name in ("ori_imgs/train/1.png", "masks/train/1.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(encode(draw_image(0)))
    found = read_input(str(tmp_path / "train_data.jsonl"), READING)
    record = found.rows[0].record
    assert record.image == str(tmp_path / "ori_imgs/train/1.png")
    assert record.mask == str(tmp_path / "masks/train/1.png")
    assert record.extra["background prompt"] == "on a table"
    assert json.loads(record.extra["graphic_layout"]) == line["graphic_layout"]


def write_published(folder: Path) -> None:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[16:40, 12:30] = 255
    for name in ("bg60k_imgs_0", "bg60k_masks_0"):
        (folder / name).mkdir(parents=True)
    for number in range(3):
        (folder / "bg60k_imgs_0" / f"{number}.png").write_bytes(encode(draw_image(number)))
        (folder / "bg60k_masks_0" / f"{number}.png").write_bytes(encode(255 - mask))
    lines = ["0.png\t杯子", "1.png\t花瓶", "2.png\t杯子", "9.png\t杯子"]
    (folder / "bg60k_info.txt").write_text("\n".join(lines), encoding="utf-8")


def test_the_published_layout_keeps_every_line(tmp_path):
    write_published(tmp_path)
    found = read_input(str(tmp_path), READING)
    assert found.kind == "bg60k"
    assert [row.record.category for row in found.rows] == ["杯子", "花瓶", "杯子", None]
    first = found.rows[0].record
    assert (first.licence, first.language) == ("BG60k, academic use only", "zh")
    assert found.rows[3].problem == "bg60k_info.txt, line 4: no image '9.png'"
    assert "mask means: background" in found.notes[0]
    data, mask = (read_bytes(address, 10**6) for address in (first.image, first.mask))
    image = decode_record(first, data, mask, LoadLimits())
    assert image.mask[20, 20] == 1 and image.mask[2, 2] == 0  # turned round as detected


def test_addresses_are_read_listed_and_stamped():
    import fsspec

    system = fsspec.filesystem("memory")
    system.pipe("/shop/a.png", encode(draw_image(0)))
    system.pipe("/shop/cup/b.png", encode(draw_image(1)))
    system.pipe("/shop/m.csv", b"image,sku\na.png,1\ncup/b.png,2\n")
    try:
        rows = read_input("memory://shop/m.csv", READING).rows
        assert [row.record.image for row in rows] == ["memory://shop/a.png", "memory://shop/cup/b.png"]
        found = read_input("memory://shop", READING).rows
        assert [(row.record.key, row.record.category) for row in found] == [
            ("a.png", None),
            ("cup/b.png", "cup"),
        ]
        assert read_bytes("memory://shop/a.png", 10**6) == encode(draw_image(0))
        before = read_stamps(["memory://shop/a.png", "memory://shop/none"])
        system.pipe("/shop/a.png", encode(draw_image(5)))
        after = read_stamps(["memory://shop/a.png", "memory://shop/none"])
        assert before[0] != after[0] and before[1] == after[1] == ""
        with pytest.raises(DataError, match="more than 10 bytes"):
            read_bytes("memory://shop/a.png", 10)
        with pytest.raises(DataError, match="cannot read memory://shop/none"):
            read_bytes("memory://shop/none", 10)
    finally:
        system.rm("/shop", recursive=True)


def test_transparency_is_shown_on_white_and_masks_must_fit():
    pixels = np.zeros((SIDE, SIDE, 4), np.uint8)
    pixels[..., 3] = np.linspace(0, 255, SIDE).astype(np.uint8)
    image = decode_record(Record("a", "a"), encode(pixels), None, LoadLimits())
    assert image.pixels[0, 0].tolist() == [255, 255, 255] and image.pixels[0, -1].tolist() == [0, 0, 0]
    assert image.alpha is not None and image.mask is None
    opaque = decode_record(Record("a", "a"), encode(draw_image(0)), None, LoadLimits())
    assert opaque.alpha is None and (opaque.pixels == draw_image(0)).all()
    wide = encode(np.zeros((SIDE, 2 * SIDE), np.uint8))
    with pytest.raises(MaskSizeError, match="mask of 'a'"):
        decode_record(Record("a", "a"), encode(draw_image(0)), wide, LoadLimits())
    empty = encode(np.zeros((SIDE, SIDE), np.uint8))
    shown = decode_record(Record("a", "a"), encode(draw_image(0)), empty, LoadLimits())
    assert shown.mask is not None and shown.mask.max() == 0  # a mask of nothing is the mask rule's matter
