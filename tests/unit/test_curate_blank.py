"""Blank rule: studio backdrops against scenes, judged outside the product."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from cyclorama.curate.quality import BlankRule, BlankSettings, measure_structure
from cyclorama.curate.records import Record, RuleImage, Verdict
from cyclorama.errors import ConfigError

SIDE = 160
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE] / SIDE


def _product() -> np.ndarray:
    return (np.hypot(ROWS - 0.5, (COLUMNS - 0.5) * 1.6) < 0.3).astype(np.float32)


def _texture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3)).astype(np.float64)


def _backdrop(kind: str) -> np.ndarray:
    ones = np.ones((SIDE, SIDE, 3))
    if kind == "white":
        return 255 * ones
    if kind == "gradient":
        return (250 - 110 * ROWS)[..., None] * [1.0, 0.9, 0.8]
    if kind == "vignette":
        return (235 - 150 * np.hypot(ROWS - 0.5, COLUMNS - 0.5) ** 2)[..., None] * ones
    shadow = ndimage.gaussian_filter(ndimage.shift(_product(), (6, 4), order=1), 6)
    return 210 * (1 - 0.4 * shadow)[..., None] * [1.0, 0.8, 0.9]


def _scene() -> np.ndarray:
    """Wall, floor and three blocks."""
    scene = np.where(ROWS[..., None] < 0.65, [180.0, 200.0, 220.0], [120.0, 90.0, 60.0])
    for left, colour in ((0.03, (40, 120, 60)), (0.8, (200, 60, 50)), (0.15, (240, 220, 90))):
        place = (abs(COLUMNS - left - 0.055) < 0.055) & (abs(ROWS - 0.55) < 0.2)
        scene = np.where(place[..., None], colour, scene)
    return scene


def _image(background: np.ndarray, mask: np.ndarray | None) -> RuleImage:
    product = _product()[..., None]
    pixels = product * _texture(1) + (1 - product) * background
    return RuleImage(Record("a", "a.png"), np.clip(pixels, 0, 255).astype(np.uint8), None, mask)


@pytest.mark.parametrize("kind", ["white", "gradient", "vignette", "shadow"])
@pytest.mark.parametrize("noise", [0.0, 2.0])
def test_studio_backdrops_are_blank(kind: str, noise: float) -> None:
    grain = noise * np.random.default_rng(2).standard_normal((SIDE, SIDE, 3))
    found = BlankRule().judge(_image(_backdrop(kind) + grain, _product()))
    assert found.verdict is Verdict.DROP
    assert found.numbers["busy_share"] < 0.03
    assert found.reason.endswith(f"the limit is {BlankSettings().min_busy_share:.1%}")
    assert "of the background shows" in found.reason
    bare = BlankRule().judge(_image(_backdrop(kind) + grain, None))
    assert "of the image's border, without a mask, shows" in bare.reason


def test_a_scene_is_kept_and_its_share_is_the_share_near_edges() -> None:
    found = BlankRule().judge(_image(_scene(), _product()))
    assert found.verdict is Verdict.KEEP and found.reason == ""
    assert 0.12 < found.numbers["busy_share"] < 0.4
    assert found.numbers["background_share"] == pytest.approx(1 - _product().mean(), abs=0.09)


def test_what_is_on_the_product_has_no_influence() -> None:
    mask = _product()
    first = _image(_backdrop("gradient"), mask).pixels
    inner = ndimage.binary_dilation(mask > 0.5, iterations=1)
    other = np.where(inner[..., None], _texture(7).astype(np.uint8), first)
    assert measure_structure(first, mask, BlankSettings()) == measure_structure(other, mask, BlankSettings())


def test_without_a_mask_the_border_is_judged() -> None:
    assert BlankRule().judge(_image(_backdrop("white"), None)).verdict is Verdict.DROP
    found = BlankRule().judge(_image(_scene(), None))
    assert found.verdict is Verdict.KEEP
    assert found.numbers["background_share"] == pytest.approx(1 - 0.75**2)


def test_the_scale_of_the_image_hardly_matters() -> None:
    large = np.kron(_image(_scene(), None).pixels, np.ones((4, 4, 1), dtype=np.uint8))
    mask = np.kron(_product(), np.ones((4, 4), dtype=np.float32))
    settings = BlankSettings(working_side=SIDE)
    small = measure_structure(_image(_scene(), None).pixels, _product(), settings)
    assert measure_structure(large, mask, settings)[0] == pytest.approx(small[0], rel=0.1)


def test_doubtful_images_go_to_review_and_those_without_background_stay() -> None:
    settings = BlankSettings(min_busy_share=0.05, doubtful_share=0.9)
    found = BlankRule(settings).judge(_image(_scene(), _product()))
    assert found.verdict is Verdict.REVIEW and "the limit is 90.0%" in found.reason
    found = BlankRule().judge(_image(_scene(), np.ones((SIDE, SIDE), dtype=np.float32)))
    assert found.verdict is Verdict.KEEP and found.numbers["background_share"] == 0


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="min_busy_share is 0.5, doubtful_share is 0.1"):
        BlankSettings(min_busy_share=0.5, doubtful_share=0.1)
    with pytest.raises(ConfigError, match="busy_slope: must be greater than 0, got 0"):
        BlankSettings(busy_slope=0)
