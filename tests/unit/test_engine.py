"""A batch of rendered sets: each image's time and its empty set. Of cyclorama.generation.engine."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cyclorama.generation import engine
from cyclorama.generation.engine import sample_images
from cyclorama.generation.scenes import SceneModel
from cyclorama.generation.settings import GenerateConfig
from cyclorama.generation.task import Task
from cyclorama.imaging.product import Product
from cyclorama.models.registry import Category


class Sets(SceneModel):
    """Sets of one level, the product's seed; the empty set is 100 lighter. Each takes three seconds."""

    def __init__(self) -> None:
        self.now, self.asked = 0.0, list[Any]()

    def draw(self, product: Product, category: str, seed: int, *given: Any, **options: Any) -> np.ndarray:
        self.now += 3
        self.asked.append((category, *given, options["shared"]))
        return np.full((*product.size, 3), seed, np.uint8)

    def draw_empty(self, product: Product, category: str, seed: int, *given: Any) -> np.ndarray:
        return np.full((*product.size, 3), seed + 100, np.uint8)


@pytest.fixture
def sets(monkeypatch: pytest.MonkeyPatch) -> Sets:
    found = Sets()
    monkeypatch.setattr(engine, "time", SimpleNamespace(perf_counter=lambda: found.now))
    return found


def build_tasks(*seeds: int) -> list[Task]:
    matte = np.zeros((16, 16), np.float32)
    matte[4:12, 4:12] = 1
    product = Product(np.zeros((16, 16, 3), np.uint8), matte)
    return [Task(product, Category("tea", 0), seed) for seed in seeds]


def test_a_batchs_time_is_shared_among_its_images(sets: Sets) -> None:
    images = sample_images(sets, build_tasks(10, 20, 30), GenerateConfig(shared_sets=False))
    assert [image.seconds for image in images] == [3.0, 3.0, 3.0]
    assert [image.pixels[0, 0].tolist() for image in images] == [[10] * 3, [20] * 3, [30] * 3]
    assert [image.empty for image in images] == [None, None, None]
    assert sets.asked == [("tea", GenerateConfig().preset, None, False)] * 3


def test_each_image_with_layers_has_its_own_empty_set(sets: Sets) -> None:
    images = sample_images(sets, build_tasks(10, 20), GenerateConfig(layers="png"))
    assert [image.empty[0, 0, 0] for image in images] == [110, 120]
    assert [asked[-1] for asked in sets.asked] == [True, True]  # the plate that the empty set shows, too
