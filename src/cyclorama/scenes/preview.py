"""How does a category look?  A sheet of its brands and styles, round products or what stands for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from cyclorama.errors import ConfigError
from cyclorama.files import write_atomic
from cyclorama.scenes.body import measure_body
from cyclorama.scenes.compose import build_studio
from cyclorama.scenes.items import encode_png
from cyclorama.scenes.library import BUILT_IN, SceneLibrary, open_library
from cyclorama.scenes.model import CutOut, set_stage
from cyclorama.scenes.render import render_image, render_mask
from cyclorama.scenes.stage import SceneCategory
from cyclorama.types import Matte, Pixels

SIDE = 256
"""Of a set, pixels."""
_ROWS, _COLUMNS, _GAP, _SAMPLES = 3, 4, 8, 9


def find_scene(given: str) -> tuple[SceneLibrary, str]:
    """The library with the category that ``given``, a category's file or name, says, and its name.

    Raises ConfigError (neither, or a file with a fault).
    """
    if given in BUILT_IN.names:
        return BUILT_IN, given
    if not Path(given).is_file():
        known = ", ".join(BUILT_IN.names)
        raise ConfigError(f"{given!r} is no category file and no category; there are: {known}")
    library = open_library(Path(given))
    return library, str(library.own[0].head["name"])


def draw_sheet(library: SceneLibrary, name: str, path: Path, seed: int = 0, side: int = SIDE) -> None:
    """Write a PNG of twelve sets of ``name``, ``side`` pixels each: its three brands, then nine styles.

    Raises OutputError.
    """
    category = library.load(name)
    sheet = np.full((_ROWS * (side + _GAP) - _GAP, _COLUMNS * (side + _GAP) - _GAP, 3), 255, np.uint8)
    for place in range(_ROWS * _COLUMNS):
        number = seed * _ROWS * _COLUMNS + place
        product = draw_product(category, number, side)
        style = category.brands[place] if place < len(category.brands) else None
        setting = set_stage(product, category, number, style)
        ground = render_image(setting.stage, side, _SAMPLES, number, setting.solid)
        alpha = product.matte[..., None]
        top, left = (side + _GAP) * (place // _COLUMNS), (side + _GAP) * (place % _COLUMNS)
        shown = np.rint(alpha * product.foreground + (1 - alpha) * ground)
        sheet[top : top + side, left : left + side] = shown.astype(np.uint8)
    write_atomic(path, encode_png(sheet))


def draw_product(category: SceneCategory, number: int, side: int) -> CutOut:
    """The category's 3-D product ``number`` in studio light, or a plain thing of its body."""
    if category.build_product is not None:
        stage = build_studio(category, number)
        foreground: Pixels = render_image(stage, side, _SAMPLES, number)
        matte: Matte = (render_mask(stage, side, 16, number) / 255).astype(np.float32)
    else:
        foreground, matte = _draw_stand_in(category, number, side)
    rows, columns = np.flatnonzero(matte.any(1)), np.flatnonzero(matte.any(0))
    box = (rows[0], columns[0], rows[-1] + 1 - rows[0], columns[-1] + 1 - columns[0])
    return CutOut(foreground, matte, (int(box[0]), int(box[1]), int(box[2]), int(box[3])))


def _draw_stand_in(category: SceneCategory, number: int, side: int) -> tuple[Pixels, Matte]:
    body, rng = measure_body(category), np.random.default_rng(number)
    tall = side * sum(category.framing.share) / 2
    wide = tall * (1.0 if body.lies else 0.5)
    y, x = np.mgrid[:side, :side] + 0.5
    u, v = (x - side / 2) / (wide / 2), (y - side / 2) / (tall / 2)
    power = 2.0 if body.lies else 10.0
    matte = np.clip((1 - (np.abs(u) ** power + np.abs(v) ** power) ** (1 / power)) * wide / 2 + 0.5, 0, 1)
    shade = 1 - 0.45 * np.abs(u) ** 2.5 if body.round else 1 - 0.08 * (v + 1)
    label = (np.abs(u) < 0.72) & (np.abs(v) < 0.42)
    hue = np.array(Image.new("HSV", (1, 1), (int(rng.integers(256)), 130, 170)).convert("RGB"))[0, 0]
    colours = np.where(label[..., None], np.array([240, 236, 228]), hue) * np.clip(shade, 0.2, 1)[..., None]
    return colours.astype(np.uint8), matte.astype(np.float32)
