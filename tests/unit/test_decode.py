"""Files of examples and tables at their limits: ``cyclorama.data.decode``, ``cyclorama.data.addresses`` and
``cyclorama.data.structured``."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cyclorama.data import structured
from cyclorama.data.addresses import find_file, read_bytes
from cyclorama.data.decode import decode_example, fit_image
from cyclorama.data.structured import Workbook, read_feed, read_json
from cyclorama.data.table import open_table
from cyclorama.data.text import Grid, Opener
from cyclorama.errors import DataError, ManifestError
from cyclorama.imaging.colour import ADOBE_RGB, SRGB, build_profile, to_srgb
from cyclorama.imaging.loading import load_image


def encode(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG")
    return stream.getvalue()


BOX = Image.Resampling.BOX


def test_padding_repeats_the_border_or_fills_with_nothing() -> None:
    wide = np.array([[10, 20, 30, 40]], np.uint8).repeat(2, 0)  # 2 x 4
    padded = np.asarray(fit_image(Image.fromarray(wide), (7, 4), "pad", BOX, edge=False))
    assert padded.shape == (7, 4)
    assert [bool(row.any()) for row in padded] == [False, False, True, True, False, False, False]
    assert np.array_equal(padded[2:4], wide)
    tall = np.asarray(fit_image(Image.fromarray(wide.T.copy()), (4, 7), "pad", BOX, edge=True))
    assert np.array_equal(tall, np.tile(np.array([[10], [20], [30], [40]], np.uint8), (1, 7)))
    colours = np.dstack([wide, wide + 1, wide + 2])
    filled = np.asarray(fit_image(Image.fromarray(colours), (4, 4), "pad", BOX, edge=True))
    assert np.array_equal(filled, colours[:1].repeat(4, 0))
    halved = np.asarray(
        fit_image(Image.fromarray(wide.repeat(2, 0).repeat(2, 1)), (3, 4), "pad", BOX, edge=False)
    )
    assert np.array_equal(halved, np.vstack([wide, 0 * wide[:1]]))
    cropped = np.asarray(fit_image(Image.fromarray(wide), (2, 2), "crop", BOX, edge=False))
    assert np.array_equal(cropped, [[20, 30], [20, 30]])


def test_a_mask_has_the_images_aspect_and_two_sides() -> None:
    image, mask = np.full((100, 100, 3), 9, np.uint8), np.zeros((100, 100), np.uint8)
    mask[:50] = 255

    def decode(marks: np.ndarray) -> tuple[Any, Any]:
        return decode_example(encode(image), encode(marks), "product", (10, 10), "crop", "x")

    pixels, matte = decode(mask)
    assert pixels.shape == (10, 10, 3) and (pixels == 9).all()
    assert np.array_equal(matte, np.repeat([1, 0], 5)[:, None] * np.ones(10))
    with pytest.raises(DataError, match="the mask is 60 x 100, the image 100 x 100"):
        decode(mask[:, :60])
    with pytest.raises(DataError, match="the mask is 100 x 60, the image 100 x 100"):
        decode(mask[20:80])
    grey = np.full((100, 100), 127, np.uint8)
    with pytest.raises(DataError, match="marks no product after the crop to 10 x 10"):
        decode(grey)
    with pytest.raises(DataError, match="marks everything as product"):
        decode(grey + 1)
    grey[:10] = 128
    assert decode(grey)[1].max() == np.float32(128 / 255)
    with pytest.raises(DataError, match="x: no mask; training needs one"):
        decode_example(encode(image), None, None, (10, 10), "crop", "x")


P3 = build_profile(
    "P3", (0.68, 0.32, 0.265, 0.69, 0.15, 0.06), (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
)


def decode_colour(image: Image.Image, kind: str = "PNG", **given: Any) -> tuple[Any, bytes]:
    """What training sees of ``image``, and its file."""
    stream = io.BytesIO()
    image.save(stream, kind, **given)
    mask = np.zeros((32, 32), np.uint8)
    mask[8:24, 8:24] = 255
    data = stream.getvalue()
    return decode_example(data, encode(mask), "product", (16, 16), "crop", "x")[0], data


def test_wide_colours_are_seen_as_srgb_and_srgb_keeps_its_bits() -> None:
    green = Image.new("RGB", (32, 32), (60, 180, 60))
    for profile in (P3, ADOBE_RGB):
        expected = to_srgb(np.asarray(green), profile)[0, 0].astype(int)
        assert np.abs(expected - (60, 180, 60)).max() > 20
        found, data = decode_colour(green, icc_profile=profile)
        assert np.abs(found - expected).max() <= 1
        loaded = load_image(data)
        assert np.array_equal(to_srgb(loaded.pixels, loaded.icc_profile)[:16, :16], found)
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA001] = 2  # Adobe RGB, said by EXIF alone
    exif[0x0112] = 6
    found, _ = decode_colour(green, "JPEG", exif=exif, quality=100, subsampling=0)
    assert np.abs(found - to_srgb(np.asarray(green), ADOBE_RGB)[0, 0].astype(int)).max() <= 2
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    plain = np.asarray(Image.fromarray(noise).resize((16, 16), Image.Resampling.BICUBIC))
    for given in ({}, {"icc_profile": SRGB}, {"icc_profile": b"damaged"}):
        assert np.array_equal(decode_colour(Image.fromarray(noise), **given)[0], plain)


def test_a_printers_colours_are_those_of_loading() -> None:
    """What EXIF says of RGB is not said of CMYK."""
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA001] = 2
    found, data = decode_colour(Image.new("CMYK", (32, 32), (180, 20, 180, 20)), "JPEG", exif=exif)
    assert np.array_equal(found, load_image(data).pixels[:16, :16])


def test_an_image_of_high_dynamic_range_is_named() -> None:
    png = encode(np.zeros((32, 32, 3), np.uint8))
    chunk = b"cICP" + bytes((9, 16, 0, 1))
    png = png[:33] + struct.pack(">I", 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + png[33:]
    with pytest.raises(DataError, match=r"^x: not a readable image .*high dynamic range image \(PQ\)"):
        decode_example(png, encode(np.zeros((32, 32), np.uint8)), "product", (16, 16), "crop", "x")


def test_a_file_is_found_as_written_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "a b.png").touch()
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "c.png").touch()
    for cell, name in (("a%20b.png", "a b.png"), ("a b.png?v=1", "a b.png"), ("sub\\c.png", "sub/c.png")):
        assert Path(find_file(str(tmp_path), cell, "image")) == tmp_path / name
    with pytest.raises(ManifestError, match="column 'image': no such file 'd.png'"):
        find_file(str(tmp_path), "d.png", "image")
    with pytest.raises(ManifestError, match="'sub' is a folder"):
        find_file(str(tmp_path), "sub", "image")
    shard = tmp_path / "s.tar"
    shard.write_bytes(b"0123456789")
    assert read_bytes(f"{shard}::7+3") == b"789"
    with pytest.raises(DataError, match=r"s\.tar is cut off: 2 of 3 bytes at 8"):
        read_bytes(f"{shard}::8+3")


def read_pieces(*pieces: str) -> tuple[list[Any], list[int]]:
    given, asked = iter(pieces), []

    def read(size: int) -> str:
        asked.append(size)
        return next(given, "")

    return [cells for _, cells, _ in read_json(read, "t")], asked


def test_json_is_read_on_where_it_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"image": "a"}, {"image": "b"}, {"image": "c"}]
    assert read_pieces('[{"image": "a"}, {"ima', 'ge": "b"},', '{"image": "c"}', "]")[0] == rows
    assert read_pieces('{"image": "a"}', '\n{"image": "b"}\n{"image": "c"}')[0] == rows
    long = '{"image": "' + "x" * 2**16
    _, asked = read_pieces(long, 'x"}')
    assert asked == [2**16, len(long), 2**16, 2**16]  # as much again: the whole is read in few steps
    monkeypatch.setattr(structured, "_LARGEST_VALUE", 12)
    with pytest.raises(ManifestError, match="t: not valid JSON after 0 objects"):
        read_pieces('{"image": "a', '"}')  # as long as the longest value
    assert read_pieces('{"image": "', 'a"}')[0] == rows[:1]
    with pytest.raises(ManifestError, match="not valid JSON after 2 objects"):
        read_pieces('[{"a":1},{"b":2},!')


def test_a_feeds_longest_text_is_kept_and_one_longer_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(structured, "_LARGEST_TEXT", 4)
    feed = b"<rss><item><id>1</id><title>four</title><brand>fiver</brand></item></rss>"
    ((_, cells, _),) = read_feed(Opener(lambda: io.BytesIO(feed), "", "t"))
    assert cells == {"id": "1", "title": "four"}


def test_a_workbooks_sheet_is_the_one_with_images() -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.title = "notes"
    book.active.append(["text"])
    sheet = book.create_sheet("products")
    sheet.append(["image"])
    sheet.append(["a.png"])
    stream = io.BytesIO()
    book.save(stream)

    def find(head: list[list[Any]]) -> Grid:
        return Grid(tuple(head[0]), 1, (), int(head[0][0] == "image"))

    found = Workbook(Opener(lambda: io.BytesIO(stream.getvalue()), "", "t"), find)
    assert (found.sheet, found.note) == ("products", "Excel, sheet 'products'; left out: notes")
    assert [cells for _, cells, _ in found.read(lambda _: True)] == [{"image": "a.png"}]


def test_a_workbooks_errors_are_empty_cells_and_words_after_a_hash_are_kept(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    errors = ["#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NUM!", "#NULL!", "#SPILL!", "#CALC!"]
    columns = [f"c{n}" for n in range(len(errors))]
    book.active.append(["image", "title", *columns])
    book.active.append(["a.png", "#NEW IN STORE", *errors])
    book.active.append(["b.png", "#NoFilter", *(f"{error} or so" for error in errors)])
    book.save(tmp_path / "t.xlsx")
    first, second = (row.values for row in open_table(tmp_path / "t.xlsx", check_files=False))
    assert [first["title"], second["title"]] == ["#NEW IN STORE", "#NoFilter"]
    assert not any(first.get(name) for name in columns)
    assert [second[name] for name in columns] == [f"{error} or so" for error in errors]
