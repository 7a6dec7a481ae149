"""Canvas sizes, boxes, placements: where the product stands, and when its pixels stay what they are."""

from __future__ import annotations

import re
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cyclorama.errors import SettingsError
from cyclorama.imaging.colour import ADOBE_RGB
from cyclorama.imaging.compositing import composite, compute_product_report
from cyclorama.imaging.layout import CanvasLayout, Rectangle, find_box, place_product
from cyclorama.imaging.placement import Named
from cyclorama.imaging.product import Product


def build_product(
    size: tuple[int, int] = (100, 80), box: Rectangle | None = None, seed: int = 0, rim: float = 0.5
) -> Product:
    """A noisy rectangle with a soft rim of one pixel (alpha ``rim``) inside ``box``."""
    box = box or Rectangle(30, 20, 40, 30)
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    matte = np.zeros(size, dtype=np.float32)
    matte[box.top : box.top + box.height, box.left : box.left + box.width] = rim
    matte[box.top + 1 : box.top + box.height - 1, box.left + 1 : box.left + box.width - 1] = 1
    foreground = np.where((matte < 1)[..., None], 255 - pixels, pixels).astype(np.uint8)
    return Product(pixels, matte, foreground, "p", "mask", ADOBE_RGB)


def cut_out(product: Product, box: Rectangle) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    window = (slice(box.top, box.top + box.height), slice(box.left, box.left + box.width))
    return product.pixels[window], product.foreground[window], product.matte[window]


