"""Layers put together are the flat image bit for bit, in every file format, read by other readers."""

from __future__ import annotations

import io
import zipfile
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from cyclorama.errors import SettingsError
from cyclorama.imaging.compositing import apply_shadow, composite, compute_contact_shadow
from cyclorama.imaging.layers import (
    Layers,
    build_layers,
    check_layer_format,
    encode_layers,
    encode_psd,
    flatten,
    split_shadow,
)
from cyclorama.imaging.product import Product

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SIZE = (60, 90)


def draw_matte(size: tuple[int, int] = SIZE) -> np.ndarray:
    """A disc with a rim of many alphas, standing a little above the lower edge."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    distance = np.hypot((rows - size[0] / 2) / 20, (columns - size[1] / 2) / 28)
    return np.clip((1.05 - distance) * 6, 0, 1).astype(np.float32)


def build_image(
    seed: int = 0, strength: float = 0.0, extreme: bool = False
) -> tuple[np.ndarray, Layers, Product]:
    """(float background, layers, product) of an image composited as the engine does it."""
    rng = np.random.default_rng(seed)
    values = [0, 1, 254, 255] if extreme else range(256)
    pixels, foreground = (rng.choice(values, (*SIZE, 3)).astype(np.uint8) for _ in range(2))
    background = np.clip(rng.choice(values, (*SIZE, 3)) + rng.uniform(-0.49, 0.49, (*SIZE, 3)), 0, 255)
    background = background.astype(np.float32)
    matte = draw_matte()
    if extreme:
        matte = np.where(matte == 1, 1, rng.choice([0, 0.001, 0.0021, 0.3, 0.5, 0.7, 0.9979], SIZE))
        matte = matte.astype(np.float32)
    foreground[matte >= 1] = pixels[matte >= 1]
    product = Product(pixels, matte, foreground, icc_profile=PROFILE)
    shadow = compute_contact_shadow(matte, strength) if strength else None
    flat = composite(background if shadow is None else apply_shadow(background, shadow), product)
    plate = np.rint(background).astype(np.uint8)
    return background, build_layers(flat, plate, product, shadow), product


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.3, 0.8]), st.booleans())
def test_layers_put_together_are_the_flat_image(seed: int, strength: float, extreme: bool) -> None:
    background, layers, product = build_image(seed, strength, extreme)
    assert np.array_equal(flatten(layers), layers.flat)
    opaque = product.matte >= 1
    assert np.array_equal(layers.product[opaque][:, :3], product.pixels[opaque])
    assert (layers.product[opaque][:, 3] == 255).all()
    assert np.abs(layers.product[..., 3] - product.matte * 255).max() <= 0.5 + 1e-4
    shadow = np.zeros(SIZE) if layers.shadow is None else layers.shadow / 255
    seen = (1 - layers.product[..., 3] / 255) * (1 - shadow)
    assert (np.abs(layers.plate - background) * seen[..., None]).max() <= 2


def test_plate_is_the_models_own_and_the_rim_moves_by_little() -> None:
    background, layers, product = build_image(1)
    assert np.array_equal(layers.plate[product.matte == 0], np.rint(background)[product.matte == 0])
    assert np.array_equal(layers.plate[product.matte == 1], np.rint(background)[product.matte == 1])
    strong = layers.product[..., 3] > 127
    moved = np.abs(layers.product[..., :3].astype(int) - product.foreground)
    assert 0 < moved[strong].max() <= 2
    assert np.abs(layers.plate - background).max() < 2.5
    assert layers.product[layers.product[..., 3] == 0].max() == 0


def test_flatten_is_plain_alpha_compositing() -> None:
    """Against Pillow's own compositing, which rounds in its own way."""
    _, layers, _ = build_image(2, 0.5)
    image = Image.fromarray(layers.list_rgba()[0][1])
    for _, rgba in layers.list_rgba()[1:]:
        image = Image.alpha_composite(image, Image.fromarray(rgba))
    difference = np.abs(np.asarray(image)[..., :3].astype(int) - layers.flat)
    assert difference.max() <= 2
    assert difference[layers.product[..., 3] == 255].max() == 0


def test_a_sets_shadow_is_split_from_its_plate() -> None:
    """Grey darkening goes into the shadow and leaves the empty set; added light stays in the plate."""
    empty = np.random.default_rng(0).integers(60, 250, (24, 24, 3)).astype(np.uint8)
    factor = np.ones((24, 24, 1))
    factor[4:20, 4:12] = np.linspace(0.2, 1, 16)[:, None, None]
    factor[4:20, 14:20] = 1.02
    ground = np.clip(np.rint(empty * factor), 0, 255).astype(np.uint8)
    plate, shadow = split_shadow(ground, empty)
    assert np.abs(shadow / 255 - np.clip(1 - factor[..., 0], 0, 1)).max() < 0.01
    assert np.abs(plate.astype(int) - np.where(factor > 1, ground, empty)).max() <= 4
    made = np.rint((1 - shadow[..., None] / 255) * plate)
    assert np.abs(made - ground).max() <= 1
    black, full = split_shadow(np.zeros_like(empty), empty)
    assert (full == 255).all()
    assert np.array_equal(black, empty)


