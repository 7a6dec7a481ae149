"""A cut-out is what `generate` would take, told with warnings; what is in a file from others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from cyclorama.errors import (
    ImageTooLargeError,
    InputError,
    MaskSizeError,
    MissingMaskError,
    UnreadableImageError,
)
from cyclorama.imaging.loading import load_image
from cyclorama.imaging.masks import load_mask
from cyclorama.imaging.product import build_product
from cyclorama.service import photos
from cyclorama.service.cutouts import cut_out, find_warnings
from cyclorama.service.photos import LIMITS, draw_thumbnail, inspect
from cyclorama.service.schemas import Stroke

SIDE = 96


def test_a_photo_is_decoded_once_for_its_facts_its_thumbnail_and_its_cutout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came in lies in one place, the asset in another; both are called by the digest."""
    pixels = np.full((SIDE, SIDE, 3), 250, np.uint8)
    pixels[30:70, 30:70] = 40
    received, kept = tmp_path / "incoming" / ("f" * 64), tmp_path / "blobs" / ("f" * 64)
    for path in (received, kept):
        path.parent.mkdir()
        Image.fromarray(pixels).save(path, "PNG")
    decoded: list[Path] = []
    monkeypatch.setattr(
        photos, "load_image", lambda path, limits: decoded.append(path) or load_image(path, limits)
    )
    assert inspect(received)["width"] == SIDE
    draw_thumbnail(kept, tmp_path / "small")
    assert cut_out(kept, None, None, (), tmp_path / "m")["box"]["width"] == 40
    assert decoded == [received]


