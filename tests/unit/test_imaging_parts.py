"""Specks, frame lines, baked shadows and mirror images are no product; real parts of products stay."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter
from scipy import ndimage

from cyclorama.imaging import cutout
from cyclorama.imaging.cutout import CutoutConfig
from cyclorama.imaging.layout import CanvasLayout, find_box
from cyclorama.imaging.loading import load_image
from cyclorama.imaging.parts import drop_reflection, drop_soft_shadow, drop_specks, find_frame
from cyclorama.imaging.product import Product, build_product

CASES = Path(__file__).parents[1] / "cases" / "products"
BOX = (60, 90, 130, 70)
"""Top, left, height and width of the drawn bottle."""


def draw_bottle(size: int = 256) -> Image.Image:
    """A red bottle with a label and a cap, antialiased, on nothing."""
    image = Image.new("RGBA", (size * 4, size * 4))
    draw = ImageDraw.Draw(image)
    top, left, height, width = (4 * v for v in BOX)
    draw.rounded_rectangle([left, top + 120, left + width - 1, top + height - 1], 32, fill=(190, 40, 40, 255))
    draw.rectangle([left + 80, top, left + width - 81, top + 140], fill=(40, 40, 40, 255))
    draw.rectangle([left + 30, top + 240, left + width - 30, top + 380], fill=(235, 220, 120, 255))
    clean = np.asarray(image.resize((size, size), Image.Resampling.BOX)).copy()
    opaque = np.asarray(image.resize((size, size), Image.Resampling.NEAREST))
    clean[..., :3] = np.where(
        clean[..., 3:] > 0, np.where(opaque[..., 3:] > 0, opaque[..., :3], clean[..., :3]), 0
    )
    return Image.fromarray(clean)


BOTTLE = draw_bottle()
BOTTLE_ALPHA = np.asarray(BOTTLE.getchannel("A"), np.float32) / 255


def on_ground(colour: tuple[int, int, int] = (255, 255, 255), bottle: Image.Image = BOTTLE) -> Image.Image:
    ground = Image.new("RGB", bottle.size, colour)
    ground.paste(bottle, (0, 0), bottle)
    return ground


def cut(image: Image.Image, file_format: str = "PNG", **options: int) -> Product:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return build_product(load_image(buffer.getvalue()))


def box_of(product: Product) -> tuple[int, int, int, int]:
    box = find_box(product.matte)
    return box.top, box.left, box.height, box.width


def assert_box(product: Product, expected: tuple[int, int, int, int] = BOX, tolerance: int = 2) -> None:
    assert np.abs(np.subtract(box_of(product), expected)).max() <= tolerance


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("baked_shadow", "soft shadow"),
        ("specks", "specks or border lines apart from the product were taken out of its mask: 2"),
        ("line1_black", "frame line"),
        ("reflection", "mirror image"),
    ],
)
def test_the_cases_have_the_bottles_own_box(name: str, note: str) -> None:
    product = build_product(load_image(CASES / f"{name}.png"))
    scale = product.size[0] / 256
    assert_box(product, (30 * scale, 89 * scale, 188 * scale, 78 * scale), tolerance=3)
    assert len(product.notes) == 1 and note in product.notes[0]
    placed = CanvasLayout(product_scale=0.5).compute_placement(product)
    assert placed.box.height == pytest.approx(0.5 * placed.canvas[0], abs=1)


def test_nothing_is_found_in_a_clean_photo() -> None:
    for image in (BOTTLE, on_ground(), on_ground((240, 238, 235))):
        product = cut(image)
        assert product.notes == ()
        assert_box(product)


@pytest.mark.parametrize("width", [1, 2, 5, 10])
@pytest.mark.parametrize("colour", [(0, 0, 0), (200, 30, 40), (170, 170, 175)])
def test_frames_of_any_colour(
    width: int, colour: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found, and what they enclose cut out of either format; the network's part is in the next test."""
    monkeypatch.setattr(cutout, "look_at", lambda pixels: BOTTLE_ALPHA)
    image = frame_bottle(width, colour)
    assert find_frame(np.asarray(image)) == (slice(width, 256 - width), slice(width, 256 - width))
    assert_cut(image)


def frame_bottle(width: int, colour: tuple[int, int, int]) -> Image.Image:
    image = on_ground()
    ImageDraw.Draw(image).rectangle([0, 0, 255, 255], outline=colour, width=width)
    return image


