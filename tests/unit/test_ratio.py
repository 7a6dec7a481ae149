"""The arithmetic of what a product changes in an empty set: sizes, windows, fading, measuring."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cyclorama.scenes import ratio
from cyclorama.scenes.ratio import (
    Change,
    fill_hidden,
    find_foot_window,
    measure_change,
    predict_fault,
    shrink,
    spread,
)
from cyclorama.scenes.stage import Camera, Stage


def light(value: float, height: int = 4, width: int = 4) -> NDArray[np.float32]:
    return np.full((height, width, 3), value, np.float32)


def test_the_small_image_is_a_fourth_of_the_longer_side_and_48_at_least() -> None:
    assert ratio._shrink_side(light(0, 400, 100)) == 100
    assert ratio._shrink_side(light(0, 100, 404)) == 101
    assert ratio._shrink_side(light(0, 60, 100)) == 48


def test_small_images_get_more_samples_up_to_each_limit() -> None:
    assert [ratio._count_samples(size) for size in (48, 160, 161, 320, 321, 4000)] == [16, 16, 10, 10, 6, 6]


def test_a_window_fades_to_its_edges_but_not_to_those_of_the_canvas() -> None:
    inner = ratio._fade((10, 20, 12, 10), (160, 160))  # margin: half a twentieth, 4 pixels
    across = [0.125, 0.375, 0.625, 0.875, 1, 1, 1, 1, 0.875, 0.625, 0.375, 0.125]
    down = [0.125, 0.375, 0.625, 0.875, 1, 1, 0.875, 0.625, 0.375, 0.125]
    assert inner == pytest.approx(np.outer(down, across))
    assert ratio._fade((0, 0, 12, 10), (10, 12)).min() == 1  # the whole canvas
    corner = ratio._fade((0, 0, 6, 6), (40, 40))  # margin 2
    assert corner[0] == pytest.approx([1, 1, 1, 1, 0.75, 0.25])
    assert corner[:, 0] == pytest.approx([1, 1, 1, 1, 0.75, 0.25])
    other = ratio._fade((34, 34, 6, 6), (40, 40))
    assert other[5] == pytest.approx([0.25, 0.75, 1, 1, 1, 1])
    assert other[:, 5] == pytest.approx([0.25, 0.75, 1, 1, 1, 1])


def test_the_foots_window_goes_a_margin_beyond_the_lowest_tenth() -> None:
    matte = np.zeros((200, 160), np.float32)
    matte[40:141, 50:110] = 1
    matte[125:141, 50:70] = 0  # one leg, at the right
    matte[40:141, 49] = 0.5  # half seen is not solid
    assert find_foot_window(matte) == (60, 130, 60, 21)  # the lowest row is 140, a tenth of the height 10
    assert find_foot_window(matte[:, ::-1]) == (40, 130, 60, 21)  # as far to the right as to the left
    matte = np.zeros((100, 100), np.float32)
    matte[90:98, 2:97] = 1
    assert find_foot_window(matte) == (
        0,
        94,
        100,
        6,
    )  # half a margin of 5, more than a tenth; cut at the canvas
    matte = np.zeros((40, 40), np.float32)
    matte[20:30, 10:20] = 1
    assert find_foot_window(matte) == (6, 27, 18, 7)  # a margin of 4 at least


def test_a_shrunk_images_pixel_is_the_mean_of_what_it_covers() -> None:
    image = np.arange(16, dtype=np.float32).reshape(4, 4)
    assert shrink(image, (2, 1)).tolist() == [[3.5], [11.5]]
    assert shrink(np.stack([image, image + 1, image * 2], 2), (1, 2)).tolist() == [
        [[6.5, 7.5, 13], [8.5, 9.5, 17]]
    ]


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Renders that are 3 with and 1 without a product, each noted."""
    noted: list[tuple[Any, ...]] = []

    def render(
        stage: Stage, size: int, samples: int, seed: int, crop: Any, *rest: Any
    ) -> NDArray[np.float32]:
        noted.append((len(stage.product), size, samples, seed, crop))
        made = light(3.0 if stage.product else 1.0, *rest[1].shape[:2])
        if stage.product:
            made[0, 0] = 7.0
        return made

    monkeypatch.setattr(ratio, "render_light", render)
    return noted


def with_product() -> Stage:
    return Stage(product=[SimpleNamespace()], camera=Camera((0, -2, 1), (0, 0, 0), 30.0))  # type: ignore[list-item]


def test_a_change_is_light_with_over_light_without(rendered: list[tuple[Any, ...]]) -> None:
    matte = np.zeros((4, 4), np.float32)
    matte[0, 0] = 0.1
    change = measure_change(with_product(), [], 200, 5, light(0.5), matte)
    assert rendered == [(1, 200, 10, 5, None), (0, 200, 10, 5, None)]
    assert change.ratio == pytest.approx(light(3.001 / 1.001))  # where it is hidden, the neighbour's
    assert change.seen.tolist() == (matte == 0).tolist()
    known = measure_change(
        with_product(), [], 200, 5, light(0.5), np.ones((4, 4), np.float32), None, light(0.5)
    )
    assert len(rendered) == 3  # what is known is not rendered
    assert known.ratio[0, 0] == pytest.approx([7.001 / 0.501] * 3)  # nothing is seen: as measured
    assert known.ratio[1, 1] == pytest.approx([3.001 / 0.501] * 3)


