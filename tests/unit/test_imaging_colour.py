"""Colours: every tag becomes a profile, backgrounds are painted into it, product numbers stay as they are."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from cyclorama.errors import UnreadableImageError
from cyclorama.imaging.colour import ADOBE_RGB, SRGB, build_profile, can_convert, from_srgb, to_srgb
from cyclorama.imaging.loading import load_image
from cyclorama.imaging.product import build_reference

COLOUR = Path(__file__).parents[1] / "cases" / "colour"
WIDE = ("p3", "adobe", "prophoto")
RNG = np.random.default_rng(3)
SCENE = np.clip(RNG.normal(128, 35, (60, 80, 1)) + RNG.normal(0, 18, (60, 80, 3)), 0, 255).astype(np.uint8)


def show(pixels: np.ndarray, profile: bytes) -> np.ndarray:
    """What a viewer with colour management shows: Pillow's own conversion to its own sRGB."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    shown = ImageCms.profileToProfile(Image.fromarray(pixels), source, ImageCms.createProfile("sRGB"))
    return np.asarray(shown).astype(int)


def read_profile_of(name: str) -> bytes:
    with Image.open(COLOUR / f"{name}.png") as image:
        return image.info["icc_profile"]


def png_with(chunks: dict[bytes, bytes], pixels: np.ndarray = SCENE, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", **options)
    data = buffer.getvalue()
    added = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks.items()
    )
    return data[:33] + added + data[33:]


@pytest.mark.parametrize("name", WIDE)
def test_background_is_shown_alike_in_every_profile(name: str) -> None:
    profile = read_profile_of(name)
    difference = np.abs(show(from_srgb(SCENE, profile), profile) - SCENE)
    assert difference.max() <= 2 and (difference > 1).mean() < 1e-3
    assert (
        np.abs(from_srgb(SCENE, profile).astype(int) - SCENE).mean() > 2
    )  # it is not the numbers as they were


def test_srgb_in_any_writing_changes_nothing() -> None:
    pillows = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    floats = SCENE.astype(np.float32) + 0.25
    for profile in (None, SRGB, pillows):
        assert from_srgb(floats, profile) is floats
        assert to_srgb(SCENE, profile) is SCENE
    half = np.full((16, 16, 3), 127.6)
    assert np.array_equal(from_srgb(half, ADOBE_RGB), from_srgb(np.full((16, 16, 3), 128), ADOBE_RGB))


def test_profiles_agree_with_littlecms_and_repeat_themselves() -> None:
    assert np.abs(show(SCENE, SRGB) - SCENE).max() <= 1
    assert build_profile("a", (0.64, 0.33, 0.21, 0.71, 0.15, 0.06), (2.2,)) == build_profile(
        "a", (0.64, 0.33, 0.21, 0.71, 0.15, 0.06), (2.2,)
    )
    # the drawn files state the same spaces as matrices of their own
    assert np.abs(show(SCENE, ADOBE_RGB) - show(SCENE, read_profile_of("adobe"))).max() <= 1
    primaries = (0.68, 0.32, 0.265, 0.69, 0.15, 0.06)
    mine = build_profile("P3", primaries, (563 / 256,))
    assert np.abs(show(SCENE, mine) - show(SCENE, read_profile_of("p3"))).max() <= 1


@pytest.mark.parametrize("name", WIDE)
def test_product_numbers_and_profile_are_kept(name: str) -> None:
    loaded = load_image(COLOUR / f"{name}.png")
    with Image.open(COLOUR / f"{name}.png") as image:
        assert np.array_equal(loaded.pixels, np.asarray(image)[..., :3])
    assert loaded.icc_profile == read_profile_of(name) and loaded.notes == ()


def test_reference_is_converted_to_srgb() -> None:
    for name in WIDE:
        profile = read_profile_of(name)
        buffer = io.BytesIO()
        Image.fromarray(from_srgb(SCENE, profile)).save(buffer, "PNG", icc_profile=profile)
        reference = build_reference(load_image(buffer.getvalue()), None)
        difference = np.abs(reference.pixels.astype(int) - SCENE)
        assert difference.max() <= 2 and (difference > 1).mean() < 1e-3


def test_camera_photo_in_adobe_rgb_by_exif() -> None:
    loaded = load_image(COLOUR / "_DSC0001.JPG")
    assert loaded.icc_profile == ADOBE_RGB
    assert loaded.notes == ("colours are Adobe RGB by EXIF",)


