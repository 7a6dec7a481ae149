"""How long does a photo of 4 megapixels take to be cut out?

    python benchmarks/cutout_times.py [--repeat 3] [--side 2000]

Photos of ``benchmarks/white_photos.py`` and ``benchmarks/cutouts.py``, enlarged: three before white, one of
which has a shadow to be taken out, and three that only the network can tell. Told is the best of the turns,
decoding left out: seconds of wall and of processor time.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import skimage
from PIL import Image

import cyclorama
from cutouts import compose
from cyclorama.errors import CycloramaError
from cyclorama.imaging.product import Product
from white_photos import plant

WHITE = (("shadow", "mug"), ("gradient", "armchair"), ("jpeg30", "table-lamp"))
OTHER = (("kettle", "gravel.png"), ("camera", "grass.png"), ("sauce", "brick.png"))


def list_photos() -> dict[str, Image.Image]:
    """Name to photo."""
    demo = Path(cyclorama.__file__).parent / "weights" / "demo" / "products"
    free = Path(skimage.__file__).parent / "data"
    products = {name: Image.open(demo / name / "01.webp").convert("RGBA") for _, name in WHITE}
    photos = {
        f"{kind}, {name}": plant(kind, products[name], np.random.default_rng(0))[0] for kind, name in WHITE
    }
    for name, ground in OTHER:
        rgba = np.asarray(Image.open(demo / name / "01.webp").convert("RGBA"))
        behind = Image.open(free / ground).convert("RGB")
        photos[f"network, {name}"] = compose(rgba, behind, np.random.default_rng(0))[0].convert("RGB")
    return photos


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--side", type=int, default=2000)
    options = parser.parse_args()
    for name, photo in list_photos().items():
        large = photo.resize((options.side, options.side), Image.Resampling.BICUBIC)
        walls, cpus, told = [], [], ""
        for _ in range(options.repeat + 1):  # the first loads what is needed
            wall, cpu = time.perf_counter(), time.process_time()
            try:
                product = Product.from_image(large)
                told = product.mask_source + "".join(f"; {note}" for note in product.notes)
            except CycloramaError as error:
                told = str(error)
            walls.append(time.perf_counter() - wall)
            cpus.append(time.process_time() - cpu)
        print(f"{name:22} wall {min(walls[1:]):.2f} s, processor {min(cpus[1:]):.2f} s, {told}", flush=True)


if __name__ == "__main__":
    main()