def assert_cut(image: Image.Image) -> None:
    assert_box(cut(image))
    product = cut(image, "JPEG", quality=85)
    assert_box(product, tolerance=3)
    assert product.notes == ("a frame line along the border is not product",)


@pytest.mark.parametrize(
    ("width", "colour"),
    [(1, (0, 0, 0)), (2, (200, 30, 40)), (5, (170, 170, 175)), (10, (200, 30, 40))],
)
def test_what_a_frame_encloses_is_cut_out_of_either_format(width: int, colour: tuple[int, int, int]) -> None:
    assert_cut(frame_bottle(width, colour))


def test_frames_inside_the_border_and_at_one_side() -> None:
    inset = on_ground()
    ImageDraw.Draw(inset).rectangle([6, 6, 249, 249], outline=(30, 30, 60), width=2)
    assert_box(cut(inset))
    side = on_ground()
    ImageDraw.Draw(side).line([255, 0, 255, 255], fill=(0, 0, 0))
    assert find_frame(np.asarray(side)) == (slice(0, 256), slice(0, 255))


def test_what_is_no_frame() -> None:
    wide = on_ground()
    ImageDraw.Draw(wide).rectangle([0, 200, 255, 255], fill=(120, 80, 40))  # a table
    assert find_frame(np.asarray(wide)) == (slice(0, 256), slice(0, 256))
    shade = np.clip(255 - 0.8 * np.abs(np.arange(256) - 128), 0, 255).astype(np.uint8)
    vignette = np.repeat(np.minimum(shade[:, None], shade[None])[..., None], 3, axis=2)
    assert find_frame(vignette) == (slice(0, 256), slice(0, 256))
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    assert find_frame(noise) == (slice(0, 256), slice(0, 256))
    assert find_frame(np.zeros((8, 300, 3), np.uint8)) == (slice(0, 8), slice(0, 300))


def test_specks_and_lines_in_a_matte() -> None:
    matte = np.zeros((256, 256), np.float32)
    matte[60:190, 90:160] = 1
    assert drop_specks(matte)[0] is matte
    spoilt = matte.copy()
    spoilt[5:7, 5:7] = spoilt[250:252, 240:243] = 1
    spoilt[4, 5] = 0.02  # the faint rim of a speck goes with it
    spoilt[0], spoilt[-1] = 1, 1
    cleaned, notes = drop_specks(spoilt)
    assert np.array_equal(cleaned, matte) and notes[0].endswith(": 4")


def test_a_border_line_may_be_a_hundredth_of_the_image_wide() -> None:
    matte = np.zeros((600, 500), np.float32)
    matte[150:450, 150:350] = 1
    for width, kept in ((5, False), (6, True)):
        lined = matte.copy()
        lined[:width] = 1
        assert np.array_equal(drop_specks(lined)[0], lined if kept else matte)


def test_small_parts_that_belong_to_the_product_stay() -> None:
    near = np.zeros((256, 256), np.float32)
    near[60:190, 90:160] = 1
    near[56:58, 100:102] = 1  # a droplet just above
    assert np.array_equal(drop_specks(near)[0], near)
    pair = np.zeros((256, 256), np.float32)
    pair[100:140, 40:80] = pair[100:140, 180:220] = 1
    assert np.array_equal(drop_specks(pair)[0], pair) and drop_specks(pair)[1] == ()
    beads = np.zeros((256, 256), np.float32)
    beads[60:120, 60:120] = 1
    beads[140:250:6, 20:240:6] = 1  # many: a pattern, not dust
    assert np.array_equal(drop_specks(beads)[0], beads)


def test_a_badge_in_a_corner_is_noted() -> None:
    image = on_ground()
    ImageDraw.Draw(image).ellipse([205, 10, 245, 50], fill=(230, 200, 20))
    product = cut(image)
    assert "top right corner" in product.notes[0] and "badge or price tag" in product.notes[0]


def add_shadow(offset: tuple[int, int], blur: float, strength: float, colour: int = 0) -> Image.Image:
    alpha = Image.new("L", BOTTLE.size)
    alpha.paste(BOTTLE.split()[3], offset)
    alpha = alpha.filter(ImageFilter.GaussianBlur(blur)).point(lambda v: round(v * strength))
    shadow = Image.merge("RGBA", [Image.new("L", BOTTLE.size, colour)] * 3 + [alpha])
    return Image.alpha_composite(shadow, BOTTLE)


