"""What does item i show?  Category, brand, product and scene from (seed, i), and their stage."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from cyclorama.errors import SettingsError
from cyclorama.scenes.stage import Camera, Light, Part, SceneCategory, Stage, add_key_light, compute_bounds
from cyclorama.scenes.surface import Style

PRODUCTS_PER_CATEGORY = 512
BRANDED_SHARE = 0.6
TEST_SHARE = 0.08


def derive(*words: object) -> int:
    """A 63-bit number that depends on ``words`` alone."""
    text = "\x1f".join(str(w) for w in words)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def slug_of(category: str) -> str:
    """A category's name as file names hold it."""
    return category.replace(" ", "-")


def name_product(category: str, number: int) -> str:
    """The name of product ``number`` of a category; the same in every run."""
    return f"{slug_of(category)}-p{number:04d}"


def select_split(product_id: str) -> str:
    """``train`` or ``test``: a product is in one of them, whatever the image."""
    return "test" if derive("split", product_id) % 10_000 < TEST_SHARE * 10_000 else "train"


@cache
def list_held_out(category: str) -> tuple[int, ...]:
    """Numbers of the category's products that are in the split ``test``, in rising order."""
    numbers = range(PRODUCTS_PER_CATEGORY)
    return tuple(n for n in numbers if select_split(name_product(category, n)) == "test")


@dataclass(frozen=True)
class ItemPlan:
    """All that determines one image; ``reference`` is another product to be shown in the same scene, too."""

    index: int
    category: SceneCategory
    brand: int | None
    product: int
    scene_seed: int
    reference: int | None = None

    @property
    def products(self) -> tuple[int, ...]:
        """Numbers of the product and, if there is one, of the reference's."""
        return (self.product,) if self.reference is None else (self.product, self.reference)

    @property
    def brand_name(self) -> str | None:
        """Name of the fictional brand, or None."""
        return None if self.brand is None else f"{slug_of(self.category.name)}-brand-{'abc'[self.brand]}"

    @property
    def product_id(self) -> str:
        """Name of the product; the same in every image that shows it."""
        return name_product(self.category.name, self.product)

    @property
    def scene_id(self) -> str:
        """Name of the scene (style, arrangement and camera)."""
        brand = "u" if self.brand is None else "abc"[self.brand]
        return f"{slug_of(self.category.name)}-{brand}-{self.scene_seed:016x}"

    @property
    def split(self) -> str:
        """``train`` or ``test``, by product."""
        return select_split(self.product_id)


def plan_item(seed: int, index: int, categories: tuple[SceneCategory, ...]) -> ItemPlan:
    """What item ``index`` of run ``seed`` shows; independent of every other item."""
    category = categories[index % len(categories)]
    rng = np.random.default_rng(derive("plan", seed, index, category.name))
    brand = int(rng.integers(3)) if rng.random() < BRANDED_SHARE else None
    product = int(rng.integers(PRODUCTS_PER_CATEGORY))
    return ItemPlan(index, category, brand, product, derive("scene", seed, index, category.name))


def build_product(category: SceneCategory, number: int, turn: float = 0.0) -> list[Part]:
    """Product ``number`` of ``category``, its larger side 1, standing on z = 0 about the origin."""
    rng = np.random.default_rng(derive("product", category.name, number))
    if category.build_product is None:
        raise SettingsError(f"category {category.name!r} is for cut-outs only: its file builds no product")
    parts = [Part(p.mesh.turned("z", turn), p.surface) for p in category.build_product(rng)]
    low, high = compute_bounds(parts)
    size = max(float(high[2] - low[2]), 0.8 * float(high[0] - low[0]))
    cx, cy = float(low[0] + high[0]) / 2, float(low[1] + high[1]) / 2
    return [Part(p.mesh.moved(-cx, -cy, -float(low[2])).scaled(1 / size), p.surface) for p in parts]


def _frame(stage: Stage, category: SceneCategory, rng: np.random.Generator) -> None:
    framing = category.framing
    low, high = compute_bounds(stage.product)
    half = np.tan(np.deg2rad(framing.fov) / 2)
    share = rng.uniform(*framing.share)
    distance = 0.5 / (share * half) + max(0.0, -float(low[1])) * 0.6
    rise = np.deg2rad(rng.uniform(*framing.elevation))
    shift = rng.uniform(-1, 1, 2) * framing.offset / share
    x, z = float(shift[0]), float(high[2]) / 2 + 0.4 * float(shift[1])
    stage.camera = Camera(
        (x, float(-distance * np.cos(rise)), float(z + distance * np.sin(rise))), (x, 0.0, z), framing.fov
    )


def build_stages(plan: ItemPlan, products: tuple[int, ...]) -> tuple[list[Stage], Style]:
    """One stage for each of ``products``, all in the scene of ``plan``, and the style of that scene.

    Camera, lights and props are the same in all stages.  Where the camera or the scene minds the product's
    size, it minds that of all ``products`` together, so that none of them is cut off or stands in a wall.
    """
    category = plan.category
    rng = np.random.default_rng(plan.scene_seed)
    turn = rng.uniform(*category.framing.turn)
    style = category.sample_style(rng) if plan.brand is None else category.brands[plan.brand].varied(rng)
    shown = [build_product(category, number, turn) for number in products]
    scene = Stage(product=[part for parts in shown for part in parts])
    _frame(scene, category, rng)
    category.dress(scene, rng, style)
    parts, lights = scene.parts, scene.lights
    return [replace(scene, product=p, parts=list(parts), lights=list(lights)) for p in shown], style


def build_stage(plan: ItemPlan) -> tuple[Stage, Style]:
    """The stage of ``plan`` and the style it was dressed in."""
    stages, style = build_stages(plan, (plan.product,))
    return stages[0], style


def build_studio(category: SceneCategory, number: int) -> Stage:
    """Product ``number`` in neutral studio light with nothing around it."""
    rng = np.random.default_rng(derive("studio", category.name, number))
    turn = rng.uniform(*category.framing.turn)
    stage = Stage(product=build_product(category, number, turn))
    _frame(stage, category, rng)
    _light_studio(stage)
    return stage


def build_neutral(stage: Stage) -> Stage:
    """The product of ``stage`` as its camera sees it, in neutral studio light with nothing around it."""
    neutral = Stage(product=stage.product, camera=stage.camera)
    _light_studio(neutral)
    return neutral


def _light_studio(stage: Stage) -> None:
    white = (1.0, 1.0, 1.0)
    neutral = Style(wall=white, floor=white, prop=white, accent=white, elements=(), fill=1.3)
    add_key_light(stage, neutral, 10.0)
    stage.lights.append(Light((2.8, -1.6, 1.6), (0.0, 0.0, 0.5), 1.6, (4.0, 4.0, 4.0)))
