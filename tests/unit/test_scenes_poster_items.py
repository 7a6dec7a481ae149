"""A set laid out for words: the product stands in its box, no prop is behind words, every part is told."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from cyclorama.errors import SettingsError
from cyclorama.layout.elements import PosterLayout, intersect
from cyclorama.scenes.items import RenderConfig, RenderedItem, render_poster_item
from cyclorama.scenes.poster_items import KEPT, OFFSETS, draw_canvas, find_frame, relate
from cyclorama.scenes.surface import Style

CONFIG = RenderConfig(seed=5, size=96, samples=1, kind="poster", categories=("perfume", "mug"))


@pytest.fixture(scope="module")
def item() -> RenderedItem:
    return render_poster_item(CONFIG, 1)


def open_member(item: RenderedItem, name: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(item.members[name])))


def test_the_truth_is_what_the_images_show(item: RenderedItem) -> None:
    image, mask, parts = (open_member(item, name) for name in ("png", "mask.png", "parts.png"))
    truth = item.metadata
    layout = PosterLayout.model_validate(truth["layout"])
    assert image.shape[:2] == mask.shape == parts.shape == (layout.height, layout.width) == draw_canvas(96, 1)
    assert find_frame(mask > 127) == tuple(truth["product_box"])
    assert truth["overlap"] >= 0.8
    solid = mask == 255
    assert (parts[solid] == 1).mean() > 0.95, "nothing hides the product"
    for number, prop in enumerate(truth["props"], 2):
        seen = parts == number
        assert find_frame(seen) == tuple(prop["box"])
        assert seen.mean() == pytest.approx(prop["area"], abs=1e-5)
        for text in layout.select("text"):
            assert intersect(tuple(prop["box"]), text.box) < 0.01, "no prop is behind words"
    assert [one["id"] for one in truth["calm"]] == [text.id for text in layout.select("text")]
    assert render_poster_item(CONFIG, 1).members == item.members


def test_the_accent_follows_the_product_as_often_as_the_rule_says() -> None:
    style = Style(wall=(0.5,) * 3, floor=(0.5,) * 3, prop=(0.5,) * 3, accent=(0.2, 0.7, 0.3), elements=())
    chance = np.random.default_rng(0)
    made = [relate(style, np.array([0.9, 0.1, 0.1]), "mug", chance) for _ in range(400)]
    kept = [one for one, told in made if told["kept"]]
    assert len(kept) / 400 == pytest.approx(KEPT, abs=0.06)
    assert {told["offset"] for _, told in made} <= {round(offset, 4) for offset in OFFSETS}
    assert len({one.accent for one in kept}) == 1
    assert all(one.accent == style.accent for one, told in made if not told["kept"])


def test_canvases_have_one_area_and_a_least_size() -> None:
    sizes = [draw_canvas(256, index) for index in range(4)]
    assert sizes[0] == (256, 256) and sizes[2] == sizes[3][::-1]
    assert all(abs(tall * wide / 256**2 - 1) < 0.1 for tall, wide in sizes)
    assert all(side % 16 == 0 for size in sizes for side in size)
    with pytest.raises(SettingsError, match="posters need 96"):
        RenderConfig(seed=1, size=64, kind="poster")