@pytest.mark.parametrize(
    ("offset", "blur", "strength", "colour"),
    [((6, 6), 6, 0.5, 0), ((20, 15), 10, 0.7, 0), ((6, 6), 6, 0.5, 40), ((0, 0), 8, 0.6, 0)],
    ids=["drop", "far", "grey", "glow"],
)
def test_soft_shadows_in_the_transparency(offset, blur: float, strength: float, colour: int) -> None:
    product = cut(add_shadow(offset, blur, strength, colour))
    assert_box(product)
    assert "a soft shadow in the transparency" in product.notes[0]
    bottle = np.asarray(BOTTLE)[..., 3] == 255
    assert (product.matte[bottle] == 1).all()
    assert product.matte[np.asarray(BOTTLE)[..., 3] == 0].mean() < 0.01


def test_a_hard_shadow_is_noted() -> None:
    note = cut(add_shadow((12, 12), 0.6, 0.5)).notes[0]
    assert "if it is a shadow" in note and 10 <= int(note.split("%")[0]) <= 25


def test_dark_glass_veils_and_coloured_shadows_stay() -> None:
    pixels, matte = np.zeros((200, 200, 3), np.uint8), np.zeros((200, 200), np.float32)
    matte[60:140, 30:170] = 1  # a frame with a dark lens in it
    matte[75:125, 45:155] = 0.6
    pixels[matte == 1] = (90, 60, 30)
    assert drop_soft_shadow(pixels, matte)[0] is matte
    veil = np.zeros((200, 200), np.float32)
    veil[20:60, 60:140] = 1
    veil[60:180, 40:160] = 0.5 + 0.3 * (np.indices((120, 120)).sum(axis=0) % 3 == 0)
    assert drop_soft_shadow(np.full((200, 200, 3), 20, np.uint8), veil)[0] is veil
    glow = np.asarray(add_shadow((6, 6), 6, 0.5, 200))
    alpha = (glow[..., 3] / 255).astype(np.float32)
    assert drop_soft_shadow(glow[..., :3], alpha) == (alpha, ())


def mirror(share: float, rows: int, fading: bool, ground: int | None = 255) -> Image.Image:
    planes = np.asarray(BOTTLE).astype(float)
    foot = BOX[0] + BOX[2]
    below = planes[foot - rows : foot][::-1].copy()
    below[..., 3] *= (share * (np.linspace(1, 0.02, rows) if fading else np.ones(rows)))[:, None]
    planes[foot : foot + rows] = below
    if ground is None:
        return Image.fromarray(np.rint(planes).astype(np.uint8))
    alpha = planes[..., 3:] / 255
    return Image.fromarray(np.rint(planes[..., :3] * alpha + ground * (1 - alpha)).astype(np.uint8))


@pytest.mark.parametrize("ground", [255, 240, None], ids=["white", "grey", "alpha"])
@pytest.mark.parametrize(("share", "rows", "fading"), [(0.4, 60, True), (0.3, 60, False), (0.15, 40, True)])
def test_mirror_images_on_the_ground(share: float, rows: int, fading: bool, ground: int | None) -> None:
    product = cut(mirror(share, rows, fading, ground))
    assert_box(product, tolerance=3)
    assert "a mirror image below the product" in product.notes[0]


def test_products_with_a_paler_foot_stay() -> None:
    """Two plain areas of one width, no waist between them: it may be a mirror image, it may be a cup."""
    pixels = np.full((200, 200, 3), 255, np.uint8)
    pixels[40:120, 60:140] = (200, 40, 40)
    pixels[120:150, 60:140] = (235, 180, 180)
    matte = (pixels[..., 1] < 255).astype(np.float32)
    kept, notes = drop_reflection(pixels, matte, False)
    assert kept is matte and "looks like a mirror image and counts as product" in notes[0]
    pixels[120:150, 60:140] = (40, 40, 200)  # another colour altogether
    assert drop_reflection(pixels, matte, False) == (matte, ())
    darker = pixels.copy()
    darker[120:150, 60:140] = (120, 20, 20)
    assert drop_reflection(darker, matte, False) == (matte, ())


def test_a_symmetric_product_stays() -> None:
    pixels, matte = np.full((200, 200, 3), 255, np.uint8), np.zeros((200, 200), np.float32)
    yy, xx = np.mgrid[:200, :200]
    matte[np.hypot(yy - 100, xx - 100) < 70] = 1
    pixels[matte == 1] = (220, 150, 30)
    assert drop_reflection(pixels, matte, True) == (matte, ())