@pytest.mark.parametrize(
    ("aspect", "size", "expected"),
    [
        ((1, 1), (100, 80), (100, 100)),
        ((1, 1), (80, 100), (100, 100)),
        ((9, 16), (100, 80), (100, 178)),
        ((4, 3), (100, 80), (107, 80)),
        ((3, 3), (64, 64), (64, 64)),
        ((9, 16), (90, 160), (90, 160)),
    ],
)
def test_aspect_is_the_smallest_canvas_that_holds_the_input(
    aspect: tuple[int, int], size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert CanvasLayout(aspect=aspect).compute_size(size) == expected


@given(
    st.tuples(st.integers(16, 3000), st.integers(16, 3000)),
    st.tuples(st.integers(1, 10), st.integers(1, 10)),
)
def test_aspect_keeps_one_side_and_is_right_to_a_pixel(
    size: tuple[int, int], aspect: tuple[int, int]
) -> None:
    height, width = CanvasLayout(aspect=aspect).compute_size(size)
    assert height >= size[0]
    assert width >= size[1]
    assert height == size[0] or width == size[1]
    assert min(abs(width - height * aspect[1] / aspect[0]), abs(height - width * aspect[0] / aspect[1])) < 1


def test_plain_layout_changes_nothing() -> None:
    product = build_product()
    layout = CanvasLayout()
    assert layout.place(product) is product
    assert layout.describe() == {}
    placement = layout.compute_placement(product)
    assert (placement.canvas, placement.box, placement.scale) == ((100, 80), Rectangle(30, 20, 40, 30), 1)


def test_keep_on_another_aspect_adds_ground_and_touches_no_pixel() -> None:
    product = build_product()
    layout = CanvasLayout(aspect=(1, 1))
    placed = layout.place(product)
    assert placed.size == (100, 100)
    box = Rectangle(30, 30, 40, 30)
    assert layout.compute_placement(product).box == find_box(placed.matte) == box
    colours = cut_out(placed, box)[0]
    opaque = product.matte[30:70, 20:50] == 1
    assert np.array_equal(colours[opaque], product.pixels[30:70, 20:50][opaque])
    assert np.array_equal(placed.matte[30:70, 30:60], product.matte[30:70, 20:50])
    assert placed.matte.sum() == product.matte.sum()


def test_keep_with_a_size_is_what_it_always_was() -> None:
    product = build_product()
    placed, asked = CanvasLayout(size=(150, 200)).place(product), place_product(product, (150, 200))
    assert np.array_equal(placed.pixels, asked.pixels)
    assert np.array_equal(placed.matte, asked.matte)
    placement = CanvasLayout(size=(150, 200)).compute_placement(product)
    assert placement.scale == pytest.approx(1.5)
    assert not placement.describe()["reduced"]
    found = find_box(placed.matte)
    assert abs(found.top - placement.box.top) <= 1
    assert abs(found.height - placement.box.height) <= 2


WANTED = {
    "center": (80, 85),
    "top": (12, 85),
    "bottom": (148, 85),
    "left": (80, 12),
    "right": (80, 158),
    "top-left": (12, 12),
    "top-right": (12, 158),
    "bottom-left": (148, 12),
    "bottom-right": (148, 158),
}


@pytest.mark.parametrize(
    ("spot", "corner"),
    [("0.5,0.8", (120, 85)), ("0.25,1", (160, 35)), ("0,0", (0, 0)), ("1.0,0.305", (21, 170))],
)
def test_a_spot_is_where_the_middle_of_the_foot_stands(spot: str, corner: tuple[int, int]) -> None:
    product = build_product()
    layout = CanvasLayout(size=(200, 200), placement=spot)
    placed = layout.place(product)
    assert (
        cut_out(placed, layout.compute_placement(product).box)[2].tolist()
        == cut_out(product, Rectangle(30, 20, 40, 30))[2].tolist()
    )
    box = layout.compute_placement(product).box
    assert (box.top, box.left) == corner
    framed = CanvasLayout(size=(200, 200), placement=spot, margin=0.1).compute_placement(product).box
    assert (framed.top, framed.left) == (min(max(corner[0], 20), 140), min(max(corner[1], 20), 150))


@pytest.mark.parametrize("spot", ["0.5", "1.5,0", "-0.1,0.5", "a,b", "0.5,0.5,0.5"])
def test_a_spot_off_the_canvas_is_refused(spot: str) -> None:
    with pytest.raises(SettingsError, match=f"placement: must be keep, .* or X,Y .* got '{re.escape(spot)}'"):
        CanvasLayout(placement=spot)


@pytest.mark.parametrize("placement", [p for p in get_args(Named) if p != "keep"])
def test_placements_move_by_whole_pixels_and_keep_every_bit(placement: str) -> None:
    product = build_product()
    # 6 % of the shorter side, 200, stays free: 12 pixels
    layout = CanvasLayout(size=(200, 200), placement=placement, margin=0.06)  # type: ignore[arg-type]
    placed = layout.place(product)
    box = find_box(placed.matte)
    assert (box.top, box.left) == WANTED[placement]
    assert layout.compute_placement(product).box == box
    assert layout.compute_placement(product).scale == 1
    for moved, own in zip(cut_out(placed, box), cut_out(product, Rectangle(30, 20, 40, 30)), strict=True):
        assert np.array_equal(moved, own)
    assert (placed.name, placed.mask_source, placed.icc_profile) == ("p", "mask", ADOBE_RGB)


def test_small_canvas_crops_the_empty_photo_but_not_the_product() -> None:
    product = build_product((300, 300), Rectangle(10, 200, 60, 64))
    placed = CanvasLayout(size=(64, 64), placement="center").place(product)
    box = Rectangle(2, 0, 60, 64)
    assert find_box(placed.matte) == box
    for moved, own in zip(cut_out(placed, box), cut_out(product, Rectangle(10, 200, 60, 64)), strict=True):
        assert np.array_equal(moved, own)


def test_moving_to_where_it_is_gives_the_product_itself() -> None:
    product = build_product((100, 80), Rectangle(30, 25, 40, 30))
    assert CanvasLayout(placement="center").place(product) is product


@pytest.mark.parametrize(
    ("box", "canvas", "expected"),
    [
        (Rectangle(30, 20, 40, 30), (200, 400), (120, 90)),  # its height is the tighter direction
        (Rectangle(30, 20, 20, 60), (200, 200), (40, 120)),  # its width is
        (Rectangle(30, 20, 40, 30), (64, 64), (38, 29)),  # 0.6 of 64 is 38.4; smaller than it was
    ],
)
def test_product_scale_is_the_greater_share_of_the_canvas(
    box: Rectangle, canvas: tuple[int, int], expected: tuple[int, int]
) -> None:
    product = build_product((100, 100), box)
    layout = CanvasLayout(size=canvas, product_scale=0.6)
    placement = layout.compute_placement(product)
    assert (placement.box.height, placement.box.width) == expected
    assert not placement.describe()["reduced"]
    assert placement.box.top == (canvas[0] - expected[0]) // 2
    placed = layout.place(product)
    found = find_box(placed.matte)
    assert abs(found.height - expected[0]) <= 2
    assert abs(found.width - expected[1]) <= 2
    assert placed.size == canvas


def test_too_large_a_product_is_scaled_down_and_says_so() -> None:
    product = build_product((100, 100), Rectangle(10, 10, 80, 40))
    layout = CanvasLayout(size=(64, 64), placement="bottom", margin=0.125)
    placement = layout.compute_placement(product)
    assert placement.box == Rectangle(8, 20, 48, 24)
    assert (placement.scale, placement.wanted_scale) == (pytest.approx(0.6), 1)
    assert placement.describe()["reduced"]
    described = placement.describe()
    assert described["reduced"] is True
    assert described["box"] == [8, 20, 48, 24]
    assert "0.6 instead of 1" in described["notes"][0]
    assert layout.place(product).matte[:6].max() == 0
    fitting = CanvasLayout(size=(128, 128), placement="bottom", margin=0.125).compute_placement(product)
    assert (fitting.scale, fitting.describe()["reduced"], "notes" in fitting.describe()) == (1, False, False)


def test_product_cut_by_its_photo_is_noted_where_the_cut_would_show() -> None:
    product = build_product((100, 100), Rectangle(40, 20, 60, 30))
    assert "bottom edge" in CanvasLayout(placement="center").compute_placement(product).describe()["notes"][0]
    assert CanvasLayout().compute_placement(product).cut == ()
    assert CanvasLayout(aspect=(16, 9)).compute_placement(product).cut == ("bottom",)


def test_resampling_is_premultiplied() -> None:
    """Red under alpha 0 never shows in a green product, and the opaque inside stays green."""
    matte = np.zeros((60, 60), dtype=np.float32)
    matte[20:40, 20:40] = 1
    foreground = np.zeros((60, 60, 3), dtype=np.uint8)
    foreground[..., 0] = 255
    foreground[20:40, 20:40] = (0, 200, 0)
    placed = CanvasLayout(size=(100, 100), product_scale=0.73).place(Product(foreground, matte, foreground))
    seen = placed.matte > 0.01
    assert placed.pixels[seen][:, 0].max() == 0
    assert np.abs(placed.pixels[seen][:, 1].astype(int) - 200).max() <= 1
    assert (placed.matte == 1).sum() > 60 * 60
    assert placed.matte.max() == 1


def test_resampling_agrees_with_pillow_on_the_whole_photo() -> None:
    """Independent way: scale the whole photo with Pillow's premultiplied RGBA, then look at the box."""
    rng = np.random.default_rng(3)
    smooth = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).resize(
        (80, 80), Image.Resampling.BICUBIC
    )
    matte = np.zeros((80, 80), dtype=np.float32)
    matte[20:60, 20:60] = 1
    pixels = np.asarray(smooth).copy()
    layout = CanvasLayout(size=(100, 100), product_scale=0.6)  # 40 px become 60: a scale of 1.5
    placed = layout.place(Product(pixels, matte, pixels))
    alpha = np.rint(matte * 255).astype(np.uint8)
    whole = Image.fromarray(np.dstack([pixels, alpha])).convert("RGBa")
    scaled = np.asarray(whole.resize((120, 120), Image.Resampling.BICUBIC).convert("RGBA"))[10:110, 10:110]
    # Pillow clips the overshoot of 8-bit alpha at the rim, and the colours with it, so look further in.
    inside = np.s_[26:74, 26:74]
    assert (placed.matte[inside] == 1).all()
    assert np.abs(placed.pixels[inside].astype(int) - scaled[inside][..., :3]).max() <= 1
    assert np.array_equal(placed.matte[26:74] >= 0.5, scaled[26:74, :, 3] >= 128)  # its outline is smoothed


