"""Posters against one template with white words on a set that knows of no words, and how long one takes.

    python benchmarks/posters.py words --rows FILE [--products 54] [--side 540] [--sheet FOLDER]
    python benchmarks/posters.py speed [--model bundled]

``words``: held-out rendered products and the demo's own, each on a square, high or wide canvas. Ours is what
`cyclorama poster` makes; beside it stand the template `fixed`, the same seed's set as `generate` draws it,
and white words. Per poster: whether every text reaches WCAG's limit on the worst 5 % of the pixels behind it,
and the mean slope of lightness under the words, panel and veils included. Differences are paired; intervals
are over products; products whose row is in FILE are not made again. ``speed``: four plans and one background
at 1080 x 1350, the model loaded.
"""

from __future__ import annotations

import argparse
import io
import json
import time
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.stats import bootstrap

from cyclorama.errors import CycloramaError
from cyclorama.evaluation.compare import estimate_mean
from cyclorama.generation.engine import sample_images
from cyclorama.generation.model import open_model
from cyclorama.generation.settings import GenerateConfig
from cyclorama.generation.task import Task
from cyclorama.imaging.product import Product
from cyclorama.layout.metrics import measure_flatness
from cyclorama.models.registry import Category
from cyclorama.posters.drawing import set_texts
from cyclorama.posters.maker import PosterMaker, PosterSettings, place
from cyclorama.posters.planning import PlanRequest, plan_poster
from cyclorama.posters.words import PosterBrand
from cyclorama.scenes.compose import list_held_out
from cyclorama.scenes.items import render_cutout
from cyclorama.scenes.library import BUILT_IN
from cyclorama.seeding import compute_seed
from cyclorama.typography.contrast import choose_limit, find_behind, measure_contrast
from cyclorama.typography.drawing import draw_text, lay_over

SHAPES = ((1.0, 1.0), (16 / 9, 1.0), (1.0, 1.91))
"""Height and width against the shorter side."""
WORDS = (
    {"headline": "Slow evenings", "price": "€ 59"},
    {
        "headline": "Made to stay",
        "subline": "Drawn, lit and set without a studio",
        "price": "€ 49",
        "action": "See more",
    },
    {"headline": "Forty years of comfort", "subline": "Oak and linen", "price": "from € 749"},
)
WHITE = (255, 255, 255)
DEMO = Path(__file__).resolve().parents[1] / "src/cyclorama/weights/demo"


