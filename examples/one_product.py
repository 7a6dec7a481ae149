"""One product photo, one advertising image.

    python examples/one_product.py --out out/one
    python examples/one_product.py --out out/one --product bottle.png --category perfume --reference brand.jpg

Without a photo of one's own the bundled perfume bottle is used. A photo needs transparency or a plain white
background to tell the product by.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from cyclorama import BackgroundGenerator
from cyclorama.generation.demo import get_demo_folder


def main() -> None:
    """Make the image and say what became of the product."""
    parser = argparse.ArgumentParser(description="One product photo, one advertising image.")
    parser.add_argument("--out", type=Path, default=Path("out/one"), help="output folder")
    parser.add_argument(
        "--product", type=Path, default=get_demo_folder() / "products" / "perfume" / "01.webp"
    )
    parser.add_argument("--category", default="perfume")
    parser.add_argument("--reference", type=Path, help="an image whose background style is followed")
    parser.add_argument("--steps", type=int, default=25, help="denoising steps")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    generator = BackgroundGenerator.from_pretrained()
    made = generator(
        args.product,
        category=args.category,
        reference=args.reference,
        seed=args.seed,
        num_inference_steps=args.steps,
    )

    image = made.save(args.out / f"{args.product.stem}.png")
    kept = "all as they were" if made.report.exact else f"off by up to {made.report.max_difference}"
    print(f"{image}: seed {made.seed}, {made.report.opaque_pixels} product pixels, {kept}")


if __name__ == "__main__":
    main()
