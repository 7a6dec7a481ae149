"""How many posters are still refused after up to three attempts? On products that are hard to show.

    python benchmarks/remedies.py --rows out/remedies.jsonl [--model bundled] [--seeds 1] [--input PRODUCTS]

A hard product is a held-out one of the rendered categories, as it is, squeezed to a fifth of its height or of
its width, and recoloured: its rim's mean becomes the mean of what was behind it on its first set. With
``--input`` the products are those of a folder or table, as they are. Canvases of 256 pixels, preset fast.
Told is the share of posters that fail a check: after one attempt, after up to three with the remedies, and
after up to three with nothing but the next layout and seed; intervals over products.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from skimage.color import lab2rgb

from cyclorama.data.addresses import read_bytes
from cyclorama.evaluation.compare import estimate_mean
from cyclorama.generation.items import ItemSource
from cyclorama.generation.model import open_model
from cyclorama.generation.recognise import recognise
from cyclorama.generation.settings import InputSettings
from cyclorama.imaging.colour import to_lab
from cyclorama.imaging.layout import find_box
from cyclorama.imaging.product import Product
from cyclorama.models.registry import Category
from cyclorama.posters import remedies
from cyclorama.posters.maker import PosterMaker, PosterSettings
from cyclorama.posters.words import Wording
from cyclorama.scenes.library import BUILT_IN
from cyclorama.scenes.look import measure_rim
from cyclorama.scenes.model import find_surroundings
from cyclorama.types import Pixels
from inspection_faults import build_case

SHAPES = {"own": (1.0, 1.0), "wide": (0.2, 1.0), "thin": (1.0, 0.2)}
"""Factors on height and width."""
CANVAS = (256, 256)
WORDS: Wording = {"headline": "Made to stay", "price": "€ 49"}
WAYS = ("one", "remedies", "plain")


def squeeze(product: Product, shape: str) -> Product:
    """The product with another shape, in a frame of its own size."""
    height, width = product.size
    box, (down, across) = find_box(product.matte), SHAPES[shape]
    size = (max(12, round(box.height * down)), max(12, round(box.width * across)))
    rgba = np.dstack([product.foreground, np.rint(product.matte * 255).astype(np.uint8)])
    part = rgba[box.top : box.top + box.height, box.left : box.left + box.width]
    small = np.asarray(Image.fromarray(part).resize(size[::-1], Image.Resampling.LANCZOS))
    canvas = np.zeros((height, width, 4), np.uint8)
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    canvas[top : top + size[0], left : left + size[1]] = small
    matte = (canvas[..., 3] / 255).astype(np.float32)
    return Product(canvas[..., :3].copy(), matte, canvas[..., :3].copy(), name=f"{product.name} {shape}")


def recolour(product: Product, ground: Pixels, standing: Product) -> Product:
    """The product with its rim's mean that of what is behind it on ``ground``."""
    behind = to_lab(find_surroundings(ground, standing.matte)[:, None])[:, 0].mean(0)
    rim = measure_rim(product.foreground, product.matte).mean(0)
    moved = np.clip(lab2rgb(to_lab(product.foreground) + behind - rim), 0, 1)
    pixels = np.rint(255 * moved).astype(np.uint8)
    return product.derive(pixels=pixels, foreground=pixels)


def refuse(maker: PosterMaker, product: Product, category: Category, seed: int, attempts: int) -> list[str]:
    """Faults of the poster that is kept."""
    settings = PosterSettings(attempts=attempts)
    one = PosterMaker(maker.model, maker.handle, settings=settings)
    poster = one.make(product, category, {"en": WORDS}, CANVAS, seed)["en"]
    return sorted(poster.record.verdict.faults)


def try_product(maker: PosterMaker, name: str, index: int, shape: str, seed: int) -> dict[str, Any]:
    """A row of a hard product: faults after each way of making the poster."""
    category = maker.handle.registry.resolve(name)
    product = squeeze(build_case(name, seed, index).product, shape)
    first = PosterMaker(maker.model, maker.handle, settings=PosterSettings(attempts=1))
    poster = first.make(product, category, {"en": WORDS}, CANVAS, seed)["en"]
    hard = recolour(product, poster.drawn.background, poster.product)
    return {"category": name, "shape": shape, "seed": seed} | compare(maker, hard, category, seed)


def compare(maker: PosterMaker, hard: Product, category: Category, seed: int) -> dict[str, list[str]]:
    """Faults after each way of making a poster of ``hard``."""
    row = {"one": refuse(maker, hard, category, seed, 1)}
    row["remedies"] = refuse(maker, hard, category, seed, 3) if row["one"] else []
    table = dict(remedies.REMEDIES)
    remedies.REMEDIES.clear()
    try:
        row["plain"] = refuse(maker, hard, category, seed, 3) if row["one"] else []
    finally:
        remedies.REMEDIES.update(table)
    return row


def read_products(maker: PosterMaker, place: str) -> Iterator[tuple[str, Product, Category]]:
    """Name, product and category of each input that can be used."""
    settings, registry = InputSettings(), maker.handle.registry
    for item in ItemSource(place, settings).iterate(Path()):
        if item.image is None or item.failure is not None:
            continue
        product = Product.from_image(read_bytes(item.image), name=item.name)
        found = settings.build_rules().choose(item.category, registry, item.folders)
        yield item.name, product, (found or recognise(product, registry)).category


def report(rows: list[dict[str, Any]]) -> None:
    """Print shares refused and their differences."""
    groups = [row["category"] for row in rows]
    for way in WAYS:
        share = estimate_mean([float(bool(row[way])) for row in rows], groups)
        faults: dict[str, int] = {}
        for row in rows:
            for fault in row[way]:
                faults[fault] = faults.get(fault, 0) + 1
        assert share is not None
        print(f"{way:<9} refused {share.format(3)} of {share.count}; {faults}")
    for way in ("one", "plain"):
        less = [float(bool(row[way])) - float(bool(row["remedies"])) for row in rows]
        found = estimate_mean(less, groups)
        assert found is not None
        print(f"{way} less remedies: {found.format(3)}")


def main() -> None:
    """Make, check, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=Path, required=True, help="kept rows; known ones are not made again")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--model", help="scenes, or a learned one: bundled, a folder")
    parser.add_argument("--input", help="folder or table of products, in place of the hard ones")
    options = parser.parse_args()
    options.rows.parent.mkdir(parents=True, exist_ok=True)
    lines = options.rows.read_text().splitlines() if options.rows.exists() else []
    rows = [json.loads(line) for line in lines]
    known = {(row["category"], row["shape"], row["seed"]) for row in rows}
    handle = open_model(options.model)
    maker = PosterMaker(handle.load("cpu", "float32"), handle)
    if options.input is not None:
        for name, product, category in read_products(maker, options.input):
            if (name, "own", 1) not in known:
                row = {"category": name, "shape": "own", "seed": 1} | compare(maker, product, category, 1)
                with options.rows.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                rows.append(row)
        report(rows)
        return
    names = [name for name, file in BUILT_IN.files.items() if "product" in file.head]
    for seed in range(options.seeds):
        for index, name in enumerate(names):
            shape = list(SHAPES)[(index + seed) % len(SHAPES)]
            if (name, shape, seed) in known:
                continue
            row = try_product(maker, name, index, shape, seed)
            with options.rows.open("a") as file:
                file.write(json.dumps(row) + "\n")
            rows.append(row)
    report(rows)


if __name__ == "__main__":
    main()