def test_cleaning_can_be_switched_off() -> None:
    loaded = load_image(CASES / "baked_shadow.png")
    assert loaded.alpha is not None
    product = build_product(loaded, config=CutoutConfig(clean=False))
    assert product.notes == () and box_of(product)[3] > 150
    assert np.array_equal(
        product.matte, np.where(loaded.alpha >= 250 / 255, 1, loaded.alpha).astype(np.float32)
    )


def test_shadows_on_off_white_ground_are_ground() -> None:
    yy, xx = np.mgrid[:256, :256]
    dark = 0.35 * np.exp(-(((xx - 150) / 45) ** 2 + ((yy - 191) / 7) ** 2))
    alpha = np.asarray(BOTTLE)[..., 3:] / 255
    for ground in ((245, 243, 238), (232, 232, 234)):
        floor = np.asarray(ground) * (1 - dark[..., None])
        image = Image.fromarray(
            np.rint(np.asarray(BOTTLE)[..., :3] * alpha + floor * (1 - alpha)).astype(np.uint8)
        )
        assert_box(cut(image), tolerance=4)


def test_a_mirror_image_grows_no_stronger_down_to_its_last_row() -> None:
    faint = np.asarray(mirror(0.3, 60, False, None)).copy()
    foot = BOX[0] + BOX[2]
    rows = faint[foot + 58 : foot + 60]  # the last two: a rim or a foot, as no mirror image has
    rows[..., 3] = np.rint(rows[..., 3] * 2.2).astype(np.uint8)
    matte = faint[..., 3].astype(np.float32) / 255
    kept, notes = drop_reflection(faint[..., :3], matte, True)
    assert kept is matte and notes == ()


def test_a_mirror_image_so_pale_that_the_matte_has_shreds_of_it_goes() -> None:
    photo = np.asarray(mirror(0.3, 60, True, 255))[..., :3].copy()
    alone = np.asarray(BOTTLE)[..., 3].astype(np.float32) / 255
    foot = int(np.flatnonzero((alone > 0.5).any(axis=1))[-1]) + 1
    shreds = alone.copy()
    shreds[foot : foot + 50, 90:112] = 1  # what a key of the background took for product
    kept, notes = drop_reflection(photo, shreds, False)
    assert "a mirror image below the product" in notes[0]
    assert kept[foot + 2 :].max() == 0 and np.array_equal(kept[: foot - 2], alone[: foot - 2])


def draw_corner(mirrored: bool, base: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """A printed box seen at its corner before white, uint8 (260, 220, 3), and where it is; ``mirrored``: on
    glossy ground; ``base``: how strong the colours of its lowest eighth are."""
    rows, columns = np.mgrid[:260, :220]
    foot = 205 - np.where(columns < 80, 0.7 * (80 - columns), 0.12 * (columns - 80))
    wide = (columns >= 45) & (columns < 175)
    body = wide & (rows >= 40) & (rows < foot)
    noise = ndimage.gaussian_filter(np.random.default_rng(3).normal(size=(260, 220, 3)), (5, 5, 0))
    print_ = 120 + 900 * noise
    away = 255 - np.clip(print_, 20, 235) + np.where(columns < 80, 20, 0)[..., None]
    away = np.where((rows >= foot - 20)[..., None], base * away, away) * body[..., None]
    if mirrored:
        down = rows - foot
        back = np.clip(np.round(foot - 1 - down), 0, 259).astype(int)
        fade = np.clip(0.45 - down / 70, 0, 1) * (down >= 0) * wide
        away = away + np.take_along_axis(away, back[..., None], 0) * fade[..., None]
    return np.clip(255 - away, 0, 255).astype(np.uint8), body


def test_a_mirror_image_below_the_corner_of_a_box_goes() -> None:
    pixels, body = draw_corner(True)
    matte = (np.abs(pixels.astype(int) - 255).sum(2) > 12).astype(np.float32)
    assert matte.sum() > 1.08 * body.sum()
    bare, notes = drop_reflection(pixels, matte, on_alpha=False)
    assert len(notes) == 1 and "was taken out" in notes[0]
    assert ((bare >= 0.5) & body).sum() / ((bare >= 0.5) | body).sum() > 0.985


@pytest.mark.parametrize("base", [1.0, 0.5, 0.25])
def test_a_box_at_its_corner_without_a_mirror_image_stays(base: float) -> None:
    pixels, body = draw_corner(False, base)
    bare, notes = drop_reflection(pixels, body.astype(np.float32), on_alpha=False)
    assert bare is not None and np.array_equal(bare, body) and not any("taken out" in note for note in notes)