def list_products(count: int) -> list[tuple[str, str, bytes]]:
    """(name, category, image) of ``count`` held-out products and of the demo's."""
    categories = [name for name, file in BUILT_IN.files.items() if "product" in file.head]
    chosen = [(name, number) for name in categories for number in list_held_out(name)[:10]]
    chosen = chosen[:: max(1, len(chosen) // count)][:count] if count else []
    found = [(f"{n} {k}", n, render_cutout(BUILT_IN.load(n), k, 480, 16)) for n, k in chosen]
    entries = json.loads((DEMO / "demo.json").read_text())["entries"]
    return found + [(e["product"], e["category"], (DEMO / e["product"]).read_bytes()) for e in entries]


def draw_plain(
    maker: PosterMaker,
    product: Product,
    category: Category,
    words: dict[str, str],
    canvas: tuple[int, int],
    seed: int,
) -> tuple[bool, float, np.ndarray]:
    """The baseline: whether its words can be read, the slope under them, and its pixels."""
    brand = PosterBrand()
    [layout] = plan_poster(PlanRequest(product, canvas, {"en": words}, brand), "fixed", 1, seed)
    standing, _ = place(product, layout)
    task = Task(standing, category, compute_seed(seed, product.name, "poster 0"), name=product.name)
    [made] = sample_images(maker.model, [task], GenerateConfig(preset="fast", shared_sets=False))
    if isinstance(made, Exception):
        raise made
    texts = [text for _, text in set_texts(layout, words, "en", brand, canvas)]
    passed = all(
        measure_contrast(made.background, find_behind(text, canvas), WHITE) >= choose_limit(text, min(canvas))
        for text in texts
    )
    pixels = lay_over(made.pixels, [draw_text(text, WHITE, canvas) for text in texts])
    return passed, measure_flatness(layout, made.background), pixels


def compare_words(count: int, side: int, kept: Path, sheet: Path | None) -> None:
    """Measure and print; ``sheet``: folder for each product's poster beside its baseline."""
    handle = open_model()
    maker = PosterMaker(handle.load("cpu", "float32"), handle)
    lines = kept.read_text().splitlines() if kept.exists() else []
    rows = {row["name"]: row for row in map(json.loads, lines)}
    for index, (name, kind, data) in enumerate(list_products(count)):
        if name in rows:
            continue
        high, wide = SHAPES[index % len(SHAPES)]
        canvas = (round(side * high), round(side * wide))
        words = WORDS[index % len(WORDS)]
        product = Product.from_image(io.BytesIO(data)).derive(name=name)
        category = handle.registry.resolve(kind)
        try:
            passed, slope, plain = draw_plain(maker, product, category, words, canvas, index)
            own = maker.make(product, category, {"en": words}, canvas, index)["en"]
        except CycloramaError as error:
            print(f"{name}: {type(error).__name__}: {error}", flush=True)
            continue
        below = lay_over(own.drawn.background, own.drawn.below)
        bare = own.record.layout.model_copy(update={"elements": tuple(own.record.layout.select("text"))})
        rows[name] = {
            "name": name,
            "accepted": own.record.verdict.accepted,
            "readable": [all(proof.contrast >= proof.limit for proof in own.record.proofs), passed],
            "slope": [measure_flatness(bare, below), slope],
        }
        with kept.open("a") as file:
            file.write(json.dumps(rows[name]) + "\n")
        if sheet is not None:
            sheet.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.hstack([own.pixels, plain])).save(sheet / f"{Path(name).stem}.png")
    print(f"{len(rows)} products; accepted {np.mean([row['accepted'] for row in rows.values()]):.1%}")
    for key in ("readable", "slope"):
        values = np.array([row[key] for row in rows.values()], float)
        difference = estimate_mean(list(values[:, 0] - values[:, 1]), list(rows))
        assert difference is not None
        own_mean, other = values.mean(0)
        print(f"{key}: {own_mean:.3f} beside {other:.3f}, difference {difference.format(3)}")
        if key == "slope":
            ratio = bootstrap(values.T, lambda a, b, axis: a.mean(axis) / b.mean(axis), paired=True, rng=0)
            low, high = ratio.confidence_interval
            print(f"{key}, ratio of means: {own_mean / other:.3f} ({low:.3f} to {high:.3f})")


def time_posters(model: str | None, repeats: int = 5) -> None:
    """Print the seconds of a poster."""
    handle = open_model(model)
    device, dtype = handle.choose_device()
    maker = PosterMaker(
        handle.load(device, dtype), handle, PosterBrand(), PosterSettings(attempts=1, preset="fast")
    )
    [(name, kind, data)] = [one for one in list_products(0) if one[1] == "perfume"][:1]
    product = Product.from_image(io.BytesIO(data)).derive(name=name)
    category = handle.registry.resolve(kind)
    for seed in range(repeats):
        start = time.perf_counter()
        maker.make(product, category, {"en": WORDS[1]}, (1350, 1080), seed)
        print(f"seed {seed}: {time.perf_counter() - start:.2f} s", flush=True)


def main() -> None:
    """Run one of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("words", "speed"))
    parser.add_argument("--products", type=int, default=54)
    parser.add_argument("--side", type=int, default=540)
    parser.add_argument("--rows", type=Path, help="kept rows of words; known ones are not made again")
    parser.add_argument("--sheet", type=Path, help="folder of images, each poster beside its baseline")
    parser.add_argument("--model")
    arguments = parser.parse_args()
    if arguments.what == "words":
        if arguments.rows is None:
            parser.error("words needs --rows FILE")
        compare_words(arguments.products, arguments.side, arguments.rows, arguments.sheet)
    else:
        time_posters(arguments.model)


if __name__ == "__main__":
    main()
