"""What the feature network is trained on: backgrounds alone, disturbed so that only the scene tells.

The product is filled with grey before anything is stored, so no product pixel is ever seen. Its outline would
still give the category away (a bottle's gap in the image is a bottle); therefore gaps of other images,
wider gaps and boxes are cut as well.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter
from scipy import ndimage

from cyclorama.errors import DataError
from cyclorama.evaluation.feature_network import INPUT_SIDE, PALETTE_VALUES
from cyclorama.evaluation.reading import ImageSet
from cyclorama.imaging.masks import NEUTRAL, fill_product, grow_mask
from cyclorama.imaging.transforms import resize_to
from cyclorama.types import Pixels

Cover = npt.NDArray[np.uint8]
STORED_SIDE = 144
"""Images wait in memory at this size (pixels), so that a crop costs no sharpness."""
TRAIN_SPLIT = "train"
NO_BRAND = -1


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """All backgrounds in memory.

    ``pixels`` uint8 (N, 144, 144, 3), product grey; ``covers`` uint8 (N, 144, 144), 255 = grey;
    ``categories`` and ``brands`` int64 (N), brand -1 where there is none; ``palettes`` float32 (N, 12) in
    [-1, 1], NaN where unknown; ``is_train`` bool (N), by the split of the shards.
    """

    pixels: npt.NDArray[np.uint8]
    covers: npt.NDArray[np.uint8]
    categories: npt.NDArray[np.int64]
    brands: npt.NDArray[np.int64]
    palettes: npt.NDArray[np.float32]
    is_train: npt.NDArray[np.bool_]
    category_names: tuple[str, ...]
    brand_names: tuple[str, ...]


def load_training_set(images: ImageSet) -> TrainingSet:
    """The backgrounds of ``images``, whose items carry category, split, and perhaps brand and palette.

    Raises DataError: an image without mask or category, no training or no held-out image, or fewer than
    two categories.
    """
    metas = [images.items[key] for key in images.keys]
    for key, item in zip(images.keys, metas):
        if item.category is None:
            raise DataError(f"{images.name}: {key!r} has no category; training needs one for each image")
    category_names = tuple(sorted({str(item.category) for item in metas}))
    is_train = np.array([item.meta.get("split") == TRAIN_SPLIT for item in metas])
    if len(category_names) < 2 or is_train.all() or not is_train.any():
        raise DataError(
            f"{images.name}: {len(category_names)} categories, {int(is_train.sum())} images to train on, "
            f"{int((~is_train).sum())} held out; needs two categories and some of both (split in the json)"
        )
    brands = [str(item.meta["brand"]) if item.meta.get("brand") else "" for item in metas]
    brand_names = tuple(sorted({brand for brand, train in zip(brands, is_train) if train and brand}))
    pixels, covers = [], []
    for image in images:
        if image.mask is None:
            raise DataError(f"{images.name}: {image.key!r} has no mask; its product would be seen")
        pixels.append(resize_to(fill_product(image.pixels, image.mask), (STORED_SIDE, STORED_SIDE)))
        cover = Image.fromarray(np.rint(grow_mask(image.mask) * 255).astype(np.uint8))
        covers.append(np.asarray(cover.resize((STORED_SIDE, STORED_SIDE), Image.Resampling.BOX)))
    return TrainingSet(
        np.stack(pixels),
        np.stack(covers),
        np.array([category_names.index(str(item.category)) for item in metas]),
        np.array([brand_names.index(b) if b in brand_names else NO_BRAND for b in brands]),
        np.stack([_parse_palette(item.meta.get("palette")) for item in metas]),
        is_train,
        category_names,
        brand_names,
    )


def _parse_palette(value: object) -> npt.NDArray[np.float32]:
    """float32 (12) in [-1, 1] of four "#rrggbb"; NaN for anything else."""
    unknown = np.full(PALETTE_VALUES, np.nan, np.float32)
    if not isinstance(value, list) or len(value) * 3 != PALETTE_VALUES:
        return unknown
    try:
        levels = [int(str(colour)[i : i + 2], 16) for colour in value for i in (1, 3, 5)]
    except ValueError:
        return unknown
    return np.array(levels, np.float32) / 127.5 - 1


def prepare_batch(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """The network's input float32 (N, 3, 128, 128) in [-1, 1] of filled images (N, H, W, 3)."""
    side = (INPUT_SIDE, INPUT_SIDE)
    planes = np.stack([resize_to(image, side) for image in pixels]).astype(np.float32)
    return np.ascontiguousarray(planes.transpose(0, 3, 1, 2)) / np.float32(127.5) - 1


