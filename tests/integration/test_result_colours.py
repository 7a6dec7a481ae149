"""The finished image is shown alike whatever profile the product's file has; rights reach the file."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from cyclorama.generate import BackgroundGenerator
from cyclorama.generation.settings import GenerateConfig
from cyclorama.imaging.colour import from_srgb
from cyclorama.imaging.layers import build_layers, flatten
from cyclorama.imaging.loading import load_image
from cyclorama.imaging.product import Product
from tiny_models import build_tiny_pipeline

CASES = Path(__file__).parents[1] / "cases"
WIDE = ("p3", "adobe", "prophoto")
STEPS = GenerateConfig(num_inference_steps=2)


@pytest.fixture(scope="module")
def generator() -> BackgroundGenerator:
    return BackgroundGenerator(build_tiny_pipeline())


def make(generator: BackgroundGenerator, source: object, **options: object):
    return generator([source], category="fruit", seed=[3], settings=STEPS, placement="keep", **options)[0]


def show(pixels: np.ndarray, profile: bytes | None) -> np.ndarray:
    image = Image.fromarray(pixels)
    if profile is not None:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        image = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"))
    return np.asarray(image).astype(int)


@pytest.mark.parametrize("name", WIDE)
def test_the_background_is_shown_as_without_a_profile(generator: BackgroundGenerator, name: str) -> None:
    plain = make(generator, CASES / "colour" / "plain.png")
    made = make(generator, CASES / "colour" / f"{name}.png")
    product = Product.from_image(CASES / "colour" / f"{name}.png")
    assert made.icc_profile == product.icc_profile and made.report.exact is True
    assert np.array_equal(made.pixels[product.matte == 1], product.pixels[product.matte == 1])
    ground = product.matte == 0
    difference = np.abs(show(made.pixels, made.icc_profile) - show(plain.pixels, None))[ground]
    assert difference.mean() < 0.5 and (difference > 1).mean() < 0.01
    numbers = np.abs(made.pixels.astype(int) - plain.pixels)[ground]
    assert numbers.mean() > 1  # as they were, they would be shown in other colours
    assert np.array_equal(flatten(build_layers(made.pixels, made.background, product)), made.pixels)


@pytest.mark.parametrize("name", WIDE)
def test_a_reference_counts_by_its_colours(generator: BackgroundGenerator, name: str) -> None:
    scene = np.asarray(Image.effect_noise((96, 96), 60).convert("RGB").resize((128, 128)))
    with Image.open(CASES / "colour" / f"{name}.png") as image:
        profile = image.info["icc_profile"]
    made = []
    for pixels, embedded in ((scene, None), (from_srgb(scene, profile), profile)):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG", icc_profile=embedded)
        made.append(make(generator, CASES / "colour" / "plain.png", reference=buffer.getvalue()))
    assert np.abs(made[0].background.astype(int) - made[1].background).mean() < 1


def test_rights_and_profile_reach_the_file(generator: BackgroundGenerator, tmp_path: Path) -> None:
    made = make(generator, CASES / "formats" / "p.jpg")
    for suffix in (".png", ".jpg", ".webp", ".avif"):
        read = load_image(made.save(tmp_path / f"kept{suffix}"))
        assert read.metadata["creator"] == "Studio X" and read.metadata["dpi"] == [300.0, 300.0]
        assert read.size == (256, 192)  # turned upright once, and not again
        assert load_image(made.save(tmp_path / f"bare{suffix}", strip=True)).metadata == {}
    camera = make(generator, CASES / "colour" / "_DSC0001.JPG")
    assert load_image(camera.save(tmp_path / "adobe.png")).icc_profile == camera.icc_profile is not None


def test_a_proof_over_no_opaque_pixel_proves_nothing(generator: BackgroundGenerator) -> None:
    made = make(generator, CASES / "products" / "opacity90.png")
    assert made.report.opaque_pixels == 0 and made.report.exact is None
    assert (made.report.max_difference, made.report.mean_difference) == (None, None)
    assert any("no pixel is fully opaque" in note for note in made.report.notes)


def test_notes_reach_the_report(generator: BackgroundGenerator) -> None:
    made = make(generator, CASES / "products" / "baked_shadow.png")
    assert made.report.exact is True and any("soft shadow" in note for note in made.report.notes)