def test_parts_that_do_not_make_the_image_are_refused() -> None:
    _, layers, product = build_image(3)
    other = 255 - layers.flat
    with pytest.raises(SettingsError, match="not made of"):
        build_layers(other, layers.plate, product)
    with pytest.raises(SettingsError, match="differ in size"):
        build_layers(layers.flat[:-1], layers.plate, product)


# --- files ------------------------------------------------------------------------------------------------


def read_openraster(data: bytes) -> tuple[list[tuple[str, np.ndarray]], np.ndarray, ElementTree.Element]:
    """(layers from below, merged image, root) by the zip and XML modules alone."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        first = archive.infolist()[0]
        assert (first.filename, first.compress_type, first.header_offset) == (
            "mimetype",
            zipfile.ZIP_STORED,
            0,
        )
        assert archive.read("mimetype") == b"image/openraster"
        root = ElementTree.fromstring(archive.read("stack.xml"))
        layers = []
        for layer in reversed(root.findall("stack/layer")):
            image = Image.open(io.BytesIO(archive.read(layer.attrib["src"])))
            assert image.info["icc_profile"] == PROFILE
            layers.append((layer.attrib["name"], np.asarray(image.convert("RGBA"))))
        merged = np.asarray(Image.open(io.BytesIO(archive.read("mergedimage.png"))))
        thumbnail = Image.open(io.BytesIO(archive.read("Thumbnails/thumbnail.png")))
        assert max(thumbnail.size) <= 256
    return layers, merged, root


@pytest.mark.parametrize("strength", [0.0, 0.6])
def test_openraster_reads_back(strength: float) -> None:
    _, layers, _ = build_image(4, strength)
    files = encode_layers(layers, "ora")
    assert files == encode_layers(layers, "ora")
    read, merged, root = read_openraster(files[".ora"])
    names = ["Background plate", "Shadow", "Product"] if strength else ["Background plate", "Product"]
    assert [name for name, _ in read] == names
    assert (root.attrib["w"], root.attrib["h"]) == (str(SIZE[1]), str(SIZE[0]))
    for (_, pixels), (_, wanted) in zip(read, layers.list_rgba(), strict=True):
        assert np.array_equal(pixels, wanted)
    assert np.array_equal(merged, layers.flat)
    shadow = read[1][1][..., 3] if strength else None
    again = Layers(read[0][1][..., :3], read[-1][1], merged, shadow)
    assert np.array_equal(flatten(again), layers.flat)


@pytest.mark.parametrize("strength", [0.0, 0.6])
def test_psd_reads_back_with_pillow(strength: float) -> None:
    _, layers, _ = build_image(5, strength)
    data = encode_layers(layers, "psd")[".psd"]
    assert data == encode_layers(layers, "psd")[".psd"]
    with Image.open(io.BytesIO(data)) as image:
        assert (image.format, image.mode, image.size) == ("PSD", "RGB", (SIZE[1], SIZE[0]))
        assert image.info["icc_profile"] == PROFILE
        assert np.array_equal(np.asarray(image), layers.flat)
        records = image.layers
        assert len(records) == len(layers.list_rgba())
        for (name, wanted), record in zip(layers.list_rgba(), records, strict=True):
            assert record[0].lower().endswith(name if name != "plate" else "background plate")
            left, top, right, bottom = record[2]
            box = wanted[top:bottom, left:right]
            assert box[..., 3].any() or not wanted[..., 3].any()
            assert wanted[..., 3].astype(int).sum() == box[..., 3].astype(int).sum()
            # Pillow takes the channels for red, green, blue, alpha; Photoshop's own order has alpha first.
            for tile, channel in zip(record[3], (3, 0, 1, 2), strict=True):
                plane = np.frombuffer(data, np.uint8, box[..., 0].size, tile.offset)
                assert np.array_equal(plane.reshape(box.shape[:2]), box[..., channel])


def test_psd_reads_back_with_psd_tools() -> None:
    api = pytest.importorskip("psd_tools")
    _, layers, _ = build_image(6, 0.4)
    document = api.PSDImage.open(io.BytesIO(encode_layers(layers, "psd")[".psd"]))
    assert document.size == (SIZE[1], SIZE[0])
    assert [layer.name for layer in document] == ["Background plate", "Shadow", "Product"]
    for layer, (_, wanted) in zip(document, layers.list_rgba(), strict=True):
        assert (layer.blend_mode.name, layer.opacity, layer.visible) == ("NORMAL", 255, True)
        left, top, right, bottom = layer.bbox
        assert np.array_equal(np.asarray(layer.topil(apply_icc=False)), wanted[top:bottom, left:right])
    merged = np.asarray(document.topil(apply_icc=False).convert("RGB"))
    assert np.array_equal(merged, layers.flat)


def test_psd_holds_empty_layers_and_odd_lengths() -> None:
    merged = np.arange(7 * 5 * 3, dtype=np.uint8).reshape(7, 5, 3)
    empty = np.zeros((7, 5, 4), dtype=np.uint8)
    dot = empty.copy()
    dot[6, 4] = (1, 2, 3, 255)
    with Image.open(io.BytesIO(encode_psd([("empty", empty), ("dot", dot)], merged, b"odd"))) as image:
        assert np.array_equal(np.asarray(image), merged)
        assert image.info["icc_profile"] == b"odd"
        # An even number of columns: what is beyond the canvas is transparent.
        assert [record[2] for record in image.layers] == [(0, 0, 2, 1), (4, 6, 6, 7)]


def test_psd_layers_are_named_in_any_script() -> None:
    api = pytest.importorskip("psd_tools")
    names = ["Größe", "春の夜", "خصم", "a" * 300]
    layer, flat = np.full((4, 6, 4), 255, np.uint8), np.zeros((4, 6, 3), np.uint8)
    document = api.PSDImage.open(io.BytesIO(encode_psd([(name, layer) for name in names], flat)))
    assert [layer.name for layer in document] == names


def test_layers_as_images() -> None:
    _, layers, _ = build_image(7, 0.5)
    files = encode_layers(layers, "png")
    assert list(files) == [".background.png", ".shadow.png", ".product.png"]
    read = [np.asarray(Image.open(io.BytesIO(data))) for data in files.values()]
    assert np.array_equal(read[0], layers.plate)
    assert np.array_equal(read[1][..., 3], layers.shadow)
    assert np.array_equal(read[2], layers.product)
    without = build_image(7)[1]
    assert list(encode_layers(without, "png")) == [".background.png", ".product.png"]


def test_formats_that_cannot_be_are_refused() -> None:
    with pytest.raises(SettingsError, match="ora, psd, png, got 'tiff'"):
        check_layer_format("tiff")
    with pytest.raises(SettingsError, match="30000 pixels, the image has 40000 x 10"):
        check_layer_format("psd", (10, 40000))


# --- the contact shadow -----------------------------------------------------------------------------------


def test_shadow_lies_under_the_product_and_no_darker_than_asked() -> None:
    matte = np.zeros((120, 100), dtype=np.float32)
    matte[20:80, 30:70] = 1
    shadow = compute_contact_shadow(matte, 0.5)
    assert shadow.dtype == np.uint8
    assert 100 <= shadow.max() <= 127
    rows = shadow[:, 50].astype(int)
    assert rows[80] > 60
    assert (np.diff(rows[80:]) <= 0).all()
    assert rows[110] == 0
    assert rows[:60].max() == 0
    assert np.array_equal(shadow, shadow[:, ::-1])
    assert compute_contact_shadow(matte, 0).max() == 0


def test_shadow_moves_with_the_product() -> None:
    matte = np.zeros((120, 100), dtype=np.float32)
    matte[20:70, 30:60] = 1
    shadow = compute_contact_shadow(matte, 0.6)
    moved = compute_contact_shadow(np.roll(matte, (7, -9), (0, 1)), 0.6)
    assert np.array_equal(np.roll(shadow, (7, -9), (0, 1)), moved)


def test_shadow_is_made_where_the_product_stands_only() -> None:
    """A table's two legs touch the ground, its top does not."""
    matte = np.zeros((100, 120), dtype=np.float32)
    matte[20:30, 20:100] = 1
    matte[30:80, 20:26] = matte[30:80, 94:100] = 1
    shadow = compute_contact_shadow(matte, 0.8)
    assert shadow[80, 23] > 2 * shadow[80, 60]
    assert shadow[32, 60] == 0


def test_shadow_darkens_by_its_share() -> None:
    background = np.full((2, 2, 3), 200, dtype=np.uint8)
    shadow = np.array([[0, 51], [102, 255]], dtype=np.uint8)
    assert apply_shadow(background, shadow)[..., 0] == pytest.approx(np.array([[200, 160], [120, 0]]))
