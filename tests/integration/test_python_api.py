"""The Python API: what may be given, what comes back, from several threads and processes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cyclorama import Product, Reference
from cyclorama.errors import (
    MissingMaskError,
    SettingsError,
    UnknownCategoryError,
)
from cyclorama.generate import BackgroundGenerator
from cyclorama.generation.engine import build_hidden_mask, place_product
from cyclorama.generation.settings import GenerateConfig
from cyclorama.models.tiny import build_tiny_pipeline

QUICK = GenerateConfig(num_inference_steps=2)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model folder that knows ``perfume`` and ``fruit``."""
    folder = tmp_path_factory.mktemp("model") / "tiny"
    build_tiny_pipeline().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def generator(model: Path) -> BackgroundGenerator:
    return BackgroundGenerator.from_pretrained(model, device="cpu")


def draw_product(size: tuple[int, int] = (72, 64), seed: int = 0) -> Image.Image:
    """A noisy ellipse with a soft rim on transparency, RGBA, (height, width) ``size``."""
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    distance = np.hypot((rows - height / 2) / (height * 0.3), (columns - width / 2) / (width * 0.3))
    alpha = np.clip((1.05 - distance) * 12, 0, 1)
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3))
    return Image.fromarray(np.dstack([pixels, np.rint(alpha * 255)]).astype(np.uint8))


