"""What is written for one item?  Images, masks and metadata as bytes, a pure function of run and index.

Kind ``train``: a product in a scene.  Kind ``bg1k``: the same of a held-out product, and the product alone.
Kind ``bgpair``: also a reference, which shows another product in the very same scene, a brand's.  Held-out
products are of the split ``test``; their scenes are drawn apart from those of the training set.
Kind ``poster``: a product in a set that is laid out for words, with the truth of all parts.
Kind ``general``: a product on any category's set, framed and lit as no advertisement is.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import AfterValidator, Field, model_validator

from cyclorama.config import Settings
from cyclorama.errors import SettingsError
from cyclorama.scenes.compose import (
    BRANDED_SHARE,
    ItemPlan,
    build_neutral,
    build_stage,
    build_stages,
    build_studio,
    derive,
    list_held_out,
    name_product,
    plan_item,
)
from cyclorama.scenes.general_items import build_general_stage
from cyclorama.scenes.grammar.reader import NAMES, check_name, load_category
from cyclorama.scenes.poster_items import LEAST_SIZE, render_poster
from cyclorama.scenes.render import clear_view, render_image, render_mask
from cyclorama.scenes.stage import SceneCategory, Stage
from cyclorama.seeding import MAX_SEED

RENDERER = "cyclorama-synth/8"
LICENCE = "CC0-1.0"
MASK_SAMPLES = 16

Kind = Literal["train", "general", "bg1k", "bgpair", "poster"]
"""What a set is for: training, the same of a base model, judging a model without and with a reference, or
planning posters."""

IMAGES_PER_ITEM: dict[Kind, int] = {"train": 1, "general": 1, "bg1k": 2, "bgpair": 3, "poster": 1}
"""Images rendered for an item, masks not counted."""

TAIL_EXPONENT = 1.5
"""The category in place r of the list has a share proportional to r ** -1.5 (Zipf's law).

With 27 categories and 841 images, 31 a category as in BG60k (arXiv 2312.13309, section 4.2), it gives
that set's shares: about 6 % of the categories above 100 images, over half of them below 10.
"""

_GOLDEN = (5**0.5 - 1) / 2


def _check_square(value: int) -> int:
    if value not in (1, 4, 9, 16, 25, 36, 64):
        raise ValueError("a square number: 1, 4, 9, 16, 25, 36 or 64")
    return value


class RenderConfig(Settings):
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
    """Long-tailed category counts instead of equal ones."""

    @model_validator(mode="after")
    def _check_categories(self) -> Self:
        if self.kind == "poster" and self.size < LEAST_SIZE:
            raise SettingsError(f"size is {self.size}; posters need {LEAST_SIZE} pixels or more")
        if not self.categories:
            raise SettingsError("no category given: leave --categories out to render all")
        for name in self.categories:
            check_name(name)
            if self.categories.count(name) > 1:
                raise SettingsError(f"a category is named twice in {', '.join(self.categories)}")
        return self


def compute_tail_shares(count: int) -> NDArray[np.float64]:
    """Shares (count,) of the categories in the order of their list; they fall and sum to 1."""
    weights = np.arange(1, count + 1, dtype=np.float64) ** -TAIL_EXPONENT
    return np.asarray(weights / weights.sum())


def place_item(seed: int, index: int, count: int, long_tail: bool) -> tuple[int, int]:
    """(place in the list of ``count`` categories, number of earlier items in that place) of item ``index``.

    With ``long_tail`` the items take the points of the golden-ratio sequence, whose every stretch is spread
    evenly over [0, 1): the first n items of any run hold each category's share of n to within a few items.
    """
    if not long_tail:
        return index % count, index // count
    start = derive("tail", seed) / 2**63
    points = (start + _GOLDEN * np.arange(index + 1)) % 1.0
    ends = np.cumsum(compute_tail_shares(count))
    places = np.searchsorted(ends[:-1], points, side="right")
    return int(places[-1]), int((places[:-1] == places[-1]).sum())


def select_category(config: RenderConfig, index: int) -> tuple[SceneCategory, int]:
    """The category of item ``index`` and how many items before it show the same one."""
    place, turn = place_item(config.seed, index, len(config.categories), config.long_tail)
    return load_category(config.categories[place]), turn


@dataclass(frozen=True)
class RenderedItem:
    """One item: its name ``key``, its metadata, and PNG bytes by their name after the key, ``png`` first."""

    key: str
    metadata: dict[str, Any]
    members: dict[str, bytes]


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """PNG bytes of (H, W), (H, W, 3) or (H, W, 4) uint8 pixels."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", compress_level=6)
    return out.getvalue()


def name_item(config: RenderConfig, index: int) -> str:
    """The key of item ``index``."""
    return f"{'' if config.kind == 'train' else config.kind + '-'}{config.seed}-{index:06d}"


