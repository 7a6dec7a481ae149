"""Files of examples and tables at their limits: ``cyclorama.data.decode``, ``cyclorama.data.addresses`` and
``cyclorama.data.structured``."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cyclorama.data import structured
from cyclorama.data.addresses import find_file, read_bytes
from cyclorama.data.decode import decode_example, fit_image
from cyclorama.data.structured import Workbook, read_feed, read_json
from cyclorama.data.text import Grid, Opener
from cyclorama.errors import DataError, ManifestError


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
