"""How well is a product cut out of any photo, and does the network know when it fails?

    python benchmarks/cutouts.py --out out/cutouts [--products FOLDER ...] [--grounds FOLDER ...] [--seed N]

Photos with known mattes: products (the demo's and those in ``--products``, cut-outs or photos before white)
pasted with a shadow onto rooms that our own scenes render, scikit-image's free photographs without a subject
of their own, and those in ``--grounds``; and our own products standing lit in our own scenes. Both products
and grounds are split into a half to fit the limit of confidence on, and one held out. Told are IoU and
boundary F (3 pixels) of the network's first look and of the refined matte, the share refused at the limit,
and seconds. Photos and rows are kept in ``--out``, and known ones are not made again. Another ``--seed``
draws other rooms, pairs and places, on which nothing was fitted.
"""

from __future__ import annotations

import argparse
import io
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import skimage
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

import cyclorama
from cyclorama.imaging.product import Product
from cyclorama.imaging.subject import LEAST_CONFIDENCE, find_subject, look_at
from cyclorama.scenes.compose import PRODUCTS_PER_CATEGORY, ItemPlan, build_stage, derive
from cyclorama.scenes.grammar.reader import NAMES, load_category
from cyclorama.scenes.render import render_image, render_mask

SIDE, ROOM_SIDE = 640, 448
GROUNDS = ("motorcycle_left.png", "rocket.jpg", "grass.png", "gravel.png", "brick.png")
SLACK = 3

Array = NDArray[np.float32]
Pixels = NDArray[np.uint8]


def render_rooms(folder: Path, seed: int) -> None:
    """Every second category's set empty (NAME.png), and all with a product (with-NAME.png, its .mask.png)."""
    for k, name in enumerate(NAMES):
        category, target = load_category(name), folder / f"with-{name}.png"
        if category.build_product is None or target.exists():
            continue
        drawn = derive("cutouts", name, seed) if seed else derive("cutouts", name)
        stage, _ = build_stage(ItemPlan(k, category, None, (5 + seed) % PRODUCTS_PER_CATEGORY, drawn))
        if k % 2 == 0:
            empty = render_image(replace(stage, product=[]), ROOM_SIDE, 6, k)
            Image.fromarray(empty).save(folder / f"{name}.png")
        mask = render_mask(stage, ROOM_SIDE, 16, k)
        Image.fromarray(mask).save(folder / f"with-{name}.mask.png")
        Image.fromarray(render_image(stage, ROOM_SIDE, 6, k, mask)).save(target)


def load_products(folders: list[Path]) -> list[tuple[str, Pixels]]:
    """(name, RGBA (H, W, 4)) of every product."""
    demo = Path(cyclorama.__file__).parent / "weights" / "demo" / "products"
    files = [path for folder in folders for path in sorted(folder.glob("*.[jpw]*g*"))]
    found = []
    for path in [*files, *sorted(demo.glob("*/01.webp"))]:
        product = Product.from_image(path)
        alpha = np.rint(product.matte * 255).astype(np.uint8)
        name = path.parent.name if path.stem == "01" else path.stem
        found.append((name, np.dstack([product.foreground, alpha])))
    return found


def compose(rgba: Pixels, ground: Image.Image, chance: np.random.Generator) -> tuple[Image.Image, Array]:
    """The photo (640 x 640) of a product with a shadow before a part of ``ground``, and its matte."""
    scale = SIDE / min(ground.size) * chance.uniform(1, 1.3)
    ground = ground.resize([max(SIDE, round(v * scale)) for v in ground.size], Image.Resampling.BICUBIC)
    x, y = (int(chance.integers(0, v - SIDE + 1)) for v in ground.size)
    behind = np.asarray(ground.crop((x, y, x + SIDE, y + SIDE)), np.float32)
    product = Image.fromarray(rgba)
    product = product.crop(product.getchannel("A").getbbox())
    scale = SIDE * chance.uniform(0.4, 0.8) / max(product.size)
    product = product.resize([max(1, round(v * scale)) for v in product.size], Image.Resampling.LANCZOS)
    width, height = product.size
    foot = int(min(SIDE, max(height, SIDE * chance.uniform(0.75, 0.95))))
    left = int(np.clip((SIDE - width) / 2 + chance.normal(0, 0.1) * SIDE, 0, SIDE - width))
    canvas = Image.new("RGBA", (SIDE, SIDE))
    canvas.paste(product, (left, foot - height))
    colours = np.asarray(canvas, np.float32)
    matte = colours[..., 3] / 255
    rows, columns = np.mgrid[:SIDE, :SIDE]
    across = (columns - left - width / 2) / (0.55 * width)
    shadow = np.exp(-2 * across**2 - 2 * ((rows - foot + 0.01 * SIDE) / (0.05 * SIDE)) ** 2)
    photo = behind * (1 - 0.5 * shadow[..., None]) * (1 - matte[..., None])
    photo += colours[..., :3] * matte[..., None] + chance.normal(0, 2, (SIDE, SIDE, 1))
    buffer = io.BytesIO()
    Image.fromarray(photo.clip(0, 255).round().astype(np.uint8)).save(buffer, "JPEG", quality=90)
    return Image.open(buffer), matte