def describe_item(
    plan: ItemPlan, config: RenderConfig, palette: tuple[tuple[float, float, float], ...]
) -> dict[str, object]:
    """The item's metadata; ``palette`` as "#rrggbb" of wall, floor, prop and accent."""
    return {
        "id": name_item(config, plan.index),
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


def render_item(config: RenderConfig, index: int) -> RenderedItem:
    """Item ``index`` of a run of kind ``train`` or ``general``: the same bytes whatever else is rendered."""
    category, _ = select_category(config, index)
    plan, told = plan_item(config.seed, index, (category,)), {}
    if config.kind == "general":
        plan = replace(plan, brand=None)
        stage, style, host = build_general_stage(plan)
        told = {"kind": config.kind, "scene_category": host}
    else:
        stage, style = build_stage(plan)
    seed = derive("render", config.seed, index) % 2**31
    mask = render_mask(stage, config.size, MASK_SAMPLES, seed)
    image = render_image(stage, config.size, config.samples, seed, mask)
    members = {"png": encode_png(image), "mask.png": encode_png(mask)}
    metadata = {**describe_item(plan, config, style.palette), **told}
    return RenderedItem(name_item(config, index), metadata, members)


def render_poster_item(config: RenderConfig, index: int) -> RenderedItem:
    """Item ``index`` of a run of kind ``poster``: the same bytes whatever else is rendered."""
    category, _ = select_category(config, index)
    plan = plan_item(config.seed, index, (category,))
    images, truth, style = render_poster(plan, config.size, config.samples)
    members = {name: encode_png(pixels) for name, pixels in images.items()}
    metadata = {**describe_item(plan, config, style.palette), "kind": config.kind, **truth}
    return RenderedItem(name_item(config, index), metadata, members)


def render_cutout(category: SceneCategory, number: int, size: int, samples: int) -> bytes:
    """Product ``number`` in studio light as a PNG with straight alpha (size, size, 4)."""
    stage = build_studio(category, number)
    seed = derive("studio", category.name, number) % 2**31
    mask = render_mask(stage, size, MASK_SAMPLES, seed)
    return encode_png(np.dstack([render_image(stage, size, samples, seed), mask]))


def plan_held_out(config: RenderConfig, index: int) -> ItemPlan:
    """What item ``index`` of a run of kind ``bg1k`` or ``bgpair`` shows; independent of every other item.

    A category's held-out products take turns in an order of the run's own, so that none comes twice before
    all came once.  Pairs are always branded, the others as often as in the training set.
    """
    category, turn = select_category(config, index)
    words = (config.kind, config.seed)
    order = np.random.default_rng(derive("order", *words, category.name)).permutation(
        np.array(list_held_out(category.name))
    )
    product = int(order[turn % len(order)])
    rng = np.random.default_rng(derive("plan", *words, index, category.name))
    pair = config.kind == "bgpair"
    brand = int(rng.integers(3)) if rng.random() < BRANDED_SHARE or pair else None
    scene_seed = derive("scene", *words, index, category.name)
    reference = int(rng.choice(order[order != product])) if pair else None
    return ItemPlan(index, category, brand, product, scene_seed, reference)


def clear_shared_view(stages: Sequence[Stage], masks: Sequence[NDArray[np.uint8]]) -> None:
    """Take off every one of ``stages``, which share a scene, what hides the product of any of them."""
    for stage, mask in zip(stages, masks, strict=True):
        clear_view(stage, mask)
        for other in stages:
            other.parts = list(stage.parts)


def render_held_out_item(config: RenderConfig, index: int) -> RenderedItem:
    """Item ``index`` of a run of kind ``bg1k`` or ``bgpair``: the same bytes whatever else is rendered.

    ``png`` and ``mask.png`` are the truth.  Further members are ``product.png``, the target in neutral studio
    light as the truth's camera sees it (straight alpha, the truth's mask), and for pairs ``reference.png``
    and ``reference_mask.png``.
    """
    plan = plan_held_out(config, index)
    seed = derive("render", config.kind, config.seed, index) % 2**31
    stages, style = build_stages(plan, plan.products)
    masks = [render_mask(stage, config.size, MASK_SAMPLES, seed) for stage in stages]
    clear_shared_view(stages, masks)
    images = [render_image(stage, config.size, config.samples, seed) for stage in stages]
    alone = render_image(build_neutral(stages[0]), config.size, config.samples, seed)
    members = {"png": encode_png(images[0]), "mask.png": encode_png(masks[0])}
    members["product.png"] = encode_png(np.dstack([alone, masks[0]]))
    metadata = {**describe_item(plan, config, style.palette), "kind": config.kind}
    if plan.reference is not None:
        members |= {"reference.png": encode_png(images[1]), "reference_mask.png": encode_png(masks[1])}
        metadata["reference_product_id"] = name_product(plan.category.name, plan.reference)
    return RenderedItem(name_item(config, index), metadata, members)
