"""What of a photo before white is the product?  Faults of real shop photos, planted round known mattes.

    python benchmarks/white_photos.py --out out/white [--products FOLDER] [--seed N] [--side PIXELS] [--sheet]

Six products (the demo's, or the cut-outs in ``--products``) with ten faults each: a soft shadow, a mirror
image, a frame line, specks, a price tag, an off-white and an uneven background, JPEG quality 30, a product
cut by the frame, a nearly white product. Told are IoU at one half, whether nothing foreign lies in the box
(the box within 1 % of the truth's, no part farther than that from the product), source, processor seconds and
notes. Another ``--seed`` plants other places and strengths; ``--side 2000`` enlarges the photos for times.
"""

from __future__ import annotations

import argparse
import io
import json
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

import cyclorama
from cyclorama.errors import CycloramaError
from cyclorama.imaging.product import Product

SIDE = 800
PRODUCTS = ("mug", "table-lamp", "kettle", "camera", "sauce", "armchair")
"""Two with holes, two with thin parts, a tall and a wide one."""
KINDS = ("shadow", "reflection", "frame", "specks", "tag", "offwhite", "gradient", "jpeg30", "cut", "white")
SLACK = 0.01
"""How far from the product foreign pixels count, as a share of the side: nearer they are the rim's."""

Array = NDArray[np.float32]


def plant(kind: str, image: Image.Image, chance: np.random.Generator) -> tuple[Image.Image, Array]:
    """The photo (800 x 800) of an RGBA product with one fault, and its matte (H, W), 1 = product."""
    product = image.crop(image.getchannel("A").getbbox())
    scale = SIDE * float(chance.uniform(0.55, 0.72)) / max(product.size)
    product = product.resize([max(1, round(v * scale)) for v in product.size], Image.Resampling.LANCZOS)
    if kind == "white":
        colours = Image.blend(
            product.convert("L").convert("RGB"), Image.new("RGB", product.size, "white"), 0.8
        )
        colours = colours.point(
            [round(0.95 * level) for level in range(256)] * 3
        )  # never quite the background's
        product = Image.merge("RGBA", (*colours.split(), product.getchannel("A")))
    left = (SIDE - product.width) // 2 + int(chance.integers(-30, 31))
    top = (SIDE - product.height) // 2 + int(chance.integers(-20, 21))
    if kind == "cut":
        top = SIDE - round(0.9 * product.height)
    alone = Image.new("RGBA", (SIDE, SIDE), (255, 255, 255, 0))
    alone.paste(product, (left, top))
    matte = np.asarray(alone.getchannel("A"), np.float32) / 255
    ground = np.full((SIDE, SIDE, 3), 255, np.float32)
    if kind == "offwhite":
        ground[:] = chance.uniform(228, 242) + chance.uniform(-5, 5, 3)
    elif kind == "gradient":
        rows, columns = np.mgrid[:SIDE, :SIDE] / SIDE
        ground -= (26 * rows**2 + 14 * np.hypot(rows - 0.5, columns - 0.5))[..., None].astype(np.float32)
    elif kind == "shadow":
        ground -= draw_shadow(matte, top + product.height, chance)[..., None]
    elif kind == "reflection":
        ground = draw_mirror(ground, product, left, min(SIDE, top + product.height), chance)
    photo = ground * (1 - matte[..., None]) + np.asarray(alone, np.float32)[..., :3] * matte[..., None]
    result = Image.fromarray(photo.clip(0, 255).round().astype(np.uint8))
    draw = ImageDraw.Draw(result)
    if kind == "frame":
        inset, width = int(chance.integers(0, 9)), int(chance.integers(1, 5))
        grey = int(chance.integers(0, 150))
        draw.rectangle((inset, inset, SIDE - 1 - inset, SIDE - 1 - inset), None, (grey,) * 3, width)
    elif kind == "specks":
        for row, column in chance.integers(10, SIDE - 10, (30, 2)):
            if not matte[row - 9 : row + 10, column - 9 : column + 10].any():
                size = int(chance.integers(1, 4))
                draw.ellipse((column, row, column + size, row + size), (int(chance.integers(0, 160)),) * 3)
    elif kind == "tag":
        draw_tag(draw, matte, chance)
    buffer = io.BytesIO()
    result.save(buffer, "JPEG", quality=30 if kind == "jpeg30" else 92)
    return Image.open(buffer).convert("RGB"), matte


def draw_shadow(matte: Array, foot: int, chance: np.random.Generator) -> Array:
    """How much darker the ground is (H, W): a contact line and the product's outline laid on the floor."""
    height = SIDE * 0.16
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    up = (foot - 6 - rows) / height * float(np.ptp(np.flatnonzero(matte.any(axis=1))))
    lean = float(chance.uniform(-0.8, 0.8)) * (foot - rows)
    cast = ndimage.map_coordinates(matte, [foot - up, columns - lean], order=1, cval=0.0)
    wide = np.flatnonzero(matte[max(0, foot - 30) : foot].any(axis=0))
    line = np.exp(-(((rows - foot) / 5) ** 2)) * ((columns > wide[0]) & (columns < wide[-1]))
    soft = 60 * ndimage.gaussian_filter(cast, 9) + 110 * ndimage.gaussian_filter(line, 4)
    return np.asarray(soft, np.float32)


