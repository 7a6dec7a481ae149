"""A clipping path saved with a photo is its mask: holes, curves and joined areas as Photoshop draws them."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cyclorama.imaging.clipping import draw_path
from cyclorama.imaging.loading import load_image
from cyclorama.imaging.product import build_product

CLIP = Path(__file__).parents[1] / "cases" / "formats" / "clip.jpg"
SIZE = (100, 200)
PHOTO = np.random.default_rng(1).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


def outline(points: list[tuple[float, float]], operation: int = 0, selector: int = 0) -> bytes:
    """Straight lines between ``points`` (x, y in pixels)."""
    data = struct.pack(">HHh20x", selector, len(points), operation)
    for x, y in points:
        data += struct.pack(">H", 2 if selector == 0 else 5)
        data += struct.pack(">ii", round(y / SIZE[0] * 2**24), round(x / SIZE[1] * 2**24)) * 3
    return data


def box(left: float, top: float, right: float, bottom: float, operation: int = 0) -> bytes:
    return outline([(left, top), (right, top), (right, bottom), (left, bottom)], operation)


def circle(x: float, y: float, radius: float) -> bytes:
    """Four Bezier curves."""
    data = struct.pack(">HHh20x", 0, 4, 0)
    k = 0.5523 * radius
    for dx, dy in ((1, 0), (0, 1), (-1, 0), (0, -1)):
        anchor = (x + dx * radius, y + dy * radius)
        points = ((anchor[0] + dy * k, anchor[1] - dx * k), anchor, (anchor[0] - dy * k, anchor[1] + dx * k))
        data += struct.pack(">H", 1)
        for px, py in points:
            data += struct.pack(">ii", round(py / SIZE[0] * 2**24), round(px / SIZE[1] * 2**24))
    return data


HEAD = struct.pack(">H24x", 6) + struct.pack(">HH22x", 8, 0)


def resource(number: int, data: bytes, name: str = "") -> bytes:
    pascal = bytes([len(name)]) + name.encode()
    pascal += b"\0" * (len(pascal) % 2)
    return (
        b"8BIM"
        + struct.pack(">H", number)
        + pascal
        + struct.pack(">I", len(data))
        + data
        + b"\0" * (len(data) % 2)
    )


def jpeg(*resources: bytes, **options: object) -> bytes:
    block = b"Photoshop 3.0\0" + b"".join(resources)
    segment = b"\xff\xed" + struct.pack(">H", len(block) + 2) + block
    buffer = io.BytesIO()
    Image.fromarray(PHOTO).save(buffer, "JPEG", extra=segment, **options)
    return buffer.getvalue()


def name_clipping(name: str) -> bytes:
    return resource(2999, bytes([len(name)]) + name.encode() + b"\0\0\0\0")


def test_a_path_is_the_mask_of_the_product() -> None:
    product = build_product(load_image(CLIP))
    assert product.mask_source == "path" and product.notes == ()
    rows, columns = np.nonzero(product.matte >= 0.5)
    drawn = (0.12 * 256, 0.85 * 256, 0.35 * 256, 0.65 * 256)
    found = (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1)
    assert np.abs(np.subtract(found, drawn)).max() < 1
    assert 0.19 < product.matte.mean() < 0.2


def test_area_is_exact_and_edges_are_antialiased() -> None:
    mask = draw_path(HEAD + box(20, 10, 60.5, 50), SIZE)
    assert mask.shape == SIZE and mask.dtype == np.float32
    assert mask.sum() == pytest.approx(40.5 * 40, rel=0.02)
    assert (mask[11:49, 21:59] == 1).all() and (mask[:9] == 0).all() and (mask[:, 62:] == 0).all()
    assert mask[30, 60] == pytest.approx(0.5, abs=0.25)


def test_curves_are_followed() -> None:
    mask = draw_path(HEAD + circle(100, 50, 40), SIZE)
    yy, xx = np.mgrid[:100, :200] + 0.5
    exact = np.hypot(xx - 100, yy - 50) <= 40
    assert np.abs((mask >= 0.5) ^ exact).mean() < 0.003
    assert mask.sum() == pytest.approx(np.pi * 1600, rel=0.01)


@pytest.mark.parametrize(
    ("second", "inside", "outside"),
    [(0, 0, 1), (1, 1, 1), (2, 0, 0), (3, 1, 0), (-1, 0, 1)],
    ids=["exclude", "combine", "subtract", "intersect", "same part"],
)
def test_areas_are_joined_as_each_says(second: int, inside: float, outside: float) -> None:
    """The second box lies half inside the first: what of it counts there, and beyond?"""
    mask = draw_path(HEAD + box(20, 10, 100, 90, 1) + box(60, 30, 150, 70, second), SIZE)
    assert mask[50, 80] == inside and mask[50, 130] == outside
    assert mask[50, 40] == (0 if second == 3 else 1)


def test_holes_are_respected() -> None:
    loaded = load_image(
        jpeg(
            resource(2000, HEAD + box(20, 10, 180, 90) + box(80, 30, 120, 70), "Path 1"),
            name_clipping("Path 1"),
        )
    )
    product = build_product(loaded)
    assert product.mask_source == "path"
    assert product.matte[50, 100] == 0 and product.matte[50, 40] == 1 and product.matte[5, 5] == 0


def test_a_path_that_starts_filled_cuts_out() -> None:
    filled = struct.pack(">H24x", 6) + struct.pack(">HH22x", 8, 1)
    mask = draw_path(filled + box(20, 10, 60, 50, 2), SIZE)
    assert mask[30, 40] == 0 and mask[80, 150] == 1


def test_the_named_path_counts_among_several() -> None:
    paths = (
        resource(2000, HEAD + box(0, 0, 50, 50), "Left"),
        resource(2001, HEAD + box(100, 20, 180, 80), "Right"),
    )
    mask = load_image(jpeg(*paths, name_clipping("Right"))).path
    assert mask is not None and mask[50, 140] == 1 and mask[25, 25] == 0
    unnamed = load_image(jpeg(*paths))
    assert unnamed.path is None and "2 paths ('Left', 'Right'), none set as clipping path" in unnamed.notes[0]
    single = load_image(jpeg(paths[1]))
    assert single.path is not None and "only path is used" in single.notes[0]


def test_the_path_turns_with_the_photo() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    mask = load_image(jpeg(resource(2000, HEAD + box(0, 0, 50, 20)), name_clipping(""), exif=exif)).path
    assert mask is not None and mask.shape == (200, 100)
    assert mask[10, 90] == 1 and mask[10, 10] == 0 and mask[190, 90] == 0


def test_tiff_paths() -> None:
    block = resource(2000, HEAD + box(20, 10, 100, 90), "P") + name_clipping("P")
    buffer = io.BytesIO()
    Image.fromarray(PHOTO).save(buffer, "TIFF", tiffinfo={34377: block})
    mask = load_image(buffer.getvalue()).path
    assert mask is not None and mask[50, 50] == 1 and mask.mean() == pytest.approx(0.32, abs=0.01)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "raw", "tiff_lzw", "opened"])
def test_the_path_lies_on_the_product_however_the_photo_is_turned(kind: str, orientation: int) -> None:
    """Pillow turns a TIFF while loading it, and drops the tag that says so."""
    photo = np.full((*SIZE, 3), 255, np.uint8)
    photo[20:90, 20:80] = (200, 0, 0)
    path, buffer = resource(2000, HEAD + box(20, 20, 80, 90), "P") + name_clipping("P"), io.BytesIO()
    if kind == "JPEG":
        exif, block = Image.Exif(), b"Photoshop 3.0\0" + path
        exif[0x0112] = orientation
        segment = b"\xff\xed" + struct.pack(">H", len(block) + 2) + block
        Image.fromarray(photo).save(buffer, "JPEG", extra=segment, exif=exif, quality=95, subsampling=0)
    else:
        tags = {0x0112: orientation, 34377: path}
        packing = "tiff_lzw" if kind == "tiff_lzw" else "raw"
        Image.fromarray(photo).save(buffer, "TIFF", tiffinfo=tags, compression=packing)
    data = buffer.getvalue()
    loaded = load_image(Image.open(io.BytesIO(data)) if kind == "opened" else data)
    red = loaded.pixels[..., 1] < 128
    assert red.sum() == 60 * 70
    assert loaded.size == (SIZE if orientation < 5 else SIZE[::-1])
    assert loaded.path is not None
    assert np.array_equal(loaded.path >= 0.5, red)


def test_what_cannot_be_used_is_noted_and_the_next_source_is_asked() -> None:
    white = np.full((*SIZE, 3), 255, np.uint8)
    white[30:70, 60:140] = (200, 30, 40)

    def make(path: bytes) -> bytes:
        block = b"Photoshop 3.0\0" + resource(2000, path, "P") + name_clipping("P")
        buffer = io.BytesIO()
        segment = b"\xff\xed" + struct.pack(">H", len(block) + 2) + block
        Image.fromarray(white).save(buffer, "JPEG", extra=segment, quality=95)
        return buffer.getvalue()

    empty = build_product(load_image(make(HEAD + box(1, 1, 3, 3))))
    assert empty.mask_source == "white" and "clipping path not used" in empty.notes[0]
    broken = build_product(load_image(make(HEAD)))
    assert broken.mask_source == "white" and "cannot be read (no closed outline)" in broken.notes[0]


def test_a_given_mask_goes_before_the_path() -> None:
    mask = np.zeros((256, 256), np.float32)
    mask[60:120, 60:120] = 1
    assert build_product(load_image(CLIP), mask).mask_source == "mask"