def draw_reference(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(100 + seed).integers(0, 256, (80, 100, 3), dtype=np.uint8)


# --- products, seeds, references ---------------------------------------------------------------------------


def test_product_is_exact_at_the_inputs_own_size(generator: BackgroundGenerator, tmp_path: Path) -> None:
    drawn = draw_product((90, 150))
    drawn.save(tmp_path / "a.png")
    made = generator(tmp_path / "a.png", category="perfume", settings=QUICK)
    rgba = np.asarray(drawn)
    opaque, clear = rgba[..., 3] == 255, rgba[..., 3] == 0
    assert made.pixels.shape == (90, 150, 3)
    assert np.array_equal(made.pixels[opaque], rgba[opaque][:, :3])
    assert np.array_equal(made.pixels[clear], made.background[clear])
    assert made.report.exact
    assert made.report.opaque_pixels >= opaque.sum()
    assert (made.name, made.category, made.identifier) == ("a.png", "perfume", "sks 0")
    assert made.recipe["model_hash"] == generator.model.hash != ""


def test_noise_and_image_do_not_depend_on_company_or_order(generator: BackgroundGenerator) -> None:
    drawn = [draw_product(seed=i) for i in range(3)]
    alone = [generator(p, category="fruit", seed=5, settings=QUICK) for p in drawn]
    for order in ([0, 1, 2], [2, 0, 1]):
        together = generator([drawn[i] for i in order], category="fruit", seed=5, settings=QUICK)
        for i, made in zip(order, together, strict=True):
            assert made.seed == alone[i].seed
            assert np.array_equal(made.pixels, alone[i].pixels)


def test_images_are_bit_equal_within_a_batch_shape_and_near_between(generator: BackgroundGenerator) -> None:
    drawn = [draw_product(seed=i) for i in range(3)]
    in_twos = GenerateConfig(num_inference_steps=2, batch_size=2)
    forth = generator(drawn, category="fruit", settings=in_twos)
    back = generator(drawn[::-1], category="fruit", settings=in_twos)[::-1]
    single = generator(drawn, category="fruit", settings=QUICK)
    for one, other, lone in zip(forth, back, single, strict=True):
        assert np.array_equal(one.background, other.background)
        assert np.abs(one.background.astype(int) - lone.background).max() <= 2


def test_seed_of_a_image_makes_it_again(generator: BackgroundGenerator) -> None:
    settings = GenerateConfig(num_inference_steps=2, candidates=2)
    first, second = generator(draw_product(), category="fruit", seed=3, settings=settings)
    assert first.seed != second.seed
    assert not np.array_equal(first.background, second.background)
    again = generator(draw_product(), category="fruit", seed=[second.seed], settings=QUICK)
    assert np.array_equal(again.pixels, second.pixels)
    other = generator(draw_product(), category="fruit", seed=4, settings=QUICK)
    assert not np.array_equal(other.background, first.background)


def test_references_act_one_by_one(generator: BackgroundGenerator) -> None:
    drawn = [draw_product(seed=i) for i in range(3)]
    references = [None, draw_reference(0), Reference(draw_reference(1))]
    mixed = generator(drawn, category=["fruit", "perfume", "fruit"], reference=references, settings=QUICK)
    for product, category, reference, made in zip(
        drawn, ["fruit", "perfume", "fruit"], references, mixed, strict=True
    ):
        alone = generator(product, category=category, reference=reference, settings=QUICK)
        assert np.array_equal(made.pixels, alone.pixels)
        assert made.category == category
    without = generator(drawn[1], category="perfume", settings=QUICK)
    assert not np.array_equal(mixed[1].background, without.background)


def test_references_own_product_is_hidden(generator: BackgroundGenerator) -> None:
    mask = np.zeros((80, 100), dtype=np.float32)
    mask[30:50, 40:60] = 1
    changed = draw_reference()
    changed[30:50, 40:60] = 0
    settings = GenerateConfig(num_inference_steps=2, initial_latent=False)
    images = [
        generator(draw_product(), category="fruit", reference=Reference(pixels, known), settings=settings)
        for pixels, known in ((draw_reference(), mask), (changed, mask), (draw_reference(), None))
    ]
    assert np.array_equal(images[0].background, images[1].background)
    assert not np.array_equal(images[0].background, images[2].background)


def test_hidden_rim_scales_with_the_side() -> None:
    mask = np.zeros((256, 256), dtype=np.float32)
    mask[128, 128] = 1
    hidden = build_hidden_mask(mask)
    columns = np.flatnonzero(hidden[128])
    assert (columns[0], columns[-1]) == (128 - 12, 128 + 12)


def test_asked_size_keeps_the_product_whole_and_centred(generator: BackgroundGenerator) -> None:
    settings = GenerateConfig(num_inference_steps=2, size=(100, 200))
    made = generator(draw_product((100, 80)), category="fruit", settings=settings)
    rgba = np.asarray(draw_product((100, 80)))
    opaque = rgba[..., 3] == 255
    assert made.pixels.shape == (100, 200, 3)
    assert np.array_equal(made.pixels[:, 60:140][opaque], rgba[opaque][:, :3])
    product = Product(rgba[..., :3].copy(), (rgba[..., 3] / 255).astype(np.float32), rgba[..., :3].copy())
    assert place_product(product, (100, 80)) is product
    assert place_product(product, (100, 200)).matte.sum() == pytest.approx(product.matte.sum())


def test_arrays_and_lists_of_them_are_told_apart(generator: BackgroundGenerator) -> None:
    array = np.asarray(draw_product())
    one = generator(array, category="fruit", settings=QUICK)
    two = generator([array, array], category="fruit", settings=QUICK)
    assert [type(one).__name__, len(two)] == ["Generated", 2]
    assert one.name == two[1].name != ""


def test_facade_refuses_before_sampling(generator: BackgroundGenerator) -> None:
    product = draw_product()
    with pytest.raises(UnknownCategoryError, match="perfume"):
        generator(product, category="parfume")
    with pytest.raises(SettingsError, match="2 values of category for 1"):
        generator(product, category=["fruit", "fruit"])
    with pytest.raises(SettingsError, match="-1"):
        generator(product, category="fruit", seed=-1)
    with pytest.raises(SettingsError, match="no products"):
        generator([], category="fruit")
    with pytest.raises(MissingMaskError, match="--mask"):
        generator(draw_reference(), category="fruit")
    with pytest.raises(SettingsError, match="nonsense"):
        BackgroundGenerator.from_pretrained("unused", device="nonsense")
    assert generator.categories == ["perfume", "fruit"]
