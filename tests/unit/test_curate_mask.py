"""Mask rule: where masks come from, and which wrong ones are found."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from cyclorama.curate.mask import MaskRule, MaskSettings, measure_shape
from cyclorama.curate.mask_edges import EdgeSettings, is_box, measure_blocks, measure_edges
from cyclorama.curate.records import Record, RuleImage, Verdict
from cyclorama.errors import ConfigError

SIDE = 160
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE] / SIDE


def _mask() -> np.ndarray:
    """A bottle: body, shoulder and neck."""
    body = (abs(COLUMNS - 0.5) < 0.16) & (ROWS > 0.4) & (ROWS < 0.85)
    shoulder = np.hypot(ROWS - 0.42, COLUMNS - 0.5) < 0.16
    neck = (abs(COLUMNS - 0.5) < 0.06) & (ROWS > 0.15) & (ROWS < 0.4)
    return (body | shoulder | neck).astype(np.float32)


def _pixels(background: float | None = None) -> np.ndarray:
    """The bottle, with a label, before blobs of colour (or one grey)."""
    random = np.random.default_rng(3)
    if background is None:
        blobs = ndimage.gaussian_filter(random.standard_normal((SIDE, SIDE, 3)), (9, 9, 0))
        scene = 150 + 45 * blobs / blobs.std()
    else:
        scene = np.full((SIDE, SIDE, 3), background)
    label = (ROWS > 0.55) & (ROWS < 0.7)
    product = np.where(label[..., None], [230.0, 225.0, 200.0], [60.0, 20.0, 90.0])
    pixels = np.where(_mask()[..., None] > 0, product, scene)
    return np.clip(ndimage.gaussian_filter(pixels, (0.6, 0.6, 0)), 0, 255).astype(np.uint8)


def _image(mask: np.ndarray | None, pixels: np.ndarray | None = None, alpha=None) -> RuleImage:
    pixels = _pixels() if pixels is None else pixels
    return RuleImage(Record("a", "a.png"), pixels, alpha, mask)


def _coarse(block: int) -> np.ndarray:
    """A slanted product's mask, enlarged from a grid."""
    slanted = (abs(COLUMNS - 0.3 - 0.4 * ROWS) < 0.16) & (abs(ROWS - 0.5) < 0.35)
    small = slanted[block // 2 :: block, block // 2 :: block]
    return np.kron(small, np.ones((block, block))).astype(np.float32)


def test_the_right_mask_is_kept_as_it_is() -> None:
    found = MaskRule().judge(_image(_mask()))
    assert (found.verdict, found.reason) == (Verdict.KEEP, "")
    assert np.array_equal(found.repaired.mask, _mask())
    assert found.numbers["area"] == _mask().mean()
    assert found.numbers["pieces"] == 1 and found.numbers["holes"] == 0
    assert found.numbers["agreement"] > 0.9 and found.numbers["doubt"] < 1
    box = found.boxes[0]
    rows, columns = np.nonzero(_mask())
    assert (box.top, box.bottom, box.left, box.right) == (
        rows.min(),
        rows.max() + 1,
        columns.min(),
        columns.max() + 1,
    )


@pytest.mark.parametrize(("rows", "columns"), [(0, 8), (-9, 0), (6, -6)])
def test_a_shifted_mask_is_found_and_the_way_back_named(rows: int, columns: int) -> None:
    shifted = np.roll(_mask(), (rows, columns), axis=(0, 1))
    found = MaskRule().judge(_image(shifted))
    assert found.verdict in (Verdict.REVIEW, Verdict.DROP)
    assert found.numbers["doubt"] > 1 and found.numbers["shift_gain"] > 1.4
    fit = measure_edges(_pixels(), shifted, EdgeSettings())
    assert abs(fit.shift[0] + rows) <= 2 and abs(fit.shift[1] + columns) <= 2


@pytest.mark.parametrize("steps", [-6, 6])
def test_a_mask_too_tight_or_too_wide_is_found(steps: int) -> None:
    change = ndimage.binary_dilation if steps > 0 else ndimage.binary_erosion
    wrong = change(_mask() > 0, iterations=abs(steps)).astype(np.float32)
    found = MaskRule().judge(_image(wrong))
    assert found.verdict in (Verdict.REVIEW, Verdict.DROP)
    assert found.numbers["agreement"] < 0.6


def test_a_mask_cut_off_halfway_is_found_by_its_straight_end() -> None:
    half = _mask()
    half[: round(0.6 * SIDE)] = 0
    found = MaskRule().judge(_image(half))
    assert found.verdict is Verdict.REVIEW
    assert found.numbers["straight"] < 0.36 and "a straight stretch of the outline" in found.reason
    assert MaskRule().judge(_image(_mask())).numbers["straight"] > 0.8


def test_a_level_end_without_an_edge_is_no_cut_unless_edges_go_on_beyond_it() -> None:
    """White on white: a box's bottom nobody can see, and a mask that ends where the box does not."""
    pixels = np.full((SIDE, SIDE, 3), 120.0)
    box = (abs(COLUMNS - 0.5) < 0.2) & (ROWS > 0.2) & (ROWS < 0.8)
    pixels[box] = [250.0, 250.0, 245.0]
    pixels[(ROWS >= 0.8)] = [250.0, 250.0, 245.0]  # the ground has the box's colour
    image = ndimage.gaussian_filter(pixels, (0.6, 0.6, 0)).astype(np.uint8)
    whole = measure_edges(image, box.astype(np.float32), EdgeSettings())
    cut = measure_edges(image, (box & (ROWS < 0.5)).astype(np.float32), EdgeSettings())
    assert whole is not None and whole.straight == 1
    assert cut is not None and cut.straight < 0.1


@pytest.mark.parametrize("turn", [False, True])
def test_half_a_ball_is_a_cut_though_its_outline_does_not_go_straight_on(turn: bool) -> None:
    """The ball's edge turns away from the cut on either side, and is faint at one end."""
    pixels = np.full((SIDE, SIDE, 3), 120.0)
    pixels[ROWS > 0.55] = [205.0, 60.0, 58.0]  # the ground has nearly the ball's colour
    ball = np.hypot(ROWS - 0.5, COLUMNS - 0.5) < 0.22
    pixels[ball] = [200.0, 60.0, 60.0]
    half = ball & (COLUMNS < 0.5)
    image, mask = (
        np.ascontiguousarray(a.swapaxes(0, 1) if turn else a)
        for a in (ndimage.gaussian_filter(pixels, (0.6, 0.6, 0)).astype(np.uint8), half.astype(np.float32))
    )
    fit = measure_edges(image, mask, EdgeSettings())
    assert fit is not None and fit.straight < 0.1


def test_a_box_is_believed_only_where_its_edges_are_seen() -> None:
    box = ((abs(COLUMNS - 0.5) < 0.2) & (abs(ROWS - 0.5) < 0.3)).astype(np.float32)
    pixels = np.full((SIDE, SIDE, 3), 120, dtype=np.uint8)
    pixels[box > 0] = (230, 200, 60)
    found = MaskRule().judge(_image(box, pixels))
    assert (found.verdict, found.numbers["box"]) == (Verdict.KEEP, 1)
    round_one = np.hypot((ROWS - 0.5) / 0.3, (COLUMNS - 0.5) / 0.2) < 1
    pixels[...] = 120
    pixels[round_one] = (230, 200, 60)
    drawn = MaskRule(MaskSettings(min_agreement=0.01, min_weakest_side=0.01, hopeless_agreement=0.0)).judge(
        _image(box, pixels)
    )
    assert drawn.verdict is Verdict.REVIEW and "the outline, a box, follows" in drawn.reason
    assert not is_box(round_one.astype(np.float32)) and is_box(box)


def test_an_inverted_mask_is_shown_turned_round() -> None:
    found = MaskRule().judge(_image(1 - _mask()))
    assert found.verdict is Verdict.REVIEW
    assert found.reason.startswith("it marks the background, shown turned round")
    assert np.array_equal(found.repaired.mask, _mask())
    assert found.numbers["inverted"] == 1 and found.numbers["doubt"] >= 2


@pytest.mark.parametrize("block", [4, 8, 10])
def test_the_squares_of_a_coarse_mask_are_measured(block: int) -> None:
    assert measure_blocks(_coarse(block)) == block
    found = MaskRule().judge(_image(_coarse(block)))
    assert f"squares of {block} pixels, the limit is 3" in found.reason


def test_squares_of_unequal_sides_count_by_the_least() -> None:
    """160 pixels in 19 cells: squares of 8 and 9."""
    slanted = (abs(COLUMNS - 0.3 - 0.4 * ROWS) < 0.16) & (abs(ROWS - 0.5) < 0.35)
    cells = (np.arange(SIDE) * 19) // SIDE
    middles = np.searchsorted(cells, np.arange(19)) + 4
    small = slanted[np.ix_(middles, middles)]
    assert measure_blocks(small[np.ix_(cells, cells)].astype(np.float32)) == 8


def test_straight_and_round_products_are_not_coarse() -> None:
    upright = np.zeros((SIDE, SIDE), dtype=np.float32)
    upright[40:120, 48:96] = 1
    assert measure_blocks(upright) == 1
    assert measure_blocks((np.hypot(ROWS - 0.5, COLUMNS - 0.5) < 0.3).astype(np.float32)) == 1


@pytest.mark.parametrize(
    ("mask", "reason"),
    [
        (np.zeros((SIDE, SIDE), dtype=np.float32), "marks 0 of 25600 pixels as product"),
        (np.full((SIDE, SIDE), np.nan, dtype=np.float32), "not finite"),
        (np.pad(np.ones((9, 9), dtype=np.float32), ((70, 81), (70, 81))), "covers 0.3% of the image"),
        (
            np.pad(np.ones((157, 158), dtype=np.float32), ((2, 1), (1, 1))),
            "it marks the background|covers 96.9% of the image",
        ),
    ],
)
def test_hopeless_masks_are_dropped(mask: np.ndarray, reason: str) -> None:
    found = MaskRule().judge(_image(mask))
    assert found.verdict is Verdict.DROP and found.repaired is None
    assert any(part in found.reason for part in reason.split("|"))


def test_without_any_mask_a_studio_product_is_keyed_and_a_network_asked_else() -> None:
    asked = MaskSettings(key_background=False)
    for settings, background in ((None, 250.0), (None, 20.0), (asked, 250.0)):
        found = MaskRule(settings).judge(_image(None, _pixels(background=background)))
        assert found.verdict is Verdict.KEEP
        assert ((found.repaired.mask >= 0.5) != (_mask() > 0)).mean() < 0.02
    noise = np.random.default_rng(1).integers(0, 200, (SIDE, SIDE, 3)).astype(np.uint8)
    nothing = MaskRule().judge(_image(None, noise))
    assert nothing.verdict is Verdict.DROP
    assert nothing.reason.startswith("no mask: neither transparency nor a mask, and no plain background")
    assert nothing.reason.endswith("0.75 is the least; give masks or set mask.cutout_network")


def test_a_rows_own_mask_goes_before_transparency_and_a_network_comes_last() -> None:
    corners = np.ones((SIDE, SIDE), dtype=np.float32)
    for rows in (slice(8), slice(-8, None)):
        corners[rows, :8] = corners[rows, -8:] = 0  # a banner with its corners cut off
    found = MaskRule().judge(_image(_mask(), alpha=corners))
    assert (found.verdict, found.reason) == (Verdict.KEEP, "")
    assert np.array_equal(found.repaired.mask, _mask())
    assert np.array_equal(MaskRule().judge(_image(None, alpha=_mask())).repaired.mask, _mask())

    class Network:
        name = "drawn"

        def __call__(self, pixels: np.ndarray) -> np.ndarray:
            assert pixels.shape == (SIDE, SIDE, 3)
            return _mask() * 1.5

    found = MaskRule(network=Network()).judge(_image(None))
    assert found.verdict is Verdict.KEEP and np.array_equal(found.repaired.mask, _mask())


def test_pieces_holes_and_specks_are_counted() -> None:
    mask = np.zeros((100, 100), dtype=np.float32)
    mask[10:50, 10:50] = 1  # 1600
    mask[20:30, 20:30] = 0  # a hole of 100
    mask[60:80, 60:80] = 1  # 400
    mask[90, 90] = 1  # a speck
    shape = measure_shape(mask, MaskSettings())
    assert shape.pieces == 2
    assert shape.area == pytest.approx(0.1901)
    assert shape.holes == pytest.approx(100 / 2001)
    assert shape.specks == pytest.approx(1 / 1901)
    assert shape.border == 0
    mirrored = measure_shape(mask[::-1, ::-1], MaskSettings())
    assert mirrored == shape


def test_a_mask_of_noise_goes_to_review_for_its_specks() -> None:
    noise = np.random.default_rng(5).random((SIDE, SIDE)) < 0.03
    found = MaskRule().judge(_image(np.maximum(_mask(), noise.astype(np.float32))))
    assert found.verdict is Verdict.REVIEW and "specks take" in found.reason


def test_edges_lie_where_they_were_drawn() -> None:
    fit = measure_edges(_pixels(), _mask(), EdgeSettings())
    assert fit.agreement > 0.9 and fit.weakest_side > 0.8
    assert (fit.shift_gain, fit.shift) == (1.0, (0, 0))
    assert measure_edges(_pixels(), np.ones((SIDE, SIDE), dtype=np.float32), EdgeSettings()) is None


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="min_area is 0.9, max_area is 0.5"):
        MaskSettings(min_area=0.9, max_area=0.5)
    with pytest.raises(ConfigError, match="hopeless_agreement is 0.8, min_agreement is 0.415"):
        MaskSettings(hopeless_agreement=0.8)
    with pytest.raises(ConfigError, match="max_shift_gain: must be greater than 1, got 1"):
        MaskSettings(max_shift_gain=1.0)
