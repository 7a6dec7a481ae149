"""Products and references are checked where they are made, each fault with an error of its own."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cyclorama.errors import (
    EmptyMaskError,
    FullMaskError,
    ImageError,
    InvertedMaskError,
    MaskError,
    MaskSizeError,
    MissingMaskError,
    ProductTooSmallError,
    UnreadableImageError,
)
from cyclorama.imaging import cutout
from cyclorama.imaging import product as module
from cyclorama.imaging.cutout import CutoutConfig, RembgNetwork
from cyclorama.imaging.loading import LoadedImage
from cyclorama.imaging.product import Product, Reference, build_product, build_reference

SIZE = (60, 50)
PIXELS = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
ROWS, COLUMNS = np.mgrid[: SIZE[0], : SIZE[1]]
DISTANCE = np.hypot((ROWS - 30) / 20, (COLUMNS - 25) / 15)
MATTE = np.clip((1.05 - DISTANCE) * 8, 0, 1).astype(np.float32)
BOX = np.zeros(SIZE, np.float32)
BOX[10:50, 10:40] = 1
EDGES = np.ones(SIZE, np.float32)
EDGES[20:40, 15:35] = 0

FAULTS: dict[str, tuple[Any, Any, type[Exception], str]] = {
    "pixels from 0 to 1": (PIXELS / 255.0, MATTE, UnreadableImageError, r"float64 from 0 to 1; give uint8"),
    "pixels as float": (PIXELS.astype(np.float32), MATTE, UnreadableImageError, "float32 from 0 to 255"),
    "pixels as int": (PIXELS.astype(int), MATTE, UnreadableImageError, "int64"),
    "pixels as a path": ("a.png", MATTE, UnreadableImageError, "from_image"),
    "pixels as PIL": (Image.fromarray(PIXELS), MATTE, UnreadableImageError, "from_image"),
    "pixels with alpha": (np.dstack([PIXELS, PIXELS[..., 0]]), MATTE, UnreadableImageError, r"\(60, 50, 4\)"),
    "pixels as grey": (PIXELS[..., 0], MATTE, UnreadableImageError, r"\(60, 50\)"),
    "pixels CHW": (PIXELS.transpose(2, 0, 1), MATTE, UnreadableImageError, r"\(3, 60, 50\)"),
    "no pixels": (PIXELS[:0], MATTE[:0], UnreadableImageError, r"\(0, 50, 3\)"),
    "matte of another size": (PIXELS, MATTE[:-1], MaskSizeError, r"\(59, 50\).*\(60, 50\)"),
    "matte turned": (PIXELS, MATTE.T, MaskSizeError, r"\(50, 60\)"),
    "matte with a channel": (PIXELS, MATTE[..., None], MaskError, r"\(60, 50, 1\)"),
    "matte from 0 to 255": (PIXELS, MATTE * 255, MaskError, "from 0 to 255"),
    "matte as uint8": (PIXELS, (MATTE * 255).astype(np.uint8), MaskError, "uint8"),
    "matte as a path": (PIXELS, "mask.png", MaskError, "str"),
    "matte from -1": (PIXELS, MATTE * 2 - 1, MaskError, "from -1 to 1"),
    "matte not a number": (PIXELS, np.where(MATTE == 1, np.nan, MATTE), MaskError, "not finite"),
    "matte infinite": (PIXELS, np.where(MATTE == 1, np.inf, MATTE), MaskError, "not finite"),
    "empty": (PIXELS, MATTE * 0, EmptyMaskError, "marks 0 of 3000"),
    "full": (PIXELS, MATTE * 0 + 1, FullMaskError, "background"),
    "full but for a corner": (PIXELS, np.where(ROWS + COLUMNS < 2, 0, 1.0), FullMaskError, "background"),
    "tiny": (PIXELS, (DISTANCE < 0.1).astype(float), ProductTooSmallError, "64 pixels"),
    "inverted": (PIXELS, 1 - MATTE, InvertedMaskError, "1 - matte"),
    "inverted box": (PIXELS, 1 - BOX, InvertedMaskError, "1 - matte"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_has_its_error(fault: str) -> None:
    pixels, matte, error, message = FAULTS[fault]
    with pytest.raises(error, match=message) as raised:
        Product(pixels, matte)
    assert type(raised.value) is error


@pytest.mark.parametrize(
    ("foreground", "message"),
    [(PIXELS[:-1], r"\(59, 50, 3\)"), (PIXELS / 255, "float64"), (255 - PIXELS, "where the matte is 1")],
)
def test_a_foreground_that_does_not_fit(foreground: np.ndarray, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        Product(PIXELS, MATTE, foreground)


@pytest.mark.parametrize("profile", ["sRGB", b"junk", b"\0" * 200])
def test_a_profile_that_is_none_is_refused(profile: Any) -> None:
    with pytest.raises(ImageError, match=r"Product.icc_profile is .* give the bytes of an RGB ICC profile"):
        Product(PIXELS, MATTE, icc_profile=profile)


def test_mattes_of_every_float_and_bool_are_kept_as_float32() -> None:
    for matte in (BOX > 0, BOX.astype(np.float16), BOX.astype(np.float64)):
        product = Product(PIXELS, matte)
        assert product.matte.dtype == np.float32 and np.array_equal(product.matte, BOX)
    assert Product(PIXELS, EDGES, allow_inverted=True).matte.sum() == EDGES.sum()


def test_a_transparent_reference_is_shown_on_white() -> None:
    shown = build_reference(LoadedImage(PIXELS, MATTE), None).pixels.astype(int)
    background = Image.new("RGB", SIZE[::-1], "white")
    background.paste(Image.fromarray(PIXELS), mask=Image.fromarray(np.rint(255 * MATTE).astype(np.uint8)))
    assert np.abs(shown - np.asarray(background)).max() <= 1
    assert (shown[MATTE == 0] == 255).all() and np.array_equal(shown[MATTE == 1], PIXELS[MATTE == 1])


def test_foreground_is_computed_where_the_rim_holds_an_old_background() -> None:
    """A red product photographed on green: half of the rim's green is the background's."""
    red, green = np.array([200.0, 30, 30]), np.array([20.0, 220, 20])
    mixed = np.rint(MATTE[..., None] * red + (1 - MATTE[..., None]) * green).astype(np.uint8)
    product = Product(mixed, MATTE)
    rim = (MATTE > 0.3) & (MATTE < 0.7)
    assert np.abs(product.foreground[rim] - red).mean() < 0.25 * np.abs(mixed[rim] - red).mean()
    assert np.array_equal(product.foreground[MATTE == 1], mixed[MATTE == 1])
    given = Product(mixed, MATTE, mixed)
    assert given.foreground is mixed


def test_the_rim_of_a_masked_photo_is_cleaned_and_that_of_alpha_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is measured where a mask was given: its photo has a background, so its rim is mixed."""

    def clean(pixels: np.ndarray, matte: np.ndarray) -> np.ndarray:
        return np.where(matte[..., None] >= 1, pixels, 7).astype(np.uint8)

    monkeypatch.setattr(module, "estimate_foreground", clean)
    monkeypatch.setattr(module, "measure_spill", lambda *_: (0.0, 0.0))
    config = CutoutConfig(clean=False)
    masked = build_product(LoadedImage(PIXELS, None), MATTE, config)
    assert (masked.foreground[masked.matte < 1] == 7).all()
    assert np.array_equal(build_product(LoadedImage(PIXELS, MATTE), None, config).foreground, PIXELS)


