"""Which images judge a model?  Held-out products with their true image, alone or beside a reference.

Kind ``bg1k``: a product in a scene.  Kind ``bgpair``: a reference, which shows one product in a brand's
scene, and the true image of another product in the very same scene.  All products are of the split
``test``, all scenes are drawn apart from those of the training set.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cyclorama.scenes.compose import (
    BRANDED_SHARE,
    ItemPlan,
    build_neutral,
    build_stages,
    derive,
    list_held_out,
    name_product,
)
from cyclorama.scenes.items import (
    MASK_SAMPLES,
    RenderedItem,
    RunConfig,
    describe_item,
    encode_png,
    select_category,
)
from cyclorama.scenes.render import clear_view, render_image, render_mask
from cyclorama.scenes.stage import Stage


@dataclass(frozen=True)
class HeldOutPlan:
    """All that determines one item.

    Attributes:
        item: the target product and its scene.
        reference: number of the product that the reference shows in that scene; None for kind ``bg1k``.
    """

    item: ItemPlan
    reference: int | None = None

    @property
    def products(self) -> tuple[int, ...]:
        """Numbers of the target and, if there is one, of the reference's product."""
        return (self.item.product,) if self.reference is None else (self.item.product, self.reference)


def plan_held_out(config: RunConfig, index: int) -> HeldOutPlan:
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
    return HeldOutPlan(ItemPlan(index, category, brand, product, scene_seed), reference)


def name_item(config: RunConfig, index: int) -> str:
    """The key of item ``index``."""
    return f"{config.kind}-{config.seed}-{index:06d}"


def clear_shared_view(stages: Sequence[Stage], masks: Sequence[NDArray[np.uint8]]) -> None:
    """Take off every one of ``stages``, which share a scene, what hides the product of any of them."""
    for stage, mask in zip(stages, masks, strict=True):
        clear_view(stage, mask)
        for other in stages:
            other.parts = list(stage.parts)


def render_held_out_item(config: RunConfig, index: int) -> RenderedItem:
    """Item ``index`` of a run of kind ``bg1k`` or ``bgpair``: the same bytes whatever else is rendered.

    ``image`` and ``mask`` are the truth.  The extras are ``product.png``, the target in neutral studio
    light as the truth's camera sees it (straight alpha, the truth's mask), and for pairs ``reference.png``
    and ``reference_mask.png``.
    """
    plan = plan_held_out(config, index)
    seed = derive("render", config.kind, config.seed, index) % 2**31
    stages, style = build_stages(plan.item, plan.products)
    masks = [render_mask(stage, config.size, MASK_SAMPLES, seed) for stage in stages]
    clear_shared_view(stages, masks)
    images = [render_image(stage, config.size, config.samples, seed) for stage in stages]
    alone = render_image(build_neutral(stages[0]), config.size, config.samples, seed)
    extras = [("product.png", encode_png(np.dstack([alone, masks[0]])))]
    key = name_item(config, index)
    metadata = {**describe_item(plan.item, config, style.palette), "id": key, "kind": config.kind}
    if plan.reference is not None:
        extras += [("reference.png", encode_png(images[1])), ("reference_mask.png", encode_png(masks[1]))]
        metadata["reference_product_id"] = name_product(plan.item.category.name, plan.reference)
    text = json.dumps(metadata, sort_keys=True).encode()
    return RenderedItem(key, encode_png(images[0]), encode_png(masks[0]), text, tuple(extras))
