"""What is written for one item?  Image, mask and metadata as bytes, a pure function of run and index."""

from __future__ import annotations

import io
import json
from dataclasses import asdict, dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cyclorama.errors import SettingsError
from cyclorama.scenes.categories import CATEGORIES
from cyclorama.scenes.compose import ItemPlan, build_stage, build_studio, derive, plan_item
from cyclorama.scenes.family import Category
from cyclorama.scenes.render import render_image, render_mask
from cyclorama.scenes.tail import place_item
from cyclorama.seeding import MAX_SEED

RENDERER = "cyclorama-synth/2"
LICENCE = "CC0-1.0"
ALL_CATEGORIES = tuple(c.name for c in CATEGORIES)
MASK_SAMPLES = 16

Kind = Literal["train", "bg1k", "bgpair"]
"""What a set is for: training, or judging a model without and with a reference (see ``pairs``)."""

IMAGES_PER_ITEM: dict[Kind, int] = {"train": 1, "bg1k": 2, "bgpair": 3}
"""Images rendered for an item, masks not counted."""


@dataclass(frozen=True)
class RunConfig:
    """What decides the bytes of a run.

    Attributes:
        seed: the run's seed.
        size: edge of the square images, pixels.
        samples: light samples per pixel (the mask always takes 16).
        categories: names, in the order in which items cycle through them.
        shard_size: items per shard.
        renderer: version of the generator.
        kind: what the set is for.
        long_tail: long-tailed category counts (see ``tail``) instead of equal ones.
    """

    seed: int
    size: int = 256
    samples: int = 4
    categories: tuple[str, ...] = ALL_CATEGORIES
    shard_size: int = 64
    renderer: str = RENDERER
    kind: Kind = "train"
    long_tail: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.seed <= MAX_SEED:
            raise SettingsError(f"seed must be a whole number from 0 to 2**63 - 1, got {self.seed}")
        if self.size < 16 or self.size > 2048:
            raise SettingsError(f"size {self.size} is outside 16..2048 pixels")
        if self.samples not in (1, 4, 9, 16, 25, 36, 64):
            raise SettingsError(
                f"samples {self.samples} is not a square number: use 1, 4, 9, 16, 25, 36 or 64"
            )
        if not self.categories:
            raise SettingsError("no category given: leave --categories out to render all")
        if len(set(self.categories)) < len(self.categories):
            raise SettingsError(f"a category is named twice in {', '.join(self.categories)}")
        select_categories(self.categories)
        if self.kind not in get_args(Kind):
            raise SettingsError(f"kind is {self.kind!r}, must be one of {', '.join(get_args(Kind))}")

    def as_dict(self) -> dict[str, object]:
        """The config as JSON stores it; ``kind`` and ``long_tail`` only where they are not the default.

        So a folder begun before these two existed is still recognised as this run's.
        """
        stored = {**asdict(self), "categories": list(self.categories)}
        if self.kind == "train":
            del stored["kind"]
        if not self.long_tail:
            del stored["long_tail"]
        return stored


def select_categories(names: tuple[str, ...]) -> tuple[Category, ...]:
    """The categories called ``names``, in that order.

    Raises:
        SettingsError: for a name that the set does not have.
    """
    known = {c.name: c for c in CATEGORIES}
    wrong = [n for n in names if n not in known]
    if wrong:
        raise SettingsError(f"no category {wrong[0]!r} in the rendered set; known: {', '.join(known)}")
    return tuple(known[n] for n in names)


def select_category(config: RunConfig, index: int) -> tuple[Category, int]:
    """The category of item ``index`` and how many items before it show the same one."""
    categories = select_categories(config.categories)
    place, turn = place_item(config.seed, index, len(categories), config.long_tail)
    return categories[place], turn


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