def list_photos(
    out: Path, products: list[Path], grounds: list[Path], seed: int = 0
) -> Iterator[tuple[str, int, Pixels, Array]]:
    """(name, half, pixels, matte) of every photo."""
    rooms = out / "rooms"
    free = Path(skimage.__file__).parent / "data"
    files = sorted(p for p in rooms.glob("*.png") if not p.name.startswith("with-"))
    files += [free / name for name in GROUNDS]
    files += [p for folder in grounds for p in sorted(folder.glob("*.[jpw]*[gp]"))]
    for i, (name, rgba) in enumerate(load_products(products)):
        path = files[i % 2 :: 2][(i // 2 + seed) % len(files[i % 2 :: 2])]
        photo, matte = compose(rgba, Image.open(path).convert("RGB"), np.random.default_rng([i, seed]))
        yield f"{name} before {path.stem}", i % 2, np.asarray(photo.convert("RGB")), matte
    for i, path in enumerate(sorted(p for p in rooms.glob("with-*.png") if ".mask" not in p.name)):
        matte = np.asarray(Image.open(path.with_suffix(".mask.png")), np.float32) / 255
        yield path.stem, i % 2, np.asarray(Image.open(path)), matte


def compute_iou(found: Array, truth: Array) -> float:
    one, two = found >= 0.5, truth >= 0.5
    return float((one & two).sum() / max(1, (one | two).sum()))


def compute_boundary(found: Array, truth: Array) -> float:
    """F of both outlines: the share of each within 3 pixels of the other."""
    lines = [m ^ ndimage.binary_erosion(m, border_value=1) for m in (found >= 0.5, truth >= 0.5)]
    if not lines[0].any():
        return 0.0
    near = [ndimage.distance_transform_edt(~line) <= SLACK for line in lines]
    right, complete = float(near[1][lines[0]].mean()), float(near[0][lines[1]].mean())
    return 2 * right * complete / max(1e-9, right + complete)


def tell(rows: list[dict[str, float]], limit: float) -> None:
    kept = [row for row in rows if row["confidence"] >= limit]
    for name in ("iou_raw", "iou", "f_raw", "f"):
        every, best = ([row[name] for row in part] for part in (rows, kept))
        print(
            f"  {name:8} all: mean {np.mean(every):.3f} median {np.median(every):.3f}   "
            f"accepted: mean {np.mean(best):.3f} median {np.median(best):.3f} least {min(best):.3f}"
        )
    print(f"  refused at {limit:.2f}: {1 - len(kept) / len(rows):.1%} of {len(rows)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--products", type=Path, nargs="*", default=[])
    parser.add_argument("--grounds", type=Path, nargs="*", default=[])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    (options.out / "rooms").mkdir(parents=True, exist_ok=True)
    render_rooms(options.out / "rooms", options.seed)
    store = options.out / "rows.jsonl"
    rows = [json.loads(line) for line in store.read_text().splitlines()] if store.exists() else []
    known = {row["name"] for row in rows}
    photos = list_photos(options.out, options.products, options.grounds, options.seed)
    for name, half, pixels, truth in photos:
        if name in known:
            continue
        start = time.process_time()
        subject = find_subject(pixels)
        seconds = time.process_time() - start
        raw = look_at(pixels, pixels.shape[:2])
        rows.append(
            {
                "name": name,
                "half": half,
                "confidence": subject.confidence,
                "iou_raw": compute_iou(raw, truth),
                "iou": compute_iou(subject.matte, truth),
                "f_raw": compute_boundary(raw, truth),
                "f": compute_boundary(subject.matte, truth),
                "seconds": seconds,
            }
        )
        with store.open("a") as file:
            file.write(json.dumps(rows[-1]) + "\n")
        shown = pixels * subject.matte[..., None] + np.array([230, 60, 160]) * (1 - subject.matte[..., None])
        sheet = np.hstack([pixels, shown.astype(np.uint8)])
        Image.fromarray(sheet).save(
            options.out / f"{subject.confidence:.3f} {rows[-1]['iou']:.3f} {name}.jpg"
        )
    for half, word in enumerate(("fit", "held out")):
        print(word)
        tell([row for row in rows if row["half"] == half], LEAST_CONFIDENCE)
    print(f"CPU {np.median([row['seconds'] for row in rows]):.2f} s a photo of 640 x 640")


if __name__ == "__main__":
    main()
