"""Resolution and rights of a photo are kept in every format, wherever they stood; strip removes all."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, IptcImagePlugin, PngImagePlugin

from cyclorama.imaging.formats import SOURCE_TYPE, EncodingConfig, ImageFormat, decode_image, encode_image
from cyclorama.imaging.loading import load_image
from cyclorama.imaging.metadata import FIELDS, build_xmp_lines
from cyclorama.imaging.product import build_product

PHOTO = Path(__file__).parents[1] / "cases" / "formats" / "p.jpg"
PIXELS = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
ALL: dict[str, Any] = {name: f"{name} é & <Ü> 中" for name in FIELDS} | {"dpi": [300.0, 240.0]}
FORMATS: tuple[ImageFormat, ...] = ("png", "webp", "jpeg", "avif")


def test_what_the_case_says_is_read() -> None:
    loaded = load_image(PHOTO)
    assert loaded.metadata == {
        "creator": "Studio X",
        "copyright": "(c) 2024 Studio X",
        "dpi": [300.0, 300.0],
    }
    assert build_product(loaded).metadata == loaded.metadata


@pytest.mark.parametrize("file_format", FORMATS)
def test_every_format_keeps_all_of_it(file_format: ImageFormat) -> None:
    data = encode_image(PIXELS, {"a": 1}, None, EncodingConfig(format=file_format), ALL)
    assert load_image(data).metadata == ALL
    assert decode_image(data).recipe == {"a": 1}
    assert data == encode_image(PIXELS, {"a": 1}, None, EncodingConfig(format=file_format), ALL)


@pytest.mark.parametrize("file_format", FORMATS)
def test_exif_is_what_other_programs_read(file_format: ImageFormat) -> None:
    plain = {"creator": "Studio X", "copyright": "(c) X", "description": "A shoe", "dpi": [300.0, 300.0]}
    with Image.open(
        io.BytesIO(encode_image(PIXELS, {}, None, EncodingConfig(format=file_format), plain))
    ) as image:
        exif = image.getexif()
        assert (exif[315], exif[33432], exif[270]) == ("Studio X", "(c) X", "A shoe")
        assert (exif[282], exif[296]) == (300, 2)
        assert 274 not in exif and 34853 not in exif  # neither orientation nor place
        if file_format in ("png", "jpeg"):
            assert image.info["dpi"] == pytest.approx((300, 300), abs=0.01)


def test_iptc_is_what_other_programs_read() -> None:
    data = encode_image(PIXELS, {}, None, EncodingConfig(format="jpeg"), ALL)
    with Image.open(io.BytesIO(data)) as image:
        records = IptcImagePlugin.getiptcinfo(image)
    assert records is not None
    assert records[(2, 80)].decode() == ALL["creator"] and records[(2, 110)].decode() == ALL["credit"]


@pytest.mark.parametrize("file_format", FORMATS)
def test_strip_leaves_pixels_and_profile_only(file_format: ImageFormat) -> None:
    config = EncodingConfig(format=file_format, strip=True)
    data = encode_image(PIXELS, {"input": "secret.png"}, None, config, ALL)
    read = decode_image(data)
    assert (read.recipe, read.source_type, load_image(data).metadata) == (None, None, {})
    assert b"secret" not in data and b"creator" not in data and b"Cyclorama" not in data
    asked = EncodingConfig(format=file_format, strip=True, provenance=True)
    assert decode_image(encode_image(PIXELS, {}, None, asked, ALL)).source_type is not None
    assert config.describe()["strip"] is True


def test_no_metadata_changes_no_byte() -> None:
    for file_format in FORMATS:
        config = EncodingConfig(format=file_format)
        assert encode_image(PIXELS, {}, None, config, {}) == encode_image(PIXELS, {}, None, config)


def jpeg(**options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def packet(body: str, attributes: str = "") -> bytes:
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" '
        f'xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" {attributes}>{body}'
        "</rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()


def test_xmp_as_lists_and_as_attributes() -> None:
    people = "<dc:creator><rdf:Seq><rdf:li>A</rdf:li><rdf:li>B</rdf:li></rdf:Seq></dc:creator>"
    read = load_image(jpeg(xmp=packet(people, 'photoshop:Credit="Agency"'))).metadata
    assert read == {"creator": "A; B", "credit": "Agency"}
    assert build_xmp_lines({"copyright": "a<b"}) == [
        '<dc:rights><rdf:Alt><rdf:li xml:lang="x-default">a&lt;b</rdf:li></rdf:Alt></dc:rights>'
    ]


def test_iptc_latin_1_and_several_names() -> None:
    records = b"".join(
        struct.pack(">BBBH", 0x1C, 2, number, len(text)) + text
        for number, text in ((80, b"Jos\xe9"), (80, b"Eva"), (110, b"Agency"))
    )
    block = b"Photoshop 3.0\x008BIM\x04\x04\0\0" + struct.pack(">I", len(records)) + records
    block += b"\0" * (len(records) % 2)
    segment = b"\xff\xed" + struct.pack(">H", len(block) + 2) + block
    assert load_image(jpeg(extra=segment)).metadata == {"creator": "José; Eva", "credit": "Agency"}


def test_xmp_goes_before_exif_and_png_texts_count() -> None:
    exif = Image.Exif()
    exif[315] = "Exif"
    people = "<dc:creator><rdf:Seq><rdf:li>Xmp</rdf:li></rdf:Seq></dc:creator>"
    assert load_image(jpeg(exif=exif, xmp=packet(people))).metadata["creator"] == "Xmp"
    info = PngImagePlugin.PngInfo()
    info.add_text("Author", "Png")
    info.add_text("Copyright", "(c) Png")
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "PNG", pnginfo=info, dpi=(150, 150))
    assert load_image(buffer.getvalue()).metadata == {
        "creator": "Png", "copyright": "(c) Png", "dpi": [150.0, 150.0],
    }  # fmt: skip


@pytest.mark.parametrize("file_format", FORMATS)
def test_photographer_and_editor_of_exif_cost_neither_rights_nor_recipe(file_format: ImageFormat) -> None:
    """EXIF parts both by a NUL, which XML forbids."""
    exif = Image.Exif()
    exif[33432] = b"Jane Doe, 2024\x00ACME Ltd., 2024\x00"
    stated = load_image(jpeg(exif=exif)).metadata
    assert stated == {"copyright": "Jane Doe, 2024; ACME Ltd., 2024"}
    config = EncodingConfig(format=file_format, provenance=True)
    data = encode_image(PIXELS, {"a": 1}, None, config, stated)
    assert (decode_image(data).recipe, decode_image(data).source_type) == ({"a": 1}, SOURCE_TYPE)
    assert load_image(data).metadata == stated


@pytest.mark.parametrize(
    ("stated", "read"),
    [("a\x0bb", "a; b"), (" \x00ACME", "ACME"), ("\x01a \x1f\x02 b;", "a; b;"), ("a\n\tb;", "a\n\tb;")],
)
def test_characters_that_xml_forbids_part_texts(stated: str, read: str) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Copyright", stated)
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "PNG", pnginfo=info)
    assert load_image(buffer.getvalue()).metadata == {"copyright": read}


@pytest.mark.parametrize("file_format", FORMATS)
def test_no_given_text_and_no_files_name_breaks_the_packet(file_format: ImageFormat) -> None:
    recipe, config = {"input": "a\uffff\ufffe\x0b.png"}, EncodingConfig(format=file_format, provenance=True)
    data = encode_image(PIXELS, recipe, None, config, {"credit": "A\x00B\ud800\uffffC", "source": " x "})
    assert (decode_image(data).recipe, decode_image(data).source_type) == (recipe, SOURCE_TYPE)
    assert load_image(data).metadata["credit"] == "A; B; C"
    assert build_xmp_lines({"source": " x "}) == ["<photoshop:Source> x </photoshop:Source>"]


def test_a_resolution_that_nobody_stated_is_not_made_up() -> None:
    assert load_image(jpeg()).metadata == {}
    exif = Image.Exif()
    exif[271] = "Camera"
    assert load_image(jpeg(exif=exif)).metadata == {}
    exif[282], exif[283], exif[296] = 100, 50, 3  # per centimetre
    assert load_image(jpeg(exif=exif)).metadata == {"dpi": [254.0, 127.0]}
    exif[282] = 0
    assert load_image(jpeg(exif=exif)).metadata == {}
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "TIFF", dpi=(600, 600))
    assert load_image(buffer.getvalue()).metadata == {"dpi": [600.0, 600.0]}


def test_broken_blocks_cost_nothing() -> None:
    bomb = b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'
    for options in ({"xmp": bomb}, {"xmp": b"<a"}, {"exif": b"Exif\0\0II*\0\xff\xff\xff\xff"}):
        assert load_image(jpeg(**options)).metadata == {}
    long = load_image(jpeg(xmp=packet(f"<photoshop:Credit>{'x' * 5000}</photoshop:Credit>"))).metadata
    assert len(long["credit"]) == 1000