def test_a_network_of_rembg_gives_a_matte_of_ones_and_zeros(monkeypatch: pytest.MonkeyPatch) -> None:
    def remove(pixels: np.ndarray, session: str, only_mask: bool) -> np.ndarray:
        assert (session, only_mask) == ("session of isnet", True)
        return np.rint(MATTE * 255).astype(np.uint8)[..., None]

    rembg = SimpleNamespace(remove=remove, new_session=lambda name: f"session of {name}")
    monkeypatch.setattr(cutout, "import_optional", lambda *_: rembg)
    network = RembgNetwork("isnet")
    matte = network(PIXELS)
    assert (network.name, matte.dtype, matte.shape) == ("rembg-isnet", np.float32, SIZE)
    assert np.abs(matte - MATTE).max() <= 0.5 / 255 + 1e-6


def test_from_image_reads_what_load_image_and_load_mask_read() -> None:
    rgba = np.dstack([PIXELS, np.rint(MATTE * 255).astype(np.uint8)])
    alone = Product.from_image(rgba)
    assert (alone.mask_source, alone.name) == ("alpha", "")
    assert np.array_equal(alone.pixels, PIXELS) and np.abs(alone.matte - MATTE).max() < 0.03
    masked = Product.from_image(Image.fromarray(PIXELS), Image.fromarray(BOX > 0), name="box")
    assert (masked.mask_source, masked.name) == ("mask", "box")
    turned = Product.from_image(PIXELS, 1 - BOX, mask_means="background")
    assert np.array_equal(turned.matte, masked.matte)
    with pytest.raises(InvertedMaskError):
        Product.from_image(PIXELS, 1 - BOX)
    with pytest.raises(MaskSizeError):
        Product.from_image(PIXELS, BOX[:, :20])
    with pytest.raises(MissingMaskError):
        Product.from_image(PIXELS)
    with pytest.raises(UnreadableImageError, match="None"):
        Product.from_image(None)  # type: ignore[arg-type]


def test_remarks_of_the_loader_stay_with_the_product() -> None:
    loaded = LoadedImage(PIXELS, MATTE, notes=("named .png but holds JPEG",))
    product = build_product(loaded)
    assert product.notes == ("named .png but holds JPEG",)
    moved = product.derive(pixels=PIXELS[:9], matte=MATTE[:9], foreground=PIXELS[:9])
    assert (moved.notes, moved.size, product.size) == (product.notes, (9, 50), SIZE)


def test_transparent_parts_of_a_reference_are_shown_on_white() -> None:
    pixels = np.full((20, 20, 4), (100, 200, 0, 255), np.uint8)
    pixels[:10, :, 3] = 0
    pixels[10:15, :, 3] = 51
    shown = Reference.from_image(pixels).pixels
    assert (shown[:10] == 255).all() and (shown[15:] == (100, 200, 0)).all()
    assert (shown[10:15] == (224, 244, 204)).all()  # 0.2 of the colour, 0.8 of white


@pytest.mark.parametrize(
    ("pixels", "mask", "error", "message"),
    [
        (PIXELS / 255, None, UnreadableImageError, "float64"),
        (PIXELS[..., 0], None, UnreadableImageError, r"\(60, 50\)"),
        (PIXELS, BOX[:9], MaskSizeError, r"\(9, 50\)"),
        (PIXELS, BOX * 255, MaskError, "to 255"),
        (PIXELS, np.where(BOX > 0, np.nan, 0), MaskError, "not finite"),
        (PIXELS, (BOX * 255).astype(np.uint8), MaskError, "uint8"),
    ],
)
def test_references_are_checked_too(
    pixels: np.ndarray, mask: np.ndarray | None, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Reference(pixels, mask)
    assert Reference(PIXELS, BOX > 0).product_mask is not None
