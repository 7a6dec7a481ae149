"""Quality rule: each fault is measured on its own, and clean images pass."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from cyclorama.curate.borders import Frame, find_frame, find_seam
from cyclorama.curate.quality import (
    QualityRule,
    QualitySettings,
    get_luminance,
    measure_blockiness,
    measure_blur,
    measure_blurs,
    read_jpeg_quality,
)
from cyclorama.curate.records import Record, RuleImage, Verdict
from cyclorama.errors import ConfigError

SIDE = 192


def _scene(seed: int, side: int = SIDE) -> np.ndarray:
    """Blobs of colour with sharp borders, a little grain."""
    random = np.random.default_rng(seed)
    fields = ndimage.gaussian_filter(random.standard_normal((4, side, side)), (0, 8, 8))
    colours = random.uniform(20, 235, (4, 3))
    scene = ndimage.gaussian_filter(colours[fields.argmax(axis=0)], (0.5, 0.5, 0))
    return np.clip(scene + random.normal(0, 1, scene.shape), 0, 255).astype(np.uint8)


def _mask() -> np.ndarray:
    rows, columns = np.mgrid[:SIDE, :SIDE] / SIDE
    return (np.hypot(rows - 0.5, columns - 0.5) < 0.3).astype(np.float32)


def _blur(pixels: np.ndarray, width: float) -> np.ndarray:
    smooth = ndimage.gaussian_filter(pixels.astype(np.float64), (width, width, 0))
    return np.rint(smooth).astype(np.uint8)


def _encode(pixels: np.ndarray, quality: int) -> tuple[np.ndarray, bytes]:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(io.BytesIO(stream.getvalue()))), stream.getvalue()


def _judge(pixels: np.ndarray, raw: bytes = b"", settings: QualitySettings | None = None):
    image = RuleImage(Record("a", "a"), pixels, None, _mask(), raw)
    return QualityRule(settings).judge(image)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_clean_image_is_kept(seed: int) -> None:
    found = _judge(_scene(seed))
    assert (found.verdict, found.reason, found.boxes) == (Verdict.KEEP, "", ())
    assert found.numbers["score"] < 1
    assert found.numbers["score"] == max(v for n, v in found.numbers.items() if n.endswith("_score"))
    assert "jpeg_quality" not in found.numbers


@pytest.mark.parametrize("width", [1.0, 2.0, 3.0])
def test_the_width_of_a_blurred_step_is_measured(width: float) -> None:
    step = np.zeros((256, 256), dtype=np.float32)
    step[:, 128:] = 200
    step = ndimage.gaussian_filter(step, width)
    assert measure_blur(step) == pytest.approx(width, rel=0.12)
    assert measure_blur(0.3 * step + 20) == pytest.approx(measure_blur(step), rel=1e-3)
    double = np.kron(step, np.ones((2, 2), dtype=np.float32))
    assert measure_blur(ndimage.gaussian_filter(double, 0.5)) == pytest.approx(width, rel=0.15)


def test_plain_planes_have_no_edges_to_judge() -> None:
    assert measure_blur(np.full((64, 64), 90.0, dtype=np.float32)) is None


def test_a_blurred_product_is_found_and_a_blurred_background_allowed() -> None:
    sharp, soft = _scene(1), _blur(_scene(1), 3.0)
    product = _mask()[..., None] > 0
    blurred = _judge(np.where(product, soft, sharp))
    assert blurred.numbers["blur"] > 1.5 and blurred.verdict is not Verdict.KEEP
    assert "width of the product's edges" in blurred.reason
    portrait = measure_blurs(np.where(ndimage.binary_dilation(product, iterations=5), sharp, soft), _mask())
    assert portrait[0] < 0.5 and portrait[1] > 2
    half = np.full((SIDE, SIDE), 0.5, np.float32)  # as much product as background counts as product
    assert measure_blurs(sharp, half) == (measure_blurs(sharp, None)[0], None)


@pytest.mark.parametrize("quality", [10, 25, 50, 75, 92])
def test_jpeg_quality_is_read_from_the_tables(quality: int) -> None:
    assert read_jpeg_quality(_encode(_scene(1), quality)[1]) == pytest.approx(quality, abs=2)
    assert read_jpeg_quality(b"\x89PNG") is None


def test_blocks_are_found_in_pixels_whatever_the_format() -> None:
    smooth = _blur(_scene(1), 2.0)
    coded, _ = _encode(smooth, 8)
    clean = measure_blockiness(get_luminance(smooth))
    assert measure_blockiness(get_luminance(coded)) > 1.5 > 0.1 > clean
    cropped = np.ascontiguousarray(coded[3:, 5:])
    assert measure_blockiness(get_luminance(cropped)) > 1.5


def test_a_crushed_jpeg_is_found() -> None:
    pixels, raw = _encode(_scene(1), 12)
    found = _judge(pixels, raw)
    assert found.verdict is Verdict.DROP
    assert found.numbers["jpeg_quality"] == pytest.approx(12, abs=2)
    assert "JPEG quality 1" in found.reason and "the limit is 40" in found.reason


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_frame_is_measured_to_the_pixel(level: int) -> None:
    framed = _scene(2)
    framed[:7] = framed[-7:] = level
    framed[:, :5] = framed[:, -5:] = level
    assert find_frame(framed) == Frame(7, 7, 5, 5)
    found = _judge(framed)
    assert found.verdict is Verdict.DROP and found.numbers["frame"] == 7 / SIDE
    assert [(b.left, b.top, b.right, b.bottom) for b in found.boxes] == [
        (0, 0, SIDE, 7),
        (0, SIDE - 7, SIDE, SIDE),
        (0, 0, 5, SIDE),
        (SIDE - 5, 0, SIDE, SIDE),
    ]


def test_a_frame_is_found_through_round_corners_and_compression() -> None:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    inside = (abs(rows - 95.5) < 84) & (abs(columns - 95.5) < 84)
    corner = np.hypot(abs(rows - 95.5) - 64, abs(columns - 95.5) - 64) > 20
    inside &= ~(corner & (abs(rows - 95.5) > 64) & (abs(columns - 95.5) > 64))
    framed = np.where(inside[..., None], _scene(6), np.array([150, 110, 205], dtype=np.uint8))
    frame = find_frame(_encode(framed, 90)[0])
    assert all(abs(width - 12) <= 1 for width in (frame.top, frame.bottom, frame.left, frame.right))


def test_bars_above_and_below_are_a_frame_and_a_studio_backdrop_is_none() -> None:
    barred = _scene(3)
    barred[:20] = barred[-20:] = 0
    assert find_frame(barred) == Frame(20, 20, 0, 0)
    studio = np.full((SIDE, SIDE, 3), 255, dtype=np.uint8)
    studio = np.where(_mask()[..., None] > 0, _scene(3), studio)
    assert find_frame(studio) == Frame()


@pytest.mark.parametrize("upright", [True, False])
def test_two_images_in_one_have_a_seam_where_they_meet(upright: bool) -> None:
    place = 80
    joined = np.concatenate([_scene(4)[:, :place], _scene(5)[:, : SIDE - place]], axis=1)
    if not upright:
        joined = joined.swapaxes(0, 1)
    seam = find_seam(joined)
    assert (seam.upright, seam.place) == (upright, place)
    assert seam.score > (0.75 if upright else 0.6)
    found = _judge(joined, settings=QualitySettings(max_seam=0.6))
    assert found.verdict is Verdict.REVIEW and "likeness to a collage" in found.reason


def test_edges_within_one_image_are_no_seams() -> None:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    table = np.where(rows[..., None] < 120, [200.0, 210.0, 220.0], [120.0, 80.0, 40.0])
    grain = np.random.default_rng(0).normal(0, 2, table.shape)
    assert find_seam(np.clip(table + grain, 0, 255).astype(np.uint8)).score < 0.5
    tiles = np.where(((rows // 24 + columns // 24) % 2)[..., None] == 0, 230.0, [60.0, 90.0, 160.0])
    tiles = np.where(rows[..., None] < 72, 180.0, tiles)
    assert find_seam(np.clip(tiles + grain, 0, 255).astype(np.uint8)).score < 0.5


def test_between_the_limits_a_person_decides() -> None:
    pixels, raw = _encode(_scene(1), 35)
    settings = QualitySettings(max_blockiness=9.0)
    assert _judge(pixels, raw, settings).verdict is Verdict.REVIEW
    assert _judge(pixels, raw, QualitySettings(max_blockiness=9.0, drop_from=1.0)).verdict is Verdict.DROP


def _carton(height: float, width: float, backdrop: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A carton with a gable, seen from the front, before a plain backdrop; and its mask."""
    rows, columns = np.mgrid[:SIDE, :SIDE] / SIDE
    out = np.maximum(0.0, 0.5 - height / 2 + 0.06 - rows) / 0.06  # 1 at the gable's top
    mask = (abs(rows - 0.5) <= height / 2) & (abs(columns - 0.5) <= width / 2 - 0.08 * out)
    grain = np.random.default_rng(0).normal(0, 0.4, (SIDE, SIDE, 3))
    plain = np.clip(np.array(backdrop) + grain, 0, 255).astype(np.uint8)
    return np.where(mask[..., None], _scene(7), plain), mask.astype(np.float32)


