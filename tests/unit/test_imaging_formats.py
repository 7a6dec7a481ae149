"""Files of finished images: exact or measured, with colour profile, recipe and provenance."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from cyclorama.errors import MissingDependencyError, SettingsError, UnreadableImageError
from cyclorama.imaging import formats
from cyclorama.imaging.formats import (
    SOURCE_TYPE,
    EncodingConfig,
    ImageFormat,
    build_xmp,
    decode_image,
    encode_image,
    measure_encoding,
)
from cyclorama.imaging.loading import load_image
from cyclorama.imaging.product import Product, build_product

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
RECIPE = {"seed": 2**63 - 1, "input": "düfte/<&>.png", "settings": {"steps": 3, "scheduler": None}}
LOSSLESS = [EncodingConfig(), EncodingConfig(format="webp")]
LOSSY = [
    EncodingConfig(format="webp", quality=90),
    EncodingConfig(format="jpeg"),
    EncodingConfig(format="avif"),
    EncodingConfig(format="jpeg", quality=40),
]


def name_of(config: EncodingConfig) -> str:
    return f"{config.format}-{config.quality}"


def draw_pixels(size: tuple[int, int] = (48, 64), seed: int = 0) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((size[1], size[0]), Image.Resampling.BICUBIC)).copy()


@pytest.mark.parametrize("config", LOSSLESS, ids=name_of)
def test_lossless_files_hold_the_pixels_themselves(config: EncodingConfig) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (33, 47, 3), dtype=np.uint8)
    read = decode_image(encode_image(pixels, RECIPE, PROFILE, config))
    assert config.is_lossless
    assert np.array_equal(read.pixels, pixels)


@pytest.mark.parametrize("config", [*LOSSLESS, *LOSSY], ids=name_of)
def test_every_format_keeps_profile_and_recipe_and_repeats_itself(config: EncodingConfig) -> None:
    pixels = draw_pixels()
    data = encode_image(pixels, RECIPE, PROFILE, config)
    assert data == encode_image(pixels, RECIPE, PROFILE, config)
    read = decode_image(data)
    assert read.format == config.format
    assert read.icc_profile == PROFILE
    assert read.recipe == RECIPE
    assert read.source_type == (None if config.format == "png" else SOURCE_TYPE)
    bare = decode_image(encode_image(pixels, {}, None, config))
    assert (bare.icc_profile, bare.recipe) == (None, {})


@pytest.mark.parametrize("file_format", ["png", "webp", "jpeg", "avif"])
@pytest.mark.parametrize("wanted", [True, False])
def test_provenance_can_be_asked_for_and_left_out(file_format: ImageFormat, wanted: bool) -> None:
    data = encode_image(draw_pixels(), RECIPE, None, EncodingConfig(format=file_format, provenance=wanted))
    read = decode_image(data)
    assert read.source_type == (SOURCE_TYPE if wanted else None)
    assert read.recipe == RECIPE
    assert (b"compositeWithTrainedAlgorithmicMedia" in data) is wanted


def test_xmp_is_what_other_programs_parse() -> None:
    """Against an independent reader: Pillow's own, where defusedxml is there, else the RDF by hand."""
    packet = build_xmp('{"a": "<&>"}', True)
    assert packet.startswith("<?xpacket begin=")
    assert packet.endswith('<?xpacket end="r"?>')
    from xml.dom.minidom import parseString

    description = parseString(packet).getElementsByTagName("rdf:Description")[0]
    values = {node.tagName: node.firstChild.data for node in description.childNodes if node.nodeType == 1}
    assert values["Iptc4xmpExt:DigitalSourceType"] == (
        "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
    )
    assert values["cyclorama:Recipe"] == '{"a": "<&>"}'
    assert values["xmp:CreatorTool"] == "Cyclorama"


def test_names_with_half_characters_travel() -> None:
    recipe = {"input": b"\xff.png".decode("utf-8", "surrogateescape")}
    for config in (EncodingConfig(), EncodingConfig(format="webp")):
        assert decode_image(encode_image(draw_pixels(), recipe, None, config)).recipe == recipe


def build_product_on(pixels: np.ndarray) -> Product:
    matte = np.zeros(pixels.shape[:2], dtype=np.float32)
    matte[10:40, 10:40] = 1
    return Product(pixels, matte, pixels)


@pytest.mark.parametrize("config", [*LOSSLESS, *LOSSY], ids=name_of)
def test_loss_is_measured_on_the_product_alone(config: EncodingConfig) -> None:
    pixels = draw_pixels(seed=4)
    product = build_product_on(pixels)
    data = encode_image(pixels, RECIPE, None, config)
    measured = measure_encoding(data, product)
    difference = np.abs(decode_image(data).pixels.astype(int) - pixels)[10:40, 10:40]
    assert measured["file_max_difference"] == difference.max()
    assert measured["file_mean_difference"] == pytest.approx(difference.mean(), abs=1e-4)
    assert (measured["file_max_difference"] == 0) is config.is_lossless
    spoilt = pixels.copy()
    spoilt[0, 0] = 255 - spoilt[0, 0]  # outside the product: no matter
    assert measure_encoding(encode_image(spoilt, {}), product)["file_max_difference"] == 0