def augment(
    pixels: Pixels, cover: Cover, other_cover: Cover, random: np.random.Generator
) -> npt.NDArray[np.float32]:
    """A disturbed copy as the network's input, float32 (3, 128, 128) in [-1, 1].

    Shifted and cropped (0.75 to 1 of each side), mirrored, colours shifted by up to about 12 %, now and then
    blurred, noisy or from JPEG, with wider gaps, another image's gap and boxes in grey. Depends on its
    arguments alone.
    """
    box = _sample_box(pixels.shape[0], random)
    view, gap = _crop(pixels, box), _crop(cover, box)
    other = _crop(other_cover, _sample_box(other_cover.shape[0], random)) if random.random() < 0.5 else None
    if random.random() < 0.5:
        view, gap = view[:, ::-1], gap[:, ::-1]
    if random.random() < 0.5:
        gap = ndimage.maximum_filter(gap, size=int(random.integers(3, 16)))
    if other is not None:
        gap = np.maximum(gap, other[:, ::-1] if random.random() < 0.5 else other)
    if random.random() < 0.3:
        gap = _cut_box(gap, random)
    values = _degrade(_shift_colours(view, random), random)
    weight = gap[..., None].astype(np.float32) / np.float32(255)
    values = (values * (1 - weight) + NEUTRAL * weight).astype(np.float32)
    return np.ascontiguousarray(values.transpose(2, 0, 1), dtype=np.float32) / np.float32(127.5) - 1


def _sample_box(side: int, random: np.random.Generator) -> tuple[float, float, float, float]:
    width, height = (side * random.uniform(0.75, 1.0) for _ in range(2))
    left, top = random.uniform(0, side - width), random.uniform(0, side - height)
    return (left, top, left + width, top + height)


def _crop(plane: npt.NDArray[np.uint8], box: tuple[float, float, float, float]) -> npt.NDArray[np.uint8]:
    cut = Image.fromarray(plane).resize((INPUT_SIDE, INPUT_SIDE), Image.Resampling.BILINEAR, box=box)
    return np.asarray(cut)


def _cut_box(gap: Cover, random: np.random.Generator) -> Cover:
    gap = gap.copy()
    height, width = (int(n) for n in random.integers(INPUT_SIDE // 8, INPUT_SIDE // 2, 2))
    top, left = int(random.integers(0, INPUT_SIDE - height)), int(random.integers(0, INPUT_SIDE - width))
    gap[top : top + height, left : left + width] = 255
    return gap


def _shift_colours(view: Pixels, random: np.random.Generator) -> Pixels:
    values = view.astype(np.float32)
    gains = random.uniform(0.94, 1.06, 3) * random.uniform(0.9, 1.1)
    values = (values - 128) * random.uniform(0.88, 1.12) + 128
    grey = values.mean(axis=2, keepdims=True)
    values = grey + (values - grey) * random.uniform(0.85, 1.15)
    shifted: Pixels = np.clip(values * gains, 0, 255).astype(np.uint8)
    return shifted


def _degrade(view: Pixels, random: np.random.Generator) -> npt.NDArray[np.float32]:
    kind = random.random()
    if kind < 0.15:
        blurred = Image.fromarray(view).filter(ImageFilter.GaussianBlur(float(random.uniform(0.3, 1.4))))
        return np.asarray(blurred, dtype=np.float32)
    if kind < 0.3:
        noise = random.normal(0, random.uniform(2, 9), view.shape)
        return np.clip(view + noise, 0, 255).astype(np.float32)
    if kind < 0.45:
        stream = io.BytesIO()
        Image.fromarray(view).save(stream, "JPEG", quality=int(random.integers(35, 92)))
        return np.asarray(Image.open(stream), dtype=np.float32)
    return view.astype(np.float32)