def jpeg_with_exif(space: int, interoperability: str | None) -> bytes:
    exif = Image.Exif()
    camera = exif.get_ifd(0x8769)
    camera[0xA001] = space
    if interoperability is not None:
        camera[0xA005] = {1: interoperability}
    buffer = io.BytesIO()
    Image.fromarray(SCENE).save(buffer, "JPEG", exif=exif)
    return buffer.getvalue()


def test_exif_colour_spaces(tmp_path: Path) -> None:
    assert load_image(jpeg_with_exif(1, "R98")).icc_profile == SRGB
    assert load_image(jpeg_with_exif(2, None)).icc_profile == ADOBE_RGB
    assert load_image(jpeg_with_exif(0xFFFF, "R03")).icc_profile == ADOBE_RGB
    unknown = load_image(jpeg_with_exif(0xFFFF, None))
    assert unknown.icc_profile is None and "not sRGB, but not which" in unknown.notes[0]
    named = tmp_path / "_MG_0007.JPG"
    named.write_bytes(jpeg_with_exif(0xFFFF, None))
    assert load_image(named).icc_profile == ADOBE_RGB


def test_png_code_points_come_before_everything_else() -> None:
    data = png_with({b"cICP": bytes((12, 13, 0, 1)), b"sRGB": b"\0"}, icc_profile=ADOBE_RGB)
    profile = load_image(data).icc_profile
    assert profile is not None
    expected = build_profile(
        "P3", (0.68, 0.32, 0.265, 0.69, 0.15, 0.06), (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    )
    assert np.abs(show(SCENE, profile) - show(SCENE, expected)).max() == 0
    assert load_image(png_with({b"cICP": bytes((2, 2, 0, 1))})).icc_profile is None
    odd = load_image(png_with({b"cICP": bytes((22, 13, 0, 1))}))
    assert odd.icc_profile is None and "22/13 are not known" in odd.notes[0]


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_high_dynamic_range_is_refused_by_name(transfer: int, name: str) -> None:
    with pytest.raises(UnreadableImageError, match=rf"high dynamic range image \({name}\); export it"):
        load_image(png_with({b"cICP": bytes((9, transfer, 0, 1))}))


def test_png_gamma_and_chromaticities() -> None:
    adobe = struct.pack(">8I", 31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000)
    srgb = struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
    wide = load_image(png_with({b"gAMA": struct.pack(">I", 100000), b"cHRM": adobe})).icc_profile
    assert wide is not None
    linear = build_profile("linear", (0.64, 0.33, 0.21, 0.71, 0.15, 0.06), (1.0,))
    assert np.abs(show(SCENE, wide) - show(SCENE, linear)).max() <= 1
    usual = load_image(png_with({b"gAMA": struct.pack(">I", 45455), b"cHRM": srgb})).icc_profile
    assert to_srgb(SCENE, usual) is SCENE
    assert load_image(png_with({b"sRGB": b"\0"})).icc_profile == SRGB
    mac = load_image(png_with({b"gAMA": struct.pack(">I", 55556)})).icc_profile
    assert to_srgb(np.full((16, 16, 3), 128, np.uint8), mac)[0, 0, 0] == round(
        255 * (1.055 * (128 / 255) ** (1.8 / 2.4) - 0.055)
    )


def test_avif_code_points() -> None:
    buffer = io.BytesIO()
    Image.fromarray(SCENE).save(buffer, "AVIF", quality=100)
    data = bytearray(buffer.getvalue())
    at = data.find(b"colrnclx")
    assert at > 0
    data[at + 8 : at + 12] = struct.pack(">HH", 12, 13)
    profile = load_image(bytes(data)).icc_profile
    assert profile is not None and np.abs(show(SCENE, profile) - SCENE).max() > 3


def test_grey_profile_keeps_numbers_and_tones() -> None:
    """A grey profile has no place on an RGB output; an RGB one with its curve shows the same greys."""
    grey = SCENE[..., 0]
    rgb = build_profile("gamma", (0.64, 0.33, 0.3, 0.6, 0.15, 0.06), (1.8,))
    profile = bytearray(rgb.replace(b"rTRC", b"kTRC"))
    profile[16:20] = b"GRAY"
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "PNG", icc_profile=bytes(profile))
    loaded = load_image(buffer.getvalue())
    assert np.array_equal(loaded.pixels[..., 1], grey) and loaded.notes == ()
    assert loaded.icc_profile is not None and loaded.icc_profile[16:20] == b"RGB "
    shown = ImageCms.profileToProfile(
        Image.fromarray(grey), ImageCms.ImageCmsProfile(io.BytesIO(bytes(profile))),
        ImageCms.createProfile("sRGB"), outputMode="RGB",
    )  # fmt: skip
    assert np.abs(show(loaded.pixels, loaded.icc_profile) - np.asarray(shown).astype(int)).max() <= 1


