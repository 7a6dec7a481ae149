"""A folder of product photos, an advertising image each; a bad photo costs a line, never the run.

    python examples/folder.py --out out/folder
    python examples/folder.py --out out/folder --photos my/photos

A photo's category is the name of its folder (my/photos/perfume/a.png). ``cyclorama generate my/photos`` does
more: it goes on after a stop, takes masks and references, and makes a sheet of the results.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from cyclorama import BackgroundGenerator
from cyclorama.errors import CycloramaError
from cyclorama.generation.demo import get_demo_folder


def main() -> None:
    """Make the images, one after the other."""
    parser = argparse.ArgumentParser(description="A folder of product photos, an advertising image each.")
    parser.add_argument("--out", type=Path, default=Path("out/folder"), help="output folder")
    parser.add_argument("--photos", type=Path, default=get_demo_folder() / "products", help="input folder")
    parser.add_argument("--steps", type=int, default=25, help="denoising steps")
    args = parser.parse_args()

    generator = BackgroundGenerator.from_pretrained()
    photos = sorted(
        path for path in args.photos.rglob("*") if path.suffix.lower() in (".png", ".jpg", ".webp")
    )
    failed = 0
    for photo in photos:
        try:
            made = generator(photo, category=photo.parent.name, num_inference_steps=args.steps)
        except CycloramaError as error:
            failed += 1
            print(f"{photo.relative_to(args.photos)}: {type(error).__name__}: {error}")
            continue
        image = made.save((args.out / photo.relative_to(args.photos)).with_suffix(".png"))
        print(f"{image}: {made.category}, {made.seconds:.1f} s")
    print(f"{len(photos) - failed} of {len(photos)} photos have their image")


if __name__ == "__main__":
    main()
