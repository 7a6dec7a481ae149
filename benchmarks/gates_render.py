"""Renders of the set's scenes in which the product floats, or in which nothing stands where it did.

    python benchmarks/gates_render.py out/render --out out/floating [--count 900]

Two faults whose truth is known, made by the renderer and not by retouching, so that no seam gives them away:
``lifted``, the product raised above its support, its shadow left where light puts it; ``empty``, the scene
without product and shadow, with the mask of where it stood. The scenes are those of the set in ``out/render``
(same seeds, cameras, lights and noise). One render in three is of a held-out product, as long as there are
some. Shards as the set's own, ``fault`` and ``lift`` (share of the product's size) in the JSON; a stopped
run goes on.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from cyclorama.files import write_atomic
from cyclorama.scenes.compose import ItemPlan, build_stage, derive, plan_item
from cyclorama.scenes.items import (
    MASK_SAMPLES,
    RenderConfig,
    RenderedItem,
    describe_item,
    encode_png,
    select_category,
)
from cyclorama.scenes.render import clear_view, render_image, render_mask
from cyclorama.scenes.shards import pack_items
from cyclorama.scenes.stage import Part

LIFTS = (0.03, 0.25)
"""Smallest and largest lift, as a share of the product's larger side; evenly spread by their logarithm."""
SHARD = 12
ALTERNATE = 84
"""Renders among which the faults alternate; later ones are mostly empty scenes, where masks can be laid."""


def render_lifted(config: RenderConfig, plan: ItemPlan) -> RenderedItem:
    """The item's product above its support."""
    stage, style = build_stage(plan)
    low, high = np.log(LIFTS)
    lift = float(np.exp(np.random.default_rng(derive("lift", config.seed, plan.index)).uniform(low, high)))
    stage = replace(stage, product=[Part(p.mesh.moved(0, 0, lift), p.surface) for p in stage.product])
    seed = derive("render", config.seed, plan.index) % 2**31
    mask = render_mask(stage, config.size, MASK_SAMPLES, seed)
    image = render_image(stage, config.size, config.samples, seed, mask)
    labels = {**describe_item(plan, config, style.palette), "fault": "lifted", "lift": lift}
    return pack(f"{config.seed}-{plan.index:06d}-lifted", image, mask, labels)


def render_empty(config: RenderConfig, plan: ItemPlan) -> RenderedItem:
    """The item's scene without its product; the mask says where it would stand."""
    stage, style = build_stage(plan)
    seed = derive("render", config.seed, plan.index) % 2**31
    mask = render_mask(stage, config.size, MASK_SAMPLES, seed)
    clear_view(stage, mask)
    image = render_image(replace(stage, product=[]), config.size, config.samples, seed)
    labels = {**describe_item(plan, config, style.palette), "fault": "empty", "lift": 0.0}
    return pack(f"{config.seed}-{plan.index:06d}-empty", image, mask, labels)


def pack(key: str, image: np.ndarray, mask: np.ndarray, labels: dict[str, object]) -> RenderedItem:
    """The item as bytes."""
    return RenderedItem(key, labels, {"png": encode_png(image), "mask.png": encode_png(mask)})


def list_tasks(config: RenderConfig, total: int, count: int) -> list[tuple[str, ItemPlan]]:
    """(fault, item) of ``count`` renders of the first ``total`` items: one of a held-out product in three."""
    plans = [plan_item(config.seed, n, (select_category(config, n)[0],)) for n in range(total)]
    order = np.random.default_rng(derive("floating", config.seed)).permutation(total)
    kinds = [
        [plans[n] for n in order if (plans[n].split == "test") == held_out] for held_out in (True, False)
    ]
    mixed: list[ItemPlan] = []
    while any(kinds) and len(mixed) < count:  # one held-out product to two others
        mixed += kinds[0][:1] + kinds[1][:2]
        kinds = [kinds[0][1:], kinds[1][2:]]
    early, late = ("lifted", "empty"), ("empty", "empty", "empty", "lifted")
    return [
        (early[place % 2] if place < ALTERNATE else late[place % 4], plan)
        for place, plan in enumerate(mixed[:count])
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("shards", type=Path, help="folder of the rendered set; its config decides the scenes")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--total", type=int, default=1944, help="items of the set")
    parser.add_argument("--count", type=int, default=900, help="renders")
    args = parser.parse_args()
    stored = json.loads((args.shards / "config.json").read_text(encoding="utf-8"))
    config = RenderConfig(**{**stored, "categories": tuple(stored["categories"])})
    args.out.mkdir(parents=True, exist_ok=True)
    tasks = list_tasks(config, args.total, args.count)
    for start in range(0, len(tasks), SHARD):
        path = args.out / f"shard-{start // SHARD:06d}.tar"
        if path.exists():
            continue
        makers = {"lifted": render_lifted, "empty": render_empty}
        items = [makers[fault](config, plan) for fault, plan in tasks[start : start + SHARD]]
        write_atomic(path, pack_items(items))
        print(f"{min(start + SHARD, len(tasks))} of {len(tasks)}", flush=True)


if __name__ == "__main__":
    main()
