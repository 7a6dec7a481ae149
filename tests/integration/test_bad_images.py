"""Every bad image or mask gets its own error, with the bad value and the remedy (docs/bad_inputs.md)."""

from __future__ import annotations

import io
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cyclorama import errors
from cyclorama.imaging.loading import LoadedImage, LoadLimits, load_image
from cyclorama.imaging.masks import load_mask
from cyclorama.imaging.product import build_product

SIZE = (48, 64)


def encode(image: Image.Image | np.ndarray, file_format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def photo() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


def animation(file_format: str) -> bytes:
    frames = [Image.new("RGB", (20, 20), (90 * i, 0, 0)) for i in range(3)]
    return encode(frames[0], file_format, save_all=True, append_images=frames[1:])


def claimed_size(width: int, height: int) -> bytes:
    """A tiny PNG whose header claims ``width`` x ``height``."""
    data = bytearray(encode(np.zeros((16, 16), np.uint8)))
    data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


def box(top: int, left: int, bottom: int, right: int) -> np.ndarray:
    mask = np.zeros(SIZE, np.uint8)
    mask[top:bottom, left:right] = 255
    return mask


def image_file(data: bytes, name: str = "bad.png", **limits: int) -> Callable[[Path], Any]:
    def run(folder: Path) -> Any:
        (folder / name).write_bytes(data)
        return load_image(folder / name, LoadLimits(**limits))

    return run


def mask_file(data: bytes | np.ndarray, name: str = "mask.png", **options: Any) -> Callable[[Path], Any]:
    def run(folder: Path) -> Any:
        if isinstance(data, np.ndarray):
            return load_mask(data, SIZE, **options)
        (folder / name).write_bytes(data)
        return load_mask(folder / name, SIZE, **options)

    return run


def product(loaded: LoadedImage, mask: np.ndarray | None = None) -> Callable[[Path], Any]:
    return lambda _: build_product(loaded, mask)


def with_alpha(alpha: np.ndarray) -> LoadedImage:
    return load_image(np.dstack([photo(), alpha]))


PNG = encode(photo())
FORMATS = Path(__file__).parents[1] / "cases" / "formats"
HDR_CHECK = zlib.crc32(b"cICP\x09\x10\0\1").to_bytes(4, "big")
LABELS = np.zeros((*SIZE, 3), np.uint8)
LABELS[10:30, 10:40] = (128, 0, 0)
GREY_SCENE = np.full((*SIZE, 3), 60, np.uint8)
SPECK = box(10, 10, 15, 15)
INT32 = Image.fromarray(np.full(SIZE, 70000, np.int32))

CASES: dict[str, tuple[Callable[[Path], Any], str, list[str]]] = {
    # name: (what is done, error class, words of the message: the bad value and the remedy)
    "missing file": (
        lambda f: load_image(f / "no.png"),
        "UnreadableImageError",
        ["no.png", "check the path"],
    ),
    "folder": (lambda f: load_image(f), "UnreadableImageError", ["is a folder", "give a file"]),
    "empty file": (image_file(b""), "UnreadableImageError", ["bad.png", "0 bytes", "export the file again"]),
    "text named png": (
        image_file(b"hello, world"),
        "UnreadableImageError",
        ["b'hello, w'", "use one of PNG"],
    ),
    "truncated png": (
        image_file(PNG[: len(PNG) // 2]),
        "UnreadableImageError",
        ["truncated", "export it again"],
    ),
    "truncated jpeg": (
        image_file(encode(photo(), "JPEG")[:900], "bad.jpg"),
        "UnreadableImageError",
        ["bad.jpg", "truncated JPEG", "export it again"],
    ),
    "header only": (image_file(PNG[:20]), "UnreadableImageError", ["bad.png", "use one of PNG"]),
    "svg": (image_file(b"<?xml version='1.0'?><svg/>", "a.svg"), "UnreadableImageError", ["SVG", "as PNG"]),
    "svg named png": (image_file(b"<svg></svg>"), "UnreadableImageError", ["bad.png is an SVG", "as PNG"]),
    "pdf": (image_file(b"%PDF-1.7 ...", "a.pdf"), "UnreadableImageError", ["a PDF", "export it as PNG"]),
    "web page": (
        image_file(b"<!DOCTYPE html><p>404"),
        "UnreadableImageError",
        ["web page", "export it as PNG"],
    ),
    "heic": (image_file(b"\0\0\0\x18ftypheic\0\0\0\0", "a.heic"), "UnreadableImageError", ["HEIC", "as PNG"]),
    "heic by its brands": (
        image_file(b"\0\0\0\x18ftypmif1\0\0\0\0heicmiaf", "a.avif"),
        "UnreadableImageError",
        ["a.avif is a HEIC photo", "as PNG"],
    ),
    "video named png": (
        image_file(b"\0\0\0\x18ftypisom\0\0\0\0mp42avc1"),
        "UnreadableImageError",
        ["is a video", "as PNG"],
    ),
    "jpeg xl": (image_file(b"\xff\x0a" + bytes(50), "a.jxl"), "UnreadableImageError", ["JPEG XL", "as PNG"]),
    "tiff of cmyk and alpha": (
        lambda _: load_image(FORMATS / "cmyka.tif"),
        "UnreadableImageError",
        ["CMYK and alpha in 5 channels", "save it as RGB"],
    ),
    "high dynamic range": (
        image_file(PNG[:33] + b"\0\0\0\4cICP\x09\x10\0\1" + HDR_CHECK + PNG[33:]),
        "UnreadableImageError",
        ["high dynamic range image (PQ)", "standard range"],
    ),
    "photoshop": (image_file(b"8BPS\0\1" + b"\0" * 40), "UnreadableImageError", ["Photoshop", "as PNG"]),
    "postscript": (image_file(b"%!PS-Adobe-3.0 EPSF"), "UnreadableImageError", ["PostScript", "as PNG"]),
    "32-bit values": (
        image_file(encode(INT32, "TIFF"), "bad.tif"),
        "UnreadableImageError",
        ["70000", "save it with 8 or 16 bits"],
    ),
    "float tiff": (
        image_file(encode(np.ones(SIZE, np.float32), "TIFF"), "bad.tif"),
        "UnreadableImageError",
        ["colour mode F", "save it as 8-bit RGB"],
    ),
    "animated gif": (
        image_file(animation("GIF")),
        "AnimatedImageError",
        ["3 frames", "export the one to use"],
    ),
    "animated png": (
        image_file(animation("PNG")),
        "AnimatedImageError",
        ["3 frames", "export the one to use"],
    ),
    "animated webp": (image_file(animation("WEBP")), "AnimatedImageError", ["3 frames", "export the one"]),
    "several pages": (
        image_file(animation("TIFF")),
        "AnimatedImageError",
        ["3 pages", "export the one to use"],
    ),
    "too many pixels": (
        image_file(claimed_size(12000, 9000)),
        "ImageTooLargeError",
        ["12000 x 9000 = 108,000,000", "100,000,000", "scale it down"],
    ),
    "decompression bomb": (
        image_file(claimed_size(60000, 60000)),
        "ImageTooLargeError",
        ["3,600,000,000 pixels", "100,000,000", "scale it down"],
    ),
    "too many bytes": (
        image_file(PNG, file_bytes=1000),
        "ImageTooLargeError",
        [f"{len(PNG):,} bytes", "1,000", "save it smaller"],
    ),
    "too small": (
        image_file(encode(np.zeros((15, 40, 3), np.uint8))),
        "ImageTooSmallError",
        ["40 x 15", "16", "use a larger image"],
    ),
    "float array": (
        lambda _: load_image(photo() / 127.5 - 1),
        "UnreadableImageError",
        ["float64", "(x + 1) / 2"],
    ),
    "array of five channels": (
        lambda _: load_image(np.zeros((20, 20, 5), np.uint8)),
        "UnreadableImageError",
        ["(20, 20, 5)", "give (H, W)"],
    ),
    "not an image at all": (lambda _: load_image(42), "UnreadableImageError", ["int", "give a path"]),  # type: ignore[arg-type]
    "limit of zero": (lambda _: LoadLimits(pixels=0), "SettingsError", ["pixels: must be at least 1, got 0"]),
    "black mask": (
        mask_file(encode(box(0, 0, 0, 0))),
        "EmptyMaskError",
        ["marks 0 of 3072", "product white"],
    ),
    "white mask": (mask_file(encode(box(0, 0, 48, 64))), "FullMaskError", ["0 of 3072", "background black"]),
    "label map of 0 and 1": (
        mask_file(encode(box(9, 9, 30, 30) // 255)),
        "EmptyMaskError",
        ["values 0 to 1", "multiply it by 255"],
    ),
    "coloured mask": (mask_file(encode(LABELS)), "MaskError", ["19.5%", "black and white"]),
    "mask of another aspect": (
        mask_file(encode(np.zeros((48, 48), np.uint8))),
        "MaskSizeError",
        ["48 x 48", "64 x 48", "export the mask"],
    ),
    "turned mask": (
        mask_file(encode(np.zeros((64, 48), np.uint8))),
        "MaskSizeError",
        ["48 x 64", "turned by 90 degrees", "upright"],
    ),
    "inverted mask": (
        mask_file(encode(255 - box(10, 15, 38, 50))),
        "InvertedMaskError",
        ["100% of the image's border", "Use --mask-means background"],
    ),
    "inverted by the flag": (
        mask_file(encode(box(10, 15, 38, 50)), means="background"),
        "InvertedMaskError",
        ["68% of its area", "Use --mask-means product"],
    ),
    "unknown polarity": (mask_file(PNG, means="white"), "SettingsError", ["'white'", "use 'product'"]),
    "mask of a few pixels": (
        mask_file(encode(SPECK)),
        "ProductTooSmallError",
        ["25 pixels", "64 pixels", "crop the image"],
    ),
    "mask with NaN": (
        mask_file(np.full(SIZE, np.nan, np.float32)),
        "MaskError",
        ["3072 values that are not finite", "give 0 to 1"],
    ),
    "mask beyond 1": (
        mask_file(box(9, 9, 30, 30) / 170),
        "MaskError",
        ["from 0 to 1.5", "0 to 1 or as 0 to 255"],
    ),
    "broken mask file": (mask_file(b"GIF89a"), "UnreadableImageError", ["mask.png", "use one of PNG"]),
    "animated mask": (mask_file(animation("GIF")), "AnimatedImageError", ["mask.png", "3 frames"]),
    "mask array of another size": (
        product(load_image(photo()), np.zeros((9, 9), np.float32)),
        "MaskSizeError",
        ["(9, 9)", "(48, 64)", "load_mask"],
    ),
    "fully transparent image": (
        product(with_alpha(box(0, 0, 0, 0))),
        "EmptyMaskError",
        ["array is transparent throughout", "0.000 of 1", "product visible"],
    ),
    "a speck of alpha": (
        product(with_alpha(SPECK)),
        "ProductTooSmallError",
        ["25 pixels", "crop the image"],
    ),
    "no alpha, dark background": (
        product(load_image(GREY_SCENE)),
        "MissingMaskError",
        ["0% of the border", "--mask FILE"],
    ),
    "blank white image": (
        product(load_image(GREY_SCENE // 60 * 255)),
        "MissingMaskError",
        ["0.0% of the image differs", "--mask FILE"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input_gets_its_error(name: str, tmp_path: Path) -> None:
    run, expected, words = CASES[name]
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with pytest.raises(errors.CycloramaError) as caught:
            run(tmp_path)
    assert type(caught.value) is getattr(errors, expected)
    assert [word for word in words if word not in str(caught.value)] == []
    assert isinstance(caught.value, ValueError) and seen == []


def test_the_table_in_the_documentation_is_complete() -> None:
    page = (Path(__file__).parents[2] / "docs" / "bad_inputs.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:4] for line in page.splitlines() if line.startswith("| ")]
    table = {row[0].strip(): row[1].strip().strip("`") for row in rows}
    assert {name: table.get(name) for name in CASES} == {name: case[1] for name, case in CASES.items()}