def draw_disk(radius: float = 30, x: float = 48, y: float = 48) -> npt.NDArray[np.float32]:
    rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5
    return np.clip(radius + 0.5 - np.hypot(rows - y, columns - x), 0, 1).astype(np.float32)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A red ball on white."""
    matte = draw_disk()[..., None]
    pixels = np.rint(matte * [190, 30, 40] + (1 - matte) * 250).astype(np.uint8)
    path = tmp_path / "ball"
    Image.fromarray(pixels).save(path, "PNG")
    return path


def save_mask(path: Path, matte: npt.NDArray[np.float32]) -> Path:
    Image.fromarray(np.rint(matte * 255).astype(np.uint8)).save(path, "PNG")
    return path


def read(path: Path) -> npt.NDArray[np.float32]:
    return np.asarray(Image.open(path), np.float32) / np.float32(255)


def test_a_photo_on_white(photo: Path, tmp_path: Path) -> None:
    facts = cut_out(photo, None, None, [], tmp_path / "m")
    found = read(tmp_path / "m")
    assert np.abs(found - draw_disk()).mean() < 0.01
    assert (facts["mask_source"], facts["warnings"]) == ("white", [])
    assert facts["share"] == pytest.approx(np.pi * 30**2 / SIDE**2, rel=0.02)
    box = facts["box"]
    assert all(
        abs(box[name] - value) <= 1
        for name, value in {"left": 18, "top": 18, "width": 60, "height": 60}.items()
    )


def test_the_matte_is_what_generate_takes_of_it(photo: Path, tmp_path: Path) -> None:
    stroke = Stroke(tool="erase", radius=9, hardness=0.5, points=[(20.0, 48.0), (30.0, 48.0)])
    cut_out(photo, None, None, [stroke], tmp_path / "m")
    loaded = load_image(photo.read_bytes())
    product = build_product(loaded, load_mask(tmp_path / "m", loaded.size))
    assert np.abs(product.matte - read(tmp_path / "m")).max() < 1e-6
    facts = cut_out(photo, tmp_path / "m", None, [], tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "m").read_bytes()
    assert facts["mask_source"] == "mask"


def test_strokes_one_by_one_are_strokes_at_once(photo: Path, tmp_path: Path) -> None:
    strokes = [
        Stroke(tool="erase", radius=10, points=[(48.0, 20.0), (60.0, 30.0)]),
        Stroke(tool="add", radius=6, points=[(70.0, 70.0), (80.0, 80.0)]),
    ]
    facts = cut_out(photo, None, None, strokes, tmp_path / "both")
    cut_out(photo, None, None, strokes[:1], tmp_path / "one")
    cut_out(photo, tmp_path / "one", None, strokes[1:], tmp_path / "two")
    assert np.abs(read(tmp_path / "both") - read(tmp_path / "two")).max() <= 1 / 255 + 1e-6
    assert facts["mask_source"] == "white+strokes"


def test_where_nothing_is_found_a_designer_begins_with_nothing(tmp_path: Path) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    path = tmp_path / "noise"
    Image.fromarray(pixels).save(path, "PNG")
    with pytest.raises(MissingMaskError) as refused:
        cut_out(path, None, None, [], tmp_path / "m")
    assert str(tmp_path) not in str(refused.value)
    dot = Stroke(tool="add", radius=2, points=[(48.0, 48.0)])
    facts = cut_out(path, None, None, [dot], tmp_path / "dot")
    assert (facts["mask_source"], facts["warnings"]) == ("strokes", ["small"])
    lasso = Stroke(tool="lasso", points=[(60.0, 60.0), (90.0, 60.0), (90.0, 90.0), (60.0, 90.0)])
    facts = cut_out(path, tmp_path / "dot", None, [lasso], tmp_path / "more")
    assert facts["warnings"] == []
    assert read(tmp_path / "more")[70, 70] == 1
    assert facts["share"] == pytest.approx(900 / SIDE**2, rel=0.05)


@pytest.mark.parametrize(
    ("matte", "warning"),
    [
        (draw_disk(), []),
        (draw_disk() * 0, ["empty"]),
        (draw_disk(1.5), ["small"]),
        (draw_disk() * 0 + 1, ["full"]),
        (1 - draw_disk(), ["inverted"]),
        (draw_disk(30, x=10), ["cut_by_frame"]),
        (draw_disk(30, y=90), ["cut_by_frame"]),
    ],
)
def test_warnings_in_place_of_refusals(
    photo: Path, tmp_path: Path, matte: npt.NDArray[np.float32], warning: list[str]
) -> None:
    assert find_warnings(matte) == warning
    facts = cut_out(photo, save_mask(tmp_path / "given", matte), None, [], tmp_path / "m")
    assert facts["warnings"] == warning
    if warning in (["empty"], ["small"]):
        assert facts["share"] < 0.001


def test_a_mask_that_means_the_background(photo: Path, tmp_path: Path) -> None:
    mask = save_mask(tmp_path / "given", 1 - draw_disk())
    facts = cut_out(photo, mask, "background", [], tmp_path / "m")
    assert facts["warnings"] == []
    assert np.abs(read(tmp_path / "m") - draw_disk()).max() < 0.03


def test_a_mask_of_another_size_is_refused_by_name(photo: Path, tmp_path: Path) -> None:
    mask = save_mask(tmp_path / "given", np.zeros((40, 90), np.float32))
    with pytest.raises(MaskSizeError, match="^the mask has 90 x 40 pixels, its image 96 x 96"):
        cut_out(photo, mask, None, [], tmp_path / "m")


def test_facts_of_a_photo(tmp_path: Path) -> None:
    path = tmp_path / "a"
    rgba = np.dstack([np.full((60, 800, 3), 7, np.uint8), np.full((60, 800), 128, np.uint8)])
    Image.fromarray(rgba).save(path, "WEBP", lossless=True)
    facts = inspect(path)
    assert facts == {
        "media_type": "image/webp",
        "width": 800,
        "height": 60,
        "alpha": True,
        "icc_profile": None,
        "notes": [],
    }
    draw_thumbnail(path, tmp_path / "small")
    with Image.open(tmp_path / "small") as small:
        assert (small.format, small.size, small.mode) == ("WEBP", (384, 29), "RGBA")


def test_a_style_file_is_told_from_other_texts(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("palette: ['#fff']\n")
    assert inspect(path) == {"media_type": "application/yaml"}
    for text in ("hello", "a: [", "- a", "", "[" * 5000, "\0"):
        path.write_text(text)
        with pytest.raises(UnreadableImageError, match="^the file "):
            inspect(path)


def test_a_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 9000, 9000, 8, 2, 0, 0, 0)
    bomb = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(2**22)))
        + chunk(b"IEND", b"")
    )
    path = tmp_path / "bomb"
    path.write_bytes(bomb)
    with pytest.raises(
        ImageTooLargeError, match=f"^the file has 9000 x 9000 .* the limit is {LIMITS.pixels:,}"
    ):
        inspect(path)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
    with pytest.raises(InputError, match="^the file "):
        inspect(path)
