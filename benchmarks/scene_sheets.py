"""Every category of scenes to be looked at: products on their sets, as a user gets them.

    python benchmarks/scene_sheets.py --seeds 3 --size 1024 --out out/sheets

Gives FOLDER/images/CATEGORY-SEED.png, those that are there being kept, and pages of 162 images each, the
first seed's first, as FOLDER/PAGE.jpg. Products are held-out 3-D products in neutral light, cut out;
categories that have none show those of a similar one.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from PIL import Image, ImageDraw

from cyclorama import BackgroundGenerator
from cyclorama.generation.scenes import PRESETS
from cyclorama.scenes.compose import build_studio, list_held_out, slug_of
from cyclorama.scenes.grammar.reader import list_scenes, load_category
from cyclorama.scenes.render import render_image, render_mask

STAND_INS = {
    "book": "juice carton", "bottle of water": "sauce", "candle": "cream jar", "chips": "coffee",
    "chocolate": "coffee", "cookies": "coffee", "detergent": "shampoo", "handbag": "suitcase",
    "headphones": "camera", "honey": "cream jar", "jewellery": "perfume", "musical instrument": "speaker",
    "nuts": "coffee", "pan": "rice cooker", "pet food": "coffee", "plant pot": "mug", "shoes": "camera",
    "snack": "coffee", "studio": "perfume", "supplement jar": "cream jar", "tea": "juice carton",
    "television": "laptop", "toy": "game console", "vegetables": "fruit", "watch": "phone", "wine": "whisky",
    "yoghurt": "milk carton",
}  # fmt: skip
"""Category for cut-outs only to the one whose products stand in for its own."""
SIDE, COLUMNS, ROWS = 200, 9, 18
"""Pixels of an image on a page, and how many are side by side and below each other."""


def draw_sheets(names: list[str], seeds: int, size: int, preset: str, out: Path) -> None:
    """Products in scenes of ``names``, as a user gets them: images, and pages with their names."""
    generator = BackgroundGenerator.from_pretrained()
    (out / "images").mkdir(parents=True, exist_ok=True)
    paths = []
    for seed in range(seeds):
        for name in names:
            paths.append(out / "images" / f"{slug_of(name)}-{seed}.png")
            if not paths[-1].exists():
                photo = _photograph(name, seed, size)
                generator(photo, category=name, seed=seed, preset=preset).save(paths[-1])
    count = COLUMNS * ROWS
    for first in range(0, len(paths), count):
        shown = paths[first : first + count]
        page = Image.new("RGB", (COLUMNS * SIDE, -(-len(shown) // COLUMNS) * SIDE), "white")
        for place, path in enumerate(shown):
            with Image.open(path) as image:
                small = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
            ImageDraw.Draw(small).text(
                (6, SIDE - 16), path.stem, "white", stroke_width=1, stroke_fill="black"
            )
            page.paste(small, (place % COLUMNS * SIDE, place // COLUMNS * SIDE))
        page.save(out / f"{first // count + 1}.jpg", quality=85)


def _photograph(name: str, number: int, size: int) -> Image.Image:
    """A held-out product, or its stand-in, in neutral light without a background, as ``name`` is framed."""
    shown, target = load_category(STAND_INS.get(name, name)), load_category(name)
    stage = build_studio(replace(shown, framing=target.framing), list_held_out(shown.name)[number])
    image = Image.fromarray(render_image(stage, size, 8, 0))
    image.putalpha(Image.fromarray(render_mask(stage, size, 8, 0)))
    return image


def main() -> None:
    """Read the options and draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--categories", nargs="*", default=[*list_scenes()])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--preset", choices=PRESETS, default="quality")
    parser.add_argument("--out", type=Path, default=Path("out/sheets"))
    options = parser.parse_args()
    draw_sheets(options.categories, options.seeds, options.size, options.preset, options.out)


if __name__ == "__main__":
    main()
