"""A product moved on its ground: its pixels stay, its shadow goes along, and the ground behind is whole."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from cyclorama.errors import SettingsError
from cyclorama.imaging.compositing import apply_shadow, composite, compute_contact_shadow
from cyclorama.imaging.layout import CanvasLayout, Rectangle, find_box, scale_product
from cyclorama.imaging.product import Product
from cyclorama.imaging.recompose import (
    CONTACT,
    NOISE,
    Effect,
    check_place,
    crop_rgba,
    from_rgba,
    measure_move,
    move_product,
    to_rgba,
)

CANVAS = (90, 120)
BOX = Rectangle(20, 30, 40, 30)


def build_photo() -> Product:
    """A noisy block of 40 × 30 pixels with a soft rim, in a photo of 60 × 50."""
    rng = np.random.default_rng(0)
    matte = np.zeros((60, 50), np.float32)
    matte[10:50, 10:40] = 0.5
    matte[11:49, 11:39] = 1
    return Product(rng.integers(0, 256, (60, 50, 3), dtype=np.uint8), matte)


def build_ground() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An empty ground, the same with a shadow and a bright spot, and the matte of what throws them."""
    y, x = np.mgrid[: CANVAS[0], : CANVAS[1]]
    empty = np.stack([120 + x // 4, 100 + y // 3, np.full_like(x, 90)], axis=2).astype(np.uint8)
    ground = empty.astype(float)
    ground[55:66, 20:70] *= 0.5
    ground[20:30, 64:68] += 60
    matte = np.zeros(CANVAS, np.float32)
    matte[20:60, 30:60] = 1
    return empty, np.rint(ground).astype(np.uint8), matte


def test_an_effect_makes_the_ground_again_and_moves_with_its_product() -> None:
    empty, ground, matte = build_ground()
    effect = Effect.between(empty, ground, matte)
    seen = matte == 0
    still = effect.apply(empty, BOX, BOX, 1.0)
    assert np.abs(still.astype(int) - ground)[seen].max() <= NOISE + 1
    assert effect.light is not None and effect.light[25, 65].min() > 50
    plain = np.full_like(empty, 100)
    before = effect.apply(plain, BOX, BOX, 1.0)
    moved = effect.apply(plain, BOX, Rectangle(25, 37, 40, 30), 1.0)
    assert (moved[5:, 7:] == before[:-5, :-7]).all()
    assert (moved[:5] == 100).all() and (moved[:, :7] == 100).all()
    larger = effect.apply(plain, BOX, Rectangle(10, 30, 60, 45), 1.0)
    assert larger[10 + 35 * 3 // 2 + 6, 40].max() < 60  # the shadow below the box, half as far again


def test_a_shadow_is_weakened_left_out_and_doubled() -> None:
    empty, ground, matte = build_ground()
    effect = Effect.between(empty, np.minimum(ground, empty), matte)
    assert effect.light is None
    assert (effect.apply(empty, BOX, BOX, 0.0) == empty).all()
    kept = effect.shadow.astype(float) / 255
    for strength, left in ((1.0, kept), (0.5, (1 + kept) / 2), (2.0, kept**2)):
        assert effect.apply(empty, BOX, BOX, strength) == pytest.approx(empty * left, abs=0.51)


def test_a_contact_shadow_is_the_generators() -> None:
    empty, _, matte = build_ground()
    wanted = apply_shadow(empty, compute_contact_shadow(matte, 0.4))
    found = Effect.of_contact(matte).apply(empty, BOX, BOX, 0.4 / CONTACT)
    assert np.abs(found.astype(float) - wanted).max() < 1


@pytest.mark.parametrize(("down", "across"), [(3, 5), (-4, 7), (0, -9), (30, 0), (-20, -30)])
def test_an_effect_of_the_same_size_moves_by_whole_pixels(down: int, across: int) -> None:
    """As an affine transform of the layer gives it, to the bit."""
    layer = np.random.default_rng(0).integers(0, 255, (*CANVAS, 3), dtype=np.uint8)
    end = Rectangle(BOX.top + down, BOX.left + across, BOX.height, BOX.width)
    white = np.full_like(layer, 255)
    moved = Image.fromarray(layer).transform(
        CANVAS[::-1], Image.Transform.AFFINE, (1, 0, -across, 0, 1, -down), fillcolor=(255, 255, 255)
    )
    assert (Effect(layer).apply(white, BOX, end, 1) == np.asarray(moved)).all()


def test_a_moved_product_keeps_its_pixels_and_a_scaled_one_is_the_photos_resampled_once() -> None:
    photo = build_photo()
    cut = from_rgba(crop_rgba(photo), photo.icc_profile, {"dpi": [300.0, 300.0]})
    assert cut.metadata == {"dpi": [300.0, 300.0]}
    small = CanvasLayout(size=CANVAS, product_scale=0.3).place(photo)
    standing = from_rgba(to_rgba(small))
    assert (
        composite(np.zeros((*CANVAS, 3), np.uint8), standing)[small.matte == 1]
        == small.pixels[small.matte == 1]
    ).all()
    box = find_box(standing.matte)
    moved = move_product(standing, cut, Rectangle(box.top + 3, box.left - 9, box.height, box.width))
    assert (moved.pixels[3:, :-9] == standing.pixels[:-3, 9:]).all()
    assert (moved.matte[3:, :-9] == standing.matte[:-3, 9:]).all()

    own = move_product(standing, cut, Rectangle(5, 60, 40, 30))
    assert (own.pixels[6:44, 61:89] == photo.pixels[11:49, 11:39]).all()
    assert (own.matte[6:44, 61:89] == 1).all()

    larger = move_product(standing, cut, Rectangle(2, 20, 80, 60))
    wanted = scale_product(photo, CANVAS, find_box(photo.matte), Rectangle(2, 20, 80, 60))
    inside = wanted.matte == 1
    off = np.abs(larger.pixels[inside].astype(int) - wanted.pixels[inside])
    assert off.max() <= 2 and off.mean() < 0.05  # the rim's alpha has 8 bits


def test_only_what_is_wholly_opaque_is_so_in_a_file() -> None:
    photo = build_photo()
    photo.matte[20, 20] = 0.999
    rgba = to_rgba(photo)
    assert rgba[20, 20, 3] == 254 and rgba[21, 21, 3] == 255 and rgba[10, 20, 3] == 128
    assert (rgba[0] == 0).all()


def test_a_product_stays_on_its_canvas() -> None:
    assert check_place(CANVAS, (40, 30), 3, 4, 1.5) == Rectangle(4, 3, 60, 45)
    with pytest.raises(SettingsError, match=r"scale 3 .* use at most 2\.25"):
        check_place(CANVAS, (40, 30), 0, 0, 3.0)
    with pytest.raises(SettingsError, match="left 91, top 0; at this scale left is 0 to 90, top 0 to 50"):
        check_place(CANVAS, (40, 30), 91, 0, 1.0)
    assert measure_move(BOX, Rectangle(20, 36, 40, 30), CANVAS) == pytest.approx(6 / 120)
    assert measure_move(BOX, Rectangle(20, 30, 49, 30), CANVAS) == pytest.approx(9 / 90)
