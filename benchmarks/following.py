"""Does an image follow its reference's palette? Measured on the demo's products with two references each.

    cyclorama demo --out out/demo && python benchmarks/following.py out/demo

Palette: mean CIELAB of the background in three horizontal bands (the product and the reference's product
left out). For each of the two results: is it nearer to its own reference than to the other, and how much
nearer than the image made without a reference?
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from cyclorama.generation.demo_set import get_demo_folder, load_demo
from cyclorama.imaging.colour import to_lab

BANDS = 3


def compute_palette(path: Path, hidden: np.ndarray) -> np.ndarray:
    """Mean Lab (BANDS, 3) of the image where ``hidden`` (bool, any size) is False."""
    image = Image.open(path).convert("RGB")
    mask = np.asarray(Image.fromarray(hidden).resize(image.size, Image.Resampling.NEAREST))
    lab = to_lab(np.asarray(image))
    bands = zip(np.array_split(lab, BANDS), np.array_split(mask, BANDS), strict=True)
    return np.stack([band[~hide].mean(0) for band, hide in bands])


def compute_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Mean CIE76 difference of two palettes."""
    return float(np.linalg.norm(a - b, axis=-1).mean())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder that `cyclorama demo` wrote")
    args = parser.parse_args()
    own_nearer, rows = 0, []
    for entry in load_demo(get_demo_folder()):
        product = np.asarray(Image.open(entry.product).getchannel("A")) > 0
        references = []
        for reference in entry.references:
            assert reference.mask is not None
            references.append(compute_palette(reference.image, np.asarray(Image.open(reference.mask)) > 0))
        name = Path(entry.name).with_suffix(".png")
        plain = compute_palette(args.out / "images" / "no-reference" / name, product)
        for i, letter in enumerate("ab"):
            result = compute_palette(args.out / "images" / f"reference-{letter}" / name, product)
            own = compute_distance(result, references[i])
            other = compute_distance(result, references[1 - i])
            without = compute_distance(plain, references[i])
            own_nearer += own < other
            rows.append((entry.category, letter, own, other, without))
    print("| category | reference | to its own | to the other | without reference, to its own |")
    print("|---|---|---|---|---|")
    for category, letter, own, other, without in rows:
        print(f"| {category} | {letter} | {own:.1f} | {other:.1f} | {without:.1f} |")
    means = np.mean([row[2:] for row in rows], axis=0)
    print(f"| mean | | {means[0]:.1f} | {means[1]:.1f} | {means[2]:.1f} |")
    print(f"own reference nearer than the other: {own_nearer} of {len(rows)}")


if __name__ == "__main__":
    main()
