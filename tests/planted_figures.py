"""Figures of planted images: how bright each kind's image is and where, and how much its masks cover.

``python tests/planted_figures.py`` prints them as JSON; ``tests/unit/test_planted.py`` compares them with
``tests/planted_figures.json``.
"""

from __future__ import annotations

import csv
import io
import json
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cyclorama.data.shards import Sample, write_shards
from cyclorama.lab.planted import build
from cyclorama.lab.planted.fonts import Fonts
from cyclorama.lab.planted.kinds import KINDS, Scene
from cyclorama.lab.planted.people import People
from cyclorama.lab.planted.scenes import Base

STORED = Path(__file__).with_name("planted_figures.json")
SIDE = 200
SET_KINDS = ("clean", "copy_crop", "copy_overlay", "clicks_low", "clicks_few", "clicks_tail", "mask_other",
             "text_plain", "blank_cutout", "blank_unmasked", "broken_file", "tiny", "crushed",
             "body")  # fmt: skip


def draw_base(number: int, side: int = SIDE) -> Base:
    """Waves of colour with grain, and a disc of a product left of the middle."""
    rows, columns = np.mgrid[:side, :side] / side
    waves = (90 + 80 * np.sin(9 * columns + number), 120 + 90 * rows, 100 + 60 * np.cos(7 * (columns + rows)))
    grain = np.random.default_rng(number).normal(0, 3, (side, side, 3))
    mask = np.hypot(columns - 0.34, rows - 0.58) < 0.2 + 0.01 * number
    pixels = (np.stack(waves, 2) + grain).clip(0, 255).astype(np.uint8)
    return Base(pixels, mask.astype(np.float32), {})


def draw_person(width: int, height: int, cut_out: bool) -> Image.Image:
    """A gradient; as an oval on transparency with ``cut_out``."""
    rows, columns = np.mgrid[:height, :width]
    layers = [columns * 255 / width, rows * 255 / height, (rows + columns) % 255]
    if cut_out:
        oval = np.hypot((columns - width / 2) / (width / 2), (rows - height / 2) / (height / 2)) < 1
        layers.append(255 * oval)
    return Image.fromarray(np.stack(layers, 2).astype(np.uint8))


def measure(layers: Iterable[Any]) -> list[Any]:
    """Shape, spread, and the mean as it is and weighted from above, from the left, of each layer."""
    found: list[Any] = []
    for layer in layers:
        if layer is None:
            found.append(None)
            continue
        values = np.asarray(layer, np.float64)
        down = np.linspace(0, 1, len(values)).reshape(-1, *[1] * (values.ndim - 1))
        across = np.linspace(0, 1, values.shape[1]).reshape(1, -1, *[1] * (values.ndim - 2))
        figures = (values.mean(), values.std(), (values * down).mean(), (values * across).mean())
        found.append([*values.shape, *(round(float(figure), 4) for figure in figures)])
    return found


def measure_kinds() -> dict[str, Any]:
    """Every kind, made three times."""
    heads, busts = (draw_person(40, 50, False),), (draw_person(50, 60, False),)
    people = People(heads, busts, (draw_person(30, 90, True),))
    found: dict[str, Any] = {}
    for number, (name, kind) in enumerate(KINDS.items()):
        found[name] = []
        for seed in range(3):
            chance = np.random.default_rng([number, seed])
            plant = kind.make(Scene([draw_base(n) for n in range(kind.bases)], Fonts(), people, chance))
            if plant is not None:
                layers = measure((plant.pixels, plant.mask, plant.text, plant.alpha, plant.truth))
                found[name].append([*layers, plant.quality, len(plant.raw or b"")])
    return found


def measure_set(folder: Path) -> dict[str, Any]:
    """A small set: its rows, and the images as they lie in files."""
    samples = []
    for number in range(40):
        base, files = draw_base(number % 8, 48), []
        for layer in (base.pixels, (base.mask * 255).astype(np.uint8)):
            stream = io.BytesIO()
            Image.fromarray(layer).save(stream, "PNG")
            files.append(stream.getvalue())
        labels = {"id": f"k{number}", "category": f"cup {number % 3}", "product_id": f"k{number % 5}"}
        samples.append(Sample(f"k{number}", *files, labels | {"brand": "" if number % 2 else "b"}))
    write_shards(samples, folder / "shards")
    sides, build.SIDES = build.SIDES, (96, 128)
    try:
        made = build.build_set(build.PlantingJob(folder / "shards", folder, None, None, 4, SET_KINDS), 30)
    finally:
        build.SIDES = sides
    tables = {}
    for name in ("manifest", "truth"):
        with (folder / f"{name}.csv").open(encoding="utf-8") as file:
            tables[name] = [list(row.values()) for row in csv.DictReader(file)]
    images = {}
    for path in sorted((folder / "images").iterdir()):
        try:
            with Image.open(path) as image:
                images[path.name] = [image.mode, *measure([image.convert("RGB")])[0]]
        except OSError:
            images[path.name] = None
    masks = [measure([np.asarray(Image.open(p))])[0] for p in sorted((folder / "masks").iterdir())]
    facts = json.loads((folder / "settings.json").read_text())
    return {"kinds": dict(made), **tables, "images": images, "masks": masks, "facts": facts}


def compute_all() -> dict[str, Any]:
    """All figures, as they lie in the stored file."""
    with tempfile.TemporaryDirectory() as folder:
        return {"kinds": measure_kinds(), "set": measure_set(Path(folder))}


if __name__ == "__main__":
    json.dump(compute_all(), sys.stdout, ensure_ascii=False)
    print()
