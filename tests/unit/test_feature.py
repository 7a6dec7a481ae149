"""Training of the feature network: the disturbed images (``cyclorama.lab.features.data``), the steps and what
is right on the held-out ones (``cyclorama.lab.features.training``)."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from cyclorama.errors import CheckpointError, DataError
from cyclorama.evaluation.reading import ImageItem, ImageSet
from cyclorama.imaging.masks import fill_product, grow_mask
from cyclorama.lab.features import data
from cyclorama.lab.features.data import TrainingSet, augment, load_training_set, prepare_batch
from cyclorama.lab.features.settings import FeatureTrainingSettings
from cyclorama.lab.features.training import (
    RUN_NAME,
    STATE_NAME,
    FeatureTraining,
    compute_rate,
    measure_accuracy,
    train_features,
)

SIDE = 128
BELOW = float(np.nextafter(0.5, 0))


class Script:
    """Chance by the book: ``random`` in turn, numbers at a share of their range (0.5 unless told)."""

    def __init__(self, randoms: Sequence[float] = (), **shares: float) -> None:
        self.randoms, self.shares, self.asked = list(randoms), shares, []

    def random(self) -> float:
        return self.randoms.pop(0)

    def uniform(self, low: float, high: float, size: int | None = None) -> Any:
        if size is not None:
            return np.linspace(low, high, size) if "gains" in self.shares else np.full(size, (low + high) / 2)
        share = self.shares.get("box" if low == 0.75 else "place" if low == 0 else "values", 0.5)
        return low + share * (high - low)

    def integers(self, low: int, high: int, size: int | None = None) -> Any:
        self.asked.append((low, high))
        value = low + (high - low) // 4
        return value if size is None else np.array([value, value + 10])

    def normal(self, mean: float, spread: float, shape: Any) -> Any:
        return np.full(shape, 3 * spread)


@pytest.fixture
def pixels() -> np.ndarray:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return np.stack([columns, 255 - rows, (rows + columns) // 2], 2).astype(np.uint8)


def to_levels(image: np.ndarray) -> np.ndarray:
    return (image.transpose(1, 2, 0) + 1) * 127.5


def disturb(
    pixels: np.ndarray, cover: np.ndarray, other: np.ndarray, randoms: Sequence[float], **shares: Any
) -> Any:
    chance = Script(randoms, **{"box": 1.0} | shares)
    found = augment(pixels, cover, other, chance)  # type: ignore[arg-type]
    assert found.shape == (3, SIDE, SIDE) and found.dtype == np.float32 and not chance.randoms
    return to_levels(found)


def assert_near(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-3)


def test_each_disturbance_comes_below_its_bound(pixels: np.ndarray) -> None:
    cover, other = np.zeros((2, SIDE, SIDE), np.uint8)
    cover[40:50, 10:20] = 255
    cover[60, 60] = 51  # a fifth
    other[100:110, 0:8] = 255

    def mix(gap: np.ndarray, view: np.ndarray = pixels) -> Any:
        weight = gap[..., None] / 255
        return view * (1 - weight) + 128 * weight

    plain = [0.5, 0.5, 0.5, 0.3, 0.45]  # other's gap, mirrored, wider, a box, spoilt: none of them
    assert_near(disturb(pixels, cover, other, plain), mix(cover))
    mirrored = disturb(pixels, cover, other, [0.5, BELOW, 0.5, 0.3, 0.45])
    assert_near(mirrored, mix(cover[:, ::-1], pixels[:, ::-1]))
    wider = cover.copy()  # the greatest of 6 by 6, three before and two after
    wider[38:53, 8:23] = 255
    wider[58:64, 58:64] = 51
    assert_near(disturb(pixels, cover, other, [0.5, 0.5, BELOW, 0.3, 0.45]), mix(wider))
    both = np.maximum(cover, other)
    assert_near(disturb(pixels, cover, other, [BELOW, 0.5, 0.5, 0.5, 0.3, 0.45]), mix(both))
    turned = np.maximum(cover, other[:, ::-1])
    assert_near(disturb(pixels, cover, other, [BELOW, 0.5, 0.5, BELOW, 0.3, 0.45]), mix(turned))
    boxed = cover.copy()
    boxed[25:53, 22:60] = 255  # 28 by 38, a quarter of what is left from above and from the left
    assert_near(disturb(pixels, cover, other, [0.5, 0.5, 0.5, 0.2999, 0.45]), mix(boxed))


def test_a_cut_box_fits(pixels: np.ndarray) -> None:
    chance = Script()
    gap = data._cut_box(np.zeros((SIDE, SIDE), np.uint8), chance)  # type: ignore[arg-type]
    assert chance.asked == [(16, 64), (0, 100), (0, 90)]
    assert np.argwhere(gap).min(0).tolist() == [25, 22] and np.argwhere(gap).max(0).tolist() == [52, 59]
    assert (gap == 255).sum() == 28 * 38


def test_a_crop_lies_within_the_image() -> None:
    assert data._sample_box(160, Script(box=0.0, place=1.0)) == (40, 40, 160, 160)  # type: ignore[arg-type]
    assert data._sample_box(160, Script(box=0.2, place=0.5)) == pytest.approx((16, 16, 144, 144))  # type: ignore[arg-type]


def test_colours_are_shifted_by_contrast_saturation_and_gains(pixels: np.ndarray) -> None:
    found = data._shift_colours(pixels, Script(values=0.75, gains=1))  # type: ignore[arg-type]
    contrast = 128 + 1.06 * (pixels.astype(float) - 128)
    grey = contrast.mean(axis=2, keepdims=True)
    expected = (grey + 1.075 * (contrast - grey)) * np.array([0.94, 1.0, 1.06]) * 1.05
    difference = found.astype(float) - np.floor(expected.clip(0, 255))
    assert np.abs(difference).max() <= 1 and np.abs(difference).mean() < 0.01
    assert (data._shift_colours(pixels, Script()) == pixels).mean() > 0.99  # type: ignore[arg-type]


def test_spoilt_images_by_their_kind(pixels: np.ndarray) -> None:
    def spoil(kind: float) -> Any:
        return data._degrade(pixels, Script([kind]))  # type: ignore[arg-type]

    pixels[30:60:3, 40:80:2] = (250, 10, 200)  # which neither a blur nor JPEG leaves as they are
    view = pixels.astype(np.float32)
    noisy = np.minimum(view + 16.5, 255)  # three times the spread of 5.5
    assert_near(spoil(0.15), noisy)
    assert_near(spoil(0.2999), noisy)
    assert np.array_equal(spoil(0.45), view)
    for kinds in ((0.0, 0.1499), (0.3, 0.4499)):
        first, second = (spoil(kind) for kind in kinds)
        assert np.array_equal(first, second)
        assert 0 < np.abs(first - view).mean() < 12 < np.abs(first - noisy).mean()


def test_batches_are_scaled_to_the_networks_range() -> None:
    batch = prepare_batch(np.stack([np.full((9, 9, 3), v, np.uint8) for v in (0, 51, 255)]))
    assert batch.shape == (3, 3, SIDE, SIDE) and batch[:, 0, 5, 5] == pytest.approx([-1, -0.6, 1])


def build_images(categories: Sequence[str], train: Sequence[bool], palettes: Sequence[Any] = ()) -> ImageSet:
    items = {}
    for n, (category, first) in enumerate(zip(categories, train)):
        mask = np.zeros((144, 144), np.float32)
        mask[20 + n : 60, 30:90] = 1
        meta = {"split": "train" if first else "test", "brand": f"b{n % 2}" if n else None}
        if n < len(palettes):
            meta["palette"] = palettes[n]
        image = np.random.default_rng(n).integers(0, 256, (144, 144, 3), dtype=np.uint8)
        items[f"k{n}"] = ImageItem(image, mask, category, None, meta)
    return ImageSet("set", items)


def test_a_training_set_holds_what_its_images_say() -> None:
    colours = ["#000000", "#ff8040", "#0a0b0c", "#FFFFFF"]
    palettes = [colours, colours[:3], [*colours, "#000000"], ["#zz0000", *colours[1:]]]
    images = build_images(["tea", "mug", "tea", "mug"], [True, True, False, True], palettes)
    found = load_training_set(images)
    assert found.category_names == ("mug", "tea") and found.categories.tolist() == [1, 0, 1, 0]
    assert found.is_train.tolist() == [True, True, False, True]
    assert found.brand_names == ("b1",) and found.brands.tolist() == [-1, 0, -1, 0]  # b0 is held out alone
    levels = [0, 0, 0, 255, 128, 64, 10, 11, 12, 255, 255, 255]
    assert found.palettes[0] == pytest.approx(np.array(levels) / 127.5 - 1, abs=1e-6)
    assert np.isnan(found.palettes[1:]).all()
    for n, image in enumerate(images):
        assert np.array_equal(found.pixels[n], fill_product(image.pixels, image.mask))
        assert found.covers[n] == pytest.approx(np.rint(grow_mask(image.mask) * 255))
    for categories, train in (
        (["tea"] * 2, [True, False]),
        (["tea", "mug"], [True] * 2),
        (["tea", "mug"], [False] * 2),
    ):
        with pytest.raises(
            DataError, match=f"{len(set(categories))} categories, {sum(train)} images to train"
        ):
            load_training_set(build_images(categories, train))
    load_training_set(build_images(["tea", "mug"], [True, False]))  # two are enough
    items = {k: replace(item, mask=None) for k, item in images.items.items()}
    with pytest.raises(DataError, match="'k0' has no mask"):
        load_training_set(ImageSet("set", items))


@pytest.fixture(scope="module")
def small() -> TrainingSet:
    palettes = [["#102030"] * 4, None, ["#ff00ff"] * 4]
    return load_training_set(build_images(["tea", "mug"] * 3, [True] * 4 + [False] * 2, palettes))


def build_settings(**changes: Any) -> FeatureTrainingSettings:
    return FeatureTrainingSettings(**{"steps": 3, "batch_size": 2, "checkpoint_steps": 2, **changes})


def test_the_rate_rises_over_a_twentieth_and_falls_on_a_cosine() -> None:
    config = build_settings(steps=40, learning_rate=4.0)
    expected = [2, 4, *(2 * (1 + math.cos(math.pi * n / 38)) for n in range(39))]
    assert [compute_rate(config, step) for step in range(41)] == pytest.approx(expected)
    one = build_settings(steps=1, learning_rate=4.0)
    assert [compute_rate(one, step) for step in (0, 1)] == [4, 4]


def test_every_round_of_steps_sees_every_training_image_once(small: TrainingSet) -> None:
    training = FeatureTraining(small, build_settings())
    seen = []
    for training.step in range(4):
        image, rows = training._sample_batch()
        assert image.shape == (2, 3, SIDE, SIDE)
        seen += rows.tolist()
    assert sorted(seen[:4]) == sorted(seen[4:]) == [0, 1, 2, 3]


def test_the_loss_is_that_of_category_brand_and_palette(small: TrainingSet) -> None:
    config = build_settings(label_smoothing=0.1, brand_weight=0.4, palette_weight=3.0)
    training = FeatureTraining(small, config)
    training.network.eval()
    rows = np.array([0, 1, 2, 3])
    image = torch.from_numpy(prepare_batch(small.pixels[rows]))
    with torch.no_grad():
        features = training.network(image)
        category = training.network.category_head(features).log_softmax(1).double().numpy()
        assert training.network.brand_head is not None
        brand = training.network.brand_head(features).log_softmax(1).double().numpy()
        palette = training.network.palette_head(features).double().numpy()

        def compute(rows: np.ndarray) -> float:
            truth, brands = small.categories[rows], small.brands[rows]
            loss = np.mean([-0.9 * category[r, t] - 0.05 * category[r].sum() for r, t in zip(rows, truth)])
            if (brands >= 0).any():
                loss += 0.4 * np.mean([-brand[r, b] for r, b in zip(rows, brands) if b >= 0])
            known = [r for r in rows if r in (0, 2)]
            if known:
                off = np.abs(palette[known] - small.palettes[known])
                loss += 3 * np.where(off < 1, off**2 / 2, off - 0.5).mean()
            return float(loss)

        for chosen in ([0, 1, 2, 3], [0], [1, 3], [2]):
            part = np.array(chosen)
            loss = training._compute_loss(image[part], part)
            assert float(loss) == pytest.approx(compute(part), rel=1e-5), chosen


def test_states_are_saved_in_time_and_a_stopped_run_goes_on(
    small: TrainingSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[int] = []
    save, counts = FeatureTraining.save, [0, 0]
    monkeypatch.setattr(FeatureTraining, "save", lambda self, out: (saved.append(self.step), save(self, out)))
    whole = train_features(
        small, build_settings(), tmp_path / "a", lambda: counts.__setitem__(0, counts[0] + 1)
    )
    assert saved == [2, 3] and counts[0] == 3
    assert whole["training"]["images"] == 4 and whole["held_out"]["images"] == 2
    text = (tmp_path / "a" / RUN_NAME).read_text()
    assert text.endswith("}\n") and json.loads(text)["images"] == 6
    assert sorted(p.name for p in (tmp_path / "a").iterdir() if p.suffix in (".pt", ".part")) == [STATE_NAME]
    saved.clear()
    assert train_features(small, build_settings(), tmp_path / "b", stop_after=1) == {}
    assert saved == [1]
    assert train_features(small, build_settings(), tmp_path / "b") == whole and saved == [1, 2, 3]
    with pytest.raises(CheckpointError, match="holds a run of another config or set"):
        train_features(small, build_settings(seed=1), tmp_path / "b")
    (tmp_path / "b" / STATE_NAME).write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match="delete it to begin again") as error:
        train_features(small, build_settings(), tmp_path / "b")
    assert str(tmp_path / "b" / STATE_NAME) in str(error.value)


class Bright(nn.Module):
    """Says 1 of images brighter than 0.3, brand 1 and a palette of zeros of all."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image.mean(dim=(1, 2, 3))[:, None]

    def category_head(self, features: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.full_like(features, 0.3), features], dim=1)

    def brand_head(self, features: torch.Tensor) -> torch.Tensor:
        return torch.cat([0 * features, 0 * features + 1], dim=1)

    def palette_head(self, features: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(features), 12)