def draw_mirror(
    ground: Array, product: Image.Image, left: int, foot: int, chance: np.random.Generator
) -> Array:
    """``ground`` with the product's mirror image below its foot, fading out."""
    mirror = np.asarray(product, np.float32)[::-1][: min(SIDE - foot, round(0.4 * product.height))]
    fade = float(chance.uniform(0.25, 0.45)) * np.linspace(1, 0, len(mirror), dtype=np.float32)
    share = mirror[..., 3:] / 255 * fade[:, None, None]
    place = (slice(foot, foot + len(mirror)), slice(left, left + mirror.shape[1]))
    ground[place] = ground[place] * (1 - share) + mirror[..., :3] * share
    return ground


def draw_tag(draw: ImageDraw.ImageDraw, matte: Array, chance: np.random.Generator) -> None:
    """A price tag in the corner where there is most room."""
    size = 120
    corners = [(20, 20), (SIDE - 20 - size, 20), (20, SIDE - 20 - size), (SIDE - 20 - size, SIDE - 20 - size)]
    x, y = min(corners, key=lambda c: float(matte[c[1] : c[1] + size, c[0] : c[0] + size].sum()))
    colour = ((204, 22, 34), (250, 196, 0), (20, 90, 170))[int(chance.integers(3))]
    shape = draw.ellipse if chance.random() < 0.5 else draw.rectangle
    shape((x, y, x + size, y + size), colour)
    draw.text((x + size / 2, y + size / 2), "-30%", "white", ImageFont.load_default(40), "mm")


def find_box(matte: Array) -> NDArray[np.int64]:
    """(top, bottom, left, right) of what is product by half."""
    rows, columns = np.flatnonzero((matte >= 0.5).any(1)), np.flatnonzero((matte >= 0.5).any(0))
    return np.array([rows[0], rows[-1], columns[0], columns[-1]])


def measure(photo: Image.Image, truth: Array) -> tuple[dict[str, object], Array]:
    """The figures of one photo, and the matte that was found (zero where it was refused)."""
    start = time.process_time()
    try:
        product = Product.from_image(photo)
    except CycloramaError as error:
        return {"iou": 0.0, "clean": False, "source": type(error).__name__, "notes": [str(error)]}, truth * 0
    seconds = time.process_time() - start
    found, true = product.matte >= 0.5, truth >= 0.5
    off = np.abs(find_box(product.matte) - find_box(truth)).max()
    slack = SLACK * len(truth)
    far = ndimage.distance_transform_edt(~true) > slack
    return {
        "iou": float((found & true).sum() / (found | true).sum()),
        "clean": bool(off <= slack and not (found & far).any()),
        "source": product.mask_source,
        "seconds": round(seconds, 2),
        "notes": list(product.notes),
    }, product.matte


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--products", type=Path, help="a folder of cut-outs (PNG or WebP with alpha)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--side", type=int, default=SIDE)
    parser.add_argument("--sheet", action="store_true", help="keep the photos with what was found")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    demo = Path(cyclorama.__file__).parent / "weights" / "demo" / "products"
    files = (
        sorted(options.products.glob("*.[pw]*"))
        if options.products
        else [demo / n / "01.webp" for n in PRODUCTS]
    )
    rows = []
    for kind in KINDS:
        tiles = []
        for number, path in enumerate(files):
            image = Image.open(path).convert("RGBA")
            chance = np.random.default_rng(
                [number, KINDS.index(kind), *([options.seed] if options.seed else [])]
            )
            photo, truth = plant(kind, image, chance)
            if options.side != SIDE:
                photo = photo.resize((options.side, options.side), Image.Resampling.BICUBIC)
                truth = np.asarray(Image.fromarray(truth).resize(photo.size, Image.Resampling.BICUBIC))
            figures, matte = measure(photo, truth)
            rows.append(
                {"kind": kind, "product": path.parent.name if path.stem == "01" else path.stem} | figures
            )
            if options.sheet:
                shown = np.asarray(photo) * matte[..., None] + np.array([230, 60, 160]) * (
                    1 - matte[..., None]
                )
                tiles.append(np.vstack([np.asarray(photo), shown.astype(np.uint8)]))
        part = [row for row in rows if row["kind"] == kind]
        ious = [float(row["iou"]) for row in part]
        print(
            f"{kind:11} IoU median {np.median(ious):.3f} least {min(ious):.3f}, "
            f"clean {sum(bool(row['clean']) for row in part)} of {len(part)}",
            flush=True,
        )
        if options.sheet:
            Image.fromarray(np.hstack(tiles)).save(options.out / f"{kind}.png")
    (options.out / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    ious, times = [float(r["iou"]) for r in rows], [float(r.get("seconds", 0)) for r in rows]
    clean = np.mean([bool(r["clean"]) for r in rows])
    print(
        f"all {len(rows)}: IoU median {np.median(ious):.4f} least {min(ious):.3f}, "
        f"clean {clean:.1%}, {np.median(times):.2f} s"
    )


if __name__ == "__main__":
    main()
