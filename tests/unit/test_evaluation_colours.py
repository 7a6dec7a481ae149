"""The library's CIEDE2000 against the published pairs; palettes against shifts that are known."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000

from cyclorama.errors import MissingImageError, TooFewImagesError
from cyclorama.evaluation.following import (
    _get_directions,
    compute_palette,
    compute_palette_distance,
    compute_percentiles,
    list_rivals,
)

# L1 a1 b1 L2 a2 b2 and the difference: Sharma, Wu, Dalal 2005, table 1
PUBLISHED = """
50.0000 2.6772 -79.7751 50.0000 0.0000 -82.7485 2.0425
50.0000 3.1571 -77.2803 50.0000 0.0000 -82.7485 2.8615
50.0000 2.8361 -74.0200 50.0000 0.0000 -82.7485 3.4412
50.0000 -1.3802 -84.2814 50.0000 0.0000 -82.7485 1.0000
50.0000 -1.1848 -84.8006 50.0000 0.0000 -82.7485 1.0000
50.0000 -0.9009 -85.5211 50.0000 0.0000 -82.7485 1.0000
50.0000 0.0000 0.0000 50.0000 -1.0000 2.0000 2.3669
50.0000 -1.0000 2.0000 50.0000 0.0000 0.0000 2.3669
50.0000 2.4900 -0.0010 50.0000 -2.4900 0.0009 7.1792
50.0000 2.4900 -0.0010 50.0000 -2.4900 0.0010 7.1792
50.0000 2.4900 -0.0010 50.0000 -2.4900 0.0011 7.2195
50.0000 2.4900 -0.0010 50.0000 -2.4900 0.0012 7.2195
50.0000 -0.0010 2.4900 50.0000 0.0009 -2.4900 4.8045
50.0000 -0.0010 2.4900 50.0000 0.0010 -2.4900 4.8045
50.0000 -0.0010 2.4900 50.0000 0.0011 -2.4900 4.7461
50.0000 2.5000 0.0000 50.0000 0.0000 -2.5000 4.3065
50.0000 2.5000 0.0000 73.0000 25.0000 -18.0000 27.1492
50.0000 2.5000 0.0000 61.0000 -5.0000 29.0000 22.8977
50.0000 2.5000 0.0000 56.0000 -27.0000 -3.0000 31.9030
50.0000 2.5000 0.0000 58.0000 24.0000 15.0000 19.4535
50.0000 2.5000 0.0000 50.0000 3.1736 0.5854 1.0000
50.0000 2.5000 0.0000 50.0000 3.2972 0.0000 1.0000
50.0000 2.5000 0.0000 50.0000 1.8634 0.5757 1.0000
50.0000 2.5000 0.0000 50.0000 3.2592 0.3350 1.0000
60.2574 -34.0099 36.2677 60.4626 -34.1751 39.4387 1.2644
63.0109 -31.0961 -5.8663 62.8187 -29.7946 -4.0864 1.2630
61.2901 3.7196 -5.3901 61.4292 2.2480 -4.9620 1.8731
35.0831 -44.1164 3.7933 35.0232 -40.0716 1.5901 1.8645
22.7233 20.0904 -46.6940 23.0331 14.9730 -42.5619 2.0373
36.4612 47.8580 18.3852 36.2715 50.5065 21.2231 1.4146
90.8027 -2.0831 1.4410 91.1528 -1.6435 0.0447 1.4441
90.9257 -0.5406 -0.9208 88.6381 -0.8985 -0.7239 1.5381
6.7747 -0.2908 -2.4247 5.8714 -0.0985 -2.2286 0.6377
2.0776 0.0795 -1.1350 0.9033 -0.0636 -0.5514 0.9082
"""


def test_ciede2000_equals_the_published_pairs():
    rows = np.array([line.split() for line in PUBLISHED.split("\n") if line], dtype=float)
    assert len(rows) == 34
    found = deltaE_ciede2000(rows[:, :3], rows[:, 3:6])
    np.testing.assert_allclose(found, rows[:, 6], atol=5.1e-5)
    np.testing.assert_allclose(deltaE_ciede2000(rows[:, 3:6], rows[:, :3]), found, rtol=1e-9)


def test_palette_distance_of_a_uniform_shift_is_its_length():
    first = np.random.default_rng(0).normal(size=(64, 256)).cumsum(axis=1)
    for shift in ([10.0, 0, 0], [0, 6, 8], [3, -4, 12]):
        moved = first + (_get_directions() @ np.array(shift))[:, None]
        length = float(np.linalg.norm(shift))
        assert compute_palette_distance(first, moved) == pytest.approx(length, rel=0.03)


def test_palette_of_grey_levels_sees_their_lightness_and_not_their_places():
    random = np.random.default_rng(1)
    dark = random.integers(90, 110, (40, 50, 1), dtype=np.uint8).repeat(3, axis=2)
    flipped = dark[::-1, ::-1]
    bright = dark + np.uint8(60)
    from cyclorama.imaging.colour import to_lab

    lift = float((to_lab(bright) - to_lab(dark))[..., 0].mean())
    assert compute_palette_distance(compute_palette(dark), compute_palette(flipped)) == 0
    found = compute_palette_distance(compute_palette(dark), compute_palette(bright))
    assert found == pytest.approx(lift, rel=0.05)


def test_palette_leaves_the_product_out():
    random = np.random.default_rng(2)
    scene = random.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    mask = np.zeros((64, 64), np.float32)
    mask[20:40, 20:40] = 1
    painted = scene.copy()
    painted[20:40, 20:40] = (255, 0, 0)
    same = compute_palette_distance(compute_palette(scene, mask), compute_palette(painted, mask))
    assert same == 0
    assert compute_palette_distance(compute_palette(scene), compute_palette(painted)) > 2
    with pytest.raises(TooFewImagesError, match="0 background pixels"):
        compute_palette(scene, np.ones((64, 64), np.float32))


def test_following_counts_the_references_that_are_farther():
    styles = dict.fromkeys(("r1", "r2", "r3"), ("tea", None)) | {"r4": ("soap", None)}
    distances = {("p", "r1"): 1.0, ("p", "r2"): 3.0, ("p", "r3"): 1.0, ("q", "r4"): 1.0}
    assert compute_percentiles({"p": "r1", "q": "r4"}, styles, distances) == {"p": 0.75}
    with pytest.raises(MissingImageError, match="r3"):
        compute_percentiles({"p": "r1"}, styles, {("p", "r1"): 1.0, ("p", "r2"): 3.0})


def test_a_brands_references_are_no_rivals_of_each_other():
    styles = {
        "r1": ("tea", "a"),
        "r2": ("tea", "a"),
        "r3": ("tea", "b"),
        "r4": ("tea", None),
        "r5": ("soap", "b"),
    }
    assert list_rivals("r1", styles) == ["r3", "r4"]
    assert list_rivals("r3", styles) == ["r1", "r2", "r4"]
    assert list_rivals("r4", styles) == ["r1", "r2", "r3"]
    distances = {("p", "r1"): 2.0, ("p", "r2"): 1.0, ("p", "r3"): 3.0, ("p", "r4"): 1.0}
    assert compute_percentiles({"p": "r1", "q": "r5"}, styles, distances | {("q", "r5"): 1.0}) == {"p": 0.5}
