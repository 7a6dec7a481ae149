"""What a learned model is given and what its answer becomes: cyclorama.generation.learned, by its values."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from cyclorama.errors import ModelError, SettingsError
from cyclorama.generation.learned import build_hidden_mask, choose_device, draw_grounds
from cyclorama.generation.settings import GenerateConfig
from cyclorama.generation.task import Task
from cyclorama.imaging.colour import ADOBE_RGB, build_profile, from_srgb
from cyclorama.imaging.product import Product, Reference
from cyclorama.models.registry import CategoryRegistry

PIPELINE: Any = SimpleNamespace(image_size=64, image_multiple=8)
REGISTRY = CategoryRegistry()
REGISTRY.add("fruit")
DISPLAY_P3 = build_profile(
    "Display P3", (0.68, 0.32, 0.265, 0.69, 0.15, 0.06), (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
)


def build_task(seed: int, level: int = 100, reference: Reference | None = None) -> Task:
    matte = np.zeros((64, 64), np.float32)
    matte[20:40, 20:40] = 1
    product = Product(np.full((64, 64, 3), level, np.uint8), matte)
    return Task(product, REGISTRY.resolve("fruit"), seed, reference)


def draw(tasks: list[Task], shape: int | None, answer: torch.Tensor) -> tuple[list[Any], dict[str, Any]]:
    """The grounds, and what the model was given."""
    given: dict[str, Any] = {}

    def call(pipeline: Any, images: Any, masks: Any, names: Any, generators: Any, **more: Any) -> Any:
        seeds = [generator.initial_seed() for generator in generators]
        given.update(more, images=images, masks=masks, names=names, seeds=seeds)
        return answer.expand(len(images), 3, 64, 64)

    grounds = draw_grounds(PIPELINE, tasks, [t.product for t in tasks], GenerateConfig(), shape, call)
    return grounds, given


@pytest.mark.parametrize(
    ("batch", "seeds"), [(None, [5, 6]), (1, [5, 6]), (2, [5, 6]), (3, [5, 6, 6]), (5, [5, 6, 6, 6, 6])]
)
def test_the_last_one_fills_the_batch_and_is_left_out_of_the_answer(
    batch: int | None, seeds: list[int]
) -> None:
    grounds, given = draw([build_task(5, 10), build_task(6, 200)], batch, torch.zeros(1, 3, 1, 1))
    assert given["seeds"] == seeds
    assert given["names"] == ["fruit"] * len(seeds)
    shown = given["images"][:, 0, 30, 30]
    assert shown.tolist() == pytest.approx([v / 127.5 - 1 for v in (10, *[200] * (len(seeds) - 1))], abs=1e-5)
    assert given["masks"].shape == (len(seeds), 1, 64, 64)
    assert given["masks"].sum((1, 2, 3)).tolist() == [400] * len(seeds)
    assert len(grounds) == 2
    assert given["reference_image"] is None is given["reference_mask"]


@pytest.mark.parametrize("profile", [ADOBE_RGB, DISPLAY_P3])
def test_a_product_of_a_wide_profile_is_shown_in_srgb(profile: bytes) -> None:
    """The model has learned from sRGB, and its answer is taken as sRGB."""
    srgb = np.full((64, 64, 3), (40, 170, 60), np.uint8)
    shown = []
    for pixels, icc_profile in ((srgb, None), (from_srgb(srgb, profile), profile)):
        task = build_task(1)
        product = replace(task.product, pixels=pixels, foreground=pixels, icc_profile=icc_profile)
        _, given = draw([replace(task, product=product)], None, torch.zeros(1, 3, 1, 1))
        shown.append((given["images"][0, :, 30, 30].numpy() + 1) * 127.5)
    assert shown[0] == pytest.approx([40, 170, 60], abs=1e-3)
    assert shown[1] == pytest.approx(shown[0], abs=2)


def test_an_answer_becomes_levels_and_what_is_no_number_an_error() -> None:
    values = torch.tensor([-1.5, 0.2, 1.0]).reshape(1, 3, 1, 1)
    (ground,), _ = draw([build_task(1)], None, values)
    assert ground[7, 9] == pytest.approx([0, 153, 255], abs=1e-4)
    (failed,), _ = draw([build_task(1)], None, torch.full((1, 3, 1, 1), torch.nan))
    assert isinstance(failed, ModelError)
    assert "try --dtype float32" in str(failed)


def test_references_are_given_with_what_is_hidden_of_them() -> None:
    mask = np.zeros((64, 64), np.float32)
    mask[30:34, 30:34] = 1
    pixels = np.full((64, 64, 3), 50, np.uint8)
    with_mask, without = Reference(pixels, mask), Reference(pixels)
    _, given = draw([build_task(1, 10, without)] * 2, None, torch.zeros(1, 3, 1, 1))
    assert given["reference_image"].shape == (2, 3, 64, 64)
    assert given["reference_mask"] is None
    _, given = draw([build_task(1, 10, with_mask), build_task(2, 10, without)], None, torch.zeros(1, 3, 1, 1))
    hidden = given["reference_mask"]
    assert hidden[0, 0].numpy() == pytest.approx(build_hidden_mask(mask))
    assert hidden[1].sum() == 0


@pytest.mark.parametrize(
    ("size", "radius"), [((512, 512), 25), ((256, 64), 6), ((64, 256), 6), ((1024, 256), 25)]
)
def test_the_rim_round_a_references_product_is_25_pixels_at_512(size: tuple[int, int], radius: int) -> None:
    mask = np.zeros(size, np.float64)
    row, column = size[0] // 2, size[1] // 2
    mask[row, column] = 0.03
    y, x = np.mgrid[: size[0], : size[1]]
    expected = np.hypot(y - row, x - column) <= radius
    assert (build_hidden_mask(mask) == expected).all()  # type: ignore[arg-type]
    mask[row, column] = 0.02
    assert build_hidden_mask(mask).sum() == 0  # type: ignore[arg-type]


def test_a_device_is_chosen_only_where_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    assert choose_device("auto", "auto") == ("cuda", "float16")
    assert choose_device("cpu", "auto") == ("cpu", "float32")
    assert choose_device("cpu", "bfloat16") == ("cpu", "bfloat16")
    with pytest.raises(SettingsError, match="device 'warp' cannot be used here"):
        choose_device("warp", "auto")
