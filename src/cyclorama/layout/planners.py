"""Planners without a network: by rules, and the two baselines it is measured against.

``rules`` is the planner that ships: the best of 64 layouts of the grammar by their energy, improved by
coordinate descent, settled. ``fixed`` is one template, ``random`` draws boxes until none overlap.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence

import numpy as np

from cyclorama.errors import LayoutError
from cyclorama.layout.elements import Element, PosterLayout
from cyclorama.layout.energy import compute_energy
from cyclorama.layout.grammar import LARGEST, PARAMETERS, build_layout, load_families
from cyclorama.layout.settle import find_conflicts, settle
from cyclorama.layout.task import RELATIVE, LayoutTask, build_locked, build_product
from cyclorama.seeding import build_numpy_generator

SAMPLES = 64
STEPS = (0.2, 0.07)
"""Steps of the descent, each tried both ways along every parameter."""
TRIES = 4000
"""Layouts that ``random`` draws before it gives up."""


def plan_by_rules(task: LayoutTask, count: int = 1, seed: int = 0) -> list[PosterLayout]:
    """Up to ``count`` settled layouts, best first, of as many families as there are.

    Raises LayoutError where none can be settled.
    """
    chance = build_numpy_generator(seed, "layout", "rules")
    names = list(load_families())
    drawn: dict[str, list[tuple[float, list[float]]]] = {}
    for number in range(SAMPLES):
        name, parameters = names[number % len(names)], chance.random(len(PARAMETERS)).tolist()
        cost = _weigh(task, name, parameters)
        if cost is not None:
            drawn.setdefault(name, []).append((cost, parameters))
    starts = sorted((min(tries), name) for name, tries in drawn.items())
    found: list[PosterLayout] = []
    reason = "there is no room for the texts in any family; fewer words or a larger canvas"
    for (cost, parameters), name in starts:
        if len(found) >= count + 2:  # a settled layout may cost more than it did before
            break
        layout = build_layout(task, name, _descend(task, name, parameters, cost))
        assert layout is not None
        try:
            found.append(settle(layout, task))
        except LayoutError as error:
            reason = str(error)
    if not found:
        raise LayoutError(reason)
    return heapq.nsmallest(count, found, key=lambda layout: layout.energy or 0.0)


def plan_fixed(task: LayoutTask) -> PosterLayout:
    """Texts above, centred, the product below: one template for everything. Raises LayoutError."""
    layout = build_layout(task, "stack-top", [0.5] * len(PARAMETERS))
    if layout is None:
        raise LayoutError("the template has no room for the texts; fewer words or a larger canvas")
    return settle(layout, task)


def plan_random(task: LayoutTask, seed: int = 0) -> PosterLayout:
    """Boxes drawn until they keep all constraints. Raises LayoutError after ``TRIES``."""
    chance = build_numpy_generator(seed, "layout", "random")
    for _ in range(TRIES):
        elements = _draw(task, chance)
        if next(find_conflicts(elements, task), None) is None:
            layout = PosterLayout(
                height=task.height, width=task.width, family="random", elements=tuple(elements), settled=True
            )
            return layout.model_copy(update={"energy": compute_energy(layout, task)})
    raise LayoutError(f"of {TRIES} layouts drawn none keeps all constraints; fewer words or a larger canvas")


PLANNERS: dict[str, Callable[[LayoutTask, int], PosterLayout]] = {
    "rules": lambda task, seed: plan_by_rules(task, 1, seed)[0],
    "fixed": lambda task, seed: plan_fixed(task),
    "random": plan_random,
}


def _weigh(task: LayoutTask, family: str, parameters: Sequence[float]) -> float | None:
    layout = build_layout(task, family, parameters)
    return None if layout is None else compute_energy(layout, task)


def _descend(task: LayoutTask, family: str, parameters: Sequence[float], cost: float) -> list[float]:
    """Parameters at which no single step along one of them lowers the energy, or nearly so."""
    best = list(parameters)
    for step in STEPS:
        for place in range(len(best)):
            for way in (step, -step):
                tried = [*best]
                tried[place] = min(1.0, max(0.0, best[place] + way))
                weight = _weigh(task, family, tried)
                if weight is not None and weight < cost:
                    best, cost = tried, weight
                    break
    return best


def _draw(task: LayoutTask, chance: np.random.Generator) -> list[Element]:
    across, down = task.margin
    inside = (across, down, 1 - across, 1 - down)
    least, most = task.product_share
    product = task.locks.get("product") or task.place_product(
        inside, chance.uniform(least, most), chance.random(), chance.random()
    )
    elements = [build_product(product, "product" in task.locks)]
    if task.logo_aspect is not None:
        wide, high = task.logo_size
        left, top = chance.uniform(across, 1 - across - wide), chance.uniform(down, 1 - down - high)
        box = task.locks.get("logo") or (left, top, left + wide, top + high)
        elements.append(Element(id="logo", kind="logo", box=box, layer=2, locked="logo" in task.locks))
    largest = LARGEST * (task.width * task.height) ** 0.5
    for text in task.texts:
        if text.id in task.locks:
            elements.append(build_locked(task, text))
            continue
        low = task.find_least_em(text.role)
        em = chance.uniform(low, max(low, largest * RELATIVE[text.role]))
        lines = int(chance.integers(1, len(text.widths) + 1))
        box = task.place_text(text, em, lines, 0.0, 0.0)
        wide, high = box[2], box[3]
        left = across + chance.random() * max(0.0, 1 - 2 * across - wide)
        top = down + chance.random() * max(0.0, 1 - 2 * down - high)
        box = (left, top, min(1.0, left + wide), min(1.0, top + high))
        elements.append(Element(id=text.id, kind="text", role=text.role, box=box, lines=lines, layer=3))
    return elements
