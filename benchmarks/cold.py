"""The first image of a fresh process: wall and processor seconds, imports included, and peak memory.

    python benchmarks/cold.py --size 512

Two cut-outs, one hard-edged, one soft-edged (the matting library cleans its colours), are each made by a
process of its own with `cyclorama generate`; before them what the imports alone take.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

IMPORTS = "import cyclorama.commands.generate, cyclorama.generation.run; "
RENDERER = "from cyclorama.scenes.render import load_mitsuba; load_mitsuba()"


def draw_bottle(side: int, softness: float) -> Image.Image:
    """A bottle-like ellipse, RGBA; its edge is ``softness`` pixels wide."""
    y, x = np.mgrid[:side, :side] + 0.5
    depth = side * 0.15 * (1 - np.hypot((x - side / 2) / (0.15 * side), (y - side / 2) / (0.32 * side)))
    alpha = np.clip(depth / softness + 0.5, 0, 1) if softness else (depth > 0).astype(float)
    shade = 0.6 + 0.4 * np.cos((x / side - 0.45) * 5)
    colours = np.stack([190 * shade, 70 * shade, 40 * shade, 255 * alpha], axis=-1)
    return Image.fromarray(np.rint(colours).astype(np.uint8))


def measure(*arguments: str) -> str:
    """Wall and processor seconds and peak memory of ``python arguments``. Raises RuntimeError if it fails."""
    start = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen([sys.executable, *arguments], stdout=said, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        if status:
            said.seek(0)
            raise RuntimeError(said.read().decode())
    return (
        f"{wall:6.1f} s  processor {usage.ru_utime + usage.ru_stime:5.1f} s  {usage.ru_maxrss / 1024:5.0f} MB"
    )


def main() -> None:
    """Read the options, measure, print a line each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=512, help="side of the image, pixels")
    parser.add_argument("--preset", default="quality")
    options = parser.parse_args()
    print("imports      ", measure("-c", IMPORTS))
    print("with renderer", measure("-c", IMPORTS + RENDERER))
    with tempfile.TemporaryDirectory() as scratch:
        for name, softness in (("hard edge", 0.0), ("soft edge", 2.0)):
            photo, out = Path(scratch) / "bottle.png", Path(scratch) / name
            draw_bottle(options.size, softness).save(photo)
            more = ("--category", "perfume", "--placement", "keep", "--preset", options.preset)
            print(f"{name:13}", measure("-m", "cyclorama", "generate", str(photo), "--out", str(out), *more))


if __name__ == "__main__":
    main()