@pytest.mark.parametrize("backdrop", [(255, 255, 255), (236, 236, 234), (120, 160, 90), (12, 12, 16)])
@pytest.mark.parametrize(("height", "width"), [(0.8, 0.62), (0.86, 0.7), (0.72, 0.55)])
def test_a_product_before_a_plain_backdrop_is_neither_framed_nor_a_collage(
    backdrop: tuple[int, int, int], height: float, width: float
) -> None:
    pixels, _ = _carton(height, width, backdrop)
    found = QualityRule().judge(RuleImage(Record("a", "a"), pixels, None, None))
    assert find_frame(pixels) == Frame()
    assert "strip" not in found.reason and "collage" not in found.reason
    assert found.boxes == ()


def test_a_floor_below_a_wall_is_no_frame() -> None:
    rows = np.arange(SIDE)[:, None, None]
    room = np.where(rows < 150, [228.0, 224.0, 215.0], [150.0, 120.0, 90.0]) * np.ones((1, SIDE, 1))
    room = np.clip(room + np.random.default_rng(0).normal(0, 0.4, room.shape), 0, 255).astype(np.uint8)
    room[60:165, 70:120] = _scene(7)[60:165, 70:120]
    assert find_frame(room) == Frame()
    room[150:] = _scene(3)[150:]
    room[:20] = 0  # a bar above is one
    room[20:150] = _scene(3)[20:150]
    assert find_frame(room) == Frame(top=20)


