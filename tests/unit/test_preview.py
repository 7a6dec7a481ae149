"""A category's sheet: what lies where, and the plain thing that stands for a product.

Of cyclorama.scenes.preview, by its values.
"""

from __future__ import annotations

import colorsys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cyclorama.errors import ConfigError
from cyclorama.scenes import preview
from cyclorama.scenes.library import BUILT_IN
from cyclorama.scenes.model import CutOut
from cyclorama.scenes.preview import draw_product, draw_sheet, find_scene
from cyclorama.scenes.stage import BodyShape, Framing

SIDE = 80


def draw_stand_in(monkeypatch: pytest.MonkeyPatch, body: BodyShape) -> CutOut:
    """That of a category whose products take half of the image."""
    monkeypatch.setattr(preview, "measure_body", lambda _: body)
    category: Any = SimpleNamespace(build_product=None, framing=Framing(share=(0.4, 0.6), fov=27.0))
    return draw_product(category, 3, SIDE)


def read_hue(pixel: np.ndarray) -> float:
    return colorsys.rgb_to_hsv(*(pixel / 255.0))[0]


def test_what_stands_is_twice_as_tall_as_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    cutout = draw_stand_in(monkeypatch, BodyShape(depth=1.0, round=True))
    assert cutout.box == (19, 30, 42, 20)  # 0.5 of 80 tall, in the middle, its upper and lower rim soft
    assert cutout.matte[18:22, 40] == pytest.approx([0, 0.25, 0.75, 1], abs=1e-5)
    assert cutout.matte[40, 28:32].tolist() == [0, 0, 1, 1]
    assert cutout.matte.sum() == pytest.approx(40 * 20 * 0.98, rel=0.02)  # round corners
    for mirrored in (cutout.matte[::-1], cutout.matte[:, ::-1]):
        assert np.abs(cutout.matte - mirrored).max() < 1e-5


def test_what_lies_is_a_disc(monkeypatch: pytest.MonkeyPatch) -> None:
    cutout = draw_stand_in(monkeypatch, BodyShape(depth=0.3, lies=True))
    assert cutout.box == (20, 20, 40, 40)
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    assert cutout.matte == pytest.approx(np.clip(20.5 - np.hypot(y - 40, x - 40), 0, 1), abs=1e-5)


def test_a_round_thing_is_darker_at_its_sides_and_a_box_below(monkeypatch: pytest.MonkeyPatch) -> None:
    column = draw_stand_in(monkeypatch, BodyShape(depth=1.0, round=True)).foreground.astype(int)
    box = draw_stand_in(monkeypatch, BodyShape(depth=0.5, round=False)).foreground.astype(int)
    u, v = (np.arange(SIDE) + 0.5 - 40) / 10, (np.arange(SIDE) + 0.5 - 40) / 20
    label = (np.abs(u) < 0.72)[None] & (np.abs(v) < 0.42)[:, None]
    plain = np.where(label[..., None], (240, 236, 228), box[20, 40] / (1 - 0.08 * (v[20] + 1)))
    inside = np.s_[20:60, 30:50]
    round_ = plain * (1 - 0.45 * np.abs(u) ** 2.5)[None, :, None]
    assert column[inside] == pytest.approx(round_[inside], abs=2)
    flat = plain * (1 - 0.08 * (v + 1))[:, None, None]
    assert box[inside] == pytest.approx(flat[inside], abs=2)
    assert len({round(read_hue(box[y, x]), 2) for y in (21, 58) for x in (32, 47)}) == 1


def test_a_product_of_its_own_is_rendered(monkeypatch: pytest.MonkeyPatch) -> None:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[7:19, 30:33] = 255
    mask[9, 30] = 51
    photo = np.full((SIDE, SIDE, 3), 9, np.uint8)
    monkeypatch.setattr(preview, "build_studio", lambda category, number: ("stage", number))
    monkeypatch.setattr(preview, "render_image", lambda *asked: photo)
    monkeypatch.setattr(preview, "render_mask", lambda *asked: mask)
    category: Any = SimpleNamespace(build_product=lambda: None)
    cutout = draw_product(category, 3, SIDE)
    assert cutout.foreground is photo
    assert cutout.box == (7, 30, 12, 3)
    assert (cutout.matte[8, 31], cutout.matte[9, 30]) == pytest.approx((1, 0.2))


def test_a_sheet_shows_brands_then_styles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve sets in three rows with a gap between: the number is the ground's grey."""
    matte = np.zeros((4, 4), np.float32)
    matte[1:3, 1], matte[1, 2] = 1, 0.25
    product = CutOut(np.full((4, 4, 3), 200, np.uint8), matte, (1, 1, 2, 2))
    styles = []

    def set_stage(cutout: CutOut, category: Any, number: int, style: Any) -> Any:
        assert cutout is product
        styles.append(style)
        return SimpleNamespace(stage=number, solid=None)

    def render(stage: int, side: int, samples: int, seed: int, solid: None) -> np.ndarray:
        assert (side, seed) == (4, stage)
        return np.full((4, 4, 3), stage, np.uint8)

    monkeypatch.setattr(preview, "draw_product", lambda category, number, side: product)
    monkeypatch.setattr(preview, "set_stage", set_stage)
    monkeypatch.setattr(preview, "render_image", render)
    library: Any = SimpleNamespace(load=lambda name: SimpleNamespace(brands=["a", "b", "c"]))
    draw_sheet(library, "mat", tmp_path / "sheet.png", seed=2, side=4)
    assert styles == ["a", "b", "c", *[None] * 9]
    with Image.open(tmp_path / "sheet.png") as image:
        sheet = np.asarray(image).astype(int)
    assert sheet.shape == (3 * 12 - 8, 4 * 12 - 8, 3)
    for place in range(12):
        top, left = 12 * (place // 4), 12 * (place % 4)
        cell = sheet[top : top + 4, left : left + 4, 0]
        expected = np.full((4, 4), 24 + place)
        expected[1:3, 1], expected[1, 2] = 200, round(0.25 * 200 + 0.75 * (24 + place))
        assert cell.tolist() == expected.tolist()
    shown = np.zeros(sheet.shape[:2], bool)
    for top in (0, 12, 24):
        for left in (0, 12, 24, 36):
            shown[top : top + 4, left : left + 4] = True
    assert (sheet[~shown] == 255).all()


def test_a_scene_is_found_by_name_or_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_scene("whisky") == (BUILT_IN, "whisky")
    with pytest.raises(ConfigError, match="'gone' is no category file and no category; there are: .*whisky"):
        find_scene("gone")
    library = SimpleNamespace(own=(SimpleNamespace(head={"name": "yoga mat"}),))
    monkeypatch.setattr(preview, "open_library", lambda path: library)
    file = tmp_path / "mine.yaml"
    file.touch()
    assert find_scene(str(file)) == (library, "yoga mat")