def test_higher_quality_is_nearer() -> None:
    pixels = np.random.default_rng(5).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    product = build_product_on(pixels)
    for file_format in ("jpeg", "webp", "avif"):
        means = [
            measure_encoding(
                encode_image(pixels, {}, None, EncodingConfig(format=file_format, quality=q)), product
            )["file_mean_difference"]
            for q in (20, 95)
        ]
        assert means[1] < means[0]


@pytest.mark.parametrize("file_format", ["jpeg", "avif"])
def test_colour_is_not_subsampled(file_format: ImageFormat) -> None:
    """Red and blue columns of one pixel keep their colours; subsampling would make them all purple."""
    pixels = np.zeros((32, 32, 3), dtype=np.uint8)
    pixels[:, ::2, 0] = pixels[:, 1::2, 2] = 200
    read = decode_image(encode_image(pixels, {}, None, EncodingConfig(format=file_format, quality=95))).pixels
    assert read[:, ::2, 0].mean() - read[:, 1::2, 0].mean() > 150


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"format": "gif"}, "'png', 'webp', 'jpeg' or 'avif', got 'gif'"),
        ({"format": "png", "quality": 90}, "takes no quality, got 90"),
        ({"format": "jpeg", "quality": 0}, "from 1 to 100, got 0"),
        ({"format": "webp", "quality": True}, "got True"),
    ],
)
def test_encodings_that_cannot_be_are_refused(values: dict, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        EncodingConfig(**values)


def test_sizes_a_format_cannot_hold_are_refused_before_encoding() -> None:
    with pytest.raises(SettingsError, match="16383 pixels, the image has 20000 x 10"):
        EncodingConfig(format="webp").check_size((10, 20000))
    EncodingConfig(format="png").check_size((10, 20000))
    EncodingConfig(format="webp").check_size((16383, 16383))


def test_missing_codec_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats.features, "check", lambda name: False)
    with pytest.raises(MissingDependencyError, match="AVIF; install pillow"):
        EncodingConfig(format="avif")
    assert EncodingConfig(format="jpeg").suffix == ".jpg"


def test_plain_settings_describe_nothing() -> None:
    assert EncodingConfig().describe() == {}
    assert EncodingConfig(format="webp").describe() == {"format": "webp", "quality": "lossless"}
    assert EncodingConfig(format="jpeg").describe() == {"format": "jpeg", "quality": 95}
    assert EncodingConfig(format="png", provenance=True).describe() == {"provenance": True}


def test_foreign_and_damaged_files() -> None:
    buffer = io.BytesIO()
    Image.fromarray(draw_pixels()).save(buffer, "JPEG")
    assert decode_image(buffer.getvalue()).recipe is None
    with pytest.raises(UnreadableImageError):
        decode_image(buffer.getvalue()[:200])
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa">]><x>&a;</x>'
    Image.fromarray(draw_pixels()).save(buffer := io.BytesIO(), "WEBP", xmp=bomb)
    assert decode_image(buffer.getvalue()).source_type is None


# --- inputs of other kinds --------------------------------------------------------------------------------


def test_profile_of_an_alpha_input_reaches_the_file() -> None:
    pixels = draw_pixels((64, 64))
    alpha = np.zeros((64, 64), dtype=np.uint8)
    alpha[16:48, 16:48] = 255
    Image.fromarray(np.dstack([pixels, alpha])).save(buffer := io.BytesIO(), "PNG", icc_profile=PROFILE)
    product = build_product(load_image(buffer.getvalue()))
    for config in (EncodingConfig(), EncodingConfig(format="avif")):
        read = decode_image(encode_image(product.pixels, {}, product.icc_profile, config))
        assert read.icc_profile == PROFILE
    assert np.array_equal(product.pixels, pixels)  # the profile is carried, not applied


def test_cmyk_input_becomes_srgb_without_its_profile() -> None:
    """CMYK has no RGB pixels to keep: the guarantee is about the sRGB it is converted to."""
    white = Image.new("CMYK", (64, 64))
    white.paste((0, 255, 255, 0), (16, 16, 48, 48))
    white.save(buffer := io.BytesIO(), "TIFF")
    loaded = load_image(buffer.getvalue())
    assert "CMYK" in loaded.notes[0]
    product = build_product(loaded)
    assert product.icc_profile is None
    assert product.pixels[32, 32].tolist() == [255, 0, 0]
    data = encode_image(product.pixels, {}, product.icc_profile, EncodingConfig(format="webp"))
    assert measure_encoding(data, product)["file_max_difference"] == 0