def test_what_is_right_on_the_held_out_images_by_hand() -> None:
    """70 held out: 60 bright ones of class 1, 4 of class 0, 6 dark ones of class 0; a cover of 128 hides."""
    bright = np.array([True] * 64 + [False] * 7)
    pixels = (
        np.where(bright, 230, 50).astype(np.uint8)[:, None, None, None].repeat(9, 1).repeat(9, 2).repeat(3, 3)
    )
    covers = np.where(bright, 127, 128).astype(np.uint8)[:, None, None].repeat(9, 1).repeat(9, 2)
    categories = np.array([1] * 60 + [0] * 11)
    brands = np.array([1] * 6 + [0] * 2 + [-1] * 63)
    palettes = np.full((71, 12), np.nan, np.float32)
    palettes[:2] = [[0.5], [-0.25]]
    is_train = np.array([False] * 70 + [True])
    held = TrainingSet(pixels, covers, categories, brands, palettes, is_train, ("a", "b"), ("x", "y"))
    found = measure_accuracy(Bright(), held)  # type: ignore[arg-type]
    assert found == {
        "images": 70, "category": pytest.approx(66 / 70), "category_by_outline": pytest.approx(66 / 70),
        "chance": 0.5, "confusions": [["a", "b", 4]], "brand": 0.75,
        "palette_error": pytest.approx(0.375 * 127.5),
    }  # fmt: skip
    bare = replace(held, brands=np.full(71, -1), palettes=np.full((71, 12), np.nan, np.float32))
    assert {"brand", "palette_error"}.isdisjoint(measure_accuracy(Bright(), bare))  # type: ignore[arg-type]
