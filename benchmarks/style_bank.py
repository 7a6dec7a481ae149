"""Draw and describe styles of every category, the bank in which those like a reference are looked for.

    python benchmarks/style_bank.py out/bank --styles 16
    python benchmarks/style_bank.py out/bank --styles 16 --write src/cyclorama/weights/references/styles.npz

Every style's empty set is rendered at 128 px, about a second of one core each. What is in the folder is not
drawn again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from cyclorama.scenes.bank import build_bank, save_bank
from cyclorama.scenes.brand import Brand
from cyclorama.scenes.features import describe_background
from cyclorama.scenes.grammar.reader import list_scenes, load_category
from cyclorama.scenes.model import draw_style, set_empty
from cyclorama.scenes.render import render_image

SIZE = 128
SAMPLES = 4


def choose_brand(name: str, number: int) -> Brand:
    """Style ``number`` of a category: its brands first, then styles from its whole range."""
    brands = load_category(name).brands
    style = brands[number] if number < len(brands) else draw_style(name, number)
    return Brand.of(style, name, number)


def main() -> None:
    """Draw what is missing; with ``--write`` describe and write all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--styles", type=int, default=16, help="of every category")
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    brands, descriptions = [], []
    for number in range(options.styles):
        for name in list_scenes():
            path = options.folder / f"{name.replace(' ', '_')}-{number}.png"
            brand = choose_brand(name, number)
            if not path.exists():
                category = load_category(name)
                stage = set_empty(category, category, number, brand.style, SIZE)
                image = render_image(stage, SIZE, SAMPLES, 0)
                Image.fromarray(image).save(path)
            if options.write is not None:
                brands.append(brand)
                descriptions.append(describe_background(np.asarray(Image.open(path))))
    if options.write is not None:
        save_bank(build_bank(brands, descriptions), options.write)


if __name__ == "__main__":
    main()
