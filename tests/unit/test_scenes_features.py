"""What a background is described by: features and colours, without the product that is hidden."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.color import rgb2lab

from cyclorama.scenes.features import NETWORK, _pool, describe_background, fill_hidden, shrink


def draw_scene(size: int = 96) -> NDArray[np.uint8]:
    """A blue wall over an orange floor with stripes."""
    image = np.full((size, size, 3), (120, 160, 220), np.uint8)
    image[size * 2 // 3 :] = (210, 140, 70)
    image[size * 2 // 3 :, ::6] = (150, 90, 40)
    return image


def test_network_is_the_one_of_its_provenance() -> None:
    digest = hashlib.sha256(NETWORK.read_bytes()).hexdigest()
    assert digest in NETWORK.with_name("PROVENANCE.md").read_text(encoding="utf-8")


def test_features_are_stored_ones() -> None:
    found = describe_background(draw_scene()).features
    assert found.shape == (1856,)
    ends = np.cumsum([160, 320, 448] * 2)
    blocks = np.split(found, ends[:-1])
    assert [float(np.linalg.norm(b)) for b in blocks] == pytest.approx([0.5] * 3 + [1] * 3, abs=1e-5)
    assert found[::232] == pytest.approx(
        [-0.0798, 0.0837, -0.0163, -0.0010, -0.1292, 0.1045, -0.0452, 0.0042], abs=2e-4
    )


def test_palette_is_the_mean_colour_of_each_patch() -> None:
    palette = describe_background(draw_scene()).palette
    wall = rgb2lab(np.array([[120, 160, 220]]) / 255.0)[0]
    assert palette[:8] == pytest.approx(np.broadcast_to(wall, (8, 3)), abs=0.2)


def test_hidden_product_does_not_matter() -> None:
    plain, with_product = draw_scene(), draw_scene()
    with_product[30:70, 36:60] = (0, 255, 0)
    other = draw_scene()
    other[30:70, 36:60] = (255, 0, 255)
    mask = np.zeros((96, 96), np.float32)
    mask[30:70, 36:60] = 1
    hidden = describe_background(with_product, mask)
    assert np.array_equal(hidden.features, describe_background(other, mask).features)
    bare, shown = describe_background(plain), describe_background(with_product)
    apart = [float(np.linalg.norm(d.features - bare.features)) for d in (hidden, shown)]
    assert apart[0] < 0.8 * apart[1], apart
    assert np.abs(hidden.palette - bare.palette).max() < 6


def test_all_hidden_is_as_nothing_hidden() -> None:
    image = draw_scene()
    assert shrink(image, np.ones((96, 96), np.float32), 32)[1].all()


def test_hole_takes_the_colours_round_it() -> None:
    image = np.zeros((32, 32, 1), np.float32)
    image[:, 16:] = 10
    seen = np.ones((32, 32), bool)
    seen[10:20, 4:28] = False
    filled = fill_hidden(image, seen)
    assert np.array_equal(filled[seen], image[seen])
    assert filled[15, 5, 0] < 1 and filled[15, 26, 0] > 9


def test_a_mask_hides_from_two_hundredths_on() -> None:
    mask = np.zeros((32, 32), np.float32)
    mask[:, :16] = 0.02
    assert shrink(draw_scene(32), mask, 32)[1].all()
    mask[10:20, 4:8] = 0.03
    seen = shrink(draw_scene(32), mask, 32)[1]
    assert (~seen).sum() == 12 * 6 - 4  # one pixel further, but for the corners


def test_a_cell_of_which_little_is_seen_takes_the_whole_mean() -> None:
    """Cells of 10 by 10: five pixels are the least."""
    values = np.zeros((20, 20, 1))
    values[:10, :10], values[:10, 10:], values[10:, :10], values[10:, 10:] = 1, 2, 3, 4
    seen = np.ones((20, 20), bool)
    seen[:10] = False
    seen[2, 0:4] = True
    seen[2, 10:15] = True
    whole = (4 * 1 + 5 * 2 + 100 * 3 + 100 * 4) / 209
    assert _pool(values, seen, 2).ravel() == pytest.approx([whole, 2, 3, 4])