@pytest.mark.parametrize(
    "spoil", [lambda p: p[:200], lambda p: p[:128] + b"\xff" * 300, lambda p: b"x" * 300]
)
def test_broken_profile_is_dropped_with_a_note(spoil) -> None:
    loaded = load_image(png_with({}, icc_profile=spoil(ADOBE_RGB)))
    assert loaded.icc_profile is None and "dropped" in loaded.notes[0]
    assert np.array_equal(loaded.pixels, SCENE)


def test_profile_that_leads_out_only_is_applied() -> None:
    """A scanner's table profile: device to L*a*b* with no way back."""
    table = b"mft1" + bytes(4) + bytes((3, 3, 2, 0))
    table += np.array([1, 0, 0, 0, 1, 0, 0, 0, 1]).astype(">i4").__mul__(65536).astype(">i4").tobytes()
    ramp = bytes(range(256)) * 3
    corners = bytes(
        v for r in (0, 255) for g in (0, 255) for b in (0, 255) for v in ((r + g + b) // 3, 128, 128)
    )
    table += ramp + corners + ramp
    white = b"XYZ \0\0\0\0" + struct.pack(">3I", 0xF6D6, 0x10000, 0xD32D)
    tags, body, start = b"", b"", 132 + 24
    for name, data in ((b"A2B0", table), (b"wtpt", white)):
        tags += struct.pack(">4sII", name, start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    profile = bytearray(SRGB[:128])
    profile[:4] = struct.pack(">I", start + len(body))
    profile[8:12], profile[12:16], profile[20:24] = b"\x02\x10\0\0", b"scnr", b"Lab "
    data = bytes(profile) + struct.pack(">I", 2) + tags + body
    assert not can_convert(SRGB, data)
    loaded = load_image(png_with({}, icc_profile=data))
    assert loaded.icc_profile is None and "works one way only" in loaded.notes[0]
    assert np.array_equal(loaded.pixels, to_srgb(SCENE, data)) and not np.array_equal(loaded.pixels, SCENE)


def test_video_curves_are_the_inverse_of_the_standards_own() -> None:
    """ITU-R BT.709: V = 1.099 L^0.45 - 0.099 above L = 0.018, 4.5 L below."""
    profile = load_image(png_with({b"cICP": bytes((1, 1, 0, 1))})).icc_profile
    for value in (10, 40, 128, 220):
        light = ((value / 255 + 0.099) / 1.099) ** (1 / 0.45) if value / 255 > 0.081 else value / 255 / 4.5
        shown = 1.055 * light ** (1 / 2.4) - 0.055 if light > 0.0031308 else 12.92 * light
        assert abs(int(to_srgb(np.full((16, 16, 3), value, np.uint8), profile)[0, 0, 1]) - 255 * shown) <= 1.5


def test_tags_that_state_no_colours_are_noted(tmp_path: Path) -> None:
    for chunks, note in (
        ({b"cHRM": bytes(32)}, "are no colours"),
        ({b"cHRM": struct.pack(">8I", *[31270, 32900] * 4)}, "are no colours"),
        ({b"iCCP": b"x\0\0damaged"}, "embedded colour profile is damaged"),
    ):
        read = load_image(png_with(chunks))
        assert np.array_equal(read.pixels, SCENE) and read.icc_profile is None
        assert any(note in line for line in read.notes), read.notes


def test_jpeg2000_keeps_its_profile() -> None:
    buffer = io.BytesIO()
    Image.fromarray(SCENE).save(buffer, "JPEG2000")
    data, profile = buffer.getvalue(), read_profile_of("p3")
    at = data.index(b"colr")
    length = int.from_bytes(data[at - 4 : at], "big")
    header = data.index(b"jp2h")
    box = struct.pack(">I4s3s", 11 + len(profile), b"colr", b"\x02\0\0") + profile
    grown = int.from_bytes(data[header - 4 : header], "big") + len(box) - length
    whole = (
        data[: header - 4] + struct.pack(">I", grown) + data[header : at - 4] + box + data[at - 4 + length :]
    )
    read = load_image(whole)
    assert read.icc_profile == profile and np.array_equal(read.pixels, load_image(data).pixels)
