"""What is written for one item?  Image, mask and metadata as bytes, a pure function of run and index."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import AfterValidator, Field, model_validator

from cyclorama.config import Settings
from cyclorama.errors import SettingsError
from cyclorama.scenes.compose import ItemPlan, build_stage, build_studio, derive, plan_item
from cyclorama.scenes.family import Category
from cyclorama.scenes.library import NAMES, check_name, load_category
from cyclorama.scenes.render import render_image, render_mask
from cyclorama.scenes.tail import place_item
from cyclorama.seeding import MAX_SEED

RENDERER = "cyclorama-synth/2"
LICENCE = "CC0-1.0"
MASK_SAMPLES = 16

Kind = Literal["train", "bg1k", "bgpair"]
"""What a set is for: training, or judging a model without and with a reference (see ``pairs``)."""

IMAGES_PER_ITEM: dict[Kind, int] = {"train": 1, "bg1k": 2, "bgpair": 3}
"""Images rendered for an item, masks not counted."""


def _check_square(value: int) -> int:
    if value not in (1, 4, 9, 16, 25, 36, 64):
        raise ValueError("a square number: 1, 4, 9, 16, 25, 36 or 64")
    return value


class RunConfig(Settings):
    """What decides the bytes of a run."""

    error_type = SettingsError

    seed: Annotated[int, Field(ge=0, le=MAX_SEED)]
    """The run's seed."""
    size: Annotated[int, Field(ge=16, le=2048)] = 256
    """Edge of the square images, pixels."""
    samples: Annotated[int, AfterValidator(_check_square)] = 4
    """Light samples per pixel, a square number (the mask always takes 16)."""
    categories: tuple[str, ...] = NAMES
    """Names, in the order in which items cycle through them."""
    shard_size: Annotated[int, Field(ge=1, le=4096)] = 64
    """Items per shard."""
    renderer: str = RENDERER
    """Version of the generator."""
    kind: Kind = "train"
    """What the set is for."""
    long_tail: bool = False
    """Long-tailed category counts (see ``tail``) instead of equal ones."""

    @model_validator(mode="after")
    def _check_categories(self) -> Self:
        if not self.categories:
            raise SettingsError("no category given: leave --categories out to render all")
        for name in self.categories:
            check_name(name)
            if self.categories.count(name) > 1:
                raise SettingsError(f"a category is named twice in {', '.join(self.categories)}")
        return self


def select_category(config: RunConfig, index: int) -> tuple[Category, int]:
    """The category of item ``index`` and how many items before it show the same one."""
    place, turn = place_item(config.seed, index, len(config.categories), config.long_tail)
    return load_category(config.categories[place]), turn


@dataclass(frozen=True)
class RenderedItem:
    """One item: ``image`` and ``mask`` as PNG bytes, ``metadata`` as JSON bytes, ``key`` its name.

    ``extras`` are further members of the shard: (name after the key, bytes).
    """

    key: str
    image: bytes
    mask: bytes
    metadata: bytes
    extras: tuple[tuple[str, bytes], ...] = ()


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """PNG bytes of (H, W), (H, W, 3) or (H, W, 4) uint8 pixels."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", compress_level=6)
    return out.getvalue()


def describe_item(
    plan: ItemPlan, config: RunConfig, palette: tuple[tuple[float, float, float], ...]
) -> dict[str, object]:
    """The item's metadata; ``palette`` as "#rrggbb" of wall, floor, prop and accent."""
    return {
        "id": f"{config.seed}-{plan.index:06d}",
        "category": plan.category.name,
        "brand": plan.brand_name,
        "product_id": plan.product_id,
        "scene_id": plan.scene_id,
        "seed": config.seed,
        "split": plan.split,
        "renderer": config.renderer,
        "licence": LICENCE,
        "palette": ["#" + "".join(f"{round(v * 255):02x}" for v in c) for c in palette],
    }


def render_item(config: RunConfig, index: int) -> RenderedItem:
    """Item ``index`` of a run of kind ``train``: the same bytes whatever else is rendered."""
    category, _ = select_category(config, index)
    plan = plan_item(config.seed, index, (category,))
    stage, style = build_stage(plan)
    seed = derive("render", config.seed, index) % 2**31
    mask = render_mask(stage, config.size, MASK_SAMPLES, seed)
    image = render_image(stage, config.size, config.samples, seed, mask)
    metadata = json.dumps(describe_item(plan, config, style.palette), sort_keys=True).encode()
    return RenderedItem(f"{config.seed}-{index:06d}", encode_png(image), encode_png(mask), metadata)


def render_cutout(category: Category, number: int, size: int, samples: int) -> bytes:
    """Product ``number`` in studio light as a PNG with straight alpha (size, size, 4)."""
    stage = build_studio(category, number)
    seed = derive("studio", category.name, number) % 2**31
    mask = render_mask(stage, size, MASK_SAMPLES, seed)
    return encode_png(np.dstack([render_image(stage, size, samples, seed), mask]))
