"""Formats go by content; unusual files are read or refused by their true name; nothing is lost silently."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, TiffImagePlugin

from cyclorama.errors import AnimatedImageError, UnreadableImageError
from cyclorama.imaging.colour import SRGB
from cyclorama.imaging.loading import load_image

FORMATS = Path(__file__).parents[1] / "cases" / "formats"
RNG = np.random.default_rng(7)
RGB = RNG.integers(0, 256, (24, 32, 3), dtype=np.uint8)
ALPHA = np.where(np.arange(32) < 16, 255, 40).astype(np.uint8)[None].repeat(24, axis=0)


def encode(image: Image.Image, file_format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def build_tiff(planes: np.ndarray, photometric: int, extra: tuple[int, ...] = (), **options: object) -> bytes:
    """A TIFF of ``planes`` (H, W, C), written by another library than the one that reads it."""
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer, planes, photometric=photometric, extrasamples=extra or None, metadata=None, **options
    )
    return buffer.getvalue()


def iso_file(major: bytes, *compatible: bytes) -> bytes:
    body = major + bytes(4) + b"".join(compatible)
    return struct.pack(">I", len(body) + 8) + b"ftyp" + body + bytes(64)


def test_avif_is_told_by_its_compatible_brands() -> None:
    loaded = load_image(FORMATS / "shoe.avif")
    assert loaded.format == "AVIF" and loaded.size == (256, 256)
    assert loaded.alpha is not None and 0.1 < loaded.alpha.mean() < 0.3
    data = encode(Image.fromarray(RGB), "AVIF", quality=100)
    for major in (b"avif", b"mif1", b"msf1", b"miaf", b"heic"):
        assert data[16:20] and b"avif" in data[16:40]
        read = load_image(data[:8] + major + data[12:])
        assert np.abs(read.pixels.astype(int) - load_image(data).pixels).max() == 0


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (iso_file(b"heic", b"mif1"), "a HEIC photo"),
        (iso_file(b"heix"), "a HEIC photo"),
        (iso_file(b"mif1", b"heic"), "a HEIC photo"),
        (iso_file(b"msf1", b"hevc"), "a HEIC photo"),
        (iso_file(b"mif1", b"jpeg"), "a HEIF image that is no AVIF"),
        (iso_file(b"mif1"), "a HEIF image that is no AVIF"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "a Git LFS pointer"),
        (b"\x1f\x8b\x08" + bytes(40), "a gzip file"),
        (iso_file(b"crx ", b"isom"), "a camera's raw photo"),
        (iso_file(b"isom", b"mp42"), "a video"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40), "a JPEG XL image"),
        (b"\xff\x0a" + bytes(40), "a JPEG XL image"),
        (b"\0\0\1\0\1\0" + bytes(40), "a Windows icon"),
        (b"\x76\x2f\x31\x01" + bytes(40), "an OpenEXR image"),
        (encode(Image.fromarray(RGB), "TGA"), "a TGA image"),
        (encode(Image.fromarray(RGB), "DDS"), "a DirectX texture"),
        (encode(Image.fromarray(RGB), "QOI"), "a QOI image"),
        (b"PK\3\4" + bytes(40), "a ZIP archive"),
        (b"gimp xcf v011" + bytes(40), "a GIMP document"),
    ],
)
def test_what_is_not_opened_has_its_true_name(data: bytes, kind: str) -> None:
    with pytest.raises(UnreadableImageError, match=f"bytes is {kind}.*; export it as PNG or JPEG"):
        load_image(data)


def test_animated_avif_is_refused_whatever_its_first_brand() -> None:
    frames = [Image.new("RGB", (20, 20), (90 * i, 0, 0)) for i in range(3)]
    data = encode(frames[0], "AVIF", save_all=True, append_images=frames[1:])
    with pytest.raises(AnimatedImageError, match="3 frames"):
        load_image(data)


def test_png_named_jpg_is_a_png(tmp_path: Path) -> None:
    path = tmp_path / "shoe.jpg"
    path.write_bytes(encode(Image.fromarray(np.dstack([RGB, ALPHA]))))
    loaded = load_image(path)
    assert loaded.format == "PNG" and loaded.alpha is not None
    assert loaded.notes == ("named .jpg but holds PNG; read as PNG",)


def test_alpha_of_unspecified_meaning_is_not_lost() -> None:
    loaded = load_image(FORMATS / "rgb_extra0.tif")
    assert loaded.alpha is not None and 0.1 < loaded.alpha.mean() < 0.3
    assert loaded.notes == ("its fourth channel has no stated meaning; taken as transparency",)
    for planes, photometric in ((np.dstack([RGB, ALPHA]), 2), (np.dstack([RGB[..., 0], ALPHA]), 1)):
        read = load_image(build_tiff(planes, photometric, (0,)))
        assert read.alpha is not None and np.array_equal(np.rint(read.alpha * 255), ALPHA)
        assert np.array_equal(read.pixels[..., 0], RGB[..., 0])


def test_a_constant_unspecified_channel_is_no_alpha() -> None:
    for value in (0, 255):
        full = np.full((24, 32), value, np.uint8)
        read = load_image(build_tiff(np.dstack([RGB, full]), 2, (0,)))
        assert read.alpha is None and np.array_equal(read.pixels, RGB)


def test_cmyk_with_alpha_is_refused_by_its_true_name() -> None:
    words = r"cmyka.tif is a TIFF with CMYK and alpha in 5 channels of 8 bits, .* save it as RGB"
    with pytest.raises(UnreadableImageError, match=words):
        load_image(FORMATS / "cmyka.tif")
    with pytest.raises(UnreadableImageError, match="grey in 1 channels of 64 bits"):
        load_image(build_tiff(np.zeros((24, 32), np.float64), 1))


def test_cmyk_with_a_spot_colour_says_that_it_is_not_used() -> None:
    planes = np.zeros((24, 32, 5), np.uint8)
    planes[..., 1:3] = 255
    loaded = load_image(build_tiff(planes, 5, (0,)))
    assert np.array_equal(loaded.pixels[0, 0], [255, 0, 0])
    assert any("further channel" in note for note in loaded.notes)


def test_premultiplied_alpha_is_undone() -> None:
    solid = np.full((24, 32, 3), (200, 100, 50), np.uint8)
    premultiplied = np.rint(solid * (ALPHA[..., None] / 255)).astype(np.uint8)
    loaded = load_image(build_tiff(np.dstack([premultiplied, ALPHA]), 2, (1,)))
    assert loaded.alpha is not None and np.array_equal(np.rint(loaded.alpha * 255), ALPHA)
    assert np.abs(loaded.pixels.astype(int) - solid).max() <= 4


def test_pages_that_are_thumbnails_do_not_count() -> None:
    def two_pages(kind: int) -> bytes:
        info = TiffImagePlugin.ImageFileDirectory_v2()
        info[254] = kind
        small = Image.fromarray(RGB[::2, ::2])
        small.encoderinfo = {"tiffinfo": info}
        return encode(Image.fromarray(RGB), "TIFF", save_all=True, append_images=[small])

    with pytest.raises(AnimatedImageError, match="2 pages"):
        load_image(two_pages(0))
    loaded = load_image(two_pages(1))
    assert np.array_equal(loaded.pixels, RGB)
    assert loaded.notes == ("1 pages are thumbnails or masks; not used",)


def test_raw_photos_are_refused() -> None:
    with pytest.raises(UnreadableImageError, match=r"raw photo \(DNG\)"):
        load_image(build_tiff(RGB, 2, extratags=[(50706, 1, 4, b"\1\4\0\0")]))
    with pytest.raises(UnreadableImageError, match="raw photo"):
        load_image(b"II*\0\x10\0\0\0CR\2\0" + bytes(40))


def test_sixteen_bits_are_read_with_eight_and_a_note() -> None:
    planes = RGB.astype(np.uint16) * 257
    loaded = load_image(build_tiff(planes, 2))
    assert np.array_equal(loaded.pixels, RGB) and loaded.notes == ("has 16 bits per channel; read with 8",)
    grey = load_image(encode(Image.fromarray(planes[..., 0]), icc_profile=SRGB))
    assert np.array_equal(grey.pixels[..., 2], RGB[..., 0])
    assert "has 16 bits per channel; read with 8" in grey.notes
    assert load_image(encode(Image.fromarray(RGB))).notes == ()


def test_lab_is_converted_to_srgb() -> None:
    colours = np.zeros((24, 32, 3), np.uint8)
    colours[:12, :, 0] = 128
    colours[12:, :, 0] = 255
    loaded = load_image(encode(Image.frombytes("LAB", (32, 24), colours.tobytes()), "TIFF"))
    assert loaded.notes == ("L*a*b* converted to sRGB",)
    assert np.abs(loaded.pixels[20, 5].astype(int) - 255).max() <= 1
    assert np.abs(loaded.pixels[2, 5].astype(int) - 119).max() <= 2


def test_cmyk_goes_through_its_profile() -> None:
    """Without one by the plain formula; a profile for RGB data is no profile for CMYK."""
    cmyk = Image.new("CMYK", (20, 20), (0, 255, 255, 0))
    for file_format in ("TIFF", "JPEG"):
        loaded = load_image(encode(cmyk, file_format, icc_profile=SRGB))
        assert loaded.icc_profile is None and "unreadable colour profile" in loaded.notes[0]
        assert np.abs(loaded.pixels[10, 10].astype(int) - [255, 0, 0]).max() <= 4


def test_ycbcr_tiled_and_palette_alpha() -> None:
    smooth = np.asarray(Image.fromarray(RGB[:6, :8]).resize((32, 24), Image.Resampling.BICUBIC))
    ycbcr = load_image(encode(Image.fromarray(smooth).convert("YCbCr"), "TIFF"))
    assert np.abs(ycbcr.pixels.astype(int) - smooth).max() <= 3
    for compression in (None, "zlib"):
        tiled = build_tiff(RGB, 2, tile=(16, 16), compression=compression)
        assert np.array_equal(load_image(tiled).pixels, RGB)
    assert np.array_equal(load_image(build_tiff(RGB.transpose(2, 0, 1), 2, planarconfig=2)).pixels, RGB)
    palette = Image.fromarray(RGB).quantize(8)
    read = load_image(encode(palette, transparency=bytes([0, 128, *[255] * 6])))
    index = np.asarray(palette)
    assert read.alpha is not None and (read.alpha[index == 0] == 0).all()
    assert np.allclose(read.alpha[index == 1], 128 / 255)


def test_a_pil_image_keeps_what_its_file_says() -> None:
    with Image.open(FORMATS / "clip.jpg") as image:
        assert load_image(image).path is not None
    with Image.open(FORMATS / "p.jpg") as image:
        loaded = load_image(image)
    assert loaded.metadata["creator"] == "Studio X" and loaded.size == (256, 192)
