"""Mask, alpha, white background, network: the right source is taken, and the opaque pixels stay untouched."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from cyclorama.errors import EmptyMaskError, MissingMaskError, SettingsError
from cyclorama.imaging import cutout
from cyclorama.imaging.cutout import CutoutConfig
from cyclorama.imaging.loading import LoadedImage, load_image
from cyclorama.imaging.product import build_product
from cyclorama.imaging.subject import LEAST_CONFIDENCE, Subject

SIZE = (72, 96)


def disc(radius: float = 24.0, softness: float = 1.5) -> np.ndarray:
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    distance = np.hypot(y - 36, x - 48)
    return np.clip((radius - distance) / softness + 0.5, 0, 1).astype(np.float32)


def photo(background: tuple[int, int, int], alpha: np.ndarray) -> np.ndarray:
    mixed = alpha[..., None] * np.array([180, 60, 40]) + (1 - alpha[..., None]) * np.array(background)
    return np.rint(mixed).astype(np.uint8)


class FixedNetwork:
    """A network that always sees the same disc."""

    name = "fixed"

    def __init__(self, matte: np.ndarray) -> None:
        self.matte = matte

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        return self.matte


def test_sources_in_their_order() -> None:
    alpha = disc()
    white = photo((255, 255, 255), alpha)
    with_alpha = LoadedImage(white, alpha, name="p")
    mask = disc(20)
    given = build_product(with_alpha, mask)
    assert given.mask_source == "mask" and np.abs(given.matte - mask).max() <= 6 / 255
    assert build_product(with_alpha).mask_source == "alpha"
    assert build_product(load_image(white)).mask_source == "white"
    network = FixedNetwork(mask)
    assert build_product(load_image(white), network=network).mask_source == "white"
    preferred = build_product(load_image(white), config=CutoutConfig(prefer_network=True), network=network)
    assert preferred.mask_source == "fixed" and np.array_equal(preferred.matte, mask)
    dark = load_image(photo((20, 40, 90), alpha))
    assert build_product(dark, network=network).mask_source == "fixed"
    assert build_product(dark).mask_source == "u2netp"
    noise = load_image(np.random.default_rng(1).integers(0, 200, (*SIZE, 3)).astype(np.uint8))
    with pytest.raises(MissingMaskError, match="0% of the border is plain and light, 40% is needed"):
        build_product(noise)


def test_a_photo_without_an_opaque_pixel_is_refused_by_its_own_word() -> None:
    clear = LoadedImage(photo((255, 255, 255), disc()), 0.3 * disc(), name="p.png")
    with pytest.raises(EmptyMaskError, match=r"p.png is transparent throughout \(largest alpha 0.300 of 1\)"):
        build_product(clear)


@pytest.mark.parametrize("source", ["mask", "alpha", "white"])
def test_opaque_foreground_is_the_input_bit_for_bit(source: str) -> None:
    alpha = disc()
    pixels = photo((255, 255, 255), alpha)
    pixels[30:40, 40:50] = np.random.default_rng(0).integers(0, 200, (10, 10, 3))
    loaded = LoadedImage(pixels, alpha if source == "alpha" else None, name="p")
    product = build_product(loaded, (alpha > 0.5).astype(np.float32) if source == "mask" else None)
    opaque = product.matte == 1
    assert product.mask_source == source and opaque.sum() > 1000
    assert np.array_equal(product.foreground[opaque], pixels[opaque])
    assert np.array_equal(product.pixels, pixels)
    assert product.matte.dtype == np.float32 and 0 <= product.matte.min() <= product.matte.max() <= 1


def test_hard_mask_gets_back_the_soft_rim_and_clean_colour() -> None:
    alpha = disc(24, 3.0)
    pixels = photo((20, 200, 90), alpha)
    product = build_product(LoadedImage(pixels, name="p"), (alpha > 0.5).astype(np.float32))
    assert np.abs(product.matte - alpha).max() < 0.25
    assert np.abs(product.matte - alpha).mean() < np.abs((alpha > 0.5) - alpha).mean() / 2
    rim = (alpha > 0.3) & (alpha < 0.9)
    green = np.array([180, 60, 40])
    before = np.abs(pixels[rim].astype(int) - green).mean()
    assert np.abs(product.foreground[rim].astype(int) - green).mean() < 0.3 * before


def test_alpha_of_254_counts_as_opaque_unless_asked_otherwise() -> None:
    alpha = disc() * np.float32(254 / 255)
    loaded = LoadedImage(photo((0, 0, 0), disc()), alpha, name="p")
    assert (build_product(loaded).matte == 1).sum() > 1000
    literal = build_product(loaded, config=CutoutConfig(opaque_from=1.0))
    assert np.array_equal(literal.matte, alpha)
    with pytest.raises(SettingsError, match="0.2"):
        CutoutConfig(opaque_from=0.2)


def test_clean_rim_colours_of_a_file_are_left_alone() -> None:
    alpha = disc(24, 4.0)
    clean = np.broadcast_to(np.array([180, 60, 40], np.uint8), (*SIZE, 3)).copy()
    assert np.array_equal(build_product(LoadedImage(clean, alpha)).foreground, clean)
    mixed = photo((255, 255, 255), alpha)
    product = build_product(LoadedImage(mixed, alpha))
    rim = (alpha > 0.3) & (alpha < 0.9)
    error = np.abs(product.foreground[rim].astype(int) - [180, 60, 40]).mean()
    assert error < 0.3 * np.abs(mixed[rim].astype(int) - [180, 60, 40]).mean()


@pytest.mark.parametrize("matte", [np.zeros((3, 3), np.float32), np.full(SIZE, 7, np.float32)])
def test_a_network_must_answer_in_shape_and_range(matte: np.ndarray) -> None:
    dark = load_image(photo((20, 40, 90), disc()))
    with pytest.raises(SettingsError, match="'fixed' gave"):
        build_product(dark, network=FixedNetwork(matte))


def test_only_mixed_rims_are_cleaned() -> None:
    """A clean alpha file keeps its rim's numbers; a rim cut from a photo loses the ground's colour."""
    yy, xx = np.mgrid[:80, :80]
    alpha = np.clip((25 - np.hypot(yy - 40, xx - 40)) / 3 + 0.5, 0, 1).astype(np.float32)
    own = np.full((80, 80, 3), (180, 40, 40), np.uint8)
    own[::2] = (170, 60, 40)
    clean = build_product(LoadedImage(own, alpha))
    assert clean.foreground is clean.pixels or np.array_equal(clean.foreground, own)
    mixed = np.rint(own * alpha[..., None] + 255 * (1 - alpha[..., None])).astype(np.uint8)
    cut = build_product(LoadedImage(mixed))
    rim = (cut.matte > 0.3) & (cut.matte < 0.9)
    assert cut.mask_source == "white" and rim.sum() > 20
    assert cut.foreground[rim].mean() < mixed[rim].mean() - 10


def test_a_matte_of_rembg_is_between_nothing_and_one(monkeypatch: pytest.MonkeyPatch) -> None:
    levels = np.rint(disc() * 255).astype(np.uint8)
    rembg = SimpleNamespace(remove=lambda *_, **__: levels[..., None], new_session=str)
    monkeypatch.setattr(cutout, "import_optional", lambda *_: rembg)
    matte = cutout.RembgNetwork("isnet")(photo((20, 40, 90), disc()))
    assert np.array_equal(matte, levels.astype(np.float32) / 255)


def test_the_least_confidence_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    dark = load_image(photo((20, 40, 90), disc()))
    for less in (0.0, 1e-9):
        subject = Subject(disc(), LEAST_CONFIDENCE - less)
        monkeypatch.setattr(cutout, "find_subject", lambda *_, subject=subject: subject)
        if less:
            with pytest.raises(MissingMaskError, match="the bundled network's confidence is"):
                cutout.find_matte(dark)
        else:
            assert cutout.find_matte(dark).confidence == LEAST_CONFIDENCE
