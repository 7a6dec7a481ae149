"""The Python API: what may be given, what comes back, from several threads and processes."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from cyclorama import Product, Reference, load_metadata
from cyclorama.data import addresses
from cyclorama.data.fetch import UrlPolicy, check_url
from cyclorama.errors import (
    CycloramaError,
    FetchError,
    ForkedProcessError,
    ImageError,
    MaskError,
    MissingMaskError,
    SettingsError,
    UnknownCategoryError,
    UnreadableImageError,
)
from cyclorama.generate import BackgroundGenerator
from cyclorama.generation.engine import place_product
from cyclorama.generation.learned import build_hidden_mask
from cyclorama.generation.settings import GenerateConfig
from drawn import draw_product, draw_reference

QUICK = GenerateConfig(num_inference_steps=2)


@pytest.fixture(scope="module")
def generator(model: Path) -> BackgroundGenerator:
    return BackgroundGenerator.from_pretrained(model, device="cpu")


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
        BackgroundGenerator.from_pretrained("bundled", device="nonsense")
    assert generator.categories == ["perfume", "fruit"]


# --- what may be given -------------------------------------------------------------------------------------


def encode(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


MANY: dict[str, Callable[[Image.Image], Any]] = {
    "list": lambda p: [p, np.asarray(p)],
    "tuple": lambda p: (p, encode(p)),
    "generator": lambda p: (x for x in (p, io.BytesIO(encode(p)))),
    "iterator": lambda p: iter([p, p]),
    "batch": lambda p: np.stack([np.asarray(p)] * 2),
    "batch of tensors": lambda p: torch.from_numpy(np.stack([np.asarray(p)] * 2)).permute(0, 3, 1, 2) / 255,
    "products": lambda p: [Product.from_image(p), Product.from_image(p)],
}


@pytest.fixture(scope="module")
def plain(generator: BackgroundGenerator) -> Any:
    return generator(draw_product(), category="fruit", seed=4, settings=QUICK)


@pytest.mark.parametrize("kind", MANY)
def test_several_in_every_form_give_a_list(kind: str, generator: BackgroundGenerator, plain: Any) -> None:
    made = generator(MANY[kind](draw_product()), category="fruit", seed=4, settings=QUICK)
    assert isinstance(made, list) and len(made) == 2
    assert all(np.array_equal(image.pixels, plain.pixels) for image in made)


def test_one_gives_its_image_and_a_list_of_one_a_list(generator: BackgroundGenerator, plain: Any) -> None:
    (listed,) = generator([draw_product()], category="fruit", seed=4, settings=QUICK)
    for one in (encode(draw_product()), np.asarray(draw_product()) / 255, Product.from_image(draw_product())):
        made = generator(one, category="fruit", seed=4, settings=QUICK)
        assert np.array_equal(made.pixels, listed.pixels) and np.array_equal(made.pixels, plain.pixels)
    assert len(generator(draw_product(), category="fruit", settings=QUICK, candidates=2)) == 2


def test_an_open_file_is_its_path(generator: BackgroundGenerator, tmp_path: Path) -> None:
    """The name, from which the seed follows, included."""
    draw_product().save(tmp_path / "a.png")
    by_path = generator(tmp_path / "a.png", category="fruit", settings=QUICK)
    with (tmp_path / "a.png").open("rb") as file, Image.open(tmp_path / "a.png") as image:
        for given in (file, image, str(tmp_path / "a.png"), (tmp_path / "a.png").as_uri()):
            made = generator(given, category="fruit", settings=QUICK)
            assert made.name == "a.png" and np.array_equal(made.pixels, by_path.pixels)


@pytest.mark.parametrize(
    "category",
    [
        ("fruit", "perfume"),
        np.array(["fruit", "perfume"]),
        iter(["fruit", "perfume"]),
        (name for name in ("fruit", "perfume")),
    ],
    ids=["tuple", "array", "iterator", "generator"],
)
def test_categories_in_every_form(category: Any, generator: BackgroundGenerator) -> None:
    made = generator([draw_product(), draw_product()], category=category, settings=QUICK)
    assert [image.category for image in made] == ["fruit", "perfume"]


@pytest.mark.parametrize(
    "category", [None, "", " ", 3, b"fruit", ["fruit", None], np.array([1, 2]), float("nan")]
)
def test_no_category_says_which_there_are(category: Any, generator: BackgroundGenerator) -> None:
    with pytest.raises(SettingsError, match="perfume, fruit"):
        generator([draw_product(), draw_product()], category=category)


@pytest.mark.parametrize(
    "settings",
    [
        {"settings": GenerateConfig(num_inference_steps=2, guidance_scale=1.5)},
        {"settings": {"num_inference_steps": 2, "guidance_scale": 1.5}},
        {"num_inference_steps": np.int64(2), "guidance_scale": np.float32(1.5)},
        {"steps": 2, "guidance": 1.5},
        {"settings": {"steps": 9, "guidance": 3}, "num_inference_steps": 2, "guidance_scale": 1.5},
        {"settings": GenerateConfig(guidance_scale=9), "steps": 2, "guidance": 1.5},
        {"settings": GenerateConfig(num_inference_steps=2), "guidance_scale": 1.5},
        {"settings": {"num_inference_steps": 9, "guidance_scale": 1.5}, "num_inference_steps": 2},
    ],
)
def test_settings_in_every_form(settings: dict[str, Any], generator: BackgroundGenerator) -> None:
    made = generator(draw_product(), category="fruit", **settings)
    assert (made.settings["steps"], made.settings["guidance"]) == (2, 1.5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"settings": "fast"}, "GenerateConfig"),
        ({"settings": [("num_inference_steps", 2)]}, "GenerateConfig"),
        ({"settings": {"stepps": 2}}, "steps"),
        ({"settings": {1: 2}}, "'1'"),
        ({"settings": QUICK, "guidancee": 2}, "guidance"),
        ({"num_inference_steps": True}, "num_inference_steps"),
        ({"num_inference_step": 2}, "num_inference_steps"),
        ({"num_inference_steps": 0}, "1"),
        ({"num_inference_steps": "many"}, "many"),
    ],
)
def test_wrong_settings_are_named(settings: Any, message: str, generator: BackgroundGenerator) -> None:
    with pytest.raises(CycloramaError, match=message):
        generator(draw_product(), category="fruit", **settings)


def test_seeds_of_every_kind(generator: BackgroundGenerator) -> None:
    pair = [draw_product(), draw_product(seed=1)]
    expected = [image.seed for image in generator(pair, category="fruit", seed=5, settings=QUICK)]
    for seed in (np.int64(5), np.array(5), torch.tensor(5)):
        made = generator(pair, category="fruit", seed=seed, settings=QUICK)
        assert [image.seed for image in made] == expected
    for seeds in ((3, 4), np.array([3, 4]), range(3, 5), iter([3, 4])):
        assert [i.seed for i in generator(pair, category="fruit", seed=seeds, settings=QUICK)] == [3, 4]
    derived = generator(pair, category="fruit", seed=[3, None], settings=QUICK)
    assert (
        derived[0].seed == 3 and derived[1].seed == generator(pair[1], category="fruit", settings=QUICK).seed
    )
    for wrong in (1.5, True, "7", -1, 2**63, [1, "a"], [1, 2, 3], {"seed": 1}, torch.Generator()):
        with pytest.raises(SettingsError, match="seed"):
            generator(pair, category="fruit", seed=wrong)


def test_masks_for_one_or_for_each(generator: BackgroundGenerator, tmp_path: Path) -> None:
    rgba = np.asarray(draw_product((96, 80)))
    photo, mask = Image.fromarray(rgba[..., :3]), rgba[..., 3] > 127
    Image.fromarray(mask).save(tmp_path / "mask.png")
    first = generator(photo, category="fruit", mask=mask, settings=QUICK)
    inside = np.asarray(Product.from_image(photo, mask).matte) == 1
    assert inside.sum() > 500 and np.array_equal(first.pixels[inside], rgba[inside][:, :3])
    assert first.recipe["mask_source"] == "mask"
    for given in (
        tmp_path / "mask.png",
        mask.astype(np.uint8),
        torch.from_numpy(mask),
        Image.fromarray(mask),
    ):
        assert np.array_equal(
            generator(photo, category="fruit", mask=given, settings=QUICK).pixels, first.pixels
        )
    shared = generator([photo, photo], category="fruit", mask=mask, settings=QUICK)
    each = generator([photo, draw_product()], category="fruit", mask=[mask, None], settings=QUICK)
    assert all(np.array_equal(image.pixels, first.pixels) for image in (*shared, each[0]))
    with pytest.raises(SettingsError, match="3 values of mask for 2"):
        generator([photo, photo], category="fruit", mask=[mask] * 3)
    with pytest.raises(SettingsError, match="Product, which has one"):
        generator(Product.from_image(draw_product()), category="fruit", mask=mask)
    with pytest.raises(MaskError, match="product 2 of 2"):
        generator([photo, photo], category="fruit", mask=[mask, ~mask])


def test_references_of_every_kind(generator: BackgroundGenerator, tmp_path: Path) -> None:
    pixels = draw_reference()
    Image.fromarray(pixels).save(tmp_path / "r.png")
    plain = generator(draw_product(), category="fruit", reference=pixels, settings=QUICK)
    kinds = (tmp_path / "r.png", pixels / 255, torch.from_numpy(pixels).permute(2, 0, 1), Reference(pixels))
    for reference in (*kinds, Image.fromarray(pixels), (tmp_path / "r.png").read_bytes()):
        made = generator(draw_product(), category="fruit", reference=reference, settings=QUICK)
        assert np.array_equal(made.pixels, plain.pixels)
    again = generator(draw_product(), category="fruit", reference=plain, settings=QUICK)
    assert not np.array_equal(again.pixels, plain.pixels)
    with pytest.raises(ImageError, match="reference.*does not exist"):
        generator(draw_product(), category="fruit", reference="gone.png")
    with pytest.raises(ImageError, match="reference: cannot make an image of int"):
        generator(draw_product(), category="fruit", reference=7)


@pytest.mark.parametrize(
    "wrong", [None, 7, {"image": "a.png"}, {"a.png"}, "", "gone.png", [None], ["gone.png", 3]]
)
def test_what_is_no_image_is_refused_by_name(wrong: Any, generator: BackgroundGenerator) -> None:
    with pytest.raises(UnreadableImageError, match=r"give|check"):
        generator(wrong, category="fruit")


def test_which_of_several_products_is_wrong(generator: BackgroundGenerator) -> None:
    with pytest.raises(UnreadableImageError, match="product 2 of 3: .*values from -1 to 1"):
        generator([draw_product(), draw_reference() / 127.5 - 1, "gone.png"], category="fruit")


def test_web_addresses_are_read_only_where_allowed(
    generator: BackgroundGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = "https://cdn.shop.example/photos/a.png?width=9"
    with pytest.raises(UnreadableImageError, match="urls="):
        generator(address, category="fruit")
    asked: list[str] = []

    def answer(url: str, policy: UrlPolicy | None) -> bytes:
        check_url(url, policy)
        asked.append(url)
        return encode(draw_product())

    monkeypatch.setattr(addresses, "fetch", answer)
    allowed = BackgroundGenerator(generator.pipeline, urls=["*.shop.example"])
    made = allowed(address, category="fruit", reference=address, settings=QUICK)
    assert (made.name, made.recipe["reference"], asked) == ("a.png", "a.png", [address] * 2)
    with pytest.raises(FetchError, match=r"other\.example"):
        allowed("https://other.example/a.png", category="fruit")
    with pytest.raises(FetchError, match="https"):
        BackgroundGenerator(generator.pipeline, urls=True)("http://cdn.shop.example/a.png", category="fruit")


# --- what comes back ---------------------------------------------------------------------------------------


def test_result_carries_recipe_and_profile_of_the_photo(
    generator: BackgroundGenerator, tmp_path: Path
) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    draw_product().save(tmp_path / "a.png", icc_profile=profile)
    reference = Reference(draw_reference(), name="brand")
    made = generator(tmp_path / "a.png", category="fruit", reference=reference, seed=8, settings=QUICK)
    recipe = load_metadata(made.save(tmp_path / "b.png"))
    assert recipe == made.recipe and made.image.info["icc_profile"] == profile
    assert (recipe["input"], recipe["seed"], recipe["category"]) == ("a.png", made.seed, "fruit")
    assert (recipe["reference"], recipe["mask_source"], recipe["settings"]["steps"]) == ("brand", "alpha", 2)


def test_nothing_is_proved_over_no_opaque_pixel(generator: BackgroundGenerator) -> None:
    rgba = np.asarray(draw_product()).copy()
    rgba[..., 3] = np.minimum(rgba[..., 3], 230)
    report = generator(rgba, category="fruit", settings=QUICK).report
    assert (report.opaque_pixels, report.exact, report.max_difference) == (0, None, None)
    assert any("fully opaque" in note for note in report.notes)


# --- threads and processes ---------------------------------------------------------------------------------


def put_on_white(image: Image.Image) -> Image.Image:
    shown = Image.new("RGB", image.size, "white")
    shown.paste(image, mask=image.getchannel("A"))
    return shown


def test_three_threads_share_one_generator(generator: BackgroundGenerator) -> None:
    """12 calls of several kinds: no error, and the images of calls made alone."""
    products = [draw_product(), draw_product((64, 96), 1), put_on_white(draw_product((96, 80), 2))]
    calls = [(p, r) for p in products for r in (None, draw_reference())]
    alone = [generator(p, category="fruit", reference=r, settings=QUICK).pixels for p, r in calls]
    wrong: list[Any] = []

    def work(start: int) -> None:
        for turn in range(4):
            product, reference = calls[(start + turn) % 6]
            try:
                made = generator(product, category="fruit", reference=reference, settings=QUICK)
            except Exception as error:
                wrong.append(error)
            else:
                if not np.array_equal(made.pixels, alone[(start + turn) % 6]):
                    wrong.append((start, turn))

    threads = [threading.Thread(target=work, args=(2 * i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_forked_child_gets_an_error_and_does_not_hang(
    generator: BackgroundGenerator, model: Path, tmp_path: Path
) -> None:
    draw_product().save(tmp_path / "a.png")
    calls: list[Callable[[], object]] = [
        lambda: generator(tmp_path / "a.png", category="fruit"),
        lambda: BackgroundGenerator.from_pretrained(model),
        lambda: Product.from_image(tmp_path / "a.png"),
    ]
    child = os.fork()
    if child == 0:
        caught = 0
        try:
            signal.alarm(60)  # one that hangs is ended
            for call in calls:
                try:
                    call()
                except ForkedProcessError as error:
                    caught += "spawn" in str(error)
        finally:
            os._exit(caught)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3


def make_in_child(generator: BackgroundGenerator, product: bytes) -> np.ndarray:
    return generator(product, category="fruit", settings=QUICK).pixels


def test_spawned_processes_work_with_a_generator_of_their_own(generator: BackgroundGenerator) -> None:
    product = encode(draw_product())
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        (made,) = pool.starmap(make_in_child, [(generator, product)])
    assert np.array_equal(made, make_in_child(generator, product))


# --- made again --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"guidance": 3.0, "eta": 0.5, "category_strength": 0.5, "reference_strength": 0.7},
        {"outputs": ("1:1", "96x80", "source"), "product_scale": 0.5, "margin": 0.1, "contact_shadow": 0.4},
        {"size": "128x96", "candidates": 2, "format": "webp", "quality": 80},
        {"preset": "fast", "scheduler": "EulerDiscrete", "initial_latent": False},
    ],
    ids=["plain", "strengths", "outputs", "candidates", "scheduler"],
)
@pytest.mark.parametrize("with_reference", [False, True], ids=["category", "reference"])
def test_a_recipe_makes_its_image_again(
    settings: dict[str, Any], with_reference: bool, generator: BackgroundGenerator, tmp_path: Path
) -> None:
    reference = draw_reference() if with_reference else None
    made = generator([draw_product()], category="fruit", reference=reference, seed=3, steps=2, **settings)
    for image in made:
        recipe = load_metadata(image.save(tmp_path / "a.png"))
        again = generator.again(recipe, draw_product(), reference=reference)
        assert np.array_equal(again.pixels, image.pixels)


def test_recipes_that_cannot_be_followed(generator: BackgroundGenerator, plain: Any) -> None:
    with pytest.raises(SettingsError, match="model other"):
        generator.again(plain.recipe | {"model": "other", "model_hash": "0"}, draw_product())
    with pytest.raises(SettingsError, match="reference is None"):
        generator.again(plain.recipe, draw_product(), reference=draw_reference())
    with pytest.raises(SettingsError, match=r"reference is brand\.jpg"):
        generator.again(plain.recipe | {"reference": "brand.jpg"}, draw_product())
