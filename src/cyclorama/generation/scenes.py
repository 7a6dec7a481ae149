"""The rendered sets as a model beside the learned ones: a product on its canvas in, its ground out."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from cyclorama.generation.settings import SCENE_REFERENCE
from cyclorama.generation.styles import FittedStyles
from cyclorama.imaging.colour import to_srgb
from cyclorama.imaging.layout import find_box
from cyclorama.imaging.product import Product, Reference
from cyclorama.imaging.transforms import fit_to_model
from cyclorama.models.registry import Category, CategoryRegistry
from cyclorama.models.vocabulary import FOLDER
from cyclorama.models.words import match_word
from cyclorama.prompts import GENERAL
from cyclorama.scenes.backdrop import Backdrop
from cyclorama.scenes.bank import BANK
from cyclorama.scenes.brand import Brand
from cyclorama.scenes.calm import CalmBox
from cyclorama.scenes.canvas import fit_canvas
from cyclorama.scenes.features import NETWORK
from cyclorama.scenes.grammar.reader import list_scenes
from cyclorama.scenes.library import BUILT_IN, SceneLibrary
from cyclorama.scenes.model import CutOut, set_stage
from cyclorama.scenes.plate import SETS, Plates, ProductSet, choose_set, render_alone
from cyclorama.scenes.render import clear_view, render_image, render_preview, set_threads
from cyclorama.types import Pixels, Size

SCENES = "scenes"
_DRAWING = threading.Lock()
PRESETS = {"quality": (1536, 9), "balanced": (1024, 4), "fast": (512, 4)}
"""Name to (larger side that is rendered, light samples a pixel); larger canvases are scaled up from that."""
PREVIEW_SIDE, PREVIEW_SAMPLES = 128, 8
"""Longer side of a preview, pixels, and its light samples a pixel."""
RENDERER = "23"
"""Raised when equal files give other pixels."""


@cache
def build_registry(library: SceneLibrary = BUILT_IN) -> CategoryRegistry:
    """The categories that there are sets for, with the words of a user's own and their usual share of an
    image.

    Raises ModelFormatError (a word for two).
    """
    return CategoryRegistry(
        [
            Category(name, number, tuple(file.head.get("words", ())), library.get_share(name))
            for number, (name, file) in enumerate(library.files.items())
        ],
        GENERAL,
    )


@cache
def compute_scenes_hash(library: SceneLibrary = BUILT_IN) -> str:
    """Short digest over all category files, shared props, the bank of styles, the network that tells a
    category from an image, and the renderer's version."""
    digest = hashlib.sha256(f"{RENDERER}{library.digest}".encode())
    for path in (NETWORK, BANK, FOLDER / "classes.onnx", FOLDER / "classes.txt"):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def get_scenes_folder() -> Path:
    """Where the built-in category files lie."""
    return next(iter(list_scenes().values())).parent


class SceneModel:
    """Renders the set of a product's category round it; needs no weights.

    Equal arguments give equal pixels on one machine, whatever the number of threads.
    """

    image_size = 512
    image_multiple = 8

    def __init__(self, threads: int = 1, library: SceneLibrary = BUILT_IN) -> None:
        """``threads`` render at a time; ``library`` has the categories."""
        self.library, self.registry = library, build_registry(library)
        self.styles = FittedStyles(library=library)
        self.plates = Plates()
        set_threads(threads)

    def draw(
        self,
        product: Product,
        category: str,
        seed: int,
        preset: str,
        brand: Brand | Backdrop | None = None,
        shared: bool = True,
        calm: Sequence[CalmBox] = (),
        look: Callable[[Pixels], None] | None = None,
    ) -> Pixels:
        """The set or backdrop with ``product`` standing in it, sRGB uint8 (H, W, 3) of the canvas' size.

        Without ``brand`` the seed draws a style from the category's whole range; with it, products of about
        one size stand in one set, whose plate they share if ``shared``. Nothing of a set's
        props is seen in the ``calm`` boxes; such a set is the product's alone. Without ``brand``, ``look`` is
        called with a small, noisy image of the set before that is drawn. Raises SettingsError (unknown
        category, a backdrop without ground there).
        """
        side, samples = PRESETS[preset]
        cutout = fit_cutout(product, side)
        if isinstance(brand, Backdrop):
            return brand.draw(cutout, self.library.load(category), product.size)
        if brand is None:
            setting = set_stage(cutout, self.library.load(category), seed)
            stage = fit_canvas(setting.stage, calm)
            if look is not None:
                look(render_preview(stage, PREVIEW_SIDE, PREVIEW_SAMPLES))
            ground = render_image(stage, max(cutout.canvas), samples, seed % 2**31, setting.solid)
        else:
            shown = self._choose(cutout, category, seed, brand)
            if shared and not calm:
                ground = self.plates.draw(cutout, shown, samples)
            else:
                ground = render_alone(cutout, shown, samples, calm)
        return _enlarge(ground, product.size)

    def draw_empty(
        self, product: Product, category: str, seed: int, preset: str, brand: Brand | Backdrop | None = None
    ) -> Pixels:
        """The same set without the product, for layers; what would hide it is gone, too."""
        if isinstance(brand, Backdrop):
            return brand.fit(product.size).pixels
        side, samples = PRESETS[preset]
        cutout = fit_cutout(product, side)
        if brand is None:
            setting = set_stage(cutout, self.library.load(category), seed)
            clear_view(setting.stage, setting.solid)
            empty = replace(fit_canvas(setting.stage), product=[])
            ground = render_image(empty, max(cutout.canvas), samples, seed % 2**31)
        else:
            ground = self.plates.draw_empty(cutout, self._choose(cutout, category, seed, brand), samples)
        return _enlarge(ground, product.size)

    def _choose(self, cutout: CutOut, category: str, seed: int, brand: Brand) -> ProductSet:
        arrangement = seed % SETS if brand.arrangement is None else brand.arrangement
        categories = self.library.load(category), self.library.load(brand.scene or category)
        return choose_set(cutout, *categories, arrangement, brand.style, brand.elevation)


@cache
def _open_sets() -> SceneModel:
    return SceneModel()


def draw_reference(product: Product, category: str, seed: int) -> Reference:
    """The set round ``product`` as a learned model's reference: ground, light and shadow where they belong.

    A ``category`` that there is no set for gets the general one.
    """
    with _DRAWING:
        model = _open_sets()
        found = match_word(category, model.registry)
        name = GENERAL if found is None else found.category.name
        ground = model.draw(product, name, seed, "fast").astype(np.float32)
    alpha = product.matte[..., None]
    colours = to_srgb(product.foreground, product.icc_profile)
    pixels = np.rint(ground + alpha * (colours - ground)).astype(np.uint8)
    return Reference(pixels, product.matte, SCENE_REFERENCE)


def _enlarge(ground: Pixels, size: Size) -> Pixels:
    if ground.shape[:2] == size:
        return ground
    return np.asarray(Image.fromarray(ground).resize(size[::-1], Image.Resampling.BICUBIC))


def fit_cutout(product: Product, side: int) -> CutOut:
    """``product`` with its canvas' larger side no longer than ``side``."""
    scale = min(1.0, side / max(product.size))
    size = (max(8, round(product.size[0] * scale)), max(8, round(product.size[1] * scale)))
    colours = to_srgb(product.foreground, product.icc_profile)
    pixels, matte = fit_to_model(product.size, size).apply_rgba(colours, product.matte)
    box = find_box(matte)
    return CutOut(np.clip(pixels, 0, 255).astype(np.uint8), matte, (box.top, box.left, box.height, box.width))
