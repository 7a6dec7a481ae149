"""A product on its canvas in, the ground's size and a learned model's reference out, without rendering.

Of cyclorama.generation.scenes, by its values.
"""

from __future__ import annotations

import hashlib
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cyclorama.generation import scenes
from cyclorama.generation.scenes import (
    build_registry,
    compute_scenes_hash,
    draw_reference,
    fit_cutout,
    get_scenes_folder,
)
from cyclorama.imaging.product import Product
from cyclorama.models.vocabulary import FOLDER
from cyclorama.scenes.bank import BANK
from cyclorama.scenes.features import NETWORK
from cyclorama.scenes.library import BUILT_IN
from cyclorama.scenes.stage import Stage


def build_product(size: tuple[int, int], alpha: float = 1.0) -> Product:
    """One colour in the rows and columns from a quarter to three quarters."""
    matte = np.zeros(size, np.float32)
    matte[size[0] // 4 : 3 * size[0] // 4, size[1] // 4 : 3 * size[1] // 4] = 1
    matte[size[0] // 2 : 3 * size[0] // 4, size[1] // 4 : 3 * size[1] // 4] = alpha
    return Product(np.full((*size, 3), (200, 100, 40), np.uint8), matte)


@pytest.mark.parametrize(
    ("size", "side", "fitted", "box"),
    [
        ((64, 128), 128, (64, 128), (16, 32, 32, 64)),  # as large as it may be
        ((64, 128), 500, (64, 128), (16, 32, 32, 64)),  # never enlarged
        ((64, 128), 64, (32, 64), (8, 16, 16, 32)),
        ((128, 64), 64, (64, 32), (16, 8, 32, 16)),
        ((16, 128), 32, (8, 32), (2, 8, 4, 16)),  # no side below 8
        ((128, 16), 32, (32, 8), (8, 2, 16, 4)),
    ],
)
def test_a_cutouts_larger_side_is_the_presets_at_most(
    size: tuple[int, int], side: int, fitted: tuple[int, int], box: tuple[int, ...]
) -> None:
    cutout = fit_cutout(build_product(size), side)
    assert cutout.canvas == fitted
    assert cutout.foreground.shape == (*fitted, 3)
    assert cutout.box == pytest.approx(box, abs=2)
    top, left, tall, wide = box
    inside = cutout.matte[top + 1 : top + tall - 1, left + 1 : left + wide - 1]
    assert inside == pytest.approx(1, abs=0.2)
    assert (cutout.foreground[top + tall // 2, left + wide // 2] == (200, 100, 40)).all()


class Model:
    """One grey for ground; keeps what was asked for."""

    registry = build_registry()

    def draw(self, *asked: Any) -> np.ndarray:
        self.asked = asked[1:]
        return np.full((*asked[0].size, 3), 60, np.uint8)


def test_a_reference_is_the_product_over_its_set(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model()
    monkeypatch.setattr(scenes, "_open_sets", lambda: model)
    product = build_product((64, 64), alpha=0.25)
    found = draw_reference(product, "whisky", 5)
    assert model.asked == ("whisky", 5, "fast")
    assert (found.pixels[0, 0] == 60).all()
    assert found.pixels[20, 32].tolist() == [200, 100, 40]
    assert found.pixels[40, 32] == pytest.approx(60 + 0.25 * (product.foreground[40, 32] - 60.0), abs=0.5)
    assert found.product_mask is product.matte
    draw_reference(product, "no such thing", 5)
    assert model.asked[0] == "studio"


def test_the_ground_has_the_canvas_size(monkeypatch: pytest.MonkeyPatch) -> None:
    rendered = np.random.default_rng(0).integers(0, 256, (512, 256, 3)).astype(np.uint8)
    monkeypatch.setattr(scenes, "set_stage", lambda *_: SimpleNamespace(stage=Stage(), solid=None))
    monkeypatch.setattr(scenes, "render_image", lambda *_: rendered)
    model = scenes.SceneModel()
    assert model.draw(build_product((512, 256)), "whisky", 1, "fast") is rendered
    large = model.draw(build_product((1024, 512)), "whisky", 1, "fast")
    assert large.shape == (1024, 512, 3)
    means = large.reshape(512, 2, 256, 2, 3).mean((1, 3))
    assert np.corrcoef(means.ravel(), rendered.ravel())[0, 1] > 0.95


def test_the_hash_is_of_the_files_and_the_renderer() -> None:
    data = scenes.RENDERER.encode() + BUILT_IN.digest.encode()
    data += b"".join(
        path.read_bytes() for path in (NETWORK, BANK, FOLDER / "classes.onnx", FOLDER / "classes.txt")
    )
    assert compute_scenes_hash() == hashlib.sha256(data).hexdigest()[:12]
    assert (get_scenes_folder() / "whisky.yaml").is_file()
