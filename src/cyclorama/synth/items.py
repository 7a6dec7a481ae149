"""What is written for one item?  Picture, mask and metadata as bytes, a pure function of run and index."""

from __future__ import annotations

import io
import json
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cyclorama.errors import SettingsError
from cyclorama.seeding import MAX_SEED
from cyclorama.synth.categories import CATEGORIES
from cyclorama.synth.compose import ItemPlan, build_stage, build_studio, derive, plan_item
from cyclorama.synth.family import Category
from cyclorama.synth.render import render_mask, render_picture

RENDERER = "cyclorama-synth/1"
LICENCE = "CC0-1.0"
ALL_CATEGORIES = tuple(c.name for c in CATEGORIES)
MASK_SAMPLES = 16


@dataclass(frozen=True)
class RunConfig:
    """What decides the bytes of a run.

    Attributes:
        seed: the run's seed.
        size: edge of the square pictures, pixels.
        samples: light samples per pixel (the mask always takes 16).
        categories: names, in the order in which items cycle through them.
        shard_size: items per shard.
        renderer: version of the generator.
    """

    seed: int
    size: int = 256
    samples: int = 4
    categories: tuple[str, ...] = ALL_CATEGORIES
    shard_size: int = 64
    renderer: str = RENDERER

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

    def as_dict(self) -> dict[str, object]:
        """The config as JSON stores it."""
        return {**asdict(self), "categories": list(self.categories)}


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


@dataclass(frozen=True)
class RenderedItem:
    """One item: ``picture`` and ``mask`` as PNG bytes, ``metadata`` as JSON bytes, ``key`` its name."""

    key: str
    picture: bytes
    mask: bytes
    metadata: bytes


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
    """Item ``index`` of the run: the same bytes whatever else is rendered."""
    plan = plan_item(config.seed, index, select_categories(config.categories))
    stage, style = build_stage(plan)
    seed = derive("render", config.seed, index) % 2**31
    mask = render_mask(stage, config.size, MASK_SAMPLES, seed)
    picture = render_picture(stage, config.size, config.samples, seed, mask)
    metadata = json.dumps(describe_item(plan, config, style.palette), sort_keys=True).encode()
    return RenderedItem(f"{config.seed}-{index:06d}", encode_png(picture), encode_png(mask), metadata)


def render_cutout(category: Category, number: int, size: int, samples: int) -> bytes:
    """Product ``number`` in studio light as a PNG with straight alpha (size, size, 4)."""
    stage = build_studio(category, number)
    seed = derive("studio", category.name, number) % 2**31
    mask = render_mask(stage, size, MASK_SAMPLES, seed)
    return encode_png(np.dstack([render_picture(stage, size, samples, seed), mask]))