def test_a_product_is_measured_small_and_at_its_foot(rendered: list[tuple[Any, ...]]) -> None:
    stage, canvas = with_product(), light(0.5, 400, 400)
    matte = np.zeros((400, 400), np.float32)
    matte[100:300, 150:250] = 1
    before = ratio.measure_empty(stage, [], canvas, 9)
    assert (before.shape, rendered.pop()) == ((100, 100, 3), (0, 100, 16, 9, None))
    changed, fault = ratio.add_product(canvas, stage, [], canvas, matte, 9, before)
    window = (130, 279, 140, 41)
    assert [(n[0], n[1], n[2], n[3]) for n in rendered] == [(1, 100, 16, 9), (1, 400, 6, 9), (0, 400, 6, 9)]
    assert (rendered[0][4], rendered[1][4]) == (None, window)
    assert changed[285:, 140:] == pytest.approx(0.5 * 3.001 / 1.001, rel=1e-4)
    assert 0 <= fault < 0.01


def test_between_equal_neighbours_a_ratio_is_spread_straight() -> None:
    change = Change(light(1, 2, 2), light(0.5, 2, 2), np.ones((2, 2), bool))
    change.ratio[:, 1] = 2
    made = spread(change, light(0.5, 4, 4))[:, :, 0]
    assert made == pytest.approx(np.tile([1, 1.25, 1.75, 2], (4, 1)), abs=2e-3)
    turned = Change(
        *(np.ascontiguousarray(each.swapaxes(0, 1)) for each in (change.ratio, change.before)), change.seen
    )
    assert spread(turned, light(0.5, 4, 4))[:, :, 0] == pytest.approx(made.T)


def test_a_ratio_keeps_to_pixels_of_its_own_brightness() -> None:
    change = Change(light(1, 2, 2), light(0.2, 2, 2), np.ones((2, 2), bool))
    change.ratio[:, 1], change.before[:, 1] = 2, 0.8
    seen = light(0.2, 4, 4)
    seen[:, ::2] = 0.8
    made = spread(change, seen)[0, :, 0]
    assert made[1:3] == pytest.approx([1, 2], abs=0.01)
    near = np.exp(-((np.log(0.241 / 0.201) / 0.2) ** 2))  # a fifth brighter: belongs to it in part
    change = Change(light(1, 1, 2), light(0.2, 1, 2), np.ones((1, 2), bool))
    change.ratio[:, 1], change.before[:, 1] = 2, 0.24
    middle = spread(change, light(0.2, 1, 3))[0, 1, 0]
    assert middle == pytest.approx((1.0001 + 2 * (near + 1e-4)) / (1.0001 + near + 1e-4), rel=1e-4)


def test_the_predicted_fault_is_a_share_of_what_is_seen() -> None:
    smooth = Change(light(0.5, 8, 8), light(0.5, 8, 8), np.ones((8, 8), bool))
    assert predict_fault(smooth, 1.0) == 0
    fine = light(0.3, 8, 8)
    fine[:, ::2] = 1.0
    seen = np.zeros((8, 8), bool)
    seen[:4] = True
    assert predict_fault(Change(fine, light(0.5, 8, 8), seen), 1.0) == 1
    assert predict_fault(Change(fine, light(0.5, 8, 8), np.zeros((8, 8), bool)), 1.0) == 0


def test_a_contact_in_dashes_becomes_an_even_line_and_nothing_else_changes() -> None:
    seen = np.ones((40, 60), bool)
    seen[8:30, 12:48] = False
    change = np.random.default_rng(0).uniform(0.9, 1.0, (40, 60, 3)).astype(np.float32)
    change[30, 12:48] = np.where(np.arange(36) // 2 % 2, 0.3, 0.9)[:, None]  # below the product
    change[~seen] = 5.0
    filled = fill_hidden(change, seen)
    assert np.abs(filled[30, 18:42] - 0.6).max() < 0.06, "as dark as the dashes were in the mean"
    assert np.abs(filled[29, 18:42] - filled[30, 18:42]).max() < 0.03, "and so it goes on below the product"
    far = np.ones_like(seen)
    far[7:31, 11:49] = False
    assert np.array_equal(filled[far], change[far])
    assert filled.max() < 1.01, "nothing of what was hidden is left"
    alone = np.ones((4, 4), bool)
    assert np.array_equal(fill_hidden(change[:4, :4], alone), change[:4, :4])
    assert np.array_equal(fill_hidden(change[:4, :4], ~alone), change[:4, :4]), "nothing is known"