@settings(max_examples=40, deadline=None)
@given(
    st.integers(64, 160),
    st.integers(64, 160),
    st.sampled_from([p for p in get_args(Named) if p != "keep"]),
    st.one_of(st.none(), st.floats(0.05, 0.6)),
    st.floats(0, 0.2),
)
def test_the_margin_stays_free_and_the_placed_product_is_guaranteed(
    height: int, width: int, placement: str, scale: float | None, margin: float
) -> None:
    product = build_product((70, 90), Rectangle(5, 12, 50, 60))
    layout = CanvasLayout(size=(height, width), placement=placement, product_scale=scale, margin=margin)  # type: ignore[arg-type]
    placed = layout.place(product)
    box = layout.compute_placement(product).box
    free = round(margin * min(height, width))
    assert placed.size == (height, width)
    assert min(box.top, box.left, height - box.top - box.height, width - box.left - box.width) >= free
    background = np.full((height, width, 3), 77.4)
    output = composite(background, placed)
    report = compute_product_report(output, placed)
    assert report.exact
    assert report.opaque_pixels > 0
    far = placed.matte == 0
    assert (output[far] == 77).all()


def test_faint_dust_does_not_count_as_product() -> None:
    product = build_product()
    matte = product.matte.copy()
    matte[0, 0] = matte[-1, -1] = 0.01
    assert find_box(matte) == Rectangle(30, 20, 40, 30)
    assert find_box(np.where(matte > 0.02, 0, matte)) == Rectangle(0, 0, 100, 80)
    with pytest.raises(SettingsError, match="no product"):
        find_box(np.zeros((5, 5), dtype=np.float32))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"size": (32, 512)}, "^size '512x32': height must be from 64 to 8192 pixels, got 32$"),
        ({"size": (64, 64.0)}, "must be a valid integer, got 64.0"),
        ({"size": (64, 64), "aspect": (1, 1)}, "give one of them"),
        ({"aspect": (1, 11)}, "1:10 to 10:1, got 11:1"),
        ({"aspect": (0, 1)}, "got 1:0"),
        ({"placement": "middle"}, "'middle'"),
        ({"product_scale": 1.2}, "from 0.05 to 1, got 1.2"),
        ({"product_scale": float("nan")}, "got nan"),
        ({"margin": 0.5}, "from 0 to 0.45, got 0.5"),
        ({"margin": True}, "got True"),
        ({"placement": "keep", "margin": 0.1}, "choose another placement"),
        ({"placement": "keep", "product_scale": 0.5}, "choose another placement"),
        ({"size": (100, 200), "product_scale": 0.95, "margin": 0.1}, "at most 0.9"),
    ],
)
def test_layouts_that_cannot_be_are_refused(values: dict, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        CanvasLayout(**values)


def test_canvas_of_an_aspect_has_a_limit() -> None:
    with pytest.raises(SettingsError, match=r"60000x1000.*100,000,000 pixels"):
        CanvasLayout(aspect=(1, 1)).compute_size((1000, 60000))


# --- room round a product that fills its photo ------------------------------------------------------------


@pytest.mark.parametrize("share", [0.4, 0.6])
@pytest.mark.parametrize("box", [Rectangle(4, 20, 90, 30), Rectangle(30, 2, 40, 76), Rectangle(8, 8, 84, 64)])
def test_canvas_grows_until_the_product_has_its_usual_share(box: Rectangle, share: float) -> None:
    product = build_product(box=box)
    placement = CanvasLayout().compute_placement(product, share)
    height, width = placement.canvas
    assert placement.grown
    assert placement.scale == 1
    assert max(box.height / height, 0.8 * box.width / width) == pytest.approx(share, abs=0.01)
    assert width / height == pytest.approx(0.8, abs=0.01)  # the photo's own shape
    placed = CanvasLayout().place(product, share)
    assert placed.size == placement.canvas
    found = find_box(placed.matte)
    assert found == placement.box
    assert (found.top, found.left) == ((height - box.height) // 2, (width - box.width) // 2)
    for before, after in zip(cut_out(product, box), cut_out(placed, found), strict=True):
        assert np.array_equal(before, after)
    assert f"canvas grown to {width}x{height}" in placement.describe()["notes"][0]


def test_a_product_with_room_stays_as_it_is_framed() -> None:
    product = build_product(box=Rectangle(30, 20, 60, 30))
    assert CanvasLayout().place(product, 0.501) is product  # just below 1.2 times its share
    assert not CanvasLayout().compute_placement(product, 0.501).grown
    assert CanvasLayout().compute_placement(product, 0.499).grown
    assert CanvasLayout(placement="keep").place(product, 0.3) is product


def test_a_fixed_size_makes_the_product_smaller_instead() -> None:
    product = build_product(box=Rectangle(4, 20, 90, 30))
    layout = CanvasLayout(size=(200, 160))
    placement = layout.compute_placement(product, 0.5)
    assert (placement.canvas, placement.grown) == ((200, 160), False)
    assert placement.box.height == pytest.approx(100, abs=1)
    assert placement.scale == pytest.approx(100 / 90, abs=0.02)
    assert find_box(layout.place(product, 0.5).matte).height == pytest.approx(100, abs=1)


def test_an_aspect_grows_with_the_product() -> None:
    product = build_product(box=Rectangle(4, 20, 90, 30))
    placement = CanvasLayout(aspect=(1, 1)).compute_placement(product, 0.5)
    assert placement.canvas == pytest.approx((180, 180), abs=1)


@pytest.mark.parametrize(
    ("box", "corner"),
    [
        (Rectangle(10, 20, 90, 30), (1.0, 0.5)),  # cut below: it stays at the lower edge
        (Rectangle(0, 20, 90, 30), (0.0, 0.5)),
        (Rectangle(5, 0, 90, 30), (0.5, 0.0)),
        (Rectangle(10, 50, 90, 30), (1.0, 1.0)),
    ],
)
def test_what_is_cut_by_an_edge_stays_at_it(box: Rectangle, corner: tuple[float, float]) -> None:
    placement = CanvasLayout().compute_placement(build_product(box=box), 0.5)
    free = (placement.canvas[0] - box.height, placement.canvas[1] - box.width)
    assert (placement.box.top, placement.box.left) == tuple(
        int(f * c) for f, c in zip(free, corner, strict=True)
    )


def test_a_trimmed_cut_out_gets_room_all_round() -> None:
    """It ends at all edges, or at two opposite ones, because that is how it was trimmed."""
    for box in (Rectangle(20, 0, 70, 80), Rectangle(0, 20, 100, 30)):
        placement = CanvasLayout().compute_placement(build_product(box=box), 0.5)
        free = (placement.canvas[0] - box.height, placement.canvas[1] - box.width)
        assert placement.grown
        assert placement.cut == ()
        assert (placement.box.top, placement.box.left) == (free[0] // 2, free[1] // 2)


def test_room_ends_at_the_largest_canvas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cyclorama.imaging.layout.MAX_PIXELS", 12_000)
    placement = CanvasLayout().compute_placement(build_product(box=Rectangle(4, 20, 90, 30)), 0.3)
    assert placement.canvas[0] * placement.canvas[1] == pytest.approx(12_000, rel=0.03)
    assert placement.canvas[0] * placement.canvas[1] <= 12_000