@pytest.mark.parametrize("given", ["mask", "alpha"])
def test_a_product_from_side_to_side_is_no_frame_once_its_mask_is_known(given: str) -> None:
    """A box that reaches from the top to the bottom looks like bars left and right of an image."""
    pixels, mask = _carton(1.2, 0.6, (255, 255, 255))
    assert find_frame(pixels).left > 0.19 * SIDE  # nothing tells
    known = {"alpha": None, "mask": None} | {given: mask}
    found = QualityRule().judge(RuleImage(Record("a", "a"), pixels, **known))
    assert found.numbers["frame"] == 0 and "strip" not in found.reason and "collage" not in found.reason


@pytest.mark.parametrize("level", [0, 255])
def test_an_image_padded_to_a_square_is_framed_and_the_reason_says_where(level: int) -> None:
    padded = _scene(3)
    padded[:, :24] = padded[:, -16:] = level
    found = QualityRule().judge(RuleImage(Record("a", "a"), padded, None, None))
    assert find_frame(padded) == Frame(0, 0, 24, 16)
    assert "plain strips at the left and right take 0.125 of the side, the limit is 0.01" in found.reason
    assert [(b.left, b.right) for b in found.boxes] == [(0, 24), (SIDE - 16, SIDE)]


def test_the_reason_for_blur_names_the_product_only_where_a_mask_tells_it() -> None:
    soft = _blur(_scene(1), 3.0)
    masked = _judge(soft)
    bare = QualityRule().judge(RuleImage(Record("a", "a"), soft, None, None))
    assert "width of the product's edges" in masked.reason
    assert "width of the edges" in bare.reason and "product" not in bare.reason
    assert bare.numbers["blur"] > 0.6 and "background_blur" not in bare.numbers


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="max_blur: must be greater than 0, got 0"):
        QualitySettings(max_blur=0)
    with pytest.raises(ConfigError, match=r"drop_from: must be .* 1, got 0\.5"):
        QualitySettings(drop_from=0.5)


def test_half_a_pixel_of_product_is_product() -> None:
    chance = np.random.default_rng(3)
    pixels = chance.integers(0, 256, (96, 96, 3), dtype=np.uint8)
    mask = np.zeros((96, 96), np.float32)
    mask[20:70, 30:80] = 1
    assert measure_blurs(pixels, mask / 2, 96) == measure_blurs(pixels, mask, 96)
    assert measure_blurs(pixels, mask * 0.49, 96)[0] is None
