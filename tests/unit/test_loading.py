"""Every way an image can be stored comes out upright, as 8-bit RGB with straight alpha."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest
from PIL import Image, ImageCms

from cyclorama.errors import AnimatedImageError, ImageTooLargeError, UnreadableImageError
from cyclorama.imaging.loading import LoadLimits, load_image

RNG = np.random.default_rng(7)
RGB = RNG.integers(0, 256, (24, 32, 3), dtype=np.uint8)
ALPHA = RNG.integers(0, 256, (24, 32), dtype=np.uint8)


def encode(image: Image.Image, file_format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(("file_format", "options"), [("PNG", {}), ("BMP", {}), ("TIFF", {}), ("PPM", {})])
def test_rgb_comes_back_bit_for_bit(file_format: str, options: dict[str, object]) -> None:
    loaded = load_image(encode(Image.fromarray(RGB), file_format, **options))
    assert np.array_equal(loaded.pixels, RGB)
    assert loaded.alpha is None and loaded.format == file_format


def test_rgba_keeps_alpha_and_the_colours_under_it() -> None:
    alpha = ALPHA.copy()
    alpha[:4] = 0
    loaded = load_image(encode(Image.fromarray(np.dstack([RGB, alpha]))))
    assert np.array_equal(loaded.pixels, RGB)
    assert loaded.alpha is not None
    assert np.array_equal(np.rint(loaded.alpha * 255).astype(np.uint8), alpha)


def test_grey_grey_alpha_and_one_bit() -> None:
    grey = RGB[..., 0]
    assert np.array_equal(load_image(encode(Image.fromarray(grey))).pixels, np.dstack([grey] * 3))
    with_alpha = load_image(encode(Image.merge("LA", [Image.fromarray(grey), Image.fromarray(ALPHA)])))
    assert np.array_equal(with_alpha.pixels[..., 2], grey)
    assert with_alpha.alpha is not None and with_alpha.alpha[3, 5] == pytest.approx(ALPHA[3, 5] / 255)
    bits = grey > 127
    assert np.array_equal(load_image(encode(Image.fromarray(bits))).pixels[..., 1], bits * np.uint8(255))


def test_palette_with_a_transparent_entry() -> None:
    image = Image.fromarray((RGB[..., 0] % 3).astype(np.uint8))
    palette = Image.new("P", image.size)
    palette.putdata(list(image.get_flattened_data()))
    palette.putpalette([10, 20, 30, 200, 100, 50, 0, 255, 0])
    loaded = load_image(encode(palette, transparency=1))
    index = RGB[..., 0] % 3
    assert loaded.alpha is not None
    assert np.array_equal(loaded.alpha, (index != 1).astype(np.float32))
    assert np.array_equal(loaded.pixels[index == 1], np.tile([[200, 100, 50]], ((index == 1).sum(), 1)))


def test_rgb_with_a_transparent_colour() -> None:
    pixels = RGB.copy()
    pixels[5, 6] = (1, 2, 3)
    loaded = load_image(encode(Image.fromarray(pixels), transparency=(1, 2, 3)))
    assert loaded.alpha is not None and loaded.alpha[5, 6] == 0 and loaded.alpha.sum() == 24 * 32 - 1
    assert np.array_equal(loaded.pixels, pixels)


def test_sixteen_bit_grey_is_scaled_not_cut() -> None:
    values = np.linspace(0, 65535, 24 * 32).astype(np.uint16).reshape(24, 32)
    expected = np.rint(values / 257).astype(np.uint8)
    assert np.array_equal(load_image(encode(Image.fromarray(values))).pixels[..., 0], expected)
    assert np.array_equal(load_image(values).pixels[..., 1], expected)


def test_cmyk_is_converted_and_says_so() -> None:
    cmyk = Image.new("CMYK", (20, 20), (0, 255, 255, 0))
    loaded = load_image(encode(cmyk, "TIFF"))
    assert np.array_equal(loaded.pixels[0, 0], [255, 0, 0])
    assert "plain formula" in loaded.notes[0] and loaded.icc_profile is None
    adobe = load_image(encode(cmyk, "JPEG", quality=95))
    assert np.abs(adobe.pixels[10, 10].astype(int) - [255, 0, 0]).max() <= 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_matches_pillows_own(orientation: int) -> None:
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(Image.fromarray(np.dstack([RGB, ALPHA])), exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    loaded = load_image(data)
    assert np.array_equal(loaded.pixels, expected[..., :3])
    assert loaded.alpha is not None
    assert np.array_equal(np.rint(loaded.alpha * 255), expected[..., 3])


def test_rgb_profile_is_kept_and_not_applied() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    loaded = load_image(encode(Image.fromarray(RGB), icc_profile=profile))
    assert loaded.icc_profile == profile and np.array_equal(loaded.pixels, RGB)
    broken = load_image(encode(Image.fromarray(RGB), icc_profile=b"x" * 200))
    assert broken.icc_profile is None and "dropped" in broken.notes[0]


def test_wrong_suffix_is_read_by_content_and_noted(tmp_path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(encode(Image.fromarray(RGB)))
    loaded = load_image(path)
    assert loaded.format == "PNG" and loaded.notes == ("named .jpg but holds PNG; read as PNG",)
    assert np.array_equal(load_image(str(path)).pixels, RGB)


def test_pil_images_and_arrays() -> None:
    assert np.array_equal(load_image(Image.fromarray(RGB)).pixels, RGB)
    assert np.array_equal(load_image(RGB).pixels, RGB)
    both = load_image(np.dstack([RGB, ALPHA]))
    assert both.alpha is not None and both.alpha[2, 2] == pytest.approx(ALPHA[2, 2] / 255)
    source = RGB.copy()
    load_image(source).pixels[:] = 0
    assert np.array_equal(source, RGB)


def test_limits_hold_before_decoding() -> None:
    data = encode(Image.new("L", (300, 200)))
    with pytest.raises(ImageTooLargeError, match="300 x 200 = 60,000"):
        load_image(data, LoadLimits(pixels=59_999))
    assert load_image(data, LoadLimits(pixels=60_000)).size == (200, 300)
    with pytest.raises(ImageTooLargeError, match=f"{len(data):,} bytes"):
        load_image(data, LoadLimits(file_bytes=len(data) - 1))


def test_an_opened_image_is_measured_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    image = Image.open(io.BytesIO(encode(Image.fromarray(RGB))))
    monkeypatch.setattr(image, "load", lambda: pytest.fail("decoded"))
    with pytest.raises(ImageTooLargeError, match="32 x 24 = 768 pixels, the limit is 767"):
        load_image(image, LoadLimits(pixels=767))


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP", "TIFF", "BMP"])
def test_truncation_never_gives_a_image_or_a_foreign_error(file_format: str) -> None:
    data = encode(Image.fromarray(RGB), file_format)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for length in range(1, int(len(data) * 0.8), max(1, len(data) // 40)):
            with pytest.raises(UnreadableImageError):
                load_image(data[:length])
    assert seen == []


def test_animation_is_refused_but_a_single_frame_is_not() -> None:
    frames = [Image.new("RGB", (20, 20), (i * 80, 0, 0)) for i in range(3)]
    for file_format in ("GIF", "PNG", "WEBP"):
        data = encode(frames[0], file_format, save_all=True, append_images=frames[1:])
        with pytest.raises(AnimatedImageError, match="3 frames"):
            load_image(data)
    assert load_image(encode(frames[1], "GIF")).pixels[0, 0, 0] == 80
